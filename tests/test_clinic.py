"""The clinic: each case has one fault, was run as its code stands, keeps its claim; and the page that shows it."""

import ast
import functools
import inspect
import re
from pathlib import Path

import node
import pytest
import torch
import traitlets
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from site_fixtures import LONG
from torch import nn

import gan_utils as gu
from gan_utils import clinic, widgets
from gan_utils.clinic import patients
from gan_utils.clinic.__main__ import trained
from gan_utils.clinic.cases import bare
from gan_utils.widgets import base
from gan_utils.widgets import clinic as page_of

TESTS = Path(__file__).parent
CASES = pytest.mark.parametrize("name", clinic.CASES)


# ------------------------------------------------------------------------------- the cases


def test_there_are_twenty_five_or_more():
    assert len(clinic.CASES) >= 25
    assert list(clinic.recorded()) == list(clinic.CASES)


@CASES
def test_a_case_differs_from_its_patient_in_one_method(name):
    one = clinic.CASES[name]
    methods = [key for key, value in vars(one.sick).items() if inspect.isfunction(value)]
    assert methods == [one.method]
    assert hasattr(one.sound, one.method)
    rest = {key for key in vars(one.sick) if not key.startswith("__")} - {one.method}
    assert rest <= {"curve", "floor"}, "what else it sets may only choose what is drawn"


@CASES
def test_the_code_shown_is_the_code_that_ran(name):
    """cases.json holds both sources from the day of the runs; a change of either asks for new runs."""
    sick, sound = clinic.code(clinic.CASES[name])
    assert clinic.recorded()[name]["code"] == [sick, sound]
    lines = clinic.difference(sick, sound)
    assert any(line.startswith("- ") or line.startswith("+ ") for line in lines)
    assert "\n".join(line[2:] for line in lines if line[:1] != "-").rstrip() == "\n".join(
        line.rstrip() for line in bare(sound).rstrip().splitlines())


@CASES
def test_words_are_whole(name):
    one = clinic.CASES[name]
    assert len(set(one.others)) == 3 and name not in one.others and set(one.others) <= set(clinic.CASES)
    for text in (one.symptoms, one.sign, one.reason, one.sick.task):
        assert len(text.split()) >= 6 and text.rstrip().endswith(".")
    assert not one.fault.endswith(".") and not one.title.endswith(".")
    assert one.fault not in one.symptoms
    assert len({clinic.CASES[choice].fault for choice in (name, *one.others)}) == 4


@CASES
def test_recorded_runs_are_whole(name):
    """Three seeds, sick and repaired, every figure that is shown; a run that did not stop has samples."""
    kept, one = clinic.recorded()[name], clinic.CASES[name]
    assert kept["of"] == [0, 1, 2]
    for kind in ("sick", "sound"):
        assert len(kept[kind]["end"]) == 3
        assert all(set(end) == set(one.figures) for end in kept[kind]["end"])
        assert kept[kind]["look"] or kept[kind]["stopped"]
    assert kept["sound"]["stopped"] is None
    assert kept["sick"]["end"] != kept["sound"]["end"], "the figures shown do not tell the two apart"


@CASES
def test_a_test_catches_the_fault_in_the_package(name):
    """`caught_by` names a test that exists; that it notices its fault is what tests/mutants.py is for."""
    file, test = clinic.CASES[name].caught_by.split("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert test in {item.name for item in tree.body if isinstance(item, ast.FunctionDef)}


AGAIN = ["smooth-both", "norm-of-the-batch", "mix-without-gradient", "root-of-zero"]


@pytest.mark.parametrize("name", AGAIN)
def test_recorded_figures_come_again(name):
    """Run again, seed 0. Another CPU rounds otherwise, and a run carries that on: a tenth, or .02, of tolerance."""
    one, kept = clinic.CASES[name], clinic.recorded()[name]
    runs = [trained(patient, 0).end() for patient in (one.sick, one.sound)]
    assert one.claim(*runs)
    for run, kind in zip(runs, ("sick", "sound"), strict=True):
        for figure, value in kept[kind]["end"][0].items():
            assert run[figure] == pytest.approx(value, rel=0.1, abs=0.02), (kind, figure)


# ------------------------------------------------------------------------------- the sound twins, and the package


def test_sound_steps_are_those_of_the_package():
    """Ten steps of the patient on the line, and ten by gu.d_step and gu.g_step from the same weights and draws.

    Real and fake go through D in one pass there and in two here: equal to rounding, 1e-5.
    """
    here, there = patients.Line(3), patients.Line(3)
    for _ in range(10):
        losses = here.d_step(), here.g_step()
        x, z = there.real(there.batch), there.noise(there.batch)
        d = gu.d_step(there.G, there.D, there.opt_d, x, z, gu.non_saturating,
                      lambda x, _: 0.5 * there.r1_gamma * gu.r1_penalty(there.D, x))
        g = gu.g_step(there.G, there.D, there.opt_g, there.noise(there.batch), gu.non_saturating)
        torch.testing.assert_close(losses, (d["d_loss"], g["g_loss"]), rtol=1e-4, atol=1e-5)
    for a, b in zip(here.G.parameters(), there.G.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_the_critic_s_penalty_is_that_of_the_package():
    """The same mixing shares, drawn from the same stream: 10 times E[(slope - 1)^2]."""
    critic = patients.Critic(0)
    x, fake = critic.real(64), critic.noise(64)
    state = critic.stream.get_state()
    slope = critic.slope(critic.gradient(critic.mix(x, fake)))
    critic.stream.set_state(state)
    want = gu.gradient_penalty(critic.D, x, fake, generator=critic.stream)
    torch.testing.assert_close((slope - 1).square().mean(), want)


def test_steps_return_numbers_without_graphs():
    """What a step of the package hands out keeps no graph alive."""
    line = patients.Line(0)
    d = gu.d_step(line.G, line.D, line.opt_d, line.real(8), line.noise(8), gu.non_saturating)
    g = gu.g_step(line.G, line.D, line.opt_g, line.noise(8), gu.non_saturating)
    assert all(value.grad_fn is None and not value.requires_grad for value in (*d.values(), *g.values()))
    assert patients.kept_nodes([d["d_loss"], g["g_loss"]]) == 0


def test_discriminators_end_in_a_linear_layer():
    """No sigmoid at the end: a logit may be any number, and the loss applies the sigmoid itself."""
    for build in (gu.toy_discriminator, gu.classic_discriminator, gu.conv_discriminator):
        assert isinstance(build(generator=gu.seeded(0))[-1], nn.Linear)


def test_toy_networks_are_not_linear():
    """A linear f has f(2x) - f(x) = f(x) - f(0) at every x, to rounding."""
    G, D = gu.toy_generator(3, generator=gu.seeded(0)), gu.toy_discriminator(generator=gu.seeded(0))
    for net, width in ((G, 3), (D, 1)):
        x = 3 * torch.randn(50, width, generator=gu.seeded(1))
        with torch.no_grad():
            bend = net(2 * x) - 2 * net(x) + net(torch.zeros_like(x))
        assert float(bend.abs().max()) > 0.01


def test_batchnorm_normalises():
    """Input of variance .1 leaves the generator's BatchNorm with standard deviation 1; with eps .8, with .33."""
    norms = [layer for layer in gu.conv_generator(generator=gu.seeded(0)).modules()
             if isinstance(layer, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        x = 0.1**0.5 * torch.randn(64, norm.num_features, 8, 8, generator=gu.seeded(1))
        assert float(norm(x).detach().std()) == pytest.approx(1, abs=0.01)


def test_ten_moves_along_a_constant_gradient_go_ten_units():
    """A score linear in z with slope -1 and rate .1: ten moves go 10 times .1; piled up they would go 55 times .1."""
    walk = patients.FreeWalk(0)
    walk.score = lambda z: -z.sum()
    z = start = torch.zeros(2, 64)
    for _ in range(10):
        z = walk.move(z)
    torch.testing.assert_close(z - start, torch.full((2, 64), 1.0))
    sick = clinic.CASES["code-gradients-pile"].sick(0)
    sick.score, sick.z = walk.score, torch.zeros(2, 64)
    for _ in range(10):
        z = sick.move(sick.z)
    torch.testing.assert_close(z.detach(), torch.full((2, 64), 5.5))


def test_pulled_codes_stay_on_their_shell():
    """The prior's codes have length near sqrt(64) = 8: the pull puts any code back there, in its own direction."""
    walk, z = patients.Walk(0), 3 * torch.randn(5, 64, generator=gu.seeded(0))
    pulled = walk.pull(z)
    torch.testing.assert_close(pulled.norm(dim=1), torch.full((5,), 8.0))
    torch.testing.assert_close(nn.functional.cosine_similarity(z, pulled), torch.ones(5))


def test_looking_changes_nothing():
    watched, alone = patients.Critic(1), patients.Critic(1)
    watched.measure()
    watched.look()
    for _ in range(3):
        assert torch.equal(watched.d_step(), alone.d_step())


# ------------------------------------------------------------------------------- in Python


def test_state_is_read_and_set_from_python():
    demo = widgets.Clinic()
    first, second = list(clinic.CASES)[:2]
    assert demo.case == first and demo.score == (0, 0)
    demo.answers = {first: first, second: clinic.CASES[second].others[0]}
    demo.case = second
    assert demo.score == (1, 2)


@pytest.mark.parametrize("settings, error, words", [
    ({"names": ["no-such"]}, ValueError, "no 'no-such' here; there are label-zero"),
    ({"names": []}, ValueError, "no case given"),
    ({"case": "no-such"}, traitlets.TraitError, "no 'no-such' here"),
    ({"answers": {"label-zero": "one-hit"}}, traitlets.TraitError, "no 'one-hit' here; there are")])
def test_bad_state_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        widgets.Clinic(**settings)


def test_output_is_light_carries_a_still_and_asks_for_nothing():
    bundle, _ = widgets.Clinic()._repr_mimebundle_()
    page = bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert re.search(r'<img src="data:image/png;base64,[^"]+" width="\d+" alt="[^"]{40,}\."', page)
    assert set(re.findall(r"https?://[^\s\"'`)]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert len(page) < 600_000
    assert page == widgets.Clinic().to_html()


def test_choices_do_not_tell_by_their_place():
    """The right one stands in each of the four places, in none more often than in half of the cases."""
    cases = page_of.contents(list(clinic.CASES))["cases"]
    places = [one["choices"].index(one["name"]) for one in cases]
    assert all(0 < places.count(k) <= len(places) / 2 for k in range(4))


# ------------------------------------------------------------------------------- the page's arithmetic


@pytest.fixture(scope="module")
def in_node(tmp_path_factory):
    return functools.partial(node.in_node(tmp_path_factory.mktemp("js"), clinic=base.source("clinic")), "clinic")


def test_counts_numbers_and_limits(in_node):
    cases = [{"name": n, "choices": ["a", "b"]} for n in "ab"]
    assert in_node("return js.tally(given, {a: 'a', b: 'a', c: 'c'});", cases) == {"right": 1, "answered": 2, "of": 2}
    assert in_node("return js.sane({a: 'b', b: 'x', c: 'a'}, given);", cases) == {"a": "b"}
    assert in_node("return [js.sane(null, given), js.sane('x', given)];", cases) == [{}, {}]
    words = in_node("return given.map(js.short);", [0, 0.5, -1.2345, 1234.5, 2e7, 0.00002, None])
    assert words == ["0", "0.5", "\u22121.23", "1235", "2.0e+7", "2.0e\u22125", "not a number"]
    assert in_node("return js.ticks(0, 10);") == [0, 2.5, 5, 7.5, 10]
    low, high = in_node("return js.limits([[1, null, 3]], [5]);")
    assert low < 1 and high > 5
    assert in_node("return js.limits([[null]]);") == [0, 1]


# ------------------------------------------------------------------------------- in a browser

NAMES = ["label-zero", "ring-of-seven", "norm-of-the-batch", "root-of-zero", "few-images", "smooth-both"]


def choose(page, name):
    page.get_by_role("radio", name=clinic.CASES[name].fault.replace("`", "")).check()
    page.get_by_role("button", name="Answer").click()


@pytest.mark.browser
def test_a_reader_plays_through_some_cases(visit):
    """Right, wrong, and back: the verdict at once, the code, the repaired run, the score, and forgetting it all."""
    page = visit(widgets.Clinic(NAMES).to_html())
    answer = page.get_by_role("button", name="Answer")
    assert answer.is_disabled()
    assert page.locator(".verdict").count() == 0 and page.get_by_text("The repaired run").count() == 0
    choose(page, "label-zero")
    assert "Right" in page.locator(".verdict").inner_text()
    assert "Right. With the label 0" in page.locator("[aria-live]").inner_text()
    assert page.locator(".verdict pre .out").inner_text().strip() == "-     return bce(fake_logits, 0.0)"
    assert page.get_by_text("The repaired run").count() == 1
    page.get_by_role("button", name="Next").click()
    wrong = clinic.CASES["ring-of-seven"].others[0]
    choose(page, wrong)
    verdict = page.locator(".verdict").inner_text()
    assert "No." in verdict and clinic.CASES["ring-of-seven"].fault in verdict
    assert "1 right of 2 answered; 6 cases" in page.locator(".score").inner_text()
    page.reload()
    expect(page.locator(".score")).to_contain_text("1 right of 2 answered", timeout=LONG)
    page.get_by_role("button", name="Start again").click()
    assert "0 right of 0 answered" in page.locator(".score").inner_text()
    assert page.locator(".verdict").count() == 0


@pytest.mark.browser
def test_letters_are_of_one_size(visit):
    """A picture that stands alone is no larger than its neighbours, on a wide screen too: the letters in it grow with
    it. The page sets the size of the text; 12 units of 330 are 12.8 pixels in a picture of 22rem."""
    page = visit(widgets.Clinic().to_html(), viewport={"width": 1280, "height": 900})
    choose(page, next(iter(clinic.CASES)))
    sizes = page.locator(".stage svg[role=img]").evaluate_all("all => all.map(e => 12 * e.clientWidth / 330)")
    assert len(sizes) == 5
    assert 9 < min(sizes) <= max(sizes) < 13, sizes


@pytest.mark.browser
def test_every_case_shows_and_answers(visit):
    page = visit(widgets.Clinic().to_html())
    for name in clinic.CASES:
        page.get_by_role("combobox", name="Case").select_option(name)
        assert page.locator("fieldset input[type=radio]").count() == 4
        choose(page, name)
        assert "Right" in page.locator(".verdict").inner_text(), name
    assert f"{len(clinic.CASES)} right of {len(clinic.CASES)}" in page.locator(".score").inner_text()


@pytest.mark.browser
def test_by_key_alone_and_without_storage(visit):
    """Where the browser refuses to keep anything the answers last as long as the page."""
    head = "<script>Object.defineProperty(window, 'localStorage', {get() {throw new Error('refused')}})</script>"
    page = visit(widgets.Clinic(NAMES).to_html(), head=head)
    page.locator("fieldset input[type=radio]").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert page.locator("fieldset input[type=radio]").nth(1).is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert "of 1 answered" in page.locator(".score").inner_text()
    assert page.locator(".verdict").evaluate("node => node === document.activeElement")


NARROW = {"viewport": {"width": 390, "height": 800}}
HOSTS = {"page": ("", {}), "dark page": (' data-theme="dark"', {}), "narrow and dark": ("", {
    **NARROW, "color_scheme": "dark"})}


@pytest.mark.browser
@pytest.mark.parametrize("host", HOSTS)
def test_axe_finds_nothing(visit, host):
    """Before and after an answer, of every kind of picture, two copies on a page; nothing wider than the screen."""
    attributes, settings = HOSTS[host]
    page = visit(2 * widgets.Clinic(NAMES).to_html(), attributes, **settings)
    first = page.locator(".gan-clinic").first
    for k, name in enumerate(NAMES):
        if k:
            first.get_by_role("combobox", name="Case").select_option(name)
            first.get_by_role("radio").first.check()
            first.get_by_role("button", name="Answer").click()
        if k in (0, 2, 4):
            found = [(v["id"], v["nodes"][0]["html"][:200]) for v in Axe().run(page).response["violations"]]
            assert found == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


@pytest.mark.browser
def test_stripped_of_its_script_the_still_stands(visit):
    page = visit(re.sub(r"<script.*?</script>", "", widgets.Clinic().to_html(), flags=re.DOTALL))
    assert page.locator("figure img").evaluate("img => img.complete && img.naturalWidth > 0")
    assert page.get_by_text("where scripts may run").count() == 1
