# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of our last writes to a project, for the case that QuPath loses one.

A write bears a mark. Where the project's data lack it, objects of that write are compared with
the base from before it, so that what was lost is our change again, and not somebody's deletion.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable
from qupath_bridge._align import is_in
from qupath_bridge.delta import Delta
from qupath_bridge.snapshot import load_delta, save_delta

__all__ = ["Pushes"]

_N_KEPT = 5


@dataclass(frozen=True)
class Pushes:
    """The last writes of ours.

    Attributes
    ----------
    folder : Path
        There or not; a folder a write, numbered.
    """

    folder: Path

    def keep(self, mark: str, base: ObjectTable, written: Delta) -> None:
        """Remember a write that was made: its mark, and how the base had what it touched."""
        n = 1 + max((int(path.name) for path in self._writes()), default=0)
        work = self.folder / f"{n}.part"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        ids = _touched(written)
        before = base.select(is_in(base.object_id, ids))
        gone = ids[~is_in(ids, before.object_id)]
        save_delta(work, "before", Delta(before, gone, base.classes))
        (work / "mark").write_text(mark, encoding="utf-8")
        work.rename(self.folder / str(n))
        for path in list(self._writes())[_N_KEPT:]:
            shutil.rmtree(path, ignore_errors=True)

    def marks(self) -> list[str]:
        """Marks of all, the latest first."""
        return [_mark(path) for path in self._writes()]

    def base_without(self, base: ObjectTable, seen: Collection[str]) -> ObjectTable:
        """The base, as if writes whose mark is not among `seen` had never been."""
        settled = np.zeros((0, 16), np.uint8)
        for path in self._writes():
            delta = load_delta(path, "before")
            ids = _touched(delta)
            if _mark(path) not in seen:
                base = _left(delta, settled).apply(base)
            settled = np.concatenate([settled, ids])
        return base

    def forget(self, seen: Collection[str] = ()) -> None:
        """Drop those whose mark is not among `seen`."""
        for path in list(self._writes()):
            if _mark(path) not in seen:
                shutil.rmtree(path, ignore_errors=True)

    def _writes(self) -> Iterator[Path]:
        """The latest first."""
        found = [path for path in self.folder.glob("*") if path.name.isdigit()]
        yield from sorted(found, key=lambda path: -int(path.name))


def _mark(path: Path) -> str:
    return (path / "mark").read_text(encoding="utf-8")


def _touched(delta: Delta) -> NDArray[np.uint8]:
    return np.concatenate([delta.upserts.object_id, delta.deletions])


def _left(delta: Delta, settled: NDArray[np.uint8]) -> Delta:
    """Without what a later write touched, which knows better."""
    upserts = delta.upserts.select(~is_in(delta.upserts.object_id, settled))
    return Delta(upserts, delta.deletions[~is_in(delta.deletions, settled)], delta.classes)
