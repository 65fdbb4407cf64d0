"""Many seeds trained side by side: networks of one build, each with weights of its own, as one computation.

    G = batched.side_by_side([gu.toy_generator(2, data_dim=2, generator=gu.seeded(s)) for s in range(10)])

Tensors have a leading axis of seeds: x is (seeds, batch, ...). A claim about training needs several seeds, and small
networks spend most of a step on calling kernels, not in them: ten runs of width 64 and batch 64 cost twice one run,
not ten times (`python -m benchmarks seeds` measures it where you are). Optimisers, `clip_weights`,
`ExponentialAverage`, `frozen` and `fit` work elementwise, or by counting, and serve all seeds as they are. Seeds do
not influence one another: one that diverges is marked by `alive`, and the others go on.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .losses import GanLoss
from .models import MinibatchStd, Pack
from .penalties import between, input_gradient, off_one
from .runtime import frozen
from .training import EXPLODED

ELEMENTWISE = (nn.LeakyReLU, nn.ReLU, nn.Tanh)  # one and the same for any shape
GROUPED = (Pack, MinibatchStd, nn.Flatten, nn.Unflatten)  # reshape a batch: they have to see one seed's at a time


class Linears(nn.Module):
    """One linear layer a seed: (seeds, batch, n_in) to (seeds, batch, n_out), as one product of matrices a seed."""

    def __init__(self, layers: Sequence[nn.Linear]):
        super().__init__()
        with torch.no_grad():
            self.weight = nn.Parameter(torch.stack([layer.weight.T for layer in layers]))  # (seeds, n_in, n_out)
            self.bias = nn.Parameter(torch.stack([layer.bias[None] for layer in layers]))  # (seeds, 1, n_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class PerSeed(nn.Module):
    """`Pack`, `MinibatchStd`, `Flatten` or `Unflatten`, which reshape or compare a batch, for each seed's by itself.

    Packing: `pack = PerSeed(Pack(2))`, then `nn.Sequential(G, pack)` against `pack(x)`. Raises ValueError for other
    layers, and for one that reshapes the axis of the batch itself.
    """

    def __init__(self, layer: nn.Module):
        super().__init__()
        if not isinstance(layer, GROUPED) or getattr(layer, "start_dim", getattr(layer, "dim", 1)) == 0:
            raise _cannot_stand(layer)
        self.layer = layer
        self.together = getattr(layer, "k", getattr(layer, "group", 1))  # neighbours that the layer sees at once

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] % self.together:
            return self.layer(x[0])  # says what is wrong with the batch: no group may reach into the next seed
        return self.layer(x.flatten(0, 1)).unflatten(0, (len(x), -1))


def side_by_side(networks: Sequence[nn.Sequential]) -> nn.Sequential:
    """Networks of one build as one, with copies of their weights: (seeds, batch, ...) to (seeds, batch, ...).

    Takes what `mlp` and the fully connected pairs are made of, with `Pack` and `MinibatchStd`. Raises ValueError for
    other layers, and for networks that differ in more than their weights.
    """
    networks = list(networks)
    if not networks:
        raise ValueError("no networks given: side_by_side needs one for each seed")
    if len({str(network) for network in networks}) > 1:
        raise ValueError("the networks differ in their layers: side_by_side needs one build, and only other weights")
    return nn.Sequential(*[_beside(layers) for layers in zip(*networks, strict=True)])


def _beside(layers: Sequence[nn.Module]) -> nn.Module:
    first = layers[0]
    if isinstance(first, nn.Linear) and first.bias is not None:
        return Linears(layers)
    if isinstance(first, nn.Sequential):
        return side_by_side(layers)
    if isinstance(first, ELEMENTWISE):
        return first
    if isinstance(first, GROUPED):
        return PerSeed(first)
    raise _cannot_stand(first)


def _cannot_stand(layer: nn.Module) -> ValueError:
    known = ", ".join(kind.__name__ for kind in (nn.Linear, *ELEMENTWISE, *GROUPED))
    return ValueError(f"{type(layer).__name__} cannot stand side by side: use {known} (Linear with a bias)")


@torch.no_grad()
def network(batched: nn.Sequential, seed: int) -> nn.Sequential:
    """The network of one seed alone, as `side_by_side` got it: (batch, ...) to (batch, ...), a copy."""
    layers = []
    for layer in batched:
        if isinstance(layer, nn.Sequential):
            alone = network(layer, seed)
        elif isinstance(layer, Linears):
            n_in, n_out = layer.weight.shape[1:]
            alone = nn.Linear(n_in, n_out, device=layer.weight.device, dtype=layer.weight.dtype)
            alone.weight.copy_(layer.weight[seed].T)
            alone.bias.copy_(layer.bias[seed, 0])
        else:
            alone = copy.deepcopy(layer.layer if isinstance(layer, PerSeed) else layer)
        layers.append(alone)
    return nn.Sequential(*layers)


def d_step(
    G: nn.Module,
    D: nn.Module,
    opt_d: torch.optim.Optimizer,
    x: Tensor,
    z: Tensor,
    loss: GanLoss,
    penalty: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """One descent step on each seed's D, as `gan_utils.d_step` takes it; every G is left as it was.

    x: (seeds, batch, ...), z: (seeds, batch, latent_dim). `penalty(x, fake)` gives one number a seed, with its
    coefficient inside. Returns the median loss of the seeds whose loss is finite, without penalty, detached.
    """
    with frozen(G), torch.no_grad():
        fake = G(z)
    if fake.shape != x.shape:
        raise ValueError(f"G makes {tuple(fake.shape)}, the data is {tuple(x.shape)}: make them equal")
    logits = D(torch.cat([x, fake], dim=1))  # (seeds, 2 * batch / packing, 1)
    real_logits, fake_logits = logits.chunk(2, dim=1)
    losses = per_seed(loss.d, real_logits=real_logits, fake_logits=fake_logits)
    objective = losses if penalty is None else losses + penalty(x, fake)
    opt_d.zero_grad(set_to_none=True)
    objective.sum().backward()  # a sum: no seed's gradient knows of the others
    opt_d.step()
    return {"d_loss": _middle(losses)}


def g_step(
    G: nn.Module, D: nn.Module, opt_g: torch.optim.Optimizer, z: Tensor, loss: GanLoss
) -> dict[str, Tensor]:
    """One descent step on each seed's G; every D is left as it was. z: (seeds, batch, latent_dim)."""
    with frozen(D):
        losses = per_seed(loss.g, fake_logits=D(G(z)))
        opt_g.zero_grad(set_to_none=True)
        losses.sum().backward()
    opt_g.step()
    return {"g_loss": _middle(losses)}


def per_seed(function: Callable[..., Tensor], **logits: Tensor) -> Tensor:
    """A loss of `gan_utils.losses` for each seed: logits (seeds, batch, 1) by name, to (seeds,)."""
    return function(**logits, dim=(1, 2))


def r1_penalty(D: nn.Module, x: Tensor) -> Tensor:
    """`gan_utils.r1_penalty` of each seed: x (seeds, batch, ...) to (seeds,)."""
    return input_gradient(D, x).flatten(2).square().sum(dim=2).mean(dim=1)


def gradient_penalty(
    D: nn.Module, real: Tensor, fake: Tensor, *, generator: torch.Generator, one_sided: bool = False
) -> Tensor:
    """`gan_utils.gradient_penalty` of each seed, on lines of its own: (seeds, batch, ...) twice, to (seeds,)."""
    lines = between(real.flatten(0, 1), fake.flatten(0, 1), generator=generator).view_as(real)
    slope = input_gradient(D, lines).flatten(2).norm(dim=2)  # (seeds, batch)
    return off_one(slope, one_sided=one_sided).mean(dim=1)


@torch.no_grad()
def alive(*networks: nn.Module) -> Tensor:
    """Which seeds are sound: (seeds,) bool, False where a weight is not finite or has passed 1e5."""
    weights = [p.flatten(1) for batched in networks for p in batched.parameters()]
    return torch.stack([(w.abs() <= EXPLODED).all(dim=1) for w in weights]).all(dim=0)  # NaN is not <= anything


def _middle(losses: Tensor) -> Tensor:
    losses = losses.detach()
    return losses.where(losses.isfinite(), losses.new_tensor(torch.nan)).nanmedian()
