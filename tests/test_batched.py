"""Seeds side by side are the same runs as one after another: same weights, same batches, same steps."""

import copy
import functools

import pytest
import torch
from torch import nn

import gan_utils as gu
from gan_utils import batched

SEEDS, BATCH, LATENT, WIDTH = 3, 8, 2, 6
LOSSES = ["non_saturating", "minimax", "least_squares", "hinge", "wasserstein"]
# both sides add the same float64 numbers in another order; 1e-9 leaves room for Adam's division by small roots
close = functools.partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def networks(*, packing=1, group=0):
    """SEEDS generators and discriminators in float64, all weights different."""
    def one_d(seed):
        layers = list(gu.mlp([2 * packing, WIDTH, WIDTH, 1], generator=gu.seeded(100 + seed)))
        if group:
            layers[2] = gu.mlp([WIDTH + 1, WIDTH], generator=gu.seeded(200 + seed))[0]
            layers.insert(2, gu.MinibatchStd(group))
        return nn.Sequential(*layers).double()

    def one_g(seed):
        G = gu.toy_generator(LATENT, data_dim=2, width=WIDTH, generator=gu.seeded(seed))
        return nn.Sequential(G, gu.Pack(packing)).double()

    return [one_g(seed) for seed in range(SEEDS)], [one_d(seed) for seed in range(SEEDS)]


def adam(module, lr=1e-2):
    return torch.optim.Adam(module.parameters(), lr=lr, betas=(0.5, 0.9))


def draw(n, stream):
    return torch.randn(SEEDS, n, 2, generator=stream, dtype=torch.float64, device=stream.device)


def assert_equal_runs(loss, *, packing=1, group=0, penalty=None, one_penalty=None, limit=None, steps=4, device="cpu"):
    """`steps` steps of every seed, alone and side by side, end in the same weights and the same averages."""
    Gs, Ds = ([one.to(device) for one in ones] for ones in networks(packing=packing, group=group))
    G, D = batched.side_by_side(Gs), batched.side_by_side(Ds)
    opts, opts_alone = (adam(G), adam(D)), [(adam(g), adam(d)) for g, d in zip(Gs, Ds, strict=True)]
    average, alone = gu.ExponentialAverage(G), [gu.ExponentialAverage(g) for g in Gs]
    stream = gu.seeded(7, device)
    for step in range(steps):
        x, z, z2 = batched.PerSeed(gu.Pack(packing))(draw(BATCH, stream) + 1), draw(BATCH, stream), draw(BATCH, stream)
        lr = 1e-2 / (1 + step)  # a schedule sets the one optimiser's rate
        for opt in (*opts, *(o for pair in opts_alone for o in pair)):
            opt.param_groups[0]["lr"] = lr
        d_loss = batched.d_step(G, D, opts[1], x, z, loss, penalty and functools.partial(penalty, D, step))["d_loss"]
        if limit:
            gu.clip_weights(D, limit)
        g_loss = batched.g_step(G, D, opts[0], z2, loss)["g_loss"]
        average.update(G)
        separate = []
        for s, (one_g, one_d) in enumerate(zip(Gs, Ds, strict=True)):
            own = one_penalty and functools.partial(one_penalty, one_d, step, s)
            one = gu.d_step(one_g, one_d, opts_alone[s][1], x[s], z[s], loss, own)
            if limit:
                gu.clip_weights(one_d, limit)
            separate.append(one | gu.g_step(one_g, one_d, opts_alone[s][0], z2[s], loss))
            alone[s].update(one_g)
        close(d_loss, torch.stack([one["d_loss"] for one in separate]).median())
        close(g_loss, torch.stack([one["g_loss"] for one in separate]).median())
    for s in range(SEEDS):
        for together, one in ((G, Gs[s]), (D, Ds[s]), (average.module, alone[s].module)):
            close(batched.network(together, s).state_dict(), one.state_dict())
    assert not torch.allclose(Gs[0][0][0].weight, Gs[1][0][0].weight, atol=0.01)  # the seeds do differ


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss(name):
    assert_equal_runs(getattr(gu, name))


@pytest.mark.parametrize("packing", [2, 4])
def test_packing(packing):
    assert_equal_runs(gu.non_saturating, packing=packing)


def test_minibatch_deviation():
    assert_equal_runs(gu.non_saturating, group=4)


@pytest.mark.parametrize("options", [{}, {"packing": 2}, {"group": 4}])
def test_r1(options, device):
    assert_equal_runs(
        gu.non_saturating,
        device=device,
        penalty=lambda D, step, x, fake: 0.3 * batched.r1_penalty(D, x),
        one_penalty=lambda D, step, s, x, fake: 0.3 * gu.r1_penalty(D, x),
        **options,
    )


@pytest.mark.parametrize("one_sided", [False, True])
@pytest.mark.parametrize("packing", [1, 2])
def test_gradient_penalty(one_sided, packing):
    """One draw of all places on the lines is the draws of the seeds one after another, from the same stream.

    So seed s alone gets a stream from which those of the seeds before it were taken.
    """
    def alone(D, step, s, x, fake):
        stream = gu.seeded(step)
        for _ in range(s):
            torch.rand(BATCH // packing, 1, generator=stream)
        return 10 * gu.gradient_penalty(D, x, fake, generator=stream, one_sided=one_sided)

    assert_equal_runs(
        gu.wasserstein,
        packing=packing,
        penalty=lambda D, step, x, fake: 10 * batched.gradient_penalty(
            D, x, fake, generator=gu.seeded(step), one_sided=one_sided),
        one_penalty=alone,
    )


def test_clipping():
    assert_equal_runs(gu.wasserstein, limit=0.05)


def test_the_classic_pair_of_images():
    """Flatten, Unflatten and tanh: what the fully connected pair on images is made of."""
    Gs = [gu.classic_generator(4, generator=gu.seeded(s)) for s in range(2)]
    Ds = [gu.classic_discriminator(generator=gu.seeded(s)) for s in range(2)]
    z = torch.randn(2, 3, 4, generator=gu.seeded(0))
    images = batched.side_by_side(Gs)(z)
    assert images.shape == (2, 3, 1, 28, 28)
    for s in range(2):
        torch.testing.assert_close(images[s], Gs[s](z[s]))
        torch.testing.assert_close(batched.side_by_side(Ds)(images)[s], Ds[s](images[s]))
        alone = batched.network(batched.side_by_side(Ds), s)  # with layers that take one batch again
        torch.testing.assert_close(alone(images[s]), Ds[s](images[s]))


def test_r1_of_linear_critics_is_their_squared_slope(device, stream):
    """D_s(x) = w_s . x has |grad|^2 = |w_s|^2 everywhere: 25, 1 and 0."""
    rows = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    critics = [gu.mlp([2, 1]) for _ in rows]
    for critic, row in zip(critics, rows, strict=True):
        critic[0].weight.data = row[None]
    D = batched.side_by_side(critics).to(device)
    x = torch.randn(3, 5, 2, generator=stream, device=device)
    torch.testing.assert_close(batched.r1_penalty(D, x), x.new_tensor([25.0, 1.0, 0.0]))
    # (|w| - 1)^2: 16, 0 and 1; one-sided, a slope below 1 is forgiven
    both = batched.gradient_penalty(D, x, x + 1, generator=stream)
    torch.testing.assert_close(both, x.new_tensor([16.0, 0.0, 1.0]))
    above = batched.gradient_penalty(D, x, x + 1, generator=stream, one_sided=True)
    torch.testing.assert_close(above, x.new_tensor([16.0, 0.0, 0.0]))


def test_penalties_of_images_take_the_slope_over_all_pixels():
    """D_s(x) = w_s . x over 2 x 2 pixels: |w|^2 = 25 and 1, (|w| - 1)^2 = 16 and 0."""
    rows = torch.tensor([[1.0, 2.0, 2.0, 4.0], [0.5, 0.5, 0.5, 0.5]])
    critics = [nn.Sequential(nn.Flatten(), gu.mlp([4, 1])) for _ in rows]
    for critic, row in zip(critics, rows, strict=True):
        critic[1][0].weight.data = row[None]
    D, x = batched.side_by_side(critics), torch.randn(2, 5, 1, 2, 2, generator=gu.seeded(0))
    torch.testing.assert_close(batched.r1_penalty(D, x), torch.tensor([25.0, 1.0]))
    slopes = batched.gradient_penalty(D, x, x + 1, generator=gu.seeded(0))
    torch.testing.assert_close(slopes, torch.tensor([16.0, 0.0]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("packing, group", [(1, 0), (2, 0), (1, 4)])
def test_a_seed_that_dies_leaves_the_others_bit_for_bit(packing, group):
    """Seed 1 starts with NaN; after five steps the others' weights are what they are without it, to the bit."""
    ends = []
    for poison in (False, True):
        Gs, Ds = networks(packing=packing, group=group)
        if poison:
            Gs[1][0][0].weight.data.fill_(torch.nan)
        G, D = batched.side_by_side(Gs), batched.side_by_side(Ds)
        opt_g, opt_d, stream = adam(G), adam(D), gu.seeded(3)
        pack = batched.PerSeed(gu.Pack(packing))
        for _ in range(5):
            d = batched.d_step(G, D, opt_d, pack(draw(BATCH, stream)), draw(BATCH, stream), gu.non_saturating,
                               lambda x, fake, D=D: batched.r1_penalty(D, x))
            g = batched.g_step(G, D, opt_g, draw(BATCH, stream), gu.non_saturating)
            assert torch.isfinite(d["d_loss"]) and torch.isfinite(g["g_loss"])  # medians of those that live
        assert batched.alive(G, D).tolist() == [True, not poison, True]
        ends.append([p.detach()[[0, 2]] for p in (*G.parameters(), *D.parameters())])
    for a, b in zip(*ends, strict=True):
        assert torch.equal(a, b)


def test_alive_names_weights_that_exploded():
    D = batched.side_by_side(networks()[1])
    assert batched.alive(D).all()
    with torch.no_grad():
        D[2].bias[2, 0, 0] = -2e5
    assert batched.alive(D).tolist() == [True, True, False]


def test_all_dead_is_an_end():
    """`fit` stops where no seed has a finite loss."""
    Gs, Ds = networks()
    for G in Gs:
        G[0][0].weight.data.fill_(torch.nan)
    G, D = batched.side_by_side(Gs), batched.side_by_side(Ds)
    opt_g, opt_d, x = adam(G), adam(D), draw(BATCH, gu.seeded(0))
    with pytest.raises(FloatingPointError, match="d_loss became nan at step 1"):
        gu.fit(lambda: batched.d_step(G, D, opt_d, x, x, gu.non_saturating),
               lambda: batched.g_step(G, D, opt_g, x, gu.non_saturating), steps=3, progress=False)


def test_one_network_moves_and_the_other_stays():
    Gs, Ds = networks()
    G, D = batched.side_by_side(Gs), batched.side_by_side(Ds)
    x = draw(BATCH, gu.seeded(0))
    before = copy.deepcopy(G.state_dict())
    loss = batched.d_step(G, D, adam(D), x, x, gu.non_saturating)["d_loss"]
    assert not loss.requires_grad, "it would keep its graph"
    assert all(torch.equal(a, b) for a, b in zip(before.values(), G.state_dict().values(), strict=True))
    assert all(p.grad is None for p in G.parameters())
    before = copy.deepcopy(D.state_dict())
    D.zero_grad(set_to_none=True)
    batched.g_step(G, D, adam(G), x, gu.non_saturating)
    assert all(p.grad is None for p in D.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before.values(), D.state_dict().values(), strict=True))
    assert all(p.requires_grad for p in D.parameters())


def test_side_by_side_copies():
    """Training the batch leaves the networks that it was made of alone, and `network` gives a copy."""
    Gs, _ = networks()
    G = batched.side_by_side(Gs)
    with torch.no_grad():
        G[0][0].weight.add_(1)
    assert not torch.allclose(batched.network(G, 0)[0][0].weight, Gs[0][0][0].weight)
    batched.network(G, 1)[0][0].weight.data.zero_()
    assert G[0][0].weight[1].abs().min() > 0


@pytest.mark.parametrize("make, message", [
    (lambda: [], "no networks given"),
    (lambda: [gu.mlp([2, 3, 1]), gu.mlp([2, 4, 1])], "differ in their layers"),
    (lambda: [nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))], "BatchNorm1d cannot stand side by side: use Linear"),
    (lambda: [nn.Sequential(nn.Linear(2, 2, bias=False))], "Linear cannot stand .*with a bias"),
    (lambda: [nn.Sequential(nn.Flatten(0))], "Flatten cannot stand side by side"),
])
def test_what_cannot_stand_side_by_side(make, message):
    with pytest.raises(ValueError, match=message):
        batched.side_by_side(make())


def test_shapes_that_do_not_fit():
    Gs, Ds = networks(packing=2)
    G, D = batched.side_by_side(Gs), batched.side_by_side(Ds)
    with pytest.raises(ValueError, match=r"G makes \(3, 4, 4\), the data is \(3, 8, 2\): make them equal"):
        batched.d_step(G, D, adam(D), draw(8, gu.seeded(0)), draw(8, gu.seeded(0)), gu.non_saturating)


@pytest.mark.parametrize("layer, message", [(gu.Pack(2), "5 samples cannot be packed by 2"),
                                            (gu.MinibatchStd(2), "5 samples do not make groups of 2")])
def test_no_pack_and_no_group_joins_two_seeds(layer, message):
    """Five samples of each of two seeds make no pairs, though ten samples would."""
    beside = batched.side_by_side([nn.Sequential(layer)] * SEEDS)
    x = draw(4, gu.seeded(0))
    torch.testing.assert_close(beside(x), torch.stack([layer(own) for own in x]))
    with pytest.raises(ValueError, match=message):
        beside(draw(5, gu.seeded(0))[:2])


@pytest.mark.parametrize("layer", [nn.Softmax(dim=0), nn.Flatten(0), nn.Unflatten(0, (2, 2))])
def test_a_layer_that_would_mix_the_seeds_is_refused(layer):
    """A softmax over the batch, taken over all seeds' batches as one, would be wrong without a word."""
    with pytest.raises(ValueError, match=f"{type(layer).__name__} cannot stand side by side"):
        batched.PerSeed(layer)
