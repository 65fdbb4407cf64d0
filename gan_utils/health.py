"""What ails a run: who has the upper hand, and whether the samples still vary.

Losses cannot say it: their level depends on D as much as on G. Two numbers that need no labels can.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .runtime import check_count, check_finite

WON, CHANCE, COLLAPSED = 0.999, 0.02, 0.2  # see `diagnose`


class Health(NamedTuple):
    """Two signs and what they say."""

    separation: float  # chance that a real sample scores above a fake: 1/2 where D cannot tell, 1 where it can
    spread: float  # mean distance between two fakes, over that between two real samples: 1 where they vary alike
    verdict: str  # "in balance", "D has won", "G has collapsed" or "junk feedback"


def diagnose(*, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor) -> Health:
    """Tells four states apart from a batch of real and fake samples (n, ...) and D's scores of them (n, 1).

    - "G has collapsed": the fakes' spread is below 1/5 of the data's. Looked at first, for it explains the others.
    - "D has won": separation above .999. Real and fake hardly overlap in D's eyes; with a saturating loss the
      gradient that reaches G is then nearly 0 (Arjovsky and Bottou 2017, theorem 2.4).
    - "junk feedback": separation within .02 of 1/2. D cannot tell, so that what it sends to G is noise: harmless if
      the samples are right, which only a metric can say, and a slow ruin if training goes on and on.
    - "in balance" otherwise.

    The separation is the area under the ROC curve: a rank statistic, the same for logits, scores and critics. Its
    standard error is about .6 / sqrt(n) near 1/2, so give 1,000 samples or more. ValueError for NaN or fewer than 2.
    """
    for name, x in (("real", real), ("fake", fake), ("real_logits", real_logits), ("fake_logits", fake_logits)):
        check_count(f"number of {name}", len(x), least=2)
        check_finite(name, x)
    separation = _separation(real_logits.flatten(), fake_logits.flatten())
    spread = _mean_distance(fake) / max(_mean_distance(real), 1e-12)
    if spread < COLLAPSED:
        verdict = "G has collapsed"
    elif separation > WON:
        verdict = "D has won"
    elif abs(separation - 0.5) < CHANCE:
        verdict = "junk feedback"
    else:
        verdict = "in balance"
    return Health(separation, spread, verdict)


def _separation(real: Tensor, fake: Tensor) -> float:
    """P(real score > fake score), ties counted half, by ranks (Mann and Whitney 1947)."""
    ordered = fake.sort().values
    below = torch.searchsorted(ordered, real.contiguous())
    not_above = torch.searchsorted(ordered, real.contiguous(), right=True)
    return float((below + not_above).double().mean() / (2 * len(fake)))


def _mean_distance(x: Tensor) -> float:
    """Mean Euclidean distance between each sample and the next: of pairs drawn at random, if the order is."""
    flat = x.detach().flatten(1).double()
    return float((flat - flat.roll(1, dims=0)).norm(dim=1).mean())
