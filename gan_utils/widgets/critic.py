"""Chapter 7 under the reader's hand: a critic in the plane, its slope, and what holds it."""

from __future__ import annotations

import math

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor, nn

from ..losses import wasserstein_d_loss
from ..models import mlp
from ..penalties import clip_weights, input_gradient, r1_penalty
from .base import source
from .game import FAKE, REAL, _choice, _Game, _number, _picture

COUNT = 64  # real points, and as many fakes
WIDTH = 32
SPREAD = 0.25
LONGEST = 400


class CriticField(_Game):
    """A critic learns in the page to tell fakes, to be moved, from data; its slope, arrows and estimate follow.

    ``constraint`` is "two_sided" or "one_sided" (gradient penalty, ``strength`` is lambda), "clip" (its limit),
    "r1" (gamma) or "none"; ``real_law`` "cluster" or "ring"; the fakes lie around (``fake_x``, ``fake_y``);
    ``steps`` from 0 to 400; ``view`` "slope" or "score"; ``seed`` of weights, points and lines. All can be read
    and set while it is shown; `train` makes the same critic here.
    """

    _name = "critic"
    _kind = "critic"
    _esm = source("critic")
    constraint = _choice("two_sided", "one_sided", "clip", "r1", "none")
    strength = _number(10.0, 0.01, 100)
    real_law = _choice("cluster", "ring")
    fake_x = _number(-1.2, -1.8, 1.8)
    fake_y = _number(-0.6, -1.8, 1.8)
    steps = traitlets.Int(200, min=0, max=LONGEST).tag(sync=True, game=True)
    view = _choice("slope", "score")
    seed = traitlets.Int(0, min=0, max=99).tag(sync=True, game=True)

    def __init__(self, *, title: str = "A critic, its slope and its estimate", **state):
        super().__init__(title=title, **state)

    def points(self) -> tuple[Tensor, Tensor]:
        """The real points and the fakes, (64, 2) each, float64."""
        draws = normals(uniforms(self.seed, 1, 4 * COUNT)).reshape(2, COUNT, 2)
        angle = 2 * math.pi * (np.arange(COUNT) % 8) / 8
        ring = 1.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * draws[0]
        real = ring if self.real_law == "ring" else [1.2, 0] + SPREAD * draws[0]
        fake = np.array([self.fake_x, self.fake_y]) + SPREAD * draws[1]
        return torch.from_numpy(np.ascontiguousarray(real)), torch.from_numpy(fake)

    def train(self) -> tuple[nn.Sequential, list[float]]:
        """The critic after ``steps`` steps, and its estimates E[D(real)] - E[D(fake)] before each and at the end."""
        real, fake = self.points()
        D = mlp([2, WIDTH, WIDTH, 1]).double()
        bounds = torch.cat([torch.full((p.numel(),), layer.in_features**-0.5, dtype=torch.float64)
                            for layer in D if isinstance(layer, nn.Linear) for p in layer.parameters()])
        drawn = bounds * (2 * torch.from_numpy(uniforms(self.seed, 0, len(bounds))) - 1)
        nn.utils.vector_to_parameters(drawn, D.parameters())
        opt = torch.optim.Adam(D.parameters(), lr=5e-3, betas=(0.5, 0.9))
        mixes = torch.from_numpy(uniforms(self.seed, 2, self.steps * COUNT)).view(self.steps, COUNT, 1)
        estimates = []
        for mix in mixes:
            d_loss = wasserstein_d_loss(real_logits=D(real), fake_logits=D(fake))
            estimates.append(-d_loss.item())
            opt.zero_grad()
            (d_loss + self._penalty(D, real, fake, mix)).backward()
            opt.step()
            if self.constraint == "clip":
                clip_weights(D, self.strength)
        with torch.no_grad():
            estimates.append(-wasserstein_d_loss(real_logits=D(real), fake_logits=D(fake)).item())
        return D, estimates

    def _penalty(self, D: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor | float:
        if self.constraint == "r1":
            return self.strength / 2 * r1_penalty(D, real)
        if not self.constraint.endswith("sided"):
            return 0.0
        excess = input_gradient(D, mix * real + (1 - mix) * fake).norm(dim=1) - 1
        if self.constraint == "one_sided":
            excess = excess.clamp(min=0)
        return self.strength * excess.square().mean()

    def _still(self) -> str:
        (real, fake), (D, _) = self.points(), self.train()
        line = torch.linspace(-2.2, 2.2, 45, dtype=torch.float64)
        x, y = torch.meshgrid(line, line, indexing="xy")
        places = torch.stack([x, y], -1).view(-1, 2)
        slope = input_gradient(D, places).detach().view(45, 45, 2).numpy()
        with torch.no_grad():
            scores = D(places).view(45, 45).numpy()
        x, y = x.numpy(), y.numpy()
        figure = Figure(figsize=(4.4, 3.4), dpi=80, layout="constrained")
        ax = figure.subplots()
        heat = ax.pcolormesh(x, y, np.linalg.norm(slope, axis=2), cmap="PuOr_r", vmin=0, vmax=2, rasterized=True)
        figure.colorbar(heat, ax=ax, label="|grad D|")
        ax.contour(x, y, scores, 16, colors="black", linewidths=0.5)
        ax.quiver(x[2::4, 2::4], y[2::4, 2::4], *np.moveaxis(slope[2::4, 2::4], -1, 0), color="black", width=0.004)
        ax.plot(*real.numpy().T, "o", color=REAL, markersize=4, markeredgecolor="white", label="real")
        ax.plot(*fake.numpy().T, "s", color=FAKE, markersize=4, markeredgecolor="white", label="fake")
        ax.legend(loc="upper left")
        return _picture(figure, "The plane with real points and fakes; the critic's level lines, arrows from the fakes "
                                "towards the data, and the critic's slope as colour.",
                        "A still: where scripts may run, a critic learns here, and fakes, constraint and its "
                        "strength can be moved.")


def uniforms(seed: int, stream: int, n: int) -> np.ndarray:
    """The first n numbers of the page's random stream (mulberry32, as in gan.js)."""
    def times(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
        return a * np.asarray(b, dtype=np.uint32)  # arrays wrap as Math.imul does

    one = np.ones(1, dtype=np.uint32)
    start = times(one * (seed + 1), 0x9E3779B1) ^ times(one * (stream + 1), 0x85EBCA6B)
    state = start + times(np.arange(1, n + 1, dtype=np.uint32), 0x6D2B79F5)
    t = times(state ^ (state >> 15), state | 1)
    t = (t + times(t ^ (t >> 7), t | 61)) ^ t
    return (t ^ (t >> 14)) / 2.0**32


def normals(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers of an even count of uniform ones: Box and Muller, as in gan.js."""
    radius, angle = np.sqrt(-2 * np.log1p(-uniform[::2])), 2 * np.pi * uniform[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
