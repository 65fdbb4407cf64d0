"""Codes that are moved: paths, directions, walks, inversion."""

import copy
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import gan_utils as gu
from gan_utils import control
from gan_utils.widgets import slerp as slerp_of_the_page


def normal(*shape: int, seed: int = 0, dtype=torch.float64) -> Tensor:
    return torch.randn(*shape, generator=gu.seeded(seed), dtype=dtype)


# ------------------------------------------------------------------------------- paths and the prior

def test_paths_agree_with_those_of_the_page():
    a, b = normal(2, 12)
    for t in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(control.slerp(a, b, t), slerp_of_the_page(a.numpy(), b.numpy(), t), atol=1e-12)
        torch.testing.assert_close(control.lerp(a, b, t), a + t * (b - a))


def test_slerp_turns_and_grows_evenly():
    """Angle from a and length are both linear in t: that is what defines the arc. A batch is as many single arcs."""
    a, b = normal(2, 5, 30)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)[:, None]
    z = control.slerp(a, b, t)
    angle = torch.cosine_similarity(a, b, dim=1).acos()
    torch.testing.assert_close(torch.cosine_similarity(a, z, dim=1).acos(), t[:, 0] * angle)
    lengths = control.lerp(a.norm(dim=1), b.norm(dim=1), t[:, 0])
    torch.testing.assert_close(z.norm(dim=1), lengths)
    torch.testing.assert_close(z[2], control.slerp(a[2], b[2], float(t[2])))


def test_where_there_is_no_one_arc_the_line_is_taken():
    """Parallel, opposite and zero codes; none may give NaN."""
    a = normal(6)
    for b in (2 * a, -a, 0 * a):
        torch.testing.assert_close(control.slerp(a, b, 0.25), 0.75 * a + 0.25 * b)
    many = normal(200, 6, dtype=torch.float32)  # the cosine of some is rounded above 1
    for b in (2 * many, -many):
        torch.testing.assert_close(control.slerp(many, b, 0.25), 0.75 * many + 0.25 * b)


def test_percentile_is_the_chi_law():
    """|z| of N(0, I_d) is chi distributed: scipy knows its distribution function."""
    for d in (2, 32, 64):
        z = normal(20, d) * torch.linspace(0.1, 2, 20, dtype=torch.float64)[:, None]
        np.testing.assert_allclose(control.prior_percentile(z), stats.chi.cdf(z.norm(dim=1), d), atol=1e-12)


def test_percentiles_of_random_codes_are_uniform():
    assert stats.kstest(control.prior_percentile(normal(2000, 32)), "uniform").pvalue > 1e-3  # one fixed seed


def test_prior_length_keeps_the_direction():
    z = normal(4, 9)
    moved = control.to_prior_length(z)
    torch.testing.assert_close(moved.norm(dim=1), torch.full((4,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(torch.cosine_similarity(z, moved, dim=1), torch.ones(4, dtype=torch.float64))


# ------------------------------------------------------------------------------------- directions

def test_mean_difference_by_hand():
    """Means (1, 0) of the zeros and (4, 5) of the ones: (3, 5)."""
    z = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 5.0]])
    torch.testing.assert_close(control.mean_difference(z, torch.tensor([0, 0, 1])), torch.tensor([3.0, 5.0]))


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 1, 2]])
def test_mean_difference_needs_both_classes(labels):
    with pytest.raises(ValueError, match="0 and 1, each at least once"):
        control.mean_difference(normal(3, 2), torch.tensor(labels))


def test_regression_separates_features_that_go_together():
    """z = c + f_1 u + f_2 v exactly, with f_2 = f_1 for nine of ten codes: regression gives u back, the means do not.

    The difference of means over f_1 is u + (share of f_2 among f_1 = 1, less that among f_1 = 0) v.
    """
    u, v, c = normal(3, 8)
    one = torch.arange(400) % 2
    two = torch.where(torch.arange(400) % 10 == 0, 1 - one, one)
    z = c + one[:, None] * u + two[:, None] * v
    found = control.regressed_directions(z, torch.stack([one, two], dim=1))
    torch.testing.assert_close(found, torch.stack([u, v]))
    share = two[one == 1].double().mean() - two[one == 0].double().mean()
    torch.testing.assert_close(control.mean_difference(z, one), u + share * v)
    assert share > 0.7


def test_regression_refuses_features_that_follow_from_others():
    """A one-hot set adds up to 1, as the constant does: rank 2, not 3."""
    hot = torch.eye(3)[torch.arange(30) % 3]
    with pytest.raises(ValueError, match="3 features are not independent"):
        control.regressed_directions(normal(30, 4), hot)


def test_without_leaves_nothing_along_the_others():
    """And what is orthogonal to them stays: the difference lies in their span."""
    direction, others = normal(10), normal(3, 10, seed=1)
    left = control.without(direction, others)
    torch.testing.assert_close(others @ left, torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    assert int(torch.linalg.matrix_rank(torch.cat([others, (direction - left)[None]]))) == 3
    torch.testing.assert_close(control.without(left, others), left)
    both = torch.stack([direction, others[0]])
    torch.testing.assert_close(control.without(both, others), torch.stack([left, 0 * left]))  # a row for each


# ------------------------------------------------------------------------------------------ walks

def test_walk_does_not_add_up_its_gradients():
    """Adam's step is lr * sign where the gradient is constant: ten steps of a linear loss move each entry by 10 lr.

    With gradients that add up, the second moment grows and the steps would differ; the first step is the same.
    """
    z, w = normal(3, 4), normal(4, seed=1)
    moved = control.walk(z, lambda z: z @ w, steps=10, lr=0.1)
    torch.testing.assert_close(moved, z - w.sign(), atol=1e-6, rtol=0)
    unasked = control.walk(z, lambda z: z @ w)  # 40 steps of .1, and no pull
    torch.testing.assert_close(unasked, z - 4 * w.sign(), atol=1e-6, rtol=0)


def test_a_walk_has_a_whole_number_of_steps():
    with pytest.raises(ValueError, match="steps must be a whole number, 0 or more; got -1"):
        control.walk(normal(1, 2), lambda z: z.sum(dim=1), steps=-1)


def test_rows_of_a_walk_are_separate_runs():
    z, loss_of = normal(3, 4), lambda z: (z - 1).square().sum(dim=1).sqrt()
    together = control.walk(z, loss_of, steps=7)
    apart = torch.cat([control.walk(row[None], loss_of, steps=7) for row in z])
    torch.testing.assert_close(together, apart)


def test_pull_brings_codes_to_the_prior():
    """Nothing else asked, the least pull is at |z| = sqrt(d), along the same direction (Adam bends it a little)."""
    z = normal(5, 16) * 3
    moved = control.walk(z, lambda z: 0 * z[:, 0], steps=400, pull=1.0)
    torch.testing.assert_close(moved.norm(dim=1), torch.full((5,), 4.0, dtype=torch.float64), atol=1e-3, rtol=0)
    torch.testing.assert_close(control.walk(z, lambda z: 0 * z.sum(dim=1), steps=5), z)


class TwoHeads(NamedTuple):
    style: Tensor
    slant: Tensor


class Reader(nn.Module):
    """Reads style off the first pixel and slant off the second: logits (n, 2) each."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        a, b = self.gain * x.flatten(1)[:, 0], self.gain * x.flatten(1)[:, 1]
        return TwoHeads(torch.stack([-a, a], dim=1), torch.stack([-b, b], dim=1))


def linear_G(seed: int = 0) -> nn.Module:
    """Entangled: the first code number moves both pixels that are read."""
    G = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Unflatten(1, (1, 2, 2)))
    with torch.no_grad():
        G[0].weight.copy_(torch.tensor([[1, 0.2, 0, 0], [0.8, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    return G.eval()


def test_a_wish_is_cross_entropy_and_holds_what_is_asked():
    """softplus(-2 * 2 x) for class 1: the logits are -2x and 2x. Held, the second feature keeps its side."""
    G, guide = linear_G(), Reader().eval()
    z = torch.tensor([[-1.0, 0.3, 0, 0], [-2.0, 1.0, 1, 1]])
    want = torch.tensor([1, 1])
    x = G(z).flatten(1)
    torch.testing.assert_close(control.wish(G, guide, {"style": want})(z), nn.functional.softplus(-4 * x[:, 0]))
    slant_before = guide(G(z)).slant.argmax(1)
    free = control.walk(z, control.wish(G, guide, {"style": want}), steps=60)
    held = control.walk(z, control.wish(G, guide, {"style": want, "slant": slant_before}), steps=60)
    for moved in (free, held):
        assert (guide(G(moved)).style.argmax(1) == 1).all()
    assert (guide(G(free)).slant.argmax(1) != slant_before).any()
    assert (guide(G(held)).slant.argmax(1) == slant_before).all()


def test_a_walk_leaves_networks_without_gradients():
    G, guide = linear_G(), Reader().eval()
    before = copy.deepcopy(G.state_dict())
    control.walk(torch.ones(2, 4), control.wish(G, guide, {"style": torch.tensor([0, 0])}), steps=3)
    assert all(p.grad is None for net in (G, guide) for p in net.parameters())
    torch.testing.assert_close(G.state_dict(), before, atol=0, rtol=0)


def test_a_walk_may_begin_at_codes_that_have_gradients():
    """The codes of another optimisation, say: they are taken as they stand, and neither they nor their slopes move."""
    z = normal(2, 4).requires_grad_()
    start, moved = z.detach().clone(), control.walk(z, lambda z: z.sum(dim=1), steps=2)
    assert not moved.requires_grad and not torch.equal(moved, start)
    assert torch.equal(z, start) and z.grad is None


def test_networks_in_training_mode_are_refused():
    G = gu.conv_generator(latent_dim=4)
    with pytest.raises(ValueError, match="G is in training mode"):
        control.wish(G, Reader().eval(), {})
    with pytest.raises(ValueError, match="guide is in training mode"):
        control.wish(G.eval(), Reader(), {})
    with pytest.raises(ValueError, match="G is in training mode"):
        control.invert(G.train(), torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 4))


def test_outcome_by_hand():
    """Of four codes one read 1 before and does not count; two of the three others do now. Slant changed in one.

    The three have lengths 4, 8 and 12; with the fourth, of length 0, their median would be 4.
    """
    before = {"style": torch.tensor([0, 0, 0, 1]), "slant": torch.tensor([0, 1, 0, 1])}
    after = {"style": torch.tensor([1, 0, 1, 0]), "slant": torch.tensor([0, 1, 1, 0])}
    z = torch.tensor([1.0, 2.0, 3.0, 0.0])[:, None].expand(4, 16)
    got = control.outcome(before, after, "style", 1, z)
    assert got.success == pytest.approx(2 / 3)
    assert got.changed == {"slant": pytest.approx(1 / 3)}
    assert got.percentile == pytest.approx(stats.chi.cdf(8, 16))
    with pytest.raises(ValueError, match="every code read style = 1 before"):
        control.outcome({"style": torch.ones(2)}, {"style": torch.ones(2)}, "style", 1, z[:2])


# -------------------------------------------------------------------------------------- inversion

def test_inversion_finds_the_code_of_a_generated_picture():
    """G(z) = W z with W of full rank: the code is unique, and found to the accuracy of Adam's last steps."""
    G, z = linear_G(), normal(3, 4, dtype=torch.float32)
    found, error = control.invert(G, G(z).detach(), normal(2, 3, 4, seed=1, dtype=torch.float32), steps=500, pull=0)
    torch.testing.assert_close(found, z, atol=2e-2, rtol=0)
    torch.testing.assert_close(error, (G(found) - G(z)).square().flatten(1).mean(dim=1).detach())


def test_inversion_keeps_the_best_start_for_each_image():
    """With no steps the answer is the nearest start, image by image: that is what nearest_codes finds too."""
    G = linear_G()
    x = G(normal(5, 4, dtype=torch.float32)).detach()
    z = normal(40, 4, seed=2, dtype=torch.float32)
    best, error = control.invert(G, x, z[:, None].expand(-1, 5, -1), steps=0)
    nearest, by_search = control.nearest_codes(G, x, z, keep=3)
    torch.testing.assert_close(nearest[0], best)
    torch.testing.assert_close(by_search[0], error, atol=1e-6, rtol=1e-4)
    assert (by_search.diff(dim=0) >= 0).all()
    assert nearest.shape == (3, 5, 4)


def test_looking_for_the_nearest_code_leaves_g_alone():
    """A G in training mode is asked in eval mode: its statistics stay, and no picture leans on another."""
    G = nn.Sequential(linear_G()[0], nn.BatchNorm1d(4), nn.Unflatten(1, (1, 2, 2))).train()
    before = copy.deepcopy(G.state_dict())
    z = normal(6, 4, dtype=torch.float32)
    with torch.no_grad():
        x = G.eval()(z[2:4])
    found, error = control.nearest_codes(G.train(), x, z)
    assert torch.equal(found, z[None, 2:4]) and float(error.max()) < 1e-6
    torch.testing.assert_close(G.state_dict(), before, atol=0, rtol=0)
    assert all(part.training for part in G.modules())


def test_inversion_needs_a_code_for_each_image():
    with pytest.raises(ValueError, match=r"needs \(starts, 3, latent_dim\)"):
        control.invert(linear_G(), torch.zeros(3, 1, 2, 2), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"shape \(5, 2, 4\), needs \(starts, 3, latent_dim\)"):
        control.invert(linear_G(), torch.zeros(3, 1, 2, 2), torch.zeros(5, 2, 4))


def test_inversion_pulls_codes_to_the_prior():
    """A picture that says nothing of the code: only the pull is left, and it ends at |z| = sqrt(4)."""
    G = linear_G()
    torch.nn.init.zeros_(G[0].weight)
    z, x = 3 * normal(1, 2, 4, dtype=torch.float32), torch.zeros(2, 1, 2, 2)
    found, error = control.invert(G, x, z, steps=200, pull=1.0)
    torch.testing.assert_close(found.norm(dim=1), torch.full((2,), 2.0), atol=0.02, rtol=0)
    torch.testing.assert_close(error, torch.zeros(2))  # of the picture alone
