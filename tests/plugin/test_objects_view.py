"""The picture of objects under edits: right after every edit, and drawn anew only where touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel

from napari_histo.core import Box, ClassDef, ClassScheme, Contours, Edit, ObjectTable
from napari_histo.plugin.geometry import to_napari
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.objects_view import ObjectsView
from napari_histo.plugin.tiles import TileCache
from napari_histo.plugin.writers import write_objects
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.store import load_objects
from support.mouse import settle

SCHEME = ClassScheme.of("Tumor", "Stroma")
NOTHING = ObjectTable.empty(SCHEME)


def squares(centres, half=6.0, **columns):
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32) * half
    xy = np.asarray(centres, np.float32).reshape(-1, 1, 2) + corners
    return ObjectTable.build(Contours.from_star(xy), **{"classes": SCHEME, "class_id": 0} | columns)


def view_of(table=None, shape=(1500, 2100), *, outline_px=0, **place):
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((*shape, 3), np.uint8), rgb=True, **place)
    objects = EditableObjects(NOTHING if table is None else table)
    return ObjectsView(viewer, image, objects, outline_px=outline_px), objects


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


@given(gestures(), st.sampled_from(["class", "object"]), st.integers(0, 4))
@settings(max_examples=15)
def test_after_edits_the_picture_is_that_of_a_fresh_view(history, colour_by, outline_px):
    rng = np.random.default_rng(history[0][1])
    table = squares(rng.uniform(20, 1400, (60, 2)), 14.0)
    view, objects = view_of(table, (1500, 1500), outline_px=outline_px)
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


@pytest.mark.parametrize("width", [1, 2, 5])
def test_outlines_are_as_wide_as_asked_and_the_inside_is_open(width):
    view, _ = view_of(squares([(100, 200)], 20.0), outline_px=width)
    line = pixels(view)[200, 60:140] > 0
    assert np.flatnonzero(np.diff(np.r_[0, line, 0])).tolist() == [20, 20 + width, 60 - width, 60]
    view.outline_px = 0
    assert (pixels(view)[200, 80:120] > 0).all()


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


def test_threads_draw_while_objects_change():
    rng = np.random.default_rng(3)
    view, objects = view_of(squares(rng.uniform(20, 1400, (400, 2))), (1500, 1500))
    done = []

    def draw(seed):
        at = np.random.default_rng(seed).integers(0, 1300, (10**4, 2))
        for x, y in at.tolist():
            if done:
                return
            objects.draw(Box(x, y, 200, 200))
            np.asarray(view.layer.data[0][y : y + 200, x : x + 200])

    with ThreadPoolExecutor(2) as pool:
        drawing = [pool.submit(draw, seed) for seed in range(2)]
        for k in range(60):
            new = squares(rng.uniform(20, 1400, (1, 2)), 80.0 if k % 3 else 700.0)
            objects.apply(Edit("Draw", NOTHING, new))
            if k % 2:
                objects.apply(Edit("Delete", new, NOTHING))
        done.append(True)
        for work in drawing:
            work.result()
    shown = pixels(view)
    for tiles in view._levels:
        tiles.clear()
    assert np.array_equal(shown, pixels(view))


def test_saving_the_layer_writes_the_objects_of_now(tmp_path):
    view, objects = view_of(squares([(100, 200)]))
    objects.apply(Edit("Draw", NOTHING, squares([(300, 300)], class_id=1)))
    (path,) = write_objects(str(tmp_path / "now.geojson"), [view.layer.as_layer_data_tuple()])
    assert load_objects(path).uuids() == objects.table().uuids()


@pytest.mark.gui
def test_the_window_shows_each_object_in_its_colour_after_an_edit(viewer):
    place = {"scale": (0.5, 0.5), "translate": (40, -30), "rotate": 30.0}
    image = viewer.add_image(np.zeros((1200, 1200), np.uint8), **place)
    colours = two((255, 0, 0), (0, 255, 0))
    n = 70_000
    crowd = np.stack([np.arange(n) % 300, np.arange(n) // 300], axis=1) * 2.0 + (600, 20)
    both = np.concatenate([crowd, [(200, 800), (900, 900)]])
    half = np.r_[np.full(n, 0.5), 60, 60].reshape(-1, 1, 1)
    table = squares(both, half, classes=colours, class_id=np.r_[np.zeros(n), 0, 1].astype(int))
    objects = EditableObjects(table)
    view = ObjectsView(viewer, image, objects, outline_px=0)
    viewer.reset_view()
    settle(200)
    assert seen(viewer, view, (200, 800)) == (255, 0, 0)
    assert seen(viewer, view, (900, 900)) == (0, 255, 0)
    old = objects.get([table.uuid(n)])
    objects.apply(
        Edit("Move", old, old.transform(1.0, (200.0, 0.0)).with_columns(class_id=old.class_id + 1))
    )
    settle(200)
    assert seen(viewer, view, (200, 800)) == (0, 0, 0)
    assert seen(viewer, view, (400, 800)) == (0, 255, 0)
    blue = two((255, 0, 0), (0, 0, 255))
    objects.apply(Edit("Recolour", NOTHING, NOTHING, (colours, blue)))
    settle(200)
    assert seen(viewer, view, (400, 800)) == (0, 0, 255)


@pytest.mark.gui
@pytest.mark.parametrize("outline_px", [0, 2])
@pytest.mark.parametrize("zoom", [1.0, 0.2])
def test_a_part_that_is_put_on_the_screen_fits_into_the_rest(viewer, monkeypatch, zoom, outline_px):
    image = viewer.add_image(np.zeros((3000, 3000), np.uint8))
    rng = np.random.default_rng(5)
    objects = EditableObjects(squares(rng.uniform(0, 3000, (2000, 2)), 12.0))
    view = ObjectsView(viewer, image, objects, outline_px=outline_px)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (1400, 1600), zoom
    settle(200)
    asked = []
    monkeypatch.setattr(view.layer, "refresh", lambda *a, **k: asked.append(a))
    apart = [objects.at(*xy) for xy in rng.uniform(1300, 1700, (400, 2))]
    for k, some in enumerate(([i for i in apart if i][:2], [i for i in apart if i][5:6])):
        old = objects.get(some)
        objects.apply(Edit("Move", old, old.transform(1.0, (30.0 * k, 20.0))))
    objects.apply(Edit("Draw", NOTHING, squares([(1500, 1450)], 40.0)))
    settle(200)
    patched = viewer.screenshot(canvas_only=True, flash=False)
    assert asked == []
    monkeypatch.undo()
    view.layer.refresh()
    settle(200)
    assert np.array_equal(patched, viewer.screenshot(canvas_only=True, flash=False))


@pytest.mark.parametrize("n", [pytest.param(2, id="few"), pytest.param(100, id="many")])
def test_changes_far_apart_leave_what_lies_between_as_it_is(n, monkeypatch):
    view, objects = view_of(squares(np.linspace((50, 50), (1400, 1400), n)), (1500, 1500))
    renewed = []
    monkeypatch.setattr(view._levels[0], "renew", lambda box, **_: renewed.append(box))
    old = objects.table()
    objects.apply(Edit("Relabel", old, old.with_columns(class_id=np.ones(n, np.int32))))
    assert sum(box.area for box in renewed) < 700 if n == 2 else renewed == [Edit("", old, old).box]


def two(tumor, stroma):
    return ClassScheme((ClassDef("Tumor", tumor), ClassDef("Stroma", stroma)))


def seen(viewer, view, xy):
    """What the window shows of a place, full-resolution px."""
    picture = viewer.screenshot(canvas_only=True, flash=False)
    world = np.asarray(view.layer.data_to_world(to_napari(xy)))
    height, width = picture.shape[:2]
    middle = np.array(viewer.scene.camera.center[-2:])
    y, x = (world - middle) * viewer.scene.camera.zoom + (height / 2, width / 2)
    return tuple(picture[round(float(y)), round(float(x)), :3].tolist())
