"""Areas and centroids of ragged outlines by the shoelace formula, a chunk of rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_histo.core.contours import Contours

__all__ = ["moments"]

_CHUNK_ROWS = 1 << 14
_POLYGON = 0  # GeometryKind.POLYGON, which cannot be imported from here


def moments(contours: Contours) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas (n,) in px² without holes, and centroids (n, 2); a million nuclei take a second.

    Lines and points have area 0 and the mean of their vertices; empty rows a centroid of NaN.
    """
    n = len(contours)
    areas, centroids = np.zeros(n), np.full((n, 2), np.nan)
    # In chunks: the float64 products of a million outlines would take gigabytes.
    for start in range(0, n, _CHUNK_ROWS):
        rows = slice(start, min(start + _CHUNK_ROWS, n))
        areas[rows], centroids[rows] = _chunk_moments(contours, rows)
    return areas, centroids


def _chunk_moments(
    contours: Contours, rows: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Areas and centroids of neighbouring rows: shoelace, outlines minus holes."""
    part_bounds = contours.object_offsets[rows.start : rows.stop + 1]
    ring_bounds = contours.part_offsets[part_bounds[0] : part_bounds[-1] + 1]
    all_bounds = contours.ring_offsets[ring_bounds[0] : ring_bounds[-1] + 1]
    n, owner = (
        rows.stop - rows.start,
        np.repeat(np.arange(len(part_bounds) - 1), np.diff(part_bounds)),
    )
    owner = np.repeat(owner, np.diff(ring_bounds))
    outline = np.zeros(len(owner), bool)
    outline[ring_bounds[:-1][np.diff(ring_bounds) > 0] - ring_bounds[0]] = True
    filled = np.diff(all_bounds) > 0
    owner, outline, starts = owner[filled], outline[filled], all_bounds[:-1][filled]
    if not len(starts):
        return np.zeros(n), np.full((n, 2), np.nan)
    xy = contours.xy[starts[0] : all_bounds[-1]].astype(np.float64)
    sums, first = _ring_moments(xy, starts - starts[0])
    # Rings may turn either way; what counts is outline minus holes.
    sums *= (np.sign(sums[:, 0]) * np.where(outline, 1.0, -1.0))[:, None]
    # Moments about each ring's first vertex, moved to that of the object's first ring.
    leader = np.unique(owner, return_index=True)[1]
    origin = np.full((n, 2), np.nan)
    origin[owner[leader]] = first[leader]
    sums[:, 1:] += sums[:, :1] * (first - origin[owner])
    totals = np.stack([np.bincount(owner, sums[:, i], n) for i in range(3)], axis=1)
    area = np.where(contours.kind[rows] == _POLYGON, totals[:, 0], 0.0)
    flat = area <= 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        centroid = totals[:, 1:] / totals[:, :1] + origin
    if flat.any():
        centroid[flat] = _vertex_means(contours.take(np.flatnonzero(flat) + rows.start))
    return np.where(flat, 0.0, area), centroid


def _ring_moments(
    xy: NDArray[np.float64], starts: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed area and first moments (n_rings, 3) about each ring's first vertex, and that vertex.

    About a vertex of the ring: products of coordinates near 100,000 would otherwise cancel away the
    digits that matter, and the edges to and from that vertex add nothing, so rings need no closing.
    """
    first = xy[starts]
    lengths = np.diff(starts, append=len(xy))
    x, y = (xy - np.repeat(first, lengths, axis=0)).T
    cross = np.zeros(len(x))
    cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
    moment_x, moment_y = cross.copy(), cross.copy()
    moment_x[:-1] *= x[:-1] + x[1:]
    moment_y[:-1] *= y[:-1] + y[1:]
    sums = [np.add.reduceat(v, starts) for v in (cross, moment_x, moment_y)]
    return np.stack(sums, axis=1) * np.array([1 / 2, 1 / 6, 1 / 6]), first


def _vertex_means(contours: Contours) -> NDArray[np.float64]:
    """(n, 2) means of the vertices; NaN for empty rows."""
    owner, n = contours.vertex_object, len(contours)
    sums = [np.bincount(owner, contours.xy[:, i], n) for i in range(2)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack(sums, axis=1) / np.bincount(owner, minlength=n)[:, None]
