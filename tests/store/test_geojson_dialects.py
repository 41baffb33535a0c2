"""GeoJSON: what QuPath and others wrote, or damaged, is read or refused."""

from __future__ import annotations

import gzip
import json
from uuid import UUID

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    ObjectState,
    ObjectType,
)
from napari_histo.errors import ObjectsFileError
from napari_histo.store.geojson import iter_geojson, read_geojson

ID = "5868af7c-9aaf-4646-b618-e0a3cf74b94f"
SQUARE = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]


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
