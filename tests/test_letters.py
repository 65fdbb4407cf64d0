"""The letters: what the labels say is what the pictures show; and the networks that read them."""

import hashlib
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import gan_utils as gu
from gan_utils import letters as module

DATA = Path(gu.__file__).parent / "data_files"


def clean(n=2080, **wanted):
    return gu.load_letters(n, jitter=0.0, generator=gu.seeded(0), **wanted)


def ink(images):
    return (images + 1) / 2  # (n, 1, 28, 28): 1 where the pen went


def lean(images):
    """tan of the angle by which the ink leans right: how far its centre of mass moves per row, rows weighted by ink."""
    x = torch.arange(28.0) - 13.5
    mass = ink(images).squeeze(1)
    rows = mass.sum(2) + 1e-6
    centre = (mass * x).sum(2) / rows
    mean_y = (rows * x).sum(1, keepdim=True) / rows.sum(1, keepdim=True)
    mean_c = (rows * centre).sum(1, keepdim=True) / rows.sum(1, keepdim=True)
    cov = (rows * (x - mean_y) * (centre - mean_c)).sum(1)
    return -cov / (rows * (x - mean_y).square()).sum(1)


def test_letters_have_the_range_and_the_labels_promised(device):
    got = gu.load_letters(500, generator=gu.seeded(0, device), device=device)
    assert got.images.shape == (500, 1, 28, 28) and got.images.dtype == torch.float32
    gu.check_images(got.images)
    assert float(got.images.min()) == -1 and float(got.images.max()) == 1  # paper, and the middle of a bold stroke
    assert len(got) == 500 and got.images.device.type == device.type
    for name, classes in module.HEADS.items():
        label = getattr(got, name)
        assert label.shape == (500,) and label.dtype == torch.int64
        assert sorted(label.unique().tolist()) == list(range(classes))
    # no ink touches the border: nothing is cut off (0.15: the faint edge of one jittered letter in hundreds)
    border = torch.cat([got.images[..., 0].flatten(), got.images[..., 0, :].flatten()])
    assert float((ink(border) > 0.15).float().mean()) < 0.002


def test_every_combination_comes_equally_often():
    """5 letters x 2 x 2 x 2 = 40 cells: 1,000 letters give 25 of each, 1,013 give 25 or 26."""
    for n in (1000, 1013):
        got = gu.load_letters(n, letters="ABCDE", generator=gu.seeded(3))
        cells = ((got.letter * 2 + got.style) * 2 + got.slant) * 2 + got.weight
        counts = cells.bincount(minlength=40)
        assert counts.sum() == n and set(counts.tolist()) == ({25} if n == 1000 else {25, 26})
        assert len(cells[:40].unique()) < 40  # shuffled throughout: the first 40 are not one of each


def test_what_is_held_fixed_is_fixed():
    got = gu.load_letters(64, letters="QA", style="script", slant="upright", weight="bold", generator=gu.seeded(0))
    assert set(got.letter.tolist()) == {0, 16}
    assert got.style.unique().tolist() == [1] and got.slant.unique().tolist() == [0]
    assert got.weight.unique().tolist() == [1]


def test_order_is_random_and_the_stream_decides():
    a, b, c = (gu.load_letters(200, generator=gu.seeded(s)) for s in (5, 5, 6))
    assert torch.equal(a.images, b.images) and torch.equal(a.letter, b.letter)
    assert not torch.equal(a.letter, c.letter)
    assert not torch.equal(a.letter, a.letter.sort().values)
    before = torch.get_rng_state()
    gu.load_letters(10, generator=gu.seeded(0))
    assert torch.equal(before, torch.get_rng_state())


def test_jitter_moves_letters_but_not_far():
    """Mean shift 0, spread 1.5 / sqrt(3) = .866 pixels (uniform in +-1.5); turning about the middle adds little.

    Tolerances: 5 standard errors of 4,000 draws for the mean (.07); 10 % for the spread, which turning widens.
    """
    moved, still = (
        gu.load_letters(4000, jitter=j, letters="O", style="block", generator=gu.seeded(1)) for j in (1.0, 0.0)
    )
    assert torch.equal(moved.font, still.font)  # the same letters in the same order, jittered or not
    x = torch.arange(28.0)
    at = [(ink(m.images).sum(2).squeeze(1) * x).sum(1) / ink(m.images).sum((1, 2, 3)) for m in (moved, still)]
    shift = at[0] - at[1]
    assert abs(float(shift.mean())) < 0.07
    assert float(shift.std()) == pytest.approx(1.5 / math.sqrt(3), rel=0.1)


def test_jitter_turns_stretches_and_shifts_by_what_is_written():
    """A tile that grows evenly to the right or downwards shows where each pixel was read, as paper is 0 and ink 15.

    Read at (X, Y) for the pixel at (u, v), a half side being 1: X = wide (u cos a - v sin a) + across, Y = high (u sin
    a + v cos a) + down, with a = 4 degrees; half of the 8 % wider, lower by a quarter; 1.5 pixels of 14 across, and
    half of that up. Between pixels bilinear reading of an even slope is exact, away from the border.
    """
    side, u = (2 * torch.arange(40.0) + 1) / 40 - 1, ((2 * torch.arange(28.0) + 1) / 28 - 1).expand(28, 28)
    tiles = (7.5 + 7.5 * torch.stack([side.expand(40, 40), side.expand(40, 40).T])).repeat(2, 1, 1)
    moves = torch.tensor([[0.0] * 5, [1.0, 0.5, -0.25, 1.0, -0.5]]).repeat_interleave(2, dim=0)
    still, moved = module._place(tiles, moves).chunk(2)
    v, inner = u.T, (slice(None), slice(4, 24), slice(4, 24))
    cos, sin = math.cos(math.radians(4)), math.sin(math.radians(4))
    x, y = 1.04 * (u * cos - v * sin) + 1.5 / 14, 0.98 * (u * sin + v * cos) - 0.75 / 14
    assert_close(still[:, 0], torch.stack([u, v]), atol=1e-5, rtol=0)
    assert_close(moved[:, 0][inner], torch.stack([x, y])[inner], atol=1e-5, rtol=0)


def test_clean_letters_fill_their_box():
    """Each touches a box of 20 high or 22 wide, centred: no higher, no wider, and one of the two reached."""
    images = ink(clean().images).squeeze(1) > 0.1  # a hairline through half a pixel counts
    high, wide = images.any(2).sum(1), images.any(1).sum(1)
    # two pixels more: an edge between two pixels marks both
    assert int(high.max()) <= 22 and int(wide.max()) <= 24
    assert bool(((high >= 19) | (wide >= 21)).all())


def test_labels_say_what_the_pictures_show():
    """Bold has more ink than light, slanted leans more than upright: font by font and letter by letter.

    The same generator gives the same letters and fonts for each choice, so that pairs differ in one label alone.
    """
    pairs = {
        "weight": [clean(weight=w, slant="upright") for w in gu.WEIGHTS],
        "slant": [clean(slant=s, weight="light") for s in gu.SLANTS],
    }
    for a, b in pairs.values():
        assert torch.equal(a.letter, b.letter) and torch.equal(a.font, b.font)
    light, bold = (ink(p.images).sum((1, 2, 3)) for p in pairs["weight"])
    assert float((bold > 1.15 * light).float().mean()) > 0.99
    upright, slanted = (lean(p.images) for p in pairs["slant"])
    # 9 degrees or more: tan .158; curved letters lean by less in their centre of mass, so the median is asked
    assert float((slanted - upright).median()) > 0.1
    assert float((slanted > upright).float().mean()) > 0.95


def test_letters_are_the_ones_named():
    """In upright block capitals I is the narrowest, M or W the widest; L or J hangs lowest, F, T or P sits highest."""
    wanted = {"style": "block", "slant": "upright"}
    images = {c: ink(clean(44, letters=c, **wanted).images).squeeze(1) for c in gu.ALPHABET}
    width = {c: float((x > 0.1).any(1).sum(1).float().mean()) for c, x in images.items()}
    assert min(width, key=width.get) == "I" and max(width, key=width.get) in "MW"
    down = {c: float((x * torch.arange(28.0).view(28, 1)).sum() / x.sum()) for c, x in images.items()}
    assert max(down, key=down.get) in "LJ" and min(down, key=down.get) in "FTP"


def test_labels_of_style_are_those_of_the_fonts():
    got, fonts = gu.load_letters(200, generator=gu.seeded(0)), gu.letter_fonts()
    assert [fonts[i]["style"] for i in got.font.tolist()] == [gu.STYLES[i] for i in got.style.tolist()]


def test_fonts_are_split_evenly():
    fonts = gu.letter_fonts()
    split = [(f["split"], f["style"]) for f in fonts]
    assert {s: split.count(s) for s in set(split)} == {
        ("train", "block"): 11, ("train", "script"): 11, ("test", "block"): 5, ("test", "script"): 5,
    }
    for name in ("train", "test"):
        used = {fonts[i]["split"] for i in gu.load_letters(300, split=name, generator=gu.seeded(0)).font.tolist()}
        assert used == {name}
    # what is called bold is bolder than what is called light, in every font and between any two
    strokes = {w: [r["stroke"] for f in fonts for r in f["rows"] if r["weight"] == w] for w in gu.WEIGHTS}
    assert max(strokes["light"]) < min(strokes["bold"])
    # what is called slanted leans by 9 degrees or more, what is called upright by none
    leans = {s: {r["degrees"] for f in fonts for r in f["rows"] if r["slant"] == s} for s in gu.SLANTS}
    assert leans["upright"] == {0} and min(leans["slanted"]) >= 9


def test_licences_and_packages_of_all_fonts_are_named():
    licences, program = (DATA / "letters-licences.md").read_text(), (DATA / "make_letters.py").read_text()
    assert "SIL OPEN FONT LICENSE Version 1.1 - 26 February 2007" in licences and "TERMINATION" in licences
    for font in gu.letter_fonts():
        line = next(line for line in licences.splitlines() if line.startswith(f"| {font['family']} "))
        assert "Copyright" in line
        row = next(line.split() for line in program.splitlines() if line.startswith(f"{font['family']} "))
        assert row[2] == font["split"] and len(row[4]) == 64


def test_sizes():
    """What ships stays small: the drawings under 1 MB, each classifier under 500 kB."""
    assert (DATA / "letters.png").stat().st_size < 1_000_000
    for kind in ("guide", "judge"):
        assert (DATA.parent / "checkpoint_files" / f"letter_{kind}.safetensors").stat().st_size < 500_000


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"letters": "abc"}, "letters must be capitals from A to Z, each once, such as 'ABCDE'; got 'abc'"),
        ({"letters": ""}, "letters must be capitals"),
        ({"letters": "AAB"}, "each once.*got 'AAB'"),
        ({"letters": ["A", "B"]}, "letters must be capitals"),
        ({"style": "cursive"}, "style must be 'block', 'script' or None for both, got 'cursive'"),
        ({"slant": "italic"}, "slant must be 'upright', 'slanted' or None"),
        ({"weight": 700}, "weight must be 'light', 'bold' or None for both, got 700"),
        ({"split": "val"}, "split must be 'train' or 'test', got 'val'"),
        ({"jitter": -1.0}, r"jitter must lie in 0 \(none\) to 2 \(twice the usual\), got -1.0"),
        ({"jitter": 2.5}, "jitter must lie in"),
        ({"jitter": math.nan}, "jitter must lie in"),
        ({"n": 0}, "n must be a whole number, 1 or more; got 0"),
    ],
)
def test_what_is_refused(wanted, says):
    with pytest.raises(ValueError, match=says) as error:
        gu.load_letters(**({"n": 5, "generator": gu.seeded(0)} | wanted))
    assert "\n" not in str(error.value)


def test_missing_and_damaged_drawings(tmp_path, monkeypatch):
    whole, manifest = ((DATA / name).read_bytes() for name in ("letters.png", "letters.json"))
    monkeypatch.setattr(module.resources, "files", lambda _: tmp_path)
    (tmp_path / "data_files").mkdir()
    for cached in (module._atlas, module._manifest):
        cached.cache_clear()
    try:
        with pytest.raises(FileNotFoundError, match="letters.json is missing in data_files.*make_letters.py"):
            clean(5)
        (tmp_path / "data_files" / "letters.json").write_bytes(manifest)
        for content in (whole[:1000], b"no picture", whole[:-40_000]):
            (tmp_path / "data_files" / "letters.png").write_bytes(content)
            with pytest.raises(ValueError, match="letters.png is damaged.*make_letters.py") as error:
                clean(5)
            assert "\n" not in str(error.value)
    finally:
        for cached in (module._atlas, module._manifest):
            cached.cache_clear()


@pytest.mark.parametrize("kind", ["guide", "judge"])
def test_classifiers_read_fonts_that_they_never_saw(kind):
    """Within 5 binomial standard errors of the accuracies in the file's header, on another draw of held-out letters."""
    path = DATA.parent / "checkpoint_files" / f"letter_{kind}.safetensors"
    stated = gu.load_tensors(path)[1]["held_out_accuracy"]
    letters = gu.load_letters(2080, split="test", generator=gu.seeded(7))
    logits = gu.letter_logits(letters.images, kind=kind)
    for name in logits._fields:
        found = float((getattr(logits, name).argmax(1) == getattr(letters, name)).float().mean())
        p = stated[name]
        assert found == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 2080) + 1e-3), name
    assert stated["letter"] > 0.85 and stated["style"] > 0.9 and stated["weight"] > 0.9 and stated["slant"] > 0.85


def test_guide_and_judge_are_two():
    guide, judge = (gu.letter_classifier(kind) for kind in ("guide", "judge"))
    shapes = [[tuple(p.shape) for p in net.parameters()] for net in (guide, judge)]
    assert shapes[0] != shapes[1] and gu.letter_classifier("guide") is guide
    assert not guide.training and not any(p.requires_grad for p in guide.parameters())
    x = clean(10).images.requires_grad_()
    guide(x).style[:, 1].sum().backward()  # a guide can be followed, its weights cannot be moved
    assert float(x.grad.abs().sum()) > 0
    with pytest.raises(ValueError, match="kind must be one of guide, judge, got 'referee'"):
        gu.LetterClassifier("referee")
    with pytest.raises(ValueError, match="kind must be one of guide, judge"):
        gu.letter_features(clean(2).images, kind="referee")


def test_heads_are_linear_in_the_features():
    images = clean(50).images
    judge, features = gu.letter_classifier("judge"), gu.letter_features(images)
    assert features.shape == (50, 64)
    with torch.no_grad():
        assert_close(judge.heads["style"](features), gu.letter_logits(images).style)
    with pytest.raises(ValueError, match="use 2 \\* x - 1"):
        gu.letter_features(ink(images))


def test_frechet_tells_real_letters_from_others():
    """0 for the very letters of the statistics; then the floor, a missing letter, and noise, each far above the last.

    Twice the one before is asked; the steps are far larger in fact.
    """
    same = gu.load_letters(2000, letters="ABCDE", generator=gu.seeded(0)).images
    mean, cov = gu.letter_statistics("ABCDE", n=2000)
    own = gu.mean_and_covariance(gu.letter_features(same))
    assert gu.frechet_distance(*own, mean, cov) == pytest.approx(0, abs=1e-6)
    floor = gu.frechet_letters_floor(1000, letters="ABCDE", draws=1)
    four = gu.frechet_letters(gu.load_letters(1000, letters="ABCD", generator=gu.seeded(2)).images, letters="ABCDE")
    noise = gu.frechet_letters(torch.rand(1000, 1, 28, 28, generator=gu.seeded(0)) * 2 - 1, letters="ABCDE")
    assert 0 < 2 * floor < four and 2 * four < noise


def test_program_checks_what_it_fetched(tmp_path):
    """A package of other content is refused by its sum, before anything is written."""
    (tmp_path / "fontsource-ibm-plex-sans-5.3.0.tgz").write_bytes(b"something else")
    before = hashlib.sha256((DATA / "letters.png").read_bytes()).hexdigest()
    done = subprocess.run(
        [sys.executable, str(DATA / "make_letters.py"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1 and "fontsource-ibm-plex-sans-5.3.0.tgz: sha256" in done.stderr
    assert hashlib.sha256((DATA / "letters.png").read_bytes()).hexdigest() == before
