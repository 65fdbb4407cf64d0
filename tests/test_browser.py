"""The built site in a real browser: every page, light and dark, wide and narrow, by mouse, finger and key."""

import functools
import gzip
import http.server
import json
import shutil
import threading
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from site_fixtures import pages, site

pytestmark = pytest.mark.browser
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LARGEST = 1_000_000  # bytes that a page may load, compressed
PRESSED = (".woff2", ".png", ".webp", ".jpg")  # gzip would gain nothing
EXPLORER = ".gan-explorer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The site served from a subfolder, as a project's page is, not from the root."""
    folder = tmp_path_factory.mktemp("www")
    shutil.copytree(site(), folder / "some" / "book")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/book"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Visit:
    """A page that is open, with everything that it asked for and complained about."""

    def __init__(self, browser, address, **context):
        context = {"viewport": WIDE, **context}
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.asked, self.complaints = set(), []
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.goto(address)
        self.page.wait_for_load_state("networkidle")

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def foreign(self):
        """Requests to another host than this machine; data and blob addresses are part of the page."""
        return [url for url in self.asked if urlsplit(url).scheme not in ("file", "data", "blob")
                and urlsplit(url).hostname != "127.0.0.1"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()


def relative(page):
    return page.relative_to(site()).as_posix()


def test_every_page_loads_from_the_disk(browser):
    """No error, no warning, no request but to the site's own files."""
    for page in pages():
        with Visit(browser, page.as_uri()) as visit:
            assert visit.complaints == [], relative(page)
            assert visit.foreign() == [], relative(page)
            assert all(url.startswith(site().as_uri()) for url in visit.asked
                       if url.startswith("file:")), relative(page)


def test_every_page_loads_from_a_subfolder_of_a_server(browser, server):
    for page in pages():
        with Visit(browser, f"{server}/{relative(page)}") as visit:
            assert visit.complaints == [], relative(page)
            assert visit.foreign() == [], relative(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [NARROW, WIDE], ids=["narrow", "wide"])
def test_axe_finds_nothing(browser, scheme, viewport):
    """axe-core's whole rule set; and the page follows the reader's system into the dark.

    Without motion: half-way through a fade from one theme to the other a colour has a contrast that nobody reads.
    """
    axe = Axe()
    for page in pages():
        with Visit(browser, page.as_uri(), color_scheme=scheme, viewport=viewport,
                   reduced_motion="reduce") as visit:
            theme = visit.page.evaluate("document.documentElement.dataset.theme ?? null")
            assert theme in (scheme, None), relative(page)
            found = [(v["id"], v["nodes"][0]["html"][:200]) for v in axe.run(visit.page).response["violations"]]
            assert found == [], relative(page)


def test_nothing_scrolls_sideways_on_a_narrow_screen(browser):
    for page in pages():
        with Visit(browser, page.as_uri(), viewport=NARROW) as visit:
            excess = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert excess <= 0, relative(page)


def test_a_page_with_all_that_it_loads_is_light(browser):
    """The files that the browser asked for, each compressed as a server would, fonts and pictures as they are."""
    for page in pages():
        with Visit(browser, page.as_uri()) as visit:
            visit.page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
            visit.page.wait_for_load_state("networkidle")
            files = {unquote(urlsplit(url).path) for url in visit.asked if url.startswith("file:")}
            weight = sum(compressed(file) for file in files)
            assert weight <= LARGEST, f"{relative(page)}: {weight:,} bytes"


def compressed(file):
    with open(file, "rb") as stream:
        data = stream.read()
    return len(data) if file.endswith(PRESSED) else len(gzip.compress(data, 6))


# ------------------------------------------------------------------ demonstrations

def pages_with(kind):
    found = [page for page in pages() if f'"gan-{kind}"' in page.read_text(encoding="utf-8")]
    assert found, f"no page has a {kind}"
    return found


def canvas(visit):
    """The explorer's picture as it stands, as a string."""
    visit.page.wait_for_timeout(150)  # a frame or two
    return visit.page.locator(f"{EXPLORER} canvas").first.evaluate("c => c.toDataURL()")


def test_explorer_moves_by_mouse_and_by_key(browser):
    for page in pages_with("explorer"):
        with Visit(browser, page.as_uri()) as visit:
            slider = visit.page.locator(f"{EXPLORER} input[type=range]").first
            slider.scroll_into_view_if_needed()
            box, before = slider.bounding_box(), canvas(visit)
            visit.page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
            after_mouse = canvas(visit)
            assert after_mouse != before, relative(page)
            slider.focus()
            for _ in range(8):
                visit.page.keyboard.press("ArrowLeft")
            assert canvas(visit) != after_mouse, relative(page)
            assert visit.complaints == []


def test_explorer_moves_by_finger(browser):
    page = pages_with("explorer")[0]
    with Visit(browser, page.as_uri(), viewport=NARROW, has_touch=True) as visit:
        slider = visit.page.locator(f"{EXPLORER} input[type=range]").first
        slider.scroll_into_view_if_needed()
        box, before = slider.bounding_box(), canvas(visit)
        visit.page.touchscreen.tap(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
        assert canvas(visit) != before


def test_explorer_draws_within_a_frame(browser, record_property):
    """Its own timing hook gives milliseconds a picture: reported, and asserted only to be a number above 0."""
    page = pages_with("explorer")[0]
    with Visit(browser, page.as_uri()) as visit:
        took = visit.page.locator(EXPLORER).first.evaluate("root => root.explorer.benchmark(50)")
        record_property("milliseconds_per_picture", took)
        print(f"explorer: {took:.2f} ms a picture; 60 frames a second leave 16.7")
        assert took > 0


def test_time_lapse_moves_by_key(browser):
    page = pages_with("scrubber")[0]
    with Visit(browser, page.as_uri()) as visit:
        slider = visit.page.locator(".gan-scrubber input[type=range]").first
        slider.scroll_into_view_if_needed()
        before = slider.get_attribute("aria-valuetext")
        slider.focus()
        visit.page.keyboard.press("Home")
        visit.page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") != before


def test_without_scripts_a_still_and_a_sentence_stay(browser):
    page = pages_with("explorer")[0]
    with Visit(browser, page.as_uri(), java_script_enabled=False) as visit:
        still = visit.page.locator('[data-gan-demo]').first
        assert len(still.locator("img").first.get_attribute("alt").split()) >= 4
        assert len(still.inner_text().split()) >= 5


def test_quiz_answers_when_a_choice_is_opened(browser):
    """With the keyboard, and without any script."""
    page = next(page for page in pages() if "quiz-choice" in page.read_text(encoding="utf-8"))
    with Visit(browser, page.as_uri()) as visit:
        choice = visit.page.locator("details.quiz-choice").first
        answer = choice.locator(":scope > p").first
        assert not answer.is_visible()
        choice.locator("summary").focus()
        visit.page.keyboard.press("Enter")
        assert answer.is_visible()


def test_search_finds_a_word(browser, server):
    with Visit(browser, f"{server}/search.html?q=discriminator") as visit:
        visit.page.wait_for_selector("#search-results li")
        assert visit.complaints == []


def test_the_reader_can_change_the_theme(browser):
    with Visit(browser, (site() / "book" / "index.html").as_uri(), color_scheme="light") as visit:
        button = visit.page.locator("button.theme-switch-button:visible").first
        seen = set()
        for _ in range(3):
            button.click()
            seen.add(visit.page.evaluate("document.documentElement.dataset.theme"))
        assert seen == {"light", "dark"}, json.dumps(sorted(seen))


def test_the_dark_is_not_printed(browser):
    with Visit(browser, (site() / "book" / "index.html").as_uri(), color_scheme="dark") as visit:
        themes = [visit.page.evaluate("name => { if (name) dispatchEvent(new Event(name));"
                                      " return document.documentElement.dataset.theme }", name)
                  for name in (None, "beforeprint", "afterprint")]
        assert themes == ["dark", "light", "dark"]
