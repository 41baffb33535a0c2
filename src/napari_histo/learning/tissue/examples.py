"""Painted areas as sheets of pixels with labels, for training region models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    GeometryKind,
    ObjectState,
    ObjectTable,
    PixelSize,
    SlideReader,
    Tile,
    TileGrid,
)
from napari_histo.core.regions import is_background
from napari_histo.errors import ObjectsFileError
from napari_histo.ops.region_input import RegionInput
from napari_histo.ops.scanline import fill
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.region_pixels import RegionPixels

__all__ = [
    "AROUND_PX",
    "RegionExample",
    "Sheet",
    "chosen",
    "classes_of",
    "held_out",
    "labels_at",
    "painted_classes",
    "read_sheets",
    "speaking",
    "stacked",
]

_SHEET_PX = 384
#: Context beyond the areas: what a network sees of an edge pixel, mostly.
AROUND_PX = 64
#: Sheets of 0.5 MB each that are kept; of more a random choice.
_MOST_SHEETS = 1000
#: Side of the cells that are held out, µm, and after how many their pattern repeats.
_CELL_UM, _TABLE = 192, 512


@dataclass(frozen=True)
class RegionExample:
    """An image and what a person painted on it.

    Attributes
    ----------
    reader : SlideReader
    areas : ObjectTable
        Areas in full-resolution px; their classes count by name. Where areas overlap, the smaller
        one is on top. What lies in none is unknown and teaches nothing.
    pixel_size : PixelSize or None
        The user's word; it wins over the file's.
    within : Box or None
        Beyond it nothing is known, whatever is painted there; full-resolution px.
    ignored : Contours
        Areas where nothing is known either.
    """

    reader: SlideReader
    areas: ObjectTable
    pixel_size: PixelSize | None = None
    within: Box | None = None
    ignored: Contours = field(default_factory=Contours.empty)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A square of an image with labels.

    Attributes
    ----------
    pixels : (h, w, c) array
        The image's own values.
    labels : (h, w) uint8
        0 unknown, 1 background, else 2 + a position in the classes.
    guide : (h, w, k) uint8 or None
        A coarser model's answer, in 1/255.
    box : Box
        In model px.
    example : int
        Number of its example.
    values : RegionInput
        Of the example.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.uint8]
    guide: NDArray[np.uint8] | None
    box: Box
    example: int
    values: RegionInput


def classes_of(examples: Sequence[RegionExample]) -> ClassScheme:
    """Classes of all areas, without the background, in the order of their first use.

    Raises
    ------
    ObjectsFileError
        Fewer than two, the background counted: there is nothing to tell apart.
    """
    found, background = painted_classes(examples)
    if len(found) + background < 2 or not len(found):
        raise ObjectsFileError(
            f"The annotations hold areas of {len(found)} class(es) "
            f"({', '.join(found.names) or 'none'}) {'and' if background else 'but no'} background. "
            "Paint areas of at least two classes, for example Tumor and Stroma, or of one and of "
            "'Ignore*', which means background."
        )
    return found


def painted_classes(examples: Sequence[RegionExample]) -> tuple[ClassScheme, bool]:
    """Classes of all areas in the order of their first use; and whether there is background."""
    found, background = ClassScheme(), False
    for example in examples:
        table = speaking(example.areas)
        used = [table.classes[i] for i in dict.fromkeys(table.class_id.tolist()) if i >= 0]
        background = background or any(map(is_background, used))
        found = found.union(c for c in used if not is_background(c))
    return found, background


def read_sheets(
    pixels: RegionPixels, example: RegionExample, number: int, classes: ClassScheme
) -> Iterator[Sheet]:
    """Squares of an example that hold areas, with some context around."""
    for tile, own in labels_at(pixels.frame, example, classes, _SHEET_PX, AROUND_PX):
        if own.any():
            labels = np.zeros(tile.read.shape, np.uint8)
            y, x = tile.owned.y - tile.read.y, tile.owned.x - tile.read.x
            labels[y : y + own.shape[0], x : x + own.shape[1]] = own
            yield Sheet(pixels.read_raw(tile.read), labels, None, tile.read, number, pixels.values)


def labels_at(
    frame: Frame, example: RegionExample, classes: ClassScheme, side_px: int, around_px: int = 0
) -> Iterator[tuple[Tile, NDArray[np.uint8]]]:
    """Tiles that areas may reach into, and the labels (h, w) of what each owns, as of `Sheet`."""
    areas, values = stacked(speaking(example.areas), classes)
    unknown = example.ignored
    if len(unknown):
        areas = Contours.concat([areas, unknown])
        values = np.concatenate([values, np.zeros(len(unknown), np.uint8)])
    areas = areas.transform((1 / frame.scale[0], 1 / frame.scale[1]), (0, 0))
    for tile in TileGrid(frame.extent, _where(frame, example.within), side_px, around_px):
        rows = areas.query(tile.owned)
        if len(rows):
            labels = np.zeros(tile.owned.shape, np.uint8)
            fill(areas.take(rows), values[rows], labels, origin=(tile.owned.x, tile.owned.y))
            yield tile, labels


def _where(frame: Frame, within: Box | None) -> Box:
    """Model px whose centres lie in a box, at least one; all without a box."""
    if within is None:
        return frame.extent
    (left, top), (right, bottom) = (
        (math.ceil(x / frame.scale[0] - 0.5), math.ceil(y / frame.scale[1] - 0.5))
        for x, y in ((within.x, within.y), (within.right, within.bottom))
    )
    extent = frame.extent
    left, top = min(left, extent.right - 1), min(top, extent.bottom - 1)
    box = Box.from_edges(left, top, max(right, left + 1), max(bottom, top + 1))
    return box.intersect(extent)


def chosen(sheets: Sequence[Sheet], rng: np.random.Generator) -> list[Sheet]:
    """All sheets, or as many as memory should hold, at random."""
    if len(sheets) <= _MOST_SHEETS:
        return list(sheets)
    return [sheets[i] for i in sorted(rng.choice(len(sheets), _MOST_SHEETS, replace=False))]


def held_out(
    sheets: Sequence[Sheet], share: float, seed: int, pixel_um: float
) -> tuple[list[Sheet], list[Sheet]]:
    """Split the labels into those to learn from and those to judge by, in cells of 192 µm.

    The cells are the same ones at every pixel size. A class of which little would be left to learn
    from is not held out at all.
    """
    tables: dict[int, NDArray[np.bool_]] = {}
    for number in {s.example for s in sheets}:
        rng = np.random.default_rng([seed, number])
        tables[number] = rng.random((_TABLE, _TABLE)) < share
    held = [_cells(sheet, tables[sheet.example], pixel_um) for sheet in sheets]
    counts = sum(np.bincount(s.labels.ravel(), minlength=256) for s in sheets)
    out = sum(np.bincount(s.labels[h], minlength=256) for s, h in zip(sheets, held, strict=True))
    spared = np.flatnonzero(np.asarray(out) > 2 * share * np.asarray(counts))
    learn, judge = [], []
    for sheet, cells in zip(sheets, held, strict=True):
        judged = cells & ~np.isin(sheet.labels, spared)
        learn.append(replace(sheet, labels=np.where(judged, 0, sheet.labels).astype(np.uint8)))
        judge.append(replace(sheet, labels=np.where(judged, sheet.labels, 0).astype(np.uint8)))
    return [s for s in learn if s.labels.any()], [s for s in judge if s.labels.any()]


def _cells(sheet: Sheet, table: NDArray[np.bool_], pixel_um: float) -> NDArray[np.bool_]:
    """Pixels of a sheet in cells that are held out."""
    rows, columns = (
        ((start + np.arange(size) + 0.5) * pixel_um / _CELL_UM).astype(np.int64) % _TABLE
        for start, size in ((sheet.box.y, sheet.box.height), (sheet.box.x, sheet.box.width))
    )
    return table[np.ix_(rows, columns)]


def speaking(table: ObjectTable) -> ObjectTable:
    """Rows that say something: areas with a class that nobody refused; no QuPath ``Region*``."""
    named = [i for i, c in enumerate(table.classes) if is_background(c) or not c.is_background]
    fine = (table.contours.kind == GeometryKind.POLYGON) & np.isin(table.class_id, named)
    return table.select(fine & (table.state != ObjectState.REJECTED))


def stacked(table: ObjectTable, classes: ClassScheme) -> tuple[Contours, NDArray[np.uint8]]:
    """Areas from the largest to the smallest, and what to draw for each."""
    order = np.argsort(-table.areas_px, kind="stable")
    number = [
        1 if is_background(c) else 2 + classes.index(c.name) if c.name in classes.names else 0
        for c in table.classes
    ]
    return table.contours.take(order), np.array(number, np.uint8)[table.class_id[order]]
