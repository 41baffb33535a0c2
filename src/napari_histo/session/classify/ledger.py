"""Which class each object has, was given and is shown in, whatever its row number becomes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, Edit, ObjectState, ObjectTable
from napari_histo.learning.cells.examples import PLACEHOLDERS, examples_of
from napari_histo.ops.positivity import Stained
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.annotate.row_ids import RowsById
from napari_histo.session.annotate.rows import GrowingArray

__all__ = ["Ledger"]


class Ledger:
    """Columns beside `EditableObjects`, a place an object of the table that was opened.

    An edit gives an object a new row number; its place stays, and so what was measured and
    predicted of it. One thread writes; `class_ids` and `are_solid` may be called from any.

    Parameters
    ----------
    objects : EditableObjects
        Before its first edit.

    Attributes
    ----------
    class_id : (n,) int32
        Class of each object, position in `objects.classes`.
    given : (n,) int32
        Class that a person gave it; -1 for none.
    judged : (n,) bool
        Objects that are classified: no annotations, none that were refused or deleted.
    classes : ClassScheme
        Of what is shown; begins with that of the objects.
    """

    def __init__(self, objects: EditableObjects) -> None:
        table = objects.table()
        self._objects = objects
        self._ids = RowsById(table.object_id)
        self._place = GrowingArray(np.arange(len(table)))
        self.class_id = table.class_id.copy()
        self.given = examples_of(table)
        self.judged = Stained.of(table).judged
        self._unproven = _unproven(table)
        self._shown: NDArray[np.int32] | None = None
        self.classes: ClassScheme = objects.classes

    def __len__(self) -> int:
        return len(self.class_id)

    @property
    def objects_classes(self) -> ClassScheme:
        """The scheme of the objects, without what is only shown."""
        return self._objects.classes

    # -- following ---------------------------------------------------------------------------------

    def follow(self, edit: Edit) -> None:
        """Take over what an edit, just applied, did."""
        going, coming = self._places(edit.before), self._places(edit.after)
        known = going[going >= 0]
        self.given[known], self.judged[known] = -1, False
        self._place.extend(coming)
        there = coming >= 0
        places, scheme = coming[there], self._objects.classes
        after = edit.after.select(there)
        where = np.array([*(scheme.index(n) for n in after.classes.names), -1], np.int32)
        self.class_id[places] = where[after.class_id]
        self.given[places] = where[examples_of(after)]
        self.judged[places] = Stained.of(after).judged
        self._unproven[places] = _unproven(after)
        if not set(scheme.names) <= set(self.classes.names):
            self.show(None, scheme)

    def _places(self, table: ObjectTable) -> NDArray[np.int64]:
        """Place of each object; -1 for those that came later."""
        return self._ids.find_all(table.object_id)

    @property
    def n_unproven(self) -> int:
        """Objects with a class that neither a person here nor a classifier gave."""
        return int((self._unproven & self.judged).sum())

    def unproven_rows(self) -> NDArray[np.int64]:
        """Row numbers of these."""
        return self.rows_of(np.flatnonzero(self._unproven & self.judged))

    def rows_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Present row numbers of places, ascending; objects that are gone are left out."""
        rows = np.full(len(self), -1, np.int64)
        known = self._place.values >= 0
        # The last row of a place is the present one.
        rows[self._place.values[known]] = np.flatnonzero(known)
        return np.sort(rows[places])

    def places_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of row numbers; -1 for those that have none, or came while this was asked."""
        known = self._place.values
        return np.where(rows < len(known), known[np.minimum(rows, len(known) - 1)], -1)

    # -- what is shown -----------------------------------------------------------------------------

    def show(self, class_id: NDArray[np.int32] | None, classes: ClassScheme) -> None:
        """Show other classes than the objects', (n,) positions in `classes`; None for theirs."""
        self.classes, self._shown = classes, class_id

    @property
    def shown(self) -> NDArray[np.int32]:
        """(n,) the class that each object is shown in."""
        return self.class_id if self._shown is None else self._shown

    def class_ids(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Class that row numbers are shown in."""
        places = self.places_of(rows)
        own = self._objects.class_ids(rows)
        return np.where(places >= 0, self.shown[places], own).astype(np.int32)

    def are_solid(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Row numbers that are examples: they are drawn bolder."""
        places = self.places_of(rows)
        return np.asarray((places >= 0) & (self.given[places] >= 0))


def _unproven(table: ObjectTable) -> NDArray[np.bool_]:
    """Rows with a class of unknown origin: files of QuPath tell none."""
    held = np.array([*(name in PLACEHOLDERS for name in table.classes.names), True], bool)
    told = (table.state == ObjectState.PREDICTED) & np.isnan(table.class_prob)
    return np.asarray(told & ~held[table.class_id])
