"""How well a model answers clicks on the objects of labelled regions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, PromptSegmenter
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.course.sheets import nuclei_of
from napari_histo.learning.training import Example, Examples, as_examples
from napari_histo.ops.metrics import Agreement
from napari_histo.pipeline.evaluate_prompts import PromptReport, PromptTrial, evaluate_prompts
from napari_histo.pipeline.prompt import PromptEngine
from napari_histo.store.labels import draw

__all__ = ["ClickScore", "evaluate_clicks", "mean_iou", "pooled"]

#: One click anywhere in the object, near its core half of the time; the same ones for all models.
_TRIAL = PromptTrial("random")
#: An outline that ends this near to the edge of its region was cut there, px.
_CUT_PX = 1.0


@dataclass(frozen=True)
class ClickScore:
    """A model's answers in a region, one an object.

    The words are those of a `Score`: each object counts as found, with what its answer overlaps,
    so that "panoptic quality" pooled from them is the mean IoU of the answers.

    Attributes
    ----------
    labels : LabelledRegion
    report : PromptReport
    """

    labels: LabelledRegion
    report: PromptReport = field(default_factory=PromptReport)

    @property
    def tp(self) -> int:
        """Objects that were clicked."""
        return len(self.report.iou)

    @property
    def fp(self) -> int:
        """None: an answer belongs to its click."""
        return 0

    @property
    def fn(self) -> int:
        """None: an object without an answer has an IoU of 0."""
        return 0

    @property
    def iou_sum(self) -> float:
        """Sum over the objects."""
        return float(sum(self.report.iou))


def evaluate_clicks(
    model: PromptSegmenter,
    regions: Examples,
    *,
    trial: PromptTrial = _TRIAL,
    channel: int | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[ClickScore]:
    """Click each object of labelled regions once, and hold the answers against the truth.

    An object counts where its centroid lies in the region, at most half of it in an ignored area,
    and its outline does not end at the region's edge.

    Parameters
    ----------
    model : PromptSegmenter
    regions : sequence of Example, or of (SlideReader, LabelledRegion)
    trial : PromptTrial, optional
        What is drawn; one click by default, the same for every model.
    channel : int, optional
        For images that are not RGB.
    cancel : CancelToken, optional
        Looked at before each 64 objects.

    Yields
    ------
    ClickScore
        One a region, in their order.

    Raises
    ------
    ImageError, PixelSizeUnknownError, Cancelled
    """
    engines: dict[int, PromptEngine] = {}
    for example in as_examples(regions):
        key = id(example.reader)
        if key not in engines:
            size = example.pixel_size
            engines[key] = PromptEngine(example.reader, model, pixel_size=size, channel=channel)
        score = ClickScore(example.labels)
        box, truth = _truth(example)
        if truth.any():
            corner = box.x, box.y
            steps = evaluate_prompts(
                engines[key], truth, trial, score.report, cancel, corner=corner
            )
            for _ in steps:
                pass
        yield score


def mean_iou(scores: Iterable[ClickScore]) -> float:
    """Of all objects in one pot; NaN where there is none."""
    found = [iou for score in scores for iou in score.report.iou]
    return float(np.mean(found)) if found else float("nan")


def pooled(scores: Iterable[ClickScore]) -> Agreement:
    """All answers of a region drawn together, likelier ones on top; all regions in one pot."""
    return reduce(add, (s.report.agreement for s in scores), Agreement())


def _truth(example: Example) -> tuple[Box, NDArray[np.int32]]:
    """Objects that count, 1 to n, and the box that holds them whole, full-resolution px."""
    image = example.reader.info.box
    region = example.labels.region.intersect(image)
    contours = nuclei_of(example.labels.objects).contours
    edges = np.array([region.x, region.y, region.right, region.bottom])
    ends = np.array([image.x, image.y, image.right, image.bottom])
    cut = (np.abs(contours.bounds - edges) <= _CUT_PX) & (edges != ends)
    rows = np.flatnonzero(region.holds(contours.centroids) & ~cut.any(axis=1))
    if not len(rows):
        return region, np.zeros((0, 0), np.int32)
    contours = contours.take(rows)
    box = _around(contours.bounds).intersect(image)
    truth = draw(contours, np.arange(1, len(rows) + 1), box, 1).astype(np.int32)
    areas = example.labels.ignored
    ignored = draw(areas, np.ones(len(areas), np.int64), box, 1) > 0
    size, hidden = (
        np.bincount(t.ravel(), minlength=len(rows) + 1) for t in (truth, truth[ignored])
    )
    truth[np.isin(truth, np.flatnonzero(2 * hidden > size))] = 0
    return box, truth


def _around(bounds: NDArray[np.floating]) -> Box:
    low, high = np.floor(bounds[:, :2].min(axis=0)), np.ceil(bounds[:, 2:].max(axis=0))
    return Box.from_edges(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
