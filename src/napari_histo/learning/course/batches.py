"""Batches of new and replayed patches, each a function of the seed and the number of its step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import Generic, Self, TypeVar

import numpy as np
from torch import Tensor

from napari_histo.learning.course.patches import PatchSource

__all__ = ["Batches", "PatchBatch"]


Patch = TypeVar("Patch")
Batch = TypeVar("Batch")


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches with what is to be answered: tensors whose first axis is that of the patches.

    Attributes
    ----------
    image : (b, c, h, w) float32
    replayed : (b,) bool
        From an earlier round.
    """

    image: Tensor
    replayed: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: str) -> Self:
        """On another device."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return replace(self, **moved)

    def part(self, part: slice) -> Self:
        """Some of the patches."""
        return replace(self, **{f.name: getattr(self, f.name)[part] for f in fields(self)})


class Batches(Generic[Patch, Batch]):
    """Draws batches.

    Parameters
    ----------
    new : PatchSource
    replay : PatchSource or None
        Of earlier rounds.
    stack : callable
        Makes a batch of patches.
    size : int
        Patches a batch.
    share : float
        That is replayed.
    seed : int
    distinct : int, optional
        Batches after which the first comes again; by default each is new.
    """

    def __init__(
        self,
        new: PatchSource[Patch],
        replay: PatchSource[Patch] | None,
        stack: Callable[[list[Patch]], Batch],
        *,
        size: int,
        share: float,
        seed: int,
        distinct: int | None = None,
    ) -> None:
        self._distinct = distinct
        self._new, self._replay, self._stack = new, replay, stack
        self._size, self._share, self._seed = size, share if replay else 0.0, seed

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand."""
        return sum(s.nbytes for s in (self._new, self._replay) if s is not None)

    def draw(self, step: int) -> Batch:
        """The batch of a step; any thread may call."""
        number = step % self._distinct if self._distinct else step
        rng = np.random.default_rng([self._seed, 3, number])
        # Rounded at random, so that a batch of few holds the share in the long run.
        n_old = int(np.floor(self._share * self._size + rng.random()))
        sources = [self._replay] * n_old + [self._new] * (self._size - n_old)
        return self._stack([s.draw(rng) for s in sources if s is not None])

    @contextmanager
    def ahead(self, start: int, workers: int) -> Iterator[Iterator[Batch]]:
        """Batches from a step on, prepared by threads while the caller works on the last one."""
        if not workers:
            yield map(self.draw, count(start))
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="patches")
        try:
            yield self._prepared(pool, start, workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepared(self, pool: ThreadPoolExecutor, start: int, workers: int) -> Iterator[Batch]:
        coming: deque[Future[Batch]] = deque()
        for step in count(start):
            coming.append(pool.submit(self.draw, step))
            if len(coming) > workers:
                yield coming.popleft().result()
