"""GeoParquet keeps every column, and other programs open it."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, ClassDef, ClassScheme, Contours, ObjectTable
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store._wkb import from_wkb, to_wkb
from napari_histo.store.parquet import iter_parquet, read_parquet, write_parquet
from support.objects import assert_same_contours, assert_same_tables, geometries, tables

shape_lists = st.lists(geometries(), max_size=8)


def squares(n: int, **columns) -> ObjectTable:
    corners = np.arange(n)[:, None, None] * 3.0 + [[0, 0], [2, 0], [2, 2], [0, 2]]
    return ObjectTable.build(Contours.from_star(corners), **columns)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_round_trip_keeps_everything(tmp_path, table):
    path = tmp_path / "a.parquet"
    assert write_parquet(path, table) == len(table)
    back = read_parquet(path)
    assert_same_tables(back, table)
    assert back.classes == table.classes, "unused classes and their order, too"
    assert back.sources == table.sources
    assert list(back.measurements) == list(table.measurements)
    assert (back.nuclei is None) == (table.nuclei is None)


def test_coordinates_keep_every_bit(tmp_path):
    xy = np.random.default_rng(0).random((5, 9, 2)).astype(np.float32) * 100_000
    write_parquet(tmp_path / "a.parquet", ObjectTable.build(Contours.from_star(xy)))
    assert_same_contours(read_parquet(tmp_path / "a.parquet").contours, Contours.from_star(xy))


def test_geopandas_opens_it_and_we_read_its_files(tmp_path):
    import geopandas

    table = squares(3, classes=ClassScheme.of("Tumor"), measurements={"Area µm^2": np.arange(3.0)})
    write_parquet(tmp_path / "a.parquet", table)
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs is None
    assert frame.geometry.area.tolist() == [4, 4, 4]
    assert frame["class"].tolist() == ["Tumor"] * 3
    assert frame["object_id"].tolist() == [str(i) for i in table.uuids()]
    table.to_geopandas().to_parquet(tmp_path / "b.parquet")
    back = read_parquet(tmp_path / "b.parquet")
    assert back.uuids() == table.uuids()
    assert back.measurements["Area µm^2"].tolist() == [0, 1, 2]


def test_metadata_follow_geoparquet(tmp_path):
    import pyarrow.parquet as pq

    write_parquet(tmp_path / "a.parquet", squares(2), about={"model": "he-nuclei"})
    metadata = pq.read_metadata(tmp_path / "a.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert column == {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "crs": None,
        "bbox": [0, 0, 5, 5],
    }
    assert json.loads(metadata[b"napari_histo"])["about"] == {"model": "he-nuclei"}


def test_streams_in_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    made = (squares(15_000, source=f"tile {i}") for i in range(3))
    assert write_parquet(path, made) == 45_000
    chunks = [len(t) for t in iter_parquet(path)]
    assert sum(chunks) == 45_000
    assert max(chunks) <= 20_000
    assert read_parquet(path).sources == ("tile 0", "tile 1", "tile 2")


def test_classes_that_come_later_are_kept(tmp_path):
    first = squares(1, classes=ClassScheme.of("A"))
    second = squares(1, classes=ClassScheme((ClassDef("B", (1, 2, 3)),)))
    write_parquet(tmp_path / "a.parquet", [first, second])
    back = read_parquet(tmp_path / "a.parquet")
    assert back.class_names.tolist() == ["A", "B"]
    assert back.classes[1].rgb == (1, 2, 3)


def test_columns_that_come_later_are_refused(tmp_path):
    later = squares(1, measurements={"Area": np.ones(1)})
    with pytest.raises(WriteError, match=r"ObjectTable\.concat"):
        write_parquet(tmp_path / "a.parquet", [squares(1), later])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["geometry", "class_prob", "details"])
def test_measurement_with_a_name_of_ours(tmp_path, name):
    table = squares(2, measurements={name: np.array([1.0, 2.0])}, class_prob=[0.5, 0.5])
    write_parquet(tmp_path / "a.parquet", table)
    assert_same_tables(read_parquet(tmp_path / "a.parquet"), table)


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"id,x\n1,2\n"], ids=["empty", "magic alone", "text"]
)
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ObjectsFileError, match=r"Cannot read .*a\.parquet as Parquet"):
        read_parquet(tmp_path / "a.parquet")


def test_truncated_missing_and_foreign_files_are_named(tmp_path):
    import pandas as pd

    write_parquet(tmp_path / "a.parquet", squares(100))
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[: len(whole) // 2])
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "c.parquet")
    for name in ("b", "none", "c"):
        with pytest.raises(ObjectsFileError, match=f"{name}.parquet as Parquet"):
            read_parquet(tmp_path / f"{name}.parquet")


def test_newer_format_asks_for_an_update(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_histo.store.parquet.FORMAT_VERSION", 99)
    write_parquet(tmp_path / "a.parquet", squares(1))
    monkeypatch.undo()
    with pytest.raises(ObjectsFileError, match=r"version 99.*Update"):
        read_parquet(tmp_path / "a.parquet")


# -- WKB -----------------------------------------------------------------------------------------


@given(shape_lists)
def test_wkb_is_what_geos_reads(shapes):
    contours = Contours.from_shapely(shapes)
    read = shapely.from_wkb(to_wkb(contours))
    for ours, theirs in zip(contours.to_shapely(), read, strict=True):
        assert shapely.equals_exact(ours, theirs) or (ours.is_empty and theirs.is_empty)
    assert_same_contours(from_wkb(to_wkb(contours)), contours)


@pytest.mark.parametrize("byte_order", [0, 1], ids=["big", "little"])
@pytest.mark.parametrize("flavor", ["extended", "iso"])
@pytest.mark.parametrize("dimension", [2, 3])
@settings(max_examples=20)
@given(shapes=shape_lists)
def test_wkb_of_others(shapes, byte_order, flavor, dimension):
    solid = [s for s in shapes if s is not None]
    raised = [shapely.force_3d(s, 5) if dimension == 3 else s for s in solid]
    texts = [
        shapely.to_wkb(s, byte_order=byte_order, flavor=flavor, output_dimension=dimension)
        for s in raised
    ]
    assert_same_contours(from_wkb(texts), Contours.from_shapely(solid))


def test_wkb_that_shapely_would_refuse():
    steps = np.array([0, 1, 2], np.int32)
    odd = Contours(
        np.ones((3, 2), np.float32),
        np.array([0, 2, 3], np.int32),
        steps,
        steps,
        np.array([0, 1], np.uint8),
    )
    assert_same_contours(from_wkb(to_wkb(odd)), odd)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x01",
        to_wkb(squares(1).contours)[0][:-1],
        to_wkb(squares(1).contours)[0] + b"x",
        struct.pack("<BI", 1, 17),
    ],
    ids=["nothing", "no type", "cut", "more", "unknown type"],
)
def test_damaged_wkb_names_its_row(text):
    good = to_wkb(squares(1).contours)[0]
    with pytest.raises(ValueError, match="geometry of row 1"):
        from_wkb([good, text])


def test_query_works_on_what_was_read(tmp_path):
    write_parquet(tmp_path / "a.parquet", squares(10))
    assert read_parquet(tmp_path / "a.parquet").query(Box(3, 3, 1, 1)).tolist() == [1]
