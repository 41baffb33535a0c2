"""How fast a run goes, and how long it will still take."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from napari_histo.core import Progress

__all__ = ["Clock", "Pace"]

#: Steps that the pace is taken from: it follows dense and empty places, and does not jump.
_STEPS = 24
_LEAST_SECONDS = 2.0


@dataclass(frozen=True)
class Pace:
    """Speed of a run.

    Attributes
    ----------
    tile_s : float
        Seconds a tile.
    left_s : float
        Seconds that the rest will take.
    """

    tile_s: float
    left_s: float


class Clock:
    """Takes the pace of a run from its progress; tiles of an earlier session do not count."""

    def __init__(self) -> None:
        self._total = 0
        self._seen: deque[tuple[float, int]] = deque(maxlen=_STEPS)

    def note(self, progress: Progress, now: float | None = None) -> Pace | None:
        """One step; None while it is too early to tell."""
        now = time.monotonic() if now is None else now
        if progress.total != self._total or (self._seen and progress.done < self._seen[-1][1]):
            self._total = progress.total
            self._seen.clear()
        self._seen.append((now, progress.done))
        (start, before), done = self._seen[0], progress.done
        if done == before or now - start < _LEAST_SECONDS:
            return None
        tile_s = (now - start) / (done - before)
        return Pace(tile_s, tile_s * (progress.total - done))
