"""Files that other programs change, damage or wrote without ids: nothing is lost."""

from __future__ import annotations

import json
import os

import pytest

from napari_histo.core import Edit, ObjectTable
from napari_histo.errors import (
    ObjectsFileError,
    TargetChangedError,
)
from napari_histo.store import load_objects, save_objects
from support.documents import adding, crash, everything, squares
from support.objects import assert_same_tables


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
