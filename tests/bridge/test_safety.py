"""Nothing is lost, whatever happens when: killed, full, read-only, renamed, deleted. No Java here.

The bridge's own steps are the real ones; only what Java does to a file is done by a stand-in.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings

import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, result_of
from napari_histo.errors import BridgeError, DocumentLockedError, HistoError, WriteError
from napari_histo.testing.project_bridge import ProjectBridgeConformance
from qupath_bridge import bridge as bridge_module
from qupath_bridge.bridge import QuPathBridge
from support.disks import mounted, needs_root_on_linux
from support.fake_java import FakeJava, plain_packets, save, two_images


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    plain_packets(monkeypatch)


def opened(project, **settings):
    return QuPathBridge(project, client=FakeJava(), checker=FakeJava(), **settings)


@pytest.fixture
def project(tmp_path):
    return two_images(tmp_path / "project")


@pytest.fixture
def bridge(project):
    return opened(project)


@pytest.fixture
def entry(bridge):
    return bridge.images()[0]


def circles(n, name="Tumor"):
    shapes = [shapely.Point(20 * i + 9, 9).buffer(5) for i in range(n)]
    return ObjectTable.build(
        Contours.from_shapely(shapes), class_id=0, classes=ClassScheme.of(name)
    )


def hashes(folder):
    """Of all files that QuPath knows."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and "napari-histo" not in str(p))
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def everything(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*")}


class TestConformance(ProjectBridgeConformance):
    @pytest.fixture
    def bridge(self, project):
        return opened(project)

    def again(self, bridge):
        return opened(bridge.project.file)


# -- killed, or refused by the disk, at every step -----------------------------------------------

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
REFUSED, BROKEN, NO_FAULT = 3, 4, 5
_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.utime"}


def is_write(event, arguments, folder):
    """Whether Python is about to change something in `folder`."""
    if not arguments or not str(arguments[0]).startswith(str(folder)):
        return False
    return event in _EVENTS or (event == "open" and bool((arguments[2] or 0) & _WRITES))


def with_fault(work, folder, step, fault):
    """Do `work` in a forked process with a fault at its `step`-th write; its exit status."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork, which this system has not")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of other threads, which are asleep
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    n = 0

    def hook(event, arguments):
        nonlocal n
        if is_write(event, arguments, folder):
            n += 1
            if n == step:
                fault()

    sys.addaudithook(hook)
    try:
        work()
    except HistoError:
        os._exit(REFUSED)
    except BaseException:
        os._exit(BROKEN)
    os._exit(0 if n >= step else NO_FAULT)


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def push(project):
    bridge = opened(project)
    bridge.write_objects(bridge.images()[0], circles(2, "Stroma"))


def undo(project):
    bridge = opened(project)
    bridge.undo(bridge.images()[0])


def n_objects(project):
    bridge = opened(project)
    return len(bridge.read_objects(bridge.images()[0]))


@pytest.mark.parametrize("fault", [kill, disk_full])
@pytest.mark.parametrize(("work", "old", "new"), [(push, 3, 5), (undo, 3, 0)])
def test_the_old_state_or_the_new_one_after_a_fault_at_any_step(
    project, tmp_path, work, old, new, fault
):
    bridge = opened(project)
    bridge.write_objects(bridge.images()[0], circles(3))
    before, statuses = hashes(project), []
    while NO_FAULT not in statuses:
        step = len(statuses) + 1
        copy = shutil.copytree(project, tmp_path / str(step))
        statuses.append(with_fault(lambda copy=copy: work(copy), copy, step, fault))
        after = hashes(copy)
        assert "data/1/data.qpdata" in after, step
        assert after["project.qpproj"] == before["project.qpproj"], step
        assert n_objects(copy) in (old, new), step
        classes = copy / "classifiers" / "classes.json"
        assert not classes.exists() or json.loads(classes.read_text()), step
        if statuses[-1] == REFUSED and work is push:
            assert after == before, step
        # Who comes next is not shut out, and clears what the dead one left.
        push(copy)
        assert not list(copy.rglob(".*")), step
    assert BROKEN not in statuses, statuses
    assert len(statuses) > 8


# -- other troubles ------------------------------------------------------------------------------


def test_a_read_only_project_is_not_touched(project):
    bridge = opened(project)
    (entry, _) = bridge.images()
    bridge.write_objects(entry, circles(3))
    for path in [project, project / "project.qpproj", project / "data/1/data.qpdata"]:
        mode = path.stat().st_mode
        path.chmod(mode & ~0o222)
        before = everything(project)
        with pytest.raises(WriteError, match=r"read-only.*work on a copy"):
            bridge.write_objects(entry, circles(1))
        with pytest.raises(WriteError, match="read-only"):
            bridge.undo(entry)
        assert everything(project) == before
        path.chmod(mode)


def test_a_project_opened_for_reading_is_not_touched(project, entry):
    before = everything(project)
    bridge = opened(project, read_only=True)
    with pytest.raises(WriteError, match="for reading"):
        bridge.write_objects(entry, circles(1))
    bridge.read_objects(entry)
    assert everything(project) == before


@needs_root_on_linux
@pytest.mark.parametrize("is_foreseen", [True, False])
def test_a_full_disk_is_said_and_changes_nothing(tmp_path, monkeypatch, is_foreseen):
    if not is_foreseen:  # another program filled it meanwhile
        monkeypatch.setattr(bridge_module, "check_disk", lambda *_: None)
    with mounted(tmp_path / "disk", "size=200k") as disk:
        bridge = opened(two_images(disk / "project"))
        (entry, _) = bridge.images()
        bridge.write_objects(entry, circles(3))
        before = hashes(disk / "project")
        with pytest.raises(WriteError, match=r"[Ff]ree some space"):
            bridge.write_objects(entry, circles(2_000))
        assert hashes(disk / "project") == before
        assert len(bridge.read_objects(entry)) == 3


def edit(project, change):
    """Edit the project file as QuPath's own save does: anew."""
    file = project / "project.qpproj"
    words = json.loads(file.read_text())
    change(words["images"])
    file.write_text(json.dumps(words))


def test_a_renamed_image_keeps_its_objects(project, bridge, entry):
    bridge.write_objects(entry, circles(3))
    edit(project, lambda images: images[0].update(imageName="another name"))
    assert bridge.write_objects(entry, circles(2)).added == 2
    assert bridge.images()[0].name == "another name"
    assert len(bridge.read_objects(bridge.images()[0])) == 5


@pytest.mark.parametrize("deed", ["read_objects", "write_objects", "undo"])
def test_a_deleted_image_is_named_and_nothing_is_made_in_its_place(project, bridge, entry, deed):
    bridge.write_objects(entry, circles(3))
    edit(project, lambda images: images.pop(0))
    before = everything(project)
    with pytest.raises(BridgeError, match=r"no image with the id 1.*removed"):
        getattr(bridge, deed)(*([entry, circles(1)] if deed == "write_objects" else [entry]))
    assert everything(project) == before


def test_an_image_deleted_meanwhile_is_not_written(project, bridge, entry):
    work = bridge.writing(entry, circles(3))
    next(work)
    shutil.rmtree(project / "data" / "1")
    edit(project, lambda images: images.pop(0))
    with pytest.raises(BridgeError):
        result_of(work)
    assert not (project / "data" / "1" / "data.qpdata").exists()


def test_doubled_ids_are_named(bridge, project, entry):
    once = circles(2)
    before = everything(project)
    with pytest.raises(BridgeError, match=f"{once.uuid(1)} stands twice"):
        bridge.write_objects(entry, ObjectTable.concat([once, once.select([1])]))
    assert everything(project) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(lambda raw: raw[:-9], "cut short", id="truncated"),
        pytest.param(lambda raw: b"", "empty", id="empty"),
        pytest.param(lambda raw: bytes(50) + raw[50:], "does not begin", id="overwritten"),
    ],
)
def test_damaged_data_are_refused_and_left_alone(project, bridge, entry, damage, said):
    bridge.write_objects(entry, circles(3))
    data = project / "data/1/data.qpdata"
    data.write_bytes(damage(data.read_bytes()))
    before = everything(project)
    for deed in (
        lambda: bridge.read_objects(entry),
        lambda: bridge.write_objects(entry, circles(1)),
    ):
        with pytest.raises(BridgeError, match=rf"data\.qpdata.*{said}.*backup copy"):
            deed()
    assert everything(project) == before


def test_fewer_objects_than_were_saved_is_damage(project, bridge, entry):
    bridge.write_objects(entry, circles(3))
    data = project / "data/1/data.qpdata"
    stamp = data.stat().st_mtime_ns
    save(data, circles(1))
    os.utime(data, ns=(stamp, stamp))
    with pytest.raises(BridgeError, match="saved 3 objects and 1"):
        bridge.read_objects(entry)


def test_a_lock_is_gone_with_its_process(project, bridge, entry):
    """Even one that was killed while it made the lock."""
    lock = project / "napari-histo" / "write.lock"
    lock.parent.mkdir()
    lock.write_text("")
    bridge.write_objects(entry, circles(1))
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(project)], stdout=subprocess.PIPE)
    assert holder.stdout.read(1)
    with pytest.raises(DocumentLockedError, match=rf"process {holder.pid}"):
        bridge.write_objects(entry, circles(2))
    holder.kill()
    holder.wait()
    holder.stdout.close()
    bridge.write_objects(entry, circles(2))
    assert len(bridge.read_objects(entry)) == 3


HOLD = """
import sys, pathlib, time
from qupath_bridge.safety import project_lock
with project_lock(pathlib.Path(sys.argv[1])):
    print("x", flush=True)
    time.sleep(60)
"""


def test_copies_are_kept_for_some_writes_and_undone_one_by_one(project):
    bridge = opened(project, n_kept=2)
    (entry, _) = bridge.images()
    for n in range(1, 5):
        bridge.write_objects(entry, circles(n))
    assert len(list((project / "napari-histo/before/1").iterdir())) == 2
    assert bridge.undo(entry)
    assert len(bridge.read_objects(entry)) == 6
