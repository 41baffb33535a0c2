"""Objects of an image on disk: nothing is lost, whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, Edit, ObjectTable
from napari_histo.errors import DocumentLockedError
from napari_histo.session.document import Document
from napari_histo.store import load_objects, save_objects
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
    assert_same_tables(again.table, ObjectTable.concat([relabelling(first).after, second]))


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
