"""GeoJSON geometries, parsed to lists, as `Contours`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, GeometryKind
from napari_histo.core._ragged import offsets_of

__all__ = ["contours_of", "extra_members"]

_KINDS = {
    "Polygon": GeometryKind.POLYGON,
    "MultiPolygon": GeometryKind.POLYGON,
    "LineString": GeometryKind.LINE,
    "MultiLineString": GeometryKind.LINE,
    "Point": GeometryKind.POINT,
    "MultiPoint": GeometryKind.POINT,
}
_PLAIN_MEMBERS = {"type", "coordinates", "geometries", "bbox"}
_Rings = list[Any]  # each a list of [x, y]


def contours_of(geometries: Sequence[dict[str, Any] | None]) -> Contours:
    """Outlines of geometries; None, an empty object or empty coordinates give an empty row.

    Raises
    ------
    TypeError, ValueError, KeyError, IndexError, AttributeError
        Some geometry does not follow the standard; ask for one at a time to learn which.
    """
    rings: _Rings = []
    rings_in_part: list[int] = []
    parts_in_object: list[int] = []
    kinds: list[int] = []
    for geometry in geometries:
        if geometry and geometry.get("type") == "Polygon":
            # The case of nearly every nucleus, kept short.
            coordinates = geometry["coordinates"]
            rings.extend(coordinates)
            if coordinates:
                rings_in_part.append(len(coordinates))
            parts_in_object.append(1 if coordinates else 0)
            kinds.append(0)
            continue
        kind, parts = _parts_of(geometry)
        for part in parts:
            rings.extend(part)
            rings_in_part.append(len(part))
        parts_in_object.append(len(parts))
        kinds.append(kind)
    contours = Contours(
        _vertices(rings),
        offsets_of(map(len, rings)),
        offsets_of(rings_in_part),
        offsets_of(parts_in_object),
        np.array(kinds, np.uint8),
    )
    return _closed(contours)


def extra_members(geometry: dict[str, Any] | None) -> dict[str, Any]:
    """Members that QuPath adds to a geometry: ``plane``, ``isEllipse``."""
    return {k: v for k, v in (geometry or {}).items() if k not in _PLAIN_MEMBERS}


def _parts_of(geometry: dict[str, Any] | None) -> tuple[GeometryKind, list[_Rings]]:
    if not geometry or "type" not in geometry:
        return GeometryKind.POLYGON, []
    name = geometry["type"]
    if name == "GeometryCollection":
        return _collection(geometry["geometries"])
    if name not in _KINDS:
        raise ValueError(f"geometry type {name!r} is not one of {[*_KINDS, 'GeometryCollection']}")
    kind, coordinates = _KINDS[name], geometry["coordinates"]
    if not coordinates:
        return kind, []
    if name == "Point":
        return kind, [[[coordinates]]]
    if name == "MultiPoint":
        return kind, [[[point]] for point in coordinates]
    if name == "LineString":
        return kind, [[coordinates]]
    if name == "MultiLineString":
        return kind, [[line] for line in coordinates]
    if name == "MultiPolygon":
        return kind, [polygon for polygon in coordinates if polygon]
    return kind, [coordinates]


def _collection(geometries: Sequence[dict[str, Any]]) -> tuple[GeometryKind, list[_Rings]]:
    """Parts of the collection's highest dimension, as QuPath keeps them."""
    found = [_parts_of(g) for g in geometries]
    filled = [(kind, parts) for kind, parts in found if parts]
    kind = min((kind for kind, _ in filled), default=GeometryKind.POLYGON)
    dropped = sum(len(parts) for k, parts in filled if k != kind)
    if dropped:
        warnings.warn(
            f"A GeometryCollection mixes areas, lines or points; {dropped} parts of lower "
            f"dimension than {kind.name.lower()} were left out.",
            stacklevel=2,
        )
    return kind, [part for k, parts in filled if k == kind for part in parts]


def _vertices(rings: _Rings) -> NDArray[np.float32]:
    """(n, 2) vertices; a third coordinate is left out."""
    points = list(chain.from_iterable(rings))
    flat = np.fromiter(chain.from_iterable(points), np.float64)
    if len(flat) != 2 * len(points):
        flat = np.array([(x, y) for x, y, *_ in points], np.float64)
    if not np.isfinite(flat).all():
        raise ValueError("a coordinate is not finite")
    return flat.reshape(-1, 2).astype(np.float32)


def _closed(contours: Contours) -> Contours:
    """The same with rings of areas closed, where a writer left the last vertex out."""
    starts, ends = contours.ring_offsets[:-1], contours.ring_offsets[1:]
    if not len(starts):
        return contours
    filled = ends > starts
    firsts, lasts = contours.xy[starts[filled]], contours.xy[ends[filled] - 1]
    still_open = np.zeros(len(starts), bool)
    still_open[filled] = (firsts != lasts).any(axis=1)
    kinds = _ring_kinds(contours)
    still_open &= kinds == GeometryKind.POLYGON
    closed = _lengthened(contours, still_open.astype(np.int64), starts)
    # An area of 1 or 2 vertices and a line of 1 are drawn nowhere, but no library takes them.
    missing = np.array([4, 2, 1])[kinds] - np.diff(closed.ring_offsets)
    missing[~filled] = 0
    return _lengthened(closed, np.maximum(missing, 0), closed.ring_offsets[1:] - 1)


def _ring_kinds(contours: Contours) -> NDArray[np.uint8]:
    rings_of = np.diff(contours.part_offsets[contours.object_offsets])
    return np.repeat(contours.kind, rings_of)


def _lengthened(
    contours: Contours, n_more: NDArray[np.int64], vertex: NDArray[np.integer]
) -> Contours:
    """`n_more` copies of a vertex behind each ring (n_rings)."""
    if not n_more.any():
        return contours
    at = np.repeat(contours.ring_offsets[1:], n_more)
    xy = np.insert(contours.xy, at, contours.xy[np.repeat(vertex, n_more)], axis=0)
    grown = np.concatenate([[0], np.cumsum(n_more)]).astype(np.int32)
    return Contours(
        xy,
        contours.ring_offsets + grown,
        contours.part_offsets,
        contours.object_offsets,
        contours.kind,
    )
