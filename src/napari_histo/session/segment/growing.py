"""The objects of a whole-slide run as they come, tile by tile."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histo.core import Box, ModelInfo, ObjectTable, PixelSize, SlideInfo
from napari_histo.core.grid_index import GridIndex
from napari_histo.ops.heat import Counts, HeatGrid
from napari_histo.session.annotate.rows import GrowingArray

__all__ = ["Growing", "Part", "Piece"]

#: Side of a bin of the heatmap, µm: some ten nuclei of dense tissue.
_BIN_UM = 30.0
#: Taken where the pixel size is unknown.
_ASSUMED_UM = 0.5
#: The unit of densities: 1 mm², or 1,000,000 px².
_MM2 = 1e6
_EVERYTHING = -1
#: Pieces, and the hull of each: (n, 4), NaN where the piece was replaced.
_Shown = tuple[list["Piece"], GrowingArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Part:
    """Objects of one tile, made ready in the thread of the run.

    Attributes
    ----------
    tile : int
    table : ObjectTable
        Full-resolution px.
    index : GridIndex
        Of its bounds.
    counts : Counts
        For the heatmap.
    """

    tile: int
    table: ObjectTable
    index: GridIndex
    counts: Counts

    @classmethod
    def of(cls, tile: int, table: ObjectTable, heat: HeatGrid) -> Part:
        """Everything that takes time. Any thread may call."""
        return cls(tile, table, GridIndex(table.contours.bounds), heat.count(table))


@dataclass(frozen=True, eq=False)
class Piece:
    """A part in its place: row ``i`` of its table has the number ``first + i``."""

    first: int
    part: Part


class Growing:
    """What a run has settled so far. `put` and `finish` belong to one thread; any may look.

    Parameters
    ----------
    run : int
        Number of the run.
    image_key : hashable
        Of the image, as in `ImageChoice`.
    info : SlideInfo
        The image, with the pixel size of the run.
    model : ModelInfo
    folder : Path
        Of the run.

    Attributes
    ----------
    changed : psygnal.Signal
        Emits the box that has to be drawn anew, full-resolution px.
    classes : ClassScheme
    heat : HeatGrid
    """

    changed = Signal(Box)

    def __init__(
        self, run: int, image_key: Hashable, info: SlideInfo, model: ModelInfo, folder: Path
    ) -> None:
        self.run, self.image_key, self.info = run, image_key, info
        self.model, self.folder, self.classes = model, folder, model.classes
        self.heat = heat_grid(info, len(model.classes))
        self._shown: _Shown = ([], GrowingArray(np.zeros((0, 4))))
        self._places: dict[int, int] = {}
        self._n_rows = 0

    @property
    def unit(self) -> str:
        """What densities are counted per."""
        return "Mpx" if self.info.pixel_size is None else "mm²"

    @property
    def pixel_um(self) -> float:
        """µm per full-resolution px, assumed where nobody knows."""
        return _size(self.info).mean_um

    @property
    def n_parts(self) -> int:
        """Tiles that have come."""
        return len(self._places)

    @property
    def n_objects(self) -> int:
        """Objects that have come."""
        return sum(len(piece.part.table) for piece in self._living())

    @property
    def is_whole(self) -> bool:
        """True once the run is finished."""
        return _EVERYTHING in self._places

    def is_like(self, other: Growing) -> bool:
        """True where `other` is kept in the same folder and belongs over the same image."""
        mine = (self.folder, self.image_key, self.info.pixel_size)
        return mine == (other.folder, other.image_key, other.info.pixel_size)

    def put(self, part: Part) -> None:
        """A tile is settled, or settled anew."""
        before = self._take_out(part)
        if before is None:
            return
        pieces, hulls = self._shown
        place = len(pieces)
        # The piece comes before its hull: who finds the hull finds the piece.
        pieces.append(Piece(self._n_rows, part))
        hulls.extend(_hull(part.table)[None])
        self._places[part.tile] = place
        self._n_rows += len(part.table)
        self.heat.add(part.counts)
        self.changed.emit(_box(np.stack([before, hulls.values[place]])))

    def _take_out(self, part: Part) -> NDArray[np.float64] | None:
        """Where an older answer for the tile was; None where it is the same."""
        place = self._places.get(part.tile)
        if place is None:
            return np.full(4, np.nan)
        pieces, hulls = self._shown
        old = pieces[place].part
        if np.array_equal(old.table.object_id, part.table.object_id):
            return None
        hull: NDArray[np.float64] = hulls.values[place].copy()
        hulls.values[place] = np.nan
        self.heat.add(old.counts, -1)
        return hull

    def finish(self, whole: Part) -> None:
        """All objects are there; they replace the parts, so that nothing is kept twice."""
        for piece in self._living():
            self.heat.add(piece.part.counts, -1)
        self.heat.add(whole.counts)
        self._shown = ([Piece(0, whole)], GrowingArray(_hull(whole.table)[None]))
        self._places, self._n_rows = {_EVERYTHING: 0}, len(whole.table)
        self.changed.emit(self.info.box)

    def near(self, box: Box) -> Iterator[tuple[Piece, NDArray[np.int64]]]:
        """Pieces with rows whose bounds meet a box, and these rows. Any thread may call."""
        pieces, hulls = self._shown
        left, top, right, bottom = hulls.values.T
        hit = (left < box.right) & (right >= box.x) & (top < box.bottom) & (bottom >= box.y)
        for place in np.flatnonzero(hit).tolist():
            rows = pieces[place].part.index.query(box)
            if len(rows):
                yield pieces[place], rows

    def _living(self) -> list[Piece]:
        return [self._shown[0][place] for place in self._places.values()]


def heat_grid(info: SlideInfo, n_classes: int) -> HeatGrid:
    """An empty heatmap over an image."""
    size = _size(info)
    unit_px2 = _MM2 if info.pixel_size is None else _MM2 / size.area_um2
    shape = (info.height, info.width)
    return HeatGrid(shape, n_classes, bin_px=_BIN_UM / size.mean_um, unit_px2=unit_px2)


def _size(info: SlideInfo) -> PixelSize:
    return info.pixel_size or PixelSize.square(_ASSUMED_UM)


def _hull(table: ObjectTable) -> NDArray[np.float64]:
    """left, top, right, bottom of all objects; NaN without any."""
    bounds = table.contours.bounds
    bounds = bounds[np.isfinite(bounds).all(axis=1)].astype(np.float64)
    if not len(bounds):
        return np.full(4, np.nan)
    return np.concatenate([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])


def _box(hulls: NDArray[np.float64]) -> Box:
    """Whole pixels that hold some hulls; empty where all are NaN."""
    known = hulls[np.isfinite(hulls).all(axis=1)]
    if not len(known):
        return Box(0, 0, 0, 0)
    low, high = np.floor(known[:, :2].min(axis=0)), np.ceil(known[:, 2:].max(axis=0))
    return Box.from_edges(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
