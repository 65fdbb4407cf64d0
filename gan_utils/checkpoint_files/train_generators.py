"""Re-makes the shipped generators beside this program from their recipes.

Half an hour or an hour each on 2 cores, minutes on a GPU, where `letters-unlabelled` was trained.
They are rounded to 16 bits a number, and their figures are taken after that.

    python gan_utils/checkpoint_files/train_generators.py [RECIPE ...]
"""

import copy
import sys
from pathlib import Path

import gan_utils as gu
from gan_utils.recipes import TASKS, Run, measure

STEPS = {"mnist-mapped": 18_000, "mnist-conv": 40_000, "mnist-conditional": 40_000, "letters-unlabelled": 50_000}


def main() -> None:
    for name in sys.argv[1:] or STEPS:
        run = Run(name, seed=0)
        run.train(steps=STEPS[name], measure_every=1000)
        G = copy.deepcopy(run.average.module).half()
        figures = measure(copy.deepcopy(G).float(), run.header(), 10_000)
        perfect = {k: TASKS[run.recipe.task].perfect(10_000)[k] for k in figures}
        path = Path(__file__).with_name(f"{name}{gu.checkpoints.SHIPPED}")
        gu.save_generator(path, G, **run.header(), figures=figures, perfect=perfect)
        print(f"{path.name}: {STEPS[name]} steps, {run.history.seconds:.0f} s, {figures}")


if __name__ == "__main__":
    main()
