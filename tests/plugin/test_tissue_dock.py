"""The Tissue panel in a real window: find, mend, save, open."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_histo.core import Box
from napari_histo.pipeline.tissue import load_tissue
from napari_histo.plugin.layers import reader_of
from napari_histo.plugin.tissue.dock import TissueDock
from napari_histo.plugin.tissue.layer import mask_of_layer, tissue_layer

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer):
    widget = TissueDock(viewer)
    viewer.window.add_dock_widget(widget, name="Tissue")
    return widget


@pytest.fixture
def pixels():
    """(400, 600) glass at 4 µm/px with a ring of tissue and a square beside it."""
    y, x = np.mgrid[:400, :600]
    away = np.hypot(y - 200, x - 200)
    image = np.full((400, 600, 3), 243, np.uint8)
    image[(away < 150) & (away > 70)] = (225, 150, 190)
    image[100:200, 450:550] = (120, 80, 150)
    return image


def add(viewer, pixels, **placement):
    given = {"scale": (4, 4), "units": ("um", "um"), "name": "slide.svs"} | placement
    return viewer.add_image(pixels, rgb=True, **given)


def find(dock, qtbot):
    before = len(dock.viewer.layers)
    dock.find_button.click()
    qtbot.waitUntil(lambda: len(dock.viewer.layers) > before)
    return dock.viewer.layers[-1]


def test_tissue_becomes_shapes_with_holes_over_the_image(viewer, dock, pixels, qtbot):
    image = add(viewer, pixels)
    layer = find(dock, qtbot)
    assert "in 2 pieces" in dock.message.text()
    assert layer.nshapes == 2
    mask = mask_of_layer(layer, image, reader_of(image).info)
    at = [(200, 200), (200, 90), (500, 150), (390, 380)]
    assert mask.contains(at).tolist() == [False, True, True, False]
    drawn = layer.to_labels((400, 600)) > 0
    assert [bool(drawn[y, x]) for x, y in at] == [False, True, True, False]


@pytest.mark.parametrize(
    "placement",
    [
        pytest.param({"scale": (4, 3)}, id="not-square"),
        pytest.param({"translate": (300, -40), "rotate": 30}, id="moved-and-turned"),
    ],
)
def test_the_layer_lies_on_the_image_wherever_that_is(viewer, dock, pixels, qtbot, placement):
    image = add(viewer, pixels, **placement)
    layer = find(dock, qtbot)
    assert np.allclose(layer.data_to_world((10, 20)), image.data_to_world((10, 20)))
    mask = mask_of_layer(layer, image, reader_of(image).info)
    assert mask.touches(Box(480, 120, 5, 5))
    assert not mask.touches(Box(580, 380, 5, 5))


def test_a_panel_that_is_closed_works_on_no_more(viewer, dock, pixels, qtbot, monkeypatch):
    begun, stopped = threading.Event(), threading.Event()

    def work(reader, params, cancel, report):
        begun.set()
        while not cancel.is_cancelled:
            time.sleep(0.01)
        stopped.set()

    monkeypatch.setattr("napari_histo.plugin.tissue.dock._find", work)
    add(viewer, pixels)
    dock.find_button.click()
    qtbot.waitUntil(begun.is_set)
    viewer.window.remove_dock_widget(dock)
    assert stopped.wait(30)


def test_what_a_hand_changes_is_saved_and_opened_again(
    viewer, dock, pixels, qtbot, tmp_path, monkeypatch
):
    image = add(viewer, pixels)
    layer = find(dock, qtbot)
    square = int(np.argmax([ring[:, 1].mean() for ring in layer.data]))
    layer.selected_data = {square}
    layer.remove_selected()
    layer.add_polygons(np.array([[300, 400], [300, 590], [390, 590], [390, 400]]))
    path = tmp_path / "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    dock.save_button.click()
    saved = path.with_name("mine.geojson")
    assert saved.name in dock.message.text()
    mask = load_tissue(saved, reader_of(image).info)
    at = [(200, 200), (200, 90), (500, 150), (500, 350)]
    assert mask.contains(at).tolist() == [False, True, False, True]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(saved), ""))
    dock.open_button.click()
    again = tissue_layer(viewer, image)
    assert again.unique_id != layer.unique_id
    assert not layer.visible
    assert mask_of_layer(again, image, reader_of(image).info).share == pytest.approx(
        mask.share, rel=0.01
    )


def test_glass_gives_an_empty_layer_to_draw_on(viewer, dock, pixels, qtbot):
    add(viewer, np.full_like(pixels, 243))
    assert find(dock, qtbot).nshapes == 0


def test_trouble_is_told_in_the_panel(viewer, dock, pixels, tmp_path):
    assert not dock.find_button.isEnabled()
    add(viewer, pixels)
    assert dock.find_button.isEnabled()
    dock.save_file(tmp_path / "x.geojson")
    assert "Find it first" in dock.message.text()
    dock.open_file(tmp_path / "none.geojson")
    assert "no such file" in dock.message.text()


def test_an_image_that_is_removed_meanwhile(viewer, dock, pixels, qtbot):
    add(viewer, pixels)
    dock.find_button.click()
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock._lane.is_busy)
    assert len(viewer.layers) == 0
    assert not dock.find_button.isEnabled()
