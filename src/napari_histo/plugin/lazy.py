"""Pyramids that are read or drawn when somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours, ObjectTable, SlideReader
from napari_histo.plugin.outlines import draw_nuclei, put_nuclei
from napari_histo.store.labels import draw

__all__ = [
    "DOT_PX",
    "LazyPlane",
    "count_levels",
    "draw_level",
    "image_levels",
    "label_levels",
    "label_values",
    "n_slots",
]

_CHUNK_PX = 512
#: Tiles that are kept: 64 MB, twice what a window shows.
_KEPT_TILES = 64
#: Below this size on the screen an object is a dot, and drawing its outline is wasted time.
DOT_PX = 2.5


def image_levels(reader: SlideReader) -> list[da.Array]:
    """Levels of a slide, each (h, w, c) of ``info.dtype``; nothing is read yet.

    dask, because napari reads more than it shows from zarr arrays.
    """
    info = reader.info
    return [
        LazyPlane(partial(reader.read, level=level), shape, info.dtype, info.n_channels).to_dask()
        for level, shape in enumerate(info.level_shapes)
    ]


def label_levels(table: ObjectTable, shape: tuple[int, int]) -> list[da.Array]:
    """Label image of a table as a pyramid that is drawn on demand.

    Parameters
    ----------
    table : ObjectTable
        In full-resolution px.
    shape : (height, width)
        Of the whole, px.

    Returns
    -------
    list of (h, w) uint32
        Each half the one before, the last at most 512 px long; values as `label_values`. The
        nucleus of a cell is set off by a line of one pixel without a value.
    """
    shape = (max(shape[0], 2), max(shape[1], 2))  # so that there is a smaller level
    values = label_values(table)
    levels = []
    for level in range(count_levels(shape)):
        downsample = 1 << level
        read = lru_cache(_KEPT_TILES)(partial(_draw_table, table, values, downsample))
        height, width = (-(-n // downsample) for n in shape)
        levels.append(LazyPlane(read, (height, width), values.dtype).to_dask())
    return levels


def n_slots(table: ObjectTable) -> int:
    """Number of colours: one a class, and one more where objects are unclassified."""
    return len(table.classes) + bool((table.class_id < 0).any()) or 1


def label_values(table: ObjectTable) -> NDArray[np.uint32]:
    """(n,) value of each row, ``1 + row * n_slots + slot``: a cycle of colours then shows classes.

    With one class this is the row number plus 1. A dictionary of colours would take napari seconds
    for 100,000 objects.
    """
    slots = n_slots(table)
    slot = np.where(table.class_id < 0, slots - 1, table.class_id).astype(np.uint32)
    rows = np.arange(len(table), dtype=np.uint32)
    return np.uint32(1) + rows * np.uint32(slots) + slot


class LazyPlane:
    """What dask needs of an array: shape, dtype, and slices of it.

    Parameters
    ----------
    read : callable
        Gives the pixels of a box of this level.
    shape : (height, width)
    dtype : numpy.dtype
    channels : int
        0 for arrays without an axis of channels.
    """

    def __init__(
        self,
        read: Callable[[Box], NDArray[Any]],
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        channels: int = 0,
    ) -> None:
        self.shape = (*shape, channels) if channels else shape
        self.ndim = len(self.shape)
        self.dtype = dtype
        self._read = read

    def __getitem__(self, key: Sequence[slice]) -> NDArray[Any]:
        (top, bottom, _), (left, right, _) = (
            part.indices(n) for part, n in zip(key[:2], self.shape[:2], strict=True)
        )
        pixels = self._read(Box.from_edges(left, top, right, bottom))
        return pixels[(slice(None), slice(None), *key[2:])]

    def to_dask(self) -> da.Array:
        chunks = (_CHUNK_PX, _CHUNK_PX, *self.shape[2:])
        nothing = np.zeros((0,) * self.ndim, self.dtype)
        # A name of its own: dask must never take one table's tiles for another's.
        array: da.Array = da.from_array(  # type: ignore[no-untyped-call]
            self, chunks, asarray=False, meta=nothing, name=False, inline_array=True
        )
        return array


def draw_level(
    box: Box,
    downsample: int,
    *,
    rows: NDArray[np.int64],
    bounds: NDArray[np.float32],
    outlines: Callable[[NDArray[np.int64]], Contours],
    values: NDArray[np.uint32],
) -> NDArray[np.uint32]:
    """Pixels of a box of a level: areas, and dots for what would be smaller than `DOT_PX`.

    A dot is one pixel: quick, and small objects do not vanish between the pixels. Dots lie over
    areas.

    Parameters
    ----------
    box : Box
        In pixels of the level.
    downsample : int
        Full-resolution px per pixel of the level.
    rows : (n,) int64
        Numbers of the rows that meet the box, ascending.
    bounds : (n, 4) float32
        Of these rows, full-resolution px.
    outlines : callable
        Gives the outlines of row numbers.
    values : (n,) uint32
        What to draw for each row.
    """
    sides = bounds[:, 2:] - bounds[:, :2]
    small = sides[:, 0] * sides[:, 1] < (DOT_PX * downsample) ** 2
    large = outlines(rows[~small])
    out = draw(large, values[~small], box.scale(downsample), downsample)
    middle = (bounds[small, :2] + bounds[small, 2:]) / (2 * downsample)
    x, y = np.floor(middle - (box.x, box.y)).astype(np.int64).T
    inside = (x >= 0) & (y >= 0) & (x < box.width) & (y < box.height)
    out[y[inside], x[inside]] = values[small][inside]
    return out


def _draw_table(
    table: ObjectTable, values: NDArray[np.uint32], downsample: int, box: Box
) -> NDArray[np.uint32]:
    rows = table.query(box.scale(downsample))
    drawn = draw_level(
        box,
        downsample,
        rows=rows,
        bounds=table.contours.bounds[rows],
        outlines=table.contours.take,
        values=values[rows],
    )
    if table.nuclei is not None:
        inner = table.nuclei.take(rows)
        lines = draw_nuclei(box, downsample, nuclei=inner, values=values[rows])
        put_nuclei(drawn, lines, filled=True)
    return drawn


def count_levels(shape: tuple[int, int]) -> int:
    """Down to 512 px, for napari reads the last level whole to make a thumbnail.

    At least two: napari takes one level for a plain array, which could be painted.
    """
    return max(2, (max(shape) - 1).bit_length() - 8)
