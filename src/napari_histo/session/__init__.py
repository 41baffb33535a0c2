"""What the user is doing: evented state and controllers, without Qt and without napari."""

from __future__ import annotations

from napari_histo.session.annotate.controller import AnnotationController, AnnotationTools
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.annotate.state import AnnotationState, Kept, Outline, Review, Tool
from napari_histo.session.jobs import Post
from napari_histo.session.segment.candidates import Candidates, Result
from napari_histo.session.segment.cells import CellsBy, CellsChoice
from napari_histo.session.segment.controller import SegmentController
from napari_histo.session.segment.growing import Growing
from napari_histo.session.segment.pace import Pace
from napari_histo.session.segment.region import Region
from napari_histo.session.segment.state import ImageChoice, Phase, Saved, Scope, SegmentState
from napari_histo.session.segment.statistics import Statistics

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
