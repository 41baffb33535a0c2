"""Cells from the nuclei of a table."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    Contours,
    Details,
    GeometryKind,
    ObjectTable,
    ObjectType,
    PixelSize,
    Progress,
)
from napari_histo.core.grid_index import GridIndex
from napari_histo.ops.expand import expand, reach_px
from napari_histo.pipeline.tilewise import rows_by_tile, tilewise

__all__ = ["grow_cells"]

Rows = NDArray[np.int64]


def grow_cells(
    table: ObjectTable,
    distance_um: float,
    *,
    extent: Box,
    pixel_size: PixelSize,
    tile_px: int = 1024,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, ObjectTable]:
    """Grow detections into cells that do not overlap; the cells do not depend on the tiles.

    Parameters
    ----------
    table : ObjectTable
        Cells that have a nucleus are grown from it anew; annotations stay as they are.
    distance_um : float
        How far, at most.
    extent : Box
        The image, full-resolution px; nothing grows beyond it.
    pixel_size : PixelSize
    tile_px : int
    cancel : CancelToken, optional

    Returns
    -------
    ObjectTable
        The same rows; those that grew are cells, with their nuclei.

    Raises
    ------
    Cancelled
    """
    nuclei = _seeds(table)
    rows = np.flatnonzero(np.diff(nuclei.object_offsets))
    nuclei = nuclei.take(rows)
    index = GridIndex(nuclei.bounds)
    reach = 2 * reach_px(distance_um, pixel_size)
    found: list[tuple[Rows, Contours]] = []

    def grow(wanted: Rows) -> tuple[Rows, Contours]:
        bounds = nuclei.bounds[wanted]
        low, high = np.floor(bounds[:, :2].min(axis=0)), np.ceil(bounds[:, 2:].max(axis=0))
        around = Box.from_edges(*low.astype(int).tolist(), *high.astype(int).tolist()).pad(reach)
        near = np.union1d(index.query(around), wanted)
        cells = expand(
            nuclei.take(near),
            np.isin(near, wanted),
            distance_um,
            extent=extent,
            pixel_size=pixel_size,
        )
        return wanted, cells

    tiles = rows_by_tile(nuclei.centroids, extent, tile_px)
    yield from tilewise(grow, tiles, cancel or CancelToken(), "Growing cells", found.append)
    return _with_cells(table, rows, nuclei, found)


def _seeds(table: ObjectTable) -> Contours:
    """(n) outlines to grow from; empty rows for what does not grow."""
    grows = np.isin(table.object_type, (ObjectType.DETECTION, ObjectType.CELL))
    grows &= table.contours.kind == GeometryKind.POLYGON
    empty = Contours.empty(1)
    source, at = Contours.concat([table.contours, empty]), np.arange(len(table))
    if table.nuclei is not None:
        source = Contours.concat([table.contours, table.nuclei, empty])
        has_nucleus = np.diff(table.nuclei.object_offsets) > 0
        at = np.where(has_nucleus, at + len(table), at)
    return source.take(np.where(grows, at, len(source) - 1))


def _with_cells(
    table: ObjectTable, rows: Rows, nuclei: Contours, found: list[tuple[Rows, Contours]]
) -> ObjectTable:
    """The table with cells, and nuclei, in the rows that grew."""
    n = len(table)
    order = np.concatenate([rows[part] for part, _ in found] or [np.zeros(0, np.int64)])
    cells = Contours.concat([table.contours, *(cells for _, cells in found)])
    at, nucleus = np.arange(n), np.zeros(n, np.int64)
    at[order] = n + np.arange(len(order))
    nucleus[rows] = 1 + np.arange(len(rows))
    object_type = table.object_type.copy()
    object_type[order] = ObjectType.CELL
    details = {i: _of_a_cell(d) for i, d in table.select(order).details.items()}
    return table.with_columns(
        contours=cells.take(at),
        nuclei=Contours.concat([Contours.empty(1), nuclei]).take(nucleus),
        object_type=object_type,
        details={**table.details, **details},
    )


def _of_a_cell(details: Details) -> Details:
    """A cell is no ellipse, even where its nucleus was drawn as one."""
    extra = {k: v for k, v in details.geometry_extra.items() if k != "isEllipse"}
    return replace(details, geometry_extra=extra)
