"""The picture of objects under edits: right after every edit, and drawn anew only where touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_histo.core import Box, ClassScheme, Contours, Edit, ObjectTable
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.objects_view import ObjectsView
from napari_histo.plugin.tiles import TileCache
from napari_histo.session.objects import EditableObjects

SCHEME = ClassScheme.of("Tumor", "Stroma")
NOTHING = ObjectTable.empty(SCHEME)


def squares(centres, half=6.0, **columns):
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * half
    xy = np.asarray(centres, np.float32).reshape(-1, 1, 2) + corners
    return ObjectTable.build(Contours.from_star(xy), **{"classes": SCHEME, "class_id": 0} | columns)


def view_of(table=None, shape=(1500, 2100), **place):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((*shape, 3), np.uint8), rgb=True, **place)
    objects = EditableObjects(NOTHING if table is None else table)
    return ObjectsView(viewer, image, objects), objects


def pixels(view, level=0):
    return np.asarray(view.layer.data[level])


def colour_at(view, x, y):
    return view.layer.colormap.map(pixels(view)[y, x])[:3] * 255


def test_objects_are_drawn_in_their_classes_colours():
    view, objects = view_of(squares([(100, 200), (300, 400)], class_id=[0, 1]))
    assert colour_at(view, 100, 200) == pytest.approx(SCHEME[0].rgb, abs=1)
    assert colour_at(view, 300, 400) == pytest.approx(SCHEME[1].rgb, abs=1)
    assert objects.uuid(view.row_at(int(pixels(view)[400, 300]))) == objects.at(300, 400)
    assert view.row_at(0) is None


@st.composite
def gestures(draw):
    n = draw(st.integers(1, 6))
    return [(draw(st.integers(0, 2)), draw(st.integers(0, 10**6))) for _ in range(n)]


@given(gestures(), st.sampled_from(["class", "object"]))
@settings(max_examples=15)
def test_after_edits_the_picture_is_that_of_a_fresh_view(history, colour_by):
    rng = np.random.default_rng(history[0][1])
    view, objects = view_of(squares(rng.uniform(20, 1400, (60, 2)), 14.0), (1500, 1500))
    view.colour_by = colour_by
    for level in range(len(view.layer.data)):
        pixels(view, level)
    for kind, seed in history:
        rng = np.random.default_rng(seed)
        table = objects.table()
        some = table.select(np.flatnonzero(rng.random(len(table)) < 0.1))
        if kind == 0 or not len(some):
            new = squares(rng.uniform(20, 1400, (2, 2)), rng.uniform(3, 40))
            objects.apply(Edit("Draw", NOTHING, new))
        elif kind == 1:
            objects.apply(Edit("Delete", some, NOTHING))
        else:
            moved = some.transform(1.0, (float(rng.uniform(-30, 30)), 5.0))
            objects.apply(Edit("Move", some, moved))
    drawn = [pixels(view, level) for level in range(len(view.layer.data))]
    for tiles in view._levels:
        tiles.clear()
    for level, before in enumerate(drawn):
        assert np.array_equal(before, pixels(view, level)), f"level {level}"


def test_only_what_an_edit_touches_is_drawn_anew():
    drawn = []

    def draw(box):
        drawn.append(box)
        return np.full(box.shape, len(drawn), np.uint32)

    tiles = TileCache(draw, (2000, 3000), 1)
    tiles.read(Box(0, 0, 3000, 2000))
    assert len(drawn) == 24
    tiles.renew(Box(1000, 100, 30, 20))
    assert drawn[24:] == [Box(999, 99, 25, 22), Box(1024, 99, 7, 22)]
    tiles.read(Box(0, 0, 3000, 2000))
    assert len(drawn) == 26
    tiles.renew(Box(600, 600, 400, 400))  # most of a tile: drawn when somebody looks
    assert len(drawn) == 26
    tiles.read(Box(0, 0, 3000, 2000))
    assert len(drawn) == 27


def test_classes_that_come_later_keep_the_others_colours_and_values():
    view, objects = view_of(squares([(100, 200)]))
    before = pixels(view)[200, 100]
    more = ClassScheme.of("Tumor", "Stroma", *(f"Class {k}" for k in range(5)))
    objects.apply(Edit("Classes", NOTHING, NOTHING, (SCHEME, more)))
    new = squares([(500, 500)], class_id=6, classes=more)
    objects.apply(Edit("Draw", NOTHING, new))
    assert pixels(view)[200, 100] == before
    assert colour_at(view, 500, 500) == pytest.approx(more[6].rgb, abs=1)
    many = ClassScheme.of(*more.names, *(f"More {k}" for k in range(300)))
    objects.apply(Edit("Classes", NOTHING, NOTHING, (more, many)))
    far = squares([(900, 900)], class_id=300, classes=many)
    objects.apply(Edit("Draw", NOTHING, far))
    assert colour_at(view, 900, 900) == pytest.approx(many[300].rgb, abs=1)
    assert colour_at(view, 100, 200) == pytest.approx(SCHEME[0].rgb, abs=1)


def test_more_objects_than_16_bits_hold_times_many_classes():
    n = 70_000
    at = np.stack([np.arange(n) % 300, np.arange(n) // 300], axis=1) * 7.0 + 3
    many = ClassScheme.of(*(f"Class {k}" for k in range(256)))
    view, objects = view_of(squares(at, 3.0, classes=many, class_id=255), (1700, 2110))
    value = int(pixels(view)[int(at[-1, 1]), int(at[-1, 0])])
    assert value > 2**24
    assert objects.uuid(view.row_at(value)) == objects.table().uuid(n - 1)


def test_the_layer_lies_over_its_image_and_gives_the_table_of_now():
    place = {"scale": (0.5, 0.25), "translate": (30, -7), "rotate": 20.0, "units": ("um", "um")}
    view, objects = view_of(squares([(100, 200)]), **place)
    image = view._viewer.layers[0]
    at = (200.0, 100.0)
    assert view.layer.data_to_world(at) == pytest.approx(image.data_to_world(at))
    objects.apply(Edit("Draw", NOTHING, squares([(300, 300)])))
    assert len(table_of(view.layer)) == 2
    assert not view.layer.editable


def test_closing_takes_the_layer_away_and_stops_listening():
    view, objects = view_of(squares([(100, 200)]))
    view.close()
    assert view.layer not in view._viewer.layers
    objects.apply(Edit("Draw", NOTHING, squares([(300, 300)])))
