"""Steps, the loop, its history and the exponential average."""

import copy
import math
import os
import signal

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import gan_utils as gu


def pair(seed: int = 0) -> tuple[nn.Module, nn.Module]:
    return gu.mlp([3, 8, 2], generator=gu.seeded(seed)), gu.mlp([2, 8, 1], generator=gu.seeded(seed + 1))


def sgd(module: nn.Module, lr: float = 0.1) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=lr)


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(v, b[k]) for k, v in a.items())


def draw(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=gu.seeded(seed))


def test_d_step_is_one_descent_step_on_d_by_hand():
    """D(x) = w x, G(z) = g z, all numbers: loss = softplus(-w x) + softplus(w g z); w moves by -lr times its slope.

    w = 1, g = 2, x = .5, z = 3: fake 6; slope = -x s(-w x) + 6 s(6 w).
    """
    G, D = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    G.weight.data.fill_(2.0), D.weight.data.fill_(1.0)
    out = gu.d_step(G, D, sgd(D), torch.tensor([[0.5]]), torch.tensor([[3.0]]), gu.non_saturating)
    s = lambda l: 1 / (1 + math.exp(-l))  # noqa: E731, E741
    assert float(out["d_loss"]) == pytest.approx(math.log1p(math.exp(-0.5)) + math.log1p(math.exp(6.0)), rel=1e-6)
    assert float(D.weight) == pytest.approx(1 - 0.1 * (-0.5 * s(-0.5) + 6 * s(6.0)), rel=1e-6)
    assert float(G.weight) == 2.0


def test_g_step_is_one_descent_step_on_g_by_hand():
    """Non-saturating: loss = softplus(-w g z); g moves by lr w z s(-w g z). w = 1, g = .2, z = 3: .2 + .3 s(-.6)."""
    G, D = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    G.weight.data.fill_(0.2), D.weight.data.fill_(1.0)
    out = gu.g_step(G, D, sgd(G), torch.tensor([[3.0]]), gu.non_saturating)
    assert float(out["g_loss"]) == pytest.approx(math.log1p(math.exp(-0.6)), rel=1e-6)
    assert float(G.weight) == pytest.approx(0.2 + 0.1 * 3 / (1 + math.exp(0.6)), rel=1e-6)
    assert float(D.weight) == 1.0


def test_each_step_moves_its_network_only(device):
    """The other network keeps weights, flags, gradients and batch statistics bit for bit; losses come detached."""
    G, D = (net.to(device) for net in (gu.conv_generator(8, width=4), gu.conv_discriminator(width=4)))
    x, z = torch.zeros(6, 1, 28, 28, device=device), torch.randn(6, 8, device=device)
    before_g, before_d = state(G), state(D)
    out = gu.d_step(G, D, sgd(D), x, z, gu.non_saturating)
    assert same(before_g, state(G)) and not same(before_d, state(D))
    assert all(p.grad is None and p.requires_grad for p in G.parameters())
    assert G.training
    before_d = state(D)
    grads = [p.grad.clone() for p in D.parameters()]
    out |= gu.g_step(G, D, sgd(G), z, gu.non_saturating)
    assert same(before_d, state(D)) and not same(before_g, state(G))
    assert all(torch.equal(p.grad, g) and p.requires_grad for p, g in zip(D.parameters(), grads, strict=True))
    assert not torch.equal(state(G)["2.running_mean"], before_g["2.running_mean"]), "G's own step moves its statistics"
    assert all(v.ndim == 0 and not v.requires_grad for v in out.values())


@pytest.mark.parametrize("loss", [gu.minimax, gu.non_saturating, gu.least_squares, gu.hinge, gu.wasserstein])
def test_steps_push_logits_the_right_way(loss):
    """A small G step raises D's mean logit of the same z; a small D step raises real minus fake."""
    G, D = pair()
    x, z = draw(64, 2, 5) + 3, draw(64, 3, 6)
    before = float(D(G(z)).detach().mean())
    gu.g_step(G, D, sgd(G, 1e-2), z, loss)
    assert float(D(G(z)).detach().mean()) > before
    gap = float((D(x).mean() - D(G(z)).mean()).detach())
    gu.d_step(G, D, sgd(D, 1e-2), x, z, loss)
    assert float((D(x).mean() - D(G(z)).mean()).detach()) > gap


def test_gradients_do_not_pile_up():
    """Two steps from gradients full of rubbish are the two steps from clean ones."""
    runs = []
    for rubbish in (False, True):
        G, D = pair()
        if rubbish:
            for p in [*G.parameters(), *D.parameters()]:
                p.grad = torch.full_like(p, 1e3)
        for k in range(2):
            gu.d_step(G, D, sgd(D), draw(8, 2, k), draw(8, 3, 10 + k), gu.non_saturating)
            gu.g_step(G, D, sgd(G), draw(8, 3, 20 + k), gu.non_saturating)
        runs.append(state(G) | {f"D{k}": v for k, v in state(D).items()})
    assert same(*runs)


def test_one_joined_pass_is_two_separate_ones():
    """Scores do not depend on batch mates in a D without batch statistics: equal up to rounding."""
    G, D = pair()
    twin = copy.deepcopy(D)
    x, z = draw(8, 2, 0), draw(5, 3, 1)  # unequal sizes must split in the right place
    out = gu.d_step(G, D, sgd(D), x, z, gu.non_saturating)
    loss = gu.logistic_d_loss(real_logits=twin(x), fake_logits=twin(G(z).detach()))
    assert_close(out["d_loss"], loss.detach())
    opt = sgd(twin)
    loss.backward()
    opt.step()
    assert_close(dict(D.state_dict()), dict(twin.state_dict()))


def test_penalty_gets_real_and_fake_and_is_added_as_it_comes():
    """With penalty 3 |w|^2 the weight moves by a further -lr * 6 w; the reported loss is without it."""
    results = []
    for penalty in (None, "with"):
        G, D = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        G.weight.data.fill_(2.0), D.weight.data.fill_(1.0)
        seen = {}

        def three(x, fake, D=D, seen=seen):
            seen.update(x=x, fake=fake)
            return 3 * D.weight.square().sum()

        x, z = torch.tensor([[0.5]]), torch.tensor([[3.0]])
        out = gu.d_step(G, D, sgd(D), x, z, gu.non_saturating, three if penalty else None)
        results.append((float(D.weight), float(out["d_loss"])))
    assert results[1][0] == pytest.approx(results[0][0] - 0.1 * 6, rel=1e-5)
    assert results[1][1] == results[0][1]
    assert float(seen["x"]) == 0.5 and float(seen["fake"]) == 6.0 and not seen["fake"].requires_grad


def test_shapes_that_do_not_meet():
    G, D = gu.classic_generator(), gu.classic_discriminator()
    with pytest.raises(ValueError, match=r"G makes \(1, 28, 28\), the data is \(784,\)"):
        gu.d_step(G, D, sgd(D), torch.zeros(4, 784), torch.zeros(4, 100), gu.non_saturating)


# the loop


def counting(calls: list[str], values=lambda n: 1.0):
    def step(name):
        def run():
            calls.append(name)
            return {f"{name}_loss": torch.tensor(values(len(calls)))}

        return run

    return step("d"), step("g")


def test_fit_counts_steps_and_ratio():
    calls: list[str] = []
    history = gu.fit(*counting(calls), steps=3, d_steps_per_g=2, progress=False)
    assert calls == ["d", "d", "g"] * 3
    assert history.steps == 3 and history["d_loss"] == [1.0] * 3 and history["g_loss"] == [1.0] * 3


def test_fit_runs_hooks_before_and_after_every_k():
    seen: list[int] = []
    history = gu.fit(
        *counting([]), steps=7, hooks=[(3, lambda step, h: (seen.append(step), h.log(w1=step / 2)))], progress=False
    )
    assert seen == [0, 3, 6]
    assert history.metric("w1") == ([0, 3, 6], [0.0, 1.5, 3.0])
    assert history.latest() == {"w1": 3.0}


def test_fit_goes_on_where_it_was():
    """Two runs of 2 and 3 steps are one run of 5, hooks included."""
    seen: list[int] = []
    hooks = [(1, lambda step, _: seen.append(step))]
    history = gu.fit(*counting([]), steps=2, hooks=hooks, progress=False)
    again = gu.fit(*counting([]), steps=3, hooks=hooks, progress=False, history=history)
    assert again is history and history.steps == 5 and len(history["g_loss"]) == 5
    assert seen == [0, 1, 2, 3, 4, 5]
    history.seconds = 100.0
    assert 100.0 < gu.fit(*counting([]), steps=1, progress=False, history=history).seconds < 110.0


def test_fit_stops_after_seconds():
    history = gu.fit(*counting([]), seconds=0.05, steps=10**9, progress=False)
    assert 0 < history.steps < 10**9 and history.seconds >= 0.05


def test_progress_bar_shows_the_metric(capsys):
    gu.fit(*counting([]), steps=4, hooks=[(2, lambda s, h: h.log(frechet=12.34))], label="toy")
    out = capsys.readouterr()
    assert "toy" in out.out and "frechet=12.34" in out.out and "4/4" in out.out
    assert out.err == ""
    gu.fit(*counting([]), steps=4, hooks=[(2, lambda s, h: h.log(frechet=12.34))], progress=False)
    assert capsys.readouterr() == ("", "")


def test_interrupt_returns_what_was_learnt():
    """Ctrl-C in the fourth step: three steps stand, and the history says so."""
    calls: list[str] = []

    def values(n):
        if n == 7:
            raise KeyboardInterrupt
        return float(n)

    try:
        history = gu.fit(*counting(calls, values), steps=100, progress=False)
    except KeyboardInterrupt:
        pytest.fail("Ctrl-C went through fit")
    assert history.interrupted and history.steps == 3
    assert history["g_loss"] == [2.0, 4.0, 6.0]


def test_ctrl_c_lets_the_step_under_way_finish():
    """A SIGINT in the middle of D's third step: G's third step still comes, and the old handler is back afterwards."""
    before, calls = signal.getsignal(signal.SIGINT), []

    def d():
        calls.append("d")
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return {"d_loss": torch.zeros(())}

    history = gu.fit(d, lambda: calls.append("g") or {"g_loss": torch.zeros(())}, steps=100, progress=False)
    assert history.interrupted and history.steps == 3 and calls == ["d", "g"] * 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once():
    from gan_utils.runtime import Interrupt

    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked
        os.kill(os.getpid(), signal.SIGINT)


def test_nan_loss_stops_names_the_step_and_restores():
    """The loss breaks at step 61; checks come each 50 steps, so the state of step 50 is the last known good one."""
    net = nn.Linear(1, 1)
    calls: list[str] = []

    def d():
        calls.append("d")
        with torch.no_grad():
            net.weight.fill_(float(len(calls)))
        return {"d_loss": torch.tensor(math.nan if len(calls) == 61 else 0.0)}

    with pytest.raises(FloatingPointError, match="d_loss became nan at step 61; .*back at step 50") as error:
        gu.fit(d, lambda: {"g_loss": torch.tensor(0.0)}, steps=1000, keep=[net], progress=False)
    assert float(net.weight) == 50.0
    assert len(calls) == 100, "it stopped at the next look"
    assert "\n" not in str(error.value)
    with pytest.raises(FloatingPointError, match="d_loss became nan at step 1: lower"):  # nothing to take back
        gu.fit(lambda: {"d_loss": torch.tensor(math.nan)}, dict, steps=1, progress=False)


def test_an_exploding_weight_is_named_and_taken_back():
    """A weight past 1e5, though all losses are finite: step, tensor and size are named, the good state is back."""
    G = nn.Linear(1, 1)
    good = state(G)

    def g_step():
        with torch.no_grad():
            G.weight.fill_(3e5)
        return {"g_loss": torch.zeros(())}

    with pytest.raises(FloatingPointError, match=r"weight reached 3e\+05 after step 50.*back at step 0"):
        gu.fit(lambda: {"d_loss": torch.zeros(())}, g_step, steps=60, keep=[G], progress=False)
    assert same(good, state(G))


def test_nan_weight_is_noticed_though_the_losses_look_well():
    net = nn.Linear(1, 1)
    before = state(net)

    def g():
        net.weight.data.fill_(math.nan)
        return {"g_loss": torch.tensor(0.0)}

    with pytest.raises(FloatingPointError, match="weight holds NaN or infinity after step 1"):
        gu.fit(lambda: {"d_loss": torch.tensor(0.0)}, g, steps=1, keep=[net], progress=False)
    assert same(before, state(net))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"steps": -1}, "steps must be a whole number, 0 or more; got -1"),
        ({"steps": 2.5}, "got 2.5"),
        ({}, "needs steps=, seconds= or both"),
        ({"seconds": 0}, "seconds must be above 0, got 0"),
        ({"steps": 1, "d_steps_per_g": 0}, "d_steps_per_g must be a whole number, 1 or more; got 0"),
    ],
)
def test_fit_refuses(arguments, says):
    with pytest.raises(ValueError, match=says):
        gu.fit(*counting([]), progress=False, **arguments)


def test_history_names_what_it_has():
    history = gu.fit(*counting([]), steps=1, progress=False)
    with pytest.raises(KeyError, match="no loss called 'loss'; recorded: d_loss, g_loss"):
        history["loss"]
    with pytest.raises(KeyError, match="no metric called 'w1'; recorded: nothing yet"):
        history.metric("w1")
    with pytest.raises(KeyError, match="no loss called 'd_loss'; recorded: nothing yet"):
        gu.History()["d_loss"]


# the average


def test_exponential_average_by_hand():
    """Weight path 1, 2, 3 from 0 with decay .5: the warm-up min(.5, (1+t)/(10+t)) is .1, 2/11, .25."""
    G = nn.Linear(1, 1, bias=False)
    G.weight.data.fill_(0.0)
    average, expected = gu.ExponentialAverage(G, decay=0.5), 0.0
    for t, w in enumerate((1.0, 2.0, 3.0)):
        G.weight.data.fill_(w)
        average.update(G)
        d = (1 + t) / (10 + t)
        expected = d * expected + (1 - d) * w
        assert float(average.module.weight) == pytest.approx(expected, rel=1e-6)
    for t in range(3, 60):
        d = min(0.5, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * 3.0
        average.update(G)
    assert float(average.module.weight) == pytest.approx(expected, rel=1e-6)
    assert average.updates == 60


def test_exponential_average_reaches_its_decay():
    """After the warm-up one update moves by 1 - decay of the way: (1+t)/(10+t) passes .9 at t = 80."""
    G = nn.Linear(1, 1, bias=False)
    G.weight.data.fill_(0.0)
    average = gu.ExponentialAverage(G, decay=0.9)
    average.updates = 1000
    G.weight.data.fill_(1.0)
    average.update(G)
    assert float(average.module.weight) == pytest.approx(0.1, rel=1e-6)


def test_exponential_average_leaves_g_alone_and_carries_statistics():
    G = gu.conv_generator(4, width=2)
    average = gu.ExponentialAverage(G)
    for _ in range(3):
        G(torch.randn(5, 4))
        before = state(G)
        average.update(G)
        assert same(before, state(G))
    assert not average.module.training and not any(p.requires_grad for p in average.module.parameters())
    assert int(average.module[2].num_batches_tracked) == 3
    assert not torch.equal(average.module[2].running_mean, torch.zeros(4))


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_exponential_average_refuses(decay):
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\)"):
        gu.ExponentialAverage(nn.Linear(1, 1), decay=decay)


def learn_a_gaussian(seed: int) -> float:
    """W1 of the averaged generator to N(2, .5^2) after 600 steps from U(0, 1) noise."""
    g = gu.seeded(seed)
    G, D = gu.mlp([1, 32, 32, 1], generator=g), gu.mlp([1, 32, 32, 1], generator=g)
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=5e-3, betas=(0.0, 0.9)) for net in (G, D))
    average = gu.ExponentialAverage(G, decay=0.99)

    def noise(n: int) -> torch.Tensor:
        return gu.uniform_noise(n, 1, generator=g)

    def real(n: int) -> torch.Tensor:
        return gu.gaussian_1d(n, generator=g, mean=2.0, std=0.5)

    gu.fit(
        lambda: gu.d_step(
            G, D, opt_d, real(128), noise(128), gu.non_saturating, lambda x, _: 0.05 * gu.r1_penalty(D, x)
        ),
        lambda: gu.g_step(G, D, opt_g, noise(128), gu.non_saturating),
        steps=600,
        hooks=[(1, lambda *_: average.update(G))],
        keep=[G, D],
        progress=False,
    )
    return gu.wasserstein_1d(average.module(noise(10_000)), real(10_000))


def test_a_gaussian_is_learnt_from_uniform_noise():
    """The whole machine on one short problem: W1 starts near 2; seen over 10 seeds .042 to .071; floor about .01."""
    assert all(learn_a_gaussian(seed) < 0.15 for seed in range(3))


# ------------------------------------------------------------------ pairs of a sample and its class

class Additive(nn.Module):
    """G(z, y) = D(x, y) = w . input + v_y: small enough to do a step by hand."""

    def __init__(self, seed: int):
        super().__init__()
        self.w = nn.Parameter(torch.randn(1, 1, generator=gu.seeded(seed)))
        self.v = nn.Parameter(torch.randn(3, generator=gu.seeded(seed + 1)))

    def forward(self, x, y):
        return x @ self.w + self.v[y][:, None]


def test_conditional_steps_show_each_sample_with_its_own_class():
    """One step by hand: real x with y, fake G(z, y_fake) with y_fake, in D's step and in G's."""
    x, z = draw(5, 1, 1), draw(5, 1, 2)
    y, y_fake = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([2, 2, 0, 1, 0])
    G, D = Additive(3), Additive(7)
    d_loss = gu.logistic_d_loss(real_logits=D(x, y), fake_logits=D(G(z, y_fake).detach(), y_fake))
    slopes = torch.autograd.grad(d_loss, [D.w, D.v])
    expected = [(p - 0.1 * s).detach() for p, s in zip([D.w, D.v], slopes, strict=True)]
    before = state(G)
    out = gu.d_step(G, D, sgd(D), x, z, gu.non_saturating, y=y, y_fake=y_fake)
    torch.testing.assert_close(out["d_loss"], d_loss.detach())
    for p, value in zip([D.w, D.v], expected, strict=True):
        torch.testing.assert_close(p.detach(), value)
    assert same(before, state(G))

    g_loss = gu.nonsaturating_g_loss(fake_logits=D(G(z, y_fake), y_fake))
    slopes = torch.autograd.grad(g_loss, [G.w, G.v])
    expected, before = [(p - 0.1 * s).detach() for p, s in zip([G.w, G.v], slopes, strict=True)], state(D)
    gu.g_step(G, D, sgd(G), z, gu.non_saturating, y_fake=y_fake)
    for p, value in zip([G.w, G.v], expected, strict=True):
        torch.testing.assert_close(p.detach(), value)
    assert same(before, state(D))


def test_a_conditional_step_needs_both_labels():
    G, D, x = Additive(3), Additive(7), draw(4, 1, 1)
    with pytest.raises(ValueError, match="needs both y"):
        gu.d_step(G, D, sgd(D), x, x, gu.non_saturating, y=torch.zeros(4, dtype=torch.int64))


def test_packed_networks_take_the_same_steps():
    """nn.Sequential(G, Pack(2)) against packed data: D scores pairs, and both steps run as they are."""
    g = gu.seeded(0)
    G, D = gu.toy_generator(2, data_dim=2, generator=g), gu.toy_discriminator(4, generator=g)
    packed, x, z = nn.Sequential(G, gu.Pack(2)), draw(8, 2, 1), draw(8, 2, 2)
    r, f = D(gu.Pack(2)(x)), D(packed(z))
    assert len(r) == len(f) == 4
    expected = gu.logistic_d_loss(real_logits=r, fake_logits=f)
    out = gu.d_step(packed, D, sgd(D), gu.Pack(2)(x), z, gu.non_saturating)
    torch.testing.assert_close(out["d_loss"], expected.detach())
