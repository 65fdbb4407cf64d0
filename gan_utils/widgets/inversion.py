"""The inversion pad: the reader draws, the page looks for the code whose picture comes nearest."""

from __future__ import annotations

import base64
import copy

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from .. import control
from ..runtime import seeded
from .base import Demo, grey, png, source, still_html, tile
from .explorer import export_generator

SEARCH = {"codes": 200, "starts": 3, "steps": 60, "lr": 0.1, "pull": 0.001}


class InversionPad(Demo):
    """A drawing, and the nearest picture that G can make: random codes, then Adam from the best of them.

    ``examples`` (n, 1, height, width) in [-1, 1] are images to start from, ``names`` says what they are. While it is
    shown, ``target`` (the image sought, height * width numbers), ``z`` (the best code so far, empty before a
    search), ``error`` (mean squared difference of the pixels) and ``baseline`` (that of the best random code) can be
    read and set; ``find(image)`` searches by torch and shows the result.
    """

    _name = "inversion"
    _esm = source("inversion")
    target = traitlets.List(traitlets.Float()).tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(sync=True)
    error = traitlets.Float(-1.0).tag(sync=True)
    baseline = traitlets.Float(-1.0).tag(sync=True)

    def __init__(self, G: nn.Module, examples: Tensor, names: list[str], *, seed: int = 0,
                 title: str = "Draw, and find the code"):
        network = export_generator(G)
        shape = tuple(network["shape"])
        if tuple(examples.shape[1:]) != shape or len(examples) != len(names):
            raise ValueError(f"InversionPad: examples {tuple(examples.shape)} and {len(names)} names given; needs "
                             f"(n, {', '.join(map(str, shape))}) and a name for each")
        self._G = copy.deepcopy(G).eval().cpu().float().requires_grad_(False)
        self._seed, self.latent_dim, self._shape = seed, network["latent_dim"], shape
        self._examples = examples.detach().cpu().float()
        pixels = [base64.b64encode(image.tobytes()).decode() for image in grey(self._examples.numpy())]
        data = {"network": network, "title": title, "search": SEARCH, "seed": seed,
                "examples": [{"pixels": p, "name": name} for p, name in zip(pixels, names, strict=True)]}
        super().__init__(data=data, target=[-1.0] * int(np.prod(shape)))

    @traitlets.validate("target", "z")
    def _of_length(self, proposal) -> list[float]:
        value, name = proposal["value"], proposal["trait"].name
        allowed = {"target": (int(np.prod(self._shape)),), "z": (0, self.latent_dim)}[name]
        if len(value) not in allowed or not np.isfinite(value).all():
            raise traitlets.TraitError(f"{name}: {len(value)} numbers given, {allowed[-1]} finite ones needed")
        return value

    def find(self, image: Tensor) -> Tensor:
        """The code for an image (..., height, width), by the same search as the page's but other random codes."""
        x = image.detach().reshape(1, *self._shape).float()
        z = torch.randn(SEARCH["codes"], self.latent_dim, generator=seeded(self._seed))
        starts, errors = control.nearest_codes(self._G, x, z, keep=SEARCH["starts"])
        settings = {name: SEARCH[name] for name in ("steps", "lr", "pull")}
        found, error = control.invert(self._G, x, starts, **settings)
        self.target, self.z = x.flatten().tolist(), found[0].tolist()
        self.error, self.baseline = float(error[0]), float(errors[0, 0])
        return found[0]

    def picture(self) -> Tensor:
        """G(z) by torch for the code found: (height, width), values as G makes them."""
        if not self.z:
            raise ValueError("InversionPad: nothing was sought yet: draw, or call find(image)")
        with torch.no_grad():
            return self._G(torch.tensor([self.z], dtype=torch.float32))[0].reshape(self._shape[1:])

    def _state(self) -> dict:
        return {"data": self.data, "target": self.target, "z": self.z, "error": self.error, "baseline": self.baseline}

    def _still(self) -> str:
        shown = self._examples[:6]
        z = torch.randn(SEARCH["codes"], self.latent_dim, generator=seeded(self._seed))
        nearest = control.nearest_codes(self._G, shown, z)[0][0]
        with torch.no_grad():
            made = self._G(nearest).reshape(shown.shape)
        strip = tile(grey(torch.cat([shown, made])[:, 0].numpy()), len(shown))
        return still_html(png(strip), 3 * strip.shape[1],
                           "Two rows: images, and below each the nearest of two hundred random pictures of the "
                           "generator.",
                           "A still: where scripts may run, a picture near the reader's own drawing is found here.")
