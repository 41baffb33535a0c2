"""Reading and writing StarDist models: the stock Keras folder, and this package's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histo.core import Thresholds
from napari_histo.errors import ModelError
from napari_histo.models._reasons import reason_of
from napari_histo.models.shelf.folder import (
    SHIPPED_WEIGHTS,
    STOCK_WEIGHTS,
    existing,
    read_json,
    read_thresholds,
    stock_weights,
)
from napari_histo.models.stardist.config import StarDistConfig
from napari_histo.models.stardist.net import StarDistNet

# Keras' words for torch's, in Keras' order.
_NORM_WORDS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
Arrays = dict[str, list[NDArray[np.float32]]]


def load_shipped(folder: Path) -> tuple[StarDistNet, Thresholds]:
    """Read a folder that `save_shipped` wrote; weights come back as float32.

    Raises
    ------
    ModelError
        When a file is missing, damaged, or of another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    net = StarDistNet(StarDistConfig.from_dict(read_json(folder / "config.json")))
    path = existing(folder / SHIPPED_WEIGHTS)
    try:
        weights = load_file(path)
        net.load_state_dict({k: v.float() for k, v in weights.items()})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from error
    return net.eval(), read_thresholds(folder)


def save_shipped(folder: Path, net: StarDistNet, thresholds: Thresholds) -> None:
    """Write ``config.json``, ``thresholds.json`` and half-precision ``weights.safetensors``."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.detach().cpu().half().contiguous() for k, v in _floats(net).items()}
    save_file(half, folder / SHIPPED_WEIGHTS)
    (folder / SHIPPED_WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
    _write_json(folder / "config.json", net.config.to_dict())
    _write_json(folder / "thresholds.json", asdict(thresholds))


def load_stock(folder: Path) -> tuple[StarDistNet, Thresholds]:
    """Read a model folder of the ``stardist`` package without Keras.

    Layers are matched by their stock names; those that Keras numbers by itself (``conv2d_3``,
    ``batch_normalization_7``) by their order.

    Raises
    ------
    ModelError
        When a file is missing, damaged, or of another architecture.
    """
    net = StarDistNet(StarDistConfig.from_dict(read_json(folder / "config.json")))
    path = stock_weights(folder)
    arrays = _read_keras(path)
    try:
        _fill(net, arrays)
    except ValueError as error:
        raise _damaged(path, error) from error
    return net.eval(), read_thresholds(folder)


def save_stock(folder: Path, net: StarDistNet, thresholds: Thresholds) -> None:
    """Write a folder that the ``stardist`` package loads, under Keras 2 or 3."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    layers = dict(_keras_layers(net))
    with h5py.File(folder / STOCK_WEIGHTS, "w") as file:
        file.attrs["layer_names"] = [n.encode() for n in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{word}:0".encode() for word in arrays]
            for word, tensor in arrays.items():
                group[f"{name}/{word}:0"] = tensor.detach().float().cpu().numpy()
    _write_json(folder / "config.json", net.config.to_dict())
    _write_json(folder / "thresholds.json", asdict(thresholds))


def _keras_layers(net: StarDistNet) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Keras' names and arrays in the order in which Keras made the layers."""
    norms = 0
    for name, layer in net.layers.items():
        conv: Any = getattr(layer, "conv", layer)
        yield name, {"kernel": conv.weight.permute(2, 3, 1, 0), "bias": conv.bias}
        norm: Any = getattr(layer, "norm", None)
        if norm is not None:
            own = f"batch_normalization_{norms}" if norms else "batch_normalization"
            yield own, {w: getattr(norm, t) for w, t in _NORM_WORDS.items()}
            norms += 1


def _floats(net: StarDistNet) -> dict[str, Tensor]:
    return {k: v for k, v in net.state_dict().items() if v.is_floating_point()}


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} does not hold the weights that config.json beside it describes: "
        f"{reason_of(error)}. Copy or download the model's folder again."
    )


def _write_json(path: Path, words: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(words, indent=2) + "\n", encoding="utf-8")


def _read_keras(path: Path) -> Arrays:
    """Layer name to its arrays, in Keras' order, from either layout."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return _read_keras3(root) if "layers" in root else _read_keras2(root)
    except (OSError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error


def _read_keras2(root: Any) -> Arrays:
    """``attrs`` name the layers and, in each, the arrays; Keras 3 writes this for ``.h5`` too."""
    if "layer_names" not in root.attrs:
        raise KeyError("no layer_names and no layers: not a Keras weights file")
    names = [_text(n) for n in root.attrs["layer_names"]]
    return {
        n: [np.asarray(root[n][_text(w)], np.float32) for w in root[n].attrs["weight_names"]]
        for n in names
        if len(root[n].attrs["weight_names"])
    }


def _read_keras3(root: Any) -> Arrays:
    """``layers/NAME/vars/0`` and on, of ``.weights.h5``."""
    layers = {n: g["vars"] for n, g in root["layers"].items() if "vars" in g and len(g["vars"])}
    return {
        n: [np.asarray(v[i], np.float32) for i in sorted(v, key=int)] for n, v in layers.items()
    }


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _fill(net: StarDistNet, arrays: Arrays) -> None:
    """Copy Keras' arrays into the network.

    Raises
    ------
    ValueError
        Saying which layer is missing, left over, or of another shape.
    """
    norms = {n: a for n, a in arrays.items() if len(a) == 4}
    convs = {n: a for n, a in arrays.items() if len(a) != 4}
    with_norm = [n for n, m in net.layers.items() if getattr(m, "norm", None) is not None]
    state = net.state_dict()
    for name, (found, parts) in _matched(list(net.layers), convs).items():
        own = f"layers.{name}.conv" if f"layers.{name}.conv.weight" in state else f"layers.{name}"
        if len(parts) != 2:
            raise ValueError(f"layer {found} has {len(parts)} arrays where kernel and bias belong")
        _put(
            state,
            f"{own}.weight",
            parts[0].transpose(3, 2, 0, 1) if parts[0].ndim == 4 else parts[0],
            found,
        )
        _put(state, f"{own}.bias", parts[1], found)
    for name, (found, parts) in _matched(with_norm, norms).items():
        for word, part in zip(_NORM_WORDS.values(), parts, strict=True):
            _put(state, f"layers.{name}.norm.{word}", part, found)


def _matched(wanted: list[str], found: Arrays) -> dict[str, tuple[str, list[NDArray[np.float32]]]]:
    """Our layer to (Keras' name, arrays): by name, then what is left of both by order."""
    if len(wanted) != len(found):
        raise ValueError(f"{len(found)} layers in the file, {len(wanted)} in the network")
    rest = sorted((n for n in found if n not in wanted), key=_natural)
    unnamed = [n for n in wanted if n not in found]
    names = {n: n for n in wanted if n in found} | dict(zip(unnamed, rest, strict=True))
    return {n: (names[n], found[names[n]]) for n in wanted}


def _natural(name: str) -> tuple[str, int]:
    """``conv2d`` before ``conv2d_2`` before ``conv2d_10``."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    assert match is not None
    return match[1], int(match[2] or 0)


def _put(state: dict[str, Tensor], key: str, value: NDArray[np.float32], found: str) -> None:
    into = state[key]
    if tuple(into.shape) != value.shape:
        raise ValueError(f"layer {found} has shape {value.shape}, the network {tuple(into.shape)}")
    if not np.isfinite(value).all():
        raise ValueError(f"layer {found} holds values that are not finite")
    into.copy_(torch.from_numpy(np.ascontiguousarray(value)))
