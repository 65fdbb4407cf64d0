"""Checkers of chapter 4: every one tries several random inputs and knows the usual slips by name."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import logistic_d_loss
from ..metrics import frechet_distance
from ..models import mlp
from ..runtime import seeded
from . import checker, expect, number


@checker
def scale_bytes(answer: Callable[[Tensor], Tensor]) -> str:
    """`scale_bytes(pixels)`: uint8 of any shape to float32 in [-1, 1], 0 to -1 and 255 to 1."""
    g = seeded(41)
    for shape in ((256,), (3, 1, 28, 28)):
        pixels = torch.randint(0, 256, shape, generator=g, dtype=torch.uint8)
        pixels.view(-1)[:2] = torch.tensor([0, 255], dtype=torch.uint8)
        before = pixels.clone()
        got = _tensor(answer(pixels), pixels.shape)
        expect(torch.equal(pixels, before), "the bytes given were changed: work on a float copy of them")
        expect(got.is_floating_point(), f"got {got.dtype}, needs float32: turn the bytes into floats first")
        real = pixels.double()
        for slip, message in (
            (real / 255, "that is [0, 1], and tanh makes [-1, 1]: stretch by 2 and shift by -1"),
            (real / 127.5, "that is [0, 2]: the shift by -1 is missing"),
            (1 - real / 127.5, "black and white are swapped: 0 must become -1"),
            (real / 128 - 1, "255 becomes .992: divide by 127.5, half of the largest byte, not by 128"),
            (real - 127.5, "the shift is right, the scale is missing: divide by 127.5"),
            ((pixels * 2).double() / 255 - 1, "2 * pixels overflows in bytes: turn them into floats first"),
        ):
            expect(not _close(got, slip), message)
        wrong = (got.double() - (real / 127.5 - 1)).abs().max()
        expect(wrong < 1e-5, f"off by up to {wrong:.3g}: 0 must become -1, 127.5 would be 0, 255 must be 1")
        expect(got.dtype == torch.float32, f"the values are right, in {got.dtype}: make them float32")
    return "Right: 0 becomes -1, 255 becomes 1, and the bytes themselves stay as they were."


@checker
def mlp_parameters(answer: Callable[[list[int]], int]) -> str:
    """`mlp_parameters(sizes)`: weights and biases of linear layers of these sizes."""
    cases = ([784, 256, 128, 1], [100, 128, 256, 784], [5, 3], [7, 2, 9, 4, 6])
    for sizes in cases:
        got = answer(list(sizes))
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        weights = sum(a * b for a, b in pairs)
        expect(got is not None, "nothing came back: does your function end in return?")
        number = isinstance(got, (int, float)) and not isinstance(got, bool)
        expect(number, f"got {type(got).__name__}, needs one whole number")
        for slip, message in (
            (weights, "the biases are missing: one for each output of a layer"),
            (weights + sum(sizes[:-1]), "a bias belongs to each *output* of a layer, not to each input"),
            (weights + sum(sizes), "the first size has no bias: it is the input, no layer makes it"),
            (sum(sizes), "that adds the sizes: a layer has inputs times outputs weights"),
            (weights + len(pairs), "one bias a layer is too few: there is one for each output"),
        ):
            expect(got != slip, f"for {sizes} you get {got:,}: {message}")
        want = sum(p.numel() for p in mlp(sizes).parameters())
        expect(got == want, f"for {sizes} you get {got:,}, PyTorch counts {want:,}")
        expect(isinstance(got, int), f"the count is right, as {type(got).__name__}: make it an int")
    return "Right: inputs times outputs, and one bias for each output, summed over the layers."


@checker
def tight_d_step(answer: Callable[..., Any]) -> str:
    """`tight_d_step(G, D, opt_d, x, z)`: one descent step on D that sends nothing into G."""
    for seed in (43, 44):
        _judge_d_step(answer, seed)
    return "Right: D moves exactly as before, and not one gradient was computed in G."


def _judge_d_step(answer: Callable[..., Any], seed: int) -> None:
    g = seeded(seed)
    G, D = mlp([3, 8, 5], generator=g), mlp([5, 8, 1], generator=g)
    x, z = torch.randn(16, 5, generator=g) + 1, torch.randn(16, 3, generator=g)
    for p in D.parameters():
        p.grad = torch.ones_like(p)  # as a generator step leaves it
    reached: list[bool] = []
    for p in G.parameters():
        p.register_hook(lambda _: reached.append(True))
    old_G, old_D = _numbers(G), _numbers(D)
    want = {name: _after_step(D, G, x, z, name) for name in ("right", "swapped", "stale", "ascent")}
    result = answer(G, D, torch.optim.SGD(D.parameters(), lr=0.1), x, z)
    now = _numbers(D)
    expect(torch.equal(_numbers(G), old_G), "G's weights changed: only opt_d may step here")
    left = any(p.grad is not None for p in G.parameters())
    expect(not left, "G's gradients are filled: cut G off with detach() or torch.no_grad()")
    expect(not reached, "G's gradients were computed and then erased: the time is lost all the same; "
                        "cut G off before backward()")
    frozen = not all(p.requires_grad for net in (G, D) for p in net.parameters())
    expect(not frozen, "a network is left frozen (requires_grad=False): give it its flags back")
    expect(not torch.equal(now, old_D), "D did not move: does it get gradients, and is opt_d.step() called?")
    expect(not _close(now, want["swapped"]), "real and fake are swapped: D must raise the logits of x")
    expect(not _close(now, want["stale"]), "D's old gradients were added: clear them before backward()")
    expect(not _close(now, want["ascent"]), "D went uphill: the loss is to be minimised, look at its sign")
    expect(_close(now, want["right"]), "D moved, but not by one step on the logistic loss of x and G(z)")
    del result  # whatever comes back is welcome


def _after_step(D: nn.Module, G: nn.Module, x: Tensor, z: Tensor, kind: str) -> Tensor:
    """D's weights after one step of SGD, done right or with one slip."""
    D = copy.deepcopy(D)
    with torch.no_grad():
        fake = G(z)
    real_logits, fake_logits = D(x), D(fake)
    if kind == "swapped":
        real_logits, fake_logits = fake_logits, real_logits
    loss = logistic_d_loss(real_logits=real_logits, fake_logits=fake_logits)
    gradients = torch.autograd.grad(-loss if kind == "ascent" else loss, list(D.parameters()))
    with torch.no_grad():
        for p, gradient in zip(D.parameters(), gradients, strict=True):
            p -= 0.1 * (gradient + (1 if kind == "stale" else 0))
    return _numbers(D)


@checker
def lazy_weight(answer: Callable[[int, float, int], float]) -> str:
    """`lazy_weight(step, gamma, every)`: what the bare R1 penalty is multiplied by in this step of D, from 1."""
    for gamma, every in ((0.3, 8), (10.0, 16), (2.0, 1)):
        weights = [number(answer(step, gamma, every)) for step in range(1, 4 * every + 1)]
        expect(all(map(math.isfinite, weights)), "a weight is not finite")
        due = [step for step, weight in enumerate(weights, 1) if weight]
        expect(due, "the penalty is never taken: which remainder tells that a step is due?")
        many = every > 1 and len(due) == len(weights)
        expect(not many, f"the penalty is taken in every step: of {every} steps it is due in one")
        most = every > 1 and len(due) == len(weights) - 4
        expect(not most, "the penalty is taken in all steps but those that are due: turn the condition round")
        mean, half = sum(weights) / len(weights), gamma / 2
        expect(every == 1 or not _near(mean, half / every), f"it is rare, and not made up for: times {every} when due")
        expect(not _near(mean, gamma), "gamma is not halved: R1 enters as gamma / 2 times the penalty")
        expect(_near(mean, half), f"on average the weight is {mean:.3g}, expected gamma / 2 = {half:.3g}")
        steady = all(b - a == every for a, b in zip(due, due[1:], strict=False))
        expect(steady and len(set(weights)) <= 2, f"the steps that are due are not {every} apart and alike")
    return "Right: rare and strong, and on average gamma / 2 as before."


@checker
def average_weights(answer: Callable[[nn.Module, nn.Module, float], None]) -> str:
    """`average_weights(slow, fast, decay)`: slow <- decay slow + (1 - decay) fast, in place."""
    g = seeded(46)
    for decay in (0.9, 0.25):
        slow, fast = mlp([4, 6, 2], generator=g), mlp([4, 6, 2], generator=g)
        a, b = _numbers(slow), _numbers(fast)
        same = list(slow.parameters())
        answer(slow, fast, decay)
        now = _numbers(slow)
        expect(torch.equal(_numbers(fast), b), "the fast network changed: only the slow one may")
        expect(not torch.equal(now, a), "the slow network did not change: write into its tensors, "
                                        "with mul_, add_, lerp_ or copy_")
        kept = all(p is q for p, q in zip(slow.parameters(), same, strict=True))
        expect(kept, "the slow network has new tensors: change the old ones in place")
        first = len(same[0].flatten())
        for slip, message in (
            ((1 - decay) * a + decay * b, "the weights of the two are swapped: decay belongs to the slow one"),
            (a + (1 - decay) * b, "the old weights were not multiplied by decay"),
            (decay * a + b, "the new weights were not multiplied by 1 - decay"),
            (b, "that copies the fast network: the old weights must count too"),
        ):
            expect(not _close(now, slip), message)
        want = decay * a + (1 - decay) * b
        partly = _close(now[:first], want[:first]) and not _close(now, want)
        expect(not partly, "the first weights are right, others not: go through all parameters")
        expect(_close(now, want), f"off by up to {(now - want).abs().max():.3g} with decay {decay}")
        expect(all(p.is_leaf for p in slow.parameters()), "a graph is kept: average under torch.no_grad()")
    return "Right: an average with a memory of about 1 / (1 - decay) steps."


@checker
def frechet_diagonal(answer: Callable[[Tensor, Tensor, Tensor, Tensor], float]) -> str:
    """`frechet_diagonal(mean_a, var_a, mean_b, var_b)`: the distance of two diagonal Gaussians."""
    g = seeded(47)
    for d in (1, 3, 64):
        mean_a, mean_b = torch.randn(2, d, generator=g, dtype=torch.float64)
        var_a, var_b = torch.rand(2, d, generator=g, dtype=torch.float64) * 4 + 0.1
        got = _number(answer(mean_a.clone(), var_a.clone(), mean_b.clone(), var_b.clone()))
        shift, sd = (mean_a - mean_b).square(), (var_a.sqrt() - var_b.sqrt()).square()
        want = frechet_distance(mean_a, var_a.diag(), mean_b, var_b.diag())
        for slip, message in (
            (shift.sum(), "the spread is missing: add the squared differences of the standard deviations"),
            (sd.sum(), "the means are missing: add their squared differences"),
            (shift.sum() + (var_a - var_b).square().sum(),
             "the variances were compared: take their roots, the standard deviations, first"),
            (shift.sum() + (var_a - var_b).abs().sum(), "the variances were compared: it is (sd - sd) squared"),
            ((shift + sd).mean(), "that is the mean over the features: the distance sums them"),
            (math.sqrt(want), "that is its root: the Fréchet distance, as it is quoted, is the square"),
            (shift.sum().sqrt() + sd.sum(), "the difference of the means must be squared"),
        ):
            expect(d == 1 and "mean over" in message or not _near(got, float(slip)), message)
        expect(_near(got, want), f"for {d} features you get {got:.6g}, gan_utils {want:.6g}")
    return "Right: for diagonal Gaussians the matrix root is a root of numbers."


def _tensor(value: Any, shape: torch.Size) -> Tensor:
    expect(value is not None, "nothing came back: does your function end in return?")
    expect(isinstance(value, Tensor), f"got {type(value).__name__}, needs a tensor")
    expect(value.shape == shape, f"got shape {tuple(value.shape)}, needs {tuple(shape)}")
    return value.detach()


def _number(value: Any) -> float:
    expect(value is not None, "nothing came back: does your function end in return?")
    single = isinstance(value, Tensor) and value.numel() == 1
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    kind = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    expect(single or plain, f"got {kind}, needs one number")
    value = float(value)
    expect(math.isfinite(value), f"got {value}: a distance is finite")
    expect(value >= 0, f"got {value:.4g}: a distance is 0 or more")
    return value


def _numbers(network: nn.Module) -> Tensor:
    """All weights in one row, as a copy."""
    return torch.cat([p.detach().flatten() for p in network.parameters()]).clone()


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def _near(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)
