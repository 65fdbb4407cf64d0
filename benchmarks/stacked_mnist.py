"""Stacked MNIST, 1,000 modes: `python -m benchmarks.stacked_mnist [--steps N] [--out FILE]`.

Three digits, drawn independently, are the three channels of one picture, so that there are 1,000 equally likely
triples (Metz et al. 2017; Lin et al. 2018, table 2). The same small convolutional pair is trained three ways: with
the non-saturating loss alone, with packing by two, and with R1. Modes are triples that the package's classifier of
digits reads among 26,000 samples. Takes about half an hour on two cores; the record that chapter 6 shows is
gan_utils/checkpoint_files/stacked-mnist.json, rewritten after each measurement.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import gan_utils as gu

RECORD = Path(gu.__file__).parent / "checkpoint_files" / "stacked-mnist.json"
SAMPLES, DIGITS, LATENT_DIM, BATCH, WIDTH = 26_000, 3, 64, 64, 16
ADAM = {"lr": 5e-4, "betas": (0.5, 0.999)}
WAYS = {"plain": {"packing": 1, "r1_gamma": 0.0}, "packed by 2": {"packing": 2, "r1_gamma": 0.0},
        "R1": {"packing": 1, "r1_gamma": 1.0}}


def draw(images: Tensor, n: int, stream: torch.Generator, digits: int = DIGITS) -> Tensor:
    """n pictures whose channels are digits drawn independently: (n, digits, 28, 28)."""
    return images[torch.randint(len(images), (n * digits,), generator=stream)].view(n, digits, 28, 28)


def pair(seed: int, packing: int, digits: int = DIGITS) -> tuple[nn.Sequential, nn.Sequential]:
    """The package's convolutional pair with a channel for each digit, and a D that sees `packing` pictures."""
    weights = gu.seeded(seed)
    *layers, _, tanh = gu.conv_generator(LATENT_DIM, width=WIDTH, generator=weights)
    last = nn.ConvTranspose2d(WIDTH, digits, kernel_size=4, stride=2, padding=1)
    G = nn.Sequential(*layers, gu.init_weights(last, weights), tanh)
    return G, gu.conv_discriminator(in_channels=digits * packing, width=WIDTH, generator=weights)


def read(pictures: Tensor) -> Tensor:
    """Which mode each picture (n, digits, 28, 28) belongs to, by the package's classifier: (n,) int64."""
    n, digits = pictures.shape[:2]
    said = gu.digit_logits(pictures.reshape(n * digits, 1, 28, 28)).argmax(dim=1).view(n, digits)
    return (said * 10 ** torch.arange(digits)).sum(dim=1)


def count(modes: Tensor, total: int) -> dict[str, float]:
    """Modes on one hit, modes with a tenth of an even share or more, and the reverse KL to even shares."""
    shares = gu.class_histogram(modes, classes=total)
    even = torch.full_like(shares, 1 / total)
    return {
        "one_hit": int((shares > 0).sum()),
        "modes": int((shares >= 0.1 / total - 1e-12).sum()),
        "reverse_kl": gu.discrete_kl(shares, even),
    }


class Way:
    """One run, which can be taken a few steps further and measured."""

    def __init__(self, packing: int, r1_gamma: float, *, seed: int = 0):
        self.stream, self.r1_gamma, self.seconds, self.steps = gu.seeded(seed), r1_gamma, 0.0, 0
        self.G, self.D = pair(seed, packing)
        self.pack = gu.Pack(packing)
        self.opt_g, self.opt_d = (torch.optim.Adam(net.parameters(), **ADAM, fused=True) for net in (self.G, self.D))
        self.curve: list[dict[str, float]] = []

    def go(self, images: Tensor, steps: int) -> None:
        packed, start = nn.Sequential(self.G, self.pack), time.process_time()
        for _ in range(steps):
            x = self.pack(draw(images, BATCH, self.stream))
            due = self.r1_gamma and self.steps % 8 == 0  # lazily, eight times as strong
            penalty = (lambda x, _: 4 * self.r1_gamma * gu.r1_penalty(self.D, x)) if due else None
            gu.d_step(packed, self.D, self.opt_d, x, self.noise(BATCH), gu.non_saturating, penalty)
            gu.g_step(packed, self.D, self.opt_g, self.noise(BATCH), gu.non_saturating)
            self.steps += 1
        self.seconds += time.process_time() - start

    def noise(self, n: int) -> Tensor:
        return gu.gaussian_noise(n, LATENT_DIM, generator=self.stream)

    def measure(self) -> dict[str, float]:
        stream = gu.seeded(1)
        with gu.evaluating(self.G):
            modes = torch.cat([
                read(self.G(gu.gaussian_noise(1000, LATENT_DIM, generator=stream))) for _ in range(SAMPLES // 1000)])
        self.curve.append({"step": self.steps, "processor_seconds": self.seconds, **count(modes, 10**DIGITS)})
        return self.curve[-1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stacked_mnist", description=__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--every", type=int, default=500, help="steps between two measurements")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    images, test = gu.load_mnist("train")[0], gu.load_mnist("test")[0]
    real = count(read(draw(test, SAMPLES, gu.seeded(2))), 10**DIGITS)
    print("held-out digits", real, flush=True)
    ways = {name: Way(**settings) for name, settings in WAYS.items()}
    for _ in range(arguments.steps // arguments.every):
        for name, way in ways.items():
            way.go(images, arguments.every)
            print(name, way.measure(), flush=True)
        record = {
            "command": f"python -m benchmarks.stacked_mnist --steps {arguments.steps} --every {arguments.every}",
            "samples": SAMPLES, "total": 10**DIGITS, "batch": BATCH, "width": WIDTH, "latent_dim": LATENT_DIM,
            "adam": ADAM, "ways": WAYS, "threads": torch.get_num_threads(), "torch": torch.__version__,
            "held_out": real, "curves": {name: way.curve for name, way in ways.items()},
        }
        gu.write_atomic(arguments.out, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
