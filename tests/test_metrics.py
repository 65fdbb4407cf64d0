"""Metrics against closed forms and against scipy, torch-fidelity and prdc."""

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
from gan_utils import metrics

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


def test_frechet_agrees_with_pot():
    """POT's Bures-Wasserstein distance is the root of ours; the same means and covariances."""
    import ot

    x, y = torch.randn(2, 80, 6, generator=gu.seeded(0), dtype=torch.float64)
    (mx, cx), (my, cy) = gu.mean_and_covariance(x), gu.mean_and_covariance(2 * y + 1)
    theirs = ot.gaussian.bures_wasserstein_distance(mx.numpy(), my.numpy(), cx.numpy(), cy.numpy())
    assert gu.frechet_distance(mx, cx, my, cy) == pytest.approx(float(theirs) ** 2, rel=1e-6)


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


def test_two_samples_have_a_covariance():
    """(0, 0) and (2, 4): mean (1, 2), deviations -+(1, 2), products added and divided by 2 - 1."""
    mean, cov = gu.mean_and_covariance(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert mean.tolist() == [1, 2] and cov.tolist() == [[2, 4], [4, 8]]


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


# distances and shares in a feature space


def features(n: int, d: int = 8, *, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(n, d, generator=gu.seeded(seed), dtype=torch.float64) + shift


def test_kernel_distance_by_hand():
    """One feature, x = {0, 1}, y = {2, 3}, k(a, b) = (ab + 1)^3.

    Within x the one pair is (0, 1): k = 1. Within y it is (2, 3): 343. Across: 1, 1, 27, 64, mean 93 / 4.
    So 1 + 343 - 2 * 93 / 4 = 297.5.
    """
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [3.0]])
    assert gu.kernel_distance(x, y) == pytest.approx(297.5, rel=1e-12)
    assert gu.kernel_distance(y, x) == gu.kernel_distance(x, y)


def test_kernel_distance_is_three_moments():
    """(1 + a.b / d)^3 = 1 + 3 a.b / d + 3 (a.b / d)^2 + (a.b / d)^3, and the means of (a.b)^p over all pairs are
    scalar products of p-th moment tensors: a second way to the same number, without a kernel."""
    x, y = features(40, 5), features(60, 5, seed=1, shift=0.3)

    def sums(a, b):
        tensors = [(s.sum(0), torch.einsum("ni,nj->ij", s, s), torch.einsum("ni,nj,nk->ijk", s, s, s)) for s in (a, b)]
        first, second, third = (float((p * q).sum()) / 5**i for i, (p, q) in enumerate(zip(*tensors, strict=True), 1))
        return len(a) * len(b) + 3 * first + 3 * second + third

    own = [sums(s, s) - float(((s * s).sum(1) / 5 + 1).pow(3).sum()) for s in (x, y)]
    expected = own[0] / (40 * 39) + own[1] / (60 * 59) - 2 * sums(x, y) / (40 * 60)
    assert gu.kernel_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_of_shifted_gaussians():
    """N(0, 1) and N(m, 1) in one dimension: E k(a, b) = 1 + 3 ab' + 3 a2 b2 + a3 b3 with moments of the two laws,
    (0, 1, 0) and (m, 1 + m^2, m^3 + 3 m). The squared differences: 3 m^2 + 3 m^4 + (m^3 + 3 m)^2; at m = 1 22.

    Mean of 200 independent draws of 200; tolerance 5 standard errors.
    """
    g = gu.seeded(0)
    draws = [gu.kernel_distance(gu.gaussian_1d(200, generator=g), gu.gaussian_1d(200, generator=g, mean=1.0))
             for _ in range(200)]
    assert np.mean(draws) == pytest.approx(22.0, abs=5 * np.std(draws) / math.sqrt(200))


def test_kernel_distance_is_unbiased_where_frechet_is_not():
    """Two samples of one law: 0 within 5 standard errors, at n = 20 too, and below 0 about as often as above."""
    draws = np.array([gu.kernel_distance(features(20, seed=2 * i), features(20, seed=2 * i + 1)) for i in range(300)])
    assert np.mean(draws) == pytest.approx(0.0, abs=5 * np.std(draws) / math.sqrt(300))
    assert 0.3 < (draws < 0).mean() < 0.8


def test_kernel_distance_agrees_with_torch_fidelity():
    """Whole sets (one subset of all) and, in the mean of many subsets, the paper's form: the same expectation."""
    from torch_fidelity.metric_kid import kid_features_to_metric

    x, y = features(300, 16), features(300, 16, seed=1, shift=0.2)
    theirs = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=300, verbose=False)
    assert gu.kernel_distance(x, y) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    theirs = kid_features_to_metric(x, y, kid_subsets=400, kid_subset_size=100, verbose=False)
    ours = gu.kernel_distance(x, y, subset_size=100, subsets=400, generator=gu.seeded(0))
    error = theirs["kernel_inception_distance_std"] / math.sqrt(400)
    assert ours == pytest.approx(theirs["kernel_inception_distance_mean"], abs=5 * math.sqrt(2) * error)
    assert ours == gu.kernel_distance(x, y, subset_size=100, subsets=400, generator=gu.seeded(0))
    ones = [gu.kernel_distance(x, y, subset_size=100, subsets=1, generator=gu.seeded(i)) for i in range(5)]
    assert len(set(ones)) == 5, "subsets are drawn, not cut off the front"
    whole = gu.kernel_distance(x, y, subset_size=300, subsets=2, generator=gu.seeded(3))
    assert whole == pytest.approx(gu.kernel_distance(x, y), rel=1e-9), "a subset of all is all"
    x, y = x.float(), y.float()  # sums are float64 all the same
    whole = gu.kernel_distance(x, y, subset_size=300, subsets=1, generator=gu.seeded(3))
    assert whole == pytest.approx(gu.kernel_distance(x, y), rel=1e-9)


def test_kernel_distance_in_blocks(monkeypatch):
    """The same number whatever the size of a block, down to one row."""
    x, y = features(30), features(50, seed=1, shift=0.5)
    whole = gu.kernel_distance(x, y)
    monkeypatch.setattr(gu.metrics, "BLOCK", 1)
    assert gu.kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_classifier_score_closed_forms():
    """Sure of r of 10 classes, each as often: r. The same answer to everything, sure or not: 1.

    Half of the samples p = (.9, .1), half (.1, .9): KL to (.5, .5) is log 2 - H(.1), so 2 exp(-H(.1)) = 1.4449.
    """
    for r in (1, 3, 10):
        sure = 200 * torch.nn.functional.one_hot(torch.arange(5 * r) % r, 10).float()
        assert gu.classifier_score(sure) == pytest.approx(r, rel=1e-12)
    assert gu.classifier_score(torch.randn(1, 10, generator=gu.seeded(0)).expand(7, 10)) == pytest.approx(1.0)
    halves = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log()
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    assert gu.classifier_score(halves) == pytest.approx(2 * math.exp(-entropy), rel=1e-12)
    assert gu.classifier_score(halves + 7) == pytest.approx(2 * math.exp(-entropy)), "logits are up to a constant"
    assert gu.classifier_score(1e4 * torch.eye(10)) == pytest.approx(10.0), "no NaN from 0 log 0"


def test_classifier_score_agrees_with_torch_fidelity():
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 3 * features(500, 10)
    theirs = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert gu.classifier_score(logits) == pytest.approx(theirs, rel=1e-6)


def test_precision_recall_by_hand():
    """On the line with k = 1. Real 0, 1, 10: radii 1, 1, 9. Fakes -1, 2, 3: radii 3, 1, 1.

    Balls of real samples: [-1, 1], [0, 2], [1, 19]: all three fakes lie within, -1 on an edge. Balls of fakes:
    [-4, 2], [1, 3], [2, 4]: 0 and 1 lie within, 10 does not. Precision 1, recall 2/3.
    """
    real, fake = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[-1.0], [2.0], [3.0]])
    assert gu.precision_recall(real=real, fake=fake, k=1) == (1.0, pytest.approx(2 / 3))
    assert gu.precision_recall(real=fake, fake=real, k=1) == (pytest.approx(2 / 3), 1.0), "swapped, they swap"


def test_density_coverage_by_hand():
    """The same points, open balls: (-1, 1), (0, 2), (1, 19). The fakes -1, 2, 3 lie in 0, 1 and 1 of them: 2 hits.

    Density 2 / (1 * 3); the last ball alone is covered: 1/3. With k = 2 the radii are 10, 9, 10 and every fake
    lies in every ball, but for -1 and the last: density 8 / (2 * 3), coverage 1.
    """
    real, fake = torch.tensor([[0.0], [1.0], [10.0]]), torch.tensor([[-1.0], [2.0], [3.0]])
    assert gu.density_coverage(real=real, fake=fake, k=1) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert gu.density_coverage(real=real, fake=fake, k=2) == (pytest.approx(8 / 6), 1.0)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_shares_agree_with_prdc_and_torch_fidelity(k, capsys):
    """Different numbers of real and fake samples, and a shift, so that no value is 0 or 1."""
    from prdc import compute_prdc
    from torch_fidelity.metric_prc import prc_features_to_metric

    real, fake = features(300, 6), 0.8 * features(200, 6, seed=1, shift=0.4)
    precision, recall = gu.precision_recall(real=real, fake=fake, k=k)
    density, coverage = gu.density_coverage(real=real, fake=fake, k=k)
    ours = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}
    theirs = compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
    assert ours == pytest.approx({name: float(value) for name, value in theirs.items()}, rel=1e-6)
    other = prc_features_to_metric(fake, real, prc_neighborhood=k, prc_batch_size=64, verbose=False)
    # torch-fidelity takes the mean of 0 and 1 in float32
    assert (precision, recall) == pytest.approx((other["precision"], other["recall"]), rel=1e-6)
    assert all(0.01 < share < 0.99 for share in (precision, recall, coverage))


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (60, 30, 2)])
def test_density_and_coverage_of_one_law(n, m, k):
    """n real and m fake samples of one law: density 1 and coverage 1 - prod (n - i) / (n + m - i), i = 1..k.

    Seen from a real sample, the other n - 1 and the m fakes come in an order that is uniformly random. It is not
    covered when the first k are all real: (n - 1) ... (n - k) / ((n + m - 1) ... (n + m - k)), 2^-k for large
    n = m. Before the k-th of n - 1 real ones come k m / n fakes on average; over n balls, k and m: 1.
    300 draws; tolerance 5 standard errors.
    """
    draws = np.array([gu.density_coverage(real=features(n, 3, seed=2 * i), fake=features(m, 3, seed=2 * i + 1), k=k)
                      for i in range(300)])
    missed = math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    for measured, expected in zip(draws.T, (1.0, 1 - missed), strict=True):
        assert measured.mean() == pytest.approx(expected, abs=5 * measured.std() / math.sqrt(300))


def test_shares_of_copies_and_of_sets_far_apart():
    """Fakes that are the real samples: all 1, density as well (in each ball the copy of its centre and k - 1
    others: the k-th is on the edge). Far apart: all 0. Real samples that stand twice have balls of radius 0 with
    k = 1; the closed ones hold their copies."""
    real = features(200, 64).float()
    assert gu.precision_recall(real=real, fake=real.clone()) == (1.0, 1.0)
    assert gu.density_coverage(real=real, fake=real.flip(0)) == (1.0, 1.0)
    assert gu.precision_recall(real=real, fake=real + 100) == (0.0, 0.0)
    assert gu.density_coverage(real=real, fake=real + 100) == (0.0, 0.0)
    twice = torch.cat([real, real])
    assert gu.precision_recall(real=twice, fake=real, k=1)[0] == 1.0


def test_shares_do_not_depend_on_units_origin_or_blocks(monkeypatch):
    """Distances scale and move together; the size of a block is no part of the result."""
    real, fake = features(120, 6), 0.8 * features(90, 6, seed=1, shift=0.4)
    expected = gu.precision_recall(real=real, fake=fake), gu.density_coverage(real=real, fake=fake)
    moved = {"real": 3 * real + 50, "fake": 3 * fake + 50}
    assert (gu.precision_recall(**moved), gu.density_coverage(**moved)) == expected
    monkeypatch.setattr(gu.metrics, "BLOCK", 700)
    assert (gu.precision_recall(real=real, fake=fake), gu.density_coverage(real=real, fake=fake)) == expected


def test_recall_sees_a_dropped_half_and_precision_sees_strays():
    """Real: two clusters. Fakes in one of them: precision about 1, recall about a half; and the other way round."""
    left, right = features(200, 2, seed=0) - 20, features(200, 2, seed=1) + 20
    both, one = torch.cat([left, right]), features(200, 2, seed=2) - 20
    precision, recall = gu.precision_recall(real=both, fake=one)
    assert precision > 0.9 and 0.4 < recall <= 0.5
    precision, recall = gu.precision_recall(real=one, fake=both)
    assert 0.4 < precision <= 0.5 and recall > 0.9


def test_nearest_neighbours_against_scipy(monkeypatch):
    """Distances and indices of a k-d tree, in blocks of a few rows; a copy is at exactly 0, far from the origin too."""
    from scipy.spatial import KDTree

    data, x = features(300, 5, shift=100.0), features(40, 5, seed=1, shift=100.0)
    monkeypatch.setattr(gu.metrics, "BLOCK", 1000)
    distances, indices = gu.nearest_neighbours(x, data, k=4)
    expected, where = KDTree(data.numpy()).query(x.numpy(), k=4)
    assert_close(distances, torch.tensor(expected), rtol=1e-9, atol=0)
    assert torch.equal(indices, torch.tensor(where))
    distances, indices = gu.nearest_neighbours(data[7:9].float(), data.float())
    assert torch.equal(distances, torch.zeros(2, 1, dtype=torch.float64)) and indices[:, 0].tolist() == [7, 8]
    assert gu.nearest_neighbours(x, data[:4], k=4)[1].sort(dim=1).values.tolist() == [[0, 1, 2, 3]] * 40


def test_nearest_neighbours_of_images_flatten():
    """One pixel of 28 x 28 differs by 0.5: that is the distance."""
    data = torch.rand(6, 1, 28, 28, generator=gu.seeded(0))
    x = data[3:4].clone()
    x[0, 0, 10, 10] += 0.5
    distances, indices = gu.nearest_neighbours(x, data)
    assert indices.item() == 3 and distances.item() == pytest.approx(0.5, rel=1e-6)


def test_class_histogram_total_variation_and_kl_by_hand():
    """Shares (1/2, 1/4, 1/4, 0). TV to even shares: (1/4 + 0 + 0 + 1/4) / 2 = 1/4. KL: half of log 2."""
    shares = gu.class_histogram(torch.tensor([0, 2, 0, 1]), classes=4)
    assert shares.tolist() == [0.5, 0.25, 0.25, 0.0]
    even = torch.full((4,), 0.25, dtype=torch.float64)
    assert gu.total_variation(shares, even) == pytest.approx(0.25)
    assert gu.discrete_kl(shares, even) == pytest.approx(0.5 * math.log(2))
    assert gu.discrete_kl(even, shares) == math.inf


@pytest.mark.parametrize(("k", "reverse"), [(7, 0.1335), (6, 0.2877), (4, 0.6931), (2, 1.3863), (1, 2.0794)])
def test_some_of_eight_modes(k, reverse):
    """k of 8 equal modes, covered evenly: KL(q || p) = log(8 / k), KL(p || q) infinite, TV 1 - k / 8."""
    even = torch.full((8,), 1 / 8, dtype=torch.float64)
    q = torch.tensor([1 / k] * k + [0.0] * (8 - k), dtype=torch.float64)
    assert gu.discrete_kl(q, even) == pytest.approx(math.log(8 / k)) == pytest.approx(reverse, abs=5e-5)
    assert gu.discrete_kl(even, q) == (math.inf if k < 8 else 0)
    assert gu.total_variation(q, even) == pytest.approx(1 - k / 8)
    assert gu.total_variation(even, even) == gu.discrete_kl(even, even) == 0


def test_discrete_kl_and_total_variation_agree_with_scipy():
    g = gu.seeded(0)
    for _ in range(5):
        p, q = torch.rand(2, 10, generator=g, dtype=torch.float64).softmax(1)
        assert gu.discrete_kl(p, q) == pytest.approx(scipy.stats.entropy(p.numpy(), q.numpy()), rel=1e-12)
        best = sum(float(a - b) for a, b in zip(p, q, strict=True) if a > b)  # of the event where p is above q
        assert gu.total_variation(p, q) == pytest.approx(best, rel=1e-12)


def test_floors_of_class_shares():
    """n draws from a law with 10 classes: KL (k - 1) / (2 n), TV sum sqrt(q (1 - q) / (2 pi n)), on average.

    The second: |N(0, s^2)| has mean s sqrt(2 / pi), s^2 = q (1 - q) / n, and TV takes half the sum. 400 draws.
    """
    n, rng = 2000, np.random.default_rng(0)
    q = torch.tensor(rng.dirichlet(np.full(10, 20.0)))
    draws = [torch.tensor(rng.multinomial(n, q.numpy() / q.numpy().sum()) / n) for _ in range(400)]
    kl, tv = ([measure(p, q) for p in draws] for measure in (gu.discrete_kl, gu.total_variation))
    assert np.mean(kl) == pytest.approx(9 / (2 * n), abs=5 * np.std(kl) / 20 + 9 / n**1.5)
    expected = float((q * (1 - q) / (2 * math.pi * n)).sqrt().sum())
    assert np.mean(tv) == pytest.approx(expected, abs=5 * np.std(tv) / 20)


# modes in two dimensions


def test_a_perfect_sampler_of_the_ring():
    """98.889 % within 3 sigma in 2-D (1 - e^(-9/2)), every mode, reverse KL (8 - 1) / (2 n) on average.

    60 samplings of 2,500 as published; one share has a standard deviation of .0021. Tolerance 5 standard errors.
    """
    g, centres = gu.seeded(0), gu.ring_centres()
    counts = [gu.count_modes(gu.ring(2500, generator=g), centres, 0.01) for _ in range(60)]
    assert {count.modes for count in counts} == {8}
    quality, reverse = ([getattr(c, name) for c in counts] for name in ("high_quality", "reverse_kl"))
    assert np.std(quality) == pytest.approx(0.0021, rel=0.4)
    assert np.mean(quality) == pytest.approx(1 - math.exp(-4.5), abs=5 * 0.0021 / math.sqrt(60))
    assert np.mean(reverse) == pytest.approx(7 / 5000, abs=5 * np.std(reverse) / math.sqrt(60))
    wide = gu.count_modes(gu.ring(200_000, generator=g), centres, 0.01, within=4.0)
    assert wide.high_quality == pytest.approx(1 - math.exp(-8), abs=3e-4), "99.966 % at 4 sigma"


def test_the_grid_of_25():
    """Reverse KL 24 / (2 n) = .0048 for a perfect sampler, and 25 modes."""
    g = gu.seeded(0)
    counts = [gu.count_modes(gu.grid(2500, generator=g), gu.grid_centres(), 0.05) for _ in range(40)]
    assert {count.modes for count in counts} == {25}
    assert np.mean([count.reverse_kl for count in counts]) == pytest.approx(0.0048, rel=0.2)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_collapsed_samplers(k):
    """Exactly on k of 8 centres, evenly: k modes, all of high quality, reverse KL log(8 / k)."""
    centres = gu.ring_centres()
    found = gu.count_modes(centres[:k].repeat(50, 1), centres, 0.01)
    assert (found.modes, found.high_quality) == (k, 1.0)
    assert found.reverse_kl == pytest.approx(math.log(8 / k))
    assert found.shares.tolist() == pytest.approx([1 / k] * k + [0.0] * (8 - k))


def test_one_hit_is_no_mode_unless_one_asks():
    """2,493 samples on one centre, one on each of the others: 8 modes by the published count, 1 by a share of 1/80.

    The threshold is a share of all samples, reached at 1/80 of 2,500 = 31.25, so at 32 hits.
    """
    centres = gu.ring_centres()
    samples = torch.cat([centres, centres[:1].repeat(2492, 1)])
    assert gu.count_modes(samples, centres, 0.01, share=0.0).modes == 8
    assert gu.count_modes(samples, centres, 0.01).modes == 1
    for hits, modes in ((31, 1), (32, 2)):
        samples = torch.cat([centres[1:2].repeat(hits, 1), centres[:1].repeat(2500 - hits, 1)])
        assert gu.count_modes(samples, centres, 0.01).modes == modes
    assert gu.count_modes(samples, centres, 0.01, share=0.02).modes == 1


def test_samples_between_the_modes_count_for_the_kl_alone():
    """Halfway between two centres, 38 sigma from each: no mode, no quality; shares still say where they lie."""
    centres = gu.ring_centres()
    bridge = centres[:1] * 0.9
    found = gu.count_modes(bridge.repeat(100, 1), centres, 0.01)
    assert (found.modes, found.high_quality) == (0, 0.0)
    assert found.reverse_kl == pytest.approx(math.log(8)) and found.shares[0] == 1


NAN, GOOD = torch.full((6, 2), math.nan), torch.arange(12.0).reshape(6, 2)
BAD_INPUT = [
    (lambda: gu.frechet_distance(GOOD[0], torch.eye(3), GOOD[0], torch.eye(2)), r"\(2,\) and cov_a \(3, 3\), need"),
    (lambda: gu.frechet_distance(GOOD[0], torch.eye(2), GOOD[0], GOOD), r"cov_b \(6, 2\), need \(d,\) and \(d, d\)"),
    (lambda: gu.frechet_distance(GOOD, torch.eye(6), GOOD[0], torch.eye(2)), r"mean_a has shape \(6, 2\)"),
    (lambda: gu.frechet_distance(NAN[0], torch.eye(2), GOOD[0], torch.eye(2)), "mean_a holds 2 NaN"),
    (lambda: gu.frechet_distance(GOOD[0], torch.eye(2), GOOD[0], NAN[:2]), "cov_b holds 4 NaN"),
    (lambda: gu.frechet_floor(1), "n must be a whole number, 2 or more; got 1"),
    (lambda: gu.frechet_letters_floor(1), "n must be a whole number, 2 or more; got 1"),
    (lambda: gu.kernel_distance(NAN, GOOD), "x holds 12 NaN or infinite values of 12"),
    (lambda: gu.kernel_distance(GOOD, GOOD[:1]), r"y has shape \(1, 2\), needs \(n, d\), n of 2 or more"),
    (lambda: gu.kernel_distance(GOOD, GOOD[:, :1]), "x of 2 and y of 1: need one extractor"),
    (lambda: gu.kernel_distance(GOOD, GOOD.flatten()), r"y has shape \(12,\), needs \(n, d\)"),
    (lambda: gu.kernel_distance(GOOD, GOOD, subset_size=7, generator=gu.seeded(0)), "subset_size is 7, but .* has 6"),
    (lambda: gu.kernel_distance(GOOD, GOOD, subset_size=3), "pass generator="),
    (lambda: gu.classifier_score(GOOD[:0]), "logits is empty"),
    (lambda: gu.classifier_score(GOOD.flatten()), "logits has shape"),
    (lambda: gu.precision_recall(real=GOOD, fake=GOOD, k=6), "k is 6, but real has 6 samples"),
    (lambda: gu.precision_recall(real=GOOD, fake=GOOD[:2]), "k is 3, but fake has 2 samples"),
    (lambda: gu.precision_recall(real=GOOD, fake=NAN), "fake holds 12 NaN"),
    (lambda: gu.precision_recall(real=GOOD, fake=GOOD, k=0), "k must be a whole number, 1 or more"),
    (lambda: gu.density_coverage(real=GOOD, fake=GOOD, k=9), "k is 9, but real has 6"),
    (lambda: gu.density_coverage(real=GOOD, fake=GOOD[:0]), "fake is empty|fake has shape"),
    (lambda: gu.nearest_neighbours(GOOD, GOOD, k=7), "k is 7, but data has 6"),
    (lambda: gu.nearest_neighbours(GOOD, GOOD[:, :1]), r"of shape \(2,\) and \(1,\): need the same"),
    (lambda: gu.nearest_neighbours(NAN, GOOD), "x holds 12 NaN"),
    (lambda: gu.wasserstein_1d(GOOD, NAN), "y holds 12 NaN"),
    (lambda: gu.class_histogram(GOOD), "labels must be whole numbers .* take logits.argmax"),
    (lambda: gu.class_histogram(torch.tensor([0, 10])), "labels lie in 0..10, needs 0..9"),
    (lambda: gu.class_histogram(torch.tensor([], dtype=torch.int64)), "labels is empty"),
    (lambda: gu.total_variation(torch.tensor([0.5, 0.6]), torch.tensor([0.5, 0.5])), "p is no law"),
    (lambda: gu.total_variation(torch.tensor([0.5, 0.5]), torch.tensor([math.nan, 1])), "q holds 1 NaN"),
    (lambda: gu.discrete_kl(torch.tensor([1.0]), torch.tensor([0.5, 0.5])), "p has 1 classes and q has 2"),
    (lambda: gu.discrete_kl(torch.tensor([0.5, 0.5]), torch.tensor([1.5, -0.5])), "q is no law"),
    (lambda: gu.count_modes(GOOD, torch.tensor([[1.0, 0], [0, 1], [1, 0]]), 0.1), "two centres are the same"),
    (lambda: gu.count_modes(GOOD, gu.ring_centres(), 0.0), "std and within must be above 0"),
    (lambda: gu.count_modes(GOOD, gu.ring_centres(), 0.1, share=0.2), "share is 0.2, needs 0 to 0.125"),
    (lambda: gu.count_modes(NAN, gu.ring_centres(), 0.1), "samples holds 12 NaN"),
    (lambda: gu.count_modes(GOOD, torch.zeros(3, 3), 0.1), "samples of 2 and centres of 3"),
]


@pytest.mark.parametrize(("call", "says"), BAD_INPUT)
def test_bad_input_gets_one_line(call, says):
    with pytest.raises(ValueError, match=says) as error:
        call()
    assert "\n" not in str(error.value)


# the shipped classifier and what is measured with it


@pytest.fixture(scope="module")
def real() -> torch.Tensor:
    return gu.load_mnist("train")[0]


@pytest.fixture(scope="module")
def real_features(real) -> torch.Tensor:
    return gu.digit_features(real)


def test_classifier_is_as_good_as_it_says():
    """99.2 % or more of the 10,000 test digits, and what its header says."""
    images, labels = gu.load_mnist("test")
    accuracy = float((gu.digit_logits(images).argmax(1) == labels).double().mean())
    assert accuracy >= 0.992
    path = gu.runtime.Path(gu.__file__).parent / "checkpoint_files" / "classifier.safetensors"
    assert gu.load_tensors(path)[1]["test_accuracy"] == pytest.approx(accuracy, abs=2e-4)


def test_shipped_statistics_are_those_of_the_training_images(real_features):
    """Re-made from the 60,000 images: zero distance, up to float32 rounding in the features."""
    shipped = gu.metrics._real_statistics()
    assert gu.frechet_distance(*gu.mean_and_covariance(real_features), *shipped) == pytest.approx(0.0, abs=1e-6)


def test_frechet_digits_is_the_distance_of_features_and_sees_damage(real, real_features):
    """By its definition on features; noise, inversion and a missing class each raise it well above the floor."""
    images = real[:2000]
    by_hand = gu.frechet_distance(
        *gu.mean_and_covariance(gu.digit_features(images)), *gu.mean_and_covariance(real_features)
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


def test_floor_is_the_mean_of_its_draws():
    """Two sets of 100 drawn by hand from the same stream; five sets unless told otherwise."""
    g, held_out = gu.seeded(3), metrics._held_out_features()
    sets = [held_out[torch.randperm(10_000, generator=g)[:100]] for _ in range(2)]
    scores = [gu.frechet_distance(*gu.mean_and_covariance(s), *metrics._real_statistics()) for s in sets]
    assert gu.frechet_floor(100, draws=2, seed=3) == pytest.approx(sum(scores) / 2)
    assert gu.frechet_floor(100) == gu.frechet_floor(100, draws=5)


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
