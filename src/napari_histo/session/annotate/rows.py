"""What keeps rows under edits: tables behind each other, rows by place.

One thread writes; others may read meanwhile: what they read is put in place whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Generic, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme, Contours, Details, ObjectTable
from napari_histo.core.grid_index import GridIndex, meets

__all__ = ["Chunks", "GrowingArray", "NearRows"]

Scalar = TypeVar("Scalar", bound=np.generic)

_CELL_PX = 256
#: An object over more cells is always looked at.
_MOST_CELLS = 64
#: So many rows that come at once get an index of their own.
_MANY = 1000
#: So many tables of late edits are made one.
_LATE = 32


class GrowingArray(Generic[Scalar]):
    """An array that grows at its end, amortised."""

    def __init__(self, values: NDArray[Scalar]) -> None:
        self._room = values.copy()
        self._n = len(values)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, row: int) -> Scalar:
        value: Scalar = self._room[row]
        return value

    @property
    def values(self) -> NDArray[Scalar]:
        """All values; a view."""
        return self._room[: self._n]

    def extend(self, more: NDArray[Scalar]) -> None:
        """Put more values behind the last."""
        n = self._n + len(more)
        if n > len(self._room):
            room = np.zeros((max(n, 2 * len(self._room)), *self._room.shape[1:]), self._room.dtype)
            room[: self._n] = self.values
            self._room = room
        self._room[self._n : n] = more
        self._n = n


class Chunks:
    """Tables one behind the other, addressed by one row number.

    The first stays as it is. Those of edits are put together now and then, so that there are few
    of them: about ``32 + log2(edits)``.
    """

    def __init__(self, base: ObjectTable) -> None:
        self._parts: tuple[list[ObjectTable], list[int]] = ([base], [0, len(base)])
        self._n_late = 0

    def frozen(self) -> Chunks:
        """The same rows, to which nothing is added."""
        return copy(self)

    def add(self, table: ObjectTable) -> int:
        """Put a table behind the others; its first row number."""
        tables, starts = self._parts
        first = starts[-1]
        tables = [*tables, table]
        self._n_late += 1
        if self._n_late == _LATE:
            self._n_late = 0
            tables = _folded(tables)
        self._parts = (tables, [0, *np.cumsum([len(t) for t in tables]).tolist()])
        return first

    def locate(self, row: int) -> tuple[ObjectTable, int]:
        """Table that holds a row, and its row there."""
        tables, starts = self._parts
        chunk = int(np.searchsorted(starts, row, side="right")) - 1
        return tables[chunk], row - starts[chunk]

    def take(self, rows: NDArray[np.int64], classes: ClassScheme) -> ObjectTable:
        """Rows in the given order; class positions are the same in all chunks, names may not be."""
        order, parts = self._split(rows)
        picked = [table.select(local).with_columns(classes=classes) for table, local in parts]
        if not picked:
            return self._parts[0][0].select([]).with_columns(classes=classes)
        table = picked[0] if len(picked) == 1 else ObjectTable.concat(picked)
        ascending = bool((order[1:] > order[:-1]).all())
        return table if ascending else table.select(np.argsort(order, kind="stable"))

    def contours(self, rows: NDArray[np.int64]) -> Contours:
        """Outlines of ascending rows."""
        _, parts = self._split(rows)
        picked = [table.contours.take(local) for table, local in parts]
        return picked[0] if len(picked) == 1 else Contours.concat(picked)

    @property
    def has_nuclei(self) -> bool:
        """True where some table has nuclei."""
        return any(table.nuclei is not None for table in self._parts[0])

    def nuclei(self, rows: NDArray[np.int64]) -> Contours:
        """Nuclei of ascending rows, empty where there is none."""
        _, parts = self._split(rows)
        picked = [
            Contours.empty(len(local)) if table.nuclei is None else table.nuclei.take(local)
            for table, local in parts
        ]
        return picked[0] if len(picked) == 1 else Contours.concat(picked)

    def _split(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], list[tuple[ObjectTable, NDArray[np.int64]]]]:
        """Where each row of the parts stands in `rows`; the parts by chunk."""
        tables, starts = self._parts
        chunk = np.searchsorted(starts, rows, side="right") - 1
        order = np.argsort(chunk, kind="stable")
        present, first = np.unique(chunk[order], return_index=True)
        cuts = np.split(rows[order], first[1:]) if len(present) else []
        parts = [
            (tables[c], local - starts[c]) for c, local in zip(present.tolist(), cuts, strict=True)
        ]
        return order, parts


def _folded(tables: list[ObjectTable]) -> list[ObjectTable]:
    """The late tables as one, and it with those before that are no longer than it.

    Each row moves ``log2(edits)`` times at most (the logarithmic method of Bentley and Saxe, 1980).
    """
    tables = [*tables[:-_LATE], _joined(tables[-_LATE:])]
    while len(tables) > 2 and len(tables[-2]) <= len(tables[-1]):
        tables[-2:] = [_joined(tables[-2:])]
    return tables


def _joined(tables: list[ObjectTable]) -> ObjectTable:
    """Rows behind each other; class positions stay as they are."""
    classes = max((t.classes for t in tables), key=len)
    details: dict[UUID, Details] = {}
    for table in tables:  # what an object carried before it changed must not come back
        if details:
            for object_id in table.uuids():
                details.pop(object_id, None)
        details.update(table.details)
    joined = ObjectTable.concat([t.with_columns(classes=classes) for t in tables])
    return joined.with_columns(details=details)


class NearRows:
    """Rows near a box: indices of what came at once, and cells of what came since, one by one.

    Parameters
    ----------
    bounds : (n, 4) float32
        left, top, right, bottom of the rows that were opened, px.
    """

    def __init__(self, bounds: NDArray[np.float32]) -> None:
        self._indices = [(0, GridIndex(bounds))]
        self._indexed = [(0, len(bounds))]
        self._cells: dict[tuple[int, int], list[int]] = {}
        self._large: list[int] = []

    def add(self, first: int, bounds: NDArray[np.float32]) -> None:
        """Rows that came, the first of them `first`; rows with NaN are never found."""
        if len(bounds) >= _MANY:
            self._indices = [*self._indices, (first, GridIndex(bounds))]
            self._indexed.append((first, len(bounds)))
            return
        for row, edges in enumerate(bounds, start=first):
            cells = _cells_of(edges)
            if cells is None:
                self._large = [*self._large, row]
            for cell in cells or ():
                self._cells[cell] = [*self._cells.get(cell, ()), row]

    def remove(self, rows: NDArray[np.int64], bounds: NDArray[np.float32]) -> None:
        """Rows that go, with their bounds; what is in an index stays there."""
        late = np.ones(len(rows), bool)
        for first, n in self._indexed:
            late &= (rows < first) | (rows >= first + n)
        for row, edges in zip(rows[late].tolist(), bounds[late], strict=True):
            cells = _cells_of(edges)
            if cells is None:
                self._large = [r for r in self._large if r != row]
            for cell in cells or ():
                if cell in self._cells:
                    self._cells[cell] = [r for r in self._cells[cell] if r != row]

    def query(self, box: Box, bounds: GrowingArray[np.float32]) -> NDArray[np.int64]:
        """Rows whose bounds meet `box`, ascending; some of them may be gone."""
        found = [index.query(box) + first for first, index in self._indices]
        late = np.array(list(self._candidates(box)), np.int64)
        if len(late):
            found.append(late[meets(bounds.values[late], box)])
        return found[0] if len(found) == 1 else np.sort(np.concatenate(found))

    def _candidates(self, box: Box) -> set[int]:
        if box.is_empty:
            return set()
        columns = range(box.x // _CELL_PX, (box.right - 1) // _CELL_PX + 1)
        lines = range(box.y // _CELL_PX, (box.bottom - 1) // _CELL_PX + 1)
        cells: Iterable[list[int]]
        if len(columns) * len(lines) > len(self._cells):
            cells = list(self._cells.values())
        else:
            cells = (self._cells.get((x, y), []) for y in lines for x in columns)
        return set(self._large).union(*cells)


def _cells_of(edges: NDArray[np.float32]) -> list[tuple[int, int]] | None:
    """Cells that bounds lie in; None where they are too many."""
    if not np.isfinite(edges).all():
        return []
    left, top, right, bottom = (int(e // _CELL_PX) for e in edges.tolist())
    if (right - left + 1) * (bottom - top + 1) > _MOST_CELLS:
        return None
    return [(x, y) for y in range(top, bottom + 1) for x in range(left, right + 1)]
