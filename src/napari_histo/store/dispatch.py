"""Which format a path names, and the one pair of functions that reads and writes them all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, SlideInfo
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.labels import labels_to_table
from napari_histo.store.replacing import beside_zarr
from napari_histo.store.write import check_writable

__all__ = ["FORMATS", "check_output", "format_of", "load_objects", "read_labels", "save_objects"]

#: Suffixes of each format; the first is the one that new files get.
FORMATS: Mapping[str, tuple[str, ...]] = {
    "geojson": (".geojson", ".geojson.gz", ".json", ".json.gz"),
    "parquet": (".parquet", ".geoparquet"),
    "labels": (".tif", ".tiff"),
    "ome-zarr": (".ome.zarr", ".zarr"),
}
_READ_ONLY = {".png": "labels"}


def format_of(path: Path | str) -> str | None:
    """Name of the format (a key of `FORMATS`) that a path's suffix stands for, else None."""
    name = Path(path).name.lower()
    for kind, suffixes in FORMATS.items():
        if name.endswith(suffixes):
            return kind
    return None


def save_objects(
    path: Path | str,
    table: ObjectTable,
    *,
    format: str | None = None,
    info: SlideInfo | None = None,
) -> None:
    """Write objects in the format that the path's suffix names.

    GeoJSON and Parquet keep everything; labels (TIFF, OME-Zarr) keep the pixels alone.

    Parameters
    ----------
    path : path
        Ends with one of the suffixes in `FORMATS`, or `format` is given.
    table : ObjectTable
    format : str, optional
        A key of `FORMATS`.
    info : SlideInfo, optional
        The image that the objects belong to; labels take its size and pixel size.

    Raises
    ------
    WriteError
        The format is unknown or the file cannot be written; nothing is left behind.
    """
    kind = _known_format(path, format)
    if kind == "geojson":
        write_geojson(path, table, about=_about(info))
    elif kind == "parquet":
        from napari_histo.store.parquet import write_parquet

        write_parquet(path, table, about=_about(info))
    else:
        from napari_histo.store.label_files import write_labels_tiff, write_ome_zarr

        writer = write_labels_tiff if kind == "labels" else write_ome_zarr
        writer(path, table, info)


def check_output(path: Path | str) -> None:
    """Raise WriteError now, before long work, where `save_objects` could not write after it."""
    is_zarr = _known_format(path, None) == "ome-zarr"
    check_writable(path, folder=is_zarr, strangers=beside_zarr)


def _known_format(path: Path | str, format: str | None) -> str:
    kind = format or format_of(path)
    if kind is None or kind not in FORMATS:
        asked = f"format {format!r}" if format else f"the ending of {Path(path).name!r}"
        raise WriteError(f"Cannot write {path}: {asked} is not known. {_allowed()}")
    return kind


def load_objects(path: Path | str) -> ObjectTable:
    """Read objects in the format that the path's suffix names.

    Label images (TIFF, OME-Zarr, PNG; one plane of integers, 0 the background) are read whole and
    become outlines along the pixels' edges.

    Raises
    ------
    ObjectsFileError
        The file is missing, damaged, or of an unknown format.
    """
    kind = format_of(path) or _READ_ONLY.get(Path(path).suffix.lower())
    if not Path(path).exists():
        raise ObjectsFileError(f"Cannot read {path}: there is no such file. Check the path.")
    if kind is None:
        raise ObjectsFileError(f"Cannot read {path}: {_no_objects(Path(path))} {_allowed()}")
    if kind == "geojson":
        return read_geojson(path)
    if kind == "parquet":
        from napari_histo.store.parquet import read_parquet

        return read_parquet(path)
    return labels_to_table(read_labels(path))


def read_labels(path: Path | str) -> NDArray[np.integer]:
    """(height, width) labels of a TIFF, OME-Zarr or PNG; 0 is the background.

    Raises
    ------
    ObjectsFileError
        The file is missing, damaged, or no plane of integers.
    """
    try:
        labels = _read_plane(Path(path))
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"it holds {labels.dtype} of shape {labels.shape}")
    except (OSError, ValueError, KeyError, SyntaxError) as error:
        raise ObjectsFileError(
            f"Cannot read {path} as labels: {error}. Wanted is one plane of integers, 0 for the "
            "background and a number for each object."
        ) from error
    return labels


def _no_objects(path: Path) -> str:
    if path.is_dir():
        return "it is a folder. Give a file of objects (outlines or labels)."
    return (
        f"the ending of {path.name!r} is not known. Objects (outlines or labels) are wanted here, "
        "not an image."
    )


def _allowed() -> str:
    listed = ", ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
    return f"Known endings are {listed}; formats are {', '.join(FORMATS)}."


def _about(info: SlideInfo | None) -> dict[str, Any]:
    """What a file of objects says about its image."""
    if info is None:
        return {}
    facts: dict[str, Any] = {"name": info.name, "width_px": info.width, "height_px": info.height}
    if info.pixel_size is not None:
        facts["pixel_size_um"] = [info.pixel_size.x_um, info.pixel_size.y_um]
    return {"image": facts}


def _read_plane(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".zarr":
        import zarr

        group = zarr.open_group(path, mode="r")
        return np.asarray(group["0"])
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image)
    import tifffile

    return _without_singletons(tifffile.imread(path))


def _without_singletons(pixels: NDArray[Any]) -> NDArray[Any]:
    """Two axes where the others have one entry; a plane of one row or column stays a plane."""
    while pixels.ndim > 2 and pixels.shape[0] == 1:
        pixels = pixels[0]
    while pixels.ndim > 2 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return pixels
