"""The two signs by hand, and runs that were made to fail in each of the three ways."""

import pytest
import torch
from torch import nn

import gan_utils as gu

EVEN = torch.tensor([[0.0], [1.0]])


def health(real, fake, real_logits, fake_logits):
    return gu.diagnose(real=real, fake=fake, real_logits=real_logits, fake_logits=fake_logits)


def test_separation_by_hand():
    """Real scores 1, 3 against fakes 0, 2, 3: of six pairs (1>0), (3>0), (3>2) win, (3=3) counts half: 3.5 / 6."""
    x = torch.randn(6, 2, generator=gu.seeded(0))
    found = health(x[:2], x[2:5], torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [2.0], [3.0]]))
    assert found.separation == pytest.approx(3.5 / 6)


def test_separation_is_a_rank():
    """The same for any rising function of the scores: logits, probabilities, a critic's output."""
    x, scores = torch.randn(50, 2, generator=gu.seeded(0)), torch.randn(100, 1, generator=gu.seeded(1))
    plain = health(x, x, scores[:50], scores[50:])
    bent = health(x, x, torch.sigmoid(scores[:50]), torch.sigmoid(scores[50:]))
    assert plain.separation == pytest.approx(bent.separation)
    turned = health(x, x, scores[50:], scores[:50])
    assert plain.separation + turned.separation == pytest.approx(1.0)


def test_spread_by_hand():
    """Neighbours (0, 3), (3, 0): mean distance 3; fakes at half the scale: 1/2; images are flattened."""
    real = torch.tensor([0.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert health(real, real / 2, EVEN, EVEN).spread == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scale", "shift", "verdict"),
    [(1.0, 1.0, "in balance"), (1.0, 100.0, "D has won"), (1.0, 0.0, "junk feedback"), (0.1, 100.0, "G has collapsed")],
)
def test_verdicts(scale, shift, verdict):
    g = gu.seeded(2)
    real, fake = (torch.randn(4000, 2, generator=g) for _ in range(2))
    scores = torch.randn(8000, 1, generator=g)
    assert health(real, scale * fake, scores[:4000] + shift, scores[4000:]).verdict == verdict


def test_spread_is_a_mean_of_distances():
    """Real (0, 0), (3, 4) are 5 apart, fakes (0, 0), (0, 2), (0, 4) in a circle 2, 2 and 4: 8 / 3 over 5."""
    real, fake = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    assert health(real, fake, EVEN, EVEN).spread == pytest.approx(8 / 15)


@pytest.mark.parametrize(
    ("above", "spread", "verdict"),
    [(1000, 0.19, "G has collapsed"), (1000, 0.21, "D has won"), (999, 0.21, "in balance"), (521, 0.21, "in balance"),
     (519, 0.21, "junk feedback"), (481, 0.21, "junk feedback"), (479, 0.21, "in balance")],
)
def test_verdicts_turn_at_the_numbers_that_are_written(above, spread, verdict):
    """Every real sample scores above `above` of 1,000 fakes: a separation of .999 is not above .999 yet."""
    scores, x = torch.arange(1000.0)[:, None], torch.arange(2.0)[:, None]
    found = health(x, spread * x, torch.full((2, 1), above - 0.5), scores)
    assert found.separation == pytest.approx(above / 1000) and found.verdict == verdict


def train(G, D, *, steps, lr_g, lr_d, loss=gu.non_saturating, d_steps_per_g=1, data=gu.ring, latent_dim=2):
    """A short run, and its health on 2,000 fresh samples."""
    g = gu.seeded(0)
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=lr, betas=(0.0, 0.9)) for net, lr in ((G, lr_g), (D, lr_d)))

    def z(n):
        return gu.gaussian_noise(n, latent_dim, generator=g)

    gu.fit(
        lambda: gu.d_step(G, D, opt_d, data(128, generator=g), z(128), loss),
        lambda: gu.g_step(G, D, opt_g, z(128), loss),
        steps=steps, d_steps_per_g=d_steps_per_g, progress=False,
    )
    real = data(2000, generator=g)
    with gu.evaluating(G, D):
        fake = G(z(2000))
        return health(real, fake, D(real), D(fake))


def toy(seed=0, data_dim=2):
    g = gu.seeded(seed)
    return gu.toy_generator(2, data_dim=data_dim, generator=g), gu.toy_discriminator(data_dim, generator=g)


def test_d_wins_against_a_generator_that_hardly_moves():
    found = train(*toy(), steps=300, lr_g=1e-6, lr_d=1e-2)
    assert found.verdict in ("D has won", "G has collapsed") and found.separation > 0.999


def test_g_collapses_when_it_is_trained_against_a_d_that_stands_still():
    """D learns the ring against uniform noise around it, then rests: the best answer to it is one point."""
    g = gu.seeded(1)
    G, D = toy()
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.0, 0.9)) for net in (G, D))
    for _ in range(300):
        real, noise = gu.ring(128, generator=g), 6 * gu.uniform_noise(128, 2, generator=g) - 3
        opt_d.zero_grad()
        gu.logistic_d_loss(real_logits=D(real), fake_logits=D(noise)).backward()
        opt_d.step()
    for _ in range(300):
        gu.g_step(G, D, opt_g, gu.gaussian_noise(128, 2, generator=g), gu.non_saturating)
    real, fake = gu.ring(2000, generator=g), G(gu.gaussian_noise(2000, 2, generator=g)).detach()
    found = health(real, fake, D(real).detach(), D(fake).detach())
    assert found.verdict == "G has collapsed" and found.spread < 0.2, found


def test_feedback_is_junk_where_d_cannot_see_the_error():
    """A linear D sees means only: once they agree its ranking is chance, though the samples are far from a ring."""
    g = gu.seeded(3)
    G, D = nn.Linear(2, 2), nn.Linear(2, 1)
    gu.init_weights(G, g), gu.init_weights(D, g)
    with torch.no_grad():
        G.weight.copy_(torch.eye(2))
    found = train(G, D, steps=1500, lr_g=1e-3, lr_d=1e-2)
    assert found.verdict == "junk feedback", found


def test_a_sound_run_is_in_balance():
    from gan_utils.recipes import Run

    run = Run("mnist-conv")
    run.train(steps=40, measure_every=10**9, samples=2, progress=False)
    assert run.health(500).verdict == "in balance"


@pytest.mark.parametrize("bad, says", [
    ({"real": torch.zeros(1, 2)}, "number of real must be a whole number, 2 or more; got 1"),
    ({"fake_logits": torch.tensor([[float("nan")], [0.0]])}, "fake_logits holds 1 NaN"),
])
def test_refuses(bad, says):
    given = {"real": torch.randn(2, 2), "fake": torch.randn(2, 2), "real_logits": EVEN, "fake_logits": EVEN}
    with pytest.raises(ValueError, match=says):
        gu.diagnose(**given | bad)
