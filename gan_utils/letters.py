"""Letters A to Z, in block and in script, upright and slanted, light and bold, and networks that read them.

The package holds clean drawings of capitals in 32 open fonts (data_files/letters.png, its licences beside it);
turning, scaling and shifting come at the call, from the generator passed in. Split by font: the "test" letters are of
ten families that nothing was trained on.
"""

import functools
import hashlib
import json
import math
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checkpoints import load_tensors
from .metrics import frechet_distance, in_batches, mean_and_covariance
from .models import init_weights
from .runtime import check_count, seeded

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
STYLES = ("block", "script")
SLANTS = ("upright", "slanted")
WEIGHTS = ("light", "bold")
HEADS = {"letter": 26, "style": 2, "slant": 2, "weight": 2}  # what a classifier says, and among how many


@dataclass(frozen=True)
class Letters:
    """Images (n, 1, 28, 28) float32 in [-1, 1], ink is 1, with their labels, each (n,) int64.

    `letter` counts from A = 0; `style`, `slant` and `weight` index STYLES, SLANTS and WEIGHTS; `font` indexes
    `letter_fonts()`. A slice or an index tensor selects from all alike.
    """

    images: Tensor
    letter: Tensor
    style: Tensor
    slant: Tensor
    weight: Tensor
    font: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> "Letters":
        return replace(self, **{f.name: getattr(self, f.name)[index] for f in fields(self)})


class LetterLogits(NamedTuple):
    """What a classifier says: logits (n, 26) and three times (n, 2)."""

    letter: Tensor
    style: Tensor
    slant: Tensor
    weight: Tensor


def load_letters(
    n: int,
    *,
    generator: torch.Generator,
    split: str = "train",
    letters: str = ALPHABET,
    style: str | None = None,
    slant: str | None = None,
    weight: str | None = None,
    jitter: float = 1.0,
    device: str | torch.device = "cpu",
) -> Letters:
    """n letters in random order, from the fonts of `split` ("train" or "test").

    Each combination of letter, style, slant and weight comes equally often (counts differ by one at most), its font
    drawn evenly. `letters` names the capitals wanted; `style`, `slant` and `weight` hold one of them fixed. Each
    letter is turned by up to 4 degrees, stretched by up to 8 % either way and shifted by up to 1.5 pixels, all
    times `jitter`: 0 gives the clean drawings. Raises ValueError, in one line, for what is not there.
    """
    check_count("n", n)
    if not 0 <= jitter <= 2:
        raise ValueError(f"jitter must lie in 0 (none) to 2 (twice the usual), got {jitter}")
    cells = torch.cartesian_prod(  # (combinations, 4)
        _letter_indices(letters),
        _choice("style", style, STYLES),
        _choice("slant", slant, SLANTS),
        _choice("weight", weight, WEIGHTS),
    )
    draw = {"generator": generator, "device": generator.device}
    # every cell as often as the next, in random order; the remainder falls on random cells
    order = torch.cat([torch.randperm(len(cells), **draw) for _ in range(math.ceil(n / len(cells)))])[:n]
    order = order[torch.randperm(n, **draw)].cpu()
    labels = cells[order]  # (n, 4)
    families = torch.stack([_families(split, name) for name in STYLES])  # as many of one style as of the other
    pick = torch.randint(families.shape[1], (n,), **draw).cpu()
    font = families[labels[:, 1], pick]
    tiles = _atlas()[font, labels[:, 2], labels[:, 3], labels[:, 0]]  # (n, 40, 40)
    move = (torch.rand(n, 5, **draw).cpu() * 2 - 1) * jitter
    images = torch.cat([_place(t, m) for t, m in zip(tiles.split(2000), move.split(2000), strict=True)])
    return Letters(*(t.to(device) for t in (images, *labels.unbind(dim=1), font)))


def letter_fonts() -> list[dict]:
    """What the package knows of each font: family, style, split, and a row for each slant and weight.

    A row tells the `degrees` it leans by, whether it was `sheared` to do so, its mean `stroke` in pixels and by how
    much that was `thickened`; where neither was needed, the shape is the family's own.
    """
    rows = _manifest()["rows"]
    fonts = []
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        keep = ("slant", "weight", "degrees", "sheared", "stroke", "thickened")
        first = {name: own[0][name] for name in ("family", "style", "split")}
        fonts.append(first | {"rows": [{name: row[name] for name in keep} for row in own]})
    return fonts


class LetterClassifier(nn.Module):
    """Reads letter, style, slant and weight from one picture; its 64 features are the space of a Fréchet distance.

    `kind` is "guide" (3x3 convolutions, the largest of four pixels kept) or "judge" (wider convolutions with strides,
    another nonlinearity): two networks of different build, one to follow and one to score by.
    `forward` gives `LetterLogits`, `features` the (batch, 64) that they are linear in.
    """

    def __init__(self, kind: str = "judge", *, generator: torch.Generator | None = None):
        super().__init__()
        if kind not in CLASSIFIERS:
            raise ValueError(f"kind must be one of {', '.join(CLASSIFIERS)}, got {kind!r}")
        self.body = CLASSIFIERS[kind]()
        self.heads = nn.ModuleDict({name: nn.Linear(64, classes) for name, classes in HEADS.items()})
        init_weights(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """(batch, 1, 28, 28) in [-1, 1] to (batch, 64)."""
        return self.body(x)

    def forward(self, x: Tensor) -> LetterLogits:
        """(batch, 1, 28, 28) in [-1, 1] to logits (batch, 26) and three times (batch, 2)."""
        features = self.features(x)
        return LetterLogits(*(head(features) for head in self.heads.values()))


def _guide_body() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # 14 x 14
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),  # 7 x 7
        nn.Conv2d(32, 48, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(p=0.3),
        nn.Linear(48 * 49, 64),
        nn.ReLU(),
    )


def _judge_body() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5, padding=2, stride=2),  # 14 x 14
        nn.SiLU(),
        nn.Conv2d(16, 40, kernel_size=5, padding=2),
        nn.SiLU(),
        nn.AvgPool2d(2),  # 7 x 7
        nn.Conv2d(40, 56, kernel_size=3, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Dropout(p=0.3),
        nn.Linear(56 * 49, 64),
        nn.SiLU(),
    )


CLASSIFIERS = {"guide": _guide_body, "judge": _judge_body}


@functools.cache
def letter_classifier(kind: str = "judge") -> LetterClassifier:
    """A shipped classifier, in eval mode, frozen (checkpoint_files/train_letter_classifiers.py re-makes both)."""
    classifier = LetterClassifier(kind)
    with resources.as_file(resources.files(__package__) / "checkpoint_files") as folder:
        tensors, _ = load_tensors(folder / f"letter_{kind}.safetensors")
    classifier.load_state_dict({name: t.float() for name, t in tensors.items()})  # stored as float16
    return classifier.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def letter_features(images: Tensor, *, kind: str = "judge", batch_size: int = 100) -> Tensor:
    """Features (n, 64) of images (n, 1, 28, 28) in [-1, 1] by a shipped classifier."""
    return torch.cat(in_batches(letter_classifier(kind), "features", images, batch_size))


def letter_logits(images: Tensor, *, kind: str = "judge", batch_size: int = 100) -> LetterLogits:
    """What a shipped classifier says of images (n, 1, 28, 28) in [-1, 1]; `.letter.argmax(1)` is its answer.

    Without gradients: to follow one, call `letter_classifier("guide")` itself.
    """
    chunks = in_batches(letter_classifier(kind), "forward", images, batch_size)
    return LetterLogits(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


@functools.cache
def letter_statistics(letters: str = ALPHABET, *, n: int = 10_000, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Mean (64,) and covariance (64, 64) of the judge's features of n training letters, computed once and kept."""
    real = load_letters(n, letters=letters, generator=seeded(seed))
    return mean_and_covariance(letter_features(real.images))


def frechet_letters(images: Tensor, *, letters: str = ALPHABET) -> float:
    """Fréchet distance of images (n, 1, 28, 28) in [-1, 1] to the training letters named, in the judge's features.

    Biased upwards when n is small: quote `frechet_letters_floor(n)` beside it.
    """
    return frechet_distance(*mean_and_covariance(letter_features(images)), *letter_statistics(letters))


@functools.cache
def frechet_letters_floor(n: int, *, letters: str = ALPHABET, draws: int = 3, seed: int = 1) -> float:
    """What real letters score: mean `frechet_letters` of `draws` new sets of n, of the same fonts, jittered anew."""
    check_count("n", n, least=2)
    g = seeded(seed)
    sets = (load_letters(n, letters=letters, generator=g).images for _ in range(draws))
    return sum(frechet_letters(images, letters=letters) for images in sets) / draws


def _letter_indices(letters: str) -> Tensor:
    fits = isinstance(letters, str) and letters and set(letters) <= set(ALPHABET) and len(set(letters)) == len(letters)
    if not fits:
        raise ValueError(f"letters must be capitals from A to Z, each once, such as 'ABCDE'; got {letters!r}")
    return torch.tensor([ALPHABET.index(c) for c in letters])


def _choice(name: str, value: str | None, known: tuple[str, str]) -> Tensor:
    if value is not None and value not in known:
        raise ValueError(f"{name} must be {known[0]!r}, {known[1]!r} or None for both, got {value!r}")
    return torch.tensor([0, 1] if value is None else [known.index(value)])


def _families(split: str, style: str) -> Tensor:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    fits = [i for i, font in enumerate(letter_fonts()) if (font["split"], font["style"]) == (split, style)]
    return torch.tensor(fits)


def _place(tiles: Tensor, move: Tensor) -> Tensor:
    """Tiles (n, 40, 40) in 0..15 to images (n, 1, 28, 28) in [-1, 1]; move: (n, 5), each number in [-1, 1]."""
    angle = move[:, 0] * math.radians(4)
    wide, high = 1 + 0.08 * move[:, 1], 1 + 0.08 * move[:, 2]
    across, down = (move[:, 3:] * 1.5 / 14).unbind(dim=1)  # a half side is 1
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([wide * cos, -wide * sin, across, high * sin, high * cos, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(tiles), 1, 28, 28], align_corners=False)
    ink = F.grid_sample(tiles.float().unsqueeze(1), grid, align_corners=False)  # nothing outside: 0, no ink
    return ink.mul_(2 / 15).sub_(1).clamp_(-1, 1)


@functools.cache
def _manifest() -> dict:
    return json.loads(_read("letters.json"))


@functools.cache
def _atlas() -> Tensor:
    """(fonts, slants, weights, letters, 40, 40) uint8 in 0..15: the rows of letters.png, in the manifest's order."""
    from PIL import Image, UnidentifiedImageError  # only here: importing the package stays light

    about, path = _manifest(), _data_file("letters.png")
    try:
        sheet = np.asarray(Image.open(path))
    except (UnidentifiedImageError, OSError):
        sheet = np.zeros(0, np.uint8)
    if hashlib.sha256(sheet.tobytes()).hexdigest() != about["sha256"]:
        raise ValueError(f"letters.png is damaged or not the one that letters.json describes: {_HINT}")
    side, rows = about["side"], len(about["rows"])
    tiles = torch.from_numpy(sheet.copy()).view(rows, side, 26, side).transpose(1, 2)
    return tiles.reshape(rows // 4, 2, 2, 26, side, side).contiguous()


_HINT = "install gan_utils again, or re-make it with data_files/make_letters.py"


def _data_file(name: str) -> Path:
    path = Path(str(resources.files(__package__))) / "data_files" / name
    if not path.is_file():
        raise FileNotFoundError(f"{name} is missing in {path.parent.name}: {_HINT}")
    return path


def _read(name: str) -> str:
    return _data_file(name).read_text(encoding="utf-8")
