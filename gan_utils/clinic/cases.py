"""The cases of the clinic: each a patient with one method replaced, and what is to be said about it.

Every fault was met in a public tutorial, course or repository. `claim(sick, sound)` is what the text says of the two
runs' figures; the program that records the runs holds it to be true for each of three seeds.
"""

import difflib
import functools
import inspect
import json
import math
import re
import textwrap
from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from .. import data, metrics, models
from ..runtime import frozen
from . import patients
from .patients import Patient, bce

Figures = dict[str, float]


class Case(NamedTuple):
    """One fault: the class that has it, the words around it, and what its figures show."""

    name: str
    sick: type[Patient]
    title: str  # what a visitor would say
    symptoms: str  # what there is to be seen, in words
    fault: str  # as it stands among the choices
    sign: str  # how one tells this fault from others: said to those who chose it wrongly
    reason: str  # why it does what it does, and what mends it
    others: tuple[str, str, str]  # the wrong choices, by name
    figures: tuple[str, ...]  # of `end()`, shown for each seed
    claim: Callable[[Figures, Figures], bool]
    caught_by: str  # the test that notices if this package has the fault

    @property
    def sound(self) -> type[Patient]:
        """The patient without the fault."""
        return self.sick.__base__

    @property
    def method(self) -> str:
        """The one method that is replaced."""
        (name,) = [name for name, value in vars(self.sick).items() if inspect.isfunction(value)]
        return name


CASES: dict[str, Case] = {}


def case(name: str, **words: Any) -> Callable[[type[Patient]], type[Patient]]:
    """Enters a sick class into the list."""

    def enter(sick: type[Patient]) -> type[Patient]:
        CASES[name] = Case(name, sick, **words)
        return sick

    return enter


def code(one: Case) -> tuple[str, str]:
    """The source of the replaced method, as it ran: (sick, mended)."""
    return tuple(textwrap.dedent(inspect.getsource(inspect.getattr_static(owner, one.method)))
                 for owner in (one.sick, one.sound))


def difference(sick: str, mended: str) -> list[str]:
    """Both texts line by line: "- " only in the sick one, "+ " only in the mended one, "  " in both."""
    lines = difflib.ndiff(*(bare(text).rstrip().splitlines() for text in (sick, mended)))
    return [line.rstrip() for line in lines if not line.startswith("?")]


def bare(source: str) -> str:
    """The source without the types in its first line, which are no part of any fault."""
    first, rest = source.split("\n", 1)
    return f"{re.sub(r': [A-Z][A-Za-z.]+(?=[,)])| -> [A-Za-z]+(?=:$)', '', first)}\n{rest}"


@functools.cache
def recorded() -> dict[str, Any]:
    """The runs as they were recorded: `python -m gan_utils.clinic` makes them again."""
    return json.loads(resources.files(__package__).joinpath("cases.json").read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------- on the line

LINE = ("W1", "mean", "standard deviation")


@case(
    "label-zero",
    title="The mean that walks away",
    symptoms="The loss of G falls to almost nothing. D's does too. The samples have left the data behind.",
    fault="G is trained against the label 0 for its own samples",
    sign="G's loss would be small just where D is sure of a fake: both losses fall together, and no sample is good.",
    reason="With the label 0, G is paid for samples that D recognises: it helps D instead of fooling it. Its loss "
           "falls, and its samples get worse. In G's step a fake has the label 1.",
    others=("gradients-pile", "saturating", "d-uphill"),
    figures=LINE,
    claim=lambda sick, sound: sick["W1"] > 5 * sound["W1"] and sick["W1"] > 2,
    caught_by="test_training.py::test_steps_push_logits_the_right_way",
)
class LabelZero(patients.Line):
    def g_loss(self, fake_logits):
        return bce(fake_logits, 0.0)


@case(
    "gradients-pile",
    title="Swinging ever wider",
    symptoms="The gradient norm of G is above 100, where a sound run has less than .1, and the samples swing around "
             "the data or stay beside them.",
    fault="G's gradients are never cleared",
    sign="The gradient norm of G would grow with the number of steps, for each step adds to all the ones before.",
    reason="`backward` adds to what stands in `p.grad`. Without `zero_grad` each step is driven by the sum of all "
           "gradients so far, so G goes on where it should long have turned round.",
    others=("label-zero", "linear-g", "not-detached"),
    figures=("W1", "gradient norm of G", "mean", "standard deviation"),
    claim=lambda sick, sound: sick["gradient norm of G"] > 10 * sound["gradient norm of G"]
    and sick["W1"] > 2 * sound["W1"],
    caught_by="test_training.py::test_gradients_do_not_pile_up",
)
class GradientsPile(patients.Line):
    curve = "gradient norm of G"

    def g_step(self):
        z = self.noise(self.batch)
        with frozen(self.D):
            g_loss = self.g_loss(self.D(self.G(z)))
            g_loss.backward()
        self.opt_g.step()
        self.note(g_loss)
        return g_loss.detach()


@case(
    "not-detached",
    title="Nothing wrong with the samples",
    symptoms="Losses and samples are as they should be. But after D's step there are gradients in G.",
    fault="The fakes are not detached in D's step",
    sign="D's backward pass would go on into G and leave gradients there.",
    reason="Without `detach` D's backward pass runs through G as well: work for nothing, and gradients in G that help "
           "D. Here they do no harm, because G's step clears them before it fills them: the two runs are the same, "
           "bit for bit. Clear them a line later and G would learn to be caught.",
    others=("gradients-pile", "kept-graphs", "label-zero"),
    figures=("W1", "gradient that D's step leaves in G"),
    claim=lambda sick, sound: sick["gradient that D's step leaves in G"] > 0.001
    and sound["gradient that D's step leaves in G"] == 0 and sick["W1"] == sound["W1"],
    caught_by="test_training.py::test_each_step_moves_its_network_only",
)
class NotDetached(patients.Line):
    curve = "gradient that D's step leaves in G"

    def d_step(self):
        x, z = self.real(self.batch), self.noise(self.batch)
        fake = self.G(z)
        d_loss = self.d_loss(self.D(x), self.D(fake))
        self.opt_d.zero_grad()
        (d_loss + self.penalty(x)).backward()
        self.opt_d.step()
        return d_loss.detach()


@case(
    "kept-graphs",
    title="It works, and something piles up",
    symptoms="The samples are good. The number of graph nodes in memory grows with every step.",
    fault="The losses are kept as they are, with their graphs: `loss.item` without the call",
    sign="Memory would fill by the same amount each step, and nothing else would be amiss.",
    reason="`g_loss.item` is a method, and a method holds on to its tensor, the tensor to its graph. After `backward` "
           "the activations are free again, so it is only the graph's nodes that pile up, some twenty a step; of a "
           "loss that saw no `backward`, all activations stay. `g_loss.item()` is a number.",
    others=("not-detached", "gradients-pile", "label-zero"),
    figures=("W1", "nodes of old graphs"),
    claim=lambda sick, sound: sick["nodes of old graphs"] > 5000
    and sound["nodes of old graphs"] == 0 and sick["W1"] == sound["W1"],
    caught_by="test_clinic.py::test_steps_return_numbers_without_graphs",
)
class KeptGraphs(patients.Line):
    curve = "nodes of old graphs"

    def note(self, g_loss):
        self.log.append(g_loss.item)


@case(
    "label-above-one",
    title="A loss below zero",
    symptoms="D is trained alone. Its loss goes below 0, where no cross-entropy can be, and on down.",
    fault="\u201cNoisy\u201d labels: real samples have the label 1.2",
    sign="D's loss could fall without end, below 0, while D still tells real from fake the right way round.",
    reason="With a label above 1 the loss softplus(l) - 1.2 l falls for ever as the logit l grows: there is no best D. "
           "`BCELoss` refuses such labels; the form with logits takes them without a word. Keep labels within 0 and 1.",
    others=("d-uphill", "smooth-both", "sigmoid-twice"),
    figures=("d_loss", "D at x = 0", "D at x = 6"),
    claim=lambda sick, sound: sick["d_loss"] < -0.3 and sound["d_loss"] > 0.2,
    caught_by="test_losses.py::test_logistic_d_loss_is_cross_entropy_with_labels_one_and_zero",
)
class LabelAboveOne(patients.Judge):
    curve = "D at x = 0"

    def d_loss(self, real_logits, fake_logits):
        return bce(real_logits, 1.2) + bce(fake_logits, 0.0)


@case(
    "d-uphill",
    title="D plays against itself",
    symptoms="D's loss is negative from the first step and falls like a stone. No sample is ever good.",
    fault="The value of the game, which D should make large, is handed to an optimiser that makes it small",
    sign="D's loss would be below 0 from the start, -1.386 or less, and D would take fakes for real and real for fake.",
    reason="log D(x) + log(1 - D(G(z))) is what D maximises. An optimiser minimises, so the loss is its negative. "
           "A sound D's loss is +1.386 where it cannot tell, and never below 0.",
    others=("label-above-one", "label-zero", "sigmoid-twice"),
    figures=("W1", "largest logit", "d_loss"),
    claim=lambda sick, sound: sick["d_loss"] < -1.4 and sick["W1"] > 3 * sound["W1"],
    caught_by="test_losses.py::test_values_where_d_cannot_tell",
)
class DUphill(patients.Line):
    def d_loss(self, real_logits, fake_logits):
        value = -bce(real_logits, 1.0) - bce(fake_logits, 0.0)  # log D(x) + log(1 - D(G(z)))
        return value


@case(
    "batchnorm-door",
    title="Calm at log 2, and far away",
    symptoms="Both losses rest at chance, as if all were well. The samples have neither the mean nor the width.",
    fault="BatchNorm stands first in D, and real and fake go through it apart",
    sign="D could not see where a batch lies nor how wide it is, only its shape.",
    reason="BatchNorm takes away each batch's mean and divides by its spread. When real and fake go through apart, the "
           "two differences that matter most are gone before D has looked. Send both through together, or leave "
           "BatchNorm out of D.",
    others=("linear-d", "label-zero", "saturating"),
    figures=LINE,
    claim=lambda sick, sound: sick["W1"] > 4 * sound["W1"] and abs(sick["d_loss"] - 2 * math.log(2)) < 0.3,
    caught_by="test_models.py::test_discriminators_score_each_sample_alone",
)
class BatchNormDoor(patients.Line):
    def make_d(self, weights):
        return nn.Sequential(nn.BatchNorm1d(1), *models.mlp([1, 32, 32, 1], generator=weights))


@case(
    "linear-d",
    title="The right mean, and that is all",
    symptoms="Both losses rest at chance. The mean is right. The width is not.",
    fault="D is linear",
    sign="D could compare means and nothing else: the samples' mean would be right, their shape anything.",
    reason="A linear D sees E[x] of both sides; once the means agree it has nothing left to say, whatever the widths. "
           "Losses at chance say that this D cannot tell. They do not say that the samples are right.",
    others=("batchnorm-door", "linear-g", "sigmoid-twice"),
    figures=LINE,
    claim=lambda sick, sound: sick["W1"] > 2 * sound["W1"] and abs(sick["mean"] - 4) < 0.5
    and abs(sick["standard deviation"] - 1.25) > 0.35,
    caught_by="test_clinic.py::test_toy_networks_are_not_linear",
)
class LinearD(patients.Line):
    def make_d(self, weights):
        return models.mlp([1, 1], generator=weights)


@case(
    "linear-g",
    title="A box where a bell should be",
    symptoms="Wherever the samples stand, their histogram has straight walls; its kurtosis is that of a box.",
    fault="G is linear",
    sign="The samples would have the shape of the noise, only moved and stretched.",
    reason="A linear G can move and stretch the noise and no more: a box remains a box. With ten uniform inputs "
           "instead of one the fault hides, because a sum of ten is nearly normal by itself.",
    others=("linear-d", "batchnorm-door", "sigmoid-twice"),
    figures=("W1", "mean", "standard deviation", "excess kurtosis"),
    claim=lambda sick, sound: sick["excess kurtosis"] < -1.15 and sound["excess kurtosis"] > -1.1
    and sick["W1"] > sound["W1"],
    caught_by="test_clinic.py::test_toy_networks_are_not_linear",
)
class LinearG(patients.Near):
    def make_g(self, weights):
        return models.mlp([1, 1], generator=weights)


@case(
    "sigmoid-twice",
    title="D never becomes sure",
    symptoms="D's loss dips once and comes back to rest at chance, though real and fake lie far apart. G hardly gets "
             "a push.",
    fault="D ends in a sigmoid, and the loss applies another one",
    sign="D's loss could not fall below 1.006, for its \u201clogits\u201d would lie between 0 and 1.",
    reason="The loss takes logits and applies the sigmoid itself. Fed with probabilities it sees logits between 0 and "
           "1: D can say at most 73 % and at least 50 %. Here its own sigmoid ends at 0, where it is flat, and "
           "neither D nor G learns any more. Let D end in a linear layer.",
    others=("saturating", "linear-d", "smooth-both"),
    figures=("W1", "mean", "standard deviation", "largest logit"),
    claim=lambda sick, sound: sick["W1"] > 1.5 * sound["W1"] and sick["largest logit"] <= 1,
    caught_by="test_clinic.py::test_discriminators_end_in_a_linear_layer",
)
class SigmoidTwice(patients.Line):
    def make_d(self, weights):
        return nn.Sequential(*models.mlp([1, 32, 32, 1], generator=weights), nn.Sigmoid())


@case(
    "saturating",
    title="G stands still",
    symptoms="D's loss falls to nothing, the gradient of G with it. The samples stay where they were.",
    fault="G minimises log(1 - D), said to be \u201cthe same as\u201d maximising log D",
    sign="G's gradient would vanish where D is sure of the fakes: the better D, the smaller the push.",
    reason="Both losses have the same goal and not the same gradient: the slope of log(1 - s(l)) is -s(l), which is "
           "nothing where D is sure of a fake (at the logit -8 it is 3,000 times weaker). This is a vanishing "
           "gradient, not mode collapse.",
    others=("label-zero", "batchnorm-door", "sigmoid-twice"),
    figures=("W1", "gradient norm of G", "mean"),
    claim=lambda sick, sound: sick["gradient norm of G"] < 0.05 * sound["gradient norm of G"]
    and sick["W1"] > 1.5 * sound["W1"],
    caught_by="test_losses.py::test_g_gradients_against_the_logit",
)
class Saturating(patients.Far):
    def g_loss(self, fake_logits):
        return -bce(fake_logits, 0.0)  # log(1 - D(G(z)))


@case(
    "smooth-both",
    title="D speaks well of what is nowhere",
    symptoms="D is trained alone, against fakes around 6. It gives them 10 %, for ever.",
    fault="The labels of both sides are smoothed, .9 for real and .1 for fake",
    sign="D would never go below the fake label, not even where no real sample ever falls.",
    reason="The best D is then (.9 p + .1 q) / (p + q), which is .1 where only fakes fall: D holds G's own errors to "
           "be real in one case of ten, and draws G towards them. Smooth the real side alone.",
    others=("smooth-reweight", "sigmoid-twice", "label-above-one"),
    figures=("D at x = 6", "D at x = 0"),
    claim=lambda sick, sound: 0.08 < sick["D at x = 6"] < 0.12 and sound["D at x = 6"] < 0.02,
    caught_by="test_theory.py::test_label_smoothing",
)
class SmoothBoth(patients.Judge):
    def d_loss(self, real_logits, fake_logits):
        return bce(real_logits, 0.9) + bce(fake_logits, 0.1)


@case(
    "smooth-reweight",
    title="Smoothing that smooths nothing",
    symptoms="Labels are said to be smoothed to .9, yet D gives real samples nearly 100 %.",
    fault="The real term is multiplied by .9 instead of getting the label .9",
    sign="D would reach 1 on real samples: a weight is not a label.",
    reason="The cross-entropy with the label .9 has two halves, .9 log D and .1 log(1 - D). The second is what keeps "
           "D from being sure; a mere weight of .9 leaves the best D at 1 wherever no fake falls.",
    others=("smooth-both", "label-above-one", "d-uphill"),
    figures=("D at x = 0", "D at x = 6"),
    claim=lambda sick, sound: sick["D at x = 0"] > 0.98 and abs(sound["D at x = 0"] - 0.9) < 0.03,
    caught_by="test_theory.py::test_label_smoothing",
)
class SmoothReweight(patients.Judge):
    curve = "D at x = 0"

    def d_loss(self, real_logits, fake_logits):
        return 0.9 * bce(real_logits, 1.0) + bce(fake_logits, 0.0)


# ------------------------------------------------------------------------------- in the plane


@case(
    "ring-of-seven",
    title="One group too few",
    symptoms="The losses are well. The samples form groups, one of them twice as full as the others, and fewer "
             "stand where the groups of the data should be.",
    fault="The angles of the ring come from linspace(0, 2 pi, 8)",
    sign="The first and the last group would be the same one: seven places, one of double weight.",
    reason="`linspace` includes its end, and 2 pi is 0 again. Seven different centres remain, at other angles than "
           "those of a ring of eight. The generator learnt the data that it was given.",
    others=("one-hit", "labels-astray", "accuracy-backwards"),
    figures=("share of the fullest mode", "high quality", "modes"),
    claim=lambda sick, sound: sick["share of the fullest mode"] > 0.2 > sound["share of the fullest mode"]
    and sick["high quality"] < 0.8 * sound["high quality"],
    caught_by="test_data.py::test_ring_has_eight_centres",
)
class RingOfSeven(patients.Ring):
    curve, floor = "share of the fullest mode", 0.125

    def centres(self):
        angle = torch.linspace(0, 2 * math.pi, 8)
        return torch.stack([angle.cos(), angle.sin()], dim=1)


@case(
    "accuracy-backwards",
    title="Worse than guessing",
    symptoms="The samples are good and D's loss is a little below chance. Its accuracy is below 50 %.",
    fault="An output near 1 is read as \u201cfake\u201d beside a loss in which 1 is real",
    sign="Only the reported accuracy would be wrong: below one half just as far as it should be above.",
    reason="The loss gives real samples the label 1, so a logit above 0 says real. Who reads it the other way round "
           "reports 1 minus the accuracy. D's loss below 1.386 gave it away.",
    others=("d-uphill", "label-zero", "ring-of-seven"),
    figures=("accuracy of D", "d_loss", "modes"),
    claim=lambda sick, sound: sick["accuracy of D"] < 0.49 and sound["accuracy of D"] > 0.51
    and sick["modes"] == sound["modes"],
    caught_by="test_health.py::test_separation_by_hand",
)
class AccuracyBackwards(patients.Ring):
    curve = "accuracy of D"

    def accuracy(self, real_logits, fake_logits):
        right = (real_logits < 0).sum() + (fake_logits > 0).sum()
        return right / (len(real_logits) + len(fake_logits))


@case(
    "one-hit",
    title="All eight modes, says the count",
    symptoms="The count says 8 of 8 modes. The picture shows a cloud.",
    fault="A mode counts as found on one hit",
    sign="A cloud that covers everything thinly would get all modes: of 2,500 samples one strays near each centre.",
    reason="Of 2,500 samples one hit is .04 %, and any blurred cloud has that. State a share that a mode must get "
           "(here a tenth of its own, 1/80) and report the share of good samples beside it.",
    others=("ring-of-seven", "labels-astray", "accuracy-backwards"),
    figures=("modes", "high quality"),
    claim=lambda sick, sound: sick["modes"] >= sound["modes"] + 2 and sick["high quality"] < 0.3,
    caught_by="test_metrics.py::test_one_hit_is_no_mode_unless_one_asks",
)
class OneHit(patients.YoungRing):
    def count(self, fake):
        return metrics.count_modes(fake, data.ring_centres(8), 0.05, share=0)


@case(
    "labels-astray",
    title="It makes what it likes",
    symptoms="Hardly a sample stands in any of the eight groups, and what is asked for makes no difference.",
    fault="In G's step D sees each fake with another sample's label",
    sign="The samples would stand between the groups, and the class asked for would be met about one time in eight.",
    reason="D judges the pair of sample and label. Beside a label that G was not given, whatever G makes is wrong for "
           "seven labels of eight: it can only compromise, between the groups. G's code and D's pair need the same "
           "`y`.",
    others=("one-hit", "one-hot-faint", "ring-of-seven"),
    figures=("share of the class asked for", "modes", "high quality"),
    claim=lambda sick, sound: sick["share of the class asked for"] < 0.4
    and sound["share of the class asked for"] > 0.9 and sick["high quality"] < 0.1,
    caught_by="test_training.py::test_conditional_steps_show_each_sample_with_its_own_class",
)
class LabelsAstray(patients.Classes):
    def told(self, fake, y):
        return torch.cat([fake, F.one_hot(y.roll(1), 8)], dim=1)


@case(
    "one-hot-faint",
    title="Slow to listen",
    symptoms="In the end G makes what is asked for. It takes about twice as long to begin.",
    fault="The one-hot class is joined to 64 noise inputs at scale 1",
    sign="The class would be one part in 65 of the input's energy, and G would take long to notice it.",
    reason="64 numbers of size 1 stand beside one: the class is 1/65 of the energy. Scale it (here by 8), embed it, or "
           "feed it to each layer; and measure the share of the classes asked for.",
    others=("labels-astray", "one-hit", "sigmoid-twice"),
    figures=("share of the class asked for", "steps until 90 %", "high quality"),
    claim=lambda sick, sound: sick["steps until 90 %"] > 1.2 * sound["steps until 90 %"],
    caught_by="test_models.py::test_classes_are_joined_as_one_hot_and_as_planes",
)
class OneHotFaint(patients.Classes):
    def pair(self, y):
        return 1 * F.one_hot(y, 8).float()


# ------------------------------------------------------------------------------- a critic alone

CRITIC = ("estimate of W1", "slope between real and fake")


@case(
    "norm-of-the-batch",
    title="An eighth of the distance",
    symptoms="The critic settles quickly and calmly, on an estimate far below 3. Its slope is .1.",
    fault="The penalty takes one norm over the whole batch",
    sign="The slope would settle at 1 over the root of the batch size, here 1/8.",
    reason="`gradient.norm()` is the root of the sum over all 64 samples; held to 1 it leaves each sample a slope of "
           "1/8. The norm belongs to each sample: `norm(dim=1)` after flattening.",
    others=("mean-not-sum", "penalty-on-real", "one-dimension-of-epsilon"),
    figures=CRITIC,
    claim=lambda sick, sound: sick["slope between real and fake"] < 0.25 * sound["slope between real and fake"]
    and sick["estimate of W1"] < 0.3 * sound["estimate of W1"],
    caught_by="test_penalties.py::test_gradient_penalty_of_a_linear_critic",
)
class NormOfTheBatch(patients.Critic):
    def slope(self, gradient):
        return gradient.norm()


@case(
    "mean-not-sum",
    title="A distance that only grows",
    symptoms="The estimate passes 3 and goes on and on, as if there were no penalty.",
    fault="The gradient is taken of the mean of the scores, not of their sum",
    sign="Each sample's gradient would be divided by the batch size, so slopes up to 64 would look like 1.",
    reason="The gradient of the mean is 1/64 of each sample's own. The penalty then wants the slope to be "
           "64, and pulls 64 times more weakly: against this gap a linear critic comes to rest only near 680. Sum the "
           "scores before the gradient is taken.",
    others=("penalty-plus", "norm-of-the-batch", "clipped-updates"),
    figures=CRITIC,
    claim=lambda sick, sound: sick["estimate of W1"] > 5 * sound["estimate of W1"],
    caught_by="test_penalties.py::test_input_gradient_is_each_samples_own",
)
class MeanNotSum(patients.Critic):
    def gradient(self, between):
        score = self.D(between).mean()
        return torch.autograd.grad(score, between, create_graph=True)[0]


@case(
    "penalty-on-real",
    title="Steep in the gap",
    symptoms="The slope is held at the real samples. Between the two laws it is not.",
    fault="The penalty is taken on real samples alone and called WGAN-GP",
    sign="The critic would be steeper between real and fake than at the real samples, and its estimate too large.",
    reason="With epsilon fixed at 1 no point between real and fake is ever looked at, so nothing holds the slope "
           "there. That is nearer to R1 than to WGAN-GP, and the estimate is no bound of W1.",
    others=("norm-of-the-batch", "epsilon-normal", "lambda-small"),
    figures=CRITIC,
    claim=lambda sick, sound: sick["slope between real and fake"] > 1.15 * sound["slope between real and fake"],
    caught_by="test_penalties.py::test_points_between_are_one_place_a_sample_on_the_segment",
)
class PenaltyOnReal(patients.Critic):
    def mix(self, x, fake):
        return x.clone().requires_grad_(True)


@case(
    "batchnorm-critic",
    title="A distance that is not seen",
    symptoms="The critic's own loss stays at 0 and the estimate far below 3, though the penalty is in place.",
    fault="The critic has BatchNorm",
    sign="Each batch would lose its own mean and width, and the critic could not see that one lies 3 from the other.",
    reason="Real and fake go through BatchNorm apart. They differ in their mean alone, and that is what it takes away: "
           "nothing is left to measure. It also ties the samples of a batch together, so that the gradient of the "
           "summed scores is no longer each sample's own (with BatchNorm alone before a linear layer it is exactly 0). "
           "Use no norm, or one that works on each sample.",
    others=("norm-of-the-batch", "penalty-on-real", "lambda-small"),
    figures=CRITIC,
    claim=lambda sick, sound: abs(sick["estimate of W1"] - 3) > 2 * abs(sound["estimate of W1"] - 3),
    caught_by="test_models.py::test_discriminators_score_each_sample_alone",
)
class BatchNormCritic(patients.Critic):
    def make_d(self, weights):
        first, middle, last = (models.mlp(s, generator=weights) for s in ((2, 32), (32, 32), (32, 1)))
        return nn.Sequential(*first, nn.BatchNorm1d(32), nn.LeakyReLU(0.2), *middle, nn.LeakyReLU(0.2), *last)


@case(
    "lambda-small",
    title="Sixteen times the distance",
    symptoms="The critic is calm, its slope too steep. It is reported as the Wasserstein distance.",
    fault="The penalty has the weight .1, and the critic's gap is called the distance",
    sign="The slope would settle above 1, at about 1 + d / (2 lambda), with nothing else amiss.",
    reason="The best linear critic has the slope 1 + d / (2 lambda): with lambda = .1 and d = 3 that is 16. The "
           "penalty is a price, not a wall. With lambda = 10 it is 1.15: even then the gap is not the distance itself.",
    others=("mean-not-sum", "penalty-on-real", "norm-of-the-batch"),
    figures=CRITIC,
    claim=lambda sick, sound: sick["estimate of W1"] > 2.5 * sound["estimate of W1"],
    caught_by="test_properties.py::test_best_linear_critic_under_the_gradient_penalty",
)
class LambdaSmall(patients.Critic):
    def objective(self, gap, penalty):
        return gap - 0.1 * penalty  # the critic makes it large


@case(
    "penalty-plus",
    title="Flat",
    symptoms="The estimate falls to nothing and stays there. The critic gives everything the same score.",
    fault="The penalty is added to what the critic maximises",
    sign="The critic would be paid for slopes far from 1: it would go flat, or explode.",
    reason="A penalty makes the objective worse. In an expression that is maximised it is subtracted; added, it pays "
           "for slopes far from 1. A critic that begins below 1 runs down to 0, where it earns ten for nothing; one "
           "that begins above runs up without end.",
    others=("mean-not-sum", "clipped-updates", "norm-of-the-batch"),
    figures=CRITIC,
    claim=lambda sick, sound: (sick["slope between real and fake"] < 0.05 or sick["slope between real and fake"] > 20)
    and sound["slope between real and fake"] > 0.9,
    caught_by="test_training.py::test_penalty_gets_real_and_fake_and_is_added_as_it_comes",
)
class PenaltyPlus(patients.Critic):
    def objective(self, gap, penalty):
        return gap + 10 * penalty  # the critic makes it large


@case(
    "epsilon-normal",
    title="Looking past the ends",
    symptoms="The estimate is nearly right. Two thirds of the points at which the slope is held lie elsewhere.",
    fault="Epsilon is drawn from a normal law",
    sign="Mixed points would still lie on the line through a pair, but many beyond its ends.",
    reason="N(0, 1) lies outside [0, 1] in 65.9 % of cases, so as many points lie outside their segment. Here the "
           "critic is nearly the same, because the line goes on straight; it costs two thirds of the penalty's "
           "attention. Draw from U(0, 1).",
    others=("one-dimension-of-epsilon", "penalty-on-real", "mean-not-sum"),
    figures=(*CRITIC, "points off their segment"),
    claim=lambda sick, sound: 0.6 < sick["points off their segment"] < 0.72
    and sound["points off their segment"] == 0,
    caught_by="test_properties.py::test_points_between_lie_on_their_own_line",
)
class EpsilonNormal(patients.Critic):
    curve = "points off their segment"
    floor = 0.0

    def mix(self, x, fake):
        share = torch.randn(len(x), 1, generator=self.stream)
        return (share * x + (1 - share) * fake).requires_grad_(True)


@case(
    "one-dimension-of-epsilon",
    title="Nowhere on the line",
    symptoms="The estimate is nearly right. Most points at which the slope is held do not lie between their pair.",
    fault="Each coordinate has an epsilon of its own",
    sign="Mixed points would fill the box that a real sample and its fake span, not the line between them.",
    reason="The penalty belongs on the line between real and fake: one epsilon a sample, of shape (n, 1), or "
           "(n, 1, 1, 1) for images. With two coordinates little is lost; a picture mixed pixel by pixel is noise "
           "that no generator makes.",
    others=("epsilon-normal", "penalty-on-real", "norm-of-the-batch"),
    figures=(*CRITIC, "points off their segment"),
    claim=lambda sick, sound: sick["points off their segment"] > 0.75 and sound["points off their segment"] == 0,
    caught_by="test_properties.py::test_points_between_lie_on_their_own_line",
)
class EpsilonEach(patients.Critic):
    curve = "points off their segment"
    floor = 0.0

    def mix(self, x, fake):
        share = torch.rand(x.shape, generator=self.stream)
        return (share * x + (1 - share) * fake).requires_grad_(True)


@case(
    "mix-without-gradient",
    title="It does not even start",
    symptoms="The first step ends with an error: one of the tensors does not require grad.",
    fault="The mixed points carry no gradient",
    sign="autograd.grad would refuse at the very first step.",
    reason="The slope is the derivative by the mixed point, and autograd follows only tensors that ask for it. The "
           "fakes are detached and the data are data, so their mix must be told: `requires_grad_(True)`.",
    others=("root-of-zero", "penalty-on-real", "penalty-plus"),
    figures=("steps",),
    claim=lambda sick, sound: sick["steps"] == 0 and sound["steps"] == 400,
    caught_by="test_penalties.py::test_gradient_penalty_of_a_linear_critic",
)
class MixWithoutGradient(patients.Critic):
    def mix(self, x, fake):
        share = torch.rand(len(x), 1, generator=self.stream)
        return share * x + (1 - share) * fake


@case(
    "root-of-zero",
    title="Not a number",
    symptoms="The critic's first loss is a number. After its first update nothing else is.",
    fault="The norm is the root of a sum of squares, and the slope is 0 somewhere",
    sign="A NaN would come as soon as a slope is exactly 0, here at the start, for D's last layer begins at zero.",
    reason="The derivative of a root at 0 is infinite, and infinity times 0 is NaN. `norm()` has the derivative 0 "
           "there; a small number inside the root, 1e-12, does as well.",
    others=("mix-without-gradient", "penalty-plus", "mean-not-sum"),
    figures=("steps", "estimate of W1"),
    claim=lambda sick, sound: sick["steps"] <= 3 and sound["steps"] == 400 and abs(sound["estimate of W1"] - 3) < 1,
    caught_by="test_penalties.py::test_zero_critic_has_penalty_one_and_finite_gradient",
)
class RootOfZero(patients.ZeroCritic):
    def slope(self, gradient):
        return gradient.square().sum(dim=1).sqrt()


@case(
    "clipped-updates",
    title="Clipped, and yet it grows",
    symptoms="Weights are said to be clipped at .1. The estimate grows without end, and so does the largest weight.",
    fault="The gradients are clipped instead of the weights",
    sign="The weights would not be bounded: the largest of them would leave the limit.",
    reason="Clipping gradients bounds one step at most (with Adam hardly that); after many, the weights are anywhere, "
           "and with them the slope. Weight clipping sets every weight back into [-c, c] after each step.",
    others=("penalty-plus", "lambda-small", "mean-not-sum"),
    figures=("estimate of W1", "largest weight", "slope between real and fake"),
    claim=lambda sick, sound: sick["largest weight"] > 0.3 and sound["largest weight"] < 0.1001
    and sick["estimate of W1"] > 5 * sound["estimate of W1"],
    caught_by="test_penalties.py::test_clip_weights_sets_weights_to_the_nearest_within",
)
class ClippedUpdates(patients.ClippedCritic):
    def d_step(self):
        x, fake = self.real(self.batch), self.noise(self.batch)
        gap = self.D(x).mean() - self.D(fake).mean()
        self.opt_d.zero_grad()
        (-gap).backward()
        torch.nn.utils.clip_grad_value_(self.D.parameters(), 0.1)
        self.opt_d.step()
        return -gap.detach()


# ------------------------------------------------------------------------------- digits


@case(
    "zero-to-one",
    title="Grey paper",
    symptoms="The digits stand on a grey ground that never turns white, and the distance stays far above "
             "what it should be.",
    fault="The images lie in [0, 1], G ends in tanh",
    sign="The darkest pixel of the data would be 0, in the middle of what tanh makes: grey paper.",
    reason="Tanh makes numbers from -1 to 1. Where the data have none below 0, D needs one look at the sign of the "
           "darkest pixel, and G must hold hundreds of outputs at exactly 0. Scale the images to [-1, 1].",
    others=("norm-at-nothing", "few-images", "sampling-in-train-mode"),
    figures=("Fréchet distance", "contrast"),
    claim=lambda sick, sound: sick["Fréchet distance"] > 1.5 * sound["Fréchet distance"],
    caught_by="test_data.py::test_images_that_are_refused",
)
class ZeroToOne(patients.Digits):
    def real(self, n):
        index = torch.randint(20_000, (n,), generator=self.stream)
        return (patients.digits()[index] + 1) / 2


@case(
    "norm-at-nothing",
    title="It begins with a blank sheet",
    symptoms="G's first pictures have no contrast at all: a ten-thousandth of what they should have.",
    fault="The scale of BatchNorm starts at N(0, .02)",
    sign="Each BatchNorm would pass on one fiftieth of the signal: no contrast at the start.",
    reason="\u201cAll weights from N(0, .02)\u201d was meant for convolutions. A BatchNorm multiplies by its weight: "
           "centred at 0 it silences the network, and turns half of the maps upside down. Adam frees this small G "
           "within a hundred steps, as the distances show; a deeper one loses more at every layer. The scale starts "
           "at 1.",
    others=("eps-for-momentum", "zero-to-one", "sampling-in-train-mode"),
    figures=("Fréchet distance", "contrast at the start"),
    claim=lambda sick, sound: sick["contrast at the start"] < 0.05 * sound["contrast at the start"],
    caught_by="test_models.py::test_batchnorm_starts_at_scale_one",
)
class NormAtNothing(patients.Digits):
    curve = "contrast"

    def start(self, G, weights):
        for layer in G.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.data.normal_(0.0, 0.02, generator=weights)


@case(
    "eps-for-momentum",
    title="A norm that does not normalise",
    symptoms="All looks well. But behind the first BatchNorm the spread is nowhere near 1.",
    fault="BatchNorm2d(channels, 0.8): the .8 was meant as momentum and is eps",
    sign="Activations would leave BatchNorm with a spread below 1, the smaller the weaker they came in.",
    reason="The second argument is eps, which is added to the variance: an input of variance .1 comes out with a "
           "standard deviation of .33 instead of 1. Name the argument: `momentum=0.8`. Here the samples suffer a "
           "little (their distance is a tenth to a half larger), since the next layer can make up for much of it; the "
           "layer does not do what it is there for.",
    others=("norm-at-nothing", "sampling-in-train-mode", "zero-to-one"),
    figures=("spread after BatchNorm", "Fréchet distance"),
    claim=lambda sick, sound: sick["spread after BatchNorm"] < 0.9 and abs(sound["spread after BatchNorm"] - 1) < 0.05,
    caught_by="test_clinic.py::test_batchnorm_normalises",
)
class EpsForMomentum(patients.Digits):
    curve = "spread after BatchNorm"
    floor = 1.0

    def norm(self, channels):
        return nn.BatchNorm2d(channels, 0.8)


@case(
    "sampling-in-train-mode",
    title="The same code, another picture",
    symptoms="The same z gives a slightly other picture each time it is drawn with other codes.",
    fault="Samples are drawn in train mode",
    sign="A picture would depend on its batch mates, through the batch statistics.",
    reason="In train mode BatchNorm normalises by the batch at hand, so a picture depends on its mates, and each look "
           "moves the running statistics as well. Switch to eval to show or to measure, and back to train.",
    others=("norm-at-nothing", "eps-for-momentum", "few-images"),
    figures=("change with other batch mates", "Fréchet distance"),
    claim=lambda sick, sound: sick["change with other batch mates"] > 0.004
    and sound["change with other batch mates"] < 1e-4,
    caught_by="test_recipes.py::test_samples_are_drawn_from_the_law_of_the_header_in_eval_mode",
)
class SamplingInTrainMode(patients.Digits):
    curve = "change with other batch mates"
    floor = 0.0

    def sample(self, z):
        with torch.no_grad():
            return self.G(z)


@case(
    "few-images",
    title="Worse on paper than on screen",
    symptoms="The pictures are as good as before. The distance is several times what it was.",
    fault="The Fréchet distance is taken from 100 images",
    sign="Only the reported distance would be too large, with nothing to be seen in the pictures.",
    reason="The distance of few samples is too large even for perfect ones, by an amount that falls as 1/n: d = 64 "
           "features want thousands of images. Print the score of as many real images beside it, and compare only "
           "figures with the same n.",
    others=("straight-line", "sampling-in-train-mode", "no-pull"),
    figures=("Fréchet distance", "sureness of the classifier"),
    claim=lambda sick, sound: sick["Fréchet distance"] > 2 * sound["Fréchet distance"],
    caught_by="test_metrics.py::test_frechet_bias_law",
)
class FewImages(patients.Halfway):
    curve, floor = "Fréchet distance", None

    def images_to_score(self):
        return 100


# ------------------------------------------------------------------------------- walks of a code

WALK = ("read as a 3", "length of z", "percentile of its length", "distance to real 3s")


@case(
    "code-gradients-pile",
    title="A walk that runs",
    symptoms="The codes run off: within forty moves they are several times longer than any that the "
             "generator was trained on.",
    fault="The gradient of z is never cleared; the classifier's is instead",
    sign="Each move would be longer than the one before, though the rate stays.",
    reason="`z.grad` adds up like any other gradient. Clearing the classifier's does nothing for it. Ten moves along a "
           "constant gradient go 55 units instead of 10. Take a fresh leaf each time, or set `z.grad = None`.",
    others=("no-pull", "straight-line", "gradients-pile"),
    figures=WALK,
    claim=lambda sick, sound: sick["length of z"] > 1.2 * sound["length of z"],
    caught_by="test_control.py::test_walk_does_not_add_up_its_gradients",
)
class CodeGradientsPile(patients.FreeWalk):
    def move(self, z):
        z = self.z = self.z.requires_grad_(True)
        self.D.zero_grad()
        self.score(z).backward()
        with torch.no_grad():
            z -= 0.1 * z.grad
        return z


@case(
    "no-pull",
    title="Far out, and for nothing",
    symptoms="The codes leave the region where codes lie, to twice their length. Fewer than half of the pictures read "
             "as a 3.",
    fault="Nothing pulls the codes back to their prior",
    sign="The length of z would grow beyond what any code of the prior has, move by move.",
    reason="Codes of 64 normal numbers have a length near 8, all of them. A walk that only listens to the classifier "
           "leaves that shell, and what G makes there was never trained. Pull z back, and let another judge.",
    others=("code-gradients-pile", "straight-line", "zero-to-one"),
    figures=WALK,
    claim=lambda sick, sound: sick["percentile of its length"] > 65 and sick["length of z"] > 8.25
    and abs(sound["length of z"] - 8) < 0.01,
    caught_by="test_control.py::test_pull_brings_codes_to_the_prior",
)
class NoPull(patients.Walk):
    def pull(self, z):
        return z


@case(
    "straight-line",
    title="Half-way is too near",
    symptoms="Pictures half-way between two codes look well. Their codes are shorter than any that is drawn.",
    fault="Codes are mixed along a straight line",
    sign="Half-way codes would have the length of the root of d/2, 5.7 instead of 8.",
    reason="Half-way between two independent codes of length 8 lies one of length 5.7; the prior has none that short "
           "(3 in 10,000). On these digits the eye sees little and the classifier is as sure as before, which is why "
           "the fault lives on: the distance of two thousand of them tells. Mix along the sphere (slerp).",
    others=("no-pull", "code-gradients-pile", "few-images"),
    figures=("length of z", "percentile of its length", "Fréchet distance", "sureness of the classifier"),
    claim=lambda sick, sound: sick["percentile of its length"] < 5 and sick["Fréchet distance"] > 1.2
    * sound["Fréchet distance"],
    caught_by="test_control.py::test_slerp_turns_and_grows_evenly",
)
class StraightLine(patients.Halfway):
    def between(self, a, b):
        return (a + b) / 2


def plain(value: Any) -> Any:
    """Numbers of four digits, None for what is not finite: what JSON can hold and the page needs."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else None
    return value

