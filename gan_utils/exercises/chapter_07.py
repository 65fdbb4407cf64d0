"""Checkers of chapter 7: every one tries several random inputs and knows the usual slips by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..runtime import seeded
from . import checker, expect, number


@checker
def earth(answer: Callable[[Tensor, Tensor, Tensor], float]) -> str:
    """`earth(p, q, x)`: W1 of masses p and q at the sorted, unevenly spaced places x."""
    g = seeded(71)
    for n in (5, 9, 2):
        p, q = (torch.rand(n, generator=g, dtype=torch.float64) + 0.05 for _ in range(2))
        p, q = p / p.sum(), q / q.sum()
        gaps = torch.rand(n - 1, generator=g, dtype=torch.float64) * 3 + 0.2
        x = torch.cat([torch.randn(1, generator=g, dtype=torch.float64), gaps]).cumsum(0)
        flow = (p - q).cumsum(0)[:-1]  # what has to pass each gap
        right = float((flow.abs() * gaps).sum())
        _named(number(answer(p.clone(), q.clone(), x.clone())), right, (
            (float(flow.abs().sum()), "the gaps are not used: earth that passes a gap travels its width"),
            (float((flow * gaps).sum()), "without absolute values flows to the left pay back flows to the right"),
            (float((flow * gaps).sum().abs()), "the absolute value comes before the sum, for each gap alone"),
            (float(((p - q)[:-1].abs() * gaps).sum()), "sum up first: through a gap passes all that is missing so far"),
            (float((p - q).abs().sum()) / 2, "that is the total variation: it does not know how far the earth goes"),
            (float((p - q).abs().sum()), "that is twice the total variation: it does not know how far the earth goes"),
            (abs(float(((p - q) * x).sum())), "that is the distance of the two means, which is only a lower bound"),
            (right / (n - 1), "that is a mean over the gaps: sum the work"),
            (right / n, "that is a mean over the places: sum the work"),
            (float((flow.square() * gaps).sum()), "no squares: work is mass times distance"),
        ))
    return "Right: mass times distance, gap by gap."


@checker
def penalty(answer: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]) -> str:
    """`penalty(D, real, fake, epsilon)`: E[(|grad D| - 1)^2] at epsilon real + (1 - epsilon) fake, epsilon (n,)."""
    g = seeded(72)
    for n in (6, 28):  # with 28 a wrong shape of epsilon goes unnoticed
        real, fake = (torch.randn(n, 1, 28, 28, generator=g) for _ in range(2))
        epsilon = torch.rand(n, generator=g)
        D = _Bent(g)

        def slopes(share, gradient_of=lambda s: s.sum(), real=real, fake=fake, D=D):
            x = (share * real + (1 - share) * fake).requires_grad_(True)
            return torch.autograd.grad(gradient_of(D(x)), x, create_graph=True)[0]

        share = epsilon.view(-1, 1, 1, 1)
        gradient = slopes(share)
        norms = gradient.flatten(1).norm(dim=1)
        right = (norms - 1).square().mean()
        got = answer(D, real.clone(), fake.clone(), epsilon.clone())
        expect(got is not None, "nothing came back: does your function end in return?")
        slips = [
            ((norms.square() - 1).square().mean(), "the root is missing: the slope is the norm, not its square"),
            (norms.square().mean(), "that is the mean squared slope: it pulls towards 0, not 1"),
            ((norms - 1).mean(), "the square is missing"),
            ((norms - 1).abs().mean(), "squares, not absolute values"),
            ((norms.mean() - 1).square(), "square each sample's excess first, then take the mean"),
            ((norms - 1).square().sum(), "that is a sum over the batch: take the mean"),
            ((norms - 1).clamp(min=0).square().mean(), "that is the one-sided penalty: slopes below 1 count too"),
            ((gradient.norm() - 1).square(), "one norm over the whole batch: each sample has a slope of its own"),
            ((slopes(share, lambda s: s.mean()).flatten(1).norm(dim=1) - 1).square().mean(),
             "the gradient of the *mean* score is n times too small: take the gradient of the sum"),
            ((gradient.norm(dim=1) - 1).square().mean(), "norm(dim=1) is over the channels here: flatten(1) first"),
            ((slopes(1 - share).flatten(1).norm(dim=1) - 1).square().mean(),
             "epsilon belongs to real, 1 - epsilon to fake"),
            ((slopes(1.0).flatten(1).norm(dim=1) - 1).square().mean(), "that is on real points: mix them with fakes"),
            ((slopes(0.0).flatten(1).norm(dim=1) - 1).square().mean(), "that is on fakes: mix them with real points"),
            ((slopes(epsilon[0]).flatten(1).norm(dim=1) - 1).square().mean(), "one epsilon for all: each has its own"),
        ]
        if n == 28:
            slips.append(((slopes(epsilon).flatten(1).norm(dim=1) - 1).square().mean(),
                          "epsilon of shape (n,) mixes *columns*: view it as (n, 1, 1, 1)"))
        _named(number(got), float(right.detach()), tuple((float(v.detach()), words) for v, words in slips))
        expect(isinstance(got, Tensor) and got.requires_grad,
               "the number is right, but no gradient can flow back from it: create_graph=True, and return the tensor")
        want = torch.autograd.grad(right, D.weights, retain_graph=True)
        have = torch.autograd.grad(got, D.weights, allow_unused=True)
        same = all(h is not None and torch.allclose(h, w, rtol=1e-3, atol=1e-6)
                   for h, w in zip(have, want, strict=True))
        expect(same, "the number is right, its gradient is not: is part of the graph cut off?")
    flat = _Bent(g, scale=0.0)
    value = answer(flat, real.clone(), fake.clone(), epsilon.clone())
    slope = torch.autograd.grad(value, flat.weights, allow_unused=True)
    expect(all(s is None or torch.isfinite(s).all() for s in slope),
           "NaN in the gradient where the critic is flat: norm() is safe at 0, the root of a sum of squares is not")
    return "Right: its own place, its own slope, for each sample."


@checker
def objective(answer: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> str:
    """`objective(real, fake, slopes, lam)`: what the critic minimises, E[fake] - E[real] + lam E[(slopes - 1)^2]."""
    g = seeded(73)
    for n, lam in ((5, 10.0), (8, 0.3), (1, 2.0)):
        real, fake = (torch.randn(n, 1, generator=g) for _ in range(2))
        slopes = 2 * torch.rand(n, generator=g)
        gap, excess = fake.mean() - real.mean(), (slopes - 1).square()
        right = gap + lam * excess.mean()
        _named(number(answer(real.clone(), fake.clone(), slopes.clone(), lam)), float(right), tuple(
            (float(v), words) for v, words in (
                (-gap + lam * excess.mean(), "real and fake are swapped: minimising, it wants real scores high"),
                (gap - lam * excess.mean(), "the penalty has the wrong sign: what is minimised gets it added"),
                (-right, "both signs are turned: this is what a maximiser would climb"),
                (gap, "the penalty is missing"),
                (lam * excess.mean(), "the scores are missing"),
                (gap + excess.mean(), "lambda is not used"),
                (gap + 10 * excess.mean(), "lambda is given: do not set it to 10"),
                (gap + lam / 2 * excess.mean(), "no half here: that is the convention of R1"),
                (gap + lam * slopes.square().mean(), "subtract 1 from each slope before the square"),
                (gap + lam * (slopes - 1).mean(), "the square is missing"),
                (gap + lam * (slopes.mean() - 1).square(), "square each excess first, then take the mean"),
                (gap + lam * (slopes - 1).clamp(min=0).square().mean(), "that is the one-sided penalty"),
                (gap + lam * excess.sum(), "the penalty is a sum over the batch: take the mean"),
                (n * gap + lam * excess.mean(), "the scores are summed: take their means"),
                (n * right, "that is a sum over the batch: take means"),
            )))
    return "Right: low for a critic that tells them apart with a slope of 1."


@checker
def best_slope(answer: Callable[[float, float], tuple[float, float]]) -> str:
    """`best_slope(d, lam)`: the slope w of the best linear critic under the penalty, and its estimate w d."""
    for d, lam in ((1.5, 10.0), (3.0, 0.1), (2.5, 0.7), (0.2, 5.0)):
        slope = 1 + d / (2 * lam)
        got = answer(d, lam)
        expect(got is not None, "nothing came back: does your function end in return?")
        got = got.flatten().tolist() if isinstance(got, Tensor) else got
        expect(isinstance(got, (tuple, list)) and len(got) == 2, "return two numbers: the slope, then the estimate")
        w, gap = (number(v) for v in got)
        expect(not (_same(w, slope * d) and _same(gap, slope)), "the order: the slope first, then the estimate")
        _named(w, slope, (
            (1.0, "slope: 1 is best only for an infinite lambda: the score pays for a little more"),
            (1 + d / lam, "slope: the derivative of the square brings a factor of 2"),
            (1 + 2 * d / lam, "slope: set -d + 2 lambda (w - 1) = 0: the 2 goes below"),
            (1 - d / (2 * lam), "slope: the sign. A steeper critic scores more, so w lies above 1"),
            (d / (2 * lam), "slope: the penalty pulls to 1, not to 0"),
            (d / lam, "slope: the penalty pulls to 1, not to 0"),
            (1 + lam / (2 * d), "slope: the fraction is turned round: a strong penalty brings w near 1"),
        ))
        _named(gap, slope * d, (
            (d, "estimate: that is the true W1; the critic says w d"),
            (slope, "estimate: times d, the distance of the two laws"),
            (d + d * d / (4 * lam), "estimate: that is the penalised value; asked for is the gap of the scores, w d"),
            (-slope * d, "estimate: E[D(real)] - E[D(fake)] is above 0"),
        ))
    return "Right: too large for every finite lambda."


# ------------------------------------------------------------------------------- what the checkers share


class _Bent(nn.Module):
    """A smooth critic of images, with other slopes at other places and about 1 in size."""

    def __init__(self, generator: torch.Generator, scale: float = 1.0):
        super().__init__()
        self.first = nn.Parameter(scale * torch.randn(784, 4, generator=generator) / 28)
        self.last = nn.Parameter(scale * torch.randn(4, 1, generator=generator))
        self.weights = (self.first, self.last)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x.flatten(1) @ self.first) @ self.last


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-6 + 1e-4 * abs(b)


def _named(got: float, right: float, slips: tuple[tuple[Any, str], ...]) -> None:
    """Raises Wrong with the words of the first slip that was made, or with the numbers if it is none of them."""
    if _same(got, right):
        return
    for slip, message in slips:
        expect(_same(slip, right) or not _same(got, slip), message)
    expect(False, f"got {got:.5g}, needs {right:.5g}")
