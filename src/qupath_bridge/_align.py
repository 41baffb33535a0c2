# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays three versions of a table side by side, matched by object id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable

__all__ = ["BASE", "OURS", "THEIRS", "Aligned", "align", "groups_of", "ids_array", "is_in"]

BASE: Final = 0  #: as of the last sync
OURS: Final = 1
THEIRS: Final = 2

Ids = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Every object that any of three tables knows has one line here.

    Attributes
    ----------
    tables : (ObjectTable, ObjectTable, ObjectTable)
        `BASE`, `OURS` and `THEIRS`.
    ids : (n, 16) uint8
        Objects of the base in its order, then new ones by id; last, parents that no table holds.
    rows : (3, n) int64
        Row of each object in each table; -1 where it is not there.
    """

    tables: tuple[ObjectTable, ObjectTable, ObjectTable]
    ids: Ids
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, side: int) -> NDArray[np.bool_]:
        """(n,) whether a side holds the object."""
        here: NDArray[np.bool_] = self.rows[side] >= 0
        return here

    def read(
        self, side: int, values: NDArray[Any], blank: Any, lines: NDArray[np.int64] | None = None
    ) -> NDArray[Any]:
        """A column of one side, line by line; `blank` where the object is not there."""
        rows = self.rows[side] if lines is None else self.rows[side][lines]
        column: NDArray[Any] = np.append(values, np.array([blank], values.dtype))[rows]
        return column

    def uuid(self, line: int) -> UUID:
        """Id of a line."""
        return UUID(bytes=self.ids[line].tobytes())

    def find(self, ids: Ids) -> NDArray[np.int64]:
        """Lines of ids; -1 for those that are not here."""
        known, order = self._sorted
        keys = _words(ids)
        at = np.searchsorted(known, keys[:, 0])
        found = np.full(len(ids), -1, np.int64)
        # Two ids rarely share their first half, so this goes round once or twice.
        open_ = np.flatnonzero(at < len(known))
        while len(open_):
            lines = order[at[open_]]
            open_, lines = _filter(known[at[open_]] == keys[open_, 0], open_, lines)
            hit = self._low[lines] == keys[open_, 1]
            found[open_[hit]] = lines[hit]
            open_ = open_[~hit]
            at[open_] += 1
            open_ = open_[at[open_] < len(known)]
        return found

    @cached_property
    def _low(self) -> NDArray[np.uint64]:
        return _words(self.ids)[:, 1].copy()

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        high = _words(self.ids)[:, 0]
        order = np.argsort(high, kind="stable")
        return high[order], order


def align(base: ObjectTable, ours: ObjectTable, theirs: ObjectTable) -> Aligned:
    """Match three tables by id; each id must stand once in each table."""
    tables = (base, ours, theirs)
    chunks = [t.object_id for t in tables] + [_parents(tables)]
    everything = np.concatenate(chunks)
    group, first = groups_of(everything)
    starts = np.cumsum([0] + [len(c) for c in chunks])
    rows = np.full((3, len(first)), -1, np.int64)
    for side in (BASE, OURS, THEIRS):
        rows[side][group[starts[side] : starts[side + 1]]] = np.arange(len(chunks[side]))
    new = len(base) + np.arange(len(first)) + np.where((rows < 0).all(axis=0), len(first), 0)
    order = np.argsort(np.where(rows[BASE] >= 0, rows[BASE], new), kind="stable")
    return Aligned(tables, everything[first][order], rows[:, order])


def groups_of(ids: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number equal ids alike: (n,) a group for each id, and where each group stands first.

    Groups are numbered in the order of their ids.
    """
    keys = _words(ids)
    order = np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    if ((ordered[1:, 0] == ordered[:-1, 0]) & ~same).any():  # two ids share their first half
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        same = (ordered[1:] == ordered[:-1]).all(axis=1)
    is_first = np.concatenate([np.ones(min(len(ids), 1), bool), ~same])
    group = np.empty(len(ids), np.int64)
    group[order] = np.cumsum(is_first) - 1
    return group, order[is_first]


def is_in(ids: Ids, others: Ids) -> NDArray[np.bool_]:
    """(n,) whether each id is among `others`."""
    if not len(others):
        return np.zeros(len(ids), bool)
    # Few of many is the usual case: most ids are told by their first half, without a sort.
    known, high = np.sort(_words(others)[:, 0]), _words(ids)[:, 0]
    found: NDArray[np.bool_] = (
        known[np.minimum(np.searchsorted(known, high), len(known) - 1)] == high
    )
    rows = np.flatnonzero(found)
    group, first = groups_of(np.concatenate([ids[rows], others]))
    among = np.zeros(len(first), bool)
    among[group[len(rows) :]] = True
    found[rows] = among[group[: len(rows)]]
    return found


def ids_array(ids: Iterable[UUID]) -> Ids:
    """UUIDs as (n, 16) uint8."""
    return np.frombuffer(b"".join(i.bytes for i in ids), np.uint8).reshape(-1, 16)


def _words(ids: Ids) -> NDArray[np.uint64]:
    """(n, 2): each id as two numbers that sort as its bytes do."""
    return np.ascontiguousarray(ids).view(">u8").astype(np.uint64)


def _parents(tables: Sequence[ObjectTable]) -> Ids:
    parents = {d.parent_id for t in tables for d in t.details.values()}
    return ids_array(sorted(p for p in parents if p is not None))


def _filter(mask: NDArray[np.bool_], *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[mask] for array in arrays]
