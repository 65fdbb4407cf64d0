"""Writes the book's page of benchmarks from `results.jsonl`: `python -m benchmarks.page`.

`python -m benchmarks --jsonl benchmarks/results.jsonl` adds to that file; of each figure the last one counts, and
each machine has its own.
"""

import json
from pathlib import Path

import gan_utils as gu
from gan_utils import plots

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
BOOK = HERE.parent / "book"
PAGE, PLOT = BOOK / "benchmarks.md", BOOK / "_static" / "cost.png"

SECTIONS = {  # benchmark: heading, and what is compared
    "distances": (
        "90 seconds of a recipe",
        "`python -m gan_utils train RECIPE --seconds 90`: the Fréchet distance of 10,000 samples, and how many times "
        "the score of 10,000 held-out digits that is. One seed each. Beside it, of a conditional recipe, the share of "
        "samples in which the classifier sees the digit that was asked for.",
    ),
    "classic": (
        "To the end of the classic loop",
        "The first GAN of most tutorials (784-256-128-1 against 100-128-256-784, Adam at .0002, batches of 64 from a "
        "`DataLoader`, 20 epochs), and the time in which a recipe of this book reaches the distance that it ends with. "
        "The last row gives, for three seeds of the recipe, the distances and the steps at which it was there.",
    ),
    "steps": (
        "The same networks, step by step",
        "The classic loop's own networks, batch, losses, optimiser and precision: the loop as tutorials write it "
        "against the steps of `gan_utils`, updates a second, timed in turn.",
    ),
    "matmul": (
        "How much of a step is arithmetic",
        "The matrix products of one such step, run alone on the operands that they had, over the time of the step.",
    ),
    "one_channel": (
        "From and to one channel",
        "The last layer of the convolutional generator, and the gradient of an image through the first of the "
        "discriminator: torch's layers on a CPU, and ours, which use another of torch's kernels.",
    ),
    "wgan": (
        "WGAN-GP as a course teaches it",
        "A critic 64-128-1 with batch norm, batches of 128, five critic steps, $\\lambda = 10$: critic updates a "
        "second with identical networks. The baseline is in float32 in both rows, our side in float32 and in "
        "bfloat16. It lets no graph through G, takes fewer multiplications for a convolution, after Winograd, writes "
        "out the second derivative of batch norm (`benchmarks/layers.py`), and repeats each update as a traced list "
        "of calls.",
    ),
    "course": (
        "To one epoch of that course",
        "Its distance after one epoch, and the time in which the recipe `mnist-wgan-gp` is there.",
    ),
    "seeds": (
        "Ten seeds side by side",
        "One step of ten runs on the ring as one batched computation, against one run alone.",
    ),
    "busy": ("A busy machine", "Steps a second of `mnist-mlp` while another program keeps one core busy."),
    "scaling": (
        "How the cost grows",
        "Milliseconds of a step of two fully connected networks against its batch and its width, and of drawing all "
        "batches of one epoch against the number of images. The power is the slope in the logarithms over the "
        "last doubling: 1 is linear.",
    ),
    "traced": (
        "A step as a list of calls",
        "Milliseconds a step of each recipe, without penalty: its steps as plain calls, and traced once and repeated "
        "as a bare list of torch's operations, which is what the recipes do on a CPU once an update of its kind has "
        "been called 200 times. The results are equal bit for bit.",
    ),
    "graphs": (
        "On a graphics card",
        "Milliseconds a step of the recipes listed: their steps as plain calls, and recorded once as CUDA graphs and "
        "played back, which is what the recipes do on CUDA.",
    ),
    "import": ("Import", "Seconds to import the package in a fresh interpreter, and torch alone."),
}
HEADS = {
    "name": "what",
    "range": "from, to",
    "ratio": "times as fast",
    "ms_a_step": "ms a step",
    "frechet": "Fréchet distance",
    "times_floor": "times the floor",
    "times_one_run": "times one run",
    "times_faster_than_in_turn": "times faster than in turn",
    "steps_per_s": "steps/s",
    "share": "share of the step",
    "torchs_ms": "torch's, ms",
    "ours_ms": "ours, ms",
    "plain_ms": "calls, ms",
    "graph_ms": "graphs, ms",
    "list_ms": "list, ms",
}


def main() -> None:
    rows = newest([json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()])
    costs = [row for row in rows if row["benchmark"] == "scaling"]
    if costs:
        draw(costs)
    gu.write_atomic(PAGE, text(rows).encode())
    print(f"{PAGE.name}: {len(rows)} figures")


def text(rows: list[dict]) -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION]
    for benchmark, (heading, what) in SECTIONS.items():
        mine = [row for row in rows if row["benchmark"] == benchmark]
        if not mine:
            continue
        machines = ", ".join(dict.fromkeys(row["machine"] for row in mine))
        parts += [f"## {heading}", what, table(mine), f"On {machines}: `python -m benchmarks {benchmark}`."]
        if benchmark == "scaling":
            parts.append(f"![Three plots on logarithmic axes: {described(mine)}.](_static/{PLOT.name})")
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """# Benchmarks

What the package's code costs, against baselines that are written down in `benchmarks/baselines.py`.
Where two sides are compared they run on one machine, one after the other or in turn: a ratio travels better than
seconds, though not everywhere.
This page is written by `python -m benchmarks.page` from the figures that `python -m benchmarks` recorded; no
figure on it was typed."""


def newest(rows: list[dict]) -> list[dict]:
    """Of rows with the same benchmark, name and machine the last, in the order in which they first came."""
    return list({(row["benchmark"], row["machine"], row["name"]): row for row in rows}.values())


def table(rows: list[dict]) -> str:
    """A Markdown table with a column for each figure that a row has."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in ("benchmark", "machine")))
    lines = [[HEADS.get(key, key) for key in columns], ["---", *["---:"] * (len(columns) - 1)]]
    lines += [[short(row.get(key, "")) for key in columns] for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(short, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def described(rows: list[dict]) -> str:
    return "; ".join(f"{row['name']}, {short(row['ms'][0])} to {short(row['ms'][-1])}" for row in rows)


def draw(rows: list[dict]) -> None:
    fig, axs = plots.axes(len(rows), height=2.4)
    for ax, row in zip(axs, rows, strict=True):
        ax.plot(row["sizes"], row["ms"], "o-", color=plots.BLUE)
        ax.set(xscale="log", yscale="log", xlabel=row["name"].removeprefix("ms against "), ylabel="ms")
        ax.set_xticks(row["sizes"], [f"{size:,}" for size in row["sizes"]], fontsize="x-small", rotation=30)
        ax.minorticks_off()
    fig.savefig(PLOT, dpi=150)


if __name__ == "__main__":
    main()
