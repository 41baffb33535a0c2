"""What a training of a network of Cellpose will take, before it begins."""

from __future__ import annotations

from typing import Any

from napari_histo.learning.cellpose.params import CellposeTraining, SamTraining
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.cellpose.sam_run import SamRun
from napari_histo.learning.cellpose.start import file_of
from napari_histo.learning.course.preflight import CoursePreflight
from napari_histo.models.cellpose.files import holds_sam

__all__ = ["preflight", "preflight_of", "preflight_sam"]

#: See `CoursePreflight`; the words are those of `train_cellpose` and `train_sam`.
preflight = CoursePreflight(CellposeRun.of, CellposeTraining)
preflight_sam = CoursePreflight(SamRun.of, SamTraining)


def preflight_of(model: str) -> CoursePreflight[Any, Any]:
    """What `trainer_of` trains with, before it begins."""
    return preflight_sam if holds_sam(file_of(model)) else preflight
