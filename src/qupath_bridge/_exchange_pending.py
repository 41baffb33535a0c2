# SPDX-License-Identifier: GPL-3.0-or-later
"""What of ours waits until QuPath's user runs the import script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable
from napari_histo.store.geojson import write_geojson
from qupath_bridge._align import ids_array, is_in
from qupath_bridge._differences import differences
from qupath_bridge._exchange_files import (
    ExchangeImage,
    Exported,
    Manifest,
    check_owner,
    damaged,
    read_head,
    read_objects,
)
from qupath_bridge.delta import Delta

__all__ = ["Pending", "Waiting", "Write"]

_N_WRITES = 20
_AGAIN = "Remove it and sync again: what it held is still in your own files."
_WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_NO_IDS = np.zeros((0, 16), np.uint8)
Ids = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Write:
    """One write of ours; an id that a later one touches is in that one alone.

    Attributes
    ----------
    mark : str
    ids : (k, 16) uint8
    prints : (k,) bytes of 16
        Fingerprint of each object in the export that the write is based on; empty for a new one.
    is_refused : bool
        QuPath's user had changed something of it, and that was decided on anew since.
    """

    mark: str
    ids: Ids
    prints: NDArray[np.bytes_]
    is_refused: bool = False

    def select(self, mask: Mask) -> Write:
        """The same with some of its objects."""
        return replace(self, ids=self.ids[mask], prints=self.prints[mask])


@dataclass(frozen=True, eq=False)
class Pending:
    """All that may wait for QuPath.

    Attributes
    ----------
    upserts : ObjectTable
        Objects as they are to be; ids of a write that are not here are to be removed.
    writes : tuple of Write
        The latest last.
    """

    upserts: ObjectTable
    writes: tuple[Write, ...] = ()

    @classmethod
    def read(cls, path: Path, manifest: Manifest, image: ExchangeImage) -> Pending:
        """What `write` wrote; nothing where there is no file.

        Raises
        ------
        BridgeError
            The file is damaged, or of another image.
        """
        if not path.exists():
            return cls(ObjectTable.empty())
        head = read_head(path, _AGAIN)
        upserts = read_objects(path, _AGAIN)
        try:
            check_owner(head, manifest, image)
            return cls(upserts, tuple(_parse(item) for item in head["writes"]))
        except _WRONG as error:
            raise damaged(path, error, _AGAIN) from error

    def write(self, path: Path, manifest: Manifest, image: ExchangeImage) -> None:
        """Write the file, whole or not at all; raises WriteError."""
        about = {
            "project": manifest.created_ms,
            "image": image.entry.entry_id,
            "name": image.entry.name,
            "writes": [_described(write) for write in self.writes],
        }
        write_geojson(path, self.upserts, about=about)

    def beside(self, exported: Exported) -> Waiting:
        """What of it still waits, now that QuPath has exported this."""
        return Waiting(self, exported)


class Waiting:
    """What waits of `pending`, beside what QuPath exported last.

    What the import script carried out, or what QuPath shows as we want it, is done. What QuPath's
    user changed since the export that our write is based on is refused: the export's word counts.
    """

    def __init__(self, pending: Pending, exported: Exported) -> None:
        self._pending, self._exported = pending, exported
        self._rows = {key: row for row, key in enumerate(_keys(exported.table.object_id))}
        wanted = pending.upserts
        change = differences(exported.table, wanted)
        apart = np.concatenate([change.added, change.changed])
        self._apart = set(_keys(wanted.object_id[apart]))
        self._wanted = set(_keys(wanted.object_id))
        judged = [self._judge(write) for write in pending.writes]
        #: The writes with what waits of each.
        self.writes = tuple(w.select(waits) for w, waits, _ in judged)
        #: Marks of the writes of which something was refused.
        self.refused = {w.mark for w, _, refused in judged if refused.any() or w.is_refused}
        #: Whether something refused still stands in the file.
        self.has_refused = any(refused.any() for _, _, refused in judged)

    @property
    def delta(self) -> Delta:
        """What waits, to lay over the export."""
        ids = np.concatenate([_NO_IDS, *(w.ids for w in self.writes)])
        upserts = self._pending.upserts.select(is_in(self._pending.upserts.object_id, ids))
        gone = ids[~is_in(ids, upserts.object_id)]
        classes = self._exported.table.classes.union(upserts.classes)
        return Delta(upserts, gone, classes)

    def marks(self) -> list[str]:
        """Of all writes that the objects are based on, once they are done or still wait."""
        here = [w.mark for w in self.writes if w.mark not in self.refused]
        return list(dict.fromkeys([*reversed(here), *self._exported.marks]))

    def joined(self, mark: str, upserts: ObjectTable, removed: Ids) -> Pending:
        """With a new write, which takes the place of what waited for the same objects."""
        change = differences(self._exported.table, upserts)
        apart = upserts.object_id[np.concatenate([change.added, change.changed])]
        gone = removed[is_in(removed, self._exported.table.object_id)]
        touched = np.concatenate([upserts.object_id, removed])
        old = [
            replace(w.select(~is_in(w.ids, touched)), is_refused=w.mark in self.refused)
            for w in self.writes
        ]
        ids = np.concatenate([apart, gone])
        writes = [*old, Write(mark, ids, self._prints(ids))]
        kept = self.delta.upserts
        kept = kept.select(~is_in(kept.object_id, touched))
        table = ObjectTable.concat([kept, upserts.select(is_in(upserts.object_id, apart))])
        empty = [w for w in writes if not len(w.ids)]
        excess = {w.mark for w in empty[: max(0, len(writes) - _N_WRITES)]}
        return Pending(table, tuple(w for w in writes if w.mark not in excess))

    def _judge(self, write: Write) -> tuple[Write, Mask, Mask]:
        """The write, and for each of its objects whether it waits or was refused."""
        if write.mark in self._exported.marks:
            nothing = np.zeros(len(write.ids), bool)
            return write, nothing, nothing
        done = np.array([self._is_done(key) for key in _keys(write.ids)], bool)
        same = self._prints(write.ids) == write.prints
        return write, ~done & same, ~done & ~same

    def _is_done(self, key: bytes) -> bool:
        return key not in self._apart if key in self._wanted else key not in self._rows

    def _prints(self, ids: Ids) -> NDArray[np.bytes_]:
        rows = np.array([self._rows.get(key, -1) for key in _keys(ids)], np.int64)
        return np.append(self._exported.prints, b"")[rows]


def _keys(ids: Ids) -> Iterator[bytes]:
    raw = np.ascontiguousarray(ids).tobytes()
    return (raw[i : i + 16] for i in range(0, len(raw), 16))


def _described(write: Write) -> dict[str, Any]:
    return {
        "mark": write.mark,
        "refused": write.is_refused,
        "ids": [str(UUID(bytes=key)) for key in _keys(write.ids)],
        "prints": [text.decode("ascii") or None for text in write.prints.tolist()],
    }


def _parse(words: dict[str, Any]) -> Write:
    ids = ids_array(UUID(text) for text in words["ids"])
    prints: Sequence[str | None] = words["prints"]
    if len(prints) != len(ids):
        raise ValueError(f"{len(prints)} fingerprints for {len(ids)} ids")
    texts = np.array([(text or "").encode("ascii") for text in prints], "S16")
    return Write(str(words["mark"]), ids, texts, bool(words["refused"]))
