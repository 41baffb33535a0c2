"""What a sync keeps on disk comes back to the bit, and takes the sync back."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from napari_histo.core import ObjectTable
from napari_histo.errors import ObjectsFileError
from qupath_bridge.snapshot import load_base, load_undo, save_base, save_undo
from qupath_bridge.sync import merge
from support.objects import assert_same_tables, tables
from support.sync import by_id, three_sides

in_folder = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_folder
@given(base=tables())
def test_a_base_keeps_every_bit(tmp_path, base):
    save_base(tmp_path / "base.parquet", base)
    back = load_base(tmp_path / "base.parquet")
    assert_same_tables(back, base)
    assert back.classes == base.classes, "unused classes, too"


@in_folder
@given(sides=three_sides())
def test_an_undo_from_disk_restores_every_bit(tmp_path, sides):
    done = merge(*sides, "copy")
    save_undo(tmp_path, done)
    undo = load_undo(tmp_path)
    assert_same_tables(undo.base, sides[0])
    ours, theirs = done.to_ours.apply(sides[1]), done.to_theirs.apply(sides[2])
    for restored, before in ((undo.ours.apply(ours), 1), (undo.theirs.apply(theirs), 2)):
        assert_same_tables(by_id(restored), by_id(sides[before]))
        assert restored.classes == sides[before].classes


def test_before_the_first_sync_the_base_is_empty(tmp_path):
    assert_same_tables(load_base(tmp_path / "none.parquet"), ObjectTable.empty())


def test_a_damaged_base_is_named(tmp_path):
    (tmp_path / "base.parquet").write_bytes(b"PAR1")
    with pytest.raises(ObjectsFileError, match=r"base\.parquet"):
        load_base(tmp_path / "base.parquet")
