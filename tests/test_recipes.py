"""Runs and the command line: exact resumption, what a killed or interrupted run keeps, one line for bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import gan_utils as gu
from gan_utils.__main__ import main
from gan_utils.recipes import NOISE, RECIPES, Run, sample

QUICK = {"measure_every": 5, "samples": 50, "progress": False}


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_run_is_the_uninterrupted_one(name, tmp_path):
    """7 steps, save, load, 6 steps = 13 steps: weights, moments, average, history and stream bit for bit."""
    whole, half = Run(name, seed=3), Run(name, seed=3)
    whole.train(steps=13, **QUICK)
    half.train(steps=7, **QUICK)
    again = Run.load(half.save(tmp_path / "run.safetensors"))
    again.train(steps=6, **QUICK)
    a, b = (gu.load_tensors(run.save(tmp_path / f"{i}.safetensors")) for i, run in enumerate((whole, again)))
    assert a[0].keys() == b[0].keys()
    assert all(torch.equal(tensor, b[0][key]) for key, tensor in a[0].items())
    a[1]["history"].pop("seconds"), b[1]["history"].pop("seconds")
    assert a[1] == b[1]
    assert len(again.history["d_loss"]) == 13


def test_seeds_decide_the_run():
    losses = []
    for seed in (0, 0, 1):
        run = Run("gaussian-1d", seed=seed)
        losses.append(run.train(steps=5, **QUICK)["g_loss"])
    assert losses[0] == losses[1] != losses[2]


def test_lazy_penalty_comes_each_eighth_step(monkeypatch):
    """R1 is called on D updates 0, 8, 16 and enters with gamma / 2 times 8."""
    import gan_utils.recipes as recipes

    run, calls = Run("mnist-conv"), []

    def counted(D, x):
        calls.append(run.d_updates - 1)
        return gu.r1_penalty(D, x)

    monkeypatch.setattr(recipes, "r1_penalty", counted)
    run.train(steps=17, **QUICK)
    assert calls == [0, 8, 16]


def test_learning_rate_halves_at_lr_half():
    """lr / (1 + step / lr_half): full at step 0, half at lr_half; each network at its own rate."""
    import gan_utils.recipes as recipes

    run = Run("gaussian-1d")
    for step, lr in ((0, 0.4), (100, 0.2), (300, 0.1)):
        recipes._set_lr(run.opt_d, 0.4, 100.0, step)
        assert run.opt_d.param_groups[0]["lr"] == pytest.approx(lr)
    run = Run("mnist-conv")
    run.train(steps=2, **QUICK)
    for opt, lr in ((run.opt_g, run.recipe.lr_g), (run.opt_d, run.recipe.lr_d)):
        assert opt.param_groups[0]["lr"] == pytest.approx(lr / (1 + 1 / run.recipe.lr_half))


def test_samples_come_from_the_averaged_generator_and_their_seed(tmp_path):
    run = Run("mnist-conv")
    run.train(steps=3, **QUICK)
    x = run.sample(5, seed=1)
    assert torch.equal(x, run.sample(5, seed=1)) and not torch.equal(x, run.sample(5, seed=2))
    z = gu.gaussian_noise(5, 64, generator=gu.seeded(1))
    assert torch.equal(x, run.average.module(z))
    G, header = gu.load_generator(run.save(tmp_path / "run.safetensors"))
    assert torch.equal(x, sample(G, header["noise"], 5, seed=1)) and header["steps"] == 3


def test_noise_laws_are_what_their_names_say():
    """Uniform in [0, 1] with mean 1/2; Gaussian with some below 0 and spread 1; 5 standard errors of 10,000 draws."""
    u, n = (NOISE[name](10_000, 1, generator=gu.seeded(0)) for name in ("uniform", "gaussian"))
    assert float(u.min()) >= 0 and float(u.max()) <= 1 and float(u.mean()) == pytest.approx(0.5, abs=0.015)
    assert float(n.std()) == pytest.approx(1.0, abs=0.04) and float(n.min()) < -1


def test_unknown_recipe():
    with pytest.raises(ValueError, match="no recipe called 'stylegan': use one of gaussian-1d"):
        Run("stylegan")


def test_mnist_conv_learns_quickly():
    """60 steps from noise near 200 to below the classic loop's final 33; seen over 3 seeds 24 to 33; bar 60."""
    run = Run("mnist-conv", seed=1)
    start = gu.frechet_digits(run.sample(1000, seed=0))
    run.train(steps=60, **QUICK)
    assert gu.frechet_digits(run.sample(1000, seed=0)) < min(60, start / 2)


def test_shipped_generator_is_good(tmp_path):
    """The generator that the pages use: within the floor's small multiple that its header states, again measured."""
    G, header = gu.load_generator(gu.shipped_path("mnist-conv"))
    value = gu.frechet_digits(sample(G, header["noise"], 10_000, seed=0))
    assert value == pytest.approx(header["frechet"], rel=0.02)
    assert value < 25 * gu.frechet_floor(10_000)


# the command line


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gan_utils", *arguments]


def test_train_sample_evaluate(tmp_path, capsys):
    out = str(tmp_path / "run")
    main(["train", "mnist-conv", "--out", out, "--steps", "3"])
    assert "3 steps" in capsys.readouterr().out
    main(["train", "mnist-conv", "--out", out, "--steps", "2", "--resume"])
    assert "5 steps" in capsys.readouterr().out
    main(["sample", out, "--n", "7", "--seed", "4", "--out", f"{out}/s.npz"])
    x = np.load(f"{out}/s.npz")["x"]
    assert x.shape == (7, 28, 28) and x.dtype == np.float32 and np.abs(x).max() <= 1
    capsys.readouterr()
    main(["evaluate", out, "--n", "500", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["frechet"] > result["frechet_floor"] > 0
    main(["evaluate", out, "--n", "500"])
    assert "frechet" in capsys.readouterr().out


def test_shipped_generator_by_name(tmp_path):
    main(["sample", "mnist-conv", "--n", "20", "--out", str(tmp_path / "s.npz")])
    x = torch.from_numpy(np.load(tmp_path / "s.npz")["x"]).unsqueeze(1)
    assert torch.equal(x, sample(gu.shipped_generator("mnist-conv"), "gaussian", 20, seed=0))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "nowhere.safetensors"], "no checkpoint at nowhere.safetensors"),
        (["sample", "nobody"], "no generator called 'nobody' is shipped: use one of"),
        (["sample", "mnist-conv", "--n", "0"], "n must be a whole number, 1 or more; got 0"),
        (["sample", "mnist-conv", "--n", "1", "--labels", "3"], "knows no labels"),
        (["sample", "mnist-conv", "--device", "gpu"], "unknown device 'gpu'"),
        (["train", "gaussian-1d", "--out", "run", "--steps", "-1"], "steps must be a whole number, 0 or more; got -1"),
        (["train", "gaussian-1d", "--out", "run", "--seconds", "0"], "seconds must be above 0"),
        (["train", "gaussian-1d", "--out", "run", "--resume"], "no checkpoint at checkpoint.safetensors"),
        (["train", "gaussian-1d", "--out", "file/run", "--steps", "1"], "cannot write in"),
        (["train", "gaussian-1d", "--out", "run", "--seed", "-3"], "seed must be a whole number from 0"),
    ],
)
def test_bad_input_is_one_line(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert says in str(stopped.value) and "\n" not in str(stopped.value)


def test_train_never_overwrites_a_run(tmp_path):
    main(["train", "gaussian-1d", "--out", str(tmp_path), "--steps", "1"])
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(SystemExit, match="already holds a run: add --resume"):
        main(["train", "gaussian-1d", "--out", str(tmp_path), "--steps", "1"])
    with pytest.raises(SystemExit, match="holds a run of gaussian-1d, not of mnist-mlp"):
        main(["train", "mnist-mlp", "--out", str(tmp_path), "--steps", "1", "--resume"])
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_ctrl_c_keeps_the_run(tmp_path):
    """SIGINT while training: the checkpoint holds steps, the exit status is that of an interrupt, no traceback."""
    path = tmp_path / "checkpoint.safetensors"
    process = subprocess.Popen(
        command("train", "gaussian-1d", "--out", str(tmp_path), "--steps", "10000000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "Traceback" not in out and "interrupted; go on with --resume" in out
    assert Run.load(path).history.steps > 0
