"""What the user is doing: evented state and controllers, without Qt and without napari."""

from __future__ import annotations

from napari_histo.session.annotation import AnnotationController, AnnotationTools
from napari_histo.session.annotation_state import AnnotationState, Kept, Outline, Review, Tool
from napari_histo.session.candidates import Candidates, Result
from napari_histo.session.cells_choice import CellsBy, CellsChoice
from napari_histo.session.growing import Growing
from napari_histo.session.jobs import Post
from napari_histo.session.objects import EditableObjects
from napari_histo.session.pace import Pace
from napari_histo.session.region import Region
from napari_histo.session.segmentation import SegmentController
from napari_histo.session.state import ImageChoice, Phase, Saved, Scope, SegmentState
from napari_histo.session.statistics import Statistics

__all__ = [
    "AnnotationController",
    "AnnotationState",
    "AnnotationTools",
    "Candidates",
    "CellsBy",
    "CellsChoice",
    "EditableObjects",
    "Growing",
    "ImageChoice",
    "Kept",
    "Outline",
    "Pace",
    "Phase",
    "Post",
    "Region",
    "Result",
    "Review",
    "Saved",
    "Scope",
    "SegmentController",
    "SegmentState",
    "Statistics",
    "Tool",
]
