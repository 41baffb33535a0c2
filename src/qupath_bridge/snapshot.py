# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync keeps on disk: the base of the next one, and what takes it back.

All of it is GeoParquet, which keeps every bit, as GeoJSON does not (it rounds coordinates to two
decimals). An undo is a folder::

    base.parquet              the base before the sync
    ours.parquet              our objects as they were: Delta.upserts
    ours.gone.parquet         objects that the sync made, without outlines: Delta.deletions
    theirs.parquet            likewise
    theirs.gone.parquet
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_histo.core import Contours, ObjectTable
from napari_histo.store.parquet import read_parquet, write_parquet
from qupath_bridge.delta import Delta
from qupath_bridge.sync import Merge

__all__ = [
    "Undo",
    "load_base",
    "load_delta",
    "load_undo",
    "save_base",
    "save_delta",
    "save_undo",
]


@dataclass(frozen=True, eq=False)
class Undo:
    """What takes a sync back: apply `ours` and `theirs`, and go on with `base`."""

    base: ObjectTable
    ours: Delta
    theirs: Delta


def save_base(path: Path, base: ObjectTable) -> None:
    """Write a base; an older one stays until the new one is whole.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    write_parquet(path, base)


def load_base(path: Path) -> ObjectTable:
    """Read a base; an empty table where there was no sync yet.

    Raises
    ------
    ObjectsFileError
        The file is damaged. A sync without a base deletes nothing.
    """
    return read_parquet(path) if path.exists() else ObjectTable.empty()


def save_undo(folder: Path, merge: Merge) -> None:
    """Write what takes `merge` back; to be called before any side is written.

    Raises
    ------
    WriteError
        A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_base(folder / "base.parquet", merge.before[0])
    save_delta(folder, "ours", merge.undo_ours)
    save_delta(folder, "theirs", merge.undo_theirs)


def load_undo(folder: Path) -> Undo:
    """Read what `save_undo` wrote.

    Raises
    ------
    ObjectsFileError
        A file is missing or damaged.
    """
    base = read_parquet(folder / "base.parquet")
    return Undo(base, load_delta(folder, "ours"), load_delta(folder, "theirs"))


def save_delta(folder: Path, name: str, delta: Delta) -> None:
    """Write ``<name>.parquet`` and ``<name>.gone.parquet``."""
    write_parquet(folder / f"{name}.parquet", delta.upserts.with_columns(classes=delta.classes))
    gone = ObjectTable.build(Contours.empty(len(delta.deletions)), object_id=delta.deletions)
    write_parquet(folder / f"{name}.gone.parquet", gone)


def load_delta(folder: Path, name: str) -> Delta:
    """Read what `save_delta` wrote."""
    upserts = read_parquet(folder / f"{name}.parquet")
    gone = read_parquet(folder / f"{name}.gone.parquet")
    # Which colours change was told when the undo was made; to write all of them does no harm.
    return Delta(upserts, gone.object_id, upserts.classes, tuple(upserts.classes))
