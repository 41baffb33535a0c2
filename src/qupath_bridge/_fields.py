# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object consists of, field by field, so that a merge can take each from another side.

A field that nobody filled (no name, no class, NaN, no outline) is blank, and so is every field of
an object that a side does not hold. So an object that is new on both sides needs no rule of its
own: what one side filled and the other left blank is no conflict.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, Details, ObjectTable
from qupath_bridge._align import BASE, OURS, THEIRS, Aligned, ids_array
from qupath_bridge._same_outline import same_outlines

__all__ = ["GROUPS", "Field", "Fields", "ValueField", "details_from"]

#: Kinds of fields, as reports name them; ``measurements`` and ``metadata`` hold many.
GROUPS = (
    "geometry",
    "nucleus",
    "class",
    "measurements",
    "name",
    "description",
    "colour",
    "locked",
    "metadata",
    "parent",
    "type",
    "state",
    "source",
    "probability",
    "plane",
)

Mask = NDArray[np.bool_]
Lines = NDArray[np.int64]
_SIDES = (BASE, OURS, THEIRS)
_NOT_THERE = 255  # no state and no type


class Field(Protocol):
    """One field of all objects on all sides."""

    @property
    def name(self) -> str:
        """As a person would call it: "class", "measurements: Area µm^2"."""
        ...

    @property
    def group(self) -> str:
        """One of `GROUPS`."""
        ...

    def same(self, a: int, b: int, lines: Lines) -> Mask:
        """Whether two sides agree, within rounding, on each of `lines`."""
        ...


@dataclass(frozen=True, eq=False)
class OutlineField:
    """An outline; blank where there is none."""

    name: str
    aligned: Aligned
    contours: tuple[Contours, Contours, Contours]

    @property
    def group(self) -> str:
        return self.name

    def same(self, a: int, b: int, lines: Lines) -> Mask:
        rows_a, rows_b = self.aligned.rows[a][lines], self.aligned.rows[b][lines]
        empty_a, empty_b = self._is_empty(a, rows_a), self._is_empty(b, rows_b)
        same = empty_a & empty_b
        both = np.flatnonzero(~empty_a & ~empty_b)
        same[both] = same_outlines(self.contours[a], rows_a[both], self.contours[b], rows_b[both])
        return same

    def _is_empty(self, side: int, rows: Lines) -> Mask:
        empty = np.append(np.diff(self.contours[side].object_offsets) == 0, True)
        return np.asarray(empty[rows])

    def pick(self, sides: NDArray[np.int8], lines: Lines) -> Contours:
        """Outlines of `lines`, each of its side."""
        if not sides.any():
            return self.contours[BASE].take(self.aligned.rows[BASE][lines])
        parts, order = [], []
        for side in _SIDES:
            at = np.flatnonzero(sides == side)
            rows = self.aligned.rows[side][lines[at]]
            there = rows >= 0
            parts.append(self.contours[side].take(rows[there]))
            parts.append(Contours.empty(int((~there).sum())))
            order += [at[there], at[~there]]
        back = np.argsort(np.concatenate(order), kind="stable")
        return Contours.concat(parts).take(back)


@dataclass(frozen=True, eq=False)
class ValueField:
    """A column: codes that are equal or not, or numbers that are equal within float32's rounding.

    `read` gives the values of a side, one a line; reading late keeps few columns in memory.
    """

    name: str
    group: str
    read: Callable[[int], NDArray[Any]]

    def same(self, a: int, b: int, lines: Lines) -> Mask:
        x, y = self.read(a)[lines], self.read(b)[lines]
        return same_numbers(x, y) if x.dtype.kind == "f" else np.asarray(x == y)

    def pick(self, sides: NDArray[np.int8], lines: Lines) -> NDArray[Any]:
        """Values of `lines`, each of its side."""
        out = self.read(BASE)[lines]
        for side in (OURS, THEIRS):
            at = np.flatnonzero(sides == side)
            if len(at):
                out[at] = self.read(side)[lines[at]]
        return out


def same_numbers(a: NDArray[np.floating], b: NDArray[np.floating]) -> Mask:
    """Equal within float32's rounding; NaN equals NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = a.astype(np.float32), b.astype(np.float32)
        # A step of float32 more: text that was rounded twice may end beside it.
        near = np.abs(x - y) <= 2.0**-23 * np.abs(x)
    same: Mask = near | (x == y) | (np.isnan(x) & np.isnan(y))
    return same


@dataclass(eq=False)
class _Words:
    """Values by number; 0 is blank."""

    values: list[Any] = field(default_factory=lambda: [None])
    numbers: dict[Hashable, int] = field(default_factory=dict)

    def number(self, key: Hashable, value: Any) -> int:
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = len(self.values)
            self.values.append(value)
        return found


class Fields:
    """All fields of three aligned tables but the parent, which needs the whole hierarchy."""

    def __init__(self, aligned: Aligned) -> None:
        self.aligned = aligned
        tables = aligned.tables
        self.geometry = OutlineField("geometry", aligned, _three(lambda t: t.contours, tables))
        self.nucleus = OutlineField(
            "nucleus", aligned, _three(lambda t: t.nuclei or Contours.empty(len(t)), tables)
        )
        self.has_nuclei = any(t.nuclei is not None for t in tables)
        self.class_names = _united([t.classes.names for t in tables])
        self.sources = _united([t.sources for t in tables])
        self.columns = {f.name: f for f in self._columns()}
        self.measurements = {
            name: ValueField(f"measurements: {name}", "measurements", self._measured(name))
            for name in _united([tuple(t.measurements) for t in tables])
        }
        self._words: dict[str, _Words] = {}
        self.details = {f.name: f for f in self._details()}

    def __iter__(self) -> Iterator[Field]:
        yield self.geometry
        if self.has_nuclei:
            yield self.nucleus
        for part in (self.columns, self.measurements, self.details):
            yield from part.values()

    def word(self, name: str, number: int) -> Any:
        """What a number in a column of `details` stands for."""
        return self._words[name].values[number]

    # -- columns ---------------------------------------------------------------------------------

    def _columns(self) -> Iterator[ValueField]:
        plain = {"object_type": ("type", _NOT_THERE), "state": ("state", _NOT_THERE)}
        for column, (name, blank) in plain.items():
            yield ValueField(name, name, self._column(column, blank))
        for column, name in {"det_prob": "detection", "class_prob": "class"}.items():
            reader = self._column(column, np.nan)
            yield ValueField(f"{name} probability", "probability", reader)
        names = [t.classes.names for t in self.aligned.tables]
        yield ValueField("class", "class", self._coded("class_id", names, self.class_names))
        names = [t.sources for t in self.aligned.tables]
        yield ValueField("source", "source", self._coded("source_id", names, self.sources))

    def _column(self, column: str, blank: float) -> Callable[[int], NDArray[Any]]:
        def read(side: int) -> NDArray[Any]:
            return self.aligned.read(side, getattr(self.aligned.tables[side], column), blank)

        return read

    def _coded(
        self, column: str, names: Sequence[tuple[str, ...]], united: tuple[str, ...]
    ) -> Callable[[int], NDArray[Any]]:
        places = {name: i for i, name in enumerate(united)}

        def read(side: int) -> NDArray[Any]:
            translate = np.array([*(places[n] for n in names[side]), -1], np.int32)
            codes = translate[getattr(self.aligned.tables[side], column)]
            return self.aligned.read(side, codes, -1)

        return read

    def _measured(self, name: str) -> Callable[[int], NDArray[Any]]:
        def read(side: int) -> NDArray[Any]:
            values = self.aligned.tables[side].measurements.get(name)
            if values is None:
                return np.full(len(self.aligned), np.nan)
            return self.aligned.read(side, values, np.nan)

        return read

    # -- details ---------------------------------------------------------------------------------

    def _details(self) -> Iterator[ValueField]:
        """A column of numbers for each member that any object has."""
        codes = [self._code_details(side) for side in _SIDES]
        zeros = np.zeros(len(self.aligned), np.int32)
        for name in _united([tuple(c) for c in codes]):
            columns = [c.get(name, zeros) for c in codes]
            group = name.partition(":")[0]
            yield ValueField(name, group, columns.__getitem__)

    def _code_details(self, side: int) -> dict[str, NDArray[np.int32]]:
        items = list(self.aligned.tables[side].details.items())
        lines = self.aligned.find(ids_array([key for key, _ in items]))
        here = self.aligned.rows[side][lines] >= 0
        found: dict[str, tuple[list[int], list[int]]] = {}
        for line, ok, (_, details) in zip(lines.tolist(), here.tolist(), items, strict=True):
            if line < 0 or not ok:
                continue
            for name, key, value in _members(details):
                at, numbers = found.setdefault(name, ([], []))
                at.append(line)
                numbers.append(self._words.setdefault(name, _Words()).number(key, value))
        columns = {name: np.zeros(len(self.aligned), np.int32) for name in found}
        for name, (at, numbers) in found.items():
            columns[name][at] = numbers
        return columns


def _members(details: Details) -> Iterator[tuple[str, Hashable, Any]]:
    """Name, key and value of each member that says something."""
    if details.name is not None:
        yield "name", details.name, details.name
    if details.description is not None:
        yield "description", details.description, details.description
    if details.rgb is not None:
        yield "colour", tuple(details.rgb), details.rgb
    if details.locked:
        yield "locked", True, True
    for key, value in details.metadata.items():
        yield f"metadata: {key}", value, value
    if details.geometry_extra:
        text = json.dumps(dict(details.geometry_extra), sort_keys=True, default=str)
        yield "plane", text, details.geometry_extra


def _three(get: Callable[[ObjectTable], Any], tables: Sequence[ObjectTable]) -> Any:
    return tuple(get(table) for table in tables)


def _united(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All names, ours first, so that positions that the user knows stay."""
    base, ours, theirs = names
    return tuple(dict.fromkeys([*ours, *base, *theirs]))


def details_from(members: Mapping[str, Any]) -> Details:
    """Back from the values of `_members`, by name."""
    metadata = {k.partition(": ")[2]: v for k, v in members.items() if k.startswith("metadata: ")}
    return Details(
        name=members.get("name"),
        description=members.get("description"),
        rgb=members.get("colour"),
        locked=bool(members.get("locked", False)),
        metadata=metadata,
        geometry_extra=members.get("plane", {}),
        parent_id=members.get("parent"),
    )
