"""Pyramids of JPEG tiles, written while they are drawn: memory holds a few rows of tiles."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACTOR", "PIXEL_UM", "DrawnTile", "encode", "reduce", "write_pyramid"]

Image = NDArray[np.uint8]

#: Each level is smaller than the one before by this much.
FACTOR = 4
PIXEL_UM = 0.25
#: Levels are added until one is no longer than this, px.
_SMALLEST_PX = 1024
_QUALITY = 85
#: A classic TIFF ends at 4 GiB; drawn tissue takes less than a byte a px.
_CLASSIC_PX = 2**32


@dataclass(frozen=True, eq=False)
class DrawnTile:
    """A tile of full resolution: its JPEG, and its pixels at the next level."""

    jpeg: bytes
    reduced: Image


def encode(tile: Image) -> bytes:
    """JPEG as scanners write it: YCbCr with colours at half the resolution."""
    from imagecodecs import jpeg8_encode

    return bytes(
        jpeg8_encode(
            np.ascontiguousarray(tile),
            level=_QUALITY,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling="420",
        )
    )


def reduce(image: Image) -> Image:
    """Mean of each 4 × 4 px; sides are multiples of 4."""
    h, w = image.shape[0] // FACTOR, image.shape[1] // FACTOR
    blocks = image.reshape(h, FACTOR, w, FACTOR, 3).sum(axis=(1, 3), dtype=np.uint16)
    return np.asarray((blocks + FACTOR**2 // 2) // FACTOR**2, np.uint8)


def write_pyramid(
    path: Path, width: int, height: int, draw: Callable[[int, int], DrawnTile], *, tile_px: int
) -> None:
    """Write a slide: Aperio's dialect where `path` ends in ``.svs``, else OME-TIFF.

    Parameters
    ----------
    path : Path
    width, height : int
        Full-resolution px.
    draw : callable
        Gives the tile at (column, row); asked once for each, row by row. Tiles on the right and at
        the bottom are drawn whole and reach beyond the slide.
    tile_px : int
        Side of a tile, a multiple of 16.
    """
    import tifffile

    options: dict[str, Any] = {
        "tile": (tile_px, tile_px),
        "photometric": "rgb",
        "compression": "jpeg",
        "subsampling": (2, 2),
        "dtype": np.uint8,
        "resolution": (1e4 / PIXEL_UM, 1e4 / PIXEL_UM),
        "resolutionunit": "CENTIMETER",
    }
    is_svs = path.suffix.lower() == ".svs"
    with tempfile.TemporaryFile() as spool:
        levels = _levels(width, height, tile_px, spool)
        tiles = _full_resolution(width, height, draw, tile_px, levels)
        heads = _svs_heads if is_svs else _ome_heads
        first, lower = heads(path, width, height, len(levels))
        is_big = width * height > _CLASSIC_PX
        with tifffile.TiffWriter(path, bigtiff=is_big, ome=not is_svs) as tiff:
            tiff.write(tiles, shape=(height, width, 3), **options, **first)
            if is_svs:
                # Its second page is always a thumbnail, in strips.
                thumbnail = levels[-1].picture if levels else np.full((64, 64, 3), 255, np.uint8)
                tiff.write(thumbnail, photometric="rgb", metadata=None, software=False)
            for level in levels:
                shape = (level.height, level.width, 3)
                tiff.write(level.jpegs(), shape=shape, **options, **lower)


def _ome_heads(
    path: Path, width: int, height: int, n_lower: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    size = {f"PhysicalSize{axis}": PIXEL_UM for axis in "XY"}
    units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    metadata = {"axes": "YXS", "Name": path.name.split(".")[0], **size, **units}
    return {"metadata": metadata, "subifds": n_lower}, {"metadata": None, "subfiletype": 1}


def _svs_heads(
    path: Path, width: int, height: int, n_lower: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    text = f"Aperio Image Library v12\r\n{width}x{height} (tiles) JPEG/RGB Q={_QUALITY}"
    first = f"{text}|AppMag = 40|MPP = {PIXEL_UM}|Filename = {path.stem}"
    plain = {"metadata": None, "software": False}
    return {"description": first, **plain}, {"description": text, **plain}


class _Level:
    """A lower level that grows row by row as the one above it is drawn."""

    def __init__(
        self, width: int, height: int, *, tile_px: int, spool: IO[bytes], below: _Level | None
    ) -> None:
        self.width, self.height = width, height
        self._tile, self._spool, self._below = tile_px, spool, below
        self._rows = np.full((tile_px, -(-width // tile_px) * tile_px, 3), 255, np.uint8)
        self._filled = 0
        self._places: list[tuple[int, int]] = []
        self._last_rows: list[Image] = []

    def add(self, strip: Image) -> None:
        """Rows of this level, (any, any width, 3)."""
        while len(strip):
            room = self._tile - self._filled
            part, strip = strip[:room], strip[room:]
            shown = min(part.shape[1], self._rows.shape[1])
            self._rows[self._filled : self._filled + len(part), :shown] = part[:, :shown]
            self._filled += len(part)
            if self._filled == self._tile:
                self._flush()

    def finish(self) -> None:
        """Nothing more comes."""
        n_rows = -(-self.height // self._tile)
        if len(self._places) < n_rows * (self._rows.shape[1] // self._tile):
            self._rows[self._filled :] = 255
            self._flush()
        if self._below is not None:
            self._below.finish()

    def jpegs(self) -> Iterator[bytes]:
        """Tiles in the order of the file."""
        for start, length in self._places:
            self._spool.seek(start)
            yield self._spool.read(length)

    @property
    def picture(self) -> Image:
        """All of the level; kept for the lowest alone."""
        return np.concatenate(self._last_rows)[: self.height, : self.width]

    def _flush(self) -> None:
        self._filled = 0
        if len(self._places) >= -(-self.height // self._tile) * (self._rows.shape[1] // self._tile):
            return  # below the slide's lower edge
        for x in range(0, self._rows.shape[1], self._tile):
            jpeg = encode(self._rows[:, x : x + self._tile])
            start = self._spool.seek(0, 2)
            self._spool.write(jpeg)
            self._places.append((start, len(jpeg)))
        if self._below is not None:
            self._below.add(reduce(self._rows))
        else:
            self._last_rows.append(self._rows.copy())


def _levels(width: int, height: int, tile_px: int, spool: IO[bytes]) -> list[_Level]:
    """Levels below full resolution, largest first."""
    sizes = []
    while max(width, height) > _SMALLEST_PX:
        # Rounded down, as scanners do.
        width, height = max(1, width // FACTOR), max(1, height // FACTOR)
        sizes.append((width, height))
    levels: list[_Level] = []
    for w, h in reversed(sizes):
        below = levels[0] if levels else None
        levels.insert(0, _Level(w, h, tile_px=tile_px, spool=spool, below=below))
    return levels


def _full_resolution(
    width: int,
    height: int,
    draw: Callable[[int, int], DrawnTile],
    tile_px: int,
    levels: list[_Level],
) -> Iterator[bytes]:
    """Tiles of full resolution; fills the lower levels on the way."""
    columns, rows = -(-width // tile_px), -(-height // tile_px)
    for row in range(rows):
        tiles = [draw(column, row) for column in range(columns)]
        # Before the row's JPEGs are given: nobody asks on behind the last one.
        if levels:
            levels[0].add(np.concatenate([tile.reduced for tile in tiles], axis=1))
            if row == rows - 1:
                levels[0].finish()
        yield from (tile.jpeg for tile in tiles)
