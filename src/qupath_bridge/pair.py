# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's objects in two places, our file and the QuPath project, brought in step.

`compare` reads both and merges; nothing is written. `carry_out` writes what the merge decided:
first what takes it back, then the project, then our file, then the base of the next sync. Each
place is looked at once more just before it is written, and is left alone where it changed. Whoever
is killed between two steps loses nothing: the next sync finds the same changes on both sides.

QuPath keeps what it has read: an image that it had open during our write, and saves later, is
without what we wrote. Each write leaves a mark in the image's data; where ours is missing, the
merge goes by the base before that write, so that what QuPath passed over is written again.

The project may be QuPath's own (`qupath_bridge.bridge`) or a folder through which QuPath and we
exchange files (`qupath_bridge.exchange`): `SyncBridge` is all that is asked of it.

Colours of classes are the project's, for QuPath keeps one a name for all its images.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from napari_histo.core import CancelToken, ObjectTable, Progress
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, TargetChangedError
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.lock import FileLock
from qupath_bridge._align import is_in
from qupath_bridge._class_file import in_project_colours
from qupath_bridge._pushes import Pushes
from qupath_bridge._sync_bridge import SyncBridge
from qupath_bridge.changes import FileFacts
from qupath_bridge.delta import Delta, recoded
from qupath_bridge.snapshot import load_base, load_undo, save_base, save_undo
from qupath_bridge.sync import Answers, Merge, Policy, merge

__all__ = ["Comparison", "Direction", "Pair", "SyncBridge", "carry_out", "compare", "undo"]

#: What is written: both places, ours alone, or the project alone.
Direction = Literal["sync", "pull", "push"]


@dataclass(frozen=True)
class Pair:
    """Where an image's objects are.

    Attributes
    ----------
    entry : ImageEntry
        The image in the project.
    file : Path
        Our GeoJSON, there or not.
    project : Path
        The ``project.qpproj``.
    """

    entry: ImageEntry
    file: Path
    project: Path

    @property
    def folder(self) -> Path:
        """Base and undo of this pair, hidden beside our file."""
        key = sha256(f"{self.project.resolve()}\n{self.entry.entry_id}".encode()).hexdigest()[:12]
        return self.file.with_name(f".{self.file.name}.sync") / key

    @property
    def base_file(self) -> Path:
        """The objects as both places had them after the last sync."""
        return self.folder / "base.parquet"

    @property
    def pushed(self) -> Pushes:
        """Our last writes to the project."""
        return Pushes(self.folder / "pushed")

    @property
    def undo_folder(self) -> Path:
        """What takes the last sync back."""
        return self.folder / "undo"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both places as they were read, and what merging them gives.

    Attributes
    ----------
    pair : Pair
    merge : Merge
        "Ours" is our file, "theirs" the project.
    ours : FileFacts or None
        Of our file when it was read.
    theirs : object
        `SyncBridge.facts` of the image when it was read.
    is_overwritten : bool
        QuPath saved a state from before a write of ours over it, or did not take all of it.
    marks : tuple of str
        Of the writes that the project's side is based on.
    """

    pair: Pair
    merge: Merge
    ours: FileFacts | None
    theirs: Any
    is_overwritten: bool = False
    marks: tuple[str, ...] = ()

    def writes_ours(self, direction: Direction) -> bool:
        """Whether our file has to be written."""
        return direction != "push" and _moves(self.merge.to_ours)

    def writes_theirs(self, direction: Direction) -> bool:
        """Whether the project has to be written."""
        return direction != "pull" and _moves(self.merge.to_theirs)


def compare(
    bridge: SyncBridge,
    pair: Pair,
    policy: Policy = "ask",
    answers: Answers | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Comparison]:
    """Read both places and merge them.

    Raises
    ------
    BridgeError
        The image is gone from the project, or its data or the base are damaged.
    ObjectsFileError
        Our file is damaged.
    """
    theirs_facts = bridge.facts(pair.entry)
    theirs = yield from bridge.reading(pair.entry, cancel)
    ours_facts = FileFacts.of(pair.file)
    ours = ObjectTable.empty() if ours_facts is None else read_geojson(pair.file)
    known = pair.pushed.marks()
    seen = (yield from bridge.marks(pair.entry, cancel)) if known else []
    base = load_base(pair.base_file)
    is_overwritten = not set(known) <= set(seen)
    if is_overwritten:
        base = pair.pushed.base_without(base, seen)
    base, ours = (in_project_colours(table, theirs.classes) for table in (base, ours))
    merged = merge(base, ours, theirs, policy, answers=answers)
    return Comparison(pair, merged, ours_facts, theirs_facts, is_overwritten, tuple(seen))


def carry_out(
    bridge: SyncBridge,
    found: Comparison,
    direction: Direction = "sync",
    cancel: CancelToken | None = None,
) -> Generator[Progress]:
    """Write what the merge decided.

    Raises
    ------
    TargetChangedError
        Another program changed a place since `compare` read it. What was not written yet is as
        it was; sync again.
    DocumentLockedError
        Our file is open for editing in napari.
    WriteError, BridgeError
        As of `QuPathBridge.pushing`, and where our file cannot be written.
    """
    pair, merged = found.pair, found.merge
    writes_ours = found.writes_ours(direction)
    with _not_open_in_napari(pair.file) if writes_ours else _nothing():
        if writes_ours or found.writes_theirs(direction):
            _keep_undo(found, direction)
        if found.is_overwritten:
            save_base(pair.base_file, merged.before[0])
            pair.pushed.forget(found.marks)  # the base knows now
        if found.writes_theirs(direction):
            yield from _push(bridge, found, cancel)
        elif found.is_overwritten and direction != "pull":
            delta = Delta(ObjectTable.empty())  # what the project did not take is decided on
            yield from bridge.pushing(pair.entry, delta.upserts, delta.deletions, cancel=cancel)
        if writes_ours:
            yield Progress(0, 0, f"Writing {pair.file.name}")
            _check_same(pair.file, found.ours)
            _write_ours(pair, merged.to_ours.apply(merged.before[1]))
    left: dict[Direction, list[Delta]] = {
        "sync": [],
        "pull": [merged.to_theirs],
        "push": [merged.to_ours],
    }
    base = _base(merged, left[direction])
    if len(base) or pair.base_file.exists():
        pair.folder.mkdir(parents=True, exist_ok=True)
        save_base(pair.base_file, base)


def undo(bridge: SyncBridge, pair: Pair, cancel: CancelToken | None = None) -> Generator[Progress]:
    """Take the last sync back in both places; what was done since to other objects stays.

    Raises
    ------
    BridgeError
        There is nothing to take back.
    TargetChangedError, DocumentLockedError, WriteError
        As of `carry_out`.
    """
    if not pair.undo_folder.exists():
        raise BridgeError(f"No sync of {pair.entry.name!r} with {pair.file} can be taken back.")
    kept = load_undo(pair.undo_folder)
    with _not_open_in_napari(pair.file):
        yield from bridge.pushing(
            pair.entry, kept.theirs.upserts, kept.theirs.deletions, cancel=cancel
        )
        if pair.file.exists():
            _write_ours(pair, kept.ours.apply(read_geojson(pair.file)))
        save_base(pair.base_file, kept.base)
    pair.pushed.forget()
    shutil.rmtree(pair.undo_folder)


# -- steps ---------------------------------------------------------------------------------------


def _push(bridge: SyncBridge, found: Comparison, cancel: CancelToken | None) -> Generator[Progress]:
    """Write the project's side, and remember it once it is written."""
    pair, delta, mark = found.pair, found.merge.to_theirs, uuid4().hex
    yield from bridge.pushing(
        pair.entry,
        delta.upserts,
        delta.deletions,
        expected=found.theirs,
        mark=mark,
        cancel=cancel,
    )
    pair.pushed.keep(mark, found.merge.before[0], delta)


def _moves(delta: Delta) -> bool:
    """Whether objects differ; classes without objects are no reason to write a place."""
    return bool(len(delta.upserts) or len(delta.deletions))


def _base(merged: Merge, left: list[Delta]) -> ObjectTable:
    """The next base; of objects that one place was not given, it keeps what it knew."""
    base = merged.base
    for delta in left:
        ids = np.concatenate([delta.upserts.object_id, delta.deletions])
        before = merged.before[0]
        kept = base.select(~is_in(base.object_id, ids))
        known = before.select(is_in(before.object_id, ids))
        base = recoded(ObjectTable.concat([kept, known]), before.classes)
    return base


def _keep_undo(found: Comparison, direction: Direction) -> None:
    """What takes the sync back, in the places that it writes."""
    written, nothing = found.merge, Delta(ObjectTable.empty())
    if not found.writes_ours(direction):
        written = replace(written, undo_ours=nothing)
    if not found.writes_theirs(direction):
        written = replace(written, undo_theirs=nothing)
    folder = found.pair.undo_folder
    work = folder.with_name("undo.part")
    shutil.rmtree(work, ignore_errors=True)
    save_undo(work, written)
    shutil.rmtree(folder, ignore_errors=True)
    work.rename(folder)


def _write_ours(pair: Pair, table: ObjectTable) -> None:
    pair.file.parent.mkdir(parents=True, exist_ok=True)
    write_geojson(pair.file, table, about={"image": pair.entry.name})


def _check_same(path: Path, before: FileFacts | None) -> None:
    if FileFacts.of(path) != before:
        raise TargetChangedError(
            f"{path} was changed by another program meanwhile, so it was not written. Sync again."
        )


@contextmanager
def _not_open_in_napari(path: Path) -> Iterator[None]:
    """Raise DocumentLockedError while the Annotate panel has the file; keep it out meanwhile."""
    journal = path.with_name(f".{path.name}.journal")
    if not journal.is_dir():
        yield
        return
    lock = FileLock(journal / "lock", str(path))
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _nothing() -> Iterator[None]:
    yield
