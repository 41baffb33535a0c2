"""A learning project that is tied to a QuPath project: what is missing, moved, odd or repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.places import link_qupath, linked_qupath, look_in
from support.learning import FAKES, annotate, make_images
from support.learning_qupath import ByExchange, qupath_of
from support.qupath_projects import image, leaf
from support.qupath_projects import make_project as make_qupath

SMALL = ("--model", "classical", "--region-px", "32", "--regions", "2", "--validation-regions", "2")


@pytest.fixture
def qupath(tmp_path, monkeypatch):
    monkeypatch.setattr("qupath_bridge._places.find_qupath", lambda: None)
    return ByExchange(tmp_path)


@pytest.fixture
def learn(cli, tmp_path, monkeypatch):
    from napari_histo.cli import learn_steps

    monkeypatch.setattr(learn_steps, "tools_for", lambda *_: FAKES)
    return lambda command, *words: cli("learn", command, tmp_path / "project", *words)


@pytest.fixture
def made(learn, qupath):
    answer = learn("init", qupath.project, *SMALL)
    assert answer.code == 0, answer.err
    assert f"Rounds will be put into {qupath.project} too" in answer.out
    return learn


@pytest.fixture
def project(made, tmp_path):
    return LearningProject(tmp_path / "project")


def regions_there(qupath):
    tables = qupath.there.tables.values()
    return sum(list(table.class_names).count("Region: to annotate") for table in tables)


def test_published_and_told_what_to_do_next(made, qupath):
    answer = made("query", "--strategy", "random")
    assert answer.code == 0, answer.err
    assert "4 new regions with 12 outlines to mend" in answer.out
    assert "run the script 'napari-histo 2 import'" in answer.out
    assert "learn collect" in answer.out
    qupath.open("slide 0.tif")
    assert regions_there(qupath) == 4


def test_the_folder_of_a_qupath_project_is_the_project(learn, qupath, tmp_path):
    assert learn("init", qupath.project.parent, *SMALL).code == 0
    assert linked_qupath(tmp_path / "project") == qupath.project.parent
    assert learn("query").code == 0


def test_json_tells_what_was_published(made, qupath):
    words = json.loads(made("query", "--json").out)["qupath"]
    assert (words["new"], words["predictions"], words["exchange"]) == (4, 12, True)
    assert json.loads(made("status", "--json").out)["qupath"] == str(qupath.project)


@pytest.mark.parametrize("lost", ["project", "exchange", "damaged"])
def test_a_query_that_cannot_be_published_is_kept_and_goes_on(made, project, qupath, lost):
    paths = {
        "project": qupath.project.parent,
        "exchange": qupath.there.folder,
        "damaged": qupath.there.folder / "exchange.json",
    }
    path = paths[lost]
    aside = path.with_name("aside")
    path.rename(aside)
    if lost == "damaged":
        path.write_text("{")
    answer = made("query", "--strategy", "random")
    assert answer.code == 1
    assert "Round 1 is chosen" in answer.err
    assert "--no-qupath" in answer.err
    sealed = (project.round(1).path / "query.json").read_bytes()
    laid_out = sorted(file.name for file in project.work_path(1).glob("*.geojson"))
    assert laid_out == ["slide 0.geojson", "slide 1.geojson"]

    path.unlink(missing_ok=True)
    aside.rename(path)
    assert "4 new regions" in made("query").out
    assert (project.round(1).path / "query.json").read_bytes() == sealed


def test_nothing_is_collected_while_qupath_cannot_be_read(made, project, qupath):
    made("query")
    annotate(project)
    qupath.project.parent.rename(qupath.project.parent.with_name("elsewhere"))
    answer = made("collect")
    assert answer.code == 1
    assert "Nothing was collected" in answer.err
    assert project.round(1).state == "queried"
    assert made("collect", "--no-qupath").code == 0
    assert len(project.round(1).label_rows) == 4


def test_one_image_that_cannot_be_read_stops_the_collecting(made, project, qupath):
    made("query")
    annotate(project)
    qupath.open("slide 0.tif")
    qupath.save()
    (qupath.there.folder / "from-qupath" / "2.geojson").write_text("{")
    answer = made("collect")
    assert answer.code == 1
    assert "slide 1.tif" in answer.err
    assert project.round(1).state == "queried"


def test_a_qupath_project_that_moved_is_found_by_one_option(made, project, qupath, tmp_path):
    made("query")
    moved = tmp_path / "elsewhere"
    qupath.project.parent.rename(moved)
    assert made("query").code == 1
    assert "4 were there already" in made("query", "--qupath", moved).out
    assert linked_qupath(project.path) == moved
    assert made("query").code == 0  # remembered


def test_both_moved_together_find_each_other(made, project, qupath, tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("project", "qupath", "images"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    place = linked_qupath(tmp_path / "new" / "project")
    assert place == tmp_path / "new" / "qupath" / "project.qpproj"
    assert place.is_file()


def test_folders_of_images_and_the_qupath_project_are_remembered_beside_each_other(tmp_path):
    look_in(tmp_path, [tmp_path / "a"])
    link_qupath(tmp_path, tmp_path / "q" / "project.qpproj")
    look_in(tmp_path, [tmp_path / "b"])
    words = json.loads((tmp_path / "local.json").read_text())
    assert words["folders"] == [str(tmp_path / "b"), str(tmp_path / "a")]
    assert linked_qupath(tmp_path) == tmp_path / "q" / "project.qpproj"


def test_what_waits_for_the_import_is_told(made, project, qupath):
    made("query")
    annotate(project)
    answer = made("collect")
    assert answer.code == 0, answer.err
    assert "16 objects wait until QuPath takes them" in answer.err


def test_what_was_done_here_is_not_asked_for_there(made, project, qupath):
    made("query", "--no-qupath")
    annotate(project, only=1)
    assert "2 new regions with 6 outlines" in made("query").out
    qupath.open("slide 0.tif")
    assert regions_there(qupath) == 2


def test_an_image_that_qupath_lacks_is_told(made, tmp_path):
    more = make_images(tmp_path / "more", 6)[2:]
    assert made("add", *more).code == 0
    answer = made("query", "-n", "64", "--validation", "64", "--strategy", "random")
    assert answer.code == 0, answer.err
    assert "not in the QuPath project" in answer.err
    assert "slide 2.tif, slide 3.tif, slide 4.tif, slide 5.tif" in answer.err


def test_images_that_qupath_got_since_are_added(made, project, qupath, tmp_path):
    images = make_images(tmp_path / "images", 3)
    qupath_of(qupath.project.parent, images)
    assert "1 images added" in made("add", qupath.project).out
    names = [i.name for i in LearningProject(project.path).facts.images]
    assert names == ["slide 0.tif", "slide 1.tif", "slide 2.tif"]


def test_regions_of_a_round_that_was_given_up_stay_out(made, project, qupath):
    made("query", "--strategy", "random")
    given_up = {row["id"] for row in project.round(1).query["regions"]}
    qupath.open("slide 0.tif")
    for table in list(qupath.there.tables.values()):
        for key in table.uuids():
            if str(key) in given_up:
                qupath.key = next(k for k, t in qupath.there.tables.items() if key in t.uuids())
                qupath.mark(key, "Region: done")
    qupath.save()
    made("abandon")
    made("query", "--strategy", "random")
    annotate(project)
    assert made("collect").code == 0
    found = {row["id"] for row in project.round(2).label_rows}
    assert found == {row["id"] for row in project.round(2).query["regions"]}
    assert not found & given_up


def test_an_image_that_qupath_shows_turned_is_refused(learn, tmp_path):
    (path,) = make_images(tmp_path / "images", 1)
    inner = leaf(path.as_uri(), shape=(128, 128))
    turned = {"builderType": "rotated", "rotation": "ROTATE_90", "builder": inner}
    turned["metadata"] = inner["metadata"]
    qupath = make_qupath(tmp_path / "qupath", [image(1, turned)])
    answer = learn("init", qupath, *SMALL)
    assert answer.code == 1
    assert "turned or cropped" in answer.err
    assert not (tmp_path / "project").exists()


def test_a_duplicate_in_qupath_is_one_image_here(learn, tmp_path):
    images = make_images(tmp_path / "images", 2)
    entries = [
        image(i, leaf(path.as_uri(), shape=(128, 128)), imageName=name)
        for i, (path, name) in enumerate(
            [(images[0], "a"), (images[1], "b"), (images[0], "a (copy)")], start=1
        )
    ]
    answer = learn("init", make_qupath(tmp_path / "qupath", entries), *SMALL)
    assert answer.code == 0, answer.err
    assert "a (copy) is left out" in answer.err
    facts = LearningProject(tmp_path / "project").facts
    assert [i.name for i in facts.images] == ["a", "b"]


def test_the_pixel_size_is_that_of_qupath_where_the_file_has_none(learn, tmp_path):
    import tifffile

    paths = [tmp_path / f"{i}.tif" for i in range(2)]
    for path in paths:
        tifffile.imwrite(path, np.full((128, 128, 3), 220, np.uint8), photometric="rgb")
    assert learn("init", qupath_of(tmp_path / "qupath", paths), *SMALL).code == 0
    facts = LearningProject(tmp_path / "project").facts
    assert {i.pixel_size.x_um for i in facts.images} == {0.5}


def test_of_two_qupath_projects_none_is_chosen(learn, tmp_path):
    images = make_images(tmp_path / "images", 2)
    both = [qupath_of(tmp_path / f"q{i}", [path]) for i, path in enumerate(images)]
    answer = learn("init", *both, *SMALL)
    assert answer.code == 0
    assert "--qupath PROJECT" in answer.err
    assert linked_qupath(tmp_path / "project") is None
    assert "napari or QuPath" in learn("query").out
