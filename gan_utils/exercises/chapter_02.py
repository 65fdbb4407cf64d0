"""Checkers of chapter 2: every one tries several random inputs and knows the usual slips by name."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import nonsaturating_g_loss
from ..models import mlp
from ..runtime import seeded
from . import checker, expect, number


@checker
def d_loss(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """`d_loss(real_logits, fake_logits)`: mean of -log s(real) plus mean of -log(1 - s(fake))."""
    g = seeded(21)
    for n, m in ((8, 8), (5, 12), (1, 3)):
        real, fake = (2 * torch.randn(k, 1, generator=g) + shift for k, shift in ((n, 1.0), (m, -0.5)))
        got = number(answer(real, fake))
        r, f = F.softplus(-real), F.softplus(fake)
        for slip, message in (
            (-(r.mean() + f.mean()), "the sign is turned: this would be *maximised*; D minimises, so it is above 0"),
            (F.softplus(real).mean() + F.softplus(-fake).mean(), "real and fake are swapped: real has the label 1"),
            (r.mean() + F.softplus(-fake).mean(), "the fakes have the label 1 here; in D's loss they have 0"),
            (F.softplus(real).mean() + f.mean(), "the real samples have the label 0 here; they need 1"),
            ((r.mean() + f.mean()) / 2, "that is the mean of the two terms; the loss is their sum"),
            (r.sum() + f.sum(), "that is a sum over the batch; take the mean of each part"),
            (torch.cat([r, f]).mean(), "that is one mean over both batches; take a mean of each, then add"),
            (r.mean(), "the fakes' term is missing"),
            (f.mean(), "the real samples' term is missing"),
        ):
            expect(abs(got - float(slip)) > 1e-4 or abs(got - float(r.mean() + f.mean())) < 1e-5, message)
        expect(abs(got - float(r.mean() + f.mean())) < 1e-4, f"got {got:.4f}, needs {float(r.mean() + f.mean()):.4f}")
    far = torch.tensor([[-200.0], [200.0]], requires_grad=True)
    value = answer(far, far)
    expect(math.isfinite(number(value)), "not finite at logits of ±200: use F.softplus, not log(sigmoid)")
    expect(value.requires_grad, "the result carries no gradient: return the tensor, not a plain number")
    value.backward()
    expect(torch.isfinite(far.grad).all(), "the gradient is not finite at logits of ±200: use F.softplus")
    # real: s(l) - 1, fake: s(l), each over 2: (-1 + 0) / 2 and (0 + 1) / 2
    expect(torch.allclose(far.grad, torch.tensor([[-0.5], [0.5]])), "the gradient dies at ±200: use F.softplus")
    return "Right: 2 log 2 for a D that cannot tell, and finite at any logit."


@checker
def g_step(answer: Callable[..., Any]) -> str:
    """`g_step(G, D, opt_g, z)`: one descent step on G, label 1, old gradients cleared, D as it was."""
    for seed in (0, 1):
        g = seeded(seed)
        G, D = mlp([3, 8, 1], generator=g), mlp([1, 8, 1], generator=g)
        z = torch.randn(16, 3, generator=g)
        for p in [*G.parameters(), *D.parameters()]:
            p.grad = torch.ones_like(p)  # what some earlier step left behind
        D_before, grads = copy.deepcopy(D.state_dict()), [p.grad.clone() for p in D.parameters()]
        start = [p.detach().clone() for p in G.parameters()]
        slopes = torch.autograd.grad(nonsaturating_g_loss(fake_logits=D(G(z))), list(G.parameters()))
        minimax = torch.autograd.grad(F.softplus(D(G(z))).mean(), list(G.parameters()))
        answer(G, D, torch.optim.SGD(G.parameters(), lr=0.1), z)
        moved = [(a - b.detach()) / 0.1 for a, b in zip(start, G.parameters(), strict=True)]
        expect(all(torch.equal(v, D_before[k]) for k, v in D.state_dict().items()), "D moved: only G may")
        expect(all(float(m.abs().max()) > 0 for m in moved[-1:]), "G did not move: is opt_g.step() there?")
        stale = [torch.ones_like(s) for s in slopes]
        expect(not _close(moved, stale), "the step used the old gradients only: backward comes before step")
        expect(not _close(moved, [1 + s for s in minimax]), "the label is 0 and the old gradients are still there")
        expect(not _close(moved, [1 + s for s in slopes]), "the old gradients are still there: clear them first")
        expect(not _close(moved, minimax), "the label is 0: that teaches G to be recognised; it wants 1")
        expect(not _close(moved, [-s for s in slopes]), "G went uphill: the loss is to be minimised")
        expect(not _close(moved, [16 * s for s in slopes]), "the loss is a sum over the batch: take the mean")
        expect(_close(moved, list(slopes)), "G moved, but not by one step down the slope of its loss")
        left = [p.grad for p in D.parameters()]
        kept = all(a is not None and torch.equal(a, b) for a, b in zip(left, grads, strict=True))
        expect(kept, "D got gradients: freeze it, `with gu.frozen(D):`")
        expect(all(p.requires_grad for p in D.parameters()), "D is still frozen afterwards: give it back as it was")
    return "Right: one step down for G, and D as it was."


@checker
def w1(answer: Callable[[Tensor, Tensor], float]) -> str:
    """`w1(x, y)`: mean distance of the sorted samples, for tensors (n, 1)."""
    g = seeded(23)
    for n in (4, 50, 301):
        x, y = torch.randn(n, 1, generator=g) - 1, 2 * torch.randn(n, 1, generator=g) + 1
        keep = x.clone(), y.clone()
        got = number(answer(x, y))
        expect(torch.equal(x, keep[0]) and torch.equal(y, keep[1]), "the samples given were changed: sort copies")
        a, b = x.flatten().sort().values, y.flatten().sort().values
        right = float((a - b).abs().mean())
        for slip, message in (
            ((x - y).abs().mean(), "that pairs the samples as they come: sort both first (axis 0 of (n, 1))"),
            ((a - b).abs().sum(), "that is the sum; take the mean, or the distance grows with n"),
            ((a - b).mean().abs(), "the absolute value comes before the mean, or gaps of opposite sign cancel"),
            ((a - b).mean(), "a distance is never below 0: the absolute value is missing"),
            ((a - b).square().mean(), "that squares the gaps (it is W2 squared): take their absolute value"),
            ((a - b).square().mean().sqrt(), "that is W2: take the mean of the absolute gaps"),
            ((a - b.flip(0)).abs().mean(), "one is sorted upwards, the other downwards"),
        ):
            expect(abs(got - float(slip)) > 1e-5 or abs(right - float(slip)) < 1e-5, message)
        expect(abs(got - right) < 1e-4, f"got {got:.4f} for n = {n}, needs {right:.4f}")
    return "Right: sorted, paired, averaged."


@checker
def sum_kurtosis(answer: Callable[[Tensor], float]) -> str:
    """`sum_kurtosis(w)`: -1.2 sum w^4 / (sum w^2)^2."""
    g = seeded(24)
    for n in (1, 2, 5, 10):
        w = torch.randn(n, generator=g)
        got, right = number(answer(w)), float(-1.2 * w.pow(4).sum() / w.square().sum() ** 2)
        for slip, message in (
            (-1.2 / n, "that is right for equal weights; here each number has its own"),
            (-right, "the sign: a uniform number has *thinner* tails than a Gaussian, so below 0"),
            (right / -1.2, "the excess kurtosis of one uniform number, -1.2, is missing"),
            (-1.2 * float(w.pow(4).sum() / w.square().sum()), "divide by the *square* of the sum of squares"),
            (-1.2 * float(w.pow(4).sum() / w.pow(4).sum()), "the variance squared is (sum of w²)², not a sum of w⁴"),
            (right + 3, "that is the kurtosis; the *excess* is less by 3"),
            (-1.2 * float(w.pow(4).sum()), "divide by the variance squared, or it depends on the scale of w"),
        ):
            expect(abs(got - slip) > 1e-6 or abs(right - slip) < 1e-6, message)
        expect(abs(got - right) < 1e-5, f"got {got:.5f} for {n} weights, needs {right:.5f}")
    return "Right: it is the same for 3w as for w, and -1.2 / N for equal weights."


@checker
def exact_map(answer: Callable[[Tensor, float, float], Tensor]) -> str:
    """`exact_map(u, mean, std)`: mean + std * inverse Gaussian distribution function of u."""
    g = seeded(25)
    for shape, mean, std in (((7,), 0.0, 1.0), ((4, 2), 4.0, 1.25), ((3, 1), -2.0, 0.5)):
        u = torch.rand(shape, generator=g) * 0.98 + 0.01
        z = torch.special.ndtri(u)
        got = answer(u.clone(), mean, std)
        expect(got is not None, "nothing came back: does your function end in return?")
        expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
        expect(got.shape == u.shape, f"got shape {tuple(got.shape)} for u of shape {tuple(u.shape)}")
        right = mean + std * z
        for slip, message in (
            (mean - std * z, "that is the mirror image: as good a generator, but asked for is the one that rises"),
            (z, "mean and std are not used"),
            (mean + z, "std is not used"),
            (std * z, "mean is not used"),
            (std * (z + mean), "stretch first, then shift: std * (z + mean) moves the mean to std * mean"),
            (mean + std**2 * z, "std is the standard deviation; do not square it"),
            (mean + math.sqrt(std) * z, "std is the standard deviation already; no square root"),
            (mean + std * u, "u is still uniform: bend it with the inverse distribution function first"),
            (mean + std * torch.special.ndtr(u), "that is the distribution function; its *inverse* is asked for"),
        ):
            expect(not torch.allclose(got, slip, atol=1e-4) or torch.allclose(right, slip, atol=1e-4), message)
        gap = float((got - right).abs().max())
        expect(gap < 1e-3, f"off by up to {gap:.3g} for mean {mean}, std {std}")
    return "Right: the only increasing map that does it."


def _close(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.allclose(x, y, rtol=1e-3, atol=1e-5) for x, y in zip(a, b, strict=True))
