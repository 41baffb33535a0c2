"""How well a region model knows painted regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, ClassScheme
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.tissue.counting import PixelCounts
from napari_histo.learning.tissue.examples import RegionExample, labels_at, painted_classes
from napari_histo.learning.training import Example, Examples, as_examples
from napari_histo.pipeline.region_answers import TILE_PX, RegionAnswers

__all__ = [
    "AreaScore",
    "answers_to",
    "as_painted",
    "count_areas",
    "evaluate_areas",
    "known_to",
]

#: Pieces of fewer pixels are slips of the brush, and count as no area.
_LEAST_AREA_PX = 16


@dataclass(frozen=True)
class AreaScore:
    """A model's answer in a region, in pixels; the words are those of a `Score`.

    Each pixel that is right counts with an overlap of 1, so that "panoptic quality" is the Dice
    coefficient of all tissues in one pot.

    Attributes
    ----------
    labels : LabelledRegion
    pixels : PixelCounts
    n_areas : int
        Connected pieces of one class that were painted, the background's among them: pixels are
        many, and tell much the same as their neighbours.
    """

    labels: LabelledRegion
    pixels: PixelCounts
    n_areas: int = 0

    @property
    def tp(self) -> int:
        """Pixels of a tissue that are right."""
        return self.pixels.tp

    @property
    def fp(self) -> int:
        """Pixels answered as a tissue that they are not."""
        return self.pixels.fp

    @property
    def fn(self) -> int:
        """Pixels of a tissue answered as something else."""
        return self.pixels.fn

    @property
    def iou_sum(self) -> float:
        """As many as are right."""
        return float(self.pixels.tp)


def as_painted(example: Example) -> RegionExample:
    """A labelled region of a project as painted areas: nothing is known beyond it."""
    labels = example.labels
    return RegionExample(
        example.reader, labels.objects, example.pixel_size, labels.region, labels.ignored
    )


def evaluate_areas(
    model: RegionSegmenter, regions: Examples, *, cancel: CancelToken | None = None
) -> Iterator[AreaScore]:
    """Hold a model's answers against painted regions, tile by tile.

    A tissue that the model does not know is answered wrong.

    Parameters
    ----------
    model : RegionSegmenter
    regions : sequence of Example, or of (SlideReader, LabelledRegion)
    cancel : CancelToken, optional
        Looked at before each tile.

    Yields
    ------
    AreaScore
        One a region, in their order.

    Raises
    ------
    ImageError, PixelSizeUnknownError, ModelError, Cancelled
    """
    for example in as_examples(regions):
        yield _score(model, example, cancel or CancelToken())


def answers_to(
    model: RegionSegmenter, example: Example, scheme: ClassScheme, cancel: CancelToken
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Labels of a painted region and what a model answers there, tile by tile.

    Parameters
    ----------
    model : RegionSegmenter
    example : Example
    scheme : ClassScheme
        Of the labels; begins with the model's classes.
    cancel : CancelToken
        Looked at before each tile.

    Yields
    ------
    (h, w) uint8
        0 unknown, 1 background, else 2 + a position in the scheme; not all unknown.
    (h, w) int64
        0 background, else 1 + a position in the model's classes.
    """
    answers = RegionAnswers.over(
        example.reader,
        model,
        pixel_size=example.pixel_size,
        region=example.labels.region,
        cancel=cancel,
    )
    for tile, labels in labels_at(answers.pixels.frame, as_painted(example), scheme, TILE_PX):
        if labels.any():
            yield labels, answers.at(tile.owned, cancel).argmax(axis=-1)


def known_to(model: RegionSegmenter, example: Example) -> ClassScheme:
    """The model's classes, then those that were painted besides."""
    return model.info.classes.union(painted_classes([as_painted(example)])[0])


def _score(model: RegionSegmenter, example: Example, cancel: CancelToken) -> AreaScore:
    pixels, n_areas = PixelCounts(), 0
    for labels, answer in answers_to(model, example, known_to(model, example), cancel):
        pixels += PixelCounts.of(answer, labels)
        n_areas += count_areas(labels)
    return AreaScore(example.labels, pixels, n_areas)


def count_areas(labels: NDArray[np.uint8], judged: NDArray[np.bool_] | None = None) -> int:
    """Connected pieces of one class that are more than a slip of the brush.

    Parameters
    ----------
    labels : (h, w) uint8
        0 unknown.
    judged : (h, w) bool, optional
        Of each piece only these pixels count; all by default.
    """
    from skimage.measure import label as connected

    pieces = connected(labels, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    counted = pieces.ravel() if judged is None else pieces[judged]
    return int((np.bincount(counted)[1:] >= _LEAST_AREA_PX).sum())
