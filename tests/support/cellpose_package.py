"""The ``cellpose`` package for parity tests, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

import pytest
import torch

#: Operators that torchvision's CUDA build registers and that a CPU torch lacks.
_OPERATORS = ("nms", "qnms")


def cellpose_module(name):
    """``cellpose.NAME``; skips, and says so, where the package is missing.

    ``NAPARI_HISTO_CELLPOSE`` may name a folder that holds it (``pip install --target``).
    """
    folder = os.environ.get("NAPARI_HISTO_CELLPOSE")
    if folder and folder not in sys.path:
        sys.path.append(folder)
    if importlib.util.find_spec("cellpose") is None:
        pytest.skip("the package cellpose is not installed (NAPARI_HISTO_CELLPOSE)")
    _define_operators()
    return importlib.import_module(f"cellpose.{name}")


def _define_operators():
    """Without them torchvision cannot even be imported beside a torch for the processor."""
    if "torchvision" in sys.modules or hasattr(torch.ops.torchvision, "nms"):
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    cellpose_module.library = library  # it lives as long as the operators are wanted
