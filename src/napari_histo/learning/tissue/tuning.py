"""Training that goes on from a region model: painted areas of labelled regions."""

from __future__ import annotations

from napari_histo.learning.course.training import CourseTrainer
from napari_histo.learning.tissue.params import RegionTuning
from napari_histo.learning.tissue.tuning_run import RegionRun

__all__ = ["tune_regions"]

#: See `CourseTrainer`; the parent is a region model's folder or name, and the new one's folder is
#: read by `load_region_model`. Areas of labelled regions teach, as those of `train_regions` do:
#: smaller ones lie on top, ``Ignore*`` and Background are background, and what lies in none teaches
#: nothing; there, and around the regions, the parent's own answer is held on to. Painted classes
#: that the parent does not know come after its own. The parent is the first of the models that are
#: judged, so that what learned nothing better is not kept. Regions without one area are refused.
tune_regions = CourseTrainer(RegionRun, RegionTuning, "regions.pt")
