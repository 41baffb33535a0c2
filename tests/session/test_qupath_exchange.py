"""An exchange folder in the QuPath panel: no QuPath here, two scripts over there."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box
from napari_histo.errors import BridgeError
from napari_histo.session.qupath.controller import QuPathController
from napari_histo.session.qupath.exchange import open_any
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import Step, Sync
from napari_histo.session.qupath.words import project_facts, row_facts
from napari_histo.session.qupath.work import QuPathTools
from napari_histo.slides import open_slide
from napari_histo.store.geojson import read_geojson, write_geojson
from support.exchange import PROJECT_MS, StandIn
from support.fake_qupath import classed, project_with, squares
from support.inbox import Inbox
from support.qupath_projects import image, leaf, make_project

CLASSES = ("Tumor", "Stroma", "Necrosis")


def names(table):
    return dict(zip(table.uuids(), table.class_names, strict=True))


def made_at(file, moment_ms):
    """Give a project this time of creation, by which QuPath's projects are told apart."""
    words = json.loads(file.read_text()) | {"createTimestamp": moment_ms}
    file.write_text(json.dumps(words))


class Room:
    """A session with an exchange folder of two images, on a machine without QuPath."""

    def __init__(self, folder):
        self._inbox = Inbox()
        self.qupath = StandIn(folder / "exchange", "slide.tif", "other.tif", classes=CLASSES)
        pixels = np.full((256, 512, 3), 200, np.uint8)
        tifffile.imwrite(folder / "slide.tif", pixels, photometric="rgb")
        tools = QuPathTools(look_for_qupath=lambda: "No QuPath here.", data_folder=folder / "j")
        self.session = QuPathController(
            self._inbox, tools=tools, memory=Memory(folder / "memory.json")
        )
        self.state = self.session.state

    def wait(self, until):
        self._inbox.wait(until)

    def open(self, path=None):
        self.session.open_project(path or self.qupath.folder)
        self.wait(lambda: not self.state.is_listing)
        return self

    def look(self):
        """Twice: the list of images is read again where it changed."""
        for _ in range(2):
            self.session.look()
            self.wait(lambda: not self.session._lists.is_busy and not self.state.is_listing)

    def export(self, table):
        """QuPath's user made these objects of the first image, and exported them."""
        time.sleep(0.01)
        self.qupath.tables["1"] = table
        self.qupath.export()
        self.look()

    def bring(self, direction="sync"):
        self.session.compare(direction)
        self.wait(lambda: self.state.step is Step.IDLE)
        if self.state.preview is not None:
            self.session.write()
            self.wait(lambda: self.state.step is Step.IDLE)
        assert self.state.error == ""
        self.look()

    def relabel(self, i, name):
        write_geojson(self.row.file, classed(self.ours, i, name))
        self.look()

    @property
    def row(self):
        return self.state.row("1")

    @property
    def ours(self):
        return read_geojson(self.row.file)


@pytest.fixture
def room(tmp_path):
    room = Room(tmp_path)
    yield room
    room.session.close()


@pytest.fixture
def in_step(room):
    room.open().export(squares(5))
    room.bring()
    assert room.row.sync is Sync.IN_STEP
    return room


@pytest.mark.parametrize("name", ["", "exchange.json"], ids=["its folder", "its list"])
def test_an_exchange_folder_is_listed_and_nothing_is_missing_for_it(room, name):
    room.export(squares(3))
    room.open(room.qupath.folder / name)
    assert room.state.blocker == room.state.error == ""
    assert [row.sync for row in room.state.rows] == [Sync.NEW, Sync.MISSING]
    assert row_facts(room.row) == "not pulled yet · 3 objects"
    assert project_facts(room.state) == "exchange folder · 2 images · 1 not found"
    assert room.row.file == room.qupath.folder.parent / "slide.geojson"
    assert room.session.memory.recent == (room.qupath.folder / "exchange.json",)


def test_pull_brings_what_qupath_exported(room):
    room.open().export(squares(4))
    room.bring("pull")
    assert names(room.ours) == names(squares(4))
    assert room.row.sync is Sync.IN_STEP
    assert not list(room.qupath.folder.glob("to-qupath/*"))


def test_what_is_written_waits_until_the_import_script_ran(in_step):
    room = in_step
    room.relabel(0, "Necrosis")
    assert room.row.sync is Sync.HERE
    room.bring("push")
    assert "2 import" in room.state.notice
    assert room.row.sync is Sync.WAITING
    assert room.qupath.take() == []
    room.look()
    assert room.row.sync is Sync.QUPATH  # it exported: whether more is new, a sync tells
    room.bring()
    assert room.row.sync is Sync.IN_STEP
    assert names(room.qupath.tables["1"]) == names(room.ours)
    assert names(room.ours)[squares(5).uuid(0)] == "Necrosis"


def test_both_sides_meet_and_conflicts_are_asked(in_step):
    room = in_step
    room.relabel(0, "Necrosis")
    room.export(classed(room.qupath.tables["1"], 1, "Necrosis"))
    assert room.row.sync is Sync.BOTH
    room.bring()
    assert names(room.ours)[squares(5).uuid(1)] == "Necrosis"
    room.qupath.take()
    room.relabel(2, "Necrosis")
    room.export(classed(room.qupath.tables["1"], 2, "Stroma"))
    room.session.compare("sync")
    room.wait(lambda: room.state.preview is not None)
    assert room.state.preview.n_open == 1
    room.session.answer([squares(5).uuid(2)], "theirs")
    room.wait(lambda: room.state.preview.n_open == 0)
    room.session.write()
    room.wait(lambda: room.state.step is Step.IDLE)
    assert names(room.ours)[squares(5).uuid(2)] == "Stroma"


def test_undo_takes_both_sides_back(in_step):
    room = in_step
    room.relabel(0, "Necrosis")
    room.bring()
    assert room.row.can_undo
    room.session.undo()
    room.wait(lambda: room.state.step is Step.IDLE)
    assert "2 import" in room.state.notice
    room.qupath.take()
    assert names(room.qupath.tables["1"]) == names(squares(5))


def test_the_slide_opens_and_its_objects_are_pulled(room):
    slides, objects = [], []
    room.session.slide_ready.connect(slides.append)
    room.session.objects_ready.connect(objects.append)
    room.open().export(squares(4))
    room.session.open_image("1")
    room.wait(lambda: bool(objects))
    assert (slides[0].reader.info.width, slides[0].is_view) == (512, False)
    assert names(room.ours) == names(squares(4))
    slides[0].reader.close()


def test_a_slide_of_another_size_is_refused(room, tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "slide.tif", pixels, photometric="rgb")
    room.open()
    room.session.open_image("1")
    room.wait(lambda: bool(room.state.error))
    assert "30 x 20 px, but the project says 512 x 256 px" in room.state.error


def test_an_image_that_was_not_exported_says_so(room):
    path = room.qupath.folder / "exchange.json"
    words = json.loads(path.read_text())
    words["images"][0] |= {"file": None, "problem": "no reader takes it"}
    path.write_text(json.dumps(words))
    room.open()
    assert room.row.sync is Sync.UNEXPORTED
    assert "no reader takes it" in room.state.why_not


def test_a_folder_within_its_project_shows_what_the_project_knows(tmp_path):
    file = project_with(tmp_path / "p", "slide.tif")
    plain = leaf((tmp_path / "p" / "slide.tif").as_uri(), shape=(200, 300))
    turned = {"builderType": "rotated", "builder": plain, "rotation": "ROTATE_90"}
    make_project(file.parent, [image(1, turned, metadata={"Round": "2"})])
    made_at(file, PROJECT_MS)
    StandIn(file.parent / "exchange", "slide.tif")
    project = open_any(file.parent / "exchange")
    (entry,) = project.entries
    with project.open_image(entry, open_slide) as reader:
        assert (reader.info.width, reader.info.height) == (200, 300)
        assert reader.read(Box(0, 0, 4, 4), 0).shape == (4, 4, 3)
    assert entry.metadata == {"Round": "2"}


def test_another_project_around_the_folder_is_not_taken_for_its_own(tmp_path):
    made_at(project_with(tmp_path / "p", "slide.tif"), PROJECT_MS + 1)
    StandIn(tmp_path / "p" / "exchange", "slide.tif")
    project = open_any(tmp_path / "p" / "exchange")
    with pytest.raises(BridgeError, match="512 x 256"):
        project.open_image(project.entries[0], open_slide)
