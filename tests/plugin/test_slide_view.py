"""Whole slides in the window: objects appear while the run goes on, heatmaps afar."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_histo.core import Box, ClassScheme, Contours, ModelInfo, ObjectTable, PixelSize
from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.plugin.annotate.start import beginnings
from napari_histo.plugin.heat_colours import Palette
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.readers import objects_reader
from napari_histo.plugin.samples import he_tissue
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.plugin.slide_view import SlideView
from napari_histo.plugin.threads import Mailbox
from napari_histo.session import Growing, Phase
from napari_histo.session.segment import controller as segmentation
from napari_histo.session.segment import state
from napari_histo.session.segment.controller import Tools
from napari_histo.session.segment.growing import Part
from napari_histo.slides import ArrayReader

SCHEME = ClassScheme.of("Tumor", "Stroma")
MODEL = ModelInfo("two", "fake", classes=SCHEME)
CORNERS = np.array([[-6, -6], [6, -6], [6, 6], [-6, 6]], np.float32)
SHAPE = (1600, 2000)


def squares(box, class_id=0, pitch=40):
    x, y = np.meshgrid(
        np.arange(box.x + 20, box.right, pitch), np.arange(box.y + 20, box.bottom, pitch)
    )
    at = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    return ObjectTable.build(
        Contours.from_star(at[:, None] + CORNERS), classes=SCHEME, class_id=class_id
    )


# -- the picture ---------------------------------------------------------------------------------


@pytest.fixture
def growing():
    reader = ArrayReader(
        np.zeros((*SHAPE, 3), np.uint8), name="s", pixel_size=PixelSize.square(0.5)
    )
    return Growing(1, "a", reader.info, MODEL, Path("run"))


@pytest.fixture
def view(growing, qtbot):
    from napari.components import ViewerModel

    viewer, parent = ViewerModel(), QWidget()
    qtbot.addWidget(parent)
    image = viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), rgb=True)
    made = SlideView(viewer, image, growing, Mailbox(parent), outline_px=0)
    made.parent = parent
    yield made
    made.close()


def change(view, qtbot, what):
    """Change the objects, and wait until that is on the screen."""
    shown = []

    def note():
        shown.append(1)

    qtbot.waitUntil(lambda: not view._pending and not view._lane.is_busy)
    view.shown.connect(note)
    what()
    qtbot.waitUntil(lambda: bool(shown))
    view.shown.disconnect(note)


def put(view, qtbot, tile, table):
    change(view, qtbot, lambda: view.growing.put(Part.of(tile, table, view.growing.heat)))


def level(view, k):
    return np.asarray(view.layer.data[k])


def colour(view, value):
    return view.layer.colormap.map(np.array([value]))[0]


@pytest.mark.gui
def test_near_are_objects_and_afar_is_where_they_are_many(view, qtbot):
    put(view, qtbot, 0, squares(Box(0, 0, 1000, 800)))
    put(view, qtbot, 1, squares(Box(1000, 0, 1000, 800), class_id=1, pitch=100))
    near = level(view, 0)
    assert len(np.unique(near)) - 1 == view.growing.n_objects == 25 * 20 + 10 * 8
    assert (colour(view, near[20, 20])[:3] * 255).astype(int) == pytest.approx(SCHEME[0].rgb, abs=1)
    assert (colour(view, near[20, 1020])[:3] * 255).astype(int) == pytest.approx(
        SCHEME[1].rgb, abs=1
    )
    afar = level(view, 2)  # 2 µm a pixel
    assert afar[100, 125] > afar[100, 375] > 0
    assert (afar[300:] == 0).all()
    assert view.top >= 2500  # one every 40 px of 0.5 µm

    view.heat_by = "class"
    by_class = colour(view, level(view, 2)[100, 125])
    assert (by_class[:3] * 255).astype(int) == pytest.approx(SCHEME[0].rgb, abs=1)
    assert 0 < by_class[3] < 1
    view.heat_by = "nothing"
    assert len(np.unique(level(view, 2))) - 1 == view.growing.n_objects


@pytest.mark.gui
def test_what_napari_shows_is_new_after_each_part(view, qtbot):
    """napari keeps the coarsest level; it must not stay as it was."""
    layer, last = view.layer, len(view.layer.data) - 1
    layer.data_level = last
    layer.refresh()
    assert not layer._slice.image.raw.any()
    put(view, qtbot, 0, squares(Box(0, 0, 2000, 1600)))
    layer.data_level = last
    layer.refresh()
    assert layer._slice.image.raw.any()


@pytest.mark.gui
def test_a_tile_that_is_settled_anew_replaces_its_objects(view, qtbot):
    first, second = squares(Box(0, 0, 400, 400)), squares(Box(400, 0, 400, 400), class_id=1)
    put(view, qtbot, 3, first)
    level(view, 0)
    put(view, qtbot, 3, second)
    assert view.growing.n_objects == len(second)
    assert not level(view, 0)[:400, :400].any()
    assert level(view, 0)[20, 420]
    whole = squares(Box(0, 0, 800, 800))
    change(view, qtbot, lambda: view.growing.finish(Part.of(0, whole, view.growing.heat)))
    drawn = np.unique(level(view, 0))
    assert set(drawn) - {0} == set(view.values_of(whole).tolist())


def test_palette_gives_each_value_one_colour():
    palette = Palette(SCHEME)
    values = palette.values(np.array([0, 1, -1]), np.array([5, 6, 7]))
    assert ((values - 1) // palette.n_colours).tolist() == [5, 6, 7]
    density = np.linspace(0, 9, 30, dtype=np.float32).reshape(5, 6, 1) * [1, 0, 0]
    for heat_by in ("density", "class"):
        found = palette.heat(density.astype(np.float32), 8.0, heat_by)
        assert found.max() <= palette.n_colours
        assert found[0, 0] == 0
        assert (np.diff(found.ravel()[3:].astype(int)) >= 0).all()
        assert not set(np.unique(found)) & set(range(1, palette.n_slots + 1))


# -- the panel -----------------------------------------------------------------------------------


@pytest.fixture
def dock(viewer, qtbot, tmp_path, monkeypatch):
    """The panel over a slide of 800 x 800 px, which is large here."""
    monkeypatch.setattr(state, "_LARGE_PX", 700 * 700)
    monkeypatch.setattr(segmentation, "_TILE_PX", 160)
    widget = SegmentDock(viewer)
    widget.controller._tools = Tools(data_folder=tmp_path / "data")
    viewer.window.add_dock_widget(widget, name="Segment nuclei")
    ((pixels, given, _),) = he_tissue()
    viewer.add_image(np.tile(pixels, (3, 3, 1))[:800, :800], **given)
    box = widget.form.model_box
    box.setCurrentIndex(box.findText("classical"))
    yield widget
    qtbot.waitUntil(lambda: len(widget.controller.state.devices) > 1)


@pytest.mark.gui
def test_run_cancel_go_on_and_take_up(dock, qtbot, tmp_path, monkeypatch):
    viewer, form, session = dock.viewer, dock.form, dock.controller.state
    original, gate, calls = ClassicalSegmenter.propose, threading.Event(), []

    def propose(self, images, min_prob):
        calls.append(len(images))
        if sum(calls) > 18:
            gate.wait(120)  # longer than all waits below
        return original(self, images, min_prob)

    monkeypatch.setattr(ClassicalSegmenter, "propose", propose)
    assert form.tissue_box.isVisible()
    assert "whole slide" in form.slide_hint.text()
    form.run_button.click()
    assert session.phase is Phase.RUNNING, session.error
    assert not form.prob.isEnabled()
    qtbot.waitUntil(lambda: bool(session.growing and session.growing.n_parts > 1))
    layer = viewer.layers[-1]
    assert table_of(layer) is None
    qtbot.waitUntil(lambda: np.asarray(layer.data[0]).any())
    assert session.phase is Phase.RUNNING
    assert "tiles" in form.message.text()
    assert "Kept in" in form.message.text()

    form.cancel_button.click()
    gate.set()
    qtbot.waitUntil(lambda: session.phase is Phase.IDLE)
    assert "press Run to go on" in form.message.text()
    some = table_of(layer)
    assert len(some) == session.growing.n_objects > 0
    assert form.heat_bar.isVisible()

    form.run_button.click()
    assert session.phase is Phase.RUNNING, session.error
    qtbot.waitUntil(lambda: session.phase is Phase.IDLE)
    assert session.error == ""
    table = table_of(layer)
    assert len(viewer.layers) == 2
    assert set(some.uuids()) <= set(table.uuids())
    assert f"{len(table):,}" in form.summary.text()
    assert "another run" in form.slider_hint.text()
    assert form.prob.isEnabled()
    qtbot.waitUntil(lambda: "object_id" in layer.features)
    qtbot.waitUntil(lambda: not dock._view._lane.is_busy and not dock._view._pending)
    shown = set(np.unique(np.asarray(layer.data[0])).tolist()) - {0}
    assert shown <= set(layer.features["index"].tolist())

    begin = beginnings(viewer, viewer.layers[0], SCHEME)
    assert any(b.table is not None and b.table.uuids() == table.uuids() for b in begin)
    dock.controller.save(tmp_path / "all.geojson")
    qtbot.waitUntil(lambda: session.saved is not None)
    path = str(tmp_path / "all.geojson")
    ((_, options, _),) = objects_reader(path)(path)
    assert set(options["features"]["object_id"]) == {str(i) for i in table.uuids()}

    viewer.layers.remove(layer)
    assert session.result is None
    assert session.growing is None
    assert not form.heat_bar.isVisible()


@pytest.mark.gui
def test_a_run_without_an_answer_leaves_no_layer(dock, qtbot, monkeypatch):
    def propose(self, images, min_prob):
        raise RuntimeError("no network")

    monkeypatch.setattr(ClassicalSegmenter, "propose", propose)
    dock.form.run_button.click()
    qtbot.waitUntil(lambda: dock.controller.state.phase is Phase.IDLE)
    assert "no network" in dock.controller.state.error
    assert len(dock.viewer.layers) == 1


@pytest.mark.slow
@pytest.mark.gui
def test_a_layer_that_is_removed_while_the_run_goes_on_comes_back_at_its_end(dock, qtbot):
    session = dock.controller.state
    dock.form.run_button.click()
    qtbot.waitUntil(lambda: session.growing is not None)
    dock.viewer.layers.remove(dock.viewer.layers[-1])
    qtbot.waitUntil(lambda: session.phase is Phase.IDLE)
    assert session.error == ""
    assert len(table_of(dock.viewer.layers[-1])) == session.result.statistics.count > 0


def test_the_window_stays_free_while_parts_come():
    """What a part costs in the window's thread: a slide of 2,000 tiles and 400,000 objects."""
    info = ArrayReader(np.zeros((16, 16), np.uint8), name="s").info
    info = type(info)(**{**vars(info), "level_shapes": ((40_000, 50_000),)})
    growing = Growing(1, "a", info, MODEL, Path("run"))
    spent = []
    table = squares(Box(0, 0, 560, 560))
    for tile in range(2000):
        at = (tile % 50 * 1000, tile // 50 * 1000)
        moved = table.with_columns(contours=table.contours.transform(1, at))
        part = Part.of(tile, moved, growing.heat)
        start = time.perf_counter()
        growing.put(part)
        spent.append(time.perf_counter() - start)
    # The smoothing and the drawing are left to threads, so a part costs the same at the end.
    assert np.median(spent[-200:]) < 10 * np.median(spent[:200])
    assert growing.n_objects == 2000 * len(table)
    assert sum(len(rows) for _, rows in growing.near(Box(20_000, 20_000, 1000, 1000))) == len(table)
