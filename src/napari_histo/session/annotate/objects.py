"""The objects that a person works on: a million of them, changed one gesture at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histo.core import Box, ClassScheme, Contours, Edit, ObjectTable, ObjectType
from napari_histo.core.round_regions import REGION_CLASSES, region_rows
from napari_histo.errors import EditError
from napari_histo.session.annotate.row_ids import LatestRows, as_keys
from napari_histo.session.annotate.rows import Chunks, GrowingArray, NearRows
from napari_histo.store.labels import draw

__all__ = ["EditableObjects"]


class EditableObjects:
    """Objects under edits. Only for one thread; `draw` may be called from any.

    The table that was opened is never changed: rows that go are struck out, rows that come are
    kept in chunks behind it. A row's number is never given to another, so whatever shows numbers
    (a label image) stays true.

    Parameters
    ----------
    table : ObjectTable, optional

    Attributes
    ----------
    changed : psygnal.Signal
        Emits each `Edit` after it was applied.
    version : int
        Counts edits.
    has_cells : bool
        True once a cell of QuPath's kind was among them.
    """

    changed = Signal(Edit)

    def __init__(self, table: ObjectTable | None = None) -> None:
        base = ObjectTable.empty() if table is None else table
        self.version = 0
        self._classes = base.classes
        self._chunks = Chunks(base)
        self._row_of = LatestRows(base.object_id)
        self._class_of = GrowingArray(base.class_id)
        self._alive = GrowingArray(np.ones(len(base), bool))
        self._bounds = GrowingArray(base.contours.bounds)
        self._near = NearRows(base.contours.bounds)
        self.has_cells = _any_cell(base)
        self._n = len(base)
        self._counts = np.bincount(base.class_id + 1, minlength=len(base.classes) + 1)
        self._table: tuple[int, ObjectTable] = (0, base)

    # -- looking ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._n

    @property
    def classes(self) -> ClassScheme:
        """All classes, those without objects too."""
        return self._classes

    @property
    def n_rows(self) -> int:
        """One more than the highest row number that was ever given."""
        return len(self._alive)

    def counts_by_class(self) -> dict[str | None, int]:
        """Number of objects by class name, in the scheme's order; None counts unclassified ones."""
        names: list[str | None] = [*self._classes.names, None]
        return dict(zip(names, [*self._counts[1:].tolist(), int(self._counts[0])], strict=True))

    def __contains__(self, object_id: UUID) -> bool:
        return self.row_of(object_id) is not None

    def row_of(self, object_id: UUID) -> int | None:
        """Row number of a living object."""
        row = self._row_of.find(object_id)
        return row if row is not None and self._alive[row] else None

    def uuid(self, row: int) -> UUID | None:
        """Id of a row; None where it is struck out or was never given."""
        if not 0 <= row < len(self._alive) or not self._alive[row]:
            return None
        table, local = self._chunks.locate(row)
        return table.uuid(local)

    def get(self, ids: Iterable[UUID]) -> ObjectTable:
        """Whole rows of living objects, in the order of `ids`; others are left out."""
        rows = [row for i in ids if (row := self.row_of(i)) is not None]
        return self.rows(np.array(rows, np.int64))

    def rows(self, rows: NDArray[np.int64]) -> ObjectTable:
        """Whole rows by number, in their order."""
        return self._chunks.take(rows, self._classes)

    def rows_in(self, box: Box) -> NDArray[np.int64]:
        """Numbers of living rows whose bounds meet a box, full-resolution px, ascending."""
        rows = self._near.query(box, self._bounds)
        alive: NDArray[np.bool_] = self._alive.values[rows]
        return np.asarray(rows[alive], np.int64)

    def rows_at_hand(self, box: Box) -> NDArray[np.int64]:
        """As `rows_in`, without the frames of regions: what lies in them is worked on, not they."""
        rows = self.rows_in(box)
        return np.asarray(rows[~self.are_frames(rows)], np.int64)

    def are_frames(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which row numbers are frames: locked regions of a round; any thread."""
        names = {name.casefold() for name in REGION_CLASSES.names}
        ids = [i for i, name in enumerate(self._classes.names) if name.casefold() in names]
        found: NDArray[np.bool_] = np.isin(self._class_of.values[rows], ids)
        if found.any():  # seldom, so that whole rows are looked at for these alone
            at = np.flatnonzero(found)
            found[np.delete(at, _frames(self.rows(rows[at])))] = False
        return found

    def ids_in(self, box: Box) -> list[UUID]:
        """Ids of the objects whose bounds meet a box, the top-most last; no frames of regions."""
        return self.rows(self.rows_at_hand(box)).uuids()

    def contours_in(self, box: Box) -> Contours:
        """Outlines that meet a box."""
        return self.contours_of(self.rows_in(box))

    def contours_of(self, rows: NDArray[np.int64]) -> Contours:
        """Outlines of ascending row numbers; any thread."""
        return self._chunks.contours(rows)

    @property
    def has_nuclei(self) -> bool:
        """True where some object may have a second outline."""
        return self._chunks.has_nuclei

    def nuclei_of(self, rows: NDArray[np.int64]) -> Contours:
        """Nuclei of ascending row numbers, empty where there is none; any thread."""
        return self._chunks.nuclei(rows)

    def at(self, x: float, y: float) -> UUID | None:
        """The top-most object whose area holds a point, px; a hole is no area.

        Frames of regions are passed by: a click in them is meant for what they hold.
        """
        import shapely

        rows = self.rows_at_hand(Box(int(np.floor(x)), int(np.floor(y)), 1, 1))
        shapes = self._chunks.contours(rows).to_shapely()
        for row, shape in zip(rows[::-1], shapes[::-1], strict=True):
            if shapely.intersects_xy(shape, x, y):
                return self.uuid(int(row))
        return None

    def table(self) -> ObjectTable:
        """All living objects; the same table until the next edit."""
        version, table = self._table
        if version != self.version:
            alive = np.flatnonzero(self._alive.values)
            table = self._chunks.take(alive, self._classes)
            self._table = (self.version, table)
        return table

    def later_table(self) -> Callable[[], ObjectTable]:
        """What gives `table` as it stands now, at any time and in any thread; at once."""
        alive, classes = np.flatnonzero(self._alive.values), self._classes
        return partial(self._chunks.frozen().take, alive, classes)

    def later_rows(self, rows: NDArray[np.int64]) -> Callable[[], ObjectTable]:
        """As `later_table`, of what `rows` gives."""
        return partial(self._chunks.frozen().take, rows, self._classes)

    def class_ids(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Class of each row number, -1 unclassified."""
        return self._class_of.values[rows]

    def bounds(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """left, top, right, bottom of each row number, px."""
        return self._bounds.values[rows]

    def draw(
        self,
        box: Box,
        downsample: float = 1,
        values: Callable[[NDArray[np.int64]], NDArray[np.integer]] | None = None,
    ) -> NDArray[np.uint32]:
        """Label image of a box: the row number plus 1, or what `values` makes of row numbers.

        Any thread may call; where objects overlap the one that came last wins.
        """
        rows = self.rows_in(box)
        drawn = rows + 1 if values is None else values(rows)
        return draw(self._chunks.contours(rows), np.asarray(drawn), box, downsample)

    # -- changing --------------------------------------------------------------------------------

    def apply(self, edit: Edit, going: NDArray[np.int64] | None = None) -> None:
        """Replace rows by rows, whole or not at all.

        Parameters
        ----------
        edit : Edit
        going : (n,) int64, optional
            What `check` said of it just now.

        Raises
        ------
        EditError
            An object to replace is not here, or a new one is already.
        """
        if going is None:
            going = self.check(edit)
        self._strike_out(going)  # first, for they may be of classes that go too
        if edit.schemes is not None:
            self._set_classes(edit.schemes[1])
        self._add(edit.after)
        self.version += 1
        self.changed.emit(edit)

    def check(self, edit: Edit) -> NDArray[np.int64]:
        """Rows that an edit would strike out; raises as `apply` does."""
        going = self._living(edit.before)
        if (going < 0).any():
            missing = edit.before.uuid(int(np.flatnonzero(going < 0)[0]))
            raise EditError(f"{edit.name}: the object {missing} is not here (any more).")
        if len(np.unique(going)) != len(going):
            raise EditError(f"{edit.name}: an object is named twice in one edit.")
        if edit.after.object_id is not edit.before.object_id:  # else the same objects come back
            self._check_coming(edit, going)
        self._check_classes(edit, going)
        return going

    def _check_coming(self, edit: Edit, going: NDArray[np.int64]) -> None:
        """Each object once, and none that stays."""
        if len(np.unique(as_keys(edit.after.object_id))) != len(edit.after):
            raise EditError(f"{edit.name}: an object is named twice in one edit.")
        there = self._living(edit.after)
        doubles = np.flatnonzero((there >= 0) & ~np.isin(there, going))
        if len(doubles):
            double = edit.after.uuid(int(doubles[0]))
            raise EditError(f"{edit.name}: there is already an object {double}.")

    def _living(self, table: ObjectTable) -> NDArray[np.int64]:
        """Row number of each object; -1 for those that are not here."""
        rows = self._row_of.find_all(table.object_id)
        known = rows >= 0
        rows[known] = np.where(self._alive.values[rows[known]], rows[known], -1)
        return rows

    def _check_classes(self, edit: Edit, going: NDArray[np.int64]) -> None:
        """A class can be taken back only when no object is left in it."""
        n = len(self._classes if edit.schemes is None else edit.schemes[1])
        left = self._counts[n + 1 :].sum() - (self._class_of.values[going] >= n).sum()
        if left:
            raise EditError(
                f"{edit.name}: {left} objects are still in classes that it would take away "
                f"({', '.join(self._classes.names[n:])}). Give them another class first."
            )

    def _set_classes(self, classes: ClassScheme) -> None:
        """Positions are kept."""
        self._classes = classes
        counts = np.zeros(len(classes) + 1, np.int64)
        n = min(len(counts), len(self._counts))
        counts[:n] = self._counts[:n]
        self._counts = counts

    def _strike_out(self, rows: NDArray[np.int64]) -> None:
        self._alive.values[rows] = False
        self._counts -= np.bincount(self._class_of.values[rows] + 1, minlength=len(self._counts))
        self._near.remove(rows, self._bounds.values[rows])
        self._n -= len(rows)

    def _add(self, table: ObjectTable) -> None:
        if not len(table):
            return
        classes = self._classes.union(table.classes)
        if len(classes) != len(self._classes):
            self._set_classes(classes)
        place = np.array([*(classes.index(n) for n in table.classes.names), -1], np.int32)
        table = table.with_columns(class_id=place[table.class_id], classes=classes)
        first = self._chunks.add(table)
        self.has_cells |= _any_cell(table)
        self._class_of.extend(table.class_id)
        self._alive.extend(np.ones(len(table), bool))
        self._bounds.extend(table.contours.bounds)
        self._near.add(first, table.contours.bounds)
        self._row_of.add(first, table.object_id)
        self._counts += np.bincount(table.class_id + 1, minlength=len(self._counts))
        self._n += len(table)


def _any_cell(table: ObjectTable) -> bool:
    return bool((table.object_type == ObjectType.CELL).any())


def _frames(table: ObjectTable) -> list[int]:
    """Rows that are locked regions of a round."""
    return [row for row in region_rows(table).tolist() if table.details_of(row).locked]
