"""Maps of regions on disk: OME-Zarr with a pyramid of classes and one of confidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.regions import RegionMap
from napari_histo.store.replacing import beside_zarr
from napari_histo.store.write import atomic_path

__all__ = ["write_region_zarr"]

_CHUNK_PX = 1024


def write_region_zarr(path: Path | str, regions: RegionMap, name: str) -> None:
    """Write a map as OME-Zarr (NGFF 0.5, zarr 3): classes as labels, confidence beside them.

    The group itself is a label image with the classes' names and colours: 0 background or not
    looked at, 1 the first class. The group ``confidence`` holds the probability of each answer in
    1/255. Both lie over the image with the scale in µm.

    Parameters
    ----------
    path : path
        A folder, by custom named ``.ome.zarr``.
    regions : RegionMap
    name : str
        Of the image.

    Raises
    ------
    WriteError
        The folder cannot be written; nothing is left behind.
    """
    import zarr

    scale = regions.pixel_um
    with atomic_path(path, folder=True, strangers=beside_zarr) as work:
        group = zarr.open_group(work, mode="w", zarr_format=3)
        n = _write_levels(group, regions.labels)
        group.attrs["ome"] = _multiscale(name, scale, n) | {"image-label": _label_words(regions)}
        beside = group.create_group("confidence")
        n = _write_levels(beside, regions.confidence)
        beside.attrs["ome"] = _multiscale(f"{name}: confidence", scale, n)


def _write_levels(group: Any, plane: NDArray[np.uint8]) -> int:
    """All levels, each of every second pixel of the one below, until one chunk holds the last."""
    levels = [plane]
    while max(levels[-1].shape) > _CHUNK_PX:
        levels.append(levels[-1][::2, ::2])
    for number, level in enumerate(levels):
        chunks = tuple(min(_CHUNK_PX, side) for side in level.shape)
        array = group.create_array(
            str(number),
            shape=level.shape,
            chunks=chunks,
            dtype=np.uint8,
            fill_value=0,
            dimension_names=("y", "x"),
        )
        array[:] = level
    return len(levels)


def _multiscale(name: str, scale: tuple[float, float], n_levels: int) -> dict[str, Any]:
    """Metadata of https://ngff.openmicroscopy.org/0.5."""
    datasets = []
    for level in range(n_levels):
        sides = [side * 2**level for side in scale]
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": sides}],
            }
        )
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    multiscale = {"name": name, "axes": axes, "datasets": datasets}
    return {"version": "0.5", "multiscales": [multiscale]}


def _label_words(regions: RegionMap) -> dict[str, Any]:
    numbered = list(enumerate(regions.classes, 1))
    return {
        "version": "0.5",
        "colors": [{"label-value": i, "rgba": [*c.rgb, 255]} for i, c in numbered],
        "properties": [{"label-value": i, "class": c.name} for i, c in numbered],
    }
