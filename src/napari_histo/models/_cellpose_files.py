"""Cellpose networks by file and by name; nothing is ever downloaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.errors import ModelError, ModelUnavailableError

if TYPE_CHECKING:
    from napari_histo.models._cellpose import CellposeSegmenter

__all__ = [
    "CELLPOSE_FAMILY",
    "PUBLISHED_FILES",
    "file_info",
    "find_published",
    "load_cellpose",
    "unavailable",
]

CELLPOSE_FAMILY = "cellpose"
#: Names of Cellpose 3, and of the files that it downloads.
PUBLISHED_FILES = {
    "cyto": "cytotorch_0",
    "cyto2": "cyto2torch_0",
    "cyto3": "cyto3",
    "nuclei": "nucleitorch_0",
}
_URL = "https://www.cellpose.org/models"
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
        f"itself. Download {_URL}/{PUBLISHED_FILES[name]} and give the file's path as the model. "
        f"Licence: {_LICENCE}."
    )


def file_info(path: Path, *, name: str | None = None) -> ModelInfo:
    """Card of a Cellpose file, without opening it."""
    published = name in PUBLISHED_FILES
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
    )


def load_cellpose(
    path: Path, info: ModelInfo, *, device: str = "auto", diameter_um: float | None = None
) -> CellposeSegmenter:
    """A segmenter from a file.

    Parameters
    ----------
    path : Path
    info : ModelInfo
    device : {"auto", "cpu", "cuda", "mps"}
    diameter_um : float, optional
        Of the objects to find; the image is scaled so that it becomes the diameter in px that the
        network was trained at.

    Raises
    ------
    ModelError
    """
    from napari_histo.models._cellpose import CellposeSegmenter
    from napari_histo.models._cellpose_net import load_cellpose_net

    net = load_cellpose_net(path)
    info = replace(info, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    if diameter_um is not None:
        if not diameter_um > 0:
            raise ModelError(f"The diameter of objects is {diameter_um} µm; it must be above 0.")
        size_um = diameter_um / float(net.diam_mean)
        info = replace(info, pixel_size_um=size_um, pixel_size_nominal=False)
    return CellposeSegmenter(net, info, device=device)
