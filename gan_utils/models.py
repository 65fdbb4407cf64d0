"""Networks of the chapters. Most are plain `nn.Sequential`, so that a reader can print, index and export them.

A discriminator returns logits, never probabilities: (batch, 1). Pairs of an image and its class go through
`Conditional...`, which wrap such a network and take the class `y` (batch,) int64 as a second input. Initial
weights follow PyTorch's own law, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), drawn from the generator passed in, so that
no global seed matters (mapping layers and embeddings have laws of their own).
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .runtime import check_count, check_labels


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
    latent_dim: int = 64,
    *,
    mapping: Sequence[int] = (),
    width: int = 32,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """After DCGAN (Radford et al. 2016), for 28 pixels: (batch, latent_dim) to (batch, 1, 28, 28) in [-1, 1].

    A linear layer to 2*width maps of 7x7, then two transposed convolutions that double the side each. `mapping`:
    the widths of linear layers before it, each with LeakyReLU, which bend the noise first so that the gaps of the
    data need not be bridged by pictures (the mapping network of Karras et al. 2019, section 2).
    """
    check_count("latent_dim", latent_dim)
    check_count("width", width)
    sizes = [latent_dim, *mapping]
    for size in mapping:
        check_count("each width of mapping", size)
    network = nn.Sequential(
        *(part for n, m in itertools.pairwise(sizes) for part in (nn.Linear(n, m), nn.LeakyReLU(0.2))),
        nn.Linear(sizes[-1], 2 * width * 49, bias=False),  # no bias: BatchNorm has one
        nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1, bias=False),  # 14 x 14
        nn.BatchNorm2d(width),
        nn.ReLU(),
        ToOneChannel(width, 1, kernel_size=4, stride=2, padding=1),  # 28 x 28
        nn.Tanh(),
    )
    init_weights(network, generator)
    for layer in network[: 2 * len(mapping) : 2]:  # by the usual law each would more than halve what it passes on
        nn.init.kaiming_uniform_(layer.weight, 0.2, generator=generator)
    return network


def conv_discriminator(
    *, in_channels: int = 1, width: int = 16, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Three convolutions that halve the side, two linear layers: (batch, in_channels, 28, 28) to logits (batch, 1).

    The hidden linear layer sees the whole digit: convolutions alone judge strokes, not how they are put together.
    No BatchNorm: it would tie each sample's score to its batch mates.
    """
    check_count("width", width)
    first = FromOneChannel if in_channels == 1 else nn.Conv2d
    network = nn.Sequential(
        first(in_channels, width, kernel_size=4, stride=2, padding=1),  # 14 x 14
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


class Pack(nn.Module):
    """Joins k samples of the batch into one for D (Lin et al. 2018): (n, c, ...) to (n / k, k * c, ...).

    With it D sees whether *several* samples could come from the data, and so their variety:
    `nn.Sequential(G, Pack(2))` against `Pack(2)(x)`, and a D that takes twice the channels.
    """

    def __init__(self, k: int):
        super().__init__()
        check_count("k", k)
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        if len(x) % self.k:
            raise ValueError(f"{len(x)} samples cannot be packed by {self.k}: use a batch that {self.k} divides")
        return x.reshape(len(x) // self.k, self.k * x.shape[1], *x.shape[2:])


class MinibatchStd(nn.Module):
    """Appends to each sample how much its group varies: one channel more (Karras et al. 2018, section 3).

    Groups are neighbours in the batch, so that real and fake, joined for one pass, stay apart as long as the group
    divides each of them. The number is the standard deviation over the group, averaged over features; D's score of
    a sample then depends on its group, and the gradient of the sum is no longer each sample's own.
    """

    def __init__(self, group: int = 4):
        super().__init__()
        check_count("group", group, least=2)
        self.group = group

    def forward(self, h: Tensor) -> Tensor:
        """(n, c, ...) to (n, c + 1, ...); raises ValueError unless the group divides n."""
        if len(h) % self.group:
            raise ValueError(f"{len(h)} samples do not make groups of {self.group}: use a batch that it divides")
        grouped = h.reshape(-1, self.group, *h.shape[1:])
        # the small number keeps the slope of the root finite where a group has collapsed to one point
        spread = (grouped.var(dim=1, correction=0) + 1e-8).sqrt().flatten(1).mean(dim=1)
        spread = spread.repeat_interleave(self.group).view(-1, *[1] * (h.ndim - 1))
        return torch.cat([h, spread.expand(-1, 1, *h.shape[2:])], dim=1)


def join_one_hot(z: Tensor, y: Tensor, classes: int, *, scale: float = 1.0) -> Tensor:
    """(n, d) and classes (n,) to (n, d + classes): the class one-hot beside the noise (Mirza and Osindero 2014).

    One entry of size `scale` stands beside d of size about 1: at d = 64 it has 1/65 of the energy.
    """
    check_labels(y, len(z))
    return torch.cat([z, scale * _one_hot(y, classes, z)], dim=1)


def join_class_planes(x: Tensor, y: Tensor, classes: int) -> Tensor:
    """(n, c, h, w) and classes (n,) to (n, c + classes, h, w): plane k is 1 where the class is k, 0 elsewhere."""
    check_labels(y, len(x))
    planes = _one_hot(y, classes, x)[:, :, None, None]
    return torch.cat([x, planes.expand(-1, -1, *x.shape[2:])], dim=1)


def _one_hot(y: Tensor, classes: int, like: Tensor) -> Tensor:
    """`F.one_hot` without its look at the values, which a traced step could not repeat; scattering checks the range."""
    return like.new_zeros(len(y), classes).scatter(1, y[:, None], 1.0)


class ConditionalGenerator(nn.Module):
    """G(z, y): the class joined to the noise, one-hot times `scale`, before `body`, which takes latent_dim + classes.

    With `embedding_dim` the class is a learnt vector of that length instead, times `scale` too, and `body`
    takes latent_dim + embedding_dim.
    """

    def __init__(
        self,
        body: nn.Module,
        classes: int,
        *,
        scale: float = 1.0,
        embedding_dim: int | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        check_count("classes", classes, least=2)
        self.classes, self.scale, self.body = classes, scale, body
        self.embedding = None if embedding_dim is None else _embedding(classes, embedding_dim, generator)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        if self.embedding is None:
            return self.body(join_one_hot(z, y, self.classes, scale=self.scale))
        check_labels(y, len(z))
        return self.body(torch.cat([z, self.scale * self.embedding(y)], dim=1))


class ConditionalDiscriminator(nn.Module):
    """D(x, y): the class as planes beside the image, before `body`, which takes 1 + classes channels."""

    def __init__(self, body: nn.Module, classes: int):
        super().__init__()
        check_count("classes", classes, least=2)
        self.classes, self.body = classes, body

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.body(join_class_planes(x, y, self.classes))


class ProjectionDiscriminator(nn.Module):
    """D(x, y) = head(h) + h . v_y, with h = features(x) and a learnt vector v_y for each class.

    Miyato and Koyama 2018, figure 1d. `features` ends in vectors (batch, width).
    """

    def __init__(
        self, features: nn.Module, classes: int, *, width: int = 128, generator: torch.Generator | None = None
    ):
        super().__init__()
        check_count("classes", classes, least=2)
        self.classes, self.features = classes, features
        self.head = init_weights(nn.Linear(width, 1), generator)
        self.embedding = _embedding(classes, width, generator)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        check_labels(y, len(x))
        h = self.features(x)
        return self.head(h) + (h * self.embedding(y)).sum(dim=1, keepdim=True)


class ClusteredGenerator(nn.Module):
    """G(z) for data in `clusters`: the last number of z picks the cluster, by `shares`, the others vary within it.

    z is (batch, latent_dim) of N(0, 1); `body` takes latent_dim - 1 + clusters. The noise of a GAN has one piece
    and the data has several, so that a continuous G leaves samples on the bridges between; this one may jump. In
    training the clusters `y` (batch,) int64 are given instead, and D is told them, as if they were classes. No label
    is needed. (After Liu et al. 2020, whose clusters are those of D's features and move as D learns.)
    """

    def __init__(self, body: nn.Module, clusters: int):
        super().__init__()
        check_count("clusters", clusters, least=2)
        self.clusters, self.body = clusters, body
        self.register_buffer("shares", torch.full((clusters,), 1 / clusters))

    def cluster(self, z: Tensor) -> Tensor:
        """The clusters that z falls into, (batch,) int64: k as often as `shares[k]` says."""
        levels = torch.special.ndtr(z[:, -1])  # uniform on [0, 1]
        return torch.bucketize(levels, self.shares.cumsum(0)[:-1])

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(join_one_hot(z[:, :-1], self.cluster(z) if y is None else y, self.clusters))


def conditional_generator(
    latent_dim: int = 64, *, classes: int = 10, width: int = 32, generator: torch.Generator | None = None
) -> ConditionalGenerator:
    """`conv_generator` of the noise and the class: (batch, latent_dim), (batch,) to (batch, 1, 28, 28)."""
    check_count("latent_dim", latent_dim)
    body = conv_generator(latent_dim + classes, width=width, generator=generator)
    return ConditionalGenerator(body, classes)


def clustered_generator(
    latent_dim: int = 65, *, clusters: int, width: int = 32, generator: torch.Generator | None = None
) -> ClusteredGenerator:
    """`conv_generator` of all the noise but its last number, and of the cluster that this one picks."""
    check_count("latent_dim", latent_dim, least=2)
    body = conv_generator(latent_dim - 1 + clusters, width=width, generator=generator)
    return ClusteredGenerator(body, clusters)


def conditional_discriminator(
    *, classes: int = 10, width: int = 16, generator: torch.Generator | None = None
) -> ProjectionDiscriminator:
    """`conv_discriminator` with a projection for its end: (batch, 1, 28, 28), (batch,) to logits (batch, 1)."""
    features = conv_discriminator(width=width, generator=generator)[:-1]
    return ProjectionDiscriminator(features, classes, generator=generator)


def _embedding(classes: int, width: int, generator: torch.Generator | None) -> nn.Embedding:
    """One vector for each class, N(0, 1 / width), so that its length is about 1."""
    embedding = nn.Embedding(classes, width)
    with torch.no_grad():
        embedding.weight.normal_(0, width**-0.5, generator=generator)
    return embedding


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


class ToOneChannel(nn.ConvTranspose2d):
    """torch's layer, the same weights and results, for one channel out: on a CPU some three times as fast.

    A convolution from or to a single channel is a small matrix product, and adding up where patches overlap. The
    library that torch asks on a CPU, oneDNN, pays dearly for the adding; a plainer kernel of torch's own does not
    (`python -m benchmarks one_channel`).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, 1, height, width)."""
        if not _is_plain(x):
            return super().forward(x)
        return _add_patches(x, self.weight, self.bias, self.stride, self.padding)

    def _get_name(self) -> str:
        return "ConvTranspose2d"


class FromOneChannel(nn.Conv2d):
    """torch's layer, the same results, for one channel in: on a CPU its input's gradient is three times as fast."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, height, width) to (n, c, h, w)."""
        if not _is_plain(x):
            return super().forward(x)
        return _Convolve.apply(x, self.weight, self.bias, self.stride, self.padding)

    def _get_name(self) -> str:
        return "Conv2d"


def _is_plain(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _add_patches(x: Tensor, weight: Tensor, bias: Tensor | None, stride, padding, more=(0, 0)) -> Tensor:
    return torch.ops.aten.slow_conv_transpose2d(x, weight, list(weight.shape[2:]), bias, stride, padding, more)


class _Convolve(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride, padding) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, weight, _, *ctx.how = inputs
        (stride, padding), kernel = ctx.how, weight.shape[2:]
        # a strided kernel may leave a rim of the image untouched at the end: its gradient is 0, and it has a size
        ctx.rim = [(x.shape[i] + 2 * padding[i] - kernel[i]) % stride[i] for i in (-2, -1)]
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        return (
            _add_patches(slope, weight, None, *ctx.how, ctx.rim) if wants_x else None,
            torch.nn.grad.conv2d_weight(x, weight.shape, slope, *ctx.how) if wants_weight else None,
            slope.sum(dim=(0, 2, 3)) if wants_bias else None,
            None,
            None,
        )


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
