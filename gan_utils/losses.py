r"""Losses of GANs, as pairs of pure functions of logits, keyword-only so that real and fake cannot be swapped.

A logit is D's raw output: s(logit), with s the logistic function, is the probability that D gives to "real".
Every function returns the mean over the batch, a scalar to be *minimised* by the network that it is named after;
with `dim`, the mean over these axes alone, as `gan_utils.batched` needs it for many seeds.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Axes = tuple[int, ...] | None  # None: all of them

CHANCE_D_LOSS = 2 * math.log(2)  # logistic D loss, in nats, where D cannot tell real from fake
CHANCE_G_LOSS = math.log(2)  # non-saturating G loss there


class GanLoss(NamedTuple):
    """A family of losses: `d(real_logits=, fake_logits=)` for D and `g(fake_logits=)` for G."""

    d: Callable[..., Tensor]
    g: Callable[..., Tensor]


def logistic_d_loss(*, real_logits: Tensor, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""-E[log s(D(x))] - E[log(1 - s(D(G(z))))], minimised by D (Goodfellow et al. 2014, eq. 1).

    Scalar, in nats; 2 log 2 = 1.386 when D cannot tell. Softplus form: finite for every finite logit.
    """
    return F.softplus(-real_logits).mean(dim) + F.softplus(fake_logits).mean(dim)


def nonsaturating_g_loss(*, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""-E[log s(D(G(z)))], minimised by G (Goodfellow et al. 2014, section 3, end).

    Scalar, in nats; log 2 = .693 when D cannot tell. Slope -(1 - s(l)): near -1 where D is sure of a fake.
    """
    return F.softplus(-fake_logits).mean(dim)


def minimax_g_loss(*, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""E[log(1 - s(D(G(z))))], minimised by G (Goodfellow et al. 2014, eq. 1).

    Scalar, in nats; -log 2 = -.693 when D cannot tell. Slope -s(l): it vanishes where D is sure of a fake.
    """
    return -F.softplus(fake_logits).mean(dim)


def least_squares_d_loss(*, real_logits: Tensor, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""E[(D(x) - 1)^2] / 2 + E[D(G(z))^2] / 2, minimised by D (Mao et al. 2017, eq. 9: a = 0, b = 1).

    Scalar; 1/4 where D answers 1/2 to everything. D's output is a score here, not a logit.
    """
    return (real_logits - 1).square().mean(dim) / 2 + fake_logits.square().mean(dim) / 2


def least_squares_g_loss(*, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""E[(D(G(z)) - 1)^2] / 2, minimised by G (Mao et al. 2017, eq. 9: c = 1). 1/8 where D answers 1/2."""
    return (fake_logits - 1).square().mean(dim) / 2


def hinge_d_loss(*, real_logits: Tensor, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))], minimised by D (Lim and Ye 2017). 2 where D answers 0."""
    return F.relu(1 - real_logits).mean(dim) + F.relu(1 + fake_logits).mean(dim)


def wasserstein_d_loss(*, real_logits: Tensor, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""E[D(G(z))] - E[D(x)], minimised by the critic D (Arjovsky et al. 2017, eq. 2, sign turned).

    Scalar, in units of x if D is 1-Lipschitz; its negative is then a lower bound of the Wasserstein-1 distance.
    """
    return fake_logits.mean(dim) - real_logits.mean(dim)


def wasserstein_g_loss(*, fake_logits: Tensor, dim: Axes = None) -> Tensor:
    r"""-E[D(G(z))], minimised by G (Arjovsky et al. 2017, theorem 3; also the hinge loss of G)."""
    return -fake_logits.mean(dim)


non_saturating = GanLoss(d=logistic_d_loss, g=nonsaturating_g_loss)
minimax = GanLoss(d=logistic_d_loss, g=minimax_g_loss)
least_squares = GanLoss(d=least_squares_d_loss, g=least_squares_g_loss)
hinge = GanLoss(d=hinge_d_loss, g=wasserstein_g_loss)
wasserstein = GanLoss(d=wasserstein_d_loss, g=wasserstein_g_loss)
