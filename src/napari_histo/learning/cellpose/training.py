"""Training of Cellpose's networks on labelled regions: going on, or from scratch."""

from __future__ import annotations

from typing import Any

from napari_histo.learning.cellpose.params import CellposeTraining, SamTraining
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.cellpose.sam_run import SamRun
from napari_histo.learning.cellpose.start import file_of
from napari_histo.learning.course.training import CourseTrainer
from napari_histo.models.cellpose.files import holds_sam

__all__ = ["train_cellpose", "train_sam", "trainer_of"]

#: See `CourseTrainer`; the parent is a file, a folder, the name of a published network, or a
#: `CellposeShape` for a new one. The folder's ``weights.pt`` is a file that Cellpose 1 to 3 load
#: too. An object that ends at the edge of its region teaches no flow.
train_cellpose = CourseTrainer(CellposeRun.of, CellposeTraining, "cellpose.pt")

#: Of Cellpose-SAM: the parent is a file, a folder of an earlier fine-tuning, or the name of a
#: published network. The folder holds what learned, and names the file that it belongs to.
train_sam = CourseTrainer(SamRun.of, SamTraining, "cellpose_sam.pt")


def trainer_of(model: str) -> CourseTrainer[Any, Any]:
    """What trains a network of Cellpose, by its name, file or folder."""
    return train_sam if holds_sam(file_of(model)) else train_cellpose
