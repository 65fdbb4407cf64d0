"""The time-lapse: pictures and curves under one slider."""

from __future__ import annotations

import base64
import io

import numpy as np
import traitlets
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from .base import Demo, grey, source, still_html, tile


class Scrubber(Demo):
    """Pictures over time (or over any setting) under one slider, with the curves that belong to them.

    ``frames``: a list whose items are all of one kind: matplotlib figures; (n, h, w) or (n, 1, h, w) batches, shown
    as a mosaic; (h, w) pictures; (h, w, 3) uint8 colour. Floats are grey levels from ``low`` to ``high``.
    ``values``: the number (or name) of each frame on the slider, ``label`` what it counts. ``series``: name -> one
    y for each frame, or (x, y) with points of its own. ``hlines``: name -> y, drawn dashed (a chance level, a floor).
    ``captions``: a sentence for each frame. ``alt``: what the pictures show, one text or one for each frame.
    ``index`` can be read and set. The pictures together stay under ``max_bytes``: lossless where that fits.
    """

    _name = "scrubber"
    _esm = source("scrubber")
    index = traitlets.Int(0).tag(sync=True)

    def __init__(self, frames, *, label: str = "step", values=None, series: dict | None = None,
                 hlines: dict | None = None, captions: list[str] | None = None, alt: str | list[str] = "Pictures",
                 yscale: str = "linear", ylabel: str | None = None, title: str = "Time-lapse", start: int = -1,
                 low: float = -1.0, high: float = 1.0, columns: int | None = None, max_bytes: int = 180_000):
        pictures = [_frame(picture, low, high, columns) for picture in frames]
        count = len(pictures)
        if count == 0 or len({picture.shape for picture in pictures}) != 1:
            sizes = sorted({picture.shape for picture in pictures})
            raise ValueError(f"Scrubber: frames of sizes {sizes} given; it needs one or more, all of one size")
        values = list(range(count)) if values is None else [_plain(value) for value in values]
        _check_length("values", values, count)
        _check_length("captions", captions, count)
        alts = [f"{alt} ({label} {value})" for value in values] if isinstance(alt, str) else list(alt)
        _check_length("alt", alts, count)
        if yscale not in ("linear", "log"):
            raise ValueError(f"Scrubber: yscale={yscale!r} given, 'linear' or 'log' needed")
        numeric = all(isinstance(value, (int, float)) for value in values)
        x = values if numeric else list(range(count))
        curves = [_curve(name, y, x) for name, y in (series or {}).items()]
        sprite, across = _sprite(pictures, max_bytes)
        height, width = pictures[0].shape[:2]
        self._still_frame, self._alt = pictures[-1], alts[-1]
        super().__init__(index=start % count, data={
            "sprite": f"data:image/webp;base64,{base64.b64encode(sprite).decode()}", "columns": across,
            "width": width, "height": height, "scale": min(8.0, max(1.0, 380 / width)),
            "label": label, "values": [_words(value) for value in values], "x": x, "series": curves,
            "lines": [{"name": name, "y": float(y)} for name, y in (hlines or {}).items()],
            "captions": captions, "alts": alts, "log": yscale == "log", "title": title,
            "ylabel": ylabel if ylabel is not None else curves[0]["name"] if len(curves) == 1 else "",
        })

    def _state(self) -> dict:
        return {"data": self.data, "index": self.index}

    def _still(self) -> str:
        shown = self.data["values"][-1]
        return still_html(_webp(self._still_frame, 80), round(self.data["width"] * self.data["scale"]), self._alt,
                           f"A still of {self.data['label']} {shown}: where scripts may run, a slider goes through "
                           f"all {len(self.data['values'])} pictures here.")

    @traitlets.validate("index")
    def _within(self, proposal):
        if self.data and not 0 <= proposal["value"] < len(self.data["values"]):
            raise traitlets.TraitError(f"index={proposal['value']} given, 0 to {len(self.data['values']) - 1} needed")
        return proposal["value"]


def _check_length(name: str, items: list | None, count: int) -> None:
    if items is not None and len(items) != count:
        raise ValueError(f"Scrubber: {len(items)} {name} given for {count} frames")


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _words(value) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _curve(name: str, y, x: list) -> dict:
    if isinstance(y, tuple):
        x, y = y
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"Scrubber: series '{name}' has {y.size} values for {x.size} places; "
                         "give one for each frame, or a pair (x, y)")
    return {"name": name, "x": x.tolist(), "y": [float(f"{v:.6g}") if np.isfinite(v) else None for v in y]}


def _frame(frame, low: float, high: float, columns: int | None) -> np.ndarray:
    """Any kind of frame as uint8, (h, w) or (h, w, 3)."""
    if isinstance(frame, Figure):
        file = io.BytesIO()
        frame.savefig(file, format="png")
        return np.asarray(Image.open(file).convert("RGB"))
    picture = frame.detach().cpu().numpy() if isinstance(frame, Tensor) else np.asarray(frame)
    if picture.ndim == 3 and picture.shape[-1] == 3 and picture.dtype == np.uint8:
        return picture
    if picture.dtype != np.uint8:
        picture = grey(picture, low, high)
    if picture.ndim == 4 and picture.shape[1] == 1:
        picture = picture[:, 0]
    if picture.ndim == 3:
        return tile(picture, columns or int(np.ceil(np.sqrt(len(picture)))))
    if picture.ndim != 2:
        raise ValueError(f"Scrubber: a frame of shape {picture.shape} given; it needs a figure, (h, w), "
                         "(h, w, 3) uint8, (n, h, w) or (n, 1, h, w)")
    return picture


def _webp(picture: np.ndarray, quality: int | None) -> bytes:
    file = io.BytesIO()
    how = {"lossless": True, "quality": 60} if quality is None else {"quality": quality, "method": 4}
    Image.fromarray(picture).convert("RGB").save(file, "WEBP", **how)
    return file.getvalue()


def _sprite(pictures: list[np.ndarray], max_bytes: int) -> tuple[bytes, int]:
    """All pictures in one, and how many stand in a row; lossless if that fits, else as good as fits."""
    height, width = pictures[0].shape[:2]
    across = max(1, min(len(pictures), 16383 // width, round(np.sqrt(len(pictures) * height / width))))
    rows = -(-len(pictures) // across)
    if rows * height > 16383:  # the format's limit on a side
        raise ValueError(f"Scrubber: {len(pictures)} frames of {width} x {height} pixels do not fit one picture; "
                         "give fewer or smaller ones")
    sheet = np.zeros((rows * height, across * width, *pictures[0].shape[2:]), np.uint8)
    for i, picture in enumerate(pictures):
        r, c = divmod(i, across)
        sheet[r * height:(r + 1) * height, c * width:(c + 1) * width] = picture
    for quality in (None, 90, 75, 60, 45, 30, 20, 12, 6, 3, 1):
        sprite = _webp(sheet, quality)
        if len(sprite) <= max_bytes:
            return sprite, across
    raise ValueError(f"Scrubber: the pictures take {len(sprite):,} bytes at the lowest quality, "
                     f"max_bytes={max_bytes:,} given; give fewer or smaller frames")
