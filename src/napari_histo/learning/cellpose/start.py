"""The network that a training goes on from, and the scale that it sees objects at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, ModelInfo, Thresholds
from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.course.card import info_words, learned_from, write_model
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.course.start import ObjectStart
from napari_histo.learning.training import Example
from napari_histo.models.cellpose.files import (
    CELLPOSE_FAMILY,
    find_published,
    holds_sam,
    sam_info,
)
from napari_histo.models.cellpose.folder import save_cellpose_folder
from napari_histo.models.cellpose.net import CellposeNet, CellposeShape, load_cellpose_net
from napari_histo.models.cellpose.sam import check_package
from napari_histo.models.cellpose.tuned import BaseFile, save_tuned
from napari_histo.models.registry import get_info, model_folder
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS, SHIPPED_WEIGHTS

__all__ = ["PERCENTILES", "Start", "file_of", "unpack"]

#: Diameter of a new network's objects where there are none to measure: that of ``nuclei``.
_DIAMETER_PX = 17.0
#: Of an image, that become 0 and 1.
PERCENTILES = (1.0, 99.0)


class Start(ObjectStart[CellposeNet]):
    """What training begins with."""

    @classmethod
    def of(
        cls,
        parent: Path | str | CellposeShape,
        examples: Sequence[Example],
        params: CellposeTraining,
    ) -> Start:
        """From a file, a folder, the name of a published network, or (without weights) a shape.

        Raises
        ------
        ModelError
            No such model, or one of another family.
        """
        if isinstance(parent, CellposeShape):
            return _fresh(parent, examples, params)
        info = get_info(str(parent))
        origin = info.name
        if info.family != CELLPOSE_FAMILY:
            raise ModelError(
                f"The model {info.name!r} is of the family {info.family!r}; this training goes on "
                "from a network of Cellpose 1 to 3. Give its file, or a folder of your own."
            )
        file = _weights_of(str(parent))
        net = load_cellpose_net(file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        # A folder says at which scale it was trained.
        kept = Path(parent).is_dir() and not info.pixel_size_nominal
        size_um = info.pixel_size_um if kept else None
        if params.diameter_um is not None or size_um is None:
            size_um = _scale_um(params.diameter_um, examples, float(net.diam_mean))
        info = replace(
            info,
            name=params.name,
            pixel_size_um=size_um or info.pixel_size_um,
            pixel_size_nominal=size_um is None,
            description=learned_from(examples, origin),
        )
        return cls(net, info, PERCENTILES, origin, sha256)


def unpack(model: str, folder: Path) -> Path:
    """A folder for a network that is a file, as training writes it; gives `folder`.

    Of Cellpose-SAM it holds no weights yet, and says which file they are in.

    Raises
    ------
    ModelError
        It cannot be trained.
    MissingDependencyError
        It is Cellpose-SAM, and the package is not here.
    """
    info, file = get_info(model), file_of(model)
    if holds_sam(file):
        check_package()
        info, base, weights = sam_info(file, info), BaseFile.of(file), SHIPPED_WEIGHTS
        save = partial(save_tuned, base=base, learned={}, thresholds=info.thresholds)
    else:
        net, weights = load_cellpose_net(file), CELLPOSE_WEIGHTS
        save = partial(save_cellpose_folder, net=net, thresholds=info.thresholds)
    write_model(folder, info_words(info) | {"source": f"the file {file.name}"}, weights, save)
    return folder


def file_of(name: str) -> Path:
    """The file or folder that a model is loaded from."""
    return find_published().get(name) or model_folder(name)


def _weights_of(name: str) -> Path:
    path = file_of(name)
    return path / CELLPOSE_WEIGHTS if path.is_dir() else path


def _fresh(shape: CellposeShape, examples: Sequence[Example], params: CellposeTraining) -> Start:
    """A new network; images without a pixel size are taken as they are."""
    with torch.random.fork_rng():
        torch.manual_seed(params.seed)
        net = CellposeNet(shape, _median_px(examples, params.pixel_um)).eval()
    info = ModelInfo(
        params.name,
        CELLPOSE_FAMILY,
        params.pixel_um,
        not all(_has_size(e) for e in examples),
        "rgb" if shape.widths[0] == 3 else "gray",
        classes=ClassScheme.of("Nucleus"),
        thresholds=Thresholds(0.5, 0.4),
        description=learned_from(examples, ""),
    )
    return Start(net, info, PERCENTILES)


def _scale_um(
    diameter_um: float | None, examples: Sequence[Example], diam_px: float
) -> float | None:
    """Pixel size at which objects have the diameter of training; None: images are taken as is."""
    if diameter_um is not None:
        return diameter_um / diam_px
    found = [d for e in examples if _has_size(e) for d in _diameters(e, 1.0)]
    if not found or not all(_has_size(e) for e in examples):
        return None
    return float(np.median(found)) / diam_px


def _median_px(examples: Sequence[Example], pixel_um: float) -> float:
    found = [d for e in examples for d in _diameters(e, pixel_um)]
    return round(float(np.median(found)), 1) if found else _DIAMETER_PX


def _diameters(example: Example, pixel_um: float) -> NDArray[np.float64]:
    """Of circles as large as the objects, in units of `pixel_um`, or px of a nameless image."""
    areas = nuclei_of(example.labels.objects).areas_px
    size = example.pixel_size or example.reader.info.pixel_size
    scale = 1.0 if size is None else np.sqrt(size.x_um * size.y_um) / pixel_um
    return np.asarray(np.sqrt(4 / np.pi * areas) * scale, np.float64)


def _has_size(example: Example) -> bool:
    return (example.pixel_size or example.reader.info.pixel_size) is not None
