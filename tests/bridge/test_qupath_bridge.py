"""The bridge and a real QuPath: the conformance suite, and each trap of plain paquo.

Needs paquo and a QuPath where paquo finds it; skipped with the reason otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    CancelToken,
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectTable,
    ObjectType,
    result_of,
)
from napari_histo.errors import (
    BridgeError,
    Cancelled,
    DocumentLockedError,
    TargetChangedError,
    WriteError,
)
from napari_histo.testing.project_bridge import CASES, ProjectBridgeConformance
from qupath_bridge._class_file import DEFAULT_CLASSES
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.safety import project_lock
from support.disks import mounted, needs_root_on_linux

pytestmark = [pytest.mark.qupath, pytest.mark.slow]


@pytest.fixture
def project(template, tmp_path):
    return Path(shutil.copytree(template, tmp_path / "project"))


@pytest.fixture
def bridge(project, processes):
    return QuPathBridge(project, client=processes[0], checker=processes[1])


@pytest.fixture
def entry(bridge):
    return bridge.images()[0]


class TestConformance(ProjectBridgeConformance):
    @pytest.fixture
    def bridge(self, project, processes):
        self.reader = QuPathBridge(project, client=processes[2])
        return QuPathBridge(project, client=processes[0], checker=processes[1])

    def again(self, bridge):
        return self.reader


def circles(n, radius=5.0):
    shapes = [shapely.Point(20 * i + 9, 9).buffer(radius) for i in range(n)]
    return ObjectTable.build(
        Contours.from_shapely(shapes), class_id=0, classes=ClassScheme.of("Tumor")
    )


def hashes(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def data_of(project, entry):
    return project / "data" / entry.entry_id / "data.qpdata"


# -- nothing is lost -----------------------------------------------------------------------------


def test_a_damaged_file_is_refused_and_left_alone(bridge, project, entry):
    bridge.write_objects(entry, circles(50))
    data = data_of(project, entry)
    data.write_bytes(data.read_bytes()[:-3000])
    before = hashes(project)
    with pytest.raises(BridgeError, match="cut short"):
        bridge.read_objects(entry)
    with pytest.raises(BridgeError, match="cut short"):
        bridge.write_objects(entry, circles(1))
    assert hashes(project) == before


def test_a_file_with_a_hole_is_refused(bridge, project, entry):
    bridge.write_objects(entry, circles(300))
    data = data_of(project, entry)
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2000] = bytes(2000)
    data.write_bytes(raw)
    with pytest.raises(BridgeError):
        bridge.write_objects(entry, circles(1))
    assert data.read_bytes() == raw


def test_reading_writes_nothing(bridge, project, entry):
    before = hashes(project)
    bridge.read_objects(entry)
    assert hashes(project) == before


def test_a_read_only_project_is_not_touched(bridge, project, entry):
    for path in (data_of(project, entry), project / "project.qpproj"):
        mode = path.stat().st_mode
        path.chmod(0o444)
        before = hashes(project)
        with pytest.raises(WriteError, match="read-only"):
            bridge.write_objects(entry, circles(1))
        assert hashes(project) == before
        path.chmod(mode)


def test_a_save_by_another_program_meanwhile_is_kept(bridge, project, entry):
    """At every step of the push, until the last one before the new file is put in place."""
    table = circles(3)
    bridge.write_objects(entry, table)
    data = data_of(project, entry)
    theirs = data.read_bytes()
    changed = table.with_columns(det_prob=np.float32([0.5, 0.5, 0.5]))
    n_steps, message = 0, ""
    while message != "Putting the new file in place":
        n_steps += 1
        work = bridge.writing(entry, changed)
        for _ in range(n_steps):
            message = next(work).message
        stamp = data.stat().st_mtime_ns
        os.utime(data, ns=(stamp, stamp + 1_000_000_000))
        with pytest.raises(TargetChangedError, match="meanwhile"):
            result_of(work)
        assert data.read_bytes() == theirs
    assert n_steps >= 5
    assert not list(project.rglob("*.lock"))
    assert not list(data.parent.glob(".napari-histo*"))


def test_two_writers_lose_nothing_of_each_other(bridge, project, entry, processes):
    other = QuPathBridge(project, client=processes[2], checker=processes[1])
    ours, theirs = circles(3), circles(4)
    result_of(processes[0].call("count", {"data": str(data_of(project, entry))}, limit_s=60))
    work = bridge.writing(entry, ours)
    assert next(work).message == "Reading objects"
    other.write_objects(entry, theirs)
    with pytest.raises(TargetChangedError):
        result_of(work)
    bridge.write_objects(entry, ours)
    assert sorted(other.read_objects(entry).uuids()) == sorted(ours.uuids() + theirs.uuids())


def kill(*clients):
    """End their processes as a crash would, and wait until they are gone."""
    for client in clients:
        if client.pid is not None:
            os.kill(client.pid, 9)
        while client.pid is not None:
            time.sleep(0.01)


def test_killed_in_every_phase_the_project_is_as_it_was(bridge, project, entry, processes):
    bridge.write_objects(entry, circles(5))
    data = data_of(project, entry)
    before = data.read_bytes()
    steps = [step.message for step in bridge.writing(entry, circles(7))]
    bridge.undo(entry)
    assert data.read_bytes() == before
    assert len(steps) >= 5
    for n in range(1, len(steps)):
        for client in processes[:2]:  # a start would be a step more
            result_of(client.call("count", {"data": str(data)}, limit_s=60))
        work = bridge.writing(entry, circles(7))
        for _ in range(n):
            next(work)
        kill(*processes[:2])
        with contextlib.suppress(BridgeError):
            result_of(work)
        # The old state, or the new one where the process that was killed had done its part.
        if data.read_bytes() != before:
            assert len(bridge.read_objects(entry)) == 12
            bridge.undo(entry)
        assert data.read_bytes() == before
        assert not list(data.parent.glob(".napari-histo*"))


DIES = """
import os, pickle, sys
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.client import Limits, WorkerClient
client = WorkerClient(limits=Limits(heap_mb=1000))
bridge = QuPathBridge(sys.argv[1], client=client)
for step in bridge.writing(bridge.images()[0], pickle.loads(sys.stdin.buffer.read())):
    if step.message == "Saving objects":
        print(client.pid, flush=True)
        os.kill(os.getpid(), 9)
"""


def test_our_own_process_killed_the_project_is_as_it_was_and_java_ends(bridge, project, entry):
    """While Java saves; each step without Java is in test_safety.py."""
    before = data_of(project, entry).read_bytes()
    command = [sys.executable, "-c", DIES, str(project)]
    table = pickle.dumps(circles(20_000))
    done = subprocess.run(command, input=table, stdout=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == -9
    assert data_of(project, entry).read_bytes() == before
    pid, until = int(done.stdout), time.monotonic() + 300
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/cmdline").exists()
    assert bridge.write_objects(entry, circles(2)).added == 2
    assert not list((project / "data").rglob(".napari-histo*"))


@needs_root_on_linux
def test_a_disk_that_fills_while_java_saves_is_said(template, tmp_path, processes, monkeypatch):
    monkeypatch.setattr("qupath_bridge.bridge.check_disk", lambda *_: None)
    with mounted(tmp_path / "disk", "size=400k") as disk:
        project = shutil.copytree(template, disk / "project")
        bridge = QuPathBridge(project, client=processes[0], checker=processes[1])
        before = hashes(project)
        with pytest.raises(WriteError, match=r"as it was.*[Ff]ree some space"):
            bridge.write_objects(bridge.images()[0], circles(2_000))
        assert hashes(project) == before


def test_cancelled_the_project_is_as_it_was(bridge, project, entry):
    cancel, before = CancelToken(), data_of(project, entry).read_bytes()
    work = bridge.writing(entry, circles(5), cancel=cancel)
    while next(work).message != "Saving objects":
        pass
    cancel.cancel()
    with pytest.raises(Cancelled):
        result_of(work)
    assert data_of(project, entry).read_bytes() == before


def test_undo_restores_the_bytes(bridge, project, entry):
    data = data_of(project, entry)
    bridge.write_objects(entry, circles(5))
    files = [data, data.with_name("summary.json")]
    before = [f.read_bytes() for f in files]
    bridge.write_objects(entry, circles(2), "replace")
    assert bridge.undo(entry)
    assert [f.read_bytes() for f in files] == before


def test_copies_are_kept_for_some_writes(project, processes, entry):
    bridge = QuPathBridge(project, client=processes[0], checker=processes[1], n_kept=2)
    for i in range(4):
        bridge.write_objects(entry, circles(i + 1))
    assert len(list((project / "napari-histo" / "before" / entry.entry_id).iterdir())) == 2


def test_two_of_us_do_not_write_at_once(bridge, project, entry):
    with project_lock(project), pytest.raises(DocumentLockedError, match="process"):
        bridge.write_objects(entry, circles(1))
    bridge.write_objects(entry, circles(1))


def test_objects_of_a_missing_image_are_read_and_written(bridge, project, entry, processes):
    """Its place in the project stays as it is, so that QuPath can still be told a new one."""
    bridge.write_objects(entry, circles(3))
    file = project / "project.qpproj"
    text = file.read_text()
    file.write_text(text.replace("slide%200.png", "gone.png"))
    before = bridge.read_objects(entry)
    assert len(before) == 3
    report = bridge.write_objects(entry, circles(2))
    assert (report.added, report.unchanged) == (2, 3)
    assert b"gone.png" in data_of(project, entry).read_bytes()
    file.write_text(text)
    other = QuPathBridge(project, client=processes[2])
    assert set(before.uuids()) < set(other.read_objects(entry).uuids())
    bridge.write_objects(entry, circles(1))
    assert bridge.project.entry(entry.entry_id).summary().n_objects == 6


def test_an_image_that_nothing_is_known_of_is_named(bridge, project, entry):
    bridge.write_objects(entry, circles(3))
    file = project / "project.qpproj"
    described = json.loads(file.read_text())
    for image in described["images"]:
        image["serverBuilder"]["uri"] = (project / "gone.png").as_uri()
        del image["serverBuilder"]["metadata"]
    file.write_text(json.dumps(described))
    before = data_of(project, entry).read_bytes()
    with pytest.raises(BridgeError, match=r"gone\.png"):
        bridge.write_objects(entry, circles(1))
    assert data_of(project, entry).read_bytes() == before


# -- hierarchy and classes -----------------------------------------------------------------------


def test_children_stay_with_a_changed_parent_and_rise_from_a_removed_one(bridge, entry):
    box = ObjectTable.build(
        Contours.from_shapely([shapely.box(0, 0, 200, 50)]), object_type=ObjectType.ANNOTATION
    )
    inside = circles(3)
    parent = box.uuid(0)
    inside = inside.with_columns(details={k: Details(parent_id=parent) for k in inside.uuids()})
    bridge.write_objects(entry, ObjectTable.concat([box, inside]))
    named = box.with_columns(details={parent: Details(name="new name")})
    assert bridge.write_objects(entry, named).changed == 1
    back = bridge.read_objects(entry)
    assert {back.details[k].parent_id for k in inside.uuids()} == {parent}
    assert back.details[parent].name == "new name"
    result_of(bridge.pushing(entry, box.select([]), box.object_id))
    back = bridge.read_objects(entry)
    assert sorted(back.uuids()) == sorted(inside.uuids())
    assert not back.details


def test_new_classes_reach_the_projects_list_and_its_colours_win(bridge, project, entry):
    bridge.write_objects(entry, circles(1).with_columns(classes=ClassScheme.of("Of the project")))
    rgb = bridge.project.classes.classes[-1].rgb
    new = ClassDef("New: Positive", (4, 5, 6))
    ours = ClassScheme((ClassDef("Of the project", (1, 2, 3)), new))
    bridge.write_objects(entry, circles(2).with_columns(classes=ours, class_id=np.int32([0, 1])))
    expected = DEFAULT_CLASSES.union([ClassDef("Of the project", rgb), new])
    assert bridge.project.classes == expected
    assert bridge.read_objects(entry).classes == expected


def test_the_summary_is_as_qupath_writes_it(bridge, project, entry):
    bridge.write_objects(entry, CASES["cell with nucleus"]())
    summary = bridge.project.entry(entry.entry_id).summary()
    assert summary.n_objects == 1
    data = data_of(project, entry)
    assert summary.timestamp_ms == data.stat().st_mtime_ns // 1_000_000


def test_a_real_project_of_0_2_is_read_with_ids_that_stay(data_dir, processes):
    """Its files hold no ids; QuPath would give others at each reading."""
    folder = data_dir / "qupath" / "projects"
    files = sorted(folder.glob("*v0.2.0*/**/project.qpproj"))
    if not files:
        pytest.skip(f"no project of QuPath 0.2 in {folder}")
    before = hashes(files[0].parent)
    old = QuPathBridge(files[0], client=processes[2], checker=processes[1])
    tables = [old.read_objects(entry) for entry in old.images()]
    assert sum(map(len, tables)) == 51
    assert [t.uuids() for t in tables] == [old.read_objects(e).uuids() for e in old.images()]
    assert hashes(files[0].parent) == before
