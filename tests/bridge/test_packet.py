"""Tables as folders of arrays: what the JVM is handed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, Details, ObjectState, ObjectTable, ObjectType
from qupath_bridge._differences import differences
from qupath_bridge.packet import pack

BOX = shapely.box(1, 2, 11, 22)


def table_of(*shapes, **columns):
    return ObjectTable.build(Contours.from_shapely(shapes), **columns)


def packed(table, folder, name, dtype):
    pack(table, folder)
    return np.fromfile(folder / f"{name}.bin", dtype)


def test_ids_are_two_longs_as_java_counts_them(tmp_path):
    table = table_of(BOX)
    high, low = packed(table, tmp_path, "object_id", "<i8").tolist()
    key = table.uuid(0).int
    assert (high % 2**64, low % 2**64) == (key >> 64, key % 2**64)


@pytest.mark.parametrize(
    ("shape", "object_type", "form"),
    [
        pytest.param(BOX, ObjectType.ANNOTATION, 1, id="box"),
        pytest.param(BOX, ObjectType.TILE, 1, id="tile"),
        pytest.param(BOX, ObjectType.DETECTION, 0, id="detections stay polygons"),
        pytest.param(shapely.affinity.rotate(BOX, 30), ObjectType.ANNOTATION, 0, id="turned"),
        pytest.param(BOX - BOX.centroid.buffer(1), ObjectType.ANNOTATION, 0, id="hole"),
        pytest.param(shapely.box(0, 0, 1, 1) | BOX, ObjectType.ANNOTATION, 0, id="two"),
        pytest.param(shapely.LineString([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]), 1, 0, id="line"),
        pytest.param(
            shapely.Polygon([(0, 0), (1, 0), (2, 0), (2, 2)]), ObjectType.ANNOTATION, 0, id="flat"
        ),
    ],
)
def test_upright_boxes_of_annotations_are_rectangles(tmp_path, shape, object_type, form):
    assert packed(table_of(shape, object_type=object_type), tmp_path, "form", "u1") == [form]


def test_only_states_that_the_type_does_not_tell_are_kept(tmp_path):
    table = table_of(
        *[BOX] * 4,
        object_type=[0, 0, 1, 1],
        state=[ObjectState.PREDICTED, ObjectState.EDITED, ObjectState.DRAWN, ObjectState.PREDICTED],
    )
    assert packed(table, tmp_path, "state_word", "<i4").tolist() == [-1, 2, -1, 0]


def test_probabilities_are_measurements_where_there_are_any(tmp_path):
    table = table_of(BOX, BOX, det_prob=[0.5, np.nan], measurements={"Area px": np.array([1.0, 2])})
    pack(table, tmp_path)
    header = json.loads((tmp_path / "header.json").read_text())
    assert header["measurements"] == ["Area px", "Detection probability"]


# -- what differs --------------------------------------------------------------------------------


def many():
    shapes = [shapely.Point(20 * i, 9).buffer(5) for i in range(4)]
    return table_of(
        *shapes,
        class_id=[0, 1, -1, 0],
        classes=ClassScheme.of("Tumor", "Stroma"),
        measurements={"Area px": np.array([1.0, np.nan, 3, 4])},
    )


def test_nothing_differs_from_itself_in_another_order():
    table = many()
    found = differences(table, table.select([2, 0, 3, 1]))
    assert (len(found.added), len(found.changed), len(found.missing)) == (0, 0, 0)
    assert found.n_unchanged == 4


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t.with_columns(class_id=np.int32([0, 1, 0, 0])), id="class"),
        pytest.param(lambda t: t.with_columns(state=np.uint8([0, 0, 2, 0])), id="state"),
        pytest.param(
            lambda t: t.with_columns(det_prob=np.float32([np.nan, np.nan, 0.5, np.nan])), id="prob"
        ),
        pytest.param(
            lambda t: t.with_columns(measurements={"Area px": np.array([1.0, np.nan, 3.5, 4])}),
            id="measurement",
        ),
        pytest.param(
            lambda t: t.with_columns(details={t.uuid(2): Details(description="µ")}), id="details"
        ),
        pytest.param(
            lambda t: ObjectTable.concat(
                [t.select([0, 1, 3]), t.select([2]).transform(1.0, (0.5, 0))]
            ),
            id="outline",
        ),
    ],
)
def test_a_change_is_found_in_its_row_alone(change):
    old = many()
    new = change(old)
    found = differences(old, new)
    assert [new.uuid(i) for i in found.changed] == [old.uuid(2)]
    assert found.n_unchanged == 3


def test_classes_are_matched_by_name_and_measurements_to_single_precision():
    old = many()
    turned = old.with_columns(
        classes=ClassScheme.of("Stroma", "Tumor"),
        class_id=np.int32([1, 0, -1, 1]),
        measurements={"Area px": np.array([1 + 1e-12, np.nan, 3, 4])},
    )
    assert differences(old, turned).n_unchanged == 4


def test_new_and_missing_rows():
    old = many()
    new = ObjectTable.concat([old.select([1, 2]), many().select([0])])
    found = differences(old, new)
    assert (found.added.tolist(), found.missing.tolist(), found.n_unchanged) == ([2], [0, 3], 2)
