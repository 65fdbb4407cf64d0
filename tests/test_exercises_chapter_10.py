"""Checkers of chapter 10: a mended step passes, each fault left in it gets its own words."""

# ruff: noqa: E741  (l is the logit)

import pytest
import torch
import torch.nn.functional as F
from checkers import says

import gan_utils as gu
from gan_utils.exercises import chapter_10 as check

softplus = F.softplus


def g_step(loss=lambda l: softplus(-l).mean(), clear=True, step=True, d_moves=False):
    def answer(G, D, opt_g, z):
        value = loss(D(G(z)))
        if clear:
            opt_g.zero_grad()
        value.backward()
        if step:
            opt_g.step()
        if d_moves:
            torch.optim.SGD(D.parameters(), lr=0.1).step()

    return answer


def d_step(loss=lambda r, f: softplus(-r).mean() + softplus(f).mean(), clear=True, detach=True, g_moves=False):
    def answer(G, D, opt_d, x, z):
        fake = G(z).detach() if detach else G(z)
        value = loss(D(x), D(fake))
        if clear:
            opt_d.zero_grad()
        value.backward()
        opt_d.step()
        if g_moves:
            torch.optim.SGD(G.parameters(), lr=0.1).step()

    return answer


def penalty(norm=lambda s: s.norm(dim=1), score=torch.sum, graph=True, at=lambda x, f, e: e * x + (1 - e) * f,
            end=lambda s: (s - 1).square().mean()):
    def answer(D, x, fake, share):
        mixed = at(x, fake, share).requires_grad_(True)
        (slope,) = torch.autograd.grad(score(D(mixed)), mixed, create_graph=graph)
        return end(norm(slope))

    return answer


def sample(evaluate=True, graph=False, back="each"):
    def answer(G, z):
        modes = [(m, m.training) for m in G.modules()]
        G.train(not evaluate)
        with torch.set_grad_enabled(graph):
            out = G(z)
        if back == "each":
            for m, mode in modes:
                m.training = mode
        elif back == "train":
            G.train()
        return out

    return answer


def by_the_package(G, z):
    with gu.evaluating(G):
        return G(z)


CASES = [
    ("g_step", g_step(), "✓"),
    ("g_step", lambda G, D, opt, z: gu.g_step(G, D, opt, z, gu.non_saturating), "✓"),
    ("g_step", g_step(clear=False), "driven by both gradients"),
    ("g_step", g_step(lambda l: softplus(l).mean()), "against the label 0"),
    ("g_step", g_step(lambda l: softplus(l).mean(), clear=False), "against the label 0"),
    ("g_step", g_step(lambda l: -softplus(l).mean()), "saturates"),
    ("g_step", g_step(lambda l: softplus(-l).sum()), "sum over the batch"),
    ("g_step", g_step(lambda l: -softplus(-l).mean()), "uphill"),
    ("g_step", g_step(lambda l: softplus(-torch.sigmoid(l)).mean()), "twice"),
    ("g_step", g_step(lambda l: l.square().mean()), "not by one step"),
    ("g_step", g_step(step=False), "did not move"),
    ("g_step", g_step(d_moves=True), "D moved"),
    ("d_step", d_step(), "✓"),
    ("d_step", lambda G, D, opt, x, z: gu.d_step(G, D, opt, x, z, gu.non_saturating), "✓"),
    ("d_step", d_step(clear=False), "driven by both gradients"),
    ("d_step", d_step(detach=False), "gradients are left in G"),
    ("d_step", d_step(detach=False, g_moves=True), "G moved"),
    ("d_step", d_step(lambda r, f: softplus(r).mean() + softplus(-f).mean()), "swapped"),
    ("d_step", d_step(lambda r, f: -softplus(-r).mean() - softplus(f).mean()), "uphill"),
    ("d_step", d_step(lambda r, f: softplus(-r).mean()), "fakes are missing"),
    ("d_step", d_step(lambda r, f: softplus(f).mean()), "real samples are missing"),
    ("d_step", d_step(lambda r, f: softplus(-r).mean() + softplus(-f).mean()), "label 0 in D's step"),
    ("d_step", d_step(lambda r, f: F.binary_cross_entropy_with_logits(r, torch.full_like(r, 1.2))
                      + softplus(f).mean()), "label 1.2"),
    ("d_step", d_step(lambda r, f: softplus(-r).sum() + softplus(f).sum()), "sum over the batch"),
    ("d_step", d_step(lambda r, f: (softplus(-r).mean() + softplus(f).mean()) / 2), "half"),
    ("d_step", d_step(lambda r, f: r.square().mean()), "not by one step"),
    ("slope_penalty", penalty(), "✓"),
    ("slope_penalty", penalty(norm=lambda s: (s.square().sum(1) + 1e-12).sqrt()), "✓"),
    ("slope_penalty", penalty(norm=lambda s: s.norm()), "whole batch"),
    ("slope_penalty", penalty(score=torch.mean), "*sum*"),
    ("slope_penalty", penalty(graph=False), "create_graph"),
    ("slope_penalty", penalty(norm=lambda s: s.square().sum(1).sqrt()), "NaN gradients"),
    ("slope_penalty", penalty(at=lambda x, f, e: x.clone()), "real samples alone"),
    ("slope_penalty", penalty(at=lambda x, f, e: f.clone()), "fakes alone"),
    ("slope_penalty", penalty(at=lambda x, f, e: e * f + (1 - e) * x), "share belongs to x"),
    ("slope_penalty", penalty(end=lambda s: s.square().mean()), "slopes to 0"),
    ("slope_penalty", penalty(end=lambda s: (s - 1).mean()), "square is missing"),
    ("slope_penalty", penalty(end=lambda s: (s - 1).square().sum()), "sum over the batch"),
    ("slope_penalty", penalty(end=lambda s: -(s - 1).square().mean()), "0 or more"),
    ("slope_penalty", penalty(end=lambda s: 10 * (s - 1).square().mean()), "bare expectation"),
    ("slope_penalty", penalty(end=lambda s: (s - 1).square()), "is a mean missing"),
    ("slope_penalty", lambda D, x, fake, share: 0.0, "got float"),
    ("slope_penalty", lambda D, x, fake, share: torch.tensor(0.1), "needs"),
    ("sample", sample(), "✓"),
    ("sample", by_the_package, "✓"),
    ("sample", sample(evaluate=False), "train mode"),
    ("sample", sample(graph=True), "drag a graph"),
    ("sample", sample(back="never"), "did not get its mode back"),
    ("sample", sample(back="train"), "some part"),
    ("sample", lambda G, z: by_the_package(G, z).tolist(), "got list"),
    ("sample", lambda G, z: by_the_package(G, z)[:1], "got shape"),
    ("sample", lambda G, z: 0 * by_the_package(G, z), "not G(z)"),
]


@pytest.mark.parametrize(("name", "answer", "words"), CASES)
def test_what_a_checker_says(name, answer, words, capsys):
    says(getattr(check, name), answer, words, capsys)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_checkers_own_steps_are_those_of_the_package(seed):
    """One joined pass or two: equal to rounding."""
    G, D = check.reference(seed)
    mine = check._after(seed, check._g_loss(lambda l: softplus(-l).mean()))[0]
    other = check._d_after(seed, lambda r, f: softplus(-r).mean() + softplus(f).mean())[0]
    assert check._same(G, mine) and check._same(D, other)
