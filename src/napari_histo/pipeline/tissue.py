"""Finding the tissue of a slide, and masks of it as files that people edit."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    CancelToken,
    ClassScheme,
    Contours,
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
    Progress,
    SlideInfo,
    SlideReader,
)
from napari_histo.core.progress import result_of
from napari_histo.errors import ImageError, ObjectsFileError, WriteError
from napari_histo.ops.resample import resample, source_box
from napari_histo.ops.tissue import TissueMask, raster_shape
from napari_histo.ops.tissue_pixels import TissueParams, find_tissue_cells

__all__ = [
    "TissueParams",
    "check_tissue_output",
    "find_tissue",
    "find_tissue_steps",
    "load_tissue",
    "outlines_to_edit",
    "save_tissue",
    "tissue_of",
    "tissue_table",
]

#: Side of a block that is read at once, px of its level: 50 MB as float colours.
_BLOCK_PX = 2048
#: Taken where nobody knows the pixel size: an error of two makes the margin half or twice as wide
#: and changes little else, so this is not worth a question.
_ASSUMED_UM = 0.5
#: How far outlines for people stray from the cells' edges, in cells.
_TOLERANCE = 0.8
_PICTURES = (".png", ".tif", ".tiff")


def find_tissue(
    reader: SlideReader,
    *,
    pixel_size: PixelSize | None = None,
    params: TissueParams | None = None,
) -> TissueMask:
    """The tissue of a slide; `find_tissue_steps` without its steps."""
    return result_of(find_tissue_steps(reader, pixel_size=pixel_size, params=params))


def find_tissue_steps(
    reader: SlideReader,
    *,
    pixel_size: PixelSize | None = None,
    params: TissueParams | None = None,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, TissueMask]:
    """Find the tissue of a slide from a small picture of it.

    The picture is made block by block from the coarsest level that shows the cells, so memory stays
    bounded where the file has one level only; then all of it is decoded.

    Parameters
    ----------
    reader : SlideReader
        Brightfield or fluorescence.
    pixel_size : PixelSize, optional
        The user's word; it wins over the file's. 0.5 µm where nobody knows.
    params : TissueParams, optional
    cancel : CancelToken, optional
        Looked at before each block.

    Raises
    ------
    ImageError
        The image has no pixels, or cannot be read.
    Cancelled
    """
    info, params = reader.info, params or TissueParams()
    if info.box.is_empty:
        raise ImageError(
            f"{info.name} has {info.width} x {info.height} pixels; there is no tissue to find."
        )
    size = pixel_size or info.pixel_size or PixelSize.square(_ASSUMED_UM)
    empty = TissueMask.over(np.zeros(raster_shape(info, params.cell_um / size.mean_um), bool), info)
    picture = yield from _picture(reader, empty, cancel or CancelToken())
    cell_um = (empty.cell_px[0] * size.x_um, empty.cell_px[1] * size.y_um)
    cells = find_tissue_cells(picture, params, is_rgb=info.is_rgb, cell_um=cell_um)
    return TissueMask.over(cells, info)


def _picture(
    reader: SlideReader, mask: TissueMask, cancel: CancelToken
) -> Generator[Progress, None, NDArray[Any]]:
    """Mean values of the cells, (rows, columns, channels): uint8 for colours, else float32."""
    info, (rows, columns) = reader.info, mask.cells.shape
    level = info.best_level(min(mask.cell_px))
    extent = info.level_box(level)
    scale = (extent.width / columns, extent.height / rows)
    dtype = np.dtype(np.uint8 if info.is_rgb else np.float32)
    picture = np.empty((rows, columns, info.n_channels), dtype)
    step_x, step_y = (max(1, int(_BLOCK_PX / max(1.0, s))) for s in scale)
    blocks = [
        Box(x, y, step_x, step_y).intersect(Box(0, 0, columns, rows))
        for y in range(0, rows, step_y)
        for x in range(0, columns, step_x)
    ]
    for done, block in enumerate(blocks):
        cancel.raise_if_cancelled()
        yield Progress(done, len(blocks), "Looking for tissue")
        source = source_box(block, scale, extent)
        pixels = reader.read(source, level).astype(np.float32)
        cells = resample(pixels, source, block, scale)
        part = np.rint(cells) if info.is_rgb else cells
        picture[block.y : block.bottom, block.x : block.right] = part
    return picture


# -- files -------------------------------------------------------------------------------------


def outlines_to_edit(mask: TissueMask) -> Contours:
    """The pieces of a mask, smoothed to so few vertices that people can move them."""
    return mask.to_contours(tolerance_px=_TOLERANCE * max(mask.cell_px))


def tissue_table(mask: TissueMask) -> ObjectTable:
    """The pieces of a mask as annotations of the class "Tissue"."""
    return ObjectTable.build(
        outlines_to_edit(mask),
        classes=ClassScheme.of("Tissue"),
        class_id=0,
        state=ObjectState.DRAWN,
        object_type=ObjectType.ANNOTATION,
        source="napari-histo tissue",
    )


def save_tissue(path: Path | str, mask: TissueMask, info: SlideInfo) -> None:
    """Write a mask: as outlines (``.geojson``, ``.parquet``) or as a picture (``.png``, ``.tif``).

    In a picture each cell is a pixel, 255 for tissue; it is stretched over the image when read.

    Raises
    ------
    WriteError
        The ending is not known, or the file cannot be written.
    """
    from napari_histo.store import atomic_path, save_objects

    if not _is_picture(path):
        _known_outlines(path)
        save_objects(path, tissue_table(mask), info=info)
        return
    from PIL import Image

    with atomic_path(path) as work:
        Image.fromarray(mask.cells.astype(np.uint8) * np.uint8(255)).save(work)


def check_tissue_output(path: Path | str) -> None:
    """Raise WriteError now, before the work, where `save_tissue` could not write after it."""
    from napari_histo.store.write import check_writable

    if not _is_picture(path):
        _known_outlines(path)
    check_writable(path)


def _is_picture(path: Path | str) -> bool:
    return Path(path).suffix.lower() in _PICTURES


def _known_outlines(path: Path | str) -> None:
    from napari_histo.store import format_of

    if format_of(path) not in ("geojson", "parquet"):
        raise WriteError(
            f"Cannot write {path}: the ending of {Path(path).name!r} is not known for tissue. Use "
            ".geojson or .parquet for outlines, .png or .tif for a picture."
        )


def load_tissue(path: Path | str, info: SlideInfo) -> TissueMask:
    """Read a mask that `save_tissue` wrote, or that a person drew in QuPath or elsewhere.

    Areas of classes that QuPath ignores (``Ignore*``) are taken off. Of a picture (PNG, TIFF of one
    plane) every pixel above 0 is tissue, whatever its size.

    Raises
    ------
    ObjectsFileError
        The file is missing, damaged or holds objects but no area.
    """
    from napari_histo.store.dispatch import format_of, load_objects, read_labels

    if Path(path).suffix.lower() == ".png" or format_of(path) in ("labels", "ome-zarr"):
        return TissueMask.over(read_labels(path) > 0, info)
    table = load_objects(path)
    if len(table) and not (table.contours.kind == GeometryKind.POLYGON).any():
        raise ObjectsFileError(
            f"{path} holds {len(table)} lines or points but no area, so it says nothing about "
            "tissue. Draw areas around the tissue and save them."
        )
    return tissue_of(table, info)


def tissue_of(table: ObjectTable, info: SlideInfo) -> TissueMask:
    """The areas of a table as a mask, without those of QuPath's ``Ignore*``."""
    ignored = [i for i, c in enumerate(table.classes) if c.name.startswith("Ignore")]
    out = np.isin(table.class_id, ignored)
    mask = TissueMask.from_contours(table.contours.take(~out), info)
    if not out.any():
        return mask
    taken_off = TissueMask.from_contours(table.contours.take(out), info)
    return TissueMask.over(mask.cells & ~taken_off.cells, info)
