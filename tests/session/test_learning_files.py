"""Marks, edits and trainings of one round want the same files, often at the same time."""

from __future__ import annotations

import threading

import pytest

from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.rounds.folder import Stage
from napari_histo.session.annotate import document
from napari_histo.session.annotate.document import Document
from napari_histo.session.learning import in_hand, work
from napari_histo.session.learning.in_hand import InHand, Turns
from napari_histo.store.geojson import read_geojson
from support.inbox import PATIENCE_S
from support.learning_room import Room

DONE, SKIPPED = QueryStatus.DONE, QueryStatus.SKIPPED


@pytest.fixture
def room(learning_room):
    return learning_room


def test_marks_reach_files_that_no_panel_has_open(room):
    room.open().begin()
    first, second, *_ = room.state.regions
    for row, status in ((first, DONE), (second, SKIPPED), (first, SKIPPED), (first, DONE)):
        room.session.choose(row.region_id)
        room.session.mark(status)
    room.files()
    assert room.in_file(first) == "Region: done"
    assert room.in_file(second) == "Region: skipped"
    again = Room(room.folder)
    again.session.open_project(room.project.path)
    again.idle()
    assert [row.status for row in again.state.regions[:2]] == [DONE, SKIPPED]


def test_a_mark_and_the_edits_of_an_open_document_are_both_kept(room):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    nucleus = next(i for i in room.desk.objects.ids_in(row.box) if i != row.region_id)
    room.desk.select([nucleus])
    room.desk.delete()
    room.session.mark(DONE)
    assert room.desk.state.current_class != "Region: done", "new nuclei are no regions"
    room.files()
    assert room.in_file(row) == "Region: done"
    table = read_geojson(room.desk.state.kept.target)
    assert nucleus not in set(table.uuids())
    assert room.desk.state.kept.n_unsaved == 0
    room.desk.undo()
    room.session.look()
    room.wait(lambda: room.state.row(row.region_id).waits)


def test_a_class_given_in_the_annotate_panel_shows_in_the_list(room):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    room.desk.select([row.region_id])
    room.desk.relabel("Region: skipped")
    room.session.look()
    room.wait(lambda: room.state.row(row.region_id).status is SKIPPED)


def test_a_mark_before_its_file_is_open_is_made_when_it_is(room, monkeypatch):
    room.open().begin()
    row = room.state.regions[0]
    is_taken, go_on, refused = threading.Event(), threading.Event(), []
    fail = room.session._files_failed

    def slowly(*words, **options):
        opened = Document.open(*words, **options)
        is_taken.set()
        assert go_on.wait(PATIENCE_S)
        return opened

    monkeypatch.setattr(room.desk, "_open_document", slowly)
    monkeypatch.setattr(document, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(
        room.session, "_files_failed", lambda *words: refused.append(words) or fail(*words)
    )
    room.show(row)
    assert is_taken.wait(PATIENCE_S)
    room.session.mark(DONE)
    assert room.state.row(row.region_id).status is DONE
    room.wait(lambda: len(refused) > 1 or room.state.error)
    go_on.set()
    room.wait(lambda: room.desk.state.is_open)
    room.wait(lambda: not room.session._marks)
    room.files()
    assert room.state.error == ""
    assert room.in_file(row) == "Region: done"
    assert room.desk.state.kept.n_unsaved == 0


def test_a_file_that_another_thread_is_about_to_let_go_is_waited_for(room, monkeypatch):
    monkeypatch.setattr(document, "_PATIENCE_S", PATIENCE_S)
    room.open().begin()
    row = room.state.regions[0]
    held = Document.open(room.file(row), "it", data_folder=room.folder / "journals")
    leaves = threading.Timer(0.2, held.close)
    leaves.start()
    room.annotate(row)
    assert room.desk.state.error == ""
    leaves.join()


def test_train_takes_a_file_that_was_saved_a_moment_ago(room, monkeypatch):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    room.mark_all(SKIPPED)
    is_saved, go_on, shorten = threading.Event(), threading.Event(), Document._write_base

    def slowly(*words):
        is_saved.set()
        assert go_on.wait(PATIENCE_S)
        shorten(*words)

    monkeypatch.setattr(Document, "_write_base", slowly)
    room.session.choose(row.region_id)
    room.session.mark(DONE)
    assert is_saved.wait(PATIENCE_S)
    assert room.desk.state.kept.n_unsaved == 1, "the window was not told yet"
    room.session.train()
    threading.Timer(0.3, go_on.set).start()
    room.idle()
    assert room.state.overview.stage is Stage.DECIDED


def test_what_is_drawn_while_train_collects_stops_nothing(room, monkeypatch):
    room.open().begin()
    row = room.state.regions[0]
    room.annotate(row)
    room.mark_all()
    nucleus = room.desk.objects.ids_in(row.box)[0]

    def meanwhile(*_):
        room.desk.select([nucleus])
        room.desk.relabel("Late")
        return []
        yield

    monkeypatch.setattr(work, "done_in_qupath", meanwhile)
    room.session.train()
    room.idle()
    assert room.state.overview.stage is Stage.DECIDED
    names = {n for kept in room.project.round(1).labels() for n in kept.labels.objects.class_names}
    assert "Late" not in names
    assert room.desk.state.kept.n_unsaved > 0


def test_marks_on_their_way_count_when_train_is_pressed(room, monkeypatch):
    room.open().begin()
    go_on, mark = threading.Event(), in_hand.mark_in_file

    def slowly(*words):
        assert go_on.wait(PATIENCE_S)
        mark(*words)

    monkeypatch.setattr(in_hand, "mark_in_file", slowly)
    for row in room.state.regions:
        room.session.choose(row.region_id)
        room.session.mark(DONE)
    room.session.train()
    go_on.set()
    room.idle()
    assert room.state.overview.stage is Stage.DECIDED
    assert len(room.project.round(1).labels()) == 11


def test_what_is_older_is_not_written_over_what_is_newer(room):
    room.open().begin()
    row = room.state.regions[0]
    turns, folder = Turns(), room.folder / "journals"
    older, newer = (
        InHand(turns, turns.next(), None, None, {room.file(row): {row.region_id: s}}, folder)
        for s in (DONE, SKIPPED)
    )
    newer.settle()
    older.settle()
    assert room.in_file(row) == "Region: skipped"


def test_a_mark_that_the_file_holds_already_writes_nothing(room):
    room.open().begin().mark_all()
    row = room.state.regions[0]
    before = room.file(row).stat()
    in_hand.mark_in_file(room.file(row), {row.region_id: DONE}, room.folder / "journals")
    assert room.file(row).stat().st_mtime_ns == before.st_mtime_ns
