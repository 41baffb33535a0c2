"""Tiles that read more than they own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box

__all__ = ["Tile", "TileGrid"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work.

    Attributes
    ----------
    index : int
        Position in its grid, row by row.
    owned : Box
        The pixels that are this tile's alone; an object belongs to the tile that owns its centre.
    read : Box
        What has to be read so that the answer within `owned` is that of the whole image.
    """

    index: int
    owned: Box
    read: Box


@dataclass(frozen=True)
class TileGrid:
    """Cuts `region` into tiles on a lattice that starts at its corner.

    The law: cut, then merge, equals whole.

    Parameters
    ----------
    extent : Box
        All pixels there are (the image). Nothing is read beyond it.
    region : Box
        What is to be done, within `extent`.
    tile_px : int
        Side of what a tile owns, px.
    margin_px : int
        Context that a tile reads on each side beyond what it owns, px.
    align_px : int
        Tiles start to read at multiples of this from the corner of `extent`: a network that halves
        its input k times sees the same phase everywhere if this is a multiple of 2**k.

    Examples
    --------
    >>> grid = TileGrid(Box(0, 0, 100, 50), Box(0, 0, 100, 50), tile_px=64, margin_px=8)
    >>> [tile.read for tile in grid]
    [Box(x=0, y=0, width=72, height=50), Box(x=56, y=0, width=44, height=50)]
    """

    extent: Box
    region: Box
    tile_px: int
    margin_px: int = 0
    align_px: int = 1

    def __post_init__(self) -> None:
        if self.tile_px < 1 or self.margin_px < 0 or self.align_px < 1:
            raise ValueError(
                f"Tiles of {self.tile_px} px with a margin of {self.margin_px} px aligned to "
                f"{self.align_px} px: the size and the alignment must be at least 1, the margin 0."
            )
        if self.region.intersect(self.extent) != self.region and not self.region.is_empty:
            raise ValueError(f"The region {self.region} reaches beyond the image {self.extent}.")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return ceil(self.region.height / self.tile_px), ceil(self.region.width / self.tile_px)

    def __len__(self) -> int:
        rows, columns = self.shape
        return rows * columns

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(f"Tile {index} is not among the {len(self)} of this grid.")
        row, column = divmod(index, self.shape[1])
        corner = Box(
            self.region.x + column * self.tile_px,
            self.region.y + row * self.tile_px,
            self.tile_px,
            self.tile_px,
        )
        owned = corner.intersect(self.region)
        return Tile(index, owned, self._aligned(owned.pad(self.margin_px)).intersect(self.extent))

    def __iter__(self) -> Iterator[Tile]:
        return (self[i] for i in range(len(self)))

    def _aligned(self, box: Box) -> Box:
        a, x0, y0 = self.align_px, self.extent.x, self.extent.y
        return Box.from_edges(
            x0 + (box.x - x0) // a * a,
            y0 + (box.y - y0) // a * a,
            x0 + -(-(box.right - x0) // a) * a,
            y0 + -(-(box.bottom - y0) // a) * a,
        )

    def owner_of(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """Tile that owns each point (n, 2), x before y; -1 outside the region."""
        column = np.floor((points[:, 0] - self.region.x) / self.tile_px).astype(np.int64)
        row = np.floor((points[:, 1] - self.region.y) / self.tile_px).astype(np.int64)
        inside = (points[:, 0] >= self.region.x) & (points[:, 0] < self.region.right)
        inside &= (points[:, 1] >= self.region.y) & (points[:, 1] < self.region.bottom)
        return np.where(inside, row * self.shape[1] + column, -1)
