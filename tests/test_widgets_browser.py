"""The demonstrations alone in a real browser, where each can be looked at from all sides; the pages: test_browser."""

import re

import nbformat
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from nbconvert import HTMLExporter
from playwright.sync_api import expect
from site_fixtures import LONG, drawn

import gan_utils as gu
from gan_utils import widgets

pytestmark = pytest.mark.browser
PIXELS = "canvas => canvas.toDataURL()"


@pytest.fixture(scope="module")
def explorer() -> str:
    return widgets.LatentExplorer(gu.shipped_generator(), seed=5).to_html()


@pytest.fixture(scope="module")
def digits() -> str:
    """The explorer of a generator that is told its class: path from a 3 to an 8."""
    return widgets.LatentExplorer(gu.shipped_generator("mnist-conditional"), seed=5, pins=(3, 8)).to_html()


@pytest.fixture(scope="module")
def scrubber() -> str:
    """Ten grey squares that grow lighter, a curve with a hole, a second one with points of its own."""
    frames = [np.full((1, 28, 28), i / 5 - 1) for i in range(10)]
    series = {"distance": [10.0, 8, np.nan, 5, 4, 3, 2.5, 2, 1.5, 1], "loss": ([0, 450], [3, 2])}
    return widgets.Scrubber(
        frames, values=[100 * i for i in range(10)], series=series, hlines={"floor": 0.5}, yscale="log",
        captions=[f"Square {i}." for i in range(10)], alt="A grey square").to_html()


def swipe(page, places: list[tuple[float, float]]) -> None:
    """A finger that touches the first place and leaves at the last, in pixels of the window."""
    touch = page.context.new_cdp_session(page)
    points = [{"x": x, "y": y} for x, y in places]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def values(page) -> list[float]:
    """Where the six sliders say that the code lies."""
    drawn(page)
    shown = page.locator(".gan-explorer .direction output").all_inner_texts()
    return [float(text.replace("\u2212", "-")) for text in shown]


def picture(page) -> str:
    drawn(page)
    return page.locator(".gan-explorer .pad canvas").evaluate(PIXELS)


def length(page) -> float:
    drawn(page)
    return float(re.search(r"= ([\d.]+)", page.locator(".gan-explorer .gauge p").inner_text())[1])


# ------------------------------------------------------------------------------ the explorer

def test_picture_is_what_torch_draws(visit, explorer):
    """The page's canvas against the torch model: within two grey levels on average (int8, see test_widgets)."""
    page = visit(explorer)
    drawn(page)
    body = "root => Array.from(root.explorer.generate(given))"
    widget = widgets.LatentExplorer(gu.shipped_generator(), seed=5)
    got = np.array(page.locator(".gan-explorer").evaluate(body.replace("given", str(widget.z))))
    want = widget.picture().flatten().numpy()
    assert np.abs(got - want).mean() * 127.5 < 2


def test_dragging_on_the_picture_moves_two_directions(visit, explorer):
    """Right and up are +; the place is the value: three quarters across is 1.5 of 3 standard deviations."""
    page = visit(explorer)
    box, before, was = page.locator(".pad canvas").bounding_box(), values(page), picture(page)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25, steps=5)
    page.mouse.up()
    page.mouse.move(box["x"] + 20, box["y"] + 20)  # released: no longer followed
    after = values(page)
    assert after[:2] == pytest.approx([1.5, 1.5], abs=0.05)
    assert after[2:] == before[2:]
    assert picture(page) != was


def test_a_finger_drags_too(visit, explorer):
    page = visit(explorer, viewport={"width": 390, "height": 900}, has_touch=True, is_mobile=True)
    box, was = page.locator(".pad canvas").bounding_box(), picture(page)
    middle = box["y"] + box["height"] / 2
    swipe(page, [(box["x"] + box["width"] * share, middle) for share in (0.5, 0.58, 0.66, 0.74, 0.82, 0.9)])
    assert values(page)[:2] == pytest.approx([2.4, 0], abs=0.08)
    assert picture(page) != was
    assert page.evaluate("scrollY") == 0, "the finger moved the code, not the page"


def test_keys_on_the_picture_and_on_a_slider(visit, explorer):
    page = visit(explorer)
    before = values(page)
    page.locator(".pad canvas").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)
    after = values(page)
    assert np.subtract(after, before)[:3] == pytest.approx([0.2, -0.4, 0], abs=0.011)
    page.locator(".direction input").nth(3).focus()
    page.keyboard.press("End")
    assert values(page)[3] == 3
    page.keyboard.press("Home")
    assert values(page)[3] == -3
    assert page.locator(".direction input").nth(3).get_attribute("aria-valuetext") == "\u22123.00 standard deviations"


def test_only_our_keys_are_kept_from_the_host(visit, explorer):
    page = visit(explorer)
    page.evaluate("window.heard = []; addEventListener('keydown', (e) => heard.push(e.key))")
    page.locator(".direction input").first.focus()
    for key in ("ArrowLeft", "Home", "PageUp", "Control+s", "Escape", "a"):
        page.keyboard.press(key)
    assert page.evaluate("heard") == ["Control", "s", "Escape", "a"]


def test_random_code_and_reset(visit, explorer):
    page = visit(explorer, reduced_motion="reduce")
    first = picture(page)
    page.get_by_role("button", name="New random code").click()
    assert picture(page) != first
    page.get_by_role("button", name="Reset").click()
    assert picture(page) == first


@pytest.mark.parametrize("motion, least", [("no-preference", 5), ("reduce", 1)])
def test_a_new_code_glides_unless_motion_is_unwelcome(visit, explorer, motion, least):
    """The number of different pictures on the way: many, or the new one alone."""
    page = visit(explorer, reduced_motion=motion)
    drawn(page)
    page.evaluate("""() => {
      const output = document.querySelector(".direction output");
      window.seen = new Set();
      new MutationObserver(() => seen.add(output.textContent)).observe(output, {childList: true});
    }""")
    page.get_by_role("button", name="New random code").click()
    page.wait_for_timeout(1200)
    seen = page.evaluate("seen.size")
    assert seen == 1 if motion == "reduce" else seen >= least


def test_path_from_a_to_b(visit, explorer):
    """The ends are the pinned codes; halfway, a straight path is shorter than the arc (Pythagoras: by about 0.7)."""
    page = visit(explorer, reduced_motion="reduce")
    at_a = picture(page)
    page.get_by_role("button", name="New random code").click()
    fresh, its_length = picture(page), length(page)
    page.get_by_role("button", name="Pin B here").click()
    walk = page.get_by_role("slider", name="Position on the path from A to B")
    assert walk.input_value() == "1"
    walk.fill("0")
    assert picture(page) == at_a
    its_length = (its_length + length(page)) / 2
    walk.fill("1")
    assert picture(page) == fresh
    walk.fill("0.5")
    assert length(page) == pytest.approx(its_length, abs=0.02)
    page.get_by_role("combobox", name="How to go from A to B").select_option("lerp")
    assert 0.5 * its_length < length(page) < 0.85 * its_length
    assert walk.get_attribute("aria-valuetext") == "50 % of the way from A to B"


def test_a_change_is_said_once_it_rests(visit, explorer):
    page = visit(explorer)
    live = page.locator(".gan-explorer [aria-live=polite]")
    page.wait_for_timeout(800)  # longer than the rest
    assert live.inner_text() == "", "nothing is said before something moves"
    page.locator(".direction input").first.fill("1.5")
    assert "+1.50" not in live.inner_text()
    said = r"direction 1 \+1\.50.*Code of length \d+\.\d, (longer|shorter) than"
    expect(live).to_have_text(re.compile(said), timeout=LONG)


def test_two_copies_on_a_page_do_not_touch_each_other(visit, explorer, scrubber):
    page = visit(explorer + scrubber + explorer)
    assert page.locator(".gan-explorer").count() == 2
    assert page.locator(".gan-scrubber").count() == 1
    pads = page.locator(".pad canvas")
    drawn(page)
    other = pads.nth(1).evaluate(PIXELS)
    page.locator(".direction input").first.fill("3")
    drawn(page)
    assert pads.nth(1).evaluate(PIXELS) == other
    assert pads.nth(0).evaluate(PIXELS) != other
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_a_class_button_changes_the_digit_and_not_the_code(visit, digits):
    page = visit(digits, reduced_motion="reduce")
    codes, was = values(page), picture(page)
    eight = page.get_by_role("button", name="class 8")
    assert page.get_by_role("button", name="class 3").get_attribute("aria-pressed") == "true"
    shown = eight.locator("canvas").evaluate(PIXELS)
    eight.focus()
    page.keyboard.press("Enter")
    assert picture(page) != was
    assert (eight.get_attribute("aria-pressed"), values(page)) == ("true", codes)
    assert page.get_by_role("button", name="class 3").get_attribute("aria-pressed") == "false"
    page.get_by_text("Class asked for: 8.").wait_for()
    assert eight.locator("canvas").evaluate(PIXELS) == shown, "its button had shown this very picture"
    page.locator(".direction input").first.fill("2.5")  # all ten follow the code
    page.wait_for_function("([canvas, was]) => canvas.toDataURL() !== was", timeout=LONG,
                           arg=[eight.locator("canvas").element_handle(), shown])
    page.get_by_role("button", name="Reset").click()
    assert picture(page) == was


def test_path_mixes_the_classes_of_its_ends(visit, digits):
    page = visit(digits, reduced_motion="reduce")
    walk = page.get_by_role("slider", name="Position on the path from A to B")
    walk.fill("0.25")
    page.get_by_text("A mixture that no training example had: 75 % of 3 + 25 % of 8.").wait_for()
    assert page.locator(".classes button[aria-pressed=true]").count() == 0
    page.get_by_role("button", name="class 5").click()
    page.get_by_role("button", name="Pin B here").click()
    walk.fill("0.5")
    page.get_by_text("50 % of 3 + 50 % of 5").wait_for()


def test_axe_finds_nothing_in_the_class_buttons(visit, digits):
    page = visit(digits, viewport={"width": 390, "height": 800})
    drawn(page)
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ------------------------------------------------------------------------------ the scrubber

def grey(page) -> int:
    """The grey level in the middle of the picture."""
    drawn(page)
    return page.locator(".gan-scrubber .pictures canvas").evaluate(
        "c => c.getContext('2d').getImageData(14, 14, 1, 1).data[0]")


def test_scrubber_moves_picture_curve_and_words_together(visit, scrubber):
    """Frame i is grey level round(127.5 * i / 5); it opens on the last one."""
    page = visit(scrubber)
    slider = page.get_by_role("slider", name="step")
    assert grey(page) == round(127.5 * 9 / 5)
    slider.focus()
    page.keyboard.press("Home")
    assert grey(page) == 0
    page.keyboard.press("ArrowRight")
    drawn(page)
    assert slider.get_attribute("aria-valuetext") == "step 100, distance 8, loss 3, Square 1."
    page.keyboard.press("ArrowRight")
    assert grey(page) == 51
    # the distance has a hole at step 200: its last value stands; the loss has points at 0 and 450
    assert slider.get_attribute("aria-valuetext") == "step 200, distance 8, loss 3, Square 2."
    assert page.locator(".pictures canvas").get_attribute("aria-label") == "A grey square (step 200)"
    assert page.locator(".caption").inner_text() == "Square 2."


def test_dragging_on_the_curve_moves_the_slider(visit, scrubber):
    page = visit(scrubber)
    box = page.locator(".curves > svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.16, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert page.get_by_role("slider", name="step").input_value() == "0"
    assert grey(page) == 0


def test_play_runs_from_the_start_and_stops_at_the_end(visit, scrubber):
    page = visit(scrubber)
    slider = page.get_by_role("slider", name="step")
    page.wait_for_timeout(900)
    assert slider.input_value() == "9", "nothing moves until it is asked to"
    page.get_by_role("button", name="Play").click()
    page.wait_for_timeout(100)
    assert int(slider.input_value()) < 3
    page.get_by_role("button", name="Pause").click()
    rest = slider.input_value()
    page.wait_for_timeout(1000)
    assert slider.input_value() == rest
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.gan-scrubber input').value === '9'", timeout=15_000)
    page.get_by_role("button", name="Play").wait_for()


# ------------------------------------------------------------------------------- every host

HOSTS = {
    "page": ("", {}), "dark page": (' data-theme="dark"', {}), "dark system": ("", {"color_scheme": "dark"}),
    "light theme in a dark system": (' data-theme="light"', {"color_scheme": "dark"}),
    "narrow": ("", {"viewport": {"width": 390, "height": 800}}),
}


@pytest.mark.parametrize("host", HOSTS)
def test_axe_finds_nothing(visit, explorer, scrubber, host):
    attributes, settings = HOSTS[host]
    page = visit(explorer + scrubber + explorer, attributes, **settings)
    drawn(page)
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    paper = page.locator(".gan-explorer").first.evaluate("root => getComputedStyle(root).backgroundColor")
    assert paper == ("rgb(23, 27, 33)" if host in ("dark page", "dark system") else "rgb(255, 255, 255)")


def test_dark_jupyterlab_is_dark(visit, explorer):
    page = visit(explorer)
    page.evaluate("document.body.setAttribute('data-jp-theme-light', 'false')")
    paper = page.locator(".gan-explorer").evaluate("root => getComputedStyle(root).backgroundColor")
    assert paper == "rgb(23, 27, 33)"


def test_stripped_of_its_script_the_still_stands(visit, explorer, scrubber):
    """What a sanitiser leaves: no script, no style sheet; a picture with its text, and a sentence."""
    bare = re.sub(r"<script.*?</script>", "", explorer + scrubber, flags=re.DOTALL)
    page = visit(bare)
    stills = page.locator("figure img")
    assert stills.count() == 2
    for still in stills.all():
        assert still.evaluate("img => img.complete && img.naturalWidth > 0")
    assert page.get_by_text("where scripts may run").count() == 2
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


def test_moves_in_html_made_by_nbconvert(browser, tmp_path, explorer):
    """nbconvert's own page asks other hosts for its scripts; with the network shut ours must not need them."""
    bundle = {"text/html": explorer, "text/plain": "LatentExplorer()",
              "application/vnd.jupyter.widget-view+json": {"model_id": "gone", "version_major": 2, "version_minor": 0}}
    cell = nbformat.v4.new_code_cell("explorer", outputs=[nbformat.v4.new_output("execute_result", bundle)])
    html, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    (tmp_path / "chapter.html").write_text(html, encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.route(re.compile("^https?://"), lambda route: route.abort())
    page.goto((tmp_path / "chapter.html").as_uri())
    page.wait_for_selector(".gan-explorer")
    before = picture(page)
    page.locator(".direction input").first.fill("3")
    assert picture(page) != before
    context.close()


def test_a_long_label_leaves_room_for_the_slider(visit):
    """On a phone the words go to a line of their own before the slider becomes too short for a thumb."""
    frames = [np.full((28, 28), i / 2 - 1) for i in range(4)]
    html = widgets.Scrubber(frames, values=[0.5, 1.0, 1.5, 2.4], label="spread of the fakes, in units").to_html()
    page = visit(html, viewport={"width": 390, "height": 844})
    assert page.get_by_role("slider").bounding_box()["width"] >= 120
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
