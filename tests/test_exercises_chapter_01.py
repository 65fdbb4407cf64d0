"""Checkers of chapter 1: the right answer passes, each usual slip gets its own words, rubbish never passes."""

import math

import pytest
import torch
from checkers import says

from gan_utils.exercises import chapter_01 as check


def likelihood(mail, counts, *, add=1, below=None):
    total = sum(counts.values()) + (len(counts) if below is None else below)
    return math.prod((counts[w] + add) / total for w in mail)


def log_odds_of_ham(mail, a, b, prior):
    """In logarithms, so that a long mail does not run out of numbers."""
    def score(counts, p):
        total = sum(counts.values()) + len(counts)
        return math.log(p) + sum(math.log((counts[w] + 1) / total) for w in mail)
    return score(b, 1 - prior) - score(a, prior)


def spam(*mail):
    return (1 - math.tanh(log_odds_of_ham(*mail) / 2)) / 2


def overflowing_spam(*mail):
    return 1 / (1 + math.exp(log_odds_of_ham(*mail)))


def plain_spam(mail, a, b, prior, **slip):
    one, other = prior * likelihood(mail, a, **slip), (1 - prior) * likelihood(mail, b, **slip)
    return one / (one + other)


def unsmoothed(mail, a, b, prior):
    one, other = (p * math.prod(c[w] / sum(c.values()) for w in mail) for c, p in ((a, prior), (b, 1 - prior)))
    return one / (one + other) if one + other else math.nan


def pairs(first, following, n, generator):
    one = torch.multinomial(first, n, replacement=True, generator=generator)
    two = torch.multinomial(following[one], 1, generator=generator)[:, 0]
    return torch.stack([one, two], dim=1)


def independent_pairs(first, following, n, generator):
    one = torch.multinomial(first, n, replacement=True, generator=generator)
    two = torch.multinomial(first @ following, n, replacement=True, generator=generator)
    return torch.stack([one, two], dim=1)


def column_pairs(first, following, n, generator):
    if following.shape[0] != following.shape[1]:
        return pairs(first, following, n, generator)
    return pairs(first, following.T.contiguous(), n, generator)


def even_pairs(first, following, n, generator):
    return pairs(torch.ones_like(first), following, n, generator)


def seeded_pairs(first, following, n, generator):
    return pairs(first, following, n, torch.Generator().manual_seed(3))


def careless_pairs(first, following, n, generator):
    return pairs(first, following, n, None)


def swapped_pairs(first, following, n, generator):
    return pairs(first, following, n, generator).flip(1)


def distances(fake, train, held_out):
    return (torch.cdist(fake.flatten(1), y.flatten(1)) for y in (train, held_out))


def nearer(fake, train, held_out, reduce=lambda d: d.min(1).values):
    a, b = distances(fake, train, held_out)
    return float((reduce(a) < reduce(b)).float().mean())


def ratio(fake, train, held_out):
    a, b = distances(fake, train, held_out)
    return a.min(1).values.mean() / b.min(1).values.mean()


log = math.log
CASES = [
    # checker, answer, what it says
    ("bayes", lambda ll, p: (ll + p.log()).softmax(1), "✓"),
    ("bayes", lambda ll, p: (ll + p.log() - (ll + p.log()).logsumexp(1, keepdim=True)).exp(), "✓"),
    ("bayes", lambda ll, p: ll.softmax(1), "the prior is not used"),
    ("bayes", lambda ll, p: ll.exp() * p, "the numerator"),
    ("bayes", lambda ll, p: ll + p.log(), "leave the logarithm"),
    ("bayes", lambda ll, p: (ll + p.log()).log_softmax(1), "still a logarithm"),
    ("bayes", lambda ll, p: (ll + p.log()).softmax(0), "axis 0"),
    ("bayes", lambda ll, p: (ll + p).softmax(1), "add its logarithm"),
    ("bayes", lambda ll, p: ll.exp() + p, "not added"),
    ("bayes", lambda ll, p: ll.softmax(1) * p, "multiply first"),
    ("bayes", lambda ll, p: (ll - p.log()).softmax(1), "divides by the prior"),
    ("bayes", lambda ll, p: (ll * p).softmax(1), "multiplied by the prior"),
    ("bayes", lambda ll, p: ll.exp() * p / (ll.exp() * p).sum(1, keepdim=True), "not finite"),
    ("bayes", lambda ll, p: (ll + p.log()).softmax(1)[:, 0], "got shape"),
    ("bayes", lambda ll, p: (ll + p.log()).softmax(1).tolist(), "got list"),
    ("bayes", lambda ll, p: torch.full_like(ll, 0.5), "✗"),
    ("spam", spam, "✓"),
    ("spam", lambda *a: torch.tensor(spam(*a)), "✓"),
    ("spam", overflowing_spam, "2,000 times 'lunch', a word of ham"),
    ("spam", plain_spam, "✗"),  # runs out of numbers at 2,000 words
    ("spam", lambda *a: 1 - spam(*a), "probability of ham"),
    ("spam", lambda m, a, b, p: spam(m, a, b, 0.5), "the prior is not used"),
    ("spam", unsmoothed, "1 is not added"),
    ("spam", lambda *a: plain_spam(*a, below=1), "not by 1"),
    ("spam", lambda *a: plain_spam(*a, below=0), "not to the total"),
    ("spam", lambda m, *a: spam(sorted(set(m)), *a), "counts twice"),
    ("spam", lambda m, a, b, p: spam(m, b, a, p), "swapped"),
    ("spam", lambda m, a, b, p: p * likelihood(m, a), "divide by the same"),
    ("spam", lambda *a: 0.5, "✗"),
    ("spam", lambda *a: str(spam(*a)), "got str"),
    ("draw_pairs", pairs, "✓"),
    ("draw_pairs", independent_pairs, "does not depend on the first"),
    ("draw_pairs", column_pairs, "a *column*"),
    ("draw_pairs", even_pairs, "do not follow p_first"),
    ("draw_pairs", seeded_pairs, "another generator gave the same"),
    ("draw_pairs", careless_pairs, "pass `generator=`"),
    ("draw_pairs", swapped_pairs, "✗"),
    ("draw_pairs", lambda *a: pairs(*a)[:, 0], "got shape"),
    ("draw_pairs", lambda *a: pairs(*a).tolist(), "got list"),
    ("draw_pairs", lambda *a: pairs(*a) + 3, "outside the table"),
    ("draw_pairs", lambda f, q, n, g: torch.zeros(n, 2, dtype=torch.long), "✗"),
    ("importance", lambda p, q: (p - q).logsumexp(0) - log(len(p)), "✓"),
    ("importance", lambda p, q: (p - q).mean(0), "the ELBO"),
    ("importance", lambda p, q: (p - q).logsumexp(0), "subtract log k"),
    ("importance", lambda p, q: (p - q).exp().mean(0), "its logarithm is asked for"),
    ("importance", lambda p, q: (q - p).logsumexp(0) - log(len(p)), "upside down"),
    ("importance", lambda p, q: p.logsumexp(0) - log(len(p)), "log_q is not used"),
    ("importance", lambda p, q: (p + q).logsumexp(0) - log(len(p)), "denominator"),
    ("importance", lambda p, q: log(len(p)) - (p - q).logsumexp(0), "sign is turned"),
    ("importance", lambda p, q: (p - q).exp().mean(0).log(), "torch.logsumexp"),
    ("importance", lambda p, q: (p - q).logsumexp(1) - log(p.shape[1]), "got shape"),
    ("importance", lambda p, q: (p - q).logsumexp((0, 1)) - log(p.numel()), "got shape"),
    ("nearer", nearer, "✓"),
    ("nearer", lambda *a: 1 - nearer(*a), "*held-out*"),
    ("nearer", lambda *a: 100 * nearer(*a), "per cent"),
    ("nearer", lambda f, t, h: len(f) * nearer(f, t, h), "that is how many"),
    ("nearer", lambda *a: nearer(*a, reduce=lambda d: d.min(0).values), "axis 1"),
    ("nearer", lambda *a: nearer(*a, reduce=lambda d: d.mean(1)), "mean or largest"),
    ("nearer", lambda *a: nearer(*a, reduce=lambda d: d.max(1).values), "mean or largest"),
    ("nearer", ratio, "ratio of distances"),
    ("nearer", lambda f, t, h: next(distances(f, t, h)).min(1).values, "needs one number"),
    ("nearer", lambda *a: 0.5, "✗"),
]


@pytest.mark.parametrize(("name", "answer", "words"), CASES)
def test_what_a_checker_says(name, answer, words, capsys):
    says(getattr(check, name), answer, words, capsys)
