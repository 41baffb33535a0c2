"""Rounds that train a model of tissues, on slides of plain squares, painted by the truth."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box, ClassScheme, ObjectState, ObjectTable, ObjectType
from napari_histo.core.round_regions import REGION_CLASSES, region_rows
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import Settings
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.rounds.promotion import Gate
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import real_tools
from napari_histo.learning.rounds.work import work_file
from napari_histo.learning.tissue.examples import RegionExample
from napari_histo.learning.tissue.training import RegionTraining, train_regions
from napari_histo.models.region.segmenter import load_region_model
from napari_histo.store import labels_to_table
from napari_histo.store.geojson import read_geojson, write_geojson
from support.learning import drive
from support.regions import drive as steps_of
from support.regions import patches

SIDE = 192
RIGHT = ("Ignore*", "Stroma", "Tumor")
SETTINGS = Settings(region_px=64, regions=3, validation_regions=8, gate=Gate(draws=2000))
FEW = {"steps": 80, "batch": 4, "patch_px": 64, "rate": 3e-3, "judge_every": 20}


def areas_of(truth, names=RIGHT):
    """Areas of the numbers of a truth; of None nothing is painted."""
    said = np.array([name is not None for name in names])[truth]
    labels = np.where(said, truth + 1, 0).astype(np.int32)
    present = np.unique(labels[labels > 0]) - 1
    scheme = ClassScheme.of(*dict.fromkeys(n for n in names if n))
    ids = [scheme.index(names[i]) for i in present]
    return labels_to_table(labels, classes=scheme, class_id=ids)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Files of 4 µm per px, and the truth of each by its name without ending."""
    folder, truths = tmp_path_factory.mktemp("slides"), {}
    for seed in range(3):
        reader, truth = patches(SIDE, seed=seed)
        tifffile.imwrite(
            folder / f"slide {seed}.tif",
            reader.read(Box(0, 0, SIDE, SIDE)),
            photometric="rgb",
            resolution=(2500, 2500),
            resolutionunit="CENTIMETER",
        )
        truths[f"slide {seed}"] = truth
    return folder, truths


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model that knows stroma and glass, and nothing of the blue tumour."""
    reader, truth = patches(SIDE, seed=9)
    painted = RegionExample(reader, areas_of(truth, ("Ignore*", "Stroma", None)))
    params = RegionTraining(steps=60, batch=4, patch_px=64, width=8, device="cpu")
    folder = tmp_path_factory.mktemp("models") / "start"
    steps_of(train_regions([painted], folder, params))
    return folder


@pytest.fixture(scope="module")
def asked(slides, start, tmp_path_factory):
    """A project whose first round waits to be painted."""
    splits = ("train", "validation", "validation")
    images = [NewImage(slides[0] / f"slide {i}.tif", split=s) for i, s in enumerate(splits)]
    wanted = NewProject(images, str(start), name="p", seed=1, settings=SETTINGS)
    project = create_project(tmp_path_factory.mktemp("projects") / "asked", wanted)
    drive(query(project, QueryWish(), real_tools("cpu")))
    return project


def learned(asked, truths, name, names):
    """A copy of it, painted, trained and judged."""
    folder, tools = asked.path.with_name(name), real_tools("cpu")
    shutil.copytree(asked.path, folder)
    project = LearningProject(folder)
    paint(project, truths, names)
    collect(project)
    drive(train(project, TrainWish(FEW), tools))
    drive(evaluate(project, tools))
    return project


def paint(project, truths, names):
    """Be a person who knows the truth; by `names` it is called where it teaches."""
    found = project.open_round
    for path in sorted(project.work_path(found.number).glob("*.geojson")):
        table = read_geojson(path)
        teaches = project.facts.image(path.stem).split == "train"
        drawn = areas_of(truths[path.stem], names if teaches else RIGHT)
        drawn = drawn.with_columns(
            state=np.full(len(drawn), ObjectState.DRAWN, np.uint8),
            object_type=np.full(len(drawn), ObjectType.ANNOTATION, np.uint8),
        )
        classes = table.classes.union(REGION_CLASSES)
        class_id = table.class_id.copy()
        class_id[region_rows(table)] = classes.index("Region: done")
        table = table.with_columns(classes=classes, class_id=class_id)
        write_geojson(path, ObjectTable.concat([table, drawn]))


def test_what_is_asked_for(asked):
    assert asked.facts.start.of_areas
    assert asked.facts.classes.names == ("Stroma", "Ignore*")
    rows = asked.round(1).query["regions"]
    assert {row["split"] for row in rows} == {"train", "validation"}
    assert all(row["box"][2:] == [64, 64] for row in rows)
    table = read_geojson(work_file(asked, 1, "slide 0"))
    predicted = table.select(table.state == ObjectState.PREDICTED)
    assert set(predicted.class_names) == {"Stroma"}
    assert (predicted.object_type == ObjectType.ANNOTATION).all()


def test_a_round_teaches_a_tissue_that_the_model_did_not_know(asked, slides):
    project = learned(asked, slides[1], "right", RIGHT)
    made = load_region_model(project.round(1).model_path)
    assert made.info.classes.names == ("Stroma", "Tumor")
    decision = project.round(1).decision
    assert decision["promoted"], decision["sentence"]
    assert "Dice of areas +0." in decision["sentence"]
    assert "8 validation regions with 2" in decision["sentence"]
    assert decision["n_objects"] < 100
    assert project.current == 1
    assert verify_project(LearningProject(project.path)) == []
    project.roll_back(0)
    assert project.current == 0


@pytest.mark.slow
def test_a_poisoned_round_is_not_promoted(asked, slides):
    project = learned(asked, slides[1], "poisoned", ("Stroma", "Ignore*", "Ignore*"))
    decision = project.round(1).decision
    assert not decision["promoted"], decision["sentence"]
    assert project.current == 0
