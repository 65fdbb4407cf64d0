r"""The game on paper: the best D, the value, divergences of known densities, and the Dirac-GAN.

Densities are tensors of values on an even grid of spacing `dx`; probabilities are the same with dx = 1. Sums
over the grid are the midpoint rule: for a smooth density that fades at both ends they are exact to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import GanLoss
from .runtime import check_count

EMPTY = 1e-20  # a density below this counts as 0: what it adds is lost in rounding, and its rival may underflow

# ------------------------------------------------------------------------------- two known laws


def optimal_discriminator(p: Tensor, q: Tensor, *, real_label: float = 1.0, fake_label: float = 0.0) -> Tensor:
    """The probability that the best D gives to "real": p / (p + q) (Goodfellow et al. 2014, proposition 1).

    With softened labels (a p + b q) / (p + q). NaN where both densities are 0: nothing tells D what to say there.
    """
    _check_densities(p, q)
    return (real_label * p + fake_label * q) / (p + q)


def optimal_logit(p: Tensor, q: Tensor) -> Tensor:
    """The same as a logit: log p - log q, infinite where one of them is 0, NaN where both are."""
    _check_densities(p, q)
    return p.log() - q.log()


def game_value(logits: Tensor, p: Tensor, q: Tensor, dx: float = 1.0) -> float:
    """V(D, G) = E_p[log s(l)] + E_q[log(1 - s(l))] in nats, for D's logits l on the grid (ibid., equation 1)."""
    _check_densities(p, q, dx)
    real = torch.where(p > 0, p * F.logsigmoid(logits), 0.0)  # where nothing falls D may say anything
    fake = torch.where(q > 0, q * F.logsigmoid(-logits), 0.0)
    return float((real + fake).sum() * dx)


def kl_divergence(p: Tensor, q: Tensor, dx: float = 1.0) -> float:
    """KL(p||q) = E_p[log p - log q] in nats; infinite if q is 0 (or underflows) where p has mass."""
    _check_densities(p, q, dx)
    return float(torch.where(p > EMPTY, p * (p.log() - q.log()), 0.0).sum() * dx)


def js_divergence(p: Tensor, q: Tensor, dx: float = 1.0) -> float:
    """The Jensen-Shannon divergence in nats: the mean KL of both to their midpoint; 0 to log 2 = .693.

    `scipy.spatial.distance.jensenshannon` is its square root.
    """
    _check_densities(p, q, dx)
    to_middle = [torch.where(a > EMPTY, a * (2 * a / (p + q)).log(), 0.0).sum() * dx for a in (p, q)]
    return float(sum(to_middle) / 2)


def wasserstein_densities(p: Tensor, q: Tensor, dx: float) -> float:
    """W1 of two densities on the line: the area between their distribution functions, in the unit of `dx`."""
    _check_densities(p, q, dx)
    return float((p - q).cumsum(0).mul(dx).abs().sum() * dx)


def _check_densities(p: Tensor, q: Tensor, dx: float | None = None) -> None:
    if p.shape != q.shape:
        raise ValueError(f"p has shape {tuple(p.shape)} and q {tuple(q.shape)}: give both on one grid")
    for name, density in (("p", p), ("q", q)):
        if not (density >= 0).all():  # NaN too
            raise ValueError(f"{name} is below 0 or NaN somewhere: a density is 0 or more")
        mass = 1.0 if dx is None else float(density.sum()) * dx
        if abs(mass - 1) > 1e-3:
            raise ValueError(f"{name} has mass {mass:.4g}, needs 1: widen the grid, or check dx = {dx:.4g}")


# ------------------------------------------------------------------------------- the Dirac-GAN
#
# Real data: always 0. G makes one number, theta; D(x) = psi x (Mescheder et al. 2018, definition 2.1).
# A state is (theta, psi), the last axis of a tensor (..., 2). The one equilibrium is (0, 0).


def dirac_field(state: Tensor, loss: GanLoss, *, r1_gamma: float = 0.0) -> Tensor:
    """The direction in which a descent step moves (theta, psi): minus each player's slope of its own loss.

    D's loss gets r1_gamma / 2 times the R1 penalty, which is psi^2 for this D. (..., 2) to (..., 2).
    """
    theta, psi = state.unbind(-1)
    return torch.stack([_theta_slope(theta, psi, loss), _psi_slope(theta, psi, loss, r1_gamma)], dim=-1).neg()


def dirac_step(
    state: Tensor, loss: GanLoss, *, lr: float, alternating: bool = False, r1_gamma: float = 0.0
) -> Tensor:
    """One step of gradient descent for both: at once, or D first and then G against the new D (algorithm 1)."""
    theta, psi = state.unbind(-1)
    new_psi = psi - lr * _psi_slope(theta, psi, loss, r1_gamma)
    new_theta = theta - lr * _theta_slope(theta, new_psi if alternating else psi, loss)
    return torch.stack([new_theta, new_psi], dim=-1)


def dirac_run(
    state: Tensor, loss: GanLoss, *, lr: float, steps: int, alternating: bool = False, r1_gamma: float = 0.0
) -> Tensor:
    """The states from the first to the last, (steps + 1, ..., 2)."""
    check_count("steps", steps, least=0)
    states = [state]
    for _ in range(steps):
        states.append(dirac_step(states[-1], loss, lr=lr, alternating=alternating, r1_gamma=r1_gamma))
    return torch.stack(states)


def dirac_eigenvalues(loss: GanLoss, *, lr: float, alternating: bool = False, r1_gamma: float = 0.0) -> Tensor:
    """The two complex eigenvalues of one step, linearised at the equilibrium, the smaller modulus first.

    Each step multiplies a small distance by about their modulus: above 1 it grows, below 1 it shrinks; at 1 the
    linear picture cannot say.
    """
    rest = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(
        lambda state: dirac_step(state, loss, lr=lr, alternating=alternating, r1_gamma=r1_gamma), rest
    )
    values = torch.linalg.eigvals(jacobian)
    return values[values.abs().argsort()]


def _theta_slope(theta: Tensor, psi: Tensor, loss: GanLoss) -> Tensor:
    """dL_G / dtheta, one for each state; differentiable again where the state is."""
    return _slope(theta, lambda theta: _each(loss.g, fake_logits=psi * theta))


def _psi_slope(theta: Tensor, psi: Tensor, loss: GanLoss, r1_gamma: float) -> Tensor:
    real = torch.zeros_like(theta)  # D(0) = psi * 0
    d_loss = _slope(psi, lambda psi: _each(loss.d, real_logits=real, fake_logits=psi * theta))
    return d_loss + r1_gamma * psi


def _slope(at: Tensor, fn) -> Tensor:
    again = at.requires_grad  # the state itself is being differentiated
    with torch.enable_grad():
        # a copy: D's new psi may itself depend on theta, and G differentiates with psi held still
        at = at.clone() if again else at.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(fn(at), at, create_graph=again)
    return slope


def _each(loss, **logits: Tensor) -> Tensor:
    """The package's loss is a mean over a batch; as a sum, each state keeps the slope of its own loss."""
    return loss(**logits) * next(iter(logits.values())).numel()
