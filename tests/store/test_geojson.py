"""GeoJSON: what we write comes back."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    GeometryKind,
    ObjectTable,
    ObjectType,
)
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store.geojson import iter_geojson, read_geojson, write_geojson
from support.objects import assert_same_tables, tables

reuse_folder = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def squares(n: int) -> ObjectTable:
    corners = np.arange(n)[:, None, None] * 3.0 + [[0, 0], [2, 0], [2, 2], [0, 2]]
    return ObjectTable.build(Contours.from_star(corners), classes=ClassScheme.of("Tumor"))


# -- round trips ---------------------------------------------------------------------------------


@reuse_folder
@given(table=tables())
def test_round_trip_keeps_everything(tmp_path, table):
    path = tmp_path / "a.geojson"
    assert write_geojson(path, table) == len(table)
    assert_same_tables(read_geojson(path), table)


@reuse_folder
@given(table=tables(min_size=1))
def test_small_blocks_read_the_same(tmp_path, table):
    path = tmp_path / "a.geojson"
    write_geojson(path, table)
    for block_bytes in (1, 7, 64):
        assert_same_tables(
            ObjectTable.concat(list(iter_geojson(path, block_bytes=block_bytes))), table
        )


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.geojson.gz"])
def test_every_suffix(tmp_path, name):
    write_geojson(tmp_path / name, squares(3))
    assert len(read_geojson(tmp_path / name)) == 3
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_real_files_come_back(data_dir, tmp_path):
    files = sorted((data_dir / "qupath" / "geojson").iterdir())
    assert len(files) >= 8
    for file in files:
        table = read_geojson(file)
        assert len(table), file.name
        write_geojson(tmp_path / "a.geojson", table)
        assert_same_tables(read_geojson(tmp_path / "a.geojson"), table)


def test_real_cells_have_nuclei_and_measurements(data_dir):
    folder = data_dir / "qupath" / "geojson"
    old = read_geojson(folder / "luna_region_annotation_results.geojson")
    assert old.object_type.tolist() == [ObjectType.CELL]
    assert old.classes.classes == (ClassDef("Other", (0, 128, 128)),)
    assert old.det_prob[0] == np.float32(0.5110340118408203)
    assert old.measurements["Nucleus: Area µm^2"][0] == 371.4884948730469
    assert 0 < old.nuclei.areas_px[0] < old.areas_px[0]
    points = read_geojson(folder / "CellViT_JP2K-33003-2_cell_detection.geojson")
    assert set(points.contours.kind) == {GeometryKind.POINT}
    assert len(points.contours.xy) == 37_927


def test_from_an_iterator_in_bounded_memory(tmp_path):
    n_tables, path = 12, tmp_path / "a.geojson"

    def made():
        for i in range(n_tables):
            yield squares(1000).with_columns(sources=(f"tile {i}",), source_id=np.zeros(1000, int))

    assert write_geojson(path, made()) == 1000 * n_tables
    tracemalloc.start()
    n = sum(len(table) for table in iter_geojson(path, block_bytes=1 << 16))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 1000 * n_tables
    # Not the file's size counts but the block's: what a block becomes while it is parsed.
    assert peak < 40 * (1 << 16) < path.stat().st_size
    back = read_geojson(path)
    assert back.sources == tuple(f"tile {i}" for i in range(n_tables))
    assert back.class_names.tolist() == ["Tumor"] * n


# -- what is written -----------------------------------------------------------------------------


def test_spelling_is_qupaths(tmp_path):
    table = squares(1).with_columns(
        object_type=np.array([ObjectType.CELL], np.uint8),
        classes=ClassScheme((ClassDef("Tumor: Positive", (1, 2, 3)),)),
        det_prob=np.array([0.5], np.float32),
        nuclei=squares(1).contours,
        measurements={"Area µm^2": np.array([1.25]), "50% x": np.array([np.inf])},
    )
    table = table.with_columns(
        details={table.uuid(0): Details(name="n", rgb=(9, 8, 7), locked=True, metadata={"k": "v"})}
    )
    write_geojson(tmp_path / "a.geojson", table)
    document = json.loads((tmp_path / "a.geojson").read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    (found,) = document["features"]
    assert found["id"] == str(table.uuid(0))
    assert found["nucleusGeometry"] == found["geometry"]
    assert found["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]],
    }
    assert found["properties"] == {
        "objectType": "cell",
        "classification": {"names": ["Tumor", "Positive"], "color": [1, 2, 3]},
        "name": "n",
        "color": [9, 8, 7],
        "isLocked": True,
        "metadata": {"k": "v"},
        "measurements": {"Detection probability": 0.5, "Area µm^2": 1.25, "50% x": "Infinity"},
    }


def test_a_prediction_carries_no_marks_of_ours(tmp_path):
    table = ObjectTable.build(squares(2).contours, source="he-nuclei 1.0")
    write_geojson(tmp_path / "a.geojson", table, about={"image": "slide.svs"})
    document = json.loads((tmp_path / "a.geojson").read_text())
    assert document["napari-histo"]["source"] == "he-nuclei 1.0"
    assert document["napari-histo"]["image"] == "slide.svs"
    assert document["features"][0]["properties"] == {"objectType": "detection"}


def test_coordinates_have_two_decimals(tmp_path):
    ring = np.array([[0.123456, 0], [99_999.987, 1], [3, 4.005]])
    write_geojson(tmp_path / "a.geojson", ObjectTable.build(Contours.from_rings([ring])))
    document = json.loads((tmp_path / "a.geojson").read_text())
    xy = np.array(document["features"][0]["geometry"]["coordinates"][0])
    np.testing.assert_array_equal(xy, np.round(xy, 2))
    np.testing.assert_allclose(xy[:-1], ring, atol=0.01)


@pytest.mark.parametrize("n_vertices", [1, 2, 3])
def test_rings_too_short_for_qupath_are_lengthened(tmp_path, n_vertices):
    steps = np.array([0, 1], np.int32)
    ring = Contours(
        np.arange(2 * n_vertices, dtype=np.float32).reshape(-1, 2),
        np.array([0, n_vertices], np.int32),
        steps,
        steps,
        np.zeros(1, np.uint8),
    )
    write_geojson(tmp_path / "a.geojson", ObjectTable.build(ring))
    document = json.loads((tmp_path / "a.geojson").read_text())
    assert len(document["features"][0]["geometry"]["coordinates"][0]) == 4


def test_geopandas_opens_it(tmp_path):
    import geopandas

    write_geojson(tmp_path / "a.geojson", squares(3))
    frame = geopandas.read_file(tmp_path / "a.geojson")
    assert len(frame) == 3
    assert [g.area for g in frame.geometry] == [4, 4, 4]


def test_coordinates_that_are_not_finite_are_refused(tmp_path):
    bad = ObjectTable.build(Contours.from_rings([[(0, 0), (np.nan, 1), (1, 1)]]))
    with pytest.raises(WriteError, match="not finite"):
        write_geojson(tmp_path / "a.geojson", bad)
    assert list(tmp_path.iterdir()) == []


def test_truncation_at_any_byte_is_an_error(tmp_path):
    path = tmp_path / "a.geojson"
    write_geojson(path, squares(2))
    whole = path.read_bytes().rstrip()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ObjectsFileError):
            read_geojson(path)
