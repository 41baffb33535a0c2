"""Models that were added, and a lab's, can be chosen in the panels and run."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_histo.core import ClassScheme, ModelInfo
from napari_histo.models import Addition, add_model
from napari_histo.models.region.segmenter import (
    NetShape,
    TorchRegionSegmenter,
    save_region_model,
)
from napari_histo.plugin.learning.new import NewProjectDialog
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.testing.segmenter import speckled
from support.model_folders import stardist_folder

pytestmark = pytest.mark.gui


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """One of the user's own, one of a lab."""
    monkeypatch.setenv("NAPARI_HISTO_MODELS", str(tmp_path / "home"))
    monkeypatch.setenv("NAPARI_HISTO_SHARED_MODELS", str(tmp_path / "lab"))
    add_model(Addition(str(stardist_folder(tmp_path / "mine", pixel_size_um=None))))
    stardist_folder(tmp_path / "lab" / "ours")


def texts(box):
    return [box.itemText(i) for i in range(box.count())]


def test_in_the_panel_segment(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image((speckled(96, 96, 3) * 255).astype(np.uint8), name="discs")
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment nuclei")
    assert texts(dock.form.model_box)[-2:] == ["mine", "ours"]
    dock.form.model_box.setCurrentText("mine")
    dock._choose_model()
    assert "CC0" in dock.form.model_facts.text()
    dock.run()
    state = dock.controller.state
    qtbot.waitUntil(lambda: state.result is not None or bool(state.error))
    assert not state.error
    assert dock.controller.state.result.model.name == "mine"
    qtbot.waitUntil(lambda: len(dock.controller.state.devices) > 1)


def test_where_a_learning_project_begins(qtbot):
    parent = QWidget()
    qtbot.addWidget(parent)
    assert {"mine", "ours"} <= set(texts(NewProjectDialog(parent, []).model))


def test_a_learning_project_may_begin_with_a_model_of_tissues(qtbot, tmp_path):
    shape, classes = NetShape(3, 2, width=8), ClassScheme.of("Tumor")
    info = ModelInfo("tissues", "regions", 4.0, channels="rgb", classes=classes)
    model = TorchRegionSegmenter(shape.build(), shape, info, device="cpu")
    save_region_model(tmp_path / "lab" / "tissues", model)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = NewProjectDialog(parent, [])
    assert dialog.region_px.value() == 256
    for name, side in (("tissues", 128), ("ours", 256)):
        dialog.model.setCurrentText(name)
        dialog.model.activated.emit(dialog.model.currentIndex())
        assert dialog.wanted()[1].model == name
        assert dialog.region_px.value() == side
