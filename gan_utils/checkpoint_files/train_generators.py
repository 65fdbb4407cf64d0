"""Re-makes the shipped generators beside this program from their recipes: about 20 minutes on 2 cores.

    python gan_utils/checkpoint_files/train_generators.py
"""

from pathlib import Path

import gan_utils as gu
from gan_utils.recipes import Run

STEPS = {"mnist-conv": 24_000}


def main() -> None:
    for name, steps in STEPS.items():
        run = Run(name, seed=0)
        run.train(steps=steps, measure_every=1000)
        frechet = gu.frechet_digits(run.sample(10_000, seed=0))
        path = Path(__file__).with_name(f"{name}{gu.checkpoints.SHIPPED}")
        gu.save_generator(path, run.average.module, **run.header(), frechet=frechet, floor=gu.frechet_floor(10_000))
        print(f"{path.name}: {steps} steps, {run.history.seconds:.0f} s, distance {frechet:.3f}")


if __name__ == "__main__":
    main()
