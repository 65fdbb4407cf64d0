"""The built site, read as files: what it loads, what it shows, and that its tables are true."""

import ast
import importlib.util
import inspect
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import sphinxcontrib.katex
import yaml
from docutils import nodes
from site_fixtures import ROOT, build, pages, site

import gan_utils as gu

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src",
         "audio": "src", "embed": "src", "object": "data"}
LOADING_LINKS = {"stylesheet", "preload", "icon", "modulepreload", "manifest"}


class Page(HTMLParser):
    """What a page loads, links to, names, shows as pictures, and says."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.ids, self.images, self.text = [], [], set(), [], []
        self._quiet = 0  # inside what is code or not shown
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "link" and LOADING_LINKS & set(attrs.get("rel", "").split()):
            self.loads.append(attrs["href"])
        if attrs.get(LOADS.get(tag, "")):
            self.loads.append(attrs[LOADS[tag]])
        if tag == "img":
            self.images.append(attrs)
        self._quiet += tag in ("script", "style", "pre", "code", "annotation")

    def handle_endtag(self, tag):
        self._quiet -= tag in ("script", "style", "pre", "code", "annotation")

    def handle_data(self, data):
        if not self._quiet:
            self.text.append(data)


def is_foreign(address):
    return urlsplit(address).scheme in ("http", "https", "ftp") or address.startswith("//")


def test_the_book_builds_without_a_warning():
    """Warnings are errors in that build; what it prints on stderr would be one."""
    _, process = build()
    assert process.returncode == 0, process.stderr[-3000:]
    assert "WARNING" not in process.stderr
    assert process.stdout.strip().startswith("The book is ready: file://")


def test_no_page_loads_anything_from_another_host():
    foreign = {page.name: [a for a in Page(page).loads if is_foreign(a)] for page in pages()}
    assert not any(foreign.values()), foreign


def test_no_style_sheet_loads_anything_from_another_host():
    for sheet in site().rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        addresses = re.findall(r"""(?:url\(\s*|@import\s+)["']?([^"')\s]+)""", text)
        assert not [a for a in addresses if is_foreign(a)], sheet.name


def test_our_own_scripts_name_no_host():
    """The theme's scripts mention addresses in comments; ours have no reason to. A namespace is a name."""
    ours = [*ROOT.glob("gan_utils/js/*.js"), *ROOT.glob("book/_static/*.js")]
    assert len(ours) > 1
    for script in ours:
        text = script.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(?m)(^|\s)//.*$", "", text), script.name


def test_every_local_link_leads_somewhere():
    parsed = {page: Page(page) for page in sorted(site().rglob("*.html"))}
    broken = []
    for page, content in parsed.items():
        for link in [*content.links, *content.loads]:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            lost = not target.exists()
            if not lost and parts.fragment and target in parsed and parts.fragment != "main-content":
                lost = parts.fragment not in parsed[target].ids
            if lost and link != "#":
                broken.append(f"{page.name}: {link}")
    assert not broken


def test_formulas_were_understood():
    """Bad TeX gives no warning: KaTeX prints it in red."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        assert "katex-error" not in text, page.name
        assert "#cc0000" not in text, page.name


def test_every_picture_has_words():
    """Alt text is a sentence and no file name; the theme's own logos may be shorter, but have it too."""
    for page in pages():
        for image in Page(page).images:
            alt = image.get("alt")
            assert alt is not None, (page.name, image)
            if not image["src"].lstrip("./").startswith("_static/"):
                assert len(alt.split()) >= 4, (page.name, alt)
                assert not re.search(r"\.(png|svg|webp|jpe?g)\b", alt), (page.name, alt)


def test_no_markup_is_left_in_the_text():
    """A directive that was not understood, or dollars around a formula, would be printed as they are."""
    for page in pages():
        if "_modules" in page.parts or page.name in ("search.html", "genindex.html"):
            continue
        text = "".join(Page(page).text)
        leftover = re.search(r"\{[a-z-]+\}`|:::|```|\{\{|\{\.[a-z]|\$\$|\$\\|\]\(http", text)
        assert leftover is None, (page.name, text[max(0, leftover.start() - 60):leftover.end() + 60])


def test_what_no_reader_needs_is_left_out():
    assert not list(site().rglob("*.map"))
    assert not list(site().glob("_static/scripts/fontawesome.js"))
    for font in site().glob("_static/vendor/fontawesome/webfonts/*"):
        assert font.stat().st_size < 20_000, f"{font.name} holds icons that no page shows"


def test_katex_style_sheet_is_of_the_version_that_rendered():
    sheet = (ROOT / "book/_static/katex/katex.min.css").read_text(encoding="utf-8")
    assert f'content:"{sphinxcontrib.katex.katex_version}"' in sheet


def test_template_follows_the_theme():
    """Our copy is the theme's own, less one script: it must be made again when the theme changes."""
    import pydata_sphinx_theme
    folder = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
    theirs = (folder / "webpack-macros.html").read_text(encoding="utf-8").splitlines()
    ours = (ROOT / "book/_templates/static/webpack-macros.html").read_text(encoding="utf-8")
    kept = [line for line in theirs if "fontawesome.js" not in line and "custom icons" not in line]
    assert ours.splitlines() == kept


# ------------------------------------------------------------------ the pages are true

def notation_rows():
    """(names in code, text of the row, name to see) of every row of the notation page's tables."""
    for line in (ROOT / "book/notation.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| ") or line.startswith("| Symbol"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([^`]+)`", cells[1])
        yield names, line, cells[-1].strip("`") or names[0]


@pytest.mark.parametrize("names, row, see", list(notation_rows()), ids=lambda value: str(value)[:30])
def test_notation_is_the_package_s(names, row, see):
    """A name is public, or a parameter of the function named beside it, or in that function's docstring;
    a shape in the row is stated in that docstring."""
    assert hasattr(gu, see), f"gan_utils has no {see}"
    thing = getattr(gu, see)
    documented = inspect.getdoc(thing) or ""
    for name in names:
        known = callable(thing) and name in inspect.signature(thing).parameters
        assert known or name == see or name in documented, f"{see} knows no {name}"
    for shape in re.findall(r"`([^`]*\([^`]*,[^`]*\)[^`]*)`", row):
        assert shape in documented, f"the docstring of {see} does not say {shape}"


@pytest.mark.parametrize("name, value", [("2\\log 2 = 1.386", gu.CHANCE_D_LOSS),
                                         ("\\log 2 = 0.693", gu.CHANCE_G_LOSS)])
def test_chance_levels_are_printed_as_they_are(name, value):
    assert f"{value:.3f}" == name.split("= ")[1]
    assert name in (ROOT / "book/notation.md").read_text(encoding="utf-8")


def test_the_package_page_lists_every_module():
    listed = set(re.findall(r"automodule:: gan_utils\.(\w+)",
                            (ROOT / "book/api.md").read_text(encoding="utf-8")))
    files = {path.stem for path in (ROOT / "gan_utils").glob("[a-z]*.py")}
    folders = {path.parent.name for path in (ROOT / "gan_utils").glob("[a-z]*/__init__.py")}
    assert listed == files | folders


def test_contents_list_every_chapter_and_page():
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text(encoding="utf-8"))
    listed = {toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])}
    chapters = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    texts = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    assert chapters
    assert listed == chapters | texts


def test_first_page_and_table_of_questions_lead_to_every_chapter():
    """Each by its own number: `[4 · A GAN on MNIST](../notebooks/04-gan-on-mnist)`, `[4](...)`."""
    written = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    for page in ("index", "which-chapter"):
        text = (ROOT / f"book/{page}.md").read_text(encoding="utf-8")
        links = re.findall(r"\[(\d+)( · [^\]]+)?\]\(\.\./notebooks/([^)]+)\)", text)
        assert {stem for _, _, stem in links} == written, page
        assert all(int(number) == int(stem[:2]) for number, _, stem in links), page


def test_readme_says_what_make_does():
    """Each command of the Makefile is in the table, and each file named there exists."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    for target in set(targets) - {"help", "lint"}:
        assert f"| `make {target}` |" in readme, target
    for name in re.findall(r"\.venv/bin/python ([\w/]+\.py)", readme):
        assert (ROOT / name).exists(), name


# ------------------------------------------------------------------ links that the build makes

spec = importlib.util.spec_from_file_location("book_links", ROOT / "book" / "_ext" / "book_links.py")
book_links = importlib.util.module_from_spec(spec)
spec.loader.exec_module(book_links)


def linked(*texts, terms=("mode collapse", "step", "logit", "entropy", "Bayes' rule")):
    """[(words, term)] of the links in paragraphs of these texts."""
    document = nodes.section("", *[nodes.paragraph("", "", nodes.Text(text)) for text in texts])
    book_links.link_terms(document, terms, lambda term: term)
    assert document.astext() == "\n\n".join(texts), "the words stay as they were"
    return [(link.astext(), link["refuri"]) for link in document.findall(nodes.reference)]


@pytest.mark.parametrize("texts, expected", [
    (["Mode collapse, and mode collapse.", "Again mode collapse."], [("Mode collapse", "mode collapse")]),
    (["Two logits, by Bayes’ rule."], [("logits", "logit"), ("Bayes’ rule", "Bayes' rule")]),
    (["The cross-entropy of a logistic model."], []),
], ids=["the first alone", "plural and apostrophe", "not within a word"])
def test_terms_are_linked_at_their_first_mention(texts, expected):
    assert linked(*texts) == expected


@pytest.mark.parametrize("code, entry", [
    ("gu.fit", "fit"), ("gan_utils.fit(steps, d_step)", "fit"), ("d_step", "d_step"), ("GanLoss", "GanLoss"),
    ("fit()", "fit"), ("training.d_step", "d_step"), ("history.fit", None), ("fit", None), ("gu.unknown", None),
    ("x + 1", None)])
def test_code_is_linked_where_it_names_the_package(code, entry):
    """A bare word may be anything; a dotted, called, joined or capitalised one is a name."""
    names = {"fit": "training.fit", "d_step": "training.d_step", "GanLoss": "losses.GanLoss"}
    names = {name: (f"gan_utils.{full}", "book/api") for name, full in names.items()}
    assert book_links.known(code, names) == names.get(entry)


def test_every_chapter_leads_to_the_glossary_and_to_the_package():
    """That the addresses exist is tested with those of all links."""
    for page in site().glob("notebooks/*.html"):
        text = page.read_text(encoding="utf-8")
        terms = re.findall(r'class="book-term [^"]*" href="\.\./book/glossary\.html#(term-[\w-]+)"', text)
        assert len(terms) >= 3, page.name
        assert len(terms) == len(set(terms)), f"{page.name} links a term twice"
        names = re.findall(r'<a class="book-code" href="\.\./book/api\.html#gan_utils\.([\w.]+)">', text)
        assert len(names) >= 3, page.name
        assert len(names) == len(set(names)), f"{page.name} links a name of its code twice"


# ------------------------------------------------------------------ the public address

def tracked_texts():
    """The project's own text files: what git knows, or would know."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        path = ROOT / name
        if path.suffix in (".md", ".py", ".ipynb", ".yml", ".toml", ".txt", ".js", ".css", ".html",
                           ".sh", ".bib", ".cfg") and path.exists():
            yield name, path.read_text(encoding="utf-8")


def test_only_the_settings_name_the_public_address():
    """Beside _config.yml only the two stamped cells of each chapter may name it; see notebooks/execute.py."""
    slug = CONFIG["repository"]["url"].rstrip("/").removeprefix("https://github.com/")
    for name, text in tracked_texts():
        if name.endswith(".ipynb"):
            nb = json.loads(text)
            nb["cells"] = [c for c in nb["cells"] if c["id"] not in ("open-in-colab", "colab-setup")]
            text = json.dumps(nb)
        if name not in ("_config.yml", "tests/test_site.py"):
            assert slug not in text, f"{name} names the repository's address"


def test_built_pages_take_the_address_from_the_settings():
    url = CONFIG["repository"]["url"]
    links = Page(site() / "book/index.html").links
    assert url in links
    for page in site().glob("notebooks/*.html"):
        colab = [link for link in Page(page).links if "colab" in link]
        branch = CONFIG["repository"]["branch"]
        path = url.removeprefix("https://github.com/")
        expected = f"/github/{path}/blob/{branch}/notebooks/{page.stem}.ipynb"
        assert colab, f"{page.name} has no link to Colab"
        assert all(urlsplit(link).path == expected for link in colab)


def reads(text, version):
    try:
        ast.parse(text, feature_version=version)
    except SyntaxError:
        return False
    return True


def test_python_files_read_on_python_3_10():
    assert not reads("match x:\n    case 1: pass\n", (3, 9)), "the check itself notices nothing"
    programs = {name: text for name, text in tracked_texts() if name.endswith(".py")}
    assert [name for name, text in programs.items() if not reads(text, (3, 10))] == []
