"""Checkers of chapter 6: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..metrics import count_modes
from ..runtime import seeded
from . import checker, expect, number


@checker
def high_quality(answer: Callable[[Tensor, Tensor, float], float]) -> str:
    """`high_quality(x, centres, std)`: share of samples (n, 2) within three std of their nearest centre."""
    for seed in range(3):
        x, centres, std = _samples(seed)
        got = _number(answer(x.clone(), centres.clone(), std))
        apart = x[:, None] - centres
        far = torch.cdist(x, centres)
        near = far.min(dim=1).values
        want = count_modes(x, centres, std, share=0).high_quality
        for slip, message in (
            ((apart.abs() <= 3 * std).all(dim=2).any(dim=1).double().mean(),
             "that is a square around each centre: take the distance in the plane, not each coordinate's"),
            ((near**2 <= 3 * std).double().mean(), "distances are squared on one side only"),
            ((near <= std).double().mean(), "within three standard deviations, not within one"),
            ((near <= 3 * std**2).double().mean(), "std is a standard deviation already: do not square it"),
            ((near <= 3).double().mean(), "three standard deviations are 3 * std"),
            ((far <= 3 * std).double().mean(), "that is the share of pairs: ask each sample for its nearest centre"),
            ((near <= 3 * std).sum(), "that is a count: divide by the number of samples"),
            (1 - want, "that is the share of poor samples: count those within"),
            (100 * want, "that is per cent: return the share, from 0 to 1"),
        ):
            expect(not _near(got, float(slip)), message)
        expect(_near(got, want), f"for {len(x)} samples you get {got:.4g}, gan_utils {want:.4g}")
    return "Right: for perfect samples in the plane it is .989, and nobody honest scores more."


@checker
def modes(answer: Callable[[Tensor, Tensor, float, float], int]) -> str:
    """`modes(x, centres, std, share)`: centres that have at least `share` of all samples within three std."""
    for seed in range(4):
        x, centres, std = _samples(seed)
        nearest = torch.cdist(x, centres).min(dim=1)
        good = nearest.values <= 3 * std
        hits = nearest.indices[good].bincount(minlength=len(centres)).double()
        every = nearest.indices.bincount(minlength=len(centres)).double()
        # a share that lies between two of the shares found, so that rounding decides nothing
        levels = (hits / len(x)).unique()
        share = float(levels[len(levels) // 2 - 1 : len(levels) // 2 + 1].mean())
        got = _number(answer(x.clone(), centres.clone(), std, share))
        want = count_modes(x, centres, std, share=min(share, 1 / len(centres))).modes
        for slip, message in (
            ((hits > 0).sum(), "one hit is not enough: the centre needs `share` of all samples"),
            ((every >= share * len(x)).sum(), "samples farther than three std from every centre do not count"),
            ((hits >= share * good.sum()).sum(), "the share is of all samples, not of the good ones"),
            ((hits >= share).sum(), "counts were compared with a share: divide by the number of samples first"),
            (len(centres) - want, "that is the number of modes that are missing"),
            (want / len(centres), "that is a share of modes: return how many"),
        ):
            expect(want == int(slip) or not _near(got, float(slip)), message)
        expect(_near(got, want), f"for {len(centres)} centres you get {got:g}, gan_utils {want}")
    return "Right: a centre that got one lucky hit is not a mode that G makes."


@checker
def both_kl(answer: Callable[[Tensor], tuple[float, float]]) -> str:
    """`both_kl(q)`: (reverse KL(q || p), forward KL(p || q)) for shares q (k,), p even."""
    stream = seeded(63)
    for k, missing in ((8, 0), (5, 1), (25, 0), (10, 4)):
        q = torch.rand(k, generator=stream, dtype=torch.float64) + 0.05
        q[:missing] = 0
        q = q / q.sum()
        got = answer(q.clone())
        pair = isinstance(got, (tuple, list)) and len(got) == 2
        expect(pair or isinstance(got, Tensor) and got.shape == (2,), "return two numbers: reverse, then forward")
        reverse, forward = (number(value) for value in got)
        want = float(torch.xlogy(q, q).sum() + math.log(k))
        other = math.inf if missing else float(-(q.log().mean()) - math.log(k))
        expect(not math.isnan(reverse), "the reverse KL is NaN where a share is 0: 0 log 0 counts as 0 (torch.xlogy)")
        expect(not (_near(reverse, other) and _near(forward, want)), "the two are swapped: reverse, KL(q || p), first")
        for slip, message in (
            (-want, "the sign of the reverse KL is turned: it is 0 or more"),
            (want / math.log(2), "that is in bits: take the natural logarithm"),
            (want / k, "sum over the modes, do not average"),
            (float(torch.xlogy(q, q).sum()), "that is minus the entropy: log k is missing"),
        ):
            expect(not _near(reverse, slip), message)
        expect(_near(reverse, want), f"the reverse KL of {k} modes is {reverse:.5g}, expected {want:.5g}")
        if missing:
            expect(forward == math.inf, f"{missing} modes are missing, so the forward KL is infinite; got {forward:g}")
        expect(_near(forward, other), f"the forward KL of {k} modes is {forward:.5g}, expected {other:.5g}")
    return "Right: the reverse one forgives missing modes: it is never more than log k. The forward one never does."


@checker
def pack(answer: Callable[[Tensor, int], Tensor]) -> str:
    """`pack(x, k)`: samples (n, d) to (n / k, k d), neighbours joined."""
    stream = seeded(64)
    for n, d, k in ((12, 2, 2), (12, 3, 4), (6, 2, 3), (5, 2, 1)):
        x = torch.randn(n, d, generator=stream)
        got = answer(x.clone(), k)
        expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
        shape, want = (n // k, k * d), x.reshape(n // k, k * d)
        expect(tuple(got.shape) != (n // k, k, d), "the k samples stand in an axis of their own: join them in one row")
        expect(tuple(got.shape) != (n // k, d) or k == 1, "k samples became one by a mean or a choice: keep them all")
        expect(tuple(got.shape) == shape, f"the shape is {tuple(got.shape)}, needs (n / k, k d) = {shape}")
        turned = x.reshape(n // k, k, d).transpose(1, 2).reshape(shape)
        chunks = torch.cat(list(x.chunk(k)), dim=1)
        expect(k == 1 or not torch.equal(got, turned), "each sample's numbers must stay together, in their order")
        expect(k == 1 or not torch.equal(got, chunks), "join neighbours: rows 0 to k - 1 become the first row")
        expect(k == 1 or not torch.equal(got, x.repeat_interleave(k, 1)[: n // k]),
               "a sample packed with itself shows D no variety: join k different ones")
        expect(torch.equal(got, want), "the numbers are not those of x in their order")
    return "Right: D now judges several samples at once, and with them their variety."


@checker
def collision(answer: Callable[[int, int], float]) -> str:
    """`collision(modes, draws)`: chance that two of so many draws from equally likely modes are the same."""
    for k, n in ((10, 5), (100, 13), (1000, 38), (8, 2), (365, 23), (4, 5)):
        got = _number(answer(k, n))
        none = math.prod(1 - i / k for i in range(n))
        want = 1 - none
        for slip, message in (
            (none, "that is the chance that all draws differ: take it from 1"),
            (1 - math.prod(1 - i / k for i in range(n + 1)), "one factor too many: the first draw can meet nobody"),
            (1 - math.prod(1 - i / k for i in range(n - 1)), "one factor is missing: the last draw can meet n - 1"),
            (n / k, "draws over modes is no probability of a collision: multiply the chances that none occurs"),
            (n * (n - 1) / 2 / k, "that is the expected number of equal pairs, not the chance of one or more"),
            (1 - (1 - 1 / k) ** (n - 1), "that is a meeting with the first draw: any two may meet"),
            (1 - math.exp(-n * (n - 1) / 2 / k), "that is the usual approximation: multiply the exact factors"),
            (100 * want, "that is per cent: return the chance, from 0 to 1"),
        ):
            expect(_near(want, slip) or not _near(got, slip), message)
        expect(_near(got, want), f"for {n} draws from {k} modes you get {got:.5g}, expected {want:.5g}")
    return "Right: about 1.18 times the root of the number of modes makes a collision as likely as not."


def _samples(seed: int) -> tuple[Tensor, Tensor, float]:
    """Good, poor and lost samples, unevenly over the centres of a random set: (n, 2), (k, 2), std."""
    stream, std = seeded(600 + seed), (0.3, 0.05, 0.4, 0.1)[seed]
    k, n = (6, 8, 5, 7)[seed], (300, 420, 250, 350)[seed]
    centres = 4 * torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))[:k].double()
    weight = torch.arange(k).double() ** 2
    weight[0] = 0.02  # a mode with a hit or two
    which = torch.multinomial(weight + 0.3, n, replacement=True, generator=stream)
    spread = 1.7 * std * torch.randn(n, 2, generator=stream, dtype=torch.float64)
    x = centres[which] + spread
    x[: n // 5] += 0.9 * torch.randn(n // 5, 2, generator=stream, dtype=torch.float64)
    return x, centres, std


def _number(value: Any) -> float:
    value = number(value)
    expect(math.isfinite(value), f"got {value}: it must be a finite number")
    return value


def _near(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-9)
