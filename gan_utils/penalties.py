"""Penalties on the slope of D. Each returns the bare expectation; the caller applies the coefficient in sight."""

import torch
from torch import Tensor, nn


def input_gradient(D: nn.Module, x: Tensor) -> Tensor:
    """The gradient of D's output with respect to its input, one for each sample: the shape of x.

    It can be differentiated again. Right only where a sample's score does not depend on its batch mates
    (no BatchNorm in D): the gradient of the *sum* is then made of each sample's own.
    """
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return gradient


def r1_penalty(D: nn.Module, x: Tensor) -> Tensor:
    """E[|grad D(x)|^2] on real x (Mescheder et al. 2018, eq. 9, without its gamma / 2).

    Scalar, 0 or more; for D(x) = w.x it is |w|^2. Add it as `0.5 * r1_gamma * r1_penalty(D, x)`.
    """
    return input_gradient(D, x).flatten(1).square().sum(dim=1).mean()


def gradient_penalty(
    D: nn.Module, real: Tensor, fake: Tensor, *, generator: torch.Generator, one_sided: bool = False
) -> Tensor:
    """E[(|grad D(x)| - 1)^2] on the lines between real and fake (Gulrajani et al. 2017, eq. 3, without lambda).

    Each pair gets one place on its line, drawn from `generator`. `one_sided` forgives slopes below 1.
    Scalar, 0 or more; for D(x) = w.x it is (|w| - 1)^2. Raises ValueError where the shapes differ.
    """
    if real.shape != fake.shape:
        raise ValueError(f"real {tuple(real.shape)} and fake {tuple(fake.shape)} must have one shape")
    # one number a sample, of shape (n, 1, ..., 1): (n,) would mix along the wrong axis or fail
    shape = (len(real),) + (1,) * (real.ndim - 1)
    epsilon = torch.rand(shape, generator=generator, device=generator.device).to(real.device)
    between = epsilon * real.detach() + (1 - epsilon) * fake.detach()
    # norm() has gradient 0 where sqrt of a sum would have NaN: at slope 0
    slope = input_gradient(D, between).flatten(1).norm(dim=1)
    excess = (slope - 1).clamp(min=0) if one_sided else slope - 1
    return excess.square().mean()
