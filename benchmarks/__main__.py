"""`python -m benchmarks [NAME ...] [--jsonl FILE]`: each figure as a table row, and as JSON lines if asked.

Each comparison runs both sides in one process on one machine; only ratios travel to other machines.
"""

import argparse
import functools
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import gan_utils as gu
from gan_utils import batched, recipes
from gan_utils.graphs import as_fx_graph
from gan_utils.models import FromOneChannel, ToOneChannel
from gan_utils.recipes import RECIPES, Run

from .baselines import CRITIC_STEPS, classic_loop, classic_steps, course_pair, course_steps
from .layers import by_products

RECORD = Path(gu.__file__).parent / "checkpoint_files" / "classic-mnist-loop.json"
EPOCHS = 20
SILENT = {"measure_every": 10**9, "samples": 2, "progress": False}


def frechet_of(G: nn.Module, latent_dim: int, n: int = 10_000) -> float:
    """Fréchet distance of n samples of a generator fed with Gaussian numbers."""
    z = gu.gaussian_noise(n, latent_dim, generator=gu.seeded(0))
    with gu.evaluating(G):
        return gu.frechet_digits(torch.cat([G(chunk).view(-1, 1, 28, 28) for chunk in z.split(1000)]))


def side_by_side(baseline: Iterator, ours: Iterator, *, block: int, repeats: int = 5) -> dict[str, float | list[float]]:
    """Updates a second of two endless loops, timed in turn, `block` updates at a time after three blocks to warm up."""
    for loop in (baseline, ours):
        collect(loop, 3 * block)
    rates = [(collect(baseline, block), collect(ours, block)) for _ in range(repeats)]
    ratios = sorted(ours / theirs for theirs, ours in rates)
    theirs, mine = (statistics.median(column) for column in zip(*rates, strict=True))
    return {"baseline": theirs, "ours": mine, "ratio": statistics.median(ratios), "range": [ratios[0], ratios[-1]]}


def collect(loop: Iterator, count: int) -> float:
    """Updates a second over the next `count`."""
    start = time.perf_counter()
    for _ in itertools.islice(loop, count):
        pass
    return count / (time.perf_counter() - start)


# ------------------------------------------------------------------ the classic loop


def classic() -> list[dict]:
    """The classic loop for 20 epochs against the recipe mnist-dcgan, to the distance that the loop ends with."""
    curve: list[tuple[int, float, float]] = []
    _, seconds, steps = classic_loop(
        EPOCHS, after_epoch=lambda epoch, G, spent: curve.append((epoch, spent, frechet_of(G, 100)))
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
        {"name": "mnist-dcgan to the same distance", "seconds": middle, "range": [best, worst]},
        {"name": "time of the classic loop over ours", "ratio": ratio, "steps": took, "frechet": times},
    ]


def reach(target: float, seed: int, *, recipe: str = "mnist-dcgan", every: int = 10) -> tuple[int, float, float]:
    """Steps, training seconds and distance when a fresh run of the recipe first scores `target` or less.

    Scored on 10,000 samples as the loop is, each 10 steps; the scoring is not counted, as for the loop, nor is the
    reading of the images. What the recipe does to them before its first step, such as clustering, is.
    """
    recipes._digits(torch.device("cpu")), recipes._digit_clusters.cache_clear()
    start = time.perf_counter()
    run = Run(recipe, seed=seed)
    spent = time.perf_counter() - start
    while True:
        start = time.perf_counter()
        run.train(steps=every, **SILENT)
        spent += time.perf_counter() - start
        distance = gu.frechet_digits(run.sample(10_000, seed=0))
        if distance <= target:
            return run.history.steps, spent, distance


def our_classic_steps() -> Iterator[None]:
    """The same networks, batch, losses and optimiser as the classic loop, by the package's steps."""
    run = Run("mnist-mlp")
    run.train(steps=201, **SILENT)  # past the tracing
    while True:
        run._d_step(), run._g_step()
        yield


def steps() -> list[dict]:
    """Updates of the classic pair: identical networks, batch and precision, the loop against the package's steps."""
    figures = side_by_side(classic_steps(), our_classic_steps(), block=50, repeats=21)
    return [{"name": "classic pair, updates a second", **figures}]


def matmul() -> list[dict]:
    """Time of the MLP step's own matrix products, run alone, over the time of the step."""
    figures = side_by_side(our_classic_steps(), _calls_alone(mlp_products()), block=50, repeats=21)
    return [
        {"name": "MLP step, ms", "ms": 1e3 / figures["baseline"]},
        {"name": "its matrix products alone", "ms": 1e3 / figures["ours"], "share": 1 / figures["ratio"]},
    ]


@torch.no_grad()
def _calls_alone(calls: list[tuple[Callable, tuple[Tensor, ...]]]) -> Iterator[None]:
    while True:
        for op, operands in calls:
            op(*operands)
        yield


def mlp_products() -> list[tuple[Callable, tuple[Tensor, ...]]]:
    """Every matrix product of one D step and one G step of the classic pair, with the operands that it had there."""
    run = Run("mnist-mlp", device="cpu")
    with _Products() as products:
        run._d_step(), run._g_step()
    return products.calls


class _Products(TorchDispatchMode):
    """Keeps the matrix products among the calls that pass, forward and backward ones."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable, tuple[Tensor, ...]]] = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        if op in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            self.calls.append((op, args))
        return op(*args, **(kwargs or {}))


# ------------------------------------------------------------------ WGAN-GP


def our_course_steps(*, bf16: bool) -> Iterator[None]:
    """The course's networks, batch, losses and optimiser, with the package's penalty and no graph through G.

    Convolutions take fewer multiplications, and batch norm's second derivative is written out (`layers`); each update
    is traced once and repeated as a list of calls, as the recipes' are.
    """
    g = gu.seeded(0)
    torch.manual_seed(0)
    G, D = map(by_products, course_pair())
    opt_g, opt_d = (torch.optim.Adam(p.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True) for p in (G, D))
    half = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=bf16)
    x = torch.empty(128, 1, 28, 28)

    def critic_step() -> dict[str, Tensor]:
        with half():
            with torch.no_grad():
                fake = G(gu.gaussian_noise(len(x), 64, generator=g))
            # apart, because the course's critic has batch norm: joined, its statistics would be others
            d_loss = gu.wasserstein_d_loss(real_logits=D(x), fake_logits=D(fake))
            objective = d_loss + 10 * gu.gradient_penalty(D, x, fake.to(x.dtype), generator=g)
        opt_d.zero_grad()
        objective.backward()
        opt_d.step()
        return {"d_loss": d_loss.detach()}

    def generator_step() -> dict[str, Tensor]:
        with half():
            return gu.g_step(G, D, opt_g, gu.gaussian_noise(len(x), 64, generator=g), gu.wasserstein)

    critic, generator = _listed(critic_step), _listed(generator_step)
    for batch in gu.batches(gu.load_mnist("train")[0], len(x), generator=g):
        x.copy_(batch)
        for _ in range(CRITIC_STEPS):
            critic()
            yield
        generator()


def wgan() -> list[dict]:
    """Critic updates of the course's WGAN-GP, identical networks, in float32 and in bfloat16 (with what G costs)."""
    rows = []
    for bf16 in (False, True):
        figures = side_by_side(course_steps(), our_course_steps(bf16=bf16), block=CRITIC_STEPS, repeats=21)
        rows.append({"name": f"critic updates a second, {'bf16' if bf16 else 'fp32'}", **figures})
    return rows


def course() -> list[dict]:
    """One epoch of the course's WGAN-GP against the recipe mnist-wgan-gp, to the distance that the epoch ends with."""
    loop, start = course_steps(), time.perf_counter()
    *_, G = itertools.islice(loop, CRITIC_STEPS * math.ceil(60_000 / 128))
    seconds, target = time.perf_counter() - start, frechet_of(G, 64)
    ours = [reach(target, seed, recipe="mnist-wgan-gp") for seed in range(3)]
    times = sorted(second for _, second, _ in ours)
    return [
        {"name": "course's WGAN-GP, one epoch", "seconds": seconds, "frechet": target},
        {"name": "mnist-wgan-gp to the same distance", "seconds": times[1], "range": [times[0], times[2]],
         "steps": [step for step, _, _ in ours], "ratio": seconds / times[1]},
    ]


# ------------------------------------------------------------------ cost, import, a busy machine


def scaling() -> list[dict]:
    """Milliseconds of a mnist-mlp-like step against batch and width, and of a draw against the size of the data.

    `power` is the slope of log cost on log size over the last doubling: 1 is linear, 2 for the width squared.
    """
    rows = []
    for name, sizes, measure in (
        ("batch", (64, 128, 256, 512, 1024), lambda n: step_seconds(batch=n)),
        ("width", (128, 256, 512, 1024), lambda n: step_seconds(width=n)),
        ("data", (7_500, 15_000, 30_000, 60_000), draw_seconds),
    ):
        costs = [measure(size) for size in sizes]
        power = math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2])
        ms = [1e3 * cost for cost in costs]
        rows.append({"name": f"ms against {name}", "sizes": list(sizes), "ms": ms, "power": power})
    return rows


def step_seconds(*, batch: int = 64, width: int = 256) -> float:
    """Median seconds of a step of two MLPs with hidden layers of this width."""
    g = gu.seeded(0)
    G, D = gu.mlp([100, width, width, 784], generator=g), gu.mlp([784, width, width, 1], generator=g)
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=2e-4, fused=True) for net in (G, D))
    x = torch.randn(batch, 784, generator=g)

    def step() -> None:
        gu.d_step(G, D, opt_d, x, gu.gaussian_noise(batch, 100, generator=g), gu.non_saturating)
        gu.g_step(G, D, opt_g, gu.gaussian_noise(batch, 100, generator=g), gu.non_saturating)

    return median_seconds(step)


def draw_seconds(n: int) -> float:
    """Median seconds of an epoch's batches of 64 out of n images."""
    images = gu.load_mnist("train")[0][:n]
    return median_seconds(lambda: collect(gu.batches(images, 64, generator=gu.seeded(0)), n // 64), repeats=7)


def median_seconds(function: Callable[[], object], repeats: int = 25) -> float:
    """Of `repeats` calls, after three to warm up."""
    times = []
    for i in range(repeats + 3):
        start = time.perf_counter()
        function()
        if i >= 3:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def seeds(count: int = 10, width: int = 64, batch: int = 64) -> list[dict]:
    """Milliseconds a step (one D and one G update on the ring) of one run, of `count` side by side, and their ratio.

    The batched runs on their own, against one plain run of the package's steps; all with R1.
    """
    one = median_seconds(_ring_step(1, width, batch, plain=True), repeats=100)
    many = median_seconds(_ring_step(count, width, batch), repeats=100)
    return [
        {"name": "ring, one run", "ms_a_step": one * 1e3},
        {"name": f"ring, {count} runs side by side", "ms_a_step": many * 1e3, "times_one_run": many / one,
         "times_faster_than_in_turn": count * one / many},
    ]


def _ring_step(count: int, width: int, batch: int, *, plain: bool = False) -> Callable[[], object]:
    Gs = [gu.toy_generator(2, data_dim=2, width=width, generator=gu.seeded(s)) for s in range(count)]
    Ds = [gu.toy_discriminator(2, width=width, generator=gu.seeded(100 + s)) for s in range(count)]
    G, D = (Gs[0], Ds[0]) if plain else (batched.side_by_side(Gs), batched.side_by_side(Ds))
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.9), fused=True) for net in (G, D))
    kit, shape, stream = (gu, (batch, 2), gu.seeded(0)) if plain else (batched, (count, batch, 2), gu.seeded(0))

    def step() -> None:
        x, z, z2 = gu.ring(count * batch, generator=stream).view(shape), *torch.randn(2, *shape, generator=stream)
        kit.d_step(G, D, opt_d, x, z, gu.non_saturating, lambda x, fake: 0.05 * kit.r1_penalty(D, x))
        kit.g_step(G, D, opt_g, z2, gu.non_saturating)

    return step


def one_channel(batch: int = 64) -> list[dict]:
    """Milliseconds of G's last layer, and of the input's gradient through D's first: torch's layers against ours."""
    x, image = torch.randn(batch, 32, 14, 14), torch.randn(batch, 1, 28, 28, requires_grad=True)
    rows = []
    for name, kind, shape, given in (
        ("32 channels to one", ToOneChannel, (32, 1, 4, 2, 1), x),
        ("gradient of an image, 16 channels", FromOneChannel, (1, 16, 4, 2, 1), image),
    ):
        layers = [layer(*shape).requires_grad_(False) for layer in (kind.__base__, kind)]
        theirs, ours = (median_seconds(_use(layer, given), 51) for layer in layers)
        rows.append({"name": name, "torchs_ms": 1e3 * theirs, "ours_ms": 1e3 * ours, "ratio": theirs / ours})
    return rows


def _use(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    if not x.requires_grad:
        return lambda: layer(x)
    y = layer(x)
    slope = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, x, slope, retain_graph=True)


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
    run.train(steps=201, **SILENT)  # past the tracing

    def rate() -> float:
        before, start = run.history.steps, time.perf_counter()
        run.train(seconds=3.0, **SILENT)
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


def distances(seconds: float = 90.0) -> list[dict]:
    """What the recipes of digits reach in 90 seconds, and how many times the floor that is: one seed each."""
    floor, rows = gu.frechet_floor(10_000), []
    for name in ("mnist-conv", "mnist-wgan-gp", "mnist-conditional"):
        run = Run(name)
        run.train(seconds=seconds, progress=False)
        figures = run.measure(10_000)
        rows.append({"name": name, "steps": run.history.steps, **figures, "times_floor": figures["frechet"] / floor})
    return rows


def traced() -> list[dict]:
    """On the CPU, milliseconds of a step of each recipe: as plain calls, and as a traced list of them, in turn."""
    rows = []
    for name, recipe in RECIPES.items():
        block = 50 if recipe.generator in ("toy_generator", "classic_generator") else 5
        rates = side_by_side(_cpu_steps(name, lambda step: step), _cpu_steps(name, _listed), block=block)
        ratio, bounds = rates["ratio"], rates["range"]
        plain, listed = (1e3 / rates[side] for side in ("baseline", "ours"))
        rows.append({"name": name, "plain_ms": plain, "list_ms": listed, "ratio": ratio, "range": bounds})
    return rows


_listed = functools.partial(as_fx_graph, after=1)


def _cpu_steps(name: str, how: Callable[[Callable], Callable]) -> Iterator[None]:
    """Steps of a recipe, those without a penalty, each called as `how` says."""
    run = Run(name, device="cpu")
    d_step, g_step = how(functools.partial(run._update_d, penalised=False)), how(run._update_g)
    while True:
        d_step(), g_step()
        yield


def graphs() -> list[dict]:
    """On CUDA, milliseconds of a step of each recipe: as plain calls, and as recorded graphs."""
    if not torch.cuda.is_available():
        return []
    rows = []
    for name in RECIPES:
        plain, played = (statistics.median(_cuda_step_ms(name, plain=p) for _ in range(3)) for p in (True, False))
        rows.append({"name": name, "plain_ms": plain, "graph_ms": played, "ratio": plain / played})
    return rows


def _cuda_step_ms(name: str, *, plain: bool, steps: int = 200) -> float:
    run = Run(name, device="cuda")
    updates = (run._update_d, run._update_g) if plain else (run._d_step, run._g_step)
    for i in range(40 + steps):
        if i == 40:  # recorded and warm
            torch.cuda.synchronize()
            start = time.perf_counter()
        updates[0](**({"penalised": i % run.recipe.penalty_every == 0} if plain else {})), updates[1]()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - start) / steps


BENCHMARKS = {
    "import": import_time,
    "graphs": graphs,
    "traced": traced,
    "steps": steps,
    "matmul": matmul,
    "busy": busy,
    "seeds": seeds,
    "scaling": scaling,
    "one_channel": one_channel,
    "wgan": wgan,
    "classic": classic,
    "course": course,
    "distances": distances,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--jsonl", help="append the rows to this file")
    arguments = parser.parse_args()
    for unknown in set(arguments.names) - set(BENCHMARKS):
        sys.exit(f"benchmarks: no benchmark called {unknown!r}: use one of {', '.join(BENCHMARKS)}")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    machine = f"{os.cpu_count()} cores, {device}, torch {torch.__version__.split('+')[0]}"
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
