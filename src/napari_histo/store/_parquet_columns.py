"""Rows of a table as Arrow columns and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.store._details import details_from_json, details_to_json
from napari_histo.store._uuids import ids_from_text, ids_to_text
from napari_histo.store._wkb import from_wkb, to_wkb

__all__ = ["batch_of", "column_names", "schema_of", "scheme_of", "table_of"]

_OWN_COLUMNS = (
    "object_id",
    "geometry",
    "nucleus_geometry",
    "class",
    "class_prob",
    "det_prob",
    "state",
    "object_type",
    "source",
    "details",
)


def column_names(measurements: Iterable[str]) -> dict[str, str]:
    """Column of each measurement; one that bears a name of ours gives way."""
    return {m: f"measurement: {m}" if m in _OWN_COLUMNS else m for m in measurements}


def schema_of(table: ObjectTable) -> Any:
    import pyarrow as pa

    words = pa.dictionary(pa.int32(), pa.string())
    types = {
        "object_id": pa.string(),
        "geometry": pa.binary(),
        "nucleus_geometry": pa.binary(),
        "class": words,
        "class_prob": pa.float32(),
        "det_prob": pa.float32(),
        "state": words,
        "object_type": words,
        "source": words,
        "details": pa.string(),
    }
    if table.nuclei is None:
        del types["nucleus_geometry"]
    types |= dict.fromkeys(column_names(table.measurements).values(), pa.float64())
    return pa.schema(list(types.items()))


def batch_of(table: ObjectTable, schema: Any) -> Any:
    import pyarrow as pa

    ids = ids_to_text(table.object_id).decode()
    columns: dict[str, Any] = {
        "object_id": pa.array([ids[i : i + 36] for i in range(0, len(ids), 36)]),
        "geometry": pa.array(to_wkb(table.contours), pa.binary()),
        "class": _words(table.class_id, table.classes.names),
        "class_prob": table.class_prob,
        "det_prob": table.det_prob,
        "state": _words(table.state, _names(ObjectState)),
        "object_type": _words(table.object_type, _names(ObjectType)),
        "source": _words(table.source_id, table.sources),
        "details": pa.array(_details_texts(table), pa.string()),
    }
    if table.nuclei is not None:
        columns["nucleus_geometry"] = pa.array(to_wkb(table.nuclei), pa.binary())
    for name, column in column_names(table.measurements).items():
        columns[column] = table.measurements[name]
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _names(enum: Any) -> tuple[str, ...]:
    return tuple(item.name.lower() for item in enum)


def _words(ids: NDArray[np.integer], names: Iterable[str]) -> Any:
    """Names by id; null for -1."""
    import pyarrow as pa

    indices = pa.array(ids.astype(np.int32), mask=ids.astype(np.int64) < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(names), pa.string()))


def _details_texts(table: ObjectTable) -> list[str | None]:
    if not table.details:
        return [None] * len(table)
    found = [table.details.get(key) for key in table.uuids()]
    return [None if d is None or d == Details() else _text(details_to_json(d)) for d in found]


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def scheme_of(facts: Mapping[str, Any]) -> ClassScheme:
    return ClassScheme(tuple(ClassDef(c["name"], tuple(c["color"])) for c in facts["classes"]))


def table_of(batch: Any, facts: Mapping[str, Any]) -> ObjectTable:
    classes, sources = scheme_of(facts), tuple(facts["sources"])
    ids, valid = ids_from_text(batch["object_id"].to_pylist())
    if not valid.all():
        raise ValueError(f"row {int(np.flatnonzero(~valid)[0])} has an object_id that is no UUID")
    details = {
        UUID(bytes=ids[row].tobytes()): details_from_json(json.loads(text))
        for row, text in enumerate(batch["details"].to_pylist())
        if text is not None
    }
    return ObjectTable(
        from_wkb(batch["geometry"].to_pylist()),
        ids,
        _ids_of(batch["class"], classes.names),
        batch["class_prob"].to_numpy(zero_copy_only=False),
        batch["det_prob"].to_numpy(zero_copy_only=False),
        _ids_of(batch["state"], _names(ObjectState)).astype(np.uint8),
        _ids_of(batch["object_type"], _names(ObjectType)).astype(np.uint8),
        _ids_of(batch["source"], sources),
        classes=classes,
        sources=sources,
        measurements={
            name: batch[column].to_numpy(zero_copy_only=False)
            for name, column in facts["measurements"].items()
        },
        nuclei=from_wkb(batch["nucleus_geometry"].to_pylist()) if facts["nuclei"] else None,
        details=details,
    )


def _ids_of(column: Any, names: tuple[str, ...]) -> NDArray[np.int32]:
    """Positions in `names`; -1 for null."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    known = [names.index(name) for name in column.dictionary.to_pylist()]
    indices = column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    ids: NDArray[np.int32] = np.array([*known, -1], np.int32)[indices]
    return ids
