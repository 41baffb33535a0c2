"""A sync while the Annotate panel has the document open: no edit is lost whatever goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_histo.errors import WriteError
from napari_histo.session import Tool
from napari_histo.session.annotate.document import Document
from support.fake_qupath import classed, squares
from support.qupath_room import look, named


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
        patch.setattr("napari_histo.session.annotate.target.TargetFile.write", fail)
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
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    room.bring()
    assert look(room.ours) == look(room.qupath.table())
    assert named(room.ours, 0) == "Necrosis"
    assert len(room.ours) == 4
