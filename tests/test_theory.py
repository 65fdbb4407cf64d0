"""The game on paper against closed forms: the best D, the value, divergences, and the Dirac-GAN.

Each number is derived where it stands. "By quadrature" means by scipy.integrate.quad, which shares nothing with
the sums over a grid that are tested here.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, spatial, stats

import gan_utils as gu

LOG2 = math.log(2)
DX = 0.01
X = torch.arange(-40, 40, DX, dtype=torch.float64) + DX / 2  # midpoints
GAMES = {"minimax": gu.minimax, "non_saturating": gu.non_saturating, "wasserstein": gu.wasserstein}
BOTH = pytest.mark.parametrize("alternating", [False, True])


def normal(mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    return torch.exp(-(((X - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def uniform(low: float, high: float) -> torch.Tensor:
    return torch.where((X - low) * (high - X) > 0, 1.0, 0.0).double() / (high - low)


def at(values: torch.Tensor, x: float) -> float:
    """A curve on the grid, read at x by linear interpolation."""
    return float(np.interp(x, X, values))


# ------------------------------------------------------------------------------- the best discriminator

def test_equal_widths_make_the_logit_linear():
    """log N(0,1) - log N(1,1) = ((x - 1)^2 - x^2) / 2 = 1/2 - x, so D* = s(1/2 - x)."""
    D, logits = gu.optimal_discriminator(normal(), normal(1)), gu.optimal_logit(normal(), normal(1))
    near = X.abs() < 5
    torch.testing.assert_close(logits[near], 0.5 - X[near], atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.sigmoid(logits)[near], D[near])
    for x, want in ((-1, 0.817574), (0, 0.622459), (0.5, 0.5), (1, 0.377541), (2, 0.182426)):
        assert at(D, x) == pytest.approx(want, abs=1e-5)  # interpolation: f'' dx^2 / 8 is below 2e-6


def test_unequal_widths_make_it_quadratic():
    """log N(0,1) - log N(0,2^2) = log 2 - x^2/2 + x^2/8 = log 2 - 3 x^2 / 8: 2/3 at 0."""
    D, logits = gu.optimal_discriminator(normal(), normal(0, 2)), gu.optimal_logit(normal(), normal(0, 2))
    near = X.abs() < 5
    torch.testing.assert_close(logits[near], LOG2 - 3 * X[near] ** 2 / 8, atol=1e-9, rtol=0)
    for x, want in ((0, 2 / 3), (1, 0.578873), (-1, 0.578873), (2, 0.308562)):
        assert at(D, x) == pytest.approx(want, abs=1e-5)


def test_no_other_d_has_a_higher_value():
    """V is concave in D(x) at each x: any other D, here 20 random bends of the best one, scores less."""
    p, q = normal(), normal(1, 1.5)
    best = gu.optimal_logit(p, q)
    top, stream = gu.game_value(best, p, q, DX), gu.seeded(0)
    for _ in range(20):
        a, b, c = torch.randn(3, generator=stream).double()
        other = best + 0.3 * (a + b * X.sin() + c * (3 * X).cos())
        assert gu.game_value(other, p, q, DX) < top - 1e-6


def test_label_smoothing():
    """D* = (a p + b q) / (p + q). a = .9, b = 0: .45 where p = q, at most .9. b > 0: D* = b where p = 0.

    D's loss at p = q, with real labels .9: -(.9 log .45 + .1 log .55) - log .55 = 1.376278.
    """
    p, q = uniform(0, 2), uniform(1, 3)
    D = gu.optimal_discriminator(p, q, real_label=0.9)
    assert [at(D, x) for x in (0.5, 1.5, 2.5)] == pytest.approx([0.9, 0.45, 0])
    both = gu.optimal_discriminator(p, q, real_label=0.9, fake_label=0.1)
    assert [at(both, x) for x in (0.5, 1.5, 2.5)] == pytest.approx([0.9, 0.5, 0.1])
    d = 0.45
    loss = -(0.9 * math.log(d) + 0.1 * math.log(1 - d)) - math.log(1 - d)
    assert loss == pytest.approx(1.376278, abs=1e-6)
    around = [-(0.9 * math.log(e) + 1.1 * math.log(1 - e)) for e in (d - 1e-3, d + 1e-3)]
    assert min(around) > loss  # .45 is the lowest point


def test_nothing_is_said_where_nothing_falls():
    """Both densities are 0 at 10: D is free there, NaN; the value leaves such places out."""
    p, q = uniform(0, 1), uniform(0.5, 1.5)
    assert math.isnan(at(gu.optimal_discriminator(p, q), 10))
    assert gu.game_value(gu.optimal_logit(p, q), p, q, DX) == pytest.approx(-math.log(4) + LOG2, abs=1e-9)


# ------------------------------------------------------------------------------- value and divergences

@pytest.mark.parametrize("d, jsd, value", [
    (0, 0, -1.386294), (0.5, 0.030311, None), (1, 0.111421, -1.163451), (2, 0.336831, -0.712633),
    (3, 0.526777, -0.332740), (4, 0.632720, -0.120854), (6, 0.689298, None), (10, 0.6931463, None)])
def test_gaussians_drawing_apart(d, jsd, value):
    """JSD of N(0,1) and N(d,1), by quadrature, comes to rest at log 2; W1 = d and KL = d^2/2 go on.

    V at the best D is 2 JSD - log 4: both are computed, by different sums.
    """
    p, q = normal(), normal(d)

    def integrand(x):
        a, b = stats.norm.pdf(x), stats.norm.pdf(x, d)
        return (a * math.log(2 * a / (a + b)) + b * math.log(2 * b / (a + b))) / 2 if a > 0 and b > 0 else 0

    quad = integrate.quad(integrand, -12, 12 + d, epsabs=1e-12, limit=200)[0]
    assert quad == pytest.approx(jsd, abs=1e-6)
    assert gu.js_divergence(p, q, DX) == pytest.approx(quad, abs=1e-9)
    got = gu.game_value(gu.optimal_logit(p, q), p, q, DX)
    assert got == pytest.approx(2 * quad - math.log(4), abs=1e-9)
    assert value is None or got == pytest.approx(value, abs=1e-6)
    assert gu.kl_divergence(p, q, DX) == pytest.approx(d**2 / 2, abs=1e-9)
    assert gu.wasserstein_densities(p, q, DX) == pytest.approx(d, abs=1e-9)


def test_gaussians_of_unequal_width():
    """KL(N(0,1)||N(0,2^2)) = log 2 + 1/8 - 1/2 = .318147, the other way 2 - log 2 - 1/2 = .806853.

    JSD and W1/scale do not change when x is scaled: N(0,1), N(0,1/2) is the mirrored pair. W1 = |1 - s| sqrt(2/pi).
    """
    p, q = normal(), normal(0, 2)
    assert gu.kl_divergence(p, q, DX) == pytest.approx(LOG2 + 1 / 8 - 1 / 2, abs=1e-9)
    assert gu.kl_divergence(q, p, DX) == pytest.approx(2 - LOG2 - 1 / 2, abs=1e-9)
    assert gu.js_divergence(p, q, DX) == pytest.approx(0.092733, abs=1e-6)
    assert gu.js_divergence(p, normal(0, 0.5), DX) == pytest.approx(gu.js_divergence(p, q, DX), abs=1e-9)
    assert gu.wasserstein_densities(p, q, DX) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-5)


@pytest.mark.parametrize("t", [0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0])
def test_uniform_laws_drawing_apart(t):
    """U(0,1) against U(t,1+t): where they overlap nothing, elsewhere log 2: min(t, 1) log 2. W1 = t."""
    p, q = uniform(0, 1), uniform(t, 1 + t)
    assert gu.js_divergence(p, q, DX) == pytest.approx(min(t, 1) * LOG2, abs=1e-9)
    assert gu.wasserstein_densities(p, q, DX) == pytest.approx(t, abs=1e-9)


def test_uniform_inside_a_wider_one():
    """U(0,1), U(0,2): the midpoint is 3/4 on (0,1) and 1/4 on (1,2): log(4/3)/2 + log(2/3)/4 + log(2)/4."""
    want = math.log(4 / 3) / 2 + math.log(2 / 3) / 4 + LOG2 / 4
    assert want == pytest.approx(0.215762, abs=1e-6)
    assert gu.js_divergence(uniform(0, 1), uniform(0, 2), DX) == pytest.approx(want, abs=1e-9)


def test_two_equal_moments_are_not_the_law():
    """N(0,1) and U(-sqrt 3, sqrt 3) have mean 0 and variance 1 both; JSD .049435 by quadrature.

    The edges of the box fall inside a cell of the grid: an error of at most DX times the density there.
    """
    edge = math.sqrt(3)

    def integrand(x):
        a, b = stats.norm.pdf(x), 1 / (2 * edge) if abs(x) < edge else 0.0
        m = (a + b) / 2
        return (a * math.log(a / m) + (b * math.log(b / m) if b else 0)) / 2

    quad = integrate.quad(integrand, -12, 12, points=[-edge, edge], limit=200)[0]
    assert quad == pytest.approx(0.049435, abs=1e-6)
    box = uniform(-edge, edge)
    assert gu.js_divergence(normal(), box / (box.sum() * DX), DX) == pytest.approx(quad, abs=DX * 0.15)


@pytest.mark.parametrize("p, q, want", [
    ((0.5, 0.5, 0), (0, 0.5, 0.5), LOG2 / 2), ((0.1, 0.2, 0.7), (0.3, 0.4, 0.3), 0.084294)])
def test_probabilities(p, q, want):
    """The first by hand: half of each mass is where the other has none. scipy returns the square root of both."""
    got = gu.js_divergence(torch.tensor(p), torch.tensor(q))
    assert got == pytest.approx(want, abs=1e-6)
    assert got == pytest.approx(spatial.distance.jensenshannon(p, q) ** 2, abs=1e-6)
    best = gu.optimal_logit(torch.tensor(p), torch.tensor(q))
    assert gu.game_value(best, torch.tensor(p), torch.tensor(q)) == pytest.approx(2 * want - math.log(4), abs=1e-6)


@pytest.mark.parametrize("k, jsd", [
    (8, 0), (7, 0.045407), (6, 0.095603), (4, 0.215762), (2, 0.380396), (1, 0.496929)])
def test_modes_that_are_missing(k, jsd):
    """Data 8 modes of 1/8, fakes k of 1/k: KL(q||p) = log(8/k), KL(p||q) infinite once one is missing.

    JSD by hand, m = (1/8 + 1/k)/2 on the k modes and 1/16 on the rest:
    (k/8 log(1/8m) + log(1/km)) / 2 + (8 - k)/8 log(2) / 2.
    """
    p, q = torch.full((8,), 1 / 8), torch.tensor([1 / k] * k + [0.0] * (8 - k))
    m = (1 / 8 + 1 / k) / 2
    by_hand = (k / 8 * math.log(1 / 8 / m) + math.log(1 / k / m)) / 2 + (8 - k) / 8 * LOG2 / 2
    assert by_hand == pytest.approx(jsd, abs=1e-6)
    assert gu.js_divergence(p, q) == pytest.approx(by_hand, abs=1e-6)
    assert gu.kl_divergence(q, p) == pytest.approx(math.log(8 / k), abs=1e-6)
    assert gu.kl_divergence(p, q) == (pytest.approx(0, abs=1e-6) if k == 8 else math.inf)


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_divergences_behave(a, b):
    """0 for equal laws, never below it, JSD symmetric and at most log 2."""
    p, q = (torch.tensor(v, dtype=torch.float64) / sum(v) for v in (a, b))
    assert gu.js_divergence(p, p) == pytest.approx(0, abs=1e-12)
    assert gu.kl_divergence(p, q) >= -1e-12
    assert 0 - 1e-12 <= gu.js_divergence(p, q) <= LOG2
    assert gu.js_divergence(p, q) == pytest.approx(gu.js_divergence(q, p), abs=1e-12)


@pytest.mark.parametrize("p, q, dx, words", [
    (normal(), normal()[:-1], DX, "give both on one grid"), (-normal(), normal(), DX, "p is below 0"),
    (normal(), normal() * torch.nan, DX, "q is below 0 or NaN"), (normal(), normal(39), DX, "q has mass 0.8413"),
    (normal(), normal(), 1.0, "check dx = 1")])
def test_what_is_no_density_is_refused(p, q, dx, words):
    calls = [lambda f=f: f(p, q, dx) for f in (gu.kl_divergence, gu.js_divergence, gu.wasserstein_densities)]
    calls.append(lambda: gu.game_value(0 * p, p, q, dx))
    if "mass" not in words and "dx" not in words:  # these look at one place at a time
        calls += [lambda: gu.optimal_discriminator(p, q), lambda: gu.optimal_logit(p, q)]
    for call in calls:
        with pytest.raises(ValueError, match=words) as error:
            call()
        assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------- the Dirac-GAN

def state(theta: float, psi: float) -> torch.Tensor:
    return torch.tensor([theta, psi], dtype=torch.float64)


def radius(loss, start, *, steps, lr=0.1, **settings) -> float:
    return float(gu.dirac_run(start, loss, lr=lr, steps=steps, **settings)[-1].norm())


SLOPES = {  # dL_D/dlogit of a fake, dL_G/dlogit, by hand; s is the logistic function
    "minimax": lambda s: (s, -s), "non_saturating": lambda s: (s, s - 1), "wasserstein": lambda s: (1, -1)}


@pytest.mark.parametrize("game", GAMES)
def test_field_by_hand(game):
    """The logit of the fake is l = theta psi; the chain rule gives dL/dpsi = L'(l) theta, dL/dtheta = L'(l) psi.

    The real point lies at 0, where D is 0 whatever psi: no slope. R1 adds gamma psi to D's. States in one batch
    do not touch each other.
    """
    states = torch.randn(4, 5, 2, generator=gu.seeded(0), dtype=torch.float64)
    theta, psi = states.unbind(-1)
    d_slope, g_slope = SLOPES[game](torch.sigmoid(theta * psi))
    want = torch.stack([-g_slope * psi, -(d_slope * theta + 0.7 * psi)], dim=-1)
    got = gu.dirac_field(states, GAMES[game], r1_gamma=0.7)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(gu.dirac_step(states, GAMES[game], lr=0.1, r1_gamma=0.7), states + 0.1 * want)


def test_field_can_be_differentiated_again():
    """Non-saturating, s at l = theta psi: the field is (psi (1 - s), -theta s - gamma psi), and s' = s (1 - s)."""
    theta, psi = 1.0, 0.5
    s = 1 / (1 + math.exp(-theta * psi))
    slope = s * (1 - s)
    got = torch.autograd.functional.jacobian(
        lambda x: gu.dirac_field(x, gu.non_saturating, r1_gamma=0.7), state(theta, psi))
    want = [[-slope * psi**2, 1 - s - slope * theta * psi], [-s - slope * theta * psi, -slope * theta**2 - 0.7]]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))


def test_alternating_lets_g_see_the_new_d():
    """Wasserstein, h = .1, from (1, 2): psi' = 2 - .1 = 1.9, then theta' = 1 + .19; at once it is 1 + .2."""
    torch.testing.assert_close(gu.dirac_step(state(1, 2), gu.wasserstein, lr=0.1), state(1.2, 1.9))
    torch.testing.assert_close(gu.dirac_step(state(1, 2), gu.wasserstein, lr=0.1, alternating=True), state(1.19, 1.9))


def test_wasserstein_at_once_spirals_out():
    """The step is a turn stretched by |1 + ih| = sqrt(1 + h^2): radius sqrt(2) (1 + h^2)^(n/2) from (1, 1)."""
    for lr, want in ((0.1, 2.325861), (0.01, 1.421302)):
        got = radius(gu.wasserstein, state(1, 1), steps=100, lr=lr)
        assert got == pytest.approx(math.sqrt(2) * (1 + lr**2) ** 50, rel=1e-13)
        assert got == pytest.approx(want, abs=1e-6)


def test_wasserstein_in_turn_goes_round_an_ellipse():
    """theta^2 + psi^2 - h theta psi is conserved: put the step in and it cancels. 1.345 <= radius <= 1.414."""
    states = gu.dirac_run(state(1, 1), gu.wasserstein, lr=0.1, steps=1000, alternating=True)
    theta, psi = states.unbind(-1)
    kept = theta**2 + psi**2 - 0.1 * theta * psi
    torch.testing.assert_close(kept, torch.full_like(kept, 1.9))
    lengths = states.norm(dim=-1)
    # the ellipse's half axes are sqrt(1.9 / (1 + h/2)) and sqrt(1.9 / (1 - h/2)) = sqrt 2
    assert float(lengths.min()) == pytest.approx(math.sqrt(1.9 / 1.05), abs=1e-3)
    assert float(lengths.max()) == pytest.approx(math.sqrt(2), abs=1e-6)


@pytest.mark.parametrize("game, start, alternating, steps, lr, want", [
    # minimax from (1, -1): in the paper's letters, where D's sign is turned, that is (1, 1)
    ("minimax", (1, -1), False, 1, 0.1, 1.415), ("minimax", (1, -1), False, 100, 0.1, 1.552),
    ("minimax", (1, -1), False, 500, 0.1, 2.254),
    ("non_saturating", (1, 1), False, 100, 0.1, 0.804), ("non_saturating", (1, 1), False, 500, 0.1, 0.521),
    ("non_saturating", (1, 1), True, 100, 0.1, 0.737), ("non_saturating", (1, 1), True, 500, 0.1, 0.390),
    ("non_saturating", (1, 1), False, 100, 0.01, 1.231), ("non_saturating", (1, 1), False, 500, 0.01, 0.973)])
def test_recorded_radii(game, start, alternating, steps, lr, want):
    """Against a second program of the same dynamics (numpy, slopes by hand); three digits were kept of it."""
    got = radius(GAMES[game], state(*start), steps=steps, lr=lr, alternating=alternating)
    assert got == pytest.approx(want, abs=6e-4)


def test_minimax_spirals_out_at_once_and_not_in_turn():
    out = gu.dirac_run(state(1, 1), gu.minimax, lr=0.1, steps=500)
    assert float(out[-1].norm()) > 1.5 * math.sqrt(2)
    turn = gu.dirac_run(state(1, 1), gu.minimax, lr=0.1, steps=500, alternating=True).norm(dim=-1)
    assert float(turn.min()) > 1.35
    assert float(turn.max()) < 1.42


@BOTH
@pytest.mark.parametrize("game, slope", [("minimax", 0.5), ("non_saturating", 0.5), ("wasserstein", 1.0)])
def test_eigenvalues_without_penalty(game, slope, alternating):
    """At rest every logit is 0 and the slope of each loss a = 1/2 (logistic) or 1 (Wasserstein).

    At once the step is [[1, ha], [-ha, 1]]: eigenvalues 1 +- iha, modulus above 1. In turn its determinant is 1 and
    its trace 2 - (ha)^2: modulus exactly 1, angle arccos(1 - (ha)^2 / 2).
    """
    h = 0.1 * slope
    values = gu.dirac_eigenvalues(GAMES[game], lr=0.1, alternating=alternating)
    modulus, angle = (1, math.acos(1 - h**2 / 2)) if alternating else (math.sqrt(1 + h**2), math.atan(h))
    assert values.abs().tolist() == pytest.approx([modulus] * 2, abs=1e-12)
    assert values.angle().abs().tolist() == pytest.approx([angle] * 2, abs=1e-12)


@pytest.mark.parametrize("gamma", [0.3, 0.9, 1.1, 2.0, 3.0])
@pytest.mark.parametrize("game, slope", [("minimax", 0.5), ("wasserstein", 1.0)])
def test_eigenvalues_with_r1(game, slope, gamma):
    """The field at rest is [[0, a], [-a, -gamma]]: -gamma/2 +- sqrt(gamma^2/4 - a^2); a step is 1 + h times that."""
    root = np.emath.sqrt(gamma**2 / 4 - slope**2)
    want = sorted(1 + 0.1 * (-gamma / 2 + sign * root) for sign in (1, -1)) if gamma > 2 * slope else None
    values = gu.dirac_eigenvalues(GAMES[game], lr=0.1, r1_gamma=gamma)
    if want:  # two real ones
        assert values.real.tolist() == pytest.approx(want) and values.imag.abs().max() < 1e-9
    else:
        assert values.abs().tolist() == pytest.approx([abs(1 + 0.1 * (-gamma / 2 + root))] * 2)


@pytest.mark.parametrize("game, gamma, want", [
    ("minimax", 0.3, 9.2e-4), ("minimax", 1.0, 2.3e-10), ("minimax", 2.0, 1.2e-3),
    ("wasserstein", 0.3, 9.0e-3), ("wasserstein", 1.0, 4.7e-11), ("wasserstein", 2.0, 1.9e-23)])
def test_r1_converges(game, gamma, want):
    """500 steps of .1 from (1, -1), against the second program's two digits. Too much penalty is slower again."""
    assert radius(GAMES[game], state(1, -1), steps=500, r1_gamma=gamma) == pytest.approx(want, rel=0.03)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_eigenvalues_say_the_speed_in_advance(gamma):
    """Close to rest, the radius after n more steps is the larger modulus to the power n, but for the turn.

    From 300 to 500 steps; the turn changes the factor by less than a third of the power of ten.
    """
    states = gu.dirac_run(state(1, 1), gu.minimax, lr=0.1, steps=500, r1_gamma=gamma).norm(dim=-1)
    seen = math.log(float(states[500] / states[300])) / 200
    told = math.log(float(gu.dirac_eigenvalues(gu.minimax, lr=0.1, r1_gamma=gamma)[-1].abs()))
    assert seen == pytest.approx(told, rel=0.08)


def test_states_of_a_run():
    states = gu.dirac_run(torch.ones(3, 2), gu.minimax, lr=0.1, steps=4)
    assert states.shape == (5, 3, 2)
    assert torch.equal(states[0], torch.ones(3, 2)) and not states.requires_grad
    with torch.no_grad():  # slopes are found all the same
        assert torch.equal(gu.dirac_run(torch.ones(3, 2), gu.minimax, lr=0.1, steps=4), states)
    assert gu.dirac_run(state(1, 1), gu.minimax, lr=0.1, steps=0).tolist() == [[1, 1]]
    with pytest.raises(ValueError, match="steps must be a whole number"):
        gu.dirac_run(state(1, 1), gu.minimax, lr=0.1, steps=1.5)
