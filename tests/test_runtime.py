"""Devices, streams, freezing, checks and safe files; the direction of imports; the cost of importing."""

import ast
import math
import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

import gan_utils as gu
from gan_utils import runtime

ROOT = Path(gu.__file__).parent
LAYERS = [
    {"runtime"},
    {"losses", "data", "models", "penalties", "checkpoints", "metrics", "health", "letters", "graphs"},
    {"training", "theory", "control", "distributed", "batched"},
    {"recipes"},
    {"plots", "widgets", "exercises", "__main__", "__init__"},
]


def imports_of(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"{module}.py").read_text())
    relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    return {n.module.split(".")[0] if n.module else a.name for n in relative for a in n.names}


def test_imports_go_one_way():
    """runtime <- data, models, losses, penalties, metrics <- training <- recipes <- the rest; nothing the other way."""
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    for path in ROOT.glob("*.py"):
        for imported in imports_of(path.stem) - {path.stem}:
            assert level[imported] <= level[path.stem], f"{path.stem} imports {imported}"
    for path in ROOT.glob("*.py"):
        assert not imports_of(path.stem) & {"plots", "widgets"}, f"{path.stem} imports plots or widgets"


def test_import_is_light(tmp_path):
    """Importing the package pulls in neither plots, widgets, scipy nor torchvision, and writes nothing."""
    code = "import sys, gan_utils; print(sorted({'matplotlib', 'ipywidgets', 'scipy', 'torchvision'} & {*sys.modules}))"
    env = {**os.environ, "PYTHONPATH": str(ROOT.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_seeds_and_no_global_stream():
    """Equal seeds draw alike; the package leaves torch's global stream where it was."""
    before = torch.get_rng_state()
    a, b = gu.gaussian_noise(4, 3, generator=gu.seeded(1)), gu.gaussian_noise(4, 3, generator=gu.seeded(1))
    assert torch.equal(a, b)
    assert not torch.equal(a, gu.gaussian_noise(4, 3, generator=gu.seeded(2)))
    gu.ring(10, generator=gu.seeded(0))
    next(gu.batches(a, 2, generator=gu.seeded(0)))
    assert torch.equal(before, torch.get_rng_state())


def test_the_package_never_seeds_globally():
    for path in ROOT.glob("*.py"):
        assert "torch.manual_seed" not in path.read_text(), path.name


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, None])
def test_bad_seeds(seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0, got"):
        gu.seeded(seed)


def test_devices():
    assert gu.pick_device("cpu").type == "cpu"
    assert gu.pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name, says in [("gpu", "unknown device 'gpu': use 'cpu'"), ("mps", "not supported"), ("cuda:99", "use 'cpu'")]:
        with pytest.raises(ValueError, match=says) as error:
            gu.pick_device(name)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("count", "there"), [(0, []), (1, ["cuda", "cuda:0"]), (2, ["cuda", "cuda:0", "cuda:1"])])
def test_devices_are_counted_from_zero(count, there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    for name in ("cuda", "cuda:0", "cuda:1", "cuda:2"):
        if name in there:
            assert gu.pick_device(name) == torch.device(name)
        else:
            with pytest.raises(ValueError, match=f"torch sees {count} CUDA devices"):
                gu.pick_device(name)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_frozen_stops_weights_and_statistics_but_lets_gradients_through():
    net, x = network(), torch.randn(5, 3, generator=gu.seeded(0), requires_grad=True)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with gu.frozen(net):
        net(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    net(x)
    assert not torch.equal(net[1].running_mean, before["1.running_mean"]), "statistics move again afterwards"


def test_frozen_normalises_by_the_batch_as_training_does():
    net, x = network(), torch.randn(5, 3, generator=gu.seeded(0))
    with gu.frozen(net):
        inside = net(x)
    assert torch.equal(inside, net(x))


def test_frozen_restores_on_exceptions_and_respects_flags():
    net = network()
    net[0].bias.requires_grad_(False)
    with pytest.raises(RuntimeError, match="on purpose"), gu.frozen(net):
        raise RuntimeError("on purpose")
    assert net[0].weight.requires_grad and not net[0].bias.requires_grad and net[1].track_running_stats


def test_frozen_nests():
    net = network()
    with gu.frozen(net):
        with gu.frozen(net):
            pass
        assert not net[0].weight.requires_grad and not net[1].track_running_stats
    assert net[0].weight.requires_grad and net[1].track_running_stats


def test_evaluating_gives_each_part_its_mode_back():
    net = network()
    net[1].eval()
    with gu.evaluating(net):
        assert not net.training and not torch.is_grad_enabled()
    assert net.training and not net[1].training and net[2].training


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_counted(bad):
    """One bad entry of six is named; whole numbers have none, and an empty tensor is refused."""
    x = torch.zeros(2, 3)
    x[1, 2] = bad
    with pytest.raises(ValueError, match="x holds 1 NaN or infinite values of 6: clean the data first"):
        gu.check_finite("x", x)
    gu.check_finite("x", torch.arange(3))
    gu.check_finite("x", torch.full((9,), 3e38))  # finite, though their sum is not
    with pytest.raises(ValueError, match=r"x is empty: shape \(0, 3\)"):
        gu.check_finite("x", torch.zeros(0, 3))


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, -1])
def test_counts_are_whole_numbers(value):
    """True counts as 1 in Python: as a number of samples it is a slip."""
    with pytest.raises(ValueError, match="n must be a whole number, 1 or more; got") as error:
        runtime.check_count("n", value)
    assert repr(value) in str(error.value)
    runtime.check_count("n", 0, least=0)


@pytest.mark.parametrize(
    ("labels", "says"), [([-1, 3], "from -1 to 3"), ([0, 10], "from 0 to 10"), ([0, 9], ""), ([], "")]
)
def test_labels_lie_among_the_classes(labels, says):
    """Ten classes are 0 to 9, at both ends; a negative label would count from the end."""
    given = torch.tensor(labels, dtype=torch.int64)
    if not says:
        return runtime.check_labels(given, len(given), 10)
    with pytest.raises(ValueError, match=f"labels {says}; need 0 to 9"):
        runtime.check_labels(given, len(given), 10)


def test_write_atomic_leaves_whole_files_only(tmp_path, monkeypatch):
    path = runtime.write_atomic(tmp_path / "new" / "a.bin", b"first")
    assert path.read_bytes() == b"first"
    (tmp_path / "plain").write_bytes(b"")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode, "readable as any new file"

    def cut(temporary, target):
        assert Path(temporary).parent == path.parent, "from another file system a file cannot be moved at once"
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(OSError, match="power cut"):
        runtime.write_atomic(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_write_where_one_cannot(tmp_path):
    """A folder that is a file stands for every folder that cannot be written; root may write anywhere else."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write in .*: choose another folder") as error:
        runtime.write_atomic(tmp_path / "file" / "a.bin", b"")
    assert "\n" not in str(error.value)


def test_requirements_and_package_agree():
    """pyproject's needs are the first part of requirements.txt, word for word."""
    root = ROOT.parent
    lines = (root / "requirements.txt").read_text().split("# the book")[0].splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    text = (root / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("]", 1)[0]
    assert text.split('"')[1::2] == wanted


FAULTS = """
import resource, torch
import gan_utils as gu
G, g = gu.conv_generator(generator=gu.seeded(0)), gu.seeded(1)
def step():
    G(torch.randn(64, 64, generator=g)).square().mean().backward()
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_kept_for_the_next_step():
    """Pages that a step has to fetch from the system: next to none, and a setting of the user's is left alone."""
    def faults(**settings):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        run = subprocess.run([sys.executable, "-c", FAULTS], env=plain | settings, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    assert faults() < 0.1 * faults(MALLOC_TRIM_THRESHOLD_="131072")


def test_outside_the_main_thread_ctrl_c_is_left_alone():
    """Python lets no other thread set a handler: what stands there stays."""
    def inside():
        with runtime.Interrupt() as interrupt:
            return interrupt.asked, signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == (False, signal.getsignal(signal.SIGINT))


def test_denormal_numbers_count_as_zero_while_a_run_lasts():
    """Half of 2e-38 is a denormal number of float32, whose smallest normal one is 1.2e-38."""
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormal numbers")

    def half():
        return torch.tensor(2e-38).div(2).item()

    inside = []
    gu.fit(dict, lambda: inside.append(half()) or {}, steps=1, hooks=[(1, lambda *_: inside.append(half()))],
           progress=False)
    assert inside == [0, 0, 0]
    assert half() > 0, "the setting outlived the run"
    torch.set_flush_denormal(True)
    try:  # a setting of the user's is left alone
        gu.fit(dict, dict, steps=1, progress=False)
        assert half() == 0
    finally:
        torch.set_flush_denormal(False)
