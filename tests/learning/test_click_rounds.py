"""Rounds that train a model which answers clicks, and an encoder of the user's that looks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from napari_histo.core import Box, PixelSize
from napari_histo.errors import LearningError
from napari_histo.learning.click.pointing import Pointed
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.promotion import Counts, Gate, Pair, decide
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.rounds.work import work_file
from napari_histo.learning.scoring import ScoreRequest, score_image
from napari_histo.models import load_model, load_prompt_model
from napari_histo.slides import ArrayReader
from napari_histo.store.geojson import read_geojson
from napari_histo.testing.synthetic import make_he_field
from support.lattice import LatticeSegmenter
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
def wanted(tiles):
    images = [
        NewImage(tiles[0], split="train", pixel_size=SIZE),
        NewImage(tiles[1], split="validation", pixel_size=SIZE),
    ]
    settings = Settings(region_px=80, regions=1, validation_regions=1)
    return NewProject(images, "click", "he-nuclei-fast", name="p", settings=settings)


# -- rounds of a click model ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_round_of_a_model_that_answers_clicks(wanted, tmp_path):
    project, tools = create_project(tmp_path / "p", wanted), real_tools("cpu")
    assert project.facts.start.family == "nuclick"
    found = drive(query(project, QueryWish("uncertain"), tools))
    names = read_geojson(work_file(project, 1, found.query["regions"][0]["image"])).details
    assert {d.metadata["Model"] for d in names.values() if "Model" in d.metadata} == {"click"}
    annotate(project)
    collect(project)
    drive(train(project, TrainWish({"steps": 2}), tools))
    assert load_prompt_model(project.round(1).model_path.as_posix()).info.name == "p-0001"
    found = drive(evaluate(project, tools))
    (row,) = found.evaluation["regions"]
    assert found.evaluation["gate"]["measure"] == "IoU of clicks"
    assert (row["parent"]["fp"], row["parent"]["fn"]) == (0, 0)
    # What was clicked are the model's own answers, accepted: a click elsewhere gives nearly them.
    assert row["parent"]["iou"] / row["parent"]["tp"] > 0.8
    assert verify_project(LearningProject(project.path)) == []
    (project.path / "start" / "finder" / "config.json").write_text("{}")
    (finding,) = verify_project(LearningProject(project.path))
    assert "finder" in finding.text


def test_the_finder_is_copied_and_remembered(wanted, tmp_path):
    made = create_project(tmp_path / "p", wanted)
    there = LearningProject(made.path)
    assert there.facts == made.facts
    assert there.facts.finder.name == "he-nuclei-fast"
    assert there.looks_with == str(made.path / "start" / "finder")
    plain = create_project(tmp_path / "q", replace(wanted, model="he-nuclei-fast"))
    assert plain.facts.finder is None
    assert plain.looks_with == plain.model()
    words = json.loads((plain.path / "project.json").read_text())
    assert "finder" not in words
    assert "family" not in words["start_model"]


def test_a_finder_that_finds_nothing_is_refused(wanted, tmp_path):
    with pytest.raises(LearningError, match="cannot say where to look"):
        create_project(tmp_path / "p", replace(wanted, finder="click"))
    assert not (tmp_path / "p").exists()


def test_the_click_model_outlines_what_the_finder_found():
    drawn = make_he_field(np.random.default_rng(0), 320)
    reader = ArrayReader(drawn.image, pixel_size=SIZE)
    box = Box(60, 60, 160, 160)
    tools, finder = real_tools("cpu"), load_model("he-nuclei-fast", device="cpu")
    found = tools.predict(reader, finder, box, 1)
    clicks = load_prompt_model("click", device="cpu")
    outlined = tools.predict(reader, Pointed(finder, clicks), box, 1)
    assert len(found) > 5
    np.testing.assert_array_equal(outlined.object_id, found.object_id)
    assert np.hypot(*(outlined.centroids - found.centroids).T).max() < 15
    assert (outlined.areas_px != found.areas_px).all()
    empty = Pointed(finder, clicks).outline(reader, found.select([]))
    assert len(empty) == 0


def test_the_gate_judges_the_mean_overlap_of_clicks():
    """Ten clicks an image, all found: what differs is how well the answers fit."""

    def pairs(new, old):
        return [
            Pair(f"g{i}", f"i{i}", Counts(10, 0, 0, 10 * new[i]), Counts(10, 0, 0, 10 * old[i]))
            for i in range(6)
        ]

    rng = np.random.default_rng(0)
    old = rng.uniform(0.6, 0.7, 6)
    gate = Gate(draws=2000, measure="IoU of clicks")
    better = decide(pairs(old + 0.1, old), gate)
    assert better.promoted
    assert better.pq_difference == pytest.approx(0.1)
    assert better.pq_new == pytest.approx(old.mean() + 0.1)
    assert "IoU of clicks +0.100" in better.sentence
    worse = decide(pairs(old - 0.1, old), gate)
    assert not worse.promoted
    assert worse.sentence.startswith("Kept the old model: the new one is worse (IoU of clicks")


# -- an encoder of the user's --------------------------------------------------------------------


class Seen:
    """Keeps what it is shown, and says how bright it is."""

    def __init__(self):
        self.pictures, self.sizes = [], []

    def encode(self, pictures, pixel_um):
        self.pictures.append(pictures)
        self.sizes.append(pixel_um)
        means = pictures.mean(axis=(1, 2))
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def test_an_encoder_sees_colours_at_the_size_that_the_model_looks_at(wanted):
    drawn, encoder = make_he_field(np.random.default_rng(0), 320).image, Seen()
    reader = ArrayReader(drawn, pixel_size=SIZE)
    model = load_model("he-nuclei-fast", device="cpu")
    request = ScoreRequest(region_px=80, objects=False)
    pool = drive(score_image("i", reader, model, request, encoder=encoder))
    assert pool.features.shape == (4, 3)
    assert pool.views.shape == (4, len(request.views), 3)
    assert encoder.sizes == [model.info.pixel_size_um] * 4
    shown = encoder.pictures[0][0]
    assert shown.shape == (80, 80, 3)
    np.testing.assert_allclose(
        shown.mean(axis=(0, 1)), drawn[:160, :160].mean(axis=(0, 1)) / 255, atol=0.02
    )


def test_an_encoder_sees_one_channel_as_grey():
    pixels = np.random.default_rng(0).integers(0, 4000, (200, 200, 1)).astype(np.uint16)
    reader, encoder = ArrayReader(pixels, pixel_size=SIZE, is_rgb=False), Seen()
    drive(score_image("i", reader, LatticeSegmenter(), ScoreRequest(100), encoder=encoder))
    shown = encoder.pictures[0]
    assert shown.shape[-1] == 3
    assert 0 <= shown.min() < shown.max() <= 1
    assert (shown[..., 0] == shown[..., 2]).all()


def test_the_record_of_a_query_names_the_encoder(wanted, tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    torch.jit.trace(net, torch.zeros(1, 3, 32, 32)).save(folder / "net.pt")
    words = {"name": "Means", "weights": "net.pt", "licence": "CC0-1.0", "input_px": 32}
    (folder / "encoder.json").write_text(json.dumps(words))
    project = create_project(tmp_path / "p", replace(wanted, model="he-nuclei-fast"))
    found = drive(query(project, QueryWish("diverse"), real_tools("cpu", folder)))
    said = found.query["encoder"]
    assert (said["name"], said["licence"]) == ("Means", "CC0-1.0")
    assert len(said["sha256"]) == 64
    assert verify_project(LearningProject(project.path)) == []
    drive(query(project, QueryWish("diverse"), real_tools("cpu", folder)))
    net = torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(2), torch.nn.Flatten())
    torch.jit.trace(net, torch.zeros(1, 3, 32, 32)).save(folder / "net.pt")
    with pytest.raises(LearningError, match="encoder: then Means"):
        drive(query(project, QueryWish("diverse"), real_tools("cpu", folder)))
