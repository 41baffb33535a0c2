# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as a folder of flat arrays, which the JVM reads and writes in bulk.

Each array is a file of little-endian numbers, ``NAME.bin``; what is text stands in ``header.json``.
Python writes and reads them with one call an array; ``scripts/bulk/*.groovy`` is the other end.

==================  ======  =========  ============================================================
file                dtype   shape      meaning
==================  ======  =========  ============================================================
xy                  f4      (v, 2)     vertices; offsets and ``kind`` as of :class:`Contours`
object_id           i8      (n, 2)     high and low half of the UUID
parent_id           i8      (n, 2)     as ``object_id``; two zeros for none; may be left out
object_type         u1      (n,)       :class:`ObjectType`
form                u1      (n,)       0 as drawn, 1 rectangle, 2 ellipse in the outline's bounds
class_id            i4      (n,)       position in the header's ``classes``; -1 for none
state_word          i4      (n,)       position in ``states``; -1 for the default of the type
source_id           i4      (n,)       position in ``sources``; -1 for none
plane               i4      (n, 3)     channel, z, t; left out where all are the default
values              f8      (n, m)     to the JVM: the header's ``measurements``, NaN for none;
                                       from the JVM: one row after the other, without gaps
schema              i4      (n,)       from the JVM: position in ``schemas``, the names of a row
nucleus_*                              second outlines of cells
==================  ======  =========  ============================================================

``details`` in the header lists what few objects carry, with their ``row``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
    pack_argb,
    unpack_rgb,
)

__all__ = ["describe_classes", "pack", "unpack"]

DET_PROB, CLASS_PROB = "Detection probability", "Class probability"
_DEFAULT_PLANE = (-1, 0, 0)
_DEFAULT_STATES = np.array(
    [
        ObjectState.DRAWN if kind == ObjectType.ANNOTATION else ObjectState.PREDICTED
        for kind in ObjectType
    ],
    np.uint8,
)
_BOXED = (ObjectType.ANNOTATION, ObjectType.TILE)
_OUTLINE_FILES = {
    "xy": "<f4",
    "ring_offsets": "<i4",
    "part_offsets": "<i4",
    "object_offsets": "<i4",
    "kind": "u1",
}


def describe_classes(classes: ClassScheme) -> list[dict[str, Any]]:
    """Names and packed colours, as the JVM takes them."""
    return [{"name": c.name, "argb": pack_argb(c.rgb)} for c in classes]


# -- to the JVM ----------------------------------------------------------------------------------


def pack(table: ObjectTable, folder: Path) -> None:
    """Write `table` to an empty `folder` for the JVM."""
    details = _details_by_row(table)
    _pack_outlines(folder, "", table.contours)
    if table.nuclei is not None:
        _pack_outlines(folder, "nucleus_", table.nuclei)
    measured = _measured(table)
    default = table.state == _DEFAULT_STATES[table.object_type]
    arrays: dict[str, tuple[NDArray[Any], str]] = {
        "object_id": (table.object_id.reshape(-1).view(">i8"), "<i8"),
        "object_type": (table.object_type, "u1"),
        "form": (_forms(table, details), "u1"),
        "class_id": (table.class_id, "<i4"),
        "state_word": (np.where(default, -1, table.state.astype(np.int32)), "<i4"),
        "source_id": (table.source_id, "<i4"),
        "values": (np.stack([*measured.values()], 1) if measured else np.zeros(0), "<f8"),
    }
    if any("plane" in d.geometry_extra for d in details.values()):
        arrays["plane"] = (_planes(len(table), details), "<i4")
    if any(d.parent_id for d in details.values()):
        arrays["parent_id"] = (_parents(len(table), details), "<i8")
    for name, (values, dtype) in arrays.items():
        _save(folder, name, values, dtype)
    header = {
        "n": len(table),
        "classes": describe_classes(table.classes),
        "states": [state.name.lower() for state in ObjectState],
        "sources": list(table.sources),
        "measurements": list(measured),
        "details": [shown for row, d in details.items() if (shown := _describe(row, d))],
    }
    (folder / "header.json").write_text(json.dumps(header), encoding="utf-8")


def _details_by_row(table: ObjectTable) -> dict[int, Details]:
    if not table.details:
        return {}
    found = {row: table.details.get(key) for row, key in enumerate(table.uuids())}
    return {row: details for row, details in found.items() if details is not None}


def _save(folder: Path, name: str, values: NDArray[Any], dtype: str) -> None:
    np.ascontiguousarray(values, dtype).tofile(folder / f"{name}.bin")


def _pack_outlines(folder: Path, prefix: str, contours: Contours) -> None:
    for name, dtype in _OUTLINE_FILES.items():
        _save(folder, prefix + name, getattr(contours, name), dtype)


def _measured(table: ObjectTable) -> dict[str, NDArray[np.float64]]:
    """Measurements of QuPath: ours, and the probabilities under their names there."""
    found = {name: np.asarray(values, np.float64) for name, values in table.measurements.items()}
    for name, column in ((DET_PROB, table.det_prob), (CLASS_PROB, table.class_prob)):
        if np.isfinite(column).any():
            found[name] = column.astype(np.float64)
    return found


def _forms(table: ObjectTable, details: Mapping[int, Details]) -> NDArray[np.uint8]:
    """Ellipses as marked; annotations and tiles whose outline is an upright box are rectangles."""
    forms = np.zeros(len(table), np.uint8)
    boxed = np.isin(table.object_type, _BOXED) & (table.contours.kind == GeometryKind.POLYGON)
    for row in np.flatnonzero(boxed).tolist():
        parts = table.contours.parts(row)
        forms[row] = len(parts) == 1 and len(parts[0]) == 1 and _is_upright_box(parts[0][0])
    for row, found in details.items():
        if found.geometry_extra.get("isEllipse"):
            forms[row] = 2
    return forms


def _is_upright_box(ring: NDArray[np.float32]) -> bool:
    if len(ring) != 5:
        return False
    steps = np.diff(ring, axis=0) != 0
    return bool((steps.sum(axis=1) == 1).all() and (steps[0] != steps[1]).all())


def _planes(n: int, details: Mapping[int, Details]) -> NDArray[np.int32]:
    planes = np.full((n, 3), _DEFAULT_PLANE, np.int32)
    for row, found in details.items():
        plane = found.geometry_extra.get("plane") or {}
        planes[row] = plane.get("c", -1), plane.get("z", 0), plane.get("t", 0)
    return planes


def _parents(n: int, details: Mapping[int, Details]) -> NDArray[np.int64]:
    parents = np.zeros((n, 16), np.uint8)
    for row, found in details.items():
        if found.parent_id is not None:
            parents[row] = np.frombuffer(found.parent_id.bytes, np.uint8)
    return parents.reshape(-1).view(">i8").astype(np.int64)


def _describe(row: int, details: Details) -> dict[str, Any]:
    values = {
        "name": details.name,
        "description": details.description,
        "argb": None if details.rgb is None else pack_argb(details.rgb),
        "locked": details.locked or None,
        "metadata": dict(details.metadata) or None,
    }
    said = {key: value for key, value in values.items() if value is not None}
    return {"row": row, **said} if said else {}


# -- from the JVM --------------------------------------------------------------------------------


def unpack(folder: Path, classes: ClassScheme | None = None) -> ObjectTable:
    """The table that the JVM wrote to `folder`.

    Parameters
    ----------
    folder : Path
    classes : ClassScheme, optional
        Classes of the project, in its order; others that objects bear follow them.
    """
    header = json.loads((folder / "header.json").read_text(encoding="utf-8"))
    found = ClassScheme(
        tuple(ClassDef(c["name"], unpack_rgb(c["argb"] or 0)) for c in header["classes"])
    )
    scheme = (classes or ClassScheme()).union(found)
    position = np.array([*(scheme.index(name) for name in found.names), -1], np.int32)
    ids = _load(folder, "object_id", "<i8").astype(">i8").view(np.uint8).reshape(-1, 16)
    types = _load(folder, "object_type", "u1")
    measured = _measurements(folder, header["schemas"], len(types))
    nuclei = _unpack_outlines(folder, "nucleus_")
    return ObjectTable.build(
        _unpack_outlines(folder, ""),
        object_id=ids,
        class_id=position[_load(folder, "class_id", "<i4")],
        class_prob=measured.pop(CLASS_PROB, None),
        det_prob=measured.pop(DET_PROB, None),
        state=_states(_load(folder, "state_word", "<i4"), header["states"], types),
        object_type=types,
        source_id=_load(folder, "source_id", "<i4"),
        classes=scheme,
        sources=tuple(header["sources"]),
        measurements=measured,
        nuclei=nuclei if len(nuclei.xy) else None,
        details=_details(folder, header["details"], ids),
    )


def _load(folder: Path, name: str, dtype: str) -> NDArray[Any]:
    return np.fromfile(folder / f"{name}.bin", dtype)


def _unpack_outlines(folder: Path, prefix: str) -> Contours:
    found = {name: _load(folder, prefix + name, dtype) for name, dtype in _OUTLINE_FILES.items()}
    return Contours(**{**found, "xy": found["xy"].reshape(-1, 2)})


def _states(words: NDArray[np.int32], names: list[str], types: NDArray[np.uint8]) -> NDArray[Any]:
    known = {state.name.lower(): int(state) for state in ObjectState}
    values = np.array([*(known.get(name, 255) for name in names), 255], np.uint8)[words]
    return np.where(values == 255, _DEFAULT_STATES[types], values)


def _measurements(folder: Path, schemas: list[list[str]], n: int) -> dict[str, NDArray[np.float64]]:
    """Columns; rows that bear the same names are gathered together."""
    values, schema = _load(folder, "values", "<f8"), _load(folder, "schema", "<i4")
    widths = np.array([*(len(names) for names in schemas), 0])[schema]
    starts = np.cumsum(widths) - widths
    columns: dict[str, NDArray[np.float64]] = {}
    for position, names in enumerate(schemas):
        rows = np.flatnonzero(schema == position)
        for i, name in enumerate(names):
            column = columns.setdefault(name, np.full(n, np.nan))
            column[rows] = values[starts[rows] + i]
    return columns


def _details(
    folder: Path, described: list[dict[str, Any]], ids: NDArray[np.uint8]
) -> dict[UUID, Details]:
    """Details of the rows that have any."""
    parents = _load(folder, "parent_id", "<i8").astype(">i8").view(np.uint8).reshape(-1, 16)
    planes, forms = _load(folder, "plane", "<i4").reshape(-1, 3), _load(folder, "form", "u1")
    said = {item["row"]: item for item in described}
    rare = parents.any(axis=1) | (planes != _DEFAULT_PLANE).any(axis=1) | (forms == 2)
    rare[list(said)] = True
    found = {}
    for row in np.flatnonzero(rare).tolist():
        item = said.get(row, {})
        extra: dict[str, Any] = {"isEllipse": True} if forms[row] == 2 else {}
        if tuple(planes[row]) != _DEFAULT_PLANE:
            extra["plane"] = dict(zip("czt", planes[row].tolist(), strict=True))
        metadata = dict(item.get("metadata", {}))
        if "missing" in item:
            metadata["isMissing"] = json.dumps(item["missing"])
        found[UUID(bytes=ids[row].tobytes())] = Details(
            name=item.get("name"),
            description=item.get("description"),
            rgb=unpack_rgb(item["argb"]) if "argb" in item else None,
            locked=item.get("locked", False),
            metadata=metadata,
            geometry_extra=extra,
            parent_id=UUID(bytes=parents[row].tobytes()) if parents[row].any() else None,
        )
    return found
