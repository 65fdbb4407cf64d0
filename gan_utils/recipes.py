"""Named set-ups that train without a notebook, and the run that carries one, stops, and goes on exactly.

    run = Run("mnist-conv", seed=0)
    run.train(steps=1000)
    images = run.sample(64, seed=1)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import losses, models
from .checkpoints import load_tensors, save_tensors
from .data import gaussian_1d, gaussian_noise, load_mnist, uniform_noise
from .losses import GanLoss
from .metrics import frechet_digits, wasserstein_1d
from .penalties import r1_penalty
from .runtime import check_count, evaluating, pick_device, seeded
from .training import ExponentialAverage, History, d_step, fit, g_step

Draw = Callable[[int, torch.Generator], Tensor]
NOISE = {"gaussian": gaussian_noise, "uniform": uniform_noise}


def mnist(device: torch.device) -> Draw:
    """Draws training digits, each time any of the 60,000: no epochs, so a run can go on from its stream alone."""
    images, _ = load_mnist("train", device=device)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return images[torch.randint(len(images), (n,), generator=generator, device=images.device)]

    return draw


def standard_normal(device: torch.device) -> Draw:
    """Draws from N(0, 1)."""
    return lambda n, generator: gaussian_1d(n, generator=generator)


def w1_to_standard_normal(x: Tensor) -> float:
    """Wasserstein-1 distance of x (n, 1) to as many draws from N(0, 1); about 1.9 / sqrt(n) for a perfect sampler."""
    return wasserstein_1d(x.cpu(), gaussian_1d(len(x), generator=seeded(0)))


@dataclass(frozen=True)
class Recipe:
    """What is trained on what, and how. Learning rates fall as lr / (1 + step / lr_half): half at step lr_half."""

    generator: str  # a function of gan_utils.models
    discriminator: str
    latent_dim: int
    data: Callable[[torch.device], Draw]
    metric: tuple[str, Callable[[Tensor], float]]
    noise: str = "gaussian"
    loss: GanLoss = losses.non_saturating
    lr_g: float = 2e-4
    lr_d: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    lr_half: float = float("inf")
    batch_size: int = 64
    r1_gamma: float = 0.0
    r1_every: int = 8  # lazy: each 8th step, eight times as strong (Karras et al. 2020, section 3.1)
    ema_decay: float = 0.998


RECIPES = {
    "gaussian-1d": Recipe(
        generator="toy_generator",
        discriminator="toy_discriminator",
        latent_dim=1,
        data=standard_normal,
        metric=("w1", w1_to_standard_normal),
        noise="uniform",
        lr_g=5e-3,
        lr_d=5e-3,
        batch_size=128,
        r1_gamma=0.1,
        r1_every=1,
        ema_decay=0.99,
    ),
    "mnist-mlp": Recipe(
        generator="classic_generator",
        discriminator="classic_discriminator",
        latent_dim=100,
        data=mnist,
        metric=("frechet", frechet_digits),
        betas=(0.9, 0.999),
    ),
    "mnist-conv": Recipe(
        generator="conv_generator",
        discriminator="conv_discriminator",
        latent_dim=64,
        data=mnist,
        metric=("frechet", frechet_digits),
        lr_g=4e-3,
        lr_d=2e-3,
        lr_half=4000.0,
        r1_gamma=0.3,
    ),
}


class Run:
    """One training run of a recipe. Saved and loaded, it goes on bit for bit."""

    def __init__(self, name: str, *, seed: int = 0, device: str | torch.device | None = None):
        if name not in RECIPES:
            raise ValueError(f"no recipe called {name!r}: use one of {', '.join(RECIPES)}")
        self.name, self.seed, self.recipe = name, seed, RECIPES[name]
        self.device = pick_device(None if device is None else str(device))
        recipe, weights = self.recipe, seeded(seed)
        self.G = getattr(models, recipe.generator)(recipe.latent_dim, generator=weights).to(self.device)
        self.D = getattr(models, recipe.discriminator)(generator=weights).to(self.device)
        self.opt_g, self.opt_d = (
            torch.optim.Adam(net.parameters(), lr=lr, betas=recipe.betas, fused=True)
            for net, lr in ((self.G, recipe.lr_g), (self.D, recipe.lr_d))
        )
        self.average = ExponentialAverage(self.G, decay=recipe.ema_decay)
        self.stream = seeded(seed, self.device)
        self.history = History()
        self.d_updates = 0
        self._real = recipe.data(self.device)

    def train(
        self,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        measure_every: int = 500,
        samples: int = 5000,
        hooks: tuple = (),
        progress: bool = True,
    ) -> History:
        """Goes on for `steps` steps or `seconds` seconds; the metric is taken each `measure_every` steps."""
        check_count("measure_every", measure_every)
        metric, measure = self.recipe.metric
        own = [
            (1, lambda step, history: step and self.average.update(self.G)),
            (measure_every, lambda step, history: history.log(**{metric: measure(self.sample(samples, seed=0))})),
        ]
        return fit(
            self._d_step,
            self._g_step,
            steps=steps,
            seconds=seconds,
            hooks=[*own, *hooks],
            keep=[self.G, self.D, self.average.module],
            history=self.history,
            progress=progress,
            label=self.name,
        )

    def sample(self, n: int, *, seed: int) -> Tensor:
        """n samples of the averaged generator, drawn from a stream of their own."""
        return sample(self.average.module, self.recipe.noise, n, seed=seed)

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
            "d_updates": self.d_updates,
            "average_updates": self.average.updates,
            "history": self.history.state()[1],
            "generator_prefix": "average.",
        }
        return save_tensors(path, tensors, header)

    def header(self) -> dict[str, Any]:
        """What a generator file says about how to build and feed G."""
        return {
            "model": self.recipe.generator,
            "arguments": {"latent_dim": self.recipe.latent_dim},
            "noise": self.recipe.noise,
            "steps": self.history.steps,
        }

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device | None = None) -> "Run":
        """The run as it was saved. Raises ValueError for a file that holds no run."""
        tensors, header = load_tensors(path)
        if "recipe" not in header:
            raise ValueError(f"{Path(path).name} holds a generator but no run: train one with --out to resume it")
        run = cls(header["recipe"], seed=header["seed"], device=device)
        for part, net in run._networks().items():
            net.load_state_dict(_part(tensors, part))
        for part, opt in (("opt_g", run.opt_g), ("opt_d", run.opt_d)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _part(tensors, part).items():
                index, slot = key.split(".", 1)
                state.setdefault(int(index), {})[slot] = value
            opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})
        run.history = History.from_state(_part(tensors, "history"), header["history"])
        run.stream.set_state(tensors["stream"])
        run.d_updates, run.average.updates = header["d_updates"], header["average_updates"]
        return run

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"G": self.G, "D": self.D, "average": self.average.module}

    def _noise(self) -> Tensor:
        recipe = self.recipe
        return NOISE[recipe.noise](recipe.batch_size, recipe.latent_dim, generator=self.stream)

    def _d_step(self) -> dict[str, Tensor]:
        recipe = self.recipe
        lazy = recipe.r1_gamma > 0 and self.d_updates % recipe.r1_every == 0
        weight = 0.5 * recipe.r1_gamma * recipe.r1_every
        penalty = (lambda x, _: weight * r1_penalty(self.D, x)) if lazy else None
        _set_lr(self.opt_d, recipe.lr_d, recipe.lr_half, self.history.steps)
        self.d_updates += 1
        x = self._real(recipe.batch_size, self.stream)
        return d_step(self.G, self.D, self.opt_d, x, self._noise(), recipe.loss, penalty)

    def _g_step(self) -> dict[str, Tensor]:
        recipe = self.recipe
        _set_lr(self.opt_g, recipe.lr_g, recipe.lr_half, self.history.steps)
        return g_step(self.G, self.D, self.opt_g, self._noise(), recipe.loss)


def sample(G: torch.nn.Module, noise: str, n: int, *, seed: int, batch_size: int = 1000) -> Tensor:
    """n samples of G in eval mode, fed with the noise law of this name: the same for the same seed."""
    check_count("n", n)
    device = next(G.parameters()).device
    latent_dim = next(G.parameters()).shape[1]  # every generator here begins with a linear layer
    z = NOISE[noise](n, latent_dim, generator=seeded(seed)).to(device)
    with evaluating(G):
        return torch.cat([G(chunk) for chunk in z.split(batch_size)])


def save_every(run: Run, path: str | Path, *, seconds: float = 30.0) -> tuple[int, Callable[..., None]]:
    """A hook that saves the run at most each `seconds`: what a killed run keeps."""
    last = time.monotonic()

    def hook(*_: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            run.save(path)
            last = time.monotonic()

    return 10, hook


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def _set_lr(opt: torch.optim.Optimizer, lr: float, lr_half: float, step: int) -> None:
    for group in opt.param_groups:
        group["lr"] = lr / (1 + step / lr_half)
