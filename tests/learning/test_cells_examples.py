"""Which objects are examples, and of what."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import LearningError
from napari_histo.learning.cells.examples import Examples, examples_of, rows_at
from napari_histo.learning.cells.features import ObjectFeatures

SCHEME = ClassScheme.of("Nucleus", "Tumor", "Stroma")
S = ObjectState


def boxes(**columns):
    """Three boxes: two apart, the third around the second."""
    shapes = [shapely.box(0, 0, 10, 10), shapely.box(20, 0, 30, 10), shapely.box(14, 0, 40, 20)]
    return ObjectTable.build(Contours.from_shapely(shapes), classes=SCHEME, **columns)


def points(*xy, class_id=1, **columns):
    shape = shapely.MultiPoint(xy) if len(xy) > 1 else shapely.Point(xy[0])
    return ObjectTable.build(
        Contours.from_shapely([shape]),
        classes=SCHEME,
        class_id=[class_id],
        object_type=ObjectType.ANNOTATION,
        state=columns.pop("state", S.DRAWN),
    )


@pytest.mark.parametrize(
    ("state", "class_id", "prob", "every", "expected"),
    [
        pytest.param(S.ACCEPTED, 1, np.nan, False, 1, id="accepted"),
        pytest.param(S.EDITED, 2, 0.4, False, 2, id="edited"),
        pytest.param(S.DRAWN, 2, np.nan, False, 2, id="drawn"),
        pytest.param(S.PREDICTED, 1, np.nan, False, -1, id="nobody-looked"),
        pytest.param(S.PREDICTED, 1, np.nan, True, 1, id="every"),
        pytest.param(S.PREDICTED, 1, 0.9, True, -1, id="a-classifier-said"),
        pytest.param(S.REJECTED, 1, np.nan, True, -1, id="refused"),
        pytest.param(S.ACCEPTED, 0, np.nan, True, -1, id="what-all-are-called"),
        pytest.param(S.ACCEPTED, -1, np.nan, True, -1, id="no-class"),
    ],
)
def test_what_a_person_said_is_an_example(state, class_id, prob, every, expected):
    table = boxes(state=state, class_id=[class_id] * 3, class_prob=[prob] * 3)
    assert examples_of(table, every=every).tolist() == [expected] * 3


def test_points_with_a_class_say_what_the_object_is():
    table = ObjectTable.concat(
        [boxes(), points((5, 5)), points((25, 5), (100, 100), class_id=2), points((16, 18))]
    )
    # The second box lies in the third: its middle is nearer to the point.
    assert examples_of(table).tolist() == [1, 2, 1, -1, -1, -1]


def test_points_without_a_class_or_refused_say_nothing():
    table = ObjectTable.concat([boxes(), points((5, 5), class_id=-1)])
    assert (examples_of(table) == -1).all()
    table = ObjectTable.concat([boxes(), points((5, 5), state=S.REJECTED)])
    assert (examples_of(table) == -1).all()


def area(box, class_id, **columns):
    return ObjectTable.build(
        Contours.from_shapely([shapely.box(*box)]),
        classes=SCHEME,
        class_id=[class_id],
        object_type=ObjectType.ANNOTATION,
        **columns,
    )


def test_areas_say_what_is_within_where_they_are_asked():
    drawn = [area((-5, -5, 50, 50), 1), area((12, -5, 50, 50), 2), points((5, 5), class_id=2)]
    table = ObjectTable.concat([boxes(), *drawn])
    assert examples_of(table).tolist()[:3] == [2, -1, -1]
    assert examples_of(table, areas=True).tolist() == [2, 2, 2, -1, -1, -1]
    table = table.with_columns(
        state=np.uint8([0, S.ACCEPTED, S.REJECTED, 0, 0, S.DRAWN]),
        class_id=np.int32([0, 1, 0, 1, 2, 2]),
    )
    assert examples_of(table, areas=True).tolist()[:3] == [2, 1, -1]
    assert examples_of(boxes(), areas=True).tolist() == [-1] * 3


def test_points_beside_objects_belong_to_the_nearest_within_reach():
    at = np.array([(11.0, 5.0), (-9.0, 5.0)])
    assert rows_at(boxes(), at).tolist() == [-1, -1]
    assert rows_at(boxes(), at, within_px=7).tolist() == [0, -1]
    assert rows_at(ObjectTable.empty(), at, within_px=7).tolist() == [-1, -1]


def some(names, class_id, classes, group):
    values = np.arange(len(class_id) * len(names), dtype=np.float32).reshape(len(class_id), -1)
    return Examples.of(
        ObjectFeatures(tuple(names), values, 0.5),
        np.array(class_id),
        ClassScheme.of(*classes),
        group=group,
    )


def test_examples_of_images_are_joined_by_names():
    joined = Examples.join(
        [
            some("ab", [0, -1, 1], ["Tumor", "Stroma"], "one"),
            some("b", [-1, -1], ["Tumor"], "none"),
            some("ba", [0, 1], ["Stroma", "Immune cells"], "two"),
        ]
    )
    assert joined.classes.names == ("Tumor", "Stroma", "Immune cells")
    assert joined.class_id.tolist() == [0, 1, 1, 2]
    assert [joined.groups[g] for g in joined.group] == ["one", "one", "two", "two"]
    np.testing.assert_equal(joined.features.values, [[0, 1], [4, 5], [1, 0], [3, 2]])
    assert joined.counts() == {"Tumor": 1, "Stroma": 2, "Immune cells": 1}
    assert joined.pixel_sizes_um == (0.5,)


def test_no_examples_are_told():
    with pytest.raises(LearningError, match=r"no examples.*accept them, or put points"):
        Examples.join([some("ab", [-1], ["Tumor"], "one")])
