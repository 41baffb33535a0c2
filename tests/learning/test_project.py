"""A learning project: made, moved, damaged, killed, rolled back, and the same for the same seed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, Contours, ObjectState, ObjectTable, ObjectType, QueriedRegion
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.edits import Edit
from napari_histo.core.learning import LabelledRegion
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import HistoError, ImageError, LearningError, WriteError
from napari_histo.learning.project.checks import verify_project
from napari_histo.learning.project.facts import ProjectImage, image_id
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, add_images, create_project
from napari_histo.learning.project.places import look_in
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.labels import KeptRegion, read_labels, write_labels
from napari_histo.learning.rounds.promotion import Verdict
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, abandon, collect, evaluate, train
from napari_histo.learning.rounds.work import Gathered
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.journal import Journal
from support.disks import mounted, needs_root_on_linux
from support.learning import (
    FAKES,
    annotate,
    contents,
    drive,
    make_images,
    make_project,
    run_round,
    squares,
)
from support.objects import assert_same_contours, assert_same_tables, tables


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def done(project):
    """A project with one round that is decided."""
    run_round(project)
    return project


def errors_of(project):
    return [f.text for f in verify_project(project) if f.is_error]


def label():
    box = Box(0, 0, 32, 32)
    return LabelledRegion("slide 0", box, ObjectTable.build(squares(box)), Contours.empty())


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


# -- a round -------------------------------------------------------------------------------------


def test_a_round_step_by_step(project):
    assert project.open_round is None
    found = drive(query(project, QueryWish("random", 2, 7), FAKES))
    assert found.stage == Stage.QUERIED
    splits = [row["split"] for row in found.query["regions"]]
    assert splits == ["train"] * 2 + ["validation"] * 7
    annotate(project)
    assert collect(project).stage == Stage.LABELLED
    assert drive(train(project, TrainWish(), FAKES)).stage == Stage.TRAINED
    found = drive(evaluate(project, FAKES))
    assert found.stage == Stage.DECIDED
    assert found.decision["promoted"]
    assert project.current == 1
    assert project.open_round is None
    when = json.loads((found.path / "when.json").read_text())
    assert {"queried", "labelled", "trained", "evaluated", "decided"} < when.keys()
    assert errors_of(project) == []


def test_each_step_may_be_repeated(project):
    first = drive(query(project, QueryWish(), FAKES)).query
    assert drive(query(project, QueryWish(), FAKES)).query == first
    annotate(project)
    for step in (
        lambda: collect(project),
        lambda: drive(train(project, TrainWish(), FAKES)),
        lambda: drive(evaluate(project, FAKES)),
    ):
        step()
        before = contents(project.path)
        step()
        assert contents(project.path) == before


@pytest.mark.parametrize(
    ("step", "told"),
    [
        pytest.param(lambda p: collect(p), "No round is in work", id="collect"),
        pytest.param(lambda p: drive(train(p, TrainWish(), FAKES)), "No round", id="train"),
        pytest.param(lambda p: drive(evaluate(p, FAKES)), "No round", id="evaluate"),
    ],
)
def test_no_step_goes_before_its_time(project, step, told):
    with pytest.raises(LearningError, match=told):
        step(project)
    drive(query(project, QueryWish(), FAKES))
    with pytest.raises(LearningError, match=r"wait|next is: annotate"):
        step(project)


def test_a_round_in_work_is_not_chosen_anew(project):
    drive(query(project, QueryWish("random", 2), FAKES))
    with pytest.raises(LearningError, match="n: then 2, now 5"):
        drive(query(project, QueryWish("random", 5), FAKES))
    annotate(project)
    collect(project)
    with pytest.raises(LearningError, match="next is: train"):
        drive(query(project, QueryWish(), FAKES))


def test_work_that_is_lost_is_laid_out_again_and_no_other_is_touched(project):
    drive(query(project, QueryWish("random"), FAKES))
    lost, kept = sorted(project.work_path(1).glob("*.geojson"))[:2]
    before = lost.read_bytes()
    lost.unlink()
    kept.write_bytes(kept.read_bytes() + b" ")
    mine = kept.read_bytes()
    drive(query(project, QueryWish("random"), FAKES))
    assert lost.read_bytes() == before
    assert kept.read_bytes() == mine


def test_regions_are_asked_for_once(project):
    drive(query(project, QueryWish("random", 10), FAKES))
    annotate(project)
    collect(project)
    drive(train(project, TrainWish(), FAKES))
    drive(evaluate(project, FAKES))
    second = drive(query(project, QueryWish("random", 10), FAKES))
    first, second = project.round(1).query["regions"], second.query["regions"]
    places = [(row["image"], *row["box"]) for row in [*first, *second]]
    assert len(set(places)) == len(places)


def test_when_nothing_is_left_it_is_told(tmp_path):
    project = make_project(tmp_path, n=1, share=0.0)
    drive(query(project, QueryWish("random", 16), FAKES))
    annotate(project)
    collect(project)
    drive(train(project, TrainWish(), FAKES))
    drive(evaluate(project, FAKES))
    with pytest.raises(LearningError, match="Nothing is left to choose"):
        drive(query(project, QueryWish("random"), FAKES))


def test_regions_that_wait_stop_a_round_unless_told_otherwise(project):
    drive(query(project, QueryWish("random", 6), FAKES))
    with pytest.raises(LearningError, match="14 of 14 regions still wait"):
        collect(project)
    annotate(project, only=1)
    with pytest.raises(LearningError, match="still wait"):
        collect(project)
    found = collect(project, partial=True, annotator="Ada")
    rows = found.label_rows
    assert {row["annotator"] for row in rows} == {"Ada"}
    assert len(rows) == len(list(project.work_path(1).glob("*.geojson")))


def test_skipped_regions_are_none(project):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project, status="Region: skipped")
    with pytest.raises(LearningError, match="No region of a training image is done"):
        collect(project)


def test_a_region_of_ones_own_counts_in_any_image(project):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    triangle = shapely.Polygon([(60, 60), (100, 60), (60, 100)])
    region = ObjectTable.build(
        Contours.from_shapely([triangle]),
        class_id=1,
        classes=REGION_CLASSES,
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
    )
    image = next(i.id for i in project.facts.of_split("train"))
    path = project.work_path(1) / f"{image}.geojson"
    there = read_geojson(path) if path.exists() else ObjectTable.empty()
    write_geojson(path, ObjectTable.concat([there, region]))
    kept = {k.region_id: k for k in collect(project).labels()}
    own = kept[str(region.uuid(0))].labels
    assert own.region == Box(60, 60, 40, 40)
    assert own.ignored.areas_px.sum() == pytest.approx(800)
    assert own.round == 1


def test_edits_that_are_not_saved_are_not_passed_over(project):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    path = next(project.work_path(1).glob("*.geojson"))
    journal = Journal([path.with_name(f".{path.name}.journal")], {"image": "x"})
    drawn = ObjectTable.build(squares(Box(0, 0, 32, 32), 1))
    journal.append(Edit("Click", drawn.select([]), drawn))
    with pytest.raises(LearningError, match="not saved"):
        collect(project)
    journal.note_saved("0" * 64, 1)
    journal.close()
    assert collect(project).stage == Stage.LABELLED


def test_what_was_done_elsewhere_joins(project):
    found = drive(query(project, QueryWish("random", 2), FAKES))
    rows = [row for row in found.query["regions"] if row["split"] == "train"]
    annotate(project)
    path = project.work_path(1) / f"{rows[1]['image']}.geojson"
    here = read_geojson(path)
    elsewhere = Gathered([], {})
    for row, n in ((rows[0], 1), (rows[1], 1)):
        box = Box(*row["box"])
        entry = ImageEntry(row["image"], "", "")
        region = QueriedRegion.of_box(
            entry, box, region_id=UUID(row["id"]), status=QueryStatus.DONE, round_number=1
        )
        table = ObjectTable.build(squares(box, n), state=ObjectState.DRAWN)
        examples = collect_regions(entry, table, [region])
        known = elsewhere.examples.get(row["image"], [])
        elsewhere = Gathered(
            [*elsewhere.regions, region],
            {**elsewhere.examples, row["image"]: [*known, *examples]},
        )
    # The second waits here and is done there.
    waits = here.class_id.copy()
    at = int(here.rows_of([UUID(rows[1]["id"])])[0])
    waits[at] = here.classes.index("Region: to annotate")
    write_geojson(path, here.with_columns(class_id=waits))
    kept = {k.region_id: k.labels for k in collect(project, [elsewhere]).labels()}
    assert len(kept[rows[0]["id"]].objects) == 3
    assert len(kept[rows[1]["id"]].objects) == 1
    remarks = json.loads((found.path / "labels" / "labels.json").read_text())["remarks"]
    assert sum("annotator 1 and annotator 2 merged" in text for text in remarks) == 1


def test_replay_brings_back_what_earlier_rounds_taught(done):
    taught = {k.region_id for k in done.round(1).labels("train")}
    found = run_round(done)
    assert set(found.training["replayed"]) == taught
    assert set(found.training["regions"]).isdisjoint(taught)


def test_validation_regions_never_teach(done):
    run_round(done)
    judged = {k.region_id for k in done.validation_labels()}
    assert len(judged) == 8
    for found in done.rounds:
        assert judged.isdisjoint([*found.training["regions"], *found.training["replayed"]])


# -- decisions and rollbacks ---------------------------------------------------------------------


def test_a_poisoned_round_is_kept_out_of_the_model_and_of_later_rounds(done):
    found = run_round(done, spoil=True)
    assert found.decision["verdict"] == Verdict.WORSE
    assert found.decision["sentence"].startswith("Kept the old model")
    assert done.current == 1
    assert done.forgotten == {2}
    third = run_round(done)
    assert third.training["parent"]["round"] == 1
    poisoned = {k.region_id for k in done.round(2).labels()}
    assert poisoned.isdisjoint(third.training["replayed"])
    assert errors_of(done) == []


def test_force_promotes_what_is_worse(done):
    assert run_round(done, spoil=True, force=True).decision["forced"]
    assert done.current == 2
    assert errors_of(done) == []


def test_without_validation_the_model_stays(tmp_path):
    project = make_project(tmp_path, share=0.0)
    found = run_round(project)
    assert found.decision["verdict"] == Verdict.TOO_FEW
    assert project.current == 0


def test_roll_back_and_forth_deletes_nothing(done):
    run_round(done)
    before = contents(done.path)
    assert done.current == 2
    done.roll_back(1, reason="looked better")
    assert done.current == 1
    done.roll_back(0, forget_labels=True)
    assert done.current == 0
    assert done.forgotten == {1, 2}
    assert {k: v for k, v in contents(done.path).items() if k in before} == before
    assert LearningProject(done.path).current == 0
    found = run_round(done)
    assert found.training["parent"]["round"] == 0
    assert found.training["replayed"] == []
    assert done.current == 3
    assert errors_of(done) == []


@pytest.mark.parametrize(
    ("to", "force", "told"),
    [
        pytest.param(7, True, "no model to go back to", id="no-such-round"),
        pytest.param(2, False, "was not promoted", id="not-promoted"),
        pytest.param(1, False, "in use already", id="current"),
    ],
)
def test_rollbacks_that_cannot_be(done, to, force, told):
    run_round(done, spoil=True)
    with pytest.raises(LearningError, match=told):
        done.roll_back(to, force=force)
    assert not list((done.path / "rollbacks").glob("*"))


def test_a_model_that_was_kept_out_can_be_taken_by_force(done):
    run_round(done, spoil=True)
    done.roll_back(2, force=True)
    assert done.current == 2


@pytest.mark.parametrize("after", ["query", "collect", "train"])
def test_a_round_that_is_given_up_stays_and_counts_no_more(done, after):
    first = drive(query(done, QueryWish("random"), FAKES)).query["regions"]
    if after != "query":
        annotate(done)
        collect(done)
    if after == "train":
        drive(train(done, TrainWish(), FAKES))
    before = contents(done.path)
    abandon(done, "wrong stain")
    assert {k: v for k, v in contents(done.path).items() if k in before} == before
    assert (done.open_round, done.current) == (None, 1)
    with pytest.raises(LearningError, match="No round is in work"):
        abandon(done)
    with pytest.raises(LearningError, match="No round is in work"):
        collect(done)
    third = run_round(done)
    assert third.number == 3
    assert {row["id"] for row in first}.isdisjoint(third.training["replayed"])
    assert errors_of(done) == []
    path = done.round(2).path / "abandoned.json"
    path.write_text(path.read_text().replace("wrong", "right"))
    assert any("abandoned.json" in text for text in errors_of(done))


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


# -- damage --------------------------------------------------------------------------------------


def _edit(path, **changes):
    words = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(words))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda p: shutil.rmtree(p), "does not exist", id="gone"),
        pytest.param(lambda p: (p / "project.json").unlink(), "no learning project", id="others"),
        pytest.param(
            lambda p: (p / "project.json").write_text('{"format_'), "is damaged", id="half"
        ),
        pytest.param(lambda p: (p / "project.json").write_text("[]"), "no file of", id="list"),
        pytest.param(
            lambda p: _edit(p / "project.json", format_version=99),
            "Update napari-histo",
            id="newer",
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", images={}), "no image to learn from", id="empty"
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", images={"../x": {}}), "no whole", id="evil-id"
        ),
        pytest.param(
            lambda p: _edit(p / "project.json", settings={"margin_pq": 7}), "margin", id="setting"
        ),
    ],
)
def test_what_is_no_project_is_told(project, damage, told):
    damage(project.path)
    with pytest.raises(LearningError, match=told):
        LearningProject(project.path)


RECORD = [
    "query.json",
    "labels/labels.json",
    "labels/*.parquet",
    "training.json",
    "model/share.txt",
    "evaluation.json",
    "decision.json",
]


@pytest.mark.parametrize("name", RECORD)
def test_every_changed_file_is_named(done, name):
    path = next(done.round(1).path.glob(name))
    path.write_bytes(path.read_bytes()[:-3] + b"9 }\n")
    assert any(path.name in text for text in errors_of(done))


@pytest.mark.parametrize("name", RECORD)
def test_every_file_that_went_is_named(done, name):
    path = next(done.round(1).path.glob(name))
    path.unlink()
    if name == "decision.json":
        assert done.open_round is not None, "the last stage that is gone is to be done again"
    else:
        assert any(path.name in text for text in errors_of(done))


def test_a_number_changed_by_hand_is_noticed_when_it_is_used(done):
    path = done.round(1).path / "decision.json"
    path.write_text(path.read_text().replace('"promoted": true', '"promoted": false'))
    with pytest.raises(LearningError, match=r"decision\.json was changed since it was sealed"):
        _ = done.current


def test_a_stage_of_another_copy_does_not_fit(tmp_path):
    one, two = (make_project(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    for project in (one, two):
        run_round(project)
    shutil.copy(two.round(1).path / "evaluation.json", one.round(1).path / "evaluation.json")
    assert any("another copy of the project" in text for text in errors_of(one))


def test_a_round_missing_between_others_is_told(done):
    run_round(done)
    shutil.rmtree(done.round(1).path)
    with pytest.raises(LearningError, match="one is missing"):
        _ = done.rounds
    assert any("one is missing" in text for text in errors_of(done))


def test_a_split_changed_afterwards_is_told(done):
    path = done.path / "project.json"
    words = json.loads(path.read_text())
    for image in words["images"].values():
        image["split"] = "train"
    path.write_text(json.dumps(words))
    changed = LearningProject(done.path)
    assert any("Splits are fixed at the start" in text for text in errors_of(changed))


def test_an_older_project_without_newer_settings_is_read(done):
    _edit(done.path / "project.json", settings={"region_px": 32}, format_version=1)
    again = LearningProject(done.path)
    assert again.facts.settings.gate.margin_pq == 0.01
    assert again.current == 1


# -- writing that fails --------------------------------------------------------------------------


def test_only_one_process_writes(project):
    with project.editing():
        with pytest.raises(LearningError, match="Another process is working on"):
            drive(query(project, QueryWish(), FAKES))
        assert LearningProject(project.path).current == 0, "reading is free"


def test_torsos_of_killed_processes_are_cleared(done):
    torso = done.round(1).path / ".query-abc.part.json"
    torso.write_text("{")
    folder = done.round(1).path / ".labels-abc.part"
    folder.mkdir()
    with done.editing():
        pass
    assert not torso.exists()
    assert not folder.exists()


@needs_root_on_linux
def test_a_read_only_project_can_be_read(done, tmp_path):
    with mounted(tmp_path / "disk", "size=8m") as disk:
        shutil.copytree(done.path, disk / "project")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        there = LearningProject(disk / "project")
        assert there.current == 1
        assert errors_of(there) == []
        with pytest.raises(WriteError, match="read-only"):
            drive(query(there, QueryWish(), FAKES))


@needs_root_on_linux
def test_a_full_disk_leaves_the_last_whole_state(project, tmp_path):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    before = contents(project.path)
    with mounted(tmp_path / "disk", "size=2m") as disk:
        shutil.copytree(project.path, disk / "project")
        shutil.copytree(tmp_path / "images", disk / "images")
        fill = disk / "fill"
        with fill.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while stream.write(bytes(4096)):
                pass
        there = LearningProject(disk / "project")
        with pytest.raises(WriteError, match="full"):
            collect(there)
        assert contents(there.path) == before
        fill.unlink()
        assert collect(there).stage == Stage.LABELLED
        assert errors_of(there) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_every_write_leaves_a_whole_state_and_the_same_calls_go_on(tmp_path):
    """A round killed before and after each rename, then run again: the bytes are the same."""
    child = Path(__file__).with_name("kill_rounds.py")
    answer = subprocess.run(
        [sys.executable, child, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(child.parents[1])},
    )
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["kills"] > 20
    assert told["wrong"] == []
    assert set(told["stages"]) == {stage.name for stage in Stage}


def test_cancelled_training_goes_on(project):
    from napari_histo.core import CancelToken
    from napari_histo.errors import Cancelled

    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    collect(project)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        drive(train(project, TrainWish(), FAKES, cancel))
    assert project.round(1).stage == Stage.LABELLED
    assert drive(train(project, TrainWish(), FAKES)).stage == Stage.TRAINED


def test_figures_of_the_decision_follow_from_the_evaluation_alone(done):
    """A decision that was sealed over other counts than those beside it is noticed."""
    found = done.round(1)
    words = json.loads((found.path / "evaluation.json").read_text())
    assert len(words["regions"]) == 8
    assert words["gate"]["seed"] == found.decision["seed"]
    assert np.isclose(found.decision["pq_difference"], 0.126, atol=0.002)


def test_settings_are_kept(tmp_path):
    from napari_histo.learning.rounds.promotion import Gate
    from support.learning import SETTINGS

    settings = replace(SETTINGS, regions=5, gate=Gate(margin_pq=0.02, draws=3000))
    project = make_project(tmp_path, settings=settings)
    assert LearningProject(project.path).facts == project.facts
    assert LearningProject(project.path).facts.settings == settings
