"""The rows of stain and colours, and the layer that shows what the model sees."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_histo.ops.stain_vectors import H_DAB
from napari_histo.pipeline.colour_choice import ColourChoice
from napari_histo.plugin.layers import PREVIEW_KEY, STAINS_KEY, image_layers, reader_of
from napari_histo.plugin.qupath.opening import _as_in_qupath
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.plugin.segment.preview import ColourPreview, _quick_view
from support.five_images import PART, SAMPLES

CHOICES = [ColourChoice("macenko"), ColourChoice("reinhard"), ColourChoice(stains="auto")]


@pytest.fixture(scope="module")
def pixels():
    return tifffile.imread(SAMPLES / "he_tile.ome.tif")[PART]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: c.stains or c.normalize)
def test_the_preview_is_what_the_model_sees(pixels, choice):
    reader = reader_of(ViewerModel().add_image(pixels, rgb=True))
    quick, exact = _quick_view(reader, choice), choice.fit(reader).view(reader)
    assert quick.info == exact.info
    away = np.abs(quick.read(reader.info.box).astype(float) - exact.read(reader.info.box))
    assert np.percentile(away, 99) <= (6 if exact.info.is_rgb else 0.06)


def shown(viewer):
    return [layer.name for layer in viewer.layers]


def test_one_layer_at_most_right_over_its_image(pixels):
    viewer, waiting = ViewerModel(), []
    image = viewer.add_image(pixels, rgb=True, name="a", scale=(0.25, 0.25))
    viewer.add_labels(np.zeros(pixels.shape[:2], int), name="found")
    preview = ColourPreview(viewer, waiting.append, pytest.fail)

    def answer():
        while preview._lane.is_busy:
            if waiting:
                waiting.pop(0)()

    for choice in (CHOICES[0], CHOICES[2]):
        preview.show(image, reader_of(image), choice)
        answer()
        assert shown(viewer) == ["a", "a · as the model sees it", "found"]
        (layer,) = preview.layers
        assert layer.scale.tolist() == [0.25, 0.25]
        assert image_layers(viewer) == [image]
    assert layer.rgb is False
    preview.hide()
    assert shown(viewer) == ["a", "found"]
    preview.show(image, reader_of(image), CHOICES[0])
    viewer.layers.remove(image)
    answer()
    assert shown(viewer) == ["found"]


def test_vectors_and_channels_of_a_project_reach_the_layers(pixels):
    viewer = ViewerModel()
    colour = viewer.add_image(pixels, rgb=True)
    stained = SimpleNamespace(stains=H_DAB.describe(), channels=())
    _as_in_qupath([colour], stained)
    assert colour.metadata[STAINS_KEY] == H_DAB.describe()
    layers = viewer.add_image(np.zeros((2, 5, 5)), channel_axis=0, name=["s C1", "s C2"])
    reader = SimpleNamespace(info=SimpleNamespace(channel_names=("C1", "C2")))
    named = (("DAPI", (0, 0, 255)), ("CD3", (255, 255, 0)))
    _as_in_qupath(layers, SimpleNamespace(stains="", channels=named, reader=reader))
    assert [layer.name for layer in layers] == ["s DAPI", "s CD3"]
    assert layers[1].colormap.colors[-1].tolist() == [1, 1, 0, 1]


@pytest.mark.gui
def test_rows_show_what_there_is_to_choose(make_napari_viewer_proxy, qtbot, pixels):
    viewer = make_napari_viewer_proxy(show=True)
    image = viewer.add_image(pixels, rgb=True, metadata={STAINS_KEY: H_DAB.describe()})
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock)
    qtbot.waitUntil(dock.isVisible)
    form, state = dock.form, dock.controller.state
    form.model_box.setCurrentIndex(form.model_box.findText("he-nuclei"))
    assert not form.colours.stain_box.isVisible()
    form.model_box.setCurrentIndex(form.model_box.findText("fluo-nuclei"))
    assert form.colours.stain_box.isVisible()
    form.colours.stain_box.setCurrentIndex(form.colours.stain_box.count() - 1)
    assert state.colours == ColourChoice(stains=H_DAB.describe())
    form.colours.preview_box.setChecked(True)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    assert PREVIEW_KEY in viewer.layers[1].metadata
    assert [form.image_box.itemText(0), form.image_box.count()] == [image.name, 1]
    assert form.colours.stain_box.currentData() == H_DAB.describe()
    before = viewer.layers[1].unique_id
    form.colours.colour_box.setCurrentIndex(form.colours.colour_box.findText("Macenko"))
    assert form.colours.preview_box.text() == "Preview…"
    qtbot.waitUntil(lambda: before not in [x.unique_id for x in viewer.layers])
    assert [len(viewer.layers), form.colours.preview_box.text()] == [2, "Preview"]
    assert form.colours.preview_box.isChecked()
    viewer.layers.remove(viewer.layers[1])
    assert not form.colours.preview_box.isChecked()
    viewer.layers.remove(image)
    viewer.add_image(np.zeros((40, 40), np.uint16))
    assert state.colours.is_none
    assert not form.colours.stain_box.isVisible()
    assert form.colours.invert_box.isVisible()
    form.colours.invert_box.click()
    assert state.colours == ColourChoice(invert=True)
    form.model_box.setCurrentIndex(form.model_box.findText("he-nuclei"))
    assert not form.colours.isVisible()
    assert state.colours.is_none
    qtbot.waitUntil(lambda: len(state.devices) > 1)
