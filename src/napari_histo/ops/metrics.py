"""How well predicted objects fit true ones: counts that add up over images, and their ratios."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = [
    "THRESHOLDS",
    "Agreement",
    "compare_classes",
    "compare_counts",
    "compare_labels",
    "count_pixels",
]

#: Intersections over union at which objects are held to match, as in the Data Science Bowl 2018.
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
_CHUNK_PX = 1 << 20


@dataclass(frozen=True)
class Agreement:
    """Sums over one image or many; `a + b` pools two.

    A ratio of nothing by nothing (no truth and no prediction) is NaN.

    Attributes
    ----------
    n_truth, n_pred : int
        Objects.
    n_matched : tuple of int
        Matched pairs at each of `THRESHOLDS`. From 0.5 on, no object has two equally good
        partners that would count twice.
    iou_sum : float
        Sum of the intersections over union of the pairs matched at 0.5.
    aji_intersection, aji_union : int
        Px, of the aggregated Jaccard index.
    both_px, truth_px, pred_px : int
        Foreground px in both, in the truth, in the prediction.
    """

    n_truth: int = 0
    n_pred: int = 0
    n_matched: tuple[int, ...] = (0,) * len(THRESHOLDS)
    iou_sum: float = 0.0
    aji_intersection: int = 0
    aji_union: int = 0
    both_px: int = 0
    truth_px: int = 0
    pred_px: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.n_truth + other.n_truth,
            self.n_pred + other.n_pred,
            tuple(a + b for a, b in zip(self.n_matched, other.n_matched, strict=True)),
            self.iou_sum + other.iou_sum,
            self.aji_intersection + other.aji_intersection,
            self.aji_union + other.aji_union,
            self.both_px + other.both_px,
            self.truth_px + other.truth_px,
            self.pred_px + other.pred_px,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted objects that match at 0.5."""
        return _ratio(self.n_matched[0], self.n_pred)

    @property
    def recall(self) -> float:
        """Share of the true objects that match at 0.5."""
        return _ratio(self.n_matched[0], self.n_truth)

    @property
    def f1(self) -> float:
        """F1 at 0.5: harmonic mean of precision and recall."""
        return _ratio(2 * self.n_matched[0], self.n_truth + self.n_pred)

    @property
    def ap(self) -> dict[float, float]:
        """TP / (TP + FP + FN) at each threshold.

        "Average precision" as the Data Science Bowl 2018 and StarDist mean it; stardist calls it
        accuracy. It is no area under a precision-recall curve.
        """
        found = self.n_truth + self.n_pred
        return {t: _ratio(n, found - n) for t, n in zip(THRESHOLDS, self.n_matched, strict=True)}

    @property
    def mean_ap(self) -> float:
        """Mean of `ap` over the thresholds."""
        return float(np.mean(list(self.ap.values())))

    @property
    def sq(self) -> float:
        """Segmentation quality: mean intersection over union of the pairs matched at 0.5."""
        return _ratio(self.iou_sum, self.n_matched[0])

    @property
    def dq(self) -> float:
        """Detection quality: the same as `f1`."""
        return self.f1

    @property
    def pq(self) -> float:
        """Panoptic quality of one class, SQ x DQ (Kirillov et al., CVPR 2019)."""
        return _ratio(2 * self.iou_sum, self.n_truth + self.n_pred)

    @property
    def aji(self) -> float:
        """Aggregated Jaccard index (Kumar et al., IEEE TMI 2017).

        Each true object takes the prediction of the largest intersection over union, one
        prediction perhaps more than once; predictions that nobody takes count in the union.
        """
        return _ratio(self.aji_intersection, self.aji_union)

    @property
    def dice(self) -> float:
        """Dice coefficient of the foreground, objects aside."""
        return _ratio(2 * self.both_px, self.truth_px + self.pred_px)

    def as_dict(self) -> dict[str, object]:
        """Counts and ratios under short names; NaN becomes None, as JSON knows no NaN."""
        names = ("f1", "precision", "recall", "sq", "dq", "pq", "aji", "dice", "mean_ap")
        return {
            "n_truth": self.n_truth,
            "n_pred": self.n_pred,
            "n_matched": self.n_matched[0],
            **{name: _or_none(getattr(self, name)) for name in names},
            "ap": {f"{t:g}": _or_none(value) for t, value in self.ap.items()},
        }


def compare_labels(truth: NDArray[np.integer], pred: NDArray[np.integer]) -> Agreement:
    """Hold predicted labels against true ones.

    Parameters
    ----------
    truth, pred : (height, width) integers, at least 0
        0 is background; other numbers need not follow each other.

    Raises
    ------
    ValueError
        The shapes differ, or there are negative labels.
    """
    if truth.shape != pred.shape:
        raise ValueError(
            f"The truth has shape {truth.shape} but the prediction {pred.shape}; they must agree."
        )
    return compare_counts(count_pixels(_compact(truth, "truth"), _compact(pred, "prediction")))


def count_pixels(
    truth: NDArray[np.integer], pred: NDArray[np.integer], shape: tuple[int, int] | None = None
) -> sparse.csr_array:
    """How many pixels have each pair of labels; what pieces of an image give may be added up.

    Parameters
    ----------
    truth, pred : arrays of one shape
        Labels, 0 the background.
    shape : (int, int), optional
        One more than the largest label of each; by default that of these arrays.
    """
    if shape is None:
        shape = int(truth.max(initial=0)) + 1, int(pred.max(initial=0)) + 1
    total = sparse.csr_array(shape, dtype=np.int64)
    rows = max(1, _CHUNK_PX // max(1, truth[:1].size))
    for y in range(0, len(truth), rows):
        pair = truth[y : y + rows].ravel(), pred[y : y + rows].ravel()
        ones = np.ones(len(pair[0]), np.int64)
        total = total + sparse.coo_array((ones, pair), shape=shape).tocsr()
    return total


def compare_counts(counts: sparse.csr_array) -> Agreement:
    """Agreement from the pixels that have each pair of labels (see `count_pixels`)."""
    true_area, pred_area = (np.asarray(counts.sum(axis=axis))[1:] for axis in (1, 0))
    both = counts[1:, 1:].tocoo()
    i, j, shared = both.row.astype(np.int64), both.col.astype(np.int64), both.data
    iou = shared / (true_area[i] + pred_area[j] - shared)
    weight = _match_weight(i, j, iou)
    intersection, union = _aji(i, j, shared, iou, true_area, pred_area)
    return Agreement(
        int((true_area > 0).sum()),
        int((pred_area > 0).sum()),
        tuple(round(weight[iou >= t].sum()) for t in THRESHOLDS),
        float((iou * weight).sum()),
        intersection,
        union,
        int(shared.sum()),
        int(true_area.sum()),
        int(pred_area.sum()),
    )


def compare_classes(
    counts: sparse.csr_array,
    truth_class: NDArray[np.integer],
    pred_class: NDArray[np.integer],
    n_classes: int,
) -> tuple[Agreement, ...]:
    """Agreement of each class by itself: an object of another class is no partner.

    The mean of their PQ is mPQ (Gamper et al., ECCV 2020, there per image; Graham et al., Medical
    Image Analysis 2024, with the counts of all images added up).

    Parameters
    ----------
    counts : sparse (n + 1, m + 1)
        See `count_pixels`.
    truth_class, pred_class : (n,) and (m,) integers
        Class of each object; -1 for none, which are objects of no class.
    n_classes : int
    """
    return tuple(
        compare_counts(_only(counts, truth_class == c, pred_class == c)) for c in range(n_classes)
    )


def _only(
    counts: sparse.csr_array, true: NDArray[np.bool_], pred: NDArray[np.bool_]
) -> sparse.csr_array:
    """Pixels of chosen objects; all others are background."""
    both = counts.tocoo()
    row, column = (
        np.concatenate([[0], np.where(kept, np.arange(1, len(kept) + 1), 0)])
        for kept in (true, pred)
    )
    pairs = row[both.row], column[both.col]
    return sparse.coo_array((both.data, pairs), shape=counts.shape).tocsr()


def _compact(labels: NDArray[np.integer], name: str) -> NDArray[np.int64]:
    """Labels whose numbers are small enough to count by."""
    if labels.size and labels.min() < 0:
        raise ValueError(
            f"The {name} has the label {labels.min()}; labels are 0 for background, else positive."
        )
    if labels.max(initial=0) > 4 * labels.size + 1000:
        values, rows = np.unique(labels, return_inverse=True)
        labels = rows.reshape(labels.shape) + (1 if values[0] else 0)
    return np.asarray(labels, np.int64)


def _match_weight(
    i: NDArray[np.int64], j: NDArray[np.int64], iou: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(pairs,) what each overlapping pair adds to the number of matches at 0.5.

    Above one half a partner is the only one: 1. At exactly one half an object may be split into two
    halves, which have no other partner: one of the two pairs counts, so 1/2 for each.
    """
    good = iou >= THRESHOLDS[0]
    partners = np.maximum(_degree(i, good), _degree(j, good))
    return np.where(good, 1 / np.maximum(partners, 1), 0.0)


def _degree(rows: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.bincount(rows, good, int(rows.max(initial=-1)) + 1)[rows].astype(np.int64)


def _aji(
    i: NDArray[np.int64],
    j: NDArray[np.int64],
    shared: NDArray[np.int64],
    iou: NDArray[np.float64],
    true_area: NDArray[np.int64],
    pred_area: NDArray[np.int64],
) -> tuple[int, int]:
    """Intersection and union, px, of the aggregated Jaccard index."""
    best_first = np.lexsort((j, -iou, i))
    _, first = np.unique(i[best_first], return_index=True)
    best = best_first[first]
    intersection = int(shared[best].sum())
    union = int(true_area.sum() + pred_area[j[best]].sum()) - intersection
    taken = np.zeros(len(pred_area), bool)
    taken[j[best]] = True
    return intersection, union + int(pred_area[~taken].sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else nan


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value
