"""How well a region model knows the labels that it did not learn from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.tissue.counting import PixelCounts
from napari_histo.learning.tissue.evaluation import count_areas
from napari_histo.learning.tissue.examples import Sheet

__all__ = ["counts_on", "iou_on", "judged_places", "mean_known"]


def iou_on(model: RegionSegmenter, sheets: Sequence[Sheet]) -> dict[str, float]:
    """IoU of each class, the background first, on labels of sheets; NaN where there are none."""
    names = ("Background", *model.info.classes.names)
    n = len(names)
    seen = np.zeros((n, n), np.int64)
    for sheet in sheets:
        answer = _answer(model, sheet)
        known = sheet.labels > 0
        at = (sheet.labels[known].astype(np.int64) - 1) * n + answer[known]
        seen += np.bincount(at, minlength=n * n).reshape(n, n)
    hit, truth = seen.diagonal(), seen.sum(axis=1)
    union = truth + seen.sum(axis=0) - hit
    return {
        name: float(hit[i] / union[i]) if truth[i] else math.nan for i, name in enumerate(names)
    }


def counts_on(model: RegionSegmenter, sheets: Sequence[Sheet]) -> PixelCounts:
    """Pixels of sheets that were right or wrong, in one pot."""
    found = PixelCounts()
    for sheet in sheets:
        found += PixelCounts.of(_answer(model, sheet), sheet.labels)
    return found


def judged_places(sheets: Sequence[Sheet], judged: Sequence[Sheet]) -> tuple[int, int]:
    """How many painted areas, of how many examples, labels that judge are from.

    An area of which several pieces judge counts once, or once in each sheet that it reaches into.

    Parameters
    ----------
    sheets : sequence of Sheet
        With all labels.
    judged : sequence of Sheet
        The same places, or some of them, with the labels that judge.
    """
    whole = {(sheet.example, sheet.box): sheet.labels for sheet in sheets}
    counts = [(s.example, count_areas(whole[s.example, s.box], s.labels > 0)) for s in judged]
    return sum(n for _, n in counts), len({example for example, n in counts if n})


def _answer(model: RegionSegmenter, sheet: Sheet) -> NDArray[np.int64]:
    """(h, w) what is most likely, 0 the background."""
    guide = None
    if sheet.guide is not None:
        guide = (np.asarray(sheet.guide, np.float32) / np.float32(255))[None]
    prob = model.predict(sheet.values.apply(sheet.pixels)[None], guide)[0]
    answer: NDArray[np.int64] = prob.argmax(-1)
    return answer


def mean_known(values: Iterable[float]) -> float:
    """Mean of what is not NaN; NaN where all is."""
    known = np.array([v for v in values if not math.isnan(v)])
    return float(known.mean()) if len(known) else math.nan
