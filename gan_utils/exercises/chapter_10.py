"""Checkers of chapter 10: each takes a mended piece of code and knows the faults that may be left in it."""

# ruff: noqa: E741  (l is the logit)

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import non_saturating
from ..models import mlp
from ..runtime import seeded
from ..training import d_step as package_d_step
from ..training import g_step as package_g_step
from . import checker, expect


@checker
def g_step(answer: Callable[..., Any]) -> str:
    """`g_step(G, D, opt_g, z)`: one step of G with the non-saturating loss; D is left as it was."""
    for seed in (101, 102):
        G, D, opt, z, _ = _pair(seed)
        before = [copy.deepcopy(net) for net in (G, D)]
        moved = []
        for k in range(2):  # the second step shows whether the first one's gradients are still there
            answer(G, D, opt, z[k])
            moved.append(copy.deepcopy(G))
        expect(not _same(moved[0], before[0]), "G did not move: backward and opt_g.step() are both needed")
        expect(_same(D, before[1]), "D moved: in this step only G learns")
        if _same(moved[0], _after(seed, _g_loss(lambda l: F.softplus(-l).mean()))[0]):
            right = _after(seed, _g_loss(lambda l: F.softplus(-l).mean()))[1]
            piled = _after(seed, _g_loss(lambda l: F.softplus(-l).mean(), clear=False))[1]
            expect(not _same(moved[1], piled), "the first step is right, the second is driven by both gradients: "
                   "clear them before backward")
            expect(_same(moved[1], right), "the first step is right, the second is not: what is left of the first?")
            continue
        for loss, words in (
            (lambda l: F.softplus(l).mean(), "G was trained against the label 0: it now helps D. In its own step "
             "a fake has the label 1"),
            (lambda l: -F.softplus(l).mean(), "that is log(1 - D), which saturates: maximise log D, that is, "
             "use the label 1"),
            (lambda l: F.softplus(-l).sum(), "that is a sum over the batch: take the mean"),
            (lambda l: -F.softplus(-l).mean(), "G went uphill: a loss is minimised"),
            (lambda l: F.softplus(-torch.sigmoid(l)).mean(), "the sigmoid was applied twice: the loss takes logits"),
        ):
            expect(not _same(moved[0], _after(seed, _g_loss(loss))[0]), words)
        expect(False, "G moved, but not by one step down softplus(-D(G(z))), averaged over the batch")
    return "Right: label 1, gradients cleared, D untouched."


@checker
def d_step(answer: Callable[..., Any]) -> str:
    """`d_step(G, D, opt_d, x, z)`: one step of D with the logistic loss; nothing of it reaches G."""
    for seed in (103, 104):
        _, D, opt_d, z, x = _pair(seed, "D")
        G = _pair(seed, "D")[0]
        before = [copy.deepcopy(net) for net in (G, D)]
        moved = []
        for k in range(2):
            answer(G, D, opt_d, x[k], z[k])
            moved.append(copy.deepcopy(D))
        expect(not _same(moved[0], before[1]), "D did not move: backward and opt_d.step() are both needed")
        expect(_same(G, before[0]), "G moved: in this step only D learns")
        left = [p for p in G.parameters() if p.grad is not None and bool(p.grad.any())]
        expect(not left, "gradients are left in G: detach the fakes, so that D's backward stops there")
        first, second = _d_after(seed, lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean())
        if _same(moved[0], first):
            piled = _d_after(seed, lambda r, f: F.softplus(-r).mean() + F.softplus(f).mean(), clear=False)[1]
            expect(not _same(moved[1], piled), "the first step is right, the second is driven by both gradients: "
                   "clear them before backward")
            expect(_same(moved[1], second), "the first step is right, the second is not: what is left of the first?")
            continue
        for loss, words in (
            (lambda r, f: F.softplus(r).mean() + F.softplus(-f).mean(), "the labels are swapped: 1 is real, 0 is fake"),
            (lambda r, f: -F.softplus(-r).mean() - F.softplus(f).mean(), "D went uphill: hand over the loss, not the "
             "value of the game"),
            (lambda r, f: F.softplus(-r).mean(), "the fakes are missing"),
            (lambda r, f: F.softplus(f).mean(), "the real samples are missing"),
            (lambda r, f: F.softplus(-r).mean() + F.softplus(-f).mean(), "fakes have the label 0 in D's step"),
            (lambda r, f: (F.softplus(-r).mean() + F.softplus(f).mean() - 0.2 * r.mean()), "the label 1.2 is left: no "
             "label may lie above 1"),
            (lambda r, f: (F.softplus(-r).sum() + F.softplus(f).sum()), "that is a sum over the batch: take the mean"),
            (lambda r, f: (F.softplus(-r).mean() + F.softplus(f).mean()) / 2, "that is half of it: the two terms are "
             "added"),
        ):
            expect(not _same(moved[0], _d_after(seed, loss)[0]), words)
        expect(False, "D moved, but not by one step down softplus(-D(x)) + softplus(D(G(z))), averaged over the batch")
    return "Right: labels in place, gradients cleared, and nothing of it in G."


@checker
def slope_penalty(answer: Callable[..., Tensor]) -> str:
    """`slope_penalty(D, x, fake, share)`: E[(|grad D| - 1)^2] at share x + (1 - share) fake; share (n, 1)."""
    for seed in (105, 106):
        g = seeded(seed)
        D = mlp([3, 8, 1], generator=g)
        for p in D.parameters():
            p.data.mul_(3)
        x, fake, share = torch.randn(5, 3, generator=g), torch.randn(5, 3, generator=g), torch.rand(5, 1, generator=g)

        def slopes(at, scale=1.0, D=D):
            at = at.detach().requires_grad_(True)
            return scale * torch.autograd.grad(D(at).sum(), at)[0]

        mixed = share * x + (1 - share) * fake
        here = slopes(mixed)
        right = (here.norm(dim=1) - 1).square().mean()
        got = _scalar(answer(D, x.clone(), fake.clone(), share.clone()))
        for wrong, words in (
            ((here.norm() - 1).square(), "that is one norm over the whole batch: each sample has its own"),
            (((here / 5).norm(dim=1) - 1).square().mean(), "each slope is divided by the batch size: take the gradient "
             "of the *sum* of the scores"),
            ((slopes(x).norm(dim=1) - 1).square().mean(), "that is at the real samples alone: look in between"),
            ((slopes(fake).norm(dim=1) - 1).square().mean(), "that is at the fakes alone: look in between"),
            ((slopes(share * fake + (1 - share) * x).norm(dim=1) - 1).square().mean(), "the share belongs to x, the "
             "rest to the fake"),
            (here.norm(dim=1).square().mean(), "that draws the slopes to 0: subtract 1 first"),
            ((here.norm(dim=1) - 1).mean(), "the square is missing"),
            ((here.norm(dim=1) - 1).square().sum(), "that is a sum over the batch: take the mean"),
            (-right, "a penalty is 0 or more: the sign belongs to the objective"),
            (10 * right, "the weight of 10 is the caller's: return the bare expectation"),
        ):
            expect(not _close(got, wrong), words)
        expect(_close(got, right), f"got {float(got.detach()):.5g}, needs {float(right):.5g}")
        expect(got.requires_grad, "the value is right, but D cannot learn from it: autograd.grad needs "
               "create_graph=True")
    flat = mlp([3, 8, 1], generator=seeded(107))
    for p in flat[-1].parameters():
        p.data.zero_()
    value = _scalar(answer(flat, x, fake, share))
    expect(torch.isfinite(value), "not finite for a critic whose slope is 0")
    value.backward()
    finite = all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in flat.parameters())
    expect(finite, "NaN gradients where the slope is 0: the root of a sum of squares has no slope there; norm() does")
    return "Right: each sample's own slope, between the two, and finite at 0."


@checker
def sample(answer: Callable[[nn.Module, Tensor], Tensor]) -> str:
    """`sample(G, z)`: G's samples in eval mode, without a graph; every part of G gets its mode back."""
    for training in (True, False):
        g = seeded(108)
        layers = [*mlp([4, 6], generator=g), nn.BatchNorm1d(6), nn.LeakyReLU(0.2), *mlp([6, 2], generator=g)]
        G = nn.Sequential(*layers)
        for _ in range(3):
            G(torch.randn(16, 4, generator=g) + 1)
        G.train(training)
        G[2].eval()  # one part rests whatever the others do
        state = copy.deepcopy(G.state_dict())
        modes = [m.training for m in G.modules()]
        z = torch.randn(7, 4, generator=g)
        twin = copy.deepcopy(G)
        right, busy = twin.eval()(z).detach(), copy.deepcopy(G).train()(z).detach()
        got = answer(G, z)
        expect(got is not None, "nothing came back: does your function end in return?")
        expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
        expect(got.shape == right.shape, f"got shape {tuple(got.shape)}, needs {tuple(right.shape)}")
        moved = any(not torch.equal(a, b) for a, b in zip(state.values(), G.state_dict().values(), strict=True))
        expect(not (moved or _close(got, busy)), "that was drawn in train mode: a sample depends on its batch mates, "
               "and the running statistics moved")
        expect(_close(got, right), "these are not G(z) in eval mode")
        expect(not got.requires_grad, "the samples drag a graph along: torch.no_grad()")
        now = [m.training for m in G.modules()]
        expect(now == modes or any(now) == any(modes), "G did not get its mode back: train() after eval()")
        expect(now == modes, "some part of G has another mode than before: gu.evaluating gives each its own back")
    return "Right: each picture stands for itself, and G is as it was."


# ------------------------------------------------------------------------------- what the checkers share


def _pair(seed: int, which: str = "G"):
    g = seeded(seed)
    G, D = mlp([2, 6, 2], generator=g), mlp([2, 6, 1], generator=g)
    opt = torch.optim.SGD((G if which == "G" else D).parameters(), lr=0.3)
    z, x = torch.randn(2, 5, 2, generator=g), 2 + torch.randn(2, 5, 2, generator=g)
    return G, D, opt, z, x


def _g_loss(loss: Callable[[Tensor], Tensor], clear: bool = True):
    def step(G, D, opt, z):
        if clear:
            opt.zero_grad()
        loss(D(G(z))).backward()
        opt.step()

    return step


def _after(seed: int, step: Callable[..., None]) -> list[nn.Module]:
    """G after one and after two such steps; the right one is the package's own."""
    G, D, opt, z, _ = _pair(seed)
    out = []
    for k in range(2):
        step(G, D, opt, z[k])
        out.append(copy.deepcopy(G))
    return out


def _d_after(seed: int, loss: Callable[[Tensor, Tensor], Tensor], clear: bool = True) -> list[nn.Module]:
    G, D, opt, z, x = _pair(seed, "D")
    out = []
    for k in range(2):
        if clear:
            opt.zero_grad()
        loss(D(x[k]), D(G(z[k]).detach())).backward()
        opt.step()
        out.append(copy.deepcopy(D))
    return out


def reference(seed: int) -> tuple[nn.Module, nn.Module]:
    """G and D after one step each by the package: what the tests hold the checkers' own arithmetic against."""
    G, D, opt, z, _ = _pair(seed)
    package_g_step(G, D, opt, z[0], non_saturating)
    still, E, opt_d, w, x = _pair(seed, "D")
    package_d_step(still, E, opt_d, x[0], w[0], non_saturating)
    return G, E


def _same(a: nn.Module, b: nn.Module) -> bool:
    return all(_close(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.detach().float(), b.detach().float(), rtol=1e-4, atol=1e-6)


def _scalar(got: Any) -> Tensor:
    expect(got is not None, "nothing came back: does your function end in return?")
    expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
    expect(got.numel() == 1, f"got shape {tuple(got.shape)}, needs one number: is a mean missing?")
    return got.reshape(())
