"""Rows by id, of many objects that come at once and of few that come one by one."""

from __future__ import annotations

from uuid import UUID

import numpy as np
from numpy.typing import NDArray

__all__ = ["LatestRows", "RowsById", "as_keys"]

#: So many ids that come at once get an index of their own.
_MANY = 1000


class RowsById:
    """Row of an id among many, by binary search: a dictionary of a million UUIDs takes seconds.

    Parameters
    ----------
    object_id : (n, 16) uint8
    """

    def __init__(self, object_id: NDArray[np.uint8]) -> None:
        halves = np.ascontiguousarray(object_id).view(np.uint64).reshape(-1, 2)
        self._order = np.argsort(halves[:, 0], kind="stable")
        self._first = halves[self._order, 0]
        self._second = halves[:, 1]

    def find(self, object_id: UUID) -> int | None:
        """Row of an id; None where it is not here."""
        first, second = np.frombuffer(object_id.bytes, np.uint64)
        start = int(np.searchsorted(self._first, first))
        while start < len(self._first) and self._first[start] == first:
            row = int(self._order[start])
            if self._second[row] == second:
                return row
            start += 1
        return None

    def find_all(self, object_id: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Rows of (m, 16) ids at once; -1 for those that are not here."""
        halves = np.ascontiguousarray(object_id).view(np.uint64).reshape(-1, 2)
        found = np.full(len(halves), -1, np.int64)
        if not len(self._first):
            return found
        at = np.minimum(np.searchsorted(self._first, halves[:, 0]), len(self._first) - 1)
        row = self._order[at]
        alike = self._first[at] == halves[:, 0]
        same = alike & (self._second[row] == halves[:, 1])
        found[same] = row[same]
        for i in np.flatnonzero(alike & ~same):  # of ids that begin alike the first was looked at
            other = self.find(UUID(bytes=object_id[i].tobytes()))
            found[i] = -1 if other is None else other
        return found


class LatestRows:
    """Row of an id while objects change: each change gives a new row, and the latest counts.

    Parameters
    ----------
    object_id : (n, 16) uint8
        Of rows 0 to n - 1.
    """

    def __init__(self, object_id: NDArray[np.uint8]) -> None:
        self._indices = [(0, RowsById(object_id))]
        #: Later than all indices.
        self._late: dict[UUID, int] = {}

    def add(self, first: int, object_id: NDArray[np.uint8]) -> None:
        """Rows that came, the first of them `first`."""
        if len(object_id) < _MANY:
            for k in range(len(object_id)):
                self._late[UUID(bytes=object_id[k].tobytes())] = first + k
            return
        index = RowsById(object_id)
        self._late = {i: row for i, row in self._late.items() if index.find(i) is None}
        self._indices.append((first, index))

    def find(self, object_id: UUID) -> int | None:
        """Latest row of an id."""
        late = self._late.get(object_id)
        if late is not None:
            return late
        for first, index in reversed(self._indices):
            row = index.find(object_id)
            if row is not None:
                return first + row
        return None

    def find_all(self, object_id: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Latest rows of (m, 16) ids at once; -1 for those that are not here."""
        found = np.full(len(object_id), -1, np.int64)
        if len(object_id) < _MANY:
            rows = (self.find(UUID(bytes=i.tobytes())) for i in object_id)
            return np.array([-1 if row is None else row for row in rows], np.int64)
        for first, index in self._indices:
            rows_there = index.find_all(object_id)
            found = np.where(rows_there >= 0, first + rows_there, found)
        wanted = RowsById(object_id)
        for key, row in self._late.items():
            place = wanted.find(key)
            if place is not None:
                found[place] = row
        return found


def as_keys(object_id: NDArray[np.uint8]) -> NDArray[np.void]:
    """(n,) ids that can be compared as a whole."""
    return np.ascontiguousarray(object_id).view("V16").ravel()
