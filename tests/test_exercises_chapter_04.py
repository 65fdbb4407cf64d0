"""The checkers of chapter 4: right answers pass, each typical slip gets its own sentence, garbage gets one line."""

import pytest
import torch
import torch.nn.functional as F
from checkers import names_the_slip, passes

from gan_utils.exercises import chapter_04 as check


def right_d_step(G, D, opt_d, x, z, *, cut=True, late=False, swap=False, stale=False, sign=1.0, step=True):
    fake = G(z).detach() if cut else G(z)
    real_logits, fake_logits = (D(fake), D(x)) if swap else (D(x), D(fake))
    loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    if not stale:
        opt_d.zero_grad()
    (sign * loss).backward()
    if step:
        opt_d.step()
    if late:
        G.zero_grad()


def frozen_d_step(G, D, opt_d, x, z):
    G.requires_grad_(False)
    right_d_step(G, D, opt_d, x, z)


def moves_g(G, D, opt_d, x, z):
    right_d_step(G, D, opt_d, x, z)
    with torch.no_grad():
        next(G.parameters()).add_(1)


def average(slow, fast, decay, *, a=None, b=None, only=None):
    with torch.no_grad():
        for p, q in list(zip(slow.parameters(), fast.parameters(), strict=True))[:only]:
            p.copy_((decay if a is None else a) * p + (1 - decay if b is None else b) * q)


def average_by_data(slow, fast, decay):
    for p, q in zip(slow.parameters(), fast.parameters(), strict=True):
        p.data = decay * p.data + (1 - decay) * q.data


def average_new(slow, fast, decay):
    for layer, other in zip(slow, fast, strict=True):
        if hasattr(layer, "weight"):
            layer.weight = torch.nn.Parameter(decay * layer.weight + (1 - decay) * other.weight)


def average_wrong_way(slow, fast, decay):
    average(fast, slow, decay)


def lazy(step, gamma, every):
    return every * gamma / 2 if step % every == 0 else 0.0


def frechet(mean_a, var_a, mean_b, var_b):
    return float(((mean_a - mean_b) ** 2).sum() + ((var_a.sqrt() - var_b.sqrt()) ** 2).sum())


def count(sizes):
    return sum((a + 1) * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))


def weights(sizes):
    return sum(a * b for a, b in zip(sizes[:-1], sizes[1:], strict=True))


RIGHT = [
    (check.scale_bytes, lambda p: p.float() / 127.5 - 1),
    (check.scale_bytes, lambda p: p.float() / 255 * 2 - 1),
    (check.mlp_parameters, count),
    (check.tight_d_step, right_d_step),
    (check.lazy_weight, lazy),
    (check.lazy_weight, lambda step, gamma, every: lazy(step - 1, gamma, every)),  # the first step is due, too
    (check.average_weights, average),
    (check.average_weights, average_by_data),
    (check.frechet_diagonal, frechet),
    (check.frechet_diagonal, lambda *a: torch.tensor(frechet(*a))),
]

SLIPS = [
    (check.scale_bytes, lambda p: p / 255, "that is [0, 1]"),
    (check.scale_bytes, lambda p: p / 127.5, "the shift by -1"),
    (check.scale_bytes, lambda p: 1 - p / 127.5, "swapped"),
    (check.scale_bytes, lambda p: p / 128 - 1, "127.5"),
    (check.scale_bytes, lambda p: p - 127.5, "the scale is missing"),
    (check.scale_bytes, lambda p: 2 * p / 255 - 1, "overflows"),
    (check.scale_bytes, lambda p: p.double() / 127.5 - 1, "float64"),
    (check.scale_bytes, lambda p: p, "torch.uint8"),
    (check.scale_bytes, lambda p: p.float().view(-1, 1) / 127.5 - 1, "shape"),
    (check.scale_bytes, lambda p: torch.zeros(p.shape), "off by"),
    (check.scale_bytes, lambda p: p.float().div(127.5).sub(1) + 0 * p.zero_(), "were changed"),
    (check.mlp_parameters, weights, "biases are missing"),
    (check.mlp_parameters, lambda s: weights(s) + sum(s[:-1]), "not to each input"),
    (check.mlp_parameters, lambda s: weights(s) + sum(s), "the first size has no bias"),
    (check.mlp_parameters, sum, "adds the sizes"),
    (check.mlp_parameters, lambda s: weights(s) + len(s) - 1, "too few"),
    (check.mlp_parameters, lambda s: float(count(s)), "float"),
    (check.mlp_parameters, lambda s: 233985, "PyTorch counts"),
    (check.tight_d_step, lambda *a: right_d_step(*a, cut=False), "G's gradients are filled"),
    (check.tight_d_step, lambda *a: right_d_step(*a, cut=False, late=True), "then erased"),
    (check.tight_d_step, lambda *a: right_d_step(*a, swap=True), "real and fake are swapped"),
    (check.tight_d_step, lambda *a: right_d_step(*a, stale=True), "old gradients"),
    (check.tight_d_step, lambda *a: right_d_step(*a, sign=-1.0), "uphill"),
    (check.tight_d_step, lambda *a: right_d_step(*a, sign=2.0), "not by one step"),
    (check.tight_d_step, lambda *a: right_d_step(*a, step=False), "did not move"),
    (check.tight_d_step, frozen_d_step, "frozen"),
    (check.tight_d_step, moves_g, "G's weights changed"),
    (check.lazy_weight, lambda step, gamma, every: gamma / 2, "in every step"),
    (check.lazy_weight, lambda step, gamma, every: 0.0, "never taken"),
    (check.lazy_weight, lambda step, gamma, every: lazy(step, gamma, every) / every, "not made up for"),
    (check.lazy_weight, lambda step, gamma, every: 2 * lazy(step, gamma, every), "not halved"),
    (check.lazy_weight, lambda step, gamma, every: lazy(step, gamma, every) * every, "on average"),
    (check.lazy_weight, lambda step, gamma, every: (step % every != 0) * every * gamma / 2, "turn the condition"),
    (check.lazy_weight, lambda step, gamma, every: (step <= 4) * every * gamma / 2, "apart and alike"),
    (check.lazy_weight, lambda step, gamma, every: [gamma], "list"),
    (check.average_weights, lambda s, f, d: average(s, f, 1 - d), "belongs to the slow one"),
    (check.average_weights, lambda s, f, d: average(s, f, d, a=1), "not multiplied by decay"),
    (check.average_weights, lambda s, f, d: average(s, f, d, b=1), "not multiplied by 1 - decay"),
    (check.average_weights, lambda s, f, d: average(s, f, d, a=0, b=1), "copies the fast"),
    (check.average_weights, lambda s, f, d: average(s, f, 0.5), "off by"),
    (check.average_weights, lambda s, f, d: average(s, f, d, only=1), "all parameters"),
    (check.average_weights, average_new, "new tensors"),
    (check.average_weights, average_wrong_way, "the fast network changed"),
    (check.average_weights, lambda s, f, d: [d * p for p in s.parameters()], "did not change"),
    (check.frechet_diagonal, lambda m, v, n, w: ((m - n) ** 2).sum(), "spread is missing"),
    (check.frechet_diagonal, lambda m, v, n, w: ((v.sqrt() - w.sqrt()) ** 2).sum(), "means are missing"),
    (check.frechet_diagonal, lambda m, v, n, w: ((m - n) ** 2 + (v - w) ** 2).sum(), "roots"),
    (check.frechet_diagonal, lambda m, v, n, w: ((m - n) ** 2 + (v - w).abs()).sum(), "(sd - sd) squared"),
    (check.frechet_diagonal, lambda *a: frechet(*a) / len(a[0]), "mean over the features"),
    (check.frechet_diagonal, lambda *a: frechet(*a) ** 0.5, "is its root"),
    (check.frechet_diagonal, lambda *a: 1.0, "gan_utils"),
    (check.frechet_diagonal, lambda *a: -frechet(*a), "0 or more"),
    (check.frechet_diagonal, lambda m, v, n, w: (m - n) ** 2 * float("nan"), "is finite|needs one number"),
    (check.frechet_diagonal, lambda m, v, n, w: [1.0], "list"),
]


@pytest.mark.parametrize("checker, answer", RIGHT)
def test_right_answers_pass(checker, answer, capsys):
    passes(checker, answer, capsys)


@pytest.mark.parametrize("checker, answer, sentence", SLIPS)
def test_each_slip_is_named(checker, answer, sentence, capsys):
    names_the_slip(checker, answer, sentence.split("|"), capsys)
