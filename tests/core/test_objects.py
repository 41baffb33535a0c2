"""ObjectTable: rows stay together, ids stay for ever, memory stays small."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    new_ids,
)
from support.objects import assert_same_contours, assert_same_tables, tables

MEGABYTE = 1_000_000


def stars(n: int, n_rays: int = 32) -> Contours:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, n_rays, endpoint=False)
    centres = rng.random((n, 1, 2)) * 10_000
    return Contours.from_star(centres + 9 * np.stack([np.cos(angles), np.sin(angles)], axis=-1))


@settings(max_examples=30)
@given(tables(), st.data())
def test_select_and_concat_give_the_table_back(table, data):
    cut = data.draw(st.integers(0, len(table)))
    rows = np.arange(len(table))
    assert_same_tables(
        ObjectTable.concat([table.select(rows[:cut]), table.select(rows[cut:])]), table
    )
    mask = rows < cut
    assert_same_tables(table.select(mask), table.select(rows[:cut]))


@settings(max_examples=30)
@given(tables(), tables())
def test_concat_unites_classes_sources_and_columns(a, b):
    both = ObjectTable.concat([a, b])
    assert len(both) == len(a) + len(b)
    assert both.class_names.tolist() == [*a.class_names, *b.class_names]
    assert both.uuids() == a.uuids() + b.uuids()
    assert set(both.sources) == {*a.sources, *b.sources}
    for name in {*a.measurements, *b.measurements}:
        missing = [np.full(len(t), np.nan) for t in (a, b)]
        columns = [t.measurements.get(name, m) for t, m in zip((a, b), missing, strict=True)]
        np.testing.assert_array_equal(both.measurements[name], np.concatenate(columns))
    assert {**a.details, **b.details} == dict(both.details)


@settings(max_examples=30)
@given(tables())
def test_geopandas_and_back(table):
    back = ObjectTable.from_geopandas(table.to_geopandas(), table.classes)
    plain = replace(table, details={}, measurements=back.measurements)
    assert_same_tables(back, plain)


def test_details_follow_their_ids():
    table = ObjectTable.build(stars(3))
    named = replace(table, details={table.uuid(1): Details(name="b")})
    assert named.select([2, 1]).details_of(1).name == "b"
    assert named.select([0]).details == {}
    assert named.details_of(0) == Details()


def test_rows_of_finds_ids_in_their_order():
    table = ObjectTable.build(stars(5))
    ids = [table.uuid(3), UUID(int=0), table.uuid(1)]
    assert table.rows_of(ids).tolist() == [3, 1]


def test_ids_survive_select_transform_and_columns():
    table = ObjectTable.build(stars(4))
    other = table.select([3, 0]).transform(2, (1, 1)).with_columns(state=np.full(2, 1, np.uint8))
    assert other.uuids() == [table.uuid(3), table.uuid(0)]


def test_new_ids_are_random_uuids_and_seeded_where_asked():
    ids = new_ids(1000)
    assert len({i.tobytes() for i in ids}) == 1000
    assert {UUID(bytes=i.tobytes()).version for i in ids} == {4}
    assert {UUID(bytes=i.tobytes()).variant for i in ids} == {"specified in RFC 4122"}
    seeded = [new_ids(3, np.random.default_rng(1)) for _ in range(2)]
    np.testing.assert_array_equal(*seeded)


@pytest.mark.parametrize(
    ("classes", "class_id"),
    [(ClassScheme(), -1), (ClassScheme.of("A"), 0), (ClassScheme.of("A", "B"), -1)],
    ids=["none", "one", "two"],
)
def test_build_guesses_a_class_only_where_there_is_one(classes, class_id):
    table = ObjectTable.build(stars(2), classes=classes)
    assert table.class_id.tolist() == [class_id] * 2
    assert np.isnan(table.det_prob).all()
    assert set(table.state) == {ObjectState.PREDICTED}
    assert set(table.object_type) == {ObjectType.DETECTION}


def test_query_is_in_full_resolution_pixels():
    contours = Contours.from_rings([[(0, 0), (4, 0), (4, 4)], [(10, 90), (14, 90), (14, 94)]])
    table = ObjectTable.build(contours)
    assert table.query(Box(5, 80, 20, 20)).tolist() == [1]
    assert table.query(Box(80, 5, 20, 20)).tolist() == []
    assert table.query(Box(4, 0, 3, 3)).tolist() == [], "a box that only touches does not meet"


def test_transform_moves_nuclei_too():
    contours = stars(2)
    table = ObjectTable.build(contours, nuclei=contours).transform((2, 3), (10, 20))
    assert_same_contours(table.nuclei, contours.transform((2, 3), (10, 20)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"det_prob": np.zeros(3, np.float32)}, "det_prob has 3 rows for 2"),
        ({"measurements": {"A": np.zeros(1)}}, "'A' has 1 rows for 2"),
        ({"class_id": [0, 1]}, "beyond the 0 classes"),
        ({"nuclei": Contours.empty(3)}, "nuclei has 3 rows"),
        ({"class_id": [-2, -1]}, "-2"),
        ({"source_id": np.array([0, 1], np.int32), "sources": ("a",)}, "source_id 1"),
    ],
    ids=["length", "measurement", "class", "nuclei", "class below -1", "source"],
)
def test_refuses_columns_that_do_not_fit(columns, message):
    with pytest.raises(ValueError, match=message):
        ObjectTable.build(stars(2), **columns)


def test_a_million_nuclei_fit_in_320_megabytes():
    n = 1000
    table = ObjectTable.build(stars(n), det_prob=np.ones(n), classes=ClassScheme.of("A"))
    per_object = (table.nbytes) / n
    assert per_object * 1_000_000 <= 320 * MEGABYTE


def test_areas_and_centroids_keep_memory_small():
    import tracemalloc

    n = 50_000
    table = ObjectTable.build(stars(n))
    tracemalloc.start()
    areas, centroids = table.areas_px, table.centroids
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 24 bytes of results and 16 of bounds an object stay; the work takes one chunk at a time.
    assert kept / n < 50 + areas.itemsize
    assert peak < 64 * MEGABYTE
    assert len(centroids) == n


def test_empty_tables_take_part():
    empty = ObjectTable.empty(ClassScheme.of("A"))
    table = ObjectTable.build(stars(2), classes=ClassScheme.of("B"), source="m")
    both = ObjectTable.concat([empty, table])
    assert both.classes.names == ("A", "B")
    assert both.class_names.tolist() == ["B", "B"]
    assert len(ObjectTable.concat([])) == 0
    assert empty.query(Box(0, 0, 9, 9)).tolist() == []
    assert len(empty.to_geopandas()) == 0


def test_foreign_frame_gets_fresh_ids_and_numbers_as_measurements():
    import geopandas
    import shapely

    frame = geopandas.GeoDataFrame(
        {"class": ["A", None], "area": [1, 2], "note": ["x", "y"]},
        geometry=[shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)],
    )
    table = ObjectTable.from_geopandas(frame)
    assert table.class_names.tolist() == ["A", None]
    assert {k: v.tolist() for k, v in table.measurements.items()} == {"area": [1, 2]}
    assert len(set(table.uuids())) == 2
