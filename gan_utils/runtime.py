"""Device, randomness, freezing, safe files: what every other module stands on."""

import contextlib
import ctypes
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def pick_device(name: str | None = None) -> torch.device:
    """The device called `name`, or CUDA where there is one and the CPU elsewhere.

    Raises ValueError, in one line, for a name that torch does not know or a device that is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}: use 'cpu', 'cuda' or 'cuda:0'") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported: use 'cpu' or 'cuda'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device {name!r} asked for, but torch sees {count} CUDA devices: use 'cpu'")
    return device


def seeded(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A random stream of its own, seeded; pass it on to whatever draws. Nothing here is global."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    return torch.Generator(device=device).manual_seed(seed)


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Inside the block the modules stay as they are: no gradients, no drift of batch statistics.

    Gradients still flow *through* them to whatever came before. BatchNorm keeps its mode (in training mode it
    goes on normalising by the batch) but its running statistics rest, and so do the vectors of `SpectralNorm`.
    The state comes back on exceptions too.
    """
    needs_grad = [(p, p.requires_grad) for m in modules for p in m.parameters()]
    parts = [part for m in modules for part in m.modules() if part.training]
    norms = [(part, part.track_running_stats) for part in parts if isinstance(part, _BatchNorm)]
    drifting = [part for part in parts if getattr(part, "drifts_in_training", False)]
    try:
        for p, _ in needs_grad:
            p.requires_grad_(False)
        for norm, _ in norms:
            norm.track_running_stats = False
        for part in drifting:
            part.training = False
        yield
    finally:
        for p, flag in needs_grad:
            p.requires_grad_(flag)
        for norm, flag in norms:
            norm.track_running_stats = flag
        for part in drifting:
            part.training = True


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Inside the block the modules are in eval mode and no graph is built; each gets its mode back."""
    modes = [(m, m.training) for module in modules for m in module.modules()]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for m, mode in modes:
            m.training = mode


def keep_freed_memory() -> bool:
    """Tells glibc to keep what is freed for the next step, instead of handing it back; False where it can't be told.

    A training step frees and asks for the same megabytes again and again, and each page that comes back from the
    system has to be mapped and cleared: a sixth to a third of a convolutional step. Called when the package is
    imported; settings of yours (MALLOC_..._ in the environment) are respected. The cost: a process stays as large
    as it once was.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, Windows, musl
        return False
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    return bool(mallopt(trim_threshold, 2**31 - 1) and mallopt(mmap_threshold, 32 * 2**20))  # the most it takes


@contextlib.contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Inside the block this thread takes numbers nearer to 0 than 1.2e-38 (float32) for 0, where the processor can.

    Adam's averages of a gradient that has become 0, as behind a dead ReLU, shrink by a factor at each step, and
    arithmetic with the denormal numbers that they turn into after some hundred steps is many times slower.
    """
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # numpy 1 warns where it looks at these limits for the first time inside
    before = not torch.tensor(2e-38).div(2).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


class Interrupt:
    """Inside the block the first Ctrl-C only sets `asked`, so that the step under way is finished; a second raises.

    Outside the main thread, where Python allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Interrupt":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def check_finite(name: str, x: Tensor) -> None:
    """Raises ValueError if `x` is empty or holds NaN or infinity."""
    if x.numel() == 0:
        raise ValueError(f"{name} is empty: shape {tuple(x.shape)}")
    if not x.is_floating_point() or x.sum().isfinite():  # a sum is quick, and keeps a NaN and an infinity
        return
    bad = int((~torch.isfinite(x)).sum())
    if bad:  # else the sum alone overflowed
        raise ValueError(f"{name} holds {bad} NaN or infinite values of {x.numel()}: clean the data first")


def check_labels(labels: Tensor, n: int, classes: int | None = None) -> None:
    """Raises ValueError unless `labels` are (n,) int64 and, where `classes` is given, in 0 .. classes - 1.

    Check the range where data come in, not in each step: looking at values waits for the device.
    """
    if labels.shape != (n,) or labels.dtype != torch.int64:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, {labels.dtype}; need ({n},), torch.int64")
    if classes and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels from {int(labels.min())} to {int(labels.max())}; need 0 to {classes - 1}")


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raises ValueError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}")


def write_atomic(path: str | Path, data: bytes) -> Path:
    """Writes `data` to `path` whole or not at all: a reader never sees half a file, a crash loses nothing.

    Raises OSError, in one line, where the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(f"cannot write in {path.parent} ({error.strerror}): choose another folder") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's 0600 would hide the file from everyone else
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)  # the only way to ask is to set it
    os.umask(mask)
    return mask
