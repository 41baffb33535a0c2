"""The Classify panel in a real window, under a real hand on the mouse, on the drawn H&E tile."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_histo.core import ClassScheme, ObjectState, Progress
from napari_histo.learning.cells.files import load_classifier
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.classify.dock import ClassifyDock
from napari_histo.plugin.classify.words import apply_text, hint
from napari_histo.plugin.layers import add_objects
from napari_histo.session import AnnotationState, AnnotationTools
from napari_histo.session.annotate.document import Document
from napari_histo.session.classify.state import ClassifyState, Stains, Way
from napari_histo.session.classify.work import ClassifyTools
from napari_histo.slides import open_slide
from napari_histo.store import load_objects
from support.mouse import Hand, settle

pytestmark = pytest.mark.gui

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
DAB = "DAB: Nucleus: Mean"


class Panel:
    """A panel on the tile, whose nuclei have lost their classes, and a hand on its canvas."""

    def __init__(self, viewer, qtbot, folder):
        self.viewer, self.qtbot, self.folder = viewer, qtbot, folder
        truth = load_objects(SAMPLES / "he_tile.geojson")
        self.truth = truth.class_names
        self.centres = truth.centroids
        with open_slide(SAMPLES / "he_tile.ome.tif") as reader:
            pixels = reader.read(reader.info.box)
        self.image = viewer.add_image(pixels, rgb=True, name="tile", scale=(0.25, 0.25))
        found = truth.with_columns(
            classes=ClassScheme.of("Nucleus"), class_id=np.zeros(len(truth), np.int32)
        )
        add_objects(viewer, found, self.image, name="nuclei")
        self.document = partial(Document.open, data_folder=folder)
        self.dock = ClassifyDock(viewer, ClassifyTools(open_document=self.document))
        viewer.window.add_dock_widget(self.dock, name="Classify cells")
        self.form, self.session = self.dock.form, self.dock.controller
        self.state, self.known = self.session.state, self.session.classify

    def start(self):
        self.form.start.start_button.click()
        self.wait(lambda: self.known.is_measured or bool(self.state.error))
        assert self.state.error == ""
        self.hand = Hand(self.viewer, self.image, self.qtbot)
        QApplication.sendEvent(self.hand.canvas, QEvent(QEvent.Type.Enter))
        self.viewer.reset_view()
        settle(30)
        return self

    def wait(self, what):
        self.qtbot.waitUntil(what)
        settle(10)

    def nuclei(self, name, n, start=0):
        """Rows of true members of a class, away from the border."""
        inside = ((self.centres > 60) & (self.centres < 960)).all(axis=1)
        return np.flatnonzero((self.truth == name) & inside)[start : start + n]

    def teach(self, key, name, n=3):
        """Press the class's key, then click nuclei of it."""
        self.hand.press(key)
        for row in self.nuclei(name, n):
            self.hand.click(*self.centres[row])

    def learned(self):
        lanes = (self.session._lessons, self.session._proofs)
        self.wait(lambda: self.known.has_classifier and not any(x.is_busy for x in lanes))

    def shown(self):
        """Name that each nucleus is shown in, by the layer's own pixels."""
        ledger = self.session.ledger
        names = np.array([*ledger.classes.names, None], object)
        rows = ledger.rows_of(np.arange(len(ledger)))
        return names[ledger.class_ids(rows)][np.argsort(self.place_of(rows))]

    def place_of(self, rows):
        return self.session.ledger.places_of(np.asarray(rows))

    def colour(self, row):
        """Class that the screen shows on the rim of a nucleus, from the labels that are drawn."""
        view = self.dock.scene.view
        x, y = self.centres[row].astype(int)
        values = np.asarray(view.layer.data[0][y - 14 : y + 14, x - 14 : x + 14])
        rows = {view.row_at(int(v)): int(v) for v in np.unique(values) if v}
        places = self.place_of(list(rows)).tolist()
        place = dict(zip(places, rows.values(), strict=True))
        slot = (place[row] - 1) % view._painter.slots
        return self.session.ledger.classes.name_of(slot)


def drag(groove, share, right_px):
    """Pull a slider's handle, at a share of its way, to the right."""
    left = Qt.MouseButton.LeftButton
    at = QPoint(round(share * groove.width()), groove.height() // 2)
    QTest.mousePress(groove, left, Qt.KeyboardModifier.NoModifier, at)
    for dx in range(5, right_px + 1, 5):
        there = at + QPoint(dx, 0)
        where = QPointF(there), QPointF(groove.mapToGlobal(there))
        none = Qt.KeyboardModifier.NoModifier
        move = QMouseEvent(QEvent.Type.MouseMove, *where, Qt.MouseButton.NoButton, left, none)
        QApplication.sendEvent(groove, move)
    QTest.mouseRelease(groove, left, Qt.KeyboardModifier.NoModifier, at + QPoint(right_px, 0))


@pytest.fixture
def panel(viewer, qtbot, tmp_path):
    viewer.window.resize(1000, 700)
    return Panel(viewer, qtbot, tmp_path)


def test_a_few_clicks_colour_the_whole_tile(panel):
    panel.start()
    assert list(panel.form.chips.chips) == ["Tumor", "Stroma", "Immune cells", "Necrosis", "Other"]
    panel.teach("1", "Tumor")
    assert panel.known.examples == {"Tumor": 3}
    panel.teach("2", "Stroma")
    panel.teach("3", "Immune cells")
    panel.learned()
    assert panel.known.examples == {"Tumor": 3, "Stroma": 3, "Immune cells": 3}
    assert (panel.shown() == panel.truth).mean() > 0.8
    unseen = panel.nuclei("Tumor", 1, start=20)[0]
    assert panel.colour(unseen) == panel.shown()[unseen]
    assert "Apply to 5" in panel.form.apply_button.text()
    assert panel.form.examples_page.examples.text() == "Tumor 3 · Stroma 3 · Immune cells 3"

    # A click where the colour is wrong changes the colours.
    before = panel.shown()
    wrong = np.flatnonzero(before != panel.truth)
    if len(wrong):
        panel.hand.press(str(1 + ["Tumor", "Stroma", "Immune cells"].index(panel.truth[wrong[0]])))
        panel.hand.click(*panel.centres[wrong[0]])
        panel.learned()
        assert panel.shown()[wrong[0]] == panel.truth[wrong[0]]

    # A right click takes an example back, Ctrl+Z gives it again.
    row = panel.nuclei("Tumor", 1)[0]
    n = panel.known.n_examples
    panel.hand.click(*panel.centres[row], button="right")
    assert panel.known.n_examples == n - 1
    panel.hand.press("Z", "ctrl")
    assert panel.known.n_examples == n
    panel.learned()

    # Given, undone, given again and saved, with the classifier.
    panel.form.apply_button.click()
    assert (panel.session.objects.table().class_id >= 0).all()
    panel.form.undo_button.click()
    assert (panel.session.objects.table().state == ObjectState.PREDICTED).sum() > 500
    target = panel.folder / "cells.geojson"
    panel.session.save(target)
    panel.wait(lambda: panel.state.kept.saved_at is not None and target.exists())
    saved = load_objects(target)
    assert "Tumor" in saved.class_names
    assert np.isfinite(saved.class_prob).sum() == len(saved) - n
    classifier = panel.folder / "cells.classifier"
    panel.wait(lambda: (classifier / "classifier.json").exists())
    assert sum(load_classifier(classifier).counts.values()) == n


def test_the_least_sure_come_into_view_one_by_one(panel):
    panel.start()
    panel.teach("1", "Tumor", 2)
    panel.teach("2", "Stroma", 2)
    panel.learned()
    panel.hand.press("R")
    review = panel.state.review
    assert (review.position, review.total) == (1, len(panel.truth) - 4)
    camera = np.array(panel.viewer.scene.camera.center[-2:])
    middle = np.array([review.box.y + review.box.height / 2, review.box.x + review.box.width / 2])
    np.testing.assert_allclose(camera, middle * 0.25, atol=2)
    assert "1 of" in panel.form.examples_page.review.text.text()
    panel.hand.press("2")
    assert panel.known.examples["Stroma"] == 3
    assert panel.state.review.object_id != review.object_id
    panel.hand.press("A")
    assert panel.known.n_examples == 6
    panel.hand.press("N")
    panel.hand.press("Escape")
    assert panel.state.review is None


def test_a_threshold_follows_its_slider(panel):
    panel.session.classify.stains = Stains.HDAB
    panel.start()
    panel.form.ways.setCurrentIndex(1)
    settle(20)
    page = panel.form.threshold_page
    assert panel.known.way is Way.THRESHOLD
    assert page.measurement_box.currentData() == DAB
    assert page.table.item(0, 0).text() == "Image"
    first = float(page.table.item(0, 2).text())
    slider = page.sliders[0]
    assert slider.isVisible()
    assert not page.sliders[1].isVisible()
    before = panel.known.thresholds[0]
    drag(slider._slider, (before - slider.minimum()) / (slider.maximum() - slider.minimum()), 40)
    settle(20)
    assert panel.known.thresholds[0] > before
    assert float(page.table.item(0, 2).text()) < first
    shown = panel.shown()
    values = panel.session._sheet.columns[DAB]
    assert ((shown == "Positive") == (values >= panel.known.thresholds[0])).all()
    row = panel.nuclei("Tumor", 1)[0]
    assert panel.colour(row) == shown[row]

    page.levels_box.setCurrentIndex(1)
    settle(20)
    assert [s.isVisible() for s in page.sliders] == [True, True, True]
    assert page.table.item(0, 3).text() != "–"
    panel.form.apply_button.click()
    assert set(panel.session.objects.table().class_names) <= {"Negative", "1+", "2+", "3+"}


def test_objects_change_hands_between_panels_without_loss(panel):
    panel.start()
    panel.teach("1", "Tumor", 2)
    other = AnnotateDock(panel.viewer, AnnotationTools(open_document=panel.document))
    panel.viewer.window.add_dock_widget(other, name="Annotate")
    key = panel.image.unique_id
    box = other.form.start.image_box
    box.setCurrentIndex(box.findData(key))
    other.form.start.start_button.click()
    panel.wait(lambda: other.controller.state.is_open or bool(other.controller.state.error))
    assert other.controller.state.counts["Tumor"] == 2
    assert not panel.state.is_open
    assert panel.form.start.isVisible()
    panel.form.start.start_button.click()
    panel.wait(lambda: panel.known.is_measured or bool(panel.state.error))
    assert not other.controller.state.is_open
    assert panel.known.examples == {"Tumor": 2}


def test_the_button_that_applies_says_what_it_does():
    known = ClassifyState(n_pending=1200)
    assert apply_text(known) == "Apply to 1,200"
    known.giving = Progress(1, 3, "Giving the classes")
    assert apply_text(known) == "Stop"
    assert hint(AnnotationState(), known) == "Giving the classes… 33%"
