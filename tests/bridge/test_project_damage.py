"""Whatever is broken in a project has one message, and a remedy in it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.errors import BridgeError
from qupath_bridge._qpdata import DataState
from qupath_bridge.project import open_project
from qupath_bridge.status import project_status
from support.qupath_projects import QPDATA, image, leaf, make_project, save_data

GOOD = json.dumps({"version": "0.5.1", "lastID": 1, "images": [image(1, leaf("file:/a.tif"))]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"\0" * 512, "is empty", id="zeros, after a crash"),
        pytest.param(GOOD[:-40].encode(), "cut short", id="truncated"),
        pytest.param(b"{'a': 1}", "is not JSON", id="not JSON"),
        pytest.param(b"\xff\xfe\x00{", "not UTF-8", id="other encoding"),
        pytest.param(b"[]", "not an object", id="a list"),
        pytest.param(b'{"version": "0.5.1", "images": 3}', "not a list", id="images a number"),
        pytest.param(b'{"version": "0.5.1", "images": [{}]}', "entryID", id="entry without an id"),
        pytest.param(b'{"version": "0.5.1", "images": [5]}', "TypeError", id="entry a number"),
        pytest.param(b'{"images": []}', "before 0.2", id="before 0.2"),
        pytest.param(b'{"version": "v0.2.0-m2", "lastID": 1}', "v0.2.0-m2", id="early 0.2"),
    ],
)
def test_damaged_project_file(tmp_path, text, words):
    file = tmp_path / "project.qpproj"
    file.write_bytes(text)
    with pytest.raises(BridgeError, match=words) as caught:
        open_project(tmp_path)
    assert str(file) in str(caught.value)


def test_qupaths_backup_is_named_where_there_is_one(tmp_path):
    (tmp_path / "project.qpproj").write_bytes(b"")
    (tmp_path / "project.qpproj.backup").write_text(GOOD)
    with pytest.raises(BridgeError, match=r"rename that to project\.qpproj"):
        open_project(tmp_path)


@pytest.mark.parametrize("name", [".", "project.qpproj"])
def test_the_moment_in_which_qupath_puts_a_new_project_file_in_place(tmp_path, name):
    (tmp_path / "project.qpproj.backup").write_text(GOOD)
    with pytest.raises(BridgeError, match=r"is saving .* just now, or was stopped"):
        open_project(tmp_path / name)


@given(st.integers(0, len(GOOD) - 1))
def test_a_project_cut_anywhere_is_refused(tmp_path_factory, n):
    file = tmp_path_factory.mktemp("cut") / "project.qpproj"
    file.write_text(GOOD[:n])
    with pytest.raises(BridgeError):
        open_project(file)


WRONG = [None, 0, -1.5, "x", "", [], [1], {}, {"a": 1}, [[]], float("nan"), float("inf"), True]
PLACES = [
    *((name,) for name in ("version", "uri", "createTimestamp", "lastID", "images")),
    *(("images", 0, name) for name in ("entryID", "imageName", "metadata", "tags", "description")),
    ("images", 0),
    ("images", 0, "serverBuilder"),
    *(("images", 0, "serverBuilder", name) for name in ("builderType", "uri", "args", "metadata")),
    *(("images", 0, "serverBuilder", "metadata", n) for n in ("width", "pixelCalibration")),
]


@settings(max_examples=200)
@given(st.sampled_from(PLACES), st.sampled_from(WRONG))
def test_any_wrong_value_is_told_or_does_no_harm(tmp_path_factory, place, value):
    folder = tmp_path_factory.mktemp("wrong")
    file = make_project(folder, [image(1, leaf("file:/a.tif", shape=(3, 4)), tags=["a"])])
    words = json.loads(file.read_text())
    at = words
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    file.write_text(json.dumps(words))
    with suppress(BridgeError):  # anything else is a bug
        json.dumps(project_status(open_project(folder)), allow_nan=False)


def test_a_byte_order_mark_is_no_damage(tmp_path):
    (tmp_path / "project.qpproj").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert len(open_project(tmp_path).entries) == 1


@pytest.mark.parametrize("name", ["nothing", "a file.txt/project.qpproj"])
def test_no_project_there(tmp_path, name):
    (tmp_path / "a file.txt").touch()
    with pytest.raises(BridgeError, match="no QuPath project at"):
        open_project(tmp_path / name)


def test_a_file_that_is_not_ours_to_read(tmp_path, monkeypatch):
    make_project(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(BridgeError, match="cannot be read: Permission denied"):
        open_project(tmp_path)


@pytest.fixture
def entry(tmp_path):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"))])
    save_data(tmp_path, 1)
    return open_project(tmp_path).entry("1")


def test_whole_data(entry):
    assert (entry.check_data().state, entry.check_data().message) == (DataState.SAVED, "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", r"is empty \(0 bytes\)", id="empty"),
        pytest.param(QPDATA[:-1], "cut short: after", id="one byte short"),
        pytest.param(QPDATA[:60], "cut short", id="cut early"),
        pytest.param(QPDATA[:-50] + b"\0" * 50, "cut short", id="zeros at the end"),
        pytest.param(QPDATA[:3], "does not begin", id="three bytes"),
        pytest.param(b"PK\x03\x04" + QPDATA, "does not begin", id="another format"),
        pytest.param(QPDATA[:4] + b"t\x00\x03EOF", "does not begin", id="other Java objects"),
    ],
)
def test_damaged_data(entry, data, words):
    entry.data_file.write_bytes(data)
    check = entry.check_data()
    assert check.state == DataState.DAMAGED
    assert re.search(words, check.message)
    assert str(entry.data_file) in check.message
    assert "put a backup copy" in check.message


@given(st.integers(0, len(QPDATA) - 1))
def test_data_cut_anywhere_are_damaged(tmp_path_factory, n):
    folder = tmp_path_factory.mktemp("cut")
    make_project(folder, [image(1, leaf("file:/a.tif"))])
    save_data(folder, 1, data=QPDATA[:n])
    assert open_project(folder).entry("1").check_data().state == DataState.DAMAGED


def test_real_data_are_whole_and_cut_ones_are_not(data_dir, tmp_path):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"))])
    entry = open_project(tmp_path).entry("1")
    for real in (data_dir / "qupath" / "projects").rglob("data.qpdata"):
        entry.folder.mkdir(parents=True, exist_ok=True)
        entry.data_file.write_bytes(real.read_bytes())
        assert entry.check_data().state == DataState.SAVED
        entry.data_file.write_bytes(real.read_bytes()[:-3])
        assert entry.check_data().state == DataState.DAMAGED


def test_states_without_data(tmp_path):
    make_project(tmp_path, [image(i, leaf("file:/a.tif")) for i in (1, 2, 3)])
    (tmp_path / "data" / "2").mkdir(parents=True)
    save_data(tmp_path, 3, n=12).unlink()
    absent, empty, lost = (e.check_data() for e in open_project(tmp_path).entries)
    assert [absent.state, empty.state] == [DataState.ABSENT, DataState.EMPTY]
    assert (absent.message, empty.message) == ("", "")
    assert lost.state == DataState.DAMAGED
    assert "is missing, though QuPath saved 12 objects" in lost.message


@pytest.mark.parametrize(
    ("data", "backup", "state", "words"),
    [
        pytest.param(QPDATA, QPDATA, DataState.SAVING, "look at it and save it", id="both whole"),
        pytest.param(QPDATA, b"", DataState.SAVING, "look at it and save it", id="backup broken"),
        pytest.param(QPDATA[:50], QPDATA, DataState.SAVING, "rename the backup", id="new cut off"),
        pytest.param(None, QPDATA, DataState.SAVING, "rename the backup", id="new not begun"),
        pytest.param(QPDATA[:50], b"", DataState.DAMAGED, "put a backup copy", id="both broken"),
    ],
)
def test_qupath_saving_just_now_or_cut_off(entry, data, backup, state, words):
    entry.data_file.with_name("data.qpdata.bkp").write_bytes(backup)
    entry.data_file.write_bytes(data) if data is not None else entry.data_file.unlink()
    check = entry.check_data()
    assert check.state == state
    assert words in check.message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"timestamp": "x"}', '{"hierarchy": {}}'])
def test_damaged_summary(entry, text):
    (entry.folder / "summary.json").write_text(text)
    with pytest.raises(BridgeError, match=r"summary\.json"):
        entry.summary()
    assert entry.check_data().state == DataState.DAMAGED


def test_problems_are_told_together_and_the_rest_is_read(tmp_path):
    make_project(tmp_path, [image(i, leaf("file:/a.tif")) for i in (1, 2, 2, 3)])
    save_data(tmp_path, 3, data=b"")
    (tmp_path / "classifiers").mkdir()
    (tmp_path / "classifiers" / "classes.json").write_text('{"pathClasses": [3]}')
    project = open_project(tmp_path)
    problems = list(project.problems())
    assert len(problems) == 3
    for words, problem in zip(["the id 2 to 2", "classes.json", "is empty"], problems, strict=True):
        assert words in problem
    assert [e.entry_id for e in project.entries] == ["1", "2", "2", "3"]
