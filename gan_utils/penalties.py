"""What holds the slope of D: penalties, clipping, spectral normalisation.

A penalty returns the bare expectation; the caller applies the coefficient in sight. `D` is a module, or any
function of x alone: a discriminator of pairs is penalised as `r1_penalty(lambda x: D(x, y), x)`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

Critic = nn.Module | Callable[[Tensor], Tensor]


def input_gradient(D: Critic, x: Tensor) -> Tensor:
    """The gradient of D's output with respect to its input, one for each sample: the shape of x.

    It can be differentiated again. Right only where a sample's score does not depend on its batch mates
    (no BatchNorm in D): the gradient of the *sum* is then made of each sample's own.
    """
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return gradient


def r1_penalty(D: Critic, x: Tensor) -> Tensor:
    """E[|grad D(x)|^2] on real x (Mescheder et al. 2018, eq. 9, without its gamma / 2).

    Scalar, 0 or more; for D(x) = w.x it is |w|^2. Add it as `0.5 * r1_gamma * r1_penalty(D, x)`.
    """
    return input_gradient(D, x).flatten(1).square().sum(dim=1).mean()


def r2_penalty(D: Critic, fake: Tensor) -> Tensor:
    """E[|grad D(G(z))|^2] on fakes (Mescheder et al. 2018, eq. 10, without its gamma / 2).

    Scalar, 0 or more. The fakes are points here: nothing flows back into G.
    """
    return r1_penalty(D, fake)


def zero_centred_penalty(D: Critic, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
    """E[|grad D(x)|^2] on the lines between real and fake (Thanh-Tung et al. 2019, 0-GP, without lambda).

    Scalar, 0 or more; for D(x) = w.x it is |w|^2. Raises ValueError where the shapes differ.
    """
    return r1_penalty(D, between(real, fake, generator=generator))


def gradient_penalty(
    D: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    generator: torch.Generator,
    one_sided: bool = False,
    part: tuple[int, int] = (0, 1),
) -> Tensor:
    """E[(|grad D(x)| - 1)^2] on the lines between real and fake (Gulrajani et al. 2017, eq. 3, without lambda).

    `one_sided` forgives slopes below 1: E[max(0, |grad D(x)| - 1)^2]. Scalar, 0 or more; for D(x) = w.x it is
    (|w| - 1)^2. Raises ValueError where the shapes differ. `part` as for `between`.
    """
    gradient = input_gradient(D, between(real, fake, generator=generator, part=part))
    # norm() has gradient 0 where sqrt of a sum would have NaN: at slope 0
    return off_one(gradient.flatten(1).norm(dim=1), one_sided=one_sided).mean()


def off_one(slope: Tensor, *, one_sided: bool) -> Tensor:
    """(slope - 1)^2 of each slope, or max(0, slope - 1)^2 where `one_sided`: what the gradient penalty averages."""
    excess = (slope - 1).clamp(min=0) if one_sided else slope - 1
    return excess.square()


def between(
    real: Tensor, fake: Tensor, *, generator: torch.Generator, part: tuple[int, int] = (0, 1)
) -> Tensor:
    """One point on the line between each real sample and its fake, its place drawn from U(0, 1): the same shape.

    `part` (i, k): these are the i-th of k equal parts of a batch, and get the places that they have in the whole.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} must have one shape")
    # one number a sample, of shape (n, 1, ..., 1): (n,) would mix along the wrong axis or fail
    (i, k), n = part, len(real)
    shape = (n * k,) + (1,) * (real.ndim - 1)
    epsilon = torch.rand(shape, generator=generator, device=generator.device)[i * n : (i + 1) * n].to(real)
    return epsilon * real.detach() + (1 - epsilon) * fake.detach()


@torch.no_grad()
def clip_weights(D: nn.Module, limit: float) -> None:
    """Sets every weight of D, in place, to the nearest in [-limit, limit] (Arjovsky et al. 2017, Algorithm 1).

    To be called after each step of the critic. It bounds the weights, not their updates.
    """
    if not limit > 0:
        raise ValueError(f"limit must be above 0, got {limit}")
    for p in D.parameters():
        p.clamp_(-limit, limit)


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value (Miyato et al. 2018, eq. 8 and Algorithm 1).

    The value is estimated by one power iteration at each forward pass in training mode, from vectors u and v that
    are kept; in eval mode, or `frozen`, they rest. A convolution counts as the matrix (out, in * height * width),
    whose norm is not exactly that of the convolution.
    """

    drifts_in_training = True  # `frozen` looks for this

    def __init__(self, weight: Tensor, generator: torch.Generator):
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", torch.randn(len(matrix), generator=generator).to(matrix))
        self.register_buffer("v", torch.zeros(matrix.shape[1]).to(matrix))
        for _ in range(15):  # so that the first estimate is near already
            self._iterate(matrix)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        self.v = F.normalize(matrix.T @ self.u, dim=0)
        self.u = F.normalize(matrix @ self.v, dim=0)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix)
        # u and v are constants here: the slope of the largest singular value is u v^T
        return weight / (self.u @ matrix @ self.v)


def spectrally_normalised(D: nn.Module, *, generator: torch.Generator) -> nn.Module:
    """D itself, each linear and convolutional weight from now on divided by its largest singular value."""
    for layer in D.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight, generator))
    return D
