"""Measurements of objects on an image, tile by tile."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_histo.core import CancelToken, ObjectTable, PixelSize, Progress, SlideReader
from napari_histo.ops.measure_shape import (
    CHUNK_ROWS,
    NUCLEUS_CELL_RATIO,
    measure_shape,
    nucleus_cell_ratio,
)

__all__ = ["MeasureRequest", "measure"]


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
    """

    pixel_size: PixelSize | None = None
    compartment: str = "Nucleus"


def measure(
    reader: SlideReader,
    table: ObjectTable,
    request: MeasureRequest | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, ObjectTable]:
    """Measure objects; the numbers do not depend on the tiles.

    Parameters
    ----------
    reader : SlideReader
    table : ObjectTable
        Outlines in full-resolution px; where it has nuclei, its outlines are their cells.
    request : MeasureRequest, optional
    cancel : CancelToken, optional
        Looked at before each tile.

    Returns
    -------
    ObjectTable
        The same rows with measurements of QuPath's names; older ones of the same name are replaced.
    """
    request, cancel = request or MeasureRequest(), cancel or CancelToken()
    pixel_size = request.pixel_size or reader.info.pixel_size
    found = yield from _shapes(table, pixel_size, request.compartment, cancel)
    return table.with_columns(measurements={**table.measurements, **found})


def _shapes(
    table: ObjectTable, pixel_size: PixelSize | None, compartment: str, cancel: CancelToken
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Shape columns, a chunk of rows at a time."""
    outlines = {f"{compartment}: " if compartment else "": table.contours}
    if table.nuclei is not None:
        outlines = {"Nucleus: ": table.nuclei, "Cell: ": table.contours}
    n_chunks = -(-len(table) // CHUNK_ROWS)
    found: dict[str, np.ndarray] = {}
    for i, (prefix, contours) in enumerate(outlines.items()):
        for start in range(0, max(len(table), 1), CHUNK_ROWS):
            cancel.raise_if_cancelled()
            done = i * n_chunks + start // CHUNK_ROWS
            yield Progress(done, n_chunks * len(outlines), "Measuring shapes")
            rows = np.arange(start, min(start + CHUNK_ROWS, len(table)))
            part = measure_shape(contours.take(rows), pixel_size, prefix)
            for name, values in part.items():
                found.setdefault(name, np.full(len(table), np.nan))[rows] = values
    if table.nuclei is not None:
        found[NUCLEUS_CELL_RATIO] = nucleus_cell_ratio(found, in_um=pixel_size is not None)
    return found
