"""The critic in the plane: its JavaScript against gan_utils and scipy, its state, and a reader's hands."""

import functools
import math
import re

import node
import numpy as np
import pytest
import torch
import traitlets
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from scipy.optimize import linear_sum_assignment
from site_fixtures import LONG, drawn

import gan_utils as gu
from gan_utils import widgets
from gan_utils.widgets import base, critic

KINDS = {"two_sided": 10.0, "one_sided": 3.0, "clip": 0.1, "r1": 1.0, "none": 1.0}


@pytest.fixture(scope="module")
def in_node(tmp_path_factory):
    """in_node(body, given), for the module of the critic; of gan.js, which it holds, the random numbers too."""
    source = base.source("critic") + "\nexport { uniforms };"
    return functools.partial(node.in_node(tmp_path_factory.mktemp("js"), critic=source), "critic")


def state(demo: widgets.CriticField) -> dict:
    return {name: getattr(demo, name) for name in demo._keys()}


# ------------------------------------------------------------------------------- arithmetic

def test_random_numbers_are_those_of_the_page(in_node):
    """Integers mod 2^32: equal to the bit. Two streams and two seeds differ."""
    body = """const { seed, stream, n } = given; const u = js.uniforms(seed, stream);
      return Array.from({ length: n }, u);"""
    firsts = set()
    for seed, stream in ((0, 0), (0, 1), (99, 2)):
        given = {"seed": seed, "stream": stream, "n": 500}
        got = in_node(body, given)
        assert got == critic.uniforms(seed, stream, 500).tolist()
        assert 0.4 < np.mean(got) < 0.6
        firsts.add(got[0])
    assert len(firsts) == 3


@pytest.mark.parametrize("law", ["cluster", "ring"])
def test_points_are_where_they_should_be(in_node, law):
    """Page and Python make the same points; 64 draws of spread .25 have a mean within 4 * .25 / 8 of the centre."""
    demo = widgets.CriticField(real_law=law, fake_x=0.4, fake_y=-1.1, seed=3)
    real, fake = demo.points()
    got = in_node("const p = js.makePoints(given); return [[...p.real], [...p.fake]];", state(demo))
    np.testing.assert_allclose(got, [real.ravel(), fake.ravel()], atol=1e-12)
    np.testing.assert_allclose(fake.mean(0), [0.4, -1.1], atol=0.125)
    if law == "ring":
        assert (real.norm(dim=1) - 1.5).abs().max() < 0.25  # 5 standard deviations of .05
    else:
        np.testing.assert_allclose(real.mean(0), [1.2, 0], atol=0.125)


def test_w1_in_the_page_is_scipys(in_node):
    """The cheapest pairing by another program; and for a shifted copy it is the length of the shift."""
    g = np.random.default_rng(0)
    for n in (1, 2, 17, 64):
        x, y = g.normal(size=(n, 2)), g.normal(size=(n, 2)) * 2 + 1
        cost = np.linalg.norm(x[:, None] - y[None], axis=2)
        body = "return given.map(([x, y, n]) => js.pairingCost(x, y, n));"
        got = in_node(body, [[x.ravel().tolist(), y.ravel().tolist(), n],
                             [x.ravel().tolist(), (x[::-1] + [3, 4]).ravel().tolist(), n]])
        assert got == pytest.approx([cost[linear_sum_assignment(cost)].mean(), 5.0], rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_critic_learns_as_torch_does(in_node, kind):
    """Every estimate of 60 steps, from the same weights, points and lines.

    Both in float64. Adam divides by the root of a squared gradient, which makes more of a rounding error where a
    gradient is near 0, and a LeakyReLU may tip: 1e-9 in the first 15 steps, 1e-5 at the end.
    """
    demo = widgets.CriticField(constraint=kind, strength=KINDS[kind], real_law="ring", fake_x=0.3, seed=5, steps=60)
    D, want = demo.train()
    body = """const c = js.makeCritic(given);
      for (let k = 0; k < given.steps; k++) c.step();
      const places = [0.1, -0.7, 1.3, 0.2, -1.9, 2.1];
      const { scores, slopes, gradient } = js.slopesAt(c.D, c.weights.at(-1), places, 3);
      const before = js.slopesAt(c.D, c.weights[0], places, 3);
      return { estimates: c.estimates, scores: [...scores], slopes: [...slopes], gradient: [...gradient],
        first: [...before.scores], last: [...js.slopesAt(c.D, c.D.theta, places, 3).scores] };"""
    got = in_node(body, state(demo))
    assert got["estimates"][:15] == pytest.approx(want[:15], rel=1e-9, abs=1e-12)
    assert got["estimates"] == pytest.approx(want, rel=1e-5)
    places = torch.tensor([[0.1, -0.7], [1.3, 0.2], [-1.9, 2.1]], dtype=torch.float64)
    gradient = gu.input_gradient(D, places).detach()
    np.testing.assert_allclose(got["scores"], D(places).detach().ravel(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["slopes"], gradient.norm(dim=1), rtol=1e-4)
    np.testing.assert_allclose(got["gradient"], gradient.ravel(), rtol=1e-4, atol=1e-6)
    assert got["last"] == got["scores"] != got["first"], "looking back leaves the critic as it is"


def test_each_constraint_does_what_it_says():
    """After 120 steps: no weight beyond the limit; R1 and both penalties flatter than nothing; lambda counts."""
    trained = {kind: widgets.CriticField(constraint=kind, strength=s, steps=120).train() for kind, s in KINDS.items()}
    limit = max(float(p.detach().abs().max()) for p in trained["clip"][0].parameters())
    assert limit == pytest.approx(0.1)
    final = {kind: estimates[-1] for kind, (_, estimates) in trained.items()}
    assert final["none"] > 10 * max(final["two_sided"], final["one_sided"])
    assert final["none"] > final["r1"] > final["clip"]
    weak = widgets.CriticField(strength=0.1, steps=120).train()[1][-1]
    assert weak > 1.5 * final["two_sided"]  # the linear critic's w* = 1 + d / (2 lambda), in the plane


def test_level_lines_lie_on_the_level(in_node):
    """Of a plane 2 c + r the line at 7.5 crosses only where 2 c + r = 7.5; a cone has its circle."""
    body = """const values = []; for (let r = 0; r < 9; r++) for (let c = 0; c < 9; c++) values.push(2 * c + r);
      const ends = []; js.levelLines(values, 9, [7.5], (c, r) => { ends.push([c, r]); return [c, r]; });
      const path = js.levelLines(values, 9, [-1, 99], (c, r) => [c, r]);
      return { ends, path };"""
    got = in_node(body)
    assert len(got["ends"]) > 8 and got["path"] == ""
    for column, row in got["ends"]:
        assert 2 * column + row == pytest.approx(7.5)
    pairs = zip(got["ends"][::2], got["ends"][1::2], strict=True)
    assert sum(math.dist(a, b) for a, b in pairs) == pytest.approx(math.hypot(3.75, 7.5)), "the whole of the line"


# ------------------------------------------------------------------------------- in Python

def test_output_carries_a_widget_and_a_page():
    bundle, _ = widgets.CriticField(steps=20)._repr_mimebundle_()
    page = bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert re.search(r'<img src="data:image/png;base64,[^"]+" width="\d+" alt="[^"]{40,}\."', page)
    assert "scripts" in re.search(r"<figcaption>(.+?)</figcaption>", page)[1]
    assert set(re.findall(r"https?://[^\s\"'`)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert len(page) < 160_000
    assert page == widgets.CriticField(steps=20).to_html(), "a notebook that is run again must not change by itself"


@pytest.mark.parametrize("given, error, words", [
    ({"constraint": "dropout"}, traitlets.TraitError, "one_sided"), ({"strength": 0.0}, traitlets.TraitError, "0.0"),
    ({"fake_x": 2.5}, traitlets.TraitError, "2.5"), ({"steps": 401}, traitlets.TraitError, "401"),
    ({"lam": 10}, ValueError, "has no 'lam'; it has constraint, fake_x")])
def test_bad_state_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        widgets.CriticField(**given)


# ------------------------------------------------------------------------------- in a browser

def readings(page) -> list[float]:
    """Once it has learnt: step, estimate, true W1, mean slope on the lines, steepest place."""
    drawn(page)
    page.wait_for_function("!document.querySelector('.gan-critic .verdict').textContent.startsWith('It learns')")
    texts = page.locator(".gan-critic .readings b").all_inner_texts()
    return [float(text.replace("\u2212", "-")) for text in texts]


@pytest.mark.browser
def test_the_page_shows_what_python_trains_and_follows_hands(visit):
    """Estimate as trained here; keys, select and mouse change it; each constraint brings its own strength."""
    demo = widgets.CriticField(steps=30)
    page = visit(demo.to_html())
    real, fake = demo.points()
    cost = torch.cdist(real, fake).numpy()
    w1 = cost[linear_sum_assignment(cost)].mean()
    step, estimate, truth, *_ = readings(page)
    assert (step, truth) == (30, pytest.approx(w1, abs=0.006))
    assert estimate == pytest.approx(demo.train()[1][-1], abs=0.006)
    page.get_by_role("slider", name="steps").focus()
    page.keyboard.press("Home")
    assert readings(page)[:2] == pytest.approx([0, demo.train()[1][0]], abs=0.006)
    page.keyboard.press("ArrowRight")
    assert readings(page)[0] == 1
    page.get_by_role("combobox", name="what holds the critic").select_option("clip")
    page.get_by_role("slider", name="steps").fill("25")
    assert readings(page)[1] == pytest.approx(
        widgets.CriticField(constraint="clip", strength=0.1, steps=25).train()[1][-1], abs=0.006)
    box = page.locator(".plot svg").first.bounding_box()

    def at(x, y):  # the axes run from -2.2 to 2.2 between 44 and 350 of 360, and between 314 and 8 of 348
        return (box["x"] + box["width"] * (44 + (x + 2.2) / 4.4 * 306) / 360,
                box["y"] + box["height"] * (314 - (y + 2.2) / 4.4 * 306) / 348)

    page.mouse.move(*at(-1.2, -0.6))
    page.mouse.down()
    page.mouse.move(*at(1.2, 0), steps=3)
    page.mouse.up()
    assert float(page.get_by_role("slider", name="fakes across").input_value()) == pytest.approx(1.2, abs=0.05)
    assert readings(page)[2] < 0.3, "fakes on the data: only sampling is left of the distance"


@pytest.mark.browser
def test_play_goes_on_until_pause(visit):
    page = visit(widgets.CriticField(steps=0, constraint="clip", strength=0.1).to_html())
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("+document.querySelector('.gan-critic .readings b').textContent >= 2", timeout=LONG)
    page.get_by_role("button", name="Pause").click()
    drawn(page)  # a step taken just before may not be drawn yet
    taken = readings(page)[0]
    assert 2 <= taken < 400
    page.wait_for_timeout(300)
    assert readings(page)[0] == taken, "it went on after Pause"


@pytest.mark.browser
@pytest.mark.parametrize("rest", [0, 700], ids=["moved at once", "moved later"])
def test_a_change_is_said_once_it_rests(visit, rest):
    page = visit(widgets.CriticField(steps=5).to_html())
    page.wait_for_timeout(rest)
    live = page.locator(".gan-critic [aria-live=polite]")
    assert live.inner_text() == "", "nothing is said before something moves"
    page.get_by_role("slider", name="steps").fill("7")
    expect(live).to_have_text(
        re.compile(r"two-sided, after 7 steps: estimate .?\d+\.\d+, true distance \d\.\d+"), timeout=LONG)


NARROW = {"viewport": {"width": 390, "height": 800}}


@pytest.mark.browser
@pytest.mark.parametrize("attributes, settings", [("", {}), ("", {**NARROW, "color_scheme": "dark"})])
def test_axe_finds_nothing(visit, attributes, settings):
    """Two on one page: no id may clash, nothing may be wider than the screen."""
    page = visit("".join(widgets.CriticField(steps=5, view=view).to_html() for view in ("slope", "score")),
                 attributes, **settings)
    assert page.locator(".gan-critic").count() == 2
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_stripped_of_its_script_the_still_stands(visit):
    page = visit(re.sub(r"<script.*?</script>", "", widgets.CriticField(steps=5).to_html(), flags=re.DOTALL))
    still = page.locator("figure img")
    assert still.evaluate("img => img.complete && img.naturalWidth > 0")
    assert page.get_by_text("where scripts may run").count() == 1
