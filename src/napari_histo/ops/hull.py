"""Convex hulls of many outlines at once, their least widths and smallest enclosing circles.

The hulls are shapely's. It has no least width, and takes twice as long for the circles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours

__all__ = ["Hulls", "convex_hulls", "enclosing_radius", "least_width"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Relative room for rounding, far below what float32 vertices can tell.
_SLACK = 1e-10
#: Most numbers in one dense array.
_DENSE = 1 << 22


@dataclass(frozen=True, eq=False)
class Hulls:
    """Corners of convex hulls, each an open ring.

    Attributes
    ----------
    xy : (n_corners, 2) float64
        Relative to a vertex of the object.
    offsets : (n + 1,) int64
        Where each hull starts; an object without vertices has none.
    """

    xy: Floats
    offsets: Ints

    @property
    def areas(self) -> Floats:
        """(n,) areas; 0 for points and lines."""
        after = _following(self.offsets)
        cross = self.xy[:, 0] * self.xy[after, 1] - self.xy[after, 0] * self.xy[:, 1]
        owner = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return np.abs(np.bincount(owner, cross, len(self.offsets) - 1)) / 2

    def groups(self) -> list[tuple[Ints, Floats]]:
        """Rows that have equally many corners, and these as (m, corners, 2)."""
        counts = np.diff(self.offsets)
        found = []
        for n in np.unique(counts[counts > 0]).tolist():
            rows = np.flatnonzero(counts == n)
            step = max(1, _DENSE // (n * n))
            for i in range(0, len(rows), step):
                some = rows[i : i + step]
                found.append((some, self.xy[self.offsets[some][:, None] + np.arange(n)]))
        return found


def convex_hulls(contours: Contours, scale: tuple[float, float] = (1.0, 1.0)) -> Hulls:
    """Hulls of all vertices of each row, holes and parts among them.

    Parameters
    ----------
    contours : Contours
    scale : (float, float)
        Units per px along x and y.
    """
    import shapely

    n, owner = len(contours), contours.vertex_object
    counts = np.bincount(owner, minlength=n)
    first = np.cumsum(counts) - counts
    xy = contours.xy.astype(np.float64)
    xy = (xy - xy[first[owner]]) * scale
    # A line through all vertices has their hull, and it may be of any two points, where a ring
    # needs four. A lone point is doubled.
    twice = np.where(counts == 1, 2, 1)[owner]
    filled = np.flatnonzero(counts)
    rank = np.zeros(n, np.int64)
    rank[filled] = np.arange(len(filled))
    lines = shapely.linestrings(xy.repeat(twice, axis=0), indices=rank[owner].repeat(twice))
    hulls = shapely.convex_hull(np.atleast_1d(lines))
    corners, at = shapely.get_coordinates(hulls, return_index=True)
    # Rings of polygons repeat their first corner at the end.
    is_last = np.diff(at, append=-1) != 0
    open_ = ~(is_last & (shapely.get_type_id(hulls) == shapely.GeometryType.POLYGON)[at])
    n_corners = np.zeros(n, np.int64)
    n_corners[filled] = np.bincount(at[open_], minlength=len(filled))
    return Hulls(corners[open_], np.concatenate([[0], np.cumsum(n_corners)]))


def least_width(hull: Floats) -> Floats:
    """(m,) least distance of two parallel lines that hold a hull (m, corners, 2) between them.

    One of them runs along an edge (Houle and Toussaint, IEEE TPAMI 1988).
    """
    if hull.shape[1] < 3:
        return np.zeros(len(hull))
    edge = np.roll(hull, -1, axis=1) - hull
    edge /= np.hypot(edge[..., 0], edge[..., 1])[..., None]
    height = edge[..., 0, None] * hull[:, None, :, 1] - edge[..., 1, None] * hull[:, None, :, 0]
    width: Floats = np.ptp(height, axis=2).min(axis=1)
    return width


def enclosing_radius(hull: Floats) -> Floats:
    """(m,) radii of the smallest circles around hulls (m, corners, 2).

    Elzinga and Hearn (Transp Sci 1972): a circle through two or three corners takes in the corner
    that lies farthest outside, until none does.
    """
    farthest = _distance(hull, hull[:, 0]).argmax(axis=1)
    support = hull[np.arange(len(hull))[:, None], np.stack([0 * farthest, farthest, farthest], 1)]
    centre = support[:, :2].mean(axis=1)
    radius = _distance(support[:, :1], centre)[:, 0]
    rows = np.arange(len(hull))
    while len(rows):
        distance = _distance(hull[rows], centre[rows])
        outside = distance.max(axis=1) > radius[rows] * (1 + _SLACK)
        rows, distance = rows[outside], distance[outside]
        if not len(rows):
            break
        worst = hull[rows, distance.argmax(axis=1)]
        support[rows], centre[rows], larger = _widened(support[rows], worst)
        grows = larger > radius[rows]
        radius[rows] = np.maximum(larger, radius[rows])
        rows = rows[grows]  # the others have come to the end of what rounding allows
    return radius


def _widened(support: Floats, worst: Floats) -> tuple[Floats, Floats, Floats]:
    """Smallest circle around 3 + 1 points that goes through the last: points, centre, radius."""
    four = np.concatenate([support, worst[:, None]], axis=1)
    choices = np.array([[3, 0, 0], [3, 1, 1], [3, 2, 2], [3, 0, 1], [3, 0, 2], [3, 1, 2]])
    points = four[:, choices]
    centres = np.concatenate([points[:, :3, :2].mean(axis=2), _circumcentre(points[:, 3:])], axis=1)
    radii = np.hypot(*np.moveaxis(centres - worst[:, None], -1, 0))
    spread = four[:, None] - centres[:, :, None]
    reach = np.hypot(spread[..., 0], spread[..., 1]).max(axis=2)
    fits = np.isfinite(radii) & (reach <= radii * (1 + _SLACK))
    best = np.where(fits, radii, np.inf).argmin(axis=1)
    rows = np.arange(len(four))
    return points[rows, best], centres[rows, best], radii[rows, best]


def _circumcentre(triangle: Floats) -> Floats:
    """Centre of the circle through three points (…, 3, 2); not finite where they lie in line."""
    a = triangle[..., 0, :]
    (bx, by), (cx, cy) = (np.moveaxis(triangle[..., i, :] - a, -1, 0) for i in (1, 2))
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    with np.errstate(divide="ignore", invalid="ignore"):
        d = 2 * (bx * cy - by * cx)
        centre: Floats = a + np.stack([(cy * b2 - by * c2) / d, (bx * c2 - cx * b2) / d], axis=-1)
    return centre


def _distance(points: Floats, centre: Floats) -> Floats:
    """(m, k) distances of points (m, k, 2) from centres (m, 2)."""
    gap = points - centre[:, None]
    distance: Floats = np.hypot(gap[..., 0], gap[..., 1])
    return distance


def _following(offsets: Ints) -> Ints:
    """Position of the next corner of the same ring."""
    after = np.arange(1, int(offsets[-1]) + 1)
    filled = np.diff(offsets) > 0
    after[offsets[1:][filled] - 1] = offsets[:-1][filled]
    return after
