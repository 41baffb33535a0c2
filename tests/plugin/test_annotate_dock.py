"""The Annotate panel in a real window, under a real hand on the mouse."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
import shapely
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QColorDialog, QFileDialog, QInputDialog

from napari_histo.core import ClassDef, ClassScheme, Contours, ObjectState, ObjectTable
from napari_histo.plugin import objects_dock
from napari_histo.plugin.annotate.chips import free_colour
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.layers import add_objects
from napari_histo.session import AnnotationTools, Tool
from napari_histo.session.annotate.document import Document
from napari_histo.store import load_objects
from support.discs import RADIUS_PX, Discs
from support.mouse import Hand, settle

pytestmark = pytest.mark.gui

SHAPE = (300, 400)


@pytest.fixture
def viewer(viewer):
    viewer.window.resize(1000, 700)
    return viewer


@pytest.fixture
def engine():
    return Discs()


class Desk:
    """A panel on an image, and a hand on its canvas."""

    def __init__(self, viewer, engine, qtbot, image, folder):
        self.viewer, self.qtbot, self.image = viewer, qtbot, image
        document = partial(Document.open, data_folder=folder)
        self.dock = AnnotateDock(viewer, AnnotationTools(lambda reader, size: engine, document))
        viewer.window.add_dock_widget(self.dock, name="Annotate")
        self.form, self.state = self.dock.form, self.dock.controller.state

    def start(self):
        self.form.start.start_button.click()
        self.qtbot.waitUntil(lambda: self.state.is_open or bool(self.state.error))
        assert self.state.error == ""
        self.hand = Hand(self.viewer, self.image, self.qtbot)
        QApplication.sendEvent(self.hand.canvas, QEvent(QEvent.Type.Enter))
        self.viewer.reset_view()
        settle(30)
        return self

    @property
    def table(self):
        return self.dock.controller.objects.table()

    def done(self):
        """Wait for answers, and for the panel to say so."""
        self.qtbot.waitUntil(lambda: self.state.in_flight == 0)
        settle(10)

    def click(self, x, y, **how):
        self.hand.click(x, y, **how)
        self.done()

    def drag(self, *xy, **how):
        self.hand.drag(xy, **how)
        self.done()

    def press(self, *keys):
        for key in keys:
            self.hand.press(key)
        self.done()

    def undo(self):
        self.hand.press("Z", "ctrl")
        settle(5)

    def redo(self):
        self.hand.press("Z", "ctrl+shift")
        settle(5)

    def save(self):
        self.form.saving.save_button.click()
        self.qtbot.waitUntil(lambda: self.state.kept.n_unsaved == 0)
        settle(10)


@pytest.fixture
def picture(viewer, tmp_path):
    """An image with a file, so that its objects have a place too."""
    import tifffile

    path = tmp_path / "slide.tif"
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(40_000, 40_000), resolutionunit=3)
    (layer,) = viewer.open(path, plugin="napari-histo")
    return layer


@pytest.fixture
def desk(viewer, engine, qtbot, picture, tmp_path):
    desk = Desk(viewer, engine, qtbot, picture, tmp_path).start()
    yield desk
    desk.dock.controller.close()


def look(table):
    """Ids, classes and geometry, for comparing."""
    return {
        str(i): (name, tuple(map(tuple, shapely.get_coordinates(shape).tolist())))
        for i, name, shape in zip(table.uuids(), table.class_names, table.to_shapely(), strict=True)
    }


def test_a_whole_session(desk, picture, tmp_path):
    """Click, exclude, box, squiggle, merge, split, delete, relabel, undo, redo, save, reload."""
    looks = [look(desk.table)]

    def step(n, error=""):
        assert len(desk.table) == n, desk.state.notice
        assert desk.state.error == error
        looks.append(look(desk.table))

    desk.click(94, 60)
    step(1)
    assert abs(desk.table.areas_px[0] - np.pi * RADIUS_PX**2) < 3
    desk.click(87, 60, key="alt")
    step(1)
    assert desk.table.areas_px[0] < 0.8 * np.pi * RADIUS_PX**2
    desk.press("B")
    desk.drag((99, 40), (140, 80))
    step(2)
    desk.press("S")
    desk.drag((200, 50), (240, 60), (280, 50))
    step(3)
    desk.press("C")
    desk.click(120, 60)  # selects the box
    desk.click(96, 60, key="ctrl")
    assert len(desk.state.selection) == 2
    desk.press("M")
    step(2)
    desk.press("X")
    desk.drag((120, 30), (120, 90))
    step(3)
    desk.press("K")
    desk.click(240, 58)
    desk.press("Delete")
    step(2)
    desk.click(130, 60)
    desk.press("3")
    step(2)
    assert "Immune cells" in desk.table.class_names
    desk.press("P")
    desk.drag((300, 200), (330, 200))
    step(3)
    desk.press("O")
    step(3)
    assert len(looks) == 11

    for before in reversed(looks[:-1]):
        desk.undo()
        assert look(desk.table) == before
    assert not desk.form.strip.buttons["undo"].isEnabled()
    for after in looks[1:]:
        desk.redo()
        assert look(desk.table) == after

    desk.save()
    assert desk.form.saving.kept.text().startswith("all changes kept · saved ")
    assert look(load_objects(tmp_path / "slide.geojson")) == looks[-1]
    desk.form.close_button.click()
    assert desk.dock.scene is None
    assert desk.form.start.objects_box.currentText() == "slide.geojson"
    desk.start()
    assert look(desk.table) == looks[-1]


@pytest.mark.parametrize("multiscale", [False, True], ids=["plain", "multiscale"])
def test_outline_lies_where_the_click_was(viewer, engine, qtbot, tmp_path, placement, multiscale):
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    data = [pixels, pixels[::2, ::2], pixels[::4, ::4]] if multiscale else pixels
    image = viewer.add_image(data, rgb=True, multiscale=multiscale, **placement)
    desk = Desk(viewer, engine, qtbot, image, tmp_path).start()
    desk.form.fill_box.setCurrentIndex(1)
    at = desk.hand.screen(230.5, 120.5)
    desk.hand.click_screen(at)
    desk.done()
    centre = desk.table.centroids[0]
    zoom = np.abs(desk.hand.screen(1, 0) - desk.hand.screen(0, 0)).max()
    assert np.abs(centre - (230.5, 120.5)).max() <= max(0.5, 1 / zoom)
    # What the eye sees: the middle of what has the colour of the class.
    desk.dock.scene.marks.layer.visible = False
    for closer in (1, 4):
        viewer.scene.camera.center = image.data_to_world((120, 230)) / desk.hand.units()
        viewer.scene.camera.zoom *= closer
        settle(60)
        seen = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        y, x = np.nonzero((seen[..., 0] > 60) & (seen[..., 1] < 40))
        middle = np.array([x.mean() + 0.5, y.mean() + 0.5])
        half_px = 0.5 * max(zoom * closer, 1)
        assert len(x) > 10
        assert np.abs(middle - desk.hand.screen(*centre)).max() <= half_px + 0.5
    desk.dock.controller.close()


def test_refining_moves_the_selection_and_the_marks(desk):
    marks = desk.dock.scene.marks.layer
    desk.click(50, 50)
    assert len(desk.state.prompts) == 1
    few = len(marks.data)
    assert few > 4
    desk.click(60, 50, key="shift")
    desk.click(45, 50, button="right")
    assert [p.positive for p in desk.state.prompts] == [True, True, False]
    assert len(desk.table) == 1
    assert len(marks.data) > few
    desk.press("Escape")
    assert len(marks.data) == 0
    desk.click(150, 50)
    assert len(desk.table) == 2


def test_a_stroke_is_seen_while_it_is_drawn(desk):
    marks = desk.dock.scene.marks.layer
    for key, n in (("B", 4), ("S", 3), ("X", 3), ("P", 10), ("K", 4)):
        desk.press(key, "Escape")
        desk.hand.drag([(50, 50), (90, 70)], release=False)
        assert len(marks.data) >= n, key
        desk.hand.let_go(desk.hand.screen(90, 70))
        desk.done()
        desk.press("Escape")
        assert len(marks.data) == 0, key


def test_picking_paints_nothing_and_painting_elsewhere_is_another_object(desk):
    desk.click(50, 50)
    desk.click(90, 50)
    desk.press("K")
    desk.drag((30, 30), (120, 80))
    assert len(desk.state.selection) == 2
    assert "2 selected" in desk.form.strip.hint.text()
    desk.press("P")
    desk.drag((200, 200), (220, 200))
    assert len(desk.table) == 3
    desk.drag((215, 195), (215, 230))
    assert len(desk.table) == 3
    area = desk.table.areas_px.max()
    desk.drag((210, 215), (220, 215), key="alt")
    assert len(desk.table) == 3
    assert desk.table.areas_px.max() < area


def test_brush(desk):
    strip = desk.form.strip
    assert not strip.brush_row.isVisible()
    strip.buttons["paint"].click()
    settle(10)
    assert desk.state.tool is Tool.PAINT
    assert strip.brush_row.isVisible()
    before = desk.state.brush_px
    desk.press("BracketRight")
    assert desk.state.brush_px > before
    desk.press("BracketLeft", "BracketLeft")
    assert desk.state.brush_px < before
    assert strip.brush_size.text().endswith("µm")
    strip.brush.setValue(strip.brush.maximum())
    settle(10)
    assert desk.state.brush_px > 100
    assert desk.dock.scene.layer.cursor == "circle"


def test_hover_tells_class_area_and_score(desk, viewer):
    desk.click(50, 50)
    desk.hand.hover(150, 150)
    desk.hand.hover(51, 51)
    desk.qtbot.waitUntil(lambda: "Tumor" in str(viewer.status))
    area = desk.table.areas_px[0] * 0.25**2
    assert f"{area:.3g} µm² · score 0.75" in str(viewer.status)
    # As napari says it in a window that is in front.
    layer, place = desk.dock.scene.layer, viewer.cursor.position
    viewer.status = layer.get_status(place, view_direction=None, dims_displayed=[0, 1], world=True)
    assert viewer.status["coordinates"].endswith(f"]  Tumor · {area:.3g} µm² · score 0.75")
    desk.hand.hover(150, 150)
    desk.qtbot.waitUntil(lambda: "Tumor" not in str(viewer.status))


def test_classes(desk, monkeypatch, tmp_path):
    chips = desk.form.chips
    assert list(chips.chips) == ["Tumor", "Stroma", "Immune cells", "Necrosis", "Other"]
    assert chips.chips["Tumor"].isChecked()
    desk.click(50, 50)
    desk.press("2")
    assert desk.table.class_names.tolist() == ["Stroma"]
    assert chips.chips["Stroma"].text() == "2  Stroma  1"
    assert chips.chips["Stroma"].isChecked()

    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("Mitosis", True))
    chips.ask_name()
    settle(10)
    assert chips.chips["Mitosis"].text() == "6  Mitosis  0"
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("Fibrous", True))
    chips.ask_new_name(desk.state.classes[1])
    settle(10)
    assert desk.table.class_names.tolist() == ["Fibrous"]
    from qtpy.QtGui import QColor

    monkeypatch.setattr(QColorDialog, "getColor", lambda *a, **k: QColor(1, 2, 3))
    chips.ask_colour(desk.state.classes[1])
    settle(10)
    assert desk.state.classes[1].rgb == (1, 2, 3)
    file = tmp_path / "classes.json"
    file.write_text('{"pathClasses": [{"name": "Nerve", "color": -65536}]}')
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(file), ""))
    chips.import_wanted.emit()
    settle(10)
    assert desk.state.classes.classes[-1].rgb == (255, 0, 0)
    for _ in range(4):
        desk.undo()
    assert desk.state.classes.names == ("Tumor", "Stroma", "Immune cells", "Necrosis", "Other")


def test_new_classes_get_colours_of_their_own():
    scheme = ClassScheme.of("Tumor", "Stroma", "Immune cells", "Necrosis", "Other")
    for name in ("Mitosis", "Plasma cell", "Neutrophil", "Eosinophil", "Macrophage", "Nerve"):
        colour = free_colour(name, scheme)
        assert colour not in {item.rgb for item in scheme}
        scheme = scheme.union([ClassDef(name, colour)])
    assert free_colour("Nucleus", scheme) == ClassDef.named("Nucleus").rgb
    many = ClassScheme.of(*(str(i) for i in range(60)))
    assert free_colour("Nucleus", many) == ClassDef.named("Nucleus").rgb


def test_edits_draw_no_warnings_and_napari_tells_none_of_its_own_keys(desk, viewer):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        desk.click(50, 50)
    assert not [w for w in caught if "Private attribute" in str(w.message)]
    layer = desk.dock.scene.layer
    for mode in ("transform", "pan_zoom"):
        layer.mode = mode
        assert "move the view" in viewer.help
        assert "<1>" not in viewer.help


def test_unknown_pixel_size_is_told_before_the_start(viewer, engine, qtbot, picture, tmp_path):
    desk = Desk(viewer, engine, qtbot, picture, tmp_path)
    assert "pixel size" not in desk.form.start.facts.text()
    viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="plain")
    box = desk.form.start.image_box
    box.setCurrentIndex(box.findText("plain"))
    assert "0.25 µm/px" in desk.form.start.facts.text()


def predictions(n=6):
    """Squares with probabilities, of a model."""
    corners = np.array([[0, 0], [12, 0], [12, 12], [0, 12]], np.float32)
    at = np.array([[30 + 50 * (i % 6), 40 + 60 * (i // 6)] for i in range(n)], np.float32)
    return ObjectTable.build(
        Contours.from_star(at[:, None] + corners),
        det_prob=np.linspace(0.9, 0.4, n),
        classes=ClassScheme.of("Nucleus"),
        source="model",
    )


def test_fix_what_a_model_found(viewer, engine, qtbot, picture, tmp_path):
    """The Segment panel's layer is taken up by itself; ids stay, and the review walks through."""
    desk = Desk(viewer, engine, qtbot, picture, tmp_path)
    assert desk.form.start.objects_box.currentText() == "nothing yet"
    table = predictions()
    result = add_objects(viewer, table, picture, name="slide · he-nuclei")
    assert desk.form.start.objects_box.currentText() == "slide · he-nuclei"
    assert "6 objects" in desk.form.start.facts.text()
    desk.start()
    assert not result.visible
    assert set(desk.table.uuids()) == set(table.uuids())
    assert list(desk.form.chips.chips)[:3] == ["Nucleus", "Tumor", "Stroma"]

    desk.press("R")
    review = desk.state.review
    assert (review.position, review.total) == (1, 6)
    assert desk.state.selection == (table.uuid(5),)
    assert "score 0.40" in desk.form.review.text.text()
    centre = desk.hand.screen(*table.centroids[5])
    assert np.abs(centre - np.array(viewer.canvas.size[::-1]) / 2).max() < 2
    desk.press("A")
    assert desk.state.selection == (table.uuid(4),)
    desk.press("Delete")
    assert desk.state.selection == (table.uuid(3),)
    desk.press("N", "N")
    assert desk.state.selection == (table.uuid(1),)
    desk.hand.press("N", "shift")
    assert desk.state.selection == (table.uuid(2),)
    desk.form.review.buttons["accept"].click()
    desk.form.review.start_button.click()
    settle(10)
    assert desk.state.review is None
    states = desk.table.state[desk.table.rows_of([table.uuid(5), table.uuid(2)])]
    assert set(states.tolist()) == {ObjectState.ACCEPTED}
    assert len(desk.table) == 5
    desk.dock.controller.close()


def test_what_was_not_saved_comes_back_and_says_so(desk, qtbot):
    desk.click(50, 50)
    desk.click(90, 50)
    before = look(desk.table)
    desk.form.close_button.click()
    qtbot.waitUntil(lambda: desk.form.start.objects_box.currentText() == "what was not saved")
    assert "never saved" in desk.form.start.facts.text()
    desk.start()
    assert "recovered" in desk.form.message.text()
    assert look(desk.table) == before
    desk.click(130, 50)
    assert "recovered" not in desk.form.message.text()

    desk.save()
    desk.form.close_button.click()
    qtbot.waitUntil(lambda: desk.form.start.objects_box.currentText() == "slide.geojson")
    assert "not" not in desk.form.start.facts.text()


def test_a_second_window_on_one_file_is_refused_with_one_message(
    desk, viewer, engine, qtbot, monkeypatch, tmp_path
):
    told = []
    monkeypatch.setattr(objects_dock, "notify", told.append)
    other = Desk(viewer, engine, qtbot, desk.image, tmp_path)
    other.form.start.image_box.setCurrentIndex(0)
    other.form.start.start_button.click()
    qtbot.waitUntil(lambda: bool(other.state.error))
    settle(10)
    assert "already being edited" in other.form.message.text()
    assert len(told) == 1
    assert other.dock.scene is None
    assert len(viewer.layers) == 3


def test_errors_are_one_message_and_the_next_gesture_works(desk, engine):
    engine.error = MemoryError("no room")
    desk.click(50, 50)
    assert "no room" in desk.form.message.text()
    assert desk.form.message.property("kind") == "error"
    engine.error = None
    desk.click(50, 50)
    assert len(desk.table) == 1
    assert not desk.form.message.isVisible()


def test_keys_act_on_our_layer_alone_and_can_be_changed(desk, viewer):
    desk.click(50, 50)
    viewer.layers.selection.active = desk.image
    desk.press("Delete")
    assert len(desk.table) == 1
    settle(10)
    assert "Another layer" in desk.form.message.text()
    desk.form.strip.buttons["pick"].click()
    assert viewer.layers.selection.active.unique_id == desk.dock.scene.layer.unique_id

    from napari.settings import get_plugin_settings

    group = get_plugin_settings("napari-histo").annotate
    try:
        group.key_split = "W"
        settle(10)
        assert desk.form.strip.buttons["split"].text() == "W"
        assert "(W)" in desk.form.strip.buttons["split"].toolTip()
        desk.press("W")
        assert desk.state.tool is Tool.SPLIT
        group.key_split = "C"
        settle(10)
        assert "already" in desk.form.message.text()
        assert desk.form.strip.buttons["split"].text() == "X"
    finally:
        group.key_split = "X"


def test_layers_that_go_end_it_and_nothing_is_lost(desk, viewer):
    desk.click(50, 50)
    viewer.layers.remove(viewer.layers[1].name)
    settle(10)
    assert not desk.state.is_open
    desk.qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    assert "Your changes are kept" in desk.form.message.text()
    assert len(desk.start().table) == 1


def test_closing_the_panel_ends_it_and_another_panel_takes_it_up(
    desk, viewer, engine, qtbot, picture, tmp_path
):
    desk.click(50, 50)
    desk.dock.parent().title.close_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    assert not desk.state.is_open
    other = Desk(viewer, engine, qtbot, picture, tmp_path).start()
    assert len(other.table) == 1
    other.dock.controller.close()


def test_objects_of_a_file_that_the_user_chooses(desk, monkeypatch, tmp_path):
    from napari_histo.store import save_objects

    desk.form.close_button.click()
    path = tmp_path / "other.geojson"
    save_objects(path, predictions(3))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))
    box = desk.form.start.objects_box
    box.setCurrentIndex(box.findText("a file…"))
    desk.start()
    assert len(desk.table) == 3
    assert desk.form.title.text().endswith("other.geojson")
    copy = tmp_path / "copy.geojson"
    chosen = (str(copy.with_suffix("")), "GeoJSON for QuPath (*.geojson)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: chosen)
    desk.form.saving.save_as_button.click()
    desk.qtbot.waitUntil(copy.exists)
    desk.qtbot.waitUntil(lambda: desk.state.kept.target == copy)
    assert look(load_objects(copy)) == look(desk.table)


def test_looks(desk, viewer, tmp_path):
    assert desk.form.title.text() == "slide"
    assert str(tmp_path / "slide.geojson") in desk.form.title.toolTip()
    view = desk.dock.scene.view
    desk.form.fill_box.setCurrentIndex(1)
    desk.form.colour_box.setCurrentIndex(1)
    assert (view.outline_px, view.colour_by) == (0, "object")
    for theme in ("light", "dark"):
        viewer.theme = theme
        settle(10)
        assert desk.form.width() <= 340
