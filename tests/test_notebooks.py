"""Every chapter as a file, the program that runs them, and every chapter run again: alone, with the installed wheel."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
EXERCISE = re.compile(r"^### Exercise (\d+\.\d+) · \S.*$", re.MULTILINE)
CHOICE = re.compile(r'<details class="quiz-choice"><summary>(.+?)</summary>\n\n(.+?)\n\n</details>', re.DOTALL)

spec = importlib.util.spec_from_file_location("execute", ROOT / "notebooks" / "execute.py")
execute = importlib.util.module_from_spec(spec)
spec.loader.exec_module(execute)


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


@pytest.fixture
def nb(chapter):
    return nbformat.read(chapter, as_version=4)


def prose(nb):
    return [cell.source for cell in nb.cells if cell.cell_type == "markdown"]


def code(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def without_code(text):
    """Markdown without its fenced and inline code, which may show anything."""
    return re.sub(r"`[^`\n]+`", "", re.sub(r"(?ms)^```\w*\n.*?^```$", "", text))


# ------------------------------------------------------------------ each chapter as a file

def test_there_are_chapters():
    assert CHAPTERS


def test_is_stamped_and_clean(chapter):
    """`execute.py --check` finds nothing: address, size, warnings, machine paths, errors, blank widgets."""
    assert execute.process(chapter, "check") == []


def test_was_run_from_top_to_bottom(nb):
    counts = [cell.execution_count for cell in code(nb)]
    assert counts == list(range(1, len(counts) + 1))


def test_opens_with_its_title_and_its_time(chapter, nb):
    opening = nb.cells[0].source
    assert opening.startswith(f"# {int(chapter.name[:2])} · ")
    assert re.search(r"\d+ (s|seconds|minutes?)\b", opening), "say how long it takes on two cores"


def test_reads_the_same_everywhere(nb):
    """GitHub, Colab and JupyterLab know no directives and no roles: they would print them."""
    for text in prose(nb):
        assert not re.search(r"(?m)^\s*(```+|:::+)\s*\{", text), text[:200]
        assert not re.search(r"\{[a-z-]+(:[a-z]+)?\}`", text), text[:200]
        assert not re.search(r"^\(\S+\)=$", text, re.MULTILINE), text[:200]


def test_cells_are_short(nb):
    for cell in code(nb):
        if cell.id != "colab-setup":  # an address may be longer
            lines = cell.source.splitlines()
            assert len(lines) <= 25, f"{cell.id} has {len(lines)} lines"
            assert all(len(line) <= 79 for line in lines), f"{cell.id} is wider than 79 columns"


def test_every_figure_is_described(nb):
    """A sentence of alt text; without it the page would read out a file's name."""
    for cell in code(nb):
        if any("image/png" in o.get("data", {}) for o in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 5, f"{cell.id}: the figure needs alt text, not {alt!r}"
            assert alt.endswith("."), f"{cell.id}: {alt!r} is no sentence"
            assert not re.search(r"\.(png|svg|jpe?g|webp)\b", alt), cell.id


def test_links_are_relative_and_lead_somewhere(chapter, nb):
    """Inside the project a link is a relative path; another site's address begins with https."""
    for text in prose(nb):
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if target.startswith("#"):
                continue
            if re.match(r"[a-z]+:", target):
                assert target.startswith("https://"), target
                continue
            assert (chapter.parent / target.split("#")[0]).resolve().exists(), target


def test_says_where_it_leads(chapter, nb):
    """The last cell links the next chapter, and a later chapter's opening or ending an earlier one."""
    names = execute.listed()
    number, ending = int(chapter.name[:2]), nb.cells[-1].source
    assert "**Where this leads.**" in ending
    if number + 1 in names:
        assert f"]({names[number + 1]})" in ending, "say what the next chapter does: `execute.py --stamp` links it"
    earlier = [name for other, name in names.items() if other < number]
    assert not earlier or any(f"]({name})" in nb.cells[0].source + ending for name in earlier)


def test_exact_outputs_are_compared(nb):
    """Cells whose output is exact say so, and have an output: nbval compares it."""
    marked = [cell for cell in code(nb) if "# NBVAL_CHECK_OUTPUT" in cell.source]
    assert len(marked) >= 3
    for cell in marked:
        assert cell.outputs, f"{cell.id} promises an output and has none"


def test_quiz_answers_at_once(nb):
    """Three questions or more; of each question's choices one is right, and every choice says why."""
    text = "\n\n".join(prose(nb))
    assert re.search(r"(?m)^##+ .*Quiz", text)
    questions, end = [], None
    for match in CHOICE.finditer(text):
        if end is None or text[end:match.start()].strip():
            questions.append([])
        questions[-1].append(match[2])
        end = match.end()
    assert text.count('class="quiz-choice"') == sum(map(len, questions)), "a choice is not closed"
    assert len(questions) >= 3
    for answers in questions:
        assert len(answers) >= 2
        assert sum(a.lstrip("*").startswith("Right") for a in answers) == 1, answers
        assert all(len(a.split()) >= 4 for a in answers), answers


def exercises(nb):
    """{"4.1": the cells from its heading to the next exercise's}."""
    found, cells = {}, None
    for cell in nb.cells:
        heading = EXERCISE.search(cell.source) if cell.cell_type == "markdown" else None
        if heading:
            cells = found.setdefault(heading[1], [])
        if cells is not None:
            cells.append(cell)
    return found


def test_exercises_are_whole(chapter, nb):
    """Task and hint, a stub that raises, a checker that was run, a folded solution that passes it."""
    found = exercises(nb)
    assert len(found) >= 4
    assert all(number.startswith(f"{int(chapter.name[:2])}.") for number in found)
    for number, cells in found.items():
        assert "<summary>Hint</summary>" in cells[0].source, f"{number} has no hint"
        stub = [cell for cell in cells if "exercise" in tags(cell)]
        solution = [cell for cell in cells if "solution" in tags(cell)]
        assert len(stub) == len(solution) == 1, f"{number} needs one stub and one solution"
        assert "NotImplementedError" in stub[0].source, f"{number}: the stub does not raise"
        between = cells[cells.index(stub[0]):cells.index(solution[0])]
        checks = [cell for cell in between if re.search(r"(?m)^check\.\w+\(", cell.source)]
        assert checks, f"{number} has no cell that calls the checker"
        assert "Not answered yet" in shown(checks[-1]), f"{number}: the checker accepts the stub"
        check_solution(number, solution[0])


def check_solution(number, cell):
    assert cell.source.startswith(f"# @title Solution {number}\n"), number
    assert "hide-cell" in tags(cell), f"{number}: the page does not fold its solution"
    assert cell.metadata.get("jupyter", {}).get("source_hidden"), number
    assert cell.metadata.get("cellView") == "form", number
    assert cell.source.splitlines()[-1].startswith("check."), f"{number} is not checked"
    assert "✓" in shown(cell), f"{number}: {shown(cell)}"
    assert "✗" not in shown(cell), number


def shown(cell):
    return "\n".join(execute.text_of(output) for output in cell.outputs)


# ------------------------------------------------------------------ the program that runs them

def made(*outputs):
    """A stamped and cleaned notebook with one cell that shows `outputs`."""
    cell = new_code_cell("1 + 1", id="cell", outputs=list(outputs))
    cell.metadata["ExecuteTime"] = {"start_time": "now"}
    book = new_notebook(cells=[new_markdown_cell("# 9 · Test", id="opening"), cell])
    book.metadata["widgets"] = {"state": 1}
    execute.stamp(book, "09-test")
    execute.clean(book)
    return book


def test_stamp_is_idempotent_and_derived_from_the_settings(monkeypatch):
    monkeypatch.setattr(execute, "address", lambda: ("https://github.com/a/b", "v1"))
    book = made()
    execute.stamp(book, "09-test")
    assert [cell.id for cell in book.cells] == ["opening", "open-in-colab", "colab-setup", "cell"]
    assert "/github/a/b/blob/v1/notebooks/09-test.ipynb) · " in book.cells[1].source
    assert book.cells[1].source.endswith("/v2/gh/a/b/v1?urlpath=lab/tree/notebooks/09-test.ipynb)")
    assert "git+https://github.com/a/b@v1" in book.cells[2].source


def test_neighbours_are_linked_where_they_are_listed(monkeypatch):
    """The next chapter, and a chapter by its number; not one that the contents do not list, nor elsewhere."""
    monkeypatch.setattr(execute, "listed", lambda: {1: "01-a.ipynb", 2: "02-b.ipynb"})
    cell = new_markdown_cell("**Needs.** Chapter 2, [this](x).\n\n"
                             "**Where this leads.** The next chapter; [chapter 9](09-gone.ipynb).\n\nChapter 2.")
    for _ in range(2):  # a second time nothing changes
        execute.link_neighbours(new_notebook(cells=[cell]), "00-test")
        assert cell.source == ("**Needs.** [Chapter 2](02-b.ipynb), [this](x).\n\n"
                               "**Where this leads.** [The next chapter](01-a.ipynb); chapter 9.\n\nChapter 2.")


def test_clean_leaves_only_what_means_something():
    book = made()
    assert "widgets" not in book.metadata
    assert "ExecuteTime" not in book.cells[-1].metadata


def test_progress_bars_leave_their_last_state():
    parts = [new_output("stream", name="stdout", text=t) for t in ("0 %\r 50 %", "\r100 %\n", "done\n")]
    (output,) = made(*parts).cells[-1].outputs
    assert output.text == "100 %\ndone\n"


@pytest.mark.parametrize("output, complaint", [
    (new_output("stream", name="stderr", text="hm\n"), "wrote to stderr: hm"),
    (new_output("stream", name="stdout", text="x UserWarning: old\n"), "shows a warning"),
    (new_output("stream", name="stdout", text="saved in /home/ada/x\n"), "path /home/ada"),
    (new_output("error", ename="ValueError", evalue="no", traceback=[]), "raised ValueError: no"),
    (new_output("display_data", data={execute.WIDGET_VIEW: {}, "text/plain": "W()"}), "blank without"),
    (new_output("stream", name="stdout", text="x" * 1_500_001), "it has 1,50"),
])
def test_what_must_not_be_published_is_refused(output, complaint):
    (problem,) = execute.problems(made(output))
    assert complaint in problem


def test_a_widget_with_a_page_form_keeps_that():
    data = {execute.WIDGET_VIEW: {}, "text/html": "<p>still</p>", "text/plain": "W()"}
    book = made(new_output("display_data", data=data))
    assert execute.problems(book) == []
    assert set(book.cells[-1].outputs[0].data) == {"text/html", "text/plain"}


@pytest.mark.parametrize("in_colab, status, installs", [(False, 0, False), (True, 0, True), (True, 1, True)])
def test_colab_cell_installs_there_and_only_there(monkeypatch, in_colab, status, installs):
    """The cell is run as a chapter runs it, with pip, Colab and the absent package played by stand-ins."""
    calls = []
    fake = types.SimpleNamespace(returncode=status)
    monkeypatch.setattr(subprocess, "run", lambda command: calls.append(command) or fake)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    if in_colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    source = made().cells[2].source
    if status:
        with pytest.raises(SystemExit, match=r"Could not install gan_utils from git\+https.*again\.$"):
            exec(source, {})
    else:
        exec(source, {})
    assert bool(calls) == installs
    if installs:
        url, ref = execute.address()
        assert calls[0][1:] == ["-m", "pip", "install", "-q", f"git+{url}@{ref}"]


def test_colab_cell_leaves_an_installed_package_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", calls.append)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(made().cells[2].source, {})
    assert calls == [], "pip was run"


# ------------------------------------------------------------------ one chapter file, alone

NO_NETWORK = '''
import socket

connect = socket.socket.connect

def local_only(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the network is shut: {address}")
    return connect(self, address)

socket.socket.connect = local_only
'''


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Folder with gan_utils installed from its wheel, and with a network that reaches this machine only."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "gan_utils", source / "gan_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", source, source], check=True)
    (built,) = source.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", target, built], check=True)
    (target / "sitecustomize.py").write_text(NO_NETWORK)
    return target


def alone(chapter, folder, wheel, *command, **variables):
    """Run `command` in `folder`, which holds this one file, with the installed package and no network."""
    shutil.copy(chapter, folder)
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment = {**os.environ, **proxies, "PYTHONPATH": str(wheel), **variables}
    process = subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=False,
                             capture_output=True, text=True, timeout=900)
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-3000:]
    return process


def test_the_stand_in_for_no_network_holds(wheel, tmp_path):
    """And the package that is imported there is the wheel's, not this checkout's."""
    program = ("import gan_utils, socket\nprint(gan_utils.__file__)\n"
               "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
               "except OSError as error:\n    print(error)\n")
    process = alone(Path(__file__), tmp_path, wheel, "-c", program)
    file, error = process.stdout.splitlines()
    assert Path(file).parent.parent == wheel
    assert error.startswith("the network is shut")


def seconds(chapter):
    opening = nbformat.read(chapter, as_version=4).cells[0].source
    number, unit = re.search(r"(\d+) (s\b|seconds|minutes?)", opening).groups()
    return int(number) * (60 if unit.startswith("m") else 1)


def test_stated_times_fit_the_promise():
    """90 seconds at most for a chapter, 10 minutes for all; the last chapter adds up what the others state."""
    stated = {int(chapter.name[:2]): seconds(chapter) for chapter in CHAPTERS}
    assert max(stated.values()) <= 90
    assert sum(stated.values()) <= 600
    cells = [cell.source for cell in code(nbformat.read(CHAPTERS[-1], as_version=4))]
    (table,) = (re.search(r"STATED = (\{.+?\})", source, re.DOTALL)[1] for source in cells if "STATED = {" in source)
    assert ast.literal_eval(table) == stated


@pytest.mark.slow
def test_runs_alone_and_computes_what_is_committed(chapter, wheel, tmp_path):
    """As in Colab: one file in an empty folder, gan_utils from its wheel, the network shut.

    nbval runs its cells, and compares those that are marked with their committed outputs.
    """
    alone(chapter, tmp_path, wheel, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
          chapter.name)
    assert sorted(path.name for path in tmp_path.iterdir()) == [chapter.name], "it left files behind"


@pytest.mark.slow
def test_a_chapter_runs_as_a_plain_script(wheel, tmp_path):
    """Converted by nbconvert and run by Python, without a kernel; the quickest will do, for all are written alike."""
    chapter = min(CHAPTERS, key=seconds)
    alone(chapter, tmp_path, wheel, "-m", "nbconvert", "--to", "script", chapter.name)
    process = alone(chapter, tmp_path, wheel, f"{chapter.stem}.py", MPLBACKEND="agg")
    assert "✓" in process.stdout
