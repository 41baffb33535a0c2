"""The suite's own scoring, prediction, training and judging, in one small round."""

from __future__ import annotations

import pytest

from napari_histo.core import Box
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.promotion import Verdict
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools, training_settings
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader, open_slide
from support.learning import annotate, drive
from support.tiles import SIZE, make_tile_project, make_tiles


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return make_tiles(tmp_path_factory.mktemp("tiles"))


@pytest.fixture
def project(tiles, tmp_path):
    return make_tile_project(tmp_path, tiles)


@pytest.mark.slow
def test_a_round_with_the_real_tools(project):
    tools = real_tools("cpu")
    found = drive(query(project, QueryWish(), tools))
    assert [row["split"] for row in found.query["regions"]] == ["train", "train", "validation"]
    annotate(project)
    collect(project)
    objects = [row["objects"] for row in found.label_rows]
    assert min(objects) > 0, "predictions lie in the regions, and count once accepted"
    settings = training_settings(steps=2, rate=None)
    trained = drive(train(project, TrainWish(settings), tools)).training
    assert trained["settings"]["steps"] == 2
    assert trained["from_scratch"] is False
    found = drive(evaluate(project, tools))
    assert found.stage == Stage.DECIDED
    assert found.decision["verdict"] == Verdict.TOO_FEW
    (row,) = found.evaluation["regions"]
    assert row["parent"]["tp"] > 0
    assert row["parent"]["fp"] + row["parent"]["fn"] <= row["parent"]["tp"] / 4, (
        "the model agrees with its own accepted predictions"
    )
    assert verify_project(project) == []


def test_predictions_in_a_region_are_those_of_the_whole_image(tiles):
    tools = real_tools("cpu")
    model = tools.load_model("he-nuclei-fast")
    with open_slide(tiles[0]) as slide:
        pixels = slide.read(slide.info.box)
    reader = ArrayReader(pixels, pixel_size=SIZE)
    whole = drive(segment(reader, model, SegmentRequest(seed=1))).table
    box = Box(80, 80, 160, 160)
    part = tools.predict(reader, model, box, 1)
    x, y = whole.centroids.T
    inside = (x >= 80) & (x < 240) & (y >= 80) & (y < 240)
    assert inside.sum() > 5
    assert set(part.uuids()) == set(whole.select(inside).uuids())


def test_only_what_changes_the_result_is_a_setting():
    settings = training_settings(steps=5, rate=None, compose=0.3, device="cpu", seed=3)
    assert settings == {"steps": 5, "compose": 0.3}
    with pytest.raises(ValueError, match="steps"):
        training_settings(steps=0)
