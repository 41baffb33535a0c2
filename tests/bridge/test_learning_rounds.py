"""A learning round that one person does in QuPath and another in napari, by commands alone.

The same laws where QuPath is worked with directly, and where it is elsewhere and its scripts
exchange files.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    ObjectState,
    ObjectTable,
    ObjectType,
    new_ids,
)
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.work import work_file
from napari_histo.store.geojson import read_geojson, write_geojson
from support.learning import FAKES, SIDE
from support.learning_qupath import ByExchange, ByQuPath, QuPathWindow
from support.regions import random_model

DONE, SKIPPED = "Region: done", "Region: skipped"


@pytest.fixture
def learn(tmp_path, monkeypatch, capsys):
    """``learn("query", …)`` on the project in ``tmp_path``; its output, both streams."""
    from napari_histo.cli import learn_steps, main

    monkeypatch.setattr(learn_steps, "tools_for", lambda *_: FAKES)

    def run(command, *words):
        given = ["napari-histo", "learn", command, tmp_path / "learning", *words]
        monkeypatch.setattr(sys, "argv", list(map(str, given)))
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert not end.value.code, said.err
        return said

    return run


@pytest.fixture
def by_exchange(tmp_path, monkeypatch):
    monkeypatch.setattr("qupath_bridge._places.find_qupath", lambda: None)
    return ByExchange(tmp_path)


@pytest.fixture(scope="module")
def window(qupath_environment):
    """A QuPath that opens one project after the other."""
    window = QuPathWindow(qupath_environment)
    yield window
    window.close()


@pytest.fixture(scope="module")
def of_small_images(made_project):
    return made_project(SIDE)


@pytest.fixture
def by_qupath(of_small_images, window, warm, tmp_path):
    shutil.copytree(of_small_images, tmp_path / "qupath")
    return ByQuPath(tmp_path / "qupath", window)


@pytest.fixture(
    params=[
        pytest.param("by_exchange", id="exchange"),
        pytest.param("by_qupath", id="qupath", marks=[pytest.mark.qupath, pytest.mark.slow]),
    ]
)
def in_qupath(request):
    return request.getfixturevalue(request.param)


class Round:
    """A project of two images whose first round is published, and the person in napari."""

    def __init__(self, learn, folder, qupath):
        small = ("--region-px", "32", "--regions", "4", "--validation-regions", "4")
        learn("init", qupath, "--model", "classical", "--pixel-size", "0.5", *small)
        self.said = learn("query", "--strategy", "random").out
        self.project = LearningProject(folder / "learning")
        self.rows = self.project.round(1).query["regions"]
        assert [row["split"] for row in self.rows] == ["train"] * 4 + ["validation"] * 4

    def id(self, i):
        return UUID(self.rows[i]["id"])

    def image(self, i):
        return self.project.facts.image(self.rows[i]["image"]).name

    def file(self, i):
        return work_file(self.project, 1, self.rows[i]["image"])

    def predicted(self, i):
        """Ids of the outlines that were laid out in a region."""
        table = read_geojson(self.file(i))
        parents = [(key, table.details[key].parent_id) for key in table.uuids()]
        return [key for key, parent in parents if parent == self.id(i)]

    def mark(self, i, without=()):
        """Declare a region done in napari, after some of its outlines were deleted."""
        table = read_geojson(self.file(i))
        table = table.select(np.setdiff1d(np.arange(len(table)), table.rows_of(list(without))))
        classes = table.classes.union(REGION_CLASSES)
        class_id = table.class_id.copy()
        class_id[table.rows_of([self.id(i)])] = classes.names.index(DONE)
        write_geojson(self.file(i), table.with_columns(classes=classes, class_id=class_id))


@pytest.fixture
def round_one(learn, tmp_path, in_qupath):
    return Round(learn, tmp_path, in_qupath.project)


def test_two_people_in_two_programs_do_one_round(round_one, in_qupath, learn, tmp_path):
    one = round_one
    assert "8 new regions with 24 outlines to mend" in one.said

    in_qupath.open(one.image(0))
    assert in_qupath.ids() >= {one.id(i) for i in range(4)} | set(one.predicted(0))
    box = one.rows[0]["box"]
    in_qupath.delete(one.predicted(0)[0])
    in_qupath.draw(box[0] + 20, box[1] + 20)
    for i in (0, 1):
        in_qupath.mark(one.id(i), DONE)
    in_qupath.mark(one.id(3), SKIPPED)
    in_qupath.save()
    in_qupath.open(one.image(4))
    for i in (4, 5):
        in_qupath.mark(one.id(i), DONE)
    in_qupath.save()

    one.mark(1, without=one.predicted(1)[:1])  # done in QuPath as well, and otherwise
    for i in (2, 6, 7):
        one.mark(i)

    learn("collect")
    found = one.project.round(1)
    kept = {UUID(k.region_id): k for k in found.labels()}
    assert kept.keys() == {one.id(i) for i in (0, 1, 2, 4, 5, 6, 7)}
    assert {len(kept[one.id(i)].labels.objects) for i in (0, 2, 4, 5, 6, 7)} == {3}
    assert one.predicted(0)[0] not in kept[one.id(0)].labels.objects.uuids()

    # Both versions of the region that both did are kept, and what differs is told.
    both = kept[one.id(1)]
    assert {e.annotator: len(e.objects) for e in both.each} == {"napari": 2, "QuPath": 3}
    words = json.loads((found.path / "labels" / "labels.json").read_text())
    told = [text for text in words["remarks"] if "QuPath" in text]
    assert len(told) == 1
    assert "Round 1, region 2" in told[0]
    assert (words["waiting"], words["skipped"]) == ([], [str(one.id(3))])
    assert "Everything is as it was sealed" in learn("verify").out


def test_the_same_command_again_changes_nothing_there(round_one, in_qupath, learn):
    one = round_one
    in_qupath.open(one.image(0))
    before = in_qupath.ids()
    in_qupath.delete(one.predicted(0)[0])
    in_qupath.mark(one.id(0), DONE)
    in_qupath.save()
    assert "0 new regions with 0 outlines to mend. 8 were there already" in learn("query").out
    in_qupath.open(one.image(0))
    assert in_qupath.ids() == before - {one.predicted(0)[0]}


def test_a_second_round_asks_there_too(round_one, in_qupath, learn):
    one = round_one
    for first in (0, 4):
        in_qupath.open(one.image(first))
        for i in range(first, first + 4):
            in_qupath.mark(one.id(i), DONE)
        in_qupath.save()
    learn("collect")
    learn("train")
    learn("evaluate")
    assert "4 new regions" in learn("query", "--strategy", "random").out
    rows = one.project.round(2).query["regions"]
    in_qupath.open(one.image(0))
    assert in_qupath.ids() >= {UUID(row["id"]) for row in rows}
    for row in rows:
        in_qupath.mark(UUID(row["id"]), DONE)
    in_qupath.save()
    learn("collect")
    assert {row["id"] for row in one.project.round(2).label_rows} == {row["id"] for row in rows}


def test_objects_of_a_person_come_first(by_exchange, learn, tmp_path):
    """What somebody had drawn in QuPath before the round is not doubled by a prediction."""
    small = ("--region-px", "32", "--regions", "16", "--validation-regions", "0")
    learn("init", by_exchange.project, "--model", "classical", *small)
    by_exchange.open("slide 0.tif")
    by_exchange.draw(2, 4)
    by_exchange.open("slide 1.tif")
    by_exchange.draw(2, 4)
    by_exchange.save()
    said = learn("query", "--strategy", "random").out
    assert "16 new regions with 47 outlines" in said
    assert "1 outlines were left out" in said


def test_tissue_painted_there_teaches_a_model_of_tissues(in_qupath, learn, tmp_path, monkeypatch):
    from napari_histo.cli import learn_steps
    from napari_histo.learning.rounds.tools import real_tools

    monkeypatch.setattr(learn_steps, "tools_for", lambda *_: real_tools("cpu"))
    model = random_model(tmp_path / "tissues", ("Stroma",), 0.5)
    small = ("--region-px", "32", "--regions", "2", "--validation-regions", "2")
    learn("init", in_qupath.project, "--model", model, "--pixel-size", "0.5", *small)
    learn("query", "--strategy", "random")
    project = LearningProject(tmp_path / "learning")
    rows = project.round(1).query["regions"]
    for row in rows:
        in_qupath.open(project.facts.image(row["image"]).name)
        in_qupath.mark(UUID(row["id"]), DONE)
        for place, name in ((2, "Tumor"), (16, "Ignore*")):
            known = in_qupath.ids()
            in_qupath.draw(row["box"][0] + place, row["box"][1] + 4)
            (new,) = in_qupath.ids() - known
            in_qupath.mark(new, name)
        in_qupath.save()
    learn("collect")
    for kept in project.round(1).labels():
        areas = dict(
            zip(kept.labels.objects.class_names, kept.labels.objects.areas_px, strict=True)
        )
        assert areas["Tumor"] == areas["Ignore*"] == 81
    learn("train", "--steps", "2")
    learn("evaluate")
    assert json.loads((project.round(1).path / "decision.json").read_text())["n_objects"] >= 4


HALF = 16


def halves(reader, model, box, seed):
    """A model's areas: stroma in the left half of a region of 32 px, tumour in the right."""
    sides = [(box.x, box.x + HALF), (box.x + HALF, box.right)]
    return ObjectTable.build(
        Contours.from_shapely([shapely.box(a, box.y, b, box.bottom) for a, b in sides]),
        classes=ClassScheme.of("Stroma", "Tumor"),
        class_id=[0, 1],
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.PREDICTED,
        object_id=new_ids(2, np.random.default_rng([box.x, box.y])),
        source="m",
    )


def test_areas_of_the_model_come_there_too_and_what_was_touched_counts_as_painted(
    in_qupath, learn, tmp_path, monkeypatch
):
    from napari_histo.cli import learn_steps
    from napari_histo.learning.rounds.tools import real_tools

    tools = replace(real_tools("cpu"), predict=halves)
    monkeypatch.setattr(learn_steps, "tools_for", lambda *_: tools)
    model = random_model(tmp_path / "tissues", ("Stroma", "Tumor"), 0.5)
    small = ("--region-px", "32", "--regions", "5", "--validation-regions", "0")
    learn("init", in_qupath.project, "--model", model, "--pixel-size", "0.5", *small)
    assert "5 new regions with 10 outlines to mend" in learn("query", "--strategy", "random").out
    project = LearningProject(tmp_path / "learning")
    rows = project.round(1).query["regions"]
    in_qupath.open(project.facts.image(rows[0]["image"]).name)
    keys = []
    for row in rows:
        table = halves(None, None, Box(*row["box"]), 0)
        keys.append(table.uuids())
        assert set(table.uuids()) <= in_qupath.ids()
        in_qupath.mark(UUID(row["id"]), DONE)
    left, top, _, _ = rows[1]["box"]
    in_qupath.reshape(keys[1][0], left, top, left + 24, top + 32)
    in_qupath.delete(keys[2][1])
    in_qupath.mark(keys[3][1], "Ignore*")
    left, top, _, _ = rows[4]["box"]
    known = in_qupath.ids()
    in_qupath.draw(left + HALF, top)
    in_qupath.mark(*(in_qupath.ids() - known), "Necrosis")
    in_qupath.save()
    learn("collect")
    kept = {k.region_id: k.labels.objects for k in project.round(1).labels()}
    found = [
        dict(zip(t.class_names, t.areas_px.round(), strict=True))
        for t in (kept[row["id"]] for row in rows)
    ]
    side = 2 * HALF
    assert found == [
        {"Stroma": HALF * side, "Tumor": HALF * side},
        {"Stroma": 24 * side, "Tumor": 8 * side},
        {"Stroma": HALF * side},
        {"Stroma": HALF * side, "Ignore*": HALF * side},
        {"Stroma": HALF * side, "Tumor": HALF * side - 81, "Necrosis": 81},
    ]
    listed = json.loads((project.round(1).path / "labels" / "labels.json").read_text())
    assert listed["origins"] == {"accepted": 7, "corrected": 2, "drawn": 1}
