"""A course of training of a model that finds objects: what judges is how well it finds them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, ClassVar, TypeVar

from torch import nn

from napari_histo.core import CancelToken, Segmenter, Thresholds
from napari_histo.learning.course.batches import Batches
from napari_histo.learning.course.evaluation import Exam, best_thresholds
from napari_histo.learning.course.learner import PartLearner
from napari_histo.learning.course.params import PatchParams
from napari_histo.learning.course.run import Course, Data
from napari_histo.learning.course.sheets import Slides
from napari_histo.learning.training import CurvePoint, TrainingStep
from napari_histo.ops.metrics import Agreement

__all__ = ["ObjectCourse"]

Net = TypeVar("Net", bound=nn.Module)
Batch = TypeVar("Batch")
Params = TypeVar("Params", bound=PatchParams)


class ObjectCourse(Course[Net, Batch, Params]):
    """One training of a segmenter. A subclass sets `slides`, `batches` and `learner` too."""

    #: Thresholds of probability that are tried in between.
    glances: ClassVar[tuple[float, ...]] = (0.4, 0.5, 0.6)
    #: The second threshold in between.
    glance_nms: ClassVar[float] = 0.3

    slides: Slides
    batches: Batches[Any, Batch]
    learner: PartLearner[Net, Any]

    def __init__(self, data: Data, params: Params, parent_sha256: str) -> None:
        super().__init__(data, params, parent_sha256)
        self.exams: list[Exam] = []

    @abstractmethod
    def model(self, net: Net) -> Segmenter:
        """A network as a segmenter."""

    def read_judges(self, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """Read the regions that judge; pixels are kept of those that are looked at often."""
        for number, example in enumerate(self.judge):
            cancel.raise_if_cancelled()
            self.exams.append(Exam.of(example, self.slides, keep=number in self.often))
            text = f"Reading the regions that judge: {number + 1} of {len(self.judge)}"
            yield TrainingStep(self.state.step, self.params.steps, text, loss=self.state.loss)

    def glance(self) -> tuple[Thresholds, Agreement]:
        """Thresholds and agreement of the averaged weights on some of the regions that judge."""
        exams = [self.exams[i] for i in self.often]
        model = self.model(self.state.ema)
        return best_thresholds(exams, model, self.glances, middle=self.glance_nms)

    def _drawn(self) -> AbstractContextManager[Iterator[Batch]]:
        return self.batches.ahead(self.state.step, self.params.workers)

    def _learn(self, batch: Batch, rate: float) -> None:
        self.learner.learn(batch, rate)

    def _look(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        return CurvePoint.of(step, loss, self.glance()[1])
