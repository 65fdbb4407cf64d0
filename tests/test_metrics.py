"""Metrics against closed forms and against scipy and torch-fidelity."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import gan_utils as gu

SAMPLES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30)


def normal_quantiles(n: int, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    """Midpoint quantiles of N(mean, std^2): a sample without noise."""
    return torch.tensor(scipy.stats.norm.ppf((np.arange(n) + 0.5) / n, mean, std))


@given(SAMPLES, SAMPLES)
def test_wasserstein_agrees_with_scipy(x, y):
    """Any lengths, ties included."""
    ours = gu.wasserstein_1d(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    assert ours == pytest.approx(scipy.stats.wasserstein_distance(x, y), rel=1e-9, abs=1e-9)


@pytest.mark.filterwarnings("ignore:ks_2samp")  # about scipy's p-value, which is not used
@given(SAMPLES, SAMPLES)
def test_ks_agrees_with_scipy(x, y):
    ours = gu.ks_statistic(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))
    assert ours == pytest.approx(scipy.stats.ks_2samp(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "distance"),
    [
        (normal_quantiles(20_000), normal_quantiles(20_000, mean=2.5), 2.5),
        (normal_quantiles(20_000), normal_quantiles(20_000, std=2.0), math.sqrt(2 / math.pi)),
        ((torch.arange(20_000) + 0.5).double() / 20_000, normal_quantiles(20_000), 0.700613),
        (2 * (torch.arange(20_000) + 0.5).double() / 20_000 - 1, normal_quantiles(20_000), 0.297885),
    ],
    ids=["shift: |m1 - m2|", "spread: |1 - s| sqrt(2/pi)", "U(0,1) to N(0,1)", "U(-1,1) to N(0,1)"],
)
def test_wasserstein_closed_forms(x, y, distance):
    """Midpoint quantiles integrate |F^-1 - G^-1|; the tails cost about 1e-4 at n = 20,000."""
    assert gu.wasserstein_1d(x, y) == pytest.approx(distance, abs=2e-4)


def test_wasserstein_is_a_distance():
    """0 to itself in any order, symmetric, and |a| times as far when both are scaled by a."""
    x, y = torch.randn(50, generator=gu.seeded(0)), torch.randn(50, generator=gu.seeded(1)) + 1
    assert gu.wasserstein_1d(x, x.flip(0)) == 0
    assert gu.wasserstein_1d(x, y) == gu.wasserstein_1d(y, x)
    assert gu.wasserstein_1d(-3 * x, -3 * y) == pytest.approx(3 * gu.wasserstein_1d(x, y), rel=1e-6)


@pytest.mark.parametrize(("n", "mean", "spread"), [(100, 0.182, 0.065), (1000, 0.062, 0.027), (10_000, 0.019, 0.006)])
def test_wasserstein_floor(n, mean, spread):
    """Two samples of one N(0, 1): about 1.9 / sqrt(n). Tolerance: 5 standard errors of 40 draws."""
    g = gu.seeded(0)
    floors = [gu.wasserstein_1d(gu.gaussian_1d(n, generator=g), gu.gaussian_1d(n, generator=g)) for _ in range(40)]
    assert np.mean(floors) == pytest.approx(mean, abs=5 * spread / math.sqrt(40))


def test_ks_by_hand():
    """{1, 2} against {2, 3}: at 1 the CDFs are 1/2 and 0, at 2 they are 1 and 1/2: 1/2. Apart: 1. Same: 0."""
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0])
    assert gu.ks_statistic(x, y) == 0.5
    assert gu.ks_statistic(x, x + 10) == 1.0
    assert gu.ks_statistic(x, x) == 0.0


def test_kurtosis_closed_forms():
    """Uniform -1.2 (fourth moment 1/80 over variance 1/144 is 1.8); two points -2; Gaussian 0."""
    assert gu.excess_kurtosis((torch.arange(10_000) + 0.5).double()) == pytest.approx(-1.2, abs=1e-6)
    assert gu.excess_kurtosis(torch.tensor([-1.0, 1.0])) == pytest.approx(-2.0)
    assert gu.excess_kurtosis(normal_quantiles(200_000)) == pytest.approx(0.0, abs=5e-3)
    with pytest.raises(ValueError, match="constant"):
        gu.excess_kurtosis(torch.ones(5))


def frechet(a, b, shift=0.0) -> float:
    a, b = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    zero = torch.zeros(len(a), dtype=torch.float64)
    return gu.frechet_distance(zero + torch.tensor(shift, dtype=torch.float64), a, zero, b)


def test_frechet_one_dimension():
    """(difference of means)^2 + (difference of standard deviations)^2: N(0, 1), N(1, 4): 1 + 1 = 2."""
    assert frechet([[1.0]], [[4.0]], 1.0) == pytest.approx(2.0, abs=1e-12)


def test_frechet_diagonal():
    """sum (s1 - s2)^2 = (1-2)^2 + (2-3)^2 + (3-1)^2 = 6."""
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 9.0, 1.0])
    assert frechet(a, b) == pytest.approx(6.0, abs=1e-12)


def test_frechet_two_by_two():
    """tr sqrt(AB) = sqrt(tr AB + 2 sqrt(det AB)) in 2x2, plus |(1, 2)|^2 = 5: 5.463471 in all."""
    a, b = np.array([[2, 0.5], [0.5, 1]]), np.array([[1, -0.3], [-0.3, 1.5]])
    expected = 5 + np.trace(a + b) - 2 * math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a @ b)))
    assert expected == pytest.approx(5.463471, abs=1e-6)
    assert frechet(a, b, [1.0, 2.0]) == pytest.approx(expected, abs=1e-11)


def test_frechet_root_of_the_product_not_product_of_the_roots():
    """A = diag(100, 1), B = A turned by 45 degrees: 202 - 2 sqrt(5100.5 + 200) = 56.39; with roots multiplied 81."""
    a, turn = np.diag([100.0, 1.0]), np.array([[1, -1], [1, 1]]) / math.sqrt(2)
    b = turn @ a @ turn.T
    expected = 202 - 2 * math.sqrt(np.trace(a @ b) + 2 * 100)
    assert expected == pytest.approx(56.39, abs=5e-3)
    assert frechet(a, b) == pytest.approx(expected, abs=1e-9)


def test_frechet_agrees_with_sqrtm_and_torch_fidelity():
    """Random covariances in 16 dimensions; 1e-6 relative is the bar, 1e-9 what eigenvalues give."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 16)) @ rng.normal(size=(16, 16)), rng.normal(size=(300, 16)) + 0.3
    (mx, cx), (my, cy) = (gu.mean_and_covariance(torch.tensor(s)) for s in (x, y))
    ours = gu.frechet_distance(mx, cx, my, cy)
    root = scipy.linalg.sqrtm(cx.numpy() @ cy.numpy()).real
    direct = float((mx - my).square().sum()) + np.trace(cx.numpy() + cy.numpy() - 2 * root)
    assert ours == pytest.approx(direct, rel=1e-9)
    pair = [{"mu": m.numpy(), "sigma": c.numpy()} for m, c in ((mx, cx), (my, cy))]
    theirs = fid_statistics_to_metric(*pair, verbose=False)["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_frechet_identity_symmetry_and_singular_covariances():
    """0 to itself, symmetric, finite where a feature never moves: diag(1, 0) to diag(4, 0) is 1."""
    cov = torch.cov(torch.randn(5, 40, generator=gu.seeded(0), dtype=torch.float64))
    zero, one = torch.zeros(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    assert gu.frechet_distance(zero, cov, zero, cov) == pytest.approx(0.0, abs=1e-12)
    assert gu.frechet_distance(zero, cov, zero, one) == pytest.approx(gu.frechet_distance(zero, one, zero, cov))
    assert frechet(np.diag([1.0, 0.0]), np.diag([4.0, 0.0])) == pytest.approx(1.0, abs=1e-12)


def test_frechet_needs_one_extractor():
    with pytest.raises(ValueError, match="features of width 2 and 3"):
        gu.frechet_distance(torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3))


def test_mean_and_covariance_against_numpy():
    x = torch.randn(30, 4, generator=gu.seeded(0))
    mean, cov = gu.mean_and_covariance(x)
    assert_close(mean, x.double().mean(0))
    assert_close(cov, torch.tensor(np.cov(x.double().numpy().T)))
    not_a_number = torch.full((3, 2), math.nan)
    for bad, says in [(torch.zeros(1, 4), "2 or more"), (torch.zeros(4), "needs"), (not_a_number, "NaN")]:
        with pytest.raises(ValueError, match=says):
            gu.mean_and_covariance(bad)


@pytest.mark.parametrize(("d", "n"), [(16, 1000), (64, 2500)])
def test_frechet_bias_law(d, n):
    """n samples of N(0, I_d) against the exact law: (d + d (d + 1) / 4) / n to first order.

    First the closed form from truth: both sides sampled give [2 d + d (d + 1) / 2] / n, twice ours (2208 / n at
    d = 64). Then a measurement, mean of 6 draws; 5 % covers second order (about d / n) and noise.
    """
    assert 2 * gu.frechet_bias(d, n) == pytest.approx((2 * d + d * (d + 1) / 2) / n)
    g, exact = gu.seeded(0), (torch.zeros(d), torch.eye(d))
    draws = [gu.mean_and_covariance(gu.gaussian_noise(n, d, generator=g)) for _ in range(6)]
    measured = np.mean([gu.frechet_distance(*draw, *exact) for draw in draws])
    assert measured == pytest.approx(gu.frechet_bias(d, n), rel=0.05)


# the shipped classifier and what is measured with it


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    return gu.load_mnist("train")[0]


def test_classifier_is_as_good_as_it_says():
    """99.2 % or more of the 10,000 test digits, and what its header says."""
    images, labels = gu.load_mnist("test")
    accuracy = float((gu.digit_logits(images).argmax(1) == labels).double().mean())
    assert accuracy >= 0.992
    path = gu.runtime.Path(gu.__file__).parent / "checkpoint_files" / "classifier.safetensors"
    assert gu.load_tensors(path)[1]["test_accuracy"] == pytest.approx(accuracy, abs=2e-4)


def test_shipped_statistics_are_those_of_the_training_images(real):
    """Re-made from the 60,000 images: zero distance, up to float32 rounding in the features."""
    assert gu.frechet_digits(real) == pytest.approx(0.0, abs=1e-6)


def test_frechet_digits_is_the_distance_of_features_and_sees_damage(real):
    """By its definition on features; noise, inversion and a missing class each raise it well above the floor."""
    images = real[:2000]
    by_hand = gu.frechet_distance(
        *gu.mean_and_covariance(gu.digit_features(images)), *gu.mean_and_covariance(gu.digit_features(real))
    )
    clean = gu.frechet_digits(images)
    assert clean == pytest.approx(by_hand, rel=1e-4)
    noise = 0.5 * torch.randn(images.shape, generator=gu.seeded(0))
    labels = gu.load_mnist("train")[1][:2000]
    for damaged in (images.add(noise).clamp(-1, 1), -images, images[labels != 3]):
        assert gu.frechet_digits(damaged) > 3 * clean


def test_floor_is_the_score_of_held_out_digits():
    """All 10,000 test images: their own distance. Fewer: a bias b / n on top, so differences go like those of 1 / n.

    (1/1000 - 1/10000) / (1/4000 - 1/10000) = 6; 35 % covers five draws.
    """
    floors = {n: gu.frechet_floor(n) for n in (1000, 4000, 10_000)}
    assert floors[10_000] == pytest.approx(gu.frechet_digits(gu.load_mnist("test")[0]), rel=1e-3)
    assert (floors[1000] - floors[10_000]) / (floors[4000] - floors[10_000]) == pytest.approx(6.0, rel=0.35)
    with pytest.raises(ValueError, match="n is 10001, but there are 10000 held-out images"):
        gu.frechet_floor(10_001)


def test_features_do_not_depend_on_batch_mates_or_mode(real):
    """Dropout is off whatever mode somebody left the classifier in; chunks change nothing but rounding."""
    images = real[:7]
    gu.digit_classifier().train()
    features = gu.digit_features(images)
    assert_close(features, gu.digit_features(images, batch_size=2), rtol=1e-4, atol=1e-5)
    assert features.shape == (7, 64) and float(features.min()) >= 0
    assert_close(gu.digit_logits(images), gu.digit_classifier().head[1](features))
    assert not features.requires_grad


def test_images_out_of_range_are_refused():
    with pytest.raises(ValueError, match="use 2 \\* x - 1"):
        gu.frechet_digits(torch.rand(4, 1, 28, 28))
