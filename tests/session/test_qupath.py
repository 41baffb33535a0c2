"""A QuPath project as a session: listed, watched, synced; and nothing lost whatever goes wrong."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import ObjectTable
from napari_histo.errors import BridgeError, WriteError
from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice, Tool
from napari_histo.session.document import Document
from napari_histo.session.qupath import QuPathController
from napari_histo.session.qupath_memory import Memory
from napari_histo.session.qupath_state import Step, Sync
from napari_histo.session.qupath_work import QuPathTools
from napari_histo.slides import ArrayReader
from napari_histo.store.geojson import read_geojson, write_geojson
from support.fake_qupath import FakeQuPath, classed, project_with, squares


def look(table):
    """Ids with class and place."""
    rows = zip(table.uuids(), table.class_names, table.contours.bounds.tolist(), strict=True)
    return {key: (name, tuple(bounds)) for key, name, bounds in rows}


def named(table, i):
    """Class of the square number i."""
    return table.class_names[table.rows_of([squares(5).uuid(i)])[0]]


class Room:
    """A session with a project of two images, an Annotate panel, and an event loop to wait in."""

    def __init__(self, folder, blocker=""):
        self._inbox: queue.Queue = queue.Queue()
        self.folder = folder
        self.file = project_with(folder / "p", "slide.tif", "other.tif")
        self.qupath = FakeQuPath(self.file)
        journals = folder / "journals"
        document = partial(Document.open, data_folder=journals)
        self.desk = AnnotationController(self._inbox.put, AnnotationTools(None, document))
        self.has_desk = True
        tools = QuPathTools(lambda _: self.qupath, lambda: blocker, data_folder=journals)
        memory = Memory(folder / "memory.json")
        self.session = QuPathController(
            self._inbox.put, lambda: self.desk if self.has_desk else None, tools, memory
        )
        self.state = self.session.state

    def wait(self, until, timeout=20.0):
        end = time.monotonic() + timeout
        while not until():
            self._inbox.get(timeout=max(end - time.monotonic(), 0.01))()

    def open(self):
        self.session.open_project(self.file)
        self.wait(lambda: not self.state.is_listing)
        return self

    def idle(self):
        self.wait(lambda: self.state.step is Step.IDLE)
        self.looked()

    def looked(self):
        self.wait(lambda: not self.session._lists.is_busy)
        self.session.look()
        self.wait(lambda: not self.session._lists.is_busy)

    def compare(self, direction="sync"):
        self.session.compare(direction)
        self.idle()
        return self.state.preview

    def write(self):
        self.session.write()
        self.idle()

    def bring(self, direction="sync"):
        if self.compare(direction) is not None:
            self.write()
        assert self.state.error == ""

    @property
    def row(self):
        return self.state.row("1")

    @property
    def ours(self):
        return read_geojson(self.row.file)

    def annotate(self):
        """Open the first image's objects in the Annotate panel."""
        pixels = np.zeros((200, 300, 3), np.uint8)
        image = ImageChoice("layer", ArrayReader(pixels, name="slide.tif"))
        self.desk.open(image, target=self.row.file)
        self.wait(lambda: self.desk.state.is_open)

    def relabel(self, i, name):
        self.desk.select([squares(5).uuid(i)])
        self.desk.relabel(name)

    def back(self):
        """Wait until the Annotate panel has its document again."""
        self.wait(lambda: self.desk.state.is_open)


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path)
    yield room
    room.session.close()
    room.desk.close()


@pytest.fixture
def in_step(room):
    """Five objects on both sides."""
    room.open()
    room.qupath.save(squares(5))
    room.looked()
    room.bring()
    assert look(room.ours) == look(squares(5))
    return room


# -- listing ---------------------------------------------------------------------------------------


def test_images_are_listed_with_what_files_tell(room):
    room.qupath.save(squares(3), "2")
    room.open()
    first, second = room.state.rows
    assert (first.sync, second.sync) == (Sync.NOTHING, Sync.NEW)
    assert second.by_type == {"Detections": 3}
    assert first.file == room.folder / "p" / "slide.geojson"
    assert room.state.chosen == "1"
    assert room.session.memory.recent == (room.file,)
    assert Memory.load(room.session.memory.file) == room.session.memory


def test_a_project_that_cannot_be_read_is_told_and_the_one_before_stays(room, tmp_path):
    room.open()
    room.session.open_project(tmp_path / "nowhere")
    room.wait(lambda: not room.state.is_listing)
    assert "There is no QuPath project" in room.state.error
    assert len(room.state.rows) == 2


def test_what_each_side_does_shows_in_the_list(in_step):
    room = in_step
    assert room.row.sync is Sync.IN_STEP
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.looked()
    assert room.row.sync is Sync.HERE
    room.qupath.save(room.qupath.table().select([0, 1]))
    room.looked()
    assert room.row.sync is Sync.BOTH
    room.bring()
    assert room.row.sync is Sync.IN_STEP


def test_edits_that_are_not_saved_yet_are_changes_here_too(in_step):
    in_step.annotate()
    in_step.looked()
    assert in_step.row.sync is Sync.IN_STEP
    in_step.relabel(0, "Stroma")
    in_step.looked()
    assert in_step.row.sync is Sync.HERE
    in_step.desk.close()  # they wait in the journal
    in_step.session._listing._seen.clear()
    in_step.looked()
    assert in_step.row.sync is Sync.HERE


def test_a_save_in_qupath_is_noticed_for_the_image_that_is_open(in_step):
    room = in_step
    room.session.open_image("1")
    room.wait(lambda: room.state.opened == "1")
    assert room.state.saved_meanwhile is None
    room.qupath.save(room.qupath.table().select([0, 1]))
    room.looked()
    assert room.state.saved_meanwhile == room.row


def test_images_that_are_added_in_qupath_appear(room):
    room.open()
    time.sleep(0.01)
    project_with(room.folder / "p", "slide.tif", "other.tif", "third.tif")
    room.session.look()
    room.wait(lambda: len(room.state.rows) == 3)


def test_damaged_data_are_listed_and_refused(room):
    room.qupath.save(squares(2))
    path = room.folder / "p" / "data" / "1" / "data.qpdata"
    path.write_bytes(path.read_bytes()[:-20])
    room.open()
    assert room.row.sync is Sync.DAMAGED
    assert "cut short" in room.state.why_not
    room.session.compare("pull")
    assert room.state.step is Step.IDLE


def test_a_moved_slide_is_found_where_the_user_says(room):
    moved = room.folder / "elsewhere"
    moved.mkdir()
    for name in ("slide.tif", "other.tif"):
        (room.folder / "p" / name).rename(moved / name)
    asked = []
    room.session.image_missing.connect(asked.append)
    room.open()
    assert [row.sync for row in room.state.rows] == [Sync.MISSING, Sync.MISSING]
    room.session.open_image("1")
    assert asked == [room.row]
    room.session.move_folder(room.row, moved / "slide.tif")
    room.wait(lambda: not room.state.is_listing)
    assert [row.image.path.parent for row in room.state.rows] == [moved, moved]
    assert Memory.load(room.session.memory.file).rules == room.session.memory.rules


def test_without_qupath_images_are_listed_and_one_sentence_says_what_to_do(tmp_path):
    room = Room(tmp_path, "Install QuPath.").open()
    room.qupath.save(squares(2))
    room.looked()
    ready = []
    room.session.objects_ready.connect(ready.append)
    room.session.open_image("1")
    room.wait(lambda: ready)
    room.session.compare("sync")
    assert room.state.notice == room.state.why_not == "Install QuPath."
    assert room.qupath.n_writes == 0


# -- opening ---------------------------------------------------------------------------------------


def test_opening_pulls_what_is_new_and_keeps_the_ids(room):
    room.qupath.save(squares(4))
    room.open()
    slides, ready = [], []
    room.session.slide_ready.connect(slides.append)
    room.session.objects_ready.connect(ready.append)
    room.session.open_image("1")
    room.wait(lambda: ready)
    (slide,) = slides
    assert (slide.reader.info.width, slide.reader.info.height) == (300, 200)
    assert not slide.is_view
    assert look(room.ours) == look(squares(4))


def test_opening_what_was_edited_here_pulls_nothing(in_step):
    room = in_step
    write_geojson(room.row.file, classed(room.ours, 0, "Stroma"))
    room.qupath.save(room.qupath.table().select([0, 1]))
    room.looked()
    ready = []
    room.session.objects_ready.connect(ready.append)
    room.session.open_image("1")
    room.wait(lambda: ready)
    assert len(room.ours) == 5


def test_an_error_while_pulling_is_told_and_the_image_is_opened_all_the_same(room):
    room.qupath.save(squares(4))
    room.open()

    def fail(_):
        raise BridgeError("Java is tired.")

    room.qupath.hold = fail
    ready = []
    room.session.objects_ready.connect(ready.append)
    room.session.open_image("1")
    room.wait(lambda: ready)
    assert room.state.error == "Java is tired."


# -- sync ------------------------------------------------------------------------------------------


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


# -- while the Annotate panel has the document open ------------------------------------------------


def test_a_sync_saves_the_open_edits_and_opens_the_document_again_as_it_was(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.desk.set_tool(Tool.PAINT)
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    preview = room.compare()
    assert preview.writes == (True, True)
    room.write()
    room.back()
    desk = room.desk.state
    assert look(room.ours) == look(room.qupath.table()) == look(room.desk.objects.table())
    assert named(room.qupath.table(), 0) == "Necrosis"
    assert len(room.ours) == 4
    assert desk.selection == (squares(5).uuid(0),)
    assert (desk.tool, desk.current_class, desk.kept.n_unsaved) == (Tool.PAINT, "Necrosis", 0)
    assert desk.error == ""


def test_what_is_edited_between_preview_and_write_goes_along(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.compare()
    room.relabel(1, "Necrosis")
    room.write()
    assert room.desk.state.is_open
    table = room.qupath.table()
    assert (named(table, 0), named(table, 1)) == ("Necrosis", "Necrosis")
    assert look(room.ours) == look(room.qupath.table())


def test_a_push_leaves_the_document_open_with_its_undo(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.compare("push")
    room.write()
    assert room.desk.state.undo_name == "Relabel"
    assert named(room.qupath.table(), 0) == "Necrosis"


def test_new_conflicts_since_the_preview_are_shown_before_anything_is_written(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.compare()
    room.qupath.save(classed(room.qupath.table(), 0, "Stroma"))
    room.write()
    assert "Look once more" in room.state.notice
    assert room.state.preview.n_open == 1
    assert named(room.qupath.table(), 0) == "Stroma"


@pytest.mark.parametrize("step", ["project", "our file", "base"])
def test_an_error_in_the_middle_loses_no_edit(in_step, step, monkeypatch):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    room.compare()

    def fail(*_, **__):
        raise WriteError("The disk is full.")

    with monkeypatch.context() as patch:
        if step == "project":
            patch.setattr(room.qupath, "pushing", fail)
        else:
            name = {"our file": "_write_ours", "base": "save_base"}[step]
            patch.setattr(f"qupath_bridge.pair.{name}", fail)
        room.write()
    assert room.state.error == "The disk is full."
    room.back()
    assert named(room.desk.objects.table(), 0) == "Necrosis"
    room.bring()
    room.back()
    assert look(room.ours) == look(room.qupath.table()) == look(room.desk.objects.table())
    assert named(room.ours, 0) == "Necrosis"
    assert len(room.ours) == 4


def test_edits_that_cannot_be_saved_stay_open_or_in_the_journal(in_step, monkeypatch):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    room.compare()
    room.relabel(1, "Necrosis")

    def fail(*_, **__):
        raise WriteError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("napari_histo.session.target.TargetFile.write", fail)
        room.write()
    assert room.state.error == "The disk is full."
    room.back()
    table = room.desk.objects.table()
    assert (named(table, 0), named(table, 1)) == ("Necrosis", "Necrosis")
    assert len(room.qupath.table()) == 4
    assert named(room.qupath.table(), 0) == "Tumor"


def test_what_an_earlier_session_left_unsaved_is_synced_too(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.desk.close()
    room.has_desk = False
    room.bring()
    assert named(room.qupath.table(), 0) == "Necrosis"
    room.annotate()
    assert room.desk.state.notice == ""


def test_a_panel_that_is_closed_meanwhile_gets_no_document_back(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    room.compare()
    room.session.write()
    room.has_desk = False
    room.idle()
    assert not room.desk.state.is_open
    with Document.open(room.row.file, "slide.tif") as document:  # the lock is free
        assert len(document.table) == 4


def test_closing_ends_the_bridge_and_gives_the_document_back(in_step):
    room = in_step
    room.annotate()
    room.relabel(0, "Necrosis")
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    room.compare()
    room.session.write()
    room.session.close()
    room.wait(lambda: room.qupath.n_closed == 1)
    room.back()
    assert named(room.desk.objects.table(), 0) == "Necrosis"


def test_an_image_without_any_objects_leaves_nothing_behind(room):
    room.open()
    room.qupath.save(ObjectTable.empty())
    room.looked()
    assert room.compare() is None
    assert "nothing to write" in room.state.notice
    assert not room.row.file.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.parametrize("step", ["read", "project", "_write_ours", "save_base"])
def test_whoever_is_killed_in_the_middle_finds_every_edit_again(in_step, step):
    room = in_step
    room.qupath.save(room.qupath.table().select([0, 1, 2, 3]))
    child = Path(__file__).with_name("qupath_kill_child.py")
    paths = [str(child.parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, child, room.file.parent, step],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    room.bring()
    assert look(room.ours) == look(room.qupath.table())
    assert named(room.ours, 0) == "Necrosis"
    assert len(room.ours) == 4
