"""Drawn tiles of a pyramid, kept until what they show changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil, floor
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box

__all__ = ["TileCache", "Tiles"]

_TILE_PX = 512
#: 128 MB, twice what a window of 4K shows.
_KEPT = 128
#: A larger share of a tile is drawn when somebody looks at it, a smaller one at once.
_PATCHED_SHARE = 0.25


class Tiles:
    """The tiles that were looked at last, of all levels of a pyramid."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.by_key: OrderedDict[tuple[int, int, int], NDArray[np.uint32]] = OrderedDict()


class TileCache:
    """One level of a label image that is drawn on demand; any thread may call.

    Parameters
    ----------
    draw : callable
        Gives the pixels of a box of this level.
    shape : (height, width)
    downsample : int
        Full-resolution px per pixel of this level.
    tiles : Tiles, optional
        Where to keep tiles; levels of one pyramid share it.
    """

    def __init__(
        self,
        draw: Callable[[Box], NDArray[np.uint32]],
        shape: tuple[int, int],
        downsample: int,
        tiles: Tiles | None = None,
    ) -> None:
        self._draw = draw
        self._extent = Box(0, 0, shape[1], shape[0])
        self._downsample = downsample
        self._kept = Tiles() if tiles is None else tiles

    def read(self, box: Box) -> NDArray[np.uint32]:
        """Pixels of a box of this level."""
        out = np.zeros(box.shape, np.uint32)
        for y in range(box.y // _TILE_PX, -(-box.bottom // _TILE_PX)):
            for x in range(box.x // _TILE_PX, -(-box.right // _TILE_PX)):
                place = self._place(x, y)
                shared = place.intersect(box)
                if not shared.is_empty:
                    out[_within(shared, box)] = self._tile(x, y)[_within(shared, place)]
        return out

    def reach(self, box: Box, margin_px: int = 1) -> Box:
        """Pixels of this level that lie in a box of full-resolution px, or so near to it."""
        return _grown(box, self._downsample, margin_px).intersect(self._extent)

    def renew(self, box: Box, *, margin_px: int = 1) -> None:
        """What lies in a box (full-resolution px), or so near to it, has changed."""
        touched = self.reach(box, margin_px)
        if touched.is_empty:
            return
        with self._kept.lock:
            for x, y in self._keys():
                place = self._place(x, y)
                part = place.intersect(touched)
                if part.area > _PATCHED_SHARE * place.area:
                    del self._kept.by_key[self._downsample, x, y]
                elif not part.is_empty:
                    tile = self._kept.by_key[self._downsample, x, y]
                    tile[_within(part, place)] = self._draw(part)

    def clear(self) -> None:
        """Everything has changed."""
        with self._kept.lock:
            for x, y in self._keys():
                del self._kept.by_key[self._downsample, x, y]

    def repaint(self, paint: Callable[[NDArray[np.uint32]], None], seen: Box) -> None:
        """Values have changed, outlines have not: `paint` tiles in a box of this level in place.

        Others are forgotten, for to draw them when they are looked at costs less than to paint
        all of them now.
        """
        with self._kept.lock:
            for x, y in self._keys():
                if self._place(x, y).intersect(seen).is_empty:
                    del self._kept.by_key[self._downsample, x, y]
                else:
                    paint(self._kept.by_key[self._downsample, x, y])

    def _keys(self) -> list[tuple[int, int]]:
        """Column and line of this level's tiles that are kept."""
        return [(x, y) for level, x, y in self._kept.by_key if level == self._downsample]

    def _tile(self, x: int, y: int) -> NDArray[np.uint32]:
        kept, key = self._kept.by_key, (self._downsample, x, y)
        with self._kept.lock:
            tile = kept.get(key)
            if tile is None:
                tile = kept[key] = self._draw(self._place(x, y))
                if len(kept) > _KEPT:
                    kept.popitem(last=False)
            kept.move_to_end(key)
            return tile

    def _place(self, x: int, y: int) -> Box:
        return Box(x * _TILE_PX, y * _TILE_PX, _TILE_PX, _TILE_PX).intersect(self._extent)


def _within(part: Box, whole: Box) -> tuple[slice, slice]:
    top, left = part.y - whole.y, part.x - whole.x
    return slice(top, top + part.height), slice(left, left + part.width)


def _grown(box: Box, downsample: int, margin_px: int = 1) -> Box:
    """A box of this level around one of full resolution, larger by a margin on each side."""
    return Box.from_edges(
        floor(box.x / downsample) - margin_px,
        floor(box.y / downsample) - margin_px,
        ceil(box.right / downsample) + margin_px,
        ceil(box.bottom / downsample) + margin_px,
    )
