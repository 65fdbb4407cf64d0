"""One step of D, one step of G, the loop that counts them, and the history that it keeps."""

import copy
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from .losses import GanLoss
from .runtime import Interrupt, check_count, denormals_as_zero, frozen

Step = Callable[[], Mapping[str, Tensor]]
BAR = "{l_bar}{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"  # short, so that the metric is in sight
OVER, INTERRUPTED = 2, 1  # why a run stops; 0: it goes on
CHECK_EVERY = 50  # steps between two looks for NaN: each look waits for the device
EXPLODED = 1e5  # no weight of a sound network comes near it


def d_step(
    G: nn.Module,
    D: nn.Module,
    opt_d: torch.optim.Optimizer,
    x: Tensor,
    z: Tensor,
    loss: GanLoss,
    penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    y: Tensor | None = None,
    y_fake: Tensor | None = None,
) -> dict[str, Tensor]:
    """One descent step on D; G is left as it was, its batch statistics too.

    x: real samples (batch, ...), z: (batch, latent_dim). Real and fake go through D in one pass. `penalty(x,
    fake)` is added as it comes, with its coefficient inside. Conditional networks, G(z, y) and D(x, y), get the
    classes y of x and y_fake to make, (batch,) int64 each. Returns the loss without penalty, detached.
    """
    given, wanted = _labels(y, y_fake)
    with frozen(G), torch.no_grad():  # nothing of this step may reach G
        fake = G(z, *wanted)
    if fake.shape[1:] != x.shape[1:]:
        raise ValueError(f"G makes {tuple(fake.shape[1:])}, the data is {tuple(x.shape[1:])}: make them equal")
    both = [torch.cat(pair) for pair in zip(given, wanted, strict=True)]
    real_logits, fake_logits = D(torch.cat([x, fake]), *both).split([len(x), len(fake)])
    d_loss = loss.d(real_logits=real_logits, fake_logits=fake_logits)
    objective = d_loss if penalty is None else d_loss + penalty(x, fake)
    opt_d.zero_grad(set_to_none=True)
    objective.backward()
    opt_d.step()
    return {"d_loss": d_loss.detach()}


def g_step(
    G: nn.Module,
    D: nn.Module,
    opt_g: torch.optim.Optimizer,
    z: Tensor,
    loss: GanLoss,
    *,
    y_fake: Tensor | None = None,
) -> dict[str, Tensor]:
    """One descent step on G; D is left as it was. z: (batch, latent_dim). Returns the loss, detached.

    Conditional networks get the classes to make, y_fake (batch,) int64: D is asked about the pair.
    """
    wanted = () if y_fake is None else (y_fake,)
    with frozen(D):
        g_loss = loss.g(fake_logits=D(G(z, *wanted), *wanted))
        opt_g.zero_grad(set_to_none=True)
        g_loss.backward()
    opt_g.step()
    return {"g_loss": g_loss.detach()}


class History:
    """What a run recorded: `history["d_loss"]` is one number a step, `history.metric(name)` where measured."""

    def __init__(self) -> None:
        self.steps = 0
        self.seconds = 0.0
        self.interrupted = False
        self._losses: dict[str, list[float]] = {}
        self._pending: list[Mapping[str, Tensor]] = []  # still on the device
        self._metrics: dict[str, tuple[list[int], list[float]]] = {}

    def __getitem__(self, name: str) -> list[float]:
        self.collect()
        if name not in self._losses:
            known = ", ".join(self._losses) or "nothing yet"
            raise KeyError(f"no loss called {name!r}; recorded: {known}")
        return self._losses[name]

    def metric(self, name: str) -> tuple[list[int], list[float]]:
        """The steps at which `name` was measured, and its values there."""
        if name not in self._metrics:
            known = ", ".join(self._metrics) or "nothing yet"
            raise KeyError(f"no metric called {name!r}; recorded: {known}")
        return self._metrics[name]

    def log(self, **values: float) -> None:
        """Notes metrics at the present step; the progress bar shows the newest."""
        for name, value in values.items():
            steps, numbers = self._metrics.setdefault(name, ([], []))
            steps.append(self.steps)
            numbers.append(float(value))

    def latest(self) -> dict[str, float]:
        """The newest value of each metric."""
        return {name: numbers[-1] for name, (_, numbers) in self._metrics.items()}

    def record(self, losses: Mapping[str, Tensor]) -> None:
        """Keeps one step's losses, on their device until `collect`."""
        self._pending.append(losses)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Losses as float64 tensors, and the rest as plain values: what `from_state` needs."""
        self.collect()
        tensors = {name: torch.tensor(values, dtype=torch.float64) for name, values in self._losses.items()}
        return tensors, {"steps": self.steps, "seconds": self.seconds, "metrics": self._metrics}

    @classmethod
    def from_state(cls, losses: Mapping[str, Tensor], rest: Mapping[str, Any]) -> "History":
        """The history that `state` was taken of."""
        history = cls()
        history.steps, history.seconds = rest["steps"], rest["seconds"]
        history._losses = {name: values.tolist() for name, values in losses.items()}
        history._metrics = {name: (list(steps), list(values)) for name, (steps, values) in rest["metrics"].items()}
        return history

    def collect(self) -> None:
        """Brings pending losses over as floats; raises FloatingPointError naming the first that is not finite."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        first, bad = self.steps - len(pending) + 1, []
        for name in pending[0]:
            values = torch.stack([losses[name] for losses in pending]).tolist()
            self._losses.setdefault(name, []).extend(values)
            bad += [(first + i, name, value) for i, value in enumerate(values) if not math.isfinite(value)]
        if bad:  # only now, so that all losses stay equally long
            step, name, value = min(bad, key=lambda found: found[0])
            raise FloatingPointError(f"{name} became {value} at step {step}")


def fit(
    d_step: Step,
    g_step: Step,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    d_steps_per_g: int = 1,
    hooks: Iterable[tuple[int, Callable[[int, History], Any]]] = (),
    keep: Iterable[nn.Module] = (),
    history: History | None = None,
    progress: bool = True,
    label: str = "training",
    agree: Callable[[int], int] = int,
) -> History:
    """Runs the two steps in turn and counts; one step is one G update with `d_steps_per_g` D updates before it.

    It stops after `steps` steps or `seconds` seconds, whichever comes first. Each hook is `(every, function)`:
    `function(step, history)` runs before the first step of a new history and after each `every` steps. A `history`
    given is continued. Ctrl-C ends the run after the step under way and returns what it has. A loss that is not finite,
    or a weight of a module in `keep` that is not or has passed 1e5, ends it with FloatingPointError that names step and
    tensor, after these modules were set back to the last good state. `agree` may change the flag that ends the run, 0
    as long as it goes on: several processes have to stop at the same step.
    """
    hooks, keep = list(hooks), list(keep)
    _check_budget(steps, seconds, d_steps_per_g)
    history = History() if history is None else history
    guard = _Guard(keep, history.steps)
    start, first, spent = time.perf_counter(), history.steps, history.seconds
    look = {"file": sys.stdout, "ascii": " #", "bar_format": BAR, "mininterval": 0.3}
    bar = tqdm(total=steps, desc=label, disable=not progress, **look)
    try:
        with Interrupt() as interrupt, denormals_as_zero():
            _run_hooks(hooks, history, bar, after_step=False)
            while True:
                over = _is_over(history.steps - first, time.perf_counter() - start, steps, seconds)
                stop = agree(OVER if over else INTERRUPTED if interrupt.asked else 0)
                if stop == INTERRUPTED:
                    raise KeyboardInterrupt
                if stop:
                    break
                for _ in range(d_steps_per_g):
                    losses = dict(d_step())
                losses.update(g_step())
                history.steps += 1
                history.record(losses)
                if history.steps % CHECK_EVERY == 0:
                    guard.check(history)
                _run_hooks(hooks, history, bar, after_step=True)
                bar.update()
            guard.check(history)
            _show(bar, history)
    except KeyboardInterrupt:
        history.interrupted = True
    except FloatingPointError as error:
        guard.restore()
        kept = f"; the networks are back at step {guard.step}" if keep else ""
        raise FloatingPointError(f"{error}{kept}: lower the learning rate or look at the data") from None
    finally:
        history.seconds = spent + time.perf_counter() - start
        bar.close()
    return history


class ExponentialAverage:
    """A slow copy of G: weights w' <- d w' + (1 - d) w, which often samples better than G itself.

    The decay warms up, d = min(decay, (1 + t) / (10 + t)) at update t, so that the first, random weights are
    soon forgotten. `module` is the copy, in eval mode. (Yazici et al. 2019; Karras et al. 2018, section A.1)
    """

    def __init__(self, G: nn.Module, *, decay: float = 0.998):
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay, self.updates = decay, 0
        self.module = copy.deepcopy(G).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, G: nn.Module) -> None:
        """One step towards the present G; counters of BatchNorm are copied, its statistics averaged."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        mine, theirs = list(self.module.state_dict().values()), list(G.state_dict().values())
        floats = [(a, b) for a, b in zip(mine, theirs, strict=True) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for a, b in zip(mine, theirs, strict=True):
            if not a.is_floating_point():
                a.copy_(b)


def _labels(y: Tensor | None, y_fake: Tensor | None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    if (y is None) != (y_fake is None):
        raise ValueError("a conditional step needs both y (of the data) and y_fake (to make): one was given")
    return ((), ()) if y is None else ((y,), (y_fake,))


class _Guard:
    """Remembers the last state in which every loss and weight was finite."""

    def __init__(self, modules: list[nn.Module], step: int):
        self.modules, self.step = modules, step
        self._save()

    def check(self, history: History) -> None:
        history.collect()
        for module in self.modules:
            for name, p in module.named_parameters():
                largest = float(p.detach().abs().max())
                if not largest <= EXPLODED:  # NaN is not <= anything
                    what = f"reached {largest:.3g}" if math.isfinite(largest) else "holds NaN or infinity"
                    raise FloatingPointError(f"{name} {what} after step {history.steps}")
        self.step = history.steps
        self._save()

    def restore(self) -> None:
        for module, state in zip(self.modules, self._states, strict=True):
            module.load_state_dict(state)

    def _save(self) -> None:
        self._states = [{k: v.clone() for k, v in m.state_dict().items()} for m in self.modules]


def _check_budget(steps: int | None, seconds: float | None, d_steps_per_g: int) -> None:
    if steps is None and seconds is None:
        raise ValueError("fit needs steps=, seconds= or both: neither was given")
    if steps is not None:
        check_count("steps", steps, least=0)
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be above 0, got {seconds}")
    check_count("d_steps_per_g", d_steps_per_g)


def _is_over(done: int, elapsed: float, steps: int | None, seconds: float | None) -> bool:
    return (steps is not None and done >= steps) or (seconds is not None and elapsed >= seconds)


def _run_hooks(hooks: list, history: History, bar: tqdm, after_step: bool) -> None:
    due = [function for every, function in hooks if not after_step or history.steps % every == 0]
    if not after_step and history.steps:
        return  # a continued run measured this step before
    for function in due:
        function(history.steps, history)
    if due:
        _show(bar, history)


def _show(bar: tqdm, history: History) -> None:
    bar.set_postfix({name: f"{value:.4g}" for name, value in history.latest().items()}, refresh=False)
