"""Outlines of labelled pixels along their edges, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours
from napari_histo.core._ragged import range_union

__all__ = ["trace"]

# Directions of a pixel's edges, clockwise in an image with y down; the pixel is at the right hand.
_STEPS = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])  # east, south, west, north


def trace(labels: NDArray[np.integer]) -> tuple[Contours, NDArray[np.int64]]:
    """Rectilinear outlines whose pixels are exactly those of the labels.

    Parameters
    ----------
    labels : (height, width) integers
        0 is background. A label of several pieces becomes one object of several parts.

    Returns
    -------
    Contours
        One row a label, ascending, in px of the array, a pixel covering ``[i, i + 1)``; valid
        polygons with holes: corners only, outlines clockwise on the screen, holes the other way.
    values : (n,) int64
        The labels of the rows.

    Notes
    -----
    Crack following. Every edge between a pixel and one of another piece is a step, with the pixel
    at its right hand. Pieces are 4-connected; where two pixels of one piece touch at a corner only,
    the outline turns left, towards the other one, which keeps every ring free of touching itself.
    """
    from skimage.measure import label as connected

    pieces = connected(labels, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    if not pieces.any():
        return Contours.empty(), np.zeros(0, np.int64)
    stride = labels.shape[1] + 1
    start, direction, piece = _cracks(pieces, stride)
    following = _successors(start, direction, piece, stride)
    rings, ring_piece = _rings(direction, following, piece)
    corner_xy = np.stack([start % stride, start // stride], axis=1)
    values_of_piece = _value_of_piece(labels, pieces)
    return _assemble(rings, ring_piece, corner_xy, values_of_piece)


def _cracks(
    pieces: NDArray[np.integer], stride: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Start vertex, direction and piece of each step, sorted by vertex and direction."""
    height, width = pieces.shape
    padded = np.pad(pieces, 1)
    inside = padded[1:-1, 1:-1]
    found = []
    # The neighbour beyond the edge, and where a step along the edge starts, for each direction.
    sides = ((-1, 0, 0, 0), (0, 1, 0, 1), (1, 0, 1, 1), (0, -1, 1, 0))
    for direction, (dy, dx, y0, x0) in enumerate(sides):
        beyond = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        y, x = np.nonzero((inside != 0) & (inside != beyond))
        found.append(((y + y0) * stride + x + x0, np.full(len(y), direction), pieces[y, x]))
    start, way, piece = (
        np.concatenate(column).astype(np.int64) for column in zip(*found, strict=True)
    )
    order = np.argsort(start * 4 + way)
    return start[order], way[order], piece[order]


def _successors(
    start: NDArray[np.int64],
    direction: NDArray[np.int64],
    piece: NDArray[np.int64],
    stride: int,
) -> NDArray[np.int64]:
    """For each step the next one of its piece: to the left where there is one, else on or right."""
    keys = start * 4 + direction
    dx, dy = _STEPS[direction].T
    end = start + dx + dy * stride
    following = np.full(len(start), -1)
    for turn in (1, 0, 3):  # the last choice is written first and the best one last
        wanted = end * 4 + (direction + turn) % 4
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        fits = (keys[at] == wanted) & (piece[at] == piece)
        following[fits] = at[fits]
    return following


def _rings(
    direction: NDArray[np.int64], following: NDArray[np.int64], piece: NDArray[np.int64]
) -> tuple[list[list[int]], list[int]]:
    """Steps that start at a corner, ring by ring, and the piece of each ring."""
    turns = np.ones(len(direction), bool)
    turns[following] = direction[following] != direction
    ahead, is_corner = following.tolist(), turns.tolist()
    rings, pieces, seen = [], [], bytearray(len(ahead))
    for first in np.flatnonzero(turns).tolist():
        if seen[first]:
            continue
        ring, at = [], first
        while not seen[at]:
            seen[at] = 1
            if is_corner[at]:
                ring.append(at)
            at = ahead[at]
        rings.append(ring)
        pieces.append(int(piece[first]))
    return rings, pieces


def _value_of_piece(labels: NDArray[np.integer], pieces: NDArray[np.integer]) -> NDArray[np.int64]:
    values = np.zeros(int(pieces.max()) + 1, np.int64)
    values[pieces.reshape(-1)] = labels.reshape(-1)
    return values


def _assemble(
    rings: list[list[int]],
    ring_piece: list[int],
    corner_xy: NDArray[np.int64],
    value_of_piece: NDArray[np.int64],
) -> tuple[Contours, NDArray[np.int64]]:
    """Rings grouped into pieces (outline first) and pieces into labels."""
    lengths = np.array([len(ring) + 1 for ring in rings])
    steps = np.concatenate([np.array([*ring, ring[0]]) for ring in rings])
    xy = corner_xy[steps].astype(np.float32)
    piece = np.array(ring_piece)
    value = value_of_piece[piece]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    # The outline is the ring that reaches furthest left among those of its piece.
    left = np.minimum.reduceat(xy[:, 0], starts)
    order = np.lexsort((left, piece, value))
    xy = xy[range_union(starts[order], lengths[order])]
    piece, value = piece[order], value[order]
    first_of_part = np.flatnonzero(np.diff(piece, prepend=-1))
    first_of_object = np.flatnonzero(np.diff(value[first_of_part], prepend=0))
    contours = Contours(
        xy,
        np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int32),
        np.append(first_of_part, len(rings)).astype(np.int32),
        np.append(first_of_object, len(first_of_part)).astype(np.int32),
        np.zeros(len(first_of_object), np.uint8),
    )
    return contours, value[first_of_part][first_of_object]
