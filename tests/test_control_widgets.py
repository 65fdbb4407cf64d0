"""The arithmetic board and the inversion pad: their arithmetic in node against torch, their state, their pages."""

import re

import node
import pytest
import torch
import traitlets
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from test_widgets_browser import swipe
from torch import nn

import gan_utils as gu
from gan_utils import control, widgets
from gan_utils.widgets import base


@pytest.fixture(scope="session")
def in_node(tmp_path_factory):
    modules = {name: base.source(name) for name in ("arithmetic", "inversion")}
    return node.in_node(tmp_path_factory.mktemp("js"), **modules)


def odd_generator() -> nn.Sequential:
    """Every layer and setting that the convolutional generator does not use."""
    return gu.init_weights(nn.Sequential(
        nn.Linear(7, 24), nn.LeakyReLU(0.1), nn.Unflatten(1, (6, 2, 2)),
        nn.ConvTranspose2d(6, 5, 3, stride=3, padding=1, output_padding=1), nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(5, 1, 2), nn.Sigmoid()), gu.seeded(0))


GENERATORS = {
    "conv": lambda: gu.conv_generator(8, width=4, generator=gu.seeded(0)),
    "odd": odd_generator,
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_page_has_the_gradient_of_torch(in_node, kind):
    """Error and gradient with float32 weights: only the order of the sums differs.

    The gradient is a sum of up to 10^4 products in float32, so it is off by some 100 half-ulps of its largest
    entry: 1e-5 of that leaves room, and any slip of an index is far above it.
    """
    G = GENERATORS[kind]().eval()
    z = torch.randn(6, G[0].in_features, generator=gu.seeded(1), requires_grad=True)
    x = G(z)
    goal = torch.rand(x.shape, generator=gu.seeded(2)) * 2 - 1
    error = (x - goal).square().flatten(1).mean(dim=1)
    (want,) = torch.autograd.grad(error.sum(), z)
    body = """const errorOf = js.loadError(given.network);
      return given.z.map((z, i) => {
        const { error, gradient } = errorOf(z, given.goal[i]);
        return [error, ...gradient];
      });"""
    given = {"network": widgets.export_generator(G, int8=False), "z": z.tolist(), "goal": goal.flatten(1).tolist()}
    got = torch.tensor(in_node("inversion", body, given))
    torch.testing.assert_close(got[:, 0], error.detach(), atol=1e-5, rtol=0)
    torch.testing.assert_close(got[:, 1:], want, atol=1e-5 * float(want.abs().max()), rtol=1e-3)


def test_the_page_walks_as_the_package_does(in_node):
    """Ten steps of Adam with a pull, from one code: steps have size lr, their rounding 1e-4 of that after ten."""
    G = GENERATORS["conv"]().eval()
    z, goal = torch.randn(1, 8, generator=gu.seeded(1)) * 2, torch.zeros(1, 1, 28, 28)
    want, _ = control.invert(G, goal, z[None], steps=10, lr=0.1, pull=0.05)
    body = """const step = js.descent(js.loadError(given.network), given.z, given.goal, {lr: 0.1, pull: 0.05});
      let at;
      for (let i = 0; i < 11; i++) at = step();
      return at.z;"""
    network = widgets.export_generator(G, int8=False)
    got = in_node("inversion", body, {"network": network, "z": z[0].tolist(), "goal": [0.0] * 784})
    torch.testing.assert_close(torch.tensor(got), want[0], atol=1e-3, rtol=0)


def test_a_drawing_is_centred(in_node):
    """A block of 4 x 2 pixels in a corner: its longer side becomes 20 pixels, its centre of mass the middle, 13.5."""
    ink = torch.full((28, 28), -1.0)
    ink[1:5, 2:4] = 1
    got = torch.tensor(in_node("inversion", "return js.centred(Float32Array.from(given), 28);", ink.flatten().tolist()))
    weight = (got.view(28, 28) + 1) / 2
    rows = torch.arange(28.0)
    assert float((weight.sum(1) * rows).sum() / weight.sum()) == pytest.approx(13.5, abs=0.1)
    assert float((weight.sum(0) * rows).sum() / weight.sum()) == pytest.approx(13.5, abs=0.1)
    assert 18 <= int((weight.amax(1) > 0.5).sum()) <= 22
    assert 8 <= int((weight.amax(0) > 0.5).sum()) <= 12


def make_board() -> widgets.ArithmeticBoard:
    G = GENERATORS["conv"]()
    codes = torch.randn(12, 8, generator=gu.seeded(3))
    return widgets.ArithmeticBoard(G, codes, [f"sample {k}" for k in range(12)],
                                   directions={"style": torch.ones(8), "slant": torch.arange(8.0) / 8})


def make_pad() -> widgets.InversionPad:
    examples = torch.rand(2, 1, 28, 28, generator=gu.seeded(4)) * 2 - 1
    return widgets.InversionPad(GENERATORS["conv"](), examples, ["a first", "a second"])


@pytest.mark.parametrize("at_prior", [False, True])
def test_the_board_adds_as_the_page_does(in_node, at_prior):
    board = make_board()
    board.slots, board.scale, board.push, board.at_prior = [4, 7, 1], 1.5, [0.5, -1.0], at_prior
    state = {key: getattr(board, key) for key in ("slots", "scale", "push", "at_prior")}
    got = in_node("arithmetic", "return js.combine(given.data, given.state);", {"data": board.data, "state": state})
    torch.testing.assert_close(torch.tensor(got), board.code(), atol=1e-5, rtol=0)
    codes, directions = torch.tensor(board.data["codes"]), torch.tensor(board.data["directions"])
    z = codes[1] + 1.5 * (codes[4] - codes[7]) + 0.5 * directions[0] - directions[1]
    torch.testing.assert_close(board.code(), control.to_prior_length(z) if at_prior else z, atol=1e-5, rtol=0)
    assert board.picture().shape == (28, 28)


def test_the_pad_finds_a_generated_picture():
    pad = make_pad()
    x = pad._G(torch.randn(1, 8, generator=gu.seeded(9)))
    pad.find(x)
    assert 0 <= pad.error < pad.baseline
    assert pad.error == pytest.approx(float((pad.picture() - x[0, 0]).square().mean()), rel=1e-3)


def test_bad_state_is_refused():
    board, pad = make_board(), make_pad()
    for name, value in (("slots", [0, 1, 12]), ("push", [1.0]), ("scale", 5.0)):
        with pytest.raises(traitlets.TraitError):
            setattr(board, name, value)
    for name, value in (("target", [0.0]), ("z", [1.0, 2.0])):
        with pytest.raises(traitlets.TraitError, match="needed"):
            setattr(pad, name, value)
    with pytest.raises(ValueError, match="nothing was sought"):
        pad.picture()
    with pytest.raises(ValueError, match="three codes of length 8"):
        widgets.ArithmeticBoard(GENERATORS["conv"](), torch.zeros(5, 9), ["a"] * 5)
    with pytest.raises(ValueError, match=r"\(n, 1, 28, 28\) and a name"):
        widgets.InversionPad(GENERATORS["conv"](), torch.zeros(2, 1, 9, 9), ["a", "b"])


# ------------------------------------------------------------------------------------ in a browser

PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).reduce((s, v, i) => s + v * i)"


def still_moving(page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_board_by_drag_click_and_keys(visit):
    page = visit(make_board().to_html())
    still_moving(page)
    result, places = page.locator(".sum > canvas"), page.locator(".slot")
    before = result.evaluate(PIXELS)
    page.locator(".tile").nth(7).drag_to(places.nth(2))
    expect(places.nth(2)).to_have_attribute("aria-label", "Place 3, plus sample 7")
    still_moving(page)
    dragged = result.evaluate(PIXELS)
    assert dragged != before
    places.nth(1).click()
    page.locator(".tile").nth(9).click()
    still_moving(page)
    expect(places.nth(1)).to_have_attribute("aria-label", "Place 2, minus sample 9")
    page.locator(".tile").nth(9).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    still_moving(page)
    expect(places.nth(2)).to_have_attribute("aria-label", "Place 3, plus sample 4")
    knob = page.get_by_role("slider", name="style")
    knob.fill("1")
    still_moving(page)
    assert result.evaluate(PIXELS) != dragged
    page.get_by_role("button", name="Reset").click()
    still_moving(page)
    assert result.evaluate(PIXELS) == before


def test_pad_searches_what_is_drawn(visit):
    page = visit(make_pad().to_html())
    box = page.locator(".pad canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 160, steps=5)
    page.mouse.up()
    page.get_by_text(re.compile("Found after 3 walks: error .*, against .* for the nearest of 200")).first.wait_for()
    found = page.locator(".news").inner_text()
    error, baseline = map(float, re.findall(r"(?:error|against) ([\d.]+)", found)[:2])
    assert error < baseline
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("nothing sought yet").wait_for()
    page.locator(".pad canvas").focus()
    for key in ("Space", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.get_by_text("Found after 3 walks").first.wait_for()


PHONE = {"viewport": {"width": 390, "height": 1200}, "has_touch": True, "is_mobile": True}


def middle(locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_finger_drags_a_sample_into_its_place(visit):
    """From a tile up to place 3 by touch: the sample moves, the page does not."""
    page = visit(make_board().to_html(), **PHONE)
    start, end = middle(page.locator(".tile").nth(7)), middle(page.locator(".slot").nth(2))
    swipe(page, [tuple(a + (b - a) * t / 5 for a, b in zip(start, end, strict=True)) for t in range(6)])
    expect(page.locator(".slot").nth(2)).to_have_attribute("aria-label", "Place 3, plus sample 7")
    assert page.evaluate("scrollY") == 0


def test_a_result_is_said_once_it_rests(visit):
    page = visit(make_board().to_html())
    live = page.locator(".gan-arithmetic [aria-live=polite]")
    page.wait_for_timeout(800)  # longer than the rest
    assert live.inner_text() == "", "nothing is said before something moves"
    page.locator(".gan-arithmetic input[type=range]").first.fill("2")
    expect(live).to_have_text(re.compile(r"plus sample \d.*length \d+\.\d"), timeout=10_000)


def test_a_finger_draws(visit):
    page = visit(make_pad().to_html(), **PHONE)
    x, y = middle(page.locator(".pad canvas"))
    swipe(page, [(x - 50 + 20 * k, y - 40 + 18 * k) for k in range(6)])
    page.get_by_text("Found after 3 walks").first.wait_for()
    assert page.evaluate("scrollY") == 0


FRAMES = """async (root, [slider, canvas, frames]) => {
  const [knob, screen] = [root.querySelector(slider), root.querySelector(canvas)];
  const [seen, times] = [new Set(), []];
  for (let k = 0; k < frames; k++) {
    knob.value = Number(knob.min) + ((k + 1) / frames) * (knob.max - knob.min);
    knob.dispatchEvent(new Event("input"));
    times.push(await new Promise(requestAnimationFrame));
    seen.add(screen.toDataURL());
  }
  return [seen.size, (1000 * (frames - 1)) / (times.at(-1) - times[0])];
}"""


def test_each_frame_has_a_picture_of_its_own(visit, record_property):
    """A slider that moves in each of 40 frames, with the generators of the chapters: 40 pictures, none skipped.

    How many frames the machine makes in a second goes into the report: the goal, 60, is the screen's own.
    """
    letters = gu.shipped_generator("letters-unlabelled")
    codes = torch.randn(3, letters[0].in_features, generator=gu.seeded(0))
    digits = widgets.LatentExplorer(gu.shipped_generator("mnist-conditional"), seed=1, directions=2)
    board = widgets.ArithmeticBoard(letters, codes, list("abc"))
    page = visit(digits.to_html() + board.to_html())
    for name, slider, canvas in (("explorer", ".direction input", ".pad canvas"),
                                 ("arithmetic", "input[type=range]", ".sum > canvas")):
        root = page.locator(f".gan-{name}")
        pictures, rate = root.evaluate(FRAMES, [slider, canvas, 40])
        record_property(f"{name}_frames_per_second", round(rate, 1))
        record_property(f"{name}_milliseconds", round(root.evaluate(f"root => root.{name}.benchmark(20)"), 2))
        assert pictures == 40, name


@pytest.mark.parametrize("attributes, settings", [
    ("", {}), (' data-theme="dark"', {}), ("", {"viewport": {"width": 390, "height": 800}})])
def test_axe_finds_nothing(visit, attributes, settings):
    page = visit(make_board().to_html() + make_pad().to_html(), attributes, **settings)
    still_moving(page)
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_stripped_of_their_scripts_the_stills_stand(visit):
    for demo in (make_board(), make_pad()):
        html = demo.to_html()
        assert re.search(r'<img src="data:image/png;base64,[^"]+" width="\d+" alt="[^"]{5,}"', html)
        assert "A still: where scripts may run" in html
        assert not re.search(r"\bfetch\(|XMLHttpRequest|localStorage|\bimport\s*\{", html)
