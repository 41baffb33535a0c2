# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a table differ from those that a project holds: only these are written.

What is equal is left alone, with all that QuPath keeps beside our words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable
from qupath_bridge._align import BASE, OURS, align
from qupath_bridge._fields import Fields
from qupath_bridge._parents import parents_of

__all__ = ["Differences", "differences"]

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
