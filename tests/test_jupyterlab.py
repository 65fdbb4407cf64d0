"""The demonstrations with a kernel, in JupyterLab itself; and without one, in a sandboxed frame as Colab has."""

import html
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

import gan_utils as gu
from gan_utils import widgets

pytestmark = pytest.mark.browser
CELLS = (
    "import gan_utils as gu\nfrom gan_utils import widgets\n"
    "w = widgets.LatentExplorer(gu.shipped_generator(), seed=5)\nw",
    "w",
    "w.t = 0.5\nprint('from Python:', w.t)",
)
PICTURE = "canvas => canvas.toDataURL()"


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab of its own on a notebook of three cells; its address. Ended afterwards."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root", "--ip=127.0.0.1",
               "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--notebook-dir={tmp_path}",
               "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # fmt: skip
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.3)
    yield address
    process.terminate()
    process.wait(timeout=30)


def test_live_in_jupyterlab(browser, lab):
    """Run all: two live views. A key on a slider of one moves its picture, and the other view follows."""
    page = browser.new_context(viewport={"width": 1280, "height": 2400}).new_page()
    page.goto(f"{lab}/lab/tree/live.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector("text=from Python: 0.5", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.gan-explorer canvas').length >= 2", timeout=60_000)
    views = page.locator(".jp-OutputArea .gan-explorer")
    assert views.count() == 2
    first, second = views.nth(0), views.nth(1)
    slider, follower = (view.locator("input[type=range]").first for view in (first, second))
    before, was = first.locator("canvas").first.evaluate(PICTURE), slider.input_value()
    slider.focus()
    for _ in range(5):  # JupyterLab swallows arrow keys unless the demonstration keeps them
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert float(slider.input_value()) > float(was)
    assert first.locator("canvas").first.evaluate(PICTURE) != before
    assert follower.input_value() == slider.input_value(), "two views of one widget stay in step"
    page.context.close()


def test_works_in_a_sandboxed_frame(browser):
    """Colab shows outputs in a frame that may run scripts and nothing else: no storage, no parent."""
    output = widgets.LatentExplorer(gu.shipped_generator(), seed=5)._repr_mimebundle_()
    bundle = output[0] if isinstance(output, tuple) else output
    page = browser.new_context(viewport={"width": 900, "height": 1000}).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    source = html.escape(bundle["text/html"])
    page.set_content(f'<iframe sandbox="allow-scripts" width="880" height="900" srcdoc="{source}"></iframe>')
    inside = page.frame_locator("iframe").locator(".gan-explorer")
    slider = inside.locator("input[type=range]").first
    slider.wait_for()
    before = inside.locator("canvas").first.evaluate(PICTURE)
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_timeout(300)
    assert inside.locator("canvas").first.evaluate(PICTURE) != before
    assert errors == []
    page.context.close()
