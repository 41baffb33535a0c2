"""QuPath's part of an exchange folder, for machines without QuPath: what the two scripts do."""

from __future__ import annotations

import json
from hashlib import md5
from uuid import UUID

import numpy as np

from napari_histo.core import ClassDef, ClassScheme, ObjectTable
from napari_histo.store._geojson_write import feature_text
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.write import atomic_path
from qupath_bridge._align import ids_array
from qupath_bridge.delta import Delta, recoded

PROJECT_MS = 1_700_000_000_000


class StandIn:
    """A project in memory, its images "1", "2", … of the given names."""

    def __init__(self, folder, *names, classes=()):
        self.folder = folder
        self.names = {str(i + 1): name for i, name in enumerate(names)}
        self.classes = ClassScheme.of(*classes)
        self.tables = {key: ObjectTable.empty(self.classes) for key in self.names}
        self.marks = dict.fromkeys(self.names, ())
        (folder / "from-qupath").mkdir(parents=True)
        self.export()

    def export(self):
        """As the export script."""
        for key in self.names:
            self._export(key)
        images = [
            {
                "id": key,
                "name": name,
                "uri": f"file:///slides/{name}",
                "width": 512,
                "height": 256,
                "pixel_size_um": 0.5,
                "file": f"from-qupath/{key}.geojson",
                "n_objects": len(self.tables[key]),
                "problem": None,
            }
            for key, name in self.names.items()
        ]
        words = {
            "format": "napari-histo exchange 1",
            "project": {"name": "project", "uri": "file:///p", "created_ms": PROJECT_MS},
            "classes": [{"name": c.name, "color": c.rgb} for c in self.classes],
            "images": images,
        }
        with atomic_path(self.folder / "exchange.json") as work:
            work.write_text(json.dumps(words))

    def _export(self, key):
        table = self.tables[key]
        about = {
            "project": PROJECT_MS,
            "image": key,
            "marks": list(self.marks[key]),
            "prints": "".join(fingerprints(table).values()),
        }
        write_geojson(self.folder / "from-qupath" / f"{key}.geojson", table, about=about)

    def take(self):
        """As the import script, which ends with an export; ids that it left as they are."""
        refused = []
        for key in self.names:
            path = self.folder / "to-qupath" / f"{key}.geojson"
            if path.exists():
                refused += self._take(key, path)
        self.export()
        return refused

    def _take(self, key, path):
        writes = json.loads(path.read_text().split("\n")[0] + "]}")["napari-histo"]["writes"]
        table, wanted = self.tables[key], read_geojson(path)
        now, then = fingerprints(table), fingerprints(wanted)
        upserts, removed, refused = [], [], []
        for write in (w for w in writes if w["mark"] not in self.marks[key]):
            before = len(refused)
            for text, expected in zip(write["ids"], write["prints"], strict=True):
                one = UUID(text)
                if now.get(one) == then.get(one):
                    continue
                if now.get(one) != expected:
                    refused.append(one)
                elif one in then:
                    upserts.append(one)
                else:
                    removed.append(one)
            if len(refused) == before and not write["refused"]:
                self.marks[key] = (write["mark"], *self.marks[key])
        fresh = wanted.select(wanted.rows_of(upserts))
        self.classes = self.classes.union(fresh.classes)
        colours = {c.name: c.rgb for c in self.classes}
        classes = (ClassDef(c.name, colours[c.name]) for c in fresh.classes)
        fresh = fresh.with_columns(classes=ClassScheme(tuple(classes)))
        changed = Delta(fresh, ids_array(removed), self.classes).apply(recoded(table, self.classes))
        self.tables[key] = changed
        return refused


def fingerprints(table):
    """By id; without the colours of classes."""
    grey = tuple(ClassDef(c.name, (0, 0, 0)) for c in table.classes)
    table = table.with_columns(classes=ClassScheme(grey))
    texts = [feature_text(table.select([row]), None) for row in range(len(table))]
    prints = [md5(text).hexdigest()[:16] for text in texts]
    return dict(zip(table.uuids(), prints, strict=True))


def without(table, *rows):
    """The table without some rows."""
    return table.select(np.setdiff1d(np.arange(len(table)), rows))
