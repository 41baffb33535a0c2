"""How far objects are from each other and from regions, and how many are near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, Contours, GeometryKind, PixelSize

__all__ = ["class_distances", "neighbours", "region_distances"]

Columns = dict[str, NDArray[np.float64]]
_CHUNK = 100_000


def neighbours(
    centroids: NDArray[np.float64], pixel_size: PixelSize | None, within_um: float | None = None
) -> Columns:
    """Distance to the nearest other centroid, and the number of others within a distance.

    Parameters
    ----------
    centroids : (n, 2) array
        In full-resolution px; rows with NaN are no neighbours.
    pixel_size : PixelSize or None
        None for distances in px.
    within_um : float, optional
        Left out where the pixel size is unknown.
    """
    from scipy.spatial import cKDTree

    points, known, unit = _points(centroids, pixel_size)
    nearest = np.full(len(centroids), np.nan)
    tree = cKDTree(points)
    if len(points) > 1:
        nearest[known] = tree.query(points, k=2)[0][:, 1]
    columns = {f"Nearest neighbour distance {unit}": nearest}
    if within_um is not None and pixel_size is not None:
        count = np.full(len(centroids), np.nan)
        count[known] = tree.query_ball_point(points, within_um, return_length=True) - 1
        columns[f"Neighbours within {within_um:g} µm"] = count
    return columns


def class_distances(
    centroids: NDArray[np.float64],
    class_id: NDArray[np.integer],
    classes: ClassScheme,
    pixel_size: PixelSize | None,
) -> Columns:
    """Distance from each centroid to the nearest of each class; 0 for the class's own objects.

    As QuPath's *Detect centroid distances 2D*. Classes that QuPath ignores are left out, and so
    are all where every object is of one class.
    """
    from scipy.spatial import cKDTree

    points, known, unit = _points(centroids, pixel_size)
    ids, columns = class_id[known], {}
    for i in np.unique(ids).tolist() if len(np.unique(ids)) > 1 else []:
        if i < 0 or classes[i].is_background:
            continue
        values = np.full(len(centroids), np.nan)
        values[known] = cKDTree(points[ids == i]).query(points)[0]
        columns[f"Distance to detection {classes[i].name} {unit}"] = values
    return columns


def region_distances(
    centroids: NDArray[np.float64],
    regions: Contours,
    class_names: NDArray[np.object_],
    pixel_size: PixelSize | None,
) -> Columns:
    """Distance from each centroid to the border of the nearest region of each class.

    Below 0 within a region, as QuPath's *Signed distance to annotations 2D*.

    Parameters
    ----------
    centroids : (n, 2) array
        In full-resolution px.
    regions : Contours
        In full-resolution px; lines and points are left out.
    class_names : sequence of str or None
        Class of each region; those without one, and QuPath's ``Ignore*``, are left out.
    pixel_size : PixelSize or None
    """
    points, known, unit = _points(centroids, pixel_size)
    scale = (1.0, 1.0) if pixel_size is None else (pixel_size.x_um, pixel_size.y_um)
    columns = {}
    for name in sorted({n for n in class_names if n and not n.endswith("*")}):
        rows = (class_names == name) & (regions.kind == GeometryKind.POLYGON)
        values = np.full(len(centroids), np.nan)
        if rows.any():
            values[known] = _signed(points, regions.take(rows).transform(scale, (0, 0)))
            columns[f"Signed distance to annotation {name} {unit}"] = values
    return columns


def _signed(points: NDArray[np.float64], regions: Contours) -> NDArray[np.float64]:
    """(n,) distances to the border of the union of regions, below 0 within."""
    import shapely

    area = shapely.union_all(shapely.make_valid(regions.to_shapely()))
    xy, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(area)), return_index=True
    )
    same = ring[1:] == ring[:-1]
    edges = shapely.linestrings(np.stack([xy[:-1][same], xy[1:][same]], axis=1))
    tree = shapely.STRtree(np.atleast_1d(np.asarray(edges, object)))
    shapely.prepare(area)
    found = []
    for start in range(0, len(points), _CHUNK):
        some = points[start : start + _CHUNK]
        _, far = tree.query_nearest(shapely.points(some), return_distance=True, all_matches=False)
        found.append(np.where(shapely.contains_xy(area, some), -far, far))
    return np.concatenate(found) if found else np.zeros(0)


def _points(
    centroids: NDArray[np.float64], pixel_size: PixelSize | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_], str]:
    """Centroids that there are, in the unit that is named; which rows they are."""
    known = np.asarray(np.isfinite(centroids).all(axis=1), bool)
    if pixel_size is None:
        return centroids[known], known, "px"
    return centroids[known] * (pixel_size.x_um, pixel_size.y_um), known, "µm"
