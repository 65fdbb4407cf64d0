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


def test_between_is_one_draw_a_sample_in_the_type_of_the_data():
    """epsilon x + (1 - epsilon) y by hand; the stream goes on after n numbers, and half precision stays half."""
    x, y, stream, own = points(5, 3), points(5, 3, seed=1), gu.seeded(4), gu.seeded(4)
    epsilon = torch.rand(5, 1, generator=own)
    assert_close(gu.between(x, y, generator=stream), epsilon * x + (1 - epsilon) * y)
    assert torch.equal(stream.get_state(), own.get_state())
    gu.gradient_penalty(HalfSquare(1.0), x, y, generator=stream), torch.rand(5, 1, generator=own)
    assert torch.equal(stream.get_state(), own.get_state())
    assert gu.between(x.half(), y.half(), generator=stream).dtype == torch.float16
    for pair in ((x.clone().requires_grad_(), y), (x, y.clone().requires_grad_())):
        assert not gu.between(*pair, generator=stream).requires_grad, "points: nothing flows back into G"


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


# ------------------------------------------------------------------ the other ways to hold a slope

def test_r2_is_r1_on_the_fakes_and_sends_nothing_back():
    """a^2 mean |x|^2 on the fakes, whatever made them."""
    fake = points(6, 3).requires_grad_(True)
    penalty = gu.r2_penalty(HalfSquare(0.5), fake)
    assert float(penalty.detach()) == pytest.approx(0.25 * float(fake.detach().square().sum(1).mean()))
    gu.r2_penalty(linear(1.0, 2.0, 3.0), fake).backward()
    assert fake.grad is None


def test_zero_centred_penalty_of_a_linear_critic():
    """|w|^2 = 25 and slope 2 w, wherever on the lines; the one-centred gives 16 there."""
    D = linear(3.0, 4.0)
    penalty = gu.zero_centred_penalty(D, points(64, 2), points(64, 2, seed=1), generator=gu.seeded(2))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(25.0)
    assert D.weight.grad.flatten().tolist() == pytest.approx([6.0, 8.0])


def test_zero_centred_penalty_looks_between():
    """|grad|^2 = a^2 |x|^2 of the points between, drawn from the same stream."""
    x, y = points(8, 2), points(8, 2, seed=1)
    mixed = gu.between(x, y, generator=gu.seeded(4))
    expected = 0.49 * float(mixed.square().sum(1).mean())
    assert float(gu.zero_centred_penalty(HalfSquare(0.7), x, y, generator=gu.seeded(4))) == pytest.approx(expected)


def test_a_penalty_takes_any_function_of_x():
    """A discriminator of pairs: its class is fixed in a function of x alone."""
    D = linear(3.0, 4.0)
    assert float(gu.r1_penalty(lambda x: 2 * D(x), points(4, 2)).detach()) == pytest.approx(100.0)


def test_clip_weights_sets_weights_to_the_nearest_within():
    """(3, -.004) at .01 becomes (.01, -.004), in place; a bias too; gradients are left alone."""
    D = nn.Linear(2, 1)
    with torch.no_grad():
        D.weight.copy_(torch.tensor([[3.0, -0.004]]))
        D.bias.fill_(-7.0)
    before = D.weight
    D.weight.grad = torch.ones(1, 2)
    gu.clip_weights(D, 0.01)
    assert D.weight is before
    assert D.weight.flatten().tolist() == pytest.approx([0.01, -0.004])
    assert float(D.bias.detach()) == pytest.approx(-0.01)
    assert torch.equal(D.weight.grad, torch.ones(1, 2))


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_clip_weights_refuses(limit):
    with pytest.raises(ValueError, match="limit must be above 0"):
        gu.clip_weights(nn.Linear(1, 1), limit)


def normalised(sizes=(6, 9, 1), seed=0) -> nn.Sequential:
    return gu.spectrally_normalised(gu.mlp(sizes, generator=gu.seeded(seed)).double(), generator=gu.seeded(1))


def test_spectral_norm_makes_the_largest_singular_value_one():
    """After some passes numpy's own singular values of every weight begin with 1; a convolution's as a matrix."""
    D = nn.Sequential(nn.Conv2d(1, 4, kernel_size=3), nn.Flatten(), nn.Linear(4 * 4, 1)).double()
    gu.spectrally_normalised(D, generator=gu.seeded(1))
    for _ in range(50):
        D(points(2, 1, 4, 4))
    for layer in (D[0], D[2]):
        assert float(torch.linalg.svdvals(layer.weight.detach().flatten(1))[0]) == pytest.approx(1.0, abs=1e-6)


def test_spectral_norm_is_near_before_the_first_pass():
    """Divided by an estimate, from below: the largest singular value is 1 or a little more, in eval mode too."""
    for seed in range(3):
        first = normalised(seed=seed).eval()[0]
        assert 1 - 1e-9 <= float(torch.linalg.svdvals(first.weight.detach())[0]) < 1.1


def test_spectral_norm_sends_back_the_slope_of_w_over_sigma():
    """d/dW <C, W / s> = C / s - <C, W> / s^2 u v^T, with u, v the exact singular vectors."""
    D = normalised((4, 3))
    for _ in range(200):
        D(points(2, 4))
    W, C = D[0].parametrizations.weight.original, points(3, 4, seed=5)
    (D[0].weight * C).sum().backward()
    u, s, vh = torch.linalg.svd(W.detach())
    expected = C / s[0] - (C * W.detach()).sum() / s[0] ** 2 * torch.outer(u[:, 0], vh[0])
    assert_close(W.grad, expected, rtol=1e-6, atol=1e-8)


def test_spectrally_normalised_layers_are_1_lipschitz():
    """LeakyReLU (.2) is 1-Lipschitz and so is each layer, hence the network: no slope above 1, penalty one-sided 0."""
    D = normalised((5, 16, 16, 1))
    for _ in range(100):
        D(points(2, 5))
    slopes = gu.input_gradient(D, 3 * points(200, 5)).norm(dim=1)
    assert float(slopes.max()) <= 1 + 1e-6
    assert float(slopes.max()) > 0.05


def test_spectral_norm_rests_when_frozen_or_evaluated_and_takes_part_in_a_step():
    """A step of G leaves D bit for bit; a step of D moves its weights and its vectors."""
    G, D = gu.toy_generator(2, data_dim=6, generator=gu.seeded(3)).double(), normalised()
    before = {k: v.clone() for k, v in D.state_dict().items()}
    gu.g_step(G, D, torch.optim.SGD(G.parameters(), lr=0.1), points(4, 2), gu.wasserstein)
    with gu.evaluating(D):
        D(points(4, 6))
    assert all(torch.equal(v, before[k]) for k, v in D.state_dict().items())
    assert all(part.training for part in D.modules())
    gu.d_step(G, D, torch.optim.SGD(D.parameters(), lr=0.1), points(4, 6), points(4, 2), gu.wasserstein)
    after = D.state_dict()
    for name in ("original", "0.u", "0.v"):  # of the first layer; the last has one row, so its u is 1 for ever
        key = f"0.parametrizations.weight.{name}"
        assert not torch.equal(after[key], before[key]), key


def test_spectral_norm_draws_from_its_stream_only():
    a, b = (gu.toy_discriminator(generator=gu.seeded(0)) for _ in range(2))
    before = torch.get_rng_state()
    for D in (a, b):
        gu.spectrally_normalised(D, generator=gu.seeded(1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
