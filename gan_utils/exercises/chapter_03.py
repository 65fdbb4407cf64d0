"""Checkers of chapter 3: every one tries several random inputs and knows the usual slips by name."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import non_saturating
from ..runtime import seeded
from ..theory import dirac_step as package_dirac_step
from ..theory import js_divergence, optimal_discriminator
from . import checker, expect


@checker
def best_d(answer: Callable[[Tensor, Tensor, float, float], Tensor]) -> str:
    """`best_d(p, q, a, b)`: (a p + b q) / (p + q), for real labels a and fake labels b."""
    g = seeded(31)
    for n, a, b in ((7, 1.0, 0.0), (5, 0.9, 0.0), (9, 0.8, 0.1), (1, 0.7, 0.25)):
        p, q = (torch.rand(n, generator=g, dtype=torch.float64) + 0.05 for _ in range(2))
        right = optimal_discriminator(p, q, real_label=a, fake_label=b)
        got = _tensor(answer(p.clone(), q.clone(), a, b), right)
        logit = torch.logit(right)
        _named(got, right, (
            (q / (p + q), "that is the probability of *fake*: p belongs in the numerator"),
            ((b * p + a * q) / (p + q), "the labels are swapped: a goes with p, the real density"),
            (p / (p + q), "the labels a and b are not used"),
            (a * p / (p + q), "b is not used: fakes with label b pull D up to b where p is 0"),
            (a * p / (a * p + q), "that re-weights the real term and forgets its other half, (1 - a) log(1 - D)"),
            (a * p / (a * p + b * q), "the denominator has all the mass that falls there, p + q, whatever its labels"),
            (a * p + b * q, "divide by p + q"),
            (p / q, "that is the ratio of the densities; D* is p / (p + q) for plain labels"),
            (logit, "that is the logit: asked for is the probability"),
        ), f"for a = {a}, b = {b}")
    return "Right: never above a, never below b."


@checker
def jsd(answer: Callable[[Tensor, Tensor], float]) -> str:
    """`jsd(p, q)`: Jensen-Shannon divergence in nats of two lists of probabilities, zeros included."""
    g = seeded(32)
    pairs = []
    for n in (2, 4, 9):
        pairs.append(tuple(torch.rand(n, generator=g, dtype=torch.float64) + 0.05 for _ in range(2)))
    pairs.append((torch.tensor([2.0, 3.0, 0.0, 1.0]).double(), torch.tensor([0.0, 1.0, 0.0, 4.0]).double()))
    pairs.append((torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double()))
    for p, q in pairs:
        p, q = p / p.sum(), q / q.sum()
        got, right = _number(answer(p.clone(), q.clone())), js_divergence(p, q)
        zeros = bool(((p == 0) | (q == 0)).any())
        expect(not (zeros and got != got), "NaN where a probability is 0: 0 log 0 counts as 0 (torch.xlogy knows it)")
        expect(not (zeros and math.isinf(got)), "infinite where a probability is 0: compare with the midpoint")
        m = (p + q) / 2

        def kl(a: Tensor, b: Tensor) -> float:
            return float((torch.xlogy(a, a) - torch.xlogy(a, b)).sum())

        _named(got, right, (
            (math.sqrt(right), "that is its square root, the Jensen-Shannon *distance*, as scipy returns it"),
            (right / math.log(2), "that is in bits: use the natural logarithm"),
            (2 * right, "that is the sum of the two KL terms: take their mean"),
            (-right, "the sign: KL is E_p[log p - log m], and never below 0"),
            (kl(p, m), "that is the first half, KL(p||m): q needs its half too"),
            (kl(q, m), "that is the second half, KL(q||m): p needs its half too"),
            (kl(p, q), "that is KL(p||q): compare each law with the midpoint, not with the other"),
            (kl(q, p), "that is KL(q||p): compare each law with the midpoint, not with the other"),
            ((kl(p, q) + kl(q, p)) / 2, "that is the mean of KL(p||q) and KL(q||p): put the midpoint in second place"),
            ((kl(m, p) + kl(m, q)) / 2, "the midpoint comes second: KL(p||m), the mean is taken over p"),
            (2 * right - math.log(4), "that is the value of the game, 2 JSD - log 4"),
            (right / len(p), "that is a mean over the places: the probabilities are weights already, so sum"),
        ), f"for p = {[round(v, 2) for v in p.tolist()]}")
    return "Right: 0 for equal laws, log 2 for laws that never meet."


@checker
def slopes(answer: Callable[[Tensor], tuple[Tensor, Tensor]]) -> str:
    """`slopes(l)`: derivatives of log(1 - s(l)) and of -log s(l) with respect to l."""
    g = seeded(33)
    for l in (3 * torch.randn(9, generator=g), torch.tensor([-200.0, -4.0, 0.0, 4.0, 200.0])):  # noqa: E741
        s = torch.sigmoid(l)
        rights = (-s, s - 1)
        got = answer(l.clone())
        expect(got is not None, "nothing came back: does your function end in return?")
        expect(isinstance(got, (tuple, list)) and len(got) == 2, "return two tensors: minimax first, then the other")
        first, second = (_tensor(one, s) for one in got)
        expect(torch.isfinite(first).all() and torch.isfinite(second).all(),
               "not finite at logits of ±200: torch.sigmoid is, a quotient of exponentials is not")
        expect(not (_same(first, rights[1]) and _same(second, rights[0])), "the two are swapped: minimax first")
        expect(not (_same(first, -rights[0]) and _same(second, -rights[1])),
               "both signs are turned: G gains when D's logit rises, so both losses fall")
        _named(first, rights[0], (
            (s, "minimax: the sign. log(1 - s(l)) falls as l rises"),
            (s - 1, "minimax: that is the slope of -log s(l)"),
            (-1 / (1 - s), "minimax: that is the slope in the *probability*; the chain rule adds s(1 - s)"),
            (-s * (1 - s), "minimax: that is the slope of 1 - s(l): the logarithm is missing"),
            (-F.softplus(l), "minimax: that is the loss; asked for is its slope"),
        ), "minimax:")
        _named(second, rights[1], (
            (1 - s, "non-saturating: the sign. -log s(l) falls as l rises"),
            (-s, "non-saturating: that is the slope of log(1 - s(l)) again"),
            (-1 / s, "non-saturating: that is the slope in the *probability*; the chain rule adds s(1 - s)"),
            (-s * (1 - s), "non-saturating: that is the slope of -s(l): the logarithm is missing"),
            (F.softplus(-l), "non-saturating: that is the loss; asked for is its slope"),
        ), "non-saturating:")
    return "Right: they add up to -1 at every logit."


@checker
def bce(answer: Callable[[Tensor, Tensor], Tensor]) -> str:
    """`bce(l, y)`: mean of -y log s(l) - (1 - y) log(1 - s(l)), any labels in [0, 1], finite at ±200."""
    g = seeded(34)
    for n, soft in ((6, False), (11, True), (1, True)):
        l = 2 * torch.randn(n, 1, generator=g)  # noqa: E741
        y = torch.rand(n, 1, generator=g)
        y = y if soft else (y > 0.4).float()
        each = F.softplus(l) - y * l
        right, real, fake = float(each.mean()), y * F.softplus(-l), (1 - y) * F.softplus(l)
        _named(_number(answer(l.clone(), y.clone())), right, (
            (-right, "the sign is turned: a loss is minimised, and this one is never below 0"),
            (float((F.softplus(-l) + y * l).mean()), "the labels are turned round: y = 1 takes -log s(l)"),
            (float(each.sum()), "that is a sum over the batch: take the mean"),
            (float(real.mean()), "the term of the label 0, -(1 - y) log(1 - s(l)), is missing"),
            (float(fake.mean()), "the term of the label 1, -y log s(l), is missing"),
            (float(F.binary_cross_entropy_with_logits(torch.sigmoid(l), y)), "the sigmoid was applied twice"),
            (float((F.softplus(-l) + F.softplus(l)).mean()), "both terms count fully: weigh them by y and 1 - y"),
            (right / math.log(2), "that is in bits: use the natural logarithm"),
        ), "")
    far = torch.tensor([[-200.0], [200.0]], requires_grad=True)
    value = answer(far, torch.tensor([[1.0], [0.0]]))
    expect(isinstance(value, Tensor) and value.requires_grad, "no gradient: return the tensor, not a plain number")
    expect(abs(float(value.detach()) - 200) < 1e-3,
           f"got {float(value.detach()):.4g} where D is wrong at logits of ±200, needs 200: "
           "no log of a sigmoid, and no epsilon or clamp; softplus is exact")
    value.backward()
    # slope s(l) - y over 2: (0 - 1)/2 and (1 - 0)/2
    expect(torch.allclose(far.grad, torch.tensor([[-0.5], [0.5]])), "the gradient is lost at ±200: use F.softplus")
    return "Right: softplus(l) - y l, finite at any logit."


@checker
def dirac_step(answer: Callable[[float, float, float, float], tuple[float, float]]) -> str:
    """`dirac_step(theta, psi, lr, gamma)`: non-saturating, D first, then G against the new D, R1 in D."""
    g = seeded(35)
    for lr, gamma in ((0.1, 0.0), (0.2, 1.5), (0.3, 0.7)):
        theta, psi = torch.randn(2, generator=g, dtype=torch.float64).tolist()
        here = torch.tensor([theta, psi], dtype=torch.float64)
        right = package_dirac_step(here, non_saturating, lr=lr, alternating=True, r1_gamma=gamma)

        def step(order="D", d=1.0, g=1.0, penalty=1.0, loss="ns", theta=theta, psi=psi, lr=lr, gamma=gamma):
            def pull(psi):  # -dL_G/dtheta
                s = _sigmoid(theta * psi)
                return lr * g * psi * (1 - s if loss == "ns" else s)

            new_theta = theta + pull(psi)
            seen = new_theta if order == "G" else theta
            new_psi = psi - lr * (d * seen * _sigmoid(seen * psi) + penalty * gamma * psi)
            if order == "D":
                new_theta = theta + pull(new_psi)
            return torch.tensor([new_theta, new_psi], dtype=torch.float64)

        got = answer(theta, psi, lr, gamma)
        expect(got is not None, "nothing came back: does your function end in return?")
        if isinstance(got, Tensor):
            got = tuple(got.flatten())
        expect(isinstance(got, (tuple, list)) and len(got) == 2, "return two numbers: the new theta, the new psi")
        pair = torch.tensor([_number(v) for v in got], dtype=torch.float64)
        _named(pair, right, (
            (here, "nothing moved"),
            (right.flip(0), "the order of what you return: theta first"),
            (step("both"), "G was moved against the *old* psi: D goes first, and G sees the new one"),
            (step("G"), "G went first: in algorithm 1 it is D"),
            (step(d=-1), "D went uphill on its loss: softplus(theta psi) is to be made small"),
            (step(g=-1), "G went uphill on its loss: softplus(-theta psi) is to be made small"),
            (step(d=-1, g=-1), "both went uphill: subtract lr times the slope"),
            (step(loss="minimax"), "that is the minimax slope, -s(theta psi): asked for is the non-saturating one"),
            (step(penalty=0), "the penalty is missing: R1 adds gamma psi to the slope of D's loss"),
            (step(penalty=-1), "the penalty pushes psi *away* from 0: its sign"),
            (step(penalty=2), "the penalty is gamma/2 psi^2, so its slope is gamma psi, not twice that"),
            (step(penalty=0.5), "the slope of gamma/2 psi^2 is gamma psi: the 2 cancels the half"),
        ), f"for lr = {lr}, gamma = {gamma}")
    return "Right: with gamma = 1 this one comes to rest."


# ------------------------------------------------------------------------------- what the checkers share


def _sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def _number(got: Any) -> float:
    """The answer as a float, or Wrong saying what came instead."""
    expect(got is not None, "nothing came back: does your function end in return?")
    if isinstance(got, Tensor):
        shape = tuple(got.shape)
        expect(got.numel() == 1, f"got a tensor of shape {shape}, needs one number: is a mean or sum missing?")
        return float(got.detach())
    try:
        value = float(got) if not isinstance(got, (str, bool)) else None
    except (TypeError, ValueError):
        value = None
    expect(value is not None, f"got {type(got).__name__}, needs a number")
    return value


def _tensor(got: Any, like: Tensor) -> Tensor:
    expect(got is not None, "nothing came back: does your function end in return?")
    expect(isinstance(got, Tensor), f"got {type(got).__name__}, needs a tensor")
    expect(got.shape == like.shape, f"got shape {tuple(got.shape)}, needs {tuple(like.shape)}")
    return got.detach().to(like.dtype)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    return abs(a - b) <= 1e-6 + 1e-4 * abs(b) if math.isfinite(b) else a == b


def _named(got: Any, right: Any, slips: tuple, where: str) -> None:
    """Raises Wrong with the words of the first slip that was made, or with the numbers if it is none of them."""
    if _same(got, right):
        return
    for slip, message in slips:
        expect(not _same(got, slip), message)
    if isinstance(got, Tensor):
        place = int((got - right).abs().argmax())
        got, right = float(got.flatten()[place]), float(right.flatten()[place])
    expect(False, f"{where} got {got:.5g}, needs {right:.5g}".strip())
