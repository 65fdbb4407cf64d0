"""The course's networks made cheaper, with the same results to rounding (tests/test_benchmarks.py).

Places come first: activations are (height, width, n, channels), so that whatever mixes places or channels is a plain
matrix product, which autograd differentiates twice by plain matrix products. A convolution to few places takes fewer
multiplications than by its definition: Toom and Cook multiply polynomials by their values at a few points, and Winograd
turns the same identity round for filters (Lavin and Gray 2016, arXiv:1509.09308). From 6 x 6 places to 5 x 5 by 2 x 2
weights it takes 36 for 100, and the four parts of a kernel of 4 x 4 with stride 2 are such filters; from 3 x 3 to 6 x 6
by 4 x 4, a transposed convolution, 36 for 144. In bfloat16 so many points would lose too much: there it is done in
parts, with 49 and 64. Other layers are products of patches. Batch norm's second derivative autograd derives from some
twenty passes over the activations; it is again what the first derivative is made of, one native call and three passes.
"""

import functools
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

ops = torch.ops.aten

POINTS = 0, -1, 1, 1 / 2, -2  # and infinity; small ones, because what they round is as large as their powers


def by_products(network: nn.Sequential) -> nn.Sequential:
    """The same weights in cheaper layers: convolutions, unpadded and square, and batch norms of batch statistics."""
    layers, cheap = list(network), {nn.Conv2d: _Conv, nn.ConvTranspose2d: _ConvTranspose, nn.BatchNorm2d: _BatchNorm}
    for layer in layers:
        layer.__class__ = cheap.get(type(layer), type(layer))
    places = [i for i, layer in enumerate(layers) if isinstance(layer, (_Conv, _ConvTranspose))]
    layers.insert(places[-1] + 1, _Turn())
    layers.insert(places[0], _Turn())
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class _Turn(nn.Module):
    """(n, c, h, w) to (h, w, n, c), or back; to bfloat16 where torch's own layers would."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(2, 3, 0, 1)
        return x.bfloat16() if torch.is_autocast_enabled("cpu") else x


class _Conv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        k, s, bias = self.kernel_size[0], self.stride[0], self.bias
        rows, columns = ((size - k) // s + 1 for size in x.shape[:2])
        if not _pays(rows, columns, k, s):
            patches = _Gather.apply(x, k, s)
            if self.in_channels == 1:  # images lie side by side there, and are copied fast
                patches = patches.contiguous()
            y = F.linear(_in_rows(patches).flatten(0, 2), _matrix(self.weight), bias)
            return y.unflatten(0, (rows, columns, -1))
        back, by_filter, by_input = _bilinear(rows, k // s, x.dtype)
        values = _along_both(by_input, _in_rows(_Gather.apply(x, s, s)))
        products = _Product.apply(values.flatten(0, 1), _filter_values(self.weight, by_filter, s))
        y = _along_both(back, products.unflatten(0, values.shape[:2]))
        return y + bias.to(y.dtype)


class _ConvTranspose(nn.ConvTranspose2d):
    """The adjoint of `_Conv`, step by step."""

    def forward(self, x: Tensor) -> Tensor:
        (h, w), k, s = x.shape[:2], self.kernel_size[0], self.stride[0]
        if _pays(h, w, k, s):
            back, by_filter, by_input = _bilinear(h, k // s, x.dtype)
            values = _filter_values(self.weight, by_filter, s)
            x = _along_both(back.T, x)
            products = torch.bmm(x.flatten(0, 1), values).unflatten(0, x.shape[:2])
            patches, side = _along_both(by_input.T, products), s
        elif self.out_channels == 1:  # images lie side by side there, and are added up fast
            patches, side = (_matrix(self.weight).T @ x.flatten(0, 2).T).T.unflatten(0, x.shape[:3]), k
        else:
            patches, side = x @ _matrix(self.weight), k
        y = _AddUp.apply(_out_of_rows(patches, side), ((h - 1) * s + k, (w - 1) * s + k), s)
        return y + self.bias.to(y.dtype)


def _pays(rows: int, columns: int, k: int, s: int) -> bool:
    """Whether products can be spared with the points that there are: more would cost too many digits."""
    return k % s == 0 and k > s and rows == columns > 1 and rows + k // s - 1 <= len(POINTS) + 1


@functools.cache
def _bilinear(m: int, r: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """A, G, B with A ((G g) * (B x)) = the filter g of r weights along m + r - 1 numbers x, m numbers.

    In bfloat16 they are for both axes at once, which rounds once; in float32 one after the other is quicker.
    """
    half = dtype == torch.bfloat16
    matrices = _in_parts(m, r, most=4 if half else len(POINTS) + 1)
    return tuple((torch.kron(matrix, matrix) if half else matrix).to(dtype) for matrix in matrices)


def _in_parts(m: int, r: int, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same matrices, made of parts of the outputs or of the weights with `most` points each: fewer round less."""
    if m + r - 1 <= most:
        return _toom_cook(m, r)
    by_weights = r > m
    a, b = -(-max(m, r) // 2), max(m, r) // 2
    (A, G, B), (C, H, D) = (_in_parts(m, k, most) if by_weights else _in_parts(k, r, most) for k in (a, b))
    inputs = torch.cat([F.pad(B, (0, b)), F.pad(D, (a, 0))])
    if by_weights:
        return torch.cat([A, C], dim=1), torch.block_diag(G, H), inputs
    return torch.block_diag(A, C), torch.cat([G, H]), inputs


def _toom_cook(m: int, r: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same matrices, for m + r - 1 products.

    Polynomials of m and r coefficients have a product of m + r - 1, which its values at as many points give, by the
    inverse of their powers; the filter is the transpose of that map in the polynomial of m.
    """
    points = torch.tensor(POINTS[: m + r - 2], dtype=torch.float64)

    def powers(n: int) -> Tensor:  # values of n coefficients; at infinity the value is the last of them
        infinity = F.one_hot(torch.tensor([n - 1]), n)
        return torch.cat([points[:, None] ** torch.arange(n), infinity])

    differences = (points[:, None] - points).fill_diagonal_(1).prod(1, keepdim=True)
    scale = torch.cat([differences, torch.ones(1, 1)])  # with it B holds short numbers, exact in bfloat16
    inverse = torch.linalg.inv(powers(m + r - 1)).T
    return powers(m).T, powers(r) / scale, inverse * scale


def _along_both(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix of `_bilinear` along the first two axes: (h, w, n, ...) to (rows, rows, n, channels)."""
    (h, w, n), rows = x.shape[:3], len(matrix)
    if matrix.shape[1] == h * w:
        return (matrix @ x.flatten(0, 1).flatten(1)).view(math.isqrt(rows), -1, n, x[0, 0, 0].numel())
    y = (matrix @ x.flatten(1)).view(rows, w, -1)
    return torch.bmm(matrix.expand(rows, -1, -1), y).view(rows, rows, n, -1)


def _filter_values(weight: Tensor, by_filter: Tensor, s: int) -> Tensor:
    """Values of the kernel's s x s parts at all points: (a, b, k, k) to (points, a, s * s * b)."""
    parts = weight.permute(0, 2, 3, 1).unflatten(2, (-1, s)).unflatten(1, (-1, s)).permute(1, 3, 0, 2, 4, 5)
    return _along_both(by_filter, parts.to(by_filter.dtype)).flatten(0, 1)


class _Product(Function):
    """x y^T, (points, n, i) and (points, o, i) to (points, n, o); all slopes of y come in the order of y.

    Autograd's own come in two orders, and to add these up is slow.
    """

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return torch.bmm(x, y.mT)

    @staticmethod
    def backward(ctx, slope):
        x, y = ctx.saved_tensors
        return _ProductBack.apply(slope, y), torch.bmm(slope.mT, x)


class _ProductBack(Function):
    @staticmethod
    def forward(ctx, slope, y):
        ctx.save_for_backward(slope, y)
        return torch.bmm(slope, y)

    @staticmethod
    def backward(ctx, v):
        slope, y = ctx.saved_tensors
        return torch.bmm(v, y.mT), torch.bmm(slope.mT, v)


def _matrix(weight: Tensor) -> Tensor:
    return weight.permute(0, 2, 3, 1).flatten(1)


def _in_rows(patches: Tensor) -> Tensor:
    """Of `_Gather`, each patch a row: (rows, columns, n, k * k * c)."""
    return patches.permute(2, 3, 4, 0, 1, 5).flatten(3)


def _out_of_rows(rows: Tensor, k: int) -> Tensor:
    """The inverse of `_in_rows`, for patches of k x k."""
    return rows.unflatten(3, (k, k, -1)).permute(3, 4, 0, 1, 2, 5)


def _patches(x: Tensor, shape: tuple[int, ...], s: int) -> Tensor:
    """A view of x, (height, width, ...), with both axes twice: inside a patch, and from one patch to the next."""
    down, across, *rest = x.stride()
    return x.as_strided(shape, (down, across, s * down, s * across, *rest), x.storage_offset())


class _Gather(Function):
    """All k x k patches of x, s apart, as a view: (height, width, n, c) to (k, k, rows, columns, n, c)."""

    @staticmethod
    def forward(ctx, x, k, s):
        ctx.how = (h, w), s = x.shape[:2], s
        return _patches(x, (k, k, (h - k) // s + 1, (w - k) // s + 1, *x.shape[2:]), s)

    @staticmethod
    def backward(ctx, slope):
        return _AddUp.apply(slope, *ctx.how), None, None


class _AddUp(Function):
    """The adjoint of `_Gather`: patches added up where they overlap, (k, k, ...) to (*size, n, c).

    In blocks of s x s, of which none meets another of the same place in its patch.
    """

    @staticmethod
    def forward(ctx, patches, size, s):
        k, _, rows, columns, n, c = patches.shape
        ctx.how = k, s
        y = patches.new_empty(*size, n, c)
        for rim in (y,) if k < s else (y[rows * s :], y[:, columns * s :]):
            rim.zero_()
        for i, j in itertools.product(range(0, k, s), repeat=2):
            block = patches[i : i + s, j : j + s]
            there = _patches(y[i:, j:], block.shape, s)
            (there.add_ if i or j else there.copy_)(block)
        return y

    @staticmethod
    def backward(ctx, slope):
        return _Gather.apply(slope, *ctx.how), None, None


class _BatchNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return _Normalise.apply(x, self.weight, self.bias, self.eps)


class _Normalise(Function):
    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        y, mean, inverse = ops.native_batch_norm(x.flatten(0, 2), weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        return ops._unsafe_view(y, x.shape)  # what comes next may change it in place, and no view of it is left

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
        m = x.numel() // x.shape[3]
        for_g, sum_vh, sum_v = _normalise_back(v, x, w, mean, r)
        a, b, c = sum_g / m, sum_gh / m, sum_vh / m
        q = w * r * r
        for_w = r * ((v * g).sum((0, 1, 2), dtype=w.dtype) - a * sum_v - b * sum_vh)
        by_x = (2 * b * c * q - for_w * w * r / m) * r
        constant = q * (c * a + b * sum_v / m) - by_x * mean
        constant, by_x, by_g, by_v = (t.to(x.dtype) for t in (constant, by_x, -q * c, -q * b))
        return for_g, torch.addcmul(constant, x, by_x).addcmul_(g, by_g).addcmul_(v, by_v), for_w, None, None


def _normalise_back(slope, x, weight, mean, inverse):
    rows = slope.flatten(0, 2), x.flatten(0, 2)
    for_x, *sums = ops.native_batch_norm_backward(*rows, weight, None, None, mean, inverse, True, 0.0, [True] * 3)
    return for_x.view(x.shape), *sums
