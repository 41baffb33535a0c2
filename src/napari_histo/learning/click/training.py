"""Training of a click model on labelled regions: each outlined object gives gestures for it."""

from __future__ import annotations

from napari_histo.learning.click.params import ClickTraining
from napari_histo.learning.click.run import ClickRun
from napari_histo.learning.course.training import CourseTrainer

__all__ = ["train_click"]

#: See `CourseTrainer`; the parent is a click model's folder or name, and the new one's folder is
#: read by `load_prompt_model`. Each object that a person outlined is asked for by a click, a box or
#: a squiggle, drawn at random, and sometimes corrected by further clicks, as in Sofiiuk et al.
#: (ICIP 2022). Loss is computed where the region is labelled, and on objects that cross its edge;
#: elsewhere the parent's own answer is held on to. The parent is the first of the models that are
#: judged, so that what learned nothing better is not kept. Regions without one object are refused.
train_click = CourseTrainer(ClickRun, ClickTraining, "click.pt")
