"""Traced steps repeat what the steps themselves would do; tests/test_recipes.py has those of all recipes."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gan_utils as gu
from gan_utils import graphs


@pytest.mark.usefixtures("tracer")
def test_a_traced_step_is_repeated_on_the_same_tensors():
    """What it reads may change in place, what it draws goes on, what it returns is new each time."""

    def make():
        weight, stream = torch.tensor([1.0, 2.0], requires_grad=True), gu.seeded(0)
        opt = torch.optim.Adam([weight], lr=torch.tensor(0.5, dtype=torch.float64), fused=True)

        def step():
            asked.append(len(asked))
            opt.zero_grad()
            loss = (weight * torch.rand(2, generator=stream)).sum()
            loss.backward()
            opt.step()
            return {"loss": loss.detach(), "first": weight[0].detach().clone()}

        return step, opt.param_groups[0]["lr"]

    def all_of(step, rate):
        results = [step() for _ in range(4)]
        rate.fill_(0.25)  # as a schedule does
        return [tuple(map(float, r.values())) for r in [*results, step()]]

    asked = []
    step, rate = make()
    traced = all_of(graphs.as_fx_graph(step, after=1), rate)
    assert asked == [0, 1], "one call before, and one that is traced"
    assert traced == all_of(*make()) and len(set(traced)) == 5
    with pytest.raises(ValueError, match="after must be a whole number, 1 or more; got 0"):
        graphs.as_fx_graph(step, after=0)


def test_without_a_tracer_each_step_is_called(monkeypatch):
    monkeypatch.setattr(graphs, "_can_trace", lambda: False)
    asked = []
    play = graphs.as_fx_graph(lambda: asked.append(1) or {"loss": torch.zeros(())}, after=1)
    assert [list(play()) for _ in range(3)] == [["loss"]] * 3 and len(asked) == 3


def test_a_torch_that_cannot_trace_a_draw_is_found_out(monkeypatch):
    def refuse(draw):
        def traced():
            raise TypeError("no random stream in a trace")
        return traced

    monkeypatch.setattr("torch.fx.experimental.proxy_tensor.make_fx", refuse)
    assert graphs._can_trace.__wrapped__() is False


def repeated(step, times=4):
    """Results of a step that is traced at its second call, as numbers."""
    play = graphs.as_fx_graph(step, after=1)
    return [{name: float(value) for name, value in play().items()} for _ in range(times)]


@pytest.mark.usefixtures("tracer")
def test_a_view_of_a_weight_follows_the_weight():
    """It is taken once, of a tensor that changes in place: transposed, flattened, split, a part of a part."""
    weight = torch.arange(6.0).view(2, 3)

    def step():
        weight.add_(1)
        left, right = weight.t().split([1, 2])
        return {"left": left.sum(), "right": right[1].sum() * 1, "flat": weight.view(6)[0] * 1}

    assert repeated(step) == [{"left": 3 + 2 * k, "right": 7 + 2 * k, "flat": k} for k in range(1, 5)]


@pytest.mark.parametrize("write", [
    lambda ones: ones.add_(1),
    lambda ones: ones.view(2, 2)[0].add_(1),
    lambda ones: (ones / 1).add_(1),
    lambda ones: ones.split([1, 3])[1].mul_(3),
    lambda ones: ones.div(4).view(2, 2)[0, 0].zero_(),
])
@pytest.mark.usefixtures("tracer")
def test_ones_that_are_written_to_are_made_anew(write):
    """Else each repetition would start from what the one before had left."""
    x = torch.randn(4, generator=gu.seeded(0))

    def step():
        ones = torch.ones_like(x)
        return {"written": write(ones).sum() + ones.sum()}

    results = repeated(step)
    assert results == [results[0]] * 4


@pytest.mark.usefixtures("tracer")
def test_a_step_that_reads_nothing_is_repeated_too():
    assert repeated(lambda: {"one": torch.ones(3).sum() / 3}) == [{"one": 1}] * 4


class Calls(TorchDispatchMode):
    """Names of torch's operations that are called inside."""

    def __enter__(self):
        self.names = []
        return super().__enter__()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.names.append(op.__name__.split(".")[0])
        return op(*args, **(kwargs or {}))


@pytest.mark.usefixtures("tracer")
def test_what_follows_from_ones_alone_is_made_once():
    """The slope of a mean is 1 / n at every step; a weight divided by a number is not."""
    weight = torch.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True)

    def step():
        weight.grad = None
        (weight * weight).mean().backward()
        return {"slope": weight.grad.sum(), "quarter": weight.detach().div(4).sum()}

    play = graphs.as_fx_graph(step, after=1)
    play(), play()
    with torch.no_grad():
        weight.add_(1)
    with Calls() as calls:
        slope, quarter = play().values()
    assert float(slope) == 2 * 19 / 4 and float(quarter) == 19 / 4
    assert calls.names.count("div") == 1 and not {"ones_like", "expand"} & set(calls.names)


@pytest.mark.usefixtures("tracer")
def test_what_nobody_reads_is_left_out_but_a_draw_is_not():
    """A slope that the step drops, the parts of a split; after a draw the stream goes on elsewhere."""
    weight = torch.ones(3, 3)

    def steps():
        stream = gu.seeded(0)

        def step():
            torch.rand(2, generator=stream)
            weight.mm(weight).split(1)[0].exp()
            weight.add_(torch.rand(1, generator=stream))
            return {"draw": torch.rand((), generator=stream)}

        return step

    plain, play = steps(), graphs.as_fx_graph(steps(), after=1)
    assert [float(plain()["draw"]) for _ in range(4)] == [float(play()["draw"]) for _ in range(4)]
    with Calls() as calls:
        play()
    assert sorted(calls.names) == ["add_", "rand", "rand", "rand"]
