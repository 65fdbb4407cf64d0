"""Checkers of chapter 9: each tries several random inputs and knows the usual slips by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..control import lerp, without
from ..control import slerp as slerp_of
from ..runtime import seeded
from . import checker, expect, number


@checker
def slerp(answer: Callable[[Tensor, Tensor, float], Tensor]) -> str:
    """`slerp(a, b, t)`: on the arc from a to b, (d,) each, the length changing evenly."""
    g = seeded(91)
    for d, t in ((3, 0.5), (32, 0.2), (64, 0.9)):
        a, b = torch.randn(2, d, generator=g, dtype=torch.float64)
        b = 1.7 * b
        got, want = _tensor(answer(a.clone(), b.clone(), t), (d,)), slerp_of(a, b, t)
        p, q = a.norm(), b.norm()
        unit = slerp_of(a / p, b / q, t)
        cosine_as_angle = (a @ b / p / q).clamp(-1, 1)
        bent = (((1 - t) * cosine_as_angle).sin() * a + (t * cosine_as_angle).sin() * b) / cosine_as_angle.sin()
        angle = cosine_as_angle.acos()
        plain = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
        _refuse(got, (
            (lerp(a, b, t), "that is the straight line: its middle is too short"),
            (slerp_of(b, a, t), "the ends are swapped: t = 0 must give a"),
            (unit, "that has length 1: give it the length between |a| and |b|"),
            (bent, "the angle is the acos of the cosine"),
            (plain, "the directions must be mixed from a / |a| and b / |b|, and the length evenly, or it bends"),
            (((1 - t) * p + t * q) * lerp(a, b, t) / lerp(a, b, t).norm(),
             "right length, but the angle does not turn evenly: a line was stretched"),
        ), want)
        expect(_near(got, want), f"at t = {t} in {d} dimensions your code is {float((got - want).norm()):.3g} off")
    return "Right: angle and length both change evenly."


@checker
def ascend(answer: Callable[[Tensor, Callable[[Tensor], Tensor], int, float], Tensor]) -> str:
    """`ascend(z, score, steps, lr)`: plain gradient ascent of score(z) on z itself, (n, d); score is (n,)."""
    g = seeded(92)
    for n, d, steps, lr in ((4, 5, 10, 0.1), (1, 8, 3, 0.5), (6, 3, 7, 0.02)):
        z, centre = torch.randn(2, n, d, generator=g, dtype=torch.float64)

        def score(z: Tensor, centre: Tensor = centre) -> Tensor:
            return -(z - centre).square().sum(dim=1)

        given = z.clone()
        got = _tensor(answer(given, score, steps, lr), (n, d))
        expect(torch.equal(given, z), "the codes that came in were changed: start from a copy, z.clone()")
        want = centre + (z - centre) * (1 - 2 * lr) ** steps
        _refuse(got, (
            (_piled(z, centre, steps, lr), "the gradients of all steps before were added up: clear them at each step"),
            (centre + (z - centre) * (1 + 2 * lr) ** steps, "you went down: add the gradient"),
            (centre + (z - centre) * (1 - 2 * lr), "that is a single step"),
            (centre + (z - centre) * (1 - 2 * lr / n) ** steps, "sum the scores, do not average: rows are separate"),
            (z, "the codes did not move"),
        ), want)
        expect(_near(got, want), f"after {steps} steps your codes are {float((got - want).norm()):.3g} off")
    return "Right: every step follows its own gradient, and only the codes moved."


def _piled(z: Tensor, centre: Tensor, steps: int, lr: float) -> Tensor:
    total = torch.zeros_like(z)
    for _ in range(steps):
        total = total - 2 * (z - centre)
        z = z + lr * total
    return z


@checker
def hold(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """`hold(direction, other)`: direction (d,) without its part along other (d,)."""
    g = seeded(93)
    for d in (2, 10, 32):
        u, v = torch.randn(2, d, generator=g, dtype=torch.float64)
        v = 3 * v
        got, want = _tensor(answer(u.clone(), v.clone()), (d,)), without(u, v[None])
        _refuse(got, (
            (u, "nothing was taken out"),
            (u - (u @ v) * v, "other is not of length 1: divide by |other|^2"),
            (u - (u @ v) / v.norm() * v, "divide by |other| twice: once for the part, once for its direction"),
            (u - want, "that is the part along other: return what is left"),
            (u + (u - want), "the part was added: subtract it"),
            (v - (u @ v) / (u @ u) * u, "the two are swapped: take out of direction what lies along other"),
            (want / want.norm(), "right direction, but it was brought to length 1: return what is left as it is"),
            (u - v, "that subtracts the whole of other: only the part that u has of it goes"),
        ), want)
        expect(_near(got, want), f"what is left still has {float(got @ v / v.norm()):.3g} along other")
    return "Right: a step along what is left does not move the other score, as far as both are linear."


@checker
def success(answer: Callable[[Tensor, Tensor, int], float]) -> str:
    """`success(before, after, wanted)`: of the codes not read as wanted before, the share read so after; (n,) each."""
    g = seeded(94)
    for n, classes in ((50, 2), (80, 5), (31, 3)):
        before, after = torch.randint(classes, (2, n), generator=g)
        wanted = classes - 1
        got = number(answer(before.clone(), after.clone(), wanted))
        todo, there = before != wanted, after == wanted
        want = float(there[todo].double().mean())
        for slip, message in (
            (there.double().mean(), "codes that read as wanted before count as successes too: leave them out"),
            (there[~todo].double().mean(), "that is the share of those that needed no change"),
            ((before != after).double().mean(), "a change is not yet the change wanted"),
            ((before != after)[todo].double().mean(), "a change is not yet the change wanted"),
            ((there & todo).double().mean(), "divide by the codes that had to change, not by all"),
            ((there & todo).sum(), "that is a count: return a share"),
            (100 * want, "that is per cent: return the share, from 0 to 1"),
            (1 - want, "that is the share of failures"),
        ):
            expect(abs(got - float(slip)) > 1e-9 or abs(want - float(slip)) < 1e-9, message)
        expect(abs(got - want) < 1e-6, f"for {n} codes you get {got:.4g}, expected {want:.4g}")
    return "Right: only codes that had something to change can succeed."


def _tensor(got: Any, shape: tuple[int, ...]) -> Tensor:
    expect(got is not None, "nothing came back: does your function end in return?")
    expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor of shape {shape}")
    expect(tuple(got.shape) == shape, f"got shape {tuple(got.shape)}, needs {shape}")
    expect(bool(torch.isfinite(got).all()), "your answer holds NaN or infinity")
    return got.detach().double()


def _near(got: Tensor, want: Tensor) -> bool:
    return bool(torch.allclose(got, want, rtol=1e-4, atol=1e-6))


def _refuse(got: Tensor, slips: tuple[tuple[Tensor, str], ...], want: Tensor) -> None:
    for slip, message in slips:
        expect(_near(slip, want) or not _near(got, slip), message)
