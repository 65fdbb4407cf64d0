"""Plots of the chapters. Each takes arrays and an `ax`, draws and returns the `ax`; none trains, shows or saves."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .losses import CHANCE_D_LOSS, CHANCE_G_LOSS
from .training import History

# Okabe and Ito's palette, told apart with every common colour blindness; markers differ as well
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
MARKERS = ("o", "s", "^", "D", "v", "P")
REAL, FAKE = BLUE, ORANGE  # one colour each, in every chapter


def axes(
    columns: int = 1, rows: int = 1, *, width: float = 7.0, height: float = 2.6
) -> tuple[Figure, np.ndarray | Axes]:
    """A figure and its axes in the book's look: `width` inches in all, `height` a row."""
    fig, axs = plt.subplots(rows, columns, figsize=(width, height * rows), layout="constrained", squeeze=True)
    for ax in np.ravel(axs):
        ax.spines[["top", "right"]].set_visible(False)
    return fig, axs


def image_grid(images: Tensor, ax: Axes, *, columns: int = 8, title: str = "") -> Axes:
    """Images (n, 1, 28, 28) in [-1, 1] side by side, black ink on white as on paper."""
    mosaic = tile(images, columns)
    ax.imshow(mosaic, cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title, fontsize="medium")
    return ax


def tile(images: Tensor, columns: int = 8) -> np.ndarray:
    """Images (n, 1, h, w) as one array (rows * h, columns * w); empty places are -1."""
    if images.ndim != 4 or images.shape[1] != 1:
        raise ValueError(f"images has shape {tuple(images.shape)}, needs (n, 1, height, width)")
    n, _, h, w = images.shape
    rows = -(-n // columns)
    padded = np.full((rows * columns, h, w), -1.0, dtype=np.float32)
    padded[:n] = images[:, 0].detach().cpu().numpy()
    return padded.reshape(rows, columns, h, w).swapaxes(1, 2).reshape(rows * h, columns * w)


def histogram(
    samples: Tensor,
    ax: Axes,
    *,
    limits: tuple[float, float],
    density: Callable[[np.ndarray], np.ndarray] | None = None,
    colour: str = FAKE,
    label: str = "G(z)",
) -> Axes:
    """Samples as a histogram over fixed `limits`, so that frames compare, with the true `density` as a line."""
    values = samples.detach().cpu().flatten().numpy()
    bins = np.linspace(*limits, 61)
    weights = np.full(len(values), 1 / (len(values) * (bins[1] - bins[0])))  # the share outside stays outside
    ax.hist(values, bins=bins, weights=weights, color=colour, alpha=0.6, label=label)
    if density is not None:
        x = np.linspace(*limits, 400)
        ax.plot(x, density(x), color=REAL, label="p(x)")
    ax.set(xlim=limits, xlabel="x", ylabel="density per unit of x")
    return ax


def losses(history: History, ax: Axes, *, smooth: int = 50, chance: bool = True) -> Axes:
    """Both losses a step, as a running mean of `smooth` steps; dashed: the level where D cannot tell."""
    for name, colour, level in (("d_loss", REAL, CHANCE_D_LOSS), ("g_loss", FAKE, CHANCE_G_LOSS)):
        values = np.asarray(history[name])
        window = min(smooth, len(values))
        mean = np.convolve(values, np.full(window, 1 / window), mode="valid")
        ax.plot(np.arange(window, len(values) + 1), mean, color=colour, label=name)
        if chance:
            ax.axhline(level, color=colour, linestyle="--", linewidth=1)
    ax.set(xlabel="step", ylabel="loss (nats)")
    ax.legend(frameon=False)
    return ax


def metric(
    runs: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    ax: Axes,
    *,
    floor: float | None = None,
    ylabel: str = "",
) -> Axes:
    """Curves `name: (steps, values)` on a logarithmic scale, each with its own colour and marker; dotted: the floor."""
    for i, (name, (steps, values)) in enumerate(runs.items()):
        ax.plot(steps, values, color=COLOURS[i % 6], marker=MARKERS[i % 6], markersize=4, label=name)
    if floor is not None:
        ax.axhline(floor, color="black", linestyle=":", linewidth=1, label="floor")
    ax.set(xlabel="step", ylabel=ylabel, yscale="log")
    ax.legend(frameon=False)
    return ax
