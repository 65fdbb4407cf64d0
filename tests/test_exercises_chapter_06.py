"""The checkers of chapter 6: right answers pass, and each typical slip gets its own sentence."""

import math

import pytest
import torch
from checkers import names_the_slip, passes

import gan_utils as gu
from gan_utils.exercises import chapter_06 as check


def near(x, centres):
    return torch.cdist(x, centres).min(1)


def quality(x, centres, std):
    return (near(x, centres).values <= 3 * std).double().mean()


def hits(x, centres, std):
    found = near(x, centres)
    return found.indices[found.values <= 3 * std].bincount(minlength=len(centres))


def every(x, centres):
    return near(x, centres).indices.bincount(minlength=len(centres))


def counted(x, centres, std, share):
    return int((hits(x, centres, std) >= share * len(x)).sum())


def kls(q):
    return torch.xlogy(q, q).sum() + math.log(len(q)), -q.log().mean() - math.log(len(q))


def chance(k, n):
    return 1 - math.prod(1 - i / k for i in range(n))


def packed(x, k):
    return x.reshape(len(x) // k, -1)


RIGHT = {
    "high_quality": [quality, lambda x, c, s: gu.count_modes(x, c, s).high_quality],
    "modes": [counted, lambda x, c, s, share: torch.tensor(counted(x, c, s, share))],
    "both_kl": [kls, lambda q: torch.stack(kls(q))],
    "pack": [packed, lambda x, k: gu.Pack(k)(x)],
    "collision": [chance],
}

WRONG = [
    ("high_quality", lambda x, c, s: ((x[:, None] - c).abs() <= 3 * s).all(2).any(1).double().mean(), "a square"),
    ("high_quality", lambda x, c, s: (near(x, c).values ** 2 <= 3 * s).double().mean(), "squared on one side"),
    ("high_quality", lambda x, c, s: (near(x, c).values <= s).double().mean(), "not within one"),
    ("high_quality", lambda x, c, s: (near(x, c).values <= 3 * s**2).double().mean(), "do not square it"),
    ("high_quality", lambda x, c, s: (near(x, c).values <= 3).double().mean(), "are 3 * std"),
    ("high_quality", lambda x, c, s: (torch.cdist(x, c) <= 3 * s).double().mean(), "share of pairs"),
    ("high_quality", lambda x, c, s: (near(x, c).values <= 3 * s).sum(), "a count"),
    ("high_quality", lambda x, c, s: 1 - quality(x, c, s), "poor samples"),
    ("high_quality", lambda x, c, s: 100 * quality(x, c, s), "per cent"),
    ("modes", lambda x, c, s, share: int((hits(x, c, s) > 0).sum()), "one hit is not enough"),
    ("modes", lambda x, c, s, share: int((every(x, c) >= share * len(x)).sum()), "do not count"),
    ("modes", lambda x, c, s, share: int((hits(x, c, s) >= share * hits(x, c, s).sum()).sum()),
     "of all samples|do not count"),
    ("modes", lambda x, c, s, share: int((hits(x, c, s) >= share).sum()), "one hit|divide by the number"),
    ("modes", lambda x, c, s, share: len(c) - counted(x, c, s, share), "missing"),
    ("modes", lambda x, c, s, share: counted(x, c, s, share) / len(c), "how many"),
    ("both_kl", lambda q: kls(q)[::-1], "swapped"),
    ("both_kl", lambda q: ((q * q.log()).sum() + math.log(len(q)), kls(q)[1]), "NaN where a share is 0"),
    ("both_kl", lambda q: (-kls(q)[0], kls(q)[1]), "sign"),
    ("both_kl", lambda q: (kls(q)[0] / math.log(2), kls(q)[1]), "in bits"),
    ("both_kl", lambda q: (kls(q)[0] / len(q), kls(q)[1]), "do not average"),
    ("both_kl", lambda q: (torch.xlogy(q, q).sum(), kls(q)[1]), "log k is missing"),
    ("both_kl", lambda q: (kls(q)[0], -q.clamp(min=1e-8).log().mean() - math.log(len(q))), "infinite"),
    ("both_kl", lambda q: (kls(q)[0], kls(q)[0]), "forward KL of"),
    ("both_kl", lambda q: kls(q)[0], "two numbers"),
    ("pack", lambda x, k: x.reshape(len(x) // k, k, -1), "axis of their own"),
    ("pack", lambda x, k: x.reshape(len(x) // k, k, -1).mean(1), "a mean or a choice"),
    ("pack", lambda x, k: x.reshape(len(x) // k, k, -1).transpose(1, 2).flatten(1), "stay together"),
    ("pack", lambda x, k: torch.cat(list(x.chunk(k)), dim=1), "join neighbours"),
    ("pack", lambda x, k: x.repeat(1, k), "the shape is"),
    ("pack", lambda x, k: packed(x.flip(0), k), "not those of x"),
    ("pack", lambda x, k: packed(x, k).tolist(), "got list"),
    ("collision", lambda k, n: 1 - chance(k, n), "all draws differ"),
    ("collision", lambda k, n: chance(k, n + 1), "too many"),
    ("collision", lambda k, n: chance(k, n - 1), "factor is missing"),
    ("collision", lambda k, n: n / k, "draws over modes"),
    ("collision", lambda k, n: n * (n - 1) / 2 / k, "expected number"),
    ("collision", lambda k, n: 1 - (1 - 1 / k) ** (n - 1), "first draw"),
    ("collision", lambda k, n: 1 - math.exp(-n * (n - 1) / 2 / k), "approximation"),
    ("collision", lambda k, n: 100 * chance(k, n), "per cent"),
    ("collision", lambda k, n: 0.37, "for 5 draws"),
]


@pytest.mark.parametrize("name, answer", [(name, answer) for name, answers in RIGHT.items() for answer in answers])
def test_right_answers_pass(name, answer, capsys):
    passes(getattr(check, name), answer, capsys)


@pytest.mark.parametrize("name, answer, message", WRONG)
def test_slips_are_named(name, answer, message, capsys):
    names_the_slip(getattr(check, name), answer, message.split("|"), capsys)
