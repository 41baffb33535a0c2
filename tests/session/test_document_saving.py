"""Saving, saving elsewhere, giving up and being killed at it: nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from napari_histo.core import ObjectTable
from napari_histo.errors import (
    DocumentLockedError,
    WriteError,
)
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.store import load_objects, save_objects
from support.documents import adding, crash, everything, relabelling, squares
from support.edits import Model
from support.objects import assert_same_tables


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
    assert counts["writing"] >= 6, "some of them hit it before it is known to be kept"
    assert counts["in_flight_kept"], "and some of these after it was written"
    assert counts["saved"]
    assert counts["objects"] > 10
    assert everything(tmp_path) == ["slide.geojson"], "nothing is left behind"
