"""Thresholds for a measurement, found in its values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.errors import MeasurementError
from napari_histo.ops.positivity import level_names

__all__ = ["suggest_thresholds"]

_BINS = 256
#: The brightest objects, one in 500, must not take all bins of a histogram.
_TOP = 0.998


def suggest_thresholds(values: ArrayLike, n: int = 1) -> tuple[float, ...]:
    """Thresholds where the values fall apart best (Otsu, 1979).

    The first is the same for one and for three, so that grades do not change who is positive; the
    other two part what is positive. A starting point: it parts any two heaps.

    Parameters
    ----------
    values : array of float
        NaN are left out.
    n : {1, 3}

    Raises
    ------
    MeasurementError
        There are fewer different values than classes.
    """
    level_names(n)
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    first = _parted(known, 1)
    return first if n == 1 else (*first, *_parted(known[known >= first[0]], n - 1))


def _parted(values: NDArray[np.float64], n: int) -> tuple[float, ...]:
    """One or two thresholds, each in the middle of a gap: the largest variance between classes."""
    levels, counts = _levels(values)
    if len(levels) <= n:
        raise MeasurementError(
            f"{len(levels)} different values cannot be parted by {n} thresholds. Measure more "
            "objects, or type thresholds."
        )
    gaps = (levels[:-1] + levels[1:]) / 2
    number, total = np.cumsum(counts), np.cumsum(counts * levels)
    below, above = number[:-1], number[-1] - number[:-1]
    ends = total[:-1] ** 2 / below, (total[-1] - total[:-1]) ** 2 / above
    if n == 1:
        return (float(gaps[np.argmax(ends[0] + ends[1])]),)
    between = np.maximum(below[None] - below[:, None], 1)
    middle = (total[None, :-1] - total[:-1, None]) ** 2 / between
    score = np.triu(ends[0][:, None] + middle + ends[1][None], 1)
    first, second = np.unravel_index(np.argmax(score), score.shape)
    return float(gaps[first]), float(gaps[second])


def _levels(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Different values, or their bins where there are many, and how many objects have each."""
    found, counts = np.unique(values, return_counts=True)
    if len(found) <= _BINS:
        return found, counts
    top = max(float(np.quantile(values, _TOP)), float(found[_BINS // 2]))
    counts, edges = np.histogram(np.minimum(values, top), _BINS)
    return ((edges[:-1] + edges[1:]) / 2)[counts > 0], counts[counts > 0]
