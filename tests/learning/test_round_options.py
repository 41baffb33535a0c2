"""Options of rounds are kept with the project, on one machine."""

from __future__ import annotations

import pytest

from napari_histo.learning.project.places import link_qupath, linked_qupath, remember
from napari_histo.learning.rounds.options import RoundOptions


def test_options_are_remembered_beside_what_else_is_known(tmp_path):
    assert RoundOptions.of(tmp_path) == RoundOptions()
    link_qupath(tmp_path, tmp_path / "qupath" / "project.qpproj")
    kept = RoundOptions(tmp_path / "uni", "staple", 0.3)
    kept.keep(tmp_path)
    assert RoundOptions.of(tmp_path) == kept
    assert linked_qupath(tmp_path) == tmp_path / "qupath" / "project.qpproj"
    RoundOptions().keep(tmp_path)
    assert RoundOptions.of(tmp_path) == RoundOptions()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("often", id="no table"),
        pytest.param({}, id="nothing"),
        pytest.param({"merging": "by age", "compose": 3, "encoder": ""}, id="out of range"),
        pytest.param({"merging": 1, "compose": "much", "encoder": 7}, id="of other kinds"),
    ],
)
def test_what_cannot_be_is_as_usual(tmp_path, words):
    remember(tmp_path, options=words)
    assert RoundOptions.of(tmp_path) == RoundOptions()


def test_only_what_is_not_usual_is_a_setting_of_the_training():
    assert RoundOptions().settings == {}
    assert RoundOptions(compose=0.3).settings == {"compose": 0.3}
