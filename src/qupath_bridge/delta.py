# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be written to one side of a sync, and what takes it back."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassDef, ClassScheme, ObjectTable
from napari_histo.core.bridge import WriteReport
from qupath_bridge._align import groups_of, is_in

__all__ = ["Delta", "delta_between", "recoded"]

_NOBODY = np.zeros((0, 16), np.uint8)


@dataclass(frozen=True, eq=False)
class Delta:
    """Objects to write and to remove, by id, and the classes that there are afterwards.

    Attributes
    ----------
    upserts : ObjectTable
        Whole rows; each replaces every object of its id, or is new.
    deletions : (k, 16) uint8
        Ids that go.
    classes : ClassScheme
        All classes of that side afterwards, in its own order.
    class_changes : tuple of ClassDef
        Those of them that are new or have another colour.
    report : WriteReport
        Counts, as a bridge gives back after writing.
    """

    upserts: ObjectTable
    deletions: NDArray[np.uint8] = field(default_factory=_NOBODY.copy)
    classes: ClassScheme = field(default_factory=ClassScheme)
    class_changes: tuple[ClassDef, ...] = ()
    report: WriteReport = field(default_factory=lambda: WriteReport(0, 0, 0, 0))

    @property
    def is_empty(self) -> bool:
        """Whether that side has all of it already."""
        return not (len(self.upserts) or len(self.deletions) or self.class_changes)

    def apply(self, table: ObjectTable) -> ObjectTable:
        """A side afterwards; objects that change keep their place, new ones come last."""
        if self.is_empty and table.classes == self.classes:
            return table
        new_ids = np.concatenate([self.upserts.object_id, self.deletions])
        kept = np.flatnonzero(~is_in(table.object_id, new_ids))
        parts = [recoded(table.select(kept), self.classes), recoded(self.upserts, self.classes)]
        places = np.concatenate([kept, _places(table, self.upserts)])
        order = np.argsort(places, kind="stable")
        joined = ObjectTable.concat([ObjectTable.empty(self.classes), *parts])
        return joined if (np.diff(order) == 1).all() else joined.select(order)


def delta_between(
    before: ObjectTable, after: ObjectTable, ids: NDArray[np.uint8], classes: ClassScheme
) -> Delta:
    """What takes `before` to `after`, which differ only in `ids` and, maybe, in `classes`."""
    upserts = after.select(is_in(after.object_id, ids))
    deletions = ids[~is_in(ids, upserts.object_id)]
    known = is_in(upserts.object_id, before.object_id)
    n_changed = int(known.sum())
    n_removed = int(is_in(before.object_id, deletions).sum())
    n_touched = int(is_in(before.object_id, upserts.object_id).sum())
    report = WriteReport(
        added=len(upserts) - n_changed,
        changed=n_changed,
        removed=n_removed,
        unchanged=len(before) - n_removed - n_touched,
    )
    old = set(before.classes)
    changes = tuple(item for item in classes if item not in old)
    return Delta(recoded(upserts, classes), deletions, classes, changes, report)


def recoded(table: ObjectTable, classes: ClassScheme) -> ObjectTable:
    """The same objects with the given classes and colours, matched by name.

    Classes that objects use and `classes` lacks come last; others of the table go.
    """
    if table.classes == classes:
        return table
    used = np.unique(table.class_id[table.class_id >= 0]).tolist()
    united = classes.union(table.classes[i] for i in used)
    places = {name: i for i, name in enumerate(united.names)}
    translate = np.array([*(places.get(n, -1) for n in table.classes.names), -1], np.int32)
    return table.with_columns(classes=united, class_id=translate[table.class_id])


def _places(table: ObjectTable, upserts: ObjectTable) -> NDArray[np.int64]:
    """Row that each of `upserts` had; behind all others for new ones."""
    rows = np.flatnonzero(is_in(table.object_id, upserts.object_id))
    group, first = groups_of(np.concatenate([table.object_id[rows], upserts.object_id]))
    return np.append(rows, np.full(len(upserts), len(table)))[first[group[len(rows) :]]]
