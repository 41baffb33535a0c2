"""A session with a QuPath project, an Annotate panel, and an event loop to wait in."""

from __future__ import annotations

from functools import partial

import numpy as np

from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice
from napari_histo.session.annotate.document import Document
from napari_histo.session.qupath.controller import QuPathController
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import Step
from napari_histo.session.qupath.work import QuPathTools
from napari_histo.slides import ArrayReader
from napari_histo.store.geojson import read_geojson
from support.fake_qupath import FakeQuPath, project_with, squares
from support.inbox import Inbox


def look(table):
    """Ids with class and place."""
    rows = zip(table.uuids(), table.class_names, table.contours.bounds.tolist(), strict=True)
    return {key: (name, tuple(bounds)) for key, name, bounds in rows}


def named(table, i):
    """Class of the square number i."""
    return table.class_names[table.rows_of([squares(5).uuid(i)])[0]]


class Room:
    """A session with a project of two images, an Annotate panel, and an event loop to wait in."""

    def __init__(self, folder, blocker=""):
        self._inbox = Inbox()
        self.folder = folder
        self.file = project_with(folder / "p", "slide.tif", "other.tif")
        self.qupath = FakeQuPath(self.file)
        journals = folder / "journals"
        document = partial(Document.open, data_folder=journals)
        self.desk = AnnotationController(self._inbox, AnnotationTools(None, document))
        self.has_desk = True
        tools = QuPathTools(lambda _: self.qupath, lambda: blocker, data_folder=journals)
        memory = Memory(folder / "memory.json")
        self.session = QuPathController(
            self._inbox, lambda: self.desk if self.has_desk else None, tools, memory
        )
        self.state = self.session.state

    def wait(self, until):
        self._inbox.wait(until)

    def open(self):
        self.session.open_project(self.file)
        self.wait(lambda: not self.state.is_listing)
        return self

    def idle(self):
        self.wait(lambda: self.state.step is Step.IDLE)
        self.looked()

    def looked(self):
        self.wait(lambda: not self.session._lists.is_busy)
        self.session.look()
        self.wait(lambda: not self.session._lists.is_busy)

    def compare(self, direction="sync"):
        self.session.compare(direction)
        self.idle()
        return self.state.preview

    def write(self):
        self.session.write()
        self.idle()

    def bring(self, direction="sync"):
        if self.compare(direction) is not None:
            self.write()
        assert self.state.error == ""

    @property
    def row(self):
        return self.state.row("1")

    @property
    def ours(self):
        return read_geojson(self.row.file)

    def annotate(self):
        """Open the first image's objects in the Annotate panel."""
        pixels = np.zeros((200, 300, 3), np.uint8)
        image = ImageChoice("layer", ArrayReader(pixels, name="slide.tif"))
        self.desk.open(image, target=self.row.file)
        self.wait(lambda: self.desk.state.is_open)

    def relabel(self, i, name):
        self.desk.select([squares(5).uuid(i)])
        self.desk.relabel(name)

    def back(self):
        """Wait until the Annotate panel has its document again."""
        self.wait(lambda: self.desk.state.is_open)
