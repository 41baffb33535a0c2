"""Cells with nuclei in napari: from QuPath's GeoJSON and back, one object with two outlines."""

from __future__ import annotations

import json
from functools import partial
from uuid import UUID

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_histo.core import ClassScheme, Contours, Edit, ModelInfo, ObjectTable, ObjectType
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.layers import table_of
from napari_histo.plugin.objects_view import ObjectsView
from napari_histo.plugin.segment.cells import CellsRow
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.plugin.writers import table_of_layer
from napari_histo.session import (
    AnnotationTools,
    CellsBy,
    CellsChoice,
    EditableObjects,
    Outline,
    Phase,
)
from napari_histo.session.annotate.document import Document
from napari_histo.store import load_objects
from support.discs import Discs
from support.mouse import Hand, settle

pytestmark = pytest.mark.gui

IDS = ("8d9d7a2c-52d2-4a4c-9a6d-0c2f2f6f0a01", "8d9d7a2c-52d2-4a4c-9a6d-0c2f2f6f0a02")
CELL = [[[20, 20], [60, 20], [60, 50], [20, 50], [20, 20]]]
DOTS = ModelInfo("dots", "fake")
NUCLEUS = [[[30.25, 28.5], [45, 28.5], [45, 41.75], [30.25, 41.75], [30.25, 28.5]]]


def feature(key, outline, name="Tumor", **members):
    properties = {
        "objectType": "cell",
        "name": "Ana",
        "classification": {"name": name, "color": [200, 0, 0]},
        "measurements": {"Nucleus: Area µm^2": 12.5, "Cell: Area µm^2": 75.25},
    }
    geometry = {"type": "Polygon", "coordinates": outline}
    return {"type": "Feature", "id": key, "geometry": geometry, **members, "properties": properties}


@pytest.fixture
def written(tmp_path):
    """As QuPath writes a cell with a nucleus, and one without."""
    nucleus = {"nucleusGeometry": {"type": "Polygon", "coordinates": NUCLEUS}}
    far = (np.array(CELL) + 100).tolist()
    features = [feature(IDS[0], CELL, **nucleus), feature(IDS[1], far, "Stroma")]
    path = tmp_path / "qupath.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def ring(geometry):
    return {tuple(point) for point in geometry["coordinates"][0]}


def test_geojson_napari_geojson(viewer, written, tmp_path):
    """Opened by the viewer, saved by the viewer: ids, outlines, classes, names, measurements."""
    viewer.add_image(np.zeros((200, 200, 3), np.uint8), rgb=True)
    (layer,) = viewer.open(written, plugin="napari-histo")
    assert table_of(layer).object_type.tolist() == [ObjectType.CELL] * 2
    back = tmp_path / "back.geojson"
    assert layer.save(str(back), plugin="napari-histo") == [str(back)]
    before, after = (json.loads(p.read_text())["features"] for p in (written, back))
    assert [f["id"] for f in after] == list(IDS)
    for old, new in zip(before, after, strict=True):
        assert ring(new["geometry"]) == ring(old["geometry"])
        assert ("nucleusGeometry" in new) == ("nucleusGeometry" in old)
        assert new["properties"] == old["properties"]
    assert ring(after[0]["nucleusGeometry"]) == ring(before[0]["nucleusGeometry"])


def test_all_layers_saved_at_once_hold_each_cell_once(viewer, written, tmp_path):
    viewer.open(written, plugin="napari-histo")
    tables = [table_of_layer(*layer.as_layer_data_tuple()) for layer in viewer.layers]
    assert [str(i) for t in tables for i in t.uuids()] == list(IDS)
    viewer.layers.save(str(tmp_path / "all.geojson"), plugin="napari-histo")
    assert [str(i) for i in load_objects(tmp_path / "all.geojson").uuids()] == list(IDS)


# -- the Annotate panel --------------------------------------------------------------------------


@pytest.fixture
def desk(viewer, qtbot, written, tmp_path):
    """The file of cells, opened in the panel over an image."""
    viewer.window.resize(1000, 700)
    image = viewer.add_image(np.zeros((200, 200, 3), np.uint8), rgb=True)
    document = partial(Document.open, data_folder=tmp_path)
    dock = AnnotateDock(viewer, AnnotationTools(lambda reader, size: Discs(), document))
    viewer.window.add_dock_widget(dock, name="Annotate")
    dock.work_on(image, written, classes=ClassScheme.of("Tumor", "Stroma"))
    qtbot.waitUntil(lambda: dock.controller.state.is_open)
    dock.hand = Hand(viewer, image, qtbot)
    viewer.reset_view()
    settle(30)
    yield dock
    dock.controller.close()


def row(dock, key=IDS[0]):
    return dock.controller.objects.get([UUID(key)])


def test_hands_on_a_cell(desk):
    """Pick, move, the nucleus by key and brush, class, delete; and all of it undone."""
    hand, state = desk.hand, desk.controller.state
    start = row(desk)
    hand.press("K")
    hand.click(52, 24)  # between the outlines: the cell as a whole
    assert [str(i) for i in state.selection] == [IDS[0]]
    hand.drag(((52, 24), (62, 34)))
    moved = row(desk)
    assert moved.centroids[0] == pytest.approx(start.centroids[0] + 10, abs=1)
    assert moved.nuclei.centroids - moved.centroids == pytest.approx(
        start.nuclei.centroids - start.centroids, abs=0.05
    )
    hand.press("T")
    assert state.outline is Outline.NUCLEUS
    hand.press("P")
    hand.drag(((50, 45), (60, 45)))
    painted = row(desk)
    assert painted.nuclei.areas_px[0] > moved.nuclei.areas_px[0]
    assert painted.areas_px[0] == moved.areas_px[0]
    hand.press("2")
    assert row(desk).class_names.tolist() == ["Stroma"]
    hand.press("Delete")
    assert len(row(desk)) == 0
    for _ in range(4):
        hand.press("Z", "ctrl")
        settle(5)
    assert np.array_equal(row(desk).nuclei.xy, start.nuclei.xy)
    assert np.array_equal(row(desk).contours.xy, start.contours.xy)
    assert state.undo_name == ""


def test_the_switch_says_what_is_edited_and_marks_it(desk):
    desk.controller.select([UUID(IDS[0])])
    settle(20)
    switch = desk.form.outline
    assert switch.isVisible()
    assert switch.buttons[Outline.CELL].isChecked()
    reach = []
    for which in (Outline.CELL, Outline.NUCLEUS):
        switch.buttons[which].click()
        settle(20)
        reach.append(np.ptp(desk.scene.marks.layer.data[:, 0], axis=0).max())
    assert reach[0] > 38 > reach[1] > 13


def test_the_status_tells_both_areas(desk):
    settle(20)
    desk.hand.hover(52, 24)
    settle(30)
    assert "Tumor · 1,200 px² · nucleus 195 px²" in str(desk.viewer.status)


def cells_table(rng, n, half=14.0):
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float32)
    xy = rng.uniform(20, 580, (n, 1, 2)).astype(np.float32)
    inner = Contours.from_star(xy + corners * half / 2)
    outer = Contours.from_star(xy + corners * half)
    scheme = ClassScheme.of("Tumor", "Stroma")
    return ObjectTable.build(
        outer, nuclei=inner, classes=scheme, class_id=0, object_type=ObjectType.CELL
    )


@pytest.mark.parametrize("outline_px", [0, 1, 2])
def test_after_edits_both_outlines_are_those_of_a_fresh_view(outline_px):
    rng = np.random.default_rng(3)
    viewer, objects = ViewerModel(), EditableObjects(cells_table(rng, 40))
    image = viewer.add_image(np.zeros((600, 600, 3), np.uint8), rgb=True)
    view = ObjectsView(viewer, image, objects, outline_px=outline_px)
    for level in view.layer.data:
        np.asarray(level)
    some = objects.table().select(np.arange(6))
    objects.apply(Edit("Move", some, some.transform(1, (31.5, 12.25))))
    bare = objects.table().select(np.arange(4))
    objects.apply(Edit("Erase", bare, bare.with_columns(nuclei=Contours.empty(4))))
    objects.apply(Edit("Draw", objects.table().select([]), cells_table(rng, 3)))
    fresh = ObjectsView(viewer, image, objects, outline_px=outline_px)
    for one, other in zip(view.layer.data, fresh.layer.data, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_the_nucleus_is_drawn_within_the_cell():
    viewer, objects = ViewerModel(), EditableObjects(cells_table(np.random.default_rng(0), 1))
    image = viewer.add_image(np.zeros((600, 600, 3), np.uint8), rgb=True)
    view = ObjectsView(viewer, image, objects, outline_px=1)
    x, y = objects.table().centroids[0].astype(int).tolist()
    line = np.asarray(view.layer.data[0])[y, x - 20 : x + 20]
    at = np.flatnonzero(line) - 20
    assert len(at) == 4
    assert np.abs(at + 0.5) == pytest.approx([13.5, 6.5, 6.5, 13.5], abs=1)
    assert {view.row_at(int(v)) for v in line[line > 0]} == {0}


# -- the Segment panel ---------------------------------------------------------------------------


def test_segment_panel_makes_cells(viewer, qtbot):
    """Nuclei are expanded, shown as cells, and follow the probability slider."""
    pixels = np.full((120, 160, 3), (236, 190, 215), np.uint8)
    y, x = np.mgrid[:120, :160]
    for column in (40, 110):
        pixels[np.hypot(x - column, y - 60) < 7] = (90, 60, 140)
    place = {"scale": (0.5, 0.5), "units": ("um", "um")}
    viewer.add_image(pixels, rgb=True, **place)
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment nuclei")
    form, state = dock.form, dock.controller.state
    form.model_box.setCurrentIndex(form.model_box.findText("classical"))
    form.cells.by_box.setCurrentIndex(form.cells.by_box.findData(CellsBy.GROW))
    form.cells.um_box.setValue(3)
    assert not form.cells.um_box.isHidden()
    assert state.cells == CellsChoice(CellsBy.GROW, 3.0)
    form.run_button.click()
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE and state.result is not None)
    table = table_of(viewer.layers[-1])
    assert table.object_type.tolist() == [ObjectType.CELL] * 2
    radius = np.sqrt([table.nuclei.areas_px, table.areas_px]) / np.sqrt(np.pi)
    assert radius[1] - radius[0] == pytest.approx(6, abs=0.7)
    assert ">2</b> cells" in form.summary.text()
    qtbot.waitUntil(lambda: len(state.devices) > 1)


def test_rows_of_cells_show_what_they_need(qtbot):
    row = CellsRow()
    qtbot.addWidget(row)
    row.show_models([DOTS])
    row.show_channels(("DAPI", "Actin", "CD3"), 0)
    told = []
    row.changed.connect(told.append)
    row.by_box.setCurrentIndex(row.by_box.findData(CellsBy.MODEL))
    assert told == [CellsChoice(CellsBy.MODEL, 5.0, DOTS, 1)]
    assert not row.model_box.isHidden()
    assert row.um_box.isHidden()
    row.show_channels(("Gray",), 0)
    assert row.choice == CellsChoice(CellsBy.MODEL, 5.0, DOTS)
    row.by_box.setCurrentIndex(row.by_box.findData(CellsBy.NONE))
    assert row.choice == CellsChoice()
