"""Checkers of chapter 5: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..metrics import classifier_score, density_coverage, precision_recall
from ..metrics import kernel_distance as kernel_distance_of
from ..runtime import seeded
from . import checker, expect


@checker
def kernel_distance(answer: Callable[[Tensor, Tensor], float]) -> str:
    """`kernel_distance(x, y)`: unbiased squared MMD of features (n, d), (m, d) under (x.y / d + 1)^3."""
    g = seeded(51)
    for n, m, d in ((12, 12, 4), (9, 15, 3), (20, 7, 6)):
        x = torch.randn(n, d, generator=g, dtype=torch.float64)
        y = torch.randn(m, d, generator=g, dtype=torch.float64) * 1.5 + 0.5
        got = _number(answer(x.clone(), y.clone()))
        want = kernel_distance_of(x, y)
        own_x, own_y, across = _kernel_means(x, y, lambda dot, d=d: (dot / d + 1) ** 3)
        kernels = [_kernel_means(x, y, k) for k in (
            lambda dot: (dot + 1) ** 3, lambda dot, d=d: (dot / d) ** 3, lambda dot, d=d: dot / d + 1,
            lambda dot, d=d: (dot / d + 1) ** 2)]
        undivided, bare, linear, square = (a + b - 2 * c for a, b, c in kernels)
        full = [(((s @ s.T) / d + 1) ** 3).mean() for s in (x, y)]
        less = own_x * (n - 1) / n + own_y * (m - 1) / m - 2 * across
        sums = own_x * n * (n - 1) + own_y * m * (m - 1) - 2 * across * n * m
        for slip, message in (
            (full[0] + full[1] - 2 * across,
             "that is the biased form: leave each sample's kernel with itself out, and divide by n (n - 1)"),
            (less, "the diagonal is out, but the mean is still over n^2 pairs: there are n (n - 1)"),
            (own_x + own_y - across, "the term across the sets counts twice"),
            (-want, "the sign is turned: within the sets plus, across them minus"),
            (own_x + own_y + 2 * across, "the term across the sets is subtracted, not added"),
            (undivided, "the scalar product must be divided by d, the number of features"),
            (bare, "the + 1 is missing: without it the kernel sees third moments only"),
            (linear, "the power of 3 is missing: that compares the means alone"),
            (square, "the power is 3, not 2"),
            (math.sqrt(want), "that is its root: the kernel distance is quoted squared, and may be below 0"),
            (sums, "these are sums: take means over the pairs"),
        ):
            expect(not _near(got, float(slip)), message)
        expect(_near(got, want), f"for {n} and {m} samples you get {got:.6g}, gan_utils {want:.6g}")
    for _ in range(12):  # two samples of one law: about half of these are below 0
        x, y = torch.randn(2, 25, 4, generator=g, dtype=torch.float64)
        got, want = _number(answer(x.clone(), y.clone())), kernel_distance_of(x, y)
        clamped = want < 0 and (_near(got, -want) or got == 0)
        expect(not clamped, "below 0 is right for an unbiased estimate: no abs, no clamp")
        expect(_near(got, want), f"for two samples of one law you get {got:.6g}, gan_utils {want:.6g}")
    return "Right: no sample is compared with itself, so that equal laws score 0 on average."


@checker
def class_score(answer: Callable[[Tensor], float]) -> str:
    """`class_score(logits)`: exp of the mean KL from p(y|x) to the mean of p(y|x), for logits (n, classes)."""
    g = seeded(52)
    for scale, n, classes in ((2.0, 40, 10), (1.0, 7, 3), (300.0, 30, 10)):
        logits = scale * torch.randn(n, classes, generator=g, dtype=torch.float64)
        got = _number(answer(logits.clone()), finite=False)
        want, p = classifier_score(logits), logits.softmax(1)
        if scale < 300:
            mean, logp = p.mean(0), logits.log_softmax(1)
            kl = (p * (logp - mean.log())).sum(1)
            of_logits = logits.mean(0).log_softmax(0)
            for slip, message in (
                (kl.mean(), "that is the mean divergence: the score is its exponential"),
                (kl.exp().mean(), "the mean comes before exp, not after"),
                (kl.sum().exp(), "the divergences are summed over the samples: take their mean"),
                ((p * (logp - mean.log())).mean().exp(), "sum over the classes, mean over the samples"),
                ((p * (logp - of_logits)).sum(1).mean().exp(),
                 "p(y) is the mean of the probabilities: you took the softmax of the mean logits"),
                ((mean * (mean.log() - logp)).sum(1).mean().exp(),
                 "the divergence is turned round: p(y|x) comes first"),
                ((-kl.mean()).exp(), "a sign is wrong: the score is 1 or more"),
                ((-(mean * mean.log()).sum()).exp(), "that is p(y) alone: how sure each p(y|x) is must count too"),
                ((p * logp).sum(1).mean().exp(), "that is p(y|x) alone: how even p(y) is must count too"),
                ((-(p * logp).sum(1).mean()).exp(), "that is p(y|x) alone: how even p(y) is must count too"),
                ((kl / math.log(2)).mean().exp(), "log2 goes with 2 ** ..., the natural log with exp"),
            ):
                expect(not _near(got, float(slip)), message)
        expect(math.isfinite(got), f"for logits near {scale:.0f} you get {got}: 0 log 0 is NaN, use log_softmax")
        expect(_near(got, want), f"for {n} samples of {classes} classes you get {got:.6g}, gan_utils {want:.6g}")
    return "Right: sure of each sample, and even over all of them. It never looked at data."


@checker
def precision(answer: Callable[[Tensor, Tensor, int], float]) -> str:
    """`precision(real, fake, k)`: share of fakes in some real sample's ball, to its k-th nearest other real one."""
    g = seeded(53)
    for n, m, d, k in ((40, 30, 2, 3), (25, 50, 3, 1), (60, 40, 4, 5)):
        real = torch.randn(n, d, generator=g, dtype=torch.float64)
        fake = torch.randn(m, d, generator=g, dtype=torch.float64) * 0.9 + 0.9
        got = _number(answer(real.clone(), fake.clone(), k))
        want, recall = precision_recall(real=real, fake=fake, k=k)
        across = torch.cdist(fake, real)  # (fake, real)
        own, other = (torch.cdist(s, s).sort(dim=1).values for s in (real, fake))
        inside = across <= own[:, k]
        density, coverage = density_coverage(real=real, fake=fake, k=k)
        nearest = across.argmin(dim=1)
        for slip, message in (
            (recall, "that is recall: the balls belong to the real samples, the share is of the fakes"),
            ((across <= own[:, k - 1]).any(1).double().mean(),
             "each ball is one neighbour too small: a sample is at distance 0 from itself, and that does not count"),
            ((across <= other[:, k, None]).any(1).double().mean(),
             "you took the fakes' own balls: the balls belong to the real samples"),
            (density, "that is the density, which counts how many balls hold a fake: precision asks whether any does"),
            (inside.sum(1).double().mean(), "count whether any ball holds the fake, not how many do"),
            (coverage, "that is coverage: the share of balls with a fake in them, not of fakes in a ball"),
            (inside.any(0).double().mean(), "that is the share of balls with a fake in them, not of fakes in a ball"),
            (inside.all(1).double().mean(), "one ball is enough: any, not all"),
            (inside.double().mean(), "that is the share of pairs: first ask for each fake whether any ball holds it"),
            ((across.min(1).values <= own[nearest, k]).double().mean(),
             "the ball of the nearest real sample is not the only one: a farther one may have a wider ball"),
            ((across.min(1).values <= own[:, k].mean()).double().mean(), "each real sample has a radius of its own"),
            (inside.any(1).sum(), "that is a count: divide by the number of fakes"),
            (100 * want, "that is per cent: return the share, from 0 to 1"),
            (1 - want, "that is the share outside of all balls"),
        ):
            expect(_near(want, float(slip)) or not _near(got, float(slip)), message)
        expect(_near(got, want), f"for k = {k} you get {got:.4g}, gan_utils {want:.4g}")
    return "Right: a fake counts when any real sample's ball holds it, wherever the other fakes are."


@checker
def without_bias(answer: Callable[[np.ndarray, np.ndarray], float]) -> str:
    """`without_bias(n, distances)`: the limit a of distances that follow a + b / n."""
    rng = np.random.default_rng(54)
    for count in (4, 6):
        n = np.sort(rng.choice(np.arange(200, 10_000), count, replace=False)).astype(float)
        a, b = rng.uniform(0.5, 3.0), rng.uniform(300, 600)
        distances = a + b / n
        got = _number(answer(n.copy(), distances.copy()))
        slope_n, start_n = np.polyfit(n, distances, 1)
        through = (distances / n).sum() / (1 / n**2).sum()
        for slip, message in (
            (b, "that is the slope b: the limit is where 1 / n is 0, the constant a"),
            (start_n, "you fitted a line in n: the distances lie on a line in 1 / n"),
            (slope_n, "you fitted a line in n, and returned its slope: take 1 / n, and the constant"),
            (distances[-1], "that is the value at the largest n, bias included: extrapolate to 1 / n = 0"),
            (distances.min(), "that is the least value, bias included: extrapolate to 1 / n = 0"),
            (distances.mean(), "that is the mean: it mixes different biases"),
            (through, "a line through the origin says that the limit is 0: fit a constant too"),
            (math.exp(np.polyfit(np.log(n), np.log(distances), 1)[1]), "a power law has no limit but 0: fit a + b / n"),
            (distances[-1] - b / n[0], "the bias of one n was subtracted from the distance at another"),
        ):
            expect(not _near(got, float(slip)), message)
        expect(_near(got, a), f"for distances {a:.3f} + {b:.0f} / n you get {got:.4g}")
    return "Right: what is left at 1 / n = 0 is the distance without the bias."


@checker
def suspicious(answer: Callable[[Tensor, Tensor], float]) -> str:
    """`suspicious(sample_distances, held_out_distances)`: share of samples below the 1 % quantile of held-out ones."""
    g = seeded(55)
    for n, m in ((200, 530), (340, 120), (100, 1000)):
        held = torch.rand(m, generator=g, dtype=torch.float64) * 4 + 4
        samples = torch.cat([torch.rand(n - n // 3, generator=g, dtype=torch.float64) * 5 + 4,
                             torch.rand(n // 3, generator=g, dtype=torch.float64) * 4.5])
        samples[-1] = 0  # an exact copy
        got = _number(answer(samples.clone(), held.clone()))
        low, high, middle = (held.quantile(q) for q in (0.01, 0.99, 0.5))

        def below(line: Tensor, who: Tensor = samples) -> Tensor:
            return (who < line).double().mean()

        want = below(low)
        for slip, message in (
            (1 - want, "that is the share that is not suspicious: near is suspicious, so count below"),
            (below(high), "that is the 99 % quantile: nearly everything lies below it"),
            (1 - below(high), "far away is no sign of copying: count below the 1 % quantile"),
            (below(samples.quantile(0.01)),
             "the quantile must come from the held-out images: of the samples' own, 1 % always lie below"),
            (below(samples.quantile(0.01), held), "the two are swapped: the share is of the samples"),
            (below(low, held), "that is the share of held-out images, 1 % by construction: count the samples"),
            (below(held.mean()), "below the mean lie half of the honest images too: take the 1 % quantile"),
            (below(middle), "below the median lie half of the honest images too: take the 1 % quantile"),
            (below(held.quantile(0.1)), "that is the 10 % quantile: 1 % is quantile(0.01)"),
            (below(held.quantile(0.05)), "that is the 5 % quantile: 1 % is quantile(0.01)"),
            (below(held.min()), "the least distance hangs on a single image: take the 1 % quantile"),
            ((samples == 0).double().mean(), "exact copies alone are too few: compare with the held-out images"),
            (samples.mean() / held.mean(), "a ratio of means hides a few copies: count samples"),
            (want * n, "that is a count: divide by the number of samples"),
            (want * 100, "that is per cent: return the share, from 0 to 1"),
        ):
            expect(_near(float(want), float(slip)) or not _near(got, float(slip)), message)
        # quantiles are interpolated in more than one way, all between two neighbours in the order
        around = held.sort().values[math.floor(0.01 * (m - 1)) :][:2]
        fits = any(_near(got, float(below(line))) for line in (*around, low))
        expect(fits, f"for {n} samples you get {got:.4g}, expected {want:.4g}")
    return "Right: an honest generator has about 1 in 100 below that line; a copier has more."


def _number(value: Any, *, finite: bool = True) -> float:
    expect(value is not None, "nothing came back: does your function end in return?")
    single = isinstance(value, Tensor) and value.numel() == 1 or isinstance(value, np.ndarray) and value.size == 1
    plain = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    kind = f"shape {tuple(value.shape)}" if isinstance(value, (Tensor, np.ndarray)) else type(value).__name__
    expect(single or plain, f"got {kind}, needs one number")
    value = float(value.detach() if isinstance(value, Tensor) else value)
    expect(not finite or math.isfinite(value), f"got {value}: it must be a finite number")
    return value


def _kernel_means(x: Tensor, y: Tensor, kernel: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Mean of kernel(a.b) over the pairs of different samples within x, within y, and over the pairs across."""
    own = [kernel(s @ s.T) for s in (x, y)]
    return [*((k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in own), kernel(x @ y.T).mean()]


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7)
