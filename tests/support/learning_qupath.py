"""QuPath projects for learning projects, and who annotates there: with QuPath itself or not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import numpy as np
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.core.round_regions import REGION_CLASSES
from support.exchange import StandIn
from support.learning import SIDE, make_images
from support.qupath_projects import image, leaf
from support.qupath_projects import make_project as make_qupath

EDIT = Path(__file__).parents[1] / "bridge" / "edit_with_qupath.py"


def qupath_of(folder: Path, images, **more) -> Path:
    """A QuPath project, made without QuPath, of images that lie elsewhere."""
    entries = [
        image(i, leaf(path.as_uri(), shape=(SIDE, SIDE)), imageName=path.name, **more)
        for i, path in enumerate(images, start=1)
    ]
    return make_qupath(folder, entries)


class ByExchange:
    """Somebody whose QuPath is elsewhere: its scripts fill and take a folder in the project."""

    def __init__(self, folder: Path, n: int = 2) -> None:
        self.images = make_images(folder / "images", n)
        self.project = qupath_of(folder / "qupath", self.images)
        names = [path.name for path in self.images]
        self.there = StandIn(self.project.parent / "exchange", *names)

    def open(self, name: str) -> None:
        """Run the import script, and look at an image."""
        assert self.there.take() == []
        (self.key,) = [key for key, other in self.there.names.items() if other == name]

    @property
    def table(self) -> ObjectTable:
        return self.there.tables[self.key]

    def ids(self) -> set[UUID]:
        return set(self.table.uuids())

    def mark(self, key: UUID, name: str) -> None:
        """Give an object a class."""
        classes = self.table.classes.union(REGION_CLASSES).union(ClassScheme.of(name))
        class_id = self.table.class_id.copy()
        class_id[self.table.rows_of([key])] = classes.names.index(name)
        self.there.tables[self.key] = self.table.with_columns(classes=classes, class_id=class_id)

    def delete(self, key: UUID) -> None:
        rows = np.setdiff1d(np.arange(len(self.table)), self.table.rows_of([key]))
        self.there.tables[self.key] = self.table.select(rows)

    def reshape(self, key: UUID, *edges: float) -> None:
        """Make a rectangle (left, top, right, bottom) of an annotation."""
        shapes = self.table.to_shapely()
        shapes[self.table.rows_of([key])] = shapely.box(*edges)
        contours = Contours.from_shapely(shapes)
        self.there.tables[self.key] = self.table.with_columns(contours=contours)

    def draw(self, x: float, y: float) -> None:
        """A square annotation of 9 px."""
        drawn = ObjectTable.build(
            Contours.from_shapely([shapely.box(x, y, x + 9, y + 9)]),
            classes=ClassScheme(),
            object_type=ObjectType.ANNOTATION,
            state=ObjectState.DRAWN,
        )
        self.there.tables[self.key] = ObjectTable.concat([self.table, drawn])

    def save(self) -> None:
        """Run the export script."""
        self.there.export()


class QuPathWindow:
    """A QuPath in a process of its own; what it is told, it does by QuPath's own calls alone."""

    def __init__(self, environment) -> None:
        self._process = subprocess.Popen(
            [sys.executable, EDIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def __call__(self, *words):
        self._process.stdin.write(json.dumps(words, default=str) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class ByQuPath:
    """Somebody in a QuPath of its own, on a project that plain paquo made."""

    def __init__(self, project: Path, window: QuPathWindow) -> None:
        self.project = project / "project.qpproj"
        self._say = window

    def open(self, name: str) -> None:
        """Open the project anew, and look at an image."""
        words = json.loads(self.project.read_text())
        (key,) = [i["entryID"] for i in words["images"] if i["imageName"] == name]
        self._say("open", str(self.project), str(key))

    def ids(self) -> set[UUID]:
        return {UUID(key) for key in self._say("ids")}

    def mark(self, key: UUID, name: str) -> None:
        """Give an object a class."""
        self._say("classify", str(key), name)

    def delete(self, key: UUID) -> None:
        self._say("delete", str(key))

    def reshape(self, key: UUID, *edges: float) -> None:
        """Make a rectangle (left, top, right, bottom) of an annotation."""
        self._say("reshape", str(key), *edges)

    def draw(self, x: float, y: float) -> None:
        """A square annotation of 9 px."""
        self._say("add", x, y)

    def save(self) -> None:
        self._say("save")
