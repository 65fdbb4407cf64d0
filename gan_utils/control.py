"""A sample changed through its code: paths, directions, walks along a gradient, arithmetic, inversion.

What moves is z (n, latent_dim), each row for itself; G and the classifiers rest. `loss_of(z)` is always one number a
row, (n,), so that a batch of codes is as many separate runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .runtime import check_count, evaluating

LossOf = Callable[[Tensor], Tensor]


def lerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """On the straight line from a to b, (..., d) each; t in [0, 1], a number or (..., 1)."""
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """On the arc from a to b (Shoemake 1985): angle and length both change evenly. (..., d) each.

    Where the two point the same or opposite ways there is no one arc: the line is taken.
    """
    p, q = (v.norm(dim=-1, keepdim=True) for v in (a, b))
    angle = ((a * b).sum(dim=-1, keepdim=True) / (p * q)).clamp(-1, 1).nan_to_num(nan=1).acos()
    arc = (((1 - t) * angle).sin() * a / p + (t * angle).sin() * b / q) / angle.sin()
    # what rounding leaves of an angle of 0: a cosine of 1 - eps is that of the angle sqrt(2 eps)
    no_arc = angle.sin() < max(1e-5, 4 * torch.finfo(angle.dtype).eps ** 0.5)
    return torch.where(no_arc, lerp(a, b, t), ((1 - t) * p + t * q) * arc)


def prior_percentile(z: Tensor) -> Tensor:
    """The share of codes drawn from N(0, I) that are shorter than each row of z: (..., d) to (...,), in [0, 1].

    |z|^2 follows the chi-squared law with d degrees of freedom. Near 0 or 1 means: G hardly ever saw such a code.
    """
    half = torch.tensor(z.shape[-1] / 2, dtype=torch.float64, device=z.device)
    return torch.special.gammainc(half, z.double().square().sum(dim=-1) / 2)


def to_prior_length(z: Tensor) -> Tensor:
    """z stretched or shortened to sqrt(d), near which nearly all codes of N(0, I_d) lie."""
    return z * (z.shape[-1] ** 0.5 / z.norm(dim=-1, keepdim=True))


def mean_difference(z: Tensor, labels: Tensor) -> Tensor:
    """From the mean code of class 0 to that of class 1: z (n, d), labels (n,) of 0 and 1; (d,)."""
    ones = labels == 1
    if not 0 < int(ones.sum()) < len(z) or not ((labels == 0) | ones).all():
        raise ValueError("labels must be 0 and 1, each at least once: generate more codes, or choose another feature")
    return z[ones].mean(dim=0) - z[~ones].mean(dim=0)


def regressed_directions(z: Tensor, features: Tensor) -> Tensor:
    """Least squares of the codes on all features at once, z ~ c + features @ B: z (n, d), features (n, k); B (k, d).

    Row i is how z changes with feature i *while the others stay*: the difference of means mixes in whatever else
    differs between the two classes. Raises ValueError where a feature follows from the others.
    """
    x = features.to(z.dtype)
    x = x - x.mean(dim=0)
    if int(torch.linalg.matrix_rank(x)) < x.shape[1]:
        raise ValueError(f"the {x.shape[1]} features are not independent over these codes: leave one of each set out")
    return torch.linalg.lstsq(x, z - z.mean(dim=0)).solution


def without(direction: Tensor, others: Tensor) -> Tensor:
    """What is left of direction (..., d) when its parts along the rows of others (k, d) are taken out."""
    basis = torch.linalg.qr(others.T).Q  # (d, k), orthonormal
    return direction - direction @ basis @ basis.T


def wish(G: nn.Module, guide: nn.Module, wanted: Mapping[str, Tensor]) -> LossOf:
    """The loss of a walk: cross-entropy of guide(G(z)) summed over the features wanted, each (n,) int64.

    To hold a feature is to want what it is now. `guide` returns logits by name, as `LetterClassifier` does.
    """
    for name, network in (("G", G), ("guide", guide)):
        if network.training:
            raise ValueError(f"{name} is in training mode, where a picture leans on its batch: call {name}.eval()")

    def loss_of(z: Tensor) -> Tensor:
        logits = guide(G(z))
        return sum(F.cross_entropy(getattr(logits, name), y, reduction="none") for name, y in wanted.items())

    return loss_of


def walk(z: Tensor, loss_of: LossOf, *, steps: int = 40, lr: float = 0.1, pull: float = 0.0) -> Tensor:
    """Adam on the codes themselves, down `loss_of(z) + pull * (|z| - sqrt(d))^2`: z (n, d) to (n, d).

    The gradient is asked for z alone: nothing gathers in G or in a classifier, nor from step to step.
    """
    check_count("steps", steps, least=0)
    z = z.detach().clone().requires_grad_(True)
    opt = torch.optim.Adam([z], lr=lr)  # of the code, not of G
    for _ in range(steps):
        loss = loss_of(z) + pull * (z.norm(dim=1) - z.shape[1] ** 0.5).square()
        (z.grad,) = torch.autograd.grad(loss.sum(), z)
        opt.step()
    return z.detach()


@dataclass(frozen=True)
class Outcome:
    """What a change of one feature did: shares in [0, 1], and the length of the codes in the prior's percentiles."""

    success: float  # the feature reads as wanted afterwards
    changed: dict[str, float]  # other features that read otherwise than before
    percentile: float  # median share of random codes that are shorter


def outcome(before: Mapping[str, Tensor], after: Mapping[str, Tensor], feature: str, wanted: int, z: Tensor) -> Outcome:
    """Scores a change by the classes (n,) that a judge read before and after it; z are the codes after it.

    Only codes that did not read as wanted before count: the others had nothing to change. Raises ValueError if there
    is none.
    """
    todo = before[feature] != wanted
    if not todo.any():
        raise ValueError(f"every code read {feature} = {wanted} before: there was nothing to change")
    success = float((after[feature][todo] == wanted).double().mean())
    others = [name for name in before if name != feature]
    changed = {name: float((before[name] != after[name])[todo].double().mean()) for name in others}
    return Outcome(success, changed, float(prior_percentile(z[todo]).median()))


def nearest_codes(G: nn.Module, x: Tensor, z: Tensor, *, keep: int = 1) -> tuple[Tensor, Tensor]:
    """Of the codes z (n, d) the `keep` whose pictures are nearest to each image: (keep, m, d), and errors (keep, m).

    The error is the mean squared difference of pixels. It is what an inversion has to beat.
    """
    with evaluating(G):
        made = torch.cat([G(part) for part in z.split(500)]).flatten(1)
    error = torch.cdist(made, x.flatten(1)).square() / made.shape[1]  # (n, m)
    best = error.topk(keep, dim=0, largest=False)
    return z[best.indices], best.values


def invert(
    G: nn.Module, x: Tensor, z: Tensor, *, steps: int = 100, lr: float = 0.1, pull: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Codes whose pictures come near the images x (m, 1, h, w): (m, d), and their errors (m,).

    z (starts, m, d) are the starts: the error has many valleys, so the best of several walks is kept for each image.
    """
    if z.ndim != 3 or z.shape[1] != len(x):
        raise ValueError(f"z has shape {tuple(z.shape)}, needs (starts, {len(x)}, latent_dim): one code for each image")
    if G.training:
        raise ValueError("G is in training mode, where a picture leans on its batch: call G.eval()")
    goal = x.repeat(len(z), *[1] * (x.ndim - 1))

    def error_of(z: Tensor) -> Tensor:
        return (G(z) - goal).square().flatten(1).mean(dim=1)

    found = walk(z.flatten(0, 1), error_of, steps=steps, lr=lr, pull=pull)
    with torch.no_grad():
        error = error_of(found).view(len(z), len(x))
    best = error.argmin(dim=0)
    each = torch.arange(len(x), device=x.device)
    return found.view(*z.shape)[best, each], error[best, each]
