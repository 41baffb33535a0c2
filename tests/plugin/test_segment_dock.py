"""The Segment panel in a real window, on real images."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QFileDialog

from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.readers import objects_reader
from napari_histo.plugin.samples import fluorescence_nuclei, he_tissue
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.session import Phase, Scope

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer, qtbot):
    """The panel, with the model that needs no weights."""
    widget = SegmentDock(viewer)
    viewer.window.add_dock_widget(widget, name="Segment nuclei")
    choose(widget.form.model_box, "classical")
    yield widget
    qtbot.waitUntil(lambda: len(widget.controller.state.devices) > 1)
    assert isinstance(widget.parent(), QDockWidget)


@pytest.fixture
def proposing(monkeypatch):
    """Counts what the model is asked; `hold` keeps it waiting."""

    class Spy:
        calls = 0
        hold = staticmethod(lambda: None)

    original = ClassicalSegmenter.propose

    def room(self, side_px):
        return 100

    def on_cpu(self):
        return self

    def propose(self, images, min_prob):
        Spy.calls += 1
        Spy.hold()
        return original(self, images, min_prob)

    monkeypatch.setattr(ClassicalSegmenter, "propose", propose)
    return Spy


def add(viewer, sample, **options):
    ((pixels, given, _),) = sample()
    return viewer.add_image(pixels, **{**given, **options})


def choose(box, text):
    index = box.findText(text)
    assert index >= 0, [box.itemText(i) for i in range(box.count())]
    box.setCurrentIndex(index)


def run(dock, qtbot):
    """Press Run and wait; the result's layer."""
    before = len(dock.viewer.layers)
    dock.form.run_button.click()
    state = dock.controller.state
    assert state.phase is Phase.RUNNING, state.error
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE)
    assert state.error == ""
    assert len(dock.viewer.layers) == before + 1
    return dock.viewer.layers[-1]


def move(dock, qtbot, slider, value):
    before = dock.controller.state.result
    slider.setValue(value)
    qtbot.waitUntil(lambda: dock.controller.state.result is not before)
    return dock.controller.state.result


def test_image_to_nuclei_to_file_and_back(viewer, dock, qtbot, proposing, tmp_path, monkeypatch):
    image = add(viewer, he_tissue, scale=(0.5, 0.5), translate=(20, -10), units=("um", "um"))
    form = dock.form
    assert form.image_box.currentText() == image.name
    assert form.pixel_size.value() == 0.5
    assert "0.5 µm/px" in form.model_facts.text()
    assert not form.save_button.isVisible()

    layer = run(dock, qtbot)
    table = table_of(layer)
    assert 100 < len(table) < 600
    assert proposing.calls == 1
    assert layer.scale.tolist() == image.scale.tolist()
    assert layer.translate.tolist() == image.translate.tolist()
    assert f"{len(table):,}" in form.summary.text()
    assert "µm²" in form.summary.text()
    assert form.histogram.statistics.counts.sum() == len(table)
    qtbot.waitUntil(lambda: "object_id" in layer.features)
    assert layer.features["object_id"].tolist() == [str(i) for i in table.uuids()]

    fewer = move(dock, qtbot, form.prob, 0.7)
    assert 0 < len(fewer.table) < len(table)
    assert set(fewer.table.uuids()) < set(table.uuids())
    assert table_of(layer) is fewer.table
    assert proposing.calls == 1
    back = move(dock, qtbot, form.prob, 0.5)
    assert set(back.table.uuids()) == set(table.uuids())
    assert len(viewer.layers) == 2

    path = tmp_path / "nuclei"
    chosen = (str(path), "GeoJSON for QuPath (*.geojson)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: chosen)
    form.save_button.click()
    qtbot.waitUntil(lambda: form.saved.text().startswith("saved "))
    ((levels, options, kind),) = objects_reader(f"{path}.geojson")(f"{path}.geojson")
    assert kind == "labels"
    assert levels[0].shape[0] <= 300
    assert set(options["features"]["object_id"]) == {str(i) for i in back.table.uuids()}


def test_cancel_leaves_no_trace_and_the_window_lives(viewer, dock, qtbot, proposing):
    add(viewer, fluorescence_nuclei)
    gate = threading.Event()
    proposing.hold = staticmethod(lambda: gate.wait(30))
    ticks = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(10)
    dock.form.run_button.click()
    assert not dock.form.run_button.isEnabled()
    assert dock.form.bar.isVisible()
    qtbot.waitUntil(lambda: proposing.calls == 1)
    before = len(ticks)
    qtbot.waitUntil(lambda: len(ticks) > before + 20)
    dock.form.cancel_button.click()
    assert dock.controller.state.phase is Phase.CANCELLING
    gate.set()
    qtbot.waitUntil(lambda: dock.controller.state.phase is Phase.IDLE)
    assert len(viewer.layers) == 1
    assert dock.form.message.text().startswith("Cancelled")
    assert not dock.form.bar.isVisible()
    assert dock.form.run_button.isEnabled()


def test_a_panel_that_is_closed_works_on_no_more(viewer, dock, qtbot, proposing):
    add(viewer, fluorescence_nuclei)
    gate, place = threading.Event(), dock.parent()
    proposing.hold = staticmethod(lambda: gate.wait(30))
    dock.form.run_button.click()
    qtbot.waitUntil(lambda: proposing.calls == 1)
    under_way = dock.controller._cancel
    viewer.window.remove_dock_widget(place)
    assert under_way.is_cancelled
    gate.set()
    viewer.window.add_dock_widget(dock, name="Segment nuclei")  # as the fixture wants it


def test_regions(viewer, dock, qtbot):
    """The view, then drawn shapes; nuclei of other places do not come."""
    image = add(viewer, he_tissue, scale=(0.5, 0.5), units=("um", "um"))
    viewer.scene.camera.center = (75, 125)
    viewer.scene.camera.zoom = min(viewer.canvas.size) / 50
    choose(dock.form.region_box, Scope.VIEW.value)
    seen = table_of(run(dock, qtbot)).centroids
    height, width = np.array(viewer.canvas.size) / viewer.scene.camera.zoom / 0.5
    assert (np.abs(seen - (250.5, 150.5)) <= (width / 2 + 1, height / 2 + 1)).all()
    assert len(seen) > 5

    choose(dock.form.region_box, Scope.SHAPES.value)
    dock.form.run_button.click()
    assert "No region is drawn" in dock.controller.state.error
    dock.form.draw_button.click()
    shapes = viewer.layers["regions"]
    assert shapes.mode == "add_rectangle"
    assert shapes.scale.tolist() == image.scale.tolist()
    shapes.add_ellipses([[100, 50], [100, 250], [200, 250], [200, 50]])
    drawn = table_of(run(dock, qtbot)).centroids
    assert len(drawn) > 5
    assert (np.hypot((drawn[:, 0] - 150.5) / 100, (drawn[:, 1] - 150.5) / 50) <= 1.01).all()


def test_pixel_size_is_asked_for(viewer, dock, qtbot):
    """he-nuclei knows how large nuclei are, so an image that does not say has to be told."""
    form, state = dock.form, dock.controller.state
    crop = viewer.add_image(he_tissue()[0][0][:160, :160], rgb=True, scale=(0.25, 0.25))
    choose(form.model_box, "he-nuclei")
    assert not form.run_button.isEnabled()
    assert form.run_button.toolTip() == "Type the pixel size first."
    assert form.pixel_size.text() == "unknown"
    assert "40×" in form.pixel_hint.text()
    form.pixel_hint.linkActivated.emit("0.25")
    assert state.pixel_size.x_um == 0.25
    assert form.run_button.isEnabled()
    form.pixel_size.setValue(0)
    assert state.pixel_size is None
    crop.units = ("um", "um")
    assert form.pixel_size.value() == 0.25
    layer = run(dock, qtbot)
    assert len(table_of(layer)) > 5
    assert state.result.statistics.unit == "µm²"
    assert "nuclei" in form.summary.text()


def test_layers_come_and_go(viewer, dock, qtbot):
    form, state = dock.form, dock.controller.state
    assert state.blocker == "Open an image first."
    assert form.message.text() == "Open an image first."
    first = add(viewer, he_tissue)
    second = add(viewer, fluorescence_nuclei)
    assert form.image_box.currentText() == first.name
    choose(form.image_box, second.name)
    second.name = "renamed"
    assert form.image_box.currentText() == "renamed"
    viewer.layers.remove(second)
    assert form.image_box.currentText() == first.name

    result = run(dock, qtbot)
    again = run(dock, qtbot)
    assert [result.visible, again.visible] == [False, True]
    viewer.layers.remove(again)
    assert state.result is None
    assert not form.save_button.isVisible()
    viewer.layers.clear()
    assert state.image is None
    assert not form.run_button.isEnabled()
