"""More like this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.picking import (
    best_first,
    check_needs,
    eligible,
    selection,
    take_apart,
)

__all__ = ["Alike"]


@dataclass(frozen=True, eq=False)
class Alike:
    """The regions whose features are nearest to those of chosen ones.

    Attributes
    ----------
    anchors : (m, d) float32
        Features of what the user pointed at, of length 1.
    """

    anchors: NDArray[np.float32]
    name: ClassVar[str] = "alike"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        check_needs(pool, self.name, self.needs)
        rows = eligible(pool)
        alike = np.full(len(pool), np.nan)
        alike[rows] = (pool.features[rows] @ self.anchors.T).max(axis=1)
        taken = take_apart(pool, best_first(alike[rows], rows, rng), n)
        return selection(pool, taken, alike, lambda i: f"like the chosen one ({alike[i]:.0%})")
