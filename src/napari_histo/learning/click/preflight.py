"""What a training of a click model will take, before it begins."""

from __future__ import annotations

from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.run import ClickRun
from napari_histo.learning.course.preflight import CoursePreflight

__all__ = ["preflight"]

#: See `CoursePreflight`; the words are those of `train_click`.
preflight = CoursePreflight(ClickRun, ClickTraining)
