"""What the Segment panel shows of models of the Cellpose family, in a real window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import ModelInfo, PixelSize
from napari_histo.models.cellpose.net import save_cellpose_net
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.plugin.segment.words import diameter_hint
from napari_histo.plugin.segment.words import pixel_hint as words_of_pixels
from napari_histo.session import ImageChoice, SegmentState
from napari_histo.slides import ArrayReader
from support.cellpose_nets import random_net

pytestmark = pytest.mark.gui


@pytest.fixture
def dock(viewer, qtbot, tmp_path, monkeypatch):
    """The panel with ``cyto3`` on this machine, and an image of 0.5 µm a pixel."""
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    save_cellpose_net(tmp_path / "cyto3", random_net())
    viewer.add_image(np.zeros((90, 90), np.uint8), scale=(0.5, 0.5), units=("um", "um"))
    widget = SegmentDock(viewer)
    viewer.window.add_dock_widget(widget, name="Segment nuclei")
    yield widget
    qtbot.waitUntil(lambda: len(widget.controller.state.devices) > 1)


@pytest.mark.parametrize(
    ("um", "typed", "hint", "pixel_hint"),
    [
        pytest.param(0.5, None, "30 px of this image", "", id="its-own"),
        pytest.param(0.5, 20.0, "40 px of this image", "", id="typed"),
        pytest.param(None, None, "", "network judges how large", id="nobody-knows"),
        pytest.param(None, 20.0, "", "does not say", id="needs-the-pixel-size"),
    ],
)
def test_words(um, typed, hint, pixel_hint):
    size = None if um is None else PixelSize.square(um)
    reader = ArrayReader(np.zeros((9, 9), np.uint8), name="x", pixel_size=size)
    card = ModelInfo("x", "cellpose", 0.5, True, takes_diameter=True, diameter_px=30.0)
    state = SegmentState(ImageChoice("x", reader), card, diameter_um=typed)
    assert diameter_hint(state) == hint
    assert pixel_hint in words_of_pixels(state, "#fff")
    assert bool(pixel_hint) == bool(words_of_pixels(state, "#fff"))


def test_diameter_and_flow_error(dock):
    form, state = dock.form, dock.controller.state
    form.model_box.setCurrentIndex(form.model_box.findText("classical"))
    assert not form.diameter.isVisible()
    assert form.overlap_row.label.text() == "Overlap"
    form.model_box.setCurrentIndex(form.model_box.findText("cyto3"))
    assert form.diameter.isVisible()
    assert form.diameter.box.value() == 15
    assert form.diameter.hint.text() == "30 px of this image"
    assert state.diameter_um is None
    form.diameter.box.setValue(20)
    assert state.diameter_um == 20
    assert form.diameter.hint.text() == "40 px of this image"
    form.diameter.box.setValue(0)
    assert state.diameter_um is None
    assert form.diameter.box.value() == 15
    assert form.overlap_row.label.text() == "Flow error"
    assert "cellprob_threshold" in form.prob.toolTip()
    assert "CC\N{NON-BREAKING HYPHEN}BY\N{NON-BREAKING HYPHEN}NC" in form.model_facts.text()
