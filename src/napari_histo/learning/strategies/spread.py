"""Regions unlike each other and unlike what was annotated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.picking import check_needs, eligible, selection

__all__ = ["Badge", "KCenter"]

#: Signals of doubt, the first that a pool has.
_DOUBTS = ("disagreement", "margin", "dropout")


@dataclass(frozen=True)
class KCenter:
    """Each time the region farthest from all that is annotated or chosen.

    Greedy k-center (Sener and Savarese, ICLR 2018).
    """

    name: ClassVar[str] = "diverse"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        check_needs(pool, self.name, self.needs)
        rows = eligible(pool)
        features = pool.features[rows]
        first = _to_nearest(features, pool.seen) + 1e-9 * rng.random(len(rows))
        taken, far = _spread(features, first, n, lambda d2: int(np.argmax(d2)))
        scores = np.full(len(pool), np.nan)
        scores[rows[taken]] = far
        return selection(pool, rows[taken], scores, lambda _: "unlike all that is annotated")


@dataclass(frozen=True)
class Badge:
    """Regions that are uncertain and unlike each other, drawn as k-means++ draws its centres.

    After BADGE (Ash et al., ICLR 2020), with features scaled by the doubt in place of gradients:
    where the model is sure, gradients are small, and so are these.
    """

    name: ClassVar[str] = "badge"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        signal = next((s for s in _DOUBTS if s in pool.signals), "disagreement")
        check_needs(pool, self.name, {*self.needs, signal})
        rows = eligible(pool)
        doubt = np.nan_to_num(pool.signals[signal][rows]).clip(0)
        scaled = pool.features[rows] * doubt[:, None]
        first = doubt**2 * _to_nearest(pool.features[rows], pool.seen)

        def draw(d2: NDArray[np.float64]) -> int:
            total = float(d2.sum())
            chance = d2 / total if total > 0 else np.full(len(d2), 1 / len(d2))
            return int(rng.choice(len(d2), p=chance))

        taken, _ = _spread(scaled, first, n, draw)
        scores = np.full(len(pool), np.nan)
        scores[rows] = doubt
        return selection(
            pool, rows[taken], scores, lambda i: f"unsure ({scores[i]:.0%}) and unlike the others"
        )


def _to_nearest(features: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distance of each row to the nearest of `seen`; its own length without any."""
    from sklearn.metrics import pairwise_distances_argmin_min

    if not seen.size:
        return np.asarray((features.astype(np.float64) ** 2).sum(axis=1))
    _, distance = pairwise_distances_argmin_min(features, seen)
    return np.asarray(distance, np.float64) ** 2


def _spread(
    features: NDArray[np.float32],
    nearest: NDArray[np.float64],
    n: int,
    choose: Callable[[NDArray[np.float64]], int],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows one after the other by their squared distances to those before; and the distances.

    `nearest` (n,) holds the distances at the start.
    """
    taken, far, left = [], [], np.ones(len(features), bool)
    for _ in range(min(n, len(features))):
        places = np.flatnonzero(left)
        row = int(places[choose(nearest[places])])
        taken.append(row)
        far.append(float(np.sqrt(nearest[row])))
        left[row] = False
        nearest = np.minimum(nearest, ((features - features[row]) ** 2).sum(axis=1))
    return np.array(taken, np.int64), np.array(far)
