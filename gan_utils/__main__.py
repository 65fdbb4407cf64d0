"""The command line: `python -m gan_utils train | sample | evaluate`."""

import argparse
import io
import json
import sys
from pathlib import Path

import numpy as np

from .checkpoints import load_generator, shipped_path
from .metrics import frechet_digits, frechet_floor
from .recipes import RECIPES, Run, sample, save_every, w1_to_standard_normal
from .runtime import pick_device, write_atomic

CHECKPOINT = "checkpoint.safetensors"


def train(arguments: argparse.Namespace) -> None:
    """Trains a recipe and keeps the run in DIR, at the end, each half minute, and on Ctrl-C."""
    path = Path(arguments.out) / CHECKPOINT
    if arguments.resume:
        run = Run.load(path, device=arguments.device)
        if run.name != arguments.recipe:
            raise ValueError(f"{path.name} holds a run of {run.name}, not of {arguments.recipe}")
    elif path.exists():
        raise ValueError(f"{arguments.out} already holds a run: add --resume, or choose another --out")
    else:
        run = Run(arguments.recipe, seed=arguments.seed, device=arguments.device)
    run.save(path)  # a folder that cannot be written is found now, not after the training
    seconds = 60.0 if arguments.steps is None and arguments.seconds is None else arguments.seconds
    try:
        history = run.train(steps=arguments.steps, seconds=seconds, hooks=(save_every(run, path),))
    finally:
        run.save(path)
    metric, measure = run.recipe.metric
    value = measure(run.sample(10_000, seed=0))
    print(f"{path}: {history.steps} steps, {history.seconds:.0f} s, {metric} {value:.4g} (10,000 samples)")
    if history.interrupted:
        print("interrupted; go on with --resume")
        sys.exit(130)


def draw(arguments: argparse.Namespace) -> None:
    """Writes samples of a checkpoint, or of a shipped generator named instead of a file."""
    if arguments.labels is not None:
        raise ValueError(f"{arguments.checkpoint} knows no labels: leave --labels out")
    G, header = load_generator(_find(arguments.checkpoint), device=pick_device(arguments.device))
    x = sample(G, header["noise"], arguments.n, seed=arguments.seed).cpu().numpy()
    x = x[:, 0] if x.ndim == 4 else x
    buffer = io.BytesIO()
    np.savez(buffer, x=x)
    print(f"{write_atomic(arguments.out, buffer.getvalue())}: x {x.shape} {x.dtype}")


def evaluate(arguments: argparse.Namespace) -> None:
    """Prints the metrics of a checkpoint beside their floors."""
    G, header = load_generator(_find(arguments.checkpoint), device=pick_device(arguments.device))
    x = sample(G, header["noise"], arguments.n, seed=arguments.seed)
    if x.ndim == 4:
        name, value, floor = "frechet", frechet_digits(x), frechet_floor(arguments.n)
    else:
        name, value, floor = "w1", w1_to_standard_normal(x), 1.9 / arguments.n**0.5
    if arguments.json:
        print(json.dumps({"n": arguments.n, "seed": arguments.seed, name: value, f"{name}_floor": floor}))
    else:
        print(f"{'metric':<10}{'value':>10}{'floor':>10}{'ratio':>8}")
        print(f"{name:<10}{value:>10.4g}{floor:>10.4g}{value / floor:>8.1f}")


def _find(checkpoint: str) -> Path:
    path = Path(checkpoint)
    if path.is_dir():
        return path / CHECKPOINT
    return path if path.exists() or path.suffix else shipped_path(checkpoint)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gan_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    device = {"help": "cpu or cuda; default: cuda where there is one"}

    command = commands.add_parser("train", help=train.__doc__)
    command.add_argument("recipe", choices=RECIPES)
    command.add_argument("--out", required=True, help="folder for the checkpoint")
    command.add_argument("--steps", type=int, help="generator updates")
    command.add_argument("--seconds", type=float, help="time limit; 60 if neither it nor --steps is given")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", **device)
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.set_defaults(run=train)

    command = commands.add_parser("sample", help=draw.__doc__)
    command.add_argument("checkpoint", help="a file, a folder that train made, or a shipped name: mnist-conv")
    command.add_argument("--n", type=int, default=10_000)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--labels", help="for conditional generators only")
    command.add_argument("--out", default="samples.npz")
    command.add_argument("--device", **device)
    command.set_defaults(run=draw)

    command = commands.add_parser("evaluate", help=evaluate.__doc__)
    command.add_argument("checkpoint", help="as for sample")
    command.add_argument("--n", type=int, default=10_000)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    command.add_argument("--device", **device)
    command.set_defaults(run=evaluate)
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"gan_utils: {error}")


if __name__ == "__main__":
    main()
