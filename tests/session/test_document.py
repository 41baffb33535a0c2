"""Objects of an image on disk: opened, edited, kept, wherever there is room."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_histo.core import ObjectTable
from napari_histo.errors import (
    DocumentLockedError,
    HistoError,
    WriteError,
)
from napari_histo.session.annotate.document import Document
from napari_histo.store import load_objects, save_objects
from support.disks import mounted, needs_root_on_linux
from support.documents import adding, crash, everything, relabelling, squares
from support.edits import Model
from support.objects import assert_same_tables


def test_edits_come_back_after_a_crash(open_document):
    first, second = squares(1, 1), squares(2, 2)
    document = open_document()
    assert document.recovery is None
    document.append(adding(first))
    document.append(adding(second))
    document.append(relabelling(first))
    crash(document)
    again = open_document()
    assert again.recovery is not None
    assert (again.recovery.n_edits, again.recovery.damaged) == (3, None)
    assert_same_tables(again.table, ObjectTable.concat([second, relabelling(first).after]))


def test_saved_edits_leave_nothing_behind(open_document, tmp_path):
    table = squares(3)
    with open_document() as document:
        document.append(adding(table))
        document.save(table)
        assert document.saved_at is not None
        assert document.n_unsaved == 0
    assert everything(tmp_path) == ["slide.geojson"]
    assert_same_tables(load_objects(tmp_path / "slide.geojson"), table)


def test_two_windows_on_one_file_are_refused(open_document):
    with open_document(), pytest.raises(DocumentLockedError, match="Close it there first"):
        open_document()
    open_document().close()


def test_edits_after_a_save_are_recovered_upon_it(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    document = open_document()
    table, more = document.table, squares(1, 9)
    save = document.prepare_save(table)
    document.append(adding(more))
    save()
    crash(document)
    again = open_document()
    assert again.recovery is not None
    assert again.recovery.n_edits == 1
    assert_same_tables(again.table, ObjectTable.concat([table, more]))


# -- windows -------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from napari_histo.session.annotate.document import Document
document = Document.open(Path(sys.argv[1]), "slide")
print("open", flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_until_it_is_killed(open_document, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "slide.geojson")]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(DocumentLockedError, match=f"process {other.pid}"):
            open_document()
    finally:
        other.kill()
        other.wait()
    open_document().close()


def test_link_to_the_file_is_the_same_file(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(1))
    (tmp_path / "link.geojson").symlink_to(tmp_path / "slide.geojson")
    with open_document(), pytest.raises(DocumentLockedError):
        open_document("link.geojson")


def test_looking_leaves_no_trace(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(2))
    with open_document() as document:
        assert everything(tmp_path)[0] == ".slide.geojson.journal"
        assert document.n_unsaved == 0
    assert everything(tmp_path) == ["slide.geojson"]


def test_closed_without_saving_is_there_next_time(open_document):
    with open_document() as document:
        document.append(adding(squares(2)))
    with open_document() as again:
        assert again.recovery is not None
        assert again.recovery.n_edits == again.n_unsaved == 1
        assert len(again.table) == 2
        again.save(again.table)
    with open_document() as last:
        assert last.recovery is None
        assert len(last.table) == 2


def test_a_closed_document_says_so(open_document):
    document = open_document()
    document.close()
    document.close()
    with pytest.raises(HistoError, match="closed"):
        document.append(adding(squares(1)))


# -- places --------------------------------------------------------------------------------------


def test_default_target_is_beside_the_image(tmp_path):
    with Document.open(None, "a", tmp_path / "a.ome.tif", data_folder=tmp_path / "d") as document:
        assert document.target == tmp_path / "a.geojson"


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    target = tmp_path / "gone" / "slide.geojson"
    with Document.open(target, "slide", data_folder=tmp_path / "home") as document:
        assert "takes no files" in document.notice
        document.append(adding(squares(1)))
        with pytest.raises(WriteError, match="folder does not exist"):
            document.save(squares(1))
    assert not target.parent.exists()


def test_images_without_a_file_are_kept_apart(tmp_path):
    def open_() -> Document:
        return Document.open(None, "Image", data_folder=tmp_path)

    first, second = open_(), open_()
    first.append(adding(squares(1)))
    second.append(adding(squares(2)))
    with pytest.raises(WriteError, match="Choose one"):
        first.save(squares(1))
    crash(first)
    crash(second)
    assert [len(open_().table), len(open_().table)] == [1, 2]


@needs_root_on_linux
def test_read_only_folder_is_told_and_edits_go_elsewhere(tmp_path):
    home, table = tmp_path / "home", squares(3)
    with mounted(tmp_path / "disk", "size=1m") as disk:
        save_objects(disk / "slide.geojson", table)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for n in (1, 2):
            document = Document.open(disk / "slide.geojson", "slide", data_folder=home)
            assert str(document.journal_folder) in document.notice
            assert home in document.journal_folder.parents
            document.append(adding(squares(1, n)))
            with pytest.raises(WriteError, match="read-only"):
                document.save(table)
            crash(document)
        document = Document.open(disk / "slide.geojson", "slide", data_folder=home)
        assert len(document.table) == 5
        document.save(document.table, tmp_path / "copy.geojson")
        assert document.target == tmp_path / "copy.geojson"
        document.close()
    assert len(load_objects(tmp_path / "copy.geojson")) == 5
    assert everything(home) == ["journals"]


@needs_root_on_linux
def test_full_disk_is_told_and_edits_go_elsewhere(tmp_path):
    model = Model()
    with mounted(tmp_path / "disk", "size=64k") as disk:
        document = Document.open(disk / "slide.geojson", "slide", data_folder=tmp_path / "home")
        while model.n_edits < 150:
            edit = model.next_edit()
            document.append(edit)
            model.do(edit)
        assert "No space left" in document.notice
        assert str(document.journal_folder) in document.notice
        with pytest.raises(WriteError, match=r"slide\.geojson.*disk is full"):
            document.save(model.table())
        crash(document)
        again = Document.open(disk / "slide.geojson", "slide", data_folder=tmp_path / "home")
        assert again.recovery is not None
        assert (again.recovery.n_edits, again.recovery.damaged) == (150, None)
        assert_same_tables(again.table, model.table())
        again.save(again.table, tmp_path / "saved.geojson")
        assert not (disk / "slide.geojson").exists()
        again.close()
    assert_same_tables(load_objects(tmp_path / "saved.geojson"), model.table())
