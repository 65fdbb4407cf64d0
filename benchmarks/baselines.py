"""What is compared with: the MNIST loop of most first tutorials, written here anew, in plain words.

It keeps their habits on purpose: DataLoader with per-image transforms, BCELoss on a sigmoid, two passes of D, a graph
through G in the D step undone by detach, `.item()` every step.
"""

import lzma
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

import gan_utils as gu


def torchvision_mnist(folder: str) -> datasets.MNIST:
    """torchvision's MNIST, scaled to [-1, 1] image by image, read from files that are written to `folder` first."""
    raw = Path(folder) / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in (Path(gu.__file__).parent / "data_files").glob("*.xz"):
        (raw / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    to_tanh_range = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    return datasets.MNIST(folder, train=True, transform=to_tanh_range)


def classic_loop(
    epochs: int, *, seed: int = 0, after_epoch: Callable[[int, nn.Module, float], None] = lambda *_: None
) -> tuple[nn.Module, float, int]:
    """G, training seconds and steps. `after_epoch(epoch, G, seconds)` is not counted in the time."""
    torch.manual_seed(seed)
    G = nn.Sequential(
        nn.Linear(100, 128), nn.LeakyReLU(0.2), nn.Linear(128, 256), nn.LeakyReLU(0.2), nn.Linear(256, 784), nn.Tanh()
    )
    D = nn.Sequential(
        nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1), nn.Sigmoid()
    )
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=2e-4) for net in (G, D))
    bce, seconds, steps = nn.BCELoss(), 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        loader = DataLoader(torchvision_mnist(folder), batch_size=64, shuffle=True)
        for epoch in range(epochs):
            start = time.perf_counter()
            for images, _ in loader:
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
                steps += 1
            seconds += time.perf_counter() - start
            after_epoch(epoch + 1, G, seconds)
    return G, seconds, steps
