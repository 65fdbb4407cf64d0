"""The checkers of chapter 5: right answers pass, each typical slip gets its own sentence, garbage gets one line."""

import math

import numpy as np
import pytest
import torch
from checkers import names_the_slip, passes

import gan_utils as gu
from gan_utils.exercises import chapter_05 as check


def mmd(x, y, *, diagonal=False, pairs=True, cross=2.0, sign=1.0, scale=True, one=1.0, power=3, sums=False):
    d = x.shape[1] if scale else 1

    def within(s):
        k = (s @ s.T / d + one) ** power
        n = len(s)
        total = k.sum() if diagonal else k.sum() - k.diagonal().sum()
        return total / (1 if sums else n * (n - 1) if pairs and not diagonal else n * n)

    across = (x @ y.T / d + one) ** power
    return sign * (within(x) + within(y) - cross * (across.sum() if sums else across.mean()))


def score(logits, *, mean_of_logits=False, log=False, late=False, total=False, turned=False, naive=False):
    p = logits.softmax(1)
    logp = p.log() if naive else logits.log_softmax(1)
    mean = logits.mean(0).softmax(0) if mean_of_logits else p.mean(0)
    kl = (mean * (mean.log() - logp) if turned else p * (logp - mean.log())).sum(1)
    if late:
        return kl.exp().mean()
    kl = kl.sum() if total else kl.mean()
    return kl if log else kl.exp()


def inside(real, fake, k, *, own=0):
    radii = torch.cdist(real, real).sort(dim=1).values[:, k - own]
    return torch.cdist(fake, real) <= radii


def precision(real, fake, k):
    return inside(real, fake, k).any(1).double().mean()


def nearest_only(real, fake, k):
    across, radii = torch.cdist(fake, real), torch.cdist(real, real).sort(dim=1).values[:, k]
    return (across.min(1).values <= radii[across.argmin(1)]).double().mean()


def one_radius(real, fake, k):
    radius = torch.cdist(real, real).sort(1).values[:, k].mean()
    return (torch.cdist(fake, real).min(1).values <= radius).double().mean()


def fakes_own(real, fake, k):
    return (torch.cdist(fake, real) <= torch.cdist(fake, fake).sort(1).values[:, k, None]).any(1).double().mean()


def limit(n, distances):
    return np.polyfit(1 / n, distances, 1)[1]


def power_law(n, distances):
    return math.exp(np.polyfit(np.log(n), np.log(distances), 1)[1])


def below(line, samples, held):
    return (samples < line(samples, held)).double().mean()


def suspicious(samples, held):
    return below(lambda s, h: h.quantile(0.01), samples, held)


RIGHT = [
    (check.kernel_distance, mmd),
    (check.kernel_distance, lambda x, y: float(mmd(x.float(), y.float()))),
    (check.kernel_distance, gu.kernel_distance),
    (check.class_score, score),
    (check.class_score, gu.classifier_score),
    (check.precision, precision),
    (check.precision, lambda r, f, k: gu.precision_recall(real=r, fake=f, k=k)[0]),
    (check.precision, lambda r, f, k: float(np.mean(inside(r, f, k).any(1).numpy()))),
    (check.without_bias, limit),
    (check.without_bias, lambda n, d: (n[-1] * d[-1] - n[0] * d[0]) / (n[-1] - n[0])),
    (check.without_bias, lambda n, d: torch.tensor(limit(n, d))),
    (check.suspicious, suspicious),
    (check.suspicious, lambda s, h: np.mean(s.numpy() < np.quantile(h.numpy(), 0.01))),
    (check.suspicious, lambda s, h: (s < h.sort().values[int(0.01 * len(h))]).sum() / len(s)),
]

SLIPS = [
    (check.kernel_distance, lambda x, y: mmd(x, y, diagonal=True), "biased form"),
    (check.kernel_distance, lambda x, y: mmd(x, y, pairs=False), "there are n (n - 1)"),
    (check.kernel_distance, lambda x, y: mmd(x, y, cross=1), "counts twice"),
    (check.kernel_distance, lambda x, y: mmd(x, y, cross=-2), "subtracted, not added"),
    (check.kernel_distance, lambda x, y: mmd(x, y, sign=-1), "sign is turned"),
    (check.kernel_distance, lambda x, y: mmd(x, y, scale=False), "divided by d"),
    (check.kernel_distance, lambda x, y: mmd(x, y, one=0), "+ 1 is missing"),
    (check.kernel_distance, lambda x, y: mmd(x, y, power=1), "power of 3 is missing"),
    (check.kernel_distance, lambda x, y: mmd(x, y, power=2), "3, not 2"),
    (check.kernel_distance, lambda x, y: mmd(x, y).abs().sqrt(), "its root"),
    (check.kernel_distance, lambda x, y: mmd(x, y).abs(), "no abs"),
    (check.kernel_distance, lambda x, y: mmd(x, y).clamp(min=0), "no clamp"),
    (check.kernel_distance, lambda x, y: mmd(x, y, sums=True), "these are sums"),
    (check.kernel_distance, lambda x, y: mmd(x[:9], y[:9]), "gan_utils"),
    (check.kernel_distance, lambda x, y: 0.0, "gan_utils"),
    (check.kernel_distance, lambda x, y: (x @ y.T / 4 + 1) ** 3, "needs one number"),
    (check.class_score, lambda t: score(t, log=True), "its exponential"),
    (check.class_score, lambda t: score(t, late=True), "before exp"),
    (check.class_score, lambda t: score(t, total=True), "take their mean"),
    (check.class_score, lambda t: score(t, mean_of_logits=True), "softmax of the mean logits"),
    (check.class_score, lambda t: score(t, turned=True), "turned round"),
    (check.class_score, lambda t: 1 / score(t), "1 or more"),
    (check.class_score, lambda t: score(t, log=True).div(t.shape[1]).exp(), "sum over the classes"),
    (check.class_score, lambda t: torch.distributions.Categorical(t.softmax(1).mean(0)).entropy().exp(), "p(y) alone"),
    (check.class_score, lambda t: torch.distributions.Categorical(logits=t).entropy().mean().exp(), "p(y|x) alone"),
    (check.class_score, lambda t: (score(t, log=True) / math.log(2)).exp(), "log2"),
    (check.class_score, lambda t: score(t, naive=True), "use log_softmax"),
    (check.class_score, lambda t: float(t.shape[1]), "gan_utils"),
    (check.precision, lambda r, f, k: gu.precision_recall(real=r, fake=f, k=k)[1], "that is recall"),
    (check.precision, lambda r, f, k: precision(f, r, k), "that is recall"),
    (check.precision, lambda r, f, k: inside(r, f, k, own=1).any(1).double().mean(), "one neighbour too small"),
    (check.precision, fakes_own, "fakes' own balls"),
    (check.precision, lambda r, f, k: gu.density_coverage(real=r, fake=f, k=k)[0], "density"),
    (check.precision, lambda r, f, k: inside(r, f, k).sum(1).double().mean(), "not how many do"),
    (check.precision, lambda r, f, k: inside(r, f, k).any(0).double().mean(), "not of fakes in a ball"),
    (check.precision, lambda r, f, k: inside(r, f, k).all(1).double().mean(), "any, not all"),
    (check.precision, lambda r, f, k: inside(r, f, k).double().mean(), "share of pairs"),
    (check.precision, nearest_only, "may have a wider ball"),
    (check.precision, one_radius, "radius of its own"),
    (check.precision, lambda r, f, k: inside(r, f, k).any(1).sum(), "divide by the number of fakes"),
    (check.precision, lambda r, f, k: 100 * precision(r, f, k), "per cent"),
    (check.precision, lambda r, f, k: 1 - precision(r, f, k), "outside of all balls"),
    (check.precision, lambda r, f, k: precision(r, f, 3), "gan_utils"),
    (check.precision, lambda r, f, k: inside(r, f, k).any(1), "needs one number"),
    (check.without_bias, lambda n, d: np.polyfit(1 / n, d, 1)[0], "the slope b"),
    (check.without_bias, lambda n, d: np.polyfit(n, d, 1)[1], "a line in n:"),
    (check.without_bias, lambda n, d: np.polyfit(n, d, 1)[0], "returned its slope"),
    (check.without_bias, lambda n, d: d[-1], "at the largest n"),
    (check.without_bias, lambda n, d: d.mean(), "mixes different biases"),
    (check.without_bias, lambda n, d: (d / n).sum() / (1 / n**2).sum(), "through the origin"),
    (check.without_bias, power_law, "power law"),
    (check.without_bias, lambda n, d: 0.0, "you get"),
    (check.without_bias, lambda n, d: np.polyfit(1 / n, d, 1), "needs one number"),
    (check.without_bias, lambda n, d: float("inf"), "finite"),
    (check.suspicious, lambda s, h: 1 - suspicious(s, h), "not suspicious"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.quantile(0.99), s, h), "99 % quantile"),
    (check.suspicious, lambda s, h: (s > h.quantile(0.99)).double().mean(), "far away"),
    (check.suspicious, lambda s, h: below(lambda s, h: s.quantile(0.01), s, h), "from the held-out images"),
    (check.suspicious, lambda s, h: suspicious(h, s), "swapped"),
    (check.suspicious, lambda s, h: suspicious(h, h), "by construction"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.mean(), s, h), "below the mean"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.quantile(0.5), s, h), "below the median"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.quantile(0.1), s, h), "10 % quantile"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.quantile(0.05), s, h), "5 % quantile"),
    (check.suspicious, lambda s, h: below(lambda s, h: h.min(), s, h), "a single image"),
    (check.suspicious, lambda s, h: (s == 0).double().mean(), "exact copies"),
    (check.suspicious, lambda s, h: s.mean() / h.mean(), "a ratio of means"),
    (check.suspicious, lambda s, h: suspicious(s, h) * len(s), "that is a count"),
    (check.suspicious, lambda s, h: suspicious(s, h) * 100, "per cent"),
    (check.suspicious, lambda s, h: 0.3, "expected"),
]


@pytest.mark.parametrize("checker, answer", RIGHT)
def test_right_answers_pass(checker, answer, capsys):
    passes(checker, answer, capsys)


@pytest.mark.parametrize("checker, answer, sentence", SLIPS)
def test_each_slip_is_named(checker, answer, sentence, capsys):
    names_the_slip(checker, answer, [sentence], capsys)
