"""Networks: shapes, sizes known from arithmetic, initial law, no dependence between samples where none may be."""

import math

import pytest
import torch
from torch import nn

import gan_utils as gu

BUILDERS = {
    "classic_generator": (gu.classic_generator, (5, 100), (5, 1, 28, 28)),
    "classic_discriminator": (gu.classic_discriminator, (5, 1, 28, 28), (5, 1)),
    "conv_generator": (gu.conv_generator, (5, 64), (5, 1, 28, 28)),
    "conv_discriminator": (gu.conv_discriminator, (5, 1, 28, 28), (5, 1)),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_shapes_and_ranges(name, device, stream):
    build, shape_in, shape_out = BUILDERS[name]
    net = build(generator=gu.seeded(0)).to(device)
    out = net(torch.randn(shape_in, generator=stream, device=device))
    assert out.shape == shape_out
    if "generator" in name:
        assert out.abs().max() <= 1
        # at the start the pictures are neither flat nor saturated
        assert 0.01 < float(out.std()) < 0.9


def test_parameter_counts_by_arithmetic():
    """Classic G: 100*128+128 + 128*256+256 + 256*784+784; D: 784*256+256 + 256*128+128 + 128+1.

    Conv G: 64*3136 + 2*64 + 64*32*16 + 2*32 + 32*16+1; D: 16*16+16 + 16*32*16+32 +
    32*64*9+64 + 1024*128+128 + 129.
    """
    assert gu.count_parameters(gu.classic_generator()) == 247_440
    assert gu.count_parameters(gu.classic_discriminator()) == 233_985
    assert gu.count_parameters(gu.conv_generator()) == 64 * 3136 + 128 + 64 * 32 * 16 + 64 + 513
    assert gu.count_parameters(gu.conv_discriminator()) == 272 + 8224 + 18_496 + 131_200 + 129


@pytest.mark.parametrize("build", [gu.classic_discriminator, gu.conv_discriminator])
def test_discriminators_score_each_sample_alone(build):
    """No BatchNorm, no sigmoid: the score of one image is that in any batch, and it is not bounded to (0, 1)."""
    D = build(generator=gu.seeded(0))
    x = torch.rand(6, 1, 28, 28, generator=gu.seeded(1)) * 2 - 1
    torch.testing.assert_close(D(x)[:1], D(x[:1]), rtol=1e-4, atol=1e-6)
    assert float(D(1e4 * x).abs().max()) > 1


@pytest.mark.parametrize("name", BUILDERS)
def test_initial_law_is_pytorchs_own(name):
    """U(-b, b), b = 1/sqrt(fan_in): |w| <= b and variance b^2 / 3, as torch's own layers; from the stream."""
    build = BUILDERS[name][0]
    ours, theirs = build(generator=gu.seeded(0)), build()
    pairs = zip(ours.modules(), theirs.modules(), strict=True)
    for mine, torchs in ((a, b) for a, b in pairs if isinstance(a, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))):
        bound = 1 / math.sqrt(nn.init._calculate_fan_in_and_fan_out(mine.weight)[0])
        assert float(mine.weight.abs().max()) <= bound
        if mine.weight.numel() > 1000:
            assert float(mine.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
            assert float(torchs.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    again = build(generator=gu.seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_batchnorm_starts_at_scale_one():
    """Scale 1 and shift 0, eps 1e-5, momentum .1: a second positional argument would have set eps."""
    norms = [m for m in gu.conv_generator(generator=gu.seeded(0)) if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 2
    for norm in norms:
        assert (norm.eps, norm.momentum) == (1e-5, 0.1)
        assert norm.weight.eq(1).all() and norm.bias.eq(0).all()


def test_mlp_by_hand():
    """x -> W2 leaky(W1 x + b1) + b2, computed with matrices."""
    net = gu.mlp([3, 4, 2], generator=gu.seeded(0))
    x = torch.randn(5, 3, generator=gu.seeded(1))
    first, _, last = net
    h = x @ first.weight.T + first.bias
    h = torch.where(h > 0, h, 0.2 * h)
    torch.testing.assert_close(net(x), h @ last.weight.T + last.bias)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gu.mlp([3]), r"an input and an output, got \[3\]"),
        (lambda: gu.mlp([3, 0]), "each size must be a whole number"),
        (lambda: gu.conv_generator(latent_dim=0), "latent_dim must be a whole number, 1 or more; got 0"),
        (lambda: gu.conv_discriminator(width=-1), "width must be a whole number"),
    ],
)
def test_bad_sizes(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_classifier_is_linear_in_its_features():
    net = gu.DigitClassifier(generator=gu.seeded(0)).eval()
    x = torch.rand(3, 1, 28, 28, generator=gu.seeded(1)) * 2 - 1
    assert net.features(x).shape == (3, 64)
    torch.testing.assert_close(net(x), net.head[1](net.features(x)))
