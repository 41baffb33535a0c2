"""Polygons to pixels, all at once: a pixel belongs to a polygon that holds its centre.

Not `skimage.draw.polygon` or Pillow: they take one polygon at a time, draw pixels whose centre lies
outside, and leave it to chance which of two neighbours owns a pixel on their common edge. Here the
rule is half-open, so polygons that tile the plane give labels that tile it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, GeometryKind
from napari_histo.core._ragged import range_union

__all__ = ["fill", "spans"]


def fill(
    contours: Contours,
    values: NDArray[np.integer],
    out: NDArray[np.unsignedinteger],
    *,
    origin: tuple[float, float] = (0, 0),
    downsample: float = 1,
) -> None:
    """Write `values` of the rows into the pixels of `out` that their areas hold.

    Parameters
    ----------
    contours : Contours
        (n) outlines. Lines and points draw nothing. Within a part the even-odd rule holds, so holes
        stay as they are.
    values : (n,) integers
        Later rows write over earlier ones.
    out : (height, width) C-contiguous array
        Changed in place.
    origin : (float, float)
        x and y of the corner of `out`, in px of the contours.
    downsample : float
        Pixels of the contours per pixel of `out`.

    Notes
    -----
    The classic scanline fill (Foley et al., Computer Graphics, 3.6) on all edges in one sort. A
    centre on an edge belongs to the polygon at its right or below. Crossings are computed in the
    contours' own pixels, so that a tile comes out as the same part of a larger image does.
    """
    part, start, stop, row = spans(contours, out.shape, origin, downsample)
    lengths = stop - start
    pixels = range_union(row * out.shape[1] + start, lengths)
    owner = np.repeat(np.arange(len(contours)), np.diff(contours.object_offsets))
    # numpy writes repeated indices in order, so the last row wins.
    out.reshape(-1)[pixels] = np.repeat(values[owner[part]], lengths)


def spans(
    contours: Contours,
    shape: tuple[int, ...],
    origin: tuple[float, float] = (0, 0),
    downsample: float = 1,
) -> tuple[NDArray[np.int64], ...]:
    """Runs of pixels that `fill` would write: part, first x, x behind the last, y.

    Parts ascend, and within one the rows, and within one the columns.
    """
    part, top, bottom = _edges(contours)
    height, width = shape
    first, last = (
        np.clip(np.ceil((y - origin[1]) / downsample - 0.5), 0, height).astype(np.int64)
        for y in (top[:, 1], bottom[:, 1])
    )
    crossed = last > first
    part, top, bottom = part[crossed], top[crossed], bottom[crossed]
    first, n_rows = first[crossed], (last - first)[crossed]
    row = range_union(first, n_rows)
    slope = (bottom[:, 0] - top[:, 0]) / (bottom[:, 1] - top[:, 1])
    at = np.repeat(np.arange(len(part)), n_rows)
    x = top[at, 0] + (origin[1] + (row + 0.5) * downsample - top[at, 1]) * slope[at]
    column = np.clip(np.ceil((x - origin[0]) / downsample - 0.5), 0, width).astype(np.int64)
    # One key sorts by part, then row, then column, far faster than three.
    part = part[at]
    key = np.sort((part * height + row) * (width + 1) + column)
    column, line = key % (width + 1), key // (width + 1)
    start, stop, line = column[0::2], column[1::2], line[0::2]
    wide = stop > start
    return line[wide] // height, start[wide], stop[wide], line[wide] % height


def _edges(
    contours: Contours,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Part, upper and lower end (float64) of every edge of an area that is not level."""
    lengths = np.diff(contours.ring_offsets)
    part_of_ring = np.repeat(
        np.arange(len(contours.part_offsets) - 1), np.diff(contours.part_offsets)
    )
    kind = np.repeat(contours.kind, np.diff(contours.object_offsets))[part_of_ring]
    start = np.flatnonzero(np.repeat(kind == GeometryKind.POLYGON, lengths))
    following = np.arange(1, len(contours.xy) + 1)
    filled = lengths > 0
    following[contours.ring_offsets[1:][filled] - 1] = contours.ring_offsets[:-1][filled]
    a = contours.xy[start].astype(np.float64)
    b = contours.xy[following[start]].astype(np.float64)
    # Always from top to bottom, so that neighbours compute the same crossing for a common edge.
    down = (b[:, 1] > a[:, 1])[:, None]
    top, bottom = np.where(down, a, b), np.where(down, b, a)
    tilted = top[:, 1] != bottom[:, 1]
    part = np.repeat(part_of_ring, lengths)[start]
    return part[tilted], top[tilted], bottom[tilted]
