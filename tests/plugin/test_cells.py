"""Cells with nuclei in napari: from QuPath's GeoJSON and back, one object with two outlines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.core import ObjectType
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.writers import table_of_layer
from napari_histo.store import load_objects

pytestmark = pytest.mark.gui

IDS = ("8d9d7a2c-52d2-4a4c-9a6d-0c2f2f6f0a01", "8d9d7a2c-52d2-4a4c-9a6d-0c2f2f6f0a02")
CELL = [[[20, 20], [60, 20], [60, 50], [20, 50], [20, 20]]]
NUCLEUS = [[[30.25, 28.5], [45, 28.5], [45, 41.75], [30.25, 41.75], [30.25, 28.5]]]


def feature(key, outline, **members):
    properties = {
        "objectType": "cell",
        "name": "Ana",
        "classification": {"name": "Tumor", "color": [200, 0, 0]},
        "measurements": {"Nucleus: Area µm^2": 12.5, "Cell: Area µm^2": 75.25},
    }
    geometry = {"type": "Polygon", "coordinates": outline}
    return {"type": "Feature", "id": key, "geometry": geometry, **members, "properties": properties}


@pytest.fixture
def written(tmp_path):
    """As QuPath writes a cell with a nucleus, and one without."""
    nucleus = {"nucleusGeometry": {"type": "Polygon", "coordinates": NUCLEUS}}
    far = (np.array(CELL) + 100).tolist()
    features = [feature(IDS[0], CELL, **nucleus), feature(IDS[1], far)]
    path = tmp_path / "qupath.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def ring(geometry):
    return {tuple(point) for point in geometry["coordinates"][0]}


def test_geojson_napari_geojson(make_napari_viewer_proxy, written, tmp_path):
    """Opened by the viewer, saved by the viewer: ids, outlines, classes, names, measurements."""
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((200, 200, 3), np.uint8), rgb=True)
    (layer,) = viewer.open(written, plugin="napari-histo")
    assert table_of(layer).object_type.tolist() == [ObjectType.CELL] * 2
    back = tmp_path / "back.geojson"
    assert layer.save(str(back), plugin="napari-histo") == [str(back)]
    before, after = (json.loads(p.read_text())["features"] for p in (written, back))
    assert [f["id"] for f in after] == list(IDS)
    for old, new in zip(before, after, strict=True):
        assert ring(new["geometry"]) == ring(old["geometry"])
        assert ("nucleusGeometry" in new) == ("nucleusGeometry" in old)
        assert new["properties"] == old["properties"]
    assert ring(after[0]["nucleusGeometry"]) == ring(before[0]["nucleusGeometry"])


def test_all_layers_saved_at_once_hold_each_cell_once(make_napari_viewer_proxy, written, tmp_path):
    viewer = make_napari_viewer_proxy()
    viewer.open(written, plugin="napari-histo")
    tables = [table_of_layer(*layer.as_layer_data_tuple()) for layer in viewer.layers]
    assert [str(i) for t in tables for i in t.uuids()] == list(IDS)
    viewer.layers.save(str(tmp_path / "all.geojson"), plugin="napari-histo")
    assert [str(i) for i in load_objects(tmp_path / "all.geojson").uuids()] == list(IDS)
