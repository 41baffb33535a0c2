# SPDX-License-Identifier: GPL-3.0-or-later
"""What a read or a write of an image is refused for, and how long it may take."""

from __future__ import annotations

import numpy as np

from napari_histo.core import ObjectTable, ObjectType
from napari_histo.errors import BridgeError, WriteError
from qupath_bridge._align import groups_of
from qupath_bridge._qpdata import DataState
from qupath_bridge.client import Answer, JavaError
from qupath_bridge.project import ProjectEntry
from qupath_bridge.safety import EntryFacts

__all__ = [
    "check_count",
    "check_ids",
    "check_read_back",
    "check_types",
    "expected_bytes",
    "limit_s",
    "refused",
    "stamp_of",
    "unreadable",
    "whole",
]

# A start, and the slowest that a machine still at work would be.
_BASE_S, _BYTES_PER_S, _OBJECTS_PER_S = 60.0, 1e6, 2_000.0
_BYTES_PER_OBJECT = 1_000
_NOT_OURS = (ObjectType.TMA_CORE, ObjectType.ROOT)


def whole(entry: ProjectEntry) -> ProjectEntry:
    """The entry, where its data are whole and nobody is saving them; else BridgeError."""
    check = entry.check_data()
    if check.state in (DataState.DAMAGED, DataState.SAVING):
        raise BridgeError(check.message)
    return entry


def stamp_of(entry: ProjectEntry) -> tuple[tuple[int, int] | None, ...]:
    """Size and time of the entry's files: enough to see a save during a read."""
    files = (entry.data_file, entry.folder / "summary.json")
    stats = [path.stat() if path.exists() else None for path in files]
    return tuple(None if s is None else (s.st_size, s.st_mtime_ns) for s in stats)


def check_count(entry: ProjectEntry, n: int) -> None:
    """Raise BridgeError where fewer objects were read than QuPath says it saved at that moment."""
    summary = entry.summary()
    if summary is None or n >= summary.n_objects:
        return
    if summary.timestamp_ms != entry.data_file.stat().st_mtime_ns // 1_000_000:
        return  # the summary is of another save
    raise BridgeError(
        f"{entry.data_file} is damaged: QuPath saved {summary.n_objects:,} objects and {n:,} can "
        "be read. Do not save this image in QuPath; put a backup copy of the file in its place."
    )


def check_types(table: ObjectTable) -> None:
    """Raise BridgeError for objects that only QuPath makes."""
    foreign = [ObjectType(t).name for t in _NOT_OURS if (table.object_type == t).any()]
    if foreign:
        raise BridgeError(
            f"Objects of type {', '.join(foreign)} cannot be written; QuPath alone makes and "
            "changes them. Leave them out."
        )


def check_ids(table: ObjectTable) -> None:
    """Raise BridgeError where an id stands twice."""
    group, first = groups_of(table.object_id)
    if len(first) < len(table):
        double = table.uuid(int(first[np.bincount(group).argmax()]))
        raise BridgeError(
            f"The id {double} stands twice among the objects to write; nothing was written. Give "
            "one of them a new id."
        )


def check_read_back(entry: ProjectEntry, written: Answer, seen: Answer) -> None:
    """Raise WriteError where another process reads other objects than were written."""
    for name in ("n_objects", "id_sum"):
        if seen[name] != written[name]:
            raise WriteError(
                f"The new data of {entry.name!r} do not read back as they were written ({name}: "
                f"{written[name]} written, {seen[name]} read); the project is as it was. Try "
                "again, and check the disk if it happens again."
            )


def refused(entry: ProjectEntry, error: JavaError) -> BridgeError | WriteError:
    """What to tell the user where QuPath raised during a write."""
    text = f"QuPath could not write {entry.name!r}: {error.reason}. The project is as it was."
    if "OutOfMemory" in error.kind:
        return BridgeError(f"{text} Give its Java more memory, or send fewer objects.")
    if "space" in error.reason:  # as systems say of a full disk
        return WriteError(f"{text} Free some space on the disk of {entry.folder}.")
    return BridgeError(
        f"{text} Check that the image {entry.uri} opens in QuPath; if it was moved, open the "
        "project there once and tell it the new place."
    )


def unreadable(entry: ProjectEntry, error: JavaError) -> BridgeError:
    """What to tell the user where QuPath raised during a read."""
    return BridgeError(
        f"QuPath cannot read {entry.data_file}: {error.kind.rpartition('.')[2]}, {error.reason}. "
        "The file may be damaged: do not save this image in QuPath, which would replace it; put a "
        "backup copy in its place."
    )


def limit_s(entry: ProjectEntry, n_objects: int = 0) -> float:
    """Time to allow for the entry's present data and so many objects besides, s."""
    size = entry.data_file.stat().st_size if entry.data_file.exists() else 0
    return _BASE_S + size / _BYTES_PER_S + n_objects / _OBJECTS_PER_S


def expected_bytes(before: EntryFacts, n_upserts: int) -> int:
    """New file and copy of the old one, generously."""
    old = before.data.size if before.data else 0
    return 2 * old + n_upserts * _BYTES_PER_OBJECT
