"""What a person's edits do to outlines: pure geometry on `Contours`, full-resolution px.

Every function gives valid areas with coordinates of two decimals, as QuPath writes them, so that
saving and reading changes nothing. A row that nothing is left of becomes an empty row. What is no
number, an empty stroke or a brush without a radius raises `EditError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours
from napari_histo.errors import EditError

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
#: Less than this (px²) is a crumb, not a piece or a hole.
_CRUMB_PX2 = 1.0
#: Narrower than this everywhere (px) is what rounding leaves between two outlines, not tissue.
_SLIVER_PX = 0.5
#: Beyond this neither places nor lengths (px) have a meaning.
_FARTHEST_PX = 1e7


def clean(contours: Contours, *, min_area_px: float = 1.0, within: Box | None = None) -> Contours:
    """Valid areas within a box, rounded, without crumbs and slivers.

    Parts below `min_area_px` (px²) go, and parts that are nowhere 0.5 px wide.
    """
    shapes = _areas(contours)
    return _rows(shapes, min_area_px=min_area_px, min_width_px=_SLIVER_PX, within=within)


def merge(contours: Contours, *, bridge_px: float = 2.0) -> Contours:
    """All rows as one; gaps of up to `bridge_px` are bridged, wider ones leave several parts."""
    import shapely

    bridge_px = _length(bridge_px, "bridge", least=0.0)
    whole = shapely.union_all(_areas(contours))
    if shapely.get_num_geometries(whole) > 1:
        closed = shapely.buffer(shapely.buffer(whole, bridge_px / 2), -bridge_px / 2)
        whole = shapely.union(whole, closed)
    return _rows([whole])


def split(contours: Contours, xy: NDArray[np.floating]) -> Contours:
    """The pieces of one row (k >= 2) that a line (n, 2) cuts it into.

    The line's ends are drawn out by 3 px, since a hand stops short. Only the parts that it crosses
    are cut; other parts, and crumbs of the cut below 1 px², stay with the piece nearest to them.
    Pieces lose nothing but 0.01 px along the cut.

    Raises
    ------
    EditError
        The line cuts no part in two; or is no line.
    """
    import shapely
    from shapely import ops

    cutter = shapely.LineString(_drawn_out(_points(xy)))
    pieces: list[Any] = []
    rest: list[Any] = []
    for part in _polygons(_one(contours)):
        found = list(ops.split(part, cutter).geoms)
        large = [piece for piece in found if _is_part(piece, _CRUMB_PX2, _SLIVER_PX)]
        if len(large) < 2:
            rest.append(part)
        else:
            pieces += large
            rest += [piece for piece in found if not any(piece is p for p in large)]
    if not pieces:
        raise EditError("The line cuts no object in two. Draw it right across.")
    return _rows(_with_nearest(pieces, rest))


def smooth(contours: Contours, *, tolerance_px: float = 1.0) -> Contours:
    """Outlines rounded at about `tolerance_px`: corners are cut three times (Chaikin, 1974).

    Each ring is brought back to the area that it had, for cutting corners shrinks. A part that
    would lose a hole of 1 px² or more, as one behind a thin wall, stays as it is.
    """
    import shapely

    tolerance_px = _length(tolerance_px, "tolerance", least=0.0)
    rows = [[_rounded(p, tolerance_px) for p in _polygons(a)] for a in _areas(contours)]
    return _rows([shapely.union_all(parts) for parts in rows])


def fill_holes(contours: Contours, *, max_area_px: float | None = None) -> Contours:
    """Without holes, or without those up to `max_area_px` (px²)."""
    import shapely

    most = np.inf if max_area_px is None else max_area_px
    filled = []
    for area in _areas(contours):
        polygons = [
            shapely.Polygon(
                part.exterior, [h for h in part.interiors if shapely.Polygon(h).area > most]
            )
            for part in _polygons(area)
        ]
        filled.append(shapely.union_all(polygons))
    return _rows(filled)


def stroke_area(xy: NDArray[np.floating], radius_px: float) -> Contours:
    """What a round brush covers along a line (n, 2): one row; a dot for one point."""
    return _rows([_stroke(xy, radius_px)])


def paint(contours: Contours, xy: NDArray[np.floating], radius_px: float) -> Contours:
    """One row and what the brush covers."""
    import shapely

    return _rows([shapely.union(_one(contours), _stroke(xy, radius_px))])


def erase(contours: Contours, xy: NDArray[np.floating], radius_px: float) -> Contours:
    """One row without what the brush covers."""
    import shapely

    return _rows([shapely.difference(_one(contours), _stroke(xy, radius_px))])


def subtract(contours: Contours, others: Contours) -> Contours:
    """One row without what `others` cover."""
    import shapely

    return _rows([shapely.difference(_one(contours), shapely.union_all(_areas(others)))])


def _areas(contours: Contours) -> NDArray[np.object_]:
    import shapely

    if not np.isfinite(contours.xy).all():
        raise EditError(
            "An outline has points that are no numbers (NaN or infinite), and cannot be edited. "
            "Delete the object, or mend the file that it came from."
        )
    found = (shapely.Polygon() if g is None else g for g in contours.to_shapely())
    return np.array([shapely.make_valid(g) for g in found], object)


def _one(contours: Contours) -> BaseGeometry:
    if len(contours) != 1:
        raise EditError(f"This edit takes one object, not {len(contours)}. Select one.")
    area: BaseGeometry = _areas(contours)[0]
    return area


def _points(xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """A line of at least one point, checked."""
    points = np.asarray(xy, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise EditError(
            f"A stroke is a list of points (n, 2), not an array {points.shape}. Draw it again."
        )
    if not (np.abs(points) <= _FARTHEST_PX).all():
        raise EditError(
            f"A stroke has a point outside all images: {_first_odd(points)}. Draw it again."
        )
    return points


def _first_odd(points: NDArray[np.float64]) -> str:
    x, y = points[~(np.abs(points) <= _FARTHEST_PX).all(axis=1)][0]
    return f"({x}, {y})"


def _length(value: float, name: str, *, least: float) -> float:
    if not least <= value <= _FARTHEST_PX:
        raise EditError(f"The {name} is {value} px. Give a number from {least:g} px on.")
    return float(value)


def _rows(
    geometries: Any,
    *,
    min_area_px: float = 0.01,
    min_width_px: float = 0.0,
    within: Box | None = None,
) -> Contours:
    """One row a geometry: its areas, clipped, rounded, valid."""
    import shapely

    shapes = shapely.make_valid(np.array(list(geometries), object))
    if within is not None:
        box = shapely.box(within.x, within.y, within.right, within.bottom)
        shapes = shapely.intersection(shapes, box)
    shapes = shapely.make_valid(shapely.set_precision(shapes, _GRID_PX))
    return Contours.from_shapely([_only_areas(s, min_area_px, min_width_px) for s in shapes])


def _only_areas(
    shape: BaseGeometry, min_area_px: float, min_width_px: float
) -> BaseGeometry | None:
    import shapely

    parts = [p for p in _polygons(shape) if _is_part(p, min_area_px, min_width_px)]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _is_part(part: BaseGeometry, min_area_px: float, min_width_px: float) -> bool:
    """True for a polygon that is large enough, and somewhere wide enough."""
    import shapely

    if part.area < min_area_px:
        return False
    # Area <= length * inscribed radius (Bonnesen): most are told wide without an erosion.
    is_wide = part.area >= part.length * min_width_px / 2
    return is_wide or not shapely.buffer(part, -min_width_px / 2).is_empty


def _polygons(shape: BaseGeometry) -> list[Any]:
    import shapely

    found = []
    for part in shapely.get_parts(shape):
        found += [part] if part.geom_type == "Polygon" and not part.is_empty else []
        found += list(part.geoms) if part.geom_type == "MultiPolygon" else []
    return found


def _with_nearest(pieces: list[Any], rest: list[Any]) -> list[BaseGeometry]:
    """Pieces, each with those of the rest that are nearest to it."""
    import shapely

    groups = [[piece] for piece in pieces]
    for part in rest:
        groups[int(np.argmin(shapely.distance(pieces, part)))].append(part)
    return [shapely.union_all(group) for group in groups]


def _stroke(xy: NDArray[np.floating], radius_px: float) -> BaseGeometry:
    import shapely

    points = _points(xy)
    # A brush of no width would leave nothing, and its outline could not be rounded.
    radius_px = _length(radius_px, "brush's radius", least=_GRID_PX)
    moving = (points != points[0]).any()
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
    return np.concatenate([[start], moved[1:-1], [end]])


def _rounded(part: Any, tolerance_px: float) -> BaseGeometry:
    """One polygon with rounder rings; as it is where a hole would be lost."""
    import shapely

    simple = shapely.simplify(part, tolerance_px / 2)
    rings = zip([part.exterior, *part.interiors], [simple.exterior, *simple.interiors], strict=True)
    outer, *holes = (_rounded_ring(before, after) for before, after in rings)
    shape: BaseGeometry = shapely.difference(outer, shapely.union_all(holes))
    return shape if _n_holes(shape) >= _n_holes(part) else part


def _rounded_ring(before: Any, simple: Any) -> BaseGeometry:
    """The area within a ring, as large as before."""
    import shapely

    whole = shapely.Polygon(before)
    shape = shapely.make_valid(shapely.Polygon(_chaikin(simple)))
    if shape.length <= 0:
        return whole
    # A buffer of d adds length * d + pi * d² (Steiner): the d that gives the area back.
    half, lost = shape.length / 2, whole.area - shape.area
    by = lost / (half + np.sqrt(max(half**2 + np.pi * lost, 0.0)))
    grown: BaseGeometry = shapely.buffer(shape, by)
    return whole if grown.is_empty else grown


def _n_holes(shape: BaseGeometry) -> int:
    import shapely

    holes = [shapely.Polygon(h) for part in _polygons(shape) for h in part.interiors]
    return sum(hole.area >= _CRUMB_PX2 for hole in holes)


def _chaikin(ring: Any) -> NDArray[np.float64]:
    xy = np.asarray(ring.coords)[:-1]
    for _ in range(3):
        after = np.roll(xy, -1, axis=0)
        xy = np.stack([0.75 * xy + 0.25 * after, 0.25 * xy + 0.75 * after], 1).reshape(-1, 2)
    return xy
