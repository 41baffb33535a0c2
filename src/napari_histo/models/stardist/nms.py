"""StarDist's compiled geometry, without its Keras side."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["star_polygons", "suppress"]

#: Polygons a call: a tenth of a second at most.
_BATCH = 2000


def suppress(
    points: NDArray[np.float32],
    dist: NDArray[np.float32],
    prob: NDArray[np.float32],
    max_overlap: float,
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression of star-convex polygons.

    A polygon goes when a likelier one that stays covers more than `max_overlap` of the smaller of
    the two. Source: ``stardist.nms.non_maximum_suppression_inds`` (C++; Schmidt et al., 2018),
    here called for the likeliest first, then for what survived with the next ones, and so on. The
    answer is the same, for a polygon only ever yields to likelier ones, and takes no longer; but
    the C++ holds Python's lock, and a window would stand still for seconds. It runs in one thread.

    Parameters
    ----------
    points : (n, 2) float32
        Centres, x before y, px.
    dist : (n, n_rays) float32
        Distances, px.
    prob : (n,) float32

    Returns
    -------
    array of int64
        Rows that stay, ascending.
    """
    if not len(prob):
        return np.zeros(0, np.int64)
    # Ties are broken by position, so that the answer does not depend on the order of tiles.
    order = np.lexsort((points[:, 0], points[:, 1], -prob))
    nms, kept, start = _stardist_nms(), order[:0], 0
    with _thread_pools().limit(limits=1, user_api="openmp"):
        while start < len(order):
            size = max(_BATCH, len(kept) // 2)
            pool = np.concatenate([kept, order[start : start + size]])
            start += size
            stays = nms(
                dist[pool],
                np.ascontiguousarray(points[pool, ::-1]),
                scores=prob[pool],
                thresh=max_overlap,
                verbose=False,
            )
            kept = pool[stays]
    return np.sort(kept)


def star_polygons(points: NDArray[np.float32], dist: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vertices (n, n_rays, 2), x before y, of star polygons around `points` (n, 2), px.

    Ray k points at the angle ``2 pi k / n_rays`` from +x towards +y.
    """
    angle = np.linspace(0, 2 * np.pi, dist.shape[1], endpoint=False)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    xy: NDArray[np.float32] = points[:, None, :] + dist[:, :, None] * unit
    return xy


def _stardist_nms() -> Any:
    # stardist replaces warnings.formatwarning when it is imported; put it back.
    shown_as = warnings.formatwarning
    from stardist.nms import non_maximum_suppression_inds

    warnings.formatwarning = shown_as
    return non_maximum_suppression_inds


@lru_cache(maxsize=1)
def _thread_pools() -> Any:
    """OpenMP's threads, to be bounded for the calling thread alone.

    The C++ opens a parallel loop for each polygon, over its few neighbours: on free cores that wins
    nothing, and on busy ones every loop waits for the thread that has no core. Where torch came
    first, stardist runs on torch's OpenMP, so all of them are bounded; made once, after both, for
    finding them takes 20 ms.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
