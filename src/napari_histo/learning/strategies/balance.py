"""Regions that bring the rarer classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.picking import check_needs, eligible, selection, take_apart

__all__ = ["ClassBalance"]


@dataclass(frozen=True)
class ClassBalance:
    """Each time the region after which the classes of all chosen objects are most even.

    Evenness is the entropy of the predicted classes, greedily made larger.
    """

    name: ClassVar[str] = "balance"
    needs: ClassVar[frozenset[str]] = frozenset({"class_counts"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        check_needs(pool, self.name, self.needs)
        rows = rng.permutation(eligible(pool))
        counts = pool.class_counts
        order: list[int] = []
        left, gained = np.ones(len(rows), bool), np.zeros(counts.shape[1])
        scores = np.full(len(pool), np.nan)
        for _ in range(min(2 * n, len(rows))):
            places = np.flatnonzero(left)
            evenness = _entropy(gained + counts[rows[places]])
            best = int(places[np.argmax(evenness)])
            row = int(rows[best])
            scores[row] = evenness.max()
            gained, left[best] = gained + counts[row], False
            order.append(row)
        return selection(pool, take_apart(pool, order, n), scores, lambda i: _said(counts[i]))


def _entropy(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of each row, nats; 0 where there is nothing."""
    total = counts.sum(axis=-1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    logs = np.log(share, out=np.zeros(counts.shape), where=share > 0)
    entropy: NDArray[np.float64] = -(share * logs).sum(axis=-1)
    return entropy


def _said(counts: NDArray[np.floating]) -> str:
    """Which classes a region brings, by their numbers in the scheme."""
    parts = [f"{int(n)} of class {k + 1}" for k, n in enumerate(counts) if n >= 1]
    return f"makes the classes more even: {', '.join(parts) or 'none'}"
