"""Chapter 3 under the reader's hand: two densities and the best D, both losses of G, the Dirac-GAN."""

from __future__ import annotations

import io

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure

from .. import losses, theory
from .base import Demo, source, still_html

GAMES = ("minimax", "non_saturating", "wasserstein")
LAWS = ("gaussian", "uniform", "humps")
REAL, FAKE, BEST = "#0072B2", "#D55E00", "#00734F"


class _Game(Demo):
    """One of the three: ``_kind`` names it in game.js, its other synced traits are its state."""

    _name = "game"
    _kind = ""
    _esm = source("game")

    def __init__(self, *, title: str, **state):
        unknown = sorted(set(state) - set(self._keys()))
        if unknown:
            raise ValueError(f"{type(self).__name__} has no {unknown[0]!r}; it has {', '.join(self._keys())}")
        super().__init__(data={"kind": self._kind, "title": title}, **state)

    @classmethod
    def _keys(cls) -> list[str]:
        return sorted(name for name in cls.class_traits(game=True))

    def _state(self) -> dict:
        return {"data": self.data, **{name: getattr(self, name) for name in self._keys()}}


def _number(start: float, low: float, high: float) -> traitlets.Float:
    return traitlets.Float(start, min=low, max=high).tag(sync=True, game=True)


def _choice(start: str, *others: str) -> traitlets.Enum:
    return traitlets.Enum([start, *others], start).tag(sync=True, game=True)


class Densities(_Game):
    """Two densities to be moved; the best D, the Jensen-Shannon divergence and W1 follow.

    ``real_law`` and ``fake_law`` are "gaussian", "uniform" or "humps" (two of them); ``_centre`` is the mean and
    ``_width`` the standard deviation, whatever the law. All six can be read and set while it is shown.
    """

    _kind = "densities"
    real_law = _choice(*LAWS)
    real_centre = _number(0.0, -6, 6)
    real_width = _number(1.0, 0.5, 3)
    fake_law = _choice(*LAWS)
    fake_centre = _number(2.0, -6, 6)
    fake_width = _number(1.0, 0.5, 3)

    def __init__(self, *, title: str = "Two densities and the best discriminator", **state):
        super().__init__(title=title, **state)

    def _densities(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(density(getattr(self, f"{side}_law"), x, getattr(self, f"{side}_centre"),
                             getattr(self, f"{side}_width")) for side in ("real", "fake"))

    def _still(self) -> str:
        x = np.linspace(-8, 8, 641)
        p, q = self._densities(x)
        figure = Figure(figsize=(6.4, 2.4), dpi=80, layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(x, p, color=REAL, label="real, p")
        left.plot(x, q, color=FAKE, linestyle="--", label="fake, q")
        left.legend(frameon=False)
        right.plot(x, theory.optimal_discriminator(torch.from_numpy(p), torch.from_numpy(q)), color=BEST)
        left.set(xlabel="x", ylabel="density")
        right.set(xlabel="x", ylabel="best D", ylim=(-0.04, 1.04))
        return _picture(figure, "Left: the density of real data and that of the fakes. Right: the probability of "
                                "real that the best discriminator gives, p / (p + q).",
                        "A still: where scripts may run, both densities can be moved here, and the best "
                        "discriminator, the JSD and the Wasserstein distance follow.")


class LogitGradients(_Game):
    """Both losses of G against the logit that D gives to a fake, with their slopes. ``logit``: from -10 to 10."""

    _kind = "logit"
    logit = _number(-4.0, -10, 10)

    def __init__(self, *, title: str = "One logit, two losses, two slopes", **state):
        super().__init__(title=title, **state)

    def _still(self) -> str:
        logits = torch.linspace(-10, 10, 201).requires_grad_(True)
        figure = Figure(figsize=(6.4, 2.4), dpi=80, layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, loss, colour, dash in (("minimax", losses.minimax_g_loss, REAL, "-"),
                                         ("non-saturating", losses.nonsaturating_g_loss, FAKE, "--")):
            values = torch.stack([loss(fake_logits=logit) for logit in logits])
            (slopes,) = torch.autograd.grad(values.sum(), logits)
            left.plot(logits.detach(), values.detach(), color=colour, linestyle=dash, label=name)
            right.plot(logits.detach(), slopes, color=colour, linestyle=dash)
        left.set(xlabel="logit of the fake", ylabel="loss of G")
        right.set(xlabel="logit of the fake", ylabel="slope")
        left.legend(frameon=False)
        return _picture(figure, "Left: both losses of the generator against the logit. Right: their slopes; the "
                                "minimax one is 0 at negative logits, the non-saturating one -1.",
                        "A still: where scripts may run, the logit can be moved here, and both slopes follow.")


class DiracGAN(_Game):
    """The Dirac-GAN step by step: the vector field, the path from a start, the distance from rest.

    ``game`` ("minimax", "non_saturating", "wasserstein"), ``order`` ("simultaneous", "alternating"), ``lr``,
    ``r1_gamma``, the start ``theta`` and ``psi``, and ``steps`` taken, 0 to 500: to be read and set.
    """

    _kind = "dirac"
    game = _choice(*GAMES)
    order = _choice("simultaneous", "alternating")
    lr = _number(0.1, 0.02, 0.5)
    r1_gamma = _number(0.0, 0, 3)
    theta = _number(1.0, -2, 2)
    psi = _number(1.0, -2, 2)
    steps = traitlets.Int(100, min=0, max=500).tag(sync=True, game=True)

    def __init__(self, *, title: str = "The Dirac-GAN, step by step", **state):
        super().__init__(title=title, **state)

    def states(self) -> torch.Tensor:
        """The states from the start to ``steps``, computed by the package: (steps + 1, 2)."""
        start = torch.tensor([self.theta, self.psi], dtype=torch.float64)
        return theory.dirac_run(start, getattr(losses, self.game), lr=self.lr, steps=self.steps,
                                alternating=self.order == "alternating", r1_gamma=self.r1_gamma)

    def _still(self) -> str:
        figure = Figure(figsize=(3.4, 3.2), dpi=80, layout="constrained")
        ax = figure.subplots()
        theta, psi = torch.meshgrid(*[torch.linspace(-2.2, 2.2, 12)] * 2, indexing="xy")
        field = theory.dirac_field(torch.stack([theta, psi], -1), getattr(losses, self.game), r1_gamma=self.r1_gamma)
        ax.quiver(theta, psi, *field.unbind(-1), color="0.6")
        ax.plot(*self.states().unbind(-1), color=REAL)
        ax.plot(0, 0, "+", color="black")
        ax.set(xlabel="θ, the fake", ylabel="ψ, the slope of D", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4))
        return _picture(figure, "The plane of the fake's place and the discriminator's slope, with arrows that turn "
                                f"around the origin, and the path of the first {self.steps} steps.",
                        "A still: where scripts may run, a slider goes through the steps here, for every loss, "
                        "order of updates, step size and penalty.")


def density(law: str, x: np.ndarray, centre: float, width: float) -> np.ndarray:
    """The density with this mean and standard deviation, the same as in game.js."""
    def normal(mean: float, std: float) -> np.ndarray:
        return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))

    if law == "gaussian":
        return normal(centre, width)
    if law == "uniform":
        half = np.sqrt(3) * width
        return (np.abs(x - centre) < half) / (2 * half)
    away, std = 0.9 * width, np.sqrt(0.19) * width  # .81 + .19 = 1: the variance is width squared
    return (normal(centre - away, std) + normal(centre + away, std)) / 2


def _picture(figure: Figure, alt: str, missing: str) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return still_html(file.getvalue(), round(figure.get_figwidth() * 80), alt, missing)
