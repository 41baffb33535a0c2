"""The first round, before anything is annotated: regions that stand for many others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.learning import Pool, Selection
from napari_histo.learning.strategies.picking import check_needs, eligible, selection, take_apart

__all__ = ["HardToContrast", "Typical"]

#: Neighbours that say how typical a region is; as in TypiClust.
_NEIGHBOURS = 20
#: Most clusters, and regions a cluster below which it counts for nothing; as in TypiClust.
_MOST_CLUSTERS, _LEAST_CLUSTER = 500, 5
#: Regions that each is held against, and how sharply.
_HELD_AGAINST, _TEMPERATURE = 4096, 0.1


@dataclass(frozen=True)
class Typical:
    """From each large cluster that nobody has annotated yet, its most typical region.

    TypiClust (Hacohen, Dekel and Weinshall, ICML 2022): with few labels, typical examples teach
    more than uncertain ones. Clusters are k-means' on the features, as many as there are regions
    annotated and asked for; typical is who has near neighbours.
    """

    name: ClassVar[str] = "typical"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        check_needs(pool, self.name, self.needs)
        rows = eligible(pool)
        groups = _Groups.of(pool, rows, n, rng)
        typical = np.full(len(pool), np.nan)
        for members in groups.members.values():
            typical[members] = _typicality(pool.features[members])
        order = groups.in_turn(typical)
        return selection(
            pool, take_apart(pool, order, n), typical, lambda i: groups.said(i, "typical of")
        )


@dataclass(frozen=True)
class HardToContrast:
    """From each cluster, the region that is hardest to tell from others when its looks change.

    After Chen et al., MIDL 2023 (arXiv 2210.02442), who find that such regions stand for most
    others. They train a contrastive network to know; here the model's own features of changed
    views are held against those of all regions, without training.
    """

    name: ClassVar[str] = "contrast"
    needs: ClassVar[frozenset[str]] = frozenset({"features", "views"})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        check_needs(pool, self.name, self.needs)
        rows = eligible(pool)
        groups = _Groups.of(pool, rows, n, rng)
        hard = np.full(len(pool), np.nan)
        hard[rows] = 1 - _confidence(pool, rows, rng)
        order = groups.in_turn(hard)
        return selection(
            pool, take_apart(pool, order, n), hard, lambda i: groups.said(i, "hard to tell from")
        )


@dataclass(frozen=True, eq=False)
class _Groups:
    """Clusters of the pool's regions, those without annotations and large ones first."""

    members: dict[int, NDArray[np.int64]]
    n_seen: dict[int, int]
    total: int

    @classmethod
    def of(cls, pool: Pool, rows: NDArray[np.int64], n: int, rng: np.random.Generator) -> _Groups:
        seen = pool.seen if pool.seen.size else np.zeros((0, pool.features.shape[1]), np.float32)
        features = np.concatenate([pool.features[rows], seen])
        labels = _clusters(features, min(n + len(seen), _MOST_CLUSTERS), rng)
        own, known = labels[: len(rows)], labels[len(rows) :]
        members = {int(k): rows[own == k] for k in np.unique(own)}
        n_seen = {k: int((known == k).sum()) for k in members}
        return cls(members, n_seen, len(rows))

    def in_turn(self, scores: NDArray[np.floating]) -> list[int]:
        """Rows: the best of each cluster, then the second best of each, and so on."""
        ranked = {
            k: rows[np.argsort(-scores[rows], kind="stable")] for k, rows in self.members.items()
        }
        places = sorted(
            ((self.n_seen[k] + turn, len(rows) < _LEAST_CLUSTER, -len(rows), k, turn)
             for k, rows in ranked.items() for turn in range(len(rows)))
        )  # fmt: skip
        return [int(ranked[k][turn]) for *_, k, turn in places]

    def said(self, row: int, relation: str) -> str:
        """The reason, for people."""
        k, rows = next((k, rows) for k, rows in self.members.items() if row in rows)
        share = f"{relation} {len(rows) / self.total:.0%} of the regions"
        return f"{share}, none of them annotated yet" if not self.n_seen[k] else share


def _clusters(
    features: NDArray[np.float32], k: int, rng: np.random.Generator
) -> NDArray[np.integer]:
    from sklearn.cluster import KMeans, MiniBatchKMeans

    k = max(1, min(k, len(np.unique(features, axis=0))))
    seed = int(rng.integers(2**31))
    if k <= 50:
        made = KMeans(k, n_init=3, random_state=seed)
    else:
        made = MiniBatchKMeans(k, n_init=3, random_state=seed)
    labels: NDArray[np.integer] = made.fit_predict(features)
    return labels


def _typicality(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 / mean distance to the nearest neighbours, for each row."""
    from sklearn.neighbors import NearestNeighbors

    k = min(_NEIGHBOURS, len(features) - 1)
    if k < 1:
        return np.ones(len(features))
    distances, _ = NearestNeighbors(n_neighbors=k + 1).fit(features).kneighbors(features)
    typical: NDArray[np.float64] = 1 / (distances[:, 1:].mean(axis=1) + 1e-6)
    return typical


def _confidence(
    pool: Pool, rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """How surely the changed views of each row are known as its own, 0 to 1."""
    others = rows if len(rows) <= _HELD_AGAINST else rng.choice(rows, _HELD_AGAINST, replace=False)
    sure = np.zeros(len(rows))
    for at, row in enumerate(rows):
        held = pool.features[others[others != row]]
        own = np.exp(pool.views[row] @ pool.features[row] / _TEMPERATURE)
        rest = np.exp(pool.views[row] @ held.T / _TEMPERATURE).sum(axis=1)
        sure[at] = float((own / (own + rest)).mean())
    return sure
