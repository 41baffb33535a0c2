"""From regions to a model's folder: what all trainings of segmenters do in the same order."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Protocol

from napari_histo.core import CancelToken
from napari_histo.learning.checkpoint import Checkpoint
from napari_histo.learning.course.params import CourseParams
from napari_histo.learning.course.state import State
from napari_histo.learning.training import TrainedModel, TrainingStep
from napari_histo.store.write import check_writable

__all__ = ["train_objects"]


class _Run(Protocol):
    @property
    def facts(self) -> dict[str, Any]: ...

    @property
    def params(self) -> CourseParams: ...

    @property
    def state(self) -> State[Any]: ...

    def read_judges(self, cancel: CancelToken) -> Generator[TrainingStep, None, None]: ...

    def steps(self, path: Path, cancel: CancelToken) -> Generator[TrainingStep, None, None]: ...

    def finish(self, folder: Path, about: Mapping[str, Any]) -> TrainedModel: ...


def train_objects(
    begin: Callable[[], _Run],
    folder: Path,
    kept_as: str,
    cancel: CancelToken,
    *,
    about: Mapping[str, Any],
    resume: bool,
) -> Generator[TrainingStep, None, TrainedModel]:
    """Drive a course of training to its end; see `train_stardist`.

    Parameters
    ----------
    begin : callable
        Reads what there is to learn from.
    folder : path
        Of the model.
    kept_as : str
        Name of the file to go on with, in ``<folder>.training``.
    cancel : CancelToken
    about : mapping
    resume : bool
    """
    check_writable(folder, folder=True)
    yield TrainingStep(0, 0, "Reading the regions")
    run = begin()
    with Checkpoint.open(folder, run.facts, resume=resume) as checkpoint:
        path = checkpoint.folder / kept_as
        run.state.load(path)
        yield from run.read_judges(cancel)
        yield from run.steps(path, cancel)
        cancel.raise_if_cancelled()
        total = run.params.steps
        yield TrainingStep(total, total, "Choosing thresholds", loss=run.state.loss)
        done = run.finish(folder, about)
        checkpoint.remove()
    return done
