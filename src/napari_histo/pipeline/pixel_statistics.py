"""Statistics of the pixels of objects, a tile at a time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    Contours,
    ObjectTable,
    Progress,
    SlideReader,
)
from napari_histo.ops.measure_pixels import (
    COMPARTMENTS,
    PixelSets,
    compartments_of,
    pixel_names,
    statistics,
)
from napari_histo.ops.region_counts import ANNOTATIONS
from napari_histo.ops.stain_vectors import StainVectors
from napari_histo.pipeline.tilewise import rows_by_tile, tilewise

__all__ = ["Group", "groups_of", "pixel_columns"]

Columns = dict[str, NDArray[np.float64]]
Rows = NDArray[np.int64]
Found = list[tuple[tuple[str, ...], Rows, NDArray[np.float64]]]

#: Objects whose bounds hold more pixels are regions rather than cells.
_LARGEST_PX = 1 << 22


@dataclass(frozen=True, eq=False)
class Group:
    """Rows that are measured alike.

    Attributes
    ----------
    rows : (m,) int64
        Ascending.
    outlines : dict of str to Contours
        By compartment, with all rows of the table each; "" for names without a compartment.
    has_pixels : bool
        False for annotations, of which QuPath measures no pixels unasked.
    """

    rows: Rows
    outlines: dict[str, Contours]
    has_pixels: bool = True


def groups_of(table: ObjectTable, compartment: str) -> list[Group]:
    """Cells with nuclei, other objects, annotations: those that there are."""
    drawn = np.isin(table.object_type, ANNOTATIONS)
    whole = np.zeros(len(table), bool)
    groups = []
    if table.nuclei is not None:
        whole = (np.diff(table.nuclei.object_offsets) > 0) & ~drawn
        both = {"Nucleus": table.nuclei, "Cell": table.contours}
        groups.append(Group(np.flatnonzero(whole), both))
    groups.append(Group(np.flatnonzero(~drawn & ~whole), {compartment: table.contours}))
    groups.append(Group(np.flatnonzero(drawn), {"": table.contours}, has_pixels=False))
    return [group for group in groups if len(group.rows)]


def pixel_columns(
    reader: SlideReader,
    table: ObjectTable,
    stains: StainVectors | None,
    compartment: str,
    *,
    tile_px: int,
    cancel: CancelToken,
) -> Generator[Progress, None, Columns]:
    """Columns for every channel (or stain), compartment and statistic.

    Parameters
    ----------
    reader : SlideReader
    table : ObjectTable
    stains : StainVectors or None
        None for the channels as they are.
    compartment : str
        Of objects without a nucleus of their own.
    tile_px : int
        Side of a tile, which matters to the memory alone.
    cancel : CancelToken
    """
    names = reader.info.channel_names if stains is None else stains.names
    columns: Columns = {}
    for group in groups_of(table, compartment):
        if not group.has_pixels:
            continue
        parts = COMPARTMENTS if len(group.outlines) > 1 else (compartment,)
        titles = [pixel_names(channel, part) for channel in names for part in parts]
        for title in (t for titles_of_one in titles for t in titles_of_one):
            columns.setdefault(title, np.full(len(table), np.nan))
        tile = _Tile(reader, group, stains)

        def take(answer: tuple[Rows, NDArray[np.float64]], titles: Any = titles) -> None:
            for title, block in zip(titles, answer[1], strict=True):
                for name, values in zip(title, block, strict=True):
                    columns[name][answer[0]] = values

        bounds = table.contours.bounds[group.rows]
        small = np.prod(bounds[:, 2:] - bounds[:, :2], axis=1) <= _LARGEST_PX
        centroids = np.where(small[:, None], table.centroids[group.rows], np.nan)
        tiles = rows_by_tile(centroids, reader.info.box, tile_px)
        work = [group.rows[rows] for rows in tiles]
        yield from tilewise(tile.measure, work, cancel, "Measuring pixels", take)
    return columns


@dataclass(frozen=True, eq=False)
class _Tile:
    """Measures the rows of a tile; any number of threads may share one."""

    reader: SlideReader
    group: Group
    stains: StainVectors | None

    def measure(self, rows: Rows) -> tuple[Rows, NDArray[np.float64]]:
        """The rows, and (channels x compartments, statistics, rows)."""
        outlines = [contours.take(rows) for contours in self.group.outlines.values()]
        box = self._around(outlines)
        sets = [PixelSets.of(contours, box) for contours in outlines]
        if len(sets) == 2:
            sets = list(compartments_of(*sets).values())
        values = self.reader.read(box)
        if self.stains is not None:
            values = self.stains.amounts(values)
        found = np.stack([statistics(values, s, len(rows)) for s in sets], axis=1)
        return rows, found.reshape(-1, *found.shape[2:])

    def _around(self, outlines: list[Contours]) -> Box:
        """What to read: all of the objects, and a pixel around for their rims."""
        bounds = np.concatenate([contours.bounds for contours in outlines])
        left, top = np.floor(np.nanmin(bounds[:, :2], axis=0)).astype(int).tolist()
        right, bottom = np.ceil(np.nanmax(bounds[:, 2:], axis=0)).astype(int).tolist()
        return Box.from_edges(left, top, right, bottom).pad(1).intersect(self.reader.info.box)
