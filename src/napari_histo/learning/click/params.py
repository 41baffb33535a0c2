"""The words of training a click model. Light: no network is imported."""

from __future__ import annotations

from dataclasses import dataclass

from napari_histo.learning.course.params import CourseParams

__all__ = ["CLICK_FAMILY", "ClickTraining"]

#: Of models that answer clicks.
CLICK_FAMILY = "nuclick"


@dataclass(frozen=True)
class ClickTraining(CourseParams):
    """How to train a model that answers gestures; see `CourseParams`.

    A batch counts objects; the rate is 3e-4 by default. The parent's answers are heard where nobody
    labelled anything, and on objects of earlier rounds.
    """

    name: str = "clicks"
    steps: int = 200
    judge_every: int = 25
    patience: int = 4
