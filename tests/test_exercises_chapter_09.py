"""The checkers of chapter 9: right answers pass, and each typical slip gets its own sentence."""

import pytest
import torch
from checkers import names_the_slip, passes

from gan_utils import control
from gan_utils.exercises import chapter_09 as check


def ascend(z, score, steps, lr, *, sign=1.0, pile=False, mean=False, first=False, copy=True):
    moved = z.clone() if copy else z
    total = torch.zeros_like(z)
    for _ in range(1 if first else steps):
        leaf = moved.detach().clone().requires_grad_(True)
        value = score(leaf)
        (gradient,) = torch.autograd.grad(value.mean() if mean else value.sum(), leaf)
        total = total + gradient if pile else gradient
        moved += sign * lr * total
    return moved


def part(u, v):
    return (u @ v) / (v @ v) * v


RIGHT = {
    "slerp": [control.slerp],
    "ascend": [ascend],
    "hold": [lambda u, v: u - part(u, v), lambda u, v: control.without(u, v[None])],
    "success": [lambda b, a, w: (a[b != w] == w).double().mean(),
                lambda b, a, w: float((a == w)[b != w].float().mean())],
}
WRONG = [
    ("slerp", control.lerp, "straight line"),
    ("slerp", lambda a, b, t: control.slerp(b, a, t), "swapped"),
    ("slerp", lambda a, b, t: control.slerp(a / a.norm(), b / b.norm(), t), "length 1"),
    ("slerp", lambda a, b, t: control.lerp(a.norm(), b.norm(), t) * control.lerp(a, b, t)
     / control.lerp(a, b, t).norm(), "a line was stretched"),
    ("slerp", lambda a, b, t: a, "off"),
    ("ascend", lambda z, s, n, lr: ascend(z, s, n, lr, pile=True), "clear them"),
    ("ascend", lambda z, s, n, lr: ascend(z, s, n, lr, sign=-1.0), "went down"),
    ("ascend", lambda z, s, n, lr: ascend(z, s, n, lr, mean=True), "do not average"),
    ("ascend", lambda z, s, n, lr: ascend(z, s, n, lr, first=True), "single step"),
    ("ascend", lambda z, s, n, lr: ascend(z, s, n, lr, copy=False), "start from a copy"),
    ("ascend", lambda z, s, n, lr: z, "did not move"),
    ("hold", lambda u, v: u, "nothing was taken out"),
    ("hold", lambda u, v: u - (u @ v) * v, "not of length 1"),
    ("hold", lambda u, v: u - (u @ v) / v.norm() * v, "twice"),
    ("hold", part, "part along other"),
    ("hold", lambda u, v: u + part(u, v), "was added"),
    ("hold", lambda u, v: v - part(v, u), "swapped"),
    ("hold", lambda u, v: torch.nn.functional.normalize(u - part(u, v), dim=0), "brought to length 1"),
    ("hold", lambda u, v: u - v, "subtracts the whole"),
    ("success", lambda b, a, w: (a == w).double().mean(), "before count as successes"),
    ("success", lambda b, a, w: (a[b == w] == w).double().mean(), "needed no change"),
    ("success", lambda b, a, w: (a != b).double().mean(), "not yet the change wanted"),
    ("success", lambda b, a, w: ((a == w) & (b != w)).double().mean(), "divide by the codes"),
    ("success", lambda b, a, w: ((a == w) & (b != w)).sum(), "a count"),
    ("success", lambda b, a, w: 100 * (a[b != w] == w).double().mean(), "per cent"),
    ("success", lambda b, a, w: 1 - (a[b != w] == w).double().mean(), "share of failures"),
    ("success", lambda b, a, w: 0.123, "expected"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_pass(name, capsys):
    for answer in RIGHT[name]:
        passes(getattr(check, name), answer, capsys)


@pytest.mark.parametrize("name, answer, words", WRONG)
def test_each_slip_gets_its_own_line(name, answer, words, capsys):
    names_the_slip(getattr(check, name), answer, [words], capsys)
