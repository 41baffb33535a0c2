"""Outlines of many objects in a few flat arrays (GeoArrow's layout).

A million shapely polygons take 2 GB; the same outlines here take 0.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core._moments import moments
from napari_histo.core._ragged import gather, gather_offsets, offsets_of
from napari_histo.core.box import Box

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Contours", "GeometryKind", "as_rows"]

_AREA_TYPES = (3, 6)  # shapely.GeometryType.POLYGON and MULTIPOLYGON


class GeometryKind(IntEnum):
    """What the coordinates of a row draw."""

    POLYGON = 0  #: one or more areas with holes
    LINE = 1  #: one or more open lines
    POINT = 2  #: one or more points


@dataclass(frozen=True, eq=False)
class Contours:
    """Ragged geometries: objects hold parts, parts hold rings, rings hold vertices.

    Coordinates are ``(x, y)`` in full-resolution pixels, y down, a pixel covering ``[i, i + 1)``.
    Rings are closed (first vertex repeated at the end). In a part the first ring is the outline and
    the others are holes. A line is a part with one ring that need not close; a point is a ring of
    one vertex. An object without parts is empty.

    Attributes
    ----------
    xy : (n_vertices, 2) float32
    ring_offsets : (n_rings + 1,) int32
        Where each ring starts in `xy`.
    part_offsets : (n_parts + 1,) int32
        Where each part starts in the rings.
    object_offsets : (n + 1,) int32
        Where each object starts in the parts.
    kind : (n,) uint8
        A `GeometryKind` for each object.

    Notes
    -----
    The layout is GeoArrow's ``multipolygon`` (https://geoarrow.org/format.html). float32 holds
    1/128 px at x = 100,000, finer than the 2 decimals that QuPath writes.
    """

    xy: NDArray[np.float32]
    ring_offsets: NDArray[np.int32]
    part_offsets: NDArray[np.int32]
    object_offsets: NDArray[np.int32]
    kind: NDArray[np.uint8]

    def __post_init__(self) -> None:
        chain = (self.xy, self.ring_offsets, self.part_offsets, self.object_offsets)
        for below, offsets in pairwise(chain):
            n_below = len(below) - (below is not self.xy)
            if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != n_below:
                raise ValueError(f"Offsets must run from 0 to {n_below}, got {offsets[[0, -1]]!r}.")
        if self.xy.ndim != 2 or self.xy.shape[1] != 2:
            raise ValueError(f"xy has shape {self.xy.shape}; it must be (n, 2), x before y.")
        if len(self.kind) != len(self):
            raise ValueError(f"{len(self)} objects but {len(self.kind)} kinds.")

    def __len__(self) -> int:
        return len(self.object_offsets) - 1

    @classmethod
    def empty(cls, n: int = 0) -> Contours:
        """`n` objects without geometry."""
        zero = np.zeros(1, np.int32)
        return cls(
            np.zeros((0, 2), np.float32),
            zero,
            zero,
            np.zeros(n + 1, np.int32),
            np.zeros(n, np.uint8),
        )

    @classmethod
    def from_star(cls, xy: ArrayLike) -> Contours:
        """Simple polygons of equally many vertices.

        Parameters
        ----------
        xy : (n, k, 2) array
            Open rings in full-resolution px, x before y.
        """
        rings = np.asarray(xy, np.float32)
        n, k = rings.shape[:2]
        closed = np.concatenate([rings, rings[:, :1]], axis=1).reshape(-1, 2)
        steps = np.arange(n + 1, dtype=np.int32)
        return cls(closed, steps * np.int32(k + 1), steps, steps, np.zeros(n, np.uint8))

    @classmethod
    def from_rings(cls, rings: Sequence[ArrayLike]) -> Contours:
        """One simple polygon a ring; each ring (k, 2), x before y, closed where it is not."""
        closed = [_close(np.asarray(r, np.float32).reshape(-1, 2)) for r in rings]
        steps = np.arange(len(closed) + 1, dtype=np.int32)
        return cls(
            np.concatenate(closed) if closed else np.zeros((0, 2), np.float32),
            offsets_of(len(r) for r in closed),
            steps,
            steps,
            np.zeros(len(closed), np.uint8),
        )

    @classmethod
    def from_shapely(cls, geometries: Iterable[BaseGeometry | None]) -> Contours:
        """From shapely (multi) polygons, lines and points; None becomes an empty row."""
        import shapely

        array = np.array(list(geometries), dtype=object)
        areas = np.isin(shapely.get_type_id(array), _AREA_TYPES) & ~shapely.is_empty(array)
        if len(array) and areas.all():
            return cls._from_areas(array)
        parts_of = [_parts_of(g) for g in array]
        parts = [part for _, parts in parts_of for part in parts]
        rings = [ring for part in parts for ring in part]
        return cls(
            np.concatenate(rings).astype(np.float32) if rings else np.zeros((0, 2), np.float32),
            offsets_of(len(r) for r in rings),
            offsets_of(len(p) for p in parts),
            offsets_of(len(parts) for _, parts in parts_of),
            np.array([kind for kind, _ in parts_of], np.uint8),
        )

    @classmethod
    def _from_areas(cls, polygons: NDArray[np.object_]) -> Contours:
        """From (multi) polygons alone, without a Python loop."""
        import shapely

        _, xy, offsets = shapely.to_ragged_array(polygons)
        rings, parts = (np.asarray(o, np.int32) for o in offsets[:2])
        one_part_each = np.arange(len(polygons) + 1, dtype=np.int32)
        objects = np.asarray(offsets[2], np.int32) if len(offsets) == 3 else one_part_each
        kind = np.full(len(polygons), GeometryKind.POLYGON, np.uint8)
        return cls(xy[:, :2].astype(np.float32), rings, parts, objects, kind)

    def to_shapely(self, rows: ArrayLike | None = None) -> NDArray[np.object_]:
        """Shapely geometries of `rows` (all by default): simple types where one part is enough."""
        import shapely

        picked = self if rows is None else self.take(rows)
        n_parts = np.diff(picked.object_offsets)
        is_area = picked.kind == GeometryKind.POLYGON
        out = np.full(len(picked), shapely.Polygon(), object)
        areas = np.flatnonzero(is_area & (n_parts > 0))
        if len(areas):
            flat = picked.take(areas)
            offsets = (flat.ring_offsets, flat.part_offsets, flat.object_offsets)
            shapes = shapely.from_ragged_array(
                shapely.GeometryType.MULTIPOLYGON, flat.xy.astype(np.float64), offsets
            )
            single = n_parts[areas] == 1
            shapes[single] = shapely.get_geometry(shapes[single], 0)
            out[areas] = shapes
        for i in np.flatnonzero(~is_area & (n_parts > 0)):
            out[i] = _line_or_points(picked, int(i))
        return out

    def ring(self, row: int) -> NDArray[np.float32]:
        """Outline of the first part of a row, (k, 2) x before y; empty where there is none."""
        first, last = self.object_offsets[row : row + 2]
        if first == last:
            return np.zeros((0, 2), np.float32)
        start, stop = self.ring_offsets[self.part_offsets[first] :][:2]
        return self.xy[start:stop]

    def parts(self, row: int) -> list[list[NDArray[np.float32]]]:
        """Parts of a row, each a list of rings (k, 2): the outline first, then its holes."""
        first, last = self.object_offsets[row : row + 2]
        ring_ranges = [self.part_offsets[p : p + 2] for p in range(first, last)]
        return [
            [self.xy[self.ring_offsets[r] : self.ring_offsets[r + 1]] for r in range(a, b)]
            for a, b in ring_ranges
        ]

    def take(self, rows: ArrayLike) -> Contours:
        """The chosen rows, in the given order; a boolean mask works too."""
        index = as_rows(rows, len(self))
        object_offsets, parts = gather_offsets(self.object_offsets, index)
        part_offsets, rings = gather_offsets(self.part_offsets, parts)
        ring_offsets, xy = gather(self.xy, self.ring_offsets, rings)
        return Contours(xy, ring_offsets, part_offsets, object_offsets, self.kind[index])

    @staticmethod
    def concat(items: Sequence[Contours]) -> Contours:
        """All rows of `items`, in order."""
        if not items:
            return Contours.empty()
        return Contours(
            np.concatenate([c.xy for c in items]),
            _join_offsets([c.ring_offsets for c in items]),
            _join_offsets([c.part_offsets for c in items]),
            _join_offsets([c.object_offsets for c in items]),
            np.concatenate([c.kind for c in items]),
        )

    def transform(
        self, scale: float | tuple[float, float], offset: tuple[float, float]
    ) -> Contours:
        """Scale about the origin, then move: ``xy * scale + offset``, both (x, y)."""
        # In float64: at x = 100,000 a product rounded to float32 first would lose 1/128 px twice.
        xy = self.xy.astype(np.float64) * np.asarray(scale) + np.asarray(offset, np.float64)
        return Contours(
            xy.astype(np.float32),
            self.ring_offsets,
            self.part_offsets,
            self.object_offsets,
            self.kind,
        )

    @cached_property
    def vertex_object(self) -> NDArray[np.int64]:
        """(n_vertices,) the row that each vertex belongs to."""
        first_vertex = self.ring_offsets[self.part_offsets[self.object_offsets]]
        return np.repeat(np.arange(len(self)), np.diff(first_vertex))

    @cached_property
    def bounds(self) -> NDArray[np.float32]:
        """(n, 4) left, top, right, bottom in px; NaN for empty rows."""
        first_vertex = self.ring_offsets[self.part_offsets[self.object_offsets]]
        filled = np.diff(first_vertex) > 0
        out = np.full((len(self), 4), np.nan, np.float32)
        if filled.any():
            starts = first_vertex[:-1][filled]
            out[filled, :2] = np.minimum.reduceat(self.xy, starts, axis=0)
            out[filled, 2:] = np.maximum.reduceat(self.xy, starts, axis=0)
        return out

    @cached_property
    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Areas (n,) in px² without holes, and centroids (n, 2)."""
        return moments(self)

    @property
    def areas_px(self) -> NDArray[np.float64]:
        """(n,) areas in px², holes taken off; 0 for lines and points."""
        return self._moments[0]

    @property
    def centroids(self) -> NDArray[np.float64]:
        """(n, 2) centroids, x before y, px; the mean of the vertices where there is no area."""
        return self._moments[1]

    def query(self, box: Box) -> NDArray[np.int64]:
        """Rows whose bounds meet `box`, ascending. One pass over the bounds: 4 ms for a million."""
        b = self.bounds
        hit = (b[:, 0] < box.right) & (b[:, 2] > box.x) & (b[:, 1] < box.bottom) & (b[:, 3] > box.y)
        points = (b[:, 0] == b[:, 2]) & (b[:, 1] == b[:, 3])
        inside = (b[:, 0] >= box.x) & (b[:, 0] < box.right)
        inside &= (b[:, 1] >= box.y) & (b[:, 1] < box.bottom)
        return np.flatnonzero(np.where(points, inside, hit))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.xy, self.ring_offsets, self.part_offsets, self.object_offsets, self.kind)
        return sum(a.nbytes for a in arrays)


def as_rows(rows: ArrayLike, n: int) -> NDArray[np.int64]:
    """Row numbers from indices or a boolean mask over `n` rows."""
    index = np.asarray(rows)
    if index.dtype == bool:
        if len(index) != n:
            raise IndexError(f"The mask has {len(index)} entries for {n} rows.")
        return np.flatnonzero(index)
    return index.astype(np.int64).reshape(-1)


def _close(ring: NDArray[np.float32]) -> NDArray[np.float32]:
    closed = len(ring) and (ring[0] == ring[-1]).all()
    return ring if closed or not len(ring) else np.concatenate([ring, ring[:1]])


def _join_offsets(chunks: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    ends = np.cumsum([0] + [int(c[-1]) for c in chunks])
    moved = [c[1:] + np.int32(end) for c, end in zip(chunks, ends, strict=False)]
    return np.concatenate([np.zeros(1, np.int32), *moved])


def _parts_of(geometry: Any) -> tuple[GeometryKind, list[list[NDArray[np.float64]]]]:
    """Kind and parts of a shapely geometry; each part is a list of rings."""
    import shapely

    if geometry is None or geometry.is_empty:
        return GeometryKind.POLYGON, []
    parts = list(shapely.get_parts(geometry))
    name = parts[0].geom_type
    xy = shapely.get_coordinates
    if name == "Polygon":
        return GeometryKind.POLYGON, [
            [xy(p.exterior), *(xy(hole) for hole in p.interiors)] for p in parts
        ]
    if name in ("LineString", "LinearRing"):
        return GeometryKind.LINE, [[xy(p)] for p in parts]
    if name == "Point":
        return GeometryKind.POINT, [[xy(p)] for p in parts]
    raise ValueError(f"Geometry of type {geometry.geom_type} holds {name}; split it first.")


def _line_or_points(contours: Contours, row: int) -> Any:
    import shapely

    parts = [part[0].astype(np.float64) for part in contours.parts(row)]
    if contours.kind[row] == GeometryKind.POINT:
        points = np.concatenate(parts)
        return shapely.Point(points[0]) if len(points) == 1 else shapely.MultiPoint(points)
    return shapely.LineString(parts[0]) if len(parts) == 1 else shapely.MultiLineString(parts)
