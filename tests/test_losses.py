"""Losses against closed forms, on value and gradient."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import gan_utils as gu

LOG2 = math.log(2)
FAMILIES = {
    "minimax": gu.minimax,
    "non_saturating": gu.non_saturating,
    "least_squares": gu.least_squares,
    "hinge": gu.hinge,
    "wasserstein": gu.wasserstein,
}


def logits(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1).requires_grad_(True)


def sigmoid(l: float) -> float:  # noqa: E741 (the logit)
    return 1 / (1 + math.exp(-l)) if l >= 0 else math.exp(l) / (1 + math.exp(l))


@pytest.mark.parametrize(
    ("name", "level", "d_loss", "g_loss"),
    [
        ("minimax", 0.0, 2 * LOG2, -LOG2),
        ("non_saturating", 0.0, 2 * LOG2, LOG2),
        ("least_squares", 0.5, 0.25, 0.125),
        ("hinge", 0.0, 2.0, 0.0),
        ("wasserstein", 3.0, 0.0, -3.0),
    ],
)
def test_values_where_d_cannot_tell(name, level, d_loss, g_loss):
    """D gives one answer to all: put it into each definition. Logistic: -log(1/2) twice, log(1/2), -log(1/2)."""
    same = logits(level, level, level)
    family = FAMILIES[name]
    assert family.d(real_logits=same, fake_logits=same).item() == pytest.approx(d_loss, abs=1e-12)
    assert family.g(fake_logits=same).item() == pytest.approx(g_loss, abs=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_means_over_some_axes(name):
    """Rows of a batch by themselves, and all of them together."""
    real, fake = torch.randn(2, 3, 4, 1, dtype=torch.float64, generator=gu.seeded(0))
    family = FAMILIES[name]
    apart = [(family.d(real_logits=r, fake_logits=f), family.g(fake_logits=f)) for r, f in zip(real, fake, strict=True)]
    d_losses = family.d(real_logits=real, fake_logits=fake, dim=(1, 2))
    g_losses = family.g(fake_logits=fake, dim=(1, 2))
    assert_close(torch.stack([d_losses, g_losses], dim=1), torch.tensor(apart, dtype=torch.float64))
    assert_close(family.d(real_logits=real, fake_logits=fake), d_losses.mean())
    assert_close(family.g(fake_logits=fake), g_losses.mean())


def test_chance_levels_that_plots_draw():
    """2 log 2 = 1.386294 and log 2 = .693147 nats."""
    assert pytest.approx(1.386294, abs=1e-6) == gu.CHANCE_D_LOSS
    assert pytest.approx(0.693147, abs=1e-6) == gu.CHANCE_G_LOSS


def test_known_values_at_logit_one():
    """softplus(-1) = .313262 is the non-saturating value at l = 1; the minimax one is -softplus(1) = -1.313262."""
    one = logits(1.0)
    assert gu.nonsaturating_g_loss(fake_logits=one).item() == pytest.approx(0.313262, abs=1e-6)
    assert gu.minimax_g_loss(fake_logits=one).item() == pytest.approx(-1.313262, abs=1e-6)


@given(st.floats(-30, 30), st.floats(-30, 30))
def test_logistic_d_loss_is_cross_entropy_with_labels_one_and_zero(real, fake):
    """-log s(real) - log(1 - s(fake)); s(-l) = 1 - s(l) keeps the second term exact."""
    value = float(gu.logistic_d_loss(real_logits=logits(real), fake_logits=logits(fake)))
    assert value == pytest.approx(-math.log(sigmoid(real)) - math.log(sigmoid(-fake)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("logit", [-100.0, -8.0, -4.0, 0.0, 4.0, 8.0, 100.0])
def test_g_gradients_against_the_logit(logit):
    """d/dl log(1 - s(l)) = -s(l); d/dl [-log s(l)] = -(1 - s(l)) = -s(-l). At l = -8: -3.35e-4 and -.99966."""
    for loss, slope in ((gu.minimax_g_loss, -sigmoid(logit)), (gu.nonsaturating_g_loss, -sigmoid(-logit))):
        l = logits(logit)  # noqa: E741
        loss(fake_logits=l).backward()
        assert float(l.grad) == pytest.approx(slope, rel=1e-9, abs=1e-40)


@pytest.mark.parametrize("logit", [-100.0, -3.0, 0.0, 3.0, 100.0])
def test_d_gradients_against_the_logits(logit):
    """d/dr [-log s(r)] = s(r) - 1, d/df [-log(1 - s(f))] = s(f), each over the batch of 2."""
    real, fake = logits(logit, logit), logits(logit, logit)
    gu.logistic_d_loss(real_logits=real, fake_logits=fake).backward()
    assert_close(real.grad, torch.full((2, 1), (sigmoid(logit) - 1) / 2, dtype=torch.float64), rtol=1e-9, atol=1e-40)
    assert_close(fake.grad, torch.full((2, 1), sigmoid(logit) / 2, dtype=torch.float64), rtol=1e-9, atol=1e-40)


def test_float32_stays_finite_at_logits_of_100():
    """log(sigmoid(-100)) is -inf in float32; softplus(100) = 100 to rounding, slope 1."""
    l = torch.tensor([[-100.0]], requires_grad=True)  # noqa: E741
    loss = gu.nonsaturating_g_loss(fake_logits=l)
    loss.backward()
    assert float(loss) == pytest.approx(100.0, rel=1e-6)
    assert float(l.grad) == pytest.approx(-1.0, rel=1e-6)


def test_least_squares_by_hand():
    """D at real 3, fake 2: (3-1)^2/2 + 2^2/2 = 4, slopes 2 and 2; G at 2: (2-1)^2/2 = .5, slope 1."""
    real, fake = logits(3.0), logits(2.0)
    loss = gu.least_squares_d_loss(real_logits=real, fake_logits=fake)
    loss.backward()
    assert (float(loss), float(real.grad), float(fake.grad)) == pytest.approx((4.0, 2.0, 2.0))
    fake = logits(2.0)
    loss = gu.least_squares_g_loss(fake_logits=fake)
    loss.backward()
    assert (float(loss), float(fake.grad)) == pytest.approx((0.5, 1.0))


def test_hinge_by_hand():
    """Real 2 (past the margin) and .5, fake -2 (past) and .5: (0 + .5)/2 + (0 + 1.5)/2 = 1; slopes 0, -.5, 0, .5."""
    real, fake = logits(2.0, 0.5), logits(-2.0, 0.5)
    loss = gu.hinge_d_loss(real_logits=real, fake_logits=fake)
    loss.backward()
    assert float(loss) == pytest.approx(1.0)
    assert real.grad.flatten().tolist() == pytest.approx([0.0, -0.5])
    assert fake.grad.flatten().tolist() == pytest.approx([0.0, 0.5])


def test_wasserstein_by_hand():
    """Real mean 2, fake mean -1: D's loss is -1 - 2 = -3 (lower is better for D); G's is 1, its slope -1/2 a sample."""
    real, fake = logits(1.0, 3.0), logits(0.0, -2.0)
    assert float(gu.wasserstein_d_loss(real_logits=real, fake_logits=fake)) == pytest.approx(-3.0)
    loss = gu.wasserstein_g_loss(fake_logits=fake)
    loss.backward()
    assert float(loss) == pytest.approx(1.0)
    assert fake.grad.flatten().tolist() == pytest.approx([-0.5, -0.5])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_each_network_gains_in_the_right_direction(family):
    """D's loss falls when real rises or fake falls, G's when fake rises: slopes at 0 have these signs."""
    real, fake = logits(0.0), logits(0.0)
    family.d(real_logits=real, fake_logits=fake).backward()
    assert float(real.grad) < 0 <= float(fake.grad)
    fake = logits(0.0)
    family.g(fake_logits=fake).backward()
    assert float(fake.grad) < 0


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_mean_over_the_batch_and_keywords_only(family):
    """Doubling a batch by repeating it leaves a mean as it was; positions are refused, so none can be swapped."""
    real, fake = logits(0.3, -1.2), logits(0.7, 2.0)
    once = family.d(real_logits=real, fake_logits=fake)
    assert_close(family.d(real_logits=real.repeat(2, 1), fake_logits=fake.repeat(2, 1)), once)
    assert_close(family.g(fake_logits=fake.repeat(3, 1)), family.g(fake_logits=fake))
    with pytest.raises(TypeError):
        family.d(real, fake)
