"""Networks of the chapters. All are plain `nn.Sequential`, so that a reader can print, index and export them.

A discriminator returns logits, never probabilities: (batch, 1). Initial weights follow PyTorch's own law,
U(-1/sqrt(fan_in), 1/sqrt(fan_in)), drawn from the generator passed in, so that no global seed is touched.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .runtime import check_count


def mlp(
    sizes: Sequence[int], *, generator: torch.Generator | None = None, negative_slope: float = 0.2
) -> nn.Sequential:
    """Linear layers of these sizes with LeakyReLU between them: (batch, sizes[0]) to (batch, sizes[-1])."""
    if len(sizes) < 2:
        raise ValueError(f"sizes needs an input and an output, got {list(sizes)}")
    for size in sizes:
        check_count("each size", size)
    layers: list[nn.Module] = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(negative_slope)]
    return init_weights(nn.Sequential(*layers[:-1]), generator)


def toy_generator(
    latent_dim: int = 1, *, data_dim: int = 1, width: int = 32, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Two hidden layers for the laws in one and two dimensions: (batch, latent_dim) to (batch, data_dim)."""
    return mlp([latent_dim, width, width, data_dim], generator=generator)


def toy_discriminator(
    data_dim: int = 1, *, width: int = 32, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Its opponent: (batch, data_dim) to logits (batch, 1)."""
    return mlp([data_dim, width, width, 1], generator=generator)


def classic_generator(latent_dim: int = 100, *, generator: torch.Generator | None = None) -> nn.Sequential:
    """The fully connected generator of most first tutorials: (batch, latent_dim) to (batch, 1, 28, 28) in [-1, 1]."""
    layers = mlp([latent_dim, 128, 256, 784], generator=generator)
    return nn.Sequential(*layers, nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))


def classic_discriminator(*, generator: torch.Generator | None = None) -> nn.Sequential:
    """Its opponent, 784-256-128-1: (batch, 1, 28, 28) to logits (batch, 1)."""
    return nn.Sequential(nn.Flatten(), *mlp([784, 256, 128, 1], generator=generator))


def conv_generator(
    latent_dim: int = 64, *, width: int = 32, generator: torch.Generator | None = None
) -> nn.Sequential:
    """After DCGAN (Radford et al. 2016), for 28 pixels: (batch, latent_dim) to (batch, 1, 28, 28) in [-1, 1].

    A linear layer to 2*width maps of 7x7, then two transposed convolutions that double the side each.
    """
    check_count("latent_dim", latent_dim)
    check_count("width", width)
    network = nn.Sequential(
        nn.Linear(latent_dim, 2 * width * 49, bias=False),  # no bias: BatchNorm has one
        nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=False),  # 14 x 14
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, kernel_size=4, stride=2, padding=1),  # 28 x 28
        nn.Tanh(),
    )
    return init_weights(network, generator)


def conv_discriminator(*, width: int = 16, generator: torch.Generator | None = None) -> nn.Sequential:
    """Three convolutions that halve the side, then two linear layers: (batch, 1, 28, 28) to logits (batch, 1).

    The hidden linear layer sees the whole digit: convolutions alone judge strokes, not how they are put together.
    No BatchNorm: it would tie each sample's score to its batch mates.
    """
    check_count("width", width)
    network = nn.Sequential(
        nn.Conv2d(1, width, kernel_size=4, stride=2, padding=1),  # 14 x 14
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1),  # 7 x 7
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, kernel_size=3, stride=2, padding=1),  # 4 x 4
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * width * 16, 128),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 1),
    )
    return init_weights(network, generator)


class DigitClassifier(nn.Module):
    """A small convolutional classifier of digits; its 64 features are the space of the Fréchet distance.

    `forward` gives logits (batch, 10), `features` the (batch, 64) that they are linear in.
    """

    def __init__(self, width: int = 24, *, generator: torch.Generator | None = None):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 14 x 14
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # 7 x 7
            nn.Flatten(),
            nn.Dropout(p=0.3),
            nn.Linear(2 * width * 49, 64),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(p=0.3), nn.Linear(64, 10))
        init_weights(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """(batch, 1, 28, 28) in [-1, 1] to (batch, 64), none below 0."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 28, 28) in [-1, 1] to logits (batch, 10)."""
        return self.head(self.features(x))


@torch.no_grad()
def init_weights(module: nn.Module, generator: torch.Generator | None) -> nn.Module:
    """Draws linear and convolutional weights and biases again from `generator`; None leaves them alone."""
    if generator is None:
        return module
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            fan_in = layer.weight[0].numel()  # PyTorch's own reckoning, for transposed convolutions too
            bound = fan_in**-0.5
            for p in (layer.weight, layer.bias):
                if p is not None:
                    p.uniform_(-bound, bound, generator=generator)
    return module


def count_parameters(module: nn.Module) -> int:
    """How many numbers the module learns."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
