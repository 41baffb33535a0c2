"""Rounds of a learning project, and what was decided in them."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
import shapely

from napari_histo.core import (
    Box,
    CancelToken,
    Contours,
    ObjectState,
    ObjectTable,
    ObjectType,
    Progress,
    QueriedRegion,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.edits import Edit
from napari_histo.core.round_examples import collect_regions
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import Cancelled, LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.promotion import Verdict
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import TrainWish, abandon, collect, evaluate, train
from napari_histo.learning.rounds.work import Gathered
from napari_histo.learning.training import Preflight
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.journal import Journal
from support.learning import (
    FAKES,
    annotate,
    contents,
    drive,
    errors_of,
    make_project,
    run_round,
    squares,
)

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
    assert sum("napari and annotator 2 merged" in text for text in remarks) == 1


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


def test_what_training_takes_is_told_once_before_it_begins(project):
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    collect(project)
    said = Preflight(200.0, 10**9, "cpu", 3, 9)
    asked, cancel = [], CancelToken()

    def preflight(job, _cancel):
        asked.append([len(e.labels.objects) for e in job.regions])
        return said

    def stopped(job, cancel):
        job.folder.with_name(f"{job.folder.name}.training").mkdir()
        yield Progress(1, 3, "Learning")
        cancel.raise_if_cancelled()

    cancel.cancel()
    tools = replace(FAKES, preflight=preflight, train=stopped)
    with pytest.raises(Cancelled):
        drive(train(project, TrainWish(), tools, cancel))
    tools = replace(FAKES, preflight=preflight)
    drive(train(project, TrainWish(), tools))
    assert asked == [[3, 3, 3]], "not again for what goes on"
    drive(evaluate(project, tools))
    drive(query(project, QueryWish("random"), FAKES))
    annotate(project)
    collect(project)
    steps = list(train(project, TrainWish(), tools))
    assert [step.ahead for step in steps if hasattr(step, "ahead")] == [said]
    assert steps[1].message == "9 objects in 3 regions: about 3 min on cpu, 1.0 GB of memory."


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
        pytest.param(2, False, "One that was not taken", id="not-promoted"),
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
