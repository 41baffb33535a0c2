"""What a person's edits do to outlines: pure geometry on `Contours`, full-resolution px.

Every function gives valid areas with coordinates of two decimals, as QuPath writes them, so that
saving and reading changes nothing. A row that nothing is left of becomes an empty row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = [
    "clean",
    "erase",
    "fill_holes",
    "merge",
    "paint",
    "smooth",
    "split",
    "stroke_area",
    "subtract",
]

_GRID_PX = 0.01
#: Vertices of a quarter circle: a brush of 50 px is then round to 0.1 px.
_QUARTER = 12
#: How far a cutting line is made longer at both ends, px: hands stop short.
_REACH_PX = 3.0


def clean(contours: Contours, *, min_area_px: float = 1.0, within: Box | None = None) -> Contours:
    """Valid areas within a box, without parts below `min_area_px` (px²), rounded."""
    return _rows(contours.to_shapely(), min_area_px=min_area_px, within=within)


def merge(contours: Contours, *, bridge_px: float = 2.0) -> Contours:
    """All rows as one; gaps of up to `bridge_px` are bridged, wider ones leave several parts."""
    import shapely

    whole = shapely.union_all(_areas(contours))
    if shapely.get_num_geometries(whole) > 1:
        closed = shapely.buffer(shapely.buffer(whole, bridge_px / 2), -bridge_px / 2)
        whole = shapely.union(whole, closed)
    return _rows([whole])


def split(contours: Contours, xy: NDArray[np.floating]) -> Contours:
    """The pieces of one row (k) that a line (n, 2) cuts it into; one where it does not go across.

    The line's ends are drawn out by 3 px, since a hand stops short. Pieces lose nothing but 0.01 px
    along the cut.
    """
    import shapely
    from shapely import ops

    area = _areas(contours)[0]
    cutter = shapely.LineString(_drawn_out(np.asarray(xy, np.float64)))
    pieces: list[Any] = []
    for part in shapely.get_parts(area):
        pieces += ops.split(part, cutter).geoms
    found = _rows(pieces)
    return found.take(np.isfinite(found.bounds).all(axis=1))


def smooth(contours: Contours, *, tolerance_px: float = 1.0) -> Contours:
    """Outlines rounded at about `tolerance_px`: corners are cut three times (Chaikin, 1974).

    The area is brought back to what it was, for cutting corners shrinks.
    """
    import shapely

    areas = _areas(contours)
    simple = shapely.simplify(areas, tolerance_px / 2)
    return _rows([_rounded(before, after) for before, after in zip(areas, simple, strict=True)])


def fill_holes(contours: Contours, *, max_area_px: float | None = None) -> Contours:
    """Without holes, or without those up to `max_area_px` (px²)."""
    import shapely

    filled = []
    for area in _areas(contours):
        polygons = [
            shapely.Polygon(
                part.exterior,
                []
                if max_area_px is None
                else [h for h in part.interiors if shapely.Polygon(h).area > max_area_px],
            )
            for part in shapely.get_parts(area)
            if not part.is_empty
        ]
        filled.append(shapely.union_all(polygons))
    return _rows(filled)


def stroke_area(xy: NDArray[np.floating], radius_px: float) -> Contours:
    """What a round brush covers along a line (n, 2): one row; a dot for one point."""
    return _rows([_stroke(xy, radius_px)])


def paint(contours: Contours, xy: NDArray[np.floating], radius_px: float) -> Contours:
    """One row and what the brush covers."""
    import shapely

    return _rows([shapely.union(_areas(contours)[0], _stroke(xy, radius_px))])


def erase(contours: Contours, xy: NDArray[np.floating], radius_px: float) -> Contours:
    """One row without what the brush covers."""
    import shapely

    return _rows([shapely.difference(_areas(contours)[0], _stroke(xy, radius_px))])


def subtract(contours: Contours, others: Contours) -> Contours:
    """One row without what `others` cover."""
    import shapely

    return _rows([shapely.difference(_areas(contours)[0], shapely.union_all(_areas(others)))])


def _areas(contours: Contours) -> NDArray[np.object_]:
    import shapely

    found = (shapely.Polygon() if g is None else g for g in contours.to_shapely())
    return np.array([shapely.make_valid(g) for g in found], object)


def _rows(geometries: Any, *, min_area_px: float = 0.01, within: Box | None = None) -> Contours:
    """One row a geometry: its areas, clipped, rounded, valid."""
    import shapely

    shapes = np.array([shapely.Polygon() if g is None else g for g in geometries], object)
    shapes = shapely.make_valid(shapes)
    if within is not None:
        box = shapely.box(within.x, within.y, within.right, within.bottom)
        shapes = shapely.intersection(shapes, box)
    shapes = shapely.make_valid(shapely.set_precision(shapes, _GRID_PX))
    return Contours.from_shapely([_only_areas(shape, min_area_px) for shape in shapes])


def _only_areas(shape: BaseGeometry, min_area_px: float) -> BaseGeometry | None:
    import shapely

    if shape.geom_type == "Polygon":
        return shape if shape.area >= min_area_px else None
    parts = [p for p in _polygons(shape) if p.area >= min_area_px]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _polygons(shape: BaseGeometry) -> list[Any]:
    import shapely

    found = []
    for part in shapely.get_parts(shape):
        found += [part] if part.geom_type == "Polygon" else []
        found += list(part.geoms) if part.geom_type == "MultiPolygon" else []
    return found


def _stroke(xy: NDArray[np.floating], radius_px: float) -> BaseGeometry:
    import shapely

    points = np.asarray(xy, np.float64).reshape(-1, 2)
    moving = len(points) > 1 and (points != points[0]).any()
    line = shapely.LineString(points) if moving else shapely.Point(points[0])
    area: BaseGeometry = shapely.buffer(line, radius_px, quad_segs=_QUARTER)
    return area


def _drawn_out(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line with its first and last piece made longer."""
    moved = xy[np.r_[True, (np.diff(xy, axis=0) != 0).any(axis=1)]]
    if len(moved) < 2:
        return np.array([xy[0], xy[0] + 1e-6])
    first, last = moved[0] - moved[1], moved[-1] - moved[-2]
    start = moved[0] + first / np.hypot(*first) * _REACH_PX
    end = moved[-1] + last / np.hypot(*last) * _REACH_PX
    return np.concatenate([[start], moved[1:-1] if len(moved) > 2 else moved[:0], [end]])


def _rounded(before: BaseGeometry, simple: BaseGeometry) -> BaseGeometry:
    import shapely

    parts = [
        shapely.Polygon(_chaikin(p.exterior), [_chaikin(h) for h in p.interiors])
        for p in shapely.get_parts(simple)
        if p.geom_type == "Polygon" and not p.is_empty
    ]
    shape = shapely.make_valid(shapely.union_all(parts))
    if shape.is_empty or shape.area <= 0:
        return before
    # A buffer of (lost area) / (length) gives the area back.
    grown: BaseGeometry = shapely.buffer(shape, (before.area - shape.area) / shape.length)
    return grown if not grown.is_empty else before


def _chaikin(ring: Any) -> NDArray[np.float64]:
    xy = np.asarray(ring.coords)[:-1]
    for _ in range(3):
        following = np.roll(xy, -1, axis=0)
        xy = np.stack([0.75 * xy + 0.25 * following, 0.25 * xy + 0.75 * following], 1).reshape(
            -1, 2
        )
    return xy
