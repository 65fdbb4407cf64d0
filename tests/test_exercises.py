"""What holds for every checker of every chapter: a stub is no mistake, and rubbish gets one line and never passes."""

import importlib
import pkgutil

import pytest
import torch

from gan_utils import exercises

CHAPTERS = [importlib.import_module(f"{exercises.__name__}.{m.name}") for m in pkgutil.iter_modules(exercises.__path__)]
CHECKERS = {
    f"{chapter.__name__.split('.')[-1]}.{name}": value
    for chapter in CHAPTERS
    for name, value in vars(chapter).items()
    if hasattr(value, "__wrapped__") and value.__module__ == chapter.__name__
}


def broken(*_):
    raise KeyError("oh")


def unanswered(*_):
    raise NotImplementedError


NAN = torch.tensor(torch.nan)
RUBBISH = [
    None, "a string", 3, broken, lambda: 1, lambda *a: 1 / 0, lambda *a: None, lambda *a: "text", lambda *a: True,
    lambda *a: 0.0, lambda *a: 1.0, lambda *a: -1.0, lambda *a: [0.5], lambda *a: float("nan"), lambda *a: NAN,
    lambda *a: (None, None), lambda *a: ("a", "b"), lambda *a: (NAN, NAN), lambda a, *_: a * NAN,
    lambda *a: torch.zeros(2, 3), lambda *a: torch.zeros(2, 3, 4),
]  # fmt: skip


def test_every_chapter_has_its_checkers():
    assert len(CHAPTERS) >= 5
    for chapter in CHAPTERS:
        own = [name for name in CHECKERS if name.startswith(chapter.__name__.split(".")[-1])]
        assert len(own) >= 4, chapter.__name__


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_gets_one_line_and_never_passes(checker, rubbish, capsys):
    checker(rubbish)
    line = capsys.readouterr().out
    assert line.startswith("✗") and line.count("\n") == 1, line


@pytest.mark.parametrize("checker", CHECKERS.values(), ids=CHECKERS)
def test_an_unanswered_stub_is_no_mistake(checker, capsys):
    checker(unanswered)
    assert capsys.readouterr().out.startswith("· Not answered yet")
