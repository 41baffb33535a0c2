"""Choosing without looking: at random, and on a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.picking import eligible, selection, take_apart

__all__ = ["Chance", "Lattice"]


@dataclass(frozen=True)
class Chance:
    """Every region with tissue has the same chance: the baseline of all others."""

    name: ClassVar[str] = "random"
    needs: ClassVar[frozenset[str]] = frozenset()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        order = rng.permutation(eligible(pool))
        rows = take_apart(pool, order, n, by_looks=False)
        return selection(pool, rows, np.zeros(len(pool)), lambda _: "chosen at random")


@dataclass(frozen=True)
class Lattice:
    """Regions evenly spread over all images, in their order."""

    name: ClassVar[str] = "grid"
    needs: ClassVar[frozenset[str]] = frozenset()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        rows = eligible(pool)
        keys = [(c.image, c.region.y, c.region.x) for c in (pool.candidates[i] for i in rows)]
        rows = rows[sorted(range(len(rows)), key=keys.__getitem__)]
        n = min(n, len(rows))
        places = ((np.arange(n) + rng.random()) * len(rows) / max(n, 1)).astype(int)
        return selection(
            pool, rows[places], np.zeros(len(pool)), lambda _: "on a lattice over all images"
        )
