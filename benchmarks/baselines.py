"""What is compared with: two loops of the kind that most courses teach, written here anew, in plain words.

They keep the habits of their kind on purpose: DataLoader with per-image transforms, separate passes of D for real and
fake, a graph through G in D's step undone by detach, `.item()` every step. Each is an endless generator that yields
after every update of G (the classic loop) or of the critic (WGAN-GP), so that both can be timed for a while.
"""

import itertools
import lzma
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import gan_utils as gu

CLASSIC_BATCH, COURSE_BATCH, CRITIC_STEPS = 64, 128, 5


def torchvision_mnist(folder: str) -> datasets.MNIST:
    """torchvision's MNIST, scaled to [-1, 1] image by image, read from files that are written to `folder` first."""
    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (Path(gu.__file__).parent / "data_files").glob("*.xz"):
        (raw / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    to_tanh_range = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    return datasets.MNIST(folder, train=True, transform=to_tanh_range)


def images_for_ever(batch_size: int) -> Iterator[Tensor]:
    """Batches of shuffled images, epoch after epoch; the last batch of an epoch is short."""
    with tempfile.TemporaryDirectory() as folder:
        data = torchvision_mnist(folder)
        loader = DataLoader(data, batch_size=batch_size, shuffle=True)
        while True:
            for images, _ in loader:
                yield images


# ------------------------------------------------------------------ the classic loop


def classic_pair() -> tuple[nn.Module, nn.Module]:
    """G 100-128-256-784 and D 784-256-128-1 with a sigmoid."""
    G = nn.Sequential(
        nn.Linear(100, 128), nn.LeakyReLU(0.2), nn.Linear(128, 256), nn.LeakyReLU(0.2), nn.Linear(256, 784), nn.Tanh()
    )
    D = nn.Sequential(
        nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1), nn.Sigmoid()
    )
    return G, D


def classic_steps(seed: int = 0) -> Iterator[nn.Module]:
    """Yields G after each of its updates."""
    torch.manual_seed(seed)
    G, D = classic_pair()
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=2e-4) for net in (G, D))
    bce = nn.BCELoss()
    for images in images_for_ever(CLASSIC_BATCH):
        x = images.view(-1, 784)
        ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1)
        fake = G(torch.randn(len(x), 100))
        d_loss = bce(D(x), ones) + bce(D(fake.detach()), zeros)
        opt_d.zero_grad()
        d_loss.backward()
        opt_d.step()
        g_loss = bce(D(fake), ones)
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()
        d_loss.item(), g_loss.item()
        yield G


def classic_loop(
    epochs: int, *, seed: int = 0, after_epoch: Callable[[int, nn.Module, float], None] = lambda *_: None
) -> tuple[nn.Module, float, int]:
    """G, training seconds and steps. `after_epoch(epoch, G, seconds)` is not counted in the time."""
    steps, seconds, per_epoch = classic_steps(seed), 0.0, -(-60_000 // CLASSIC_BATCH)
    for epoch in range(epochs):
        start = time.perf_counter()
        *_, G = itertools.islice(steps, per_epoch)
        seconds += time.perf_counter() - start
        after_epoch(epoch + 1, G, seconds)
    steps.close()
    return G, seconds, epochs * per_epoch


# ------------------------------------------------------------------ WGAN-GP as a course teaches it


def course_pair() -> tuple[nn.Module, nn.Module]:
    """Generator 64-256-128-64-1 by transposed convolutions; critic 64-128-1 with batch norm, which WGAN-GP forbids."""

    def up(n_in: int, n_out: int, kernel: int, stride: int) -> list[nn.Module]:
        return [nn.ConvTranspose2d(n_in, n_out, kernel, stride), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

    def down(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 4, 2), nn.BatchNorm2d(n_out), nn.LeakyReLU(0.2, inplace=True)]

    G = nn.Sequential(
        nn.Unflatten(1, (64, 1, 1)), *up(64, 256, 3, 2), *up(256, 128, 4, 1), *up(128, 64, 3, 2),
        nn.ConvTranspose2d(64, 1, 4, 2), nn.Tanh(),
    )
    D = nn.Sequential(*down(1, 64), *down(64, 128), nn.Conv2d(128, 1, 4, 2), nn.Flatten())
    return G, D


def course_steps(seed: int = 0) -> Iterator[nn.Module]:
    """Yields G after each update of the critic; G itself moves after each five of them."""
    torch.manual_seed(seed)
    G, D = course_pair()
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (G, D))
    for images in images_for_ever(COURSE_BATCH):
        n = len(images)
        for _ in range(CRITIC_STEPS):
            fake = G(torch.randn(n, 64))
            epsilon = torch.rand(n, 1, 1, 1, requires_grad=True)
            mixed = epsilon * images + (1 - epsilon) * fake.detach()
            (slope,) = torch.autograd.grad(
                D(mixed), mixed, torch.ones(n, 1), retain_graph=True, create_graph=True
            )
            penalty = (slope.view(n, -1).norm(2, dim=1) - 1).square().mean()
            d_loss = D(fake.detach()).mean() - D(images).mean() + 10 * penalty
            opt_d.zero_grad()
            d_loss.backward(retain_graph=True)
            opt_d.step()
            d_loss.item()
            yield G
        g_loss = -D(G(torch.randn(n, 64))).mean()
        opt_g.zero_grad()
        g_loss.backward()
        opt_g.step()
        g_loss.item()
