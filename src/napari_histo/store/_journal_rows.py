"""Rows of a table as JSON values and back, to the bit.

Numbers stand in the shortest decimal form that reads back to the same bits (null is NaN), enums and
classes by name, outlines in the flat layout of `Contours` (``xy`` is x, y, x, y, …).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.store._details import details_from_json, details_to_json
from napari_histo.store._uuids import ids_from_text, ids_to_text

__all__ = [
    "changed_columns",
    "columns_to_json",
    "fields_from_json",
    "ids_from_json",
    "ids_to_json",
    "scheme_from_json",
    "scheme_to_json",
]

_STATES = tuple(s.name.lower() for s in ObjectState)
_TYPES = tuple(t.name.lower() for t in ObjectType)


def ids_to_json(object_id: NDArray[np.uint8]) -> list[str]:
    """UUIDs as text."""
    text = ids_to_text(object_id).decode()
    return [text[i : i + 36] for i in range(0, len(text), 36)]


def ids_from_json(texts: list[str]) -> NDArray[np.uint8]:
    """(n, 16) ids; ValueError where a text is no UUID."""
    ids, valid = ids_from_text(texts)
    if not valid.all():
        raise ValueError("an id is no UUID")
    return ids


def scheme_to_json(scheme: ClassScheme) -> list[dict[str, Any]]:
    """Names and colours, in order."""
    return [{"name": c.name, "color": list(c.rgb)} for c in scheme]


def scheme_from_json(values: list[dict[str, Any]]) -> ClassScheme:
    """Back from `scheme_to_json`."""
    return ClassScheme(tuple(ClassDef(c["name"], _rgb(c["color"])) for c in values))


def _rgb(values: list[int]) -> tuple[int, int, int]:
    red, green, blue = values
    return red, green, blue


# -- writing -------------------------------------------------------------------------------------


def columns_to_json(table: ObjectTable, names: set[str] | None = None) -> dict[str, Any]:
    """The named columns of a table (all by default), for orjson with numpy."""
    return {k: write(table) for k, write in _WRITERS.items() if names is None or k in names}


def changed_columns(before: ObjectTable, after: ObjectTable) -> set[str] | None:
    """Names of the columns that differ; None where the rows are not the same objects in order."""
    if len(before) != len(after) or not np.array_equal(before.object_id, after.object_id):
        return None
    return {name for name, same in _SAME.items() if not same(before, after)}


def _contours(contours: Contours) -> dict[str, Any]:
    return {
        "xy": _numbers(contours.xy.ravel()),
        "rings": contours.ring_offsets,
        "parts": contours.part_offsets,
        "objects": contours.object_offsets,
        "kind": contours.kind,
    }


def _numbers(values: NDArray[np.floating]) -> Any:
    """An array where JSON can hold it; infinities become words."""
    if not np.isinf(values).any():
        return np.ascontiguousarray(values)
    words = np.where(np.isposinf(values), "Infinity", "-Infinity")
    return np.where(np.isinf(values), words, values.astype(object)).tolist()


def _words(positions: NDArray[np.integer], names: tuple[str, ...]) -> list[str | None]:
    listed = (*names, None)
    return [listed[i] for i in positions.tolist()]


def _details_json(table: ObjectTable) -> dict[str, Any]:
    """By id, of the rows alone: a table may carry more."""
    if not table.details:
        return {}
    found = {key: table.details[key] for key in table.uuids() if key in table.details}
    return {str(key): details_to_json(d) for key, d in found.items() if d != Details()}


_WRITERS: dict[str, Callable[[ObjectTable], Any]] = {
    "contours": lambda t: _contours(t.contours),
    "class": lambda t: _words(t.class_id, t.classes.names),
    "class_prob": lambda t: _numbers(t.class_prob),
    "det_prob": lambda t: _numbers(t.det_prob),
    "state": lambda t: [_STATES[s] for s in t.state.tolist()],
    "object_type": lambda t: [_TYPES[s] for s in t.object_type.tolist()],
    "source": lambda t: _words(t.source_id, t.sources),
    "measurements": lambda t: {k: _numbers(v) for k, v in t.measurements.items()},
    "nuclei": lambda t: None if t.nuclei is None else _contours(t.nuclei),
    "details": _details_json,
}


# -- comparing -----------------------------------------------------------------------------------


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a is b or (a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes())


def _same_contours(a: Contours | None, b: Contours | None) -> bool:
    if a is b or a is None or b is None:
        return a is b
    names = ("xy", "ring_offsets", "part_offsets", "object_offsets", "kind")
    return all(_same_bits(getattr(a, name), getattr(b, name)) for name in names)


def _same_names(
    a: NDArray[np.int32], b: NDArray[np.int32], names: tuple[tuple[str, ...], tuple[str, ...]]
) -> bool:
    return _same_bits(a, b) if names[0] == names[1] else _words(a, names[0]) == _words(b, names[1])


def _same_measurements(a: ObjectTable, b: ObjectTable) -> bool:
    same_names = list(a.measurements) == list(b.measurements)
    return same_names and all(_same_bits(v, b.measurements[k]) for k, v in a.measurements.items())


_SAME: dict[str, Callable[[ObjectTable, ObjectTable], bool]] = {
    "contours": lambda a, b: _same_contours(a.contours, b.contours),
    "class": lambda a, b: _same_names(a.class_id, b.class_id, (a.classes.names, b.classes.names)),
    "class_prob": lambda a, b: _same_bits(a.class_prob, b.class_prob),
    "det_prob": lambda a, b: _same_bits(a.det_prob, b.det_prob),
    "state": lambda a, b: _same_bits(a.state, b.state),
    "object_type": lambda a, b: _same_bits(a.object_type, b.object_type),
    "source": lambda a, b: _same_names(a.source_id, b.source_id, (a.sources, b.sources)),
    "measurements": _same_measurements,
    "nuclei": lambda a, b: _same_contours(a.nuclei, b.nuclei),
    "details": lambda a, b: a.details is b.details or _details_json(a) == _details_json(b),
}


# -- reading -------------------------------------------------------------------------------------


def fields_from_json(values: Mapping[str, Any], scheme: ClassScheme) -> dict[str, Any]:
    """Fields of `ObjectTable` for the columns that are there.

    Raises
    ------
    KeyError, ValueError, TypeError, IndexError, AttributeError
        The values are not what `columns_to_json` makes, or name a class that `scheme` lacks.
    """
    fields: dict[str, Any] = {}
    for name, value in values.items():
        if name == "class":
            fields["class_id"] = _positions(value, scheme.names, np.int32)
            fields["classes"] = scheme
        elif name == "source":
            fields["sources"] = tuple(dict.fromkeys(s for s in value if s is not None))
            fields["source_id"] = _positions(value, fields["sources"], np.int32)
        elif name in _READERS:
            fields[name] = _READERS[name](value)
    return fields


def _positions(words: list[str | None], names: tuple[str, ...], dtype: Any) -> NDArray[Any]:
    where: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    return np.array([where[w] if w is not None else -1 for w in words], dtype)


def _array(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    return np.array(values, dtype)


def _read_contours(values: Mapping[str, Any]) -> Contours:
    rings, parts, objects = (_array(values[k], np.int32) for k in ("rings", "parts", "objects"))
    xy = _array(values["xy"], np.float32).reshape(-1, 2)
    return Contours(xy, rings, parts, objects, _array(values["kind"], np.uint8))


_READERS: dict[str, Callable[[Any], Any]] = {
    "contours": _read_contours,
    "class_prob": lambda v: _array(v, np.float32),
    "det_prob": lambda v: _array(v, np.float32),
    "state": lambda v: _positions(v, _STATES, np.uint8),
    "object_type": lambda v: _positions(v, _TYPES, np.uint8),
    "measurements": lambda v: {k: _array(column, np.float64) for k, column in v.items()},
    "nuclei": lambda v: None if v is None else _read_contours(v),
    "details": lambda v: {UUID(k): details_from_json(d) for k, d in v.items()},
}
