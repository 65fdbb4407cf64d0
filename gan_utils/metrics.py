"""How far samples are from the data: in one dimension exactly, for digits in the features of a classifier.

Metrics that use random draws or finite samples have a floor: what two samples of the *same* law score. Print it
beside every value.
"""

import functools
from importlib import resources

import torch
from torch import Tensor

from .checkpoints import load_tensors
from .data import check_images, load_mnist
from .models import DigitClassifier
from .runtime import check_count, check_finite, evaluating

FEATURES = 64  # width of the classifier's last hidden layer


def wasserstein_1d(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of two samples on the line, in their own unit: the area between their CDFs.

    x, y: any shape, flattened; lengths may differ. With equal lengths it is mean |sort(x) - sort(y)|.
    """
    x, y = _sorted_samples(x, y)
    if len(x) == len(y):
        return float((x - y).abs().mean())
    both = torch.cat([x, y]).sort().values
    share = [torch.searchsorted(s, both[:-1], right=True).double() / len(s) for s in (x, y)]
    return float(((share[0] - share[1]).abs() * both.diff()).sum())


def ks_statistic(x: Tensor, y: Tensor) -> float:
    """Kolmogorov-Smirnov statistic of two samples: the largest gap between their CDFs, in [0, 1]."""
    x, y = _sorted_samples(x, y)
    both = torch.cat([x, y])
    share = [torch.searchsorted(s, both, right=True).double() / len(s) for s in (x, y)]
    return float((share[0] - share[1]).abs().max())


def excess_kurtosis(x: Tensor) -> float:
    """E[(x - mean)^4] / variance^2 - 3: 0 for a Gaussian, -1.2 for a uniform law, -1.2 / N for a sum of N."""
    check_finite("x", x)
    centred = x.flatten().double() - x.double().mean()
    variance = centred.square().mean()
    if variance == 0:
        raise ValueError("x is constant: its kurtosis is not defined")
    return float(centred.pow(4).mean() / variance.square() - 3)


def mean_and_covariance(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d), divided by n - 1, in float64. features: (n, d), n of at least 2."""
    if features.ndim != 2 or len(features) < 2:
        raise ValueError(f"features has shape {tuple(features.shape)}, needs (n, d) with n of 2 or more")
    check_finite("features", features)
    features = features.double()
    return features.mean(dim=0), torch.cov(features.T).reshape(features.shape[1], -1)


def frechet_distance(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)): 0 or more (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

    The squared Wasserstein-2 distance of two Gaussians; means (d,), covariances (d, d). The trace of the root is
    the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), a symmetric matrix, so nothing turns complex.
    """
    if mean_a.shape != mean_b.shape or cov_a.shape != cov_b.shape:
        raise ValueError(f"features of width {len(mean_a)} and {len(mean_b)}: need one extractor for both")
    mean_a, cov_a, mean_b, cov_b = (t.double() for t in (mean_a, cov_a, mean_b, cov_b))
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0)
    covariances = cov_a.trace() + cov_b.trace() - 2 * inner.sqrt().sum()
    return float((mean_a - mean_b).square().sum() + covariances)


@functools.cache
def digit_classifier() -> DigitClassifier:
    """The shipped classifier of digits, in eval mode, frozen (checkpoints/train_classifier.py re-makes it)."""
    with resources.as_file(resources.files(__package__) / "checkpoint_files" / "classifier.safetensors") as path:
        tensors, _ = load_tensors(path)
    classifier = DigitClassifier()
    classifier.load_state_dict(tensors)
    # channels last and small batches: 4 times as fast on a CPU as the default layout with batches of 500
    return classifier.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def digit_features(images: Tensor, *, batch_size: int = 100) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1], in the shipped classifier, on the images' device."""
    return _in_batches("features", images, batch_size)


def digit_logits(images: Tensor, *, batch_size: int = 100) -> Tensor:
    """Logits (n, 10) of images (n, 1, 28, 28) in [-1, 1] by the shipped classifier."""
    return _in_batches("forward", images, batch_size)


def frechet_digits(images: Tensor) -> float:
    """Fréchet distance of images (n, 1, 28, 28) in [-1, 1] to MNIST's 60,000 training images.

    In the 64 features of the shipped classifier, so it compares with nothing measured by another extractor.
    It is biased upwards: see `frechet_floor(n)`, the score of n real images that it was not trained on; quote both.
    """
    return frechet_distance(*mean_and_covariance(digit_features(images)), *_real_statistics())


@functools.cache
def frechet_floor(n: int, *, draws: int = 5, seed: int = 0) -> float:
    """What real digits score: mean `frechet_digits` of `draws` sets of n *held-out* images, n up to 10,000.

    They come from the test set, digits of other writers: a generator that scores below has learnt its training
    images by heart. Mostly sampling bias when n is small. The features are computed once and kept.
    """
    check_count("n", n, least=2)
    features = _held_out_features()
    if n > len(features):
        raise ValueError(f"n is {n}, but there are {len(features)} held-out images: use {len(features)} or fewer")
    g = torch.Generator().manual_seed(seed)
    scores = []
    for _ in range(1 if n == len(features) else draws):
        chosen = features[torch.randperm(len(features), generator=g)[:n]]
        scores.append(frechet_distance(*mean_and_covariance(chosen), *_real_statistics()))
    return sum(scores) / len(scores)


def frechet_bias(d: int, n: int) -> float:
    """First-order bias (d + d (d + 1) / 4) / n of the distance of n samples of N(0, I_d) to the exact law.

    Twice that when both sides are samples of n. Holds for n well above d.
    """
    check_count("d", d)
    check_count("n", n)
    return (d + d * (d + 1) / 4) / n






def _sorted_samples(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    for name, sample in (("x", x), ("y", y)):
        check_finite(name, sample)
    return x.flatten().double().sort().values, y.flatten().double().sort().values


def _in_batches(method: str, images: Tensor, batch_size: int) -> Tensor:
    check_images(images)
    classifier = digit_classifier().to(images.device)
    with evaluating(classifier):
        return torch.cat([getattr(classifier, method)(chunk) for chunk in images.split(batch_size)])


@functools.cache
def _held_out_features() -> Tensor:
    return digit_features(load_mnist("test")[0])


@functools.cache
def _real_statistics() -> tuple[Tensor, Tensor]:
    with resources.as_file(resources.files(__package__) / "checkpoint_files" / "real_statistics.safetensors") as path:
        tensors, _ = load_tensors(path)
    return tensors["mean"], tensors["covariance"]
