"""What all strategies share: who may be chosen, and taking the best without doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.learning import Candidate, Pool, Selection
from napari_histo.errors import LearningError

__all__ = ["best_first", "check_needs", "eligible", "selection", "take_apart"]

#: Less tissue than this share of a region is hardly worth a look.
_LEAST_TISSUE = 0.05
#: Cosine of features above which two regions show the same.
_SAME = 0.995
#: Share of the smaller of two regions that they may have in common.
_OVERLAP = 0.25


def check_needs(pool: Pool, name: str, needs: Iterable[str]) -> None:
    """Raise LearningError where the pool lacks what a strategy reads."""
    for need in needs:
        column = pool.signals.get(need, getattr(pool, need, np.zeros(0)))
        if len(pool) and (not column.size or bool(np.isnan(column).all())):
            raise LearningError(
                f"The strategy {name!r} needs {need!r} of each region, which is not known here: "
                "score the regions with a model that gives it, or use the strategy 'typical', "
                "'grid' or 'random'."
            )


def eligible(pool: Pool) -> NDArray[np.int64]:
    """Rows that are worth a look: neither empty nor annotated already; all where none is."""
    worth = np.ones(len(pool), bool)
    if "tissue" in pool.signals:
        worth &= ~(pool.signals["tissue"] < _LEAST_TISSUE)
    new = np.array([not _meets(c, pool.seen_candidates) for c in pool.candidates], bool)
    rows = np.flatnonzero(worth & new)
    return rows if len(rows) else np.flatnonzero(new)


def take_apart(
    pool: Pool, order: Iterable[int], n: int, *, by_looks: bool = True
) -> NDArray[np.int64]:
    """The first `n` rows of `order` that neither overlap nor look the same as one before them.

    Those passed over come last, where there are too few others.
    """
    taken: list[int] = []
    passed: list[int] = []
    for row in order:
        if len(taken) == n:
            break
        is_double = _meets(pool.candidates[row], [pool.candidates[t] for t in taken])
        if by_looks and taken and pool.features.shape[1]:
            is_double |= bool((pool.features[taken] @ pool.features[row] > _SAME).any())
        (passed if is_double else taken).append(row)
    return np.array([*taken, *passed][:n], np.int64)


def best_first(
    scores: NDArray[np.floating], rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """`rows` from the highest score (one a row) down; ties in random order, NaN last."""
    known = np.nan_to_num(scores.astype(np.float64), nan=-np.inf)
    return rows[np.lexsort((rng.permutation(len(rows)), -known))]


def selection(
    pool: Pool,
    rows: NDArray[np.int64],
    scores: NDArray[np.floating],
    reason: Callable[[int], str],
) -> Selection:
    """Rows in their order as a selection; `scores` (n,) are those of the whole pool."""
    return Selection(
        tuple(pool.candidates[i] for i in rows),
        tuple(round(float(scores[i]), 6) for i in rows),
        tuple(reason(int(i)) for i in rows),
    )


def _meets(candidate: Candidate, others: Iterable[Candidate]) -> bool:
    """Whether a region shares much with one of the others."""
    for other in others:
        if other.image != candidate.image:
            continue
        common = candidate.region.intersect(other.region).area
        if common > _OVERLAP * min(candidate.region.area, other.region.area):
            return True
    return False
