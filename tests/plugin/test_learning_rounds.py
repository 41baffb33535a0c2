"""Rounds in the Active learning panel: chosen, given up, taken all the same, compared, enough?"""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_histo.core import ObjectTable
from napari_histo.learning.progress.baseline import Baseline
from napari_histo.learning.progress.points import Learned, Point
from napari_histo.learning.rounds.folder import Stage
from napari_histo.plugin.learning.curve import RoundsCurve
from napari_histo.plugin.learning.rounds import RoundTable
from napari_histo.session.learning.state import LearningState, Overview, RoundRow
from support.learning import FAKES, make_project, run_round, squares
from support.learning_panel import LEFT
from support.mouse import settle

pytestmark = pytest.mark.gui


def predict_by_share(reader, model, box, seed):
    """As many squares as the model's share says; those of a good one lie lower."""
    contours = squares(box, n=round(4 * model.share))
    if model.share > 0.6:
        contours = contours.transform(1, (0, 1))
    return ObjectTable.build(contours, det_prob=0.9)


BY_SHARE = replace(FAKES, predict=predict_by_share)


def test_strategy_and_numbers_of_a_round_are_chosen_by_key(make_panel):
    panel = make_panel().open()
    choice = panel.form.choice
    assert choice.isVisible()
    assert choice.regions.value() == 3
    assert choice.judging.text() == "as needed"
    field = choice.judging.lineEdit()
    assert field.width() >= field.fontMetrics().horizontalAdvance("as needed"), "nothing is cut"
    assert "what the model doubts" in choice.meaning.text()
    choice.strategy.setFocus()
    QTest.keyClicks(choice.strategy, "Rand")
    assert choice.meaning.text().startswith("Regions by chance alone")
    for box, keys in ((choice.regions, "2"), (choice.judging, "1")):
        box.setFocus()
        box.selectAll()
        QTest.keyClicks(box, keys)
    panel.begin()
    asked = panel.state.project.round(1).query["asked"]
    assert (asked["strategy"], asked["n"], asked["n_validation"]) == ("random", 2, 1)
    assert not choice.isVisible()


def test_a_round_is_given_up_after_a_question(make_panel):
    panel = make_panel().open().begin()
    told = panel.answer("Cancel")
    panel.press(panel.form.give_up_button)
    assert told["question"] == "Give up round 1?"
    assert "cannot be taken back" in told["details"]
    assert panel.state.overview.stage is Stage.QUERIED
    panel.answer("Give up round 1")
    panel.press(panel.form.give_up_button)
    panel.idle()
    assert panel.form.rounds.item(1, 4).text() == "given up"
    assert not panel.form.give_up_button.isVisible()
    assert panel.form.round_button.isEnabled()


def test_a_model_that_was_not_taken_is_used_after_a_warning(make_panel, tmp_path):
    project = make_project(tmp_path)
    run_round(project)
    run_round(project, spoil=True)
    panel = make_panel().open(project.path)
    button = panel.form.use_button
    panel.pick_round(1)
    assert not button.isEnabled()
    panel.pick_round(2)
    assert button.text() == "Use it all the same…"
    told = panel.answer("Use it all the same")
    panel.press(button)
    panel.idle()
    assert "It was not taken: worse (PQ 0." in told["details"]
    assert panel.form.rounds.item(2, 0).text() == "2 ★"
    panel.pick_round(0)
    assert button.text() == "Use this model…"
    told = panel.answer("Use it", tick=True)
    panel.press(button)
    panel.idle()
    assert told["ticked"]
    assert panel.state.project.forgotten == {1, 2}


@pytest.fixture
def two_models(make_panel, tmp_path):
    """A project whose second round is in work, with a region on the screen."""

    def make():
        project = make_project(tmp_path)
        run_round(project)  # of a model of share 0.5 one of 0.7
        panel = make_panel(BY_SHARE).open(project.path).begin()
        panel.double_click(0)
        panel.shown(panel.state.regions[0])
        return panel

    return make


def layers_of(panel):
    kinds = ("gained", "lost", "changed")
    return {x.name: x for x in panel.dock.viewer.layers if x.name in kinds and x.visible}


def test_two_models_are_compared_on_what_is_in_view(two_models):
    panel = two_models()
    compare, viewer = panel.form.compare, panel.dock.viewer
    assert (compare.earlier.currentText(), compare.later.currentText()) == ("start", "round 1")
    active = viewer.layers.selection.active
    panel.press(compare.button)
    panel.idle()
    assert panel.state.comparison.changes.counts == (1, 0, 2, 0)
    text = compare.counts.text()
    for words in ("1&nbsp;gained", "0&nbsp;lost", "2&nbsp;changed", "0&nbsp;as&nbsp;before"):
        assert words in text
    layers = layers_of(panel)
    # A square has 4 sides; of a changed object both outlines are drawn.
    assert {k: len(x.data) for k, x in layers.items()} == {"gained": 4, "lost": 0, "changed": 16}
    assert len({tuple(x.edge_color[-1]) for k, x in layers.items() if k != "lost"}) == 2
    found = panel.state.comparison
    start = layers["gained"].data[0, 0]
    x, y = found.tables["gained"].contours.xy[0]
    assert start == pytest.approx([y - 0.5, x - 0.5])
    assert np.allclose(layers["gained"].scale, panel.dock.view.shown[1].scale)
    assert viewer.layers.selection.active is active
    width = layers["gained"].edge_width
    viewer.scene.camera.zoom *= 2
    panel.until(lambda: layers["gained"].edge_width < 0.6 * width)
    assert compare.button.text() == "Hide"
    panel.press(compare.button)
    assert layers_of(panel) == {}
    assert not compare.counts.isVisible()


def test_comparing_leaves_the_window_alive_and_is_cancelled(two_models):
    begun, cancelled = threading.Event(), threading.Event()

    def predict(reader, model, box, seed):
        begun.set()
        cancelled.wait(60)
        return predict_by_share(reader, model, box, seed)

    panel = two_models()
    slow = replace(FAKES, predict=predict)
    panel.session._tools = replace(panel.session._tools, make=lambda: slow)
    panel.press(panel.form.compare.button)
    panel.until(begun.is_set)
    assert panel.form.progress_text.text().startswith("Compare: ")
    assert not panel.form.train_button.isEnabled()
    panel.press(panel.form.cancel_button)
    cancelled.set()
    panel.idle()
    assert panel.state.comparison is None
    assert panel.form.message.text() == "Stopped. Nothing is compared."
    assert layers_of(panel) == {}


def test_without_a_region_on_the_screen_it_is_said_what_to_do(make_panel, tmp_path):
    project = make_project(tmp_path)
    run_round(project)
    panel = make_panel().open(project.path)
    panel.press(panel.form.compare.button)
    panel.until(lambda: "Open a region first" in panel.form.message.text())


@pytest.mark.parametrize("points", ["at the view", "at a nucleus"])
def test_regions_like_what_is_in_view_or_selected(make_panel, tmp_path, points):
    project = make_project(tmp_path)
    run_round(project)
    panel = make_panel().open(project.path)
    panel.viewer.window.resize(1400, 900)  # wide: a high view of a region ends far from its middle
    choice = panel.form.choice.strategy
    choice.setCurrentText("Like this one")
    panel.press(panel.form.round_button)
    panel.until(lambda: "Open a region first" in panel.form.message.text())
    rows = panel.state.regions
    at = next(i for i, row in enumerate(rows) if row.split == "train")
    panel.double_click(at)
    panel.shown(rows[at])
    box = rows[at].box
    wanted, off = (box.x + box.width / 2, box.y + box.height / 2), 8  # the view ends at the edge
    if points == "at a nucleus":
        table = panel.desk.objects.table()
        nucleus = int(np.flatnonzero(table.areas_px < box.area / 4)[-1])
        panel.desk.select([table.uuid(nucleus)])
        wanted, off = table.centroids[nucleus], 0.01
    panel.begin()
    asked = panel.state.project.round(2).query["asked"]
    assert asked["strategy"] == "alike"
    ((image, *place),) = asked["like"]
    assert image == rows[at].image
    assert place == pytest.approx(wanted, abs=off)


def test_another_image_takes_the_comparison_away(two_models):
    panel = two_models()
    panel.press(panel.form.compare.button)
    panel.idle()
    rows = panel.state.regions
    other = next(i for i, row in enumerate(rows) if row.image != rows[0].image)
    panel.double_click(other)
    panel.shown(rows[other])
    assert panel.state.comparison is None
    assert layers_of(panel) == {}


def test_after_three_rounds_it_says_whether_another_one_is_worth_it(make_panel, tmp_path):
    project = make_project(tmp_path)
    for _ in range(3):
        run_round(project)
    folder = tmp_path / "sim" / "random-replay" / "seed-0" / "round-1"
    folder.mkdir(parents=True)
    (tmp_path / "sim" / "simulation.json").write_text("{}")
    score = {"round": 1, "n_objects": 10, "pq": 0.4}
    (folder / "round.json").write_text(json.dumps({"score": score}))
    panel = make_panel().open(project.path)
    curves, choice = panel.form.curves, panel.form.choice
    assert curves.rounds.isVisible()
    assert "with 9 more objects" in curves.enough.text()
    assert "simulation sim (1 seeds)" in curves.rounds.toolTip()
    choice.regions.setFocus()
    QTest.keyClick(choice.regions, Qt.Key.Key_Up)
    assert "with 12 more objects" in curves.enough.text()


def test_the_tabs_show_rounds_or_the_latest_training(make_panel, tmp_path):
    project = make_project(tmp_path)
    run_round(project)
    panel = make_panel().open(project.path)
    curves = panel.form.curves
    assert curves.rounds.isVisible()
    QTest.mouseClick(curves.tabs, LEFT, pos=curves.tabs.tabRect(1).center())
    settle(20)
    assert curves.training.isVisible()
    assert not curves.rounds.isVisible()


def has_violet(view):
    """Whether the colour of random regions is drawn."""
    view.resize(300, 112)
    image = view.grab().toImage()
    colours = [image.pixelColor(x, y) for x in range(300) for y in range(20, 112)]
    return any(250 < c.hue() < 290 and c.saturation() > 30 for c in colours)


@pytest.mark.parametrize(
    ("measure", "head", "things"),
    [
        ("PQ", "PQ", "Objects"),
        ("IoU of clicks", "IoU", "Objects"),
        ("Dice of areas", "Dice", "Areas"),
    ],
)
def test_the_table_names_what_its_figures_are(qtbot, measure, head, things):
    table = RoundTable()
    qtbot.addWidget(table)
    table.show_rounds(LearningState(overview=Overview(learned=Learned(measure=measure))))
    assert table.horizontalHeaderItem(3).text() == head
    assert measure in table.horizontalHeaderItem(3).toolTip()
    assert table.horizontalHeaderItem(2).text() == things


def test_the_curve_of_rounds_draws_random_regions_only_where_they_were_simulated(qtbot, tmp_path):
    view = RoundsCurve()
    qtbot.addWidget(view)
    assert view.is_empty
    points = [Point(i, 50 * i, 0.5 + 0.05 * i) for i in range(4)]
    learned = Learned(tuple(points), 6.0)
    view.show_rounds(learned, learned.forecast(8))
    assert view.points == [(0, 0.5), (50, 0.55), (100, 0.6), (150, pytest.approx(0.65))]
    assert view.band[-1][0] == 150 + 48
    assert all(low < high for _, low, high in view.band)
    assert not has_violet(view)
    random = Baseline(tmp_path / "sim", "random-replay", 5, ((50, 0.52), (190, 0.56)))
    view.show_rounds(learned, learned.forecast(8), random)
    assert has_violet(view)
    assert "not on these" in view.toolTip()
    view.show_rounds(Learned(tuple(points[:2])), Learned().forecast(8))
    assert view.band == []
    assert not has_violet(view)


@pytest.mark.parametrize(
    ("stage", "text"), [("queried", "to annotate"), ("labelled", "to train"), ("mine", "mine")]
)
def test_the_table_says_what_a_round_waits_for(qtbot, stage, text):
    table = RoundTable()
    qtbot.addWidget(table)
    table.show_rounds(LearningState(overview=Overview(rounds=(RoundRow(1, stage),))))
    assert table.item(0, 4).text() == text
