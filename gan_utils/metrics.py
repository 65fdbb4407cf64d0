"""How far samples are from the data: in one dimension exactly, for digits in the features of a classifier.

Metrics that use random draws or finite samples have a floor: what two samples of the *same* law score. Print it
beside every value. None of them sees everything: chapter 5 has a table of what each is blind to.
"""

import functools
import math
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .checkpoints import load_tensors
from .data import check_images, load_mnist
from .models import DigitClassifier
from .runtime import check_count, check_finite, evaluating

FEATURES = 64  # width of the classifier's last hidden layer
BLOCK = 2**22  # pairs at a time where all pairs of two sets are looked at: 32 MB in float64


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

    The squared Wasserstein-2 distance of two Gaussians; means (d,), covariances (d, d), A = cov_a and B = cov_b.
    The trace of the root is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), a symmetric matrix, so
    nothing turns complex.
    """
    _check_moments("a", mean_a, cov_a), _check_moments("b", mean_b, cov_b)
    if len(mean_a) != len(mean_b):
        raise ValueError(f"features of width {len(mean_a)} and {len(mean_b)}: need one extractor for both")
    mean_a, cov_a, mean_b, cov_b = (t.cpu().double() for t in (mean_a, cov_a, mean_b, cov_b))
    values, vectors = torch.linalg.eigh(cov_a)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    inner = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0)
    covariances = cov_a.trace() + cov_b.trace() - 2 * inner.sqrt().sum()
    return float((mean_a - mean_b).square().sum() + covariances)


@functools.cache
def digit_classifier() -> DigitClassifier:
    """The shipped classifier of digits, in eval mode, frozen (checkpoint_files/train_classifier.py re-makes it)."""
    with resources.as_file(resources.files(__package__) / "checkpoint_files" / "classifier.safetensors") as path:
        tensors, _ = load_tensors(path)
    classifier = DigitClassifier()
    classifier.load_state_dict(tensors)
    # channels last and small batches: 4 times as fast on a CPU as the default layout with batches of 500
    return classifier.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def digit_features(images: Tensor, *, batch_size: int = 100) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1], in the shipped classifier, on the images' device."""
    return torch.cat(in_batches(digit_classifier(), "features", images, batch_size))


def digit_logits(images: Tensor, *, batch_size: int = 100) -> Tensor:
    """Logits (n, 10) of images (n, 1, 28, 28) in [-1, 1] by the shipped classifier."""
    return torch.cat(in_batches(digit_classifier(), "forward", images, batch_size))


def frechet_digits(images: Tensor) -> float:
    """Fréchet distance of images (n, 1, 28, 28) in [-1, 1] to MNIST's 60,000 training images.

    In the 64 features of the shipped classifier, so it compares with nothing measured by another extractor.
    It is biased upwards: see `frechet_floor(n)`, the score of n real images that the classifier never
    saw; quote both.
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


def kernel_distance(
    x: Tensor,
    y: Tensor,
    *,
    subset_size: int | None = None,
    subsets: int = 100,
    generator: torch.Generator | None = None,
) -> float:
    """Squared maximum mean discrepancy of features (n, d), (m, d) under the kernel (x.y / d + 1)^3: KID.

    Unbiased: two samples of one law score 0 on average, at any n, so single values may be below 0. The U-statistic
    of Gretton et al. 2012, eq. 3, with the kernel of Binkowski et al. 2018, section 4. It compares moments up to
    the third. All pairs are used; with `subset_size` the mean over `subsets` pairs of subsets, as the paper has it,
    drawn without replacement from `generator`.
    """
    _check_pair(x=x, y=y, least=2)
    if subset_size is None:
        return _kernel_distance(x.double(), y.double())
    check_count("subset_size", subset_size, least=2)
    check_count("subsets", subsets)
    if subset_size > min(len(x), len(y)):
        raise ValueError(f"subset_size is {subset_size}, but the smaller set has {min(len(x), len(y))} samples")
    if generator is None:
        raise ValueError("subsets are drawn at random: pass generator=gu.seeded(0), or leave subset_size out")
    draws = (
        _kernel_distance(*(_subset(features.double(), subset_size, generator) for features in (x, y)))
        for _ in range(subsets)
    )
    return sum(draws) / subsets


def classifier_score(logits: Tensor) -> float:
    """exp(mean KL(p(y|x) || p(y))) of logits (n, classes): between 1 and the number of classes, more is better.

    The inception score of Salimans et al. 2016, section 4, in the eyes of whatever classifier made the logits;
    p(y) is the mean of p(y|x) over the samples. It is high where each sample is surely of one class and all classes
    are equally frequent. It never looks at data. Biased downwards for few samples.
    """
    _check_features("logits", logits)
    log_p = logits.double().log_softmax(dim=1)
    log_mean = log_p.logsumexp(dim=0) - math.log(len(logits))
    return float((log_p.exp() * (log_p - log_mean)).sum(dim=1).mean().exp())


def precision_recall(*, real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Share of fakes within the real samples' balls, and of real samples within the fakes': each in [0, 1].

    Features (n, d), (m, d). The ball of a sample is closed and reaches to the k-th nearest other sample of its own
    set; the union of balls stands for the set's support (Kynkaanniemi et al. 2019, eqs. 1 and 2).
    """
    _check_pair(real=real, fake=fake)
    real, fake = real.double(), fake.double()
    radii, other_radii = _radii("real", real, k), _radii("fake", fake, k)
    slack = _slack(real, fake)
    precise, recalled = 0, torch.zeros(len(real), dtype=torch.bool, device=real.device)
    start = 0
    for block in _squared_distances(fake, real):  # (rows of fakes, real)
        precise += int((block <= radii + slack).any(dim=1).sum())
        recalled |= (block <= (other_radii[start : start + len(block)] + slack)[:, None]).any(dim=0)
        start += len(block)
    return precise / len(fake), float(recalled.double().mean())


def density_coverage(*, real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """How many real balls a fake lies in, over k; and the share of real balls with a fake in them.

    Features (n, d), (m, d). Density is 0 or more, 1 in the mean for fakes of the real law; coverage is in [0, 1],
    about 1 - 2^-k for them with equal n (Naeem et al. 2020, section 3). Balls as in `precision_recall`, of the
    real set alone, which outliers among the fakes cannot widen; open, as the authors' program has them.
    """
    _check_pair(real=real, fake=fake)
    real, fake = real.double(), fake.double()
    radii, slack = _radii("real", real, k), _slack(real, fake)
    hits, covered = 0, torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for block in _squared_distances(fake, real):
        inside = block < radii - slack
        hits += int(inside.sum())
        covered |= inside.any(dim=0)
    return hits / (k * len(fake)), float(covered.double().mean())


def nearest_neighbours(x: Tensor, data: Tensor, *, k: int = 1) -> tuple[Tensor, Tensor]:
    """Euclidean distances (n, k) from each x to its k nearest in `data`, nearest first, and their indices (n, k).

    x: (n, ...), data: (m, ...) of the same sample shape: pixels or features. A distance alone says little; compare
    it with that of held-out real samples. A copy is at exactly 0.
    """
    if x.ndim < 2 or x.shape[1:] != data.shape[1:]:
        raise ValueError(f"samples of shape {tuple(x.shape[1:])} and {tuple(data.shape[1:])}: need the same, (n, ...)")
    for name, samples in (("x", x), ("data", data)):
        check_finite(name, samples)
    check_count("k", k)
    if k > len(data):
        raise ValueError(f"k is {k}, but data has {len(data)} samples: use {len(data)} or fewer")
    centre = data.flatten(1).mean(dim=0)  # smaller numbers, smaller rounding
    x, data = x.flatten(1) - centre, data.flatten(1) - centre
    indices = torch.cat([block.topk(k, largest=False).indices for block in _squared_distances(x, data)])
    # the blocks find the neighbours by |x|^2 - 2 x.y + |y|^2, which rounds; the distances come from x - y
    distances = torch.cat([
        (rows[:, None] - data[chosen]).double().norm(dim=2)
        for rows, chosen in zip(x.split(256), indices.split(256), strict=True)
    ])
    order = distances.argsort(dim=1, stable=True)
    return distances.gather(1, order), indices.gather(1, order)


def class_histogram(labels: Tensor, *, classes: int = 10) -> Tensor:
    """Share of each class among integer labels (n,): (classes,) float64 that sums to 1."""
    check_count("classes", classes)
    check_finite("labels", labels)
    if labels.ndim != 1 or labels.is_floating_point():
        kind = f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise ValueError(f"labels must be whole numbers (n,), got {kind}: from logits, take logits.argmax(dim=1)")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels lie in {int(labels.min())}..{int(labels.max())}, needs 0..{classes - 1}")
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Half the sum of |p - q| of two discrete laws: in [0, 1], the largest difference that any event shows.

    q an exact law and p the shares of n draws from it: about sum sqrt(q (1 - q) / (2 pi n)) on average.
    """
    p, q = _check_laws(p, q)
    return float((p - q).abs().sum() / 2)


def discrete_kl(p: Tensor, q: Tensor) -> float:
    """KL(p || q) = sum p log(p / q) of two discrete laws, in nats: 0 or more, infinite where q is 0 and p is not.

    With p the shares of n draws from q, on k classes: about (k - 1) / (2 n) on average.
    """
    p, q = _check_laws(p, q)
    return max(0.0, float((torch.xlogy(p, p) - torch.xlogy(p, q)).sum()))  # rounding may give -1e-17


class ModeCount(NamedTuple):
    """What `count_modes` found."""

    modes: int  # centres that got at least the stated share of samples, counting high-quality ones alone
    high_quality: float  # share of samples near a centre
    reverse_kl: float  # KL(shares || even shares), in nats
    shares: Tensor  # (modes,) share of all samples that is nearest to each centre


def count_modes(
    samples: Tensor, centres: Tensor, std: float, *, share: float | None = None, within: float = 3.0
) -> ModeCount:
    """Modes, high-quality share and reverse KL of samples (n, d) from equal Gaussians N(centre, std^2 I).

    The protocol of Lin et al. 2018 (PacGAN), table 1, which takes n = 2,500: a sample is of high quality within
    `within` standard deviations of its nearest centre. A mode counts when its high-quality samples are at least
    `share` of all, 1 / (10 modes) by default; share=0 counts a mode on one hit, as the paper does. For the reverse
    KL every sample counts, for its nearest centre. In 2-D a perfect sampler has 1 - exp(-4.5) = 98.89 % of high
    quality, not 100 %, and a reverse KL of (modes - 1) / (2 n).
    """
    _check_pair(samples=samples, centres=centres)
    count, n = len(centres), len(samples)
    if len(centres.unique(dim=0)) < count:
        raise ValueError("two centres are the same: a ring from linspace(0, 2 pi, modes) holds its first one twice")
    if not (std > 0 and within > 0):
        raise ValueError(f"std and within must be above 0, got {std} and {within}")
    share = 1 / (10 * count) if share is None else share
    if not 0 <= share <= 1 / count:
        raise ValueError(f"share is {share}, needs 0 to {1 / count:.4g}, the weight of one of {count} modes")
    distances, nearest = nearest_neighbours(samples.double(), centres.double())
    near, nearest = distances[:, 0] <= within * std, nearest[:, 0]
    hits = torch.bincount(nearest[near], minlength=count)
    shares = class_histogram(nearest, classes=count)
    even = torch.full_like(shares, 1 / count)
    enough = hits >= max(1, math.ceil(share * n - 1e-9))
    return ModeCount(int(enough.sum()), float(near.double().mean()), discrete_kl(shares, even), shares)


def _sorted_samples(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    for name, sample in (("x", x), ("y", y)):
        check_finite(name, sample)
    return x.flatten().double().sort().values, y.flatten().double().sort().values


def _check_features(name: str, features: Tensor, least: int = 1) -> None:
    if features.ndim != 2 or 0 < len(features) < least:
        more = f", n of {least} or more" if least > 1 else ""
        raise ValueError(f"{name} has shape {tuple(features.shape)}, needs (n, d){more}")
    check_finite(name, features)


def _check_pair(least: int = 1, **sets: Tensor) -> None:
    for name, features in sets.items():
        _check_features(name, features, least)
    widths = {name: features.shape[1] for name, features in sets.items()}
    if len(set(widths.values())) > 1:
        said = " and ".join(f"{name} of {width}" for name, width in widths.items())
        raise ValueError(f"features differ in width, {said}: need one extractor for both")


def _check_moments(which: str, mean: Tensor, cov: Tensor) -> None:
    if mean.ndim != 1 or cov.shape != (len(mean), len(mean)):
        raise ValueError(
            f"mean_{which} has shape {tuple(mean.shape)} and cov_{which} {tuple(cov.shape)}, need (d,) and (d, d)"
        )
    check_finite(f"mean_{which}", mean), check_finite(f"cov_{which}", cov)


def _check_laws(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    for name, law in (("p", p), ("q", q)):
        check_finite(name, law)
        if law.ndim != 1 or (law < 0).any() or abs(float(law.double().sum()) - 1) > 1e-5:
            raise ValueError(f"{name} is no law: needs shape (classes,), no entry below 0 and the sum 1")
    if len(p) != len(q):
        raise ValueError(f"p has {len(p)} classes and q has {len(q)}: need the same")
    return p.double(), q.double()


def _kernel_distance(x: Tensor, y: Tensor) -> float:
    n, m, d = len(x), len(y), x.shape[1]

    def total(a: Tensor, b: Tensor) -> float:
        return sum(float((rows @ b.T).div_(d).add_(1).pow_(3).sum()) for rows in a.split(max(1, BLOCK // len(b))))

    # without the diagonal: a sample's kernel with itself is what makes the plain mean biased
    own_x, own_y = (float((s.square().sum(dim=1) / d + 1).pow(3).sum()) for s in (x, y))
    within = (total(x, x) - own_x) / (n * (n - 1)) + (total(y, y) - own_y) / (m * (m - 1))
    return within - 2 * total(x, y) / (n * m)


def _subset(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    order = torch.randperm(len(features), generator=generator, device=generator.device)
    return features[order[:size].to(features.device)]


def _squared_distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """|x - y|^2 of all pairs, as blocks of rows (rows, len(y)): as much memory as BLOCK pairs take."""
    norms = y.square().sum(dim=1)
    for rows in x.split(max(1, BLOCK // len(y))):
        yield torch.addmm(norms, rows, y.T, alpha=-2).add_(rows.square().sum(dim=1, keepdim=True))


def _radii(name: str, features: Tensor, k: int) -> Tensor:
    """Squared distance of each sample to its k-th nearest other: (n,)."""
    check_count("k", k)
    if k >= len(features):
        raise ValueError(f"k is {k}, but {name} has {len(features)} samples: k must be below that")
    radii, start = [], 0
    for block in _squared_distances(features, features):
        own = torch.arange(len(block), device=block.device)
        block[own, own + start] = math.inf  # a sample is no neighbour of its own
        radii.append(block.topk(k, largest=False).values[:, -1].clamp(min=0))
        start += len(block)
    return torch.cat(radii)


def _slack(x: Tensor, y: Tensor) -> float:
    """More than rounding moves a squared distance, less than any that matters: on a ball's edge, the edge decides."""
    return 1e-11 * float(x.square().sum(dim=1).max() + y.square().sum(dim=1).max())


def in_batches(classifier: nn.Module, method: str, images: Tensor, batch_size: int) -> list:
    """What the classifier's method says of each batch of images (n, 1, 28, 28), in eval mode, on their device."""
    check_images(images)
    classifier = classifier.to(images.device)
    with evaluating(classifier):
        return [getattr(classifier, method)(chunk) for chunk in images.split(batch_size)]


@functools.cache
def _held_out_features() -> Tensor:
    return digit_features(load_mnist("test")[0])


@functools.cache
def _real_statistics() -> tuple[Tensor, Tensor]:
    with resources.as_file(resources.files(__package__) / "checkpoint_files" / "real_statistics.safetensors") as path:
        tensors, _ = load_tensors(path)
    return tensors["mean"], tensors["covariance"]
