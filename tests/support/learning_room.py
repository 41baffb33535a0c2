"""A session of an active-learning project with an Annotate panel, and a loop to wait in."""

from __future__ import annotations

from functools import partial

from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.query import QueryWish
from napari_histo.learning.rounds.work import work_file
from napari_histo.session import AnnotationController, AnnotationTools, ImageChoice
from napari_histo.session.annotate.document import Document
from napari_histo.session.learning.controller import LearningController
from napari_histo.session.learning.state import Task
from napari_histo.session.learning.work import LearningTools
from napari_histo.store.geojson import read_geojson
from support.inbox import Inbox
from support.learning import FAKES, make_project, making

__all__ = ["Room"]


class Room:
    """A session with a project, an Annotate panel, and an event loop to wait in."""

    def __init__(self, folder, tools=FAKES):
        self._inbox = Inbox()
        self.folder = folder
        journals = folder / "journals"
        document = partial(Document.open, data_folder=journals)
        self.desk = AnnotationController(self._inbox, AnnotationTools(None, document))
        self.session = LearningController(
            self._inbox,
            lambda: self.desk,
            LearningTools(making(tools), {"steps": 3}, journals),
        )
        self.state = self.session.state
        self.shown = []
        self.session.region_ready.connect(self.shown.append)

    def wait(self, until):
        self._inbox.wait(until)

    def idle(self):
        self.wait(lambda: self.state.task is Task.NONE)
        assert self.state.error == ""
        return self

    def files(self):
        self.wait(lambda: not self.session._files.is_busy)
        return self

    @property
    def project(self):
        return LearningProject(self.state.project.path)

    def open(self):
        self.session.open_project(make_project(self.folder).path)
        return self.idle()

    def begin(self):
        self.session.new_round(QueryWish("random"))
        return self.idle()

    def mark_all(self, status=QueryStatus.DONE):
        for row in self.state.regions:
            self.session.choose(row.region_id)
            self.session.mark(status)
        return self.files()

    def show(self, row):
        """Have a region's file opened in the Annotate panel, as the window does."""
        self.session.open_region(row.region_id)
        self.wait(lambda: self.shown)
        opened = self.shown.pop()
        choice = ImageChoice(opened.row.image, opened.reader)
        self.desk.open(choice, target=opened.file, image_path=opened.image_path)
        return opened

    def annotate(self, row):
        """The same, and wait until it is open."""
        opened = self.show(row)
        self.wait(lambda: self.desk.state.is_open)
        return opened

    def file(self, row):
        return work_file(self.project, row.number, row.image)

    def in_file(self, row):
        """Class that the file gives a region."""
        table = read_geojson(self.file(row))
        return table.class_names[table.rows_of([row.region_id])[0]]
