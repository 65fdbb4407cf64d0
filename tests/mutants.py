"""Plants faults in the package, one at a time, and asks whether the tests notice.

    python tests/mutants.py              # all of them
    python tests/mutants.py losses data  # those of two modules
    python tests/mutants.py --quick      # one of each kind: sign, wrong axis, stale gradient, eval mode ...

Each fault is a text of one module and what it is replaced by, as a slip of the hand would leave it. A copy of the
package gets the fault, the tests that should notice run there, and the fault is *caught* if one of them fails. It is
an error if a fault *survives*, if it is *stale* (its text is not in the module exactly once), or if the tests fail
without any fault. The working tree is never touched.

torch and pytest are imported once; every trial is a fork of that process, in a folder of its own.
"""

import contextlib
import gc
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 120.0  # seconds; a fault that makes the tests hang is noticed, too
VERDICT = {0: "SURVIVED", 1: "caught", 4: "NO TESTS", 5: "NO TESTS"}  # by pytest's exit status; others: BROKEN


class Fault(NamedTuple):
    module: str  # "losses", "clinic/patients", "js/critic.js"
    old: str
    new: str
    tests: str  # "losses" for tests/test_losses.py, "recipes:resumed" for its tests with that in their name
    kind: str = ""  # one of each kind of slip has its name here: what --quick plants


FAULTS = [
    # sign, mean, label, pairing, and what only large logits show
    Fault("losses", "softplus(-real_logits).mean(dim) + F", "softplus(real_logits).mean(dim) + F", "losses", "sign"),
    Fault("losses", "+ F.softplus(fake_logits).mean(dim)", "+ F.softplus(-fake_logits).mean(dim)", "losses"),
    Fault("losses", "+ F.softplus(fake_logits).mean(dim)", "+ F.softplus(fake_logits).sum()", "losses", "sum for mean"),
    Fault(
        "losses",
        "+ F.softplus(fake_logits).mean(dim)",
        "+ F.softplus(fake_logits.detach()).mean(dim)",
        "losses",
        "detached",
    ),
    Fault("losses", "+ F.softplus(fake_logits)", "+ F.softplus(fake_logits, threshold=5)", "losses"),
    Fault(
        "losses",
        "return F.softplus(-real_logits).mean(dim) +",
        "return -real_logits.sigmoid().log().mean(dim) +",
        "properties:sure_d",
        "logarithm of a sigmoid",
    ),
    Fault(
        "losses",
        "return F.softplus(-real_logits).mean(dim) +",
        "return 0.5 * F.softplus(-real_logits).mean(dim) +",
        "losses",
        "half the loss",
    ),
    Fault("losses", "return F.softplus(-fake_logits).mean(dim)", "return -F.softplus(fake_logits).mean(dim)", "losses"),
    Fault(
        "losses",
        "return F.softplus(-fake_logits).mean(dim)",
        "return F.softplus(-fake_logits).median()",
        "properties:means_of",
        "median for mean",
    ),
    Fault(
        "losses",
        "return F.softplus(-fake_logits).mean(dim)",
        "return F.softplus(-fake_logits.float()).mean(dim)",
        "losses",
    ),
    Fault(
        "losses",
        "return F.softplus(-fake_logits).mean(dim)",
        "return F.softplus(-fake_logits.clamp(-30, 30)).mean(dim)",
        "losses",
    ),
    Fault("losses", "return -F.softplus(fake_logits).mean(dim)", "return F.softplus(fake_logits).mean(dim)", "losses"),
    Fault(
        "losses",
        "return -F.softplus(fake_logits).mean(dim)",
        "return (1 - fake_logits.sigmoid()).log().mean(dim)",
        "losses",
    ),
    Fault("losses", "(real_logits - 1).square().mean(dim) / 2 +", "(real_logits - 0.9).square().mean(dim) / 2 +",
          "losses"),
    Fault("losses", "fake_logits.square().mean(dim) / 2", "fake_logits.square().mean(dim)", "losses"),
    Fault("losses", "return (fake_logits - 1).square()", "return fake_logits.square()", "losses", "wrong label"),
    Fault("losses", "F.relu(1 + fake_logits)", "F.relu(1 - fake_logits)", "losses"),
    Fault("losses", "F.relu(1 + fake_logits)", "F.relu(fake_logits)", "losses", "no margin"),
    Fault("losses", "F.relu(1 - real_logits)", "(1 - real_logits)", "losses"),
    Fault(
        "losses",
        "fake_logits.mean(dim) - real_logits.mean(dim)",
        "real_logits.mean(dim) - fake_logits.mean(dim)",
        "losses",
        "real and fake swapped",
    ),
    Fault("losses", "return -fake_logits.mean(dim)", "return fake_logits.mean(dim)", "losses"),
    Fault(
        "losses",
        "non_saturating = GanLoss(d=logistic_d_loss, g=nonsaturating_g_loss)",
        "non_saturating = GanLoss(d=logistic_d_loss, g=minimax_g_loss)",
        "losses",
        "wrong loss",
    ),
    Fault(
        "losses",
        "hinge = GanLoss(d=hinge_d_loss, g=wasserstein_g_loss)",
        "hinge = GanLoss(d=hinge_d_loss, g=nonsaturating_g_loss)",
        "losses",
    ),
    Fault("losses", "CHANCE_D_LOSS = 2 * math.log(2)", "CHANCE_D_LOSS = math.log(2)", "losses"),
    # norm, axis, epsilon, graph, what holds still
    Fault(
        "penalties",
        "torch.autograd.grad(D(x).sum(), x",
        "torch.autograd.grad(D(x).mean(), x",
        "penalties",
        "mean before the gradient",
    ),
    Fault("penalties", "create_graph=True", "create_graph=False, retain_graph=True", "penalties", "no graph"),
    Fault(
        "penalties",
        "x = x.detach().requires_grad_(True)",
        "x = x.requires_grad_(True)",
        "penalties",
        "not detached",
    ),
    Fault("penalties", "    return gradient\n", "    return gradient.detach()\n", "penalties"),
    Fault("penalties", "square().sum(dim=1).mean()", "square().sum(dim=0).mean()", "penalties", "wrong axis"),
    Fault("penalties", "square().sum(dim=1).mean()", "square().mean()", "penalties", "mean for sum"),
    Fault("penalties", "square().sum(dim=1).mean()", "square().sum(dim=1).sqrt().mean()", "penalties"),
    Fault(
        "penalties",
        "input_gradient(D, x).flatten(1).square()",
        "input_gradient(D.eval(), x).flatten(1).square()",
        "properties:leave_d",
        "eval mode",
    ),
    Fault("penalties", "flatten(1).norm(dim=1)", "norm(dim=1)", "penalties", "not flattened"),
    Fault("penalties", "flatten(1).norm(dim=1)", "norm()", "penalties", "one norm for the batch"),
    Fault("penalties", "flatten(1).norm(dim=1)", "flatten(1).square().sum(dim=1).sqrt()", "penalties", "root at zero"),
    Fault("penalties", "flatten(1).norm(dim=1)", "flatten(1).norm(p=1, dim=1)", "penalties"),
    Fault("penalties", "epsilon = torch.rand(shape,", "epsilon = torch.randn(shape,", "penalties", "wrong law"),
    Fault(
        "penalties",
        "epsilon = torch.rand(shape, generator=generator, device",
        "epsilon = torch.rand(shape, device",
        "properties:stream_alone",
        "global randomness",
    ),
    Fault(
        "penalties",
        "shape = (n * k,) + (1,) * (real.ndim - 1)",
        "shape = real.shape",
        "penalties",
        "share of each pixel",
    ),
    Fault("penalties", "shape = (n * k,) + (1,) * (real.ndim - 1)", "shape = (1,) * real.ndim", "penalties"),
    Fault(
        "penalties",
        "shape = (n * k,) + (1,) * (real.ndim - 1)",
        "shape = real.shape[:2] + (1,) * (real.ndim - 2)",
        "penalties",
    ),
    Fault("penalties", "(1 - epsilon) * fake", "(epsilon - 1) * fake", "penalties"),
    Fault("penalties", "(1 - epsilon) * fake", "(1 - epsilon) * real", "penalties"),
    Fault("penalties", "if one_sided else slope - 1", "if not one_sided else slope - 1", "penalties", "wrong side"),
    Fault("penalties", "(slope - 1).clamp(min=0)", "(slope - 1).clamp(max=0)", "penalties"),
    Fault("penalties", "else slope - 1\n", "else slope\n", "penalties"),
    Fault(
        "penalties",
        "    for p in D.parameters():\n        p.clamp_(-limit, limit)",
        "    for p in list(D.parameters())[:1]:\n        p.clamp_(-limit, limit)",
        "penalties",
        "first layer only",
    ),
    Fault("penalties", "p.clamp_(-limit, limit)", "p.clamp_(0, limit)", "penalties"),
    Fault("penalties", "p.clamp_(-limit, limit)", "p.grad.clamp_(-limit, limit)", "penalties", "gradients for weights"),
    Fault(
        "penalties",
        "return r1_penalty(D, between(real, fake, generator=generator))",
        "return r1_penalty(D, fake)",
        "penalties",
    ),
    Fault(
        "penalties",
        "    return r1_penalty(D, fake)\n",
        "    return gradient_penalty(D, fake, fake, generator=torch.Generator())\n",
        "penalties",
    ),
    Fault(
        "penalties",
        "weight / (self.u @ matrix @ self.v)",
        "weight / (self.u @ matrix @ self.v).detach()",
        "penalties",
    ),
    Fault("penalties", "weight / (self.u @ matrix @ self.v)", "weight * (self.u @ matrix @ self.v)", "penalties"),
    Fault("penalties", "weight / (self.u @ matrix @ self.v)", "weight / matrix.norm()", "penalties"),
    Fault(
        "penalties",
        "        matrix = weight.flatten(1)\n",
        "        matrix = weight.flatten(0, -2)\n",
        "penalties",
        "wrong reshape",
    ),
    Fault(
        "penalties",
        "        if self.training:\n            self._iterate(matrix)",
        "        self._iterate(matrix)",
        "penalties",
    ),
    Fault("penalties", "        if self.training:\n            self._iterate(matrix)", "        pass", "penalties"),
    Fault("penalties", "isinstance(layer, (nn.Linear, nn.Conv2d))", "isinstance(layer, nn.Linear)", "penalties"),
    Fault("penalties", "for _ in range(15):", "for _ in range(0):", "penalties:first_pass"),
    Fault("penalties", "torch.randn(len(matrix), generator=generator)", "torch.randn(len(matrix))", "penalties"),
    Fault("penalties", "    drifts_in_training = True", "    drifts_in_training = False", "penalties"),
    Fault("penalties", "[i * n : (i + 1) * n].to(real)", "[i * n : (i + 1) * n]", "penalties:between_is"),
    # initial law, ends, batch statistics, classes
    Fault("models", "*ctx.how, ctx.rim)", "*ctx.how)", "models"),
    Fault("models", "slope.sum(dim=(0, 2, 3))", "slope.mean(dim=(0, 2, 3))", "models"),
    Fault("models", "_add_patches(slope, weight,", "_add_patches(slope, -weight,", "models"),
    Fault("models", "weight.shape, slope, *ctx.how)", "weight.shape, slope.flip(0), *ctx.how)", "models"),
    Fault("models", "and not torch.is_autocast_enabled(\"cpu\")", "", "models"),
    Fault("models", "bound = fan_in**-0.5", "bound = fan_in**-1", "models", "initial scale"),
    Fault("models", "fan_in = layer.weight[0].numel()", "fan_in = layer.weight[:, 0].numel()", "models"),
    Fault("models", "p.uniform_(-bound, bound, generator=generator)", "p.uniform_(-bound, bound)", "models"),
    Fault(
        "models",
        "p.uniform_(-bound, bound, generator=generator)",
        "p.uniform_(0, bound, generator=generator)",
        "models",
    ),
    Fault("models", "for p in (layer.weight, layer.bias)", "for p in (layer.weight,)", "models"),
    Fault(
        "models",
        "(nn.Linear, nn.Conv2d, nn.ConvTranspose2d)",
        "(nn.Linear, nn.Conv2d)",
        "models",
        "a layer forgotten",
    ),
    Fault("models", "nn.Sequential(*layers[:-1])", "nn.Sequential(*layers)", "models"),
    Fault("models", "nn.LeakyReLU(negative_slope)]", "nn.LeakyReLU()]", "models"),
    Fault("models", "nn.Tanh(), nn.Unflatten", "nn.Sigmoid(), nn.Unflatten", "models", "wrong range"),
    Fault("models", "nn.BatchNorm2d(width)", "nn.BatchNorm2d(width, 0.8)", "models", "eps for momentum"),
    Fault("models", "nn.BatchNorm2d(2 * width)", "nn.BatchNorm2d(2 * width, momentum=0.8)", "models"),
    Fault(
        "models",
        "        nn.Linear(128, 1),\n",
        "        nn.Linear(128, 1),\n        nn.Sigmoid(),\n",
        "models",
        "sigmoid at the end",
    ),
    Fault(
        "models",
        "        nn.Linear(4 * width * 16, 128),\n",
        "        nn.Linear(4 * width * 16, 128),\n        nn.BatchNorm1d(128),\n",
        "models",
    ),
    Fault(
        "models",
        "return self.head(self.features(x))",
        "return self.head(self.features(x)).log_softmax(dim=1)",
        "models",
    ),
    Fault("models", "for p in module.parameters() if p.requires_grad", "for p in module.parameters()", "models"),
    Fault("models", "self.k * x.shape[1], *x.shape[2:])", "x.shape[1], self.k * x.shape[2], *x.shape[3:])", "models"),
    Fault(
        "models",
        "return x.reshape(len(x) // self.k, self.k * x.shape[1], *x.shape[2:])",
        "return torch.cat(x.chunk(self.k), dim=1)",
        "models",
        "wrong neighbours",
    ),
    Fault("models", "var(dim=1, correction=0)", "var(dim=1)", "models", "divided by n - 1"),
    Fault("models", "grouped.var(dim=1, correction=0)", "grouped.var(dim=0, correction=0)", "models"),
    Fault(
        "models",
        "(grouped.var(dim=1, correction=0) + 1e-8).sqrt()",
        "grouped.var(dim=1, correction=0).sqrt()",
        "models",
    ),
    Fault(
        "models",
        "h.reshape(-1, self.group, *h.shape[1:])",
        "h.reshape(self.group, -1, *h.shape[1:]).transpose(0, 1)",
        "models",
    ),
    Fault("models", "sqrt().flatten(1).mean(dim=1)", "sqrt().mean().expand(len(grouped))", "models"),
    Fault("models", "spread.repeat_interleave(self.group)", "spread.repeat(self.group)", "models"),
    Fault(
        "models",
        "torch.cat([z, scale * _one_hot(y, classes, z)], dim=1)",
        "torch.cat([scale * z, _one_hot(y, classes, z)], dim=1)",
        "models",
        "wrong factor",
    ),
    Fault(
        "models",
        "torch.cat([z, scale * _one_hot(y, classes, z)], dim=1)",
        "torch.cat([z, scale * _one_hot(classes - 1 - y, classes, z)], dim=1)",
        "models",
    ),
    Fault(
        "models",
        "    planes = _one_hot(y, classes, x)[:, :, None, None]",
        "    planes = 2 * _one_hot(y, classes, x)[:, :, None, None] - 1",
        "models",
    ),
    Fault("models", "self.scale * self.embedding(y)", "self.embedding(y)", "models"),
    Fault(
        "models",
        "(h * self.embedding(y)).sum(dim=1, keepdim=True)",
        "(h * self.embedding(y)).sum(dim=1)",
        "models",
        "broadcast",
    ),
    Fault("models", "return self.head(h) + (h", "return (h", "models"),
    Fault(
        "models",
        "embedding.weight.normal_(0, width**-0.5, generator=generator)",
        "embedding.weight.normal_(0, 1, generator=generator)",
        "models",
    ),
    Fault("models", "normal_(0, width**-0.5, generator=generator)", "normal_(0, width**-0.5)", "models"),
    Fault(
        "models",
        "conv_generator(latent_dim + classes, width=width, generator=generator)",
        "conv_generator(latent_dim + classes, width=width)",
        "models:conditional_networks",
    ),
    Fault("models", "nn.init.kaiming_uniform_(layer.weight, 0.2, generator=generator)", "pass", "models", "wrong law"),
    Fault("models", "nn.init.kaiming_uniform_(layer.weight, 0.2, generator=generator)",
          "nn.init.kaiming_uniform_(layer.weight, 0.2)", "models"),
    Fault(
        "models",
        "conv_generator(latent_dim + classes, width=width, generator",
        "conv_generator(latent_dim + classes, generator",
        "models:as_wide",
    ),
    Fault("models", "0.2),\n        nn.Flatten()", "),\n        nn.Flatten()", "models:below_zero"),
    # who moves, in which mode, from which gradient; counts; the average
    Fault("training", "with frozen(G), torch.no_grad():", "with torch.no_grad():", "training", "statistics moved"),
    Fault(
        "training",
        "with frozen(G), torch.no_grad():  #",
        "with frozen(D), torch.no_grad():  #",
        "training",
        "wrong network frozen",
    ),
    Fault(
        "training",
        "    with frozen(D):\n        g_loss",
        "    if True:\n        g_loss",
        "training",
        "nothing frozen",
    ),
    Fault("training", "        fake = G(z, *wanted)\n", "        fake = G.eval()(z, *wanted)\n", "training"),
    Fault("training", "split([len(x), len(fake)])", "split([len(fake), len(x)])", "training"),
    Fault("training", "torch.cat([x, fake])", "torch.cat([fake, x])", "training", "wrong order"),
    Fault("training", "    opt_d.zero_grad(set_to_none=True)\n", "", "training", "stale gradient"),
    Fault("training", "        opt_g.zero_grad(set_to_none=True)\n", "", "training"),
    Fault(
        "training",
        "        g_loss.backward()\n",
        "        g_loss.backward()\n        opt_g.zero_grad()\n",
        "training",
    ),
    Fault(
        "training",
        "d_loss if penalty is None else d_loss + penalty(x, fake)",
        "d_loss if penalty is None else d_loss + penalty(fake, x)",
        "training",
        "swapped arguments",
    ),
    Fault(
        "training",
        "d_loss if penalty is None else d_loss + penalty(x, fake)",
        "d_loss if penalty is None else penalty(x, fake)",
        "training",
    ),
    Fault(
        "training",
        "d_loss if penalty is None else d_loss + penalty(x, fake)",
        "d_loss if penalty is None else d_loss - penalty(x, fake)",
        "training",
    ),
    Fault("training", 'return {"d_loss": d_loss.detach()}', 'return {"d_loss": objective.detach()}', "training"),
    Fault("training", 'return {"d_loss": d_loss.detach()}', 'return {"d_loss": d_loss}', "training", "graph kept"),
    Fault(
        "training",
        "loss.g(fake_logits=D(G(z, *wanted), *wanted))",
        "loss.d(real_logits=D(G(z, *wanted), *wanted), fake_logits=D(G(z, *wanted), *wanted))",
        "training",
    ),
    Fault("training", "loss.g(fake_logits=D(G", "loss.g(fake_logits=-D(G", "training"),
    Fault("training", "D(G(z, *wanted), *wanted))", "D(G(torch.randn_like(z), *wanted), *wanted))", "training"),
    Fault("training", "for _ in range(d_steps_per_g):", "for _ in range(1):", "training"),
    Fault(
        "training",
        "            history.steps += 1\n",
        "            history.steps += d_steps_per_g\n",
        "training",
        "miscounted",
    ),
    Fault("training", "done >= steps) or", "done > steps) or", "training", "one step too many"),
    Fault("training", "_is_over(history.steps - first,", "_is_over(history.steps,", "training"),
    Fault("training", "history.steps % every == 0]", "(history.steps - 1) % every == 0]", "training"),
    Fault("training", "if not after_step and history.steps:", "if False:", "training"),
    Fault("training", "history.seconds = spent + time", "history.seconds = time", "training"),
    Fault("training", "            if history.steps % CHECK_EVERY == 0:\n", "            if False:\n", "training"),
    Fault("training", "            guard.check(history)\n            _show", "            _show", "training"),
    Fault("training", "guard.restore()", "pass", "training"),
    Fault("training", "{k: v.clone() for k, v in m", "{k: v for k, v in m", "training", "alias for copy"),
    Fault(
        "training",
        "        self.step = history.steps\n        self._save()",
        "        self.step = history.steps",
        "training",
    ),
    Fault("training", "if not math.isfinite(value)]", "if math.isnan(value)]", "properties:first_bad"),
    Fault("training", "(first + i, name, value)", "(first + i + 1, name, value)", "training"),
    Fault("training", "first, bad = self.steps - len(pending) + 1, []", "first, bad = self.steps + 1, []", "training"),
    Fault("training", "history.interrupted = True", "raise", "training"),
    Fault("training", "disable=not progress, ", "", "training:progress_bar"),
    Fault("training", "numbers[-1] for name", "numbers[0] for name", "training"),
    Fault("training", "steps.append(self.steps)", "steps.append(self.steps + 1)", "training"),
    Fault(
        "training",
        "torch.tensor(values, dtype=torch.float64)",
        "torch.tensor(values, dtype=torch.float32)",
        "properties:survives",
    ),
    Fault(
        "training",
        'history.steps, history.seconds = rest["steps"], rest["seconds"]',
        'history.steps = rest["steps"]',
        "properties:survives",
    ),
    Fault("training", "min(self.decay, (1 + self.updates) / (10 + self.updates))", "self.decay", "training"),
    Fault("training", "min(self.decay, (1 + self.updates)", "max(self.decay, (1 + self.updates)", "training"),
    Fault(
        "training",
        "for _, b in floats], 1 - decay)",
        "for _, b in floats], decay)",
        "training",
        "decay turned round",
    ),
    Fault(
        "training",
        "list(self.module.state_dict().values()), list(G.state_dict().values())",
        "list(self.module.parameters()), list(G.parameters())",
        "training",
        "buffers forgotten",
    ),
    Fault("training", "                a.copy_(b)\n", "                pass\n", "training"),
    Fault("training", "copy.deepcopy(G).eval()", "G.eval()", "training"),
    Fault("training", "copy.deepcopy(G).eval()", "copy.deepcopy(G)", "training"),
    Fault(
        "training",
        "zip(given, wanted, strict=True)",
        "zip(given, given, strict=True)",
        "training:conditional",
        "wrong class",
    ),
    Fault("training", "zip(given, wanted, strict=True)", "zip(wanted, given, strict=True)", "training:conditional"),
    Fault("training", "((y,), (y_fake,))", "((y,), (y,))", "training:conditional"),
    Fault(
        "training",
        "D(G(z, *wanted), *wanted))",
        "D(G(z, *wanted), *(w.flip(0) for w in wanted)))",
        "training:conditional",
    ),
    Fault("training", "if (y is None) != (y_fake is None):", "if False:", "training:conditional"),
    Fault("training", 'guard.step}" if keep else ""', 'guard.step}"', "training:nan_loss"),
    Fault("training", "if not largest <= EXPLODED:", "if largest > EXPLODED:", "training"),
    Fault("training", "EXPLODED = 1e5", "EXPLODED = 1e9", "training"),
    Fault("training", "min(bad, key=", "max(bad, key=", "properties:earliest"),
    Fault("training", "guard = _Guard(keep, history.steps)", "guard = _Guard(keep, 0)", "recipes:diverged"),
    Fault("training", "INTERRUPTED if interrupt.asked else 0", "0", "training"),
    # freezing, streams, files
    Fault("graphs", "if calls <= after or", "if calls < after or", "graphs:traced"),
    Fault("graphs", "        return played()\n", "        return losses\n", "graphs:traced"),
    Fault("graphs", "calls <= after or not _can_trace()", "calls <= after", "graphs:tracer"),
    Fault("graphs", "            written.add(node)\n", "            pass\n", "graphs:written"),
    Fault("graphs", "or (_is_view(user) and user in written)", "", "graphs:written"),
    Fault("graphs", "node.target is operator.getitem or getattr", "getattr", "graphs:written"),
    Fault("graphs", "(inputs <= fixed and (_is_view", "(inputs <= views and (_is_view", "graphs:ones_alone"),
    Fault("graphs", "(_is_view(node) and inputs <= views)", "(inputs <= views)", "graphs:view"),
    Fault("graphs", "_writes(node) or draws", "_writes(node)", "graphs:nobody"),
    Fault("graphs", "_writes(node) or draws", "draws", "graphs:nobody"),
    Fault("graphs", "not (node.users or _has_effect(node))", "node.target is back and not node.users", "graphs:nobody"),
    Fault("recipes", "{name: as_fx_graph(update)", "{name: update", "recipes:long_runs"),
    Fault("recipes", "else torch.float64)", "else torch.float32)", "recipes:halves_at"),
    Fault("runtime", "    if bad:  # else", "    if True:  # else", "runtime"),
    Fault("runtime", "trim_threshold, 2**31 - 1", "trim_threshold, 2**17", "runtime"),
    Fault("runtime", "            norm.track_running_stats = False\n", "            pass\n", "runtime:not light"),
    Fault("runtime", "p.requires_grad_(flag)", "p.requires_grad_(True)", "runtime:not light"),
    Fault("runtime", "            norm.track_running_stats = flag\n", "            pass\n", "runtime:not light"),
    Fault(
        "runtime",
        "    finally:\n        for p, flag in needs_grad:",
        "    except ZeroDivisionError:\n        for p, flag in needs_grad:",
        "runtime:not light",
    ),
    Fault("runtime", "m.training = mode", "m.training = True", "runtime:not light"),
    Fault("runtime", "for module in modules for m in module.modules()]", "for m in modules]", "runtime:not light"),
    Fault("runtime", "            module.eval()\n", "            pass\n", "runtime:not light"),
    Fault("runtime", "        with torch.no_grad():\n            yield\n", "        yield\n", "runtime:not light"),
    Fault(
        "runtime",
        "torch.Generator(device=device).manual_seed(seed)",
        "torch.manual_seed(seed)",
        "runtime:not light",
    ),
    Fault(
        "runtime",
        "torch.Generator(device=device).manual_seed(seed)",
        "torch.Generator(device=device)",
        "runtime:not light",
    ),
    Fault("runtime", "os.replace(temporary, path)", "path.write_bytes(data)", "runtime:not light"),
    Fault("runtime", "        os.unlink(temporary)\n", "        pass\n", "runtime:not light"),
    Fault("runtime", "mkstemp(dir=path.parent, ", "mkstemp(", "runtime:write_atomic"),
    Fault("runtime", "        if self._main:\n            self._before", "        if True:\n            self._before",
          "runtime:main_thread"),
    Fault("runtime", "0o666 & ~_umask()", "0o600", "runtime:not light"),
    Fault("runtime", "    os.umask(mask)\n", "", "runtime:not light"),
    Fault(
        "runtime",
        "if isinstance(value, bool) or not isinstance(value, int) or value < least",
        "if not isinstance(value, int) or value < least",
        "runtime:not light",
    ),
    Fault("runtime", "or x.sum().isfinite()", "or not x.sum().isnan()", "runtime:not light"),
    Fault("runtime", "            part.training = False\n", "            pass\n", "penalties:rests_when_frozen"),
    Fault("runtime", "            part.training = True\n", "            pass\n", "penalties:rests_when_frozen"),
    Fault("runtime", "            signal.signal(signal.SIGINT, self._before)\n", "            pass\n", "training:ctrl"),
    Fault("runtime", "labels.shape != (n,) or labels.dtype", "labels.dtype", "models"),
    Fault("runtime", "not 0 <= int(labels.min()) <= int", "not int", "runtime:among_the_classes"),
    Fault("runtime", "<= int(labels.max()) < classes", "<= int(labels.max()) <= classes", "recipes:labels_out"),
    Fault("runtime", "        if self.asked:\n            raise KeyboardInterrupt\n", "", "training:ctrl"),
    Fault("runtime", "        torch.set_flush_denormal(before)", "        pass", "runtime:denormal"),
    Fault("training", "interrupt, denormals_as_zero():", "interrupt:", "runtime:denormal"),
    Fault("runtime", "(device.index or 0) >= torch", "(device.index or 0) > torch", "runtime:counted_from_zero"),
    Fault("graphs", '_traced(lambda: {"draw": torch.randn(2, generator=seeded(0))})[1]()', "pass", "graphs:found_out"),
    # range, order, law
    Fault("data", "mul_(2 / 255).sub_(1)", "mul_(1 / 255)", "data"),
    Fault("data", "mul_(2 / 255).sub_(1)", "mul_(2 / 256).sub_(1)", "data"),
    Fault("data", "pixels.to(torch.float32)", "pixels.to(torch.float16)", "data"),
    Fault("data", '{"train": "train", "test": "t10k"}', '{"train": "train", "test": "train"}', "data"),
    Fault("data", 'labels-idx1-ubyte", folder, header=8)', 'labels-idx1-ubyte", folder, header=16)', "data"),
    Fault("data", "to(device, torch.int64)\n\n\ndef load_torchvision", "to(device)\n\n\ndef load_torchvision", "data"),
    Fault("data", "if hashlib.md5(raw).hexdigest() != MNIST_MD5[name]:", "if False:", "data"),
    Fault("data", 'train=split == "train"', 'train=split != "train"', "data"),
    Fault("data", "if low >= 0 and high <= 1:", "if low > 0 and high < 1:", "data"),
    Fault("data", "if low < -1.001 or high > 1.001:", "if low < -1.001 and high > 1.001:", "data"),
    Fault("data", "index = order[start : start + batch_size]", "index = order[:batch_size]", "data"),
    Fault("data", "(batch, labels[index])", "(batch, labels[start : start + batch_size])", "data"),
    Fault("data", "range(0, len(x) - batch_size + 1, batch_size)", "range(0, len(x), batch_size)", "data"),
    Fault("data", "range(0, len(x) - batch_size + 1, batch_size)", "range(0, len(x) - batch_size, batch_size)", "data"),
    Fault("data", "torch.randperm(len(x), generator=generator,", "torch.randperm(len(x),", "properties:draws_are_new"),
    Fault(
        "data",
        "torch.randperm(len(x), generator=generator, device",
        "torch.randint(len(x), (len(x),), generator=generator, device",
        "data",
    ),
    Fault(
        "data",
        "torch.randperm(len(x), generator=generator,",
        "torch.randperm(len(x), generator=generator.clone_state(),",
        "data",
    ),
    Fault("data", "mul_(high - low).add_(low)", "mul_(high - low)", "data"),
    Fault("data", "mul_(high - low).add_(low)", "mul_(high).add_(low)", "data"),
    Fault("data", "mul_(std).add_(mean)", "mul_(std**2).add_(mean)", "data"),
    Fault("data", "return torch.randn(n, latent_dim,", "return torch.rand(n, latent_dim,", "data"),
    Fault("data", "return torch.randn(n, latent_dim,", "return torch.randn(n, 1,", "data"),
    Fault("data", "+ std * noise", "+ std**2 * noise", "data"),
    Fault("data", "torch.randn(n, centres.shape[1], generator", "torch.randn(n, 1, generator", "data"),
    Fault("data", "torch.randint(len(centres), (n,)", "torch.randint(len(centres) - 1, (n,)", "data"),
    Fault(
        "data",
        "torch.randint(len(centres), (n,), generator=generator, device=device)",
        "torch.arange(n, device=device) % len(centres)",
        "properties:dealt",
    ),
    Fault(
        "data",
        "* torch.arange(modes, dtype=torch.float64) / modes",
        "* torch.linspace(0, 1, modes, dtype=torch.float64)",
        "data",
    ),
    Fault("data", "[angle.cos(), angle.sin()]", "[angle.sin(), angle.cos()]", "data"),
    Fault("data", "(radius * torch.stack", "(torch.stack", "properties:centres_of"),
    Fault("data", "(side - 1) / 2", "side / 2", "data"),
    Fault("data", "(side - 1) / 2", "(side - 1) // 2", "properties:centres_of"),
    Fault(
        "data",
        "mixture(n, grid_centres(side, spacing), std",
        "mixture(n, grid_centres(side), std",
        "properties:pass_their",
    ),
    Fault("data", "str(error).splitlines()[0] if str(error) else type", "type", "data:failed_download"),
    # axis, root, bias, mode
    Fault("metrics", "(x - y).abs().mean()", "(x - y).square().mean()", "metrics"),
    Fault(
        "metrics",
        "(share[0] - share[1]).abs() * both.diff()",
        "(share[0] - share[1]).square() * both.diff()",
        "metrics",
    ),
    Fault("metrics", "searchsorted(s, both[:-1], right=True)", "searchsorted(s, both[:-1])", "metrics"),
    Fault(
        "metrics",
        "return float((share[0] - share[1]).abs().max())",
        "return float((share[0] - share[1]).max())",
        "metrics",
    ),
    Fault("metrics", "x.flatten().double().sort().values, y", "x.flatten().double(), y", "metrics"),
    Fault("metrics", "pow(4).mean() / variance.square() - 3", "pow(4).mean() / variance.square()", "metrics"),
    Fault("metrics", "pow(4).mean() / variance.square() - 3", "pow(4).mean() / variance - 3", "metrics"),
    Fault("metrics", "    return sum(scores) / len(scores)", "    return scores[0]", "metrics:mean_of_its_draws"),
    Fault("metrics", "check_finite(name, sample)", "pass", "metrics:bad_input"),
    Fault("metrics", "len(features) < 2", "len(features) <= 2", "metrics:two_samples"),
    Fault("metrics", "torch.cov(features.T)", "torch.cov(features.T, correction=0)", "metrics"),
    Fault("metrics", "torch.cov(features.T)", "torch.cov(features)", "metrics"),
    Fault("metrics", "    features = features.double()\n", "", "metrics"),
    Fault("metrics", "- 2 * inner.sqrt().sum()", "- inner.sqrt().sum()", "metrics"),
    Fault("metrics", "root_a @ cov_b @ root_a", "root_a @ root_a @ cov_b", "metrics"),
    Fault("metrics", "values.clamp(min=0).sqrt()", "values.sqrt()", "properties:few_samples"),
    Fault(
        "metrics",
        "(mean_a - mean_b).square().sum() + covariances",
        "(mean_a - mean_b).norm() + covariances",
        "metrics",
    ),
    Fault("metrics", "(mean_a - mean_b).square().sum() + covariances", "covariances", "metrics"),
    Fault("metrics", "with evaluating(classifier):", "with torch.no_grad():", "metrics:mates_or_mode"),
    Fault("metrics", "    check_images(images)\n", "", "metrics:out_of_range"),
    Fault(
        "metrics",
        '"forward", images, batch_size)',
        '"features", images, batch_size)',
        "metrics:mates_or_mode",
    ),
    Fault("metrics", "features[torch.randperm(len(features), generator=g)[:n]]", "features[:n]", "metrics:floor_is"),
    Fault("metrics", 'load_mnist("test")[0])', 'load_mnist("train")[0])', "metrics:floor_is"),
    Fault("metrics", "(d + d * (d + 1) / 4) / n", "(d + d * (d + 1) / 2) / n", "metrics:bias_law"),
    Fault("metrics", "(total(x, x) - own_x)", "total(x, x)", "metrics:kernel"),
    Fault("metrics", "within - 2 * total(x, y) / (n * m)", "within - total(x, y) / (n * m)", "metrics:kernel"),
    Fault("metrics", "(rows @ b.T).div_(d).add_(1).pow_(3)", "(rows @ b.T).add_(1).pow_(3)", "metrics:kernel"),
    Fault("metrics", "log_p.logsumexp(dim=0) - math.log(len(logits))", "log_p.mean(dim=0)", "metrics:score"),
    Fault(
        "metrics",
        "        block[own, own + start] = math.inf  # a sample is no neighbour of its own\n",
        "",
        "metrics:precision or density",
    ),
    Fault("metrics", "torch.xlogy(p, p) - torch.xlogy(p, q)", "torch.xlogy(q, q) - torch.xlogy(q, p)", "metrics:kl"),
    Fault("metrics", "(p - q).abs().sum() / 2", "(p - q).abs().sum()", "metrics:variation"),
    Fault(
        "metrics",
        "near, nearest = distances[:, 0] <= within * std, nearest[:, 0]",
        "near, nearest = distances[:, 0] <= within * std**2, nearest[:, 0]",
        "recipes:perfect_samples",
    ),
    Fault(
        "metrics",
        "hits = torch.bincount(nearest[near], minlength=count)",
        "hits = torch.bincount(nearest, minlength=count)",
        "metrics:modes",
    ),
    Fault("metrics", "_subset(features.double(),", "_subset(features,", "metrics:kernel_distance_agrees"),
    Fault("metrics", "        check_finite(name, law)\n", "", "metrics:bad_input"),
    # letters: turned, stretched, shifted
    Fault("letters", "-wide * sin", "wide * sin", "letters:by_what_is_written", "turned and sheared"),
    Fault("letters", "high * cos, down]", "high * cos, across]", "letters:by_what_is_written"),
    Fault("letters", "math.radians(4)", "math.radians(8)", "letters:by_what_is_written"),
    Fault("letters", "ink.mul_(2 / 15)", "ink.mul_(2 / 14)", "letters:by_what_is_written"),
    # what is written, what is refused
    Fault("checkpoints", "if k.startswith(prefix)}", "}", "recipes:averaged_generator"),
    Fault("checkpoints", "k.removeprefix(prefix): v", "k: v", "recipes:averaged_generator"),
    Fault("checkpoints", ".to(device).eval()", ".to(device)", "checkpoints"),
    Fault("checkpoints", ".eval().requires_grad_(False)", ".eval()", "checkpoints"),
    Fault("checkpoints", 'if metadata.get("format") != FORMAT:', "if False:", "checkpoints"),
    Fault("checkpoints", "except SafetensorError:", "except ZeroDivisionError:", "checkpoints"),
    Fault("checkpoints", 'if not model.endswith("_generator") or not', "if not", "checkpoints"),
    Fault("checkpoints", '"arguments": dict(arguments), **header}', '"arguments": dict(arguments)}', "checkpoints"),
    Fault("checkpoints", "t.detach().cpu().contiguous()", "t.detach().cpu()", "checkpoints"),
    Fault(
        "checkpoints",
        "return write_atomic(path, save(plain",
        "return Path(path).write_bytes(save(plain",
        "checkpoints",
    ),
    Fault(
        "checkpoints",
        'if metadata.get("sha256") != _digest(tensors, metadata["header"]):',
        "if False:",
        "checkpoints",
    ),
    Fault("checkpoints", "hashlib.sha256(header.encode())", "hashlib.sha256()", "checkpoints"),
    Fault(
        "checkpoints",
        "        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())\n",
        "",
        "checkpoints",
    ),
    Fault("checkpoints", "\\n{name} {tensor.dtype} {tuple(tensor.shape)}\\n", "", "checkpoints:changed"),
    Fault("checkpoints", "except (RuntimeError, TypeError) as error:", "except RuntimeError as error:", "checkpoints"),
    # laziness, streams, what a resumed run remembers
    Fault(
        "recipes",
        "total += 0.5 * recipe.r1_gamma * recipe.penalty_every",
        "total += 0.5 * recipe.r1_gamma",
        "recipes:r1_of",
    ),
    Fault(
        "recipes",
        "total += 0.5 * recipe.r1_gamma * recipe.penalty_every",
        "total += recipe.r1_gamma * recipe.penalty_every",
        "recipes:r1_of",
    ),
    Fault("recipes", "* r1_penalty(D, x)", "* r1_penalty(D, fake)", "recipes:r1_of"),
    Fault(
        "recipes",
        "weight = recipe.gp_lambda * recipe.penalty_every",
        "weight = recipe.gp_lambda",
        "recipes:gradient_penalty",
    ),
    Fault(
        "recipes",
        "self.d_updates % recipe.penalty_every == 0 and",
        "self.d_updates % recipe.penalty_every == 1 and",
        "recipes:lazy",
    ),
    Fault(
        "recipes",
        "        self.d_updates += 1\n",
        "        self.d_updates = self.history.steps + 1\n",
        "recipes:gradient_penalty",
    ),
    Fault("recipes", "d_steps_per_g=self.recipe.d_steps_per_g,", "", "recipes:gradient_penalty"),
    Fault("recipes", '        self.stream.set_state(tensors["stream"])\n', "", "recipes:resumed and gaussian"),
    Fault(
        "recipes",
        '            opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})\n',
        "",
        "recipes:resumed and gaussian",
    ),
    Fault(
        "recipes",
        'self.d_updates, self.average.updates = header["d_updates"], header["average_updates"]',
        'self.d_updates = header["d_updates"]',
        "recipes:resumed and gaussian",
    ),
    Fault(
        "recipes",
        'self.d_updates, self.average.updates = header["d_updates"], header["average_updates"]',
        'self.average.updates = header["average_updates"]',
        "recipes:resumed and gaussian",
    ),
    Fault("recipes", "self.history = History.from_state(", "History.from_state(", "recipes:resumed and gaussian"),
    Fault(
        "recipes",
        '{"G": self.G, "D": self.D, "average": self.average.module}',
        '{"G": self.G, "D": self.D, "average": self.G}',
        "recipes:resumed and gaussian",
    ),
    Fault("recipes", "step and self.average.update(self.G)", "None", "recipes:average_follows"),
    Fault("recipes", "step and self.average.update(self.G)", "self.average.update(self.G)", "recipes:average_follows"),
    Fault("recipes", "return sample(self.average.module,", "return sample(self.G,", "recipes:averaged_generator"),
    Fault(
        "recipes",
        "measure(self.average.module, self.header(), n, seed=seed)",
        "measure(self.average.module, self.header(), n)",
        "recipes:history_keeps",
    ),
    Fault(
        "recipes",
        "history.log(**self.measure(samples))",
        "history.log(**self.measure(samples, seed=step))",
        "recipes:history_keeps",
    ),
    Fault("recipes", '"generator_prefix": "average."', '"generator_prefix": "G."', "recipes:averaged_generator"),
    Fault("recipes", "now = lr / (1 + step / lr_half)", "now = lr", "recipes:learning_rate"),
    Fault("recipes", "(self.opt_g, self.recipe.lr_g,", "(self.opt_g, self.recipe.lr_d,", "recipes:learning_rate"),
    Fault(
        "recipes",
        "with evaluating(G):\n        return",
        "with torch.no_grad():\n        return",
        "recipes:law_of_the_header",
    ),
    Fault("recipes", 'NOISE[header["noise"]](n,', "gaussian_noise(n,", "recipes:law_of_the_header"),
    Fault(
        "recipes",
        "generator=seeded(seed)).to(device)",
        "generator=seeded(0)).to(device)",
        "recipes:averaged_generator",
    ),
    Fault(
        "recipes",
        "self.stream = seeded(seed, self.device)",
        "self.stream = seeded(0, self.device)",
        "recipes:seed_decides",
    ),
    Fault(
        "recipes",
        "recipe, weights = self.recipe, seeded(seed)",
        "recipe, weights = self.recipe, seeded(0)",
        "recipes:seed_decides",
    ),
    Fault(
        "recipes",
        "(recipe.batch_size, recipe.latent_dim, generator=self.stream)",
        "(recipe.batch_size, recipe.latent_dim, generator=seeded(0))",
        "recipes:seed_decides",
    ),
    Fault(
        "recipes",
        "stream, recipe = seeded(self.history.steps, self.device), self.recipe",
        "stream, recipe = self.stream, self.recipe",
        "recipes:looking",
    ),
    Fault("recipes", "torch.randint(len(x), (n,)", "torch.randint(100, (n,)", "recipes:training_digits"),
    Fault(
        "recipes",
        "return x[index], y[index]",
        "return x[index], y[:n]",
        "recipes:training_digits",
    ),
    Fault(
        "recipes",
        "(digit_logits(x).argmax(dim=1).cpu() == y.cpu()).float()",
        "(digit_logits(x).argmax(dim=1) != y.cpu()).float()",
        "recipes:conditional_figures",
    ),
    Fault(
        "recipes",
        'labels = TASKS[header["task"]].load(torch.device("cpu"))(n, seeded(seed + 1))[1]',
        'labels = in_turn(n, header["classes"])',
        "recipes:figures_ask",
    ),
    Fault(
        "recipes",
        "y[torch.randperm(len(y), generator=self.stream, device=y.device)]",
        "y",
        "recipes:conditional_steps",
    ),
    Fault("recipes", "penalty, y=y, y_fake=y_fake\n", "penalty, y=y_fake, y_fake=y\n", "recipes:conditional_steps"),
    Fault(
        "recipes",
        "self._wanted(self._real(recipe.batch_size, self.stream)[1])",
        "self._wanted(torch.zeros(recipe.batch_size, dtype=torch.int64))",
        "recipes:g_is_asked",
    ),
    Fault(
        "recipes",
        "chunks.append(labels.to(device).split(batch_size))",
        "chunks.append(labels.to(device).sort().values.split(batch_size))",
        "recipes:each_code",
    ),
    Fault("recipes", "return torch.arange(n) % classes", "return torch.arange(n) // classes", "recipes:each_code"),
    Fault(
        "recipes",
        "if time.monotonic() - last >= seconds:",
        "if time.monotonic() - last >= 0:",
        "recipes:save_every",
    ),
    Fault(
        "recipes",
        "            run.save(path)\n            last = time.monotonic()",
        "            run.save(path)",
        "recipes:save_every",
    ),
    Fault(
        "recipes",
        "spent = before + time.monotonic() - start",
        "spent = time.monotonic() - start",
        "recipes:json_seconds",
    ),
    Fault("recipes", "keep=[self.G, self.D, self.average.module]", "keep=[self.G, self.D]", "recipes:diverged"),
    Fault("recipes", "_perfect_modes, 25)", "_perfect_modes, 8)", "recipes:perfect"),
    Fault("recipes", "(count - 1) / (2 * n)", "count / n", "recipes:perfect_figures"),
    Fault("recipes", "or recipe.gp_lambda > 0)", "or recipe.gp_lambda > 1)", "recipes:gradient_penalty"),
    Fault("recipes", "return CHECK_EVERY, hook", "return 10, hook", "recipes:save_every"),
    Fault("recipes", "task.audit(x), task.perfect(n)", "task.audit(x), task.perfect(10_000)", "recipes:pairs_each"),
    Fault(
        "recipes",
        "(value, held_out[name]) for name, value in audited.items()",
        "(held_out[name], value) for name, value in audited.items()",
        "recipes:pairs_each",
    ),
    Fault(
        "recipes",
        "precision_recall(real=real, fake=fake)",
        "precision_recall(real=fake, fake=fake)",
        "recipes:audit",
    ),
    # exit codes, floors, options
    Fault(
        "__main__",
        "x[:, 0] if x.ndim == 4 else x",
        "(x[:, 0] + 1) / 2 if x.ndim == 4 else x",
        "recipes:shipped_generator_by_name",
    ),
    Fault("__main__", "seed=arguments.seed, labels=labels)", "seed=0, labels=labels)", "recipes:labels_are"),
    Fault(
        "__main__",
        '        arrays["y"] = labels.numpy()',
        '        arrays["y"] = labels.flip(0).numpy()',
        "recipes:labels_are",
    ),
    Fault(
        "__main__",
        "listed[in_turn(n, len(listed))]",
        "listed.repeat_interleave(-(-n // len(listed)))[:n]",
        "recipes:labels_are",
    ),
    Fault("__main__", "    return 130 if history.interrupted else 0", "    return 0", "recipes:ctrl_c"),
    Fault("__main__", "    sys.exit(main())", "    main()", "recipes:ctrl_c"),
    Fault("__main__", "return 1 if isinstance(error, FloatingPointError) else 2", "return 1", "recipes:bad_input"),
    Fault("__main__", "return 1 if isinstance(error, FloatingPointError) else 2", "return 2", "recipes:status_1"),
    Fault(
        "__main__",
        "except (ValueError, OSError, FloatingPointError)",
        "except (ValueError, FloatingPointError)",
        "recipes:bad_input",
    ),
    Fault(
        "__main__",
        'print(f"gan_utils: {error}", file=sys.stderr)',
        'print(f"gan_utils: {error}")',
        "recipes:bad_input",
    ),
    Fault(
        "__main__",
        "recipes.evaluate(G, header, arguments.n, seed=arguments.seed)",
        "recipes.evaluate(G, header, arguments.n)",
        "recipes:evaluate_prints",
    ),
    Fault("__main__", 'f"{value / perfect:.3g}"', 'f"{perfect / value:.3g}"', "recipes:evaluate_prints"),
    Fault(
        "__main__",
        "if arguments.steps is None and arguments.seconds is None",
        "if arguments.seconds is None",
        "recipes:minute",
    ),
    Fault("__main__", "        if path.exists():\n", "        if False:\n", "recipes:overwrites"),
    Fault("__main__", "    if run.name != arguments.recipe:\n", "    if False:\n", "recipes:overwrites"),
    Fault("__main__", '"progress": is_first() and not arguments.json}', '"progress": True}', "recipes:json_lines"),
    Fault(
        "__main__",
        'look = {"measure_every": arguments.measure_every,',
        'look = {"measure_every": 500,',
        "recipes:json_lines_hold",
    ),
    Fault("__main__", "    run.save(path)  # not where", "    pass  # not where", "recipes:diverged_run_leaves"),
    Fault("__main__", '"--out", required=True, metavar="DIR"', '"--out", metavar="DIR"', "recipes:has_to_be_given"),
    Fault("__main__", 'interrupted", file=sys.stderr)', 'interrupted")', "recipes:ctrl_c_outside"),
    Fault("__main__", '        print(f"{health.verdict}: s', '        (f"{health.verdict}: s', "recipes:overwrites"),
    # who has the upper hand, and whether samples vary
    Fault(
        "health",
        "_mean_distance(fake) / max(_mean_distance(real), 1e-12)",
        "_mean_distance(real) / max(_mean_distance(fake), 1e-12)",
        "health:hand or verdicts",
    ),
    Fault("health", "(below + not_above).double().mean()", "(2 * below).double().mean()", "health:hand"),
    Fault("health", "ordered = fake.sort().values", "ordered = real.sort().values", "health:hand"),
    Fault("health", "elif separation > WON:", "elif separation < 1 - WON:", "health:verdicts"),
    Fault("health", "abs(separation - 0.5) < CHANCE", "separation - 0.5 < CHANCE", "properties:fooled"),
    Fault(
        "health",
        "    if spread < COLLAPSED:",
        "    if spread < COLLAPSED and separation <= WON:",
        "health:verdicts",
    ),
    Fault("health", "x.detach().flatten(1).double()", "x.detach().double()", "properties:health_sees"),
    Fault("health", "elif separation > WON:", "elif separation >= WON:", "health:verdicts_turn"),
    Fault("health", "0.999, 0.02, 0.2", "0.99, 0.02, 0.2", "health:verdicts_turn"),
    Fault("health", "norm(dim=1).mean())", "norm(dim=1).sum())", "health:mean_of_distances"),
    Fault("health", "roll(1, dims=0)).norm(dim=1)", "roll(1, dims=0)).norm(dim=0)", "health:mean_of_distances"),
    # the game on paper
    Fault("theory", "at.clone() if again else at.detach()", "at.detach()", "theory:differentiated_again"),
    Fault("theory", "    with torch.enable_grad():\n", "    if True:\n", "theory:states_of_a_run"),
    Fault("theory", "psi * theta))\n    return d_loss", "theta))\n    return d_loss", "theory:differentiated_again"),
    # several ranks: parts, sums, statistics, what is said
    Fault("distributed", "x.chunk(self.world)[self.rank]", "x[self.rank :: self.world]", "distributed:neighbours"),
    Fault("distributed", "return _Sum.apply(gradient.contiguous())", "return gradient", "distributed:update"),
    Fault("distributed", "values / self.world, strict", "values, strict", "distributed:update"),
    Fault("distributed", "var.detach() * n / (n - 1)", "var.detach()", "distributed:update"),
    Fault("distributed", "if batch_size % self.world:", "if False:", "distributed:equal_parts"),
    Fault("distributed", 'environ.get("RANK", 0)) == 0', 'environ.get("RANK", 0)) >= 0', "distributed:said_once"),
    Fault("penalties", "[i * n : (i + 1) * n].to(real)", "[:n].to(real)", "distributed:places"),
    Fault("recipes", 'self.G, self._training["D"], self', "self.G, self.D, self", "distributed:update"),
    # seeds side by side
    Fault("batched", "objective.sum().backward()", "objective.mean().backward()", "batched"),
    Fault("batched", "square().sum(dim=2).mean(dim=1)", "square().sum(dim=2).mean()", "batched"),
    Fault("batched", "input_gradient(D, x).flatten(2).square()", "input_gradient(D, x).square()", "batched:images"),
    Fault("batched", "flatten(2).norm(dim=2)", "flatten(2).norm(dim=1)", "batched"),
    Fault("batched", "if x.shape[1] % self.together", "if len(x) * x.shape[1] % self.together", "batched"),
    Fault("batched", "dim=(1, 2))", "dim=(0, 2))", "batched"),
    Fault("batched", "for w in weights]).all(dim=0)", "for w in weights]).any(dim=0)", "batched"),
    Fault("batched", "    losses = losses.detach()\n", "", "batched:one_network"),
    Fault("batched", "    with frozen(D):\n", "    if True:\n", "batched:one_network"),
    Fault("batched", "layer.layer if isinstance(layer, PerSeed) else layer)", "layer)", "batched:classic_pair"),
    Fault("batched", "layer.bias[seed, 0]", "layer.bias[0, 0]", "batched"),
    Fault("batched", "logits.chunk(2, dim=1)", "logits.chunk(2, dim=1)[::-1]", "batched"),
    Fault("control", "max(1e-5, 4 * torch.finfo(angle.dtype).eps ** 0.5)", "1e-5", "control:no_one_arc"),
    Fault("control", "(z.norm(dim=1) - z.shape[1] ** 0.5)", "(z.norm(dim=1) - z.shape[1])", "control"),
    Fault("control", "square().sum(dim=-1) / 2)", "square().sum(dim=-1))", "control"),
    Fault("control", "z[ones].mean(dim=0) - z[~ones]", "z[~ones].mean(dim=0) - z[ones]", "control"),
    Fault("control", "x = x - x.mean(dim=0)", "x = x - 0", "control"),
    Fault("control", "((1 - t) * p + t * q) * arc", "p * arc", "control"),
    Fault("control", "before[feature] != wanted", "before[feature] == before[feature]", "control"),
    Fault("control", "best = error.argmin(dim=0)", "best = error.argmax(dim=0)", "control"),
    Fault("control", "return (1 - t) * a + t * b", "return t * a + (1 - t) * b", "control"),
    Fault("control", ".clamp(-1, 1).nan_to_num(nan=1)", ".clamp(-1, 1)", "control"),
    Fault("control", ".clamp(-1, 1).nan_to_num", ".nan_to_num", "control:no_one_arc"),
    Fault("control", "z.shape[-1] ** 0.5 / z.norm(", "z.shape[-1] / z.norm(", "control"),
    Fault("control", "direction @ basis @ basis.T", "direction @ others.T @ others", "control"),
    Fault("control", 'y, reduction="none")', "y)", "control"),
    Fault("control", "z = z.detach().clone().requires_grad_(True)", "z = z.detach().requires_grad_(True)", "control"),
    Fault("control", "loss = loss_of(z) + pull *", "loss = loss_of(z) - pull *", "control"),
    Fault("control", "        if network.training:\n", "        if False:\n", "control"),
    Fault(
        "control",
        "(before[name] != after[name])[todo].double()",
        "(before[name] != after[name]).double()",
        "control",
    ),
    Fault("control", "prior_percentile(z[todo])", "prior_percentile(z)", "control:outcome"),
    Fault("penalties", "(1 - epsilon) * fake.detach()", "(1 - epsilon) * fake", "penalties:between_is"),
    Fault("distributed", "if not (isinstance(error", "if (isinstance(error", "distributed:told_from"),
    Fault("control", "dim=0, largest=False)", "dim=0)", "control"),
    Fault("control", "square() / made.shape[1]", "square() / len(made)", "control"),
    Fault("control", "x.repeat(len(z), *[1] * (x.ndim - 1))", "x.repeat_interleave(len(z), dim=0)", "control"),
    Fault("control", "    with evaluating(G):\n", "    with torch.no_grad():\n", "control:leaves_g_alone"),
    Fault("control", "lr=lr, pull=pull)\n    with", "lr=lr)\n    with", "control:inversion_pulls"),
    Fault("control", "z.ndim != 3 or z.shape[1] != len(x)", "z.ndim != 3", "control:inversion_needs"),
    Fault("control", "found.view(*z.shape)[best, each]", "found.view(*z.shape)[0, each]", "control"),
    # clusters: which one, how often, who is told
    Fault("models", "self.shares.cumsum(0)[:-1]", "self.shares[:-1]", "models:cluster"),
    Fault("models", "torch.special.ndtr(z[:, -1])", "torch.sigmoid(z[:, -1])", "models:cluster"),
    Fault("models", "torch.special.ndtr(z[:, -1])", "torch.special.ndtr(z[:, 0])", "models:cluster"),
    Fault(
        "models",
        "join_one_hot(z[:, :-1], self.cluster(z)",
        "join_one_hot(z[:, 1:], self.cluster(z)",
        "models:cluster",
    ),
    Fault("models", "self.cluster(z) if y is None else y", "self.cluster(z)", "models:cluster"),
    Fault("recipes", "self.G.shares.copy_(TASKS[recipe.task].shares())", "pass", "recipes:clusters_come"),
    Fault(
        "recipes",
        "_digits(device)[0], _digit_clusters().to(device)",
        "*_digits(device)",
        "recipes:clusters_come",
    ),
    Fault("recipes", "return self.classes or self.clusters", "return self.classes", "recipes:clusters_come"),
    Fault("recipes", ".eigenvectors[:, -40:]", ".eigenvectors[:, :40]", "recipes:clusters_come"),
    # the clinic's sound twins, and what it shows of them
    Fault(
        "clinic/patients",
        "        self.opt_d.zero_grad()\n        (d_loss + self.penalty(x)).backward()",
        "        (d_loss + self.penalty(x)).backward()",
        "clinic:sound_steps",
    ),
    Fault("clinic/patients", "(d_loss + self.penalty(x)).backward()", "d_loss.backward()", "clinic:sound_steps"),
    Fault("clinic/patients", "return bce(fake_logits, 1.0)", "return bce(fake_logits, 0.0)", "clinic:sound_steps"),
    Fault(
        "clinic/patients",
        "share = torch.rand(len(x), 1, generator=self.stream)",
        "share = torch.randn(len(x), 1, generator=self.stream)",
        "clinic:of_the_package",
    ),
    Fault(
        "clinic/patients",
        "score = self.D(between).sum()",
        "score = self.D(between).mean()",
        "clinic:of_the_package",
    ),
    Fault("clinic/patients", "return gradient.norm(dim=1)", "return gradient.norm()", "clinic:of_the_package"),
    Fault("clinic/patients", "return gap - 10 * penalty", "return gap + 10 * penalty", "clinic:recorded_figures"),
    Fault("clinic/patients", "return z - 0.1 * z.grad", "return z + 0.1 * z.grad", "clinic:ten_moves"),
    Fault("clinic/patients", "z.norm(dim=1, keepdim=True))  # back", "z.norm())  # back", "clinic:pulled"),
    Fault("clinic/patients", "state, self.stream = self.stream, seeded(96)", "state = self.stream", "clinic:looking"),
    Fault(
        "clinic/patients",
        "fake = data.gaussian_noise(2000, 2, generator=stream)",
        "fake = data.gaussian_noise(2000, 2, generator=self.stream)",
        "clinic:looking",
    ),
    Fault(
        "clinic/cases",
        "for owner in (one.sick, one.sound)",
        "for owner in (one.sound, one.sick)",
        "clinic:code_shown",
    ),
    Fault(
        "js/clinic.js",
        "filter(({ name }) => answers[name] === name)",
        "filter(({ name }) => answers[name])",
        "clinic:counts",
    ),
    # the critic that learns in the page: points, lines, constraints, the true distance, slopes, level lines
    Fault(
        "js/critic.js",
        "share * real[i] + (1 - share) * fake[i]",
        "(1 - share) * real[i] + share * fake[i]",
        "critic:torch",
    ),
    Fault(
        "js/critic.js",
        "x[i] = share * real[i] + (1 - share)",
        "x[i] = mix() * real[i] + (1 - share)",
        "critic:torch",
    ),
    Fault(
        "js/critic.js",
        "r1Penalty(D, line, spare, COUNT, strength / 2)",
        "r1Penalty(D, line, spare, COUNT, strength)",
        "critic:torch",
    ),
    Fault("js/critic.js", 'strength, constraint === "one_sided")', "strength, false)", "critic:torch"),
    Fault("js/critic.js", "clamp(w, -strength, strength)", "clamp(w, 0, strength)", "critic:torch"),
    Fault("js/critic.js", "critic.estimates.push(-value)", "critic.estimates.push(value)", "critic:torch"),
    Fault("js/critic.js", "    D.grad.fill(0);\n", "", "critic:torch"),
    Fault("js/critic.js", "    tape.h[0].set(fake, 2 * COUNT);\n", "    tape.h[0].set(fake, COUNT);\n", "critic:torch"),
    Fault("js/critic.js", "  D.theta.set(kept);\n", "", "critic:torch"),
    Fault(
        "js/critic.js",
        "Math.hypot(gradient[2 * k], gradient[2 * k + 1])",
        "Math.hypot(gradient[k], gradient[k + 1])",
        "critic:torch",
    ),
    Fault("js/critic.js", "beta1: 0.5, beta2: 0.9", "beta1: 0.9, beta2: 0.9", "critic:torch"),
    Fault("js/critic.js", "1.5 * Math.sin(angle), 0.05]", "1.5 * Math.sin(angle), 0.5]", "critic:points"),
    Fault("js/critic.js", "fake_y + SPREAD * fake[2 * k + 1]", "fake_x + SPREAD * fake[2 * k + 1]", "critic:points"),
    Fault("js/critic.js", "u[owner[k]] += step; v[k] -= step;", "u[owner[k]] += step;", "critic:scipys"),
    Fault("js/critic.js", "else least[k] -= step;", "", "critic:scipys"),
    Fault("js/critic.js", "return sum / n;", "return sum;", "critic:scipys"),
    Fault("js/critic.js", "cut(level, b, c, d);", "", "critic:level"),
    Fault("clinic/patients", "0.5 * self.r1_gamma * r1", "self.r1_gamma * r1", "clinic:sound_steps"),
    Fault(
        "models",
        "conv_generator(latent_dim - 1 + clusters, width=width, generator=generator)",
        "conv_generator(latent_dim - 1 + clusters, width=width)",
        "models:their_stream",
    ),
    Fault("js/critic.js", "const share = (level - a[2]) / (b[2] - a[2]);", "const share = 0.5;", "critic:level"),
    # the laboratory: divergences, networks that are drawn, unfolded, kept
    Fault("js/gan.js", "[sharesOf(x, 0.5), sharesOf(y, 0.5)]", "[sharesOf(x), sharesOf(y)]", "laboratory:in_cells"),
    Fault("js/gan.js", "kullbackLeibler(fullQ, fullP)", "kullbackLeibler(fullP, fullQ)", "laboratory:in_cells"),
    Fault("js/gan.js", "+ extra * counts.length;", "+ extra;", "laboratory:in_cells"),
    Fault("js/gan.js", "    gan.D.theta.set(readWeights(kept.d));\n", "", "laboratory:goes_on"),
    Fault("js/gan.js", "steps: kept?.step ?? 0,", "steps: 0,", "laboratory:goes_on"),
    Fault("js/networks.js", "(1 - t) * from[k] + t * v", "t * from[k] + (1 - t) * v", "laboratory:unfolding"),
    Fault("js/networks.js", "scale * codes[s * latent + i]", "scale * codes[s * dim + i]", "laboratory:unfolding"),
    Fault(
        "js/networks.js",
        "1 - (2 * Math.floor(p / side)) / (side - 1)",
        "(2 * Math.floor(p / side)) / (side - 1) - 1",
        "laboratory:unit_s_map",
    ),
    Fault("js/networks.js", "= h[p * net.sizes[l] + u]", "= h[u * count + p]", "laboratory:unit_s_map"),
    Fault("js/networks.js", "...others.slice(0, wide - place.length)", "", "laboratory:unit_s_map"),
    Fault("js/networks.js", "sizes.slice(0, l + 1)", "sizes.slice(0, l)", "laboratory:largest_weights"),
    Fault("js/networks.js", "Math.abs(a[2]) - Math.abs(b[2])", "a[2] - b[2]", "laboratory:largest_weights"),
    Fault("js/networks.js", "if (numbers?.length !== needed) {", "if (!numbers) {", "laboratory:wrong_one"),
    Fault("js/networks.js", "!numbers.every(Number.isFinite)", "false", "laboratory:wrong_one"),
    Fault("js/networks.js", "drawn : [], step, g, d })", "drawn : [], step, g, d: g })", "laboratory:wrong_one"),
    Fault("widgets/critic", "excess = excess.clamp(min=0)", "excess = excess.clamp(max=0)", "critic:torch"),
    Fault("widgets/critic", "self.strength / 2 * r1_penalty", "self.strength * r1_penalty", "critic:torch"),
    Fault("widgets/critic", "mix * real + (1 - mix) * fake", "mix * real + (1 - mix) * real", "critic:torch"),
    Fault("widgets/critic", "clip_weights(D, self.strength)", "clip_weights(D, 2 * self.strength)", "critic:torch"),
]


def main(words: list[str]) -> int:
    """Prints a line for each fault and a summary; 0 if every fault was caught."""
    quick, modules = "--quick" in words, [word for word in words if word != "--quick"]
    known = list(dict.fromkeys(fault.module for fault in FAULTS))
    if unknown := set(modules) - set(known):
        print(f"no faults for {', '.join(sorted(unknown))}: use --quick, or some of {', '.join(known)}")
        return 2
    chosen = [fault for fault in FAULTS if (fault.kind or not quick) and (not modules or fault.module in modules)]
    start, tally = time.monotonic(), {}
    warm_up()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        original = copy_of_the_tree(ROOT, Path(scratch) / "original")  # as it is now: somebody may be working on it
        slots = [copy_of_the_tree(original, Path(scratch) / str(i)) for i in range(os.cpu_count() or 1)]
        for fault, verdict, log, _ in trials(unharmed(chosen), original, slots):
            if verdict != "SURVIVED":
                print(f"tests of {fault.tests} fail without any fault:\n{log[-3000:]}")
                return 1
        for fault, verdict, log, seconds in trials(chosen, original, slots):
            tally[verdict] = tally.get(verdict, 0) + 1
            change = f"{brief(fault.old)} -> {brief(fault.new)}"
            kind = f"{fault.kind}: " if fault.kind else ""
            print(f"{verdict:<9}{seconds:>5.1f} s  {fault.module:<15} {kind}{change}  {noticed(log)}", flush=True)
    caught = tally.pop("caught", 0)
    others = "".join(f", {n} {verdict}" for verdict, n in tally.items())
    print(f"{len(chosen)} faults: {caught} caught{others}; {time.monotonic() - start:.0f} s")
    return 1 if tally else 0


def noticed(log: str) -> str:
    """The test that failed, or the last line of what pytest said."""
    failed = re.search(r"^FAILED tests/(\S+)", log, re.M)
    return failed[1] if failed else log.strip().rpartition("\n")[2]


def brief(text: str) -> str:
    text = " ".join(text.split()) or "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


def unharmed(faults: list[Fault]) -> list[Fault]:
    """The same tests without a fault: one that fails anyway would catch everything."""
    keywords: dict[str, set[str]] = {}
    for fault in faults:
        files, _, keyword = fault.tests.partition(":")
        for file in files.split():
            keywords.setdefault(file, set()).add(keyword)
    # slowest first, so that none of them is waited for at the end
    files = sorted(keywords, key=lambda file: file not in ("recipes", "metrics", "training"))
    return [Fault("", "", "", f if "" in keywords[f] else f"{f}:{' or '.join(sorted(keywords[f]))}") for f in files]


def trials(faults: list[Fault], original: Path, slots: list[Path]) -> Iterator[tuple[Fault, str, str, float]]:
    """Yields (fault, verdict, log, seconds) as the trials end, one at a time in each of `slots`."""
    waiting, free, running = list(reversed(faults)), list(slots), {}
    try:
        while waiting or running:
            while waiting and free:
                fault, folder = waiting.pop(), free.pop()
                if plant(fault, original, folder):
                    running[fork(folder, fault.tests)] = (fault, folder, time.monotonic())
                else:
                    free.append(folder)
                    yield fault, "STALE", "(its text is not there exactly once)", 0.0
            for pid, status in ended(running):
                fault, folder, since = running.pop(pid)
                free.append(folder)
                stopped = os.WIFSIGNALED(status)  # too slow, or crashed: noticed, too
                verdict = "caught" if stopped else VERDICT.get(os.WEXITSTATUS(status), "BROKEN")
                yield fault, verdict, (folder / "log").read_text(errors="replace"), time.monotonic() - since
    finally:
        for pid in running:
            kill(pid)


def ended(running: dict) -> list[tuple[int, int]]:
    """Waits for a trial to end, or ends those that are over their time."""
    while True:
        found = [(pid, status) for pid, status in (os.waitpid(p, os.WNOHANG) for p in running) if pid]
        if found:
            return found
        for pid, (_, _, since) in running.items():
            if time.monotonic() - since > LIMIT:
                kill(pid)
        time.sleep(0.01)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def warm_up() -> None:
    """Imports what every trial needs, and nothing of the package. One thread: a fork does not take others along."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    import anywidget  # noqa: F401
    import axe_playwright_python.sync_playwright  # noqa: F401
    import hypothesis.strategies  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.torch  # noqa: F401
    import scipy.linalg
    import scipy.stats  # noqa: F401
    import torch
    import torch_fidelity.metric_fid  # noqa: F401
    import tqdm  # noqa: F401

    torch.set_num_threads(1)
    weight = torch.nn.Linear(1, 1)
    weight(torch.ones(1, 1)).sum().backward()
    torch.optim.Adam(weight.parameters(), fused=True).step()  # the first optimiser imports torch's compiler
    assert "gan_utils" not in sys.modules
    gc.freeze()  # no trial looks through all of this for garbage


def copy_of_the_tree(root: Path, folder: Path) -> Path:
    for name in ("gan_utils", "tests"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(root / name, folder)
    return folder


def plant(fault: Fault, original: Path, folder: Path) -> bool:
    """Puts the fault into `folder`, and nothing else; False if its text is not in the module exactly once."""
    for path in (original / "gan_utils").rglob("*.[pj][ys]"):  # the trial before has left its own
        shutil.copy(path, folder / path.relative_to(original))
    if not fault.module:
        return True
    path = folder / "gan_utils" / (fault.module if "." in fault.module else f"{fault.module}.py")
    text = path.read_text()
    path.write_text(text.replace(fault.old, fault.new))
    return text.count(fault.old) == 1


def fork(folder: Path, tests: str) -> int:
    """A process that runs the tests in `folder`; its exit status is pytest's."""
    pid = os.fork()
    if pid:
        return pid
    status = 2
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()  # so that what the tests start ends with them
        os.chdir(folder)
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        status = run(folder, tests)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)


def run(folder: Path, tests: str) -> int:
    import importlib.util

    import pytest

    sys.path[0] = os.environ["PYTHONPATH"] = str(folder)
    origin = importlib.util.find_spec("gan_utils").origin
    assert Path(origin).is_relative_to(folder), f"{origin} would be tested"
    files, _, keyword = tests.partition(":")
    paths = [f"tests/test_{name}.py" for name in files.split()]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", *(["-k", keyword] if keyword else [])]
    return int(pytest.main([*options, *paths]))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was forked is ended, too
    sys.exit(main(sys.argv[1:]))
