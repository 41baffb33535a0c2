"""The suite's own scoring, prediction, training and judging, in one small round."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box, PixelSize
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.promotion import Verdict
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools, training_settings
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader, open_slide
from napari_histo.testing.synthetic import make_he_field
from support.learning import annotate, drive

SIZE = PixelSize.square(0.25)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Two drawn images of 0.25 µm per px; the files carry no pixel size."""
    folder, paths = tmp_path_factory.mktemp("tiles"), []
    for seed in range(2):
        drawn = make_he_field(np.random.default_rng(seed), 320)
        paths.append(folder / f"tile {seed}.tif")
        tifffile.imwrite(paths[-1], drawn.image, photometric="rgb")
    return paths


@pytest.fixture
def project(tiles, tmp_path):
    images = [
        NewImage(tiles[0], split="train", pixel_size=SIZE),
        NewImage(tiles[1], split="validation", pixel_size=SIZE),
    ]
    settings = Settings(region_px=80, regions=2, validation_regions=1)
    return create_project(
        tmp_path / "p", NewProject(images, "he-nuclei-fast", name="p", settings=settings)
    )


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
    assert drive(train(project, TrainWish(settings), tools)).training["settings"]["steps"] == 2
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
    assert training_settings(steps=5, rate=None, device="cpu", seed=3) == {"steps": 5}
    with pytest.raises(ValueError, match="steps"):
        training_settings(steps=0)
