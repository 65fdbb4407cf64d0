"""The demonstrations of the minimax game: their JavaScript against gan_utils, their state, and a reader's hands."""

import functools
import itertools
import re

import node
import numpy as np
import pytest
import torch
import traitlets
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from site_fixtures import LONG, drawn

import gan_utils as gu
from gan_utils import widgets
from gan_utils.widgets import base, game

DX = 0.005
X = torch.arange(-25, 25, DX, dtype=torch.float64) + DX / 2
GAMES = {"minimax": gu.minimax, "non_saturating": gu.non_saturating, "wasserstein": gu.wasserstein}
ORDERS = ("simultaneous", "alternating")


@pytest.fixture(scope="module")
def in_node(tmp_path_factory):
    """in_node(body, given), for the module of the three games."""
    return functools.partial(node.in_node(tmp_path_factory.mktemp("js"), game=base.source("game")), "game")


# ------------------------------------------------------------------------------- two densities

def law(name: str, centre: float, width: float) -> dict:
    return {"law": name, "centre": centre, "width": width}


PAIRS = [(law(a, *first), law(b, *second)) for a, b in itertools.product(game.LAWS, repeat=2)
         for first, second in (((0, 1), (2, 1)), ((-1.5, 0.5), (1, 3)), ((0.3, 2), (0.3, 2)))]


def on_grid(one: dict) -> torch.Tensor:
    """A density of the page on the grid, with mass 1: a box's edge falls inside a cell."""
    values = torch.from_numpy(game.density(one["law"], X.numpy(), one["centre"], one["width"]))
    return values / (values.sum() * DX)


@pytest.mark.parametrize("name", game.LAWS)
def test_every_law_has_the_mean_and_width_that_it_says(name):
    """By sums over the grid; a box's edge inside a cell is worth DX times its density, times its place squared."""
    p = on_grid(law(name, 0.7, 1.3))
    mean = float((p * X).sum() * DX)
    assert mean == pytest.approx(0.7, abs=0.01)
    assert float((p * (X - mean) ** 2).sum() * DX) == pytest.approx(1.3**2, abs=0.02)


def test_densities_and_best_d_are_those_of_the_package(in_node):
    """At 33 places that lie on no edge of a box: equal to rounding, through the logarithm, at most 1e-12."""
    places = np.linspace(-7.93, 7.91, 33)
    body = """return given.pairs.map(([p, q]) => given.places.map((x) =>
      [Math.exp(js.logDensity(p, x)), Math.exp(js.logDensity(q, x)), js.bestD(p, q, x)]));"""
    for (p, q), rows in zip(PAIRS, in_node(body, {"pairs": PAIRS, "places": places.tolist()}), strict=True):
        p, q = (torch.from_numpy(game.density(one["law"], places, one["centre"], one["width"])) for one in (p, q))
        got = torch.tensor([[float(v) for v in row] for row in rows], dtype=torch.float64)
        want = torch.stack([p, q, gu.optimal_discriminator(p, q)], dim=1)
        seen = p + q > 0  # elsewhere the package sees nothing; the page knows the logarithm
        assert seen.sum() > 10
        torch.testing.assert_close(got[seen], want[seen], atol=1e-12, rtol=1e-9)


def test_divergences_are_those_of_the_package(in_node):
    """Both are midpoint sums; the page cuts at the edges of the boxes, the grid of the test does not.

    Without boxes both are exact to 1e-5; the edge of a box inside a cell costs the grid up to DX times a density
    (.58 at most here) times log 2, that is .002. W1 has kinks where the distribution functions cross: a few DX^2.
    """
    for (p, q), got in zip(PAIRS, in_node("return given.map(([p, q]) => js.compare(p, q));", PAIRS), strict=True):
        tolerance = 2e-3 if "uniform" in (p["law"], q["law"]) else 1e-5
        a, b = on_grid(p), on_grid(q)
        assert got["jsd"] == pytest.approx(gu.js_divergence(a, b, DX), abs=tolerance)
        assert got["w1"] == pytest.approx(gu.wasserstein_densities(a, b, DX), abs=max(2 * tolerance, 4 * DX**2))
        assert got["value"] == pytest.approx(2 * got["jsd"] - np.log(4))


def test_kl_in_the_page(in_node):
    """Gaussians: log(t/s) + (s^2 + d^2) / (2 t^2) - 1/2. A box inside a Gaussian's reach: finite one way only."""
    cases = [(0, 1, 2, 1), (-1.5, 0.5, 1, 3), (1, 3, -1.5, 0.5), (-6, 0.5, 6, 0.5)]
    for m, s, n, t in cases:
        pair = [law("gaussian", m, s), law("gaussian", n, t)]
        want = np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
        assert in_node("return js.compare(...given).pq;", pair) == pytest.approx(want, rel=1e-5)
    got = in_node("return js.compare(...given);", [law("gaussian", 0, 1), law("uniform", 0, 1)])
    # -log(2 sqrt 3) - E[log N] = -log(2 sqrt 3) + log(sqrt(2 pi)) + 1/2, for the box has variance 1
    assert got["pq"] == "Infinity"
    assert got["qp"] == pytest.approx(-np.log(12) / 2 + np.log(2 * np.pi) / 2 + 0.5, abs=1e-4)


@pytest.mark.parametrize("p, q, jsd, w1", [
    (law("gaussian", 0, 1), law("gaussian", 1, 1), 0.111421, 1),
    (law("gaussian", 0, 1), law("gaussian", 4, 1), 0.632720, 4),
    (law("gaussian", 0, 1), law("gaussian", 0, 2), 0.092733, 0.797885),
    (law("gaussian", 0, 1), law("uniform", 0, 1), 0.049435, None),
    # boxes of width 2 sqrt 3 s: moved by half of it, JSD = log(2) / 2
    (law("uniform", 0, 1), law("uniform", 3**0.5, 1), 0.346574, 3**0.5)])
def test_closed_forms_in_the_page(in_node, p, q, jsd, w1):
    """The numbers are derived in test_theory; the page shows three digits, and computes five."""
    for cell, tolerance in ((0.02, 2e-5), (0.1, 2e-3)):  # the coarse one draws the curves
        got = in_node("return js.compare(given.p, given.q, given.cell);", {"p": p, "q": q, "cell": cell})
        assert got["jsd"] == pytest.approx(jsd, abs=tolerance)
        assert w1 is None or got["w1"] == pytest.approx(w1, abs=tolerance)


# ------------------------------------------------------------------------------- the logit

def test_losses_and_slopes_are_those_of_the_package(in_node):
    """Values and gradients by autograd at logits from -200 to 200."""
    logits = [-200.0, -30.0, -8.0, -4.0, -0.5, 0.0, 1.0, 4.0, 30.0, 200.0]
    for value, got in zip(logits, in_node("return given.map(js.losses);", logits), strict=True):
        for name, loss in (("minimax", gu.minimax_g_loss), ("nonSaturating", gu.nonsaturating_g_loss)):
            logit = torch.tensor(value, dtype=torch.float64, requires_grad=True)
            want = loss(fake_logits=logit)
            want.backward()
            assert got[name] == pytest.approx(want.item(), rel=1e-12, abs=1e-15)
            assert got[f"{name}Slope"] == pytest.approx(float(logit.grad), rel=1e-12)
        assert got["ratio"] == pytest.approx(got["nonSaturatingSlope"] / got["minimaxSlope"])
        assert got["probability"] == pytest.approx(float(torch.sigmoid(torch.tensor(value, dtype=torch.float64))))


# ------------------------------------------------------------------------------- the Dirac-GAN

SETTINGS = [{"game": g, "order": o, "lr": h, "r1_gamma": gamma}
            for g, o, (h, gamma) in itertools.product(GAMES, ORDERS, ((0.1, 0.0), (0.1, 0.3), (0.5, 3.0), (0.02, 1.0)))]


def test_dirac_steps_are_those_of_the_package(in_node):
    """300 steps from a place of no symmetry. The same formulas by hand and by autograd: rounding, 1e-9 at most."""
    runs = in_node("return given.map((s) => js.diracRun([0.7, -1.2], s, 300));", SETTINGS)
    for settings, states in zip(SETTINGS, runs, strict=True):
        want = gu.dirac_run(torch.tensor([0.7, -1.2], dtype=torch.float64), GAMES[settings["game"]], lr=settings["lr"],
                            steps=300, alternating=settings["order"] == "alternating", r1_gamma=settings["r1_gamma"])
        torch.testing.assert_close(torch.tensor(states, dtype=torch.float64), want, rtol=1e-9, atol=1e-12)


def test_eigenvalue_in_the_page(in_node):
    """The larger modulus of the two; where both are real and equal a root of rounding errors is 1e-8."""
    for settings, got in zip(SETTINGS, in_node("return given.map(js.diracEigenvalue);", SETTINGS), strict=True):
        want = gu.dirac_eigenvalues(GAMES[settings["game"]], lr=settings["lr"], r1_gamma=settings["r1_gamma"],
                                    alternating=settings["order"] == "alternating")[-1]
        assert got["modulus"] == pytest.approx(float(want.abs()), abs=1e-7)
        assert abs(got["angle"]) == pytest.approx(abs(float(want.angle())), abs=1e-6)


def test_a_limit_cycle_and_a_creep(in_node):
    """Non-saturating, h = .1, from (1, 1): at once it ends on a circle of .447, in turn it creeps in, .040.

    Recorded of a second program, three digits, after 50,000 steps.
    """
    body = "return given.map((s) => Math.hypot(...js.diracRun([1, 1], s, 50000).at(-1)));"
    settings = [{"game": "non_saturating", "order": order, "lr": 0.1, "r1_gamma": 0} for order in ORDERS]
    assert in_node(body, settings) == pytest.approx([0.447, 0.040], abs=6e-4)


def test_a_run_that_leaves_every_plot_ends(in_node):
    settings = {"game": "wasserstein", "order": "simultaneous", "lr": 0.5, "r1_gamma": 0}
    assert len(in_node("return js.diracRun([1, 1], given, 500);", settings)) < 250


# ------------------------------------------------------------------------------- in Python

DEMOS = {"densities": widgets.Densities, "logit": widgets.LogitGradients, "dirac": widgets.DiracGAN}


@pytest.mark.parametrize("kind", DEMOS)
def test_output_carries_a_widget_and_a_page(kind):
    bundle, _ = DEMOS[kind]()._repr_mimebundle_()
    page = bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert re.search(r'<img src="data:image/png;base64,[^"]+" width="\d+" alt="[^"]{40,}\."', page)
    assert "scripts" in re.search(r"<figcaption>(.+?)</figcaption>", page)[1]
    assert set(re.findall(r"https?://[^\s\"'`)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert len(page) < 90_000
    assert page == DEMOS[kind]().to_html(), "a notebook that is run again must not change by itself"


@pytest.mark.parametrize("kind, state, error, words", [
    ("densities", {"real_law": "cauchy"}, traitlets.TraitError, "humps"),
    ("densities", {"fake_width": 9.0}, traitlets.TraitError, "9.0"),
    ("logit", {"logit": 11.0}, traitlets.TraitError, "11"),
    ("dirac", {"gamma": 1.0}, ValueError, "has no 'gamma'; it has game, lr, order"),
    ("dirac", {"steps": 501}, traitlets.TraitError, "501")])
def test_bad_state_is_refused(kind, state, error, words):
    with pytest.raises(error, match=words):
        DEMOS[kind](**state)


def test_states_are_those_of_the_package():
    demo = widgets.DiracGAN(game="wasserstein", order="alternating", lr=0.2, r1_gamma=0.5, theta=-1, psi=0.5, steps=7)
    start = torch.tensor([-1, 0.5], dtype=torch.float64)
    want = gu.dirac_run(start, gu.wasserstein, lr=0.2, steps=7, alternating=True, r1_gamma=0.5)
    torch.testing.assert_close(demo.states(), want, rtol=0, atol=0)


# ------------------------------------------------------------------------------- in a browser

def readings(page) -> list[float]:
    drawn(page)
    texts = page.locator(".gan-game .readings b").all_inner_texts()
    return [float(text.replace("\u2212", "-").replace("\u221e", "inf").replace(",", "")) for text in texts]


@pytest.mark.browser
def test_densities_follow_slider_select_and_hand(visit):
    """N(0,1) against N(2,1): .337 and 2; by keys to 1; the law to uniform; and the hand takes the nearer one."""
    page = visit(widgets.Densities().to_html())
    assert readings(page) == [0.337, 2.0, -0.713, 2.0, 2.0]
    page.get_by_role("slider", name="fake, q: centre").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert readings(page)[:2] == [0.111, 1.0]
    page.get_by_role("combobox", name="real, p: law").select_option("uniform")
    assert readings(page)[3:] != [0.5, 0.5] and readings(page)[4] == float("inf")
    box = page.locator(".plot svg").first.bounding_box()
    middle = box["y"] + box["height"] / 2

    def at(x):  # the axis runs from -8 to 8 between 44 and 350 of 360
        return box["x"] + box["width"] * (44 + (x + 8) / 16 * 306) / 360

    page.mouse.move(at(1.2), middle)
    page.mouse.down()
    page.mouse.move(at(4), middle, steps=4)
    page.mouse.up()
    page.mouse.move(at(-4), middle)  # released: no longer followed
    drawn(page)
    assert float(page.get_by_role("slider", name="fake, q: centre").input_value()) == pytest.approx(4, abs=0.1)
    assert page.get_by_role("slider", name="real, p: centre").input_value() == "0"


@pytest.mark.browser
def test_the_logit_follows_a_finger_and_keys(visit):
    """At -4: .018, -.018, -.982 and e^4 = 54.60. Home is -10; the finger goes to the middle, 0."""
    page = visit(widgets.LogitGradients().to_html(), viewport={"width": 390, "height": 900}, has_touch=True,
                 is_mobile=True)
    assert readings(page) == [0.018, -0.018, -0.982, 54.6]
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    assert readings(page)[3] == 22026  # e^10 = 22026.5
    box = page.locator(".plot svg").first.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * (44 + 306 / 2) / 360, box["y"] + box["height"] / 2)
    assert readings(page) == [0.5, -0.5, -0.5, 1.0]
    assert "both pull alike" in page.locator(".verdict").inner_text()


@pytest.mark.browser
def test_the_dirac_gan_steps_plays_and_converges(visit):
    """What the page reads is what the package computes; the start moves by hand; R1 changes the verdict."""
    demo = widgets.DiracGAN(game="wasserstein", steps=100)
    page = visit(demo.to_html())
    theta, psi = demo.states()[-1].tolist()
    assert readings(page) == pytest.approx([theta, psi, 2.326, 1.005], abs=6e-4)
    page.get_by_role("slider", name="R1 penalty, gamma").fill("1")
    assert readings(page)[3] == pytest.approx(0.9539, abs=1e-4)  # sqrt(1 - .1 + .01)
    assert "comes to rest" in page.locator(".verdict").inner_text()
    page.get_by_role("slider", name="steps").focus()
    page.keyboard.press("Home")
    assert readings(page)[:2] == [1, 1]
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("slider", name="steps")).to_have_value(re.compile("[2-9]|..+"), timeout=LONG)
    page.get_by_role("button", name="Pause").click()
    drawn(page)  # a step taken just before may not be drawn yet
    taken = int(page.get_by_role("slider", name="steps").input_value())
    assert 2 <= taken < 500
    page.wait_for_timeout(300)
    assert int(page.get_by_role("slider", name="steps").input_value()) == taken, "it went on after Pause"
    page.keyboard.press("Tab")
    box = page.locator(".plot svg").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * (44 + 306 / 2) / 360, box["y"] + box["height"] * (8 + 306 / 4) / 348)
    drawn(page)
    assert float(page.get_by_role("slider", name="start, theta").input_value()) == pytest.approx(0, abs=0.05)
    assert float(page.get_by_role("slider", name="start, psi").input_value()) == pytest.approx(1.2, abs=0.06)


@pytest.mark.browser
@pytest.mark.parametrize("kind, name, value, words", [
    ("densities", "fake, q: width (standard deviation)", "3", r"fake: Gaussian at 2\.00, width 3\.00\. JSD \d\.\d+"),
    ("logit", "logit that D gives to the fake", "3", r"Logit 3\.0\. D takes the fake for real"),
    ("dirac", "steps", "7", r"After 7 steps \d\.\d+ from rest\. Eigenvalue of modulus 1\.0012")])
@pytest.mark.parametrize("rest", [0, 700], ids=["moved at once", "moved later"])
def test_a_change_is_said_once_it_rests(visit, kind, name, value, words, rest):
    page = visit(DEMOS[kind]().to_html())
    page.wait_for_timeout(rest)
    live = page.locator(".gan-game [aria-live=polite]")
    assert live.inner_text() == "", "nothing is said before something moves"
    page.get_by_role("slider", name=name, exact=True).fill(value)
    expect(live).to_have_text(re.compile(words), timeout=LONG)


NARROW = {"viewport": {"width": 390, "height": 800}}
HOSTS = {"page": ("", {}), "dark page": (' data-theme="dark"', {}), "narrow": ("", NARROW),
         "narrow and dark": ("", {**NARROW, "color_scheme": "dark"})}


@pytest.mark.browser
@pytest.mark.parametrize("host", HOSTS)
def test_axe_finds_nothing(visit, host):
    """All three on one page, one of them twice: no id may clash, nothing may be wider than the screen."""
    attributes, settings = HOSTS[host]
    demos = (*DEMOS.values(), widgets.LogitGradients)
    page = visit("".join(demo().to_html() for demo in demos), attributes, **settings)
    assert page.locator(".gan-game").count() == 4
    found = [(v["id"], v["nodes"][0]["html"][:200]) for v in Axe().run(page).response["violations"]]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_stripped_of_its_script_the_still_stands(visit):
    html = "".join(demo().to_html() for demo in DEMOS.values())
    page = visit(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    assert page.locator("figure img").count() == 3
    for still in page.locator("figure img").all():
        assert still.evaluate("img => img.complete && img.naturalWidth > 0")
    assert page.get_by_text("where scripts may run").count() == 3
