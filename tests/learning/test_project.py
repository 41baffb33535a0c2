"""A learning project: made, moved, damaged, and the same for the same seed."""

from __future__ import annotations

import shutil
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box
from napari_histo.core.learning import LabelledRegion
from napari_histo.errors import HistoError, ImageError, LearningError
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import ProjectImage, image_id
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, add_images, create_project
from napari_histo.learning.project.places import look_in
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.labels import KeptRegion, read_labels, write_labels
from napari_histo.learning.rounds.query import QueryWish, query
from support.learning import (
    FAKES,
    contents,
    drive,
    errors_of,
    label,
    make_images,
    make_project,
    run_round,
    squares,
)
from support.objects import assert_same_contours, assert_same_tables, tables

# -- making --------------------------------------------------------------------------------------


def test_a_new_project_says_nothing_of_this_machine(project, tmp_path):
    text = (project.path / "project.json").read_text()
    assert str(tmp_path) not in text
    assert [i.path for i in project.facts.images] == [f"../images/slide {i}.tif" for i in range(4)]
    assert [i.split for i in project.facts.images].count("validation") == 1
    assert project.current == 0
    assert project.rounds == []
    assert errors_of(project) == []


def test_the_start_model_is_copied(tmp_path):
    project = make_project(tmp_path, model="he-nuclei-fast")
    assert (project.path / "start" / "model" / "weights.safetensors").is_file()
    assert project.facts.classes.names == ("Nucleus",)
    assert errors_of(project) == []
    (project.path / "start" / "model" / "thresholds.json").write_text("{}")
    assert "was changed since the project was made" in errors_of(project)[0]


def test_groups_keep_together(tmp_path):
    images = make_images(tmp_path / "images", 6)
    new = [NewImage(p, group=f"patient {i // 2}") for i, p in enumerate(images)]
    project = create_project(tmp_path / "p", NewProject(new, "classical", share=0.34))
    by_group = {}
    for image in project.facts.images:
        by_group.setdefault(image.group, set()).add(image.split)
    assert sorted(map(len, by_group.values())) == [1, 1, 1]


def test_what_was_labelled_before_teaches_and_judges_by_its_image(tmp_path):
    images = make_images(tmp_path / "images", 2)
    new = [NewImage(images[0], split="train"), NewImage(images[1], split="validation")]
    labelled = [(str(uuid4()), path, label()) for path in images]
    project = create_project(tmp_path / "p", NewProject(new, "classical"), labelled)
    assert [k.labels.image for k in project.start_labels("train")] == ["slide 0"]
    assert [k.labels.image for k in project.validation_labels()] == ["slide 1"]
    assert [k.labels.round for k in project.start_labels()] == [0, 0]
    assert errors_of(project) == []


def test_images_are_added_and_no_split_moves(done, tmp_path):
    before = {i.id: i for i in done.facts.images}
    validates = done.facts.of_split("validation")[0].group
    more = make_images(tmp_path / "more", 5)
    new = [NewImage(p, group=validates if i == 0 else "") for i, p in enumerate(more)]
    after = add_images(done, new)
    found = {i.id: i for i in after.facts.images}
    assert len(found) == 9
    assert {key: found[key] for key in before} == before
    assert found["slide 0-2"].split == "validation"
    assert [i.split for i in found.values()].count("validation") == 3
    assert errors_of(after) == []
    assert run_round(after).stage == Stage.DECIDED
    with pytest.raises(LearningError, match="in the project already"):
        add_images(after, [NewImage(more[0])])


def _torn(images):
    pair = [NewImage(images[0], group="a", split="train")]
    return NewProject([*pair, NewImage(images[1], group="a", split="validation")], "classical")


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        pytest.param(lambda i: NewProject([], "classical"), "needs images", id="none"),
        pytest.param(_torn, "'a' is in both splits", id="torn-group"),
        pytest.param(
            lambda i: NewProject([NewImage(i[0], split="validation")], "classical"),
            "no image to learn from",
            id="all-validate",
        ),
        pytest.param(
            lambda i: NewProject([NewImage(i[0])] * 2, "classical"), "given twice", id="twice"
        ),
        pytest.param(
            lambda i: NewProject([NewImage(i[0])], "no-such"), "no model 'no-such'", id="model"
        ),
        pytest.param(
            lambda i: NewProject([NewImage(i[0].parent / "x.tif")], "classical"),
            "x.tif",
            id="image",
        ),
    ],
)
def test_what_makes_no_project_is_told_and_leaves_nothing(tmp_path, wanted, told):
    images = make_images(tmp_path / "images", 2)
    with pytest.raises(HistoError, match=told):
        create_project(tmp_path / "p", wanted(images))
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(
    ("name", "taken", "key"),
    [
        pytest.param("01_1.png", [], "01_1", id="plain"),
        pytest.param("Fall Nr. 3 (HE).ome.tif", [], "Fall Nr. 3 (HE)", id="as-it-is"),
        pytest.param("a.tif", ["A"], "a-2", id="taken"),
        pytest.param('a/b:c"d?.svs', [], "a_b_c_d_", id="no-file-name"),
        pytest.param("...", [], "image", id="nothing-left"),
    ],
)
def test_ids_are_names_wherever_a_file_can_be_called_so(name, taken, key):
    assert image_id(name, taken) == key


@given(st.text(max_size=200))
def test_every_id_is_allowed(name):
    size, key = (8, 8, None), image_id(name, ())
    image = ProjectImage(key, name, "a.tif", *size, "g", "train")
    assert ProjectImage.from_dict(key, image.as_dict()) == image


def test_no_folder_is_taken_over(project, tmp_path):
    wanted = NewProject([NewImage(tmp_path / "images" / "slide 0.tif")], "classical")
    with pytest.raises(LearningError, match="is a learning project already"):
        create_project(project.path, wanted)
    with pytest.raises(LearningError, match="is not empty"):
        create_project(tmp_path / "images", wanted)


# -- labels --------------------------------------------------------------------------------------


@given(tables(max_size=4), st.integers(0, 3), st.text(max_size=5))
def test_labels_come_back_as_they_were(tmp_path_factory, table, n_ignored, annotator):
    folder = tmp_path_factory.mktemp("labels") / "labels"
    region = Box(-5, 3, 40, 50)
    kept = KeptRegion(
        str(uuid4()),
        "train",
        LabelledRegion("a", region, table, squares(region, n_ignored), annotator, 2),
    )
    write_labels(folder, [kept], {"round": 2})
    (back,) = read_labels(folder)
    assert (back.region_id, back.split) == (kept.region_id, kept.split)
    for name in ("image", "region", "annotator", "round"):
        assert getattr(back.labels, name) == getattr(kept.labels, name)
    assert_same_tables(back.labels.objects, kept.labels.objects)
    assert_same_contours(back.labels.ignored, kept.labels.ignored)


def test_labels_are_written_once(tmp_path):
    kept = KeptRegion(str(uuid4()), "train", label())
    with pytest.raises(LearningError, match="one id"):
        write_labels(tmp_path / "a", [kept, kept], {})
    write_labels(tmp_path / "a", [kept], {})
    with pytest.raises(LearningError, match="sealed"):
        write_labels(tmp_path / "a", [kept], {})


# -- sameness ------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    one, two = (make_project(tmp_path / name) for name in ("one", "two"))
    for project in (one, two):
        run_round(project)
        run_round(project, spoil=True)
    assert contents(one.path) == contents(two.path)


def test_another_seed_gives_other_regions(tmp_path):
    one, two = (make_project(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    asked = [drive(query(p, QueryWish("random"), FAKES)).query["regions"] for p in (one, two)]
    assert asked[0] != asked[1]


# -- places --------------------------------------------------------------------------------------


def test_a_project_moved_with_its_images_goes_on(done, tmp_path):
    there = tmp_path / "elsewhere" / "deep"
    there.mkdir(parents=True)
    for name in ("images", "project"):
        shutil.move(tmp_path / name, there / name)
    moved = LearningProject(there / "project")
    assert verify_project(moved) == []
    assert run_round(moved).stage == Stage.DECIDED


def test_images_that_were_moved_are_found_where_they_are_said_to_be(done, tmp_path):
    shutil.move(tmp_path / "images", tmp_path / "archive")
    image = done.facts.images[0]
    with pytest.raises(ImageError, match="--images FOLDER"):
        done.image_path(image)
    findings = verify_project(done)
    assert findings
    assert not any(f.is_error for f in findings)
    look_in(done.path, [tmp_path / "nowhere", tmp_path / "archive"])
    assert done.image_path(image) == tmp_path / "archive" / "slide 0.tif"
    assert verify_project(done) == []


def test_another_image_under_the_name_is_refused(project, tmp_path):
    make_images(tmp_path / "images", side=64)
    with pytest.raises(ImageError, match=r"64 x 64 px, but .* 128 x 128"):
        project.open_image(project.facts.images[0])
