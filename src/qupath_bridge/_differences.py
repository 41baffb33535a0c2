# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a table differ from those that a project holds: only these are written.

What is equal is left alone, with all that QuPath keeps beside our words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, ObjectType
from napari_histo.core.bridge import WriteMode, WriteReport
from qupath_bridge._align import BASE, OURS, align
from qupath_bridge._fields import Fields
from qupath_bridge._parents import parents_of

__all__ = ["Differences", "Writing", "differences", "what_to_write"]

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
    """Compare by id and field by field, as a merge does; each id must stand once in each table."""
    aligned = align(old, new, ObjectTable.empty())
    both = np.flatnonzero(aligned.has(BASE) & aligned.has(OURS))
    same = parents_of(aligned, BASE)[both] == parents_of(aligned, OURS)[both]
    for field in Fields(aligned):
        same &= field.same(BASE, OURS, both)
    before, after = aligned.rows[BASE], aligned.rows[OURS]
    return Differences(
        added=np.sort(after[(before < 0) & (after >= 0)]),
        changed=np.sort(after[both[~same]]),
        missing=np.sort(before[(before >= 0) & (after < 0)]),
        n_unchanged=int(same.sum()),
    )


@dataclass(frozen=True, eq=False)
class Writing:
    """What brings a project to the state of a table.

    Attributes
    ----------
    upserts : ObjectTable
        Whole rows to add, then those to change.
    removed : (k, 16) uint8
        Ids.
    report : WriteReport
        Once it is carried out.
    """

    upserts: ObjectTable
    removed: NDArray[np.uint8]
    report: WriteReport


def what_to_write(current: ObjectTable, table: ObjectTable, mode: WriteMode) -> Writing:
    """What differs in `table`; by ``"replace"`` what it lacks goes, but for TMA cores."""
    change = differences(current, table)
    upserts = table.select(np.concatenate([change.added, change.changed]))
    gone = change.missing[current.object_type[change.missing] != ObjectType.TMA_CORE]
    removed = current.object_id[gone if mode == "replace" else gone[:0]]
    n_kept = len(current) - len(change.changed) - len(removed)
    report = WriteReport(len(change.added), len(change.changed), len(removed), n_kept)
    return Writing(upserts, removed, report)
