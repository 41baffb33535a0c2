"""Maps of regions become files that QuPath, geopandas and OME-Zarr readers open."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from napari_histo.core import ClassScheme, ObjectType, PixelSize
from napari_histo.core.regions import RegionMap
from napari_histo.errors import WriteError
from napari_histo.slides import ArrayReader
from napari_histo.store import load_objects
from napari_histo.store.regions import check_regions_output, save_regions


@pytest.fixture
def regions():
    labels = np.zeros((1500, 1200), np.uint8)
    labels[100:1400, 100:1100] = 1
    labels[300:600, 300:600] = 2
    labels[10:12, 10:12] = 2  # a speck of 4 px, 64 µm²
    confidence = np.where(labels > 0, 250, 0).astype(np.uint8)
    return RegionMap(labels, confidence, (8.0, 8.0), (4.0, 4.0), ClassScheme.of("Stroma", "Tumor"))


INFO = ArrayReader(
    np.broadcast_to(np.uint8(0), (12000, 9600, 3)), name="a", pixel_size=PixelSize.square(0.5)
).info


@pytest.mark.parametrize("name", ["a.geojson", "a.parquet"])
def test_areas_keep_class_hole_and_place(tmp_path, regions, name):
    assert save_regions(tmp_path / name, regions, INFO, least_um2=100) == 2
    table = load_objects(tmp_path / name)
    areas = dict(zip(table.class_names, table.areas_px / 64, strict=True))
    assert areas == pytest.approx({"Stroma": 1300 * 1000 - 300 * 300, "Tumor": 300 * 300}, rel=1e-3)
    assert set(table.object_type) == {ObjectType.ANNOTATION}
    np.testing.assert_allclose(np.nanmin(table.contours.bounds[:, :2]), 800)


def test_specks_stay_when_wanted(tmp_path, regions):
    assert save_regions(tmp_path / "a.geojson", regions, INFO) == 3


def test_ome_zarr_holds_classes_confidence_and_their_place(tmp_path, regions):
    from ome_zarr_models.v05.image import Image

    path = tmp_path / "a.ome.zarr"
    save_regions(path, regions, INFO)
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"], regions.labels)
    np.testing.assert_array_equal(group["1"], regions.labels[::2, ::2])
    np.testing.assert_array_equal(group["confidence/0"], regions.confidence)
    words = json.loads((path / "zarr.json").read_text())["attributes"]["ome"]
    assert [p["class"] for p in words["image-label"]["properties"]] == ["Stroma", "Tumor"]
    scales = [
        d["coordinateTransformations"][0]["scale"] for d in words["multiscales"][0]["datasets"]
    ]
    assert scales == [[4, 4], [8, 8]]
    Image.from_zarr(group["confidence"])


@pytest.mark.parametrize("name", ["a.tif", "a", "a.txt"])
def test_other_endings_are_told(tmp_path, name):
    with pytest.raises(WriteError, match=r"\.ome\.zarr"):
        check_regions_output(tmp_path / name)
