"""Which boxes lie where: an index over many bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box

__all__ = ["GridIndex", "meets"]

_CELL_PX = 256.0


class GridIndex:
    """Rows by the cell that holds the middle of their bounds.

    A query looks at the cells within reach of the largest bounds, so objects of one kind are
    found in microseconds; the few that are larger than a cell are kept apart and always looked at.

    Parameters
    ----------
    bounds : (n, 4) float32
        left, top, right, bottom in px; rows with NaN are never found.
    """

    def __init__(self, bounds: NDArray[np.float32]) -> None:
        self._bounds = bounds
        size = (bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=0)
        known = np.isfinite(bounds).all(axis=1)
        self._large = np.flatnonzero(known & (size > _CELL_PX))
        small = np.flatnonzero(known & (size <= _CELL_PX))
        self._reach = float(size[small].max(initial=0)) / 2
        middle = (bounds[small, :2] + bounds[small, 2:]) / 2
        cells = np.floor(middle / _CELL_PX).astype(np.int64)
        self._first = cells.min(axis=0) if len(cells) else np.zeros(2, np.int64)
        cells -= self._first
        self._shape = cells.max(axis=0) + 1 if len(cells) else np.zeros(2, np.int64)
        key = cells[:, 1] * self._shape[0] + cells[:, 0]
        order = np.argsort(key, kind="stable")
        self._rows = small[order]
        self._starts = np.searchsorted(key[order], np.arange(int(self._shape.prod()) + 1))

    def query(self, box: Box) -> NDArray[np.int64]:
        """Rows whose bounds meet `box`, ascending; points on its left and upper edges count."""
        if box.is_empty:
            return np.zeros(0, np.int64)
        rows = np.concatenate([self._large, *self._near(box)])
        return np.sort(rows[meets(self._bounds[rows], box)])

    def _near(self, box: Box) -> list[NDArray[np.int64]]:
        reach = self._reach
        edges = np.array([box.x - reach, box.y - reach, box.right + reach, box.bottom + reach])
        low, high = np.floor(edges / _CELL_PX).astype(np.int64).reshape(2, 2) - self._first
        low, high = np.maximum(low, 0), np.minimum(high, self._shape - 1)
        if (high < low).any():
            return []
        lines = np.arange(low[1], high[1] + 1) * self._shape[0]
        return [
            self._rows[self._starts[line + low[0]] : self._starts[line + high[0] + 1]]
            for line in lines
        ]


def meets(bounds: NDArray[np.float32], box: Box) -> NDArray[np.bool_]:
    """(n,) which of the (n, 4) bounds meet a box; points on its left and upper edges do."""
    left, top, right, bottom = bounds.T
    hit = (left < box.right) & (top < box.bottom)
    hit &= (right > box.x) | ((left == right) & (left >= box.x))
    hit &= (bottom > box.y) | ((top == bottom) & (top >= box.y))
    return np.asarray(hit, np.bool_)
