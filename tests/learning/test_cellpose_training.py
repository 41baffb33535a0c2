"""Networks of Cellpose 1 to 3 learn flows from labelled regions, and go on after a stop."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from napari_histo.core import Box, ModelInfo, PixelSize
from napari_histo.errors import ModelError
from napari_histo.learning.cellpose.params import CellposeTraining
from napari_histo.learning.cellpose.preflight import preflight
from napari_histo.learning.cellpose.run import CellposeRun
from napari_histo.learning.cellpose.sheets import FlowPatchSource, FlowSheets
from napari_histo.learning.cellpose.start import Start
from napari_histo.learning.cellpose.targets import Batch, Patch, distillation, loss_terms
from napari_histo.learning.cellpose.training import train_cellpose
from napari_histo.learning.course.sheets import Slides
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.training import Trainer
from napari_histo.models import load_model
from napari_histo.models.cellpose.dynamics import FLOW_SCALE, ideal_flows
from napari_histo.models.cellpose.net import (
    CellposeNet,
    CellposeShape,
    load_cellpose_net,
    save_cellpose_net,
)
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.testing.synthetic import make_he_field
from support import learning as support
from support.labelled import drive, example, first_step, square, stop_after

SHAPE = CellposeShape((2, 8, 16))
TINY = CellposeTraining(
    steps=4, batch=2, patch_px=32, judge_every=2, device="cpu", precision="float32", workers=0
)
FILES = ("card.json", "config.json", "thresholds.json", "weights.pt")
#: Nothing is bent, stretched or magnified.
STIFF = PatchShape(64, 0.0, 0.0, stretch=0.0, elastic_px=0.0)
WILD = PatchShape(64, 0.3, 0.6)


def taught(folder, regions, params=TINY, parent=SHAPE, replay=(), **words):
    trainer: Trainer = train_cellpose
    return drive(trainer(parent, regions, replay, folder, params, **words))


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


def drawn(one, shape=STIFF, seeds=range(6), channels="gray"):
    info = ModelInfo("a", "cellpose", 0.5, channels=channels)
    shown = CellposeShape((3, 8, 16)) if channels == "rgb-or-cells" else SHAPE
    model = CellposeSegmenter(CellposeNet(shown).eval(), info, device="cpu")
    source = FlowPatchSource(FlowSheets([one], Slides(model), 32), shape, (1, 99))
    return [source.draw(np.random.default_rng(seed)) for seed in seeds]


def batch(known=None, shaped=None):
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    flow = torch.from_numpy(ideal_flows(inside.astype(np.int32)))
    known = np.ones((8, 8), bool) if known is None else known
    shaped = known if shaped is None else shaped
    return Batch.of([Patch(torch.zeros(1, 8, 8), flow, inside, known, shaped)])


class TestTargets:
    """What is taught."""

    def test_the_truth_costs_nothing(self):
        asked = batch()
        logits = 40 * asked.inside - 20
        maps = torch.cat([FLOW_SCALE * asked.flow, logits[:, None]], 1)
        assert all(float(v) < 1e-6 for v in loss_terms(maps, asked).values())

    def test_losses_are_those_of_the_package(self):
        """``5 * flow`` by MSE / 2, the probability by BCE; means over all pixels."""
        asked, maps = batch(), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        found = loss_terms(maps, asked)
        flow = torch.nn.functional.mse_loss(maps[:, :2], 5 * asked.flow) / 2
        inside = torch.nn.functional.binary_cross_entropy_with_logits(maps[:, 2], asked.inside)
        torch.testing.assert_close(found["flow"], flow)
        torch.testing.assert_close(found["inside"], inside)

    def test_pixels_that_nobody_labelled_carry_no_loss(self):
        known = np.zeros((8, 8), bool)
        known[:, :4] = True
        maps = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        other = maps.clone()
        other[..., 4:] *= -3
        here, there = (loss_terms(m, batch(known)) for m in (maps, other))
        assert all(torch.equal(here[name], there[name]) for name in here)
        other[..., 0] += 1
        assert not torch.equal(loss_terms(other, batch(known))["flow"], here["flow"])

    def test_images_with_and_without_a_nuclear_channel_make_one_batch(self):
        mask, flow = np.zeros((8, 8), bool), torch.zeros(2, 8, 8)
        some = [Patch(torch.ones(n, 8, 8), flow, mask, mask, mask) for n in (1, 2)]
        assert Batch.of(some).image.sum((2, 3)).tolist() == [[64.0, 0.0], [64.0, 64.0]]

    def test_a_teacher_is_matched_by_its_own_answers_alone(self):
        told = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
        assert distillation(told, told).abs().max() < 1e-6
        assert (distillation(told + 0.5, told) > 0.01).all()

    @pytest.mark.parametrize("shape", [STIFF, WILD], ids=["turned and flipped", "bent too"])
    def test_flows_turn_with_the_patch(self, shape):
        """Those of the warped object, to the rounding of its pixels."""
        one = example(rings=[square(54, 54, 18)])
        agree = []
        for patch in drawn(one, shape, range(16)):
            rim = patch.inside.copy()
            rim[1:-1, 1:-1] = False
            if rim.any() or not patch.inside.any():
                continue
            wanted = ideal_flows(patch.inside.astype(np.int32))
            agree.append((patch.flow.numpy() * wanted).sum(0)[patch.inside].mean())
        assert len(agree) > 3
        assert min(agree) > 0.9

    def test_an_object_that_was_cut_by_the_region_teaches_no_flow(self):
        """Yet it teaches where it is; one at the image's edge ends there, as in prediction."""
        cut, edge, whole = square(52, 50, 12), square(0, 20, 12), square(20, 60, 12)
        one = example(rings=[cut, edge, whole], box=Box(0, 0, 64, 128))
        seen = {"shaped": 0, "torn": 0}
        for patch in drawn(one, seeds=range(20)):
            inside = patch.inside & patch.known
            seen["shaped"] += int((inside & patch.shaped).sum())
            seen["torn"] += int((inside & ~patch.shaped).sum())
            assert patch.shaped[patch.known & ~patch.inside].all()
        assert min(seen.values()) > 100

    def test_channels_that_prediction_normalises_alone_are_alone_here_too(self):
        """The nuclei are dark in another measure in each channel, and 0 in all to the network."""
        patches = drawn(example(0), seeds=range(12), channels="rgb-or-cells")
        dark = np.array([np.percentile(p.image, 5, axis=(1, 2)) for p in patches])
        assert np.median(np.ptp(dark, axis=1)) < 0.1


class TestTraining:
    """From regions to a model."""

    def test_loss_falls(self, tmp_path):
        params = replace(TINY, steps=24, batch=4, judge_every=12, rate=1e-2, held_out=0.0)
        _, done = taught(tmp_path / "m", [example(0), example(1)], params)
        first, last = (point.loss for point in done.curve)
        assert last < 0.9 * first

    def test_the_folder_is_a_model_and_its_weights_are_cellposes_own(self, tmp_path):
        _, done = taught(tmp_path / "m", [example(0)], validation=[example(5)])
        found = load_model(str(tmp_path / "m"), device="cpu")
        assert found.info.family == "cellpose"
        assert (found.info.pixel_size_um, found.info.thresholds.prob) == (0.5, 0.5)
        image = np.random.default_rng(0).uniform(size=(1, 64, 64, 1)).astype(np.float32)
        (a,), (b,) = (m.propose(image, 0.5) for m in (found, done.model))
        np.testing.assert_array_equal(a.prob, b.prob)
        weights = torch.load(tmp_path / "m" / "weights.pt", weights_only=True)
        assert list(weights) == list(CellposeNet(SHAPE).state_dict())
        assert float(weights["diam_mean"]) == pytest.approx(12.4, abs=2)

    def test_the_card_says_where_it_comes_from(self, tmp_path):
        taught(tmp_path / "a", [example(0)], validation=[example(5)])
        again = replace(TINY, held_out=0.0)
        _, done = taught(tmp_path / "b", [example(1)], again, tmp_path / "a", [example(0)])
        card = json.loads((tmp_path / "b" / "card.json").read_text())
        before = json.loads((tmp_path / "a" / "card.json").read_text())
        assert card["parent"] == {"name": "nuclei", "sha256": before["sha256"]}
        assert [row["name"] for row in card["data"]] == ["taught", "replayed"]
        assert card == json.loads(json.dumps(dict(done.card)))

    def test_stopped_and_gone_on_with_it_is_the_same_model(self, tmp_path):
        regions = [example(0), example(1), example(2)]
        taught(tmp_path / "whole", regions)
        stop_after(2, train_cellpose, SHAPE, regions, tmp_path / "part", TINY)
        steps, _ = taught(tmp_path / "part", regions, resume=True)
        assert first_step(steps) == 3
        assert bytes_of(tmp_path / "part") == bytes_of(tmp_path / "whole")

    def test_objects_of_a_file_get_the_size_that_it_was_trained_at(self, tmp_path):
        file = tmp_path / "lab_model"
        save_cellpose_net(file, CellposeNet(SHAPE, 20.0))
        one = example(rings=[square(30, 30, 20)])
        start = Start.of(file, [one], TINY)
        diameter_um = math.sqrt(4 / math.pi) * 20 * 0.5
        assert start.info.pixel_size_um == pytest.approx(diameter_um / 20, rel=1e-6)
        assert not start.info.pixel_size_nominal
        given = Start.of(file, [one], replace(TINY, diameter_um=5.0))
        assert given.info.pixel_size_um == pytest.approx(0.25)

    def test_preflight_says_time_and_memory(self, preflight_clock):
        preflight_clock()
        said = preflight(SHAPE, [example(0)], (), TINY, validation=[example(5)])
        assert said.seconds == pytest.approx(4 / 3 + 6)  # of three steps, and of each look
        assert 1e5 < said.memory_bytes < 1e8
        larger = preflight(SHAPE, [example(0)], (), replace(TINY, batch=8))
        assert larger.memory_bytes > said.memory_bytes

    def test_a_model_that_goes_on_is_judged_before_its_first_step(self, tmp_path):
        taught(tmp_path / "a", [example(0)], validation=[example(5)])
        _, done = taught(
            tmp_path / "b", [example(1)], parent=tmp_path / "a", validation=[example(5)]
        )
        assert [point.step for point in done.curve] == [0, 2, 4]
        assert load_cellpose_net(tmp_path / "b" / "weights.pt").shape == SHAPE


@pytest.mark.parametrize(
    ("parent", "params", "said"),
    [
        pytest.param("he-nuclei", TINY, "family 'stardist'", id="another family"),
        pytest.param(SHAPE, replace(TINY, patch_px=33), "multiple of 2", id="size of patches"),
    ],
)
def test_what_cannot_be_trained_is_told(parent, params, said):
    with pytest.raises(ModelError, match=said):
        CellposeRun.of(parent, [example(0)], [], [], params)


@pytest.mark.parametrize("wrong", [{"diameter_um": 0.0}, {"patch_px": 8}, {"steps": 0}], ids=str)
def test_senseless_settings_are_told(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CellposeTraining(**wrong)


# -- rounds --------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """Of two drawn images, begun with a network that is a file."""
    images = []
    for seed, split in enumerate(("train", "validation")):
        path = tmp_path / f"tile {seed}.tif"
        drawn = make_he_field(np.random.default_rng(seed), 320)
        tifffile.imwrite(path, drawn.image, photometric="rgb")
        images.append(NewImage(path, split=split, pixel_size=PixelSize.square(0.25)))
    file = tmp_path / "lab_model"
    save_cellpose_net(file, CellposeNet(SHAPE, 20.0))
    settings = Settings(region_px=80, regions=1, validation_regions=1)
    return create_project(tmp_path / "p", NewProject(images, str(file), settings=settings))


def test_a_project_begins_with_a_file_and_keeps_it_as_a_folder(project, tmp_path):
    start = project.path / "start" / "model"
    assert project.facts.start.name == "lab_model"
    kept, given = load_cellpose_net(start / "weights.pt"), load_cellpose_net(tmp_path / "lab_model")
    for name, value in given.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name])
    assert verify_project(project) == []
    assert load_model(str(start), device="cpu").info.pixel_size_nominal


@pytest.mark.slow
def test_a_round_of_a_cellpose_network(project):
    tools = real_tools("cpu")
    support.drive(query(project, QueryWish("random"), tools))
    support.annotate(project)
    collect(project)
    support.drive(train(project, TrainWish({"steps": 2, "patch_px": 32}), tools))
    card = json.loads((project.round(1).model_path / "card.json").read_text())
    assert (card["family"], card["parent"]["name"]) == ("cellpose", "lab_model")
    found = support.drive(evaluate(project, tools))
    assert found.evaluation["regions"]
    assert verify_project(LearningProject(project.path)) == []
