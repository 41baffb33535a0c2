"""Pyramidal slides of any size of which every nucleus is known, written in bounded memory.

A slide is a mosaic of a few patches (see `mosaic_patches`), islands of tissue on glass. Patches
fit the tiles of the file, so each is compressed once, however often it appears.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ObjectTable
from napari_histo.testing.synthetic.he import noise
from napari_histo.testing.synthetic.mosaic_patches import GLASS, PATCH_PX, Patch, make_patch

__all__ = ["MosaicSlide", "make_patches", "repeat_patch", "write_slide"]

_TILE_PX = 256
#: Downsampling of the levels; a patch of level 4 is one tile, of level 16 a sixteenth of one.
_LEVELS = (1, 4, 16)
_QUALITY = 85
_PIXEL_UM = 0.25


@dataclass(frozen=True, eq=False)
class MosaicSlide:
    """A slide on disk with its truth.

    Attributes
    ----------
    path : Path
    patches : list of Patch
    layout : (rows, columns) int
        Patch at each place; -1 for glass.
    """

    path: Path
    patches: list[Patch]
    layout: NDArray[np.int64]

    @property
    def n_nuclei(self) -> int:
        """How many nuclei there are."""
        counts = np.array([len(p.contours) for p in self.patches])
        return int(counts[self.layout[self.layout >= 0]].sum())

    def truth(self) -> ObjectTable:
        """Outline of each nucleus, full-resolution px, row by row of the patches."""
        places = np.argwhere(self.layout >= 0)
        contours = [
            self.patches[self.layout[row, column]].contours.transform(
                1.0, (float(column * PATCH_PX), float(row * PATCH_PX))
            )
            for row, column in places
        ]
        return ObjectTable.build(Contours.concat(contours) if contours else Contours.empty())


def make_patches(n: int, *, seed: int = 0) -> list[Patch]:
    """Patches from dense to sparse; a second each."""
    rng = np.random.default_rng(seed)
    return [make_patch(rng, density) for density in np.linspace(1.0, 0.4, n)]


def write_slide(
    path: Path | str,
    width: int,
    height: int,
    *,
    patches: list[Patch] | None = None,
    tissue: float = 0.5,
    seed: int = 0,
) -> MosaicSlide:
    """Write an OME-TIFF of JPEG tiles with levels 1, 4 and 16 at 0.25 µm/px.

    Parameters
    ----------
    path : path
        Ends with ``.ome.tif``.
    width, height : int
        Full-resolution px; what whole patches do not fill is glass.
    patches : list of Patch, optional
        Eight by default.
    tissue : float
        Share of the patches that is tissue, in islands.
    seed : int
    """
    patches = make_patches(8, seed=seed) if patches is None else patches
    rng = np.random.default_rng(seed)
    rows, columns = height // PATCH_PX, width // PATCH_PX
    side = max(rows, columns, 8)
    height_map = noise(side, 1.5, rng)[:rows, :columns]
    layout = rng.integers(0, len(patches), (rows, columns))
    if tissue < 1 and layout.size:
        layout[height_map < np.quantile(height_map, 1 - tissue)] = -1
    return _write(Path(path), width, height, patches, layout)


def repeat_patch(path: Path | str, patch: Patch, rows: int, columns: int) -> MosaicSlide:
    """The same patch again and again, without glass."""
    layout = np.zeros((rows, columns), np.int64)
    return _write(Path(path), columns * PATCH_PX, rows * PATCH_PX, [patch], layout)


def _write(
    path: Path, width: int, height: int, patches: list[Patch], layout: NDArray[np.int64]
) -> MosaicSlide:
    import tifffile

    # Position -1 is the last picture: glass.
    glass = np.full((PATCH_PX, PATCH_PX, 3), GLASS, np.uint8)
    pictures = [*(patch.image for patch in patches), glass]
    options: dict[str, Any] = {
        "tile": (_TILE_PX, _TILE_PX),
        "compression": "jpeg",
        "photometric": "ycbcr",
        "subsampling": (1, 1),
        "dtype": np.uint8,
    }
    metadata = {
        "axes": "YXS",
        **{f"PhysicalSize{axis}": _PIXEL_UM for axis in "XY"},
        **{f"PhysicalSize{axis}Unit": "µm" for axis in "XY"},
    }
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as writer:
        for level in _LEVELS:
            shape = (-(-height // level), -(-width // level), 3)
            more: dict[str, Any] = (
                {"subifds": len(_LEVELS) - 1, "metadata": metadata}
                if level == 1
                else {"subfiletype": 1, "metadata": None}
            )
            tiles = _tiles(pictures, layout, shape[:2], level)
            writer.write(tiles, shape=shape, **options, **more)
    return MosaicSlide(path, patches, layout)


def _tiles(
    pictures: list[NDArray[np.uint8]],
    layout: NDArray[np.int64],
    shape: tuple[int, int],
    level: int,
) -> Iterator[bytes]:
    """Compressed tiles of a level, row by row."""
    small = [_reduced(picture, level) for picture in pictures]
    cut = partial(_tile, small, layout, PATCH_PX // level)
    known: dict[tuple[object, ...], bytes] = {}
    for y in range(0, shape[0], _TILE_PX):
        for x in range(0, shape[1], _TILE_PX):
            key, compose = cut(y, x)
            if key not in known:
                if len(known) > 4096:  # of level 16 hardly any tile comes twice
                    known.clear()
                known[key] = _compressed(compose())
            yield known[key]


def _tile(
    small: list[NDArray[np.uint8]], layout: NDArray[np.int64], side: int, y: int, x: int
) -> tuple[tuple[object, ...], partial[NDArray[np.uint8]]]:
    """What a tile at (y, x) shows, and how to draw it."""
    n = max(1, _TILE_PX // side)
    row, column = y // side, x // side
    shown = np.full((n, n), -1, np.int64)
    there = layout[row : row + n, column : column + n]
    shown[: there.shape[0], : there.shape[1]] = there
    corner = (y % side, x % side)
    return (shown.tobytes(), corner), partial(_compose, small, shown, corner)


def _compose(
    small: list[NDArray[np.uint8]], shown: NDArray[np.int64], corner: tuple[int, int]
) -> NDArray[np.uint8]:
    mosaic = np.concatenate(
        [np.concatenate([small[i] for i in row], axis=1) for row in shown], axis=0
    )
    return mosaic[corner[0] : corner[0] + _TILE_PX, corner[1] : corner[1] + _TILE_PX]


def _reduced(picture: NDArray[np.uint8], level: int) -> NDArray[np.uint8]:
    side = PATCH_PX // level
    mean = picture.reshape(side, level, side, level, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(mean), np.uint8)


def _compressed(tile: NDArray[np.uint8]) -> bytes:
    from imagecodecs import jpeg8_encode

    return bytes(
        jpeg8_encode(
            np.ascontiguousarray(tile),
            level=_QUALITY,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling="444",
        )
    )
