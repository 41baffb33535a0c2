"""Training of StarDist on labelled regions: going on from a model, or from scratch; with replay."""

from __future__ import annotations

from napari_histo.learning.course.training import CourseTrainer
from napari_histo.learning.stardist.run import Run
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.training import StarDistTraining

__all__ = ["small_config", "train_stardist"]

#: See `CourseTrainer`; the parent is a model's folder or name, or a configuration (see
#: `small_config`) for a new one.
train_stardist = CourseTrainer(Run.of, StarDistTraining, "stardist.pt")
