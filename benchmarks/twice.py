"""The course's layers made cheaper: a second derivative written out, and a transposed convolution without a graph.

PyTorch derives the second derivative of batch norm from some twenty passes over the activations, and that of a
convolution's weights from a convolution with a kernel of the size of an image. Both are again what the first
derivative is made of: one native call and three passes, and one ordinary weight gradient. The arithmetic is the
same, and so are the results, to rounding (tests/test_benchmarks.py).
"""

import itertools

import torch
from torch import Tensor, nn
from torch.autograd import Function

ops = torch.ops.aten


def cheap_twice(critic: nn.Module) -> nn.Module:
    """The critic itself, its unpadded convolutions and its batch norms (of batch statistics alone) replaced."""
    for layer in critic.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = _BatchNorm
        elif type(layer) is nn.Conv2d:
            layer.__class__ = _Conv
    return critic


class ByPatches(nn.ConvTranspose2d):
    """torch's layer, the same weights and results, unpadded. Without a graph, as in the critic's steps, it is one
    matrix product for all patches, and adding them up where they overlap, channels last: twice as fast.
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        (n, c, h, w), (k, _), (s, _) = x.shape, self.kernel_size, self.stride
        matrix = self.weight.permute(0, 2, 3, 1).reshape(c, -1)
        patches = (x.permute(0, 2, 3, 1).reshape(-1, c) @ matrix).view(n, h, w, k, k, -1)
        y = self.bias.to(patches.dtype).repeat(n, (h - 1) * s + k, (w - 1) * s + k, 1)
        for i, j in itertools.product(range(k), repeat=2):
            y[:, i : i + s * (h - 1) + 1 : s, j : j + s * (w - 1) + 1 : s] += patches[:, :, :, i, j]
        return y.permute(0, 3, 1, 2)


class _Conv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        half = torch.is_autocast_enabled("cpu")
        tensors = (t.bfloat16() if half else t for t in (x, self.weight, self.bias))
        # torch takes an image of one channel to be of either layout, and what comes of it would be of the other one
        return _Convolve.apply(*tensors, self.stride).contiguous(memory_format=torch.channels_last)


class _Convolve(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return torch.conv2d(x, weight, bias, stride)

    @staticmethod
    def backward(ctx, slope):
        x, weight = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph is being made, by a penalty, which asks for the input's gradient alone
            return _InputGradient.apply(slope, weight, x, ctx.stride), None, None, None
        wanted = [ctx.needs_input_grad[0], True, True]
        return *_convolve_back(slope, x, weight, ctx.stride, wanted), None


class _InputGradient(Function):
    """Linear in the slope and in the weights: its derivatives are a convolution and a weight gradient."""

    @staticmethod
    def forward(ctx, slope, weight, x, stride):
        ctx.save_for_backward(slope, weight)
        ctx.stride = stride
        return _convolve_back(slope, x, weight, stride, [True, False, False])[0]

    @staticmethod
    def backward(ctx, v):
        slope, weight = ctx.saved_tensors
        of_weight = _convolve_back(slope, v, weight, ctx.stride, [False, True, False])[1]
        return torch.conv2d(v, weight, None, ctx.stride), of_weight, None, None


def _convolve_back(slope, x, weight, stride, wanted):
    if wanted[0] and weight.shape[1] == 1 and weight.dtype != torch.bfloat16:  # as gan_utils.models.FromOneChannel
        of_x = ops.slow_conv_transpose2d(slope, weight, list(weight.shape[2:]), None, stride)
        return of_x, *_convolve_back(slope, x, weight, stride, [False, *wanted[1:]])[1:]
    return ops.convolution_backward(slope, x, weight, [len(weight)], stride, [0, 0], [1, 1], False, [0, 0], 1, wanted)


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
        for_w = r * (_channel_sums(v * g) - a * sum_v - b * sum_vh)
        by_x = (2 * b * c * w * r**2 - for_w * w * r / m) * r
        constant = w * r**2 * (c * a + b * sum_v / m) - by_x * mean
        constant, by_x, by_g, by_v = (
            t.view(-1, 1, 1).to(x.dtype) for t in (constant, by_x, -w * r**2 * c, -w * r**2 * b)
        )
        return for_g, torch.addcmul(constant, x, by_x).addcmul_(g, by_g).addcmul_(v, by_v), for_w, None, None


def _normalise_back(slope, x, weight, mean, inverse):
    return ops.native_batch_norm_backward(slope, x, weight, None, None, mean, inverse, True, 0.0, [True] * 3)


def _channel_sums(x: Tensor) -> Tensor:
    """Over batch and places, as a matrix times ones: several times as fast as `sum` where channels are last."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    rows = rows if rows.dtype == torch.float64 else rows.float()
    return rows.T.mv(rows.new_ones(len(rows)))
