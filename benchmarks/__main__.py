"""`python -m benchmarks [NAME ...] [--jsonl FILE]`: each figure as a table row, and as JSON lines if asked.

Each comparison runs both sides in one process on one machine; only ratios travel to other machines.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import gan_utils as gu
from gan_utils.recipes import Run, sample

from .baselines import classic_loop

RECORD = Path(gu.__file__).parent / "checkpoint_files" / "classic-mnist-loop.json"
EPOCHS = 20


def frechet_of(G: torch.nn.Module, n: int = 10_000) -> float:
    """Fréchet distance of n samples of a generator that takes 100 Gaussian numbers and makes 784 pixels."""
    return gu.frechet_digits(sample(G, "gaussian", n, seed=0).view(-1, 1, 28, 28))


def classic() -> list[dict]:
    """The classic loop for 20 epochs against the recipe mnist-conv, to the distance that the loop ends with."""
    curve: list[tuple[int, float, float]] = []
    _, seconds, steps = classic_loop(
        EPOCHS, after_epoch=lambda epoch, G, spent: curve.append((epoch, spent, frechet_of(G)))
    )
    target = curve[-1][2]
    ours, took, times = [], [], []
    for seed in range(3):
        step, second, distance = reach(target, seed)
        ours.append(second)
        took.append(step)
        times.append(distance)
    record = {
        "what": "MNIST, 784-256-128-1 and 100-128-256-784, Adam 2e-4, batch 64, DataLoader, BCELoss, 20 epochs",
        "command": "python -m benchmarks classic",
        "seed": 0,
        "steps": steps,
        "seconds": round(seconds, 1),
        "epochs": [epoch for epoch, _, _ in curve],
        "frechet": [round(value, 2) for _, _, value in curve],
        "recipe_seconds_to_same": [round(s, 2) for s in ours],
        "recipe_steps_to_same": took,
        "machine": f"{os.cpu_count()} cores, torch {torch.__version__.split('+')[0]}",
    }
    gu.write_atomic(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    ratio = seconds / statistics.median(ours)
    best, worst, middle = min(ours), max(ours), statistics.median(ours)
    return [
        {"name": "classic loop, 20 epochs", "seconds": seconds, "frechet": target},
        {"name": "mnist-conv to the same distance", "seconds": middle, "range": [best, worst]},
        {"name": "time of the classic loop over ours", "ratio": ratio, "steps": took, "frechet": times},
    ]


def reach(target: float, seed: int, every: int = 10) -> tuple[int, float, float]:
    """Steps, training seconds and distance when a fresh run of mnist-conv first scores `target` or less.

    Scored on 10,000 samples as the loop is, each 10 steps; the scoring is not counted, as for the loop.
    """
    run, spent = Run("mnist-conv", seed=seed), 0.0
    while True:
        start = time.perf_counter()
        run.train(steps=every, measure_every=10**9, samples=2, progress=False)
        spent += time.perf_counter() - start
        distance = gu.frechet_digits(run.sample(10_000, seed=0))
        if distance <= target:
            return run.history.steps, spent, distance


def import_time() -> list[dict]:
    """Seconds to import gan_utils in a fresh interpreter, and torch alone; best of five."""
    rows = []
    for module in ("torch", "gan_utils"):
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5)]
        rows.append({"name": f"import {module}", "seconds": min(runs), "range": [min(runs), max(runs)]})
    return rows


def busy() -> list[dict]:
    """Steps a second of mnist-mlp, calm and beside a process that keeps one core busy, taken in turn."""
    run = Run("mnist-mlp")
    run.train(steps=50, measure_every=10**9, samples=2, progress=False)  # warm-up

    def rate() -> float:
        before, start = run.history.steps, time.perf_counter()
        run.train(seconds=3.0, measure_every=10**9, samples=2, progress=False)
        return (run.history.steps - before) / (time.perf_counter() - start)

    calm, beside = [], []
    for _ in range(3):
        calm.append(rate())
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            time.sleep(0.5)
            beside.append(rate())
        finally:
            other.kill()
            other.wait()
    kept = statistics.median(beside) / statistics.median(calm)
    return [
        {"name": "mnist-mlp, calm", "steps_per_s": statistics.median(calm)},
        {"name": "mnist-mlp, one core busy", "steps_per_s": statistics.median(beside), "kept": kept},
    ]


BENCHMARKS = {"import": import_time, "busy": busy, "classic": classic}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--jsonl", help="append the rows to this file")
    arguments = parser.parse_args()
    for unknown in set(arguments.names) - set(BENCHMARKS):
        sys.exit(f"benchmarks: no benchmark called {unknown!r}: use one of {', '.join(BENCHMARKS)}")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}"
    print(machine)
    for name in arguments.names or BENCHMARKS:
        for row in BENCHMARKS[name]():
            figures = {k: v for k, v in row.items() if k != "name"}
            print(f"{row['name']:<40}", "  ".join(f"{k} {_short(v)}" for k, v in figures.items()), flush=True)
            if arguments.jsonl:
                with open(arguments.jsonl, "a") as file:
                    file.write(json.dumps({"benchmark": name, "machine": machine, **row}) + "\n")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ", ".join(map(_short, value)) + "]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
