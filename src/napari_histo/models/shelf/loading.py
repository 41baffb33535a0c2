"""A model's files, whatever its family, as something that runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_histo.core import ClassScheme, ModelInfo, PromptSegmenter, Segmenter
from napari_histo.core.regions import RegionSegmenter
from napari_histo.models.cellpose.files import CELLPOSE_FAMILY, load_cellpose
from napari_histo.models.foreign.loading import FOREIGN_FAMILIES, load_foreign
from napari_histo.models.region.segmenter import REGION_FAMILY
from napari_histo.models.shelf.folder import SHIPPED_WEIGHTS, read_percentiles

__all__ = ["PROMPT_FAMILY", "load_any", "load_click", "load_stardist"]

PROMPT_FAMILY = "nuclick"


def load_any(
    path: Path, info: ModelInfo, record: Mapping[str, Any]
) -> Segmenter | PromptSegmenter | RegionSegmenter:
    """A model on the processor, to see whether its files are whole.

    Parameters
    ----------
    path : Path
        Folder or file.
    info : ModelInfo
    record : mapping
        What ``added.json`` says, or will say.

    Raises
    ------
    ModelError
        They are not.
    """
    if info.family == CELLPOSE_FAMILY:
        return load_cellpose(path, info, device="cpu")
    if info.family == REGION_FAMILY:
        from napari_histo.models.region.segmenter import load_region_model

        return load_region_model(path, device="cpu")
    if info.family in FOREIGN_FAMILIES:
        return load_foreign(path, info, device="cpu", record=record)
    if info.family == PROMPT_FAMILY:
        return load_click(path, info, device="cpu", precision="float32")
    return load_stardist(path, info, device="cpu", precision="float32")


def load_stardist(path: Path, info: ModelInfo, *, device: str, precision: str) -> Segmenter:
    """Of a stock folder or a shipped one."""
    from napari_histo.models.stardist.files import load_shipped, load_stock
    from napari_histo.models.stardist.segmenter import StarDistSegmenter

    ours = (path / SHIPPED_WEIGHTS).is_file()
    net, thresholds = load_shipped(path) if ours else load_stock(path)
    n_classes = net.config.n_classes or 1
    if len(info.classes) != n_classes:
        names = (f"Class {i + 1}" for i in range(n_classes))
        info = replace(info, classes=ClassScheme.of(*names))
    return StarDistSegmenter(
        net,
        replace(info, thresholds=thresholds),
        percentiles=read_percentiles(path),
        device=device,
        precision=precision,
    )


def load_click(path: Path, info: ModelInfo, *, device: str, precision: str) -> PromptSegmenter:
    """Of a folder."""
    from napari_histo.models.nuclick.segmenter import NuClickSegmenter, load_click_net

    net = load_click_net(path / SHIPPED_WEIGHTS)
    return NuClickSegmenter(net, info, device=device, precision=precision)
