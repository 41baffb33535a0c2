"""Published areas that somebody reshaped or called something else, without a note of it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, Details, ObjectTable, ObjectType
from napari_histo.core.predicted_areas import changed_areas, outline_words
from napari_histo.core.round_examples import PREDICTED_CLASS, PREDICTED_OUTLINE

FAR = 60_000.3
AREA = shapely.box(FAR, FAR, FAR + 200, FAR + 100).difference(shapely.Point(FAR, FAR).buffer(30))


def published(shape=AREA, now=None, name="Tumor", word=None):
    """An area as it was published, with another outline or class since."""
    classes = ClassScheme.of("Tumor", "Stroma")
    table = ObjectTable.build(
        Contours.from_shapely([shape]),
        classes=classes,
        class_id=[0],
        object_type=ObjectType.ANNOTATION,
    )
    words = {PREDICTED_CLASS: "Tumor", PREDICTED_OUTLINE: word or outline_words(table)[0]}
    return table.with_columns(
        contours=Contours.from_shapely([shape if now is None else now]),
        class_id=np.array([classes.index(name)], np.int32),
        details={table.uuid(0): Details(metadata=words)},
    )


@pytest.mark.parametrize(
    ("table", "is_changed"),
    [
        pytest.param(published(), False, id="as it was"),
        pytest.param(
            published(now=shapely.set_precision(AREA, 0.01)), False, id="rounded as in GeoJSON"
        ),
        pytest.param(
            published(now=shapely.transform(AREA, lambda xy: xy.astype(np.float32))),
            False,
            id="in single precision, as in QuPath",
        ),
        pytest.param(published(now=AREA.reverse()), False, id="drawn the other way round"),
        pytest.param(published(name="Stroma"), True, id="another class"),
        pytest.param(published(now=AREA.buffer(1)), True, id="larger"),
        pytest.param(published(now=shapely.affinity.translate(AREA, 1, 0)), True, id="elsewhere"),
        pytest.param(
            published(now=AREA.union(shapely.Point(FAR + 200, FAR + 50).buffer(8))),
            True,
            id="with a dab of the brush",
        ),
        pytest.param(published(word="gone"), True, id="a word that nobody can read"),
        pytest.param(published(word="1 2"), True, id="too few figures"),
    ],
)
def test_changed_areas(table, is_changed):
    assert changed_areas(table).tolist() == [is_changed]


def test_others_say_nothing_of_what_they_were():
    table = published()
    assert changed_areas(table.with_columns(details={})).tolist() == [False]
    assert changed_areas(table.select([])).tolist() == []
