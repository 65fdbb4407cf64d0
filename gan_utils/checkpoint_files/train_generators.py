"""Re-makes the shipped generators beside this program from their recipes: some minutes each on 2 cores.

    python gan_utils/checkpoint_files/train_generators.py [RECIPE ...]
"""

import sys
from pathlib import Path

import gan_utils as gu
from gan_utils.recipes import TASKS, Run

STEPS = {"mnist-conv": 24_000, "mnist-conditional": 8_000, "mnist-clusters": 8_000, "letters-unlabelled": 3_000}


def main() -> None:
    for name in sys.argv[1:] or STEPS:
        run = Run(name, seed=0)
        run.train(steps=STEPS[name], measure_every=1000)
        figures = run.measure(10_000)
        perfect = {k: TASKS[run.recipe.task].perfect(10_000)[k] for k in figures}
        path = Path(__file__).with_name(f"{name}{gu.checkpoints.SHIPPED}")
        gu.save_generator(path, run.average.module, **run.header(), figures=figures, perfect=perfect)
        print(f"{path.name}: {STEPS[name]} steps, {run.history.seconds:.0f} s, {figures}")


if __name__ == "__main__":
    main()
