"""The latent explorer: a generator that runs in the page, and its twin that drives the torch model itself."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Mapping

import ipywidgets
import numpy as np
import torch
import traitlets
from torch import Tensor, nn
from torch.nn import functional as F

from .. import control
from ..models import ConditionalGenerator
from .base import Demo, grey, png, source, still_html, tile

# ------------------------------------------------------------------------- a generator as plain data

def export_generator(G: nn.Module, *, latent_dim: int | None = None, int8: bool = True) -> dict:
    """The generator in evaluation mode as a JSON-ready dict, for the forward pass in JavaScript.

    Keys: ``latent_dim``; ``shape`` of the picture, (1, height, width); ``layers``, a list of dicts with ``op``
    (linear, conv_transpose, reshape, relu, leaky_relu, tanh, sigmoid) and its settings; and of a
    `ConditionalGenerator` ``condition``, for each class the numbers joined to z. Every batch norm is folded into the
    layer before it, with its running statistics. ``weight`` has the output channel last and is either
    ``{"float32": ...}`` or ``{"int8": ..., "scale": ...}``, w = int8 * scale of its output channel; ``bias`` is
    float32; all are base64 of little-endian bytes.

    int8 rounds each weight by at most half its scale, that is 1/254 of the largest weight of its output channel.
    G itself is not touched. The export is run against G, and refused where the two differ.
    """
    G = copy.deepcopy(G).eval().cpu().float()
    joined = _joined(G)  # (classes, k), k = 0 where G knows no classes
    body = G.body if isinstance(G, ConditionalGenerator) else G
    layers = [_describe(name, module) for name, module in body.named_modules(remove_duplicate=False)
              if not list(module.children())]
    layers = _fold_norms([layer for layer in layers if layer is not None])
    latent_dim = _first_width(layers, latent_dim, joined.shape[1])
    z = torch.randn(8, latent_dim, generator=torch.Generator().manual_seed(0))
    y = torch.arange(8) % len(joined)
    with torch.no_grad():
        want = G(z, y) if isinstance(G, ConditionalGenerator) else G(z)
        got = _run(layers, torch.cat([z, joined[y]], dim=1))
    if not torch.isfinite(want).all():
        raise ValueError("export_generator: G makes NaN or infinite pixels; use one from before it diverged")
    shape = tuple(want.shape[1:])
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or shape[0] != 1:
        raise ValueError(f"export_generator: G makes pictures of shape {shape}; it needs (1, height, width)")
    if got.numel() != want.numel() or not torch.allclose(got.flatten(1), want.flatten(1), atol=1e-4):
        raise ValueError("export_generator: G does more in forward() than call its modules in turn; "
                         "give each step a module (nn.ReLU, nn.Tanh, nn.Unflatten, ...)")
    network = {"latent_dim": latent_dim, "shape": list(shape), "layers": [_pack(layer, int8) for layer in layers]}
    return network | ({"condition": joined.tolist()} if isinstance(G, ConditionalGenerator) else {})


def _joined(G: nn.Module) -> Tensor:
    """What stands beside z for each class, (classes, k); one row of nothing where G knows no classes."""
    if not isinstance(G, ConditionalGenerator):
        return torch.zeros(1, 0)
    vectors = torch.eye(G.classes) if G.embedding is None else G.embedding.weight.detach().cpu().float()
    return G.scale * vectors


def _of_weights(G: nn.Module, y: Tensor) -> Callable[[Tensor], Tensor]:
    """G as a function of codes (n, d) alone, for class weights y, (n, classes) or (1, classes): mixtures too."""
    if not isinstance(G, ConditionalGenerator):
        return G
    joined = y @ _joined(G)
    return lambda z: G.body(torch.cat([z, joined.expand(len(z), -1)], dim=1))


def _describe(name: str, module: nn.Module) -> dict | None:
    """One module as a dict with torch weights, output channel last; None where it does nothing in evaluation mode."""
    if isinstance(module, nn.Linear):
        return {"op": "linear", "in": module.in_features, "out": module.out_features,
                "weight": module.weight.detach().T, "bias": _bias(module, module.out_features)}
    if isinstance(module, nn.ConvTranspose2d):
        _check_conv(name, module)
        return {"op": "conv_transpose", "in": module.in_channels, "out": module.out_channels,
                "kernel": module.kernel_size[0], "stride": module.stride[0], "padding": module.padding[0],
                "output_padding": module.output_padding[0],
                "weight": module.weight.detach().permute(0, 2, 3, 1), "bias": _bias(module, module.out_channels)}
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        if module.running_mean is None:
            raise ValueError(f"export_generator: batch norm '{name}' keeps no running statistics "
                             "(track_running_stats=False); the page needs them")
        scale = torch.rsqrt(module.running_var + module.eps)
        scale = scale * (module.weight.detach() if module.affine else 1)
        shift = (module.bias.detach() if module.affine else 0) - module.running_mean * scale
        return {"op": "norm", "name": name, "scale": scale, "shift": shift}
    if isinstance(module, nn.Unflatten):
        return {"op": "reshape", "shape": list(module.unflattened_size)}
    if isinstance(module, nn.LeakyReLU):
        return {"op": "leaky_relu", "slope": module.negative_slope}
    for kind, op in ((nn.ReLU, "relu"), (nn.Tanh, "tanh"), (nn.Sigmoid, "sigmoid")):
        if isinstance(module, kind):
            return {"op": op}
    if isinstance(module, (nn.Flatten, nn.Identity, nn.Dropout)):
        return None
    raise ValueError(f"export_generator: no JavaScript for layer '{name}' ({type(module).__name__}); it knows Linear, "
                     "ConvTranspose2d, BatchNorm, ReLU, LeakyReLU, Tanh, Sigmoid, Unflatten")


def _bias(module: nn.Module, width: int) -> Tensor:
    return torch.zeros(width) if module.bias is None else module.bias.detach()


def _check_conv(name: str, module: nn.ConvTranspose2d) -> None:
    square = all(len(set(pair)) == 1 for pair in (module.kernel_size, module.stride, module.padding,
                                                  module.output_padding))
    if not square or module.groups != 1 or set(module.dilation) != {1}:
        raise ValueError(f"export_generator: '{name}' must have a square kernel, one stride, groups=1 and dilation=1")


def _fold_norms(layers: list[dict]) -> list[dict]:
    """Each norm goes into the weights before it: s (Wx + b) + t = (sW) x + (sb + t)."""
    kept = []
    for layer in layers:
        if layer["op"] != "norm":
            kept.append(layer)
            continue
        before = next((i for i in reversed(kept) if i["op"] != "reshape"), None)
        if before is None or before["op"] not in ("linear", "conv_transpose"):
            raise ValueError(f"export_generator: batch norm '{layer['name']}' must follow Linear or ConvTranspose2d")
        # after a reshape to (channels, h, w) one channel's statistics serve h * w outputs of the linear layer
        times = before["out"] // len(layer["scale"])
        scale, shift = (layer[key].repeat_interleave(times) for key in ("scale", "shift"))
        before["weight"] = before["weight"] * scale
        before["bias"] = before["bias"] * scale + shift
    return kept


def _first_width(layers: list[dict], latent_dim: int | None, joined: int = 0) -> int:
    width = layers[0].get("in") if layers else None
    width = None if width is None else width - joined
    if width is None and latent_dim is None:
        raise ValueError("export_generator: G does not begin with a Linear layer; say how long a code is: latent_dim=")
    if None not in (width, latent_dim) and width != latent_dim:
        raise ValueError(f"export_generator: latent_dim={latent_dim} given, but G takes codes of length {width}")
    return width or latent_dim


def _run(layers: list[dict], x: Tensor) -> Tensor:
    """The exported layers in torch: the reference for the same loop in JavaScript. Writes each map's size down."""
    plain = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
    for layer in layers:
        op = layer["op"]
        if op == "linear":
            x = x @ layer["weight"] + layer["bias"]
        elif op == "reshape":
            x = x.unflatten(1, layer["shape"])
        elif op == "conv_transpose":
            layer["size"] = list(x.shape[2:])
            x = F.conv_transpose2d(x, layer["weight"].permute(0, 3, 1, 2), layer["bias"], layer["stride"],
                                   layer["padding"], layer["output_padding"])
            layer["grown"] = list(x.shape[2:])
        elif op == "leaky_relu":
            x = F.leaky_relu(x, layer["slope"])
        else:
            x = plain[op](x)
    return x


def _pack(layer: dict, int8: bool) -> dict:
    if "weight" not in layer:
        return layer
    weight = layer["weight"]
    packed = {"float32": _base64(weight.numpy().astype("<f4"))}
    if int8:
        scale = weight.flatten(0, -2).abs().amax(0).clamp_min(1e-12) / 127  # (out,)
        packed = {"int8": _base64((weight / scale).round().numpy().astype("i1")),
                  "scale": _base64(scale.numpy().astype("<f4"))}
    return {**layer, "weight": packed, "bias": _base64(layer["bias"].numpy().astype("<f4"))}


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def principal_directions(G: nn.Module, latent_dim: int, *, n: int = 32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit directions in z along which the picture changes most, and by how much: (d, d) in rows, (d,).

    They are the eigenvectors of E[J(z)^T J(z)] over the prior, J the Jacobian of G in evaluation mode; the square
    root of an eigenvalue is the root-mean-square change of the picture per unit step. That is the pull-back metric
    of G averaged over the prior, and over the classes where G has some. GANSpace (Haerkoenen et al. 2020,
    arXiv:2004.02546) looks for such directions by a PCA of early activations; here the pictures themselves are small
    enough to ask. Signs: + adds ink.
    """
    G = copy.deepcopy(G).eval().cpu().float()
    z = torch.randn(n, latent_dim, generator=torch.Generator().manual_seed(seed))
    h = 1e-2
    moved = torch.cat([z[:, None] + step * torch.eye(latent_dim) for step in (h, -h)])  # (2n, d, d): one row each
    joined = _joined(G)
    joined = joined[torch.arange(2 * n) % n % len(joined)]  # the classes in turn
    moved = torch.cat([moved, joined[:, None].expand(-1, latent_dim, -1)], dim=2).flatten(0, 1)
    body = G.body if isinstance(G, ConditionalGenerator) else G
    with torch.no_grad():  # central differences; few and large batches, for threads wait at the end of every layer
        made = torch.cat([body(codes).flatten(1) for codes in moved.split(1024)])
    plus, minus = made.unflatten(0, (2, n, latent_dim))
    J = (plus - minus).transpose(1, 2) / (2 * h)  # (n, pixels, d)
    values, vectors = torch.linalg.eigh(torch.einsum("npi,npj->ij", J, J) / n)
    vectors = vectors.T.flip(0)  # rows, the strongest first
    ink = torch.einsum("npi,ki->k", J, vectors)
    vectors = vectors * torch.where(ink < 0, -1.0, 1.0)[:, None]
    return vectors, values.flip(0).clamp_min(0).sqrt()


def _orthonormal(directions: Mapping[str, Tensor], d: int) -> Tensor:
    """The directions (d,) as orthonormal rows, each what is left of it beside those before (Gram and Schmidt)."""
    for name, direction in directions.items():
        if tuple(direction.shape) != (d,):
            raise ValueError(f"LatentExplorer: direction {name!r} has shape {tuple(direction.shape)}, needs ({d},)")
    q, r = torch.linalg.qr(torch.stack(list(directions.values())).detach().cpu().double().T)
    if (r.diagonal().abs() < 1e-6 * r.norm()).any():
        raise ValueError("LatentExplorer: a direction is zero or follows from the others; leave it out")
    return (q * r.diagonal().sign()).T


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """`gan_utils.control.slerp` of arrays (d,); the same as in generator.js."""
    a, b = (torch.from_numpy(np.asarray(v, dtype=float)) for v in (a, b))
    return control.slerp(a, b, t).numpy()


# ---------------------------------------------------------------------------- the explorer

class Code(traitlets.List):
    """A latent code: any array or tensor of one code is taken, a list of floats is kept."""

    def validate(self, obj, value):
        if isinstance(value, Tensor):
            value = value.detach().cpu()
        value = np.asarray(value, dtype=np.float64).ravel()
        if len(value) != obj.latent_dim or not np.isfinite(value).all():
            raise traitlets.TraitError(f"{self.name}: {len(value)} numbers given, {obj.latent_dim} finite ones needed "
                                       "(one code, not a batch)")
        return value.tolist()


class Weights(traitlets.List):
    """The weight of each class; a class itself is taken too, and stands for the weight 1 on it."""

    def validate(self, obj, value):
        if isinstance(value, Tensor):
            value = value.detach().cpu().numpy()
        given, count = value, obj.classes
        value = np.asarray(value, dtype=np.float64)
        if value.ndim == 0 and value in range(count):
            value = np.eye(count)[int(value)]
        if value.shape != (count,) or not np.isfinite(value).all():
            raise traitlets.TraitError(f"{self.name}: {given} given, needs a class from 0 to {count - 1} or "
                                       f"{count} finite weights" if count else f"{self.name}: G knows no classes")
        return value.tolist()


class LatentExplorer(Demo):
    """The generator under the reader's hand: sliders along its principal directions, a path between two codes.

    ``explorer.z``, ``pin_a``, ``pin_b`` (lists of floats), ``t`` in [0, 1] and ``mode`` ("slerp" or "lerp") can be
    read and set while the widget is shown; arrays and tensors are taken. Setting ``t`` or ``mode`` moves ``z`` to
    that place on the path from A to B. The sliders are the first ``directions`` of ``principal_directions``, or the
    directions given by name, each freed of its parts along those before it, so that one slider leaves the others.

    A `ConditionalGenerator` has a button for each class as well (``classes`` names them). Then ``y``, ``y_a`` and
    ``y_b`` are the class weights of the picture and of the pins: a class can be set, weights are read. The path
    mixes them evenly. ``pins`` are the classes that A and B begin with.
    """

    _name = "explorer"
    _esm = source("explorer")
    z = Code().tag(sync=True)
    pin_a = Code().tag(sync=True)
    pin_b = Code().tag(sync=True)
    t = traitlets.Float(0.0, min=0.0, max=1.0).tag(sync=True)
    mode = traitlets.Enum(["slerp", "lerp"], "slerp").tag(sync=True)
    y = Weights().tag(sync=True)
    y_a = Weights().tag(sync=True)
    y_b = Weights().tag(sync=True)

    def __init__(self, G: nn.Module, *, latent_dim: int | None = None, seed: int = 0,
                 directions: int | Mapping[str, Tensor] = 6, names: list[str] | None = None,
                 title: str = "Explore the generator", int8: bool = True,
                 classes: list[str] | None = None, pins: tuple[int, int] = (0, 1)):
        network = export_generator(G, latent_dim=latent_dim, int8=int8)
        self.latent_dim = d = network["latent_dim"]
        self.classes = count = len(network.get("condition", []))
        named = list(directions) if isinstance(directions, Mapping) else None
        shown = directions if named is None else len(named)
        if not 2 <= shown <= d:
            raise ValueError(f"LatentExplorer: directions={shown} given, 2 to {d} needed")
        names = names or named or [f"direction {k + 1}" for k in range(shown)]
        if len(names) != shown:
            raise ValueError(f"LatentExplorer: {len(names)} names given for {shown} directions")
        if classes is not None and len(classes) != count:
            raise ValueError(f"LatentExplorer: {len(classes)} names given for {count} classes")
        if count and not all(k in range(count) for k in pins):
            raise ValueError(f"LatentExplorer: pins={pins} given, two classes from 0 to {count - 1} needed")
        self._G = copy.deepcopy(G).eval().cpu().float()
        found = principal_directions(G, d)[0][:shown] if named is None else _orthonormal(directions, d)
        self._directions = found.double().numpy()
        a, b = torch.randn(2, d, generator=torch.Generator().manual_seed(seed)).double().numpy().round(5)
        start = {"z": a.tolist(), "pin_a": a.tolist(), "pin_b": b.tolist(), "t": 0.0, "mode": "slerp"}
        y_a, y_b = np.eye(count)[list(pins)].tolist() if count else ([], [])
        start |= {"y": y_a, "y_a": y_a, "y_b": y_b}
        data = {"network": network, "directions": self._directions.round(6).tolist(), "names": names,
                "classes": classes or [str(k) for k in range(count)], "title": title, "seed": seed, "start": start}
        super().__init__(data=data, **start)

    @traitlets.observe("t", "mode")
    def _walk(self, _change) -> None:
        if not (self.pin_a and self.pin_b):
            return  # still being built
        a, b = np.asarray(self.pin_a), np.asarray(self.pin_b)
        z = (slerp if self.mode == "slerp" else control.lerp)(a, b, self.t)
        if not np.allclose(z, self.z, atol=1e-9):  # the page has moved z already: do not echo it back
            self.z = z
        y = (1 - self.t) * np.asarray(self.y_a) + self.t * np.asarray(self.y_b)
        if not np.allclose(y, self.y, atol=1e-9):
            self.y = y

    def picture(self) -> Tensor:
        """G(z) for the code that is shown, and its class weights, by torch: (height, width), values as G makes them."""
        return self._pictures([self.z], [self.y])[0]

    def _pictures(self, codes: list, weights: list) -> Tensor:
        make = _of_weights(self._G, torch.tensor(np.array(weights), dtype=torch.float32))
        with torch.no_grad():
            made = make(torch.tensor(np.array(codes), dtype=torch.float32))
        return made.reshape(-1, *self.data["network"]["shape"][1:])

    def _state(self) -> dict:
        return {"data": self.data, **{key: getattr(self, key) for key in self.data["start"]}}

    def _still(self) -> str:
        steps, shown = np.linspace(-3, 3, 9), min(4, len(self._directions))
        z = np.asarray(self.z)
        codes = [z + (c - z @ u) * u for u in self._directions[:shown] for c in steps]
        rows = f"one code moved from -3 to +3 along {', '.join(self.data['names'][:shown])}, one row each"
        weights, columns, hands = [self.y], len(steps), "sliders and a path between codes"
        if self.classes:  # each column a class, each row a code of its own along the first direction
            columns, hands = self.classes, "buttons for the class, sliders and a path between codes"
            codes = [code for code in codes[: len(steps) : 2] for _ in range(columns)]
            weights = np.tile(np.eye(columns), (len(codes) // columns, 1))
            rows = f"each column a class, each row one code, moved along {self.data['names'][0]}"
        grid = tile(grey(self._pictures(codes, weights).numpy()), columns)
        return still_html(png(grid), 2 * grid.shape[1], f"Generated pictures: {rows}.",
                           f"A still: where scripts may run, {hands} move the picture here.")


class TorchSlider(ipywidgets.VBox):
    """A slider that drives the torch generator itself, one picture for each position; see ``torch_slider``."""

    def __init__(self, G: nn.Module, u: np.ndarray, z: np.ndarray, name: str, classes: list[str]):
        self._G, self._u, self._z = G, u, z
        self.slider = ipywidgets.FloatSlider(0.0, min=-3, max=3, step=0.05, description=name,
                                             style={"description_width": "initial"}, layout={"width": "22rem"})
        self.choice = ipywidgets.Dropdown(options=[(name, k) for k, name in enumerate(classes)], description="class")
        self.image = ipywidgets.Image(format="png", width=224, height=224)
        for part in (self.slider, self.choice):
            part.observe(lambda change: self._show(), "value")
        self.slider.value = float(np.clip(z @ u, -3, 3))
        self._show()
        super().__init__([self.slider, *([self.choice] if classes else []), self.image])

    def _pictures(self, positions: list[float], choices: list[int | None]) -> np.ndarray:
        codes = np.stack([self._z + (c - self._z @ self._u) * self._u for c in positions])
        device = next(self._G.parameters()).device
        given = [torch.tensor(codes, dtype=torch.float32, device=device)]
        if None not in choices:
            given.append(torch.tensor(choices, device=device))
        was_training = self._G.training
        self._G.eval()  # in training mode one picture would lean on its batch, and shift the statistics
        try:
            with torch.no_grad():
                pictures = self._G(*given)
        finally:
            self._G.train(was_training)
        pictures = pictures.cpu().numpy()
        return grey(pictures.reshape(len(positions), *pictures.shape[-2:]))

    def _show(self) -> None:
        self.image.value = png(self._pictures([self.slider.value], [self.choice.value])[0])

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        name, count = self.slider.description, len(self.choice.options)
        if count:
            strip = tile(self._pictures([self.slider.value] * count, list(range(count))), count)
            shown = "Pictures by the torch model: one code, each class in turn."
        else:
            strip = tile(self._pictures(np.linspace(-3, 3, 9), [None]), 9)
            shown = f"Pictures by the torch model as {name} goes from -3 to +3."
        still = still_html(png(strip), 2 * strip.shape[1], shown,
                            "This slider drives the torch model and needs a running kernel; "
                            "the explorer moves on this page.")
        return {**bundle, "text/plain": "TorchSlider()", "text/html": still}


def torch_slider(G: nn.Module, *, direction: int = 0, latent_dim: int | None = None, seed: int = 0,
                 classes: list[str] | None = None) -> TorchSlider:
    """An ipywidgets slider along one principal direction; each move runs ``G`` itself, as it is at that moment.

    A `ConditionalGenerator` gets a menu of its classes beside it.
    """
    d = latent_dim or export_generator(G)["latent_dim"]
    if not 0 <= direction < d:
        raise ValueError(f"torch_slider: direction={direction} given, 0 to {d - 1} needed")
    count = G.classes if isinstance(G, ConditionalGenerator) else 0
    if classes is not None and len(classes) != count:
        raise ValueError(f"torch_slider: {len(classes)} names given for {count} classes")
    u = principal_directions(G, d)[0][direction].double().numpy()
    z = torch.randn(d, generator=torch.Generator().manual_seed(seed)).double().numpy()
    return TorchSlider(G, u, z, f"direction {direction + 1}", classes or [str(k) for k in range(count)])
