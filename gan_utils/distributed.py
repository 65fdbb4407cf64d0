"""Data-parallel training under `torchrun`, by PyTorch's own engine: what several processes do as one.

Each process, a *rank*, holds both networks whole and draws the whole batch from the same random stream, then works
on its own part of it. DistributedDataParallel averages the gradients; batch norm takes its statistics over all
ranks. So the update is that of one process with the whole batch, and a run may go on with another number of ranks.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .runtime import pick_device

T = TypeVar("T")


class RankLost(RuntimeError):
    """Another rank died, so this one cannot go on."""


@dataclass(frozen=True)
class Ranks:
    """Rank `rank` of `world`. Alone, every method is the identity."""

    rank: int = 0
    world: int = 1

    def check_batch(self, batch_size: int) -> None:
        """Raises ValueError unless every rank gets an equal part: a mean of means is the mean only then."""
        if batch_size % self.world:
            raise ValueError(
                f"a batch of {batch_size} has no {self.world} equal parts: use a number of ranks that divides it"
            )

    def mine(self, x: Tensor | None) -> Tensor | None:
        """This rank's part of a batch (n, ...), if there is one: neighbours stay together, for D may group them."""
        return x if self.world == 1 or x is None else x.chunk(self.world)[self.rank]

    def with_shared_statistics(self, network: nn.Module) -> nn.Module:
        """The network itself, its batch norms from now on over the batches of all ranks."""
        for layer in network.modules():
            if self.world > 1 and isinstance(layer, _BatchNorm):
                layer.__class__ = SharedBatchNorm  # same parameters, same names in a checkpoint
        return network

    def averaging(self, network: nn.Module) -> nn.Module:
        """The network for its own step: backward through it leaves gradients that are averaged over the ranks.

        The hooks that do it sit on the weights, so a penalty may go through the bare network.
        """
        if self.world == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def mean(self, losses: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Scalars averaged over the ranks, so that all of them record, and notice, the same."""
        if self.world == 1:
            return losses
        values = torch.stack(list(losses.values()))
        dist.all_reduce(values)
        return dict(zip(losses, values / self.world, strict=True))

    def agree(self, flag: int) -> int:
        """The largest flag of all ranks: their clocks differ, and a rank that stops alone leaves the others waiting."""
        if self.world == 1:
            return flag
        flags = torch.tensor(flag)  # on the CPU: nobody waits for a GPU to know it
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return int(flags)

    def together(self, work: Callable[[], T]) -> T:
        """What `work` returns; if it fails on any rank, it fails on all, with one message."""
        if self.world == 1:
            return work()
        try:
            result, said = work(), None
        except (ValueError, OSError) as error:
            said = str(error)
        all_said: list[str | None] = [None] * self.world
        dist.all_gather_object(all_said, said)
        for rank, line in enumerate(all_said):
            if line is not None:
                raise ValueError(line if rank == 0 else f"rank {rank}: {line}")
        return result


ALONE = Ranks()


class _Sum(torch.autograd.Function):
    """The sum over ranks, whose gradient is again a sum: each rank's loss depends on every rank's input."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient.contiguous())


class SharedBatchNorm(_BatchNorm):
    """BatchNorm over the batches of all ranks, of equal size. (PyTorch's SyncBatchNorm does not run on a CPU.)"""

    def _check_input_dim(self, x: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        world, axes = dist.get_world_size(), [0, *range(2, x.ndim)]
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean = _Sum.apply(x.mean(axes)) / world
        centred = x - mean.view(shape)
        var = _Sum.apply(centred.square().mean(axes)) / world  # of centred values: no difference of large squares
        if self.track_running_stats:
            n = world * x.numel() // x.shape[1]
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(var.detach() * n / (n - 1), self.momentum)
        return centred * ((var + self.eps).rsqrt() * self.weight).view(shape) + self.bias.view(shape)


def is_first() -> bool:
    """Whether this process speaks and writes for all: rank 0, or alone."""
    return int(os.environ.get("RANK", 0)) == 0


@contextlib.contextmanager
def joined(device: str | None = None) -> Iterator[tuple[Ranks, torch.device]]:
    """Inside the block this process is one of the ranks that `torchrun` started, or alone; and its device.

    On CUDA each rank of a machine gets a GPU of its own. Raises RankLost where another rank dies meanwhile.
    """
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    place = pick_device(device)
    if world == 1:
        yield Ranks(), place
        return
    cuda = place.type == "cuda"
    if cuda:
        _check_cuda(int(os.environ.get("LOCAL_WORLD_SIZE", world)))
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield Ranks(dist.get_rank(), world), place
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise RankLost(f"rank {dist.get_rank()}: another rank is gone") from None
    finally:
        dist.destroy_process_group()


def _check_cuda(ranks: int) -> None:
    if not dist.is_nccl_available():
        raise ValueError("several ranks on CUDA need NCCL, and this torch has none: use --device cpu")
    if ranks > torch.cuda.device_count():
        raise ValueError(
            f"{ranks} ranks on this machine, but torch sees {torch.cuda.device_count()} CUDA devices: "
            "start as many ranks as devices, or use --device cpu"
        )
