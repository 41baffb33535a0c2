"""A course of training: its steps, the looks at the regions that judge, and when it ends."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import nn

from napari_histo.core import CancelToken
from napari_histo.errors import ObjectsFileError
from napari_histo.learning.course.card import data_facts, fingerprint
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.course.state import State, learning_rate
from napari_histo.learning.training import (
    CurvePoint,
    Example,
    Examples,
    TrainedModel,
    TrainingStep,
    as_examples,
    hold_out_some,
)
from napari_histo.models._device import pick_device, pick_precision
from napari_histo.ops.metrics import Agreement

__all__ = ["AnyCourse", "Course", "Data", "split"]

_KEEP_EVERY_S = 20.0
_MACHINE = ("device", "precision", "workers")

Net = TypeVar("Net", bound=nn.Module)
Params = TypeVar("Params", bound=CourseParams)
Batch = TypeVar("Batch")
#: Regions that teach, that earlier rounds taught, and that judge.
Data = tuple[list[Example], list[Example], list[Example]]


def split(regions: Examples, replay: Examples, validation: Examples, params: CourseParams) -> Data:
    """What teaches, what is replayed and what judges; some is held out where nothing is given.

    Raises
    ------
    ObjectsFileError
        There is nothing to learn from.
    """
    new, old, judge = as_examples(regions), as_examples(replay), as_examples(validation)
    if not new and not old:
        raise ObjectsFileError("There is no labelled region to learn from. Mark one as done first.")
    if not judge:
        new, old, judge = hold_out_some(new, old, params.held_out, params.seed)
    return new, old, judge


class Course(ABC, Generic[Net, Batch, Params]):
    """One training. Families say what is drawn, how it is learned, and what is better.

    A subclass sets `state` before the first step.

    Parameters
    ----------
    data : three lists of Example
        See `split`.
    params : CourseParams
    parent_sha256 : str
        Of the weights that it goes on from; "" for none.
    """

    #: How progress words the latest look, from `CurvePoint.quality`.
    quality_words: ClassVar[str] = "PQ {:.2f}"
    #: What progress says while `finish` judges the best weights.
    last_words: ClassVar[str]
    #: Regions that are looked at in between; all of them at the end.
    most_judges: ClassVar[int] = 16
    #: What the labels of regions are.
    things: ClassVar[str] = "objects"
    #: How many more looks the end of a training takes about as long as.
    looks_at_the_end: ClassVar[int] = 1
    #: With fewer things to judge by (see `n_judged`), the best look would be the luckiest.
    least_judged: ClassVar[int] = 0

    state: State[Net]
    params: Params

    def __init__(self, data: Data, params: Params, parent_sha256: str) -> None:
        self.teach, self.replay, self.judge = data
        self.params, self._parent_sha256 = params, parent_sha256
        self.device = pick_device(params.device)
        self.precision = pick_precision(params.precision, self.device)
        #: Said instead of the next step's progress.
        self.messages: list[str] = []
        #: Things that the latest look judged by, where a family counts them.
        self.n_judged = 0
        drawn = np.random.default_rng([params.seed, 2]).permutation(len(self.judge))
        self.often = sorted(drawn[: self.most_judges].tolist())

    # -- what families differ in -----------------------------------------------------------------

    @abstractmethod
    def drawn(self) -> AbstractContextManager[Iterator[Batch]]:
        """Batches from the next step on."""

    @abstractmethod
    def learn(self, batch: Batch, rate: float) -> None:
        """One step at a learning rate; `State.note` is called in it."""

    @abstractmethod
    def look(self, step: int, loss: float, cancel: CancelToken) -> CurvePoint:
        """How well the averaged weights do on the regions of `often`."""

    @abstractmethod
    def write(
        self, folder: Path, best_step: int, about: Mapping[str, Any], cancel: CancelToken
    ) -> tuple[Mapping[str, Any], Agreement]:
        """Judge the averaged weights, by now the best ones, on all regions that judge; write them.

        Gives the card, with `about` on it, and the agreement.
        """

    @abstractmethod
    def read(self, folder: Path) -> Any:
        """The model that `write` wrote."""

    @abstractmethod
    def memory_bytes(self) -> int:
        """Of the network, what a step keeps of each layer, and the pixels at hand."""

    def read_judges(self, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """Read the regions that judge, where they are not read at each look."""
        yield from ()

    @property
    def distinct(self) -> int | None:
        """Batches after which the first comes again; None where each is new."""
        return None

    @property
    @abstractmethod
    def _peak_rate(self) -> float:
        """The largest learning rate where none is given."""

    @property
    def _can_look(self) -> bool:
        """True where there are regions that judge."""
        return bool(self.often)

    @property
    def _looks_first(self) -> bool:
        """True to put the parent on the curve, before the first step."""
        return self._can_look

    def _worth(self, point: CurvePoint) -> float | None:
        """What the best look has most of; None where a look does not tell.

        With few things to judge by none does, and it learns to the end.
        """
        tells = self._can_look and self.n_judged >= self.least_judged
        return float(np.nan_to_num(point.quality)) if tells else None

    #: Whether the parent is the first of those that may be best.
    _parent_counts: ClassVar[bool] = True

    # -- the course ------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """Parameters but for those of the machine."""
        return {k: v for k, v in asdict(self.params).items() if k not in _MACHINE}

    @property
    def facts(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one that was stopped."""
        data = {n: fingerprint(getattr(self, n)) for n in ("teach", "replay", "judge")}
        return {**self.settings, "parent": self._parent_sha256, **data}

    def steps(self, path: Path, cancel: CancelToken) -> Generator[TrainingStep, None, None]:
        """All steps that are left; what is needed to go on is kept at `path`."""
        state, params, kept_at = self.state, self.params, time.monotonic()
        if not state.curve and self._looks_first:
            state.curve.append(self.look(0, math.nan, cancel))
            if self._parent_counts:
                self._keep_best(state.curve[-1])
            yield self._progress(state.curve[-1])
        with self.drawn() as batches:
            while state.step < params.steps and not self._is_stuck:
                if cancel.is_cancelled:
                    state.save(path)
                    cancel.raise_if_cancelled()
                began = time.monotonic()
                point = self._step(batches)
                state.seconds += time.monotonic() - began
                if time.monotonic() - kept_at > _KEEP_EVERY_S:
                    state.save(path)
                    kept_at = time.monotonic()
                yield self._progress(point)
        state.save(path)

    def _step(self, batches: Iterator[Batch]) -> CurvePoint | None:
        """Learn; look at the regions that judge now and then."""
        state, params = self.state, self.params
        rate = learning_rate(params.rate or self._peak_rate, state.step / params.steps)
        self.learn(next(batches), rate)
        if state.step % params.judge_every and state.step != params.steps:
            return None
        point = CurvePoint(state.step, float(np.mean(state.losses)))
        if self._can_look:
            # Not to be cancelled here: the step is done, and its look belongs to it.
            point = self.look(point.step, point.loss, CancelToken())
        self._keep_best(point)
        state.curve.append(point)
        state.losses = []
        return point

    def _keep_best(self, point: CurvePoint) -> None:
        state, found = self.state, self._worth(point)
        if found is not None and found > state.best_pq:
            state.best_pq, state.best_step = found, point.step
            state.best = {k: v.detach().cpu().clone() for k, v in state.ema.state_dict().items()}

    @property
    def _is_stuck(self) -> bool:
        """No better look for a while, once the learning rate has fallen to half.

        At higher rates looks are noisy, and the best of them is far from what is to come.
        """
        params, state = self.params, self.state
        if not params.patience or not state.best:
            return False
        since = max(state.best_step, params.steps // 2)
        return state.step - since >= params.patience * params.judge_every

    def _progress(self, point: CurvePoint | None) -> TrainingStep:
        state, total = self.state, self.params.steps
        left = state.seconds / state.step * (total - state.step) if state.step else math.nan
        judged = [p.quality for p in state.curve if not math.isnan(p.quality)]
        text = f"Learning: {self.quality_words.format(judged[-1])}" if judged else "Learning"
        if self.messages:
            text = self.messages.pop()
        return TrainingStep(
            state.step, total, text, loss=state.loss, point=point, seconds_left=left
        )

    # -- its end ---------------------------------------------------------------------------------

    def finish(self, folder: Path, about: Mapping[str, Any], cancel: CancelToken) -> TrainedModel:
        """Judge the best weights on all regions that judge, and write the model."""
        cancel.raise_if_cancelled()
        state, began = self.state, time.monotonic()
        best_step = self._take_best()
        card, found = self.write(folder, best_step, about, cancel)
        model, seconds = self.read(folder), state.seconds + time.monotonic() - began
        return TrainedModel(model, folder, found, tuple(state.curve), best_step, seconds, card)

    def _take_best(self) -> int:
        """Let the averaged weights be the best ones; gives their step."""
        state = self.state
        if not state.best:
            return state.step
        state.ema.load_state_dict(state.best)
        return state.best_step

    def _story(
        self, parent: str, best_step: int, metrics: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """A card's words for how the model came about."""
        named = {"taught": self.teach, "replayed": self.replay, "judged": self.judge}
        return {
            "parent": {"name": parent, "sha256": self._parent_sha256},
            "data": [data_facts(name, some) for name, some in named.items() if some],
            "training": {**self.settings, "steps_done": self.state.step, "kept": best_step},
            "metrics": list(metrics),
        }


AnyCourse = Course[Any, Any, Any]
