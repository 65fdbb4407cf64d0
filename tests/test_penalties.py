"""Penalties against closed forms, on value and on the gradient that the weights get."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import gan_utils as gu


def linear(*w: float) -> nn.Linear:
    """D(x) = w.x"""
    layer = nn.Linear(len(w), 1, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([w]))
    return layer


class HalfSquare(nn.Module):
    """D(x) = a |x|^2 / 2, with gradient a x."""

    def __init__(self, a: float):
        super().__init__()
        self.a = a

    def forward(self, x):
        return self.a * x.flatten(1).square().sum(dim=1, keepdim=True) / 2


def points(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *shape, generator=gu.seeded(seed), dtype=torch.float64)


def test_input_gradient_is_each_samples_own():
    """For a |x|^2 / 2 it is a x, for every sample, whatever the batch."""
    x = points(5, 3)
    assert_close(gu.input_gradient(HalfSquare(0.7), x), 0.7 * x)


def test_r1_of_a_linear_critic():
    """|w|^2 = 25 for w = (3, 4) and any batch; its slope is 2 w = (6, 8)."""
    D = linear(3.0, 4.0)
    penalty = gu.r1_penalty(D, points(64, 2))
    penalty.backward()
    assert float(penalty) == pytest.approx(25.0)
    assert D.weight.grad.flatten().tolist() == pytest.approx([6.0, 8.0])


def test_r1_of_a_paraboloid_is_the_mean_square_of_the_slopes():
    """grad = a x, so E|grad|^2 = a^2 mean |x|^2, on images with three axes too."""
    x = points(6, 1, 4, 4)
    expected = 0.25 * float(x.flatten(1).square().sum(1).mean())
    assert float(gu.r1_penalty(HalfSquare(0.5), x)) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 28, 64])
def test_gradient_penalty_of_a_linear_critic(n):
    """(|w| - 1)^2 = 16 for w = (3, 4), at any batch size; slope 2 (|w| - 1) w / |w| = 8 (.6, .8)."""
    D = linear(3.0, 4.0)
    penalty = gu.gradient_penalty(D, points(n, 2), points(n, 2, seed=1), generator=gu.seeded(2))
    penalty.backward()
    assert float(penalty) == pytest.approx(16.0)
    assert D.weight.grad.flatten().tolist() == pytest.approx([4.8, 6.4])


def test_gradient_penalty_takes_the_norm_over_the_whole_image():
    """D(x) = sum(x) / 28 has |w| = 1 on 28x28 pixels, so no penalty; along one axis only it would be .93."""
    D = nn.Sequential(nn.Flatten(), linear(*[1 / 28] * 784))
    x, y = points(4, 1, 28, 28), points(4, 1, 28, 28, seed=1)
    assert float(gu.gradient_penalty(D, x, y, generator=gu.seeded(0))) == pytest.approx(0.0, abs=1e-12)


def test_gradient_penalty_on_a_gaussian():
    """a |x|^2 / 2 at x ~ N(0, I_2): 2 a^2 - 2 a sqrt(pi / 2) + 1 = .246686 at a = .5 (the norm is Rayleigh).

    Real = fake = x makes every point between them x. Tolerance: 4 standard errors of 200,000 draws, about .003.
    """
    x = points(200_000, 2)
    value = float(gu.gradient_penalty(HalfSquare(0.5), x, x, generator=gu.seeded(1)))
    expected = 2 * 0.25 - math.sqrt(math.pi / 2) + 1
    assert round(expected, 6) == 0.246686
    assert value == pytest.approx(expected, abs=3e-3)


class Watch(nn.Module):
    """D(x) = sum(x), and keeps what it was shown."""

    def forward(self, x):
        self.seen = x.detach()
        return x.flatten(1).sum(dim=1, keepdim=True)


@pytest.mark.parametrize("shape", [(2,), (28,), (1, 28, 28)])
def test_points_between_are_one_place_a_sample_on_the_segment(shape):
    """Real 1, fake 0: each point is constant = its epsilon, the n epsilons differ, lie in [0, 1], mean 1/2.

    Catches one epsilon for all, one a pixel, epsilon from N(0, 1). Tolerance: 6 standard errors of 28 uniforms.
    """
    D, n = Watch(), 28
    gu.gradient_penalty(D, torch.ones(n, *shape), torch.zeros(n, *shape), generator=gu.seeded(0))
    flat = D.seen.flatten(1)
    assert_close(flat, flat[:, :1].expand_as(flat))
    epsilon = flat[:, 0]
    assert len(epsilon.unique()) == n
    assert float(epsilon.min()) >= 0 and float(epsilon.max()) <= 1
    assert float(epsilon.mean()) == pytest.approx(0.5, abs=6 / math.sqrt(12 * n))


def test_zero_critic_has_penalty_one_and_finite_gradient():
    """Slope 0 everywhere: (0 - 1)^2 = 1, and norm() sends 0 back where a bare square root sends NaN."""
    D = linear(0.0, 0.0)
    penalty = gu.gradient_penalty(D, points(8, 2), points(8, 2, seed=1), generator=gu.seeded(0))
    penalty.backward()
    assert float(penalty) == pytest.approx(1.0)
    assert D.weight.grad.flatten().tolist() == [0.0, 0.0]


def test_one_sided_forgives_gentle_slopes():
    """|w| = .5: two-sided (.5)^2 = .25, one-sided 0; |w| = 5: both 16."""
    x, y = points(8, 2), points(8, 2, seed=1)
    gentle, steep = linear(0.3, 0.4), linear(3.0, 4.0)
    assert float(gu.gradient_penalty(gentle, x, y, generator=gu.seeded(0))) == pytest.approx(0.25)
    assert float(gu.gradient_penalty(gentle, x, y, generator=gu.seeded(0), one_sided=True)) == 0.0
    assert float(gu.gradient_penalty(steep, x, y, generator=gu.seeded(0), one_sided=True)) == pytest.approx(16.0)


def test_penalties_send_nothing_into_the_samples():
    """The points are leaves of their own: G, which made the fakes, gets no gradient from a penalty of D."""
    fake = points(4, 2).requires_grad_(True)
    gu.gradient_penalty(linear(3.0, 4.0), points(4, 2), fake, generator=gu.seeded(0)).backward()
    assert fake.grad is None


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"real \(4, 2\) and fake \(3, 2\)"):
        gu.gradient_penalty(linear(1.0, 0.0), points(4, 2), points(3, 2), generator=gu.seeded(0))


def test_penalties_leave_the_samples_as_they_were():
    """The points that are differentiated are copies: x itself still wants no gradient and has none."""
    x = points(4, 2)
    gu.r1_penalty(linear(3.0, 4.0), x).backward()
    assert not x.requires_grad and x.grad is None
