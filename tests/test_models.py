"""Networks: shapes, sizes known from arithmetic, initial law, no dependence between samples where none may be."""

import functools
import math

import pytest
import torch
from torch import nn

import gan_utils as gu
from gan_utils import models

BUILDERS = {
    "classic_generator": (gu.classic_generator, (5, 100), (5, 1, 28, 28)),
    "classic_discriminator": (gu.classic_discriminator, (5, 1, 28, 28), (5, 1)),
    "conv_generator": (gu.conv_generator, (5, 64), (5, 1, 28, 28)),
    "conv_discriminator": (gu.conv_discriminator, (5, 1, 28, 28), (5, 1)),
}
PAIRS = {
    "conditional_generator": (gu.conditional_generator, (5, 64), (5, 1, 28, 28)),
    "conditional_discriminator": (gu.conditional_discriminator, (5, 1, 28, 28), (5, 1)),
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
        assert 0.01 < float(out.detach().std()) < 0.9
        net[-2 if name == "classic_generator" else -1].register_forward_pre_hook(lambda _, h: 1e3 * h[0])
        out = net(torch.randn(shape_in, generator=stream, device=device))
        assert out.min() < -0.99 and out.max() > 0.99, "it reaches both ends of the data's range"


@pytest.mark.parametrize("name", PAIRS)
def test_conditional_pairs_listen_to_their_class(name, device, stream):
    """Shapes; another class gives another output."""
    build, shape_in, shape_out = PAIRS[name]
    net = build(generator=gu.seeded(0)).to(device).eval()
    x = torch.randn(shape_in, generator=stream, device=device)
    a, b = (net(x, torch.full((5,), k, device=device)) for k in (2, 7))
    assert a.shape == b.shape == shape_out
    assert not torch.allclose(a, b)


def test_parameter_counts_by_arithmetic():
    """Classic G: 100*128+128 + 128*256+256 + 256*784+784; D: 784*256+256 + 256*128+128 + 128+1.

    Conv G: 64*3136 + 2*64 + 64*32*16 + 2*32 + 32*16+1; D: 16*16+16 + 16*32*16+32 +
    32*64*9+64 + 1024*128+128 + 129.
    """
    assert gu.count_parameters(gu.classic_generator()) == 247_440
    assert gu.count_parameters(gu.classic_discriminator()) == 233_985
    assert gu.count_parameters(gu.conv_generator()) == 64 * 3136 + 128 + 64 * 32 * 16 + 64 + 513
    assert gu.count_parameters(gu.conv_discriminator()) == 272 + 8224 + 18_496 + 131_200 + 129
    assert gu.count_parameters(gu.conv_generator().requires_grad_(False)) == 0, "what a module learns"


@pytest.mark.parametrize("build", [gu.classic_discriminator, gu.conv_discriminator])
def test_discriminators_score_each_sample_alone(build):
    """No BatchNorm, no sigmoid: the score of one image is that in any batch, and it is not bounded to (0, 1)."""
    D = build(generator=gu.seeded(0))
    x = torch.rand(6, 1, 28, 28, generator=gu.seeded(1)) * 2 - 1
    torch.testing.assert_close(D(x)[:1], D(x[:1]), rtol=1e-4, atol=1e-6)
    assert float(D(1e4 * x).detach().abs().max()) > 1


@pytest.mark.parametrize("name", BUILDERS)
def test_initial_law_is_pytorchs_own(name):
    """U(-b, b), b = 1/sqrt(fan_in): |w| <= b and variance b^2 / 3, as torch's own layers; from the stream."""
    build = BUILDERS[name][0]
    ours, theirs = build(generator=gu.seeded(0)), build()
    pairs = zip(ours.modules(), theirs.modules(), strict=True)
    for mine, torchs in ((a, b) for a, b in pairs if isinstance(a, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))):
        bound = 1 / math.sqrt(nn.init._calculate_fan_in_and_fan_out(mine.weight)[0])
        assert float(mine.weight.detach().abs().max()) <= bound
        if mine.weight.numel() > 1000:
            assert float(mine.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
            assert float(torchs.weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    again = build(generator=gu.seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))


def test_a_mapping_network_hands_on_the_scale_of_the_noise():
    """Linear weights of variance 2 / (1.04 fan_in) under LeakyReLU(.2) keep E h^2 = 1; PyTorch's makes it .04."""
    G = gu.conv_generator(64, mapping=[128, 96], width=4, generator=gu.seeded(0))
    h = G[:4](gu.gaussian_noise(4000, 64, generator=gu.seeded(1)))
    assert h.shape == (4000, 96) and float(h.square().mean()) == pytest.approx(1, abs=0.25)
    assert G[1].negative_slope == G[3].negative_slope == 0.2
    assert G(torch.zeros(2, 64)).shape == (2, 1, 28, 28)
    again = gu.conv_generator(64, mapping=(128, 96), width=4, generator=gu.seeded(0))
    assert all(torch.equal(a, b) for a, b in zip(G.parameters(), again.parameters(), strict=True))


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
        (lambda: gu.conv_generator(mapping=[64, 0]), "each width of mapping must be a whole number, 1 or more; got 0"),
        (lambda: gu.conv_generator(width=0), "width must be a whole number, 1 or more; got 0"),
        (lambda: gu.conv_discriminator(width=-1), "width must be a whole number"),
        (lambda: gu.ConditionalGenerator(nn.Identity(), 1), "classes must be a whole number, 2 or more; got 1"),
        (lambda: gu.ConditionalDiscriminator(nn.Identity(), 1), "classes must be a whole number, 2 or more; got 1"),
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


# ------------------------------------------------------------------ packing, minibatch standard deviation, classes

def test_pack_joins_neighbours_along_the_channels():
    """(4, 2): rows (0, 1), (2, 3), (4, 5), (6, 7) become (0, 1, 2, 3), (4, 5, 6, 7); images keep their sides."""
    x = torch.arange(8.0).view(4, 2)
    assert gu.Pack(2)(x).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    images = torch.randn(6, 1, 28, 28, generator=gu.seeded(0))
    packed = gu.Pack(3)(images)
    assert packed.shape == (2, 3, 28, 28)
    assert torch.equal(packed[1, 2], images[5, 0])
    assert torch.equal(gu.Pack(1)(images), images)
    with pytest.raises(ValueError, match="6 samples cannot be packed by 4"):
        gu.Pack(4)(images)


def test_conditional_pairs_are_as_wide_as_asked():
    """Ten classes beside a code of 16 are a conv_generator of 26; 5 clusters pick with one number: 17 - 1 + 5 = 21.

    D's last layer, 129 numbers, is its head; beside it stand ten vectors of 128.
    """
    count = gu.count_parameters
    assert count(gu.conditional_generator(16, width=4)) == count(gu.conv_generator(26, width=4))
    assert count(gu.clustered_generator(17, clusters=5, width=4)) == count(gu.conv_generator(21, width=4))
    assert count(gu.conditional_discriminator(width=4)) == count(gu.conv_discriminator(width=4)) + 1280


def test_slopes_below_zero_are_those_of_the_papers():
    """.2 in every LeakyReLU (Radford et al. 2016, section 3)."""
    pairs = gu.toy_generator(), gu.toy_discriminator(), gu.classic_generator(), gu.classic_discriminator()
    for network in (*pairs, gu.conv_generator(mapping=(8,)), gu.conv_discriminator()):
        slopes = {part.negative_slope for part in network.modules() if isinstance(part, nn.LeakyReLU)}
        assert slopes <= {0.2}, network


def test_minibatch_std_by_hand():
    """Group (0, 0), (2, 4): population deviations 1 and 2, mean 1.5; a group of equals has 0 (1e-4, from the root)."""
    h = torch.tensor([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0], [5.0, 5.0]])
    out = gu.MinibatchStd(group=2)(h)
    assert torch.equal(out[:, :2], h)
    assert out[:, 2].tolist() == pytest.approx([1.5, 1.5, 1e-4, 1e-4], abs=1e-6)


def test_minibatch_std_fills_a_plane_and_keeps_real_and_fake_apart():
    """The number of the first group does not change with the second; it fills its plane; its slope is finite."""
    h = torch.randn(8, 3, 4, 4, generator=gu.seeded(0), requires_grad=True)
    layer = gu.MinibatchStd(group=4)
    out = layer(h)
    assert out.shape == (8, 4, 4, 4)
    expected = h[:4].var(dim=0, correction=0).sqrt().mean()
    torch.testing.assert_close(out[:4, 3], expected.expand(4, 4, 4))
    moved = torch.cat([h[:4], 3 * h[4:]])
    torch.testing.assert_close(layer(moved)[:4], out[:4])
    layer(torch.zeros(4, 2, requires_grad=True)).sum().backward()
    (slope,) = torch.autograd.grad(layer(h * 0).sum(), h)
    assert torch.isfinite(slope).all()
    with pytest.raises(ValueError, match="6 samples do not make groups of 4"):
        layer(h[:6])


def test_classes_are_joined_as_one_hot_and_as_planes():
    """Class 2 of 3 beside a code of 2, times 5; beside an image, plane 2 is 1 and the others 0."""
    z, y = torch.tensor([[7.0, 8.0], [9.0, 6.0]]), torch.tensor([2, 0])
    assert gu.join_one_hot(z, y, 3, scale=5.0).tolist() == [[7, 8, 0, 0, 5], [9, 6, 5, 0, 0]]
    assert gu.join_one_hot(z, y, 3).tolist() == [[7, 8, 0, 0, 1], [9, 6, 1, 0, 0]]
    x = torch.full((2, 1, 3, 4), -1.0)
    planes = gu.join_class_planes(x, y, 3)
    assert planes.shape == (2, 4, 3, 4)
    assert planes[:, :, 1, 2].tolist() == [[-1, 0, 0, 1], [-1, 1, 0, 0]]
    assert torch.equal(planes, planes[:, :, :1, :1].expand_as(planes))


@pytest.mark.parametrize("y", [torch.zeros(3, dtype=torch.int64), torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64)])
def test_labels_of_the_wrong_kind_are_refused(y):
    for join, x in ((gu.join_one_hot, torch.zeros(2, 5)), (gu.join_class_planes, torch.zeros(2, 1, 4, 4))):
        with pytest.raises(ValueError, match=r"labels have shape .*; need \(2,\), torch.int64"):
            join(x, y, 10)


@pytest.mark.parametrize("embedding_dim", [None, 6])
def test_conditional_generator_gives_the_body_code_and_class(embedding_dim):
    """Body = identity: what it gets is the code, then scale times the one-hot or the class's own vector."""
    G = gu.ConditionalGenerator(nn.Identity(), 10, scale=2.0, embedding_dim=embedding_dim, generator=gu.seeded(0))
    z, y = torch.randn(4, 5, generator=gu.seeded(1)), torch.tensor([3, 3, 0, 9])
    out = G(z, y)
    rows = torch.eye(10) if embedding_dim is None else G.embedding.weight
    torch.testing.assert_close(out, torch.cat([z, 2.0 * rows[y]], dim=1))
    # two classes are the fewest, and the size is 1 unless told
    G = gu.ConditionalGenerator(nn.Identity(), 2, embedding_dim=embedding_dim, generator=gu.seeded(0))
    rows = torch.eye(2) if embedding_dim is None else G.embedding.weight
    torch.testing.assert_close(G(z[:2], y[:2] - 2), torch.cat([z[:2], rows[[1, 1]]], dim=1))


def test_projection_discriminator_by_hand():
    """head(h) + h . v_y with h = the flattened image: linear in h, with slope w + v_y for class y."""
    D = gu.ProjectionDiscriminator(nn.Flatten(), 10, width=784, generator=gu.seeded(0))
    x = torch.randn(3, 1, 28, 28, generator=gu.seeded(1))
    y = torch.tensor([0, 4, 9])
    h = x.flatten(1)
    expected = h @ D.head.weight[0] + D.head.bias + torch.stack([h[i] @ D.embedding.weight[y[i]] for i in range(3)])
    torch.testing.assert_close(D(x, y)[:, 0], expected)


@pytest.mark.parametrize("width", [16, 400])
def test_class_vectors_are_about_as_long_as_one_and_come_from_the_stream(width):
    """N(0, 1 / width) in each entry: E|v|^2 = 1, standard error sqrt(2 / (200 width)) over 200 classes; 5 of them."""
    D, twin = (
        gu.ProjectionDiscriminator(nn.Flatten(), 200, width=width, generator=gu.seeded(5)) for _ in range(2)
    )
    lengths = D.embedding.weight.detach().square().sum(dim=1)
    assert float(lengths.mean()) == pytest.approx(1.0, abs=5 * math.sqrt(2 / (200 * width)))
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in D.state_dict().items())


@pytest.mark.parametrize("build", [gu.conditional_generator, gu.conditional_discriminator,
                                   functools.partial(gu.clustered_generator, clusters=3)])
def test_conditional_networks_are_drawn_from_their_stream(build):
    """Equal seeds, equal weights, class vectors included; another seed, others in every weight."""
    first, again, other = (list(build(generator=gu.seeded(seed)).parameters()) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1)


def test_conditional_discriminator_shows_its_body_the_planes():
    D = gu.ConditionalDiscriminator(nn.Identity(), 10)
    x, y = torch.randn(2, 1, 28, 28, generator=gu.seeded(1)), torch.tensor([7, 0])
    assert torch.equal(D(x, y), gu.join_class_planes(x, y, 10))


def test_the_last_number_of_z_picks_the_cluster_by_its_share():
    """Shares .1, .6, .3 of a normal number: below its quantiles .1 and .7, -1.2816 and .5244, and above."""
    G = gu.clustered_generator(5, clusters=3, width=4, generator=gu.seeded(0)).eval()
    G.shares.copy_(torch.tensor([0.1, 0.6, 0.3]))
    z = torch.zeros(6, 5)
    z[:, -1] = torch.tensor([-9, -1.29, -1.27, 0.52, 0.53, 9.0])
    assert G.cluster(z).tolist() == [0, 0, 1, 1, 2, 2]
    drawn = G.cluster(gu.gaussian_noise(10_000, 5, generator=gu.seeded(0))).bincount(minlength=3) / 10_000
    torch.testing.assert_close(drawn, G.shares, rtol=0, atol=0.02)  # four standard errors


def test_a_cluster_given_stands_in_for_the_last_number():
    """G(z, y) knows nothing of z's last number; G(z) is G(z, the cluster of z), and makes another image in another."""
    G = gu.clustered_generator(5, clusters=3, width=4, generator=gu.seeded(0)).eval()
    z, y = gu.gaussian_noise(8, 5, generator=gu.seeded(1)), torch.arange(8) % 3
    moved = torch.cat([z[:, :-1], -z[:, -1:]], dim=1)
    assert torch.equal(G(z, y), G(moved, y))
    assert torch.equal(G(z), G(z, G.cluster(z)))
    assert not torch.allclose(G(z, y), G(z, (y + 1) % 3))
    with pytest.raises(ValueError, match="clusters must be a whole number, 2 or more"):
        gu.clustered_generator(5, clusters=1)


@pytest.mark.parametrize("ours, torchs, shape", [
    (models.ToOneChannel(3, 1, 4, stride=2, padding=1), nn.functional.conv_transpose2d, (2, 3, 5, 4)),
    (models.ToOneChannel(2, 1, 3, stride=1, bias=False), nn.functional.conv_transpose2d, (2, 2, 3, 3)),
    (models.FromOneChannel(1, 3, 4, stride=2, padding=1), nn.functional.conv2d, (2, 1, 10, 8)),
    (models.FromOneChannel(1, 2, 4, stride=3, padding=1), nn.functional.conv2d, (2, 1, 7, 9)),
    (models.FromOneChannel(1, 2, 3, padding=1, bias=False), nn.functional.conv2d, (2, 1, 4, 5))])
def test_layers_of_one_channel_are_torchs_own(ours, torchs, shape, device, stream):
    """Value, first and second derivative, by torch's own and by finite differences, in double precision."""
    x = torch.randn(shape, generator=stream, device=device, dtype=torch.float64, requires_grad=True)
    given = [x, *(p.detach().to(x).requires_grad_() for p in ours.parameters())]
    names = [name for name, _ in ours.named_parameters()]

    def mine(x, *weights):
        return torch.func.functional_call(ours, dict(zip(names, weights, strict=True)), x)

    def theirs(x, weight, bias=None):
        return torchs(x, weight, bias, ours.stride, ours.padding)

    torch.testing.assert_close(mine(*given), theirs(*given))
    assert torch.autograd.gradcheck(mine, given) and torch.autograd.gradgradcheck(mine, given)
    assert str(ours).split("(")[0] == type(ours).__bases__[0].__name__, "the chapters print what it stands for"


def test_layers_of_one_channel_leave_autocast_to_torch():
    x = torch.randn(2, 1, 28, 28, generator=gu.seeded(0), requires_grad=True)
    G, D = gu.conv_generator(generator=gu.seeded(1)), gu.conv_discriminator(generator=gu.seeded(2))
    with torch.autocast("cpu", torch.bfloat16):
        assert G(x.new_ones(2, 64)).dtype == D(x).dtype == torch.bfloat16
        D(x).sum().backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0
