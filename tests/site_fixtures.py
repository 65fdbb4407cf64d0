"""The built book and a Chromium, for the tests of the site. Built once for all of them."""

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from browser import ADVICE, ARGUMENTS, find_browser

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def build() -> tuple[Path, subprocess.CompletedProcess]:
    """(folder of the site, the process that built it), by the program behind `make book`."""
    folder = Path(tempfile.mkdtemp(prefix="book-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, str(ROOT / "book" / "build.py"), "--out", str(folder)]
    process = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    return folder / "_build" / "html", process


def site() -> Path:
    """Folder of the built site; the tests that need it fail where it cannot be built."""
    folder, process = build()
    if process.returncode:
        pytest.fail(f"the book does not build:\n{process.stderr[-3000:]}")
    return folder


def pages() -> list[Path]:
    """Every page of the site; of the listings of the package's source, one."""
    found = sorted(site().rglob("*.html"))
    listings = [page for page in found if "_modules" in page.parts]
    return [page for page in found if page not in listings[1:]]


@contextlib.contextmanager
def chromium():
    """A headless Chromium. Without one the tests are skipped, and under CI they fail."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


LONG = 30_000  # milliseconds; for what comes at once on a calm machine, and later on a busy one


def drawn(page) -> None:
    """Returns when the page has drawn what it was told: a few frames, however long they take."""
    page.wait_for_timeout(100)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
