"""The clinic: recorded runs of broken GANs. The reader sees the symptoms, picks the fault, and sees the cure."""

from __future__ import annotations

import hashlib
import io

import traitlets
from matplotlib.figure import Figure

from .. import clinic
from .base import Demo, source, still_html

SICK, SOUND = "#D55E00", "#0072B2"


class Clinic(Demo):
    """Cases of ``gan_utils.clinic`` to be diagnosed: losses, a figure and samples, then four faults to choose from.

    ``case`` is the name of the case shown, ``answers`` what was chosen: {case: name of the fault}. Both can be read
    and set while it is shown; ``score`` is (right, answered). ``names`` chooses cases, all of them by default. Only
    the page keeps answers (in the reader's browser, under one key); it sends them nowhere.
    """

    _name = "clinic"
    _esm = source("clinic")
    case = traitlets.Unicode().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)

    def __init__(self, names=None, *, title: str = "The clinic", case: str | None = None, answers=None):
        names = list(clinic.CASES) if names is None else list(names)
        for name in names:
            _known(name, clinic.CASES)
        if not names:
            raise ValueError(f"Clinic: no case given; there are {', '.join(clinic.CASES)}")
        super().__init__(data={"title": title, **contents(names)}, case=case or names[0], answers=dict(answers or {}))

    @property
    def score(self) -> tuple[int, int]:
        """How many answers are right, and how many there are."""
        return sum(name == chosen for name, chosen in self.answers.items()), len(self.answers)

    @traitlets.validate("case")
    def _is_a_case(self, proposal) -> str:
        return _known(proposal["value"], self._choices(), traitlets.TraitError)

    @traitlets.validate("answers")
    def _are_choices(self, proposal) -> dict:
        for name, chosen in proposal["value"].items():
            _known(name, self._choices(), traitlets.TraitError)
            _known(chosen, self._choices()[name], traitlets.TraitError)
        return proposal["value"]

    def _choices(self) -> dict[str, list[str]]:
        return {one["name"]: one["choices"] for one in self.data["cases"]}

    def _state(self) -> dict:
        return {"data": self.data, "case": self.case, "answers": self.answers}

    def _still(self) -> str:
        one = next(one for one in self.data["cases"] if one["name"] == self.case)
        run = one["sick"]
        figure = Figure(figsize=(6.4, 2.2), dpi=80, layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, colour, dash in (("d_loss", SOUND, "-"), ("g_loss", SICK, "--")):
            values = [float("nan") if v is None else v for v in run["losses"][name]]
            left.plot([(i + 1) * one["every"] for i in range(len(values))], values, color=colour, linestyle=dash,
                      label=name.replace("_", " "))
        left.set(xlabel="step", ylabel="loss")
        left.legend(frameon=False)
        values = [float("nan") if v is None else v for v in run["curve"]]
        right.plot([i * one["every"] for i in range(len(values))], values, color=SICK)
        right.set(xlabel="step", ylabel=one["curve"])
        file = io.BytesIO()
        figure.savefig(file, format="png")
        return still_html(file.getvalue(), 512,
                          f"The case \u201c{one['title']}\u201d. Left: both losses. Right: {one['curve']}.",
                          f"A still of one case of {len(self.data['cases'])}: where scripts may run, each shows its "
                          "curves and samples here, you choose the fault, and the repaired run appears beside.")


def contents(names: list[str]) -> dict:
    """What the page needs of these cases: words, choices, code and runs; runs that two cases share stand there once."""
    runs, cases, faults = {}, [], {}
    recorded = clinic.recorded()
    for name in names:
        one, kept = clinic.CASES[name], recorded[name]
        patient = one.sick
        choices = sorted((name, *one.others), key=lambda choice: hashlib.sha256(f"{name} {choice}".encode()).digest())
        for choice in choices:
            faults[choice] = {"fault": clinic.CASES[choice].fault, "sign": clinic.CASES[choice].sign}
        key = f"{one.sound.__name__} {patient.curve}"
        runs.setdefault(key, {part: kept["sound"][part] for part in ("losses", "curve", "look")})
        cases.append({
            "name": name, "title": one.title, "task": patient.task, "symptoms": one.symptoms, "reason": one.reason,
            "choices": choices, "view": patient.view, "range": list(patient.range), "every": patient.every,
            "steps": patient.steps, "chance": list(patient.chance), "curve": patient.curve, "floor": patient.floor,
            "figures": list(one.figures), "code": clinic.difference(*kept["code"]), "caught": one.caught_by,
            "sick": {part: kept["sick"][part] for part in ("losses", "curve", "look", "stopped")}, "sound": key,
            "ends": [[[end.get(figure) for figure in one.figures] for end in kept[kind]["end"]]
                     for kind in ("sick", "sound")],
        })
    return {"cases": cases, "runs": runs, "faults": faults}


def _known(name: str, choices, error: type[Exception] = ValueError) -> str:
    if name not in choices:
        raise error(f"Clinic: no {name!r} here; there are {', '.join(choices)}")
    return name
