"""A course of training of a model that finds objects: what judges is how well it finds them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from napari_histo.core import CancelToken, Segmenter, Thresholds
from napari_histo.errors import ModelError
from napari_histo.learning.course.batches import Batches
from napari_histo.learning.course.card import info_words, metrics_rows, write_model
from napari_histo.learning.course.evaluation import Exam, best_thresholds
from napari_histo.learning.course.learner import PartLearner
from napari_histo.learning.course.memory import step_bytes
from napari_histo.learning.course.params import PatchParams
from napari_histo.learning.course.patches import PatchSource
from napari_histo.learning.course.run import Course, Data
from napari_histo.learning.course.sheets import Sheets, Slides
from napari_histo.learning.course.start import ObjectStart
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.training import CurvePoint, Example, TrainingStep
from napari_histo.models import load_model
from napari_histo.ops.metrics import Agreement

__all__ = ["ObjectCourse"]

#: With fewer objects to judge by, thresholds would fit their noise.
_LEAST_OBJECTS = 20

Net = TypeVar("Net", bound=nn.Module)
Patch = TypeVar("Patch")
Batch = TypeVar("Batch")
Params = TypeVar("Params", bound=PatchParams)


class ObjectCourse(Course[Net, Batch, Params], Generic[Net, Patch, Batch, Params]):
    """One training of a segmenter. A subclass sets `state` and `learner`.

    Parameters
    ----------
    start : ObjectStart
        Under the new model's name.
    data : three lists of Example
        See `split`.
    params : PatchParams
    """

    #: The largest learning rate of a new network, and of one that goes on.
    rates: ClassVar[tuple[float, float]]
    #: Name of the file whose hash the card holds.
    weights_file: ClassVar[str]
    #: How labelled regions are read, and patches of them drawn.
    sheets: ClassVar[type[Sheets]] = Sheets
    source: ClassVar[type[PatchSource[Any]]]
    #: Thresholds of probability that are tried in between.
    glances: ClassVar[tuple[float, ...]] = (0.4, 0.5, 0.6)
    #: The second threshold in between.
    glance_nms: ClassVar[float] = 0.3

    last_words = "Choosing thresholds"
    looks_at_the_end = 4  # thresholds are tried on all regions that judge

    _parent_counts = False
    learner: PartLearner[Net, Any]

    def __init__(self, start: ObjectStart[Net], data: Data, params: Params) -> None:
        super().__init__(data, params, start.sha256)
        self.start = start
        self.exams: list[Exam] = []
        self.slides = Slides(self.model(start.net), params.channel)
        self.batches = self._batches()

    # -- what families differ in -----------------------------------------------------------------

    @abstractmethod
    def model(self, net: Net) -> Segmenter:
        """A network as a segmenter."""

    @property
    @abstractmethod
    def divisor(self) -> int:
        """Sides of patches are multiples of it, px."""

    @property
    def _source_words(self) -> dict[str, Any]:
        """What else this family's patches are drawn by."""
        return {}

    @abstractmethod
    def _stack(self, patches: list[Patch]) -> Batch:
        """A batch of patches."""

    @abstractmethod
    def _as_saved(self, net: Net) -> Net:
        """A copy on the processor, in evaluation mode, rounded as its file will be."""

    @abstractmethod
    def _try_thresholds(self, model: Segmenter) -> tuple[Thresholds, Agreement]:
        """The best of those that this family tries at the end, on all regions that judge."""

    @abstractmethod
    def _save(self, folder: Path, net: Net, thresholds: Thresholds) -> None:
        """Write all files of a model's folder but the card."""

    # -- the course ------------------------------------------------------------------------------

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

    def memory_bytes(self) -> int:
        """See `Course.memory_bytes`."""
        drawn: Any = self.batches.draw(0)
        needs = step_bytes(self.start.net, drawn.image[:1], self.params.batch, self.precision)
        return needs + self.batches.nbytes

    def drawn(self) -> AbstractContextManager[Iterator[Batch]]:
        return self.batches.ahead(self.state.step, self.params.workers)

    def learn(self, batch: Batch, rate: float) -> None:
        self.learner.learn(batch, rate)

    def look(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        return CurvePoint.of(step, loss, self.glance()[1])

    @property
    def _peak_rate(self) -> float:
        return self.rates[bool(self.start.parent)]

    @property
    def _looks_first(self) -> bool:
        return self._can_look and bool(self.start.parent)

    def _batches(self) -> Batches[Patch, Batch]:
        params = self.params
        if params.patch_px % self.divisor:
            raise ModelError(
                f"patch_px is {params.patch_px}; this network needs a multiple of {self.divisor}."
            )
        return Batches(
            self._source(self.teach, is_replayed=False),
            self._source(self.replay, is_replayed=True) if self.replay else None,
            self._stack,
            size=params.batch,
            share=params.replay_share,
            seed=params.seed,
            distinct=self.distinct,
        )

    def _source(self, examples: Sequence[Example], *, is_replayed: bool) -> PatchSource[Patch]:
        params = self.params
        shape = PatchShape(params.patch_px, params.zoom, 3 * params.zoom)
        sheets = self.sheets(examples, self.slides, params.patch_px // 2)
        words = {"is_replayed": is_replayed, **self._source_words}
        return self.source(sheets, shape, self.start.percentiles, **words)

    # -- its end ---------------------------------------------------------------------------------

    def write(
        self, folder: Path, best_step: int, about: Mapping[str, Any], cancel: CancelToken
    ) -> tuple[Mapping[str, Any], Agreement]:
        """See `Course.write`; chooses thresholds."""
        net = self._as_saved(self.state.ema)
        thresholds, found = self._choose(net)
        card = {
            **info_words(self.start.info),
            "percentiles": list(self.start.percentiles),
            "thresholds": asdict(thresholds),
            **self._story(self.start.parent, best_step, metrics_rows(found, len(self.judge))),
            **about,
        }
        written = write_model(
            folder, card, self.weights_file, lambda work: self._save(work, net, thresholds)
        )
        return written, found

    def read(self, folder: Path) -> Segmenter:
        """See `Course.read`."""
        how = self.params
        return load_model(str(folder), device=how.device, precision=how.precision)

    def _choose(self, net: Net) -> tuple[Thresholds, Agreement]:
        """The best on the regions that judge; the usual ones where they hold too few objects."""
        usual = self.start.info.thresholds
        if not self.exams:
            return usual, Agreement()
        model = self.model(net)
        best, found = self._try_thresholds(model)
        if found.n_truth >= _LEAST_OBJECTS:
            return best, found
        return usual, best_thresholds(self.exams, model, [usual.prob], middle=usual.nms)[1]
