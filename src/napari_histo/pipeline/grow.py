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

__all__ = ["grow_cells", "seeds"]

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
    nuclei = seeds(table)
    rows = np.flatnonzero(np.diff(nuclei.object_offsets))
    nuclei = _chosen(nuclei, rows)
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


def seeds(table: ObjectTable) -> Contours:
    """(n) nuclei of detections and cells: their own, else their outlines; else empty rows."""
    grows = np.isin(table.object_type, (ObjectType.DETECTION, ObjectType.CELL))
    grows &= table.contours.kind == GeometryKind.POLYGON
    if table.nuclei is None and grows.all():
        return table.contours
    own = np.zeros(len(table), bool)
    if table.nuclei is not None:
        own = grows & (np.diff(table.nuclei.object_offsets) > 0)
    return _patched(
        Contours.empty(len(table)),
        (np.flatnonzero(grows & ~own), table.contours.take(grows & ~own)),
        (np.flatnonzero(own), (table.nuclei or Contours.empty(len(table))).take(own)),
    )


def _patched(base: Contours, *patches: tuple[Rows, Contours]) -> Contours:
    """`base` with other outlines in some rows."""
    at, n = np.arange(len(base)), len(base)
    for rows, contours in patches:
        at[rows] = n + np.arange(len(rows))
        n += len(contours)
    if not (at < len(base)).any():
        at, base = at - len(base), Contours.empty()
    return Contours.concat([base, *(contours for _, contours in patches)]).take(at)


def _chosen(contours: Contours, rows: Rows) -> Contours:
    """Ascending rows; the very same outlines, and no copy, where it is all of them."""
    return contours if len(rows) == len(contours) else contours.take(rows)


def _with_cells(
    table: ObjectTable, rows: Rows, nuclei: Contours, found: list[tuple[Rows, Contours]]
) -> ObjectTable:
    """The table with cells, and nuclei, in the rows that grew."""
    n = len(table)
    order = np.concatenate([rows[part] for part, _ in found] or [np.zeros(0, np.int64)])
    object_type = table.object_type.copy()
    object_type[order] = ObjectType.CELL
    detailed = table.select(order).details if table.details else {}
    return table.with_columns(
        contours=_patched(table.contours, *((rows[part], cells) for part, cells in found)),
        nuclei=nuclei if len(rows) == n else _patched(Contours.empty(n), (rows, nuclei)),
        object_type=object_type,
        details={**table.details, **{i: _of_a_cell(d) for i, d in detailed.items()}},
    )


def _of_a_cell(details: Details) -> Details:
    """A cell is no ellipse, even where its nucleus was drawn as one."""
    extra = {k: v for k, v in details.geometry_extra.items() if k != "isEllipse"}
    return replace(details, geometry_extra=extra)
