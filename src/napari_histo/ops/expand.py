"""Cells from nuclei: each grows as far as it may, and to the middle between it and the next."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import Box, Contours, PixelSize
from napari_histo.core._ragged import range_union
from napari_histo.ops.scanline import fill
from napari_histo.ops.trace import trace

__all__ = ["expand", "reach_px"]

#: Centres of a nucleus's outermost pixels lie on average so far within its outline, px.
_WITHIN = 0.3


def reach_px(distance: float, pixel_size: PixelSize | None) -> int:
    """Pixels that lie within `distance` (µm; px where the pixel size is unknown), rounded up."""
    least = 1.0 if pixel_size is None else min(pixel_size.x_um, pixel_size.y_um)
    return math.ceil(distance / least) + 2


def expand(
    nuclei: Contours,
    wanted: NDArray[np.bool_],
    distance: float,
    *,
    extent: Box,
    pixel_size: PixelSize | None = None,
) -> Contours:
    """Grow nuclei without overlap.

    A pixel belongs to the nucleus that is nearest, if that is within `distance`. So the cell of a
    nucleus depends on those within twice the distance alone, and not on tiles.

    Parameters
    ----------
    nuclei : Contours
        The wanted ones and all others within twice the distance, in an order that is always the
        same: where nuclei overlap, the later one has the pixels.
    wanted : (n,) bool
        Which to grow.
    distance : float
        In µm; in px where the pixel size is unknown.
    extent : Box
        The image; nothing grows beyond.
    pixel_size : PixelSize, optional

    Returns
    -------
    Contours
        One row for each wanted nucleus. Outlines go through the middles of the pixels' edges, so
        that they are smooth and neighbours meet but do not overlap. A nucleus without a pixel of
        its own stays as it is.
    """
    rows = np.flatnonzero(wanted)
    box = _around(nuclei.take(rows), 2 * reach_px(distance, pixel_size), extent)
    if box.is_empty:
        return nuclei.take(rows)
    labels = np.zeros(box.shape, np.uint32)
    fill(nuclei, np.arange(1, len(nuclei) + 1), labels, origin=(box.x, box.y))
    cells = _nearest(labels, distance, pixel_size)
    cells[~np.concatenate([[False], wanted])[cells]] = 0
    outlines, found = trace(cells)
    if not len(found):
        return nuclei.take(rows)
    grown = _smooth(_largest_parts(outlines)).transform(1, (box.x, box.y))
    small = rows[~np.isin(rows + 1, found)]
    both = Contours.concat([grown, nuclei.take(small)])
    return both.take(np.argsort(np.concatenate([found - 1, small])))


def _around(contours: Contours, margin_px: int, extent: Box) -> Box:
    bounds = contours.bounds[~np.isnan(contours.bounds[:, 0])]
    if not len(bounds):
        return Box(0, 0, 0, 0)
    left, top = np.floor(bounds[:, :2].min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(bounds[:, 2:].max(axis=0)).astype(int).tolist()
    return Box.from_edges(left, top, right, bottom).pad(margin_px).intersect(extent)


def _nearest(
    labels: NDArray[np.uint32], distance: float, pixel_size: PixelSize | None
) -> NDArray[np.uint32]:
    """Label of the nearest nucleus within `distance`, else 0."""
    if not labels.any():
        return labels
    sampling = (1.0, 1.0) if pixel_size is None else (pixel_size.y_um, pixel_size.x_um)
    far, (y, x) = ndimage.distance_transform_edt(labels == 0, sampling, return_indices=True)
    reach = distance + _WITHIN * sum(sampling) / 2 if distance > 0 else 0.0
    return np.where(far <= reach * (1 + 1e-9), labels[y, x], 0)


def _largest_parts(contours: Contours) -> Contours:
    """The largest part of each row, with its holes; pixels that touch at a corner are others."""
    if (np.diff(contours.object_offsets) == 1).all():
        return contours
    n_parts = len(contours.part_offsets) - 1
    each = np.arange(n_parts + 1, dtype=np.int32)
    parts = Contours(
        contours.xy, contours.ring_offsets, contours.part_offsets, each, np.zeros(n_parts, np.uint8)
    )
    owner = np.repeat(np.arange(len(contours)), np.diff(contours.object_offsets))
    by_size = np.lexsort((-parts.areas_px, owner))
    first = np.flatnonzero(np.diff(owner[by_size], prepend=-1))
    return parts.take(by_size[first])


def _smooth(contours: Contours) -> Contours:
    """Rectilinear outlines through the middles of their unit steps: no stairs, and no overlap.

    Of a straight run only its first and last middle stay.
    """
    ring = np.repeat(np.arange(len(contours.ring_offsets) - 1), np.diff(contours.ring_offsets))
    same = ring[1:] == ring[:-1]
    ring, a, b = ring[1:][same], contours.xy[:-1][same], contours.xy[1:][same]
    half = np.sign(b - a) / 2
    long = np.abs(b - a).sum(axis=1) > 1
    n_points = 1 + long.astype(np.int64)
    at = np.repeat(np.arange(len(a)), n_points)
    last = range_union(np.zeros(len(a), np.int64), n_points)[:, None] == 1
    xy = np.where(last, b[at] - half[at], a[at] + half[at])
    return _closed_rings(_bends(xy, ring[at]), contours)


def _bends(
    xy: NDArray[np.floating], ring: NDArray[np.int64]
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Vertices at which open rings turn."""
    starts = np.flatnonzero(np.diff(ring, prepend=-1))
    ends = np.append(starts[1:], len(ring)) - 1
    before, after = np.arange(len(ring)) - 1, np.arange(len(ring)) + 1
    before[starts], after[ends] = ends, starts
    one, two = xy - xy[before], xy[after] - xy
    turns = one[:, 0] * two[:, 1] != one[:, 1] * two[:, 0]
    return xy[turns], ring[turns]


def _closed_rings(
    open_rings: tuple[NDArray[np.floating], NDArray[np.int64]], like: Contours
) -> Contours:
    """Contours of the same rings, parts and objects as `like`, with other vertices."""
    xy, ring = open_rings
    lengths = np.bincount(ring, minlength=len(like.ring_offsets) - 1)
    starts = np.cumsum(lengths) - lengths
    turn = range_union(np.zeros(len(lengths), np.int64), lengths + 1)
    turn %= np.repeat(np.maximum(lengths, 1), lengths + 1)
    closed = xy[np.repeat(starts, lengths + 1) + turn].astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int32)
    return Contours(closed, offsets, like.part_offsets, like.object_offsets, like.kind)
