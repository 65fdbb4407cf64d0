"""The baselines measure what they say: the same data, the same networks, the same number of updates."""

import copy
import json
import math

import pytest
import torch
from torch import nn

import gan_utils as gu
from benchmarks import page, stacked_mnist
from benchmarks.__main__ import BENCHMARKS, mlp_products, our_course_steps, reach, side_by_side
from benchmarks.baselines import classic_loop, course_pair, course_steps, torchvision_mnist
from benchmarks.layers import _bilinear, _in_parts, by_products


def test_torchvision_reads_the_same_digits(tmp_path):
    """Image by image, scaled by its own transforms, equal to the package's up to one rounding of float32."""
    theirs, (images, labels) = torchvision_mnist(str(tmp_path)), gu.load_mnist("train")
    assert len(theirs) == len(images)
    for i in (0, 1, 777, 59_999):
        x, y = theirs[i]
        torch.testing.assert_close(x, images[i], rtol=0, atol=2e-7)
        assert y == int(labels[i])


@pytest.mark.slow
def test_classic_loop_is_the_classic_pair_for_whole_epochs():
    """One epoch of 60,000 in batches of 64 is 938 updates, the last batch short; the networks count as ours do."""
    seen = []
    G, seconds, steps = classic_loop(1, after_epoch=lambda *epoch: seen.append(epoch))
    assert steps == 938 and seconds > 0 and [e for e, _, _ in seen] == [1]
    assert gu.count_parameters(G) == gu.count_parameters(gu.classic_generator())
    assert gu.frechet_digits(G(torch.randn(500, 100)).detach().view(-1, 1, 28, 28)) < 400  # noise scores above 900


def test_reach_stops_at_the_first_score_below_the_target():
    steps, seconds, distance = reach(1e9, seed=0)
    assert steps == 10 and seconds > 0 and distance <= 1e9


def test_recorded_figures_are_whole():
    """What the chapter quotes: 20 epochs of 938 updates, one distance an epoch, and the command."""
    record = gu.recorded("classic-mnist-loop")
    assert record["steps"] == 20 * 938
    assert record["epochs"] == list(range(1, 21)) and len(record["frechet"]) == 20
    assert record["command"].split()[-1] in BENCHMARKS
    with pytest.raises(ValueError, match="no figures called 'nothing'"):
        gu.recorded("nothing")


def test_steps_on_cuda_are_those_of_the_page():
    """Chapter 11's record and the book's page have one source."""
    steps = {row["name"]: row for row in page.newest(recorded_rows()) if row["benchmark"] == "graphs"}
    for row in gu.recorded("steps-on-cuda")["steps"]:
        assert {key: steps[row["name"]][key] for key in row} == row


def recorded_rows() -> list[dict]:
    return [json.loads(line) for line in page.RESULTS.read_text(encoding="utf-8").splitlines()]


def test_the_page_is_what_the_figures_make_of_it():
    assert page.text(page.newest(recorded_rows())) == page.PAGE.read_text(encoding="utf-8")
    assert {row["benchmark"] for row in recorded_rows()} <= page.SECTIONS.keys() == BENCHMARKS.keys()


def test_of_one_figure_the_last_counts_and_a_missing_one_is_blank():
    rows = [{"benchmark": "b", "machine": "m", "name": name, **more}
            for name, more in (("x", {"ms": 1.0}), ("y", {"n": 1234}), ("x", {"ms": 2.5}))]
    assert page.table(page.newest(rows)).splitlines()[2:] == ["| x | 2.5 |  |", "| y |  | 1,234 |"]


def test_matrix_products_are_those_of_the_step():
    """Multiplications: G has 246,272 weights, D 233,600, their first layers 12,800 and 200,704; the batch is 64.

    D step: 64 G + 128 (3 D - first D); G step: 64 (3 G - first G) + 64 (2 D).
    """
    G, D, first_g, first_d = 246_272, 233_600, 12_800, 200_704
    expected = 64 * G + 128 * (3 * D - first_d) + 64 * (3 * G - first_g) + 64 * 2 * D
    factors = [operands[-2:] for _, operands in mlp_products()]
    assert sum(a.shape[0] * a.shape[1] * b.shape[1] for a, b in factors) == expected
    assert gu.count_parameters(gu.classic_generator()) - (128 + 256 + 784) == G


def test_course_networks_are_the_published_ones():
    """64 -> 3x3 -> 6x6 -> 13x13 -> 28x28 and 28 -> 13 -> 5 -> 1; widths 256-128-64-1 and 64-128-1."""
    G, D = course_pair()
    x, sizes = torch.randn(2, 64), []
    for layer in G:
        x = layer(x)
        if isinstance(layer, torch.nn.ConvTranspose2d):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(256, 3, 3), (128, 6, 6), (64, 13, 13), (1, 28, 28)]
    assert D(x).shape == (2, 1)


@pytest.mark.slow
def test_both_wgan_loops_move_the_critic_each_time_and_g_each_fifth():
    """The baseline yields G: it is the same through five critic updates and another in the sixth; ours runs beside."""
    loop = course_steps()
    weights = [next(loop)[1].weight.detach().clone() for _ in range(6)]
    assert all(torch.equal(weights[0], w) for w in weights[1:5]) and not torch.equal(weights[0], weights[5])
    figures = side_by_side(iter(range(100)), our_course_steps(bf16=False), block=1, repeats=2)
    assert figures["ours"] > 0 and figures["range"][0] <= figures["ratio"] <= figures["range"][1]


def test_stacked_modes_are_read_and_counted():
    """Three channels 0..9 make the mode 100 c + 10 b + a; of 1,000 modes, one with two of 4 hits and two with one each.

    Shares 1/2, 1/4, 1/4: the reverse KL to even shares is log 1000 - 1.5 log 2.
    """
    images, labels = gu.load_mnist("train")
    first = [images[labels == k][:1] for k in (3, 0, 7)]
    assert stacked_mnist.read(torch.cat(first, dim=1)).tolist() == [703]
    found = stacked_mnist.count(torch.tensor([703, 703, 5, 0]), 1000)
    assert (found["one_hit"], found["modes"]) == (3, 3)
    assert found["reverse_kl"] == pytest.approx(math.log(1000) - 1.5 * math.log(2))
    lucky = torch.cat([torch.arange(500).repeat(52), torch.tensor([999])])  # 2.6 hits are a tenth of an even share
    assert stacked_mnist.count(lucky, 1000)["one_hit"] == 501 and stacked_mnist.count(lucky, 1000)["modes"] == 500


def test_stacked_record_is_of_its_program():
    """Every run as the program has it, measured to the same step, and real digits cover all modes."""
    record = gu.recorded("stacked-mnist")
    assert record["ways"] == stacked_mnist.WAYS and record["samples"] == stacked_mnist.SAMPLES
    assert record["held_out"]["modes"] == record["total"] == 1000
    assert len({curve[-1]["step"] for curve in record["curves"].values()}) == 1
    assert "benchmarks.stacked_mnist" in record["command"]


@pytest.mark.parametrize("way", stacked_mnist.WAYS)
def test_stacked_pairs_take_a_step(way):
    images = gu.load_mnist("test")[0][:200]
    run = stacked_mnist.Way(**stacked_mnist.WAYS[way])
    before = run.G[0].weight.detach().clone()
    run.go(images, 1)
    assert run.steps == 1 and not torch.equal(before, run.G[0].weight)
    with gu.evaluating(run.G):
        assert run.G(run.noise(2)).shape == (2, 3, 28, 28)


def test_second_derivatives_written_out_are_those_of_autograd():
    """Loss and penalty of the course's critic, in double precision: equal gradients in either way."""
    torch.manual_seed(0)
    _, plain = course_pair()
    plain = plain.double()
    written = by_products(copy.deepcopy(plain))
    real, fake = torch.randn(2, 6, 1, 28, 28, dtype=torch.float64, generator=gu.seeded(0))
    for critic in (plain, written):
        penalty = gu.gradient_penalty(critic, real, fake, generator=gu.seeded(1))
        (critic(real).mean() - critic(fake).square().mean() + 10 * penalty).backward()
    for (name, p), q in zip(plain.named_parameters(), written.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-9, atol=1e-10, msg=name)
        assert p.grad.abs().max() > 0


KINDS = [(nn.Conv2d, 1), (nn.Conv2d, 2), (nn.ConvTranspose2d, 2)]


@pytest.mark.parametrize("most", [4, 6])
@pytest.mark.parametrize(("m", "r"), [(m, r) for m in range(2, 6) for r in range(2, 8 - m)])
def test_a_filter_by_products_of_values(m, r, most):
    """By the definition of a filter, to rounding; what is applied to activations is exact in bfloat16."""
    back, by_weights, by_input = matrices = _in_parts(m, r, most)
    x = torch.randn(m + r - 1, dtype=torch.float64, generator=gu.seeded(m))
    g = torch.randn(r, dtype=torch.float64, generator=gu.seeded(r))
    torch.testing.assert_close(back @ ((by_weights @ g) * (by_input @ x)), x.unfold(0, r, 1) @ g)
    assert len(by_input) == m + r - 1 if m + r - 1 <= most else len(by_input) < m * r
    for matrix, half in zip(matrices, _bilinear(m, r, torch.bfloat16) if most == 4 else (), strict=False):
        torch.testing.assert_close(half, torch.kron(matrix, matrix).bfloat16())
        assert matrix is by_weights or torch.equal(half.double(), torch.kron(matrix, matrix))


@pytest.mark.parametrize(("kernel", "stride", "side"), [
    (3, 2, 1), (4, 1, 3), (2, 1, 2), (2, 1, 6), (3, 2, 6), (2, 3, 4), (4, 2, 5),
])
@pytest.mark.parametrize(("kind", "channels"), KINDS)
def test_convolutions_by_products_are_torchs_own(kind, channels, kernel, stride, side):
    """Values, gradients and second derivatives, in double precision; a rim that no patch reaches has gradient 0."""
    torch.manual_seed(0)
    layer = kind(channels, 3, kernel, stride).double()
    side = side if kind is nn.ConvTranspose2d else (side - 1) * stride + kernel + stride - 1
    x = torch.randn(2, channels, side, side, dtype=torch.float64, requires_grad=True)
    wanted = layer(x).detach()
    ours = by_products(nn.Sequential(copy.deepcopy(layer)))
    assert type(ours[1]) is not kind and torch.autograd.gradcheck(ours, x) and torch.autograd.gradgradcheck(ours, x)
    torch.testing.assert_close(ours(x), wanted)
    for network in (layer, ours):
        (slope,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
        slope.pow(3).sum().backward()
    for p, q in zip(layer.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad)


@pytest.mark.parametrize(("kind", "channels"), KINDS)
def test_in_bfloat16_they_are_right_to_its_eight_bits(kind, channels):
    """Values and both slopes against float32: a sum of 16 channels by 16 places errs by a few units of 2^-8."""
    torch.manual_seed(0)
    layer = kind(channels, 16, 4, 2)
    x, results = torch.randn(4, channels, 10, 10), []
    for network, half in ((layer, False), (by_products(nn.Sequential(copy.deepcopy(layer))), True)):
        given = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = network(given)
        y.float().square().sum().backward()
        results.append([y.detach().float(), given.grad, *(p.grad for p in network.parameters())])
        assert y.dtype == (torch.bfloat16 if half else torch.float32)
    for wanted, found in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.02 * float(wanted.abs().max()))
