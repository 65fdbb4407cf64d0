"""What every demonstration shares: one JavaScript module for every host, the page's HTML, the still picture."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image

JS = Path(__file__).parents[1] / "js"


def source(name: str) -> str:
    """The module ``name``.js in one piece: each import of a neighbour replaced by that neighbour itself, once."""
    seen = set()

    def whole(module: str) -> str:
        text = (JS / f"{module}.js").read_text(encoding="utf-8")
        return re.sub(r'import \{[^}]*\} from "\./(\w+)\.js";\n', inline, text)

    def inline(match: re.Match) -> str:
        if match[1] in seen:  # another neighbour brought it along
            return ""
        seen.add(match[1])
        return re.sub("^export ", "", whole(match[1]), flags=re.MULTILINE)

    return whole(name)


def page(name: str, state: dict, still: str) -> str:
    """A still with one sentence, and the script that puts the demonstration in its place."""
    data = json.dumps(state, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":  # nothing in the data can end the script
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    key = f"{name}-{hashlib.sha256(data.encode()).hexdigest()[:12]}"
    script = source(name).replace("export default", "const demo =")  # other exports do no harm
    return (f'<div data-gan-demo="{key}">{still}</div>\n'
            f'<script type="module">\n{script}\nmountOnPage(demo, "{key}", {data});\n</script>')


def still_html(picture: bytes, width: int, alt: str, missing: str) -> str:
    """The picture as an <img>, and what a reader without scripts or kernel misses; styled within the tags alone."""
    kind = "png" if picture[:4] == b"\x89PNG" else "webp"
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return (f'<figure style="margin: 0"><img src="{source}" width="{width}" alt="{html.escape(alt)}" '
            f'style="max-width: 100%; height: auto"><figcaption>{html.escape(missing)}</figcaption></figure>')


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return file.getvalue()


def grey(pictures: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.clip((np.asarray(pictures, dtype=np.float64) - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """(n, h, w) -> one picture, row by row; what is missing in the last row stays black."""
    n, h, w = pictures.shape
    rows = -(-n // columns)
    full = np.zeros((rows * columns, h, w), pictures.dtype)
    full[:n] = pictures
    return full.reshape(rows, columns, h, w).swapaxes(1, 2).reshape(rows * h, columns * w)


class Demo(anywidget.AnyWidget):
    """A widget whose output also carries its page and its still."""

    _name = ""
    data = traitlets.Dict().tag(sync=True)

    def _state(self) -> dict:
        """What the page needs to start: the same traits that the live widget shares with Python."""
        raise NotImplementedError

    def _still(self) -> str:
        """What stands there before the script runs, and stays where scripts are stripped."""
        raise NotImplementedError

    def to_html(self) -> str:
        """The demonstration as HTML that needs no kernel, no file and no other host."""
        return page(self._name, self._state(), self._still())

    def _repr_mimebundle_(self, **kwargs):
        bundle, metadata = super()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/plain": f"{type(self).__name__}()", "text/html": self.to_html()}, metadata
