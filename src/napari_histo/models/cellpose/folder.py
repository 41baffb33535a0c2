"""A folder with a network of Cellpose 1 to 3 that was trained here."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from napari_histo.core import Thresholds
from napari_histo.models.cellpose.net import CellposeNet, save_cellpose_net
from napari_histo.models.shelf.folder import CELLPOSE_WEIGHTS

__all__ = ["save_cellpose_folder"]


def save_cellpose_folder(folder: Path, net: CellposeNet, thresholds: Thresholds) -> None:
    """Weights, which the package loads too, with the network's shape and thresholds beside them."""
    save_cellpose_net(folder / CELLPOSE_WEIGHTS, net)
    words = {
        "config.json": {"architecture": "cellpose", **asdict(net.shape)},
        "thresholds.json": asdict(thresholds),
    }
    for name, told in words.items():
        (folder / name).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
