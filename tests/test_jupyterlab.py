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
    "G = gu.conv_generator(8, width=4, generator=gu.seeded(0))\n"
    "codes = gu.gaussian_noise(12, 8, generator=gu.seeded(1))\n"
    "w = widgets.LatentExplorer(G, seed=5)\nw",
    "w",
    "board = widgets.ArithmeticBoard(G, codes, [f'sample {k}' for k in range(12)])\nboard",
    "pad = widgets.InversionPad(G, G(codes[:2]).detach(), ['first', 'second'])\npad",
    "w.t = 0.5\nprint('from Python:', w.t)",
)
PICTURE = "canvas => canvas.toDataURL()"
IN_PYTHON = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const reply = await kernel.requestExecute({code: "", user_expressions: {value: expression}}).done;
  return reply.content.user_expressions.value.data["text/plain"];
}"""


@pytest.fixture(scope="module")
def folder(request, tmp_path_factory):
    """Where the notebook lies, of the CELLS of the module that asks."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in request.module.CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "live.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    """A JupyterLab of its own in that folder; its address. Ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root", "--ip=127.0.0.1",
               "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--notebook-dir={folder}",
               "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
               f"--NotebookNotary.data_dir={folder}"]  # fmt: skip
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.3)
    yield address
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture(scope="module")
def live(browser, lab):
    """The page of the notebook after *run all*, for all tests here."""
    page = browser.new_context(viewport={"width": 1280, "height": 3600}).new_page()
    page.goto(f"{lab}/lab/tree/live.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector("text=from Python: 0.5", timeout=60_000)
    page.wait_for_function("document.querySelectorAll('.gan-explorer canvas').length >= 2", timeout=60_000)
    page.wait_for_selector(".gan-inversion canvas", timeout=60_000)
    yield page
    page.context.close()


def comes_to(page, expression: str, wanted: str) -> None:
    """What the page was told reaches Python after a moment."""
    for _ in range(40):
        got = page.evaluate(IN_PYTHON, expression)
        if got == wanted:
            return
        page.wait_for_timeout(250)
    assert got == wanted


def test_live_in_jupyterlab(live):
    """A key on a slider of one view moves its picture, and the other view follows."""
    views = live.locator(".jp-OutputArea .gan-explorer")
    assert views.count() == 2
    first, second = views.nth(0), views.nth(1)
    slider, follower = (view.locator("input[type=range]").first for view in (first, second))
    before, was = first.locator("canvas").first.evaluate(PICTURE), slider.input_value()
    slider.focus()
    for _ in range(5):  # JupyterLab swallows arrow keys unless the demonstration keeps them
        live.keyboard.press("ArrowRight")
    live.wait_for_timeout(500)
    assert float(slider.input_value()) > float(was)
    assert first.locator("canvas").first.evaluate(PICTURE) != before
    assert follower.input_value() == slider.input_value(), "two views of one widget stay in step"


def test_board_in_jupyterlab(live):
    """A sample is dragged into place 3, another put into place 1 by keys: Python knows both, and can set the next."""
    board = live.locator(".jp-OutputArea .gan-arithmetic")
    tiles, slots = board.locator(".tile"), board.locator(".slot")
    tiles.nth(7).drag_to(slots.nth(2))  # the places are filled in turn: the first is next
    comes_to(live, "board.slots", "[0, 1, 7]")
    before = board.locator(".sum > canvas").evaluate(PICTURE)
    tiles.nth(7).focus()
    live.keyboard.press("ArrowRight")
    live.keyboard.press("Enter")
    comes_to(live, "board.slots", "[8, 1, 7]")
    assert board.locator(".sum > canvas").evaluate(PICTURE) != before
    live.evaluate(IN_PYTHON, "setattr(board, 'slots', [8, 4, 7])")
    board.get_by_role("button", name="Place 2, minus sample 4").wait_for()


def test_pad_in_jupyterlab(live):
    """A stroke is sought and found by the page, and the code comes back to Python."""
    pad = live.locator(".jp-OutputArea .gan-inversion")
    paper = pad.locator(".pad canvas")
    paper.scroll_into_view_if_needed()
    blank, box = paper.evaluate(PICTURE), paper.bounding_box()
    live.mouse.move(box["x"] + 60, box["y"] + 60)
    live.mouse.down()
    live.mouse.move(box["x"] + 150, box["y"] + 160, steps=5)
    live.mouse.up()
    assert paper.evaluate(PICTURE) != blank
    pad.get_by_text("Found after 3 walks").first.wait_for(timeout=60_000)
    comes_to(live, "(len(pad.z), 0 < pad.error < pad.baseline, max(pad.target) > 0)", "(8, True, True)")


def test_saved_and_untrusted_the_stills_are_shown(live, lab, folder):
    """Another's notebook, whose outputs were never run here: JupyterLab strips its scripts, the pictures stay.

    Reopened by the one who ran it, with its kernel still there, the demonstrations live on.
    """
    live.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    saved = nbformat.read(folder / "live.ipynb", 4)
    assert all("text/html" in cell.outputs[0].data for cell in saved.cells[:4])
    saved.cells[0].source += "\n# from another machine"
    nbformat.write(saved, folder / "untrusted.ipynb")
    live.goto(f"{lab}/lab/tree/untrusted.ipynb?reset")
    stills = live.locator(".jp-OutputArea figure img")
    stills.nth(3).wait_for(timeout=60_000)
    assert all(still.evaluate("img => img.complete && img.naturalWidth > 0") for still in stills.all())
    assert live.get_by_text("A still: where scripts may run").count() == 4
    assert live.locator(".jp-OutputArea canvas").count() == 0
    live.goto(f"{lab}/lab/tree/live.ipynb?reset")
    live.wait_for_selector(".jp-OutputArea .gan-inversion canvas", timeout=60_000)
    live.get_by_role("button", name="Place 2, minus sample 4").wait_for()


def test_works_in_a_sandboxed_frame(browser):
    """Colab shows outputs in a frame that may run scripts and nothing else: no storage, no parent."""
    G = gu.conv_generator(8, width=4, generator=gu.seeded(0))
    output = widgets.LatentExplorer(G, seed=5)._repr_mimebundle_()
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
