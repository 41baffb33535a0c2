"""Regions as files: areas with classes, or pixels."""

from __future__ import annotations

from pathlib import Path

from napari_histo.core import ObjectTable, ObjectType, SlideInfo
from napari_histo.core.regions import RegionMap
from napari_histo.errors import WriteError
from napari_histo.ops.regions import region_areas, without_specks
from napari_histo.store.dispatch import format_of, save_objects
from napari_histo.store.replacing import beside_zarr
from napari_histo.store.write import check_writable

__all__ = ["check_regions_output", "region_table", "save_regions"]

_KINDS = {"geojson": ".geojson", "parquet": ".parquet", "ome-zarr": ".ome.zarr"}


def region_table(regions: RegionMap, source: str | None = None) -> ObjectTable:
    """The connected pieces of a map as annotations with its classes, holes kept."""
    contours, class_id = region_areas(regions)
    return ObjectTable.build(
        contours,
        classes=regions.classes,
        class_id=class_id,
        object_type=ObjectType.ANNOTATION,
        source=source,
    )


def save_regions(
    path: Path | str,
    regions: RegionMap,
    info: SlideInfo,
    *,
    least_um2: float = 0,
    source: str | None = None,
) -> int:
    """Write a map: areas (``.geojson``, ``.parquet``) or pixels (``.ome.zarr``).

    Parameters
    ----------
    path : path
    regions : RegionMap
    info : SlideInfo
        Of the image.
    least_um2 : float
        Smaller pieces and holes become what is around them.
    source : str, optional
        Who found them, for the areas.

    Returns
    -------
    int
        Number of areas; 0 for pixels.

    Raises
    ------
    WriteError
        The ending is not known, or the file cannot be written.
    """
    kind = _known(path)
    clean = without_specks(regions, least_um2) if least_um2 > 0 else regions
    if kind == "ome-zarr":
        from napari_histo.store.region_files import write_region_zarr

        write_region_zarr(path, clean, info.name)
        return 0
    table = region_table(clean, source)
    save_objects(path, table, info=info)
    return len(table)


def check_regions_output(path: Path | str) -> None:
    """Raise WriteError now, before the work, where `save_regions` could not write after it."""
    check_writable(path, folder=_known(path) == "ome-zarr", strangers=beside_zarr)


def _known(path: Path | str) -> str:
    kind = format_of(path)
    if kind is None or kind not in _KINDS:
        raise WriteError(
            f"Cannot write {path}: the ending of {Path(path).name!r} is not known for regions. Use "
            f"{', '.join(_KINDS.values())}."
        )
    return kind
