"""What the rounds of a project know of a family of models. Light: networks are imported late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_histo.core import (
    Box,
    CancelToken,
    ObjectTable,
    PromptSegmenter,
    Segmenter,
    SlideReader,
)
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.training import Example

if TYPE_CHECKING:
    from napari_histo.learning.course.evaluation import RegionScore
    from napari_histo.learning.course.preflight import CoursePreflight
    from napari_histo.learning.course.training import CourseTrainer

__all__ = ["AnyModel", "Family", "Training", "evaluate_objects", "load_finder"]

AnyModel = Segmenter | PromptSegmenter | RegionSegmenter
#: A trainer, and what tells beforehand what its training takes.
Training = tuple["CourseTrainer[Any, Any]", "CoursePreflight[Any, Any]"]


def _objects(reader: SlideReader, model: Segmenter, box: Box, seed: int) -> ObjectTable:
    from napari_histo.learning.course.predicting import predict_objects

    return predict_objects(reader, model, box, seed)


def _as_named(parent: str, _regions: Sequence[Example]) -> Any:
    return parent


@dataclass(frozen=True)
class Family:
    """How models of a family are loaded, asked, trained and judged.

    Attributes
    ----------
    names : tuple of str
        Families on models' cards: its own, and those in whose place a model of this one learns.
    load : callable
        ``load(name, device)`` gives a model by name or folder.
    training : callable
        ``training(parent)`` gives the trainer for a model, by name or folder, and its preflight.
    evaluate : callable
        ``evaluate(model, examples, cancel)`` gives a `Score` for each.
    predict : callable
        ``predict(reader, model, box, seed)`` gives what is to be mended in a box; of models that
        answer clicks nobody asks that, see `Pointed`.
    start : callable
        ``start(parent, regions)`` gives what the trainer goes on from: the parent's name or folder,
        or what describes a new network where the parent has no weights.
    composes : bool
        True where artificial patches can be added.
    by_nuclei : bool
        True where cells teach and judge by the outlines of their nuclei; False for labels as they
        are.
    """

    names: tuple[str, ...]
    load: Callable[[str, str], AnyModel]
    training: Callable[[str], Training]
    evaluate: Callable[..., Iterable[Any]]
    predict: Callable[..., ObjectTable] = _objects
    start: Callable[[str, Sequence[Example]], Any] = _as_named
    composes: bool = False
    by_nuclei: bool = True

    def outlined(self, examples: Sequence[Example]) -> list[Example]:
        """Labelled regions with the outlines that teach and judge."""
        return [e.by_nuclei() if self.by_nuclei else e for e in examples]


# -- what families of models that find objects share -----------------------------------------------


def load_finder(name: str, device: str) -> Segmenter:
    """See `Family.load`."""
    from napari_histo.models.registry import load_model

    return load_model(name, device=device)


def evaluate_objects(
    model: Segmenter, examples: Sequence[Example], cancel: CancelToken
) -> Iterable[RegionScore]:
    """See `Family.evaluate`."""
    from napari_histo.learning.course.evaluation import evaluate_model

    return evaluate_model(model, examples, cancel=cancel)
