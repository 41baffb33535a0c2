"""Nuclei of one table and cells of another, as cells with nuclei."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    Contours,
    ObjectTable,
    PixelSize,
    Progress,
)
from napari_histo.core.cell_join import Alone, JoinRequest
from napari_histo.core.grid_index import GridIndex
from napari_histo.errors import PixelSizeUnknownError
from napari_histo.ops.cells import Overlaps, assign, clip, overlaps, without
from napari_histo.ops.expand import reach_px
from napari_histo.pipeline.cell_rows import as_cells, paired_rows, with_free_ids
from napari_histo.pipeline.grow import grow_cells, seeds
from napari_histo.pipeline.tilewise import rows_by_tile, tilewise

__all__ = ["Joined", "extent_of", "join_cells"]

#: Pairs that are clipped in one go.
_CHUNK = 4096

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Joined:
    """What came of it.

    Attributes
    ----------
    table : ObjectTable
        First the rows of the nuclei in their order, then the cells without a nucleus, then other
        objects of the cells' table.
    n_pairs, n_nuclei_alone, n_cells_alone : int
        Before anything was expanded or dropped.
    """

    table: ObjectTable
    n_pairs: int
    n_nuclei_alone: int
    n_cells_alone: int


def join_cells(
    nuclei: ObjectTable,
    cells: ObjectTable,
    request: JoinRequest | None = None,
    *,
    extent: Box | None = None,
    pixel_size: PixelSize | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Joined]:
    """Give each cell one nucleus, and each nucleus one cell, so that they overlap the most.

    A joined cell is the nucleus's row with the cell's outline around it: it keeps the nucleus's id,
    name, probability and parent, and its class where that says more than "Nucleus", else the
    cell's class; it gets the cell's measurements beside its own. Its nucleus is clipped to the
    cell. So the ids of the nuclei stay, whatever finds the cells. Annotations of both tables pass
    through.

    Parameters
    ----------
    nuclei, cells : ObjectTable
        Areas, full-resolution px of one image. Cells in `nuclei` that have a nucleus stand for it.
    request : JoinRequest, optional
    extent : Box, optional
        The image; by default what the objects cover and could grow over.
    pixel_size : PixelSize, optional
        For nuclei that are expanded.
    cancel : CancelToken, optional

    Raises
    ------
    PixelSizeUnknownError
        Nuclei are to be expanded and nobody knows the pixel size.
    Cancelled
    """
    request, cancel = request or JoinRequest(), cancel or CancelToken()
    if request.nuclei_alone is Alone.EXPAND and pixel_size is None:
        raise PixelSizeUnknownError(
            f"Nuclei without a cell are to grow by {request.expand_um:g} µm, and nobody knows how "
            "large a pixel is. Give the pixel size in µm, or keep or drop such nuclei."
        )
    extent = extent or extent_of(nuclei, cells, reach=(request.expand_um, pixel_size))
    job = _Join(nuclei, cells, request, extent, cancel)
    yield from job.match()
    yield from job.clip()
    alone = nuclei.select(job.nuclei_alone)
    if request.nuclei_alone is Alone.EXPAND and pixel_size is not None and len(alone):
        alone = yield from job.expand(alone, pixel_size)
    return job.joined(alone)


@dataclass(eq=False)
class _Join:
    """One call of `join_cells`."""

    nuclei: ObjectTable
    cells: ObjectTable
    request: JoinRequest
    extent: Box
    cancel: CancelToken
    clipped: list[Contours] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inner = seeds(self.nuclei)
        # The cells' own nuclei do not matter: their outlines do.
        self.outer = seeds(self.cells.with_columns(nuclei=None))
        self.is_nucleus = np.diff(self.inner.object_offsets) > 0
        self.is_cell = np.diff(self.outer.object_offsets) > 0
        self.cell_of = np.full(len(self.nuclei), -1, np.int64)

    # -- steps -----------------------------------------------------------------------------------

    def match(self) -> Generator[Progress, None, None]:
        """Fill `cell_of`."""
        index, found = GridIndex(self.inner.bounds), list[Overlaps]()

        def look(cells: Rows) -> Overlaps:
            near = index.query(_box(self.outer.bounds[cells]))
            pairs = overlaps(self.inner.take(near), self.outer.take(cells))
            return pairs.moved(near, cells)

        tiles = rows_by_tile(self.outer.centroids, self.extent, self.request.tile_px)
        yield from tilewise(look, tiles, self.cancel, "Matching nuclei and cells", found.append)
        share = self.request.least_share
        self.cell_of = assign(Overlaps.concat(found), len(self.nuclei), least_share=share)

    def clip(self) -> Generator[Progress, None, None]:
        """Nuclei of the pairs, within their cells."""

        def cut(rows: Rows) -> Contours:
            return clip(self.inner.take(rows), self.outer.take(self.cell_of[rows]))

        rows = self.paired
        chunks = [rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)]
        take = self.clipped.append
        yield from tilewise(cut, chunks, self.cancel, "Fitting nuclei into cells", take)

    def expand(
        self, alone: ObjectTable, pixel_size: PixelSize
    ) -> Generator[Progress, None, ObjectTable]:
        """Nuclei without a cell as cells that reach into no other."""
        by = self.request.expand_um
        grown = yield from grow_cells(
            alone, by, extent=self.extent, pixel_size=pixel_size, cancel=self.cancel
        )
        assert grown.nuclei is not None
        taken = self.outer
        if self.request.cells_alone is Alone.DROP:
            taken = taken.take(self.cell_of[self.paired])
        return grown.with_columns(contours=without(grown.contours, taken, grown.nuclei))

    # -- the answer ------------------------------------------------------------------------------

    @property
    def paired(self) -> Rows:
        """Rows of the nuclei that have a cell."""
        return np.flatnonzero(self.cell_of >= 0)

    @property
    def nuclei_alone(self) -> Rows:
        """Rows of the nuclei that have none."""
        return np.flatnonzero(self.is_nucleus & (self.cell_of < 0))

    @property
    def cells_alone(self) -> Rows:
        """Rows of the cells without a nucleus."""
        return np.setdiff1d(np.flatnonzero(self.is_cell), self.cell_of[self.paired])

    def joined(self, alone: ObjectTable) -> Joined:
        """All objects, with `alone` in place of the nuclei that have no cell."""
        request = self.request
        others, rest = np.flatnonzero(~self.is_nucleus), np.flatnonzero(~self.is_cell)
        paired = paired_rows(self.nuclei.select(self.paired), self._outlines(), self._nuclei())
        parts = [(self.paired, paired), (others, self.nuclei.select(others))]
        if request.nuclei_alone is not Alone.DROP:
            parts.append((self.nuclei_alone, alone))
        order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
        first = ObjectTable.concat([table for _, table in parts]).select(order)
        tables = [first]
        if request.cells_alone is not Alone.DROP:
            tables.append(as_cells(with_free_ids(self.cells.select(self.cells_alone), first)))
        known = set(first.uuids())
        again = np.array([i in known for i in self.cells.select(rest).uuids()], bool)
        tables.append(self.cells.select(rest[~again]))
        counts = (self.paired, self.nuclei_alone, self.cells_alone)
        table = ObjectTable.concat([t for t in tables if len(t)] or tables[:1])
        return Joined(table, *(len(rows) for rows in counts))

    def _outlines(self) -> ObjectTable:
        return self.cells.select(self.cell_of[self.paired])

    def _nuclei(self) -> Contours:
        return Contours.concat(self.clipped)


# -- places --------------------------------------------------------------------------------------


def _box(bounds: NDArray[np.float32]) -> Box:
    """Whole px around bounds (n, 4)."""
    low, high = np.nanmin(bounds[:, :2], axis=0), np.nanmax(bounds[:, 2:], axis=0)
    edges = [floor(v) for v in low.tolist()] + [ceil(v) for v in high.tolist()]
    return Box.from_edges(*edges)


def extent_of(*tables: ObjectTable, reach: tuple[float, PixelSize | None]) -> Box:
    """What objects cover, and what they could grow over by `reach`; not beyond the first pixel."""
    bounds = np.concatenate([t.contours.bounds for t in tables])
    known = bounds[np.isfinite(bounds).all(axis=1)]
    if not len(known):
        return Box(0, 0, 1, 1)
    box, margin = _box(known), reach_px(*reach)
    left, top = (max(edge - margin, min(edge, 0)) for edge in (box.x, box.y))
    return Box.from_edges(left, top, box.right + margin, box.bottom + margin)
