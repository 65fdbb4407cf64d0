"""The checkers of chapter 11: right answers pass, each typical slip gets its own sentence."""

import pytest
import torch
from checkers import names_the_slip, passes

from gan_utils.exercises import chapter_11 as check


def flops(n, c, d, k, s):
    return 2 * n * c * d * k**2 * s**2


def average(gradients, sizes):
    return sum(n * g for g, n in zip(gradients, sizes, strict=True)) / sum(sizes)


def joined(means, variances):
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)


def with_variance(of):
    return lambda m, v: (m.mean(0), of(m, v))


def traffic(n, r):
    return 2 * (r - 1) * n / r


def speed_up(share, ranks):
    return 1 / (1 - share + share / ranks)


RIGHT = [
    (check.flops, flops),
    (check.flops, lambda n, c, d, k, s: torch.tensor(2.0 * n * c * d * k * k * s * s)),
    (check.average, average),
    (check.average, lambda g, n: torch.stack(g).T @ torch.tensor(n).double() / sum(n)),
    (check.statistics, joined),
    (check.statistics, lambda m, v: [m.mean(0), (v + m**2).mean(0) - m.mean(0) ** 2]),
    (check.traffic, traffic),
    (check.speed_up, speed_up),
]

SLIPS = [
    (check.flops, lambda *a: flops(*a) / 2, "the 2 is missing"),
    (check.flops, lambda n, c, d, k, s: flops(1, c, d, k, s), "batch is missing"),
    (check.flops, lambda n, c, d, k, s: flops(n, c, d, k, 1), "for one place"),
    (check.flops, lambda n, c, d, k, s: flops(n, c, d, k, s) / s, "places, not side"),
    (check.flops, lambda n, c, d, k, s: flops(n, c, d, k, s) / k, "not k"),
    (check.flops, lambda n, c, d, k, s: flops(n, c, d, 1, s), "kernel is missing"),
    (check.flops, lambda n, c, d, k, s: flops(n, 1, d, k, s), "c_in is missing"),
    (check.flops, lambda n, c, d, k, s: flops(n, c, 1, k, s), "c_out is missing"),
    (check.flops, lambda *a: 3 * flops(*a), "the forward pass alone"),
    (check.flops, lambda *a: 2.0, "you get"),
    (check.average, lambda g, n: sum(g) / len(g), "only for equal parts"),
    (check.average, lambda g, n: sum(g), "that is the sum"),
    (check.average, lambda g, n: average(g, n) * sum(n), "size of the whole batch"),
    (check.average, lambda g, n: average(g, n) * sum(n) / len(n), "not by the number of ranks"),
    (check.average, lambda g, n: average(g, [1 / k for k in n]), "counts more, not less"),
    (check.average, lambda g, n: sum(g) / sum(n), "multiply by the part's size"),
    (check.average, lambda g, n: g[0], "the others are lost"),
    (check.average, lambda g, n: -average(g, n), "sign is turned"),
    (check.average, lambda g, n: average(g, n).mean(), "needs that of one gradient"),
    (check.average, lambda g, n: average(g, n).tolist(), "needs a tensor"),
    (check.average, lambda g, n: torch.zeros(6), "off by"),
    (check.statistics, lambda m, v: (m.sum(0), v.mean(0)), "divide by their number"),
    (check.statistics, lambda m, v: (m[0], v.mean(0)), "the mean is that of"),
    (check.statistics, with_variance(lambda m, v: v.mean(0)), "means differ too"),
    (check.statistics, with_variance(lambda m, v: m.var(0, correction=0)), "between the ranks alone"),
    (check.statistics, with_variance(lambda m, v: v.mean(0) + m.var(0)), "not by one less"),
    (check.statistics, with_variance(lambda m, v: v.mean(0) - m.var(0, correction=0)), "the two add"),
    (check.statistics, with_variance(lambda m, v: v.sqrt().mean(0) ** 2), "not standard deviations"),
    (check.statistics, with_variance(lambda m, v: (v + m**2).mean(0)), "take the square of the joint mean away"),
    (check.statistics, with_variance(lambda m, v: joined(m, v)[1].sqrt()), "that is the standard deviation"),
    (check.statistics, with_variance(lambda m, v: v.sum(0) + m.var(0, correction=0)), "averaged, not summed"),
    (check.statistics, with_variance(lambda m, v: m.mean(0)), "the mean twice"),
    (check.statistics, with_variance(lambda m, v: torch.ones(m.shape[1])), "variance is off"),
    (check.statistics, with_variance(lambda m, v: v.mean()), "the variance has shape"),
    (check.statistics, lambda m, v: v.mean(0), "return two tensors"),
    (check.traffic, lambda n, r: traffic(n, r) / 2, "go round once more"),
    (check.traffic, lambda n, r: 2 * (r - 1) * n, "one piece"),
    (check.traffic, lambda n, r: (r - 1) * n, "to everybody"),
    (check.traffic, lambda n, r: traffic(n, r) * r, "one rank is asked for"),
    (check.traffic, lambda n, r: 2 * n, "done already"),
    (check.traffic, lambda n, r: n / r, "that is one message"),
    (check.traffic, lambda n, r: 2 * (r - 1), "counts messages"),
    (check.traffic, lambda n, r: 1000.0, "expected"),
    (check.speed_up, lambda s, r: 1 / speed_up(s, r), "the time that is left"),
    (check.speed_up, lambda s, r: r, "everything were divided"),
    (check.speed_up, lambda s, r: s * r, "times add up"),
    (check.speed_up, lambda s, r: 1 - s + s * r, "times add up"),
    (check.speed_up, lambda s, r: speed_up(1 - s, r), "swapped"),
    (check.speed_up, lambda s, r: 1 / (1 - s), "the limit"),
    (check.speed_up, lambda s, r: speed_up(s, r) - 1, "ratio of the times"),
    (check.speed_up, lambda s, r: 4.0, "expected"),
    (check.speed_up, lambda s, r: float("inf"), "finite"),
]


@pytest.mark.parametrize("checker, answer", RIGHT)
def test_right_answers_pass(checker, answer, capsys):
    passes(checker, answer, capsys)


@pytest.mark.parametrize("checker, answer, sentence", SLIPS)
def test_each_slip_is_named(checker, answer, sentence, capsys):
    names_the_slip(checker, answer, [sentence], capsys)
