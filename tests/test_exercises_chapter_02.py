"""The checkers of chapter 2: right answers pass, each typical slip gets its own sentence, garbage gets one line."""

import math

import pytest
import torch
import torch.nn.functional as F

from gan_utils.exercises import chapter_02 as check

bce = F.binary_cross_entropy_with_logits


def right_d_loss(r, f):
    return F.softplus(-r).mean() + F.softplus(f).mean()


def right_g_step(G, D, opt_g, z, *, label=1.0, clear=True, step=True, cut=False, keep=lambda loss: loss.item()):
    fake = G(z).detach() if cut else G(z)
    logits = D(fake)
    loss = bce(logits, torch.full_like(logits, label))
    if clear:
        opt_g.zero_grad()
    loss.backward()
    if step:
        opt_g.step()
    return keep(loss)


def moves_d(G, D, opt_g, z):
    loss = right_g_step(G, D, opt_g, z)
    with torch.no_grad():
        next(D.parameters()).add_(1)
    return loss


def slips_g(**kwargs):
    return lambda G, D, opt_g, z: right_g_step(G, D, opt_g, z, **kwargs)


def w1(x, y, *, power=1, spread=torch.Tensor.repeat_interleave):
    return float((x.sort()[0] - spread(y.sort()[0], len(x) // len(y))).abs().pow(power).mean())


def kurtosis(w):
    return -1.2 * float((w**4).sum() / (w**2).sum() ** 2)


def q(u):
    return torch.special.ndtri(u)


def gradient(D, x, *, total=torch.Tensor.sum, graph=True):
    x = x.requires_grad_()
    return torch.autograd.grad(total(D(x)), x, create_graph=graph)[0]


def r1(D, x, **kwargs):
    return gradient(D, x, **kwargs).square().sum(1).mean()


RIGHT = [
    (check.d_loss, right_d_loss),
    (check.d_loss, lambda r, f: bce(r, torch.ones_like(r)) + bce(f, torch.zeros_like(f))),
    (check.d_loss, lambda r, f: -F.logsigmoid(r).mean() - F.logsigmoid(-f).mean()),
    (check.g_step, right_g_step),
    (check.g_step, slips_g(keep=lambda loss: loss.detach())),
    (check.sorted_w1, w1),
    (check.sorted_w1, lambda x, y: torch.tensor(w1(x, y))),
    (check.weighted_kurtosis, kurtosis),
    (check.exact_map, lambda u, mean, std: mean + std * q(u)),
    (check.exact_map, lambda u, mean, std: mean - std * q(u)),
    (check.exact_map, lambda u, mean, std: mean + std * math.sqrt(2) * torch.erfinv(2 * u - 1)),
    (check.slope_penalty, r1),
]

SLIPS = [
    (check.d_loss, lambda r, f: right_d_loss(f, r), "real and fake are swapped"),
    (check.d_loss, lambda r, f: -right_d_loss(r, f), "to be maximised"),
    (check.d_loss, lambda r, f: right_d_loss(r, f) / 2, "half of it"),
    (check.d_loss, lambda r, f: right_d_loss(r, f) * len(r), "sum over the batch"),
    (check.d_loss, lambda r, f: F.softplus(-r).mean(), "the fakes are missing"),
    (check.d_loss, lambda r, f: F.softplus(f).mean(), "the real samples are missing"),
    (check.d_loss, lambda r, f: F.softplus(r).mean() + F.softplus(f).mean(), "the real term is turned"),
    (check.d_loss, lambda r, f: F.softplus(-r).mean() + F.softplus(-f).mean(), "both carry the label 1"),
    (check.d_loss, lambda r, f: F.softplus(r).mean() + F.softplus(-f).mean(), "swapped"),
    (check.d_loss, lambda r, f: f.mean() - r.mean(), "logits alone"),
    (check.d_loss, lambda r, f: right_d_loss(r, f).detach(), "the graph is cut"),
    (check.d_loss, lambda r, f: right_d_loss(r, f).item(), "got float"),
    (check.d_loss, lambda r, f: -r.sigmoid().log().mean() - (1 - f.sigmoid()).log().mean(), "logits of 200"),
    (check.d_loss, lambda r, f: -(r.sigmoid() + 1e-8).log().mean() - (1 - f.sigmoid() + 1e-8).log().mean(),
     "logits of 200"),
    (check.d_loss, lambda r, f: torch.tensor(1.386, requires_grad=True), "needs"),
    (check.d_loss, lambda r, f: F.softplus(-r) + F.softplus(f), "take a mean"),
    (check.g_step, slips_g(label=0.0, clear=False), "two slips are left"),
    (check.g_step, slips_g(label=0.0), "the label is still 0"),
    (check.g_step, slips_g(clear=False), "old gradients were added"),
    (check.g_step, slips_g(keep=lambda loss: loss.item), "brackets"),
    (check.g_step, slips_g(keep=lambda loss: loss), "brings its graph"),
    (check.g_step, slips_g(keep=lambda loss: None), "nothing came back"),
    (check.g_step, slips_g(keep=lambda loss: 0.693), "the number is off"),
    (check.g_step, slips_g(step=False), "G did not move"),
    (check.g_step, moves_d, "D's weights changed"),
    (check.g_step, lambda G, D, opt_g, z: opt_g.step(), "old gradients alone"),
    (check.g_step, slips_g(label=0.5), "not by one step"),
    (check.sorted_w1, lambda x, y: float((x - y.repeat(len(x) // len(y))).abs().mean()), "nothing was sorted"),
    (check.sorted_w1, lambda x, y: w1(x, y, spread=torch.Tensor.repeat), "repeat_interleave, not repeat"),
    (check.sorted_w1, lambda x, y: abs(float(x.mean() - y.mean())), "compares the means"),
    (check.sorted_w1, lambda x, y: w1(x, y, power=2), "takes abs()"),
    (check.sorted_w1, lambda x, y: math.sqrt(w1(x, y, power=2)), "Wasserstein-2"),
    (check.sorted_w1, lambda x, y: w1(x, y) * len(x), "that is the sum"),
    (check.sorted_w1, lambda x, y: float((x.sort()[0][: len(y)] - y.sort()[0]).abs().mean()), "only the smallest"),
    (check.sorted_w1, lambda x, y: float((x.sort()[0][:: len(x) // len(y)] - y.sort()[0]).abs().mean()), "every k-th"),
    (check.sorted_w1, lambda x, y: w1(x.sort_() if hasattr(x, "sort_") else x.copy_(x.sort()[0]), y), "were changed"),
    (check.weighted_kurtosis, lambda w: -kurtosis(w), "the sign is off"),
    (check.weighted_kurtosis, lambda w: kurtosis(w) + 3, "the whole kurtosis"),
    (check.weighted_kurtosis, lambda w: -1.2 / len(w), "equal weights"),
    (check.weighted_kurtosis, lambda w: -1.2, "one uniform alone"),
    (check.weighted_kurtosis, lambda w: -1.2 * float((w**4).sum() / (w**2).sum()), "*square* of the variance"),
    (check.weighted_kurtosis, lambda w: -1.2 * float((w**2).sum() / w.sum() ** 2), "one power too low"),
    (check.weighted_kurtosis, lambda w: kurtosis(w) / -1.2, "is missing"),
    (check.weighted_kurtosis, lambda w: kurtosis(w) / -1.2 * 1.8 - 3, "in place of 1.8"),
    (check.exact_map, lambda u, mean, std: q(u), "not used"),
    (check.exact_map, lambda u, mean, std: std * q(u), "the mean is missing"),
    (check.exact_map, lambda u, mean, std: mean + q(u), "the width is missing"),
    (check.exact_map, lambda u, mean, std: std + mean * q(u), "swapped"),
    (check.exact_map, lambda u, mean, std: mean + std**2 * q(u), "variance"),
    (check.exact_map, lambda u, mean, std: mean + std**0.5 * q(u), "no root"),
    (check.exact_map, lambda u, mean, std: mean + std * u, "still uniform"),
    (check.exact_map, lambda u, mean, std: mean + std * torch.special.ndtr(u), "its inverse is ndtri"),
    (check.exact_map, lambda u, mean, std: mean + std * torch.erfinv(2 * u - 1), "sqrt(2)"),
    (check.exact_map, lambda u, mean, std: std * (q(u) + mean), "multiplied by std"),
    (check.exact_map, lambda u, mean, std: torch.full_like(u, mean), "not the map"),
    (check.slope_penalty, lambda D, x: gradient(D, x).norm(dim=1).mean(), "square it"),
    (check.slope_penalty, lambda D, x: r1(D, x) / 2, "1/2 inside"),
    (check.slope_penalty, lambda D, x: r1(D, x) * len(x), "sum over the batch"),
    (check.slope_penalty, lambda D, x: r1(D, x, total=torch.Tensor.mean), "D(x).sum()"),
    (check.slope_penalty, lambda D, x: gradient(D, x).square().mean(), "sum the squares"),
    (check.slope_penalty, lambda D, x: (gradient(D, x).norm(dim=1) - 1).square().mean(), "WGAN-GP"),
    (check.slope_penalty, lambda D, x: gradient(D, x).norm(), "whole batch"),
    (check.slope_penalty, lambda D, x: r1(D, x, graph=False), "cannot learn from it"),
    (check.slope_penalty, lambda D, x: torch.tensor(49.0, requires_grad=True), "needs"),
]

CHECKERS = [check.d_loss, check.g_step, check.sorted_w1, check.weighted_kurtosis, check.exact_map, check.slope_penalty]
GARBAGE = [None, "five", [1.0], True, torch.zeros(3, 2), torch.tensor(float("nan")), float("inf"), lambda: 1]


@pytest.mark.parametrize(("checker", "answer"), RIGHT)
def test_a_right_answer_passes(checker, answer, capsys):
    checker(answer)
    assert capsys.readouterr().out.startswith("✓")


@pytest.mark.parametrize(("checker", "answer", "sentence"), SLIPS)
def test_each_typical_slip_is_named(checker, answer, sentence, capsys):
    checker(answer)
    out = capsys.readouterr().out
    assert out.startswith("✗") and sentence in out and out.count("\n") == 1


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_garbage_gets_one_line(checker, garbage, capsys):
    checker(lambda *_: garbage)
    out = capsys.readouterr().out
    assert out.startswith("✗") and out.count("\n") == 1


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_raising_or_missing_answer_gets_one_line(checker, capsys):
    def breaks(*_):
        raise RuntimeError("first\nsecond")

    def stub(*_):
        raise NotImplementedError

    for answer, sign in ((breaks, "✗"), (None, "✗"), (7, "✗"), (stub, "·")):
        checker(answer)
        out = capsys.readouterr().out
        assert out.startswith(sign) and out.count("\n") == 1
