"""Checkers of chapter 8: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models import join_one_hot
from ..runtime import seeded
from . import checker, expect, number


@checker
def joined(answer: Callable[[Tensor, Tensor, int, float], Tensor]) -> str:
    """`joined(z, y, classes, scale)`: the one-hot class, times scale, behind the noise: (n, d + classes)."""
    g = seeded(81)
    for n, d, classes, scale in ((6, 4, 3, 2.5), (4, 4, 4, 0.5), (5, 7, 10, 8.0)):
        z = torch.randn(n, d, generator=g)
        y = torch.arange(n) % (classes - 1)  # the last class is absent: it must have its column all the same
        got = _tensor(answer(z.clone(), y.clone(), classes, scale))
        hot = F.one_hot(y, classes).float()
        if got.shape != (n, d + classes):
            expect(got.shape != (n, d + 1), "the class went in as one number: give each class an entry of its own")
            expect(got.shape != (n, d + int(y.max()) + 1),
                   "a class that is absent from the batch needs its entry too: tell one_hot how many classes there are")
            expect(got.shape != (n + n, d), "that stands below z, as more samples: join along dim=1")
            expect(got.shape != (n, d), "nothing was joined: the one-hot stands beside z, it is not added to it")
            expect(False, f"got shape {tuple(got.shape)}, needs {(n, d + classes)}")
        _unlike(got, (
            (torch.cat([z, hot], 1), "the scale was left out"),
            (torch.cat([scale * z, hot], 1), "the scale belongs to the one-hot, not to the noise"),
            (scale * torch.cat([z, hot], 1), "the scale belongs to the one-hot alone"),
            (torch.cat([scale * hot, z], 1), "the noise comes first, the class behind it"),
            (torch.cat([z, hot / scale], 1), "multiply by the scale, do not divide"),
            (torch.cat([z, hot + scale - 1], 1), "the other entries are 0: multiply the one-hot, do not add to it"),
            (torch.cat([z, scale * (1 - hot)], 1), "the one-hot is turned round: 0 for the class, 1 for the others"),
        ))
        _same(got, join_one_hot(z, y, classes, scale=scale))
    return "Right: one entry for each class, and a knob for how loud it speaks."


@checker
def scale_for(answer: Callable[[float, int], float]) -> str:
    """`scale_for(share, d)`: the one-hot's scale that gives it this share of the input's energy, noise N(0, I_d)."""
    for share, d in ((0.1, 64), (0.4, 64), (0.2, 10), (0.9, 3)):
        got = number(answer(share, d))
        want = math.sqrt(share * d / (1 - share))
        for slip, message in (
            (want**2, "that is the square of the scale: an entry of size s has the energy s squared"),
            (share * d / (1 - share) ** 0.5, "the root is over all of it"),
            (math.sqrt(share * d), "the whole is d + s squared, not d: the class is part of it"),
            (math.sqrt(share / (1 - share)), "the noise has d entries, each of mean square 1: its energy is d, not 1"),
            (math.sqrt(share * math.sqrt(d) / (1 - share)), "the noise's energy is d, its length the root of d"),
            (math.sqrt(share) * d / (1 - share), "the root is over all of it"),
            (math.sqrt((1 - share) * d / share), "the shares are swapped: that gives the noise this share"),
            (share**2 / (share**2 + d), "that is the share for a given scale: solve it for the scale"),
            (-want, "take the positive root"),
        ):
            expect(_near(want, slip) or not _near(got, slip), message)
        expect(_near(got, want), f"for a share of {share:.3g} of {d} entries you get {got:.4g}, expected {want:.4g}")
    return "Right: at 64 noise entries the usual scale of 1 is a share of 1/65; half the energy takes a scale of 8."


@checker
def projection(answer: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]) -> str:
    """`projection(h, y, V, w, b)`: logits (n, 1) h.w + b + h.V[y]; h (n, k), y (n,), V (classes, k), w (k,)."""
    g = seeded(83)
    for n, k, classes in ((6, 4, 3), (5, 5, 5), (7, 3, 9)):
        h, V = torch.randn(n, k, generator=g), torch.randn(classes, k, generator=g)
        w, b = torch.randn(k, generator=g), float(torch.randn((), generator=g))
        y = torch.randint(classes, (n,), generator=g)
        y[:2] = torch.tensor([1, 0])
        got = _tensor(answer(h.clone(), y.clone(), V.clone(), w.clone(), b))
        plain, own = h @ w[:, None] + b, (h * V[y]).sum(1, keepdim=True)
        want = plain + own
        if got.shape != (n, 1):
            expect(got.shape != (n,), f"got shape {(n,)}, needs {(n, 1)}: with (n,) the sum with another (n, 1) "
                                      "silently becomes (n, n)")
            expect(got.shape != (n, k), "the product with the class's vector is not summed over the features")
            expect(got.shape != (n, n), "each image meets its own class only: that is every image with every label")
            expect(got.shape != (n, classes), "those are scores of all classes: take the one of y")
            expect(False, f"got shape {tuple(got.shape)}, needs {(n, 1)}")
        _unlike(got, (
            (own, "the part that does not depend on the class is missing: h.w + b"),
            (plain, "the class has no say: y is not used"),
            (want - b, "the bias b is missing"),
            (plain + own / k, "the product is summed over the features, not averaged"),
            (plain + V[y].sum(1, keepdim=True), "the class's vector must meet the features: it is a product"),
            (plain - own, "the product is added, not subtracted"),
            (plain + (h * V[y.flip(0)]).sum(1, keepdim=True), "the labels are in another order than the images"),
            (plain + (h @ V.T).sum(1, keepdim=True), "that sums over all classes: take the vector of y alone"),
            (plain + (h @ V.T).amax(1, keepdim=True), "that takes the class that fits best: y says which one to take"),
            (want.sigmoid(), "no sigmoid: logits are wanted"),
        ))
        _same(got, want)
    return "Right: one score for 'is it real?', one for 'does it fit this class?', added."


@checker
def matching_loss(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str:
    """`matching_loss(right, wrong, fake)`: D's loss with mismatched pairs, either 'no' at half weight."""
    g = seeded(84)
    for n in (5, 8, 16):
        right, wrong, fake = 2 * torch.randn(3, n, 1, generator=g)
        got = number(answer(right.clone(), wrong.clone(), fake.clone()))
        yes, no_match, no_fake = F.softplus(-right).mean(), F.softplus(wrong).mean(), F.softplus(fake).mean()
        want = yes + (no_match + no_fake) / 2
        for slip, message in (
            (yes + no_match + no_fake, "two kinds of 'no' outweigh the 'yes': halve their sum"),
            (yes + no_fake, "the mismatched pairs are not in it"),
            (yes + no_match, "the fakes are not in it"),
            (yes + (F.softplus(-wrong).mean() + no_fake) / 2,
             "a real image with a wrong label is a 'no': its logit has to fall"),
            ((yes + F.softplus(-wrong).mean()) / 2 + no_fake,
             "a real image with a wrong label is a 'no': its logit has to fall"),
            (F.softplus(right).mean() + (F.softplus(-wrong).mean() + F.softplus(-fake).mean()) / 2,
             "all signs are turned: D is to raise the right pairs"),
            (-want, "the sign of the whole is turned: a loss is minimised"),
            (yes + no_match / 2 + F.softplus(-fake).mean() / 2, "the fakes are a 'no' for D, a 'yes' only for G"),
            ((yes + no_match + no_fake) / 3, "the 'yes' has weight 1, the two kinds of 'no' one half each"),
            (want * n, "that is a sum over the batch: take means"),
            (want / 2, "the 'yes' has weight 1, not one half"),
            (want / math.log(2), "that is in bits: use the natural logarithm"),
            (yes + (no_match + no_fake) / 4, "the two kinds of 'no' have one half each, not a quarter"),
        ):
            expect(not _near(got, float(slip)), message)
        expect(_near(got, float(want)), f"for batches of {n} you get {got:.5g}, expected {float(want):.5g}")
    far = torch.tensor([[100.0], [90.0]])
    got = number(answer(-far, far, far))
    expect(math.isfinite(got), f"at logits of 100 you get {got}: use softplus, finite where log(sigmoid) is not")
    expect(abs(got - 190) < 0.01, f"at logits near 95 you get {got:.4g}, expected 190: nothing may be clamped")
    return "Right: one 'yes', and two kinds of 'no' that share the other half."


@checker
def worst_class(answer: Callable[[Tensor, Tensor, int], tuple[int, float]]) -> str:
    """`worst_class(seen, asked, classes)`: the class asked for that is made worst, and its share of right ones."""
    g = seeded(85)
    for trial, classes in enumerate((4, 10, 6)):
        n = 40 * classes
        absent = trial  # never asked for: it cannot be the worst
        asked = torch.randint(classes, (n,), generator=g)
        asked[asked == absent] = (absent + 1) % classes
        bad, greedy = (absent + 2) % classes, (absent + 3) % classes  # asked for and missed; drawn too often
        seen = asked.clone()
        seen[(asked == bad) & (torch.rand(n, generator=g) < 0.5)] = (absent + 1) % classes
        lost = (asked != bad) & (torch.rand(n, generator=g) < 0.25)
        seen[lost] = greedy
        right = (seen == asked).double()
        shares = torch.stack([right[asked == k].mean() for k in range(classes)])  # NaN for the absent one
        want = int(shares.nan_to_num(2).argmin())
        got = answer(seen.clone(), asked.clone(), classes)
        pair = isinstance(got, (tuple, list)) and len(got) == 2
        expect(got is not None, "nothing came back: does your function end in return?")
        expect(pair, f"got {type(got).__name__}, needs two things: the class and its accuracy")
        which, share = number(got[0]), number(got[1])
        expect(not math.isnan(share) and which != absent,
               f"class {absent} was never asked for: a mean over nothing must not win")
        expect(0 <= share <= 1, f"the accuracy {share:.4g} is no share: it lies in 0 to 1, "
                                "and a count must be divided by how often the class was asked for")
        by_seen = torch.stack([right[seen == k].mean() for k in range(classes)]).nan_to_num(2)
        of_all = torch.stack([right[asked == k].sum() / n for k in range(classes)])
        expect(not _near(share, float(right.mean())), "that is the accuracy over all classes: group by class first")
        expect(not (which == int(by_seen.argmin()) and _near(share, float(by_seen.min()))),
               "you grouped by what was seen: group by what was asked for")
        expect(not _near(share, 1 - float(shares[want])), "that is the share of wrong ones")
        expect(not (which == int(shares.nan_to_num(-1).argmax())
                    and _near(share, float(shares.nan_to_num(-1).max()))), "that is the best class, not the worst")
        expect(not _near(share, float(of_all[want])),
               "divide by how often this class was asked for, not by all samples")
        expect(not _near(share, float(shares.nanmean())), "that is the mean over the classes, not the worst of them")
        expect(which == want, f"of {classes} classes you name {which:g}, the worst is {want}")
        expect(_near(share, float(shares[want])),
               f"class {want}: you get {share:.4g}, expected {float(shares[want]):.4g}")
    return "Right: an average over ten classes can hide one that is never made."


def _tensor(got: Any) -> Tensor:
    expect(got is not None, "nothing came back: does your function end in return?")
    expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
    return got.detach().float()


def _unlike(got: Tensor, slips: tuple[tuple[Tensor, str], ...]) -> None:
    for slip, message in slips:
        expect(slip.shape != got.shape or not torch.allclose(got, slip, atol=1e-5), message)


def _same(got: Tensor, want: Tensor) -> None:
    expect(torch.allclose(got, want, atol=1e-5),
           f"the first row is {_row(got)}, expected {_row(want)}")


def _row(x: Tensor) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in x[0, :8].tolist()) + (", ...)" if x.shape[1] > 8 else ")")


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7)
