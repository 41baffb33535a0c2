"""The figures behind a promotion: ratios of summed counts, and bounds of their difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "f1_of", "interval", "pq_of", "whole"]

Ratio = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Interval:
    """New minus parent, with both one-sided bounds; NaN where there is nothing."""

    difference: float
    lower: float
    upper: float


def pq_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Panoptic quality of (n, 4) sums of tp, fp, fn, iou; NaN where there is no object."""
    return _divided(2 * sums[:, 3], 2 * sums[:, 0] + sums[:, 1] + sums[:, 2])


def f1_of(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """F1 of the same."""
    return _divided(2 * sums[:, 0], 2 * sums[:, 0] + sums[:, 1] + sums[:, 2])


def whole(sums: NDArray[np.float64], ratio: Ratio) -> float:
    """Ratio of all units in one pot."""
    return float(ratio(sums.sum(axis=0, keepdims=True))[0])


def interval(
    new: NDArray[np.float64],
    parent: NDArray[np.float64],
    ratio: Ratio,
    *,
    draws: int,
    seed: int,
    confidence: float,
) -> Interval:
    """Difference of a ratio, with bounds of the cluster bootstrap.

    Parameters
    ----------
    new, parent : (n, 4) float64
        Sums of each unit, in the same order.
    ratio : callable
        `pq_of` or `f1_of`.
    draws, seed : int
    confidence : float
        One-sided.

    Notes
    -----
    Bounds are percentiles of the pooled ratio, at levels widened for few units ("expanded
    percentile"; Hesterberg, The American Statistician 69, 2015).
    """
    difference = whole(new, ratio) - whole(parent, ratio)
    if not len(new):
        return Interval(difference, np.nan, np.nan)
    weights = _weights(len(new), draws, seed)
    drawn = ratio(weights @ new) - ratio(weights @ parent)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(difference, np.nan, np.nan)
    tail = _tail(len(new), confidence)
    lower, upper = np.quantile(drawn, [tail, 1 - tail])
    return Interval(difference, float(lower), float(upper))


def _divided(part: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(total), np.nan)
    np.divide(part, total, out=out, where=total > 0)
    return out


def _weights(n: int, draws: int, seed: int) -> NDArray[np.float64]:
    """(draws, n) how often each unit is drawn."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n, (draws, n)) + n * np.arange(draws)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=n * draws)
    return counts.reshape(draws, n).astype(np.float64)


def _tail(n: int, confidence: float) -> float:
    """Percentile, 0 to 1, that bounds a one-sided interval from `n` units."""
    from scipy.special import ndtr, stdtrit

    if n < 2:
        return 0.0
    return float(ndtr(-np.sqrt(n / (n - 1)) * stdtrit(n - 1, confidence)))
