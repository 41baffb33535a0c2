"""The Active learning panel in a real window: rounds by mouse and key."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_histo.core import Box
from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.training import CurvePoint, TrainingStep
from napari_histo.plugin.geometry import screen_px
from napari_histo.plugin.learning import LearningDock
from napari_histo.plugin.learning_form import time_left
from napari_histo.plugin.learning_new import NewProjectDialog
from napari_histo.plugin.qupath_opening import annotate_dock
from napari_histo.session.learning_state import Curve, Task
from napari_histo.session.learning_work import LearningTools
from napari_histo.slides import open_slide
from napari_histo.store.geojson import read_geojson
from support.learning import FAKES, annotate, make_images, make_project
from support.mouse import Hand, settle

pytestmark = pytest.mark.gui
ROOT = Path(__file__).parents[2]
LEFT, PLAIN = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1400, 900)
    return viewer


class Panel:
    """The panel with a project, and a hand on it."""

    def __init__(self, viewer, qtbot, folder, tools=FAKES, settings=None):
        self.viewer, self.qtbot, self.folder = viewer, qtbot, folder
        made = LearningTools(lambda: tools, settings or {}, folder / "journals")
        self.dock = LearningDock(viewer, made)
        viewer.window.add_dock_widget(self.dock, name="Active learning")
        self.form, self.session = self.dock.form, self.dock.controller
        self.state = self.session.state

    def until(self, done, timeout=20_000):
        self.qtbot.waitUntil(lambda: bool(done()), timeout=timeout)
        settle(20)

    def idle(self, timeout=20_000):
        self.until(lambda: self.state.task is Task.NONE, timeout)
        assert self.state.error == ""
        settle(20)

    def press(self, button):
        assert button.isEnabled()
        assert button.isVisible()
        QTest.mouseClick(button, LEFT)
        settle(20)

    def open(self, path=None):
        self.session.open_project(path or make_project(self.folder).path)
        self.idle()
        return self

    def begin(self):
        self.press(self.form.round_button)
        self.idle()
        return self

    def double_click(self, i):
        regions = self.form.regions
        regions.scrollTo(regions.model().index(i, 0))
        at = regions.visualRect(regions.model().index(i, 0)).center()
        for click in (QTest.mouseClick, QTest.mouseDClick):
            click(regions.viewport(), LEFT, PLAIN, at)

    def shown(self, row):
        """Wait until a region's objects can be edited."""
        file = f"{row.image}.geojson"

        def is_open():
            state = None if self.desk is None else self.desk.state
            kept = None if state is None or not state.is_open else state.kept.target
            return kept is not None and kept.name == file

        self.until(is_open)
        settle(30)

    def delete_by_hand(self, row):
        """Pick a nucleus of a region with the mouse and delete it by key; its id."""
        viewer = self.dock.viewer
        layer = next(x for x in viewer.layers if x.name == row.image_name)
        hand = Hand(viewer, layer, self.qtbot)
        tables = [self.desk.objects.get([key]) for key in self.desk.objects.ids_in(row.box)]
        x, y = max(tables, key=lambda t: t.contours.areas_px[0]).centroids[0]
        annotate_dock(viewer).scene.activate()
        hand.press("K")
        hand.click(x, y)
        (chosen,) = self.desk.state.selection
        hand.press("Delete")
        assert chosen not in self.desk.objects
        return chosen

    @property
    def desk(self):
        dock = annotate_dock(self.dock.viewer)
        return None if dock is None else dock.controller

    def statuses(self):
        return [row.status for row in self.state.regions]


@pytest.fixture
def make_panel(viewer, qtbot, tmp_path):
    made = []

    def make(tools=FAKES):
        made.append(Panel(viewer, qtbot, tmp_path, tools))
        return made[-1]

    yield make
    for panel in made:
        if panel.desk is not None:
            panel.desk.close()
        panel.session.close()
        settle(20)


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
    visible = [layer.name for layer in panel.dock.viewer.layers if layer.visible]
    assert visible[0] == rows[2].image_name
    panel.form.regions.setCurrentIndex(panel.form.regions.model().index(0, 0))
    settle(20)
    panel.press(panel.form.done_button)  # which says Not done
    assert panel.statuses()[0] is QueryStatus.TO_ANNOTATE


def test_train_shows_curves_time_and_the_decision_and_can_be_rolled_back(make_panel):
    seen = []

    def train(job, cancel):
        for step in range(1, 6):
            point = CurvePoint(step, 1 / step, step / 10, step / 20)
            yield TrainingStep(step, 5, "Learning", loss=1 / step, point=point, seconds_left=150.0)
            time.sleep(0.03)
        return (yield from FAKES.train(job, cancel))

    panel = make_panel(replace(FAKES, train=train))
    panel.open().begin()
    annotate(panel.state.project)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting == 0)
    panel.state.events.progress.connect(
        lambda _: seen.append((panel.form.progress_text.text(), panel.form.curve.isVisible()))
    )
    panel.press(panel.form.train_button)
    panel.idle()
    assert ("Train: learning, 4 of 5, 2 min left", True) in seen
    assert panel.form.sentence.text().startswith("Round 1: Took the new model: it is better")
    assert panel.form.sentence.isVisible()
    rounds = panel.form.rounds
    texts = [[rounds.item(i, j).text() for j in range(5)] for i in range(2)]
    assert texts[0] == ["start", "", "", "", "classical"]
    assert texts[1][:3] == ["1 ★", "11/11", "33"]
    assert texts[1][4] == "taken"
    assert rounds.item(1, 4).toolTip().startswith("better: taken")
    at = rounds.visualItemRect(rounds.item(0, 0)).center()
    QTest.mouseClick(rounds.viewport(), LEFT, PLAIN, QPoint(at))
    panel.press(panel.form.back_button)
    panel.idle()
    assert rounds.item(0, 0).text() == "start ★"
    assert panel.form.round_button.text() == "Next round"


def test_train_asks_before_it_leaves_regions_out(panel, monkeypatch):
    panel.open().begin()
    annotate(panel.state.project, only=1)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting < 11)
    asked = []

    def answer(parent, title, text, buttons):
        asked.append(text)
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.Cancel
        return no if len(asked) == 1 else yes

    monkeypatch.setattr(QMessageBox, "question", answer)
    panel.press(panel.form.train_button)
    assert panel.state.overview.stage is Stage.QUERIED
    assert "regions still wait" in asked[0]
    panel.press(panel.form.train_button)
    panel.idle()
    assert panel.state.overview.stage is Stage.DECIDED


def test_the_window_lives_and_cancel_stops_while_it_learns(make_panel):
    def train(job, cancel):
        for step in range(1, 2000):
            yield TrainingStep(step, 2000, "Learning", loss=1.0)
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
    start = time.monotonic()
    panel.press(panel.form.cancel_button)
    panel.idle()
    assert time.monotonic() - start < 3
    assert "Train goes on from there" in panel.form.message.text()
    panel.until(lambda: panel.form.train_button.text() == "Go on training")


def test_a_project_is_made_of_slides(panel, qtbot, tmp_path):
    paths = make_images(tmp_path / "images")
    dialog = NewProjectDialog(panel.dock, paths[:1])
    qtbot.addWidget(dialog)
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert not ok.isEnabled()
    dialog.add_slides(paths)
    dialog.folder.setText(str(tmp_path / "made"))
    dialog.model.setCurrentIndex(dialog.model.findData("classical"))
    dialog.regions.setValue(3)
    assert ok.isEnabled()
    panel.session.create_project(*dialog.wanted())
    panel.idle()
    facts = panel.state.project.facts
    assert len(facts.images) == 4
    assert (facts.start.name, facts.settings.regions) == ("classical", 3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(float("nan"), ""), (0.2, ", 1 s left"), (150, ", 2 min left"), (9000, ", 2.5 h left")],
)
def test_time_left(seconds, text):
    assert time_left(seconds) == text


def test_curves_are_drawn_from_zero_to_their_top(qtbot, panel):
    view = panel.form.curve
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


@pytest.fixture
def sample_slides(tmp_path):
    """Four parts of the sample image of H&E as slides."""
    with open_slide(ROOT / "sample_data" / "he_tile.ome.tif") as reader:
        info, paths = reader.info, []
        per_cm = 10_000 / info.pixel_size.x_um
        w = h = 192  # px: choosing looks at each pixel many times
        for i in range(4):
            paths.append(tmp_path / f"part {i}.tif")
            tifffile.imwrite(
                paths[-1],
                reader.read(Box(w * (i % 2), h * (i // 2), w, h)),
                photometric="rgb",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
            )
    return paths


@pytest.mark.slow
def test_two_rounds_by_mouse_and_key_with_the_real_tools(
    viewer, qtbot, tmp_path, sample_slides, monkeypatch
):
    images = [
        NewImage(path, split="validation" if i == 3 else "train")
        for i, path in enumerate(sample_slides)
    ]
    settings = Settings(region_px=64, regions=2, validation_regions=2)
    made = create_project(
        tmp_path / "p", NewProject(images, "he-nuclei-fast", "p", settings=settings)
    )
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(made.path))
    panel = Panel(viewer, qtbot, tmp_path, real_tools("cpu"), {"steps": 2})
    limit, deleted = 300_000, []
    panel.until(panel.form.open_button.isVisible)
    panel.press(panel.form.open_button)
    panel.idle()
    for number in (1, 2):
        panel.press(panel.form.round_button)
        panel.idle(limit)
        assert panel.state.overview.number == number
        rows = panel.state.regions
        panel.form.regions.setFocus()
        QTest.keyClick(panel.form.regions, Qt.Key.Key_Return)
        panel.shown(rows[0])
        deleted.append(panel.delete_by_hand(rows[0]))
        for row in rows:
            panel.shown(row)
            assert panel.state.chosen == row.region_id
            panel.press(panel.form.done_button)
        panel.until(lambda: panel.state.n_waiting == 0)
        panel.press(panel.form.train_button)
        panel.idle(limit)
        assert panel.form.sentence.text().startswith(f"Round {number}: ")
        assert panel.form.rounds.rowCount() == number + 1
        labels = panel.state.project.round(number).labels("train")
        learned = {key for kept in labels for key in kept.labels.objects.uuids()}
        assert learned
        assert not learned & set(deleted)
    assert verify_project(panel.state.project) == []
    panel.desk.close()
    panel.session.close()
    settle(20)
