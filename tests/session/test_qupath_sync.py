"""A QuPath project as a session: a sync is previewed, decided, written, and taken back."""

from __future__ import annotations

import pytest

from napari_histo.core import ObjectTable
from napari_histo.session.qupath.state import Sync
from napari_histo.store.geojson import write_geojson
from support.fake_qupath import classed
from support.qupath_room import look, named


def test_nothing_is_written_before_the_preview_is_agreed_to(in_step):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.qupath.save(room.qupath.table().select([0, 1, 2]))
    before = room.row.file.read_bytes(), look(room.qupath.table())
    preview = room.compare()
    assert preview.writes == (True, True)
    assert (room.row.file.read_bytes(), look(room.qupath.table())) == before
    room.session.discard()
    assert room.state.preview is None
    room.compare()
    room.write()
    assert look(room.ours) == look(room.qupath.table())
    assert len(room.ours) == 3


@pytest.mark.parametrize(
    ("direction", "n_here", "n_there", "state"),
    [
        pytest.param("pull", 3, 3, Sync.HERE, id="pull"),
        pytest.param("push", 5, 3, Sync.QUPATH, id="push"),
    ],
)
def test_one_way_leaves_the_rest_for_later(in_step, direction, n_here, n_there, state):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.qupath.save(room.qupath.table().select([0, 1, 2]))
    room.bring(direction)
    assert (len(room.ours), len(room.qupath.table())) == (n_here, n_there)
    assert room.row.sync is state
    room.bring()
    assert look(room.ours) == look(room.qupath.table())


def test_conflicts_are_decided_one_by_one_or_all_at_once(in_step):
    room = in_step
    here, there = room.ours, room.qupath.table()
    for i in (0, 2, 4):
        here, there = classed(here, i, "Stroma"), classed(there, i, "Necrosis")
    write_geojson(room.row.file, here)
    room.qupath.save(there)
    preview = room.compare()
    ids = [conflict.object_id for conflict in preview.found.merge.conflicts]
    assert preview.n_open == len(ids) == 3
    room.session.answer(ids, "theirs")
    room.session.answer(ids[:1], "ours")
    room.wait(lambda: not room.session._answers.is_busy)
    assert room.state.preview.n_open == 0
    room.write()
    names = dict(zip(room.ours.uuids(), room.ours.class_names, strict=True))
    assert [names[key] for key in ids] == ["Stroma", "Necrosis", "Necrosis"]
    assert look(room.ours) == look(room.qupath.table())
    assert room.row.sync is Sync.IN_STEP


def test_what_is_left_undecided_stays_and_is_listed(in_step):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.qupath.save(classed(room.qupath.table(), 0, "Necrosis").select([0, 1]))
    room.bring()
    assert (named(room.ours, 0), named(room.qupath.table(), 0)) == ("Stroma", "Necrosis")
    assert room.row.sync is Sync.CONFLICTS


def test_a_sync_is_taken_back(in_step):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.qupath.save(room.qupath.table().select([0, 1, 2]))
    before = look(room.ours), look(room.qupath.table())
    room.bring()
    assert room.row.can_undo
    room.session.undo()
    room.idle()
    assert (look(room.ours), look(room.qupath.table())) == before
    assert room.row.sync is Sync.BOTH


def test_cancel_writes_nothing_and_the_next_try_works(in_step):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.compare()
    room.qupath.hold = lambda _: room.session._cancel.cancel()
    room.session.write()
    room.idle()
    assert room.state.notice == "Stopped. Nothing was written."
    assert named(room.qupath.table(), 0) == "Tumor"
    room.qupath.hold = lambda _: None
    room.bring()
    assert named(room.qupath.table(), 0) == "Stroma"


def test_one_thing_at_a_time(in_step):
    room = in_step
    room.session.compare("sync")
    room.session.undo()
    assert "is under way" in room.state.notice
    room.session.open_image("2")
    assert "is under way" in room.state.notice
    room.idle()


def test_an_image_without_any_objects_leaves_nothing_behind(room):
    room.open()
    room.qupath.save(ObjectTable.empty())
    room.looked()
    assert room.compare() is None
    assert "nothing to write" in room.state.notice
    assert not room.row.file.exists()
