"""The laboratory: GANs on the line and in the plane that train in the reader's browser."""

from __future__ import annotations

import io
import json

import numpy as np
import traitlets
from matplotlib.figure import Figure

from .base import JS, Demo, source, still_html

CONTENTS = json.loads((JS / "laboratory.json").read_text(encoding="utf-8"))
FIELDS, PRESETS = CONTENTS["fields"], {preset["name"]: preset for preset in CONTENTS["presets"]}
TRAINED = json.loads((JS / "presets_trained.json").read_text(encoding="utf-8"))  # js/train_presets.mjs makes it
DEFAULTS = {"seed": 0, **{field["key"]: field["default"] for field in FIELDS}}


class Laboratory(Demo):
    """A GAN that trains in the page: choose data, loss, rein, networks and rates; play, step, share.

    ``preset`` names an experiment to begin with (``PRESETS`` lists them), keyword settings change it:
    ``Laboratory("collapse", packing=2)``. ``settings`` (a dict), ``drawn`` (points of the plane, for the data
    "drawn"), ``playing`` and ``unfold`` (from 0, the noise, to 1, the fakes; for noise of one or two numbers) can be
    read and set while the widget is shown; ``step`` and ``metrics`` are what the page last reported. A change of
    settings starts again from step 0. Each view of one widget trains by itself, from the same seed. The arithmetic,
    js/gan.js, is that of this package in float64: tests compare the two step by step.
    """

    _name = "laboratory"
    _esm = source("laboratory")
    settings = traitlets.Dict().tag(sync=True)
    drawn = traitlets.List().tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    unfold = traitlets.Float(1.0, min=0.0, max=1.0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    metrics = traitlets.Dict().tag(sync=True)

    def __init__(self, preset: str = "healthy", *, drawn=(), title: str = "The laboratory", **settings):
        if preset not in PRESETS:
            raise ValueError(f"Laboratory: no preset {preset!r}; there are {', '.join(PRESETS)}")
        super().__init__(
            settings={**PRESETS[preset]["settings"], **settings}, drawn=list(drawn),
            data={"fields": FIELDS, "presets": list(PRESETS.values()), "trained": TRAINED, "title": title,
                  "share": False})

    @traitlets.validate("settings")
    def _known(self, proposal) -> dict:
        """All settings, those that were not given as in the list of fields."""
        given = proposal["value"]
        for key, value in given.items():
            choices = [c[0] for field in FIELDS if field["key"] == key for c in field["choices"]]
            if key == "seed":
                if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1_000_000:
                    raise traitlets.TraitError(f"seed={value!r} given, a whole number from 0 to 999999 needed")
            elif not choices:
                raise traitlets.TraitError(f"no setting {key!r}; there are {', '.join(DEFAULTS)}")
            elif value not in choices:
                raise traitlets.TraitError(f"{key}={value!r} given, one of {', '.join(map(str, choices))} needed")
        return {**DEFAULTS, **given}

    @traitlets.validate("drawn")
    def _in_the_plane(self, proposal) -> list:
        points = np.asarray(proposal["value"], dtype=np.float64)
        fits = points.ndim == 2 and points.shape[1] == 2 and len(points) <= 400 and np.all(abs(points) <= 1.6)
        if points.size and not fits:
            raise traitlets.TraitError(f"drawn: array {points.shape} given, at most 400 (x, y) within 1.6 of 0 needed")
        return points.reshape(-1, 2).tolist()

    def _state(self) -> dict:
        """A page may carry a set-up in its address; a notebook has an address of its own to keep."""
        return {"data": {**self.data, "share": True}, "settings": self.settings, "drawn": self.drawn,
                "playing": False, "unfold": self.unfold, "step": 0, "metrics": {}}

    def _still(self) -> str:
        figure = Figure(figsize=(4.6, 4.6), dpi=80)
        ax = figure.subplots()
        angle = 2 * np.pi * np.arange(8) / 8
        rng = np.random.default_rng(0)
        around = np.stack([np.cos(angle), np.sin(angle)], 1).repeat(30, 0)
        ax.plot(*(around + 0.05 * rng.normal(size=around.shape)).T, "o", mfc="none", mec="#0072b2", ms=4, label="data")
        ax.plot(*(0.2 * rng.normal(size=(120, 2))).T, "^", color="#d55e00", ms=5, label="fakes before training")
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        ax.legend(loc="upper right")
        file = io.BytesIO()
        figure.savefig(file, format="png", bbox_inches="tight")
        return still_html(
            file.getvalue(), 400,
            "Eight groups of data on a ring, and the fakes of an untrained generator in its middle.",
            "A still: where scripts may run, a GAN trains here, and you choose its data, its loss and its rates.")
