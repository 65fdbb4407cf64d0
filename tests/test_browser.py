"""The built site in a real browser: every page, light and dark, wide and narrow, by mouse, finger and key."""

import functools
import gzip
import http.server
import importlib.util
import io
import json
import re
import shutil
import threading
from urllib.parse import quote, unquote, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect
from pypdf import PdfReader
from site_fixtures import ROOT, drawn, pages, site

pytestmark = pytest.mark.browser
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAPER = {"width": 657, "height": 980}  # the text of an A4 sheet, 174 mm wide, in pixels of 1/96 inch
LARGEST = 1_000_000  # bytes that a page may load, compressed
CUT = """() => [...document.querySelectorAll(".bd-article *")].filter((e) =>
    e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX)).map((e) => e.className)"""
DISTORTED = """() => [...document.querySelectorAll("img[src*='_images/']")].filter((e) =>
    Math.abs(e.width * e.naturalHeight / e.height / e.naturalWidth - 1) > .05).map((e) => e.src)"""
PAINTED = """() => new Promise((done) => {
  new PerformanceObserver((list) => done(list.getEntries()[0].name)).observe({ type: "paint", buffered: true });
})"""
PRESSED = (".woff2", ".png", ".webp", ".jpg")  # gzip would gain nothing
EXPLORER = ".gan-explorer"


# What a strict host may allow: nothing that comes from elsewhere, and no text turned into code.
POLICY = ("default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
          "img-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'self'")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The site served from a subfolder, as a project's page is, not from the root; under a strict content policy."""
    folder = tmp_path_factory.mktemp("www")
    shutil.copytree(site(), folder / "some" / "book")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/some/book"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

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


COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # what alone depends on the scheme
# Nine words in ten stand in code and formulas, each in an element of its own, and nearly all of axe's time goes into
# their contrast. Of those that have their colours by the same rules (the same elements and classes all the way up, no
# colour of their own) it measures the first; all its other rules see every element.
LIKE_ALIKE = """() => {
  const seen = new Set();
  const own = (e) => `${e.tagName}.${e.className}.${e.style?.color}`;
  const way = (e) => (e === document.body ? "" : way(e.parentElement) + own(e));
  for (const word of document.querySelectorAll(".bd-article :is(pre, code, .sig, .katex) :not(:has(*))")) {
    word.toggleAttribute("data-again", seen.has(way(word)));
    seen.add(way(word));
  }
  axe.configure({ rules: [{ id: "color-contrast", selector: ":not([data-again])" }] });
}"""
RUN = """([context, options]) => {
  window.faults = axe.run(context ?? document, { resultTypes: ["violations"], preload: false, ...options }).then(
    ({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html.slice(0, 200)]));
}"""


def begin_axe(visit, context=None, options=None):
    """Start axe-core and come back at once: pages of two contexts are two processes, and work side by side."""
    visit.page.evaluate(AXE_SCRIPT)
    visit.page.evaluate(LIKE_ALIKE)
    visit.page.evaluate(RUN, [context, options])


def end_axe(visit):
    return [tuple(fault) for fault in visit.page.evaluate("window.faults")]


def axe_faults(visit, context=None, options=None):
    begin_axe(visit, context, options)
    return end_axe(visit)


def theme(visit):
    return visit.page.evaluate("document.documentElement.dataset.theme ?? null")


@pytest.mark.timeout(3600)  # it grows with the book, and shares its cores with whatever else runs
def test_every_page_from_the_disk(browser):
    """One visit to each page, narrow and wide, asks everything.

    No error, no warning, no request but to the site's own files; not too heavy; nothing wider than the screen; then
    axe-core, its whole rule set in the light, and what depends on colours once more after the reader's system went
    dark. Without motion: half-way through a fade a colour has a contrast that nobody reads.
    """
    for page in pages():
        light = {"color_scheme": "light", "reduced_motion": "reduce"}
        with (Visit(browser, page.as_uri(), viewport=NARROW, **light) as narrow,
              Visit(browser, page.as_uri(), viewport=WIDE, **light) as wide):
            for visit in (narrow, wide):
                look_at(visit, page)
                begin_axe(visit)  # from here on complaints are axe's own: from the disk it may not read style sheets
            assert [end_axe(visit) for visit in (narrow, wide)] == [[], []], relative(page)
            for visit in (narrow, wide):
                visit.page.emulate_media(color_scheme="dark")
                if theme(visit):  # the page that leads to the first one has none
                    visit.page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
                begin_axe(visit, options=COLOURS)
            assert [end_axe(visit) for visit in (narrow, wide)] == [[], []], f"{relative(page)}, dark"


def look_at(visit, page):
    excess = visit.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert excess <= 0, f"{relative(page)} scrolls sideways"
    assert weight(visit) <= LARGEST, f"{relative(page)}: {weight(visit):,} bytes"
    assert visit.page.evaluate(DISTORTED) == [], f"{relative(page)} distorts its figures"
    assert visit.complaints == [], relative(page)
    assert visit.foreign() == [], relative(page)
    assert all(url.startswith(site().as_uri()) for url in visit.asked if url.startswith("file:")), relative(page)
    assert theme(visit) in ("light", None), relative(page)


def test_axe_would_find_a_fault(browser):
    """What the test above relies on: pale text is found in the dark by the colour rules alone, and in the light, in a
    heading as in one word of a listing."""
    page = site() / "notebooks" / "02-uniform-noise-to-gaussian.html"
    part = {"include": [["h1"], [".highlight .nb"]]}
    with Visit(browser, page.as_uri(), color_scheme="light", reduced_motion="reduce") as visit:
        visit.page.add_style_tag(content="html[data-theme=dark] :is(h1, .highlight .nb) { color: #333 !important }")
        assert axe_faults(visit, part, COLOURS) == []
        names = visit.page.locator(".highlight .nb")
        assert names.count() / 2 < names.and_(visit.page.locator("[data-again]")).count() < names.count()
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        for place in part["include"]:
            assert [name for name, _ in axe_faults(visit, {"include": [place]}, COLOURS)] == ["color-contrast"], place


def test_every_page_loads_from_a_subfolder_of_a_server_and_fits_on_paper(browser, server):
    """There, too, without a complaint; and on a sheet no demonstration is cut in two, and nothing at the right edge."""
    for page in pages():
        with Visit(browser, f"{server}/{relative(page)}") as visit:
            assert visit.complaints == [], relative(page)
            assert visit.foreign() == [], relative(page)
            on_paper(visit)
            tall = visit.page.locator(".gan-demo").evaluate_all("demos => demos.map(e => e.offsetHeight)")
            assert all(height <= PAPER["height"] for height in tall), (relative(page), tall)
            assert visit.page.evaluate(CUT) == [], f"{relative(page)} is cut at the right edge of the sheet"


@pytest.mark.parametrize("name", ["book/index", "book/laboratory", "notebooks/04-gan-on-mnist"])
def test_text_is_painted_before_any_script_has_come(browser, server, name):
    """Every file of script is held back for ever, but the settings (300 bytes) that the page's own lines build on."""
    with Visit(browser, "about:blank") as visit:
        held = []
        visit.page.route(re.compile(r"/_static/.*\.js|/searchindex\.js"),
                         lambda route: route.continue_() if "documentation_options" in route.request.url
                         else held.append(route.request.url))
        visit.page.goto(f"{server}/{name}.html", wait_until="commit")
        expect(visit.page.locator(".bd-article h1")).to_be_visible()
        assert visit.page.evaluate(PAINTED) == "first-paint"
        assert len(held) > 5


def on_paper(visit):
    visit.page.set_viewport_size(PAPER)
    visit.page.emulate_media(media="print")
    visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")


def weight(visit):
    """Bytes of all that the browser asked for, each compressed as by a server; fonts, pictures as they are."""
    visit.page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    visit.page.wait_for_load_state("networkidle")
    files = {unquote(urlsplit(url).path) for url in visit.asked if url.startswith("file:")}
    return sum(compressed(file) for file in files)


def compressed(file):
    with open(file, "rb") as stream:
        data = stream.read()
    return len(data) if file.endswith(PRESSED) else len(gzip.compress(data, 6))


def test_wide_figures_scroll_on_a_phone(browser):
    """Their words are ten pixels high instead of six, in a box that the keyboard reaches; on a desk nothing scrolls."""
    page = site() / "notebooks" / "03-the-minimax-game.html"
    with Visit(browser, page.as_uri(), viewport=NARROW) as visit:
        box = visit.page.locator(".figure-box").first
        assert box.locator("img").evaluate("img => img.width / img.naturalWidth") > 0.7
        expect(box).to_have_attribute("tabindex", "0")
        box.focus()
        visit.page.keyboard.press("ArrowRight")
        visit.page.wait_for_function("document.querySelector('.figure-box').scrollLeft > 0")
        plain = visit.page.locator(".cell_output > img")
        assert plain.count() and all(plain.evaluate_all("figures => figures.map(e => e.width < innerWidth)"))
    with Visit(browser, page.as_uri(), viewport=WIDE) as visit:
        figures = visit.page.locator(".cell_output img[src*=_images]")
        assert visit.page.locator(".figure-box").count() > visit.page.locator(".figure-box[tabindex]").count() == 0
        assert all(figures.evaluate_all("figures => figures.map(e => e.getAttribute('width') == e.naturalWidth)"))


# ------------------------------------------------------------------ demonstrations

def pages_with(kind):
    found = [page for page in pages() if f'"gan-{kind}"' in page.read_text(encoding="utf-8")]
    assert found, f"no page has a {kind}"
    return found


def canvas(visit):
    """The explorer's picture as it stands, as a string."""
    drawn(visit.page)
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
        expect(slider).not_to_have_attribute("aria-valuetext", before)


def test_without_scripts_a_still_and_a_sentence_stay(browser):
    page = pages_with("explorer")[0]
    with Visit(browser, page.as_uri(), java_script_enabled=False) as visit:
        still = visit.page.locator('[data-gan-demo]').first
        assert len(still.locator("img").first.get_attribute("alt").split()) >= 4
        assert len(still.inner_text().split()) >= 5


# ------------------------------------------------------------------ quizzes

def quiz_page():
    return next(page for page in pages() if "quiz-choice" in page.read_text(encoding="utf-8"))


def choice(visit, question, right):
    """A choice of that question (from 0) that is right, or one that is wrong."""
    choices = visit.page.locator(".quiz-question").nth(question).locator("details.quiz-choice")
    texts = choices.locator(":scope > p:first-of-type").all_text_contents()
    return choices.nth([text.startswith("Right") for text in texts].index(right))


def answer(visit, question, right):
    choice(visit, question, right).locator("summary").focus()
    visit.page.keyboard.press("Enter")


def status(visit):
    return visit.page.locator(".quiz-result [role=status]")


def test_quiz_answers_without_any_script(browser):
    with Visit(browser, quiz_page().as_uri(), java_script_enabled=False) as visit:
        opened = visit.page.locator("details.quiz-choice").first
        expect(opened.locator(":scope > p").first).to_be_hidden()
        opened.locator("summary").click()
        expect(opened.locator(":scope > p").first).to_be_visible()


def test_quiz_counts_the_first_choice_and_keeps_it(browser):
    """With the keyboard, from the disk: marked in words, said aloud, kept over a reload, shown on the first page."""
    with Visit(browser, quiz_page().as_uri()) as visit:
        of = visit.page.locator(".quiz-question").count()
        assert of >= 3
        answer(visit, 0, right=True)
        expect(choice(visit, 0, right=True)).to_contain_text("✓ right, your answer")
        expect(status(visit)).to_have_text(f"Question 1: right. 1 of {of} answered right, {of - 1} still open. "
                                           "The first choice counts.")
        answer(visit, 1, right=False)
        answer(visit, 1, right=True)  # explains itself, and does not count
        expect(choice(visit, 1, right=False)).to_contain_text("✗ wrong, your answer")
        expect(choice(visit, 1, right=True).locator(".quiz-verdict")).to_have_text("✓ right")
        expect(status(visit)).to_contain_text(f"1 of {of} answered right, {of - 2} still open")
        visit.page.reload()
        expect(choice(visit, 0, right=True)).to_have_attribute("open", "")
        expect(status(visit)).to_have_text(re.compile(rf"^1 of {of} answered right, {of - 2} still open"))
        chapter = visit.page.locator("h1").first.evaluate("h1 => h1.firstChild.textContent")
        visit.page.goto((site() / "book" / "index.html").as_uri())
        row = visit.page.locator("dt", has_text=chapter)
        expect(row.locator(".quiz-progress")).to_have_text(f"quiz: 1 of {of} right")
        visit.page.goto(quiz_page().as_uri())
        visit.page.get_by_role("button", name="Start the quiz again").click()
        expect(visit.page.locator("details.quiz-choice[open], .quiz-verdict")).to_have_count(0)
        again = rf"^All questions are open again\. 0 of {of} answered right, {of} still open"
        expect(status(visit)).to_have_text(re.compile(again))
        visit.page.goto((site() / "book" / "index.html").as_uri())
        assert visit.page.locator(".quiz-progress").count() == 0
        assert visit.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_answered_quiz_is_accessible(browser, scheme):
    with Visit(browser, quiz_page().as_uri(), color_scheme=scheme, reduced_motion="reduce") as visit:
        answer(visit, 0, right=True)
        answer(visit, 1, right=False)
        assert axe_faults(visit, {"include": [["#quiz"]]}) == []
        visit.page.goto((site() / "book" / "index.html").as_uri())
        assert axe_faults(visit, {"include": [["#the-chapters"]]}) == []


@pytest.mark.parametrize("hurdle", [
    "delete window.localStorage; Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused') }})",
    "localStorage.setItem('hands-on-gans-quiz', '[{]'); ",
    "localStorage.setItem('hands-on-gans-quiz', 'null')",
    """localStorage.setItem('hands-on-gans-quiz', '{"CHAPTER": {"answers": 7}}')""",
], ids=["refused", "no JSON", "null", "another shape"])
def test_quiz_does_without_what_was_kept(browser, hurdle):
    page = quiz_page()
    with Visit(browser, "about:blank") as visit:
        visit.page.add_init_script(hurdle.replace("CHAPTER", page.stem))
        visit.page.goto(page.as_uri())
        answer(visit, 0, right=True)
        expect(status(visit)).to_have_text(re.compile(r"^Question 1: right\. 1 of"))
        of_the_theme = ("refused", "theme mode")  # which wants to keep its mode
        assert [c for c in visit.complaints if not any(words in c for words in of_the_theme)] == []


# ------------------------------------------------------------------ paper

def test_a_page_prints_whole(browser):
    """On paper: no navigation and no buttons, folds open but for the choices of the quiz, whose answers follow it;
    and no demonstration begins at the foot of a sheet to end on the next."""
    page = quiz_page()
    with Visit(browser, page.as_uri()) as visit:
        on_paper(visit)
        shown = visit.page.evaluate("""() => [...document.querySelectorAll(
            "nav, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-footer, .quiz-result, "
            + ".gan-demo button:not(:has(canvas, img)), .copybtn")]
            .filter((e) => e.checkVisibility()).map((e) => e.className)""")
        assert shown == []
        assert visit.page.locator("details:not(.quiz-choice):not([open]), .quiz-choice[open]").count() == 0
        choices = visit.page.locator("details.quiz-choice").count()
        assert visit.page.locator(".quiz-answers p").count() == choices + 1
        fading = visit.page.evaluate("""() => [...document.querySelectorAll("details[open] > *")].filter((e) =>
            getComputedStyle(e).animationName !== "none" || getComputedStyle(e).opacity !== "1").length""")
        assert fading == 0, "a solution would be printed half-way in"
        demos = visit.page.evaluate("""() => [...document.querySelectorAll(".gan-demo")].map((e) =>
            getComputedStyle(e).breakInside)""")
        assert demos
        assert set(demos) == {"avoid"}
        reader = PdfReader(io.BytesIO(visit.page.pdf(format="A4", tagged=True, outline=True)))
        text = "\n".join(sheet.extract_text() for sheet in reader.pages)
        assert len(reader.pages) > 3
        assert "Answers" in text
        assert "Exercise 1.1" in text
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert visit.page.locator(".quiz-answers").count() == 0


def test_the_pdf_has_bookmarks_numbers_and_links(browser, tmp_path):
    """Four pages of the book, printed and joined as `make pdf` does with all."""
    spec = importlib.util.spec_from_file_location("pdf", ROOT / "book" / "pdf.py")
    pdf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pdf)
    parts = [("", ["book/index"]), ("Read", ["book/how-to-read", "book/which-chapter"]), ("Play", ["book/laboratory"])]
    with Visit(browser, "about:blank") as visit:
        count = pdf.make(visit.page, site(), tmp_path / "book.pdf", parts)
    reader = PdfReader(tmp_path / "book.pdf")
    assert len(reader.pages) == count >= 3
    assert [mark.title for mark in reader.outline if not isinstance(mark, list)] == \
        ["Hands-on GANs", "How to read this book", "Which chapter for which question", "The laboratory"]
    contents = reader.pages[0].extract_text()
    number = int(re.search(r"How to read this book\s+(\d+)", contents)[1])
    assert "How to read this book" in reader.pages[number - 1].extract_text()
    assert reader.pages[number - 1].extract_text().strip().endswith(str(number)), "the sheet bears its number"
    actions = [note.get_object().get("/A", {}) for note in reader.pages[0]["/Annots"]]
    assert [action["/S"] for action in actions] == ["/GoTo"] * 4
    addresses = [str(note.get_object().get("/A", {}).get("/URI", "")) for sheet in reader.pages
                 for note in sheet.get("/Annots", ())]
    assert not [address for address in addresses if address.startswith("file:")]
    starts = [int(n) for n in re.findall(r"\s(\d+)$", contents, re.MULTILINE)][:4]
    for number in set(range(2, count)) - {first - 1 for first in starts}:
        sheet = reader.pages[number - 1]
        assert lowest(sheet) < sheet.mediabox.height / 2, f"the lower half of sheet {number} is empty"
    assert (tmp_path / "book.pdf").stat().st_size < 100_000 * count


def lowest(sheet):
    """Distance of the lowest line of text from the foot of the sheet, in points; its number does not count."""
    heights = []
    sheet.extract_text(visitor_text=lambda text, cm, tm, *_: text.strip() and heights.append(tm[5] * cm[3] + cm[5]))
    return min(height for height in heights if height > 50)


# ------------------------------------------------------------------ finding one's way

FOUND = {"gradient_penalty": "book/api.html#gan_utils.penalties.gradient_penalty",
         "mode collapse": "book/glossary.html#term-mode-collapse",
         "r1_gamma": "book/notation.html"}


@pytest.mark.parametrize("words", FOUND)
def test_search_finds_code_and_terms(browser, words):
    """From the disk, where a page may not read its neighbours: the titles, without excerpts."""
    with Visit(browser, f"{(site() / 'search.html').as_uri()}?q={quote(words)}") as visit:
        visit.page.wait_for_selector("#search-results li")
        found = visit.page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
        assert any(address.endswith(FOUND[words]) for address in found[:4]), found[:8]
        assert visit.complaints == []


def test_search_shows_excerpts_from_a_server(browser, server):
    with Visit(browser, f"{server}/search.html?q=discriminator") as visit:
        visit.page.wait_for_selector("#search-results li p.context")
        assert visit.complaints == []


def test_names_in_the_text_open_the_package_s_function(browser):
    """A chapter's `gu.d_step`, then *[source]* beside it: two clicks from the sentence to the code."""
    page = site() / "notebooks" / "02-uniform-noise-to-gaussian.html"
    with Visit(browser, page.as_uri()) as visit:
        visit.page.locator("a.book-code", has_text="d_step").first.click()
        entry = visit.page.locator("dt#gan_utils\\.training\\.d_step")
        entry.wait_for()  # until the page has loaded, and it is in sight
        entry.locator("a.reference.internal", has_text="[source]").click()
        assert "def d_step" in visit.page.locator("div#d_step").inner_text()


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
