"""Pyramidal slides of any size of which every nucleus and every region is known.

Each tissue is an endless cloth of patches (see `tissue_patches`) whose nuclei lie across the seams
between them. A map says which tissue shows where, in smooth islands on glass; a nucleus shows where
all that is around it is of its tissue, so none is cut, and all that show are counted. Tiles that
lie within one tissue are compressed once, however often they appear.

Counting is what these slides are for. With patches of look "clear" a good model finds each nucleus,
so that what is missing or double is the fault of what is built around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import Contours, ObjectTable, new_ids
from napari_histo.testing.synthetic.streamed_pyramid import (
    DrawnTile,
    encode,
    reduce,
    write_pyramid,
)
from napari_histo.testing.synthetic.tissue_map import CELL_PX, TissueMap, grow_map
from napari_histo.testing.synthetic.tissue_patches import (
    GLASS,
    NUCLEUS_CLASSES,
    TISSUES,
    Library,
    Patch,
)

__all__ = ["SlideTruth", "repeat_tile", "write_slide"]

TILE_PX = 256
#: A nucleus shows where this many cells around its middle's are of its tissue: 32 px at least, of
#: which the nucleus takes 20 and the soft border of the tissue 8.
_AROUND_CELLS = 2
#: What lies farther off does not change a tile.
_REACH_CELLS = 5


@dataclass(frozen=True, eq=False)
class SlideTruth:
    """What a slide shows.

    Attributes
    ----------
    path : Path
    nuclei : ObjectTable
        Outline and class of every nucleus, full-resolution px.
    map : TissueMap
        Tissue of every cell of 16 × 16 px.
    """

    path: Path
    nuclei: ObjectTable
    map: TissueMap

    @cached_property
    def regions(self) -> ObjectTable:
        """Annotations: the tissues of `map` as one (multi) polygon each."""
        return self.map.regions()


def write_slide(
    path: Path | str,
    width: int,
    height: int,
    *,
    seed: int,
    library: Library | None = None,
    tissue: float = 0.45,
    shares: tuple[float, ...] = (0.45, 0.55, 0.0),
    region_px: float = 4000.0,
) -> SlideTruth:
    """Write a slide of 0.25 µm/px: JPEG tiles of 256 px, levels 1, 4, 16, …

    Parameters
    ----------
    path : path
        ``.svs`` writes Aperio's dialect, anything else OME-TIFF.
    width, height : int
        Full-resolution px, 512 or more.
    seed : int
        Of what lies where; the same seed and library write the same pixels.
    library : Library, optional
        Patches; four of each tissue by default, which take half a minute to draw.
    tissue : float
        Share of the slide that is not glass, 0 to 1.
    shares : tuple of float
        Of each of `TISSUES` ("Tumor", "Stroma", "Adipose") in the tissue. Fat has no nuclei.
    region_px : float
        How far a region of one tissue reaches, about, px.

    Raises
    ------
    ValueError
        If a number is outside of what it may be.
    """
    if min(width, height) < 512 or not 0 <= tissue <= 1 or not 0 < len(shares) <= len(TISSUES):
        raise ValueError(
            f"Slide of {width} x {height} px, tissue {tissue}, {len(shares)} shares: sides must be "
            f"512 or more, tissue 0 to 1, and shares one to {len(TISSUES)}."
        )
    library = Library.draw() if library is None else library
    rng = np.random.default_rng(seed)
    grown = grow_map(width, height, rng, tissue=tissue, shares=shares, region_px=region_px)
    return _write(Path(path), width, height, _Scene(library, grown, rng), rng)


def repeat_tile(
    path: Path | str, tile: Patch | NDArray[np.uint8], nx: int, ny: int, *, seed: int = 0
) -> SlideTruth:
    """Write the same square again and again, without glass: for tests of memory and speed.

    Of a `Patch` the nuclei go on across the seams, and none shows that the slide's edge would cut.
    Of a picture (s, s, 3), s a multiple of 256, the truth is empty.
    """
    patch = tile if isinstance(tile, Patch) else Patch.of(tile)
    if patch.size_px % TILE_PX or min(nx, ny) < 1:
        raise ValueError(
            f"The square is {patch.size_px} px wide and repeated {nx} x {ny} times: give a "
            f"multiple of {TILE_PX} px, and 1 or more."
        )
    width, height = nx * patch.size_px, ny * patch.size_px
    shape = (height // CELL_PX, width // CELL_PX)
    scene_map = TissueMap(np.ones(shape, np.uint8))
    rng = np.random.default_rng(seed)
    scene = _Scene(Library(((patch,), (patch,))), scene_map, rng)
    return _write(Path(path), width, height, scene, rng)


def _write(
    path: Path, width: int, height: int, scene: _Scene, rng: np.random.Generator
) -> SlideTruth:
    write_pyramid(path, width, height, scene.tile, tile_px=TILE_PX)
    return SlideTruth(path, scene.nuclei(rng), scene.map)


class _Scene:
    """Which patch of which tissue shows where."""

    def __init__(self, library: Library, tissue_map: TissueMap, rng: np.random.Generator) -> None:
        self.library, self.map = library, tissue_map
        self._tiles: dict[tuple[int, ...], DrawnTile] = {}
        cells_a_patch = library.size_px // CELL_PX
        rows, columns = (-(-n // cells_a_patch) + 1 for n in tissue_map.kinds.shape)
        self._chosen = [rng.integers(len(ps), size=(rows, columns)) for ps in library.patches]

    @cached_property
    def _safe(self) -> NDArray[np.uint8]:
        """(h, w) the tissue of cells around which there is no other; beyond the slide is glass."""
        kinds, size = self.map.kinds, 2 * _AROUND_CELLS + 1
        low = ndi.minimum_filter(kinds, size, mode="constant", cval=GLASS)
        high = ndi.maximum_filter(kinds, size, mode="constant", cval=GLASS)
        return np.where(low == high, kinds, GLASS).astype(np.uint8)

    # -- truth -----------------------------------------------------------------------------------

    def nuclei(self, rng: np.random.Generator) -> ObjectTable:
        """All that show: by tissue, then by patch."""
        rings = [np.zeros((0, 24, 2), np.float32)]
        classes = [np.zeros(0, np.int32)]
        for kind, patches in enumerate(self.library.patches[1:], 1):
            for number, patch in enumerate(patches):
                places = np.argwhere(self._chosen[kind] == number)[:, ::-1] * patch.size_px
                place, row = self._shown(kind, patch, places)
                corner = places[place].astype(np.float32)
                rings.append(patch.rings[row] + corner[:, None, :])
                classes.append(patch.classes[row])
        contours = Contours.from_star(np.concatenate(rings))
        return ObjectTable.build(
            contours,
            object_id=new_ids(len(contours), rng),
            class_id=np.concatenate(classes),
            classes=NUCLEUS_CLASSES,
        )

    def _shown(
        self, kind: int, patch: Patch, places: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Place and row of every nucleus of a patch that shows."""
        shown = [np.zeros((2, 0), np.intp)]
        # Some hundred places at a time: a million nuclei are looked at in little memory.
        for start in range(0, len(places), 256):
            middles = places[start : start + 256, None, :] + patch.centres[None]
            place, row = np.nonzero(self._safe_at(middles) == kind)
            shown.append(np.stack([place + start, row]))
        place, row = np.concatenate(shown, axis=1)
        return place, row

    def _safe_at(self, xy: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Tissue of which a nucleus shows there; glass beyond the slide."""
        cell = np.floor(xy / CELL_PX).astype(np.intp)
        column, row = cell[..., 0], cell[..., 1]
        height, width = self._safe.shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        found = self._safe[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        return np.where(inside, found, GLASS).astype(np.uint8)

    # -- picture ---------------------------------------------------------------------------------

    def tile(self, column: int, row: int) -> DrawnTile:
        """The tile there; tiles within one tissue are drawn once."""
        around = self._cells(column, row, _REACH_CELLS)
        kind = int(around[0, 0])
        if (around != kind).any():
            return _drawn(self._mixed(column, row))
        x, y = column * TILE_PX, row * TILE_PX
        number, corner = self._patch_at(kind, x, y)
        key = (kind, number, *corner)
        if key not in self._tiles:
            self._tiles[key] = _drawn(self._cut(self.library.patches[kind][number].image, corner))
        return self._tiles[key]

    def _cells(self, column: int, row: int, margin: int) -> NDArray[np.uint8]:
        """Tissues of the cells of a tile and around it; beyond the slide those at its edge.

        With a margin wide enough for nuclei, glass is put beyond the slide: it hides some.
        """
        n = TILE_PX // CELL_PX
        height, width = self.map.kinds.shape
        rows = np.arange(row * n - margin, (row + 1) * n + margin)
        columns = np.arange(column * n - margin, (column + 1) * n + margin)
        found = self.map.kinds[np.ix_(np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1))]
        if margin > 1:
            found[(rows < 0) | (rows >= height)] = GLASS
            found[:, (columns < 0) | (columns >= width)] = GLASS
        return found

    def _patch_at(self, kind: int, x: int, y: int) -> tuple[int, tuple[int, int]]:
        """Number of the patch at a px of the slide, and which px of the patch that is."""
        size = self.library.size_px
        return int(self._chosen[kind][y // size, x // size]), (x % size, y % size)

    def _cut(self, picture: NDArray[Any], corner: tuple[int, int]) -> NDArray[Any]:
        x, y = corner
        return picture[y : y + TILE_PX, x : x + TILE_PX]

    def _mixed(self, column: int, row: int) -> NDArray[np.uint8]:
        """Tissues melt into each other; then the nuclei that show."""
        cells = self._cells(column, row, 1)
        x, y = column * TILE_PX, row * TILE_PX
        light = np.zeros((TILE_PX, TILE_PX, 3), np.float32)
        present = [int(kind) for kind in np.unique(cells)]
        for kind in present:
            number, corner = self._patch_at(kind, x, y)
            ground = self._cut(self.library.patches[kind][number].ground, corner)
            light += _soft(cells == kind)[..., None] * ground
        tile = np.asarray(np.rint(light), np.uint8)
        for kind in present:
            self._add_nuclei(tile, kind, x, y)
        return tile

    def _add_nuclei(self, tile: NDArray[np.uint8], kind: int, x: int, y: int) -> None:
        number, (left, top) = self._patch_at(kind, x, y)
        patch = self.library.patches[kind][number]
        if not len(patch):
            return
        # Of a nucleus across the seam, the middle that is nearest to this tile is meant.
        half, size = TILE_PX / 2, patch.size_px
        off = patch.centres - (left + half, top + half)
        off -= size * np.round(off / size)
        shows = self._safe_at(off + np.array([x + half, y + half])) == kind
        labels = self._cut(patch.labels, (left, top))
        here = np.concatenate([[False], shows])[labels]
        tile[here] = self._cut(patch.image, (left, top))[here]


def _soft(cells: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(256, 256) share of a tissue at each px, linear between the middles of the cells."""
    at = (np.arange(TILE_PX) + 0.5) / CELL_PX + 0.5
    low = at.astype(np.intp)
    part = (at - low).astype(np.float32)
    values = cells.astype(np.float32)
    rows = values[low] * (1 - part)[:, None] + values[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part)


def _drawn(picture: NDArray[np.uint8]) -> DrawnTile:
    return DrawnTile(encode(picture), reduce(picture))
