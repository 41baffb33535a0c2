"""The real trainer and the gate: labels that are nonsense cost no model, and teach no later one."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from napari_histo.core import Box
from napari_histo.errors import LearningError
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.promotion import Verdict
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.simulation.rounds import Drawn, annotate_round, project_on_truth
from napari_histo.learning.simulation.truth import TruthImage
from napari_histo.slides import open_slide
from napari_histo.testing.synthetic import make_he_field
from support.learning import FAKES, drive, make_project, run_round
from support.tiles import SIZE, write_tiles

#: 28 µm: 10 to 20 nuclei each.
SMALL = Settings(region_px=56, regions=4, validation_regions=8)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """One drawn image that teaches, and two that judge."""
    drawn = [make_he_field(np.random.default_rng(seed), 320) for seed in range(3)]
    paths = write_tiles(tmp_path_factory.mktemp("tiles"), [d.image for d in drawn])
    splits = ["train", "judge", "judge"]
    with ExitStack() as stack:
        yield [
            TruthImage(p.stem, stack.enter_context(open_slide(p)), d.table, split, SIZE)
            for p, d, split in zip(paths, drawn, splits, strict=True)
        ]


def asked(images, folder, *, tools=FAKES, strategy="random"):
    """A project with one round that waits to be annotated."""
    project = project_on_truth(images, folder, model="he-nuclei-fast", settings=SMALL, seed=1)
    drive(query(project, QueryWish(strategy), tools))
    return project


def annotate(project, images, drawn):
    """By somebody who knows the truth, whatever they draw."""
    annotate_round(project, project.round(1), {i.name: i.truth for i in images}, drawn)
    return project


@pytest.fixture(scope="module")
def really_asked(images, tmp_path_factory):
    """The same by the real scoring, once for all."""
    folder = tmp_path_factory.mktemp("projects") / "asked"
    return asked(images, folder, tools=real_tools("cpu"), strategy="auto")


def learned(really_asked, images, drawn):
    """A copy of it, annotated, trained and judged by the real tools."""
    tools = real_tools("cpu")
    folder = really_asked.path.with_name(str(drawn))
    shutil.copytree(really_asked.path, folder)
    project = annotate(LearningProject(folder), images, drawn)
    collect(project)
    drive(train(project, TrainWish({"steps": 20, "batch": 4}), tools))
    drive(evaluate(project, tools))
    return project


@pytest.mark.slow
@pytest.mark.parametrize("drawn", [Drawn.SHUFFLED, Drawn.BLOBS, Drawn.NOTHING])
def test_a_poisoned_round_is_not_promoted(really_asked, images, drawn):
    project = learned(really_asked, images, drawn)
    decision = project.round(1).decision
    assert decision["verdict"] == Verdict.WORSE, decision["sentence"]
    assert project.current == 0
    assert decision["labels_doubted"]
    assert project.earlier_labels(2) == [], "later rounds do not learn from them"


@pytest.mark.slow
def test_the_same_round_with_true_labels_is_promoted(really_asked, images):
    """Or else refusing the poisoned ones would say nothing."""
    project = learned(really_asked, images, Drawn.TRUTH)
    decision = project.round(1).decision
    assert decision["promoted"], decision["sentence"]
    assert project.current == 1
    assert len(project.earlier_labels(2)) == 4


@pytest.mark.parametrize("from_scratch", [True, False])
def test_labels_are_not_blamed_for_a_network_that_began_without_weights(tmp_path, from_scratch):
    def told(job, cancel):
        return {**(yield from FAKES.train(job, cancel)), "from_scratch": from_scratch}

    project = make_project(tmp_path)
    run_round(project)
    found = run_round(project, tools=replace(FAKES, train=told), spoil=True)
    assert found.decision["verdict"] == Verdict.WORSE
    assert not found.decision["promoted"]
    assert project.forgotten == (set() if from_scratch else {2})
    assert verify_project(project) == []


# -- the annotator of simulations ----------------------------------------------------------------


def regions_of(project):
    """Kept regions that teach, and those that judge."""
    found = collect(project)
    return found.labels("train"), found.labels("validation")


def owned(kept):
    """Outlines whose centroid lies in the region."""
    objects = kept.labels.objects
    return objects.select(kept.labels.region.holds(objects.centroids))


@pytest.mark.parametrize("drawn", list(Drawn))
def test_regions_that_judge_always_get_the_truth(images, tmp_path, drawn):
    project = annotate(asked(images, tmp_path / "p"), images, drawn)
    truth = {i.name: i.truth for i in images}
    for kept in regions_of(project)[1]:
        wanted = _within(truth[kept.labels.image], kept.labels.region)
        assert len(owned(kept)) == len(wanted)
        assert owned(kept).areas_px.sum() == pytest.approx(wanted.areas_px.sum(), rel=1e-3)


def test_what_is_shuffled_is_that_of_another_region(images, tmp_path):
    project = annotate(asked(images, tmp_path / "p"), images, Drawn.SHUFFLED)
    truth = images[0].truth
    teaching = regions_of(project)[0]
    wanted = sorted(len(_within(truth, kept.labels.region)) for kept in teaching)
    assert sorted(len(owned(kept)) for kept in teaching) == wanted
    for kept in teaching:
        own = _within(truth, kept.labels.region).centroids
        found = owned(kept).centroids
        assert np.abs(found[:, None] - own[None]).sum(axis=2).min(axis=1).max() > 1


def test_blobs_are_as_many_and_as_large_and_lie_elsewhere(images, tmp_path):
    project = annotate(asked(images, tmp_path / "p"), images, Drawn.BLOBS)
    for kept in regions_of(project)[0]:
        own = _within(images[0].truth, kept.labels.region)
        assert len(owned(kept)) >= len(own), "those of a neighbour may reach in too"
        assert kept.labels.objects.areas_px.max() <= 1.05 * images[0].truth.areas_px.max()


def test_nothing_is_nothing(images, tmp_path):
    project = annotate(asked(images, tmp_path / "p"), images, Drawn.NOTHING)
    assert [len(kept.labels.objects) for kept in regions_of(project)[0]] == [0] * 4


def test_one_region_cannot_be_shuffled(images, tmp_path):
    project = project_on_truth(images, tmp_path / "p", model="classical", settings=SMALL)
    found = drive(query(project, QueryWish("random", 1), FAKES))
    with pytest.raises(LearningError, match="two or more"):
        annotate_round(project, found, {i.name: i.truth for i in images}, Drawn.SHUFFLED)


def test_a_project_on_truth_is_gone_on_with(images, tmp_path):
    one, two = (
        project_on_truth(images, tmp_path / "p", model="classical", settings=SMALL)
        for _ in range(2)
    )
    assert one.facts == two.facts
    assert [i.split for i in one.facts.images] == ["train", "validation", "validation"]


def _within(truth, box: Box):
    return truth.select(box.holds(truth.centroids))
