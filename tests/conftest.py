"""Fixtures of all tests. Devices come by fixture: the CPU, and CUDA where there is one."""

import pytest
import torch
from hypothesis import settings
from site_fixtures import chromium

import gan_utils as gu
from gan_utils import graphs

# the same examples each time, no verdict by the clock, nothing left in the tree
settings.register_profile("book", deadline=None, max_examples=30, derandomize=True, database=None)
settings.load_profile("book")


@pytest.fixture(autouse=True)
def the_processor_alone(request, monkeypatch):
    """What picks a device by itself finds the CPU, on a machine with a card too; tests marked `cuda` find both."""
    if "cuda" not in request.keywords:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of programs that a test starts
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return torch.device(request.param)


@pytest.fixture
def tracer() -> None:
    """For tests of repeated traces: a torch before 2.14 may not trace a draw, and then each step is called."""
    if not graphs._can_trace():
        old = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14)
        (pytest.skip if old else pytest.fail)("this torch cannot trace a draw from a random stream")


@pytest.fixture
def stream(device) -> torch.Generator:
    """A random stream on the device, the same in every test."""
    return gu.seeded(0, device)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


HEAD = ('<!doctype html><html lang="en"{attributes}><meta charset="utf-8"><title>Demonstration</title>{head}'
        '<meta name="viewport" content="width=device-width"><main><h1>Demonstration</h1>')


@pytest.fixture
def visit(browser, tmp_path):
    """visit(html, ...): a page that holds the HTML, from the disk; no test may leave an error or a request behind.

    `attributes` go into its html element, `head` into its head, `fragment` behind its address; an error whose text
    holds the words `forgiven` is none. What else is named goes to the browser's context.
    """
    contexts, trouble = [], []

    def open_page(content: str, attributes: str = "", *, head: str = "", fragment: str = "",
                  forgiven: str | None = None, **settings):
        def listen(message):
            if message.type == "error" and not (forgiven and forgiven in message.text):
                trouble.append(message.text)

        contexts.append(browser.new_context(**{"viewport": {"width": 900, "height": 1000}, **settings}))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", listen)
        page.on("request", lambda request: trouble.append(request.url)
                if request.url.split(":")[0] not in ("file", "data", "blob") else None)
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(HEAD.format(attributes=attributes, head=head) + content, encoding="utf-8")
        page.goto(file.as_uri() + fragment)
        page.wait_for_timeout(150)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []
