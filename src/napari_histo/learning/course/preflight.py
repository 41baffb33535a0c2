"""What a training will take, before it begins."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from napari_histo.core import CancelToken
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.course.run import AnyCourse
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.training import Examples, Preflight
from napari_histo.models._device import free_bytes, pick_device

__all__ = ["CoursePreflight"]

_TIMED_STEPS = 3
#: So small that nothing is learned.
_RATE = 1e-6

Parent = TypeVar("Parent")
Params = TypeVar("Params", bound=CourseParams)


@dataclass(frozen=True)
class CoursePreflight(Generic[Parent, Params]):
    """Time and memory of trainings of one family of models; see `__call__`.

    Attributes
    ----------
    begin, params
        See `CourseTrainer`.
    """

    begin: Callable[[Parent, Examples, Examples, Examples, Params], AnyCourse]
    params: type[Params]

    def __call__(
        self,
        parent: Parent,
        regions: Examples,
        replay: Examples = (),
        params: Params | None = None,
        cancel: CancelToken | None = None,
        *,
        validation: Examples = (),
    ) -> Preflight:
        """From a few steps that are thrown away.

        Takes seconds; call it in any thread but the window's. The words are those of
        `CourseTrainer`.

        Raises
        ------
        ObjectsFileError, ImageError, PixelSizeUnknownError, ModelError, Cancelled
        """
        params, cancel = params or self.params(), cancel or CancelToken()
        free = free_bytes(pick_device(params.device))
        with torch.random.fork_rng():  # the training is the same, measured before or not
            run = self.begin(parent, regions, replay, validation, params)
            seconds = _steps_seconds(run, cancel) + _looks_seconds(run, cancel)
            return Preflight(
                seconds,
                run.memory_bytes(),
                run.device,
                len(run.teach),
                sum(len(nuclei_of(e.labels.objects)) for e in run.teach),
                free,
                run.things,
            )


def _steps_seconds(run: AnyCourse, cancel: CancelToken) -> float:
    """Of all steps; batches that come again are there already, and cost less."""
    steps: int = run.params.steps
    new = min(steps, run.distinct or steps)
    with run.drawn() as batches:
        batch = next(batches)
        run.learn(batch, _RATE)  # the first step is slow: memory, threads
        began = time.monotonic()
        for _ in range(_TIMED_STEPS):
            cancel.raise_if_cancelled()
            batch = next(batches)
            run.learn(batch, _RATE)
        a_step = (time.monotonic() - began) / _TIMED_STEPS
    if new == steps:
        return steps * a_step
    return new * a_step + (steps - new) * _seconds(lambda: run.learn(batch, _RATE))


def _looks_seconds(run: AnyCourse, cancel: CancelToken) -> float:
    """Of all looks at the regions that judge."""
    for _ in run.read_judges(cancel):
        pass
    if not run.often:
        return 0.0
    looks: int = run.params.steps // run.params.judge_every + run.looks_at_the_end
    first = _seconds(lambda: run.look(0, math.nan, cancel))
    # What does not learn was asked about these regions, and is not asked again.
    others = first if run.distinct is None else _seconds(lambda: run.look(0, math.nan, cancel))
    return first + (looks - 1) * others


def _seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
