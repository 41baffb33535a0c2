"""What a training of a region model in rounds will take, before it begins."""

from __future__ import annotations

from napari_histo.learning.course.preflight import CoursePreflight
from napari_histo.learning.tissue.params import RegionTuning
from napari_histo.learning.tissue.tuning_run import RegionRun

__all__ = ["preflight"]

#: See `CoursePreflight`; the words are those of `tune_regions`.
preflight = CoursePreflight(RegionRun, RegionTuning)
