"""Objects of an image on disk: nothing is lost, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, Edit, ObjectTable
from napari_histo.errors import (
    DocumentLockedError,
    HistoError,
    ObjectsFileError,
    TargetChangedError,
    WriteError,
)
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.store import load_objects, save_objects
from support.disks import mounted, needs_root_on_linux
from support.edits import Model
from support.objects import assert_same_tables

CLASSES = ClassScheme.of("Tumor", "Stroma")


def squares(n: int, seed: int = 0, **columns) -> ObjectTable:
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0], [2, 0], [2, 2], [0, 2]]) + np.round(rng.random((n, 1, 2)) * 1000, 2)
    return ObjectTable.build(Contours.from_star(corners), classes=CLASSES, class_id=0, **columns)


def adding(table: ObjectTable) -> Edit:
    return Edit("Click", ObjectTable.empty(table.classes), table)


def relabelling(table: ObjectTable) -> Edit:
    return Edit("Relabel", table, replace(table, class_id=np.ones(len(table), np.int32)))


@pytest.fixture
def open_document(tmp_path):
    def open_(target: str = "slide.geojson", **options) -> Document:
        return Document.open(
            tmp_path / target, "slide", data_folder=tmp_path / "user data", **options
        )

    return open_


def everything(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def crash(document: Document) -> None:
    """What is left of a document after kill -9: its files, not its lock."""
    document._wait()
    document._open_journal.close()
    document._home.lock.release()


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


# -- other programs ------------------------------------------------------------------------------


def test_change_by_another_program_is_not_undone(open_document, tmp_path):
    path = tmp_path / "slide.geojson"
    save_objects(path, squares(5))
    document = open_document()
    mine = squares(1, 9)
    document.append(adding(mine))
    os.utime(path)
    assert not document.changed_outside(), "another time is no change"
    theirs = squares(7, 7)
    save_objects(path, theirs)
    with pytest.raises(TargetChangedError, match=r"slide \(2\)\.geojson is free"):
        document.save(mine)
    assert_same_tables(load_objects(path), theirs)
    assert document.n_unsaved == 1
    document.save(mine, overwrite=True)
    assert_same_tables(load_objects(path), mine)
    document.close()


def test_change_by_another_program_after_a_crash(open_document, tmp_path):
    path = tmp_path / "slide.geojson"
    save_objects(path, squares(5))
    document = open_document()
    document.append(adding(squares(1, 9)))
    whole = ObjectTable.concat([document.table, squares(1, 9)])
    crash(document)
    save_objects(path, squares(7, 7))
    again = open_document()
    assert "changed by another program" in again.notice
    assert again.recovery is not None
    assert again.recovery.n_edits == 1
    assert len(again.table) == len(whole)
    with pytest.raises(TargetChangedError):
        again.save(again.table)
    again.save(again.table, tmp_path / "mine.geojson")
    again.close()
    assert len(load_objects(path)) == 7
    assert len(load_objects(tmp_path / "mine.geojson")) == 6


def test_nothing_is_lost_where_nothing_was_edited(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    document = open_document()
    crash(document)
    next(document.journal_folder.glob("base-*")).unlink()
    save_objects(tmp_path / "slide.geojson", squares(7, 7))
    with open_document() as again:
        assert again.recovery is None
        assert len(again.table) == 7


def test_a_file_that_was_removed_is_put_back(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    document = open_document()
    document.append(adding(squares(1, 9)))
    crash(document)
    (tmp_path / "slide.geojson").unlink()
    with open_document() as again:
        assert len(again.table) == 6
        again.save(again.table)
    assert len(load_objects(tmp_path / "slide.geojson")) == 6


@pytest.mark.parametrize("content", [b"", b"{}", b'{"type":"FeatureCollection","features":[{'])
def test_damaged_target_is_refused_and_left_alone(open_document, tmp_path, content):
    (tmp_path / "slide.geojson").write_bytes(content)
    for _ in range(2):  # and no lock is left
        with pytest.raises(ObjectsFileError):
            open_document()
    assert everything(tmp_path) == ["slide.geojson"]


def test_target_damaged_meanwhile_costs_nothing(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    document = open_document()
    document.append(adding(squares(1, 9)))
    crash(document)
    (tmp_path / "slide.geojson").write_bytes(b"\0" * 100)
    with open_document() as again:
        assert len(again.table) == 6
        with pytest.raises(TargetChangedError):
            again.save(again.table)


@pytest.mark.parametrize("name", ["labels.tif", "slide.ome.zarr", "slide.svs", "slide"])
def test_formats_that_lose_ids_are_refused(open_document, name):
    with pytest.raises(ObjectsFileError, match=r"\.geojson or \.parquet"):
        open_document(name)


def test_objects_without_ids_keep_those_that_they_got(open_document, tmp_path):
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "slide.geojson").write_text(json.dumps([feature, feature]))
    document = open_document()
    gone = document.table.select([0])
    document.append(Edit("Delete", gone, gone.select([])))
    crash(document)
    again = open_document()
    assert again.recovery is not None
    assert again.recovery.damaged is None
    assert again.table.uuids() == document.table.uuids()[1:]


# -- saving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".geojson", ".geojson.gz", ".parquet"])
def test_formats_that_keep_ids(open_document, tmp_path, suffix):
    table = Model().go_to(60).table()
    with open_document(f"slide{suffix}") as document:
        document.append(adding(table))
        document.save(table)
    with open_document(f"slide{suffix}") as again:
        assert again.recovery is None
        assert_same_tables(again.table, table)
    assert everything(tmp_path) == [f"slide{suffix}"]


def test_save_that_fails_loses_nothing(open_document, tmp_path, monkeypatch):
    model = Model().go_to(5)
    document = open_document()
    document.append(adding(model.table()))

    def fail(*_, **__):
        raise WriteError("Cannot write: no power.")

    monkeypatch.setattr("napari_histo.session.annotate.target.save_objects", fail)
    with pytest.raises(WriteError, match="no power"):
        document.save(model.table())
    assert (document.n_unsaved, document.saved_at) == (1, None)
    edit = model.next_edit()
    document.append(edit)
    model.do(edit)
    crash(document)
    again = open_document()
    assert again.recovery is not None
    assert again.recovery.n_edits == 2
    assert_same_tables(again.table, model.table())


def test_a_slow_save_does_not_undo_a_later_one(open_document, tmp_path):
    document = open_document()
    document.append(adding(squares(1)))
    first = document.prepare_save(squares(1))
    document.append(adding(squares(2, 2)))
    second = document.prepare_save(squares(3))
    second()
    first()
    assert len(load_objects(tmp_path / "slide.geojson")) == 3
    assert document.n_unsaved == 0
    document.close()


def test_document_moves_with_save_as(open_document, tmp_path):
    document = open_document()
    first, second = squares(1, 1), squares(1, 2)
    document.append(adding(first))
    save = document.prepare_save(first, tmp_path / "other.parquet")
    document.append(adding(second))
    save()
    assert document.target == tmp_path / "other.parquet"
    assert document.n_unsaved == 1
    document.append(relabelling(second))
    open_document().close()  # the old name is free
    crash(document)
    again = open_document("other.parquet")
    assert again.recovery is not None
    assert again.recovery.n_edits == 2
    assert again.recovery.damaged is None
    assert_same_tables(again.table, ObjectTable.concat([first, relabelling(second).after]))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".other.parquet.journal",
        "other.parquet",
    ]


def test_save_as_over_unsaved_edits_of_another_is_refused(open_document, tmp_path):
    other = open_document("other.geojson")
    other.append(adding(squares(1)))
    document = open_document()
    with pytest.raises(DocumentLockedError):
        document.save(squares(1), tmp_path / "other.geojson")
    other.close()
    with pytest.raises(WriteError, match="unsaved edits"):
        document.save(squares(1), tmp_path / "other.geojson")
    document.close()


def test_given_objects_are_kept_at_once(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    table = squares(20, 3)
    document = open_document(table=table)
    assert "replace" in document.notice
    assert document.n_unsaved == 1
    crash(document)
    again = open_document()
    assert again.recovery is not None
    assert_same_tables(again.table, table)


def test_discard_goes_back_to_the_file(open_document, tmp_path):
    save_objects(tmp_path / "slide.geojson", squares(5))
    document = open_document()
    document.append(adding(squares(1, 9)))
    crash(document)
    again = open_document()
    assert len(again.table) == 6
    assert len(again.discard()) == 5
    assert again.n_unsaved == 0
    again.append(adding(squares(2, 8)))
    crash(again)
    last = open_document()
    assert last.recovery is not None
    assert (last.recovery.n_edits, len(last.table)) == (1, 7)
    assert any("aside" in name for name in everything(tmp_path)), "nothing is thrown away"


def test_compaction_while_editing(open_document, tmp_path):
    model = Model()
    document = open_document()
    works = []
    for _ in range(40):
        edit = model.next_edit()
        document.append(edit)
        model.do(edit)
        if model.n_edits % 10 == 0:
            read = EditableObjects(model.table()).later_table()
            works.append(Thread(target=document.prepare_compaction(read)))
            works[-1].start()
    for work in works:
        work.join()
    crash(document)
    files = [p.name for p in document.journal_folder.iterdir()]
    assert "edits-00000000.jsonl" not in files
    again = open_document()
    assert again.recovery is not None
    assert again.recovery.damaged is None
    assert again.recovery.n_edits == 40
    assert_same_tables(again.table, model.table())


def test_damage_is_told_and_the_damaged_file_kept(open_document, tmp_path):
    document = open_document()
    for n in range(3):
        document.append(adding(squares(1, n)))
    crash(document)
    path = next(document.journal_folder.glob("edits-*"))
    os.truncate(path, path.stat().st_size - 10)
    again = open_document()
    assert again.recovery is not None
    assert again.recovery.n_edits == 2
    assert "ends within a step" in (again.recovery.damaged or "")
    again.append(adding(squares(1, 5)))
    crash(again)
    last = open_document()
    assert last.recovery is not None
    assert (last.recovery.n_edits, last.recovery.damaged, len(last.table)) == (3, None, 3)
    assert [p.parent.name for p in tmp_path.rglob("*-edits-00000000.jsonl")] == ["aside"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments(tmp_path):
    """110 edits with saves in between, 30 kills: at most the edit in flight is ever missing."""
    child = Path(__file__).with_name("kill_child.py")
    environment = {**os.environ, "PYTHONPATH": str(child.parents[1])}
    done = subprocess.run(
        [sys.executable, str(child), str(tmp_path), "110", "30"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["bad"] == []
    assert counts["same_at_end"]
    assert counts["editing"] >= 27, "nine of ten kills wait for an edit"
    assert counts["writing"], "some of them hit it before it is known to be kept"
    assert counts["saved"]
    assert counts["objects"] > 10
    assert everything(tmp_path) == ["slide.geojson"], "nothing is left behind"
