"""Checkers of chapter 11: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..runtime import seeded
from . import checker, expect, number


@checker
def flops(answer: Callable[[int, int, int, int, int], float]) -> str:
    """`flops(n, c_in, c_out, k, side)`: of a k x k convolution of n images whose output is side x side."""
    for n, c_in, c_out, k, side in ((64, 3, 12, 4, 14), (7, 5, 2, 3, 9), (128, 16, 32, 5, 7), (1, 1, 1, 1, 1)):
        got = _finite(answer(n, c_in, c_out, k, side))
        products = n * c_in * c_out * k**2 * side**2
        if n > 1:
            for slip, message in (
                (products, "a product and an addition are two operations: the 2 is missing"),
                (2 * products / n, "that is for one image: the batch is missing"),
                (2 * products / side**2, "that is for one place: the output has side * side of them"),
                (2 * products / side, "the output has side * side places, not side"),
                (2 * products / k, "the kernel has k * k weights a pair of channels, not k"),
                (2 * products / k**2, "the kernel is missing: k * k products for each pair of channels"),
                (2 * products / c_in, "each output sums over all input channels: c_in is missing"),
                (2 * products / c_out, "there is a map for each output channel: c_out is missing"),
                (6 * products, "that is forward and backward together: the forward pass alone is asked for"),
                (4 * products, "that is the backward pass: forward is half of it"),
            ):
                expect(not _near(got, slip), message)
        where = f"for n {n}, {c_in} to {c_out} channels, k {k}, side {side}"
        expect(_near(got, 2 * products), f"{where} you get {got:.6g}, expected {2 * products}")
    return "Right: two operations for each weight at each place, for each image."


@checker
def average(answer: Callable[[Sequence[Tensor], Sequence[int]], Tensor]) -> str:
    """`average(gradients, sizes)`: the gradient of the mean over the whole batch, from those of the parts' means."""
    g = seeded(112)
    for sizes in ([22, 21, 21], [5, 59], [3, 9, 1, 7], [8, 8]):
        gradients = [torch.randn(6, generator=g, dtype=torch.float64) for _ in sizes]
        got = answer([gradient.clone() for gradient in gradients], list(sizes))
        expect(got is not None, "nothing came back: does your function end in return?")
        expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
        expect(got.shape == (6,), f"got shape {tuple(got.shape)}, needs that of one gradient, (6,)")
        stacked, n = torch.stack(gradients), torch.tensor(sizes, dtype=torch.float64)
        want = (n[:, None] * stacked).sum(0) / n.sum()
        if len(set(sizes)) > 1:
            for slip, message in (
                (stacked.mean(0), "a mean of means is the mean only for equal parts: weight each by its size"),
                (stacked.sum(0), "that is the sum: the step would grow with the number of ranks"),
                ((n[:, None] * stacked).sum(0), "divide by the size of the whole batch"),
                ((n[:, None] * stacked).mean(0), "divide by the size of the whole batch, not by the number of ranks"),
                ((stacked / n[:, None]).sum(0) / (1 / n).sum(), "the larger part counts more, not less"),
                (stacked.sum(0) / n.sum(), "each gradient is a mean over its part: multiply by the part's size first"),
                (stacked[0], "that is the first rank's own gradient: the others are lost"),
                (-want, "the sign is turned"),
            ):
                expect(not _close(got, slip), message)
        expect(_close(got, want), f"for parts of {sizes} the result is off by {float((got - want).abs().max()):.3g}")
    return "Right: a sum over all samples, divided by their number; with equal parts, the plain mean."


@checker
def statistics(answer: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> str:
    """`statistics(means, variances)`, (ranks, channels) each: mean and variance of the joined batch, (channels,)."""
    g = seeded(113)
    for ranks, channels in ((2, 3), (4, 5), (8, 2)):
        x = torch.randn(ranks, 16, channels, generator=g, dtype=torch.float64)
        x = x * (1 + torch.rand(ranks, 1, channels, generator=g)) + 2 * torch.randn(ranks, 1, channels, generator=g)
        means, variances = x.mean(1), x.var(1, correction=0)
        got = answer(means.clone(), variances.clone())
        expect(got is not None, "nothing came back: does your function end in return?")
        pair = isinstance(got, (tuple, list)) and len(got) == 2 and all(isinstance(t, Tensor) for t in got)
        expect(pair, "return two tensors: the mean, and the variance")
        mean, var = got
        for name, t in (("mean", mean), ("variance", var)):
            expect(t.shape == (channels,), f"the {name} has shape {tuple(t.shape)}, needs ({channels},)")
        joined = x.flatten(0, 1)
        expect(not _close(mean, means.sum(0)), "the mean: you summed over the ranks, divide by their number")
        expect(_close(mean, joined.mean(0)), "the mean is that of the ranks' means, channel by channel")
        between, within = means.var(0, correction=0), variances.mean(0)
        for slip, message in (
            (within, "the ranks' means differ too: add the variance between them"),
            (between, "that is the variance between the ranks alone: add the mean of their own"),
            (within + means.var(0), "between the ranks divide by their number, not by one less"),
            (within - between, "the two add: what a rank's own mean hides is missing from its variance"),
            (variances.sqrt().mean(0).square(), "average variances, not standard deviations"),
            (within + means.square().mean(0), "take the square of the joint mean away again"),
            ((within + between).sqrt(), "that is the standard deviation"),
            (variances.sum(0) + between, "the ranks' own variances are averaged, not summed"),
            (mean, "that is the mean twice"),
        ):
            expect(not _close(var, slip), message)
        expect(_close(var, joined.var(0, correction=0)), "the variance is off: E[x^2] of all, less the mean squared")
    return "Right: the mean of the variances and the variance of the means. Two numbers a channel do for any batch."


@checker
def traffic(answer: Callable[[int, int], float]) -> str:
    """`traffic(numbers, ranks)`: how many numbers one rank sends in a ring all-reduce."""
    for numbers, ranks in ((840, 7), (840, 4), (1_000_000, 8), (4500, 3), (1000, 2)):
        got = _finite(answer(numbers, ranks))
        want, n = 2 * (ranks - 1) / ranks * numbers, numbers
        if ranks > 2:
            for slip, message in (
                (want / 2, "that is one round: after the sums are made they go round once more"),
                (2 * (ranks - 1) * n, "a message is one piece, numbers / ranks, and one rank is asked for"),
                ((ranks - 1) * n, "that is sending the whole to everybody: in a ring one piece goes to one neighbour"),
                (2 * n, "a rank sends ranks - 1 pieces a round: its last one is done already"),
                (2 * (ranks - 1), "that counts messages: each holds numbers / ranks"),
                (n / ranks, "that is one message: count all of them"),
                (2 * n / ranks, "that is two messages: each round has ranks - 1 of them"),
                (2 * ranks * n, "each message is one piece, numbers / ranks, and ranks - 1 of them make a round"),
            ):
                expect(not _near(got, slip), message)
        expect(_near(got, want), f"for {numbers} numbers and {ranks} ranks you get {got:.6g}, expected {want:.6g}")
    return "Right: less than twice the gradient, however many ranks there are."


@checker
def speed_up(answer: Callable[[float, int], float]) -> str:
    """`speed_up(share, ranks)`: if `share` of a step is divided among the ranks and the rest is not (Amdahl's law)."""
    for share, ranks in ((0.9, 8), (0.5, 2), (0.25, 100), (0.99, 64), (0.6, 5)):
        got = _finite(answer(share, ranks))
        time = 1 - share + share / ranks
        if share != 0.5:
            for slip, message in (
                (time, "that is the time that is left: the speed-up is one over it"),
                (ranks, "that would be so if everything were divided"),
                (share * ranks, "times add up, not speeds: write down the new time first"),
                (1 - share + share * ranks, "times add up, not speeds: write down the new time first"),
                (1 / (share + (1 - share) / ranks), "the two shares are swapped: `share` is what is divided"),
                (1 / (1 - share), "that is the limit for ever more ranks"),
                (ranks / share, "the part that is not divided stays: 1 - share"),
                (1 / time - 1, "that is the gain above 1: return the ratio of the times"),
            ):
                expect(not _near(got, slip), message)
        expect(_near(got, 1 / time), f"for share {share} and {ranks} ranks you get {got:.4g}, expected {1 / time:.4g}")
    return "Right: what is not divided decides. With a tenth undivided, no number of ranks gives a tenfold speed."


def _finite(got: object) -> float:
    value = number(got)
    expect(math.isfinite(value), f"got {value}: it must be a finite number")
    return value


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-5, atol=1e-7)
