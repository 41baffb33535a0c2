"""Rows of a table as text in QuPath's GeoJSON dialect, a chunk of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from napari_histo.core import Contours, Details, GeometryKind, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import WriteError
from napari_histo.store._geojson_words import (
    CLASS_PROB,
    DESCRIPTION,
    DET_PROB,
    IS_MISSING,
    PARENT,
    SOURCE,
    STATE,
    TYPE_NAMES,
    default_state,
)
from napari_histo.store._uuids import ids_to_text

__all__ = ["feature_text", "geometry_texts"]

_DECIMALS = 2  # as QuPath
_KIND_NAMES = {
    GeometryKind.POLYGON: (b"Polygon", b"MultiPolygon"),
    GeometryKind.LINE: (b"LineString", b"MultiLineString"),
    GeometryKind.POINT: (b"Point", b"MultiPoint"),
}


def feature_text(table: ObjectTable, default_source: str | None) -> bytes:
    """Features of all rows, separated by commas and line ends.

    Parameters
    ----------
    table : ObjectTable
        Some 20,000 rows; the text takes about 700 bytes a nucleus of 32 vertices.
    default_source : str or None
        Source that the file's head names; only rows of other sources carry their own.
    """
    ids = ids_to_text(table.object_id)
    pieces = zip(
        [ids[i : i + 36] for i in range(0, len(ids), 36)],
        _geometries(table),
        _fixed_properties(table),
        _rare_properties(table, default_source),
        _measurements(table),
        strict=True,
    )
    template = b'{"type":"Feature","id":"%b","geometry":%b,"properties":{%b%b%b}}'
    return b",\n".join([template % piece for piece in pieces])


# -- geometry ------------------------------------------------------------------------------------


def geometry_texts(contours: Contours) -> list[bytes]:
    """One GeoJSON geometry a row, coordinates rounded to 2 decimals."""
    if not np.isfinite(contours.xy).all():
        raise WriteError(
            "An outline has a coordinate that is not finite (NaN or infinite); no file can hold "
            "it. Remove the object or make it again."
        )
    rings = _ring_texts(contours)
    n_parts = np.diff(contours.object_offsets)
    simple = len(rings) == len(contours) and (n_parts == 1).all() and not contours.kind.any()
    if simple:
        return [b'{"type":"Polygon","coordinates":[[%b]]}' % ring for ring in rings]
    return [_geometry_text(contours, rings, row) for row in range(len(contours))]


def _ring_texts(contours: Contours) -> list[bytes]:
    """Vertices of each ring as ``[x,y],[x,y],…``, written by one call for all of them."""
    if not len(contours.xy):
        return [b""] * (len(contours.ring_offsets) - 1)
    xy: NDArray[Any] = np.round(contours.xy.astype(np.float64), _DECIMALS)
    whole = xy.astype(np.int64)
    if (whole == xy).all():  # outlines of pixels take half the bytes without ".0"
        xy = whole
    text = orjson.dumps(xy, option=orjson.OPT_SERIALIZE_NUMPY)
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("]"))[:-1] + 1
    starts = np.concatenate([[1], ends[:-1] + 1])
    # A ring without vertices must not reach beyond the last one.
    first = np.minimum(contours.ring_offsets[:-1], len(ends) - 1)
    ring_starts, ring_ends = starts[first].tolist(), ends[contours.ring_offsets[1:] - 1].tolist()
    rings = [text[a:b] for a, b in zip(ring_starts, ring_ends, strict=True)]
    return _bear_short_rings(contours, rings)


def _bear_short_rings(contours: Contours, rings: list[bytes]) -> list[bytes]:
    """Repeat the last vertex of areas' rings of 1 to 3: QuPath refuses a file for one of them."""
    lengths = np.diff(contours.ring_offsets)
    for ring in np.flatnonzero(lengths == 0):
        rings[ring] = b""
    owner = np.repeat(
        np.arange(len(contours)), np.diff(contours.part_offsets[contours.object_offsets])
    )
    short = (lengths > 0) & (lengths < 4) & (contours.kind[owner] == GeometryKind.POLYGON)
    for ring in np.flatnonzero(short):
        last = rings[ring][rings[ring].rindex(b"[") :]
        rings[ring] += (b"," + last) * int(4 - lengths[ring])
    return rings


def _geometry_text(contours: Contours, rings: list[bytes], row: int) -> bytes:
    kind = GeometryKind(contours.kind[row])
    first, last = contours.object_offsets[row : row + 2]
    bounds = contours.part_offsets[first : last + 1].tolist()
    parts = [rings[a:b] for a, b in pairwise(bounds)]
    if kind == GeometryKind.POLYGON:
        texts = [b",".join([b"[%b]" % ring for ring in part if ring]) for part in parts]
    else:
        texts = [part[0] for part in parts if part]
    texts = [text for text in texts if text]
    single, multi = _KIND_NAMES[kind]
    if kind == GeometryKind.POINT:
        body = b",".join(texts)
        one = len(texts) == 1 and body.count(b"[") == 1
        return _geometry(single, body) if one else _geometry(multi, b"[%b]" % body)
    if len(texts) <= 1:
        return _geometry(single, b"[%b]" % b"".join(texts))
    return _geometry(multi, b"[%b]" % b",".join([b"[%b]" % text for text in texts]))


def _geometry(name: bytes, coordinates: bytes) -> bytes:
    return b'{"type":"%b","coordinates":%b}' % (name, coordinates)


def _geometries(table: ObjectTable) -> list[bytes]:
    """Geometries with QuPath's extra members, and the nuclei of cells behind them."""
    texts = geometry_texts(table.contours)
    if table.details:
        for row, key in enumerate(table.uuids()):
            extra = table.details[key].geometry_extra if key in table.details else None
            if extra:
                texts[row] = texts[row][:-1] + b"," + orjson.dumps(dict(extra))[1:]
    if table.nuclei is not None:
        nuclei = geometry_texts(table.nuclei)
        for row in np.flatnonzero(np.diff(table.nuclei.object_offsets)).tolist():
            texts[row] += b',"nucleusGeometry":' + nuclei[row]
    return texts


# -- properties ----------------------------------------------------------------------------------


def _fixed_properties(table: ObjectTable) -> list[bytes]:
    """Type and class, of which there are few combinations."""
    classes = [orjson.dumps(_classification(item.names, item.rgb)) for item in table.classes]
    known: dict[tuple[int, int], bytes] = {}
    out = []
    for pair in zip(table.object_type.tolist(), table.class_id.tolist(), strict=True):
        text = known.get(pair)
        if text is None:
            kind, class_id = pair
            text = b'"objectType":"%b"' % TYPE_NAMES[ObjectType(kind)].encode()
            text += b',"classification":' + classes[class_id] if class_id >= 0 else b""
            known[pair] = text
        out.append(text)
    return out


def _classification(names: tuple[str, ...], rgb: tuple[int, int, int]) -> dict[str, Any]:
    # QuPath throws on a classification without a colour.
    name = {"name": names[0]} if len(names) == 1 else {"names": list(names)}
    return {**name, "color": list(rgb)}


def _rare_properties(table: ObjectTable, default_source: str | None) -> list[bytes]:
    """What few rows have: a name, a colour, a lock, metadata, a state or source of their own."""
    out = [b""] * len(table)
    types, states = table.object_type, table.state
    defaults = np.array([default_state(kind) for kind in ObjectType], np.uint8)
    sources = np.array([*table.sources, None], object)[table.source_id]
    special = (states != defaults[types]) | (sources != default_source)
    if table.details:
        special |= np.array([key in table.details for key in table.uuids()], bool)
    for row in np.flatnonzero(special).tolist():
        details = table.details_of(row)
        metadata = _metadata(details)
        if states[row] != defaults[types[row]]:
            metadata[STATE] = ObjectState(states[row]).name.lower()
        if sources[row] != default_source:
            metadata[SOURCE] = sources[row] or ""
        members = _members(details, ObjectType(types[row]), metadata)
        out[row] = b"," + orjson.dumps(members)[1:-1] if members else b""
    return out


def _metadata(details: Details) -> dict[str, str]:
    metadata = {str(key): str(value) for key, value in details.metadata.items()}
    if details.description is not None:
        metadata[DESCRIPTION] = details.description
    if details.parent_id is not None:
        metadata[PARENT] = str(details.parent_id)
    return metadata


def _members(details: Details, kind: ObjectType, metadata: dict[str, str]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if details.name is not None:
        members["name"] = details.name
    if details.rgb is not None:
        members["color"] = list(details.rgb)
    if details.locked:
        members["isLocked"] = True
    if kind == ObjectType.TMA_CORE and IS_MISSING in metadata:
        members[IS_MISSING] = metadata.pop(IS_MISSING) == "true"
    if metadata:
        members["metadata"] = metadata
    return members


def _measurements(table: ObjectTable) -> list[bytes]:
    """``measurements`` of each row; a value that is NaN is left out, which QuPath reads as NaN."""
    ours = {DET_PROB: table.det_prob, CLASS_PROB: table.class_prob}
    columns: dict[str, NDArray[Any]] = {k: v for k, v in ours.items() if not np.isnan(v).all()}
    columns.update(table.measurements)
    if not columns or not len(table):
        return [b""] * len(table)
    names = [orjson.dumps(name) + b":" for name in columns]
    texts = [_number_texts(values) for values in columns.values()]
    if not any(b"" in column for column in texts):
        template = b',"measurements":{%b}' % b",".join([_escape(n) + b"%b" for n in names])
        return [template % row for row in zip(*texts, strict=True)]
    return [_sparse_row(names, row) for row in zip(*texts, strict=True)]


def _escape(name: bytes) -> bytes:
    return name.replace(b"%", b"%%")


def _sparse_row(names: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    present = [name + value for name, value in zip(names, values, strict=True) if value]
    return b',"measurements":{%b}' % b",".join(present) if present else b""


def _number_texts(values: NDArray[Any]) -> list[bytes]:
    """Shortest text that reads back to the same number; empty for NaN."""
    plain = np.ascontiguousarray(values)
    texts = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    for row in np.flatnonzero(~np.isfinite(plain)).tolist():
        value = float(plain[row])
        texts[row] = b"" if value != value else (b'"Infinity"' if value > 0 else b'"-Infinity"')
    return texts
