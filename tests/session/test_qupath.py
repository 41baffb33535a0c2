"""A QuPath project as a session: its images are listed, watched and opened."""

from __future__ import annotations

import time

from napari_histo.errors import BridgeError
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import Step, Sync
from napari_histo.store.geojson import write_geojson
from support.fake_qupath import classed, project_with, squares
from support.qupath_room import Room, look

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
