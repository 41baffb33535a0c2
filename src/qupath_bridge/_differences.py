# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a table differ from those that a project holds: only these are written.

What is equal is left alone, with all that QuPath keeps beside our words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, Details, ObjectTable
from qupath_bridge._align import is_in
from qupath_bridge._same_outline import same_outlines

__all__ = ["Differences", "differences"]

_NO_DETAILS = Details()
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Differences:
    """Rows by what a write does with them.

    Attributes
    ----------
    added, changed : (k,) int64
        Rows of the new table.
    missing : (k,) int64
        Rows of the old table whose ids the new one lacks.
    n_unchanged : int
        Rows that both hold alike.
    """

    added: Rows
    changed: Rows
    missing: Rows
    n_unchanged: int


def differences(old: ObjectTable, new: ObjectTable) -> Differences:
    """Compare by id; each id must stand once in each table."""
    places = {key: row for row, key in enumerate(_keys(old))}
    before = np.array([places.get(key, -1) for key in _keys(new)], np.int64)
    known = np.flatnonzero(before >= 0)
    same = _same(old, before[known], new, known)
    return Differences(
        added=np.flatnonzero(before < 0),
        changed=known[~same],
        missing=np.flatnonzero(~is_in(old.object_id, new.object_id)),
        n_unchanged=int(same.sum()),
    )


def _keys(table: ObjectTable) -> list[bytes]:
    raw = table.object_id.tobytes()
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]


def _same(old: ObjectTable, a: Rows, new: ObjectTable, b: Rows) -> NDArray[np.bool_]:
    """(k,) whether row `a` of `old` and row `b` of `new` say the same."""
    same = np.ones(len(a), bool)
    for name in ("object_type", "state"):
        same &= getattr(old, name)[a] == getattr(new, name)[b]
    for name in ("det_prob", "class_prob"):
        same &= _equal(getattr(old, name)[a], getattr(new, name)[b])
    same &= _same_words(old.classes.names, old.class_id[a], new.classes.names, new.class_id[b])
    same &= _same_words(old.sources, old.source_id[a], new.sources, new.source_id[b])
    for name in old.measurements.keys() | new.measurements.keys():
        # QuPath rounds measurements to single precision, those in its lists of doubles too.
        x, y = _column(old, name)[a], _column(new, name)[b]
        same &= _equal(x.astype(np.float32), y.astype(np.float32))
    same &= same_outlines(old.contours, a, new.contours, b)
    empty = Contours.empty
    if old.nuclei is not None or new.nuclei is not None:
        nuclei = old.nuclei or empty(len(old)), new.nuclei or empty(len(new))
        same &= same_outlines(nuclei[0], a, nuclei[1], b)
    if old.details or new.details:
        same &= _same_details(old, a, new, b)
    return same


def _equal(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (x == y) | (np.isnan(x) & np.isnan(y))
    return same


def _column(table: ObjectTable, name: str) -> NDArray[np.float64]:
    found = table.measurements.get(name)
    return np.full(len(table), np.nan) if found is None else found


def _same_words(
    words_a: tuple[str, ...], a: NDArray[np.int32], words_b: tuple[str, ...], b: NDArray[np.int32]
) -> NDArray[np.bool_]:
    places = {word: i for i, word in enumerate(words_a)}
    translate = np.array([*(places.get(word, -2) for word in words_b), -1], np.int32)
    same: NDArray[np.bool_] = a == translate[b]
    return same


def _same_details(old: ObjectTable, a: Rows, new: ObjectTable, b: Rows) -> NDArray[np.bool_]:
    same = np.ones(len(a), bool)
    ids = old.object_id[a]
    keys = {key.bytes: key for key in old.details.keys() | new.details.keys()}
    for i, raw in enumerate(map(bytes, ids)):
        key = keys.get(raw)
        if key is not None:
            same[i] = old.details.get(key, _NO_DETAILS) == new.details.get(key, _NO_DETAILS)
    return same
