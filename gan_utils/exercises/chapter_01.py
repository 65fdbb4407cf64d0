"""Checkers of chapter 1: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..runtime import seeded
from . import checker, expect, number


@checker
def bayes(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """`bayes(log_likelihood, prior)`: p(y|x), (n, k), from log p(x|y), (n, k), and p(y), (k,)."""
    g = seeded(11)
    for n, k in ((6, 2), (5, 3), (3, 3), (1, 4)):
        ll = 2 * torch.randn(n, k, generator=g) - 1
        prior = torch.rand(k, generator=g) + 0.1
        prior = prior / prior.sum()
        got = _tensor(answer(ll.clone(), prior.clone()), (n, k))
        joint = ll + prior.log()
        right = joint.softmax(1)
        slips = (
            (ll.softmax(1), "the prior is not used: p(x|y) alone says nothing of how common y is"),
            (joint.exp(), "that is p(x|y) p(y), the numerator; divide by its sum over the classes, p(x)"),
            (joint, "that is log p(x|y) + log p(y); divide by p(x) and leave the logarithm"),
            (joint.log_softmax(1), "right, but still a logarithm: probabilities are asked for"),
            (joint.softmax(0), "normalised over the samples (axis 0): each *row* must sum to 1"),
            ((ll + prior).softmax(1), "the prior was added to a logarithm as it is: add its logarithm"),
            (ll.exp() + prior, "p(x|y) and p(y) are multiplied, not added"),
            (ll.softmax(1) * prior, "the prior came after normalising: multiply first, then divide by the sum"),
            ((ll - prior.log()).softmax(1), "that divides by the prior: multiply by it"),
            ((ll * prior).softmax(1), "a logarithm was multiplied by the prior: add log p(y) to log p(x|y)"),
        )
        _not_slips(got, right, slips)
        _same(got, right)
    far = torch.tensor([[-1000.0, -1001.0], [-2000.0, -1900.0], [800.0, 799.0]])
    got = _tensor(answer(far, torch.tensor([0.5, 0.5])), (3, 2))
    expect(torch.isfinite(got).all(), "not finite where log p(x|y) is about -1000 or 800: exp() runs out of numbers "
           "there, so stay with logarithms until the end (softmax does)")
    _same(got, far.softmax(1))
    return "Right: likelihood times prior, divided by the sum, and finite far from the data."


@checker
def spam(answer: Callable[[list, dict, dict, float], float]) -> str:
    """`spam(words, spam_counts, ham_counts, prior)`: P(spam | words), naive Bayes with 1 added to each count."""
    g = seeded(12)
    vocabulary = ["free", "money", "offer", "now", "meeting", "lunch", "report", "prize"]
    for size, length, prior in ((3, 2, 0.4), (6, 3, 0.2), (5, 5, 0.7), (8, 4, 0.4)):
        words = vocabulary[:size]
        a, b = ({w: int(c) for w, c in zip(words, torch.randint(0, 9, (size,), generator=g), strict=True)}
                for _ in range(2))
        mail = [words[int(i)] for i in torch.randint(0, size, (length,), generator=g)]
        mail.append(mail[0])  # a word that comes twice
        got = number(answer(list(mail), dict(a), dict(b), prior))
        right = _spam(mail, a, b, prior)
        slips = (
            (1 - right, "that is the probability of ham"),
            (_spam(mail, a, b, 0.5), "the prior is not used"),
            (_spam(mail, a, b, prior, add=0), "1 is not added to the counts: a word never seen decides everything"),
            (_spam(mail, a, b, prior, below=1), "1 is added to each count, so the *total* grows by the number of "
             "different words, not by 1"),
            (_spam(mail, a, b, prior, below=0), "1 is added to each count but not to the total: divide by the total "
             "plus the number of different words"),
            (_spam(sorted(set(mail)), a, b, prior), "a word that comes twice counts twice"),
            (_spam(mail, b, a, prior), "spam and ham are swapped"),
            (_score(mail, a, prior), "that is p(words | spam) P(spam); divide by the same for spam and ham together"),
        )
        _not_slips(torch.tensor(got), torch.tensor(right), slips)
        expect(abs(got - right) < 1e-5, f"got {got:.4f} for {mail}, needs {right:.4f}")
    long = number(answer(["free", "now"] * 1000, {"free": 3, "now": 2}, {"free": 3, "now": 2}, 0.3))
    expect(math.isfinite(long), "a mail of 2,000 words gives NaN: add logarithms instead of multiplying")
    expect(abs(long - 0.3) < 1e-6, f"2,000 words that say nothing must leave the prior, .3; got {long:.3f}: products "
           "of small numbers run out, add logarithms instead")
    for word, sure in (("free", 1), ("lunch", 0)):  # the odds are e to the power 1386, which no float holds
        clear = [word] * 2000, {"free": 3, "lunch": 1}, {"free": 1, "lunch": 3}, 0.5
        try:
            got = number(answer(*clear))
        except OverflowError:
            got = math.nan
        expect(abs(got - sure) < 1e-6, f"2,000 times {word!r}, a word of {'spam' if sure else 'ham'}: got {got:.3g}, "
               f"needs {sure}; math.exp gives up above 709, a tanh does not")
    return "Right: word by word, with one more of each, and any length."


@checker
def draw_pairs(answer: Callable[..., Tensor]) -> str:
    """`draw_pairs(p_first, p_next, n, generator)`: n pairs (n, 2), the second drawn given the first."""
    n = 20_000
    for seed, sizes in ((0, (3, 3)), (1, (4, 4)), (2, (2, 5))):
        g = seeded(130 + seed)
        first = torch.rand(sizes[0], generator=g) + 0.2
        first = first / first.sum()
        following = (3 * torch.randn(*sizes, generator=g)).softmax(1)
        got = _tensor(answer(first.clone(), following.clone(), n, g), (n, 2), floats=False)
        inside = (got >= 0).all() and (got[:, 0] < sizes[0]).all() and (got[:, 1] < sizes[1]).all()
        expect(inside, "a value lies outside the table: the first counts rows, the second columns")
        cell = got[:, 0].long() * sizes[1] + got[:, 1].long()
        share = torch.bincount(cell, minlength=sizes[0] * sizes[1]).view(sizes) / n
        right = first[:, None] * following
        apart = share.sum(1)[:, None] * share.sum(0)[None]
        expect(_tv(share.sum(1), first) < 0.03, "the first numbers do not follow p_first: draw them from it, with "
               "replacement")
        if _tv(right, share) >= 0.03:
            expect(_tv(right, right.sum(1)[:, None] * right.sum(0)[None]) < 0.05 or _tv(share, apart) >= 0.03,
                   "the second does not depend on the first: use the row p_next[first] of each pair")
            if sizes[0] == sizes[1]:
                turned = following.T / following.T.sum(1, keepdim=True)
                expect(_tv(share, first[:, None] * turned) >= 0.03,
                       "the second was drawn from a *column*; given the first, use the row p_next[first]")
        expect(_tv(right, share) < 0.03, "the pairs do not follow p_first(x1) p_next(x2 | x1)")
        again = answer(first.clone(), following.clone(), n, seeded(7))
        twice = answer(first.clone(), following.clone(), n, seeded(7))
        other = answer(first.clone(), following.clone(), n, seeded(8))
        expect(torch.equal(again, twice), "the same generator gave other pairs: pass `generator=` to every draw")
        expect(not torch.equal(again, other), "another generator gave the same pairs: pass it on, do not seed your own")
    return "Right: the first from its own law, the second from the row that the first picks."


@checker
def importance(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """`importance(log_joint, log_q)`: log of the mean of exp(log_joint - log_q) over k, (k, n) to (n,)."""
    g = seeded(14)
    for k, n in ((5, 3), (40, 7), (4, 4), (1, 2)):
        joint, q = (2 * torch.randn(k, n, generator=g) - s for s in (3.0, 1.0))
        got = _tensor(answer(joint.clone(), q.clone()), (n,))
        w = joint - q
        right = w.logsumexp(0) - math.log(k)
        slips = (
            (w.mean(0), "that is the mean of the logarithms, the ELBO: take the logarithm of the mean"),
            (w.logsumexp(0), "that is the logarithm of the *sum*: subtract log k"),
            (right.exp(), "that is p(x); its logarithm is asked for"),
            ((-w).logsumexp(0) - math.log(k), "the weights are upside down: p(x, z) / q(z | x)"),
            (joint.logsumexp(0) - math.log(k), "log_q is not used: z was not drawn evenly, divide by q"),
            ((joint + q).logsumexp(0) - math.log(k), "q is in the denominator: subtract log_q"),
            (-right, "the sign is turned"),
        )
        _not_slips(got, right, slips)
        if k == n:
            _not_slips(got, right, ((w.logsumexp(1) - math.log(k), "that averages over the samples x: average over "
                                                                  "the draws of z, axis 0"),))
        _same(got, right)
    far = torch.tensor([[-900.0], [-901.0]])
    got = _tensor(answer(far, torch.zeros(2, 1)), (1,))
    expect(torch.isfinite(got).all(), "not finite where the weights are exp(-900): use torch.logsumexp")
    _same(got, far.logsumexp(0) - math.log(2))
    return "Right: the logarithm of a mean of weights, and never below the ELBO of the same draws."


@checker
def nearer(answer: Callable[[Tensor, Tensor, Tensor], float]) -> str:
    """`nearer(fake, train, held_out)`: share of fakes whose nearest image is a training image."""
    g = seeded(15)
    far = "that compares mean or largest distances; a copy is near *one* image: take the smallest"
    # one set is paler, so that it is nearer on average, and the fakes descend from either
    for n, m, pale in ((40, 10, (1.0, 0.5)), (25, 12, (0.5, 1.0)), (30, 5, (1.0, 1.0))):
        train, held_out = (p * (torch.rand(m, 1, 28, 28, generator=g) * 2 - 1) for p in pale)
        parents = torch.cat([train, held_out])[torch.randint(2 * m, (n,), generator=g)]
        fake = parents + (0.1 + 0.3 * torch.rand(n, 1, 1, 1, generator=g)) * torch.randn(n, 1, 28, 28, generator=g)
        a, b = (torch.cdist(fake.flatten(1), y.flatten(1)) for y in (train, held_out))
        got = number(answer(fake.clone(), train.clone(), held_out.clone()))
        right = float((a.min(1).values < b.min(1).values).float().mean())
        slips = (
            (1 - right, "that is the share nearer to a *held-out* image"),
            (100 * right, "that is in per cent: a share lies between 0 and 1"),
            (n * right, "that is how many; divide by how many fakes there are"),
            ((a.min(0).values < b.min(0).values).float().mean(), "the smallest distance was taken over the fakes: "
             "each *fake* looks for its nearest image (axis 1)"),
            ((a.mean(1) < b.mean(1)).float().mean(), far),
            ((a.max(1).values < b.max(1).values).float().mean(), far),
            (a.min(1).values.mean() / b.min(1).values.mean(), "that is a ratio of distances; count the fakes instead"),
        )
        _not_slips(torch.tensor(got), torch.tensor(right), slips)
        expect(abs(got - right) < 1e-4, f"got {got:.3f}, needs {right:.3f} for {n} fakes")
    return "Right: one half where nothing was learnt by heart, 1 where everything was."


def _spam(mail: list, a: dict, b: dict, prior: float, *, add: int = 1, below: int | None = None) -> float:
    """P(spam | mail); `below`: what the total grows by, the number of different words where it is None."""
    one, other = (_score(mail, c, p, add=add, below=below) for c, p in ((a, prior), (b, 1 - prior)))
    return one / (one + other) if one + other else math.nan


def _score(mail: list, counts: dict, prior: float, *, add: int = 1, below: int | None = None) -> float:
    total = sum(counts.values()) + (add * len(counts) if below is None else below)
    return prior * math.prod((counts[w] + add) / total for w in mail) if total else math.nan


def _tv(p: Tensor, q: Tensor) -> float:
    """Total variation distance of two tables of shares; about .01 for 20,000 draws over 16 cells."""
    return float((p - q).abs().sum() / 2)


def _not_slips(got: Tensor, right: Tensor, slips: tuple) -> None:
    """Wrong, with the slip's own words, where the answer is that slip and the slip differs from what is right."""
    for slip, message in slips:
        slip = torch.as_tensor(slip, dtype=got.dtype)
        same, matters = (torch.allclose(slip, t.to(slip), rtol=1e-4, atol=1e-6, equal_nan=True) for t in (got, right))
        expect(not same or matters, message)


def _same(got: Tensor, right: Tensor) -> None:
    gap = float((got - right).abs().max())
    expect(gap < 1e-4, f"off by up to {gap:.3g}: expected {right.flatten()[0]:.4f} first, got {got.flatten()[0]:.4f}")


def _tensor(got: Any, shape: tuple, *, floats: bool = True) -> Tensor:
    """The answer, or Wrong saying what came instead of a tensor of this shape."""
    expect(got is not None, "nothing came back: does your function end in return?")
    expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor of shape {shape}")
    expect(tuple(got.shape) == shape, f"got shape {tuple(got.shape)}, needs {shape}")
    got = got.detach()
    return got.float() if floats else got
