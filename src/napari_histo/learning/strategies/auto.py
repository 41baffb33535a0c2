"""The default: what is best at each stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.chance import Chance
from napari_histo.learning.strategies.cold import Typical
from napari_histo.learning.strategies.spread import Badge

__all__ = ["Auto"]


@dataclass(frozen=True)
class Auto:
    """Typical regions at first; once something is annotated, uncertain ones unlike each other.

    The first picks of uncertainty are worse than random (arXiv 2210.02442): a model that has seen
    nothing of the data does not know what it does not know.
    """

    name: ClassVar[str] = "auto"
    needs: ClassVar[frozenset[str]] = frozenset()

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        if not pool.features.size:
            return Chance().select(pool, n, rng)
        knows_doubt = bool(pool.signals.keys() & {"disagreement", "margin"})
        if pool.seen.size and knows_doubt:
            return Badge().select(pool, n, rng)
        return Typical().select(pool, n, rng)
