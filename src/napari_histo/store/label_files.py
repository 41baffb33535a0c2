"""Label images on disk: tiled OME-TIFF and multiscale OME-Zarr, written tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ObjectTable, SlideInfo
from napari_histo.errors import WriteError
from napari_histo.store.labels import draw
from napari_histo.store.replacing import beside_zarr
from napari_histo.store.write import atomic_path

__all__ = ["write_labels_tiff", "write_ome_zarr"]


def write_labels_tiff(
    path: Path | str,
    table: ObjectTable,
    info: SlideInfo | None = None,
    *,
    downsample: int = 1,
    tile_px: int = 512,
) -> None:
    """Write a tiled, compressed OME-TIFF of labels, tile by tile.

    Parameters
    ----------
    path : path
    table : ObjectTable
        Row r becomes label r + 1.
    info : SlideInfo, optional
        Gives size, pixel size and name; without it the image ends where the objects do.
    downsample : int
        Full-resolution px per label pixel.
    tile_px : int
        Edge of a tile, a multiple of 16.

    Raises
    ------
    WriteError
        The file cannot be written, or there is neither `info` nor an object to give its size.
    """
    import tifffile

    plan = _Plan(path, table, info, downsample, tile_px)
    big = plan.shape[0] * plan.shape[1] * plan.dtype.itemsize > 1 << 31
    with atomic_path(path) as work, tifffile.TiffWriter(work, bigtiff=big, ome=True) as tiff:
        tiff.write(
            plan.tiles(),
            shape=plan.shape,
            dtype=plan.dtype,
            tile=(tile_px, tile_px),
            compression="zlib",
            maxworkers=1,
            **_tiff_resolution(plan),
        )


def write_ome_zarr(
    path: Path | str,
    table: ObjectTable,
    info: SlideInfo | None = None,
    *,
    tile_px: int = 1024,
) -> None:
    """Write a multiscale label image as OME-Zarr (NGFF 0.5, zarr 3), tile by tile.

    Each level keeps every second pixel of the one below, as labels cannot be averaged.

    Parameters
    ----------
    path : path
        A folder, by custom named ``.ome.zarr``.
    table, info, tile_px
        As of `write_labels_tiff`.

    Raises
    ------
    WriteError
        As of `write_labels_tiff`.
    """
    import zarr

    plan = _Plan(path, table, info, 1, tile_px)
    with atomic_path(path, folder=True, strangers=beside_zarr) as work:
        group = zarr.open_group(work, mode="w", zarr_format=3)
        shapes = _pyramid(plan.shape, tile_px)
        levels = [_create_level(group, str(i), shape, plan) for i, shape in enumerate(shapes)]
        for (y, x), tile in zip(plan.corners(), plan.tiles(), strict=True):
            if tile.any():
                height, width = plan.shape
                part = tile[: height - y, : width - x]
                levels[0][y : y + part.shape[0], x : x + part.shape[1]] = part
        for fine, coarse in pairwise(levels):
            _halve(fine, coarse, tile_px)
        group.attrs["ome"] = _ngff_attributes(plan, len(shapes))


# -- tiles ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """What a label file holds, and its tiles in the order of the file."""

    path: Path | str
    table: ObjectTable
    info: SlideInfo | None
    downsample: int
    tile_px: int

    @cached_property
    def box(self) -> Box:
        """The image at full resolution."""
        if self.info is not None:
            return self.info.box
        bounds = self.table.contours.bounds
        if not len(self.table) or np.isnan(bounds).all():
            raise WriteError(
                f"Cannot write {self.path}: there are no objects, and without the image that they "
                "belong to its size is unknown. Name the image, or write GeoJSON."
            )
        right, bottom = np.nanmax(bounds[:, 2:], axis=0)
        return Box(0, 0, max(1, math.ceil(right)), max(1, math.ceil(bottom)))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the labels."""
        return (
            math.ceil(self.box.height / self.downsample),
            math.ceil(self.box.width / self.downsample),
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint16 if len(self.table) < 1 << 16 else np.uint32)

    def corners(self) -> Iterator[tuple[int, int]]:
        """y and x of each tile in label pixels, row by row."""
        for y in range(0, self.shape[0], self.tile_px):
            for x in range(0, self.shape[1], self.tile_px):
                yield y, x

    def tiles(self) -> Iterator[NDArray[Any]]:
        """Whole tiles (tile_px, tile_px) in the order of `corners`."""
        edge = self.tile_px * self.downsample
        for y in range(0, self.box.height, edge):
            # One search a row of tiles: a search goes over the bounds of all objects.
            rows = self.table.query(Box(0, y, self.box.width, edge))
            contours, values = self.table.contours.take(rows), rows + 1
            for x in range(0, self.box.width, edge):
                labels = draw(contours, values, Box(x, y, edge, edge), self.downsample)
                yield self._cropped(labels.astype(self.dtype), y, x)

    def _cropped(self, tile: NDArray[Any], y: int, x: int) -> NDArray[Any]:
        """Nothing beyond the image, where an outline may well reach."""
        height, width = self.shape
        tile[max(0, height - y // self.downsample) :] = 0
        tile[:, max(0, width - x // self.downsample) :] = 0
        return tile

    @property
    def name(self) -> str:
        return self.info.name if self.info is not None else Path(self.path).name


# -- TIFF ----------------------------------------------------------------------------------------


def _tiff_resolution(plan: _Plan) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YX", "Name": plan.name}
    pixel_size = plan.info.pixel_size if plan.info is not None else None
    if pixel_size is None:
        return {"metadata": metadata}
    size = pixel_size.at_downsample(plan.downsample)
    metadata |= {
        "PhysicalSizeX": size.x_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": size.y_um,
        "PhysicalSizeYUnit": "µm",
    }
    per_cm = (10_000 / size.x_um, 10_000 / size.y_um)
    return {"metadata": metadata, "resolution": per_cm, "resolutionunit": "CENTIMETER"}


# -- OME-Zarr ------------------------------------------------------------------------------------


def _pyramid(shape: tuple[int, int], tile_px: int) -> list[tuple[int, int]]:
    """Shapes of the levels, until one tile holds the last."""
    shapes = [shape]
    while max(shapes[-1]) > tile_px:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _create_level(group: Any, name: str, shape: tuple[int, int], plan: _Plan) -> Any:
    chunks = tuple(min(plan.tile_px, side) for side in shape)
    return group.create_array(
        name, shape=shape, chunks=chunks, dtype=plan.dtype, fill_value=0, dimension_names=("y", "x")
    )


def _halve(fine: Any, coarse: Any, tile_px: int) -> None:
    height, width = coarse.shape
    for y in range(0, height, tile_px):
        for x in range(0, width, tile_px):
            part = fine[2 * y : 2 * (y + tile_px), 2 * x : 2 * (x + tile_px)][::2, ::2]
            if part.any():
                coarse[y : y + part.shape[0], x : x + part.shape[1]] = part


def _ngff_attributes(plan: _Plan, n_levels: int) -> dict[str, Any]:
    """Metadata of https://ngff.openmicroscopy.org/0.5 for a label image."""
    pixel_size = plan.info.pixel_size if plan.info is not None else None
    unit = {} if pixel_size is None else {"unit": "micrometer"}
    size = (1.0, 1.0) if pixel_size is None else (pixel_size.y_um, pixel_size.x_um)
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [side * 2**level for side in size]}
            ],
        }
        for level in range(n_levels)
    ]
    axes = [{"name": axis, "type": "space", **unit} for axis in "yx"]
    multiscale = {"name": plan.name, "axes": axes, "datasets": datasets}
    return {"version": "0.5", "multiscales": [multiscale], "image-label": {"version": "0.5"}}
