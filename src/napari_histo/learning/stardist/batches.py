"""Batches of new and replayed patches, each a function of the seed and the number of its step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from napari_histo.learning.stardist.patches import PatchSource
from napari_histo.learning.stardist.targets import Batch
from napari_histo.models._stardist_net import StarDistConfig

__all__ = ["Batches"]


class Batches:
    """Draws batches.

    Parameters
    ----------
    new : PatchSource
    replay : PatchSource or None
        Of earlier rounds.
    config : StarDistConfig
    size : int
        Patches a batch.
    share : float
        That is replayed.
    seed : int
    """

    def __init__(
        self,
        new: PatchSource,
        replay: PatchSource | None,
        config: StarDistConfig,
        *,
        size: int,
        share: float,
        seed: int,
    ) -> None:
        self._new, self._replay, self._config = new, replay, config
        self._size, self._share, self._seed = size, share if replay else 0.0, seed

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand."""
        return sum(s.nbytes for s in (self._new, self._replay) if s is not None)

    def draw(self, step: int) -> Batch:
        """The batch of a step; any thread may call."""
        rng = np.random.default_rng([self._seed, 3, step])
        # Rounded at random, so that a batch of few holds the share in the long run.
        n_old = int(np.floor(self._share * self._size + rng.random()))
        sources = [self._replay] * n_old + [self._new] * (self._size - n_old)
        return Batch.of([s.draw(rng) for s in sources if s is not None], self._config)

    @contextmanager
    def ahead(self, start: int, workers: int) -> Iterator[Iterator[Batch]]:
        """Batches from a step on, prepared by threads while the caller works on the last one."""
        if not workers:
            yield (self.draw(step) for step in _count(start))
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="patches")
        try:
            yield self._prepared(pool, start, workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepared(self, pool: ThreadPoolExecutor, start: int, workers: int) -> Iterator[Batch]:
        coming: deque[Future[Batch]] = deque()
        for step in _count(start):
            coming.append(pool.submit(self.draw, step))
            if len(coming) > workers:
                yield coming.popleft().result()


def _count(start: int) -> Iterator[int]:
    while True:
        yield start
        start += 1
