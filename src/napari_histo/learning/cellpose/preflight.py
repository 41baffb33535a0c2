"""What a training of a network of Cellpose will take, before it begins."""

from __future__ import annotations

from napari_histo.learning.cellpose.params import CellposeTraining, SamTraining
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.cellpose.sam_run import SamRun
from napari_histo.learning.course.preflight import ObjectPreflight

__all__ = ["preflight", "preflight_sam"]

#: See `ObjectPreflight`; the words are those of `train_cellpose` and `train_sam`.
preflight = ObjectPreflight(CellposeRun.of, CellposeTraining)
preflight_sam = ObjectPreflight(SamRun.of, SamTraining)
