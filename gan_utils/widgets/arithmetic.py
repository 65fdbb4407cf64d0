"""The arithmetic board: first - second + third, in codes, for samples that the reader drags into place."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from .base import Demo, grey, png, source, still_html, tile
from .explorer import export_generator


class ArithmeticBoard(Demo):
    """Three samples of a generator and a fourth: the picture of third + scale * (first - second).

    ``codes`` (n, latent_dim) are the samples to choose from, ``names`` says what each is, in rows of ``columns``.
    ``directions`` adds a slider for each named direction of codes. ``slots`` (three indices of codes), ``scale``,
    ``push`` (how far along each direction) and ``at_prior`` (the result brought to length sqrt(latent_dim)) can be
    read and set while it is shown; ``code()`` and ``picture()`` give the result by torch.
    """

    _name = "arithmetic"
    _esm = source("arithmetic")
    slots = traitlets.List(traitlets.Int(), minlen=3, maxlen=3).tag(sync=True)
    scale = traitlets.Float(1.0, min=0.0, max=2.0).tag(sync=True)
    push = traitlets.List(traitlets.Float()).tag(sync=True)
    at_prior = traitlets.Bool(False).tag(sync=True)

    def __init__(self, G: nn.Module, codes: Tensor, names: Sequence[str], *, columns: int = 6,
                 slots: Sequence[int] = (0, 1, 2), directions: Mapping[str, Tensor] | None = None,
                 at_prior: bool = False, reach: float = 2.0, title: str = "Arithmetic with codes"):
        network = export_generator(G)
        d, directions = network["latent_dim"], directions or {}
        if codes.ndim != 2 or codes.shape[1] != d or not len(codes) == len(names) >= 3:
            raise ValueError(f"ArithmeticBoard: codes {tuple(codes.shape)} and {len(names)} names given; needs at "
                             f"least three codes of length {d}, and a name for each")
        for name, direction in directions.items():
            if tuple(direction.shape) != (d,):
                raise ValueError(f"ArithmeticBoard: direction {name!r} has shape {tuple(direction.shape)}, "
                                 f"needs ({d},)")
        self._G = copy.deepcopy(G).eval().cpu().float()
        self._codes = _rounded(codes)
        self._directions = _rounded(torch.stack(list(directions.values()))) if directions else np.zeros((0, d))
        start = {"slots": list(slots), "scale": 1.0, "push": [0.0] * len(directions), "at_prior": at_prior}
        data = {"network": network, "codes": self._codes.tolist(), "names": list(names), "columns": columns,
                "directions": self._directions.tolist(), "direction_names": list(directions), "reach": reach,
                "title": title, "start": start}
        super().__init__(data=data, **start)

    @traitlets.validate("slots")
    def _of_the_tray(self, proposal) -> list[int]:
        if not all(0 <= k < len(self._codes) for k in proposal["value"]):
            raise traitlets.TraitError(f"slots: {proposal['value']} given, three numbers from 0 to "
                                       f"{len(self._codes) - 1} needed")
        return proposal["value"]

    @traitlets.validate("push")
    def _one_for_each(self, proposal) -> list[float]:
        if len(proposal["value"]) != len(self._directions):
            raise traitlets.TraitError(f"push: {len(proposal['value'])} numbers given, {len(self._directions)} needed: "
                                       "one for each direction")
        return proposal["value"]

    def code(self) -> Tensor:
        """The code of the result, (latent_dim,)."""
        first, second, third = self._codes[self.slots]
        z = third + self.scale * (first - second) + np.array(self.push) @ self._directions
        return torch.tensor(z * (len(z) ** 0.5 / np.linalg.norm(z)) if self.at_prior else z, dtype=torch.float32)

    def picture(self) -> Tensor:
        """The result by torch: (height, width), values as G makes them."""
        return self._pictures(self.code()[None])[0]

    def _pictures(self, codes: Tensor) -> Tensor:
        with torch.no_grad():
            return self._G(codes).reshape(-1, *self.data["network"]["shape"][1:])

    def _state(self) -> dict:
        return {"data": self.data, **{key: getattr(self, key) for key in self.data["start"]}}

    def _still(self) -> str:
        three = torch.tensor(self._codes[self.slots], dtype=torch.float32)
        strip = tile(grey(self._pictures(torch.cat([three, self.code()[None]])).numpy()), 4)
        first, second, third = (self.data["names"][k] for k in self.slots)
        return still_html(png(strip), 4 * strip.shape[1],
                           f"Four generated pictures: {first}, {second}, {third}, and the picture of the code "
                           "first - second + third.",
                           "A still: where scripts may run, other samples can be dragged into the sum here.")


def _rounded(codes: Tensor) -> np.ndarray:
    return codes.detach().cpu().double().numpy().round(4)
