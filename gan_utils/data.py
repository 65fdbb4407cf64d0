"""Data that the chapters learn from: MNIST, inside the package, and laws in one and two dimensions.

Every sampler takes a `torch.Generator`, draws on its device and returns float32.
"""

import hashlib
import lzma
import math
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .runtime import check_count, check_finite

# md5 sums of the raw files, as published with the data set (LeCun, Cortes and Burges)
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def load_mnist(
    split: str = "train", *, device: str | torch.device = "cpu", folder: str | Path | None = None
) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 28, 28) float32 in [-1, 1], the range of tanh, and labels (n,) int64.

    `split` is "train" (60,000) or "test" (10,000). The files are read from the package, without network, and
    checked against the published md5 sums; `folder` reads the same .xz files from elsewhere.
    Raises ValueError for another split or a damaged file, FileNotFoundError for a missing one.
    """
    prefix = {"train": "train", "test": "t10k"}.get(split)
    if prefix is None:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    pixels = _read_idx(f"{prefix}-images-idx3-ubyte", folder, header=16)
    labels = _read_idx(f"{prefix}-labels-idx1-ubyte", folder, header=8)
    images = torch.from_numpy(pixels).view(-1, 1, 28, 28).to(device)
    return to_tanh_range(images), torch.from_numpy(labels).to(device, torch.int64)


def load_torchvision(
    name: str, root: str | Path, *, split: str = "train", device: str | torch.device = "cpu"
) -> tuple[Tensor, Tensor]:
    """As `load_mnist`, for "FashionMNIST" or "KMNIST", which torchvision downloads into `root` once.

    Raises ValueError for another name, OSError with a hint where the download fails.
    """
    if name not in ("FashionMNIST", "KMNIST"):
        raise ValueError(f"name must be 'FashionMNIST' or 'KMNIST', got {name!r}; MNIST: load_mnist()")
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    from torchvision import datasets  # takes a second to import, and only these two sets need it

    try:
        data = getattr(datasets, name)(root, train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(
            f"{name} could not be downloaded into {root} ({reason}): a mirror that answers 403 often "
            "works again in a minute, so try once more, or put torchvision's files there by hand"
        ) from None
    return to_tanh_range(data.data.view(-1, 1, 28, 28).to(device)), data.targets.to(device, torch.int64)


def to_tanh_range(pixels: Tensor) -> Tensor:
    """Bytes 0..255 to float32 in [-1, 1]: what a generator that ends in tanh can reach."""
    if pixels.dtype != torch.uint8:
        raise ValueError(f"pixels must be uint8 in 0..255, got {pixels.dtype}")
    return pixels.to(torch.float32).mul_(2 / 255).sub_(1)


def check_images(x: Tensor, name: str = "images") -> None:
    """Raises ValueError unless `x` is (n, 1, 28, 28), finite and spans [-1, 1] as tanh does.

    Images in [0, 1] are the usual slip: every pixel is then on the upper half of what tanh makes, and D
    tells real from fake by the sign of the darkest pixel.
    """
    if x.ndim != 4 or x.shape[1:] != (1, 28, 28):
        raise ValueError(f"{name} has shape {tuple(x.shape)}, needs (n, 1, 28, 28)")
    check_finite(name, x)
    low, high = float(x.min()), float(x.max())
    if low >= 0 and high <= 1:
        raise ValueError(f"{name} lies in [{low:.2f}, {high:.2f}], needs [-1, 1] for tanh: use 2 * x - 1")
    if low < -1.001 or high > 1.001:
        raise ValueError(f"{name} lies in [{low:.2f}, {high:.2f}], needs [-1, 1]: scale 0..255 by x / 127.5 - 1")


def batches(
    x: Tensor, batch_size: int, *, generator: torch.Generator, labels: Tensor | None = None
) -> Iterator[Tensor] | Iterator[tuple[Tensor, Tensor]]:
    """Batches of `x` for ever: each epoch is a new permutation, its remainder is dropped.

    With `labels` the batches are pairs. The data stays where it is, one tensor on its device: no workers, no
    copying back and forth. Raises ValueError for a batch larger than the data, NaN, or labels of other length.
    """
    check_count("batch_size", batch_size)
    check_finite("x", x)
    if batch_size > len(x):
        raise ValueError(f"batch_size {batch_size} is larger than the data ({len(x)}): use {len(x)} or less")
    if labels is not None and len(labels) != len(x):
        raise ValueError(f"{len(labels)} labels for {len(x)} samples: need one for each")
    return _batches(x, batch_size, generator, labels)


def _batches(x: Tensor, batch_size: int, generator: torch.Generator, labels: Tensor | None) -> Iterator:
    # checked by `batches` beforehand, so that bad input speaks at the call and not at the first `next`
    while True:
        order = torch.randperm(len(x), generator=generator, device=generator.device).to(x.device)
        for start in range(0, len(x) - batch_size + 1, batch_size):
            index = order[start : start + batch_size]
            batch = x.index_select(0, index)  # several times as fast as x[index]
            yield batch if labels is None else (batch, labels[index])


def uniform_noise(
    n: int, latent_dim: int, *, generator: torch.Generator, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """z ~ U(low, high), independent: (n, latent_dim)."""
    _check_draw(n, latent_dim)
    z = torch.rand(n, latent_dim, generator=generator, device=generator.device)
    return z.mul_(high - low).add_(low)


def gaussian_noise(n: int, latent_dim: int, *, generator: torch.Generator) -> Tensor:
    """z ~ N(0, I): (n, latent_dim)."""
    _check_draw(n, latent_dim)
    return torch.randn(n, latent_dim, generator=generator, device=generator.device)


def gaussian_1d(n: int, *, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """x ~ N(mean, std^2): (n, 1)."""
    check_count("n", n)
    if not std > 0:
        raise ValueError(f"std must be above 0, got {std}")
    return torch.randn(n, 1, generator=generator, device=generator.device).mul_(std).add_(mean)


def mixture(n: int, centres: Tensor, std: float, *, generator: torch.Generator) -> Tensor:
    """Equal weights on Gaussians N(centre, std^2 I): (n, d) for centres (modes, d)."""
    check_count("n", n)
    if centres.ndim != 2:
        raise ValueError(f"centres has shape {tuple(centres.shape)}, needs (modes, d)")
    if not std > 0:
        raise ValueError(f"std must be above 0, got {std}")
    device = generator.device
    mode = torch.randint(len(centres), (n,), generator=generator, device=device)
    noise = torch.randn(n, centres.shape[1], generator=generator, device=device)
    return centres.to(device).index_select(0, mode) + std * noise


def ring_centres(modes: int = 8, radius: float = 1.0) -> Tensor:
    """`modes` points evenly on a circle, the first at angle 0: (modes, 2). (PacGAN's ring: 8, radius 1.)"""
    check_count("modes", modes)
    # float64 until the end, and no endpoint: linspace(0, 2 pi, 8) would give the first centre twice
    angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return (radius * torch.stack([angle.cos(), angle.sin()], dim=1)).float()


def grid_centres(side: int = 5, spacing: float = 2.0) -> Tensor:
    """side^2 points on a square grid around the origin: (side^2, 2). (PacGAN's grid: 5, spacing 2.)"""
    check_count("side", side)
    line = spacing * (torch.arange(side, dtype=torch.float32) - (side - 1) / 2)
    return torch.cartesian_prod(line, line)


def ring(n: int, *, generator: torch.Generator, modes: int = 8, radius: float = 1.0, std: float = 0.01) -> Tensor:
    """A ring of Gaussians: (n, 2). Defaults are the ring of Lin et al. 2018 (PacGAN), table 1."""
    return mixture(n, ring_centres(modes, radius), std, generator=generator)


def grid(n: int, *, generator: torch.Generator, side: int = 5, spacing: float = 2.0, std: float = 0.05) -> Tensor:
    """A grid of Gaussians: (n, 2). Defaults are the grid of Lin et al. 2018 (PacGAN), table 1."""
    return mixture(n, grid_centres(side, spacing), std, generator=generator)


def _check_draw(n: int, latent_dim: int) -> None:
    check_count("n", n)
    check_count("latent_dim", latent_dim)


def _read_idx(name: str, folder: str | Path | None, header: int) -> np.ndarray:
    path = (Path(folder) if folder else resources.files(__package__) / "data_files") / f"{name}.xz"
    hint = "install gan_utils again, or re-make the file with data_files/pack_mnist.py"
    try:
        raw = lzma.decompress(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.name} is missing in {path.parent.name}: {hint}") from None
    except (lzma.LZMAError, EOFError):
        raise ValueError(f"{path.name} is damaged (not a whole .xz file): {hint}") from None
    if hashlib.md5(raw).hexdigest() != MNIST_MD5[name]:
        raise ValueError(f"{path.name} is damaged (md5 differs from the published sum): {hint}")
    return np.frombuffer(raw, np.uint8, offset=header).copy()
