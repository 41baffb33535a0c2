"""Gestures in, objects out: what an annotator does, without a window."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import (
    ClassScheme,
    Contours,
    ObjectState,
    ObjectTable,
    PixelSize,
    PointPrompt,
    PromptAnswer,
)
from napari_histo.errors import ModelError, WriteError
from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice, Tool
from napari_histo.session.document import Document
from napari_histo.slides import ArrayReader
from napari_histo.store.journal import Journal


class Discs:
    """An engine that answers every gesture with a disc around its first point."""

    def __init__(self):
        self.requests, self.error, self.empty = [], None, False

    def reach_px(self, prompts):
        from napari_histo.core import Box

        return Box(0, 0, 1000, 800)

    def answer(self, requests):
        self.requests += requests
        if self.error is not None:
            raise self.error
        if self.empty:
            return [PromptAnswer(Contours.empty(1), 0.0) for _ in requests]
        return [self._disc(r.prompts) for r in requests]

    def _disc(self, prompts):
        first = prompts[0]
        if isinstance(first, PointPrompt):
            x, y, radius = first.x, first.y, 10.0
        elif hasattr(first, "left"):
            x, y = (first.left + first.right) / 2, (first.top + first.bottom) / 2
            radius = (first.right - first.left) / 2
        else:
            (x, y), radius = first.xy.mean(axis=0), 30.0
        radius -= 2 * sum(not p.positive for p in prompts)
        angle = np.linspace(0, 2 * np.pi, 33)
        ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
        return PromptAnswer(Contours.from_rings([ring]), 0.8)


@dataclass
class Later:
    """Keeps what threads post until `run`: the test is the window's thread."""

    posted: list = field(default_factory=list)

    def __call__(self, work):
        self.posted.append(work)

    def run(self, until, seconds=10.0):
        import time

        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, "nothing came"
            if self.posted:
                self.posted.pop(0)()
            else:
                time.sleep(0.001)


class Desk:
    """A controller with an open image, and the engine behind it."""

    def __init__(self, folder, table=None, name="slide"):
        self.engine, self.later = Discs(), Later()
        tools = AnnotationTools(lambda reader, size: self.engine)
        self.controller = AnnotationController(self.later, tools)
        pixels = np.zeros((800, 1000, 3), np.uint8)
        reader = ArrayReader(pixels, name=name, pixel_size=PixelSize.square(0.25), is_rgb=True)
        self.target = folder / f"{name}.geojson"
        self.controller.open(ImageChoice(name, reader), target=self.target, table=table)
        self.later.run(lambda: self.state.is_open or self.state.error)

    @property
    def state(self):
        return self.controller.state

    @property
    def table(self):
        return self.controller.objects.table()

    def settle(self):
        self.later.run(lambda: not self.state.in_flight)

    def click(self, x, y, **how):
        self.controller.click(x, y, **how)
        self.settle()

    def save(self, path=None):
        before = self.state.kept.saved_at
        self.controller.save(path)
        self.later.run(lambda: self.state.kept.saved_at != before or self.state.error)

    def content(self):
        return content(self.table)


def content(table):
    return {
        i: (table.class_names[k], int(table.state[k]), table.contours.ring(k).tolist())
        for k, i in enumerate(table.uuids())
    }


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.controller.add_class("Tumor")
    made.controller.add_class("Stroma")
    made.controller.relabel("Tumor")
    yield made
    made.controller.close()


def predicted(n=4):
    angle = np.linspace(0, 2 * np.pi, 17)
    rings = [
        np.stack([100 + 60 * k + 9 * np.cos(angle), 400 + 9 * np.sin(angle)], axis=1)
        for k in range(n)
    ]
    return ObjectTable.build(
        Contours.from_rings(np.round(rings, 2)),
        det_prob=[0.9, 0.5, 0.7, 0.6][:n],
        classes=ClassScheme.of("Nucleus"),
        source="he-nuclei",
    )


# -- prompts ---------------------------------------------------------------------------------------


def test_a_click_makes_an_object_of_the_current_class(desk):
    desk.click(200, 300)
    assert len(desk.table) == 1
    assert np.abs(desk.table.centroids[0] - (200, 300)).max() < 0.1
    assert desk.table.class_names.tolist() == ["Tumor"]
    assert desk.table.state.tolist() == [ObjectState.DRAWN]
    assert desk.table.det_prob[0] == pytest.approx(0.8)
    assert desk.state.selection == (desk.table.uuid(0),) == (desk.state.active,)
    assert desk.state.counts["Tumor"] == 1


def test_boxes_and_squiggles_make_objects(desk):
    desk.controller.box(260, 260, 200, 200)
    desk.controller.squiggle([(400, 400), (420, 420), (440, 400)])
    desk.settle()
    assert len(desk.table) == 2
    assert desk.table.areas_px[0] == pytest.approx(np.pi * 30**2, rel=0.02)


def test_an_excluding_click_refines_the_same_object(desk):
    desk.click(200, 300)
    first = desk.table
    desk.click(215, 300, positive=False)
    assert desk.table.uuid(0) == first.uuid(0)
    assert desk.table.areas_px[0] < first.areas_px[0]
    assert [p.positive for p in desk.engine.requests[-1].prompts] == [True, False]
    desk.click(205, 300, add=True)
    assert [p.positive for p in desk.engine.requests[-1].prompts] == [True, False, True]
    assert len(desk.table) == 1


def test_a_plain_click_on_an_object_selects_it_and_the_next_elsewhere_starts_another(desk):
    desk.click(200, 300)
    desk.click(400, 300)
    assert len(desk.table) == 2
    asked = len(desk.engine.requests)
    desk.click(201, 301)
    assert len(desk.engine.requests) == asked
    assert desk.state.selection == (desk.table.uuid(0),)


def test_refining_an_object_of_a_model_starts_from_a_point_inside_it(tmp_path):
    desk = Desk(tmp_path, predicted())
    desk.click(100, 400)
    desk.click(112, 400, positive=False)
    inner, outer = desk.engine.requests[-1].prompts
    assert np.hypot(inner.x - 100, inner.y - 400) < 8
    assert not outer.positive
    row = desk.controller.objects.get(desk.state.selection)
    assert row.state.tolist() == [ObjectState.EDITED]
    desk.controller.close()


def test_excluding_without_an_object_says_what_to_do(desk):
    desk.click(200, 300, positive=False)
    assert "select one object first" in desk.state.notice
    assert not len(desk.table)


def test_fast_clicks_are_all_answered_and_exclude_each_other(desk):
    for k in range(40):
        desk.controller.click(100 + 21 * k, 100)
    desk.settle()
    assert len(desk.table) == 40
    assert sorted(desk.table.centroids[:, 0].round()) == [100 + 21 * k for k in range(40)]
    assert len(set(desk.table.uuids())) == 40
    assert max(len(r.other_prompts) for r in desk.engine.requests) > 5


def test_known_neighbours_are_handed_to_the_model(desk):
    desk.click(200, 300)
    desk.click(230, 300)
    assert len(desk.engine.requests[-1].others) == 1
    assert np.abs(desk.engine.requests[-1].others.centroids[0] - (200, 300)).max() < 0.1


def test_an_empty_answer_is_told_and_leaves_nothing(desk):
    desk.engine.empty = True
    desk.click(200, 300)
    assert not len(desk.table)
    assert "Nothing was found" in desk.state.notice
    assert desk.state.active is None


@pytest.mark.parametrize(
    "gesture",
    [
        pytest.param(lambda c: c.click(-3, 50), id="click"),
        pytest.param(lambda c: c.box(-30, -20, -5, -2), id="box"),
        pytest.param(lambda c: c.squiggle([(1e5, 5), (1e5 + 9, 7)]), id="squiggle"),
    ],
)
def test_a_gesture_beside_the_image_is_told_and_asks_nobody(desk, gesture):
    gesture(desk.controller)
    desk.settle()
    assert not len(desk.table)
    assert not desk.engine.requests
    assert "outside the image" in desk.state.notice
    desk.controller.box(-30, -20, 40, 40)  # a part of it is on the image
    desk.settle()
    assert len(desk.table) == 1


def test_an_error_of_the_model_is_one_message_and_the_next_click_works(desk):
    desk.engine.error = ModelError("The model is damaged. Copy it again.")
    desk.click(200, 300)
    assert desk.state.error == "The model is damaged. Copy it again."
    desk.engine.error = None
    desk.click(200, 300)
    assert len(desk.table) == 1
    assert not desk.state.error


def test_answers_for_what_was_given_up_are_dropped(desk):
    desk.controller.click(200, 300)
    desk.controller.undo()
    assert desk.state.in_flight == 0
    desk.click(500, 300)
    assert len(desk.table) == 1
    assert desk.table.centroids[0, 0] == pytest.approx(500, abs=0.1)


def test_answers_after_closing_are_dropped(desk, tmp_path):
    desk.controller.click(200, 300)
    desk.controller.close()
    again = Desk(tmp_path)
    assert not len(again.table)
    again.controller.close()


# -- edits -----------------------------------------------------------------------------------------


def two(desk):
    desk.click(200, 300)
    desk.click(215, 300 + 8)
    desk.controller.select(desk.table.uuids())
    return desk.table


def test_merge_keeps_the_id_of_the_largest(desk):
    before = two(desk)
    desk.controller.merge()
    assert len(desk.table) == 1
    assert desk.table.uuid(0) == before.uuid(int(np.argmax(before.areas_px)))
    assert desk.table.areas_px[0] > before.areas_px.max()


def test_split_gives_the_largest_part_the_old_id(desk):
    desk.click(200, 300)
    before = desk.table
    desk.controller.split([(204, 280), (204, 320)])
    assert len(desk.table) == 2
    assert desk.table.areas_px.sum() == pytest.approx(before.areas_px[0], rel=0.01)
    largest = int(np.argmax(desk.table.areas_px))
    assert desk.table.uuid(largest) == before.uuid(0)


def test_a_line_that_cuts_nothing_is_told(desk):
    desk.click(200, 300)
    desk.controller.split([(500, 280), (500, 320)])
    assert "cuts no object" in desk.state.notice


def test_a_line_beside_an_object_of_two_parts_leaves_it_alone(desk):
    desk.controller.paint([(100.0, 100.0)], 10)
    desk.controller.paint([(200.0, 100.0)], 10)
    before = desk.content()
    desk.controller.split([(150.0, 50.0), (150.0, 150.0)])
    assert desk.content() == before
    assert "cuts no object" in desk.state.notice
    desk.controller.split([(100.0, 50.0), (100.0, 150.0)])
    assert len(desk.table) == 2


@pytest.mark.parametrize(
    ("gesture", "told"),
    [
        (lambda c: c.paint([(np.nan, 1.0)], 5), "outside all images"),
        (lambda c: c.erase([(1.0, 1.0), (np.inf, 1.0)], 5), "outside all images"),
        (lambda c: c.paint([(1.0, 1.0)], np.nan), "radius"),
        (lambda c: c.erase([(1.0, 1.0)], -2), "radius"),
        (lambda c: c.set_brush(np.nan), "radius"),
        (lambda c: c.split([(np.nan, 1.0), (5.0, 5.0)]), ""),
    ],
    ids=["NaN stroke", "infinite stroke", "NaN radius", "radius -2", "NaN brush", "NaN knife"],
)
@pytest.mark.parametrize("selected", [True, False])
def test_a_gesture_of_no_numbers_is_told_and_changes_nothing(desk, gesture, told, selected):
    desk.click(200, 300)
    if not selected:
        desk.controller.finish()
    before, brush = desk.content(), desk.state.brush_px
    gesture(desk.controller)
    assert told in desk.state.error
    assert desk.state.error or desk.state.notice
    assert desk.content() == before
    assert desk.state.brush_px == brush


def test_an_answer_of_no_numbers_is_told(desk):
    ring = np.array([(0, 0), (9, 0), (np.nan, 9)], np.float32)
    desk.engine.answer = lambda requests: [
        PromptAnswer(Contours.from_rings([ring]), 0.9) for _ in requests
    ]
    desk.click(200, 300)
    assert "no numbers" in desk.state.error
    assert (len(desk.table), desk.state.active, desk.state.in_flight) == (0, None, 0)


def test_paint_and_erase(desk):
    desk.controller.paint([(200, 300), (230, 300)], 5)
    assert desk.table.areas_px[0] == pytest.approx(300 + np.pi * 25, rel=0.03)
    desk.controller.paint([(230, 300), (260, 300)], 5)
    assert len(desk.table) == 1
    desk.controller.erase([(250, 300), (270, 300)], 8)
    assert desk.table.contours.bounds[0, 2] < 245
    desk.controller.erase([(190, 300), (270, 300)], 30)
    assert len(desk.table) == 0
    desk.controller.undo()
    assert len(desk.table) == 1


def test_delete_smooth_fill_and_relabel(desk):
    desk.click(200, 300)
    desk.controller.smooth()
    desk.controller.fill_holes()
    desk.controller.relabel("Stroma")
    assert desk.table.class_names.tolist() == ["Stroma"]
    assert desk.state.current_class == "Stroma"
    desk.controller.delete()
    assert not len(desk.table)
    assert desk.state.counts == {"Tumor": 0, "Stroma": 0, None: 0}


def test_gestures_stay_in_the_image(desk):
    desk.controller.paint([(-50, -50), (20, 20)], 10)
    assert (desk.table.contours.bounds[0] >= 0).all()


# -- classes ---------------------------------------------------------------------------------------


def test_classes_are_renamed_with_their_objects_and_undone(desk):
    desk.click(200, 300)
    desk.controller.rename_class("Tumor", "Carcinoma")
    assert desk.table.class_names.tolist() == ["Carcinoma"]
    assert desk.state.current_class == "Carcinoma"
    desk.controller.recolour_class("Carcinoma", (1, 2, 3))
    assert desk.state.classes[0].rgb == (1, 2, 3)
    desk.controller.undo()
    desk.controller.undo()
    assert desk.table.class_names.tolist() == ["Tumor"]


@pytest.mark.parametrize("name", ["", "  ", "Tumor"], ids=["empty", "blank", "taken"])
def test_a_bad_name_is_told(desk, name):
    desk.controller.add_class(name)
    assert desk.state.error
    assert desk.state.classes.names == ("Tumor", "Stroma")


def test_qupaths_classes_are_imported_with_their_colours(desk, tmp_path):
    path = tmp_path / "classes.json"
    words = [
        {"name": "Tumor", "color": -3670016},
        {"names": ["Immune cells", "CD3"], "color": [160, 90, 160]},
        {},
    ]
    path.write_text(json.dumps({"pathClasses": words}))
    desk.controller.import_classes(path)
    assert desk.state.classes.names == ("Tumor", "Stroma", "Immune cells: CD3")
    assert desk.state.classes[0].rgb == (200, 0, 0)
    assert desk.state.classes[2].rgb == (160, 90, 160)


def test_a_file_that_is_no_classes_json_is_told(desk, tmp_path):
    path = tmp_path / "classes.json"
    path.write_text('{"a": 1}')
    desk.controller.import_classes(path)
    assert "does not hold QuPath's classes" in desk.state.error


# -- review ----------------------------------------------------------------------------------------


def test_a_review_goes_from_the_least_certain_on(tmp_path):
    desk = Desk(tmp_path, predicted())
    ids = desk.table.uuids()
    desk.controller.review_start()
    assert desk.state.review.object_id == ids[1]
    assert (desk.state.review.position, desk.state.review.total) == (1, 4)
    desk.controller.accept()
    assert desk.state.review.object_id == ids[3]
    desk.controller.delete()
    assert desk.state.review.object_id == ids[2]
    desk.controller.review_next()
    assert desk.state.review.object_id == ids[0]
    desk.controller.review_previous()
    assert desk.state.selection == (ids[2],)
    desk.controller.review_next()
    desk.controller.review_next()
    assert desk.state.review is None
    assert "done" in desk.state.notice
    states = dict(zip(desk.table.uuids(), desk.table.state, strict=True))
    assert states[ids[1]] == ObjectState.ACCEPTED
    assert ids[3] not in states
    desk.controller.close()


def test_nothing_to_review_is_told(desk):
    desk.controller.review_start()
    assert desk.state.review is None
    assert "nothing to review" in desk.state.notice


# -- one stack -------------------------------------------------------------------------------------


def test_undo_gives_back_prompts_and_selection(desk):
    desk.click(200, 300)
    desk.click(215, 300, positive=False)
    assert len(desk.state.prompts) == 2
    desk.controller.undo()
    assert len(desk.state.prompts) == 1
    assert desk.state.active == desk.table.uuid(0)
    desk.controller.undo()
    assert not len(desk.table)
    desk.controller.redo()
    desk.controller.redo()
    assert len(desk.state.prompts) == 2
    assert desk.state.undo_name == "Exclude"
    assert desk.state.redo_name == ""


gestures = st.lists(
    st.tuples(st.integers(0, 12), st.integers(20, 980), st.integers(20, 780)), max_size=12
)


def perform(desk, kind, x, y):
    c = desk.controller
    actions = {
        0: lambda: c.click(x, y),
        1: lambda: c.click(x, y, positive=False),
        2: lambda: c.box(x, y, x + 40, y + 30),
        3: lambda: c.squiggle([(x, y), (x + 10, y + 5)]),
        4: lambda: c.paint([(x, y), (x + 20, y)], 6),
        5: lambda: c.erase([(x, y), (x + 20, y)], 6),
        6: lambda: c.select(desk.table.uuids()[:2]),
        7: c.merge,
        8: lambda: c.split([(x - 50, y), (x + 50, y)]),
        9: c.delete,
        10: lambda: c.relabel("Stroma" if x % 2 else "Tumor"),
        11: c.smooth,
        12: lambda: c.add_class(f"Class {x}"),
    }
    actions[kind]()
    desk.settle()


@given(gestures)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_undoing_all_gives_the_start_and_redoing_all_the_end(tmp_path_factory, history):
    desk = Desk(tmp_path_factory.mktemp("desk"), predicted())
    start = desk.content()
    for gesture in history:
        perform(desk, *gesture)
    end, classes = desk.content(), desk.state.classes
    while desk.state.undo_name:
        desk.controller.undo()
    assert desk.content() == start
    while desk.state.redo_name:
        desk.controller.redo()
    assert desk.content() == end
    assert desk.state.classes == classes
    assert desk.state.counts == desk.controller.objects.counts_by_class()
    desk.controller.close()


@given(gestures)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_saved_and_what_was_only_kept_comes_back(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    for n, gesture in enumerate(history):
        perform(desk, *gesture)
        if n == 5:
            desk.save()
    assert not desk.state.error or "class" in desk.state.error
    end = desk.content()
    desk.controller.close()
    again = Desk(folder)
    assert again.content() == end
    again.save()
    again.controller.close()
    saved = Desk(folder)
    assert saved.content() == end
    saved.controller.close()


# -- a long journal --------------------------------------------------------------------------------


def journal_bytes(folder):
    return sum(p.stat().st_size for p in folder.rglob("edits-*.jsonl"))


def idle(desk):
    desk.later.run(lambda: not desk.controller._compactions.is_busy)


@pytest.fixture
def soon_long(monkeypatch):
    monkeypatch.setattr("napari_histo.session.document._LONG_JOURNAL_BYTES", 20_000)


def test_a_long_journal_is_shortened_behind_the_edits(desk, tmp_path, soon_long):
    """Edits go on while it works; what a kill leaves brings all of them back."""
    for k in range(300):
        desk.controller.paint([(20.0 + 3 * k, 300.0), (22.0 + 3 * k, 320.0 + k % 7)], 6)
        if k % 3 == 0:
            desk.controller.finish()
        if k % 10 == 0:
            desk.controller.undo()
        while desk.later.posted:
            desk.later.posted.pop(0)()
    idle(desk)
    assert journal_bytes(tmp_path) < 60_000, "without shortening it is 400 kB"
    assert list(tmp_path.rglob("base-*.parquet"))
    end, n = desk.content(), desk.state.kept.n_unsaved
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    assert f"{n} changes of an earlier session were recovered." in again.state.notice
    again.controller.close()


def test_edits_do_not_wait_for_the_shortening(desk, tmp_path, soon_long, monkeypatch):
    begun, go = Event(), Event()
    real = Journal.write_base

    def slow(self, *arguments, **how):
        begun.set()
        assert go.wait(10)
        real(self, *arguments, **how)

    desk.controller._document._wait()
    monkeypatch.setattr(Journal, "write_base", slow)
    for k in range(60):
        desk.controller.paint([(20.0 + 10 * k, 300.0)], 6)
        desk.controller.finish()
    assert begun.wait(10), "it was begun meanwhile"
    assert len(desk.table) == 60, "and no edit waited for it"
    go.set()
    idle(desk)
    end = desk.content()
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    again.controller.close()


def test_a_journal_that_cannot_be_shortened_is_told_once(desk, tmp_path, soon_long, monkeypatch):
    def full(path, table):
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    desk.controller._document._wait()
    told = []
    monkeypatch.setattr("napari_histo.store.parquet.write_parquet", full)
    for k in range(150):
        desk.controller.paint([(20.0 + 6 * k, 300.0)], 6)
        desk.controller.finish()
        idle(desk)
        told += [desk.state.notice] * ("shortened" in desk.state.notice)
    assert len(told) == 1
    assert "Your edits are kept" in told[0]
    assert "No space left" in told[0]
    assert not desk.state.error
    assert len(list(tmp_path.rglob("edits-*.jsonl"))) > 2, "it tried again"
    end = desk.content()
    crash(desk)
    again = Desk(tmp_path)
    assert again.content() == end
    again.controller.close()


def crash(desk):
    """What kill -9 leaves: files, no lock."""
    document = desk.controller._document
    document._wait()
    document._open_journal.close()
    document._home.lock.release()
    desk.controller._document = None


# -- saving ----------------------------------------------------------------------------------------


def test_the_state_says_what_is_saved(desk):
    desk.click(200, 300)
    assert desk.state.kept.n_unsaved > 0
    desk.save()
    assert desk.state.kept.n_unsaved == 0
    assert desk.state.kept.saved_at is not None
    assert desk.target.exists()
    desk.click(400, 300)
    assert desk.state.kept.n_unsaved == 1


def test_an_edit_that_cannot_be_kept_is_not_shown(desk, monkeypatch):
    def full(self, edit):
        raise WriteError("Cannot write the journal: the disk is full.")

    monkeypatch.setattr(Document, "append", full)
    desk.click(200, 300)
    assert not len(desk.table)
    assert "disk is full" in desk.state.error


def test_what_was_recovered_is_told(tmp_path):
    desk = Desk(tmp_path)
    desk.click(200, 300)
    desk.controller.close()
    again = Desk(tmp_path)
    assert "1 change of an earlier session was recovered" in again.state.notice
    assert len(again.table) == 1
    again.controller.close()


def test_a_second_window_on_the_file_is_refused(desk, tmp_path):
    second = Desk(tmp_path)
    assert not second.state.is_open
    assert "already being edited in another window" in second.state.error
    second.controller.close()


@pytest.mark.parametrize("again", [True, False], ids=["opened again", "closed"])
def test_what_is_closed_while_it_opens_lets_go_of_the_file(tmp_path, again):
    """Else the file counts as open in another window until the program ends."""
    desk = Desk(tmp_path)
    image = desk.state.image
    desk.controller.open(image, target=desk.target)
    if again:
        desk.controller.open(image, target=desk.target)
        desk.later.run(lambda: desk.state.is_open or desk.state.error)
    else:
        desk.controller.close()
        desk.later.run(lambda: not desk.controller._opens.is_busy)
        desk.controller.open(image, target=desk.target)
        desk.later.run(lambda: desk.state.is_open or desk.state.error)
    assert desk.state.is_open, desk.state.error
    desk.controller.close()


def test_gestures_before_opening_say_what_to_do():
    controller = AnnotationController(Later())
    controller.click(1, 2)
    controller.delete()
    controller.undo()
    controller.save()
    assert controller.state.error or controller.state.notice
    assert controller.state.tool is Tool.CLICK
