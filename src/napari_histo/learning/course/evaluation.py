"""How well a model does on labelled regions: counts a region, for gates, curves and thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ModelInfo,
    Proposals,
    Segmenter,
    Thresholds,
    TileGrid,
)
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.course.sheets import SlideRange, Slides, nuclei_of
from napari_histo.learning.training import Example, Examples, as_examples
from napari_histo.ops.metrics import Agreement, compare_labels
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.proposing import Plan, Proposer
from napari_histo.pipeline.seams import choose
from napari_histo.store.labels import draw

__all__ = ["Exam", "RegionScore", "best_thresholds", "evaluate_model", "pooled"]

#: Objects anchored this far beyond a region are looked for too: one may reach into it, model px.
_AROUND_PX = 24
_TILE_PX = 1024


@dataclass(frozen=True)
class RegionScore:
    """A model's agreement with the truth in a region.

    Attributes
    ----------
    labels : LabelledRegion
    agreement : Agreement
        Of the objects that the region owns, by their centroid.
    """

    labels: LabelledRegion
    agreement: Agreement

    @property
    def tp(self) -> int:
        """True objects that were found, at an intersection over union of 0.5."""
        return self.agreement.n_matched[0]

    @property
    def fp(self) -> int:
        """Found objects that are none."""
        return self.agreement.n_pred - self.tp

    @property
    def fn(self) -> int:
        """True objects that were missed."""
        return self.agreement.n_truth - self.tp

    @property
    def iou_sum(self) -> float:
        """Sum over what was found."""
        return self.agreement.iou_sum

    @property
    def n_truth(self) -> int:
        """True objects."""
        return self.agreement.n_truth

    def as_dict(self) -> dict[str, Any]:
        """Image, box and counts, for JSON."""
        box = self.labels.region
        return {
            "image": self.labels.image,
            "region": [box.x, box.y, box.width, box.height],
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "iou_sum": round(self.iou_sum, 6),
            "n_truth": self.n_truth,
        }


def pooled(scores: Iterable[RegionScore]) -> Agreement:
    """All regions in one pot."""
    return reduce(add, (s.agreement for s in scores), Agreement())


def evaluate_model(
    model: Segmenter,
    regions: Examples,
    *,
    thresholds: Thresholds | None = None,
    channel: int | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[RegionScore]:
    """Hold a model against labelled regions, in pixels of full resolution.

    An object counts where its centroid lies in the region, and more than half of it in no ignored
    area. A prediction that fits a true object of a neighbour is no error.

    Parameters
    ----------
    model : Segmenter
    regions : sequence of Example, or of (SlideReader, LabelledRegion)
    thresholds : Thresholds, optional
        The model's own by default.
    channel : int, optional
        For models of one channel.
    cancel : CancelToken, optional
        Looked at before each region.

    Yields
    ------
    RegionScore
        One a region, in their order.

    Raises
    ------
    ImageError, PixelSizeUnknownError, ModelError, Cancelled
    """
    slides, cancel = Slides(model, channel), cancel or CancelToken()
    for example in as_examples(regions):
        cancel.raise_if_cancelled()
        exam = Exam.of(example, slides, full_resolution=True)
        wanted = thresholds or model.info.thresholds
        found = exam.propose(exam.slide.model, wanted.prob, cancel)
        yield RegionScore(example.labels, exam.mark(exam.slide.model, found, wanted))


@dataclass(frozen=True, eq=False)
class Exam:
    """A labelled region, ready to be asked about again and again.

    Attributes
    ----------
    slide : SlideRange
    grid : TileGrid
        Over the region with a little around, in model px.
    kept : mapping of int to array
        What the network sees of each tile; tiles that are not here are read each time.
    canvas : Box
        Where objects are compared.
    scale : (float, float)
        Pixels of the canvas per model px.
    truth : canvas.shape int64
        True objects, 1 to n, without the ignored areas.
    owned : (n + 1,) bool
        Which of them count; the first stands for none.
    ignored : canvas.shape bool
    """

    slide: SlideRange
    grid: TileGrid
    kept: Mapping[int, NDArray[Any]]
    canvas: Box
    scale: tuple[float, float]
    truth: NDArray[np.int64]
    owned: NDArray[np.bool_]
    ignored: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        example: Example,
        slides: Slides,
        *,
        full_resolution: bool = False,
        keep: bool = False,
    ) -> Exam:
        """Compared in model px unless full resolution is asked for; pixels perhaps kept."""
        slide = slides.of(example)
        info, labels = slides.model.info, example.labels
        grid = _grid(example, slides.model, info, slide)
        canvas = labels.region.intersect(example.reader.info.box)
        scale = slide.frame.scale
        if not full_resolution:
            canvas = canvas.scale(1 / scale[0], 1 / scale[1]).intersect(slide.frame.extent)
            scale = 1.0, 1.0
        per_px = scale[0] / slide.frame.scale[0], scale[1] / slide.frame.scale[1]
        contours = nuclei_of(labels.objects).contours.transform(per_px, (0.0, 0.0))
        areas = labels.ignored.transform(per_px, (0.0, 0.0))
        ignored = draw(areas, np.ones(len(areas), np.int64), canvas, 1) > 0
        whole = draw(contours, np.arange(1, len(contours) + 1), canvas, 1).astype(np.int64)
        owned = canvas.holds(contours.centroids) & _mostly_known(whole, ignored, len(contours))
        kept = {tile.index: slide.frame.read(tile.read) for tile in grid} if keep else {}
        truth = np.where(ignored, 0, whole)
        return cls(slide, grid, kept, canvas, scale, truth, np.array([False, *owned]), ignored)

    def propose(
        self, model: Segmenter, floor: float, cancel: CancelToken | None = None
    ) -> list[Proposals]:
        """A model's proposals above a probability, a tile's at a time."""
        plan = Plan(
            self.slide.frame, self.grid, model, self.slide.pick, self.slide.normalizer, floor
        )
        proposer, found = Proposer(plan), []
        for tile in self.grid:
            (cancel or CancelToken()).raise_if_cancelled()
            pixels = self.kept.get(tile.index)
            pixels = self.slide.frame.read(tile.read) if pixels is None else pixels
            found += proposer.propose([(tile, pixels)])
        return found

    def mark(
        self, model: Segmenter, proposals: Sequence[Proposals], thresholds: Thresholds
    ) -> Agreement:
        """Agreement of what is chosen among proposals with the truth."""
        likely = [p.take(p.prob > thresholds.prob) for p in proposals]
        rows = choose(self.grid, likely, model, thresholds)
        chosen = Proposals.concat([p.take(r) for p, r in zip(likely, rows, strict=True)])
        # The likeliest is drawn last and covers the others.
        x, y = chosen.points.T
        chosen = chosen.take(np.lexsort((x, y, chosen.prob)))
        contours = model.draw(chosen).contours.transform(self.scale, (0.0, 0.0))
        n = len(contours)
        whole = draw(contours, np.arange(1, n + 1), self.canvas, 1).astype(np.int64)
        mine = self.canvas.holds(contours.centroids) & _mostly_known(whole, self.ignored, n)
        found = np.where(self.ignored, 0, whole)
        owned = np.array([False, *mine])
        pairs = _matches(self.truth, found)
        # A pair counts where its true object does; a stray prediction where it lies itself.
        owned[pairs[1]] = self.owned[pairs[0]]
        return compare_labels(
            np.where(self.owned[self.truth], self.truth, 0), np.where(owned[found], found, 0)
        )


def best_thresholds(
    exams: Sequence[Exam],
    model: Segmenter,
    choices: Sequence[float],
    overlaps: Sequence[float] = (),
    *,
    middle: float = 0.3,
) -> tuple[Thresholds, Agreement]:
    """Thresholds of the best panoptic quality over all regions, and the agreement there.

    The best probability at a middling overlap, then the best overlap at that probability. Of equal
    ones the first wins.

    Parameters
    ----------
    exams : sequence of Exam
    model : Segmenter
    choices, overlaps : sequence of float
        Probabilities to try, and overlaps beside `middle`.
    middle : float
        Overlap at which probabilities are compared.
    """
    found = [exam.propose(model, min(choices)) for exam in exams]

    def total(thresholds: Thresholds) -> Agreement:
        marks = (e.mark(model, p, thresholds) for e, p in zip(exams, found, strict=True))
        return reduce(add, marks, Agreement())

    def best(tried: list[Thresholds]) -> tuple[Thresholds, Agreement]:
        scores = [(t, total(t)) for t in tried]
        return max(scores, key=lambda s: np.nan_to_num(s[1].pq))

    first = best([Thresholds(p, middle) for p in choices])
    others = [Thresholds(first[0].prob, nms) for nms in overlaps if nms != middle]
    return best([first[0], *others]) if others else first


def _grid(example: Example, model: Segmenter, info: ModelInfo, slide: SlideRange) -> TileGrid:
    box = Frame.of(
        example.reader, info, region=example.labels.region, pixel_size=example.pixel_size
    ).region
    wide = box.pad(_AROUND_PX).intersect(slide.frame.extent)
    return TileGrid(slide.frame.extent, wide, _TILE_PX, model.margin_px, model.align_px)


def _mostly_known(
    labels: NDArray[np.int64], ignored: NDArray[np.bool_], n: int
) -> NDArray[np.bool_]:
    """(n,) objects of which something shows, and at most half of it in an ignored area."""
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    hidden = np.bincount(labels[ignored], minlength=n + 1)[1:]
    return np.asarray((area > 0) & (2 * hidden <= area))


def _matches(
    truth: NDArray[np.int64], found: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and found objects that overlap by more than half of their union."""
    n = int(found.max(initial=0)) + 1
    pairs, both = np.unique((truth * n + found).ravel(), return_counts=True)
    t, f = pairs // n, pairs % n
    area_t = np.bincount(truth.ravel())
    area_f = np.bincount(found.ravel())
    iou = both / (area_t[t] + area_f[f] - both)
    good = (t > 0) & (f > 0) & (iou >= 0.5)
    return t[good], f[good]
