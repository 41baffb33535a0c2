"""SpatialData stores: read back by spatialdata where it is installed, refused clearly where not."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, PixelSize
from napari_histo.errors import MissingDependencyError
from napari_histo.store.spatialdata import check_spatialdata, is_spatialdata, write_spatialdata

needs_spatialdata = pytest.mark.skipif(
    importlib.util.find_spec("spatialdata") is None,
    reason="spatialdata is not installed: pip install spatialdata",
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.sdata.zarr", True), ("A.SpatialData.zarr", True), ("a.ome.zarr", False), ("a", False)],
)
def test_endings(name, expected):
    assert is_spatialdata(name) is expected


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(MissingDependencyError, match="pip install spatialdata"):
        check_spatialdata()


@needs_spatialdata
def test_spatialdata_reads_it(tmp_path):
    import spatialdata

    shapes = [shapely.box(0, 0, 8, 8), shapely.Point(3, 3), shapely.box(20, 20, 30, 30)]
    table = ObjectTable.build(
        Contours.from_shapely(shapes),
        nuclei=Contours.from_shapely([shapely.box(2, 2, 5, 5), None, None]),
        classes=ClassScheme.of("Tumor"),
        class_id=[0, 0, -1],
        measurements={"Nucleus/Cell area ratio": np.array([0.25, np.nan, np.nan])},
    )
    path = tmp_path / "a.sdata.zarr"
    for _ in range(2):  # the second replaces the first
        assert write_spatialdata(path, table, pixel_size=PixelSize(0.5, 0.25)) == 2
    store = spatialdata.read_zarr(path)
    ids = [str(table.uuid(0)), str(table.uuid(2))]
    assert store.shapes["cells"].index.tolist() == ids
    assert store.shapes["cells"].area.tolist() == [64, 100]
    assert store.shapes["nuclei"].index.tolist() == ids[:1]
    measured = store.tables["measurements"]
    assert measured.obs["object_id"].tolist() == ids
    assert measured.to_df().loc[ids[0], "Nucleus/Cell area ratio"] == 0.25
    extent = spatialdata.get_extent(store.shapes["cells"], coordinate_system="um")
    assert (extent["x"], extent["y"]) == ((0, 15), (0, 7.5))
