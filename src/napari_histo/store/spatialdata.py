"""Objects and their measurements as a SpatialData store, for scverse's tools (squidpy, napari).

``shapes/cells`` (and ``shapes/nuclei``) hold the outlines, ``tables/measurements`` the numbers, all
indexed by object id. Coordinates are full-resolution pixels; where the pixel size is known, the
coordinate system "um" scales them. The package `spatialdata` writes it; it is no dependency, for it
brings forty others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import GeometryKind, ObjectTable, PixelSize
from napari_histo.errors import MissingDependencyError
from napari_histo.store.replacing import beside_zarr
from napari_histo.store.write import atomic_path

__all__ = ["check_spatialdata", "is_spatialdata", "write_spatialdata"]

SUFFIXES = (".sdata.zarr", ".spatialdata.zarr")
_REGION, _KEY = "cells", "object_id"


def is_spatialdata(path: Path | str) -> bool:
    """True for a path that names such a store by its ending."""
    return Path(path).name.lower().endswith(SUFFIXES)


def check_spatialdata() -> None:
    """Raise MissingDependencyError now, before long work, where `write_spatialdata` could not."""
    try:
        import spatialdata  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "Writing SpatialData needs the package spatialdata, which is not installed: "
            "pip install spatialdata. Without it, write .parquet: geopandas opens it, and "
            "spatialdata.models.ShapesModel.parse takes what geopandas reads."
        ) from error


def write_spatialdata(
    path: Path | str, table: ObjectTable, *, pixel_size: PixelSize | None = None
) -> int:
    """Write a new store.

    Parameters
    ----------
    path : path
        Ends with ``.sdata.zarr``; a store that exists is replaced.
    table : ObjectTable
        Only areas are written; lines, points and empty rows are left out.
    pixel_size : PixelSize, optional

    Returns
    -------
    int
        Number of objects written.

    Raises
    ------
    MissingDependencyError, WriteError
    """
    check_spatialdata()
    import spatialdata

    is_area = table.contours.kind == GeometryKind.POLYGON
    table = table.select(is_area & (np.diff(table.contours.object_offsets) > 0))
    store = spatialdata.SpatialData(
        shapes=_shapes(table, pixel_size), tables={"measurements": _measurements(table)}
    )
    with atomic_path(path, folder=True, strangers=beside_zarr) as work:
        work.rmdir()  # it wants to make the folder itself
        store.write(work)
    return len(table)


def _shapes(table: ObjectTable, pixel_size: PixelSize | None) -> dict[str, Any]:
    import geopandas
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity, Scale

    places: dict[str, Any] = {"global": Identity()}
    if pixel_size is not None:
        places["um"] = Scale([pixel_size.x_um, pixel_size.y_um], axes=("x", "y"))
    outlines = {_REGION: table.contours}
    if table.nuclei is not None:
        outlines["nuclei"] = table.nuclei
    ids = np.array([str(i) for i in table.uuids()], object)
    shapes = {}
    for name, contours in outlines.items():
        rows = np.flatnonzero(np.diff(contours.object_offsets))
        frame = geopandas.GeoDataFrame(geometry=contours.to_shapely(rows), index=ids[rows])
        shapes[name] = ShapesModel.parse(frame, transformations=places)
    return shapes


def _measurements(table: ObjectTable) -> Any:
    import anndata
    import pandas as pd
    from spatialdata.models import TableModel

    ids = [str(i) for i in table.uuids()]
    about = pd.DataFrame(
        {
            _KEY: ids,
            "region": pd.Categorical([_REGION] * len(table), [_REGION]),
            "class": pd.Categorical(table.class_names, table.classes.names),
            "class_prob": table.class_prob,
            "det_prob": table.det_prob,
        },
        index=pd.Index(ids),
    )
    values = np.stack(list(table.measurements.values()) or [np.zeros(len(table))], axis=1)
    # A slash in a name would be a folder in Zarr's eyes; AnnData keeps names as values.
    names = pd.DataFrame(index=pd.Index(list(table.measurements) or ["none"]))
    data = anndata.AnnData(values, obs=about, var=names)
    data.obsm["spatial"] = table.centroids
    return TableModel.parse(data, region=_REGION, region_key="region", instance_key=_KEY)
