"""Checkers of chapter 3: the right answer passes, each usual slip gets its own words, rubbish never passes."""

# ruff: noqa: E741  (l is the logit)

import math

import pytest
import torch
import torch.nn.functional as F
from checkers import says
from scipy.spatial.distance import jensenshannon

import gan_utils as gu
from gan_utils.exercises import chapter_03 as check

sigmoid, softplus = torch.sigmoid, F.softplus
EPS = 1e-8


def kl(p, q):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def middle(p, q):
    return (p + q) / 2


def js(p, q):
    return (kl(p, middle(p, q)) + kl(q, middle(p, q))) / 2


def s(t):
    return 1 / (1 + math.exp(-t))


def step(order="D", d=1, g=1, penalty=1.0, slope=lambda t: 1 - s(t)):
    """A step of the Dirac-GAN with the slips that are switched on."""

    def dirac_step(theta, psi, lr, gamma):
        old = psi
        if order == "G":
            theta = theta + g * lr * psi * slope(theta * psi)
        psi = psi - lr * (d * theta * s(theta * psi) + penalty * gamma * psi)
        if order != "G":
            seen = old if order == "both" else psi
            theta = theta + g * lr * seen * slope(theta * seen)
        return theta, psi

    return dirac_step


def package_step(theta, psi, lr, gamma):
    state = torch.tensor([theta, psi], dtype=torch.float64)
    return gu.dirac_step(state, gu.non_saturating, lr=lr, alternating=True, r1_gamma=gamma)


CASES = [
    # checker, answer, what it says
    ("best_d", lambda p, q, a, b: (a * p + b * q) / (p + q), "✓"),
    ("best_d", lambda p, q, a, b: gu.optimal_discriminator(p, q, real_label=a, fake_label=b), "✓"),
    ("best_d", lambda p, q, a, b: q / (p + q), "probability of *fake*"),
    ("best_d", lambda p, q, a, b: (b * p + a * q) / (p + q), "✗"),
    ("best_d", lambda p, q, a, b: p / (p + q), "not used"),
    ("best_d", lambda p, q, a, b: a * p / (p + q), "b is not used"),
    ("best_d", lambda p, q, a, b: a * p / (a * p + q), "re-weights"),
    ("best_d", lambda p, q, a, b: a * p / (a * p + b * q), "all the mass that falls there"),
    ("best_d", lambda p, q, a, b: a * p + b * q, "divide by p + q"),
    ("best_d", lambda p, q, a, b: p / q, "ratio of the densities"),
    ("best_d", lambda p, q, a, b: torch.logit((a * p + b * q) / (p + q)), "that is the logit"),
    ("best_d", lambda p, q, a, b: ((a * p + b * q) / (p + q)).tolist(), "got list"),
    ("best_d", lambda p, q, a, b: ((a * p + b * q) / (p + q))[:, None], "got shape"),
    ("best_d", lambda p, q, a, b: torch.full_like(p, 0.5), "✗"),
    ("jsd", js, "✓"),
    ("jsd", gu.js_divergence, "✓"),
    ("jsd", lambda p, q: float(js(p, q)), "✓"),
    ("jsd", lambda p, q: jensenshannon(p.numpy(), q.numpy()), "as scipy returns it"),
    ("jsd", lambda p, q: jensenshannon(p.numpy(), q.numpy()) ** 2, "✓"),
    ("jsd", lambda p, q: js(p, q) / math.log(2), "in bits"),
    ("jsd", lambda p, q: 2 * js(p, q), "take their mean"),
    ("jsd", lambda p, q: -js(p, q), "the sign"),
    ("jsd", lambda p, q: kl(p, middle(p, q)), "first half"),
    ("jsd", lambda p, q: kl(q, middle(p, q)), "second half"),
    ("jsd", kl, "KL(p||q)"),
    ("jsd", lambda p, q: kl(q, p), "KL(q||p)"),
    ("jsd", lambda p, q: (kl(p, q) + kl(q, p)) / 2, "mean of KL(p||q) and KL(q||p)"),
    ("jsd", lambda p, q: (kl(middle(p, q), p) + kl(middle(p, q), q)) / 2, "the midpoint comes second"),
    ("jsd", lambda p, q: 2 * js(p, q) - math.log(4), "value of the game"),
    ("jsd", lambda p, q: js(p, q) / len(p), "mean over the places"),
    ("jsd", lambda p, q: (p * (p / middle(p, q)).log() + q * (q / middle(p, q)).log()).sum() / 2, "0 log 0"),
    ("jsd", lambda p, q: p * 0, "needs one number"),
    ("slopes", lambda l: (-sigmoid(l), sigmoid(l) - 1), "✓"),
    ("slopes", lambda l: [-sigmoid(l), -sigmoid(-l)], "✓"),
    ("slopes", lambda l: (sigmoid(l) - 1, -sigmoid(l)), "swapped"),
    ("slopes", lambda l: (sigmoid(l), 1 - sigmoid(l)), "both signs"),
    ("slopes", lambda l: (sigmoid(l), sigmoid(l) - 1), "minimax: the sign"),
    ("slopes", lambda l: (-sigmoid(l), 1 - sigmoid(l)), "non-saturating: the sign"),
    ("slopes", lambda l: (sigmoid(l) - 1, sigmoid(l) - 1), "minimax: that is the slope of -log"),
    ("slopes", lambda l: (-sigmoid(l), -sigmoid(l)), "log(1 - s(l)) again"),
    ("slopes", lambda l: (-1 / (1 - sigmoid(l.clamp(-9, 9))), -1 / sigmoid(l.clamp(-9, 9))), "in the *probability*"),
    ("slopes", lambda l: (-sigmoid(l) * sigmoid(-l), -sigmoid(l) * sigmoid(-l)), "the logarithm is missing"),
    ("slopes", lambda l: (-softplus(l), softplus(-l)), "that is the loss"),
    ("slopes", lambda l: (-l.exp() / (1 + l.exp()), -1 / (1 + l.exp())), "±200"),
    ("slopes", lambda l: -sigmoid(l), "return two tensors"),
    ("slopes", lambda l: ((-sigmoid(l)).tolist(), (sigmoid(l) - 1).tolist()), "got list"),
    ("bce", lambda l, y: (softplus(l) - y * l).mean(), "✓"),
    ("bce", F.binary_cross_entropy_with_logits, "✓"),
    ("bce", lambda l, y: -(softplus(l) - y * l).mean(), "the sign"),
    ("bce", lambda l, y: (softplus(-l) + y * l).mean(), "turned round"),
    ("bce", lambda l, y: (softplus(l) - y * l).sum(), "sum over the batch"),
    ("bce", lambda l, y: (y * softplus(-l)).mean(), "label 0"),
    ("bce", lambda l, y: ((1 - y) * softplus(l)).mean(), "label 1"),
    ("bce", lambda l, y: F.binary_cross_entropy_with_logits(sigmoid(l), y), "twice"),
    ("bce", lambda l, y: (softplus(l) + softplus(-l)).mean(), "weigh them"),
    ("bce", lambda l, y: (softplus(l) - y * l).mean() / math.log(2), "in bits"),
    ("bce", lambda l, y: (-y * sigmoid(l).log() - (1 - y) * (1 - sigmoid(l)).log()).mean(), "needs 200"),
    ("bce", lambda l, y: (-y * (sigmoid(l) + EPS).log() - (1 - y) * (1 - sigmoid(l) + EPS).log()).mean(), "needs 200"),
    ("bce", lambda l, y: F.binary_cross_entropy(sigmoid(l), y), "needs 200"),
    ("bce", lambda l, y: softplus(l) - y * l, "is a mean or sum missing"),
    ("bce", lambda l, y: (softplus(l) - y * l).mean().item(), "no gradient"),
    ("dirac_step", step(), "✓"),
    ("dirac_step", package_step, "✓"),
    ("dirac_step", step("both"), "*old* psi"),
    ("dirac_step", step("G"), "G went first"),
    ("dirac_step", step(d=-1), "D went uphill"),
    ("dirac_step", step(g=-1), "G went uphill"),
    ("dirac_step", step(d=-1, g=-1), "both went uphill"),
    ("dirac_step", step(slope=s), "minimax slope"),
    ("dirac_step", step(penalty=0), "penalty is missing"),
    ("dirac_step", step(penalty=-1), "*away* from 0"),
    ("dirac_step", step(penalty=2), "not twice"),
    ("dirac_step", step(penalty=0.5), "cancels the half"),
    ("dirac_step", lambda theta, psi, lr, gamma: (theta, psi), "nothing moved"),
    ("dirac_step", lambda *a: step()(*a)[::-1], "theta first"),
    ("dirac_step", step(slope=lambda t: 1), "✗"),
    ("dirac_step", lambda *a: step()(*a)[0], "return two numbers"),
]


@pytest.mark.parametrize(("name", "answer", "words"), CASES)
def test_what_a_checker_says(name, answer, words, capsys):
    says(getattr(check, name), answer, words, capsys)
