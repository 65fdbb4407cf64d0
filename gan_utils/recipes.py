"""Named set-ups that train without a notebook, and the run that carries one, stops, and goes on exactly.

    run = Run("mnist-conv", seed=0)
    run.train(steps=1000)
    images = run.sample(64, seed=1)
"""

import difflib
import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import losses, models
from .checkpoints import load_tensors, save_tensors
from .data import gaussian_1d, gaussian_noise, grid_centres, load_mnist, mixture, ring_centres, uniform_noise
from .distributed import ALONE, Ranks
from .graphs import as_cuda_graph, as_fx_graph
from .health import Health, diagnose
from .letters import frechet_letters, frechet_letters_floor, letter_logits, load_letters
from .losses import GanLoss
from .metrics import (
    class_histogram,
    classifier_score,
    count_modes,
    density_coverage,
    digit_features,
    digit_logits,
    frechet_digits,
    frechet_floor,
    kernel_distance,
    precision_recall,
    total_variation,
    wasserstein_1d,
)
from .penalties import gradient_penalty, r1_penalty
from .runtime import check_count, check_labels, evaluating, pick_device, seeded
from .training import CHECK_EVERY, ExponentialAverage, History, Step, d_step, fit, g_step

Labels = Tensor | None
Draw = Callable[[int, torch.Generator], tuple[Tensor, Labels]]
LETTERS = "ABCDE"
CLUSTERS = 100  # of digits: several to each way of writing each
NOISE = {"gaussian": gaussian_noise, "uniform": uniform_noise}


@dataclass(frozen=True)
class Task:
    """What is to be imitated: how it is drawn, how samples are measured, and what perfect samples would score."""

    load: Callable[[torch.device], Draw]  # draw(n, generator) gives x, and y where the data has classes
    measure: Callable[[Tensor, Labels], dict[str, float]]
    perfect: Callable[[int], dict[str, float]]  # the same figures for n samples of the data itself
    audit: Callable[[Tensor], dict[str, float]] = lambda x: {}  # further figures, too slow for a progress bar
    held_out: Callable[[int], Tensor] | None = None  # data that no generator saw, to be audited beside
    shares: Callable[[], Tensor] | None = None  # how often each cluster occurs, where the data is clustered


@functools.cache  # one copy of the images for all runs and every measurement
def _digits(device: torch.device) -> tuple[Tensor, Tensor]:
    return load_mnist("train", device=device)


def _mnist(device: torch.device) -> Draw:
    """Draws training digits."""
    return _any_of(*_digits(device))


def _any_of(x: Tensor, y: Tensor) -> Draw:
    """Each time any of x, with its y: no epochs, so a run can go on from its stream alone."""

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(x), (n,), generator=generator, device=x.device)
        return x.index_select(0, index), y.index_select(0, index)  # several times as fast as x[index]

    return draw


def _mnist_clusters(device: torch.device) -> Draw:
    """As `_mnist`, with a digit's cluster in the place of its label."""
    return _any_of(_digits(device)[0], _digit_clusters().to(device))


@functools.cache
def _digit_clusters() -> Tensor:
    """Cluster of each training digit, (60000,) int64: k-means on their 40 principal components. No label is read."""
    from scipy.cluster.vq import kmeans2  # nothing else needs it

    pixels = _digits(torch.device("cpu"))[0].flatten(1)
    components = torch.linalg.eigh(torch.cov(pixels.T)).eigenvectors[:, -40:]
    points, generator = (pixels @ components).numpy(), np.random.default_rng(0)
    return torch.from_numpy(kmeans2(points, CLUSTERS, iter=15, minit="points", seed=generator)[1]).long()


def _measure_digits(x: Tensor, y: Labels) -> dict[str, float]:
    figures = {"frechet": frechet_digits(x)}
    if y is not None:  # a conditional generator: does the classifier see the digit that was asked for?
        figures["accuracy"] = float((digit_logits(x).argmax(dim=1).cpu() == y.cpu()).float().mean())
    return figures


def _audit_digits(x: Tensor) -> dict[str, float]:
    """Chapter 5's figures, in the classifier's features, against as many training digits (10,000 at most)."""
    (real, shares), fake = _audit_reference(min(len(x), 10_000)), digit_features(x.cpu())
    logits = digit_logits(x.cpu())
    precision, recall = precision_recall(real=real, fake=fake)
    density, coverage = density_coverage(real=real, fake=fake)
    return {
        "kernel": kernel_distance(real, fake),
        "score": classifier_score(logits),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "class_tv": total_variation(class_histogram(logits.argmax(dim=1)), shares),
    }


@functools.cache
def _audit_reference(n: int) -> tuple[Tensor, Tensor]:
    """Features of n training digits, and the share of each class among all of them."""
    images, labels = _digits(torch.device("cpu"))
    return digit_features(_some(images, n)), class_histogram(labels)


def _held_out_digits(n: int) -> Tensor:
    return _some(load_mnist("test")[0], n)


def _some(images: Tensor, n: int) -> Tensor:
    return images[torch.randperm(len(images), generator=seeded(0))[:n]]


@functools.cache
def _letters(device: torch.device) -> Draw:
    """Draws from 20,000 letters A to E of the training fonts, jittered once; the classes are 0 to 4."""
    letters = load_letters(20_000, letters=LETTERS, generator=seeded(0), device=device)
    return _any_of(letters.images, letters.letter)


def _measure_letters(x: Tensor, y: Labels) -> dict[str, float]:
    figures = {"frechet": frechet_letters(x, letters=LETTERS)}
    if y is not None:
        figures["accuracy"] = float((letter_logits(x).letter.argmax(dim=1).cpu() == y.cpu()).float().mean())
    return figures


def _mixture(centres: Callable[[], Tensor], std: float, device: torch.device) -> Draw:
    here = centres().to(device)  # once: a step recorded on CUDA cannot wait for the CPU
    return lambda n, generator: (mixture(n, here, std, generator=generator), None)


def _measure_modes(centres: Callable[[], Tensor], std: float, x: Tensor, _: Labels) -> dict[str, float]:
    count = count_modes(x.cpu(), centres(), std)
    return {"modes": count.modes, "quality": count.high_quality, "reverse_kl": count.reverse_kl}


def _perfect_modes(count: int, n: int) -> dict[str, float]:
    # within 3 standard deviations in 2-D: 1 - exp(-4.5), not the .9973 of one dimension
    return {"modes": count, "quality": 0.98889, "reverse_kl": (count - 1) / (2 * n)}


def _measure_gaussian(x: Tensor, _: Labels) -> dict[str, float]:
    return {"w1": wasserstein_1d(x.cpu(), gaussian_1d(len(x), generator=seeded(0)))}


_DIGITS = Task(
    load=_mnist,
    measure=_measure_digits,
    perfect=lambda n: {"frechet": frechet_floor(n), "accuracy": 0.9943},  # the classifier's on test digits
    audit=_audit_digits,
    held_out=_held_out_digits,
)
TASKS = {
    "gaussian-1d": Task(
        load=lambda device: lambda n, g: (gaussian_1d(n, generator=g), None),
        measure=_measure_gaussian,
        perfect=lambda n: {"w1": 1.9 / n**0.5},
    ),
    "ring": Task(
        load=functools.partial(_mixture, ring_centres, 0.01),
        measure=functools.partial(_measure_modes, ring_centres, 0.01),
        perfect=functools.partial(_perfect_modes, 8),
    ),
    "grid": Task(
        load=functools.partial(_mixture, grid_centres, 0.05),
        measure=functools.partial(_measure_modes, grid_centres, 0.05),
        perfect=functools.partial(_perfect_modes, 25),
    ),
    "mnist": _DIGITS,
    "mnist-clusters": replace(
        _DIGITS, load=_mnist_clusters, shares=lambda: class_histogram(_digit_clusters(), classes=CLUSTERS)
    ),
    "letters": Task(
        load=_letters,
        measure=_measure_letters,
        # the judge was trained on these fonts, and reads all of them
        perfect=lambda n: {"frechet": frechet_letters_floor(n, letters=LETTERS), "accuracy": 1.0},
    ),
}


@dataclass(frozen=True)
class Recipe:
    """What is trained on what, and how. Learning rates fall as lr / (1 + step / lr_half): half at step lr_half."""

    task: str
    generator: str  # a function of gan_utils.models, called with latent_dim and generator_arguments
    discriminator: str
    latent_dim: int
    generator_arguments: dict[str, Any] = field(default_factory=dict)
    discriminator_arguments: dict[str, Any] = field(default_factory=dict)
    classes: int = 0  # above 0: G(z, y) and D(x, y), whose builders are told how many
    clusters: int = 0  # above 0: the same in training, with clusters in the place of labels; G(z) afterwards
    noise: str = "gaussian"
    loss: GanLoss = losses.non_saturating
    lr_g: float = 2e-4
    lr_d: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    lr_half: float = float("inf")
    batch_size: int = 64
    d_steps_per_g: int = 1
    r1_gamma: float = 0.0  # R1 enters as gamma / 2 times the penalty
    gp_lambda: float = 0.0  # the gradient penalty of WGAN-GP
    penalty_every: int = 8  # lazy: each 8th D step, eight times as strong (Karras et al. 2020, section 3.1)
    ema_decay: float = 0.998

    def for_generator(self) -> dict[str, Any]:
        """What the generator is built from, its stream of random weights apart."""
        counts = _above_0(classes=self.classes, clusters=self.clusters)
        return {"latent_dim": self.latent_dim, **self.generator_arguments, **counts}

    def for_discriminator(self) -> dict[str, Any]:
        """The same for the discriminator."""
        return {**self.discriminator_arguments, **_above_0(classes=self.given)}

    @property
    def given(self) -> int:
        """How many classes or clusters D is told, 0 for none."""
        return self.classes or self.clusters


def _above_0(**counts: int) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


_RING = Recipe(
    task="ring",
    generator="toy_generator",
    generator_arguments={"data_dim": 2, "width": 128},
    discriminator="toy_discriminator",
    discriminator_arguments={"data_dim": 2, "width": 128},
    latent_dim=2,
    noise="uniform",
    lr_g=5e-3,
    lr_d=1e-2,
    betas=(0.5, 0.9),
    lr_half=500.0,
    batch_size=256,
    r1_gamma=0.03,
    penalty_every=4,
    ema_decay=0.99,
)
_DCGAN = Recipe(
    task="mnist",
    generator="conv_generator",
    discriminator="conv_discriminator",
    latent_dim=64,
    lr_g=4e-3,
    lr_d=2e-3,
    lr_half=4000.0,
    r1_gamma=0.3,
)
# a D that is wider, leads, and is held far more firmly: rare shapes do not die out
_FIRM = replace(
    _DCGAN,
    discriminator_arguments={"width": 24},
    lr_g=2e-3,
    lr_d=3e-3,
    betas=(0.0, 0.99),
    r1_gamma=3.0,
)
# both networks are told the cluster. A small latent: within a cluster digits differ in a dozen ways, not in 64
_CONV = replace(
    _DCGAN,
    task="mnist-clusters",
    generator="clustered_generator",
    discriminator="conditional_discriminator",
    latent_dim=17,  # 16 to vary, and one that picks the cluster
    clusters=CLUSTERS,
)
_CONDITIONAL = replace(
    _DCGAN, generator="conditional_generator", discriminator="conditional_discriminator", latent_dim=16, classes=10
)
RECIPES = {
    "gaussian-1d": Recipe(
        task="gaussian-1d",
        generator="toy_generator",
        discriminator="toy_discriminator",
        latent_dim=1,
        noise="uniform",
        lr_g=5e-3,
        lr_d=5e-3,
        batch_size=128,
        r1_gamma=0.1,
        penalty_every=1,
        ema_decay=0.99,
    ),
    "ring": _RING,
    "grid": replace(_RING, task="grid", noise="gaussian", lr_half=1000.0, r1_gamma=0.2),
    "mnist-mlp": Recipe(
        task="mnist",
        generator="classic_generator",
        discriminator="classic_discriminator",
        latent_dim=100,
        betas=(0.9, 0.999),
    ),
    "mnist-dcgan": _DCGAN,
    # slower for a thousand steps, then better
    "mnist-mapped": replace(_FIRM, generator_arguments={"mapping": [64, 64]}, ema_decay=0.9995),
    "mnist-conv": _CONV,
    "mnist-wgan-gp": replace(  # a lazy penalty and high rates: half the distance of lambda 10 at each step and 1e-3
        _CONV,
        loss=losses.wasserstein,
        lr_g=6e-3,
        lr_d=3e-3,
        d_steps_per_g=2,
        r1_gamma=0.0,
        gp_lambda=1.0,
        penalty_every=4,
    ),
    "mnist-conditional": _CONDITIONAL,
    "letters": replace(_CONDITIONAL, task="letters", latent_dim=64, classes=len(LETTERS)),
    # many shapes, and a D held firmest of all: with r1_gamma 3 the distance stood still at 2.7, now it falls to 1.1
    "letters-unlabelled": replace(
        _FIRM,
        task="letters",
        generator_arguments={"mapping": [64, 32]},
        latent_dim=32,
        lr_half=8000.0,
        batch_size=128,
        r1_gamma=10.0,
        ema_decay=0.9995,
    ),
}


class Run:
    """One training run of a recipe. Saved and loaded, it goes on bit for bit.

    `name` is one of `RECIPES`; ValueError, naming the nearest, for another. With `ranks` it is one of several
    processes that train as one, each on its part of the batch.
    """

    def __init__(
        self, name: str, *, seed: int = 0, device: str | torch.device | None = None, ranks: Ranks = ALONE
    ):
        self.name, self.seed, self.recipe, self.ranks = name, seed, find(name), ranks
        ranks.check_batch(self.recipe.batch_size)
        self.device = pick_device(None if device is None else str(device))
        recipe, weights = self.recipe, seeded(seed)
        build_g, build_d = getattr(models, recipe.generator), getattr(models, recipe.discriminator)
        self.G = build_g(**recipe.for_generator(), generator=weights).to(self.device)
        self.D = build_d(**recipe.for_discriminator(), generator=weights).to(self.device)
        if recipe.clusters:
            self.G.shares.copy_(TASKS[recipe.task].shares())
        ranks.with_shared_statistics(self.G), ranks.with_shared_statistics(self.D)
        self.opt_g, self.opt_d = (
            _adam(net, lr, recipe.betas) for net, lr in ((self.G, recipe.lr_g), (self.D, recipe.lr_d))
        )
        self.average = ExponentialAverage(self.G, decay=recipe.ema_decay)
        self.stream = seeded(seed, self.device)
        self.history = History()
        self.d_updates = 0
        self._real = TASKS[recipe.task].load(self.device)

    def train(
        self,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        measure_every: int = 500,
        samples: int = 2000,
        hooks: tuple = (),
        progress: bool = True,
    ) -> History:
        """Goes on for `steps` steps or `seconds` seconds; its task's figures are taken each `measure_every` steps."""
        check_count("measure_every", measure_every)
        own = [(1, lambda step, history: step and self.average.update(self.G))]
        if self.ranks.rank == 0:  # the others wait for it at their next step
            own.append((measure_every, lambda step, history: history.log(**self.measure(samples))))
        return fit(
            self._d_step,
            self._g_step,
            steps=steps,
            seconds=seconds,
            d_steps_per_g=self.recipe.d_steps_per_g,
            hooks=[*own, *hooks],
            keep=[self.G, self.D, self.average.module],
            history=self.history,
            progress=progress,
            label=self.name,
            agree=self.ranks.agree,
        )

    def measure(self, n: int, *, seed: int = 0) -> dict[str, float]:
        """The figures of the recipe's task on n samples of the averaged generator."""
        return measure(self.average.module, self.header(), n, seed=seed)

    def health(self, n: int = 1000) -> Health:
        """Who has the upper hand now, and whether G's own samples vary: see `gan_utils.diagnose`."""
        stream, recipe = seeded(self.history.steps, self.device), self.recipe
        x, y = self._real(n, stream)
        given = (y,) if recipe.given else ()
        with evaluating(self.G, self.D):
            fake = self.G(NOISE[recipe.noise](n, recipe.latent_dim, generator=stream), *given)
            return diagnose(real=x, fake=fake, real_logits=self.D(x, *given), fake_logits=self.D(fake, *given))

    def sample(self, n: int, *, seed: int, labels: Labels = None) -> Tensor:
        """n samples of the averaged generator, drawn from a stream of their own; classes in turn without `labels`."""
        return sample(self.average.module, self.header(), n, seed=seed, labels=labels)

    def save(self, path: str | Path) -> Path:
        """Everything that the run needs to go on, in one safetensors file; `load_generator` reads its averaged G."""
        tensors = {f"{part}.{k}": v for part, net in self._networks().items() for k, v in net.state_dict().items()}
        for part, opt in (("opt_g", self.opt_g), ("opt_d", self.opt_d)):
            state = opt.state_dict()["state"]
            tensors |= {f"{part}.{i}.{k}": v for i, slots in state.items() for k, v in slots.items()}
        tensors |= {f"history.{k}": v for k, v in self.history.state()[0].items()}
        tensors["stream"] = self.stream.get_state()
        header = self.header() | {
            "recipe": self.name,
            "seed": self.seed,
            "device": self.device.type,
            "d_updates": self.d_updates,
            "average_updates": self.average.updates,
            "history": self.history.state()[1],
            "generator_prefix": "average.",
        }
        return save_tensors(path, tensors, header)

    def header(self) -> dict[str, Any]:
        """What a generator file says about how to build, feed and measure G."""
        recipe = self.recipe
        return {
            "model": recipe.generator,
            "arguments": recipe.for_generator(),
            "noise": recipe.noise,
            "classes": recipe.classes,
            "task": recipe.task,
            "steps": self.history.steps,
        }

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | torch.device | None = None, ranks: Ranks = ALONE
    ) -> "Run":
        """The run as it was saved, on its own kind of device. Raises ValueError for a file that holds none such."""
        tensors, header = load_tensors(path)
        if "recipe" not in header:
            raise ValueError(f"{Path(path).name} holds a generator but no run: train one with --out to resume it")
        before = header.get("device", "cpu")
        run = cls(header["recipe"], seed=header["seed"], device=device or before, ranks=ranks)
        if run.device.type != before:  # its random numbers are others
            hint = "name that device to resume it"
            raise ValueError(f"{Path(path).name} was trained on {before}, and this is {run.device.type}: {hint}")
        try:
            run._restore(tensors, header)
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{Path(path).name} does not fit recipe {run.name} ({reason}): train again") from None
        return run

    def _restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        for part, net in self._networks().items():
            net.load_state_dict(_part(tensors, part))
        for part, opt in (("opt_g", self.opt_g), ("opt_d", self.opt_d)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _part(tensors, part).items():
                index, slot = key.split(".", 1)
                state.setdefault(int(index), {})[slot] = value
            opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})
        self.history = History.from_state(_part(tensors, "history"), header["history"])
        self.stream.set_state(tensors["stream"])
        self.d_updates, self.average.updates = header["d_updates"], header["average_updates"]

    def _networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D, "average": self.average.module}

    @functools.cached_property  # not before the first step: it waits for all ranks
    def _training(self) -> dict[str, nn.Module]:
        return {"D": self.ranks.averaging(self.D), "G": self.ranks.averaging(self.G)}

    def _noise(self) -> Tensor:
        recipe = self.recipe
        return NOISE[recipe.noise](recipe.batch_size, recipe.latent_dim, generator=self.stream)

    def _wanted(self, y: Labels) -> Labels:
        """Classes for G to make: those of the data, in another order; None where the recipe has no classes."""
        return y[torch.randperm(len(y), generator=self.stream, device=y.device)] if self.recipe.given else None

    def _d_step(self) -> dict[str, Tensor]:
        recipe = self.recipe
        _set_lr(self.opt_d, recipe.lr_d, recipe.lr_half, self.history.steps)
        due = self.d_updates % recipe.penalty_every == 0 and (recipe.r1_gamma > 0 or recipe.gp_lambda > 0)
        self.d_updates += 1
        return self._updates["D, penalised" if due else "D"]()

    def _g_step(self) -> dict[str, Tensor]:
        _set_lr(self.opt_g, self.recipe.lr_g, self.recipe.lr_half, self.history.steps)
        return self._updates["G"]()

    @functools.cached_property
    def _updates(self) -> dict[str, Step]:
        updates = {
            "D": functools.partial(self._update_d, penalised=False),
            "D, penalised": functools.partial(self._update_d, penalised=True),
            "G": self._update_g,
        }
        if self.ranks.world > 1:
            return updates
        if self.device.type == "cpu":
            return {name: as_fx_graph(update) for name, update in updates.items()}
        return {name: as_cuda_graph(update, self.stream) for name, update in updates.items()}

    def _update_d(self, *, penalised: bool) -> dict[str, Tensor]:
        recipe, mine = self.recipe, self.ranks.mine
        x, y = self._real(recipe.batch_size, self.stream)
        y, y_fake = (y, self._wanted(y)) if recipe.given else (None, None)
        z = self._noise()
        y, y_fake = mine(y), mine(y_fake)
        penalty = functools.partial(self._penalty, y) if penalised else None
        losses = d_step(
            self.G, self._training["D"], self.opt_d, mine(x), mine(z), recipe.loss, penalty, y=y, y_fake=y_fake
        )
        return self.ranks.mean(losses)

    def _penalty(self, y: Labels, x: Tensor, fake: Tensor) -> Tensor:
        recipe, total = self.recipe, 0.0
        D = self.D if y is None else (lambda x: self.D(x, y))
        if recipe.r1_gamma > 0:
            total += 0.5 * recipe.r1_gamma * recipe.penalty_every * r1_penalty(D, x)
        if recipe.gp_lambda > 0:
            weight = recipe.gp_lambda * recipe.penalty_every
            part = self.ranks.rank, self.ranks.world
            total += weight * gradient_penalty(D, x, fake, generator=self.stream, part=part)
        return total

    def _update_g(self) -> dict[str, Tensor]:
        recipe, mine = self.recipe, self.ranks.mine
        y_fake = self._wanted(self._real(recipe.batch_size, self.stream)[1]) if recipe.given else None
        z, y_fake = mine(self._noise()), mine(y_fake)
        losses = g_step(self._training["G"], self.D, self.opt_g, z, recipe.loss, y_fake=y_fake)
        return self.ranks.mean(losses)


def find(name: str) -> Recipe:
    """The recipe of this name. Raises ValueError, with the nearest name, for another."""
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"no recipe called {name!r}: {hint}use one of {', '.join(RECIPES)}")
    return RECIPES[name]


def sample(
    G: nn.Module, header: dict[str, Any], n: int, *, seed: int, labels: Labels = None, batch_size: int = 1000
) -> Tensor:
    """n samples of G in eval mode, fed as its `header` says: the same for the same seed.

    A conditional generator makes the classes `labels` (n,) int64, or 0, 1, 2, ... in turn without them.
    """
    check_count("n", n)
    device = next(G.parameters()).device
    z = NOISE[header["noise"]](n, header["arguments"]["latent_dim"], generator=seeded(seed)).to(device)
    chunks = [z.split(batch_size)]
    if header.get("classes"):
        labels = in_turn(n, header["classes"]) if labels is None else labels
        check_labels(labels, n, header["classes"])
        chunks.append(labels.to(device).split(batch_size))
    elif labels is not None:
        raise ValueError("labels given, but this generator knows no classes: leave them out")
    with evaluating(G):
        return torch.cat([G(*chunk) for chunk in zip(*chunks, strict=True)])


def measure(G: nn.Module, header: dict[str, Any], n: int, *, seed: int = 0) -> dict[str, float]:
    """The figures of the header's task on n samples of G; classes as often as they are in the data."""
    return TASKS[header["task"]].measure(*_as_the_data(G, header, n, seed))


def evaluate(G: nn.Module, header: dict[str, Any], n: int, *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """`measure` and what the task audits beside: for each figure its value, and that of n perfect samples.

    The audit's perfect samples are held-out data, n of them or all that there are.
    """
    task, (x, y) = TASKS[header["task"]], _as_the_data(G, header, n, seed)
    figures, audited, perfect = task.measure(x, y), task.audit(x), task.perfect(n)
    held_out = task.audit(task.held_out(n)) if task.held_out else {}
    pairs = {name: (value, perfect[name]) for name, value in figures.items()}
    return pairs | {name: (value, held_out[name]) for name, value in audited.items()}


def _as_the_data(G: nn.Module, header: dict[str, Any], n: int, seed: int) -> tuple[Tensor, Labels]:
    labels = None
    if header.get("classes"):
        # not in turn: the digits are not equally frequent, and the distance would count that as an error
        labels = TASKS[header["task"]].load(torch.device("cpu"))(n, seeded(seed + 1))[1]
    return sample(G, header, n, seed=seed, labels=labels), labels


def in_turn(n: int, classes: int) -> Tensor:
    """0, 1, ..., classes - 1, 0, 1, ...: (n,) int64, every class as often as the others, up to one."""
    return torch.arange(n) % classes


def save_every(run: Run, path: str | Path, *, seconds: float = 30.0) -> tuple[int, Callable[..., None]]:
    """A hook that saves the run at most each `seconds`: what a killed run keeps. Only states that `fit` found sound."""
    last = time.monotonic()

    def hook(*_: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            run.save(path)
            last = time.monotonic()

    return CHECK_EVERY, hook


def print_json(run: Run, every: int) -> tuple[int, Callable[..., None]]:
    """A hook that prints one JSON line for each measurement: step, seconds so far, and the figures."""
    start, before = time.monotonic(), run.history.seconds

    def hook(step: int, history: History) -> None:
        spent = before + time.monotonic() - start
        print(json.dumps({"step": step, "seconds": round(spent, 2), **history.latest()}), flush=True)

    return every, hook


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def _adam(network: nn.Module, lr: float, betas: tuple[float, float]) -> torch.optim.Adam:
    """The rate is a tensor, so that a recorded step sees it fall."""
    device = next(network.parameters()).device
    cuda = device.type == "cuda"
    rate = torch.tensor(lr, device=device, dtype=torch.float32 if cuda else torch.float64)
    return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True, capturable=cuda)


def _set_lr(opt: torch.optim.Optimizer, lr: float, lr_half: float, step: int) -> None:
    now = lr / (1 + step / lr_half)
    for group in opt.param_groups:
        group["lr"].fill_(now)
