"""The course's layers made cheaper, with the same results to rounding (tests/test_benchmarks.py).

Autograd differentiates a convolution twice by convolutions of other shapes, with the batch for channels, which the
library that torch asks on a CPU, oneDNN, has no quick kernels for. But whatever is asked of a convolution is one of
three products: itself, its transpose, its weights' slope. oneDNN does each of them well, though not for every layer
and precision: the rest is quicker as a matrix product of patches. Batch norm's second derivative autograd derives from
some twenty passes over the activations; it is again what the first derivative is made of, one native call and three
passes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

ops = torch.ops.aten


def by_products(network: nn.Module) -> nn.Module:
    """The network itself, its convolutions and transposed convolutions, all unpadded and square, replaced."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d:
            layer.__class__ = _ConvFromOne if layer.in_channels == 1 else _Conv
        elif type(layer) is nn.ConvTranspose2d:
            layer.__class__ = _ConvTranspose
    return network


def cheap_twice(critic: nn.Module) -> nn.Module:
    """The critic itself, its batch norms (of batch statistics alone) replaced."""
    for layer in critic.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = _BatchNorm
    return critic


class _Conv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        given = x, self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            given = (tensor.bfloat16() for tensor in given)
        return _Convolve.apply(*given, self.stride[0])


class _Convolve(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, s):
        ctx.save_for_backward(x, weight)
        ctx.s = s
        return F.conv2d(x, weight, bias, s)

    @staticmethod
    def backward(ctx, slope):
        x, weight = ctx.saved_tensors
        for_x = _ConvolveBack.apply(slope, weight, x.shape, ctx.s)
        return for_x, _weight_slope(slope, x, weight, ctx.s), _rows(slope).sum(0), None


class _ConvolveBack(Function):
    """The adjoint of `_Convolve` in x; a rim that no patch reaches gets 0."""

    @staticmethod
    def forward(ctx, slope, weight, shape, s):
        ctx.save_for_backward(slope, weight)
        ctx.s = s
        rim = [(size - weight.shape[2]) % s for size in shape[2:]]
        return F.conv_transpose2d(slope, weight, None, s, output_padding=rim)

    @staticmethod
    def backward(ctx, v):
        slope, weight = ctx.saved_tensors
        return F.conv2d(v, weight, None, ctx.s), _weight_slope(slope, v, weight, ctx.s), None, None


def _weight_slope(slope: Tensor, x: Tensor, weight: Tensor, s: int) -> Tensor:
    if slope.dtype != torch.bfloat16:  # in which oneDNN is up to four times as slow as a product of patches
        how = None, (s, s), (0, 0), (1, 1), False, (0, 0), 1
        return ops.convolution_backward(slope, x, weight, *how, (False, True, False))[1]
    patches = _Gather.apply(x.permute(0, 2, 3, 1), weight.shape[2], s)
    by_place = (_rows(slope).T @ patches.flatten(3).flatten(0, 2)).view(-1, *patches.shape[3:])
    return by_place.permute(0, 3, 1, 2)


class _ConvFromOne(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        x = x.bfloat16() if torch.is_autocast_enabled("cpu") else x
        patches = _Gather.apply(x.permute(0, 2, 3, 1), self.kernel_size[0], self.stride[0])
        matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
        y = F.linear(patches.flatten(3).flatten(0, 2), matrix, self.bias)
        return y.view(*patches.shape[:3], -1).permute(0, 3, 1, 2)


class _ConvTranspose(nn.ConvTranspose2d):
    def forward(self, x: Tensor) -> Tensor:
        (n, _, h, w), k, s = x.shape, self.kernel_size[0], self.stride[0]
        matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
        patches = (_rows(x) @ matrix).view(n, h, w, k, k, -1)
        y = patches[:, 0, 0] if h == w == 1 else _AddUp.apply(patches, ((h - 1) * s + k, (w - 1) * s + k), s)
        return (y + self.bias.to(y.dtype)).permute(0, 3, 1, 2)


class _Gather(Function):
    """All k x k patches of x, s apart: (n, height, width, c) to (n, rows, columns, k, k, c)."""

    @staticmethod
    def forward(ctx, x, k, s):
        ctx.how = x.shape[1:3], s
        return x.unfold(1, k, s).unfold(2, k, s).permute(0, 1, 2, 4, 5, 3).contiguous()

    @staticmethod
    def backward(ctx, slope):
        return _AddUp.apply(slope, *ctx.how), None, None


class _AddUp(Function):
    """The adjoint of `_Gather`: patches added up where they overlap, (..., k, k, c) to (n, *size, c).

    In blocks of s x s, of which none meets another of the same place in its patch: fewer and longer sums than number
    by number.
    """

    @staticmethod
    def forward(ctx, patches, size, s):
        n, rows, columns, k, _, c = patches.shape
        ctx.how, dtype = (k, s), patches.dtype
        if c == 1 and dtype == torch.bfloat16:  # alone, numbers of 16 bits are added three times as slowly
            patches = patches.float()
        m, (h, w) = -(-k // s), size
        down, across = rows + m - 1, columns + m - 1
        y = patches.new_zeros(n, max(h, down * s), max(w, across * s), c)
        blocks = y[:, : down * s, : across * s].unflatten(2, (across, s)).unflatten(1, (down, s))
        for i, row in enumerate(patches.split(s, dim=3)):
            for j, part in enumerate(row.split(s, dim=4)):
                there = blocks.narrow(1, i, rows).narrow(3, j, columns)
                there.narrow(2, 0, part.shape[3]).narrow(4, 0, part.shape[4]).add_(part.transpose(2, 3))
        return y[:, :h, :w].to(dtype)

    @staticmethod
    def backward(ctx, slope):
        return _Gather.apply(slope, *ctx.how), None, None


class _BatchNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return _Normalise.apply(x, self.weight, self.bias, self.eps)


class _Normalise(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        y, mean, inverse = ops.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        return y

    @staticmethod
    def backward(ctx, slope):
        return *_NormaliseBack.apply(slope, *ctx.saved_tensors), None


class _NormaliseBack(Function):
    """With h = (x - mean) r and P u = u - mean(u) - h mean(u h), batch norm w h + b sends the slope g to w r P g.

    Its own derivative in the direction v: w r P v for g, and for x, with a = mean(g), b = mean(g h), c = mean(v h),
    - (r / m) <v, w r P g> h - w r^2 (c g + b v - c a - b mean(v) - 2 b c h).
    """

    @staticmethod
    def forward(ctx, slope, x, weight, mean, inverse):
        ctx.set_materialize_grads(False)
        all_three = _normalise_back(slope, x, weight, mean, inverse)
        ctx.save_for_backward(slope, x, weight, mean, inverse, *all_three[1:])
        return all_three

    @staticmethod
    def backward(ctx, v, *_):  # the penalty asks for the input's gradient alone, so nothing comes from the other two
        if v is None:
            return (None,) * 5
        g, x, w, mean, r, sum_gh, sum_g = ctx.saved_tensors
        m = x.numel() // x.shape[1]
        for_g, sum_vh, sum_v = _normalise_back(v, x, w, mean, r)
        a, b, c = sum_g / m, sum_gh / m, sum_vh / m
        for_w = r * (_rows(v * g).sum(0, dtype=w.dtype) - a * sum_v - b * sum_vh)
        by_x = (2 * b * c * w * r**2 - for_w * w * r / m) * r
        constant = w * r**2 * (c * a + b * sum_v / m) - by_x * mean
        constant, by_x, by_g, by_v = (
            t.view(-1, 1, 1).to(x.dtype) for t in (constant, by_x, -w * r**2 * c, -w * r**2 * b)
        )
        return for_g, torch.addcmul(constant, x, by_x).addcmul_(g, by_g).addcmul_(v, by_v), for_w, None, None


def _normalise_back(slope, x, weight, mean, inverse):
    return ops.native_batch_norm_backward(slope, x, weight, None, None, mean, inverse, True, 0.0, [True] * 3)


def _rows(x: Tensor) -> Tensor:
    """(n, c, h, w) as (n * h * w, c), a view where channels are last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
