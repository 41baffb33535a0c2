"""Rows of a table by tile, and work on tiles in a few threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Progress, TileGrid

__all__ = ["rows_by_tile", "tilewise"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_THREADS = min(4, os.cpu_count() or 1)


def rows_by_tile(
    centroids: NDArray[np.float64], extent: Box, tile_px: int
) -> list[NDArray[np.int64]]:
    """Rows by the tile that owns their centroid, ascending in each; NaN is in none.

    Parameters
    ----------
    centroids : (n, 2) array
        In px of `extent`; those beyond it count to the nearest tile.
    extent : Box
    tile_px : int
    """
    known = np.flatnonzero(np.isfinite(centroids).all(axis=1))
    low, high = (extent.x, extent.y), (extent.right - 1, extent.bottom - 1)
    owner = TileGrid(extent, extent, tile_px).owner_of(np.clip(centroids[known], low, high))
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    return [known[part] for part in np.split(order, starts)[1:]]


def tilewise(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    cancel: CancelToken,
    message: str,
    take: Callable[[Answer], None],
) -> Generator[Progress]:
    """Do `work` on the items in a few threads; `take` gets the answers in order.

    Only a few answers wait at a time, so memory stays bounded.
    """
    ahead: deque[Future[Answer]] = deque()
    done = 0
    yield Progress(0, len(items), message)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="tiles") as pool:
        try:
            for i, item in enumerate(items):
                ahead.append(pool.submit(work, item))
                while len(ahead) > (2 * _THREADS if i + 1 < len(items) else 0):
                    cancel.raise_if_cancelled()
                    take(ahead.popleft().result())
                    done += 1
                    yield Progress(done, len(items), message)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
