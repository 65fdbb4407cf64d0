"""Run the chapters in place and write their outputs: `python notebooks/execute.py [CHAPTER ...]`.

Each chapter is stamped with the book's public address (from _config.yml), run from top to bottom in
a fresh kernel, and cleaned, so that a second run changes nothing but what the chapter computes. A
chapter whose outputs hold a warning or a machine's path is refused and left as it was.

    --check   run nothing; say what is not stamped or not clean, and fail if anything is
    --stamp   run nothing; stamp and clean
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.font_manager  # noqa: F401  its first import may write to stderr: here, then
import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LARGEST = 1_500_000  # bytes of a chapter with its outputs
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_KEYS = {"tags", "jupyter", "cellView", "mystnb"}
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python",
                      "nbconvert_exporter": "python", "pygments_lexer": "ipython3"},
}
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|Users|root|tmp|work|opt|var|mnt|content)/[\w.-]+"
                          r"|[A-Z]:\\\\?Users|site-packages|ipykernel_\d+")
WARNING = re.compile(r"^.*\b\w*Warning\b:.*$", re.MULTILINE)

COLAB_SETUP = '''\
# @title In Colab only: install the book's package
import importlib.util
import subprocess
import sys

missing = importlib.util.find_spec("gan_utils") is None
if "google.colab" in sys.modules and missing:
    source = "git+{url}@{ref}"
    # Colab's own torch is kept: pip adds only what is missing.
    pip = [sys.executable, "-m", "pip", "install", "-q", source]
    if subprocess.run(pip).returncode:
        raise SystemExit(f"Could not install gan_utils from {{source}}. "
                         "Check the network, then run this cell again.")'''


# ------------------------------------------------------------------ the public address

def address():
    """(url, branch or tag) of the book's repository: the one place is _config.yml."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return repository["url"].rstrip("/"), repository["branch"]


def badge(name):
    url, ref = address()
    path = url.removeprefix("https://github.com/")
    colab = f"https://colab.research.google.com/github/{path}/blob/{ref}/notebooks/{name}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{path}/{ref}?urlpath=lab/tree/notebooks/{name}.ipynb"
    return f"[Open in Colab]({colab}) · [Open in Binder]({binder})"


NAMED = r"[Cc]hapter (\d+)|[Tt]he next chapter"
LINK = re.compile(rf"\[((?:{NAMED}))\]\(\d\d-[^)]*\)")
MENTION = re.compile(rf"\[[^\]]*\]\([^)]*\)|\b(?:{NAMED})\b")


def listed():
    """{number: file} of the chapters that the book's contents list."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    files = [Path(chapter["file"]) for part in toc["parts"] for chapter in part["chapters"]]
    return {int(file.name[:2]): f"{file.name}.ipynb" for file in files if file.parent.name == "notebooks"}


def link_chapters(text, name):
    """Where `text` speaks of a chapter that the book lists, link it; any other link stays as it is."""
    files = listed()

    def link(match):
        number = int(match[1] or int(name[:2]) + 1)
        return match[0] if match[0].startswith("[") or number not in files else f"[{match[0]}]({files[number]})"

    return MENTION.sub(link, LINK.sub(r"\1", text))


def link_neighbours(nb, name):
    """A chapter says where it comes from and leads to: its lines "Needs" and "Where this leads" get links."""
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"(?ms)^\*\*(Needs|Where this leads)\.\*\*.*?(?=\n\n|\Z)",
                                 lambda match: link_chapters(match[0], name), cell.source)


def stamp(nb, name):
    """Give `nb` its Colab link and its Colab cell, right after the opening cell, and links to other chapters."""
    link_neighbours(nb, name)
    url, ref = address()
    link = nbformat.v4.new_markdown_cell(badge(name), id="open-in-colab")
    setup = nbformat.v4.new_code_cell(COLAB_SETUP.format(url=url, ref=ref), id="colab-setup")
    setup.metadata.update({"tags": ["remove-cell"], "jupyter": {"source_hidden": True},
                           "cellView": "form"})
    old = {cell.id: cell for cell in nb.cells if "id" in cell}
    if "colab-setup" in old:  # its execution count stays
        setup.execution_count = old["colab-setup"].get("execution_count")
    rest = [cell for cell in nb.cells if cell.get("id") not in (link.id, setup.id)]
    nb.cells = [*rest[:1], link, setup, *rest[1:]]


# ------------------------------------------------------------------ cleaning

def last_state(text):
    """What a terminal shows of `text`: after a carriage return, a line is written over.

    A progress bar thus leaves its final state, not one line for each refresh.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1].rstrip() for line in lines)


def merge_streams(outputs):
    """One output per stream, at the place of its first part."""
    merged, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            merged.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            merged.append(output)
    for output in streams.values():
        output.text = last_state(output.text)
    return [o for o in merged if o.output_type != "stream" or o.text.strip()]


def name_fold(cell):
    """The page folds a solution under the same title as Colab does: `# @title Solution 2.1`."""
    title = re.match(r"# @title (.+)", cell.source)
    if title:
        fold = {"code_prompt_show": title[1], "code_prompt_hide": title[1]}
        cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **fold}


def clean(nb):
    """Drop what differs from run to run or from machine to machine without meaning anything."""
    nb.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    nb.nbformat, nb.nbformat_minor = 4, 5
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict(
            {key: value for key, value in cell.metadata.items() if key in CELL_KEYS})
        if cell.cell_type != "code":
            cell.pop("attachments", None)
            continue
        if "solution" in cell.metadata.get("tags", []):
            name_fold(cell)
        cell.outputs = merge_streams(cell.outputs)
        for output in cell.outputs:
            if "data" in output:
                output.metadata = nbformat.from_dict({})
                if "text/html" in output.data:  # it works without a kernel; the view does not
                    output.data.pop(WIDGET_VIEW, None)


def text_of(output):
    """Everything a reader can read in an output; of a demonstration's HTML, not its data."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join(output.traceback)
    html = output.data.get("text/html", "")
    html = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return "\n".join([output.data.get("text/plain", ""), re.sub(r'="data:[^"]*"', "", html)])


def problems(nb):
    """What must not be published, one line each."""
    found = []
    for number, cell in enumerate(nb.cells):
        for output in cell.get("outputs", []):
            here, text = f"cell {number} ({cell.id})", text_of(output)
            if output.output_type == "error":
                found.append(f"{here} raised {output.ename}: {output.evalue}")
            if output.get("name") == "stderr":
                found.append(f"{here} wrote to stderr: {text.strip().splitlines()[0]}")
            if warning := WARNING.search(text):
                found.append(f"{here} shows a warning: {warning[0].strip()}")
            if path := MACHINE_PATH.search(text):
                found.append(f"{here} shows this machine's path {path[0]}")
            if WIDGET_VIEW in output.get("data", {}):
                found.append(f"{here} shows a widget that is blank without a kernel: "
                             "give it a text/html form")
    size = len(nbformat.writes(nb).encode())
    if size > LARGEST:
        found.append(f"it has {size:,} bytes, and may have {LARGEST:,}: fewer or smaller figures")
    return found


# ------------------------------------------------------------------ running

def run(nb):
    """Run every cell in a fresh kernel, in an empty folder: a chapter needs no file beside it."""
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(nb, timeout=600, kernel_name="python3", record_timing=False,
                       extra_arguments=["--log-level=ERROR"],
                       resources={"metadata": {"path": folder}}).execute()


def write(nb, path):
    """All or nothing: a run that is cut short leaves the chapter as it was."""
    part = path.with_suffix(".part")
    part.write_text(nbformat.writes(nb) + "\n", encoding="utf-8")
    part.replace(path)


def process(path, mode):
    """Bring one chapter up to date; return what is wrong with it."""
    before = path.read_text(encoding="utf-8")
    nb = nbformat.reads(before, as_version=4)
    stamp(nb, path.stem)
    if mode == "run":
        try:
            run(nb)
        except CellExecutionError as error:
            return [f"a cell failed, and nothing was written:\n{error}"]
    clean(nb)
    wrong = problems(nb)
    if mode == "check":
        if nbformat.writes(nb) + "\n" != before:
            wrong.append("it is not stamped or not clean: "
                         f"python notebooks/execute.py --stamp {path.stem}")
    elif not wrong:
        write(nb, path)
    return wrong


def chapters(names):
    """The chapters' files: all of them, or those whose names start with one of `names`."""
    paths = sorted(HERE.glob("[0-9]*.ipynb"))
    if not names:
        return paths
    picked = [path for path in paths if any(path.stem.startswith(Path(n).stem) for n in names)]
    if not picked:
        sys.exit(f"No chapter is called {' or '.join(names)}. There are: "
                 + ", ".join(path.stem for path in paths))
    return picked


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CHAPTER", help="such as 02; none: all")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", dest="mode", action="store_const", const="check", default="run")
    only.add_argument("--stamp", dest="mode", action="store_const", const="stamp")
    args = parser.parse_args()
    failed = False
    for path in chapters(args.names):
        start = time.perf_counter()
        wrong = process(path, args.mode)
        failed = failed or bool(wrong)
        verdict = "refused" if wrong else "ok"
        print(f"{path.name}: {verdict}, {time.perf_counter() - start:.0f} s", *wrong,
              sep="\n  ", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
