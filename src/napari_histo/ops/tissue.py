"""Which parts of a slide hold tissue, as a coarse raster over the image."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import Box, Contours, SlideInfo
from napari_histo.ops.scanline import fill
from napari_histo.ops.trace import trace

__all__ = ["MAX_CELLS", "TissueMask", "raster_shape"]

#: Most cells of a mask: at 8 µm these are 19 x 19 mm, and finding them takes 400 MB.
MAX_CELLS = 6_000_000
#: Cells along the longer side of a mask that was drawn by hand.
_DRAWN_CELLS = 4096


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Where there is tissue: a raster of cells that covers the image exactly.

    Attributes
    ----------
    cells : (rows, columns) bool
        True for tissue; at least one cell.
    cell_px : (float, float)
        Full-resolution px per cell, along x and y; the first cell starts at the image's corner.

    Examples
    --------
    >>> mask = TissueMask(np.array([[True, False]]), (100.0, 50.0))
    >>> mask.touches(Box(90, 0, 20, 20)), mask.touches(Box(100, 0, 20, 20))
    (True, False)
    """

    cells: NDArray[np.bool_]
    cell_px: tuple[float, float]

    def __post_init__(self) -> None:
        if self.cells.ndim != 2 or not self.cells.size or self.cells.dtype != bool:
            raise ValueError(
                f"Cells have shape {self.cells.shape} and type {self.cells.dtype}; wanted is one "
                "plane (rows, columns) of booleans with at least one cell."
            )
        if not all(math.isfinite(side) and side > 0 for side in self.cell_px):
            raise ValueError(f"A cell has {self.cell_px} px; both sides must be above 0.")

    @classmethod
    def over(cls, cells: NDArray[np.bool_], info: SlideInfo) -> Self:
        """A raster of any size, stretched over a whole image."""
        rows, columns = cells.shape
        return cls(cells, (info.width / columns, info.height / rows))

    @classmethod
    def everything(cls, info: SlideInfo) -> Self:
        """All of an image is tissue."""
        return cls.over(np.ones((1, 1), bool), info)

    @classmethod
    def from_contours(
        cls, contours: Contours, info: SlideInfo, *, cell_px: float | None = None
    ) -> Self:
        """Areas as a mask: a cell is tissue where its centre lies in one.

        Parameters
        ----------
        contours : Contours
            In full-resolution px; rows may overlap, lines and points count for nothing. The
            even-odd rule holds within a part, so outlines that cross themselves do no harm.
        info : SlideInfo
        cell_px : float, optional
            Full-resolution px per cell, made a little smaller so that whole cells cover the image;
            by default the longer side has 4096 cells, and no cell is smaller than a pixel.
        """
        wished = max(info.width, info.height) / _DRAWN_CELLS if cell_px is None else cell_px
        shape = raster_shape(info, max(1.0, wished))
        mask = cls.over(np.zeros(shape, bool), info)
        drawn = np.zeros(shape, np.uint8)
        in_cells = contours.transform((1 / mask.cell_px[0], 1 / mask.cell_px[1]), (0, 0))
        fill(in_cells, np.ones(len(contours), np.uint8), drawn)
        return replace(mask, cells=drawn > 0)

    @property
    def area_px(self) -> float:
        """Area of the tissue, full-resolution px²."""
        return float(np.count_nonzero(self.cells)) * self.cell_px[0] * self.cell_px[1]

    @property
    def share(self) -> float:
        """Share of the image that is tissue, 0 to 1."""
        return float(np.count_nonzero(self.cells)) / self.cells.size

    def touches(self, box: Box) -> bool:
        """True where a box, full-resolution px, holds any tissue."""
        if box.is_empty:
            return False
        x, y = self.cell_px
        covered = box.scale(1 / x, 1 / y).intersect(Box(0, 0, *self.cells.shape[::-1]))
        part = self.cells[covered.y : covered.bottom, covered.x : covered.right]
        return bool(part.any())

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Which points, (n, 2) x before y in full-resolution px, lie in tissue."""
        rows, columns = self.cells.shape
        scaled = np.asarray(points, np.float64).reshape(-1, 2) / self.cell_px
        inside = np.asarray(((scaled >= 0) & (scaled < (columns, rows))).all(axis=1))
        x, y = np.floor(scaled[inside]).astype(np.int64).T
        inside[inside] = self.cells[y, x]
        return inside

    def to_contours(self, *, tolerance_px: float = 0) -> Contours:
        """Outlines, one row a connected piece, holes kept.

        Parameters
        ----------
        tolerance_px : float
            How far an outline may stray from the cells' edges to need fewer vertices, full-
            resolution px. With 0 it runs along the edges, and `from_contours` gives the same cells.

        Returns
        -------
        Contours
            In full-resolution px.
        """
        from skimage.measure import label as connected

        pieces = connected(self.cells, connectivity=1)  # type: ignore[no-untyped-call]
        outlines, _ = trace(pieces)
        outlines = outlines.transform(self.cell_px, (0, 0))
        return _simplified(outlines, tolerance_px) if tolerance_px > 0 else outlines


def raster_shape(info: SlideInfo, cell_px: float) -> tuple[int, int]:
    """Rows and columns of cells of at most `cell_px`; larger ones where they would be too many."""
    largest = math.sqrt(info.box.area / MAX_CELLS)
    side = max(cell_px, largest)
    return max(1, math.ceil(info.height / side)), max(1, math.ceil(info.width / side))


def _simplified(outlines: Contours, tolerance_px: float) -> Contours:
    import shapely

    # Topology is preserved, so no outline meets its own holes; neighbouring pieces may touch.
    return Contours.from_shapely(shapely.simplify(outlines.to_shapely(), tolerance_px))
