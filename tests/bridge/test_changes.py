"""What QuPath did since a snapshot is told from files alone."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest

from napari_histo.errors import BridgeError, WriteError
from qupath_bridge import changes as changes_module
from qupath_bridge.changes import FileFacts, ProjectChanges, Snapshot, changes_since
from qupath_bridge.project import open_project
from support.qupath_projects import QPDATA, folder_hash, image, leaf, make_project, save_data

LONG_AGO_NS = time.time_ns() - 3600 * 10**9
OTHER = QPDATA.replace(b"xxxx", b"yyyy")


def images(*ids: int, **more):
    return [image(i, leaf(f"file:/{i}.tif"), **more) for i in ids]


def age(path) -> None:
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


@pytest.fixture
def project(tmp_path):
    make_project(tmp_path, images(1, 2, 3))
    for i in (1, 2):
        age(save_data(tmp_path, i))
    return open_project(tmp_path)


@pytest.fixture
def snapshot(project, tmp_path):
    return Snapshot.of(project)


def since(snapshot: Snapshot, folder) -> ProjectChanges:
    return changes_since(snapshot, open_project(folder))


def test_nothing_happened(snapshot, tmp_path):
    assert since(snapshot, tmp_path) == ProjectChanges(untouched=("1", "2", "3"))


def add(folder):
    make_project(folder, images(1, 2, 3, 4))


def remove(folder):
    make_project(folder, images(1, 3))


def rename(folder):
    make_project(folder, [*images(1, 3), *images(2, imageName="new")])


def describe(folder):
    make_project(folder, [*images(1, 3), *images(2, description="new")])


def tag(folder):
    make_project(folder, [*images(1, 3), *images(2, tags=["new"])])


def move(folder):
    make_project(folder, [*images(1, 3), image(2, leaf("file:/moved/2.tif"))])


def reorder(folder):
    make_project(folder, images(3, 2, 1))


def save_other_size(folder):
    age(save_data(folder, 2, data=OTHER[:100] + OTHER))


def save_same_size(folder):
    save_data(folder, 2, data=OTHER)


def save_same_size_and_time(folder):
    age(save_data(folder, 2, data=OTHER, timestamp=6))


def save_same_bytes(folder):
    save_data(folder, 2)


def first_save(folder):
    save_data(folder, 3)


def lose_data(folder):
    (folder / "data" / "2" / "data.qpdata").unlink()


def damage_summary(folder):
    (folder / "data" / "2" / "summary.json").write_text("")


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param(add, {"added": ("4",)}, id="added"),
        pytest.param(remove, {"removed": ("2",)}, id="removed"),
        pytest.param(rename, {"renamed": ("2",)}, id="renamed"),
        pytest.param(describe, {"edited": ("2",)}, id="described"),
        pytest.param(tag, {"edited": ("2",)}, id="tagged"),
        pytest.param(move, {"edited": ("2",)}, id="moved"),
        pytest.param(reorder, {}, id="another order is no change"),
        pytest.param(save_other_size, {"changed": ("2",)}, id="saved, other size"),
        pytest.param(save_same_size, {"changed": ("2",)}, id="saved, same size"),
        pytest.param(save_same_size_and_time, {"changed": ("2",)}, id="only the summary tells"),
        pytest.param(save_same_bytes, {}, id="saved without a change"),
        pytest.param(first_save, {"changed": ("3",)}, id="first save"),
        pytest.param(lose_data, {"changed": ("2",)}, id="data deleted"),
        pytest.param(damage_summary, {}, id="a damaged summary changes no object"),
    ],
)
def test_what_happened(snapshot, tmp_path, act, expected):
    act(tmp_path)
    found = since(snapshot, tmp_path)
    others = {"added", "removed", "renamed", "edited", "changed"} - set(expected)
    assert {name: getattr(found, name) for name in expected} == expected
    assert all(getattr(found, name) == () for name in others)
    touched = {i for ids in expected.values() for i in ids}
    assert set(found.untouched) == {"1", "2", "3"} - touched


def test_several_things_at_once(snapshot, tmp_path):
    rename(tmp_path)
    save_same_size(tmp_path)
    found = since(snapshot, tmp_path)
    assert found.words_for("2") == ("renamed", "changed")
    assert found.words_for("1") == ("untouched",)


def test_only_what_moved_is_read(snapshot, tmp_path, monkeypatch):
    read: list[str] = []
    monkeypatch.setattr(
        changes_module.FileFacts, "of", classmethod(lambda cls, path: read.append(path.parent.name))
    )
    since(snapshot, tmp_path)
    assert read == []
    save_same_bytes(tmp_path)
    since(snapshot, tmp_path)
    assert read == ["2"]


def test_a_save_within_the_clocks_tick_is_seen(project, tmp_path):
    """Same size, same time, same summary: only the recent time of the file gives it away."""
    data = save_data(tmp_path, 2)
    snapshot = Snapshot.of(project)
    stamp = data.stat().st_mtime_ns
    data.write_bytes(OTHER)
    os.utime(data, ns=(stamp, stamp))
    assert since(snapshot, tmp_path).changed == ("2",)


def test_snapshot_comes_back_from_its_file(snapshot, tmp_path):
    snapshot.save(tmp_path / "s.json")
    assert Snapshot.load(tmp_path / "s.json") == snapshot
    assert json.loads((tmp_path / "s.json").read_text())["images"]["1"]["n_objects"] == 3
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_taking_a_snapshot_writes_nothing(project, tmp_path):
    before = folder_hash(tmp_path)
    Snapshot.of(project)
    assert folder_hash(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": "other"}', '{"format": "napari-histo project snap"}']
)
def test_damaged_snapshot(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(BridgeError, match="Take a new snapshot"):
        Snapshot.load(tmp_path / "s.json")


def test_damaged_image_in_a_snapshot(snapshot, tmp_path):
    snapshot.save(tmp_path / "s.json")
    words = json.loads((tmp_path / "s.json").read_text())
    words["images"]["1"]["data"] = {"size": 3}
    (tmp_path / "s.json").write_text(json.dumps(words))
    with pytest.raises(BridgeError, match="is damaged"):
        Snapshot.load(tmp_path / "s.json")


def test_snapshot_where_nothing_can_be_written(snapshot, tmp_path):
    with pytest.raises(WriteError, match="cannot be written"):
        snapshot.save(tmp_path / "not there" / "s.json")


def test_snapshot_of_another_project(snapshot, tmp_path):
    with pytest.raises(BridgeError, match="another project"):
        since(replace(snapshot, created_ms=1), tmp_path)


def test_doubled_ids_are_refused(tmp_path):
    make_project(tmp_path, images(1, 1))
    with pytest.raises(BridgeError, match="the id 1 to 2"):
        Snapshot.of(open_project(tmp_path))


def test_facts_of_no_file(tmp_path):
    assert FileFacts.of(tmp_path / "nothing") is None
