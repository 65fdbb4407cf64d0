"""Checkers of chapter 2: the right answer passes, each usual slip gets its own words, rubbish never passes."""

import pytest
import torch
import torch.nn.functional as F
from checkers import says

import gan_utils as gu
from gan_utils.exercises import chapter_02 as check

bce = F.binary_cross_entropy_with_logits


def step(label=1.0, clear=True, freeze=True, early=False, sign=1.0, move=True, mean=True, thaw=True):
    """A generator step with the slips that are switched on."""

    def g_step(G, D, opt_g, z):
        if freeze:
            D.requires_grad_(False)
        logits = D(G(z))
        loss = sign * bce(logits, torch.full_like(logits, label), reduction="mean" if mean else "sum")
        if clear:
            opt_g.zero_grad()
        if early:
            opt_g.step()
        loss.backward()
        if move and not early:
            opt_g.step()
        if thaw:
            D.requires_grad_(True)

    return g_step


def sorted_gaps(x, y):
    return x.flatten().sort().values - y.flatten().sort().values


ndtri = torch.special.ndtri
softplus = F.softplus
CASES = [
    # checker, answer, what it says
    ("d_loss", lambda r, f: softplus(-r).mean() + softplus(f).mean(), "✓"),
    ("d_loss", lambda r, f: bce(r, torch.ones_like(r)) + bce(f, torch.zeros_like(f)), "✓"),
    ("d_loss", lambda r, f: -(softplus(-r).mean() + softplus(f).mean()), "sign is turned"),
    ("d_loss", lambda r, f: softplus(r).mean() + softplus(-f).mean(), "swapped"),
    ("d_loss", lambda r, f: softplus(-r).mean() + softplus(-f).mean(), "the fakes have the label 1"),
    ("d_loss", lambda r, f: softplus(r).mean() + softplus(f).mean(), "the real samples have the label 0"),
    ("d_loss", lambda r, f: (softplus(-r).mean() + softplus(f).mean()) / 2, "mean of the two terms"),
    ("d_loss", lambda r, f: softplus(-r).sum() + softplus(f).sum(), "sum over the batch"),
    ("d_loss", lambda r, f: torch.cat([softplus(-r), softplus(f)]).mean(), "✗"),
    ("d_loss", lambda r, f: softplus(-r).mean(), "the fakes' term is missing"),
    ("d_loss", lambda r, f: softplus(f).mean(), "the real samples' term is missing"),
    ("d_loss", lambda r, f: -r.sigmoid().log().mean() - (1 - f.sigmoid()).log().mean(), "not finite at logits of ±200"),
    (
        "d_loss",
        lambda r, f: -(r.sigmoid() + 1e-8).log().mean() - (1 - f.sigmoid() + 1e-8).log().mean(),
        "F.softplus",
    ),
    ("d_loss", lambda r, f: float((softplus(-r).mean() + softplus(f).mean()).detach()), "✗"),
    ("d_loss", lambda r, f: softplus(-r) + softplus(f).mean(), "is a mean missing?"),
    ("g_step", step(), "✓"),
    ("g_step", lambda G, D, opt, z: gu.g_step(G, D, opt, z, gu.non_saturating), "✓"),
    ("g_step", step(label=0.0), "the label is 0"),
    ("g_step", step(clear=False), "old gradients are still there"),
    ("g_step", step(label=0.0, clear=False), "the label is 0 and the old gradients"),
    ("g_step", step(early=True, clear=False), "RuntimeError"),  # PyTorch notices before the checker can
    ("g_step", lambda G, D, opt, z: opt.step(), "old gradients only"),
    ("g_step", step(early=True), "G did not move"),
    ("g_step", step(move=False), "G did not move"),
    ("g_step", step(sign=-1.0), "uphill"),
    ("g_step", step(mean=False), "sum over the batch"),
    ("g_step", step(freeze=False), "D got gradients"),
    ("g_step", step(thaw=False), "still frozen"),
    ("g_step", lambda G, D, opt, z: None, "G did not move"),
    ("w1", lambda x, y: sorted_gaps(x, y).abs().mean(), "✓"),
    ("w1", gu.wasserstein_1d, "✓"),
    ("w1", lambda x, y: (x - y).abs().mean(), "sort both first"),
    ("w1", lambda x, y: (x.sort().values - y.sort().values).abs().mean(), "sort both first"),
    ("w1", lambda x, y: sorted_gaps(x, y).abs().sum(), "that is the sum"),
    ("w1", lambda x, y: sorted_gaps(x, y).mean(), "✗"),
    ("w1", lambda x, y: sorted_gaps(x, y).square().mean(), "W2 squared"),
    ("w1", lambda x, y: sorted_gaps(x, y).square().mean().sqrt(), "that is W2"),
    ("w1", lambda x, y: sorted_gaps(x, y).abs(), "needs one number"),
    ("w1", lambda x, y: x.mean() - y.mean(), "✗"),
    ("sum_kurtosis", lambda w: -1.2 * (w**4).sum() / (w**2).sum() ** 2, "✓"),
    ("sum_kurtosis", lambda w: -1.2 / len(w), "equal weights"),
    ("sum_kurtosis", lambda w: 1.2 * (w**4).sum() / (w**2).sum() ** 2, "the sign"),
    ("sum_kurtosis", lambda w: (w**4).sum() / (w**2).sum() ** 2, "-1.2, is missing"),
    ("sum_kurtosis", lambda w: -1.2 * (w**4).sum() / (w**2).sum(), "*square* of the sum"),
    ("sum_kurtosis", lambda w: -1.2 * (w**4).sum(), "variance squared"),
    ("sum_kurtosis", lambda w: 3 - 1.2 * (w**4).sum() / (w**2).sum() ** 2, "less by 3"),
    ("sum_kurtosis", lambda w: -1.2, "✗"),
    ("exact_map", lambda u, mean, std: mean + std * ndtri(u), "✓"),
    ("exact_map", lambda u, mean, std: mean - std * ndtri(u), "mirror image"),
    ("exact_map", lambda u, mean, std: ndtri(u), "not used"),
    ("exact_map", lambda u, mean, std: mean + ndtri(u), "std is not used"),
    ("exact_map", lambda u, mean, std: std * ndtri(u), "mean is not used"),
    ("exact_map", lambda u, mean, std: std * (ndtri(u) + mean), "stretch first"),
    ("exact_map", lambda u, mean, std: mean + std**2 * ndtri(u), "do not square"),
    ("exact_map", lambda u, mean, std: mean + std**0.5 * ndtri(u), "no square root"),
    ("exact_map", lambda u, mean, std: mean + std * u, "still uniform"),
    ("exact_map", lambda u, mean, std: mean + std * torch.special.ndtr(u), "*inverse* is asked for"),
    ("exact_map", lambda u, mean, std: (mean + std * ndtri(u)).flatten(), "got shape"),
    ("exact_map", lambda u, mean, std: (mean + std * ndtri(u)).tolist(), "got list"),
]


@pytest.mark.parametrize(("name", "answer", "words"), CASES)
def test_what_a_checker_says(name, answer, words, capsys):
    says(getattr(check, name), answer, words, capsys)
