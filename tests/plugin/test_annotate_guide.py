"""docs/guide/annotate.md is done, step by step, as its reader would."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.annotate.keys import Keys
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.session import AnnotationTools, Phase
from napari_histo.session.annotate.document import Document
from support.mouse import Hand, settle

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "annotate.md"
#: What Qt calls the keys that the guide names, where the names differ.
QT_KEYS = {"[": "BracketLeft", "]": "BracketRight"}
MODIFIERS = {"Ctrl", "Shift", "Alt", "Space", *"123456789"}


def steps():
    """Text and numbers of the numbered steps."""
    text = GUIDE.read_text(encoding="utf-8")
    parts = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)[1:]
    return [
        pytest.param(body.split("\n## ")[0], id=f"step-{n}")
        for n, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def commands(step):
    """("do" or "see", words) in the order of the comments."""
    for kind, said in re.findall(r"<!-- (do|see): (.*?) -->", step, flags=re.DOTALL):
        for one in said.split(";"):
            yield kind, one.split()


def keys_named(step):
    return set(re.findall(r"<kbd>(.*?)</kbd>", step))


@pytest.mark.parametrize("step", steps())
def test_keys_in_the_text_are_those_that_the_step_presses(step):
    """And each is a key of ours, so that a changed default shows here."""
    ours = Keys({})
    known = {ours.text(name) for name in ours.names} | {"Delete", "Escape"} | MODIFIERS
    assert keys_named(step) <= known
    pressed = {words[1] for kind, words in commands(step) if kind == "do" and words[0] == "press"}
    assert pressed <= keys_named(step) | {"Escape"}
    assert any(kind == "see" for kind, _ in commands(step))


@pytest.mark.gui
@pytest.mark.slow
def test_every_step(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1400, 900)
    viewer.open_sample("napari-histo", "drawn_he")
    reader = Reader(viewer, qtbot, tmp_path, monkeypatch)
    for step in steps():
        for kind, words in commands(step.values[0]):
            try:
                getattr(reader, f"{kind}_{words[0]}")(*words[1:])
            except AssertionError as error:
                raise AssertionError(f"{step.id}: {kind} {' '.join(words)}: {error}") from error
    reader.dock.controller.close()


class Reader:
    """Somebody who does what the guide says."""

    def __init__(self, viewer, qtbot, folder, monkeypatch):
        self.viewer, self.qtbot = viewer, qtbot
        tools = AnnotationTools(open_document=partial(Document.open, data_folder=folder))
        self.dock = AnnotateDock(viewer, tools)
        viewer.window.add_dock_widget(self.dock, name="Annotate")
        self.state, self.form = self.dock.controller.state, self.dock.form
        chosen = (str(folder / "he_tile.geojson"), "GeoJSON for QuPath (*.geojson)")
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: chosen)

    def _done(self):
        self.qtbot.waitUntil(lambda: self.state.in_flight == 0)
        settle(10)
        assert self.state.error == ""

    def do_start(self):
        self.form.start.start_button.click()
        self.qtbot.waitUntil(lambda: self.state.is_open or bool(self.state.error))
        assert self.state.error == ""
        image = next(x for x in self.viewer.layers if x.name == "he_tile")
        self.hand = Hand(self.viewer, image, self.qtbot)
        QApplication.sendEvent(self.hand.canvas, QEvent(QEvent.Type.Enter))
        self.viewer.reset_view()
        settle(50)

    def do_click(self, x, y, key=""):
        self.hand.click(float(x), float(y), key=key)
        self._done()

    def do_drag(self, *numbers):
        values = [float(n) for n in numbers]
        self.hand.drag(list(zip(values[::2], values[1::2], strict=True)))
        self._done()

    def do_press(self, key):
        modifier, _, last = key.rpartition("+")
        self.hand.press(QT_KEYS.get(last, last), modifier.lower())
        self._done()

    def do_save(self):
        self.form.saving.save_button.click()
        saved = lambda: self.state.kept.n_unsaved == 0 or self.state.error  # noqa: E731
        self.qtbot.waitUntil(lambda: bool(saved()))
        assert self.state.error == ""
        settle(10)

    def do_close(self):
        self.form.close_button.click()
        self.qtbot.waitUntil(lambda: len(self.viewer.layers) == 1)

    def do_segment(self, model):
        panel = SegmentDock(self.viewer)
        self.viewer.window.add_dock_widget(panel, name="Segment nuclei")
        panel.form.model_box.setCurrentIndex(panel.form.model_box.findText(model))
        panel.form.run_button.click()
        state = panel.controller.state
        self.qtbot.waitUntil(lambda: state.phase is Phase.IDLE)
        assert state.error == ""
        self.qtbot.waitUntil(lambda: len(state.devices) > 1)

    def see_objects(self, n):
        self._compare(len(self.dock.controller.objects), n)

    def see_selected(self, n):
        self._compare(len(self.state.selection), n)

    def see_class(self, name, n):
        self._compare(self.state.counts.get(name, 0), n)

    def see_review(self, position):
        self._compare(self.state.review.position, position)

    def see_kept(self, *words):
        assert " ".join(words) in self.form.saving.kept.text()

    def _compare(self, seen, expected):
        if expected == "many":
            assert seen > 100
        else:
            assert seen == int(expected), self.state.notice or f"{seen} instead"
