"""Region models: the torch network as a `RegionSegmenter`, and its folder.

A folder holds ``config.json`` (shape of the network), ``weights.safetensors`` and ``card.json``;
of a guided model also a folder ``guide`` with the same three for the coarser one.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ModelInfo
from napari_histo.core.regions import RegionSegmenter
from napari_histo.errors import ModelError
from napari_histo.models._device import pick_device
from napari_histo.models._reasons import reason_of
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, beside_model, read_info, read_json
from napari_histo.ops.finite import finite
from napari_histo.store.write import atomic_path

if TYPE_CHECKING:
    from napari_histo.models.region.net import RegionNet

__all__ = [
    "REGION_FAMILY",
    "NetShape",
    "TorchRegionSegmenter",
    "load_region_model",
    "save_region_model",
]

REGION_FAMILY = "regions"
_GUIDE = "guide"
_MOST_CHANNELS, _MOST_CLASSES, _MOST_WIDTH = 64, 255, 128


@dataclass(frozen=True)
class NetShape:
    """What makes a network's layers, as ``config.json`` holds it.

    Attributes
    ----------
    channels : int
        Of the image.
    classes : int
        Of the answer, the background among them.
    guided : bool
        True where the network sees an answer of `classes` channels beside the image.
    width : int
        Channels of the finest level.
    """

    channels: int = 3
    classes: int = 2
    guided: bool = False
    width: int = 24

    def build(self) -> RegionNet:
        """A network of this shape, with random weights."""
        from napari_histo.models.region.net import RegionNet

        n_in = self.channels + (self.classes if self.guided else 0)
        return RegionNet(n_in, self.classes, self.width)


class TorchRegionSegmenter:
    """A small U-Net as a `RegionSegmenter`.

    Parameters
    ----------
    net : RegionNet
        With weights; a copy of it is used.
    shape : NetShape
    info : ModelInfo
    guide : RegionSegmenter, optional
        The coarser model, where `shape` is guided.
    device : {"auto", "cpu", "cuda", "mps"}
    """

    def __init__(
        self,
        net: RegionNet,
        shape: NetShape,
        info: ModelInfo,
        *,
        guide: RegionSegmenter | None = None,
        device: str = "auto",
    ) -> None:
        import torch

        from napari_histo.models.region.net import DIVISOR, MARGIN

        self.device = pick_device(device)
        self.shape = shape
        self._info, self._guide = info, guide
        self._margin, self._align = MARGIN, DIVISOR
        self._net = copy.deepcopy(net).eval().to(self.device)
        self._net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __repr__(self) -> str:
        return f"<TorchRegionSegmenter {self._info.name} on {self.device}>"

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        return self._info

    @property
    def guide(self) -> RegionSegmenter | None:
        """The coarser model."""
        return self._guide

    @property
    def margin_px(self) -> int:
        """Context of an output pixel."""
        return self._margin

    @property
    def align_px(self) -> int:
        """Where tiles may start."""
        return self._align

    @property
    def net(self) -> RegionNet:
        """The network; not to be changed."""
        return self._net

    def on_cpu(self) -> RegionSegmenter:
        """See `RegionSegmenter.on_cpu`."""
        if self.device == "cpu":
            return self
        guide = None if self._guide is None else self._guide.on_cpu()
        return TorchRegionSegmenter(
            copy.deepcopy(self._net).cpu(), self.shape, self._info, guide=guide, device="cpu"
        )

    def predict(
        self, images: NDArray[np.float32], guide: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """See `RegionSegmenter.predict`."""
        import torch

        height, width = images.shape[1:3]
        x = self._input(images, guide)
        if not images.size:
            return np.zeros((*images.shape[:3], self.shape.classes), np.float32)
        with torch.inference_mode():
            logits = self._net(torch.from_numpy(x).permute(0, 3, 1, 2).to(self.device))
            prob = logits.softmax(1).permute(0, 2, 3, 1)[:, :height, :width]
            answer: NDArray[np.float32] = prob.contiguous().float().cpu().numpy()
        return answer

    def embed(
        self, images: NDArray[np.float32], guide: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Features (b, d) of length 1, from the encoder, of images as for `predict`."""
        import torch

        x = torch.from_numpy(self._input(images, guide)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            features: NDArray[np.float32] = self._net.embed(x.to(self.device)).cpu().numpy()
        return features

    def _input(
        self, images: NDArray[np.float32], guide: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Image and guide in one array, padded to whole blocks by their last row and column."""
        if images.shape[-1] != self.shape.channels:
            raise ModelError(
                f"The region model {self._info.name!r} was trained on {self.shape.channels} "
                f"channel(s); this image has {images.shape[-1]}. Train one on images of its kind."
            )
        parts = [finite(images)]
        if self.shape.guided:
            seen = np.zeros((*images.shape[:3], self.shape.classes), np.float32)
            if guide is not None:  # which may lack classes that were added to this model later
                seen[..., : guide.shape[-1]] = guide
            parts.append(seen)
        x = np.concatenate(parts, axis=-1)
        rows, columns = (-side % self._align for side in x.shape[1:3])
        if rows or columns:
            x = np.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")
        return np.ascontiguousarray(x, np.float32)


# -- files -----------------------------------------------------------------------------------------


def save_region_model(
    path: Path | str, model: TorchRegionSegmenter, about: Mapping[str, Any] | None = None
) -> None:
    """Write a model's folder, whole or not at all; `about` goes onto its card."""
    with atomic_path(path, folder=True, strangers=beside_model) as work:
        _write(work, model, about or {})
        guide = model.guide
        if isinstance(guide, TorchRegionSegmenter):
            (work / _GUIDE).mkdir()
            _write(work / _GUIDE, guide, {})


def _write(folder: Path, model: TorchRegionSegmenter, about: Mapping[str, Any]) -> None:
    from safetensors.torch import save_file

    info, weights = model.info, folder / SHIPPED_WEIGHTS
    save_file({k: v.cpu().contiguous() for k, v in model.net.state_dict().items()}, weights)
    card = {
        "name": info.name,
        "family": REGION_FAMILY,
        "pixel_size_um": info.pixel_size_um,
        "channels": info.channels,
        "classes": list(info.classes.names),
        "licence": info.licence,
        "description": info.description,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        **about,
    }
    config = {"format": 1, **vars(model.shape)}
    for name, words in (("config.json", config), ("card.json", card)):
        text = json.dumps(words, indent=1, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def load_region_model(path: Path | str, *, device: str = "auto") -> TorchRegionSegmenter:
    """Read a folder that `save_region_model` wrote.

    Raises
    ------
    ModelError
        The folder is missing, damaged, or holds a model of another kind.
    """
    folder = Path(path)
    shape, info = _read_shape(folder), read_info(folder)
    if info.family != REGION_FAMILY or info.pixel_size_um is None:
        raise ModelError(
            f"{folder} holds a model of the family {info.family!r} at {info.pixel_size_um} µm; "
            "wanted is a region model, as 'napari-histo regions train' makes it."
        )
    if shape.classes != len(info.classes) + 1:
        raise ModelError(
            f"{folder}: config.json speaks of {shape.classes} classes with the background, the "
            f"card of {len(info.classes)} without. Copy the model again."
        )
    guide = load_region_model(folder / _GUIDE, device=device) if shape.guided else None
    info = replace(info, source=str(folder))
    return TorchRegionSegmenter(_read_net(folder, shape), shape, info, guide=guide, device=device)


def _read_shape(folder: Path) -> NetShape:
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds no region model: there is no config.json. Check the path, or choose a "
            "folder that 'napari-histo regions train' made."
        )
    words = read_json(folder / "config.json")
    limits = {"channels": _MOST_CHANNELS, "classes": _MOST_CLASSES, "width": _MOST_WIDTH}
    fine = isinstance(words.get("guided"), bool) and all(
        type(words.get(name)) is int and 0 < words[name] <= most for name, most in limits.items()
    )
    if not fine or words.get("format") != 1:
        raise ModelError(
            f"{folder} holds a model that does not tell tissues apart, or one of another version: "
            "its config.json is not a region model's of format 1. "
            "Choose a folder that 'napari-histo regions train' made."
        )
    return NetShape(words["channels"], words["classes"], words["guided"], words["width"])


def _read_net(folder: Path, shape: NetShape) -> RegionNet:
    from safetensors.torch import load_file

    net = shape.build()
    try:
        net.load_state_dict(load_file(folder / SHIPPED_WEIGHTS))
    except Exception as error:  # safetensors' own errors, OSError, RuntimeError of torch
        raise ModelError(
            f"{folder / SHIPPED_WEIGHTS} does not hold this region network: {reason_of(error)}. "
            "Copy the model again."
        ) from error
    return net.eval()
