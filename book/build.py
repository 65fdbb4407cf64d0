"""Build the book and print the address of its first page: `python book/build.py`.

A warning fails the build. Every page is made afresh: Sphinx repeats no warning for a page that it
kept from an earlier run, and the whole book takes seconds.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FRONT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Hands-on GANs</title>
<meta http-equiv="refresh" content="0; url=book/index.html">
<link rel="icon" href="data:,">
</head>
<body><main><p><a href="book/index.html">Hands-on GANs: to the first page</a></p></main></body>
</html>
"""


def build(out=ROOT):
    """Build into `out`/_build/html and return the first page's path; exit where the build fails."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()",
               "build", str(ROOT),
               "--config", str(ROOT / "_config.yml"), "--toc", str(ROOT / "book" / "_toc.yml"),
               "--path-output", str(out), "--all", "-q", "-W", "--keep-going"]
    # Warnings go to stderr; what is dropped is a banner.
    status = subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.DEVNULL).returncode
    if status:
        sys.exit(status)
    front = Path(out).resolve() / "_build" / "html" / "index.html"
    front.write_text(FRONT, encoding="utf-8")  # Jupyter Book's own has no title and no language
    return front


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT, help="folder that gets _build/html")
    args = parser.parse_args()
    print(f"\nThe book is ready: {build(args.out).as_uri()}")
