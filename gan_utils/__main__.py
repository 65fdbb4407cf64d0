"""Train, sample and measure generators: `python -m gan_utils train | sample | evaluate`."""

import argparse
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import recipes
from .checkpoints import load_generator, shipped_path
from .distributed import RankLost, Ranks, is_first, joined
from .recipes import RECIPES, Run, in_turn, print_json, sample, save_every
from .runtime import check_count, pick_device, seeded, write_atomic

CHECKPOINT = "checkpoint.safetensors"


def train(arguments: argparse.Namespace) -> int:
    """Train a recipe; the run is kept in DIR at the end, each half minute, and on Ctrl-C.

    Under torchrun several processes train as one: torchrun --nproc-per-node 2 -m gan_utils train ...
    """
    with joined(arguments.device) as (ranks, device):
        run, path = ranks.together(lambda: _open(arguments, ranks, device))
        ranks.together(lambda: run.save(path) if is_first() else None)  # a folder that cannot be written is found now
        hooks = [save_every(run, path)] if is_first() else []
        if arguments.json and is_first():
            hooks.append(print_json(run, arguments.measure_every))
        seconds = 60.0 if arguments.steps is None and arguments.seconds is None else arguments.seconds
        look = {"measure_every": arguments.measure_every, "progress": is_first() and not arguments.json}
        history = run.train(steps=arguments.steps, seconds=seconds, hooks=tuple(hooks), **look)
    if is_first():
        run.save(path)  # not where it diverged: its optimisers hold NaN, and the last good state lies there already
        _report(arguments, run, path)
    return 130 if history.interrupted else 0


def _report(arguments: argparse.Namespace, run: Run, path: Path) -> None:
    history = run.history
    figures, health = run.measure(10_000), run.health()
    if arguments.json:
        end = {"step": history.steps, "seconds": round(history.seconds, 2), "samples": 10_000, **figures}
        print(json.dumps(end | {"health": health.verdict, "checkpoint": str(path), "interrupted": history.interrupted}))
    else:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"{path}: {history.steps} steps, {history.seconds:.0f} s, {shown} (10,000 samples)")
        print(f"{health.verdict}: separation {health.separation:.3f}, spread {health.spread:.2f}")
        if history.interrupted:
            print("interrupted; go on with --resume")


def draw(arguments: argparse.Namespace) -> int:
    """Write samples of a checkpoint, or of a shipped generator named instead of a file, to an .npz file."""
    _check_alone("sample")
    G, header = load_generator(_find(arguments.checkpoint), device=pick_device(arguments.device))
    check_count("n", arguments.n)
    labels = _labels(arguments.labels, arguments.n, header)
    x = sample(G, header, arguments.n, seed=arguments.seed, labels=labels).cpu().numpy()
    arrays = {"x": x[:, 0] if x.ndim == 4 else x}
    if labels is not None:
        arrays["y"] = labels.numpy()
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    shown = ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in arrays.items())
    print(f"{write_atomic(arguments.out, buffer.getvalue())}: {shown}")
    return 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Print the figures of a checkpoint beside those of as many perfect samples."""
    _check_alone("evaluate")
    G, header = load_generator(_find(arguments.checkpoint), device=pick_device(arguments.device))
    check_count("n", arguments.n, least=10)  # the audit looks at neighbours
    figures = recipes.evaluate(G, header, arguments.n, seed=arguments.seed)
    if arguments.json:
        values = {name: value for name, (value, _) in figures.items()}
        perfect = {f"{name}_perfect": value for name, (_, value) in figures.items()}
        print(json.dumps({"n": arguments.n, "seed": arguments.seed, **values, **perfect}))
    else:
        print(f"{'figure':<12}{'value':>10}{'perfect':>10}{'ratio':>8}")
        for name, (value, perfect) in figures.items():
            ratio = f"{value / perfect:.3g}" if perfect > 0.01 else "-"  # the kernel distance's is 0, give or take
            print(f"{name:<12}{value:>10.4g}{perfect:>10.4g}{ratio:>8}")
    return 0


def _open(arguments: argparse.Namespace, ranks: Ranks, device: torch.device) -> tuple[Run, Path]:
    """The run to go on with, or a new one in a folder that holds none."""
    path = Path(arguments.out) / CHECKPOINT
    if arguments.resume:
        run = Run.load(path, device=device, ranks=ranks)
        if run.name != arguments.recipe:
            raise ValueError(f"{path.name} holds a run of {run.name}, not of {arguments.recipe}")
    else:
        run = Run(arguments.recipe, seed=arguments.seed, device=device, ranks=ranks)
        if path.exists():
            raise ValueError(f"{arguments.out} already holds a run: add --resume, or choose another --out")
    return run, path


def _labels(wanted: str | None, n: int, header: dict) -> Tensor | None:
    """What --labels asks for: "balanced" (also without the option), one class, or classes between commas, in turn."""
    classes = header.get("classes", 0)
    if not classes:
        if wanted is not None:
            raise ValueError("this generator knows no labels: leave --labels out")
        return None
    if wanted in (None, "balanced"):
        return in_turn(n, classes)
    try:
        listed = torch.tensor([int(word) for word in wanted.split(",")])
    except ValueError:
        raise ValueError(f"--labels {wanted!r}: need 'balanced', or classes between commas: 3 or 1,7") from None
    return listed[in_turn(n, len(listed))]  # `sample` checks the range


def _check_alone(command: str) -> None:
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise ValueError(f"only train runs on several ranks: start {command} without torchrun")


def _find(checkpoint: str) -> Path:
    path = Path(checkpoint)
    if path.is_dir():
        return path / CHECKPOINT
    return path if path.exists() or path.suffix else shipped_path(checkpoint)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gan_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="train | sample | evaluate")
    device = {"help": "cpu or cuda; default: cuda where there is one"}
    seed = {"type": int, "default": 0, "help": "default: 0"}

    command = commands.add_parser("train", help=train.__doc__, description=train.__doc__)
    command.add_argument("recipe", metavar="RECIPE", help=f"one of {', '.join(RECIPES)}")
    command.add_argument("--out", required=True, metavar="DIR", help="folder for the run")
    command.add_argument("--steps", type=int, metavar="N", help="updates of the generator")
    command.add_argument("--seconds", type=float, metavar="N", help="time limit; 60 if --steps is not given either")
    command.add_argument("--measure-every", type=int, default=500, metavar="N", help="steps; default: 500")
    command.add_argument("--seed", **seed)
    command.add_argument("--device", **device)
    command.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    command.add_argument("--json", action="store_true", help="a JSON line for each measurement, no progress bar")
    command.set_defaults(run=train)

    command = commands.add_parser("sample", help=draw.__doc__, description=draw.__doc__)
    command.add_argument("checkpoint", help="a file, a folder that train made, or a shipped name: mnist-conv")
    command.add_argument("--n", type=int, default=10_000, help="how many; default: 10000")
    command.add_argument("--seed", **seed)
    command.add_argument("--labels", help="conditional generators: balanced (default), a class, or classes: 1,7")
    command.add_argument("--out", default="samples.npz", metavar="FILE", help="default: samples.npz")
    command.add_argument("--device", **device)
    command.set_defaults(run=draw)

    command = commands.add_parser("evaluate", help=evaluate.__doc__, description=evaluate.__doc__)
    command.add_argument("checkpoint", help="as for sample")
    command.add_argument("--n", type=int, default=10_000, help="samples, of digits 10000 at most; default: 10000")
    command.add_argument("--seed", **seed)
    command.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    command.add_argument("--device", **device)
    command.set_defaults(run=evaluate)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; one line says why it failed.

    Exit status: 0 done, 1 training diverged, 2 bad input, 3 another rank died, 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        seeded(arguments.seed)
        return arguments.run(arguments)
    except RankLost as error:  # each rank that is left says so: rank 0 may be the one that died
        print(f"gan_utils: {error}; what was last saved is whole: go on with --resume", file=sys.stderr)
        return 3
    except (ValueError, OSError, FloatingPointError) as error:
        if is_first():
            print(f"gan_utils: {error}", file=sys.stderr)
        return 1 if isinstance(error, FloatingPointError) else 2
    except KeyboardInterrupt:  # before or after the training itself, which ends by itself and goes on to save
        print("gan_utils: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
