"""Runs every case, sick and sound, with three seeds, holds each claim against the figures, and writes cases.json.

    python -m gan_utils.clinic                # all of them: some minutes
    python -m gan_utils.clinic label-zero     # these alone; the others stay as they were recorded
"""

import argparse
import base64
import functools
import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..plots import tile
from ..runtime import write_atomic
from .cases import CASES, code, plain
from .patients import Patient

FILE = Path(__file__).with_name("cases.json")
SEEDS = (0, 1, 2)
CODE = {name: code(case) for name, case in CASES.items()}  # read now: the file may be edited while the runs go on


@functools.cache
def trained(patient: type[Patient], seed: int) -> Patient:
    """Many cases share a sound twin: it is run once."""
    return patient(seed).run()


def run(patient: type[Patient], seed: int, figure: str) -> tuple[dict, dict]:
    """What the page shows of a run, with the curve of one figure, and all figures at the end."""
    done = trained(patient, seed)
    every = done.every
    smooth = {name: [sum(part) / len(part) for part in (values[i:i + every] for i in range(0, len(values), every))]
              for name, values in done.losses.items()}
    curve = done.curves.get(figure, [])
    look = [] if done.stopped else picture(done.look()) if done.view == "digits" else done.look()
    return {"losses": smooth, "curve": curve, "look": look, "stopped": done.stopped}, done.end()


def picture(images: torch.Tensor) -> str:
    """Sixteen images as one PNG of sixteen greys, black ink on white paper, in base64."""
    ink = np.clip((1 - tile(images, 4)) / 2 * 15, 0, 15).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(ink * 17).convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def record(name: str) -> dict:
    """The case's two runs of seed 0, and the end figures of all seeds. AssertionError where the claim fails."""
    case = CASES[name]
    runs = {kind: [run(patient, seed, case.sick.curve) for seed in SEEDS]
            for kind, patient in (("sick", case.sick), ("sound", case.sound))}
    for seed in SEEDS:
        sick, mended = runs["sick"][seed][1], runs["sound"][seed][1]
        if not case.claim(sick, mended):
            shown = [{k: v for k, v in figures.items() if k in {*case.figures, "W1", "d_loss"}}
                     for figures in (sick, mended)]
            raise AssertionError(f"{name}, seed {seed}: the claim does not hold: {plain(shown)}")
    shown = {kind: {**both[0][0], "end": [{k: end[k] for k in case.figures if k in end} for _, end in both]}
             for kind, both in runs.items()}
    return plain({**shown, "code": CODE[name], "of": list(SEEDS)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CASE", help="none: all")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        print(f"no case called {unknown[0]!r}; there are {', '.join(CASES)}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)  # so small that a second thread only waits
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    failed = 0
    for name in names or CASES:
        start = time.process_time()
        try:
            kept[name] = record(name)
        except AssertionError as error:
            failed += 1
            print(error, flush=True)
            continue
        ordered = {other: kept[other] for other in CASES if other in kept}
        write_atomic(FILE, (json.dumps(ordered, separators=(",", ":"), ensure_ascii=False) + "\n").encode())
        print(f"{name:26} {time.process_time() - start:5.1f} s  "
              + "  ".join(f"{k} {kept[name]['sick']['end'][0].get(k)} / {kept[name]['sound']['end'][0].get(k)}"
                          for k in CASES[name].figures), flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
