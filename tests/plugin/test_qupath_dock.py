"""The QuPath panel in a real window: open a project, open images, see and decide, sync."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.geometry import from_napari
from napari_histo.plugin.qupath.dock import QuPathDock
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.session import Tool
from napari_histo.session.qupath.desk import has_open
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import Step, Sync
from napari_histo.session.qupath.work import QuPathTools
from napari_histo.store.geojson import read_geojson, write_geojson
from support.exchange import StandIn
from support.fake_qupath import FakeQuPath, classed, project_with, squares
from support.mouse import settle
from support.qupath_projects import folder_hash, image, leaf, make_project, save_data

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(viewer):
    viewer.window.resize(1000, 700)
    return viewer


class Panel:
    """The panel with a project, and a hand on it."""

    def __init__(self, viewer, qtbot, folder, blocker=""):
        self.viewer, self.qtbot = viewer, qtbot
        self.file = project_with(folder / "lung", "slide.tif", "other.tif")
        self.qupath = FakeQuPath(self.file)
        tools = QuPathTools(lambda _: self.qupath, lambda: blocker, data_folder=folder / "journals")
        self.dock = QuPathDock(viewer, tools, Memory(folder / "memory.json"))
        self.place = viewer.window.add_dock_widget(self.dock, name="QuPath project")
        self.form, self.session = self.dock.form, self.dock.controller
        self.state = self.session.state

    def until(self, done):
        self.qtbot.waitUntil(done)
        settle(20)

    def open(self, file=None):
        self.session.open_project(file or self.file)
        self.until(lambda: not self.state.is_listing)
        return self

    def idle(self):
        self.until(lambda: self.state.step is Step.IDLE)

    def look(self):
        self.session.look()
        self.until(lambda: not self.session._lists.is_busy)

    def double_click(self, i=0):
        images = self.form.browse.images
        at = images.visualRect(images.model().index(i, 0)).center()
        left = Qt.MouseButton.LeftButton
        for click in (QTest.mouseClick, QTest.mouseDClick):
            click(images.viewport(), left, Qt.KeyboardModifier.NoModifier, at)

    def open_image(self, i=0):
        """As the user does; wait until its objects can be edited."""
        self.double_click(i)
        # Not the ones before: they stay open until the image has come.
        self.until(lambda: has_open(self.desk, self.state.rows[i].file))
        settle(30)

    @property
    def annotate(self) -> AnnotateDock | None:
        return annotate_dock(self.dock.viewer)

    @property
    def desk(self):
        return None if self.annotate is None else self.annotate.controller

    def press(self, name):
        self.form.browse.buttons[name].click()
        self.idle()

    def write(self):
        self.form.preview.write_button.click()
        self.idle()
        self.until(lambda: self.desk is None or self.desk.state.is_open)


@pytest.fixture
def panel(viewer, qtbot, tmp_path):
    panel = Panel(viewer, qtbot, tmp_path)
    yield panel
    if panel.desk is not None:
        panel.desk.close()
    panel.session.close()
    settle(20)


@pytest.fixture
def opened(panel):
    """The first image is open with its five objects."""
    panel.qupath.save(squares(5))
    panel.open().open_image()
    panel.look()
    return panel


def test_a_project_is_listed_and_filtered(panel):
    assert "Open a QuPath project" in panel.form.message.text()
    panel.qupath.save(squares(3), "2")
    panel.open()
    images = panel.form.browse.images
    assert images.keys == ["1", "2"]
    assert panel.form.facts.text() == "QuPath 0.5.1 · 2 images"
    assert panel.form.project_box.currentText() == "lung"
    for words, keys in (("SLIDE", ["1"]), ("not pulled", ["2"]), ("other 3 det", ["2"]), ("", 2)):
        panel.form.browse.filter.setText(words)
        assert images.keys == keys or len(images.keys) == keys
    panel.form.browse.filter.setText("[")
    assert images.keys == []


def test_a_double_click_opens_the_slide_with_its_objects_and_their_ids(opened):
    names = [layer.name for layer in opened.viewer.layers]
    assert names[0] == "slide"
    assert opened.desk.state.kept.target == opened.file.parent / "slide.geojson"
    assert set(opened.desk.objects.table().uuids()) == set(squares(5).uuids())
    assert opened.desk.state.tool is Tool.PICK
    assert opened.state.row("1").sync is Sync.IN_STEP
    assert opened.dock.isVisible()  # not behind the new panel
    before = opened.viewer.layers[0].unique_id
    opened.open_image()
    assert opened.viewer.layers[0].unique_id == before


def test_another_image_takes_the_place_of_the_one_before(opened):
    opened.qupath.save(squares(2, y=60), "2")
    opened.look()
    opened.open_image(1)
    opened.until(lambda: opened.desk.state.counts and len(opened.desk.objects) == 2)
    layers = opened.viewer.layers
    assert [layer.name for layer in layers if layer.visible and layer.name == "slide"] == []
    assert layers["other"].visible
    assert opened.desk.state.notice == ""
    opened.until(lambda: len(layers) == 3)  # what was hidden left in calm moments
    assert layers[0].name == "other"


@pytest.mark.parametrize("objects", ["come first", "come too late"])
def test_an_image_that_is_opened_again_at_once_stays(opened, calm, objects):
    calm.hold()
    before = opened.viewer.layers[0].unique_id
    if objects == "come first":
        opened.open_image(1)
    else:
        opened.double_click(1)
        opened.until(lambda: opened.dock.view.image("2") is not None)
    opened.open_image(0)
    calm.go_on()
    opened.until(lambda: len(opened.viewer.layers) == 3)
    assert opened.dock.view.image("1").visible
    names = [layer.name for layer in opened.viewer.layers]
    assert names[0] == "slide"
    assert "other" not in names
    assert opened.viewer.layers[0].unique_id == before


def test_an_image_that_is_open_already_goes_on_as_it_was(opened):
    opened.desk.select([squares(5).uuid(0)])
    opened.desk.relabel("Necrosis")
    ready = []
    opened.session.objects_ready.connect(ready.append)
    opened.double_click(0)
    opened.until(lambda: bool(ready))
    opened.until(lambda: opened.dock._coming is None)
    assert opened.desk.state.is_open
    assert opened.desk.state.undo_name == "Relabel"
    assert opened.desk.state.selection == (squares(5).uuid(0),)


def while_it_is_shown(panel, monkeypatch, call, done):
    """Let a call happen while napari adds the next image: napari lets Qt's events run then."""
    add = panel.dock.view._add

    def slowly(slide):
        monkeypatch.setattr(panel.dock.view, "_add", add)
        call()
        panel.until(done)
        settle(200)  # longer than the panel waits until it shows what came
        return add(slide)

    monkeypatch.setattr(panel.dock.view, "_add", slowly)


def test_the_image_that_was_chosen_last_is_shown_though_another_was_still_coming(
    opened, monkeypatch, calm
):
    calm.hold()
    while_it_is_shown(
        opened,
        monkeypatch,
        lambda: opened.session.open_image("1"),
        lambda: opened.dock._coming.row.key == "1",
    )
    opened.double_click(1)
    opened.until(lambda: opened.dock.view.image("1") is not None)
    opened.until(lambda: has_open(opened.desk, opened.state.row("1").file))
    calm.go_on()
    opened.until(lambda: len(opened.viewer.layers) == 3)
    assert next(layer.name for layer in opened.viewer.layers if layer.visible) == "slide"


def test_an_image_of_the_project_before_does_not_come_late(opened, monkeypatch, calm, tmp_path):
    other = project_with(tmp_path / "colon", "polyp.tif")
    calm.hold()

    def is_there():
        return opened.state.project.file == other

    while_it_is_shown(opened, monkeypatch, lambda: opened.session.open_project(other), is_there)
    opened.double_click(1)
    opened.until(lambda: is_there() and not opened.state.is_listing)
    opened.until(lambda: not opened.dock._is_showing)
    visible = [layer.name for layer in opened.viewer.layers if layer.visible]
    assert visible == ["slide · marks · closed"]  # which is empty
    assert opened.dock.view.image("2") is None
    calm.go_on()
    opened.until(lambda: len(opened.viewer.layers) == 0)


def test_objects_that_were_still_being_read_do_not_come_over_the_next_image(opened, monkeypatch):
    going, read = threading.Event(), opened.desk._open_document

    def slowly(target, *args, **kwargs):
        if target == opened.state.row("2").file:
            going.wait(20)
        return read(target, *args, **kwargs)

    monkeypatch.setattr(opened.desk, "_open_document", slowly)
    titles = []
    opened.desk.state.events.is_open.connect(
        lambda is_open: titles.append(opened.desk.state.image.reader.info.name if is_open else "")
    )
    opened.double_click(1)
    opened.until(lambda: "other" in opened.desk.state.image.reader.info.name)
    show = opened.dock.view.show
    monkeypatch.setattr(
        opened.dock.view, "show", lambda slide: (going.set(), settle(200), show(slide))
    )
    opened.open_image(0)
    assert titles == ["", opened.desk.state.image.reader.info.name]


def test_an_image_without_objects_begins_with_the_projects_classes(panel):
    folder = panel.file.parent / "classifiers"
    folder.mkdir()
    (folder / "classes.json").write_text('{"pathClasses": [{"name": "Gland", "color": -3670016}]}')
    panel.open().open_image()
    assert panel.desk.state.classes.names == ("Gland",)


def test_changes_are_shown_before_they_are_written_and_view_and_selection_stay(opened):
    desk = opened.desk
    desk.select([squares(5).uuid(0)])
    desk.relabel("Necrosis")
    opened.qupath.save(opened.qupath.table().select([0, 1, 2]))
    opened.press("sync")
    preview = opened.form.preview
    assert opened.form.pages.currentWidget() is preview
    texts = [cell.text() for cell in preview._cells[4:]]
    assert texts == ["Into napari", "–", "–", "2", "Into QuPath", "–", "1", "–"]
    assert not preview.conflicts.isVisible()
    camera = opened.viewer.scene.camera
    camera.center, camera.zoom = (0, 70, 90), 3.5
    opened.write()
    assert opened.form.pages.currentWidget() is opened.form.browse
    assert opened.desk.state.selection == (squares(5).uuid(0),)
    assert (tuple(camera.center[-2:]), camera.zoom) == ((70, 90), 3.5)
    assert len(opened.qupath.table()) == len(opened.desk.objects) == 3
    assert "in step now" in opened.form.message.text()


def test_a_conflict_is_looked_at_and_decided(opened):
    opened.desk.select([squares(5).uuid(2)])
    opened.desk.relabel("Necrosis")
    opened.qupath.save(classed(opened.qupath.table(), 2, "Stroma"))
    opened.press("sync")
    preview = opened.form.preview
    assert preview.conflicts_title.text() == "1 object was changed on both sides, 1 undecided"
    rows = preview.conflicts
    row = rows.model().index(0, 0)
    assert "class: Necrosis in napari, Stroma in QuPath" in row.data()
    preview.keep["ours"].click()
    settle(20)
    assert "Mark rows" in opened.form.message.text()
    QTest.mouseClick(
        rows.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
        rows.visualRect(row).center(),
    )
    settle(20)
    layer = opened.viewer.layers["slide"]
    middle = layer.world_to_data(opened.viewer.scene.camera.center[-2:])
    assert np.allclose(from_napari(middle), (85, 25), atol=0.6)
    assert opened.viewer.layers["in QuPath"].visible
    assert opened.viewer.layers.selection.active.name == "slide · objects"
    preview.keep["theirs"].click()
    opened.until(lambda: opened.state.preview.n_open == 0)
    opened.write()
    assert not opened.viewer.layers["in QuPath"].visible
    table = opened.desk.objects.table()
    assert table.class_names[table.rows_of([squares(5).uuid(2)])[0]] == "Stroma"


def test_all_conflicts_are_decided_at_once(opened):
    here, there = read_geojson(opened.state.row("1").file), opened.qupath.table()
    opened.desk.close()
    for i in range(4):
        here, there = classed(here, i, "Necrosis"), classed(there, i, ("Stroma", "Tumor")[i % 2])
    write_geojson(opened.state.row("1").file, here)
    opened.qupath.save(there)
    opened.press("sync")
    preview = opened.form.preview
    preview.all_box.setChecked(True)
    preview.keep["ours"].click()
    opened.until(lambda: opened.state.preview.n_open == 0)
    assert not preview.all_box.isChecked()
    preview.write_button.click()
    opened.idle()
    assert list(opened.qupath.table().class_names).count("Necrosis") == 4


def test_a_quiet_note_says_that_qupath_saved_and_pulls(opened):
    note = opened.form.browse.note
    assert not note.isVisible()
    opened.qupath.save(opened.qupath.table().select([0, 1]))
    opened.look()
    assert note.isVisible()
    assert "QuPath saved this image at" in note.text.text()
    note.button.click()
    opened.idle()
    opened.write()
    opened.look()
    assert not note.isVisible()
    assert len(opened.desk.objects) == 2


def test_without_qupath_the_image_opens_and_one_sentence_says_what_to_do(viewer, qtbot, tmp_path):
    panel = Panel(viewer, qtbot, tmp_path, "Install QuPath from qupath.github.io.")
    panel.open()
    assert not any(button.isEnabled() for button in panel.form.browse.buttons.values())
    assert panel.form.message.text() == "Install QuPath from qupath.github.io."
    assert panel.form.browse.buttons["sync"].toolTip() == panel.form.message.text()
    panel.open_image()
    assert panel.viewer.layers[0].name == "slide"
    panel.desk.close()


def test_the_window_lives_while_java_works_and_cancel_stops_it(opened):
    going, held = threading.Event(), threading.Event()

    def hold(_):
        held.set()
        going.wait(20)

    opened.qupath.hold = hold
    opened.form.browse.buttons["pull"].click()
    opened.until(held.is_set)
    progress = opened.form.progress
    assert progress.isVisible()
    assert "Pull of slide.tif: reading objects" in progress.text.text()
    opened.desk.select([squares(5).uuid(1)])  # annotating goes on
    opened.desk.relabel("Necrosis")
    progress.cancel_button.click()
    settle(20)
    assert not progress.cancel_button.isEnabled()
    going.set()
    opened.idle()
    assert opened.state.notice == "Stopped. Nothing was written."
    assert opened.desk.state.kept.n_unsaved == 1


def test_a_missing_slide_is_asked_for_and_then_opened(panel, tmp_path, monkeypatch):
    moved = tmp_path / "moved"
    moved.mkdir()
    (panel.file.parent / "slide.tif").rename(moved / "slide.tif")
    panel.open()
    answer = [str(panel.file), str(moved / "slide.tif")]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answer.pop(0), ""))
    panel.double_click()
    panel.until(lambda: bool(panel.state.error))
    assert "is not slide.tif" in panel.state.error
    panel.open_image()
    assert panel.viewer.layers[0].name == "slide"


def test_views_and_pngs_are_opened_as_qupath_shows_them(viewer, qtbot, tmp_path):
    from PIL import Image

    folder = tmp_path / "views"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "tile.png")
    plain = leaf((folder / "tile.png").as_uri(), shape=(40, 60))
    turned = {"builderType": "rotated", "builder": plain, "rotation": "ROTATE_90"}
    file = make_project(folder, [image(1, plain), image(2, turned)])
    panel = Panel(viewer, qtbot, tmp_path, "No QuPath.")
    panel.open(file)
    for i, expected in ((0, pixels), (1, np.rot90(pixels, -1))):
        panel.double_click(i)
        panel.until(lambda i=i: panel.state.opened == str(i + 1) and len(viewer.layers) > 2)
        panel.until(lambda: panel.desk.state.is_open)
        layer = viewer.layers[("image 1", "image 2")[i]]
        shown = np.asarray(layer.data[0] if layer.multiscale else layer.data)
        assert np.array_equal(shown[..., :3], expected)
    files = [row.file.name for row in panel.state.rows]
    assert files == ["tile (image 1).geojson", "tile (image 2).geojson"]
    panel.desk.close()


def test_small_pictures_come_from_a_thread(panel):
    from PIL import Image

    save_data(panel.file.parent, 1)
    Image.new("RGB", (40, 30), (255, 0, 0)).save(panel.file.parent / "data" / "1" / "thumbnail.jpg")
    panel.open()
    images = panel.form.browse.images
    row = panel.state.row("1")
    panel.until(lambda: images.rows.picture(row) is not None)
    assert images.rows.picture(row).width() > 40


def test_closing_the_panel_ends_java(opened):
    opened.viewer.window.remove_dock_widget(opened.dock)
    opened.until(lambda: opened.qupath.n_closed == 1)
    assert not opened.dock._watch.isActive()


def test_real_projects_are_listed_quickly_and_left_alone(panel, data_dir):
    files = sorted((data_dir / "qupath" / "projects").rglob("*.qpproj"))
    assert len(files) == 3
    for file in files:
        before = folder_hash(file.parent)
        start = time.perf_counter()
        panel.open(file)
        assert time.perf_counter() - start < 5
        assert len(panel.form.browse.images.keys) == len(panel.state.project.entries) > 0
        assert panel.state.error == ""
        panel.look()
        assert folder_hash(file.parent) == before


def test_an_exchange_folder_is_synced_without_qupath(viewer, qtbot, tmp_path):
    folder = tmp_path / "cohort" / "exchange"
    scripts = StandIn(folder, "slide.tif", classes=("Tumor", "Stroma", "Necrosis"))
    scripts.tables["1"] = squares(5)
    scripts.export()
    pixels = np.full((256, 512, 3), 200, np.uint8)
    tifffile.imwrite(folder.parent / "slide.tif", pixels, photometric="rgb")
    panel = Panel(viewer, qtbot, tmp_path, "No QuPath here.")
    panel.session._tools = QuPathTools(look_for_qupath=lambda: "No QuPath.", data_folder=tmp_path)
    panel.open(folder / "exchange.json")
    assert panel.form.project_box.currentText() == "cohort · exchange"
    assert all(button.isEnabled() for button in panel.form.browse.buttons.values())
    panel.open_image()
    assert len(panel.desk.objects) == 5
    panel.desk.select([squares(5).uuid(0)])
    panel.desk.relabel("Necrosis")
    panel.press("sync")
    panel.write()
    assert "2 import" in panel.form.message.text()
    assert scripts.take() == []
    assert list(scripts.tables["1"].class_names).count("Necrosis") == 1
    panel.desk.close()
    panel.session.close()


@pytest.mark.qupath
@pytest.mark.slow
def test_the_whole_circle_with_a_real_qupath(viewer, qtbot, tmp_path):
    """Pull by opening, draw here, sync, read back by QuPath in a new process."""
    import importlib.util
    import os
    import subprocess
    import sys
    from pathlib import Path

    from PIL import Image

    from qupath_bridge.bridge import QuPathBridge
    from qupath_bridge.locate import find_qupath

    install = find_qupath()
    if install is None or importlib.util.find_spec("paquo") is None:
        pytest.skip("needs paquo and a QuPath; PAQUO_QUPATH_DIR names its folder")
    Image.new("RGB", (64, 48), (220, 180, 210)).save(tmp_path / "tile.png")
    make = Path(__file__).parents[1] / "bridge" / "make_project_with_qupath.py"
    environment = {**os.environ, **install.environment(), "PAQUO_JAVA_OPTS": '["-Xmx1g"]'}
    words = [sys.executable, make, "make", tmp_path / "tile.png", tmp_path / "made"]
    subprocess.run(words, env=environment, check=True, capture_output=True, timeout=300)
    panel = Panel(viewer, qtbot, tmp_path / "unused")
    panel.session._tools = QuPathTools(look_for_qupath=lambda: "", data_folder=tmp_path)
    panel.open(tmp_path / "made")
    n = sum(panel.state.row("1").by_type.values())
    panel.double_click()
    qtbot.waitUntil(lambda: panel.desk is not None and panel.desk.state.is_open)
    ids = set(panel.desk.objects.table().uuids())
    assert len(ids) == n > 0
    panel.desk.select(sorted(ids)[:1])
    panel.desk.relabel("Necrosis")
    panel.form.browse.buttons["sync"].click()
    qtbot.waitUntil(lambda: panel.state.preview is not None or panel.state.error != "")
    panel.form.preview.write_button.click()
    qtbot.waitUntil(lambda: panel.state.step is Step.IDLE)
    assert panel.state.error == ""
    with QuPathBridge(tmp_path / "made", read_only=True) as bridge:
        table = bridge.read_objects(bridge.images()[0])
    assert set(table.uuids()) == ids
    assert table.class_names[table.rows_of(sorted(ids)[:1])[0]] == "Necrosis"
    panel.desk.close()
    panel.session.close()
