"""Checkers of chapter 7: right answers pass, each typical slip gets its own sentence, garbage gets one line."""

import pytest
import torch
from checkers import names_the_slip, passes

from gan_utils.exercises import chapter_07 as check


def earth(p, q, x, *, gaps=True, absolute=True, running=True):
    moved = (p - q).cumsum(0)[:-1] if running else (p - q)[:-1]
    moved = moved.abs() if absolute else moved
    return (moved * x.diff()).sum() if gaps else moved.sum()


def penalty(D, real, fake, epsilon, *, share=None, score=torch.sum, norm=None, excess=None, graph=True):
    share = epsilon.view(-1, 1, 1, 1) if share is None else share(epsilon)
    mix = (share * real + (1 - share) * fake).requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(D(mix)), mix, create_graph=graph)
    slope = (norm or (lambda g: g.flatten(1).norm(dim=1)))(gradient)
    return (excess or (lambda s: (s - 1).square().mean()))(slope)


def objective(real, fake, slopes, lam, *, gap=1.0, sign=1.0, excess=None):
    each = (slopes - 1).square().mean() if excess is None else excess(slopes)
    return gap * (fake.mean() - real.mean()) + sign * lam * each


def slope(d, lam):
    return 1 + d / (2 * lam)


def with_(answer, **change):
    return lambda *given: answer(*given, **change)


RIGHT = [
    (check.earth, earth),
    (check.earth, lambda p, q, x: float(earth(q, p, x))),  # W1 is symmetric, and a plain number will do
    (check.penalty, penalty),
    (check.penalty, with_(penalty, norm=lambda g: (g.flatten(1).square().sum(1) + 1e-12).sqrt())),
    (check.objective, objective),
    (check.best_slope, lambda d, lam: (slope(d, lam), slope(d, lam) * d)),
    (check.best_slope, lambda d, lam: torch.tensor([slope(d, lam), slope(d, lam) * d])),
]

SLIPS = [
    (check.earth, with_(earth, gaps=False), "the gaps are not used"),
    (check.earth, with_(earth, absolute=False), "pay back"),
    (check.earth, with_(earth, running=False), "sum up first"),
    (check.earth, lambda p, q, x: (p - q).abs().sum() / 2, "total variation"),
    (check.earth, lambda p, q, x: earth(p, q, x) / len(p), "mean over the places"),
    (check.earth, lambda p, q, x: ((p - q).cumsum(0)[:-1].square() * x.diff()).sum(), "no squares"),
    (check.earth, lambda p, q, x: (p - q).cumsum(0)[:-1].abs() * x.diff(), "tensor of shape"),
    (check.earth, lambda p, q, x: 1.0, "needs"),
    (check.penalty, with_(penalty, score=torch.mean), "n times too small"),
    (check.penalty, with_(penalty, norm=torch.Tensor.norm), "one norm over the whole batch"),
    (check.penalty, with_(penalty, norm=lambda g: g.norm(dim=1)), "flatten(1) first"),
    (check.penalty, with_(penalty, norm=lambda g: g.flatten(1).square().sum(1)), "the root is missing"),
    (check.penalty, with_(penalty, share=lambda e: 1 - e.view(-1, 1, 1, 1)), "belongs to real"),
    (check.penalty, with_(penalty, share=lambda e: torch.ones(1)), "on real points"),
    (check.penalty, with_(penalty, share=lambda e: torch.zeros(1)), "on fakes"),
    (check.penalty, with_(penalty, share=lambda e: e[0]), "one epsilon for all"),
    (check.penalty, with_(penalty, share=lambda e: e if len(e) == 28 else e.view(-1, 1, 1, 1)), "mixes *columns*"),
    (check.penalty, with_(penalty, share=lambda e: e), "RuntimeError"),
    (check.penalty, with_(penalty, excess=lambda s: s.square().mean()), "towards 0"),
    (check.penalty, with_(penalty, excess=lambda s: (s - 1).mean()), "square is missing"),
    (check.penalty, with_(penalty, excess=lambda s: (s - 1).square().sum()), "take the mean"),
    (check.penalty, with_(penalty, excess=lambda s: (s - 1).clamp(min=0).square().mean()), "one-sided"),
    (check.penalty, with_(penalty, graph=False), "create_graph=True"),
    (check.penalty, lambda *given: penalty(*given).item(), "create_graph=True, and return the tensor"),
    (check.penalty, with_(penalty, norm=lambda g: g.flatten(1).square().sum(1).sqrt()), "NaN"),
    (check.objective, with_(objective, gap=-1.0), "swapped"),
    (check.objective, with_(objective, sign=-1.0), "wrong sign"),
    (check.objective, with_(objective, gap=-1.0, sign=-1.0), "both signs"),
    (check.objective, with_(objective, sign=0.0), "penalty is missing"),
    (check.objective, with_(objective, gap=0.0), "scores are missing"),
    (check.objective, lambda r, f, s, lam: objective(r, f, s, 1.0), "lambda is not used"),
    (check.objective, with_(objective, sign=0.5), "convention of R1"),
    (check.objective, with_(objective, excess=lambda s: s.square().mean()), "subtract 1"),
    (check.objective, with_(objective, excess=lambda s: (s.mean() - 1).square()), "each excess first"),
    (check.objective, with_(objective, excess=lambda s: (s - 1).square().sum()), "sum over the batch"),
    (check.objective, lambda r, f, s, lam: f - r, "tensor of shape"),
    (check.best_slope, lambda d, lam: (1.0, d), "1 is best only"),
    (check.best_slope, lambda d, lam: (1 + d / lam, d), "factor of 2"),
    (check.best_slope, lambda d, lam: (1 - d / (2 * lam), d), "the sign"),
    (check.best_slope, lambda d, lam: (d / (2 * lam), d), "pulls to 1, not to 0"),
    (check.best_slope, lambda d, lam: (1 + lam / (2 * d), d), "turned round"),
    (check.best_slope, lambda d, lam: (slope(d, lam), d), "true W1"),
    (check.best_slope, lambda d, lam: (slope(d, lam), d + d * d / (4 * lam)), "penalised value"),
    (check.best_slope, lambda d, lam: (slope(d, lam) * d, slope(d, lam)), "the order"),
    (check.best_slope, lambda d, lam: slope(d, lam), "two numbers"),
]


@pytest.mark.parametrize("checker, answer", RIGHT)
def test_right_answers_pass(checker, answer, capsys):
    passes(checker, answer, capsys)


@pytest.mark.parametrize("checker, answer, sentence", SLIPS)
def test_each_slip_is_named(checker, answer, sentence, capsys):
    names_the_slip(checker, answer, [sentence], capsys)
