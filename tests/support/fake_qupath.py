"""A QuPath that lives in files: a project whose data look whole and hold Parquet inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_histo.core import ClassScheme, Contours, ObjectTable, Progress
from napari_histo.store.parquet import read_parquet, write_parquet
from qupath_bridge.delta import Delta
from qupath_bridge.project import open_project
from qupath_bridge.safety import EntryFacts
from support.qupath_projects import image, leaf, make_project

_HEAD, _END = b"\xac\xed\x00\x05w\x15\x00\x13Data file version 2", b"t\x00\x03EOF"
SCHEME = ClassScheme.of("Tumor", "Stroma", "Necrosis")
_SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)


def squares(n, *, y=20, classes=SCHEME):
    """Squares of 10 px in a row, with ids in ascending order."""
    at = np.stack([20 + np.arange(n) * 30, np.full(n, y)], axis=1)[:, None]
    ids = np.full((n, 16), y, np.uint8)
    ids[:, 0] = np.arange(n)
    contours = Contours.from_star((_SQUARE + at).astype(np.float32))
    return ObjectTable.build(contours, object_id=ids, class_id=np.arange(n) % 2, classes=classes)


def classed(table, row, name):
    """With another class for one row."""
    class_id = table.class_id.copy()
    class_id[row] = table.classes.names.index(name)
    return table.with_columns(class_id=class_id)


class FakeQuPath:
    """A `qupath_bridge.pair.SyncBridge`, and the person who works in QuPath.

    Attributes
    ----------
    hold : callable
        Called before each write, and before each read: a place for what happens meanwhile.
    """

    def __init__(self, file: Path) -> None:
        self.project = open_project(file)
        self.hold: Callable[[str], object] = lambda _: None
        self.n_writes, self.n_closed = 0, 0
        self._marks: dict[str, list[str]] = {}

    # -- the person ----------------------------------------------------------------------------

    def table(self, key="1"):
        """Objects of an image."""
        path = self._data(key)
        if not path.exists():
            return ObjectTable.empty(SCHEME)
        work = path.with_name("inside.parquet")
        work.write_bytes(path.read_bytes()[len(_HEAD) : -len(_END)])
        try:
            return read_parquet(work)
        finally:
            work.unlink()

    def save(self, table, key="1"):
        """Save an image, with its counts."""
        path = self._data(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        work = path.with_name("inside.parquet")
        write_parquet(work, table)
        path.write_bytes(_HEAD + work.read_bytes() + _END)
        work.unlink()
        counts = {"Root objects": 1, "Detections": len(table)}
        words = {
            "timestamp": path.stat().st_mtime_ns // 1_000_000,
            "hierarchy": {"nObjects": len(table) + 1, "objectTypeCounts": counts},
        }
        path.with_name("summary.json").write_text(json.dumps(words))

    def _data(self, key):
        return self.project.folder / "data" / key / "data.qpdata"

    # -- the bridge ----------------------------------------------------------------------------

    def close(self):
        self.n_closed += 1

    def facts(self, entry):
        return EntryFacts.of(self._data(entry.entry_id).parent)

    def reading(self, entry, cancel=None):
        yield Progress(0, 0, "Reading objects")
        self.hold("read")
        if cancel is not None:
            cancel.raise_if_cancelled()
        return self.table(entry.entry_id)

    def marks(self, entry, cancel=None):
        yield from ()
        return self._marks.get(entry.entry_id, [])

    def pushing(self, entry, upserts, removed, *, expected=None, mark="", cancel=None):
        yield Progress(0, 0, "Writing objects")
        self.hold("write")
        if cancel is not None:
            cancel.raise_if_cancelled()
        if expected is not None:
            expected.check_same(self._data(entry.entry_id).parent, entry.name)
        table = self.table(entry.entry_id)
        self.save(Delta(upserts, removed, table.classes).apply(table), entry.entry_id)
        self._marks.setdefault(entry.entry_id, []).insert(0, mark)
        self.n_writes += 1


def project_with(folder, *names, **more):
    """A project of images of 200 x 300 px that lie in its folder."""
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i, name in enumerate(names, start=1):
        rng = np.random.default_rng(i)
        pixels = rng.integers(180, 240, (200, 300, 3), np.uint8)
        tifffile.imwrite(folder / name, pixels, photometric="rgb")
        builder = leaf((folder / name).as_uri(), shape=(200, 300))
        entries.append(image(i, builder, imageName=name, **more))
    return make_project(folder, entries)
