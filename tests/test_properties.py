"""What holds for all inputs: losses, penalties, metrics, samplers, histories, steps; the Dirac-GAN in closed form."""

import copy
import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import gan_utils as gu
from gan_utils.training import History

FAMILIES = {
    "minimax": gu.minimax,
    "non_saturating": gu.non_saturating,
    "least_squares": gu.least_squares,
    "hinge": gu.hinge,
    "wasserstein": gu.wasserstein,
}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
LOGITS = st.lists(st.floats(-40, 40), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**31)


def column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def points(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *shape, generator=gu.seeded(seed), dtype=torch.float64)


def unmoved(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


# losses


@families
@given(real=LOGITS, fake=LOGITS)
def test_losses_are_means_of_what_each_sample_costs(family, real, fake):
    """The mean over a batch is the mean over batches of one, for real and fake separately and at unequal sizes.

    d(real, fake) = E[r(real)] + E[f(fake)], so with single samples the mean over all pairs is the same number.
    """
    pairs = [float(family.d(real_logits=column([r]), fake_logits=column([f]))) for r in real for f in fake]
    assert float(family.d(real_logits=column(real), fake_logits=column(fake))) == pytest.approx(
        sum(pairs) / len(pairs), rel=1e-9, abs=1e-9
    )
    singles = [float(family.g(fake_logits=column([f]))) for f in fake]
    assert float(family.g(fake_logits=column(fake))) == pytest.approx(sum(singles) / len(fake), rel=1e-9, abs=1e-9)


@given(LOGITS)
def test_non_saturating_and_minimax_differ_by_the_logit(fake):
    """-log s(l) + log(1 - s(l)) = log((1 - s) / s) = -l, so the two losses of G add up to -E[l]."""
    total = gu.nonsaturating_g_loss(fake_logits=column(fake)) + gu.minimax_g_loss(fake_logits=column(fake))
    assert float(total) == pytest.approx(-sum(fake) / len(fake), rel=1e-9, abs=1e-9)


@given(LOGITS, LOGITS)
def test_logistic_and_hinge_treat_real_and_fake_alike(real, fake):
    """Turn both labels and the sign of the logits, and nothing has changed: d(r, f) = d(-f, -r)."""
    for loss in (gu.logistic_d_loss, gu.hinge_d_loss, gu.wasserstein_d_loss):
        here = loss(real_logits=column(real), fake_logits=column(fake))
        assert_close(here, loss(real_logits=-column(fake), fake_logits=-column(real)))


@families
@settings(max_examples=10)
@given(real=LOGITS, fake=LOGITS)
def test_losses_have_the_slopes_that_differences_show(family, real, fake):
    """First and second derivatives in double precision; the hinge's corners at -1 and 1 are kept away from."""
    shift = lambda values: (column(values) + 0.1 * ((column(values).abs() - 1).abs() < 1e-2)).requires_grad_(True)  # noqa: E731
    real, fake = shift(real), shift(fake)
    for function, inputs in (
        (lambda r, f: family.d(real_logits=r, fake_logits=f), (real, fake)),
        (lambda f: family.g(fake_logits=f), (fake,)),
    ):
        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)


@families
@pytest.mark.parametrize("size", [100.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_of_a_sure_d_are_finite_and_keep_their_type(family, size, dtype):
    """exp(-1e4) is 0 and log 0 infinite, in any precision; every loss of these logits is at most (1e4 + 1)^2."""
    for sign in (-1, 1):
        real, fake = (torch.full((2, 1), s * size, dtype=dtype, requires_grad=True) for s in (sign, -sign))
        for loss in (family.d(real_logits=real, fake_logits=fake), family.g(fake_logits=fake)):
            assert loss.dtype == dtype and math.isfinite(loss.item()) and abs(loss.item()) <= 1.02e8
            loss.backward()
        for x in (real, fake):
            assert x.grad.dtype == dtype and torch.isfinite(x.grad).all()


# penalties


PENALTIES = {
    "r1": lambda D, x, y: gu.r1_penalty(D, x),
    "r2": lambda D, x, y: gu.r2_penalty(D, y),
    "zero_centred": lambda D, x, y: gu.zero_centred_penalty(D, x, y, generator=gu.seeded(3)),
    "gradient": lambda D, x, y: gu.gradient_penalty(D, x, y, generator=gu.seeded(3)),
    "one_sided": lambda D, x, y: gu.gradient_penalty(D, x, y, generator=gu.seeded(3), one_sided=True),
}
penalties = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


@penalties
def test_penalties_have_the_slopes_that_differences_show(penalty):
    """With respect to every weight of a smooth D, in double precision, first and second derivatives.

    D(x) = a . tanh(W x + b), as a function of (W, b, a): the penalty takes one derivative, these checks two more.
    Weights of size 2 keep all slopes away from 1, where the one-sided one has its corner.
    """
    x, y = points(3, 2, seed=1), points(3, 2, seed=2)
    weights = [(2 * points(*shape, seed=4 + i)).requires_grad_(True) for i, shape in enumerate([(4, 2), (4,), (4,)])]

    def value(W, b, a):
        return penalty(lambda x: torch.tanh(x @ W.T + b) @ a, x, y)

    assert float(value(*weights).detach()) > 0
    assert torch.autograd.gradcheck(value, weights)
    assert torch.autograd.gradgradcheck(value, weights)


@given(w=st.lists(st.floats(-5, 5), min_size=1, max_size=5), n=st.integers(1, 6), seed=SEEDS)
def test_penalties_of_a_linear_critic(w, n, seed):
    """The slope is w everywhere: |w|^2, (|w| - 1)^2, max(0, |w| - 1)^2, whatever the samples and their number."""
    x, y, norm = points(n, len(w), seed=seed), points(n, len(w), seed=seed + 1), math.hypot(*w)
    expected = {
        "r1": norm**2,
        "r2": norm**2,
        "zero_centred": norm**2,
        "gradient": (norm - 1) ** 2,
        "one_sided": max(0.0, norm - 1) ** 2,
    }
    for name, penalty in PENALTIES.items():
        value = penalty(lambda x: x @ column(w), x, y)
        assert float(value.detach()) == pytest.approx(expected[name], rel=1e-9, abs=1e-12), name


@penalties
def test_penalties_leave_d_as_it_was(penalty):
    """Mode, weights and gradients; and D is judged in the mode that it is in: with dropout each look differs."""
    D = nn.Sequential(nn.Linear(2, 64), nn.Dropout(0.5), nn.Tanh(), gu.mlp([64, 1])).double()
    D[3][0].weight.data.mul_(20)  # slopes above 1, which the one-sided penalty sees
    with torch.random.fork_rng():
        before, values = state(D), {float(penalty(D, points(3, 2), points(3, 2, seed=1)).detach()) for _ in range(3)}
    assert len(values) == 3
    assert unmoved(D, before) and all(m.training for m in D.modules())
    assert all(p.grad is None and p.requires_grad for p in D.parameters())


@given(shape=st.sampled_from([(1,), (2,), (3, 2), (1, 4, 4)]), n=st.integers(1, 5), seed=SEEDS)
def test_points_between_lie_on_their_own_line(shape, n, seed):
    """fake + e (real - fake) with one e in [0, 1] for each pair: e solved for from each entry is the same."""
    real, fake = points(n, *shape, seed=seed), points(n, *shape, seed=seed + 1)
    mixed = gu.between(real, fake, generator=gu.seeded(seed))
    place = ((mixed - fake) / (real - fake)).flatten(1)
    assert_close(place, place[:, :1].expand_as(place), rtol=1e-6, atol=1e-6)
    assert float(place.min()) >= -1e-9 and float(place.max()) <= 1 + 1e-9
    assert len(place[:, 0].unique()) == n


def test_points_between_come_from_their_stream_alone():
    """The same seed, the same places; the stream moves on, so the next are others; torch's own stream rests."""
    real, fake, g = points(4, 2), points(4, 2, seed=1), gu.seeded(5)
    before = torch.get_rng_state()
    first, second = gu.between(real, fake, generator=g), gu.between(real, fake, generator=g)
    assert torch.equal(first, gu.between(real, fake, generator=gu.seeded(5))) and not torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("lam", "d", "slope", "value"), [(10, 1, 1.05, 1.025), (10, 3, 1.15, 3.225), (0.1, 1, 6, 3.5), (0.1, 3, 16, 25.5)]
)
def test_best_linear_critic_under_the_gradient_penalty(lam, d, slope, value):
    """Real at d, fake at 0, D(x) = w x: maximise w d - lam (w - 1)^2. w* = 1 + d / (2 lam), value d + d^2 / (4 lam).

    There the objective that a step of D minimises, loss + lam * penalty, has slope 0 and minus that value: signs
    and coefficients as a user writes them.
    """
    assert (1 + d / (2 * lam), d + d**2 / (4 * lam)) == pytest.approx((slope, value))
    w = torch.tensor([[slope]], dtype=torch.float64, requires_grad=True)
    real, fake = torch.full((4, 1), float(d), dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    objective = gu.wasserstein.d(real_logits=real @ w, fake_logits=fake @ w)
    objective = objective + lam * gu.gradient_penalty(lambda x: x @ w, real, fake, generator=gu.seeded(0))
    objective.backward()
    assert float(objective.detach()) == pytest.approx(-value)
    assert float(w.grad) == pytest.approx(0.0, abs=1e-9)


# metrics

SAMPLES = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(SAMPLES, SAMPLES, SAMPLES, st.floats(-10, 10), st.floats(-3, 3))
def test_wasserstein_is_a_distance_that_scales_with_its_unit(x, y, z, shift, scale):
    """Symmetric, 0 for the same law however often it is repeated, triangle inequality, |a| W(x, y) for a x + b."""
    x, y, z = column(x), column(y), column(z)
    w = gu.wasserstein_1d
    assert w(x, y) == pytest.approx(w(y, x), abs=1e-9)
    assert w(x, x.repeat(3, 1).flip(0)) == pytest.approx(0.0, abs=1e-9)
    assert w(x, z) <= w(x, y) + w(y, z) + 1e-9
    assert w(scale * x + shift, scale * y + shift) == pytest.approx(abs(scale) * w(x, y), rel=1e-6, abs=1e-9)
    assert w(x, y) >= abs(float(x.mean() - y.mean())) - 1e-9, "the mean is 1-Lipschitz"


@given(SAMPLES, SAMPLES)
def test_ks_is_symmetric_and_sees_order_alone(x, y):
    """In [0, 1], 0 to itself, and the same after any rising map: x / 50, cubed. (Cubes of near ties would merge.)"""
    x, y = column(x).round(decimals=2), column(y).round(decimals=2)
    value = gu.ks_statistic(x, y)
    assert 0 <= value <= 1 and gu.ks_statistic(x, x) == 0
    assert value == gu.ks_statistic(y, x) == gu.ks_statistic((x / 50).pow(3), (y / 50).pow(3))


@given(seed=SEEDS, scale=st.floats(0.1, 10))
def test_frechet_distance_knows_no_axes(seed, scale):
    """Of two samples in 3-D: the same after one rotation and shift of both, scale^2 times after one scaling.

    And moving one of them by m away from equal means adds |m|^2, since the covariances stay.
    """
    x, y = points(20, 3, seed=seed), 2 * points(25, 3, seed=seed + 1)
    turn = torch.linalg.qr(points(3, 3, seed=seed + 2)).Q
    distance = lambda a, b: gu.frechet_distance(*gu.mean_and_covariance(a), *gu.mean_and_covariance(b))  # noqa: E731
    here = distance(x, y)
    assert here == pytest.approx(distance(y, x), rel=1e-9)
    assert distance(scale * x @ turn + 5, scale * y @ turn + 5) == pytest.approx(scale**2 * here, rel=1e-6)
    level = y - y.mean(dim=0) + x.mean(dim=0)
    assert distance(x, level + 3) == pytest.approx(distance(x, level) + 27, rel=1e-9)


@given(n=st.integers(2, 5), d=st.integers(6, 12), seed=SEEDS)
def test_frechet_distance_of_few_samples_is_a_number(n, d, seed):
    """n samples span n - 1 of d directions; rounding turns some of the zero eigenvalues negative, and no root NaN.

    0 to itself up to the root of that rounding: d sqrt(1e-15) is below 1e-5 for entries of size 1.
    """
    statistics = gu.mean_and_covariance(points(n, d, seed=seed))
    assert gu.frechet_distance(*statistics, *statistics) == pytest.approx(0.0, abs=1e-5)


@given(x=st.lists(st.floats(-10, 10), min_size=3, max_size=9), scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_kurtosis_has_no_unit(x, scale, shift):
    """The same for a x + b, and never below -2 (the fourth moment is at least the squared second)."""
    x = column([*x, 20.0])
    assert gu.excess_kurtosis(scale * x + shift) == pytest.approx(gu.excess_kurtosis(x), rel=1e-6, abs=1e-6)
    assert gu.excess_kurtosis(x) >= -2 - 1e-9


# samplers

DRAWS = {
    "uniform_noise": lambda n, g: gu.uniform_noise(n, 3, generator=g),
    "gaussian_noise": lambda n, g: gu.gaussian_noise(n, 3, generator=g),
    "gaussian_1d": lambda n, g: gu.gaussian_1d(n, generator=g),
    "ring": lambda n, g: gu.ring(n, generator=g),
    "grid": lambda n, g: gu.grid(n, generator=g),
    "batches": lambda n, g: next(gu.batches(points(3 * n, 2).float(), n, generator=g)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@given(n=st.integers(4, 20), seed=SEEDS)
def test_draws_are_new_each_time_and_the_same_for_the_same_seed(draw, n, seed):
    """From the stream passed in, which moves on; torch's own stream stays where it was. float32, n rows."""
    before, g = torch.get_rng_state(), gu.seeded(seed)
    first, second = draw(n, g), draw(n, g)
    assert first.dtype == torch.float32 and len(first) == n
    assert torch.equal(first, draw(n, gu.seeded(seed))) and not torch.equal(first, second)
    assert len(first.unique(dim=0)) == n, "n independent rows"
    assert torch.equal(before, torch.get_rng_state())


@given(n=st.integers(1, 9), seed=SEEDS, low=st.floats(-5, 5), width=st.floats(0, 5), mean=st.floats(-5, 5))
def test_laws_are_scaled_from_one_draw(n, seed, low, width, mean):
    """U(a, b) = a + (b - a) U(0, 1) and N(m, s^2) = m + s N(0, 1), of the same stream."""
    unit = gu.uniform_noise(n, 2, generator=gu.seeded(seed))
    assert_close(gu.uniform_noise(n, 2, generator=gu.seeded(seed), low=low, high=low + width), low + width * unit)
    normal, std = gu.gaussian_noise(n, 1, generator=gu.seeded(seed)), width + 0.1
    assert_close(gu.gaussian_1d(n, generator=gu.seeded(seed), mean=mean, std=std), mean + std * normal)


@given(modes=st.integers(1, 12), radius=st.floats(0.1, 10), side=st.integers(1, 7), spacing=st.floats(0.1, 5))
def test_centres_of_any_ring_and_grid(modes, radius, side, spacing):
    """Ring: |c| = radius, sum 0 (but for one), first (radius, 0), then counter-clockwise, neighbours equally far.

    Grid: side^2 distinct points, mean 0, the nearest two `spacing` apart, odd or even side alike.
    """
    ring = gu.ring_centres(modes, radius).double()
    assert_close(ring.norm(dim=1), torch.full((modes,), radius, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    assert_close(ring[0], torch.tensor([radius, 0.0], dtype=torch.float64), rtol=1e-6, atol=1e-6)
    angle = torch.atan2(ring[:, 1], ring[:, 0]) % (2 * math.pi)
    assert_close(angle.sort().values if modes > 1 else angle, 2 * math.pi * torch.arange(modes).double() / modes,
                 rtol=0, atol=1e-5)
    grid = gu.grid_centres(side, spacing).double()
    assert len(grid.unique(dim=0)) == side**2
    assert_close(grid.mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-5)
    if side > 1:
        assert float(torch.pdist(grid).min()) == pytest.approx(spacing, rel=1e-5)


@given(seed=SEEDS)
def test_rings_and_grids_pass_their_arguments_on(seed):
    """With std 1e-6 each sample is its centre: those of the ring and the grid asked for, and several of them."""
    for x, centres in (
        (gu.ring(40, generator=gu.seeded(seed), modes=5, radius=3.0, std=1e-6), gu.ring_centres(5, 3.0)),
        (gu.grid(40, generator=gu.seeded(seed), side=2, spacing=7.0, std=1e-6), gu.grid_centres(2, 7.0)),
    ):
        distance, mode = torch.cdist(x.double(), centres.double()).min(dim=1)
        assert float(distance.max()) < 1e-4 and len(mode.unique()) > 1


def test_the_modes_of_a_mixture_are_drawn_not_dealt():
    """Counts vary as multinomial ones: with 4 modes and n = 400 the variance of a count is n / 4 * 3 / 4 = 75.

    The mean of 4 x 50 squared deviations from 100 has a standard error near 75 sqrt(2 / 150) = 9: 5 of them.
    """
    g, centres = gu.seeded(0), gu.ring_centres(4)
    counts = torch.stack([
        torch.cdist(gu.ring(400, generator=g, modes=4), centres).argmin(dim=1).bincount(minlength=4)
        for _ in range(50)
    ])
    assert float((counts - 100).double().square().mean()) == pytest.approx(75, abs=45)


@given(n=st.integers(1, 30), size=st.integers(1, 30), seed=SEEDS)
def test_an_epoch_has_no_sample_twice(n, size, seed):
    """n // size batches of distinct samples, each with its own label, then a new permutation."""
    size = min(size, n)
    stream = gu.batches(torch.arange(n).float()[:, None], size, generator=gu.seeded(seed), labels=torch.arange(n))
    for _ in range(2):
        epoch = [next(stream) for _ in range(n // size)]
        labels = torch.cat([y for _, y in epoch])
        assert len(labels.unique()) == len(labels) == n // size * size
        assert all(torch.equal(x[:, 0].long(), y) and len(x) == size for x, y in epoch)


# histories


@given(
    losses=st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9),
    metrics=st.dictionaries(st.sampled_from(["w1", "frechet"]), st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=4)),
    seconds=st.floats(0, 1e6),
)
def test_a_history_survives_the_way_through_a_file(losses, metrics, seconds):
    """Losses as tensors, the rest as JSON; float64 losses bit for bit, metrics with their steps, and it goes on."""
    history = History()
    for step, loss in enumerate(losses, 1):
        history.steps = step
        history.record({"d_loss": torch.tensor(loss, dtype=torch.float64), "g_loss": torch.tensor(float(step))})
    for name, values in metrics.items():
        for value in values:
            history.log(**{name: value})
    history.seconds = seconds
    tensors, rest = history.state()
    again = History.from_state(tensors, json.loads(json.dumps(rest)))
    assert again["d_loss"] == losses and again["g_loss"] == [float(i + 1) for i in range(len(losses))]
    assert (again.steps, again.seconds) == (len(losses), seconds)
    assert again.latest() == {name: values[-1] for name, values in metrics.items()}
    assert all(again.metric(name) == ([len(losses)] * len(v), v) for name, v in metrics.items())
    again.steps += 1
    again.record({"d_loss": torch.tensor(1.0), "g_loss": torch.tensor(2.0)})
    assert again["d_loss"] == [*losses, 1.0] and history["d_loss"] == losses, "a copy"


@given(good=st.integers(0, 30), before=st.integers(0, 20), bad=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_the_first_bad_loss_is_named(good, before, bad):
    """`before` steps already collected, `good` more, then one that is not finite: it has the number of its step."""
    history = History()
    for i in range(before + good + 3):
        history.steps += 1
        history.record({"d_loss": torch.tensor(0.0), "g_loss": torch.tensor(bad if i >= before + good else 1.0)})
        if history.steps == before:
            history.collect()
    with pytest.raises(FloatingPointError, match=f"g_loss became {bad} at step {before + good + 1}$"):
        history.collect()
    assert len(history["d_loss"]) == len(history["g_loss"]) == before + good + 3, "all losses are kept"


def test_the_earliest_bad_loss_is_named_whatever_its_name():
    """G's loss breaks at step 2, D's at step 3: it began with G."""
    history = History()
    for d, g in ((0.0, 0.0), (0.0, math.inf), (math.nan, math.nan)):
        history.steps += 1
        history.record({"d_loss": torch.tensor(d), "g_loss": torch.tensor(g)})
    with pytest.raises(FloatingPointError, match="g_loss became inf at step 2$"):
        history.collect()


# what ails a run


@given(seed=SEEDS, shift=st.floats(-2, 2))
def test_health_sees_samples_and_ranks_alone(seed, shift):
    """Images or their pixels in a row: one spread. Turn D's scores round: 1 - separation. Scale both sets: the same."""
    real, fake = points(12, 1, 3, 3, seed=seed), points(9, 1, 3, 3, seed=seed + 1)
    scores = {"real_logits": points(12, 1, seed=seed + 2) + shift, "fake_logits": points(9, 1, seed=seed + 3)}
    here = gu.diagnose(real=real, fake=fake, **scores)
    flat = gu.diagnose(real=7 * real.flatten(1), fake=7 * fake.flatten(1), **{k: -v for k, v in scores.items()})
    assert flat.spread == pytest.approx(here.spread) and flat.separation == pytest.approx(1 - here.separation)
    assert gu.diagnose(real=real, fake=3 * fake, **scores).spread == pytest.approx(3 * here.spread)


def test_a_d_that_is_fooled_is_not_at_chance():
    """Fakes score above real samples in 3 of 4 pairs: D is wrong, which says much; chance would be half of them."""
    x, g = points(400, 2), gu.seeded(1)
    real, fake = torch.randn(400, 1, generator=g) - 1, torch.randn(400, 1, generator=g)
    health = gu.diagnose(real=x, fake=x, real_logits=real, fake_logits=fake)
    assert health.separation == pytest.approx(0.24, abs=0.08) and health.verdict == "in balance"


# steps

CRITICS = {
    "plain": lambda g: gu.toy_discriminator(2, width=8, generator=g),
    "batch_norm": lambda g: nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 1)),
    "spectral": lambda g: gu.spectrally_normalised(gu.toy_discriminator(2, width=8, generator=g), generator=g),
    "minibatch_std": lambda g: nn.Sequential(gu.MinibatchStd(4), gu.toy_discriminator(3, width=8, generator=g)),
}


def generator_with_statistics(g: torch.Generator) -> nn.Module:
    return nn.Sequential(gu.mlp([3, 8], generator=g), nn.BatchNorm1d(8), nn.ReLU(), gu.mlp([8, 2], generator=g))


@families
@pytest.mark.parametrize("build", CRITICS.values(), ids=CRITICS)
def test_a_step_leaves_the_other_network_bit_for_bit(family, build, device):
    """Weights, statistics, gradients, flags and modes; whatever the loss, the norm in D, and the modes at the start."""
    g = gu.seeded(0)
    G, D = generator_with_statistics(g).to(device), build(g).to(device)
    D[0].eval()
    x, z = points(8, 2).float().to(device), points(8, 3, seed=1).float().to(device)
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=0.05) for net in (G, D))
    for mover, rests, move in (
        (D, G, lambda: gu.d_step(G, D, opt_d, x, z, family, lambda x, fake: 0.1 * gu.r1_penalty(D, x))),
        (G, D, lambda: gu.g_step(G, D, opt_g, z, family)),
    ):
        before, mine, modes = state(rests), state(mover), [m.training for net in (G, D) for m in net.modules()]
        grads = [p.grad if p.grad is None else p.grad.clone() for p in rests.parameters()]
        random = torch.get_rng_state()
        move()
        assert unmoved(rests, before) and not unmoved(mover, mine)
        for p, grad in zip(rests.parameters(), grads, strict=True):
            assert p.requires_grad and (p.grad is grad is None or torch.equal(p.grad, grad))
        assert modes == [m.training for net in (G, D) for m in net.modules()]
        assert all(p.requires_grad for net in (G, D) for p in net.parameters())
        assert torch.equal(random, torch.get_rng_state()), "a step draws nothing"


@families
def test_equal_seeds_give_equal_runs(family, device):
    """Networks, data, noise and penalty from streams of one seed: bit for bit twice, and another for another seed.

    Between the runs torch's own stream is moved: nothing hangs on it.
    """

    def run(seed: int) -> torch.Tensor:
        g = gu.seeded(seed)
        G, D = gu.toy_generator(2, data_dim=2, width=8, generator=g), gu.toy_discriminator(2, width=8, generator=g)
        G, D, g = G.to(device), D.to(device), gu.seeded(seed, device)
        opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=1e-2) for net in (G, D))
        penalty = lambda x, fake: gu.gradient_penalty(D, x, fake, generator=g)  # noqa: E731
        noise = lambda: gu.gaussian_noise(16, 2, generator=g)  # noqa: E731
        gu.fit(
            lambda: gu.d_step(G, D, opt_d, gu.ring(16, generator=g), noise(), family, penalty),
            lambda: gu.g_step(G, D, opt_g, noise(), family),
            steps=5,
            progress=False,
        )
        return torch.cat([p.detach().flatten() for net in (G, D) for p in net.parameters()])

    first = run(0)
    torch.rand(3)
    assert torch.equal(first, run(0)) and not torch.equal(first, run(1))


@given(decay=st.floats(0, 0.999), weights=st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_exponential_average_is_the_recursion_and_stays_within_its_weights(decay, weights):
    """w' = d w' + (1 - d) w with d = min(decay, (1 + t) / (10 + t)), in double precision; a mean of what it saw."""
    G = nn.Linear(1, 1, bias=False).double()
    G.weight.data.fill_(1.0)
    average, expected = gu.ExponentialAverage(G, decay=decay), 1.0
    for t, weight in enumerate(weights):
        G.weight.data.fill_(weight)
        average.update(G)
        d = min(decay, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * weight
    assert float(average.module.weight) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert min([1.0, *weights]) - 1e-9 <= expected <= max([1.0, *weights]) + 1e-9


# the Dirac-GAN: real data at 0, one fake at theta, D(x) = psi x (Mescheder et al. 2018)


class Theta(nn.Module):
    """G: every z becomes theta."""

    def __init__(self, theta: float = 1.0):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([[theta]], dtype=torch.float64))

    def forward(self, z):
        return self.theta.expand(len(z), 1)


def dirac(
    family, steps: int, *, h: float = 0.1, psi: float = 1.0, alternating: bool = False, r1: float = 0.0
) -> tuple[float, float]:
    """(theta, psi) after `steps` of the package's own steps from (1, psi), by plain gradient descent at rate h."""
    G, D = Theta(), nn.Linear(1, 1, bias=False).double()
    D.weight.data.fill_(psi)
    opt_g, opt_d = (torch.optim.SGD(net.parameters(), lr=h) for net in (G, D))
    x = z = torch.zeros(2, 1, dtype=torch.float64)
    penalty = (lambda x, fake: 0.5 * r1 * gu.r1_penalty(D, x)) if r1 else None
    for _ in range(steps):
        before = D if alternating else copy.deepcopy(D)
        gu.d_step(G, D, opt_d, x, z, family, penalty)
        gu.g_step(G, before, opt_g, z, family)
    return float(G.theta.detach()), float(D.weight.detach())


def power(matrix: list[list[float]], steps: int, psi: float = 1.0) -> list[float]:
    """The linear map of (theta, psi), `steps` times, on (1, psi)."""
    m, start = torch.tensor(matrix, dtype=torch.float64), torch.tensor([1.0, psi], dtype=torch.float64)
    return (torch.linalg.matrix_power(m, steps) @ start).tolist()


def test_dirac_wgan_simultaneous_spirals_out():
    """theta' = theta + h psi, psi' = psi - h theta: eigenvalues 1 +- i h, so the radius grows by sqrt(1 + h^2).

    h = .1, 100 steps from (1, 1): sqrt(2) 1.01^50 = 2.325861; the angle turns by arctan(h) each step.
    """
    theta, psi = dirac(gu.wasserstein, 100)
    assert math.hypot(theta, psi) == pytest.approx(math.sqrt(2) * 1.01**50, rel=1e-12)
    assert math.hypot(theta, psi) == pytest.approx(2.325861, abs=5e-7)
    assert [theta, psi] == pytest.approx(power([[1, 0.1], [-0.1, 1]], 100), rel=1e-9)


def test_dirac_wgan_alternating_goes_round():
    """psi' = psi - h theta, theta' = theta + h psi': determinant 1, trace 2 - h^2, so eigenvalues of modulus 1.

    theta^2 + psi^2 - h theta psi stays 2 - h for ever; five turns, 300 steps, keep the radius in [1.345, 1.414].
    """
    h = 0.1
    for steps in (1, 62, 300):
        theta, psi = dirac(gu.wasserstein, steps, h=h, alternating=True)
        assert theta**2 + psi**2 - h * theta * psi == pytest.approx(2 - h, rel=1e-10)
        assert [theta, psi] == pytest.approx(power([[1 - h * h, h], [-h, 1]], steps), rel=1e-8, abs=1e-9)
        assert 1.345 <= math.hypot(theta, psi) <= 1.4143


@pytest.mark.parametrize(("gamma", "radius"), [(0.3, 8.99e-3), (1.0, 4.75e-11), (2.0, 1.87e-23)])
def test_dirac_wgan_with_r1_converges(gamma, radius):
    """gamma / 2 |grad D|^2 = gamma psi^2 / 2 adds -h gamma psi to psi's step. h = .1, 500 steps from (1, -1)."""
    h = 0.1
    ends = dirac(gu.wasserstein, 500, h=h, psi=-1.0, r1=gamma)
    assert ends == pytest.approx(power([[1, h], [-h, 1 - h * gamma]], 500, psi=-1.0), rel=1e-6, abs=1e-26)
    assert math.hypot(*ends) == pytest.approx(radius, rel=2e-3)


def logistic_dirac(saturating: bool, steps: int, *, psi: float, alternating: bool = False, r1: float = 0.0) -> float:
    """The radius from slopes on paper, at rate .1: s is the logistic function, u = psi theta the fake's logit.

    dL_D / dpsi = theta s(u) + r1 psi (the real's logit is 0 whatever psi); dL_G / dtheta = -psi s(-u), or
    -psi s(u) for the saturating loss.
    """
    s = lambda u: 1 / (1 + math.exp(-u))  # noqa: E731
    theta = 1.0
    for _ in range(steps):
        new = psi - 0.1 * (theta * s(psi * theta) + r1 * psi)
        seen = new if alternating else psi
        theta, psi = theta + 0.1 * seen * s(seen * theta if saturating else -seen * theta), new
    return math.hypot(theta, psi)


@pytest.mark.parametrize(
    ("name", "steps", "psi", "alternating", "radius"),
    [
        ("minimax", 1, -1.0, False, 1.4147),
        ("minimax", 100, -1.0, False, 1.5515),
        ("minimax", 500, -1.0, False, 2.2536),
        ("minimax", 500, 1.0, True, 1.3989),
        ("non_saturating", 100, 1.0, False, 0.8038),
        ("non_saturating", 500, 1.0, False, 0.5211),
        ("non_saturating", 100, 1.0, True, 0.7371),
        ("non_saturating", 500, 1.0, True, 0.3902),
    ],
)
def test_dirac_gan_with_logistic_losses(name, steps, psi, alternating, radius):
    """Minimax spirals out when simultaneous and stays when alternating; non-saturating creeps in. From (1, psi)."""
    here = math.hypot(*dirac(FAMILIES[name], steps, psi=psi, alternating=alternating))
    assert here == pytest.approx(logistic_dirac(name == "minimax", steps, psi=psi, alternating=alternating), rel=1e-9)
    assert here == pytest.approx(radius, abs=1e-4)


@pytest.mark.parametrize(("gamma", "radius"), [(0.3, 9.20e-4), (1.0, 2.28e-10), (2.0, 1.22e-3)])
def test_dirac_gan_with_r1_is_fastest_at_critical_damping(gamma, radius):
    """Eigenvalues -gamma / 2 +- sqrt(gamma^2 / 4 - 1 / 4): critical at gamma = 1, and 2 is slower than 1 again."""
    here = math.hypot(*dirac(gu.minimax, 500, psi=-1.0, r1=gamma))
    assert here == pytest.approx(logistic_dirac(True, 500, psi=-1.0, r1=gamma), rel=1e-6)
    assert here == pytest.approx(radius, rel=5e-3)
