"""QuPath's Java process without Java: tables pickled between the marks of a data file."""

from __future__ import annotations

import json
import os
import pickle
from functools import reduce
from pathlib import Path
from uuid import UUID

from napari_histo.core import ObjectTable, Progress
from napari_histo.errors import BridgeError
from qupath_bridge import _transfer
from qupath_bridge.client import JavaError
from qupath_bridge.delta import Delta
from support.qupath_projects import QPDATA, image, leaf, make_project

HEAD, TAIL = QPDATA[:27], QPDATA[-6:]


class FakeJava:
    """Stands in for a `WorkerClient`; use with `plain_packets`."""

    pid = None

    def call(self, command, arguments, *, limit_s, cancel=None):
        yield Progress(0, 0, f"Java: {command}")
        try:
            return getattr(self, command)(**arguments)
        except OSError as error:
            raise JavaError("java.io.IOException", os.strerror(error.errno)) from error

    def kill(self):
        pass

    close = kill

    def read(self, data, classes, folder):
        pack(load(data)[0], Path(folder))
        return {"n_double_ids": 0}

    def count(self, data):
        return counted(load(data)[0])

    def marks(self, data):
        return {"marks": load(data)[1]}

    def write(self, project, entry, data, folder, removed, mark, new_data, new_summary):
        old, marks = load(data) if Path(data).exists() else (ObjectTable.empty(), "")
        upserts = unpack(Path(folder))
        gone = [UUID(text).bytes for text in removed]
        ids = old.object_id[[raw.tobytes() in gone for raw in old.object_id]]
        table = Delta(upserts, ids, old.classes.union(upserts.classes)).apply(old)
        save(Path(new_data), table, f"{mark} {marks}")
        timestamp = Path(new_data).stat().st_mtime_ns // 1_000_000
        hierarchy = {"nObjects": len(table) + 1, "objectTypeCounts": {"Root objects": 1}}
        summary = {"timestamp": timestamp, "imageType": "OTHER", "hierarchy": hierarchy}
        Path(new_summary).write_text(json.dumps(summary))
        n_added = len(table) - len(old) + len(ids)
        counts = {"added": n_added, "changed": len(upserts) - n_added, "removed": len(ids)}
        return {**counts, "unchanged": len(old) - len(ids), **counted(table)}


def load(path):
    """Objects and marks of a data file."""
    raw = Path(path).read_bytes()
    if not (raw.startswith(HEAD) and raw.endswith(TAIL)):
        raise BridgeError(f"{path} is damaged")
    return pickle.loads(raw[len(HEAD) :])


def save(path, table, marks=""):
    path.write_bytes(HEAD + pickle.dumps((table, marks)) + TAIL)


def counted(table):
    return {"n_objects": len(table), "id_sum": reduce(lambda a, b: a ^ b.int, table.uuids(), 0)}


def pack(table, folder):
    (folder / "table").write_bytes(pickle.dumps(table))


def unpack(folder, classes=None):
    table = pickle.loads((folder / "table").read_bytes())
    if classes is None:
        return table
    united = classes.union(table.classes)
    places = [united.index(name) for name in table.classes.names] + [-1]
    return table.with_columns(
        classes=united, class_id=table.class_id.dtype.type(places)[table.class_id]
    )


def plain_packets(monkeypatch):
    """Hand tables over whole, for no other program is to read them."""
    monkeypatch.setattr(_transfer, "pack", pack)
    monkeypatch.setattr(_transfer, "unpack", unpack)


def two_images(folder):
    """A project of two images without objects, whose files are not there."""
    builders = [leaf((folder / f"slide {i}.png").as_uri(), shape=(64, 64)) for i in (1, 2)]
    file = make_project(folder, [image(i + 1, b) for i, b in enumerate(builders)])
    for i in ("1", "2"):
        (folder / "data" / i).mkdir(parents=True)
        save(folder / "data" / i / "data.qpdata", ObjectTable.empty())
    return file.parent
