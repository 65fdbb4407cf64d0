"""Networks on disk: safetensors with a JSON header. Nothing is unpickled, writes are whole or not at all.

A SHA-256 sum over header and tensors goes with them, so that a damaged file is noticed, not trained on.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from . import models
from .runtime import write_atomic

FORMAT = "gan_utils/1"
SHIPPED = ".generator.safetensors"


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Writes named tensors and a header of plain values (numbers, strings, lists) to a safetensors file."""
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(header)
    return write_atomic(path, save(plain, {"format": FORMAT, "header": text, "sha256": _digest(plain, text)}))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the header. One-line errors for a missing, damaged or foreign file."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path.name}: train one, or check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError:
        raise ValueError(f"{path.name} is damaged or no safetensors file: make it again") from None
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "none")
        raise ValueError(f"{path.name} has format {found}, this version reads {FORMAT}")
    if metadata.get("sha256") != _digest(tensors, metadata["header"]):
        raise ValueError(f"{path.name} was changed after it was written: its SHA-256 sum differs; make it again")
    return tensors, json.loads(metadata["header"])


def save_generator(path: str | Path, G: nn.Module, *, model: str, arguments: Mapping[str, Any], **header: Any) -> Path:
    """Writes G with what builds it again: `model` names a function of `gan_utils.models`, called on `arguments`."""
    _builder(model)
    return save_tensors(path, G.state_dict(), {"model": model, "arguments": dict(arguments), **header})


def load_generator(path: str | Path, *, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """G in eval mode on `device`, and the header that it was saved with; of a run's checkpoint, its averaged G."""
    tensors, header = load_tensors(path)
    if "model" not in header:
        raise ValueError(f"{Path(path).name} holds no generator")
    prefix = header.get("generator_prefix", "")
    try:
        G = _builder(header["model"])(**header["arguments"])
        G.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{Path(path).name} does not fit {header['model']} ({reason}): make it again") from None
    return G.to(device).eval().requires_grad_(False), header


def shipped_path(name: str) -> Path:
    """Where the package keeps the generator of this name. Raises ValueError for a name that is not shipped."""
    folder = Path(str(resources.files(__package__))) / "checkpoint_files"
    known = sorted(f.name.removesuffix(SHIPPED) for f in folder.glob(f"*{SHIPPED}"))
    if name not in known:
        raise ValueError(f"no generator called {name!r} is shipped: use one of {', '.join(known)}")
    return folder / f"{name}{SHIPPED}"


def shipped_generator(name: str = "mnist-mapped", *, device: str | torch.device = "cpu") -> nn.Module:
    """A generator that comes with the package, trained by its recipe, in eval mode."""
    return load_generator(shipped_path(name), device=device)[0]


def recorded(name: str = "classic-mnist-loop") -> dict[str, Any]:
    """Figures of a long run that the package ships, with the command that makes them again."""
    path = Path(str(resources.files(__package__))) / "checkpoint_files" / f"{name}.json"
    if not path.is_file():
        raise ValueError(f"no figures called {name!r} are shipped")
    return json.loads(path.read_text())


def _digest(tensors: Mapping[str, Tensor], header: str) -> str:
    """Over the header, and over name, type, shape and bytes of every tensor, in the order of their names."""
    total = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _builder(model: str):
    if not model.endswith("_generator") or not hasattr(models, model):
        raise ValueError(f"no generator called {model!r} in gan_utils.models")
    return getattr(models, model)
