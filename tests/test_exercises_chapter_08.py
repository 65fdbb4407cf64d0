"""The checkers of chapter 8: right answers pass, and each typical slip gets its own sentence."""

import math

import pytest
import torch
import torch.nn.functional as F
from checkers import names_the_slip, passes

import gan_utils as gu
from gan_utils.exercises import chapter_08 as check


def joined(z, y, classes, scale):
    return torch.cat([z, scale * torch.eye(classes)[y]], dim=1)


def hot(y, classes):
    return F.one_hot(y, classes).float()


def scale_for(share, d):
    return math.sqrt(share * d / (1 - share))


def projection(h, y, V, w, b):
    return (h @ w + b + (h * V[y]).sum(1))[:, None]


def with_product(product):
    """The right answer, but for the class's part."""
    return lambda h, y, V, w, b: (h @ w + b)[:, None] + product(h, y, V)


def matching(right, wrong, fake, *, weights=(1, 0.5, 0.5), signs=(-1, 1, 1)):
    scores = [F.softplus(s * t).mean() for s, t in zip(signs, (right, wrong, fake), strict=True)]
    return sum(w * s for w, s in zip(weights, scores, strict=True))


def naive(right, wrong, fake):
    no = sum(-(1 - t.sigmoid()).log().mean() for t in (wrong, fake))
    return -right.sigmoid().log().mean() + no / 2


def shares(seen, asked, classes):
    """Of each class asked for the share made right; NaN where it was never asked for."""
    right = (seen == asked).double()
    return torch.stack([right[asked == k].mean() for k in range(classes)])


def worst(seen, asked, classes, pick=lambda s: s.nan_to_num(2).argmin()):
    s = shares(seen, asked, classes)
    k = int(pick(s))
    return k, float(s[k])


RIGHT = [
    (check.joined, joined),
    (check.joined, lambda z, y, c, s: gu.join_one_hot(z, y, c, scale=s)),
    (check.scale_for, scale_for),
    (check.scale_for, lambda share, d: torch.tensor(d / (1 / share - 1)).sqrt()),
    (check.projection, projection),
    (check.projection, lambda h, y, V, w, b: (h * (V[y] + w)).sum(1, keepdim=True) + b),
    (check.projection, lambda h, y, V, w, b: (h @ w + b)[:, None] + (h @ V.T).gather(1, y[:, None])),
    (check.matching_loss, matching),
    (check.matching_loss, lambda r, w, f: F.binary_cross_entropy_with_logits(r, torch.ones_like(r))
        + 0.5 * sum(F.binary_cross_entropy_with_logits(t, torch.zeros_like(t)) for t in (w, f))),
    (check.worst_class, worst),
    (check.worst_class, lambda s, a, c: min(
        ((k, float((s[a == k] == k).double().mean())) for k in range(c) if (a == k).any()), key=lambda p: p[1])),
]

SLIPS = [
    (check.joined, lambda z, y, c, s: joined(z, y, c, 1), "scale was left out"),
    (check.joined, lambda z, y, c, s: joined(s * z, y, c, 1), "not to the noise"),
    (check.joined, lambda z, y, c, s: s * joined(z, y, c, 1), "one-hot alone"),
    (check.joined, lambda z, y, c, s: torch.cat([s * hot(y, c), z], 1), "noise comes first"),
    (check.joined, lambda z, y, c, s: joined(z, y, c, 1 / s), "do not divide"),
    (check.joined, lambda z, y, c, s: torch.cat([z, hot(y, c) + s - 1], 1), "other entries are 0"),
    (check.joined, lambda z, y, c, s: torch.cat([z, s * (1 - hot(y, c))], 1), "turned round"),
    (check.joined, lambda z, y, c, s: torch.cat([z, s * y[:, None]], 1), "one number"),
    (check.joined, lambda z, y, c, s: torch.cat([z, s * F.one_hot(y)], 1), "absent from the batch"),
    (check.joined, lambda z, y, c, s: torch.cat([z, z], 0), "join along dim=1"),
    (check.joined, lambda z, y, c, s: z + y[:, None], "nothing was joined"),
    (check.joined, lambda z, y, c, s: joined(z, 0 * y, c, s), "the first row is"),
    (check.joined, lambda z, y, c, s: [1, 2], "needs a tensor"),
    (check.scale_for, lambda r, d: scale_for(r, d) ** 2, "square of the scale"),
    (check.scale_for, lambda r, d: r * d / math.sqrt(1 - r), "over all of it"),
    (check.scale_for, lambda r, d: math.sqrt(r * d), "the class is part of it"),
    (check.scale_for, lambda r, d: scale_for(r, 1), "energy is d, not 1"),
    (check.scale_for, lambda r, d: scale_for(r, math.sqrt(d)), "its length the root of d"),
    (check.scale_for, lambda r, d: scale_for(1 - r, d), "swapped"),
    (check.scale_for, lambda r, d: r * r / (r * r + d), "solve it for the scale"),
    (check.scale_for, lambda r, d: -scale_for(r, d), "positive root"),
    (check.scale_for, lambda r, d: 1.0, "expected"),
    (check.projection, lambda h, y, V, w, b: (h * V[y]).sum(1, keepdim=True), "does not depend on the class"),
    (check.projection, lambda h, y, V, w, b: h @ w[:, None] + b, "y is not used"),
    (check.projection, lambda h, y, V, w, b: projection(h, y, V, w, 0), "bias b is missing"),
    (check.projection, with_product(lambda h, y, V: (h * V[y]).mean(1, keepdim=True)), "not averaged"),
    (check.projection, with_product(lambda h, y, V: V[y].sum(1, keepdim=True)), "it is a product"),
    (check.projection, with_product(lambda h, y, V: -(h * V[y]).sum(1, keepdim=True)), "not subtracted"),
    (check.projection, with_product(lambda h, y, V: (h * V[y.flip(0)]).sum(1, keepdim=True)), "another order"),
    (check.projection, with_product(lambda h, y, V: (h @ V.T).sum(1, keepdim=True)), "sums over all classes"),
    (check.projection, with_product(lambda h, y, V: (h @ V.T).amax(1, keepdim=True)), "fits best"),
    (check.projection, lambda *a: projection(*a).sigmoid(), "no sigmoid"),
    (check.projection, lambda *a: projection(*a)[:, 0], "silently becomes"),
    (check.projection, with_product(lambda h, y, V: h * V[y]), "not summed over the features"),
    (check.projection, with_product(lambda h, y, V: h @ V[y].T), "every image with every label"),
    (check.projection, with_product(lambda h, y, V: h @ V.T), "take the one of y"),
    (check.projection, with_product(lambda h, y, V: (h * V[0]).sum(1, keepdim=True)), "the first row is"),
    (check.matching_loss, lambda *a: matching(*a, weights=(1, 1, 1)), "halve their sum"),
    (check.matching_loss, lambda *a: matching(*a, weights=(1, 0, 1)), "mismatched pairs are not in it"),
    (check.matching_loss, lambda *a: matching(*a, weights=(1, 1, 0)), "fakes are not in it"),
    (check.matching_loss, lambda *a: matching(*a, signs=(-1, -1, 1)), "wrong label is a 'no'"),
    (check.matching_loss, lambda *a: matching(*a, signs=(-1, -1, 1), weights=(0.5, 0.5, 1)), "wrong label is a 'no'"),
    (check.matching_loss, lambda *a: matching(*a, signs=(1, -1, -1)), "all signs"),
    (check.matching_loss, lambda *a: -matching(*a), "a loss is minimised"),
    (check.matching_loss, lambda *a: matching(*a, signs=(-1, 1, -1)), "only for G"),
    (check.matching_loss, lambda *a: matching(*a, weights=(1 / 3, 1 / 3, 1 / 3)), "weight 1"),
    (check.matching_loss, lambda r, w, f: len(r) * matching(r, w, f), "take means"),
    (check.matching_loss, lambda *a: matching(*a) / 2, "not one half"),
    (check.matching_loss, lambda *a: matching(*a) / math.log(2), "in bits"),
    (check.matching_loss, lambda *a: matching(*a, weights=(1, 0.25, 0.25)), "not a quarter"),
    (check.matching_loss, naive, "use softplus"),
    (check.matching_loss, lambda *a: matching(*(t.clamp(-20, 20) for t in a)), "clamped"),
    (check.matching_loss, lambda r, w, f: F.softplus(-r) + F.softplus(w) / 2 + F.softplus(f) / 2, "mean missing"),
    (check.matching_loss, lambda r, w, f: matching(w, r, f), "expected"),
    (check.worst_class, lambda s, a, c: worst(a, s, c), "group by what was asked for"),
    (check.worst_class, lambda s, a, c: (0, float((s == a).double().mean())), "never asked for"),
    (check.worst_class, lambda s, a, c: (2, float((s == a).double().mean())), "over all classes"),
    (check.worst_class, lambda s, a, c: worst(s, a, c, lambda x: x.nan_to_num(-1).argmax()), "best class"),
    (check.worst_class, lambda s, a, c: worst(s, a, c, lambda x: x.nan_to_num(0).argmin()), "never asked for"),
    (check.worst_class, lambda s, a, c: (worst(s, a, c)[0], 1 - worst(s, a, c)[1]), "share of wrong ones"),
    (check.worst_class, lambda s, a, c: (2, float(((s == a) & (a == 2)).double().mean())), "not by all samples"),
    (check.worst_class, lambda s, a, c: (2, float(shares(s, a, c).nanmean())), "mean over the classes"),
    (check.worst_class, lambda s, a, c: (2, float(((s == a) & (a == 2)).sum())), "is no share"),
    (check.worst_class, lambda s, a, c: (1, worst(s, a, c)[1]), "the worst is 2"),
    (check.worst_class, lambda s, a, c: (2, 0.123), "expected"),
    (check.worst_class, lambda s, a, c: 2, "needs two things"),
]


@pytest.mark.parametrize("checker, answer", RIGHT)
def test_right_answers_pass(checker, answer, capsys):
    passes(checker, answer, capsys)


@pytest.mark.parametrize("checker, answer, sentence", SLIPS)
def test_each_slip_is_named(checker, answer, sentence, capsys):
    names_the_slip(checker, answer, [sentence], capsys)
