"""``napari-histo learn``: a project by commands alone, with models that answer at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import shapely

from napari_histo.core import Box, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.training import Preflight
from napari_histo.store import save_objects
from support.learning import FAKES, annotate, make_images, squares
from support.qupath_projects import image, leaf
from support.qupath_projects import make_project as make_qupath


@pytest.fixture
def images(tmp_path):
    return make_images(tmp_path / "images")


@pytest.fixture
def learn(cli, tmp_path, monkeypatch):
    """``learn("query", …)`` on the project in ``tmp_path``, with fake tools."""
    from napari_histo.cli import learn_steps

    monkeypatch.setattr(learn_steps, "tools_for", lambda device: FAKES)

    def run(command, *words):
        return cli("learn", command, tmp_path / "project", *words)

    return run


@pytest.fixture
def made(learn, images):
    small = ("--region-px", "32", "--regions", "3", "--validation-regions", "8")
    answer = learn("init", images[0].parent, "--model", "classical", *small)
    assert answer.code == 0, answer.err
    return learn


def one_round(learn, folder, **how):
    for step in ("query", "collect", "train", "evaluate"):
        if step == "collect":
            annotate(LearningProject(folder), **how)
        answer = learn(step)
        assert answer.code == 0, answer.err
    return answer


def test_a_round_by_commands(made, tmp_path):
    asked = made("query", "--strategy", "random")
    assert asked.code == 0, asked.err
    assert "Region: done" in asked.out
    waits = made("collect")
    assert waits.code == 1
    assert "11 of 11 regions still wait" in waits.err
    annotate(LearningProject(tmp_path / "project"))
    assert "11 regions with 33 objects, 8 of them to judge" in made("collect").out
    assert "learned from 3 new and 0 earlier regions" in made("train").out
    assert "Took the new model: it is better" in made("evaluate").out
    told = made("status")
    assert "In use: the model of round 1. Next: query." in told.out
    assert "better: taken" in told.out
    assert made("verify").out == "Everything is as it was sealed.\n"


def test_train_says_beforehand_what_it_takes(made, tmp_path, monkeypatch):
    from napari_histo.cli import learn_steps

    ahead = Preflight(200.0, 10**9, "cpu", 3, 9)
    tools = replace(FAKES, preflight=lambda job, cancel: ahead)
    monkeypatch.setattr(learn_steps, "tools_for", lambda device: tools)
    made("query")
    annotate(LearningProject(tmp_path / "project"))
    made("collect")
    answer = made("train", "--json")
    assert "9 objects in 3 regions: about 3 min on cpu, 1.0 GB of memory." in answer.err
    assert json.loads(answer.out)["settings"] == {}


def test_a_worse_model_is_not_taken_and_can_be_rolled_back_to(made, tmp_path):
    one_round(made, tmp_path / "project")
    answer = one_round(made, tmp_path / "project", spoil=True)
    assert "Kept the old model" in answer.out
    assert "worse: not taken; its labels teach no more" in made("status").out
    assert made("rollback", "--to", "2").code == 1
    assert made("rollback", "--to", "2", "--force", "--reason", "as a test").code == 0
    assert "In use: the model of round 2" in made("status").out
    assert "the model of classical" in made("rollback", "--to", "0").out


def test_regions_like_a_place_are_asked_for(made, tmp_path):
    image = LearningProject(tmp_path / "project").facts.of_split("train")[0]
    asked = made("query", "--like", f"{image.name}:40,10", "--json")
    assert asked.code == 0, asked.err
    words = json.loads(asked.out)
    assert words["asked"]["like"] == [[image.id, 40.0, 10.0]]
    assert words["regions"][0]["reason"] == "like the chosen one (100%)"


def test_a_round_can_be_given_up(made):
    made("query")
    assert "Round 1 is given up" in made("abandon", "--reason", "wrong stain").out
    assert "abandoned" in made("status").out
    assert made("abandon").code == 1
    assert "Round 2:" in made("query").out


def test_status_says_what_another_round_would_give(made, tmp_path):
    for number in (1, 2, 3):
        one_round(made, tmp_path / "project")
        told = " ".join(made("status").out.split())
        if number < 3:
            assert "Is it enough? Too early to say: 3 rounds with a figure tell" in told
    assert "with 9 more objects" in told
    words = json.loads(made("status", "--json").out)["another_round"]
    assert (words["n_rounds"], words["n_more"]) == (3, 9)
    assert words["low"] < words["high"]


def test_json_says_it_all(made, tmp_path):
    asked = json.loads(made("query", "--json").out)
    assert [row["rank"] for row in asked["regions"]] == list(range(1, 12))
    annotate(LearningProject(tmp_path / "project"))
    assert len(json.loads(made("collect", "--json", "--annotator", "Ada").out)["regions"]) == 11
    asked = ("--steps", "5", "--replay-share", "0.67", "--distillation", "2")
    settings = json.loads(made("train", "--json", *asked).out)["settings"]
    assert settings == {"steps": 5, "replay_share": 0.67, "distillation": 2}
    assert json.loads(made("evaluate", "--json").out)["promoted"] is True
    status = json.loads(made("status", "--json").out)
    assert (status["current"], status["next"], len(status["rounds"])) == (1, "query", 1)
    assert json.loads(made("verify", "--json").out) == []


def test_verify_fails_on_a_changed_file(made, tmp_path):
    one_round(made, tmp_path / "project")
    path = tmp_path / "project" / "rounds" / "0001" / "training.json"
    path.write_text(path.read_text().replace('"seed"', '"Seed"'))
    answer = made("verify")
    assert answer.code == 1
    assert "training.json was changed since it was sealed" in answer.out


def test_moved_images_are_found_again(made, tmp_path, images):
    images[0].parent.rename(tmp_path / "archive")
    assert "is not found (--images FOLDER)" in made("status").err
    assert made("status", "--images", tmp_path / "archive").err == ""
    assert made("query").code == 0


@pytest.mark.parametrize(
    ("merge", "told", "annotators"),
    [
        pytest.param("majority", "11 regions by several people merged", "Ada, ben", id="merged"),
        pytest.param("first", "11 regions with 33 objects", "Ada", id="first"),
    ],
)
def test_several_people_do_the_same_regions(made, tmp_path, merge, told, annotators):
    made("query", "--strategy", "random")
    project = LearningProject(tmp_path / "project")
    annotate(project)
    shutil.copytree(project.work_path(1), tmp_path / "ben")
    options = ("--from", tmp_path / "ben", "--annotator", "Ada", "--merge", merge)
    answer = made("collect", *options)
    assert told in answer.out, answer.err
    assert ("mean PQ between them 1.000, 0 of 33 objects disputed" in answer.out) == (
        merge == "majority"
    )
    assert {row["annotator"] for row in project.round(1).label_rows} == {annotators}


def test_regions_that_were_done_in_qupath_join(made, tmp_path):
    """Published from work/ to an exchange folder, done there, collected, and taken in."""
    from qupath_bridge.rounds import Collected
    from qupath_bridge.rounds_files import read_request, write_collected

    asked = json.loads(made("query", "--json").out)["regions"]
    project, found = LearningProject(tmp_path / "project"), []
    for path in sorted(project.work_path(1).glob("*.geojson")):
        entry = ImageEntry(f"entry of {path.stem}", f"{path.stem}.tif", "file:/elsewhere")
        regions, table = read_request(path, entry)
        done = [replace(region, status=QueryStatus.DONE) for region in regions]
        found.append(Collected(entry, done, collect_regions(entry, table, done)))
    write_collected(tmp_path / "from-qupath", found)
    answer = made("collect", "--from", tmp_path / "from-qupath")
    assert answer.code == 0, answer.err
    rows = project.round(1).label_rows
    assert {row["id"] for row in rows} == {row["id"] for row in asked}
    assert {row["objects"] for row in rows} == {3}


def test_images_of_a_qupath_project(learn, images, tmp_path):
    entries = [
        image(i + 1, leaf(path.as_uri(), shape=(128, 128)), imageName=f"case {i}")
        for i, path in enumerate(images)
    ]
    qupath = make_qupath(tmp_path / "qupath", entries)
    answer = learn("init", qupath, "--model", "classical")
    assert answer.code == 0, answer.err
    facts = LearningProject(tmp_path / "project").facts
    assert [(i.id, i.path) for i in facts.images][:2] == [
        ("case 0", "../images/slide 0.tif"),
        ("case 1", "../images/slide 1.tif"),
    ]


# -- init ----------------------------------------------------------------------------------------


def csv_of(tmp_path, text):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    return path


def test_groups_of_a_csv_keep_together(learn, images, tmp_path):
    lines = ["image,group,split,stratum"]
    splits = ["val", "val", "train", "train"]
    lines += [f"{p.name},patient {i // 2},{splits[i]},HE" for i, p in enumerate(images)]
    groups = csv_of(tmp_path, "\n".join(lines))
    answer = learn("init", *images, "--model", "classical", "--groups", groups)
    assert "2 images to learn from, 2 that judge" in answer.out
    facts = LearningProject(tmp_path / "project").facts
    assert [(i.group, i.split) for i in facts.images][:3] == [
        ("patient 0", "validation"),
        ("patient 0", "validation"),
        ("patient 1", "train"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("name,group\na,b\n", "lacks the column image", id="column"),
        pytest.param("image,group\nslide 0,\n", "names no group for slide 0", id="empty"),
        pytest.param("image,group\nslide 0,a\n", "does not name 3 of 4 images", id="too-few"),
        pytest.param(
            "image,group,split\n" + "".join(f"slide {i},a,test\n" for i in range(4)),
            "the split of slide 0.tif is 'test'",
            id="split",
        ),
        pytest.param(
            "image,group,split\n"
            + "".join(f"slide {i},a,{'val' if i else 'train'}\n" for i in range(4)),
            "'a' is in both splits",
            id="torn",
        ),
    ],
)
def test_a_csv_that_does_not_fit_is_told(learn, images, tmp_path, text, told):
    answer = learn("init", *images, "--model", "classical", "--groups", csv_of(tmp_path, text))
    assert answer.code == 1
    assert told in answer.err
    assert not (tmp_path / "project").exists()


def test_what_is_annotated_already_is_taken_along(learn, images, tmp_path):
    labels = tmp_path / "labels"
    labels.mkdir()
    everything = ObjectTable.build(squares(Box(0, 0, 32, 32)))
    save_objects(labels / "slide 0.geojson", everything)
    region = ObjectTable.build(
        Contours.from_shapely([shapely.box(0, 0, 64, 64)]),
        class_id=1,
        classes=REGION_CLASSES,
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
    )
    save_objects(labels / "slide 1.geojson", ObjectTable.concat([region, everything]))
    answer = learn("init", *images, "--model", "classical", "--labels", labels)
    assert "2 labelled regions" in answer.out
    kept = LearningProject(tmp_path / "project").start_labels()
    sizes = {k.labels.image: k.labels.region.width for k in kept}
    assert sizes == {"slide 0": 128, "slide 1": 64}
    assert {len(k.labels.objects) for k in kept} == {3}


def test_images_can_be_added(made, tmp_path):
    more = make_images(tmp_path / "more", 2)
    answer = made("add", *more)
    assert answer.code == 0, answer.err
    assert "2 images added" in answer.out
    assert made("add", more[0]).code == 1
    assert len(LearningProject(tmp_path / "project").facts.images) == 6


def test_labels_of_nothing_are_told(learn, images, tmp_path):
    (tmp_path / "labels").mkdir()
    answer = learn("init", *images, "--model", "classical", "--labels", tmp_path / "labels")
    assert answer.code == 1
    assert "holds no labels of the images" in answer.err


def test_without_judges_it_is_said(learn, images):
    answer = learn("init", *images, "--model", "classical", "--validation", "0")
    assert answer.code == 0
    assert "no new model can be told from a worse one" in answer.err


@pytest.mark.parametrize("command", ["query", "collect", "train", "evaluate", "status", "verify"])
def test_a_folder_that_is_no_project_is_one_message(learn, command):
    answer = learn(command)
    assert answer.code == 1
    assert "napari-histo learn init" in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_strategy_names_the_known_ones(made):
    answer = made("query", "--strategy", "magic")
    assert answer.code == 1
    assert "uncertain" in answer.err


def test_labels_in_doubt_need_a_model_that_shows_what_it_sees(made):
    answer = made("doubts")
    assert answer.code == 1
    assert "Train a round first" in answer.err


def test_labels_in_doubt_are_listed(cli, tmp_path):
    folder, project = tmp_path / "before", tmp_path / "project"
    folder.mkdir()
    images = make_images(tmp_path / "images", 8)
    for path in images:
        boxes = [Box(x, y, 32, 32) for x in (0, 64) for y in (0, 64)]
        table = ObjectTable.build(Contours.concat([squares(box) for box in boxes]))
        save_objects(folder / f"{path.stem}.geojson", table)
    labels = ("--labels", folder, "--model", "he-nuclei-fast")
    assert cli("learn", "init", project, *images, *labels).code == 0
    answer = cli("learn", "doubts", project, "--json", "-n", "3")
    assert answer.code == 0, answer.err
    rows = json.loads(answer.out)
    assert len(rows) == 3
    assert rows[0]["score"] >= rows[2]["score"]
    assert {row["image"] for row in rows} <= {path.name for path in images}
    assert "x, y" in cli("learn", "doubts", project).out
