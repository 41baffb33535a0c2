"""Well-known binary of outlines, without a geometry library.

GEOS refuses what a table may hold (a line of one vertex, an open ring) and costs 2 kB an object.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np

from napari_histo.core import Contours, GeometryKind
from napari_histo.core._ragged import offsets_of

__all__ = ["from_wkb", "geometry_types", "to_wkb"]

_POINT, _LINE, _POLYGON, _MULTI_POINT, _MULTI_LINE, _MULTI_POLYGON = 1, 2, 3, 4, 5, 6
_SINGLE = {
    GeometryKind.POLYGON: _POLYGON,
    GeometryKind.LINE: _LINE,
    GeometryKind.POINT: _POINT,
}
_NAMES = {
    _POINT: "Point",
    _LINE: "LineString",
    _POLYGON: "Polygon",
    _MULTI_POINT: "MultiPoint",
    _MULTI_LINE: "MultiLineString",
    _MULTI_POLYGON: "MultiPolygon",
}
_KINDS = {
    _POLYGON: GeometryKind.POLYGON,
    _MULTI_POLYGON: GeometryKind.POLYGON,
    _LINE: GeometryKind.LINE,
    _MULTI_LINE: GeometryKind.LINE,
    _POINT: GeometryKind.POINT,
    _MULTI_POINT: GeometryKind.POINT,
}
_Ring = bytes | memoryview


@cache
def _header(kind: int, *counts: int) -> bytes:
    return struct.pack(f"<BI{len(counts)}I", 1, kind, *counts)


def geometry_types(contours: Contours) -> set[str]:
    """Names of the types that `to_wkb` makes, as GeoParquet lists them."""
    n_parts = np.diff(contours.object_offsets)
    pairs = set(zip(contours.kind.tolist(), (n_parts != 1).tolist(), strict=True))
    return {_NAMES[_SINGLE[kind] + 3 * multi] for kind, multi in pairs}


def to_wkb(contours: Contours) -> list[bytes]:
    """Little-endian WKB of each row, float64; rows without parts are empty multi-geometries."""
    raw = memoryview(contours.xy.astype("<f8").tobytes())
    rings = [raw[16 * a : 16 * b] for a, b in pairwise(contours.ring_offsets.tolist())]
    parts = [(a, b) for a, b in pairwise(contours.part_offsets.tolist())]
    out = []
    objects = pairwise(contours.object_offsets.tolist())
    for kind, (first, last) in zip(contours.kind.tolist(), objects, strict=True):
        single = _SINGLE[kind]
        texts = [_part(single, rings[a:b]) for a, b in parts[first:last]]
        if len(texts) == 1:
            out.append(texts[0])
        else:
            out.append(_header(single + 3, len(texts)) + b"".join(texts))
    return out


def _part(kind: int, rings: Sequence[_Ring]) -> bytes:
    if kind == _POINT:
        return _header(_POINT) + rings[0]
    if kind == _LINE:
        return _header(_LINE, len(rings[0]) // 16) + rings[0]
    if len(rings) == 1:
        return _header(_POLYGON, 1, len(rings[0]) // 16) + rings[0]
    sized = [struct.pack("<I", len(ring) // 16) + ring for ring in rings]
    return _header(_POLYGON, len(rings)) + b"".join(sized)


def from_wkb(items: Sequence[bytes | None]) -> Contours:
    """Outlines of WKB in either byte order; a third coordinate is left out, None is an empty row.

    Raises
    ------
    ValueError
        A geometry is cut off, or of a type that has no outline.
    """
    reader = _Reader()
    for row, item in enumerate(items):
        try:
            reader.take(item)
        except (struct.error, IndexError, ValueError) as error:
            raise ValueError(f"the geometry of row {row} is damaged: {error}") from error
    return reader.contours()


class _Reader:
    """Gathers rings, parts and objects in the flat layout."""

    def __init__(self) -> None:
        self._rings: list[_Ring] = []
        self._ring_sizes: list[int] = []
        self._part_sizes: list[int] = []
        self._object_sizes: list[int] = []
        self._kinds: list[int] = []

    def take(self, item: bytes | None) -> None:
        """Add a row."""
        if item is not None and item[:9] == _header(_POLYGON, 1):
            # Nearly every nucleus: one ring, whose length must fit the bytes.
            (n,) = struct.unpack_from("<I", item, 9)
            if len(item) == 13 + 16 * n:
                self._rings.append(memoryview(item)[13:])
                self._ring_sizes.append(n)
                self._part_sizes.append(1)
                self._object_sizes.append(1)
                self._kinds.append(0)
                return
        before = len(self._part_sizes)
        kind = GeometryKind.POLYGON
        if item is not None:
            kind, end = self._geometry(item, 0)
            if end != len(item):
                raise ValueError(f"WKB has {len(item)} bytes where its geometry takes {end}")
        self._object_sizes.append(len(self._part_sizes) - before)
        self._kinds.append(kind)

    def _geometry(self, item: bytes, at: int) -> tuple[GeometryKind, int]:
        """Read one geometry at a byte; its kind and the byte behind it."""
        order = "<" if item[at] == 1 else ">"
        (code,) = struct.unpack_from(f"{order}I", item, at + 1)
        has_z = bool(code & 0x80000000) or 1000 < code % 0x20000000 < 2000
        code = (code & 0xFFFF) % 1000
        if code not in _KINDS:
            raise ValueError(f"WKB geometry type {code} is none of {sorted(_NAMES.values())}")
        at += 5
        if code > _POLYGON:
            (n,) = struct.unpack_from(f"{order}I", item, at)
            at += 4
            for _ in range(n):
                _, at = self._geometry(item, at)
            return _KINDS[code], at
        n_rings, at = (1, at) if code != _POLYGON else _count(item, at, order)
        for _ in range(n_rings):
            n, at = (1, at) if code == _POINT else _count(item, at, order)
            at = self._ring(item, at, n, f"{order}f8", 3 if has_z else 2)
        if n_rings:
            self._part_sizes.append(n_rings)
        return _KINDS[code], at

    def _ring(self, item: bytes, at: int, n: int, dtype: str, n_axes: int) -> int:
        values = np.frombuffer(item, dtype, n * n_axes, at)
        self._rings.append(values.reshape(n, n_axes)[:, :2].astype("<f8").tobytes())
        self._ring_sizes.append(n)
        return at + values.nbytes

    def contours(self) -> Contours:
        """All rows."""
        xy = np.frombuffer(b"".join(self._rings), "<f8").reshape(-1, 2)
        return Contours(
            xy.astype(np.float32),
            offsets_of(self._ring_sizes),
            offsets_of(self._part_sizes),
            offsets_of(self._object_sizes),
            np.array(self._kinds, np.uint8),
        )


def _count(item: bytes, at: int, order: str) -> tuple[int, int]:
    return struct.unpack_from(f"{order}I", item, at)[0], at + 4
