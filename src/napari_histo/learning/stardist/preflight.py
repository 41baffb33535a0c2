"""What a training of StarDist will take, before it begins."""

from __future__ import annotations

from napari_histo.learning.course.preflight import CoursePreflight
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.training import StarDistTraining

__all__ = ["preflight"]

#: See `CoursePreflight`; the words are those of `train_stardist`.
preflight = CoursePreflight(Run.of, StarDistTraining)
