"""What a training of StarDist will take, before it begins."""

from __future__ import annotations

from napari_histo.learning.course.preflight import ObjectPreflight
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.training import StarDistTraining

__all__ = ["preflight"]

#: See `ObjectPreflight`; the words are those of `train_stardist`.
preflight = ObjectPreflight(Run.of, StarDistTraining)
