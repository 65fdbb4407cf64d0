"""Several ranks make the update of one process: gloo, two processes, this machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import nn

import gan_utils as gu
from gan_utils.__main__ import main
from gan_utils.distributed import ALONE, RankLost, Ranks, joined
from gan_utils.recipes import Run

RECIPES = ["ring", "mnist-dcgan", "mnist-wgan-gp", "mnist-conditional"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
GOES_ON = "mnist-wgan-gp"  # the recipe whose stream also draws places on lines
STEPS, STOP = 9, 4  # past the second of the lazy penalties; where a run changes its number of ranks

# Each rank runs this. Everything in float64: in float32 the rounding of a sum over 64 samples, divided by Adam's
# root of a gradient near 0, grows by a factor of 100 in nine steps, and a real fault could hide in it.
WORKER = f"""
import sys
import gan_utils as gu
import torch
from gan_utils import recipes as of
from gan_utils.distributed import ALONE, joined
from gan_utils.recipes import Run

of._digit_clusters = lambda: torch.arange(60_000) % of.CLUSTERS  # any will do, and k-means takes seconds
torch.set_default_dtype(torch.float64)
folder, recipes = sys.argv[1], sys.argv[2:]
quiet = {{"measure_every": 10**9, "samples": 10, "progress": False}}

def made(name, ranks, steps, path=None):
    run = Run(name, seed=3, device="cpu", ranks=ranks)
    draw = run._real
    run._real = lambda n, g: tuple(t.double() if t is not None and t.is_floating_point() else t for t in draw(n, g))
    if path:
        run._restore(*gu.load_tensors(path))
    run.train(steps=steps, **quiet)
    return run

with joined("cpu") as (ranks, _):
    for name in recipes:
        two = made(name, ranks, {STEPS})
        two.save(f"{{folder}}/{{name}}.rank{{ranks.rank}}")
        half = f"{{folder}}/{{name}}.half"
        if ranks.rank == 0:
            alone = made(name, ALONE, {STOP})
            alone.save(half)
            alone.train(steps={STEPS - STOP}, **quiet)
            alone.save(f"{{folder}}/{{name}}.alone")
        ranks.agree(0)  # nobody reads before it is written
        if name == "{GOES_ON}":
            made(name, ranks, {STEPS - STOP}, half).save(f"{{folder}}/joined{{ranks.rank}}")
    for error in (None, "no such place"):
        def work():
            if ranks.rank == 1 and error:
                raise ValueError(error)
            return ranks.rank
        try:
            said = ranks.together(work)
        except ValueError as caught:
            said = str(caught)
        open(f"{{folder}}/said{{ranks.rank}}", "a").write(f"{{said}}\\n")
    open(f"{{folder}}/agreed{{ranks.rank}}", "w").write(str(ranks.agree(ranks.rank * 2)))
"""


def environment(**more: str) -> dict[str, str]:
    package = str(Path(gu.__file__).parents[1])  # the same that this process tests
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": package, **more}


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """What two ranks and one process made of the same recipes, as files."""
    folder, port = tmp_path_factory.mktemp("ranks"), free_port()
    started = []
    for rank in "01":
        where = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, "-c", WORKER, str(folder), *RECIPES]
        started.append(subprocess.Popen(command, env=environment(**where), stderr=subprocess.PIPE, text=True))
    for process in started:
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0 and said == "", said
    return folder


def differences(a: Path, b: Path) -> dict[str, float]:
    """Largest difference of each tensor of two checkpoints, over its largest entry where that is above 1."""
    (x, head_x), (y, head_y) = gu.load_tensors(a), gu.load_tensors(b)
    assert x.keys() == y.keys()
    for head in (head_x, head_y):
        head["history"].pop("seconds"), head["history"].pop("metrics")  # rank 0 alone measures
    assert head_x == head_y
    return {name: _difference(x[name].double(), y[name].double()) for name in x}


def _difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", RECIPES)
def test_two_ranks_make_the_update_of_one_process(trained, name):
    """Weights, moments, running statistics, average, losses and stream after nine steps, the penalty among them.

    Rounding alone: 1e-16, times 100 for Adam, is far below 1e-10; any statistic per rank gives 1e-3 and more.
    """
    found = differences(trained / f"{name}.rank0", trained / f"{name}.alone")
    assert max(found.values()) < 1e-10, max(found, key=found.get)
    assert found["stream"] == 0


@pytest.mark.parametrize("name", RECIPES)
def test_ranks_stay_equal(trained, name):
    """Bit for bit: nothing but rank 0 is ever saved, so the others must not drift."""
    assert max(differences(trained / f"{name}.rank0", trained / f"{name}.rank1").values()) == 0


def test_a_run_goes_on_with_another_number_of_ranks(trained):
    """Four steps alone and five on two ranks are nine alone: the same global batches, to rounding."""
    assert max(differences(trained / "joined0", trained / f"{GOES_ON}.alone").values()) < 1e-10


def test_ranks_speak_with_one_voice(trained):
    """What fails on one rank fails on all, with its name; a flag of one is the flag of all."""
    for rank in "01":
        assert (trained / f"said{rank}").read_text().splitlines() == [rank, "rank 1: no such place"]
        assert (trained / f"agreed{rank}").read_text() == "2"


def test_parts_are_neighbours_and_make_the_whole():
    """A packing D joins neighbours: the ranks' parts, one after the other, are the batch; alone, it is the batch."""
    x = torch.arange(12)
    parts = [Ranks(rank, 3).mine(x) for rank in range(3)]
    assert torch.equal(torch.cat(parts), x) and {len(part) for part in parts} == {4}
    packed = [gu.Pack(2)(part.view(-1, 1)) for part in parts]
    assert torch.equal(torch.cat(packed), gu.Pack(2)(x.view(-1, 1)))
    assert ALONE.mine(x) is x and Ranks(1, 3).mine(None) is None


def test_places_on_the_lines_are_those_of_the_whole_batch():
    """`between` for part i of k: rows of the same draw, and the stream ends where it would for the whole."""
    real, fake = torch.randn(2, 12, 3, generator=gu.seeded(1))
    streams = [gu.seeded(7) for _ in range(4)]
    whole = gu.between(real, fake, generator=streams[3])
    parts = [gu.between(real[4 * i : 4 * i + 4], fake[4 * i : 4 * i + 4], generator=streams[i], part=(i, 3))
             for i in range(3)]  # fmt: skip
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert all(torch.equal(s.get_state(), streams[3].get_state()) for s in streams)


def test_alone_nothing_changes():
    """One process: the networks themselves, no wrapper, PyTorch's own BatchNorm, the same flag and losses."""
    G, losses = nn.Sequential(nn.BatchNorm1d(2)), {"d_loss": torch.ones(())}
    assert ALONE.averaging(G) is G and type(ALONE.with_shared_statistics(G)[0]) is nn.BatchNorm1d
    assert ALONE.mean(losses) is losses and ALONE.agree(1) == 1 and ALONE.together(lambda: 7) == 7


def test_a_batch_must_have_equal_parts():
    with pytest.raises(ValueError, match="a batch of 256 has no 3 equal parts: use a number of ranks that divides it"):
        Run("ring", ranks=Ranks(0, 3))


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_only_train_runs_on_several_ranks(command, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([command, "mnist-conv"]) == 2
    assert capsys.readouterr().err == f"gan_utils: only train runs on several ranks: start {command} without torchrun\n"


def test_cuda_without_nccl_or_with_too_few_devices(monkeypatch):
    """Said before anything is started; played, for a CUDA machine is not at hand everywhere."""
    from gan_utils import distributed

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(distributed.dist, "is_nccl_available", lambda: False)
    with pytest.raises(ValueError, match="need NCCL, and this torch has none: use --device cpu"):
        distributed._check_cuda(2)
    monkeypatch.setattr(distributed.dist, "is_nccl_available", lambda: True)
    distributed._check_cuda(2)
    with pytest.raises(ValueError, match="4 ranks on this machine, but torch sees 2 CUDA devices"):
        distributed._check_cuda(4)


# the command line


def test_what_is_wrong_everywhere_is_said_once(monkeypatch, capsys):
    for rank, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        assert main(["train", "ring", "--out", "run", "--seed", "-1"]) == 2
        assert capsys.readouterr().err.count("\n") == lines


def test_torchrun_trains_as_one(tmp_path):
    """Rank 0 alone prints and writes; the run goes on alone."""
    command = [*TORCHRUN, "-m", "gan_utils", "train", "ring", "--out", str(tmp_path), "--device", "cpu"]
    quick = ["--steps", "4", "--measure-every", "2", "--json"]
    done = subprocess.run([*command, *quick], env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    alone = Run("ring")
    alone.train(steps=4, measure_every=2, progress=False)
    assert lines[-1]["quality"] == pytest.approx(alone.measure(10_000)["quality"], abs=0.01)
    assert main(["train", "ring", "--out", str(tmp_path), "--steps", "1", "--resume"]) == 0
    assert Run.load(tmp_path / "checkpoint.safetensors").history.steps == 5


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_devices_make_the_run_of_one(tmp_path):
    """NCCL, one rank a device, against one process on one device: the losses of ten steps, to float32's rounding."""
    command = ["-m", "gan_utils", "train", "ring", "--device", "cuda", "--steps", "10", "--out", ""]
    for before, out in ((TORCHRUN, "two"), ([sys.executable], "one")):
        command[-1] = str(tmp_path / out)
        done = subprocess.run([*before, *command], env=environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    two, one = (gu.load_tensors(tmp_path / out / "checkpoint.safetensors")[0] for out in ("two", "one"))
    torch.testing.assert_close(two["history.d_loss"], one["history.d_loss"], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("error", "wanted"), [
    (RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer"), RankLost),
    (dist.DistNetworkError("timed out"), RankLost),
    (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), RuntimeError),
])
def test_a_lost_rank_is_told_from_other_errors(monkeypatch, error, wanted):
    """By what the collective calls raise, here in a group of two of which only this rank exists."""
    ended = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: ended.append(True))
    with pytest.raises(RuntimeError) as raised, joined("cpu") as (ranks, place):
        assert (ranks.rank, ranks.world, place.type) == (1, 2, "cpu")
        raise error
    assert type(raised.value) is wanted and ended == [True]
    assert (str(raised.value) == "rank 1: another rank is gone") is (wanted is RankLost)


@pytest.mark.slow
def test_a_killed_rank_ends_the_run_and_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL to rank 1 while training: seconds later all is over, one line says why, and the run goes on alone."""
    path = tmp_path / "checkpoint.safetensors"
    command = [*TORCHRUN, "-m", "gan_utils", "train", "ring", "--out", str(tmp_path), "--steps", "10000000"]
    process = subprocess.Popen([*command, "--measure-every", "1", "--json", "--device", "cpu"], env=environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    for _ in range(3):
        assert process.stdout.readline().startswith("{")  # it trains
    os.kill(rank_one(process.pid), signal.SIGKILL)
    start = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and time.monotonic() - start < 30
    # torchrun may end rank 0 before that notices: then it is torchrun's own report that says who died
    assert re.search(r"gan_utils: rank 0: another rank is gone; .*go on with --resume|Signal 9 \(SIGKILL\)", said), said
    assert main(["train", "ring", "--out", str(tmp_path), "--steps", "1", "--resume"]) == 0
    assert Run.load(path).history.steps >= 1


def rank_one(parent: int) -> int:
    """The process that torchrun started as rank 1."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, env = (folder / "stat").read_text(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if int(stat.rsplit(")", 1)[1].split()[1]) == parent and b"\0RANK=1\0" in b"\0" + env:
            return int(folder.name)
    pytest.skip("no /proc here to find the rank in")
