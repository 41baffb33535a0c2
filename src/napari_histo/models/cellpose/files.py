"""Cellpose networks by file and by name; nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.errors import ModelUnavailableError
from napari_histo.models._device import pick_device, pick_precision
from napari_histo.models.cellpose.tuned import is_tuned, load_tuned_net
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS, SHIPPED_WEIGHTS

if TYPE_CHECKING:
    from napari_histo.core.models import Channels
    from napari_histo.models.cellpose.segmenter import CellposeSegmenter, FlowNet
    from napari_histo.models.cellpose.size import SizeModel

__all__ = [
    "CELLPOSE_FAMILY",
    "PUBLISHED_FILES",
    "file_info",
    "find_published",
    "holds_sam",
    "load_cellpose",
    "sam_info",
    "unavailable",
]

CELLPOSE_FAMILY = "cellpose"
#: Names of Cellpose 3 and 4, and of the files that they download.
PUBLISHED_FILES = {
    "cyto": "cytotorch_0",
    "cyto2": "cyto2torch_0",
    "cyto3": "cyto3",
    "nuclei": "nucleitorch_0",
    "cpsam": "cpsam",
    "cpsam_v2": "cpsam_v2",
}
#: That they were trained at; other files say it themselves, once they are read.
_DIAMETERS_PX = {"cyto": 30.0, "cyto2": 30.0, "cyto3": 30.0, "nuclei": 17.0}
_SAM_PX = 30.0
_SAM_NAMES = ("cpsam", "cpsam_v2")
_URL = "https://www.cellpose.org/models"
_SAM_URL = "https://huggingface.co/mouseland/cellpose-sam/resolve/main"
#: Files of Cellpose-SAM have 600 MB and more, those of Cellpose 1 to 3 about 26 MB.
_SAM_BYTES = 300_000_000
#: A nucleus of 8.5 µm on the 17 px of ``nuclei``, a cell of 15 µm on the 30 px of the others.
_NOMINAL_UM = 0.5
_LICENCE = "BSD-3-Clause, trained on images under CC-BY-NC: not for commercial use"


def find_published() -> dict[str, Path]:
    """Published networks that Cellpose has put on this machine, by name."""
    folder = Path(
        os.environ.get("CELLPOSE_LOCAL_MODELS_PATH") or Path.home() / ".cellpose" / "models"
    )
    there = {name: folder / file for name, file in PUBLISHED_FILES.items()}
    return {name: path for name, path in there.items() if path.is_file()}


def unavailable(name: str) -> ModelUnavailableError:
    """What to say of a published network that is not here."""
    return ModelUnavailableError(
        f"The Cellpose network {name!r} is not on this machine, and nothing is downloaded by "
        f"itself. Download {_SAM_URL if name in _SAM_NAMES else _URL}/{PUBLISHED_FILES[name]} and "
        f"give the file's path as the model. Licence: {_LICENCE}."
    )


def file_info(path: Path, *, name: str | None = None) -> ModelInfo:
    """Card of a Cellpose file, without opening it."""
    published = name in PUBLISHED_FILES
    if name in _SAM_NAMES or (not published and path.stat().st_size > _SAM_BYTES):
        return _sam_info(path, name)
    of_nuclei = "nucle" in (name or path.stem).lower()
    return ModelInfo(
        name or path.stem,
        CELLPOSE_FAMILY,
        _NOMINAL_UM,
        True,
        "gray" if of_nuclei else "cells",
        ClassScheme.of("Nucleus" if of_nuclei else "Cell"),
        _LICENCE if published else "unknown",
        str(path),
        size_bytes=path.stat().st_size,
        thresholds=Thresholds(0.5, 0.4),
        description=(
            f"Cellpose network {'of the package' if published else 'from a file'}. Objects of "
            "another size than it was trained at need --diameter."
        ),
        takes_diameter=True,
        diameter_px=_DIAMETERS_PX.get(name or ""),
    )


def _sam_info(path: Path, name: str | None) -> ModelInfo:
    return ModelInfo(
        name or path.stem,
        CELLPOSE_FAMILY,
        channels="rgb-or-cells",
        classes=ClassScheme.of("Cell"),
        licence=_LICENCE if name else f"unknown; Cellpose-SAM itself: {_LICENCE}",
        source=str(path),
        size_bytes=path.stat().st_size,
        thresholds=Thresholds(0.5, 0.4),
        description=(
            "Cellpose-SAM, for cells and nuclei of 7 to 120 px in any stain; needs the package "
            "cellpose, and is slow without a graphics card. --diameter scales the image."
        ),
        takes_diameter=True,
        diameter_px=_SAM_PX,
    )


def load_cellpose(
    path: Path,
    info: ModelInfo,
    *,
    device: str = "auto",
    precision: str = "auto",
    diameter_um: float | None = None,
) -> CellposeSegmenter:
    """A segmenter from a file, or from a folder of our own training.

    Parameters
    ----------
    path : Path
    info : ModelInfo
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "float32", "bfloat16"}
        Of Cellpose-SAM; the others compute in float32.
    diameter_um : float, optional
        Of the objects to find; the image is scaled so that it becomes the diameter in px that the
        network was trained at.

    Raises
    ------
    ModelError
    """
    from napari_histo.models.cellpose.segmenter import CellposeSegmenter

    net, info = _load_net(path, info, pick_precision(precision, pick_device(device)))
    info = replace(info, takes_diameter=True, diameter_px=float(net.diam_mean))
    model = CellposeSegmenter(net, info, device=device, size=_size_of(path, net))
    return model if diameter_um is None else model.at_diameter(diameter_um)


def _size_of(path: Path, net: FlowNet) -> SizeModel | float | None:
    """What tells the size of objects in images of which nobody knows it, as in the package."""
    from napari_histo.models.cellpose.net import CellposeNet
    from napari_histo.models.cellpose.size import find_size_file, read_size_model

    if not isinstance(net, CellposeNet):
        return None
    size_file = find_size_file(path)
    if size_file is not None:
        return read_size_model(size_file, net.shape.widths[-1])
    return float(net.diam_labels)


def _load_net(path: Path, info: ModelInfo, precision: str) -> tuple[FlowNet, ModelInfo]:
    """Whatever the file holds, and its card now that it is known."""
    from napari_histo.models.cellpose.net import is_sam, load_cellpose_net
    from napari_histo.models.cellpose.reading import read_weights

    if path.is_dir() and is_tuned(path):
        info = replace(info, sha256=_sha256_of(path / SHIPPED_WEIGHTS))
        return load_tuned_net(path, precision=precision), info
    if path.is_dir():
        path = path / CELLPOSE_WEIGHTS
    weights = read_weights(path)
    info = replace(info, sha256=_sha256_of(path))
    if not is_sam(weights):
        import torch

        net = load_cellpose_net(path, weights)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        kinds: dict[int, Channels] = {1: "gray", 2: info.channels, 3: "rgb"}
        return net, replace(info, channels=kinds.get(net.n_channels, info.channels))
    from napari_histo.models.cellpose.sam import load_sam_net

    return load_sam_net(path, weights, precision=precision), sam_info(path, info)


def sam_info(path: Path, info: ModelInfo) -> ModelInfo:
    """Card of a file that turned out to be one of Cellpose-SAM."""
    if info.channels == "rgb-or-cells":
        return info
    return replace(_sam_info(path, None), name=info.name, sha256=info.sha256)


def holds_sam(path: Path) -> bool:
    """True for a file of Cellpose-SAM, and for a folder of one that was fine-tuned here.

    Raises
    ------
    ModelError
        The file is missing, or holds no weights.
    """
    from napari_histo.models.cellpose.net import is_sam
    from napari_histo.models.cellpose.reading import read_weights

    return is_tuned(path) if path.is_dir() else is_sam(read_weights(path))


def _sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
