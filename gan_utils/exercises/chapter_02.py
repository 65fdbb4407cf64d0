"""Checkers of chapter 2: every one tries several random inputs and knows the usual slips by name."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import logistic_d_loss
from ..metrics import wasserstein_1d
from ..models import mlp
from ..penalties import r1_penalty
from ..runtime import seeded
from . import checker, expect


@checker
def d_loss(answer: Callable[..., Tensor]) -> str:
    """`d_loss(real_logits, fake_logits)`: what D minimises, a scalar tensor that keeps its graph."""
    g = seeded(21)
    for n in (7, 40):
        real, fake = (torch.randn(n, 1, generator=g) * 2 + shift for shift in (1.0, -0.5))
        real, fake = real.requires_grad_(), fake.requires_grad_()
        loss = _scalar(answer(real, fake))
        r, f = real.detach(), fake.detach()
        want = logistic_d_loss(real_logits=r, fake_logits=f)
        for slip, message in (
            (logistic_d_loss(real_logits=f, fake_logits=r), "real and fake are swapped: a real logit should be high"),
            (-want, "that is to be maximised: a loss is minimised, so turn the sign"),
            (want / 2, "that is half of it: D's loss here is the sum of the two means"),
            (want * n, "that is the sum over the batch: take the mean of each term"),
            (F.softplus(-r).mean(), "the fakes are missing: add softplus(fake_logits)"),
            (F.softplus(f).mean(), "the real samples are missing: add softplus(-real_logits)"),
            (F.softplus(r).mean() + F.softplus(f).mean(), "the real term is turned round: its logit needs a minus"),
            (F.softplus(-r).mean() + F.softplus(-f).mean(), "both carry the label 1: the fakes need softplus(+logit)"),
            (f.mean() - r.mean(), "those are the logits alone: put each through softplus"),
        ):
            expect(not _near(loss, slip), message)
        expect(_near(loss, want), f"got {loss.item():.4f}, needs {want:.4f}: the sum of two means of softplus")
        expect(loss.requires_grad, "the value is right, the graph is cut: return the tensor, not .item() or .detach()")
    sure = torch.full((5, 1), 200.0)
    _check_sure(answer, sure)
    return "Right: 2 log 2 where D cannot tell, and finite however sure it is."


def _check_sure(answer: Callable[..., Tensor], sure: Tensor) -> None:
    """Logits of +-200 on the wrong side: where a logarithm of a sigmoid gives up."""
    real, fake = (-sure).requires_grad_(), sure.clone().requires_grad_()
    loss = answer(real, fake)
    loss.backward()
    fine = math.isclose(loss.item(), 400, rel_tol=1e-4)
    fine = fine and torch.allclose(real.grad, torch.tensor(-0.2)) and torch.allclose(fake.grad, torch.tensor(0.2))
    expect(fine, "right near 0, but not where D is badly wrong (logits of 200): use F.softplus, not a log of a sigmoid")


@checker
def g_step(answer: Callable[..., float]) -> str:
    """`g_step(G, D, opt_g, z)`: one descent step on G towards the label 1; returns the loss as a number."""
    for seed in (22, 23):
        _judge_g_step(answer, seed)
    return "Right: three slips mended, and D is as it was."


def _judge_g_step(answer: Callable[..., float], seed: int) -> None:
    g = seeded(seed)
    G, D = mlp([3, 8, 2], generator=g), mlp([2, 8, 1], generator=g)
    z = torch.randn(16, 3, generator=g)
    for p in G.parameters():
        p.grad = torch.ones_like(p)  # as an earlier step left it
    old_G, old_D = _numbers(G), _numbers(D)
    slips = [(label, stale) for label in (1, 0) for stale in (False, True)]
    after = {slip: _after_g_step(G, D, z, *slip) for slip in slips}
    with torch.no_grad():
        want = float(F.softplus(-D(G(z))).mean())
    got = answer(G, D, torch.optim.SGD(G.parameters(), lr=0.1), z)
    now = _numbers(G)
    expect(torch.equal(_numbers(D), old_D), "D's weights changed: in this step only G may move")
    expect(not torch.equal(now, old_G), "G did not move: is the way through D open, and opt_g.step() called?")
    expect(not _close(now, after[0, True]), "two slips are left: the label is still 0, the gradients are not cleared")
    expect(not _close(now, after[0, False]), "the label is still 0: G then helps D; it wants its fakes called real")
    expect(not _close(now, after[1, True]), "the old gradients were added: clear them before backward()")
    only_old = _close(now, old_G - 0.1)
    expect(not only_old, "G stepped on its old gradients alone: no new one came through; is there a detach too many?")
    expect(_close(now, after[1, False]), "G moved, but not by one step on the loss with the label 1")
    method = callable(got) and not isinstance(got, Tensor)
    expect(not method, "a method came back, and it keeps the whole graph alive: loss.item needs its brackets")
    expect(got is not None, "G moved rightly, but nothing came back: return loss.item()")
    expect(not (isinstance(got, Tensor) and got.requires_grad), "the loss brings its graph along: return loss.item()")
    expect(_near(_scalar(got, tensor=False), want), f"the number is off: the loss before the step was {want:.4f}")


def _after_g_step(G: nn.Module, D: nn.Module, z: Tensor, label: int, stale: bool) -> Tensor:
    """G's weights after one step of SGD with this label, on top of gradients of 1 if `stale`."""
    G = copy.deepcopy(G)
    logits = D(G(z))
    loss = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(label)))
    gradients = torch.autograd.grad(loss, list(G.parameters()))
    with torch.no_grad():
        for p, gradient in zip(G.parameters(), gradients, strict=True):
            p -= 0.1 * (gradient + (1 if stale else 0))
    return _numbers(G)


@checker
def sorted_w1(answer: Callable[[Tensor, Tensor], float]) -> str:
    """`sorted_w1(x, y)`: W1 of two samples, x being k times as long as y for some whole k."""
    g = seeded(24)
    for n, k in ((60, 1), (40, 3), (25, 4)):
        x = torch.randn(n * k, generator=g, dtype=torch.float64)
        y = torch.randn(n, generator=g, dtype=torch.float64) * 2 + 0.3
        before = x.clone(), y.clone()
        got = _scalar(answer(x, y), tensor=False)
        same = torch.equal(x, before[0]) and torch.equal(y, before[1])
        expect(same, "the samples given were changed: sort a copy")
        a, b = x.sort().values, y.sort().values
        want = wasserstein_1d(x, y)
        for slip, message in (
            ((x - y.repeat(k)).abs().mean(), "nothing was sorted: the cheapest plan pairs smallest with smallest"),
            ((x - y.repeat_interleave(k)).abs().mean(), "nothing was sorted: the cheapest plan pairs smallest "
                                                        "with smallest"),
            ((a - b.repeat_interleave(k)).mean().abs(), "that compares the means: take abs() of each difference"),
            ((a - b.repeat_interleave(k)).mean(), "that compares the means: take abs() of each difference"),
            ((a - b.repeat_interleave(k)).abs().sum(), "that is the sum: each grain weighs 1 / n, so take the mean"),
            ((a - b.repeat_interleave(k)).square().mean().sqrt(), "that is Wasserstein-2: take abs(), no squares"),
            ((a - b.repeat_interleave(k)).square().mean(), "squares: Wasserstein-1 takes abs()"),
            ((a - b.repeat(k)).abs().mean(), "a grain of y stays beside its copies: repeat_interleave, not repeat"),
            ((a[:n] - b).abs().mean(), "only the smallest of x were used: each grain of y meets k of x"),
            ((a[::k] - b).abs().mean(), "only every k-th of x was used: each grain of y meets k of x"),
        ):
            expect(math.isclose(float(slip), want) or not _near(got, slip), message)
        expect(_near(got, want), f"for {n * k} and {n} samples you get {got:.4f}, needs {want:.4f}")
    return "Right: in one dimension, sorting is the whole of optimal transport."


@checker
def weighted_kurtosis(answer: Callable[[Tensor], float]) -> str:
    """`weighted_kurtosis(w)`: the excess kurtosis of sum_i w_i u_i, the u_i uniform and independent."""
    g = seeded(25)
    for w in (torch.randn(5, generator=g), torch.rand(8, generator=g) + 0.2, torch.ones(10), torch.tensor([3.0])):
        got = _scalar(answer(w.clone()), tensor=False)
        second, fourth = float(w.square().sum()), float(w.pow(4).sum())
        want = -1.2 * fourth / second**2
        for slip, message in (
            (-want, "the sign is off: a uniform law has thinner tails than a normal one, so it is below 0"),
            (want + 3, "that is the whole kurtosis: the *excess* is 3 less"),
            (-1.2 / len(w), "that is the case of equal weights: a large weight counts for more"),
            (-1.2, "that is one uniform alone: adding more brings it nearer to 0"),
            (-1.2 * fourth / second, "the denominator is the *square* of the variance of the sum"),
            (-1.2 * fourth, "divide by the square of the variance of the sum"),
            (-1.2 * float(w.sum()) / second, "fourth powers above: each kappa sigma^4 is scaled by w^4"),
            (-1.2 * second / float(w.sum()) ** 2, "one power too low: sums of w^4 and of w^2, not of w^2 and of w"),
            (fourth / second**2, "the kurtosis of one uniform, -1.2, is missing"),
            (fourth / second**2 * 1.8 - 3, "the *excess* adds up, not the kurtosis itself: -1.2 in place of 1.8"),
        ):
            expect(math.isclose(slip, want, rel_tol=1e-3) or not _near(got, slip), message)
        expect(_near(got, want), f"for weights {[round(v, 2) for v in w.tolist()]} you get {got:.4f}, needs {want:.4f}")
    return "Right: with ten equal weights -.12, and nearer to -1.2 the more one weight outweighs the others."


@checker
def exact_map(answer: Callable[[Tensor, float, float], Tensor]) -> str:
    """`exact_map(u, mean, std)`: turns u ~ U(0, 1) into N(mean, std^2). Rising or falling, both are right."""
    u = torch.rand(200, 1, generator=seeded(26), dtype=torch.float64) * 0.98 + 0.01
    q = torch.special.ndtri(u)
    for mean, std in ((4.0, 1.25), (-2.0, 0.3), (0.5, 3.0)):
        got = _tensor(answer(u.clone(), mean, std), u.shape)
        for slip, message in (
            (q, "mean and std are not used: scale by std, then shift by mean"),
            (std * q, "the mean is missing: add it"),
            (mean + q, "the width is missing: multiply by std"),
            (std + mean * q, "mean and std are swapped"),
            (mean + std**2 * q, "that scales by the variance: multiply by std itself"),
            (mean + math.sqrt(std) * q, "std is the standard deviation already: no root"),
            (mean + std * u, "u is still uniform: put it through the *inverse* normal law, torch.special.ndtri"),
            (mean + std * torch.special.ndtr(u), "ndtr is the normal law itself: its inverse is ndtri"),
            (mean + std * torch.erfinv(2 * u - 1), "erfinv wants a factor sqrt(2): ndtri(u) = sqrt(2) erfinv(2 u - 1)"),
            (std * (q + mean), "scale first, shift after: the mean was multiplied by std"),
        ):
            expect(not _close(got, slip) and not _close(got, 2 * mean - slip), message)
        right = _close(got, mean + std * q) or _close(got, mean - std * q)
        expect(right, f"not the map to N({mean:g}, {std:g}^2): u = 1/2 must go to the mean, u = .8413 to mean + std "
                      "or mean - std")
    return "Right: one number in, any Gaussian out; the mirror image is as good."


@checker
def slope_penalty(answer: Callable[[nn.Module, Tensor], Tensor]) -> str:
    """`slope_penalty(D, x)`: E |grad D(x)|^2, a scalar through which D can be trained."""
    g = seeded(27)
    line = nn.Linear(3, 1)
    with torch.no_grad():
        line.weight.copy_(torch.tensor([[2.0, 3.0, 6.0]]))
    for D, n in ((line, 64), (mlp([3, 8, 1], generator=g), 20), (mlp([1, 6, 1], generator=g), 50)):
        x = torch.randn(n, next(D.parameters()).shape[1], generator=g)
        got = _scalar(answer(D, x.clone()))
        want = r1_penalty(D, x).detach()
        gradient = torch.autograd.grad(D(y := x.clone().requires_grad_()).sum(), y)[0]
        for slip, message in (
            (gradient.norm(dim=1).mean(), "that is the mean norm: square it"),
            (want / 2, "that has the 1/2 inside: the bare mean is asked, the coefficient comes later"),
            (want * n, "that is the sum over the batch: take the mean over samples"),
            (want / n**2, "D(x).mean() makes each gradient n times too small: differentiate D(x).sum()"),
            (want / n, "D(x).mean() makes each gradient n times too small: differentiate D(x).sum()"),
            ((gradient.norm(dim=1) - 1).square().mean(), "that pulls the slope to 1, as WGAN-GP does; R1: to 0"),
            (gradient.square().mean(), "sum the squares over the features, and only then take the mean over samples"),
            (gradient.norm(), "that is one norm for the whole batch: one for each sample"),
        ):
            expect(math.isclose(float(slip), float(want), rel_tol=1e-3) or not _near(got, slip), message)
        expect(_near(got, want), f"you get {got.item():.4f}, needs {want.item():.4f}")
        expect(got.requires_grad, "the value is right, but D cannot learn from it: create_graph=True, and no detach")
    return "Right: 49 for a line of slope (2, 3, 6), whatever the batch."


def _scalar(value: Any, *, tensor: bool = True) -> Any:
    """One finite number: a 0-d tensor, or where `tensor` is False a float as well."""
    expect(value is not None, "nothing came back: does your function end in return?")
    if isinstance(value, Tensor):
        expect(value.numel() == 1, f"got shape {tuple(value.shape)}, needs one number: take a mean")
    else:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        what = "a scalar tensor" if tensor else "one number"
        expect(number and not tensor, f"got {type(value).__name__}, needs {what}")
    single = float(value.detach() if isinstance(value, Tensor) else value)
    expect(math.isfinite(single), f"got {single}: not finite")
    return value if tensor else single


def _tensor(value: Any, shape: torch.Size) -> Tensor:
    expect(value is not None, "nothing came back: does your function end in return?")
    expect(isinstance(value, Tensor), f"got {type(value).__name__}, needs a tensor")
    expect(value.shape == shape, f"got shape {tuple(value.shape)}, needs {tuple(shape)}")
    return value.detach()


def _numbers(network: nn.Module) -> Tensor:
    """All weights in one row, as a copy."""
    return torch.cat([p.detach().flatten() for p in network.parameters()]).clone()


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def _near(a: Tensor | float, b: Tensor | float) -> bool:
    a, b = (v.detach() if isinstance(v, Tensor) else v for v in (a, b))
    return math.isclose(float(a), float(b), rel_tol=1e-4, abs_tol=1e-6)
