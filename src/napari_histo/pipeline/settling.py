"""From proposals to objects on disk, beside the network: seams, outlines, parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, Proposals, Thresholds
from napari_histo.pipeline.proposing import Plan
from napari_histo.pipeline.seams import Seams
from napari_histo.store.run_folder import RunFolder

__all__ = ["OnPart", "Settling"]

#: Is told of each tile whose objects are settled.
OnPart = Callable[[int, ObjectTable], None]


class Settling:
    """Keeps proposals and settles seams, one tile after the other, in a thread of `pool`.

    Parameters
    ----------
    plan : Plan
    store : RunFolder
    tiles : sequence of int
        All tiles of the run.
    thresholds : Thresholds
    pool : ThreadPoolExecutor
        Of one thread.
    draw : callable
        Objects of the proposals that stay.
    on_part : callable or None
        See `segment_slide`.

    Attributes
    ----------
    n_objects : int
        Settled so far.
    """

    def __init__(
        self,
        plan: Plan,
        store: RunFolder,
        *,
        tiles: Sequence[int],
        thresholds: Thresholds,
        pool: ThreadPoolExecutor,
        draw: Callable[[Proposals], ObjectTable],
        on_part: OnPart | None,
    ) -> None:
        self._store, self._pool, self._draw, self._on_part = store, pool, draw, on_part
        self._seams = Seams(plan.grid, tiles, store.proposals, plan.model, thresholds)
        self._coming: list[Future[None]] = []
        self.n_objects = 0

    def restore(self, done: set[int]) -> None:
        """What another process did; what it had not settled is settled now."""
        store = self._store
        settled = {t for t in store.settled() & done if done.issuperset(self._seams.near(t))}
        self._seams.restore(settled, store.joined)
        for tile in sorted(settled):
            self._coming.append(self._pool.submit(self._tell_again, tile))
        for tile in sorted(done - settled):
            self._coming.append(self._pool.submit(self._arrive, tile))

    def add(self, tile: int, found: Proposals) -> None:
        """A tile is done. The proposals are on disk when its future is."""
        self._coming.append(self._pool.submit(self._keep, tile, found))

    def wait(self, at_most: int) -> None:
        """Until no more than so many tiles are waiting; raises what went wrong."""
        while len(self._coming) > at_most or (self._coming and self._coming[0].done()):
            self._coming.pop(0).result()

    def _keep(self, tile: int, found: Proposals) -> None:
        self._store.save_proposals(tile, found)
        self._arrive(tile)

    def _arrive(self, tile: int) -> None:
        settled = self._seams.arrive(tile)
        self._store.save_joined(self._seams.joined)
        for index, rows in settled.items():
            self._settle(index, rows)

    def _settle(self, tile: int, rows: NDArray[np.int64]) -> None:
        """Draw and keep the objects of a tile."""
        table = self._draw(self._store.proposals(tile).take(rows))
        self._store.save_part(tile, table)
        self._tell(tile, table)

    def _tell_again(self, tile: int) -> None:
        if self._on_part is not None:
            self._tell(tile, self._store.part(tile))

    def _tell(self, tile: int, table: ObjectTable) -> None:
        self.n_objects += len(table)
        if self._on_part is not None:
            self._on_part(tile, table)
