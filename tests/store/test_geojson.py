"""GeoJSON: what we write comes back, and what QuPath and others wrote is read."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    GeometryKind,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store.geojson import iter_geojson, read_geojson, write_geojson
from support.objects import assert_same_tables, tables

ID = "5868af7c-9aaf-4646-b618-e0a3cf74b94f"
SQUARE = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]
reuse_folder = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def feature(properties=None, *, id=ID, coordinates=SQUARE, kind="Polygon", **members):
    geometry = {"type": kind, "coordinates": coordinates}
    return {
        "type": "Feature",
        "id": id,
        "geometry": geometry,
        "properties": properties or {},
        **members,
    }


@pytest.fixture
def read(tmp_path):
    """Reads a document: text, or anything that `json` writes."""

    def _read(document, name="a.geojson"):
        path = tmp_path / name
        if isinstance(document, bytes):
            path.write_bytes(document)
        else:
            path.write_text(
                document if isinstance(document, str) else json.dumps(document), encoding="utf-8"
            )
        return read_geojson(path)

    return _read


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


def test_class_ids_mean_the_same_in_every_chunk(tmp_path):
    path = tmp_path / "a.geojson"
    features = [
        feature({"classification": name}, id=str(UUID(int=i)))
        for i, name in enumerate(["A", "B", "A", "C"])
    ]
    path.write_text(json.dumps(features))
    chunks = list(iter_geojson(path, block_bytes=100))
    assert len(chunks) > 1
    assert [i for c in chunks for i in c.class_id] == [0, 1, 0, 2]
    assert chunks[0].classes.names == chunks[-1].classes.names[: len(chunks[0].classes)]


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


# -- dialects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: {"type": "FeatureCollection", "features": [f]},
        lambda f: [f],
        lambda f: f,
        lambda f: json.dumps({"features": [f], "type": "FeatureCollection", "crs": {"a": {}}}),
        lambda f: json.dumps(json.dumps({"type": "FeatureCollection", "features": [f]})),
        lambda f: b"\xef\xbb\xbf" + json.dumps([f]).encode(),
        lambda f: gzip.compress(json.dumps([f]).encode()),
        lambda f: json.dumps([f], indent=4),
        lambda f: " \n " + json.dumps({"crs": {"b": [{"c": 1}]}, "features": [f]}),
        lambda f: [{"type": "FeatureCollection", "features": [f]}],
    ],
    ids=[
        "collection",
        "list",
        "one feature",
        "members behind",
        "dumped twice",
        "BOM",
        "gzip without suffix",
        "indented",
        "members before",
        "collection in a list",
    ],
)
def test_every_kind_of_document(read, wrap):
    table = read(wrap(feature({"objectType": "detection", "name": 'a "{[\\" b'})))
    assert table.uuids() == [UUID(ID)]
    assert table.details_of(0).name == 'a "{[\\" b'
    assert table.areas_px.tolist() == [16]


def test_bare_geometry_is_an_annotation(read):
    table = read({"type": "Polygon", "coordinates": SQUARE})
    assert (len(table), table.object_type[0]) == (1, ObjectType.ANNOTATION)


@pytest.mark.parametrize("document", ["[]", '{"type": "FeatureCollection", "features": []}'])
def test_no_features_is_an_empty_table(read, document):
    assert len(read(document)) == 0


@pytest.mark.parametrize(
    ("id", "properties", "expected"),
    [
        ("PathDetectionObject", {}, ObjectType.DETECTION),
        ("PathCellObject", {}, ObjectType.CELL),
        ("PathAnnotationObject", {}, ObjectType.ANNOTATION),
        (None, {"object_type": "tile"}, ObjectType.TILE),
        (None, {"objectType": "tmaCore"}, ObjectType.TMA_CORE),
        (None, {"type": "tma_core"}, ObjectType.TMA_CORE),
        (None, {}, ObjectType.ANNOTATION),
        (None, {"objectType": "something"}, ObjectType.ANNOTATION),
    ],
    ids=["0.2 detection", "0.2 cell", "0.2 annotation", "0.3", "0.4", "alias", "none", "unknown"],
)
def test_object_types_of_all_versions(read, id, properties, expected):
    table = read([feature(properties, id=id)])
    assert table.object_type.tolist() == [expected]
    drawn = expected == ObjectType.ANNOTATION
    assert table.state.tolist() == [ObjectState.DRAWN if drawn else ObjectState.PREDICTED]


@pytest.mark.parametrize(
    ("classification", "name", "rgb"),
    [
        ("Tumor", "Tumor", (200, 0, 0)),
        ({"name": "X", "color": [1, 2, 3]}, "X", (1, 2, 3)),
        ({"name": "X", "color": [1, 2, 3, 128]}, "X", (1, 2, 3)),
        ({"names": ["X", "Y"], "color": [1, 2, 3]}, "X: Y", (1, 2, 3)),
        ({"name": "Other", "colorRGB": -16744320}, "Other", (0, 128, 128)),
        ({"name": "Tumor"}, "Tumor", (200, 0, 0)),
        (
            {"name": "Y", "colorRGB": -1, "parentClass": {"name": "X", "colorRGB": -2}},
            "X: Y",
            (255, 255, 255),
        ),
        (None, None, None),
        ({}, None, None),
        ("", None, None),
    ],
    ids=["string", "0.4", "alpha", "derived", "0.3", "no colour", "0.2", "null", "{}", "empty"],
)
def test_classifications_of_all_versions(read, classification, name, rgb):
    table = read([feature({"classification": classification})])
    assert table.class_names.tolist() == [name]
    assert [c.rgb for c in table.classes] == ([] if rgb is None else [rgb])


@pytest.mark.parametrize(
    "measurements",
    [
        {"A": 1.5, "B": "NaN", "C": "Infinity", "Detection probability": 0.25},
        [
            {"name": "A", "value": 1.5},
            {"name": "B", "value": "NaN"},
            {"name": "C", "value": "Infinity"},
            {"name": "Detection probability", "value": 0.25},
        ],
    ],
    ids=["map", "list"],
)
def test_measurements_of_all_versions(read, measurements):
    features = [feature({"measurements": measurements}), feature(id=str(UUID(int=1)))]
    table = read(features)
    assert table.measurements["A"][0] == 1.5
    assert np.isnan(table.measurements["B"]).all()
    assert table.measurements["C"][0] == np.inf
    np.testing.assert_array_equal(table.det_prob, np.array([0.25, np.nan], np.float32))


def test_python_writes_nan_without_quotes(read):
    table = read(
        '[{"type":"Feature","geometry":null,"properties":{"measurements":{"A":NaN,"B":2}}}]'
    )
    assert np.isnan(table.measurements["A"][0])
    assert table.measurements["B"].tolist() == [2]


def test_metadata_written_twice_is_joined(read):
    text = json.dumps([feature({"metadata": {"a": "1"}, "x": 0})])
    table = read(text.replace('"x": 0', '"metadata": {"b": "2"}'))
    assert table.details_of(0).metadata == {"a": "1", "b": "2"}


def test_foreign_properties_are_kept(read):
    table = read([feature({"label": "Tumor", "score": 3, "ok": True, "deep": {"a": [1]}})])
    assert table.measurements["score"].tolist() == [3]
    assert table.details_of(0).metadata == {"label": "Tumor", "ok": "true", "deep": '{"a": [1]}'}


@pytest.mark.parametrize(
    "members",
    [
        {"nucleusGeometry": {"type": "Polygon", "coordinates": SQUARE}},
        {"extra_geometries": {"nucleus": {"type": "Polygon", "coordinates": SQUARE}}},
    ],
    ids=["QuPath", "QuBaLab"],
)
def test_nuclei_of_cells(read, members):
    table = read([feature({"objectType": "cell"}, **members), feature(id=str(UUID(int=1)))])
    assert table.nuclei.areas_px.tolist() == [16, 0]


def test_hierarchy_is_flattened_with_parents(read):
    child = feature({"objectType": "detection"}, id=str(UUID(int=2)))
    inner = feature({"childObjects": [child]}, id=str(UUID(int=1)))
    root = {"type": "Feature", "geometry": {}, "properties": {"objectType": "root"}}
    root["properties"]["childObjects"] = [inner, feature()]
    table = read([root])
    assert table.uuids() == [UUID(int=1), UUID(int=2), UUID(ID)]
    assert [table.details_of(i).parent_id for i in range(3)] == [None, UUID(int=1), None]


@pytest.mark.parametrize("geometry", [None, {}, {"type": "Polygon", "coordinates": []}])
def test_missing_geometry_is_an_empty_row(read, geometry):
    table = read([{"type": "Feature", "id": ID, "geometry": geometry, "properties": {}}])
    assert (len(table), len(table.contours.xy)) == (1, 0)


def test_feature_without_properties_or_geometry(read):
    assert len(read([{"type": "Feature"}, {"type": "Feature", "properties": None}])) == 2


def test_collections_of_geometries_keep_the_highest_dimension(read):
    parts = [
        {"type": "Polygon", "coordinates": SQUARE},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
        {"type": "Point", "coordinates": [1, 2]},
    ]
    document = feature()
    document["geometry"] = {"type": "GeometryCollection", "geometries": parts}
    with pytest.warns(UserWarning, match="1 parts of lower dimension"):
        table = read(document)
    assert table.areas_px.tolist() == [32]


def test_open_rings_heights_and_extras(read):
    ring = [[[0, 0, 7], [4, 0, 7], [4, 4, 7], [0, 4, 7]]]
    document = feature(coordinates=ring)
    document["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    table = read(document)
    assert table.areas_px.tolist() == [16]
    assert shapely.is_valid(table.to_shapely()).all()
    assert table.details_of(0).geometry_extra == {"plane": {"c": -1, "z": 3, "t": 0}}


@pytest.mark.parametrize(
    ("kind", "coordinates"), [("LineString", [[1, 2]]), ("Polygon", [[[1, 2]]])]
)
def test_degenerate_geometries_do_not_break_the_others(read, kind, coordinates):
    bad = feature(kind=kind, coordinates=coordinates, id=str(UUID(int=1)))
    table = read([bad, feature()])
    assert table.areas_px.tolist() == [0, 16]
    assert table.to_shapely()[1].area == 16


def test_ids_seen_twice_get_new_ones(read):
    with pytest.warns(UserWarning, match="2 objects carry an id"):
        table = read([feature(), feature(), feature(), feature(id=str(UUID(int=1)))])
    assert len(set(table.uuids())) == 4
    assert table.uuids()[::3] == [UUID(ID), UUID(int=1)]


def test_ids_seen_twice_in_different_chunks(tmp_path):
    path = tmp_path / "a.geojson"
    others = [feature(id=str(UUID(int=i + 1))) for i in range(20)]
    path.write_text(json.dumps([feature(), *others, feature()]))
    with pytest.warns(UserWarning, match=ID):
        chunks = list(iter_geojson(path, block_bytes=300))
    assert len(chunks) > 3
    assert len({i for c in chunks for i in c.uuids()}) == 22


@pytest.mark.parametrize("id", [7, "cell_7", "", None], ids=str)
def test_ids_that_are_no_uuids_are_replaced(read, id):
    table = read([feature(id=id), feature()])
    assert len(set(table.uuids())) == 2
    assert table.uuid(1) == UUID(ID)


def test_windows_text_is_read_with_a_warning(read):
    text = json.dumps([feature({"name": "µm"})], ensure_ascii=False).encode("cp1252")
    with pytest.warns(UserWarning, match="Windows-1252"):
        assert read(text).details_of(0).name == "µm"


# -- damage --------------------------------------------------------------------------------------


def written(n: int) -> bytes:
    return json.dumps([feature(id=str(UUID(int=i))) for i in range(n)]).encode()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "is empty"),
        (b"  \n ", "is empty"),
        (b"id,x,y\n1,2,3", "starts with 'id,x,y"),
        (b"\x89PNG\r\n", "is not GeoJSON"),
        (b'{"a": 1}', "JSON with \\['a'\\]"),
        (b"[1, 2]", "is not GeoJSON"),
        (b'"hello"', "is not GeoJSON"),
        (written(3)[:-1], "ends too early"),
        (written(3)[:-20], "after 2 whole features"),
        (written(3)[:5], "after 0 whole features"),
        (written(2) + b"]", "is not GeoJSON"),
        (written(2).replace(b"}, {", b"} {"), "a comma is missing"),
        (written(2).replace(b"}, {", b"}; {"), "unexpected ';'"),
        (written(2).replace(b"[4, 4]", b"[4, 4", 1), "feature 1"),
        (b'[{"type": "Feature", "geometry": {"type": "Circle"}}]', "'Circle' is not one of"),
        (json.dumps([feature(coordinates=[[[0, "a"], [1, 1]]])]).encode(), "feature 1"),
        (json.dumps([feature(coordinates=[[[0, None], [1, 1]]])]).encode(), "feature 1"),
        (json.dumps([feature(), {"a": 1}]).encode(), "feature 2 \\(byte"),
        (gzip.compress(written(300))[:-20], "compressed data end too early"),
        (gzip.compress(written(300))[:40] + b"x" * 40, "compressed data"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_damage_is_named_with_its_place(read, document, message):
    with pytest.raises(ObjectsFileError, match=message):
        read(document)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.geojson", tmp_path):
        with pytest.raises(ObjectsFileError, match="Check the path"):
            read_geojson(path)


def test_truncation_at_any_byte_is_an_error(tmp_path):
    path = tmp_path / "a.geojson"
    write_geojson(path, squares(2))
    whole = path.read_bytes().rstrip()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ObjectsFileError):
            read_geojson(path)
