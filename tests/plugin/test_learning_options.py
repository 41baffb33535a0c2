"""Options in the Active learning panel: folded, chosen by mouse and key, remembered."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_histo.learning.rounds.families import composes
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.plugin.learning.options import OptionsPanel
from napari_histo.session.learning.state import LearningState, Overview
from support.learning import annotate, make_encoder, make_project

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(make_panel):
    return make_panel().open()


def test_options_are_folded_until_they_are_wanted(panel):
    options = panel.form.options
    assert options.fold.isVisible()
    assert not options.encoder.isVisible()
    panel.press(options.fold.button)
    assert options.encoder.isVisible()
    assert options.encoder.text() == "The model in use"
    assert not options.merging.isVisible(), "there is nothing to collect yet"
    panel.press(options.fold.button)
    assert not options.encoder.isVisible()
    panel.begin()
    panel.press(options.fold.button)
    assert options.merging.isVisible()
    assert options.composed.isVisible()
    assert not options.encoder.isVisible(), "the regions are chosen already"


def test_an_encoder_is_chosen_with_its_licence_and_left_again(panel, monkeypatch, tmp_path):
    folder, options = make_encoder(tmp_path / "means"), panel.form.options
    panel.press(options.fold.button)
    chosen = [str(tmp_path)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: chosen[0])
    panel.press(options.encoder_button)
    assert "encoder.json" in panel.form.message.text()
    assert panel.form.message.property("kind") == "error"
    assert options.encoder.text() == "The model in use"
    chosen[0] = str(folder)
    panel.press(options.encoder_button)
    assert options.encoder.text() == "Means"
    assert options.licence.text() == "Licence: CC0-1.0"
    assert options.licence.isVisible()
    assert not panel.state.error
    panel.begin()
    assert panel.state.project.round(1).query["encoder"]["licence"] == "CC0-1.0"
    panel.session.give_up()
    panel.idle()
    assert options.encoder.isVisible(), "what is set is not folded away"
    panel.press(options.no_encoder)
    assert options.encoder.text() == "The model in use"
    assert not options.licence.isVisible()
    assert RoundOptions.of(panel.state.project.path).encoder is None


def test_several_people_and_artificial_patches_are_chosen_by_key(make_panel, tmp_path):
    path = make_project(tmp_path).path
    panel = make_panel().open(path).begin()
    options = panel.form.options
    panel.press(options.fold.button)
    options.merging.setFocus()
    QTest.keyClicks(options.merging, "nap")
    options.composed.setFocus()
    options.composed.selectAll()
    QTest.keyClicks(options.composed, "30")
    QTest.keyClick(options.composed, Qt.Key.Key_Return)
    assert options.composed.text() == "30 %"
    assert RoundOptions.of(path) == RoundOptions(None, "first", 0.3)
    annotate(panel.state.project)
    panel.session.look()
    panel.until(lambda: panel.state.n_waiting == 0)
    panel.press(panel.form.train_button)
    panel.idle()
    assert panel.state.project.round(1).training["settings"] == {"compose": 0.3}


def test_another_time_they_are_as_they_were_and_can_be_seen(make_panel, tmp_path):
    path, folder = make_project(tmp_path).path, make_encoder(tmp_path / "means")
    RoundOptions(folder, "staple", 0.2).keep(path)
    panel = make_panel().open(path)
    options = panel.form.options
    assert options.encoder.text() == "Means"
    assert options.encoder.isVisible()
    panel.begin()
    assert options.merging.currentText() == "Who agrees with others counts more"
    assert options.composed.text() == "20 %"
    assert options.composed.isVisible()


@pytest.mark.parametrize(
    ("family", "can_compose", "shown", "n_mergings"),
    [
        ("", True, (True, True), 3),
        ("", False, (True, False), 3),
        ("regions", False, (True, False), 2),
    ],
)
def test_only_what_a_model_goes_by_is_offered(
    qtbot, tmp_path, family, can_compose, shown, n_mergings
):
    project = make_project(tmp_path)
    start = replace(project.facts.start, family=family)
    of = SimpleNamespace(path=project.path, facts=replace(project.facts, start=start))
    options = OptionsPanel()
    qtbot.addWidget(options)
    seen = Overview(1, Stage.QUERIED, composes=can_compose)
    options.render_state(LearningState(project=of, overview=seen))
    options.fold.open(True)
    parts = (options.merging, options.composed)
    assert tuple(part.isVisibleTo(options) for part in parts) == shown
    assert options.merging.count() == n_mergings, "reliability is of outlines, not of pixels"
    assert options.merging.currentData() == "majority"


@pytest.mark.parametrize(
    ("model", "can"), [("he-nuclei", True), ("classical", True), ("click", False), ("gone", False)]
)
def test_artificial_patches_are_of_stardist_models(model, can):
    assert composes(model) is can
