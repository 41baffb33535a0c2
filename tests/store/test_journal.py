"""A journal gives back every edit to the bit, up to the damage, and says where that is."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import ClassScheme, Edit, ObjectTable
from napari_histo.errors import ObjectsFileError, WriteError
from napari_histo.store._journal_files import clear, journal_files
from napari_histo.store._journal_lines import last_unsaved, to_line
from napari_histo.store.journal import Journal, encode_rows
from napari_histo.store.journal_recovery import Recovered, Target, recover
from support.edits import Model
from support.objects import assert_same_tables, tables

NO_TARGET = Target(None, ObjectTable.empty)
slow_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, target: Target = NO_TARGET) -> Recovered:
    found = recover([folder], target)
    assert found is not None
    return found


def written(folder: Path, *edits: Edit, **options) -> Path:
    journal = Journal([folder], {"image": "slide"}, **options)
    for edit in edits:
        journal.append(edit)
    journal.close()
    return journal.path


def random_edits(n: int, seed: int = 0) -> list[Edit]:
    model, edits = Model(seed=seed), []
    for _ in range(n):
        edits.append(model.next_edit())
        model.do(edits[-1])
    return edits


# -- what goes in comes out ----------------------------------------------------------------------


@slow_folder
@given(before=tables(), after=tables())
def test_any_rows_come_back_to_the_bit(tmp_path, before, after):
    clear([tmp_path])
    none = ObjectTable.empty()
    written(tmp_path, Edit("a", none, before), Edit("b", before, none), Edit("c", none, after))
    found = read(tmp_path)
    assert found.revision == 3
    assert_same_tables(found.table, ObjectTable.concat([before.select([]), after]))


@slow_folder
@given(table=tables(min_size=1), other=tables(min_size=6), data=st.data())
def test_rows_that_change_in_place_give_what_differs(tmp_path, table, other, data):
    clear([tmp_path])
    n = len(table)
    donor = other.select(range(n)) if len(other) >= n else table
    fields = {
        "contours": donor.contours,
        "class_prob": donor.class_prob,
        "state": donor.state,
        "measurements": donor.measurements,
        "nuclei": donor.nuclei,
    }
    chosen = data.draw(st.sets(st.sampled_from(sorted(fields))))
    after = replace(table, **{name: fields[name] for name in chosen})
    path = written(tmp_path, Edit("a", ObjectTable.empty(), table), Edit("b", table, after))
    assert_same_tables(read(tmp_path).table, after)
    last = json.loads(path.read_text(encoding="utf-8").split("\n")[2])
    assert "removed" not in last
    assert set(last["columns"]) <= chosen


def test_rows_that_are_encoded_ahead_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_histo.store.journal._now", lambda: "now")
    edits = random_edits(60)
    plain = written(tmp_path / "plain", *edits).read_bytes()
    journal = Journal([tmp_path / "ahead"], {"image": "slide"})
    for edit in edits:
        journal.append(edit, encode_rows(edit))
    journal.close()
    assert journal.path.read_bytes() == plain


@pytest.mark.parametrize("seed", range(3))
def test_random_edits_make_what_the_model_makes(tmp_path, seed):
    model = Model(seed=seed)
    journal = Journal([tmp_path], {})
    for step in range(150):
        edit = model.next_edit()
        journal.append(edit)
        model.do(edit)
        if step % 40 == 39:
            journal.rotate()
        if step % 50 == 49:
            found = read(tmp_path)
            assert found.damage == []
            assert_same_tables(found.table, model.table())
            assert found.table.uuids() == model.table().uuids(), "the order stays"
    journal.close()


def test_undo_takes_back_what_was_done(tmp_path):
    edits = random_edits(40)
    path = written(tmp_path, *edits, *(edit.inverse for edit in reversed(edits)))
    assert len(path.read_bytes().splitlines()) == 81
    found = read(tmp_path)
    assert found.damage == []
    assert len(found.table) == 0
    assert found.table.classes == ClassScheme.of("Tumor", "Stroma")


def test_a_step_for_objects_that_are_not_there_does_not_stop_the_rest(tmp_path):
    model = Model().go_to(40)
    stranger, rows = Model(seed=9).go_to(40).table().select([0]), model.table()
    none = ObjectTable.empty()
    written(
        tmp_path,
        Edit("Click", none, rows),
        Edit("Merge", stranger, model.next_edit().after),
        Edit("Relabel", stranger, replace(stranger, state=np.zeros(1, np.uint8))),
        Edit("Delete", rows, none),
    )
    found = read(tmp_path)
    assert found.revision == 4
    assert found.damage == ["2 steps were for objects that are not there"]
    assert found.table.uuids() == [
        key for key in model.next_edit().after.uuids() if key not in rows.uuids()
    ]


def test_a_relabel_of_many_is_short(tmp_path):
    table = Model().go_to(120).table()
    after = replace(table, class_id=np.zeros(len(table), np.int32))
    journal = Journal([tmp_path], {})
    journal.append(Edit("Click", ObjectTable.empty(), table))
    whole = journal.size_bytes
    journal.append(Edit("Relabel", table, after))
    assert journal.size_bytes - whole < whole / 5
    journal.close()


def test_the_format_needs_no_program_of_ours(tmp_path):
    """As the documentation tells it; with the standard library alone."""
    path = written(tmp_path, *random_edits(5))
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        rest = line.split(",", 1)[1]
        assert json.loads(line)["crc32"] == f"{zlib.crc32(rest.encode()):08x}"
    head, *edits = map(json.loads, lines)
    assert (head["journal"], head["version"], head["revision"]) == ("napari-histo", 1, 0)
    assert [e["revision"] for e in edits] == [1, 2, 3, 4, 5]
    click = next(e for e in edits if e["name"] == "Click")
    assert click["columns"]["state"] == ["drawn"]
    assert len(click["columns"]["contours"]["xy"]) == 18


# -- files ---------------------------------------------------------------------------------------


def test_base_makes_older_files_needless(tmp_path):
    model = Model()
    journal = Journal([tmp_path], {})
    for n in (10, 20):
        while model.n_edits < n:
            edit = model.next_edit()
            journal.append(edit)
            model.do(edit)
        start = journal.rotate()
        table = model.table()
        edit = model.next_edit()
        journal.append(edit)  # while the base is being written
        model.do(edit)
        journal.write_base(table, start)
    journal.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "base-00000020.parquet",
        "edits-00000020.jsonl",
    ]
    found = read(tmp_path)
    assert (found.damage, found.revision) == ([], 21)
    assert_same_tables(found.table, model.table())


def test_an_older_base_never_replaces_a_newer_one(tmp_path):
    model = Model().go_to(10)
    journal = Journal([tmp_path], {})
    journal.append(Edit("Click", ObjectTable.empty(), model.table()))
    older = journal.start, ObjectTable.empty()
    newer = journal.rotate(), model.table()
    for start, table in (newer, older):
        journal.write_base(table, start)
    journal.close()
    assert [p.name for p in tmp_path.glob("base-*")] == ["base-00000001.parquet"]
    assert_same_tables(read(tmp_path).table, model.table())


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove files that are open")
def test_a_journal_that_somebody_removed_is_noticed(tmp_path):
    edits, told = random_edits(3), []
    journal = Journal([tmp_path / "a", tmp_path / "b"], {}, on_trouble=told.append)
    journal.append(edits[0])
    shutil.rmtree(tmp_path / "a")
    journal.append(edits[1])
    journal.close()
    assert journal.folder == tmp_path / "b"
    assert "was removed" in told[0]
    assert "save" in told[0]


def test_an_empty_file_is_not_left_for_another(tmp_path):
    journal = Journal([tmp_path], {})
    assert journal.rotate() == journal.rotate() == 0
    journal.close()
    assert len(journal_files([tmp_path])) == 1


def test_newer_format_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_histo.store.journal.FORMAT_VERSION", 2)
    written(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ObjectsFileError, match="newer version"):
        recover([tmp_path], NO_TARGET)


def test_a_place_that_fills_up_is_left_for_the_next(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    edits, told = random_edits(30), []
    journal = Journal([first, second], {}, on_trouble=told.append)
    fill_up(monkeypatch, journal, after_bytes=9000)
    for edit in edits:
        journal.append(edit)
    journal.close()
    assert journal.folder == second
    assert len(told) == 1
    assert str(second) in told[0]
    found = recover([first, second], NO_TARGET)
    assert (found.damage, found.revision) == ([], 30)
    assert_same_tables(found.table, Model().go_to(30).table())


def test_no_place_left_leaves_all_as_it_was(tmp_path, monkeypatch):
    edits = random_edits(30)
    journal = Journal([tmp_path / "only"], {})
    fill_up(monkeypatch, journal, after_bytes=9000)
    done = 0
    with pytest.raises(WriteError, match="Free some space"):
        for edit in edits:
            journal.append(edit)
            done += 1
    assert 0 < done < 30
    monkeypatch.undo()
    for edit in edits[done:]:
        journal.append(edit)
    journal.close()
    assert_same_tables(read(tmp_path / "only").table, Model().go_to(30).table())


def fill_up(monkeypatch, journal: Journal, after_bytes: int) -> None:
    """The disk of the journal's present file takes so many bytes more, then half a line."""
    full, real, left = journal._handle, os.write, [after_bytes]

    def write(handle: int, data: memoryview) -> int:
        if handle != full:
            return real(handle, data)
        if left[0] <= 0:
            raise OSError(28, "No space left on device")
        took = real(handle, data[: left[0]])
        left[0] -= took
        return took

    monkeypatch.setattr("os.write", write)


# -- damage --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[Path, bytes, list[ObjectTable]]:
    """A journal, its bytes, and the objects after each edit."""
    folder = tmp_path_factory.mktemp("small")
    n = 5
    path = written(folder, *random_edits(n, seed=3))
    return (
        path,
        path.read_bytes(),
        [
            ObjectTable.empty(),
            *(Model(seed=3).go_to(i).table() for i in range(1, n + 1)),
        ],
    )


def ends_of_lines(content: bytes) -> list[int]:
    return [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]


@pytest.mark.slow
def test_cut_at_every_byte(small):
    path, content, states = small
    ends = ends_of_lines(content)
    for size in range(len(content), -1, -1):
        os.truncate(path, size)
        found = read(path.parent)
        # A line that lacks its end alone is whole.
        whole = sum(end - 1 <= size for end in ends)
        assert found.revision == max(whole - 1, 0)
        assert bool(found.damage) == (size not in ends and size + 1 not in ends)
        assert_same_tables(found.table, states[found.revision])
    path.write_bytes(content)


@pytest.mark.slow
def test_every_byte_damaged(small):
    path, content, states = small
    ends = ends_of_lines(content)
    rng = np.random.default_rng(1)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        found = read(path.parent)
        assert found.revision == max(sum(end <= at for end in ends) - 1, 0), at
        assert found.damage, at
        assert_same_tables(found.table, states[found.revision])
    path.write_bytes(content)


@pytest.mark.parametrize("seed", range(4))
def test_garbage_is_told_not_raised(tmp_path, seed):
    rng = np.random.default_rng(seed)
    (tmp_path / "edits-00000000.jsonl").write_bytes(rng.bytes(2000))
    (tmp_path / "base-00000000.parquet").write_bytes(rng.bytes(2000))
    (tmp_path / "edits-x.jsonl").write_bytes(b"")
    found = read(tmp_path)
    assert len(found.damage) == 2
    assert len(found.table) == 0


def test_damaged_base_falls_back_on_the_target(tmp_path):
    model = Model(seed=5).go_to(30)
    start = model.table()
    journal = Journal([tmp_path], {}, began="target", saved={"abc": 0})
    journal.write_base(start, 0)
    model = Model(start, seed=6)
    for _ in range(10):
        edit = model.next_edit()
        journal.append(edit)
        model.do(edit)
    journal.close()
    base = tmp_path / "base-00000000.parquet"
    content = bytearray(base.read_bytes())
    content[len(content) // 2] ^= 1
    base.write_bytes(content)
    found = read(tmp_path, Target("abc", lambda: start))
    assert [d.split(":")[0] for d in found.damage] == [base.name]
    assert_same_tables(found.table, model.table())


def test_edits_are_done_on_whatever_the_target_is_where_all_else_is_gone(tmp_path):
    start = Model(seed=5).go_to(30).table()
    journal = Journal([tmp_path], {}, began="target", saved={"abc": 0})
    model = Model(start, seed=6)
    came = set()
    for _ in range(20):
        edit = model.next_edit()
        journal.append(edit)
        model.do(edit)
        came |= set(edit.after.uuids()) - set(start.uuids())
    journal.close()
    theirs = start.select(range(0, len(start), 2))
    found = read(tmp_path, Target("other", lambda: theirs))
    assert found.revision == 20
    assert "done on the file as it is" in found.damage[0]
    left = set(model.table().uuids())
    assert came & left <= set(found.table.uuids())
    assert set(theirs.uuids()) & left <= set(found.table.uuids())


def test_what_follows_damage_is_not_built_upon(tmp_path):
    journal = Journal([tmp_path], {})
    edits = random_edits(20)
    for i, edit in enumerate(edits):
        if i == 10:
            middle = journal.path
            journal.rotate()
        journal.append(edit)
    journal.close()
    os.truncate(middle, middle.stat().st_size - 40)
    found = read(tmp_path)
    assert found.revision == 9
    assert_same_tables(found.table, Model().go_to(9).table())
    assert "it ends within a step" in found.damage[0]
    assert "follows something that is missing" in found.damage[1]


HEAD = {"revision": 3, "saved": {"": 0, "aa": 2}}
EDITS = [{"revision": 4, "name": "Click", "at": "t4"}, {"revision": 5, "name": "Box", "at": "t5"}]
NEXT = {"revision": 5, "saved": {"": 0, "aa": 2}}
SAVED = {"saved": "bb", "revision": 5}


@pytest.mark.parametrize(
    ("files", "at"),
    [
        pytest.param([[]], None, id="empty file"),
        pytest.param([[HEAD]], None, id="nothing done"),
        pytest.param([[HEAD, *EDITS]], "t5", id="never saved"),
        pytest.param([[HEAD, *EDITS, {"saved": "bb", "revision": 4}]], "t5", id="one since"),
        pytest.param([[HEAD, *EDITS, SAVED]], None, id="all saved"),
        pytest.param([[HEAD, {"base": "x", "revision": 3}]], None, id="a base is no edit"),
        pytest.param([[HEAD, *EDITS], [NEXT]], "t5", id="killed before a save"),
        pytest.param([[HEAD, *EDITS], [NEXT, SAVED]], None, id="killed after a save"),
    ],
)
def test_what_was_not_saved(tmp_path, files, at):
    for number, records in enumerate(files):
        path = tmp_path / f"edits-{number:08d}.jsonl"
        path.write_bytes(b"".join(map(to_line, records)))
    found = last_unsaved([tmp_path])
    assert (found and found["at"]) == at
