"""Print the book as one PDF with bookmarks: `python book/pdf.py`, after `python book/build.py`.

Chromium prints each page of the site, pypdf joins them: links between pages become links within the file, and pages
get numbers. Needs a Chromium or Chrome (`python tests/browser.py` looks for one).
"""

import argparse
import contextlib
import html
import io
import sys
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
from browser import ADVICE, ARGUMENTS, find_browser  # noqa: E402

PAPER = {"format": "A4", "print_background": True, "tagged": True, "outline": True,
         "margin": {"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"}}
NUMBER = '<div style="width: 100%; text-align: center; font: 9px Georgia, serif"><span class="pageNumber"></span></div>'
CONTENTS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Contents</title>
<style>body {{ font: 12pt/1.7 Georgia, serif }} h1 {{ font-size: 28pt; margin: 20mm 0 10mm }}
a {{ color: inherit; text-decoration: none; display: flex; justify-content: space-between }}
h2 {{ font-size: 12pt; margin: 1em 0 .2em }}</style><h1>{title}</h1>{rows}"""


def contents():
    """[(caption, [page without its ending, ...]), ...], in the order of the book."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    parts = [(part["caption"], [chapter["file"] for chapter in part["chapters"]]) for part in toc["parts"]]
    return [("", [toc["root"]]), *parts]


@contextlib.contextmanager
def chromium():
    path = find_browser()
    if path is None:
        sys.exit(ADVICE)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser.new_page()
        browser.close()


def print_page(page, file):
    """(title, PDF) of one built page; what waits for the reader to scroll is fetched first."""
    page.goto(file.as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_load_state("networkidle")
    title = page.locator("h1").first.evaluate("h1 => h1.firstChild.textContent")
    return title, PdfReader(io.BytesIO(page.pdf(**PAPER)))


def print_contents(page, site, parts, titles, first):
    """The page in front: every title with its page number; its links are those of the site, as elsewhere."""
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    rows = ""
    for caption, files in parts:
        rows += f"<h2>{caption}</h2>" if caption else ""
        rows += "".join(f'<a href="{(site / f"{file}.html").as_uri()}"><span>{html.escape(titles[file])}</span>'
                        f"<span>{first[file]}</span></a>" for file in files)
    page.set_content(CONTENTS.format(title=html.escape(title), rows=rows))
    return PdfReader(io.BytesIO(page.pdf(**PAPER)))


def turn_links(writer, first, site):
    """A link to a page of the site leads to that page of the PDF; to one that is not in the book, nowhere."""
    targets = {(site / f"{file}.html").as_uri(): number - 1 for file, number in first.items()}
    for sheet in writer.pages:
        kept = ArrayObject()
        for reference in sheet.get("/Annots", ()):
            action = reference.get_object().get("/A", {})
            address = str(action.get("/URI", "")).split("#")[0]
            if address in targets:
                place = [writer.pages[targets[address]].indirect_reference, NameObject("/Fit")]
                action.clear()
                action.update({NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): ArrayObject(place)})
            if address in targets or not address.startswith("file:"):
                kept.append(reference)
        sheet[NameObject("/Annots")] = kept


def number_pages(page, writer):
    """Chromium counts the pages of as many empty ones; each is laid over its own."""
    page.set_content('<div style="break-after: page">&nbsp;</div>' * (len(writer.pages) - 1) + "&nbsp;")
    empty = page.pdf(**{**PAPER, "print_background": False, "outline": False}, display_header_footer=True,
                     header_template="<span></span>", footer_template=NUMBER)
    for sheet, number in zip(writer.pages, PdfReader(io.BytesIO(empty)).pages, strict=True):
        sheet.merge_page(number)


def make(page, site, target, parts):
    """Print `parts` of the built `site` with the browser's `page`, write the PDF, return its number of pages."""
    printed = {file: print_page(page, site / f"{file}.html") for _, files in parts for file in files}
    titles, first, number = {}, {}, 2  # the contents are page 1
    for file, (title, pdf) in printed.items():
        titles[file], first[file] = title, number
        number += len(pdf.pages)
    writer = PdfWriter()
    writer.append(print_contents(page, site, parts, titles, first), import_outline=False)
    for _, pdf in printed.values():
        writer.append(pdf)
    turn_links(writer, first, site)
    number_pages(page, writer)
    for sheet in writer.pages:
        sheet.compress_content_streams()  # laid over another, a sheet is written in full
    writer.compress_identical_objects()
    writer.write(target)
    return len(writer.pages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT, help="folder that has _build/html, and gets _build/book.pdf")
    built = parser.parse_args().out.resolve() / "_build"
    if not (built / "html" / "book").is_dir():
        sys.exit(f"There is no book in {built / 'html'}: build it first, `python book/build.py`.")
    with chromium() as page:
        count = make(page, built / "html", built / "book.pdf", contents())
    print(f"\nThe book has {count} pages: {(built / 'book.pdf').as_uri()}")
