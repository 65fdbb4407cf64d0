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
KILLS = 20


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
    assert torch.equal(x, sample(G, header, 5, seed=1)) and header["steps"] == 3


def test_noise_laws_are_what_their_names_say():
    """Uniform in [0, 1] with mean 1/2; Gaussian with some below 0 and spread 1; 5 standard errors of 10,000 draws."""
    u, n = (NOISE[name](10_000, 1, generator=gu.seeded(0)) for name in ("uniform", "gaussian"))
    assert float(u.min()) >= 0 and float(u.max()) <= 1 and float(u.mean()) == pytest.approx(0.5, abs=0.015)
    assert float(n.std()) == pytest.approx(1.0, abs=0.04) and float(n.min()) < -1


def test_unknown_recipe():
    with pytest.raises(ValueError, match="no recipe called 'stylegan': use one of gaussian-1d"):
        Run("stylegan")
    with pytest.raises(ValueError, match="no recipe called 'mnist_conv': did you mean 'mnist-conv'[?] use one of"):
        Run("mnist_conv")


def test_mnist_conv_learns_quickly():
    """60 steps from noise near 200 to below the classic loop's final 33; seen over 3 seeds 24 to 33; bar 60."""
    run = Run("mnist-conv", seed=1)
    start = gu.frechet_digits(run.sample(1000, seed=0))
    run.train(steps=60, **QUICK)
    assert gu.frechet_digits(run.sample(1000, seed=0)) < min(60, start / 2)


def test_shipped_generator_is_good(tmp_path):
    """The generator that the pages use: within the floor's small multiple that its header states, again measured."""
    G, header = gu.load_generator(gu.shipped_path("mnist-conv"))
    value = gu.frechet_digits(sample(G, header, 10_000, seed=0))
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
    assert result["frechet"] > result["frechet_perfect"] > 0
    main(["evaluate", out, "--n", "500"])
    assert "frechet" in capsys.readouterr().out


def test_shipped_generator_by_name(tmp_path):
    main(["sample", "mnist-conv", "--n", "20", "--out", str(tmp_path / "s.npz")])
    x = torch.from_numpy(np.load(tmp_path / "s.npz")["x"]).unsqueeze(1)
    G, header = gu.load_generator(gu.shipped_path("mnist-conv"))
    assert torch.equal(x, sample(G, header, 20, seed=0))


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
        (["train", "gaussian1d", "--out", "run"], "no recipe called 'gaussian1d': did you mean 'gaussian-1d'?"),
        (["train", "ring", "--out", "run", "--measure-every", "0"], "measure_every must be a whole number, 1 or more"),
        (["evaluate", "mnist-conv", "--n", "1"], "needs"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert says in said and said.startswith("gan_utils: ") and said.count("\n") == 1
    assert not (tmp_path / "samples.npz").exists(), "something was written"


def test_train_never_overwrites_a_run(tmp_path, capsys):
    main(["train", "gaussian-1d", "--out", str(tmp_path), "--steps", "1"])
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    assert main(["train", "gaussian-1d", "--out", str(tmp_path), "--steps", "1"]) == 2
    assert "already holds a run: add --resume" in capsys.readouterr().err
    assert main(["train", "mnist-mlp", "--out", str(tmp_path), "--steps", "1", "--resume"]) == 2
    assert "holds a run of gaussian-1d, not of mnist-mlp" in capsys.readouterr().err
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


# conditional recipes


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A conditional run of three steps, saved."""
    run = Run("mnist-conditional", seed=1)
    run.train(steps=3, **QUICK)
    return run, str(run.save(tmp_path_factory.mktemp("run") / "checkpoint.safetensors"))


def test_labels_are_given_and_made(conditional, tmp_path, capsys):
    """Without --labels, or balanced: 0 to 9 in turn; one class: it alone; some: in turn. x is what G makes of y."""
    run, path = conditional
    for wanted, expected in (
        ([], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]),
        (["--labels", "balanced"], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]),
        (["--labels", "3"], [3] * 12),
        (["--labels", "7,1"], [7, 1] * 6),
    ):
        assert main(["sample", path, "--n", "12", "--seed", "5", "--out", str(tmp_path / "s.npz"), *wanted]) == 0
        file = np.load(tmp_path / "s.npz")
        assert file["y"].tolist() == expected and file["y"].dtype == np.int64
        z = gu.gaussian_noise(12, 64, generator=gu.seeded(5))
        with torch.no_grad():
            x = run.average.module(z, torch.tensor(expected))
        torch.testing.assert_close(torch.from_numpy(file["x"]), x[:, 0])


@pytest.mark.parametrize(
    ("wanted", "says"),
    [("ten", "--labels 'ten': need 'balanced'"), ("10", "labels from 10 to 10; need 0 to 9"), ("-1", "from -1 to -1")],
)
def test_labels_out_of_range(conditional, wanted, says, capsys):
    assert main(["sample", conditional[1], "--n", "4", f"--labels={wanted}"]) == 2
    assert says in capsys.readouterr().err


def test_conditional_figures_have_the_classes_of_the_data(conditional):
    """Asked classes are drawn as in the data (11.2 % ones, 9.0 % fives: shares within 4 standard errors), and the
    accuracy is the share of samples in which the classifier sees them: for classes in turn shifted by one, none.
    """
    from gan_utils.recipes import TASKS, measure

    run, _ = conditional
    labels = TASKS["mnist"].load(torch.device("cpu"))(20_000, gu.seeded(1))[1]
    shares = torch.bincount(labels, minlength=10) / 20_000
    assert float(shares[1]) == pytest.approx(0.1124, abs=0.009)
    assert float(shares[5]) == pytest.approx(0.0904, abs=0.008)
    x, y = gu.load_mnist("test")
    assert TASKS["mnist"].measure(x[:500], y[:500])["accuracy"] > 0.97
    assert TASKS["mnist"].measure(x[:500], (y[:500] + 1) % 10)["accuracy"] < 0.03
    assert set(measure(run.average.module, run.header(), 200)) == {"frechet", "accuracy"}


def test_conditional_steps_pair_each_image_with_its_label(monkeypatch):
    """D's step gets the data's own pairs, and fakes of classes that are the same ones in another order."""
    import gan_utils.recipes as recipes

    run, images = Run("mnist-conditional"), gu.load_mnist("train")
    seen = {}

    def watch(G, D, opt, x, z, loss, penalty, *, y, y_fake):
        seen.update(x=x, y=y, y_fake=y_fake)
        return {"d_loss": torch.zeros(())}

    monkeypatch.setattr(recipes, "d_step", watch)
    run._d_step()
    for x, y in zip(seen["x"][:5], seen["y"][:5], strict=True):
        (at,) = torch.where((images[0] == x).flatten(1).all(dim=1))
        assert int(images[1][at[0]]) == int(y)
    assert torch.equal(seen["y"].sort().values, seen["y_fake"].sort().values)
    assert not torch.equal(seen["y"], seen["y_fake"])


def test_gradient_penalty_of_a_recipe_has_its_weight_and_its_turn(monkeypatch):
    """lambda times the penalty at each of two critic steps before each of G's; with penalty_every = 2, twice it."""
    import dataclasses

    import gan_utils.recipes as recipes

    run, calls = Run("mnist-wgan-gp"), []
    monkeypatch.setattr(recipes, "gradient_penalty", lambda D, x, fake, generator: calls.append(run.d_updates) or 0.7)
    assert run._penalty(None, torch.zeros(1), torch.zeros(1)) == pytest.approx(7.0)
    run.recipe = dataclasses.replace(run.recipe, penalty_every=2)
    assert run._penalty(None, torch.zeros(1), torch.zeros(1)) == pytest.approx(14.0)
    calls.clear()
    monkeypatch.setattr(
        recipes, "gradient_penalty", lambda D, x, fake, generator: calls.append(run.d_updates) or gu.r1_penalty(D, x)
    )
    run.train(steps=3, **QUICK)
    assert run.d_updates == 6 and calls == [1, 3, 5]


def test_json_lines(tmp_path, capsys):
    """One object for each measurement and one at the end, and nothing else on standard output."""
    main(["train", "ring", "--out", str(tmp_path), "--steps", "4", "--measure-every", "2", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines] == [0, 2, 4, 4]
    assert all({"modes", "quality", "seconds"} <= line.keys() for line in lines)
    assert lines[-1]["samples"] == 10_000 and lines[-1]["interrupted"] is False and "health" in lines[-1]


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_perfect_samples_score_what_is_called_perfect(name, modes):
    """The data itself through the same code: all modes, 98.89 % +- 4 standard errors, reverse KL near (k - 1) / 2n."""
    from gan_utils.recipes import TASKS

    task, n = TASKS[name], 20_000
    figures = task.measure(*task.load(torch.device("cpu"))(n, gu.seeded(0)))
    perfect = task.perfect(n)
    assert figures["modes"] == perfect["modes"] == modes
    assert figures["quality"] == pytest.approx(perfect["quality"], abs=4 * (0.9889 * 0.0111 / n) ** 0.5)
    assert figures["reverse_kl"] < 4 * perfect["reverse_kl"]


@pytest.mark.slow
def test_a_killed_run_keeps_a_whole_checkpoint_and_goes_on_bit_for_bit(tmp_path):
    """SIGKILL at twenty random moments of training and saving: what lies there loads, and its next steps are those
    of a run that was never stopped. The hook saves every ten steps here, so that many kills hit a write.
    """
    import random

    program = (
        "import sys\nfrom gan_utils.recipes import Run\nrun = Run.load(sys.argv[1])\nprint('ready', flush=True)\n"
        "run.train(steps=10**6, hooks=((3, lambda *_: run.save(sys.argv[1])),), measure_every=10**9, samples=2,"
        " progress=False)\n"
    )
    path, moments = tmp_path / "checkpoint.safetensors", random.Random(0)
    never = Run("gaussian-1d", seed=5)
    Run("gaussian-1d", seed=5).save(path)
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.wait()
        run = Run.load(path)
        ahead = run.history.steps - never.history.steps
        never.train(steps=ahead, measure_every=10**9, samples=2, progress=False)
        assert run.history.steps == never.history.steps
        for part in ("G", "D", "average"):
            a, b = run._networks()[part].state_dict(), never._networks()[part].state_dict()
            assert all(torch.equal(a[k], b[k]) for k in a), part
        assert run.history["d_loss"] == never.history["d_loss"]
    assert never.history.steps > 0
