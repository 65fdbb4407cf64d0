"""What strangers get: the wheel, the source archive, an installation beside Colab's torch, workflows, citation."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml
from site_fixtures import ROOT

import gan_utils as gu

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
# An environment like Colab's: torch with CUDA, no anywidget, ipywidgets of the series before.
COLAB = {"torch": "2.8.0+cu126", "torchvision": "0.23.0+cu126", "numpy": "2.0.2", "scipy": "1.16.2",
         "matplotlib": "3.10.0", "pillow": "11.3.0", "ipywidgets": "7.7.1", "safetensors": "0.6.2", "tqdm": "4.67.1"}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """(source archive, the wheel built from what it holds): the archive alone must be enough."""
    out, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():  # a copy, so that nothing is left in the tree
        if (name.startswith("gan_utils/") or "/" not in name) and (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    program = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=source, check=True, capture_output=True)
    (archive,) = out.glob("*.tar.gz")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", out, archive], check=True)
    (wheel,) = out.glob("*.whl")
    return archive, wheel


def package_files():
    listed = subprocess.run(["git", "ls-files", "gan_utils"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_wheel_and_archive_hold_the_package_with_its_data(archives):
    """Code, data, trained networks, scripts; only the programs that made the data stay in the repository."""
    archive, wheel = archives
    with zipfile.ZipFile(wheel) as file:
        inside = set(file.namelist())
    made_by = {name for name in package_files() if re.match(r"gan_utils/(data|checkpoint)_files/\w+\.py", name)}
    assert package_files() - made_by - inside == set()
    with tarfile.open(archive) as file:
        assert any(name.endswith("gan_utils/data_files/letters.png") for name in file.getnames())
        assert any(name.endswith("/LICENSE") for name in file.getnames())


def test_sizes_are_as_stated(archives):
    """README says how large the wheel is; to the next whole megabyte."""
    stated = int(re.search(r"wheel of about (\d+) MB", (ROOT / "README.md").read_text(encoding="utf-8"))[1])
    for path in archives:
        assert abs(path.stat().st_size / 1e6 - stated) < 1, path.stat().st_size


def test_installed_elsewhere_it_trains_and_draws(archives, tmp_path):
    """The wheel alone, in an empty folder: a generator that ships, and a short run from the command line."""
    place = tmp_path / "installed"
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", place, archives[1]], check=True)
    environment = {**os.environ, "PYTHONPATH": str(place)}

    def run(*command):
        return subprocess.run([sys.executable, "-m", "gan_utils", *command], cwd=tmp_path, env=environment,
                              check=False, capture_output=True, text=True)

    done = run("sample", "mnist-mapped", "--n", "4", "--out", "samples.npz")
    assert done.returncode == 0, done.stderr
    done = run("train", "gaussian-1d", "--steps", "20", "--out", "run")
    assert done.returncode == 0, done.stderr
    where = subprocess.run([sys.executable, "-c", "import gan_utils; print(gan_utils.__file__)"], cwd=tmp_path,
                           env=environment, check=True, capture_output=True, text=True).stdout
    assert where.startswith(str(place))


def pretend(folder, name, version):
    """A distribution as pip sees it: a folder of metadata."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "INSTALLER").write_text("pip\n")
    (info / "RECORD").write_text("")


def offered(folder, name, version):
    """An empty wheel that pip may choose."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def chosen(wheel, tmp_path, there):
    """What pip would install into an environment that has `there`, with newer versions of everything on offer."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "colab"], check=True)
    (packages,) = [*tmp_path.glob("colab/lib/python3*/site-packages"), *tmp_path.glob("colab/Lib/site-packages")]
    for name, version in there.items():
        pretend(packages, name, version)
    for name in (*COLAB, "anywidget"):
        offered(tmp_path, name, {"torch": "2.99", "anywidget": "0.99", "ipywidgets": "8.99"}.get(name, "99"))
    (python,) = [*tmp_path.glob("colab/bin/python"), *tmp_path.glob("colab/Scripts/python.exe")]
    report = tmp_path / "report.json"
    # this folder alone is on offer, whatever this machine's pip is told otherwise
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    subprocess.run([*PIP, "--python", python, "install", "--dry-run", "--report", report, "--no-index",
                    "--find-links", tmp_path, wheel], check=True, capture_output=True, env=environment)
    return {item["metadata"]["name"].replace("-", "_") for item in json.loads(report.read_text())["install"]}


def test_colab_s_torch_is_left_untouched(archives, tmp_path):
    assert chosen(archives[1], tmp_path, COLAB) == {"gan_utils", "anywidget", "ipywidgets"}


def test_a_torch_that_is_too_old_is_replaced(archives, tmp_path):
    """The test above would notice: of a torch outside the range, pip says so."""
    assert "torch" in chosen(archives[1], tmp_path, COLAB | {"torch": "2.3.1"})


# ------------------------------------------------------------------ files that a host reads

@pytest.mark.parametrize("workflow", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.stem)
def test_workflows_run_commands_that_exist(workflow):
    """Each `make` target, file and folder that a step names; GitHub itself is not here to run them."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands
    for command in commands:
        if command.startswith("make "):
            assert set(command.split()[1:]) <= targets, command
        for name in re.findall(r"(?:tests|book)/[\w/]+\.py|\.ci/run|requirements\.txt", command):
            assert (ROOT / name).exists(), name
    assert all(job["timeout-minutes"] <= 90 for job in jobs.values() if len(job["steps"]) > 1)


FIRST_ON_NODE_24 = {"checkout": 5, "setup-python": 6, "upload-artifact": 6, "upload-pages-artifact": 5,
                    "deploy-pages": 5}


@pytest.mark.parametrize("workflow", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.stem)
def test_actions_run_on_a_node_that_runners_have(workflow):
    """GitHub's runners dropped Node 20 in September 2026; each action's own major that came with Node 24, or later."""
    used = re.findall(r"uses: actions/([\w-]+)@v(\d+)", workflow.read_text(encoding="utf-8"))
    assert used
    assert all(int(major) >= FIRST_ON_NODE_24[name] for name, major in used), used


def test_publishing_checks_first_and_deploys_after():
    jobs = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step.get("run") or step["uses"] for step in jobs["build"]["steps"]]
    assert steps.index(".ci/run") < next(i for i, step in enumerate(steps) if "upload-pages-artifact" in step)
    assert jobs["deploy"]["needs"] == "build"


def test_citation_and_changelog_are_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "title", "message", "authors"} <= set(citation)
    assert citation["version"] == gu.__version__
    assert f"## {gu.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_binder_takes_the_small_torch_first():
    script = ROOT / ".binder/postBuild"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert "whl/cpu torch torchvision" in lines[0]
    assert " . " in lines[1]
    subprocess.run(["bash", "-n", script], check=True)
