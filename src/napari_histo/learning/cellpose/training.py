"""Training of networks of Cellpose 1 to 3 on labelled regions: going on, or from scratch."""

from __future__ import annotations

from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.course.training import ObjectTrainer

__all__ = ["train_cellpose"]

#: See `ObjectTrainer`; the parent is a file, a folder, the name of a published network, or a
#: `CellposeShape` for a new one. The folder's ``weights.pt`` is a file that Cellpose 1 to 3 load
#: too. An object that ends at the edge of its region teaches no flow.
train_cellpose = ObjectTrainer(CellposeRun.of, CellposeTraining, "cellpose.pt")
