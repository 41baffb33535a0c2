"""Objects as label images and label images as objects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours, ObjectTable
from napari_histo.ops.scanline import fill
from napari_histo.ops.trace import trace

__all__ = ["draw", "labels_to_table", "rasterise"]

_MAX_PIXELS = 1 << 23  # pixels of outlines' boxes that are drawn in one go


def rasterise(
    table: ObjectTable,
    box: Box,
    *,
    downsample: float = 1,
    values: NDArray[np.integer] | None = None,
) -> NDArray[np.uint32]:
    """Label image of the objects in a box.

    A pixel belongs to an object when its centre lies inside (on a left or upper edge counts, on a
    right or lower one does not). Where objects overlap, the later row wins. Holes stay open; lines,
    points and objects that hold no pixel centre draw nothing.

    Parameters
    ----------
    table : ObjectTable
        Objects in full-resolution px.
    box : Box
        What to draw, full-resolution px.
    downsample : float
        Full-resolution px per pixel of the result.
    values : (n,) integers, optional
        What to draw for each row; by default the row number + 1. 0 is background.

    Returns
    -------
    (h, w) uint32
        ``h = ceil(box.height / downsample)``, likewise w.
    """
    labels = np.arange(1, len(table) + 1, dtype=np.uint32) if values is None else values
    return draw(table.contours, labels, box, downsample)


def labels_to_table(
    labels: NDArray[np.integer],
    *,
    offset: tuple[float, float] = (0, 0),
    scale: float | tuple[float, float] = 1,
    **columns: Any,
) -> ObjectTable:
    """Objects whose outlines run along the edges of the pixels: drawn again, they are the same.

    Parameters
    ----------
    labels : (height, width) integers
        0 is background. A label of several pieces becomes one object of several parts.
    offset : (float, float)
        x and y of the array's corner, full-resolution px.
    scale : float or (float, float)
        Full-resolution px per pixel of the array, (x, y).
    **columns
        For `ObjectTable.build`: ``classes``, ``object_type``, ``source``, …

    Returns
    -------
    ObjectTable
        One row a label, in ascending order of the labels; those need not be consecutive.
    """
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Labels have shape {labels.shape} and type {labels.dtype}; wanted is one plane "
            "(height, width) of integers."
        )
    contours, _ = trace(labels)
    return ObjectTable.build(contours.transform(scale, offset), **columns)


def draw(
    contours: Contours, values: NDArray[np.integer], box: Box, downsample: float
) -> NDArray[np.uint32]:
    """`rasterise` for outlines without a table; (n,) `values`."""
    out = np.zeros(
        (math.ceil(box.height / downsample), math.ceil(box.width / downsample)), np.uint32
    )
    rows = contours.query(box)
    for some in np.split(rows, _cuts(contours.bounds[rows], box, downsample)):
        fill(
            contours.take(some),
            values[some],
            out,
            origin=(box.x, box.y),
            downsample=downsample,
        )
    return out


def _cuts(bounds: NDArray[np.float32], box: Box, downsample: float) -> NDArray[np.int64]:
    """Where to cut rows, so that the pixels in one go stay bounded."""
    low = np.maximum(bounds[:, :2], (box.x, box.y))
    high = np.minimum(bounds[:, 2:], (box.right, box.bottom))
    pixels = np.prod(np.maximum(high - low, 0) / downsample + 1, axis=1, dtype=np.float64)
    return np.flatnonzero(np.diff((np.cumsum(pixels) // _MAX_PIXELS).astype(np.int64))) + 1
