"""Measurements of objects on an image, tile by tile."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    CancelToken,
    Contours,
    ObjectState,
    ObjectTable,
    PixelSize,
    Progress,
    SlideReader,
)
from napari_histo.errors import PixelSizeUnknownError
from napari_histo.ops.measure_shape import (
    CHUNK_ROWS,
    NUCLEUS_CELL_RATIO,
    measure_shape,
    nucleus_cell_ratio,
)
from napari_histo.ops.neighbours import class_distances, neighbours, region_distances
from napari_histo.ops.region_counts import (
    ANNOTATIONS,
    WHOLE_IMAGE,
    Places,
    centres_of,
    count_objects,
)
from napari_histo.ops.stain_vectors import StainVectors
from napari_histo.pipeline.colours import default_stains
from napari_histo.pipeline.grow import grow_cells
from napari_histo.pipeline.pixel_statistics import groups_of, pixel_columns
from napari_histo.pipeline.tilewise import tilewise

__all__ = ["MeasureRequest", "Measured", "measure"]

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class MeasureRequest:
    """What to measure.

    Attributes
    ----------
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    compartment : str
        What the outlines of objects without a nucleus of their own show: "Nucleus", "Cell", or ""
        for names without a compartment, as QuPath has them for such objects.
    expand_um : float or None
        Make cells: nuclei grown by so much, without overlap.
    intensity : bool
        Measure pixels.
    stains : StainVectors or None
        Of an image in colours; None for haematoxylin and eosin, where the image is not grey.
    channels : bool
        Measure the channels as they are, whatever the image.
    neighbours : bool
        Measure distances between objects, and to regions.
    within_um : float
        How near neighbours are that are counted.
    regions : ObjectTable or None
        Annotations to count objects in; None for the image alone.
    tile_px : int
        Side of a tile; the numbers do not depend on it.
    """

    pixel_size: PixelSize | None = None
    compartment: str = "Nucleus"
    expand_um: float | None = None
    intensity: bool = True
    stains: StainVectors | None = None
    channels: bool = False
    neighbours: bool = True
    within_um: float = 50.0
    regions: ObjectTable | None = None
    tile_px: int = 1024


@dataclass(frozen=True, eq=False)
class Measured:
    """What came of it.

    Attributes
    ----------
    table : ObjectTable
        The same rows with measurements of QuPath's names; older ones of a name are replaced.
        Objects that a person rejected get none, and count nowhere.
    summary : list of dict
        A row for each region and class: count, share, area and density.
    parents : list of str
        Name of the smallest region that holds each object; the image's where none does.
    """

    table: ObjectTable
    summary: list[dict[str, Any]]
    parents: list[str]


def measure(
    reader: SlideReader,
    table: ObjectTable,
    request: MeasureRequest | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, Measured]:
    """Measure objects; the numbers do not depend on the tiles.

    Of the image only the tiles at work are in memory. Drive it in any thread but the window's.

    Parameters
    ----------
    reader : SlideReader
    table : ObjectTable
        Outlines in full-resolution px; where it has nuclei, its outlines are their cells.
    request : MeasureRequest, optional
    cancel : CancelToken, optional
        Looked at before each tile.

    Yields
    ------
    Progress

    Raises
    ------
    PixelSizeUnknownError
        Nuclei are to grow by µm and nobody knows the pixel size.
    ImageError, Cancelled
    """
    request, cancel = request or MeasureRequest(), cancel or CancelToken()
    rejected = table.state == ObjectState.REJECTED
    if rejected.any():
        found = yield from measure(reader, table.select(~rejected), request, cancel)
        return _with_rejected(found, table, rejected)
    size = request.pixel_size or reader.info.pixel_size
    if request.expand_um is not None and size is None:
        raise PixelSizeUnknownError(
            f"{reader.info.name} carries no pixel size, so nuclei cannot be grown by "
            f"{request.expand_um:g} µm. Say how large a pixel is (--pixel-size UM): usually 0.25 "
            "for a slide scanned at 40x, 0.5 at 20x."
        )
    if request.expand_um is not None and size is not None:
        table = yield from grow_cells(
            table,
            request.expand_um,
            extent=reader.info.box,
            pixel_size=size,
            tile_px=request.tile_px,
            cancel=cancel,
        )
    columns = yield from _shapes(table, size, request.compartment, cancel)
    if request.intensity:
        yield Progress(0, 0, "Reading the image")
        stains = _stains(reader, request)
        columns |= yield from pixel_columns(
            reader, table, stains, request.compartment, tile_px=request.tile_px, cancel=cancel
        )
    if request.neighbours:
        yield Progress(0, 0, "Measuring distances")
        columns |= _distances(table, centres_of(table), size, request)
    yield Progress(0, 0, "Counting objects")
    summary, parents = _counts(reader, table, size, request.regions)
    table = table.with_columns(measurements={**table.measurements, **columns})
    return Measured(table, summary, parents)


def _stains(reader: SlideReader, request: MeasureRequest) -> StainVectors | None:
    """None for the channels as they are."""
    if request.channels or not reader.info.is_rgb:
        return None
    return request.stains or default_stains(reader)


def _with_rejected(found: Measured, table: ObjectTable, rejected: NDArray[np.bool_]) -> Measured:
    """All rows again, in their old order."""
    order = np.argsort(np.argsort(rejected, kind="stable"), kind="stable")
    joined = ObjectTable.concat([found.table, table.select(rejected)]).select(order)
    parents = np.full(len(table), "", object)
    parents[~rejected] = found.parents
    return Measured(joined, found.summary, parents.tolist())


# -- shapes, distances, counts -----------------------------------------------------------------


def _shapes(
    table: ObjectTable, size: PixelSize | None, compartment: str, cancel: CancelToken
) -> Generator[Progress, None, Columns]:
    """Shape columns, a chunk of rows at a time."""
    found: Columns = {}
    for group in groups_of(table, compartment):
        chunks = [
            (name, group.rows[start : start + CHUNK_ROWS])
            for name in group.outlines
            for start in range(0, len(group.rows), CHUNK_ROWS)
        ]

        def shape(
            chunk: tuple[str, NDArray[np.int64]], outlines: dict[str, Contours] = group.outlines
        ) -> tuple[NDArray[np.int64], Columns]:
            name, rows = chunk
            contours = outlines[name].take(rows)
            return rows, measure_shape(contours, size, f"{name}: " if name else "")

        def take(answer: tuple[NDArray[np.int64], Columns]) -> None:
            for column, values in answer[1].items():
                found.setdefault(column, np.full(len(table), np.nan))[answer[0]] = values

        yield from tilewise(shape, chunks, cancel, "Measuring shapes", take)
        if "Cell" in group.outlines and "Nucleus" in group.outlines:
            found[NUCLEUS_CELL_RATIO] = nucleus_cell_ratio(found, in_um=size is not None)
    return found


def _distances(
    table: ObjectTable,
    centroids: NDArray[np.float64],
    size: PixelSize | None,
    request: MeasureRequest,
) -> Columns:
    """Columns of objects other than annotations."""
    rows = np.flatnonzero(~np.isin(table.object_type, ANNOTATIONS))
    some = centroids[rows]
    found = neighbours(some, size, request.within_um)
    found |= class_distances(some, table.class_id[rows], table.classes, size)
    if request.regions is not None:
        names = request.regions.class_names
        found |= region_distances(some, request.regions.contours, names, size)
    columns = {}
    for name, values in found.items():
        columns[name] = np.full(len(table), np.nan)
        columns[name][rows] = values
    return columns


def _counts(
    reader: SlideReader,
    table: ObjectTable,
    size: PixelSize | None,
    regions: ObjectTable | None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Summary rows, and the name of the region of each object."""
    places = Places.of(table, regions, reader.info.box.area)
    parents = np.full(len(table), WHOLE_IMAGE, object)
    for i in np.argsort([-area for area in places.areas_px[1:]], kind="stable") + 1:
        parents[places.members[i]] = places.names[i][0]
    summary = count_objects(
        table.class_id,
        table.classes,
        members=places.members,
        names=places.names,
        areas_px=places.areas_px,
        pixel_size=size,
    )
    return summary, parents.tolist()
