"""Outlines as pixels: the rims of objects, and of the nuclei within them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours
from napari_histo.store.labels import draw

__all__ = ["draw_nuclei", "put_nuclei", "rims", "wider"]

#: Nuclei of fewer pixels are left out: their rims would blot out the cell's.
_LEAST_PX = 6


def wider(box: Box, width: int) -> Box:
    """A box with a margin on each side."""
    return Box(box.x - width, box.y - width, box.width + 2 * width, box.height + 2 * width)


def rims(labels: NDArray[np.uint32], width: int) -> NDArray[np.uint32]:
    """The rim of each label, without the `width` pixels of margin on each side."""
    height, length = (n - 2 * width for n in labels.shape)
    inner = labels[width : width + height, width : width + length]
    same = np.ones(inner.shape, bool)
    # The corners of an octagon: as good as all of its pixels for anything wider than the rim.
    slant = -(-width * 7 // 10)
    for dy, dx in ((0, width), (0, -width), (width, 0), (-width, 0)):
        same &= inner == labels[width + dy :, width + dx :][:height, :length]
    for dy, dx in ((slant, slant), (slant, -slant), (-slant, slant), (-slant, -slant)):
        same &= inner == labels[width + dy :, width + dx :][:height, :length]
    return np.where(same, np.uint32(0), inner)


def draw_nuclei(
    box: Box,
    downsample: int,
    *,
    nuclei: Contours,
    values: NDArray[np.uint32],
    width: int = 1,
) -> NDArray[np.uint32]:
    """Rims of nuclei, in pixels of a box of a level; 0 elsewhere.

    Parameters
    ----------
    box : Box
        In pixels of the level.
    downsample : int
        Full-resolution px per pixel of the level.
    nuclei : Contours
        Full-resolution px; rows may be empty. Those below 6 pixels of the level are left out.
    values : (n,) uint32
        What to draw for each.
    width : int
        Of the rims, pixels of the level.
    """
    sides = nuclei.bounds[:, 2:] - nuclei.bounds[:, :2]
    # Empty rows have NaN for bounds, and are not large.
    large = np.flatnonzero(sides.min(axis=1, initial=np.inf) >= _LEAST_PX * downsample)
    if not len(large):
        return np.zeros(box.shape, np.uint32)
    around = wider(box, width).scale(downsample)
    return rims(draw(nuclei.take(large), values[large], around, downsample), width)


def put_nuclei(drawn: NDArray[np.uint32], lines: NDArray[np.uint32], *, filled: bool) -> None:
    """Put rims of nuclei between the rims of cells; into `filled` cells as lines without a value.

    So a nucleus is seen, and has the value of its cell.
    """
    if filled:
        drawn[(lines > 0) & (lines == drawn)] = 0
    else:
        np.copyto(drawn, lines, where=(drawn == 0) & (lines > 0))
