"""Edits done anew on the objects that they began with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, Edit, ObjectTable
from napari_histo.store._journal_rows import (
    changed_columns,
    columns_to_json,
    fields_from_json,
    ids_from_json,
    ids_to_json,
    scheme_from_json,
    scheme_to_json,
)

__all__ = ["Replay", "edit_record", "encode_rows"]


def edit_record(
    edit: Edit, told: set[str], rows: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An edit as JSON values.

    Rows that change in place give the columns that differ; else the ids that go and whole rows
    that come. What the edit replaced is known to whoever has done the edits before.

    Parameters
    ----------
    edit : Edit
    told : set of str
        Names of classes that earlier records define; brought up to date here.
    rows : mapping, optional
        What `encode_rows` made of it.
    """
    record: dict[str, Any] = {"name": edit.name}
    if edit.schemes is not None:
        record["schemes"] = [scheme_to_json(scheme) for scheme in edit.schemes]
        told.clear()
        told.update(edit.schemes[1].names)
    fresh = [c for c in edit.after.classes if c.name not in told]
    if fresh:
        record["classes"] = scheme_to_json(ClassScheme(tuple(fresh)))
        told.update(c.name for c in fresh)
    record.update(_rows_record(edit) if rows is None else rows)
    return record


def encode_rows(edit: Edit) -> dict[str, Any]:
    """The part of a record that takes long for many objects, as the bytes that it will be.

    It knows nothing of what was done before; any thread may make it. Column by column, for other
    threads stand still meanwhile.
    """
    record = _rows_record(edit)
    columns = record["columns"]
    if "measurements" in columns:
        columns["measurements"] = _encoded(columns["measurements"])
    record["columns"] = _encoded(columns)
    return _encoded(record)


def _encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    option = orjson.OPT_SERIALIZE_NUMPY
    return {k: orjson.Fragment(orjson.dumps(v, option=option)) for k, v in values.items()}


def _rows_record(edit: Edit) -> dict[str, Any]:
    """Objects that go and come, or the columns of them that differ."""
    record: dict[str, Any] = {}
    changed = changed_columns(edit.before, edit.after)
    if changed is None:
        record["removed"] = ids_to_json(edit.before.object_id)
    record["ids"] = ids_to_json(edit.after.object_id)
    record["columns"] = columns_to_json(edit.after, changed)
    return record


class Replay:
    """Objects as they become while records are done one by one.

    Rows stay in the tables that brought them; the last word on each id is looked up. Rows that come
    or change are last in the order, on top of the others, as they are on the screen.
    """

    def __init__(self, base: ObjectTable) -> None:
        self._tables = [base]
        self._scheme = base.classes
        self._where: dict[bytes, tuple[int, int]] | None = None

    def apply(self, record: Mapping[str, Any]) -> int:
        """Do one record of `edit_record`; on an error nothing is changed.

        Returns
        -------
        int
            How many objects that it replaces were not there; what comes in their place is.

        Raises
        ------
        KeyError, ValueError, TypeError, IndexError, AttributeError
            The record is none, or changes a part of objects that are not there.
        """
        scheme, moved = self._next_scheme(record)
        ids = ids_from_json(record["ids"])
        keys = _keys(ids)
        where = self._index()
        removed = record.get("removed")
        gone = None if removed is None else _keys(ids_from_json(removed))
        missing = sum(key not in where for key in (keys if gone is None else gone))
        if missing and gone is None:
            raise KeyError(f"{missing} objects are not there")
        fields = fields_from_json(record["columns"], scheme)
        if gone is None:
            table = self._rows(keys).with_columns(**fields)
        else:
            table = ObjectTable(object_id=ids, **fields)
        # From here on nothing fails.
        if moved is not None:
            self._tables = [_move_classes(t, moved) for t in self._tables]
        self._scheme = scheme
        self._place(table, keys, gone)
        return missing

    def _place(self, table: ObjectTable, keys: list[bytes], gone: list[bytes] | None) -> None:
        where = self._index()
        for key in (*(gone or ()), *keys):
            where.pop(key, None)
        if len(table):
            here = len(self._tables)
            where.update((key, (here, row)) for row, key in enumerate(keys))
            self._tables.append(table)

    def table(self) -> ObjectTable:
        """All objects as they stand."""
        if self._where is None:
            return self._tables[0].with_columns(classes=self._scheme)
        return self._rows(list(self._where))

    def _index(self) -> dict[bytes, tuple[int, int]]:
        if self._where is None:
            keys = _keys(self._tables[0].object_id)
            self._where = {key: (0, row) for row, key in enumerate(keys)}
        return self._where

    def _rows(self, keys: Iterable[bytes]) -> ObjectTable:
        """Rows of ids, in their order, with the scheme of now."""
        found = np.array([self._index()[key] for key in keys], np.int64).reshape(-1, 2)
        if not len(found):
            return self._tables[0].select([]).with_columns(classes=self._scheme)
        by_table = np.argsort(found[:, 0], kind="stable")
        numbers, starts = np.unique(found[by_table, 0], return_index=True)
        groups = np.split(found[by_table, 1], starts[1:])
        parts = [
            self._tables[number].select(rows).with_columns(classes=self._scheme)
            for number, rows in zip(numbers.tolist(), groups, strict=True)
        ]
        joined = parts[0] if len(parts) == 1 else ObjectTable.concat(parts)
        order = np.empty(len(found), np.int64)
        order[by_table] = np.arange(len(found))
        in_order = (np.diff(found[:, 0]) >= 0).all()
        return joined if in_order else joined.select(order)

    # -- classes ---------------------------------------------------------------------------------

    def _next_scheme(
        self, record: Mapping[str, Any]
    ) -> tuple[ClassScheme, NDArray[np.int32] | None]:
        """The scheme after a record, and new positions where the old ones do not hold."""
        scheme, moved = self._scheme, None
        if "schemes" in record:
            before, after = map(scheme_from_json, record["schemes"])
            unknown = [c for c in scheme if c.name not in before.names]
            new = after.union(unknown)
            positions = [_position(name, before, new) for name in scheme.names]
            if positions != list(range(len(positions))):
                moved = np.array([*positions, -1], np.int32)
            scheme = new
        return scheme.union(scheme_from_json(record.get("classes", []))), moved


def _position(name: str, before: ClassScheme, new: ClassScheme) -> int:
    """Where a class goes when `before` becomes `new`: its own place, whatever its name is then."""
    if name not in before.names:
        return new.index(name)
    place = before.index(name)
    return place if place < len(new) else -1


def _move_classes(table: ObjectTable, moved: NDArray[np.int32]) -> ObjectTable:
    # -1 picks the last entry, which is -1. The names are put right when rows are fetched.
    width = ClassScheme.of(*(f"class {i}" for i in range(int(moved.max(initial=-1)) + 1)))
    return table.with_columns(class_id=moved[table.class_id], classes=width)


def _keys(ids: NDArray[np.uint8]) -> list[bytes]:
    raw = ids.tobytes()
    return [raw[i : i + 16] for i in range(0, len(raw), 16)]
