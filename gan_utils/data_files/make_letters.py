"""Re-makes letters.png, letters.json and letters-licences.md beside this program: about 2 minutes on one free core.

    python gan_utils/data_files/make_letters.py [FOLDER]

Needs `npm`, which fetches the packages named below (FOLDER keeps them; without it they are thrown away), fontTools and
scipy. Each package is checked against its sha256 sum.

Every family gives four rows of 26 capitals: upright and slanted, light and bold. What the family has is used as it is:
italics, and the bold weight. What it lacks is made here, and letters.json says so row by row:

- slant: a script that leans is sheared upright by the slant measured in it, one that stands is sheared by 15 degrees;
- weight: strokes thinner than LIGHT or BOLD pixels (mean of a row, of 28) grow evenly to that width.

A letter fills a box of 20 pixels in height or 22 in width, centred in 28 x 28. The picture holds it finer, 40 x 40 in
16 greys, so that turning and scaling do not blur it.
"""

import hashlib
import io
import json
import math
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

HERE = Path(__file__).parent
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FINE, SIDE, GREYS = 10, 40, 15  # drawn at 10 times 28 pixels, kept at 40 in greys 0..15
HEIGHT, WIDTH = 20, 22
LIGHT, BOLD = 1.4, 2.8
ITALIC = 15  # degrees, for scripts that stand upright

# family, version, split, light weight, sha256 of the package @fontsource/FAMILY; all under the SIL Open Font Licence
BLOCK = """
ibm-plex-sans      5.3.0 train 300 232592af20ae413026cc705fc9c104135fb760432fd710f06a02c39e062d3213
ibm-plex-serif     5.3.0 train 300 ec25deb83f3dd0d45646d7e6f26c99ba310f272d9c425008bb9f27a50e2c5d4e
crimson-pro        5.3.0 train 300 e038ef1b4e25471f51bb2c43b326264e1c82198fa0b193120028a4d527360185
nunito             5.3.0 train 300 4d8e1fb4f4a40c125c7a302b21e5c6810b86569b60bac0fa0405c04380f4c77b
poppins            5.3.0 train 300 f4779bb12acaaa07dc7dd8da82ab0f61515fea2f30664535f7a249eeb0dd5bcf
pt-sans            5.3.0 train 400 cbec3ad81a400a5398612dc77dda7416b40135950931819b4eee1e2c133a360e
raleway            5.3.0 train 300 d5dc5cb4563286e45c5b832b0718fa36d84148405cf6f5d1903615a74d253ea8
rubik              5.3.0 train 300 3f34e5588fcd07e01f1a5d667e5df1a6b287aeefba5b6e46f892131009a0db6a
source-sans-3      5.3.0 train 300 f8a0e1b603f5c85a468946a51af4a761d726c28baf79200aafb8736fe9e7d7a7
spectral           5.3.0 train 300 2f7b38f1b453008e41511f5a1acd2dbd7653f94f48ea60a81ca917566b19949d
titillium-web      5.3.0 train 300 5fc8c4f850e693046d88a7a4a34236aaadae6713b79547cb5680ff3c2e08b45b
libre-baskerville  5.3.0 test  400 5e1a5fe2e28c4269112aa33ff46f80034551d2a9820b2d002afe3305fa8e1ea4
open-sans          5.3.0 test  300 95e6dd90f5860d0de22f791b6d802598743762c62e4894bfa26f80b1ea0cf3f5
overpass           5.3.0 test  300 1199885e2bc5353f2927cd457dc6d404c75c57356251f217ecd58c621abd234d
pt-serif           5.3.0 test  400 656a3f5ab62846715a6e933a1a850514c6b7aed018de6b0443f1a44ee77d7fd5
work-sans          5.3.0 test  300 b1b1c5a7d7ae2a721e0a9235bfa294281d161a20934e9ede01e0aec2bdb2373a
"""
SCRIPT = """
alex-brush         5.3.0 train 400 f0610b3d9a503360b03b9a332a89ee6476811e3e4a09398979c52d60af0952f7
cookie             5.3.0 train 400 07157445bcb2ecccf2dba865e8efc9c01e9403ad22b1f298dbbe0dba127206f0
corinthia          5.3.0 train 400 785a69df3232b124fefe93f6e6fe55766c2022af56a4801a8d46caa9092fbcbe
ephesis            5.3.0 train 400 adcef6fe3aedceb267c97c1fb342e77d02a483f9331348e74d5a3a680d3b3057
grand-hotel        5.3.0 train 400 25b05018ac1bfd0ebbfcacbfd68aad0482d16ed5bbe0b9d32b348f73265732d3
great-vibes        5.3.0 train 400 0bfdc957fa42a6d17288fce79a9299dab14742b77bdbb223c4385739d4035ca9
lobster-two        5.3.0 train 400 7440bc08acd286711f557005ea330782fa30a10f52763fe8df4bfd10bf646850
marck-script       5.3.0 train 400 c4e6f14fd3736ec94a872db215192ea7dea04f1315df1385b451c153510575da
parisienne         5.3.0 train 400 b047afa53cca7ace68d1a76407a1a72841d940483877b16373be1beb159c0c74
sacramento         5.3.0 train 400 d9214720a61e878d67296a55afec2c372b1e6a9a6a00718e8e343def34911ae3
tangerine          5.3.0 train 400 116bc68b9d818fa70274a240a775a4f92b031759109a293f60dff8c4ca00e66a
allura             5.3.0 test  400 2ee3e81f8c3777a6ccea66e7548eed2bb2077837d9026da7a9fc2dde8c6aca54
dancing-script     5.3.0 test  400 e392efa74afec672f1c97f8699a16bb8439c8aca1a367ddb5cd035f11e70e31a
italianno          5.3.0 test  400 05d55abaf566d7c69590e7059a39f9f2ad3227dab588ef7d933bc3a7ca6fc5e4
montecarlo         5.2.8 test  400 e277cf0fbe3d9264585183daaa18fb99b010bf605a949212df94b71356910333
pinyon-script      5.3.0 test  400 7b4064f2c0145016091fee841067f1edd8c06225c575bffde3f4d9232d231dbe
"""


def fetch(family: str, version: str, sha256: str, folder: Path) -> tarfile.TarFile:
    """The package, from `folder` or by npm, once its sum is the one that is named here."""
    path = folder / f"fontsource-{family}-{version}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", "--silent", f"@fontsource/{family}@{version}"], cwd=folder, check=True)
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != sha256:
        sys.exit(f"{path.name}: sha256 {found}, needs {sha256}; fetch it again, or name the new version and its sum")
    return tarfile.open(fileobj=io.BytesIO(raw))


def member(package: tarfile.TarFile, family: str, weight: int, slope: str) -> bytes | None:
    name = f"package/files/{family}-latin-{weight}-{slope}.woff2"
    return package.extractfile(name).read() if name in package.getnames() else None


def draw(font: bytes, letter: str, shear: float, size: int = 240) -> np.ndarray:
    """The letter in greys 0..255, cut to its ink; a positive shear leans it to the right."""
    image = Image.new("L", (4 * size, 3 * size))
    face = ImageFont.truetype(io.BytesIO(font), size)
    ImageDraw.Draw(image).text((2 * size, 2 * size), letter, font=face, fill=255, anchor="ms")
    if shear:
        move = (1, shear, -shear * 2 * size, 0, 1, 0)
        image = image.transform(image.size, Image.Transform.AFFINE, move, Image.Resampling.BICUBIC)
    ink = np.asarray(image)
    rows, columns = (np.flatnonzero((ink > 127).any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def slant(font: bytes) -> int:
    """Degrees by which the strokes lean: the shear that stands them up makes the sharpest column sums."""

    def sharpness(angle: int) -> float:
        columns = [(draw(font, c, -math.tan(math.radians(angle)), 60) / 255).sum(0) for c in "BDEFHIKLPR"]
        return sum((c**2).sum() / c.sum() for c in columns)

    return max(range(-5, 46), key=sharpness)


def fit(ink: np.ndarray, height: float, width: float) -> np.ndarray:
    """True where there is ink, scaled to touch the box (in pixels of 28)."""
    scale = min(height / ink.shape[0], width / ink.shape[1]) * FINE
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    return np.asarray(Image.fromarray(ink).resize(size, Image.Resampling.LANCZOS)) > 127


def stroke(shapes: list[np.ndarray]) -> float:
    """Mean stroke width in pixels of 28: twice the area over the outline, which is the area's growth per pixel."""
    widths = []
    for shape in shapes:
        away = ndimage.distance_transform_edt(~np.pad(shape, 4))
        outline = ((away > 0) & (away <= 2)).sum() / 2
        widths.append(2 * shape.sum() / outline / FINE)
    return float(np.mean(widths))


def grow(shape: np.ndarray, radius: float) -> np.ndarray:
    room = math.ceil(radius * FINE) + 1
    return ndimage.distance_transform_edt(~np.pad(shape, room)) <= radius * FINE


def row(font: bytes, shear: float, least: float) -> tuple[np.ndarray, float, float]:
    """26 letters (26, 40, 40) in greys 0..15, their mean stroke width, and how much of it was added here."""
    inks = [draw(font, c, shear) for c in ALPHABET]
    shapes = [fit(ink, HEIGHT, WIDTH) for ink in inks]
    own = stroke(shapes)
    radius = max(0.0, (least - own) / 2)
    if radius:
        shapes = [grow(fit(ink, HEIGHT - 2 * radius, WIDTH - 2 * radius), radius) for ink in inks]
    return np.stack([tile(shape) for shape in shapes]), stroke(shapes), 2 * radius


def tile(shape: np.ndarray) -> np.ndarray:
    side = 28 * FINE
    canvas = np.zeros((side, side), np.uint8)
    top, left = (side - shape.shape[0]) // 2, (side - shape.shape[1]) // 2
    canvas[top : top + shape.shape[0], left : left + shape.shape[1]] = 255 * shape.astype(np.uint8)
    small = np.asarray(Image.fromarray(canvas).resize((SIDE, SIDE), Image.Resampling.BOX), int)
    return ((small * GREYS + 127) // 255).astype(np.uint8)


def four_rows(package: tarfile.TarFile, family: str, style: str, light: int) -> list[tuple[np.ndarray, dict]]:
    """Upright light and bold, slanted light and bold, with what is to be said of each."""
    made = []
    for side in ("upright", "slanted"):
        slope = "italic" if side == "slanted" and member(package, family, light, "italic") else "normal"
        thin = member(package, family, light, slope)
        own = slant(thin)
        goal = 0 if side == "upright" else own if own >= 9 else ITALIC
        shear = 0.0 if abs(own - goal) <= 2 else math.tan(math.radians(goal)) - math.tan(math.radians(own))
        for weight, font, least in (
            ("light", thin, LIGHT),
            ("bold", member(package, family, 700, slope) or thin, BOLD),
        ):
            pixels, width, added = row(font, shear, least)
            about = {"style": style, "slant": side, "weight": weight, "degrees": goal, "sheared": shear != 0}
            about |= {"stroke": round(width, 2), "thickened": round(added, 2)}
            made.append((pixels, about))
    return made


def copyright_of(package: tarfile.TarFile, family: str, light: int) -> str:
    """The copyright notice of the licence file, or of the font where that file has none."""
    text = package.extractfile("package/LICENSE").read().decode()
    if "SIL OPEN FONT LICENSE Version 1.1" not in text:
        sys.exit(f"{family} is not under the SIL Open Font Licence 1.1: choose another family")
    first = text.strip().splitlines()[0]
    if not first.startswith("Copyright"):
        font = TTFont(io.BytesIO(member(package, family, light, "normal")))
        first = "Copyright " + font["name"].getDebugName(0).removeprefix("Copyright ")
    return re.split(r"\s+\S+\.ttf:", first)[0].strip()


def licence_text(package: tarfile.TarFile) -> str:
    text = package.extractfile("package/LICENSE").read().decode()
    body = text[text.index("SIL OPEN FONT LICENSE Version 1.1") :]
    return "\n".join(line.rstrip() for line in body.splitlines()).strip()


INTRODUCTION = """# The fonts of the letters

`letters.png` holds pictures of the capitals A to Z, drawn by `make_letters.py` from the font families below. Each is
licensed under the SIL Open Font Licence, version 1.1, printed in full at the end. The font files themselves are not
part of this package. Shapes that a family does not have (a slant, a weight) were derived from it; `letters.json` says
where. Names that the licence reserves name their fonts here, and nothing else.

| family | style | copyright notice |
|---|---|---|
"""


def main(folder: Path) -> None:
    rows, manifest, notices = [], [], []
    for style, table in (("block", BLOCK), ("script", SCRIPT)):
        for line in table.strip().splitlines():
            family, version, split, light, sha256 = line.split()
            package = fetch(family, version, sha256, folder)
            for pixels, about in four_rows(package, family, style, int(light)):
                rows.append(pixels)
                manifest.append({"family": family, "split": split} | about)
                print(*manifest[-1].values(), flush=True)
            notices.append(f"| {family} {version} | {style} | {copyright_of(package, family, int(light))} |\n")
    atlas = np.stack(rows)  # (rows, 26, 40, 40)
    sheet = atlas.transpose(0, 2, 1, 3).reshape(len(atlas) * SIDE, len(ALPHABET) * SIDE)
    picture = Image.fromarray(sheet).convert("P")
    picture.putpalette([grey * 17 for grey in range(16) for _ in range(3)])
    picture.save(HERE / "letters.png", bits=4, optimize=True)
    about = {"side": SIDE, "sha256": hashlib.sha256(sheet.tobytes()).hexdigest()}
    lines = ",\n".join(json.dumps(entry) for entry in manifest)
    (HERE / "letters.json").write_text(json.dumps(about)[:-1] + f', "rows": [\n{lines}\n]}}\n')
    text = INTRODUCTION + "".join(notices) + f"\n```text\n{licence_text(package)}\n```\n"
    (HERE / "letters-licences.md").write_text(text)
    print(f"letters.png: {len(rows)} rows, {(HERE / 'letters.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
