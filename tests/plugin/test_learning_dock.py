"""The Active learning panel in a real window: rounds by mouse and key."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.project.making import create_project
from napari_histo.learning.project.places import linked_qupath
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.training import CurvePoint, Preflight, TrainingStep
from napari_histo.plugin.geometry import screen_px
from napari_histo.plugin.learning.form import LearningForm, time_left
from napari_histo.plugin.learning.new import NewProjectDialog
from napari_histo.plugin.project_dock import scrolling
from napari_histo.session.learning.state import Curve
from napari_histo.store.geojson import read_geojson
from support.learning import FAKES, annotate, make_images, make_project
from support.learning_qupath import qupath_of
from support.mouse import settle

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(make_panel):
    return make_panel()


def test_without_a_project_it_says_what_it_is_for(panel):
    settle(20)
    assert "let it learn from them" in panel.form.message.text()
    assert not panel.form.regions.isVisible()
    assert not panel.form.train_button.isVisible()


def test_a_project_is_opened_and_a_round_listed_with_pictures(panel, monkeypatch, tmp_path):
    path = make_project(tmp_path).path
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(path))
    panel.press(panel.form.open_button)
    panel.idle()
    assert panel.form.title.text() == "test"
    assert panel.form.round_button.text() == "First round"
    panel.begin()
    regions = panel.form.regions
    assert regions.model().rowCount() == 11
    assert regions.model().index(0, 0).data() == "Round 1, region 1: to annotate"
    first = panel.state.regions[0]
    panel.until(lambda: regions.rows.picture(first) is not None)
    assert panel.form.facts.text() == "4 images · round 1: 0 of 11 regions seen to"
    assert "press Done" in panel.form.message.text()
    assert not panel.form.train_button.isEnabled()


def test_where_it_must_scroll_nothing_is_covered(qtbot):
    form = LearningForm()
    form.setMinimumHeight(600)
    area = scrolling(form)
    qtbot.addWidget(area)
    area.resize(area.minimumWidth(), 300)
    area.show()
    settle(20)
    assert area.verticalScrollBar().isVisible()
    assert form.width() <= area.viewport().width()


def test_a_double_click_brings_the_region_with_editable_predictions(panel):
    panel.open().begin()
    row = panel.state.regions[2]
    panel.double_click(2)
    panel.shown(row)
    layer = panel.dock.viewer.layers[0]
    assert layer.name == row.image_name
    camera = panel.dock.viewer.scene.camera
    centre = np.array(camera.center[-2:]) / layer.scale + 0.5
    assert centre == pytest.approx([row.box.y + 16, row.box.x + 16], abs=0.6)
    share = 32 * screen_px(panel.dock.viewer, layer) / min(panel.dock.viewer.canvas.size)
    assert share == pytest.approx(0.8, abs=0.05)
    inside = panel.desk.objects.ids_in(row.box)
    assert len(inside) >= 3
    panel.desk.select(inside[:1])
    panel.desk.delete()
    assert inside[0] not in panel.desk.objects
    assert panel.dock.isVisible()  # not behind the new panel


def test_done_and_skip_go_on_to_the_next_and_reach_the_files(panel):
    panel.open().begin()
    rows = panel.state.regions
    QTest.keyClick(panel.form.regions, Qt.Key.Key_Return)
    panel.shown(rows[0])
    panel.press(panel.form.done_button)
    panel.shown(rows[1])
    panel.press(panel.form.skip_button)
    panel.shown(rows[2])
    wanted = [QueryStatus.DONE, QueryStatus.SKIPPED, QueryStatus.TO_ANNOTATE]
    assert panel.statuses()[:3] == wanted
    for row, name in ((rows[0], "Region: done"), (rows[1], "Region: skipped")):
        table = read_geojson(panel.state.project.work_path(1) / f"{row.image}.geojson")
        assert table.class_names[table.rows_of([row.region_id])[0]] == name
    assert panel.seen[0] == rows[2].image_name
    panel.form.regions.setCurrentIndex(panel.form.regions.model().index(0, 0))
    settle(20)
    panel.press(panel.form.done_button)  # which says Not done
    assert panel.statuses()[0] is QueryStatus.TO_ANNOTATE


def test_train_shows_curves_time_and_the_decision_and_can_be_rolled_back(make_panel):
    seen, said = set(), set()

    def train(job, cancel):
        for step in range(1, 6):
            point = CurvePoint(step, 1 / step, step / 10, step / 20)
            yield TrainingStep(step, 5, "Learning", loss=1 / step, point=point, seconds_left=150.0)
            end = time.monotonic() + 20
            while not any(f", {step} of 5," in text for text, _ in tuple(seen)):
                assert time.monotonic() < end, "the panel does not show the step"
                time.sleep(0.005)
        return (yield from FAKES.train(job, cancel))

    tight = Preflight(200.0, 2 * 10**9, "cpu", 3, 9, 10**9)
    panel = make_panel(replace(FAKES, train=train, preflight=lambda job, cancel: tight))
    panel.open().begin()
    annotate(panel.state.project)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting == 0)
    curves = panel.form.curves
    message = panel.form.message

    def look():
        seen.add((panel.form.progress_text.text(), curves.training.isVisible()))
        said.add((message.text(), message.property("kind")))

    looking = QTimer(panel.dock)
    looking.timeout.connect(look)
    looking.start(5)
    panel.press(panel.form.train_button)
    panel.idle()
    looking.stop()
    assert ("Train: learning, 4 of 5, 2 min left", True) in seen
    assert (str(tight), "warning") in said
    assert "about 3 min" not in message.text()
    assert panel.form.sentence.text().startswith("Round 1: Took the new model: it is better")
    assert panel.form.sentence.isVisible()
    rounds = panel.form.rounds
    texts = [[rounds.item(i, j).text() for j in range(5)] for i in range(2)]
    assert texts[0] == ["start", "", "", "", "classical"]
    assert texts[1][:3] == ["1 ★", "11/11", "33"]
    assert texts[1][4] == "taken"
    assert rounds.item(1, 4).toolTip().startswith("better: taken")
    assert curves.rounds.isVisible()
    assert [round(n) for n, _ in curves.rounds.points] == [0, 9]
    assert "Too early to say" in curves.enough.text()
    panel.pick_round(0)
    told = panel.answer("Use it")
    panel.press(panel.form.use_button)
    panel.idle()
    assert told["question"] == "Use the model of start from now on?"
    assert rounds.item(0, 0).text() == "start ★"
    assert panel.form.round_button.text() == "Next round"


def test_train_asks_before_it_leaves_regions_out(panel):
    panel.open().begin()
    annotate(panel.state.project, only=1)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting < 11)
    told = panel.answer("Cancel")
    panel.press(panel.form.train_button)
    assert panel.state.overview.stage is Stage.QUERIED
    assert told["question"].startswith("Train without ")
    panel.answer("Train without them")
    panel.press(panel.form.train_button)
    panel.idle()
    assert panel.state.overview.stage is Stage.DECIDED


def test_the_window_lives_and_cancel_stops_while_it_learns(make_panel):
    def train(job, cancel):
        while True:
            yield TrainingStep(1, 2000, "Learning", loss=1.0)
            time.sleep(0.01)
            cancel.raise_if_cancelled()

    panel = make_panel(replace(FAKES, train=train))
    panel.open().begin()
    annotate(panel.state.project)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting == 0)
    panel.press(panel.form.train_button)
    panel.until(lambda: panel.state.curve.losses)
    assert not panel.form.done_button.isEnabled()
    panel.press(panel.form.cancel_button)
    panel.idle()
    assert "Train goes on from there" in panel.form.message.text()
    panel.until(lambda: panel.form.train_button.text() == "Go on training")


def test_a_project_is_made_of_slides(panel, qtbot, tmp_path):
    paths = make_images(tmp_path / "images")
    dialog = NewProjectDialog(panel.dock, paths[:1])
    qtbot.addWidget(dialog)
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert not ok.isEnabled()
    dialog.add_slides(paths)
    dialog.folder.setText(str(paths[0].parent))
    assert not ok.isEnabled()
    assert "is not empty" in dialog.hint.text(), "told before what was chosen is lost"
    dialog.folder.setText(str(tmp_path / "made"))
    dialog.model.setCurrentIndex(dialog.model.findData("classical"))
    dialog.regions.setValue(3)
    assert ok.isEnabled()
    panel.session.create_project(*dialog.wanted())
    panel.idle()
    facts = panel.state.project.facts
    assert len(facts.images) == 4
    assert (facts.start.name, facts.settings.regions) == ("classical", 3)


def test_a_project_is_made_of_a_qupath_project(panel, qtbot, tmp_path):
    there = qupath_of(tmp_path / "qupath", make_images(tmp_path / "images"))
    dialog = NewProjectDialog(panel.dock, [])
    qtbot.addWidget(dialog)
    dialog.add_qupath(there)
    assert not dialog.qupath_button.isEnabled()
    qtbot.waitUntil(dialog.qupath_button.isEnabled)
    assert [dialog.images.item(i).text() for i in range(4)] == [f"slide {i}.tif" for i in range(4)]
    assert "QuPath project too" in dialog.hint.text()
    dialog.add_qupath(there)
    qtbot.waitUntil(dialog.qupath_button.isEnabled)
    assert dialog.images.count() == 4
    dialog.folder.setText(str(tmp_path / "made"))
    dialog.model.setCurrentIndex(dialog.model.findData("classical"))
    panel.session.create_project(*dialog.wanted(), qupath=dialog.qupath)
    panel.idle()
    assert linked_qupath(panel.state.project.path) == there
    dialog.add_qupath(tmp_path / "nothing.qpproj")
    qtbot.waitUntil(dialog.qupath_button.isEnabled)
    assert "nothing.qpproj" in dialog.hint.text()


@pytest.mark.parametrize(
    ("downs", "table", "groups"),
    [
        pytest.param(0, None, ["slide 0", "slide 1"], id="each"),
        pytest.param(1, None, ["a", "a"], id="folder"),
        pytest.param(2, "slide 0.tif,p,train\nslide 1,p,train\n", ["p", "p"], id="table"),
    ],
)
def test_slides_of_one_patient_are_told_by_key(qtbot, tmp_path, monkeypatch, downs, table, groups):
    paths = make_images(tmp_path / "a", 2)
    csv = tmp_path / "patients.csv"
    csv.write_text(f"image,group,split\n{table}")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(csv), ""))
    dialog = NewProjectDialog(None, paths)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.patients.setFocus()
    for _ in range(downs):
        QTest.keyClick(dialog.patients, Qt.Key.Key_Down)
    dialog.folder.setText(str(tmp_path / "made"))
    dialog.model.setCurrentIndex(dialog.model.findData("classical"))
    made = create_project(*dialog.wanted())
    assert [image.group for image in made.facts.images] == groups
    assert ("patients.csv says" in dialog.hint.text()) is (table is not None)


def test_without_a_table_each_slide_is_a_patients_again(qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    dialog = NewProjectDialog(None, [])
    qtbot.addWidget(dialog)
    dialog.patients.setCurrentIndex(2)
    dialog.patients.activated.emit(2)
    assert dialog.patients.currentIndex() == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(float("nan"), ""), (0.2, ", 1 s left"), (150, ", 2 min left"), (9000, ", 2.5 h left")],
)
def test_time_left(seconds, text):
    assert time_left(seconds) == text


def test_curves_are_drawn_from_zero_to_their_top(qtbot, panel):
    view = panel.form.curves.training
    view.show_curve(Curve(((1, 2.0), (5, 0.5)), ((5, 0.6, float("nan")),)))
    settle(20)
    assert [(name, points) for name, _, points, _ in view.lines()] == [
        ("loss", ((1, 2.0), (5, 0.5))),
        ("PQ", [(5, 0.6)]),
        ("AP", []),
    ]
    view.resize(260, 96)
    picture = view.grab().toImage()
    top, bottom = picture.pixelColor(60, 26), picture.pixelColor(60, 80)
    assert top.isValid()
    assert bottom.isValid()
    colours = {picture.pixelColor(x, y).name() for x in range(0, 260, 2) for y in range(20, 96, 2)}
    assert len(colours) > 5
