"""An active-learning project as a session: regions marked, trained, taken back; nothing lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_histo.core import Box, ObjectTable
from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.project.making import NewImage, NewProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.learning.rounds.query import QueryWish
from napari_histo.learning.training import CurvePoint, TrainingStep
from napari_histo.session.learning import work
from napari_histo.session.learning.compare import Place, _steps
from napari_histo.session.learning.state import Curve, Task
from napari_histo.session.learning.work import region_pixels
from napari_histo.slides import ArrayReader
from support.learning import (
    FAKES,
    SETTINGS,
    make_encoder,
    make_images,
    make_project,
    run_round,
    squares,
)
from support.learning_room import Room

DONE, SKIPPED = QueryStatus.DONE, QueryStatus.SKIPPED


@pytest.fixture
def room(learning_room):
    return learning_room


def test_a_project_is_made_and_a_round_chosen(room, tmp_path):
    images = [NewImage(path) for path in make_images(tmp_path / "images")]
    wanted = NewProject(images, "classical", settings=SETTINGS, seed=3)
    room.session.create_project(tmp_path / "made", wanted)
    assert room.state.task is Task.CREATING
    room.idle()
    assert (room.state.can_begin, room.state.can_train) == (True, False)
    assert [row.is_current for row in room.state.overview.rounds] == [True]
    room.begin()
    state = room.state
    assert [row.rank for row in state.regions] == list(range(1, 12))
    assert state.regions[0].title == "Round 1, region 1"
    assert state.regions[0].reason
    assert state.chosen == state.regions[0].region_id
    assert (state.can_begin, state.can_train, state.n_waiting) == (False, False, 11)


def test_what_is_no_project_is_told(room, tmp_path):
    room.session.open_project(tmp_path)
    room.wait(lambda: room.state.task is Task.NONE)
    assert "is no learning project" in room.state.error
    assert room.state.project is None


def test_next_goes_by_rank_round_the_end_and_over_what_is_settled(room):
    room.open().begin()
    ids = [row.region_id for row in room.state.regions]
    room.session.choose(ids[1])
    room.session.mark(DONE)
    room.session.choose(ids[0])
    room.session.next_region()
    assert room.state.chosen == ids[0], "it was not shown yet"
    room.session.next_region()
    assert room.state.chosen == ids[2]
    room.session.open_region(ids[-1])
    room.session.next_region()
    assert room.state.chosen == ids[0]
    room.mark_all(SKIPPED)
    room.session.next_region()
    assert "done or skipped" in room.state.notice


def test_a_click_in_a_region_is_meant_for_what_it_holds(room):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    box = row.box
    assert row.region_id in room.desk.objects
    assert room.desk.objects.at(box.right - 2, box.bottom - 2) is None
    assert room.desk.objects.at(box.x + 5, box.y + 7) not in (None, row.region_id)
    assert row.region_id not in room.desk.objects.ids_in(box)
    before = len(room.desk.objects)
    room.desk.split(np.array([(box.x - 1, box.y + 20), (box.right + 1, box.y + 20)], np.float32))
    assert len(room.desk.objects) == before, "the frame is not cut"


def test_train_collects_learns_judges_and_tells(room):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    nucleus = room.desk.objects.ids_in(row.box)[0]
    room.desk.select([nucleus])
    room.desk.relabel("Odd")
    room.mark_all()
    room.desk.select([nucleus])
    room.desk.relabel("Odder")  # not saved when Train is pressed
    assert room.state.can_train
    room.session.train()
    assert room.state.task is Task.TRAINING
    room.idle()
    state = room.state
    assert state.overview.stage is Stage.DECIDED
    assert state.overview.sentence.startswith("Round 1: Took the new model: it is better")
    assert state.curve == Curve(((3, pytest.approx(0.3)),))
    start, first = state.overview.rounds
    assert (first.n_objects, first.n_done, first.n_asked) == (33, 11, 11)
    assert (first.verdict, first.is_current) == ("better: taken", True)
    assert start.can_be_used
    names = {n for kept in room.project.round(1).labels() for n in kept.labels.objects.class_names}
    assert "Odder" in names, "the edit that was made last teaches too"
    room.session.use_model(0)
    room.idle()
    assert [row.is_current for row in room.state.overview.rounds] == [True, False]


def test_options_reach_the_round_and_are_remembered(room, tmp_path, monkeypatch):
    collected, collect = [], work.collect

    def spy(*words, **options):
        collected.append(options["merging"])
        return collect(*words, **options)

    monkeypatch.setattr(work, "collect", spy)
    folder = make_encoder(tmp_path / "means")
    room.open()
    room.session.choose_encoder(folder)
    assert room.state.encoder.licence == "CC0-1.0"
    room.begin()
    assert room.project.round(1).query["encoder"]["name"] == "Means"
    room.session.set_options(merging="staple", compose=0.3)
    room.mark_all()
    room.session.train()
    room.idle()
    assert collected == ["staple"]
    assert room.project.round(1).training["settings"] == {"steps": 3, "compose": 0.3}
    room.session.state.options = RoundOptions()
    room.session._recall(room.project.path)
    assert room.state.options == RoundOptions(folder, "staple", 0.3)


def test_an_encoder_that_cannot_be_read_is_told_and_not_taken(room, tmp_path):
    path = room.open().project.path
    room.session.choose_encoder(tmp_path)
    assert "encoder.json" in room.state.error
    assert room.state.options.encoder is None
    RoundOptions(tmp_path / "gone").keep(path)
    room.session._recall(path)
    assert room.state.notice.startswith("The encoder of this project is left out: Cannot read")
    assert (room.state.options.encoder, room.state.encoder) == (None, None)


def test_regions_that_wait_are_left_out_only_on_demand(room):
    room.open().begin()
    train = next(row for row in room.state.regions if row.split == "train")
    room.session.choose(train.region_id)
    room.session.mark(DONE)
    room.files()
    room.session.train()
    room.wait(lambda: room.state.task is Task.NONE)
    assert "10 of 11 regions still wait" in room.state.error
    room.session.train(partial=True)
    room.idle()
    assert room.state.overview.rounds[1].n_done == 1
    room.session.mark(SKIPPED)
    assert "collected already" in room.state.notice


def learning_slowly(hold):
    def train(job, cancel):
        for step in range(1, 4):
            point = CurvePoint(step, 1 / step, 0.5 + step / 10, 0.4) if step > 1 else None
            yield TrainingStep(step, 3, "Learning", loss=1 / step, point=point, seconds_left=9.0)
            hold(step)
            cancel.raise_if_cancelled()
        return (yield from FAKES.train(job, cancel))

    return replace(FAKES, train=train)


def test_the_curve_is_live_and_a_training_that_was_stopped_goes_on(tmp_path):
    stops = [True]

    def hold(step):
        if step == 2 and stops:
            stops.pop()
            room.session.cancel()

    room = Room(tmp_path, learning_slowly(hold))
    room.open().begin().mark_all()
    room.session.train()
    room.wait(lambda: room.state.curve.qualities)
    assert room.state.seconds_left == 9.0
    assert room.state.curve == Curve(((1, 1.0), (2, 0.5)), ((2, 0.7, 0.4),))
    room.idle()
    assert "Train goes on from there" in room.state.notice
    room.wait(lambda: room.state.overview.stage is Stage.LABELLED)
    assert room.state.can_train
    room.session.train()
    room.idle()
    assert room.state.overview.stage is Stage.DECIDED


def test_choosing_can_be_stopped(tmp_path):
    def score(readers, model, region_px, seed, cancel):
        room.session.cancel()
        return (yield from FAKES.score(readers, model, region_px, seed, cancel))

    room = Room(tmp_path, replace(FAKES, score=score))
    room.open().begin()
    assert room.state.notice == "Stopped. Nothing was changed."
    assert room.state.can_begin


def test_two_tasks_at_once_are_refused(room):
    room.open()
    room.session.new_round(QueryWish("random"))
    room.session.use_model(0)
    assert "Wait until" in room.state.notice
    room.idle()


@pytest.mark.parametrize(
    ("shape", "dtype"), [((90, 120, 3), np.uint8), ((90, 120, 1), np.uint16)], ids=["rgb", "grey"]
)
def test_pictures_of_regions_reach_over_the_edge(shape, dtype):
    pixels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    reader = ArrayReader(pixels, is_rgb=shape[2] == 3)
    found = region_pixels(reader, Box(0, 0, 40, 40), 64)
    assert (found.shape, found.dtype) == ((52, 52, 3), np.uint8)
    assert found.std() > 10


# -- rounds: given up, taken all the same, compared ----------------------------------------------


def test_a_round_is_given_up_and_another_begins(room):
    room.open()
    room.session.give_up()
    room.wait(lambda: room.state.task is Task.NONE)
    assert "No round is in work" in room.state.error
    room.begin()
    assert room.state.can_give_up
    room.session.give_up()
    room.idle()
    state = room.state
    assert (state.can_give_up, state.can_begin, state.regions) == (False, True, ())
    assert [r.stage for r in state.overview.rounds] == ["classical", "abandoned"]
    room.begin()
    assert room.state.overview.number == 2


def test_a_model_that_was_not_taken_is_used_on_request_and_labels_left_out(tmp_path):
    project = make_project(tmp_path)
    run_round(project)
    run_round(project, spoil=True)
    room = Room(tmp_path)
    room.session.open_project(project.path)
    room.idle()
    start, first, second = room.state.overview.rounds
    assert (start.can_be_used, first.is_current, second.is_promoted) == (True, True, False)
    assert second.can_be_used
    room.session.use_model(2)
    room.idle()
    assert room.state.overview.rounds[2].is_current
    room.session.use_model(0, forget_labels=True)
    room.idle()
    assert room.project.forgotten == {1, 2}
    room.desk.close()
    room.session.close()


def predict_by_share(reader, model, box, seed):
    """As many squares as the model's share says; those of a good one lie lower."""
    contours = squares(box, n=round(4 * model.share))
    if model.share > 0.6:
        contours = contours.transform(1, (0, 1))
    return ObjectTable.build(contours, det_prob=0.9)


def test_two_models_are_compared_and_the_counts_told(tmp_path):
    project = make_project(tmp_path)
    run_round(project)  # of a model of share 0.5 one of 0.7
    room = Room(tmp_path, replace(FAKES, predict=predict_by_share))
    room.session.open_project(project.path)
    room.idle()
    image = project.facts.images[0].id
    seen = []
    room.state.events.progress.connect(lambda p: seen.append(p and p.message))
    room.session.compare(image, Box(0, 0, 64, 64), 0, 1)
    assert room.state.task is Task.COMPARING
    room.idle()
    found = room.state.comparison
    assert found.changes.counts == (1, 0, 2, 0)
    assert {name: len(table) for name, table in found.tables.items()} == {
        "gained": 1,
        "lost": 0,
        "changed": 2,
    }
    assert found.title == "start → round 1"
    assert "Segmenting with the start model" in seen
    assert "Segmenting with round 1" in seen
    room.session.hide_comparison()
    assert room.state.comparison is None
    room.session.close()
    room.desk.close()


def test_comparing_can_be_stopped(tmp_path):
    def predict(reader, model, box, seed):
        room.session.cancel()
        return predict_by_share(reader, model, box, seed)

    project = make_project(tmp_path)
    run_round(project)
    room = Room(tmp_path, replace(FAKES, predict=predict))
    room.session.open_project(project.path)
    room.idle()
    room.session.compare(project.facts.images[0].id, Box(0, 0, 64, 64), 0, 1)
    room.idle()
    assert room.state.comparison is None
    assert room.state.notice == "Stopped. Nothing is compared."
    room.session.close()
    room.desk.close()


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        pytest.param(Box(10, 20, 300, 400), Box(10, 20, 300, 400), id="small"),
        pytest.param(Box(0, 0, 4048, 100), Box(1000, 0, 2048, 100), id="wide"),
        pytest.param(Box(100, 100, 5000, 3000), Box(1576, 576, 2048, 2048), id="large"),
    ],
)
def test_of_a_large_view_the_middle_is_compared(box, wanted):
    place = Place.within("a", box, 0, 1)
    assert place.box == wanted
    steps = list(_steps(place.box))
    assert sum(step.area for step in steps) == wanted.area
    assert max(max(step.width, step.height) for step in steps) <= 1024
