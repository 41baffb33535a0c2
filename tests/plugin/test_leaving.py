"""Hidden layers leave one by one, whatever comes in between; each test forces one order."""

from __future__ import annotations

import gc
import threading
from functools import partial

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QTimer

from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.layers import add_objects
from napari_histo.plugin.leaving import Leaving
from napari_histo.session import AnnotationTools
from napari_histo.session.annotate.document import Document
from support.mouse import settle

pytestmark = pytest.mark.gui


class Layers:
    """Layers of a window, by name."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        self.gone = []

    def note(self, event):
        self.gone.append(event.value.name)

    @property
    def names(self):
        return [layer.name for layer in self.viewer.layers]

    def image(self, name):
        return self.viewer.add_image(np.zeros((60, 100), np.uint8), name=name).__wrapped__

    def until(self, *names):
        self.qtbot.waitUntil(lambda: self.names == [*names])


@pytest.fixture
def calm(calm):
    calm.hold()
    return calm


@pytest.fixture
def layers(calm, viewer, qtbot):
    layers = Layers(viewer, qtbot)
    viewer.layers.events.removed.connect(layers.note)
    yield layers
    viewer.layers.events.removed.disconnect(layers.note)


@pytest.fixture
def dock(layers, tmp_path, table):
    """The Annotate panel with three objects over an image."""
    image = layers.image("slide")
    add_objects(layers.viewer, table, image, name="found")
    tools = AnnotationTools(open_document=partial(Document.open, data_folder=tmp_path))
    dock = AnnotateDock(layers.viewer, tools)
    layers.viewer.window.add_dock_widget(dock, name="Annotate")
    start(dock, layers)
    yield dock
    dock.controller.close()


def start(dock, layers):
    dock.start()
    layers.qtbot.waitUntil(lambda: dock.controller.state.is_open)


OPEN = ("slide", "found", "slide · objects", "slide · marks")


def test_the_first_leaves_at_once_where_it_is_calm_the_next_ones_later(layers, calm):
    a, b = layers.image("a"), layers.image("b")
    calm.go_on(1)
    settle(40)  # calm
    calm.hold()
    calm.leaving._timer.stop()
    calm.leaving.add(a)
    calm.leaving.add(b)
    layers.until("b")
    settle(60)
    assert layers.names == ["b"]
    calm.go_on()
    layers.until()


def test_one_that_is_shown_again_stays_also_where_it_is_hidden_then(layers, calm):
    a, b = layers.image("a"), layers.image("b")
    calm.leaving.add(a)
    calm.leaving.add(b)
    a.visible = True
    a.visible = False  # by the user, with the eye in the list of layers
    calm.go_on()
    layers.until("a")
    settle(100)
    assert layers.names == ["a"]
    calm.leaving.add(a)  # and leaves when its time has come
    layers.until()


def test_none_leaves_while_one_other_is_drawn_unless_it_was_drawn_last(layers, calm):
    """Else the process may end; see `leaving`."""
    below, alone, marks = layers.image("below"), layers.image("alone"), layers.image("marks")
    calm.leaving.add(below)
    calm.leaving.add(marks, hides=False)
    calm.go_on()
    layers.until("alone")
    assert layers.gone == ["below", "marks"]  # two others were drawn; it was drawn last
    hidden = layers.image("hidden")
    calm.leaving.add(hidden)
    settle(200)
    assert layers.names == ["alone", "hidden"]
    layers.image("another")
    layers.until("alone", "another")
    assert alone.visible


def test_a_layer_that_somebody_else_took_away_holds_up_nobody(layers, calm):
    a, b = layers.image("a"), layers.image("b")
    calm.leaving.add(a)
    calm.leaving.add(b)
    layers.viewer.layers.remove("a")
    calm.leaving.add(a)  # gone already
    calm.go_on()
    layers.until()


def test_where_another_plugin_fails_at_a_layers_end_the_others_still_leave(layers, calm):
    def fail(event):
        raise RuntimeError(f"another plugin, at {event.value.name}")

    a, b = layers.image("a"), layers.image("b")
    layers.viewer.layers.events.removed.connect(fail)
    with layers.qtbot.captureExceptions() as errors:
        calm.leaving.add(a)
        calm.leaving.add(b)
        calm.go_on()
        layers.until()
    layers.viewer.layers.events.removed.disconnect(fail)
    assert len(errors) == 2


def test_what_a_scene_leaves_behind_leaves_though_the_collector_comes_first(dock, layers, calm):
    assert layers.names == [*OPEN]
    dock.controller.close()
    assert layers.names == ["slide", "found", *(f"{name} · closed" for name in OPEN[2:])]
    gc.collect()
    calm.go_on()
    layers.until("slide", "found")


@pytest.mark.parametrize("is_closed", [False, True], ids=["open", "closed-before"])
def test_what_a_scene_leaves_behind_leaves_though_the_panel_ends(dock, layers, calm, is_closed):
    if is_closed:
        dock.controller.close()
    layers.viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QCoreApplication.sendPostedEvents(dock, QEvent.Type.DeferredDelete)
    gc.collect()
    calm.go_on()
    layers.until("slide", "found")


def test_a_scene_that_is_closed_twice_leaves_once_and_the_next_one_stays(dock, layers, calm):
    dock.controller.close()
    dock._close_scene()
    start(dock, layers)
    assert layers.names[-2:] == [*OPEN[2:]]  # by their plain names, though others have not left
    calm.go_on()
    layers.until(*OPEN)
    settle(100)
    assert layers.names == [*OPEN]


def test_a_layer_that_leaves_is_not_offered_to_begin_with(dock):
    dock.controller.close()
    box = dock.form.start.objects_box
    assert [box.itemText(i) for i in range(box.count())] == ["found", "nothing yet", "a file…"]


def test_an_image_that_is_removed_while_its_objects_are_read_leaves_no_file_open(
    dock, layers, calm, monkeypatch
):
    dock.controller.close()
    calm.go_on()
    layers.until("slide", "found")
    read, gate = dock.controller._open_document, threading.Event()

    def slowly(*args, **kwargs):
        gate.wait(20)
        return read(*args, **kwargs)

    monkeypatch.setattr(dock.controller, "_open_document", slowly)
    dock.start()
    layers.viewer.layers.remove("slide")
    gate.set()
    layers.qtbot.waitUntil(lambda: bool(dock.controller.state.notice))
    assert not dock.controller.state.is_open
    assert layers.names == ["found"]


def test_a_layer_leaves_where_the_user_removes_another_of_the_scene(dock, layers, calm):
    calm.go_on()
    layers.viewer.layers.remove("slide · objects")
    layers.until("slide", "found")


def test_the_window_has_one(dock, window, calm):
    assert dock._leaving is calm.leaving
    assert Leaving.of(window) is calm.leaving
    assert len(calm.leaving.findChildren(QTimer)) == 1
