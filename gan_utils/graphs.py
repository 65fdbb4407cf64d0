"""Steps recorded once and repeated: on CUDA as the driver's graph, on the CPU as a bare list of torch's calls."""

import functools
import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .runtime import check_count, seeded


def as_cuda_graph(
    step: Callable[[], Mapping[str, Tensor]], *streams: torch.Generator
) -> Callable[[], dict[str, Tensor]]:
    """On CUDA: `step()` as a graph, recorded at its fourth call and then played back whole, without Python.

    A small step is hundreds of calls, and calling is most of its time on a large card. `step` has to do the same
    work on the same tensors each time, to draw from `streams` alone, and never to wait for the device; what it
    reads may be changed in place in between. Returns copies of the scalars that it returns.
    """
    graph, kept, calls = torch.cuda.CUDAGraph(), {}, 0

    def play() -> dict[str, Tensor]:
        nonlocal kept, calls
        calls += 1
        if calls <= 3:  # steps like any other, but not on the main stream: they choose kernels and fill the optimiser
            side, main = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                losses = step()
            main.wait_stream(side)
            return dict(losses)
        if not kept:  # recording does no work
            for stream in streams:
                graph.register_generator_state(stream)
            with torch.cuda.graph(graph):
                kept = step()
        graph.replay()
        return {name: value.clone() for name, value in kept.items()}

    return play


def as_fx_graph(step: Callable[[], Mapping[str, Tensor]], *, after: int = 200) -> Callable[[], dict[str, Tensor]]:
    """On the CPU: `step()` traced once, after `after` calls, and repeated from then on as a bare list of torch's calls.

    Modules, autograd and the optimiser are left out of the repetition, which computes the same bits. `step` has to
    do the same work on the same tensors each time, as for `as_cuda_graph`; what it reads may be changed in place in
    between. Tracing costs about as much as a hundred steps, so short runs do without, and so does a torch that
    cannot trace a draw from a random stream. The calls before it fill the optimiser's state: `after` is 1 or more.
    The scalars that a repetition returns are inference tensors: numbers to be read, not to be differentiated.
    """
    check_count("after", after)
    calls, played = 0, None

    def play() -> dict[str, Tensor]:
        nonlocal calls, played
        calls += 1
        if calls <= after or not _can_trace():
            return dict(step())
        if played is None:
            losses, played = _traced(step)
            return losses
        return played()

    return play


@functools.cache
def _can_trace() -> bool:
    try:
        _traced(lambda: {"draw": torch.randn(2, generator=seeded(0))})[1]()
    except Exception:  # whatever another version of torch has to say against it
        return False
    return True


def _traced(step: Callable[[], Mapping[str, Tensor]]) -> tuple[dict[str, Tensor], Callable[[], dict[str, Tensor]]]:
    """What `step()` returns, which this call runs, and a function that does and returns the like again."""
    from torch.fx.experimental.proxy_tensor import make_fx

    losses: dict[str, Tensor] = {}

    def run() -> list[Tensor]:
        losses.update(step())
        return list(losses.values())

    module = make_fx(run)()
    graph = module.graph
    values = _lifted(module)
    _drop_idle(graph)
    _make_once(graph, values)
    for node in graph.nodes:
        node.target = _quick(node.target)
    module.recompile()
    calls = functools.partial(module.forward, *values.values())

    def play() -> dict[str, Tensor]:
        with torch.inference_mode():
            return dict(zip(losses, calls(), strict=True))

    return losses, play


def _lifted(module) -> dict:
    """Turns weights, data, moments and streams of a traced module into arguments, and returns these with their values.

    Arguments are read several times faster than attributes.
    """
    graph, values, arguments = module.graph, {}, {}
    first = next(node for node in graph.nodes if node.op != "get_attr")
    for node in list(graph.nodes):
        if node.op == "get_attr":
            if node.target not in arguments:
                with graph.inserting_before(first):
                    arguments[node.target] = graph.placeholder(node.target)
                values[arguments[node.target]] = getattr(module, node.target)
            node.replace_all_uses_with(arguments[node.target])
            graph.erase_node(node)
    return values


def _drop_idle(graph) -> None:
    """Takes out calls without effect: other names of a tensor, what nobody reads, marks for a profiler."""
    again, back, look = (getattr(torch.ops.aten, name).default for name in ("alias", "t", "view"))
    cut = torch.ops.aten.slice.Tensor
    for node in graph.nodes:  # an alias is the tensor itself, and so are transposes of transposes, views of the whole
        x = node.args[0] if node.args else None
        if node.target is again:
            node.replace_all_uses_with(x)
        elif node.target is back and x.target is back:
            node.replace_all_uses_with(x.args[0])
        elif node.target in (look, cut):
            if node.target is look and x.target is look:
                x = x.args[0]
                node.args = x, node.args[1]
            if "val" in x.meta and x.meta["val"].shape == node.meta["val"].shape:
                node.replace_all_uses_with(x)
    for node in reversed(graph.nodes):
        if "_record_function" in str(node.target) or not (node.users or _has_effect(node)):
            graph.erase_node(node)


@torch.no_grad()
def _make_once(graph, values: dict) -> None:
    """Makes arguments of what each repetition would make alike, and adds their values.

    That is views of other arguments, which change in place only, and what `backward` makes of ones alone.
    """
    ones, divide = torch.ops.aten.ones_like.default, torch.ops.aten.div.Scalar
    views, fixed, written = set(values), set(), set()
    for node in reversed(graph.nodes):  # what is written to, under this name or that of a view
        if any(_writes(user) or (_is_view(user) and user in written) for user in node.users):
            written.add(node)
    for node in list(graph.nodes):
        inputs = set(node.all_input_nodes)
        of_ones = node.target is ones or (inputs <= fixed and (_is_view(node) or node.target is divide))
        if not (_is_view(node) and inputs <= views) and not (of_ones and node not in written):
            continue
        if node.target is ones:
            value = torch.ones(node.meta["val"].shape, dtype=node.meta["val"].dtype)
        else:
            value = node.target(*torch.fx.map_arg(node.args, values.get), **node.kwargs)
        with graph.inserting_before(next(other for other in graph.nodes if other.op != "placeholder")):
            new = graph.placeholder(f"made_{len(values)}")
        values[new] = value
        (fixed if of_ones else views).add(new)
        node.replace_all_uses_with(new)
        graph.erase_node(node)


def _is_view(node) -> bool:
    return node.target is operator.getitem or getattr(node.target, "is_view", False)  # getitem: one part of a split


def _has_effect(node) -> bool:
    """Whether it is more than its result: it writes, or it draws, after which a stream goes on elsewhere."""
    draws = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    return node.op != "call_function" or _writes(node) or draws


def _writes(node) -> bool:
    return hasattr(node.target, "_schema") and node.target._schema.is_mutable


def _quick(op):
    """torch's own function for an operation of a trace: it is called in two thirds of the time."""
    name = op._schema.name.removeprefix("aten::") if hasattr(op, "_schema") else ""
    homes = torch._C._VariableFunctions, torch._C._nn, torch._C.TensorBase
    return next((getattr(home, name) for home in homes if hasattr(home, name)), op)
