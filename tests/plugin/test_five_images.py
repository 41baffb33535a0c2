"""Five kinds of image through Segment, Annotate and export, by the widgets of a real window."""

from __future__ import annotations

import json
import shutil

import pytest

from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.session import Phase
from support.five_images import KINDS, write

pytestmark = [pytest.mark.gui, pytest.mark.slow]


def choose(box, text):
    index = box.findText(text)
    assert index >= 0, [box.itemText(i) for i in range(box.count())]
    box.setCurrentIndex(index)


@pytest.fixture
def image_file(request, kind, tmp_path):
    """The file of a kind; the real one skips where there are no data."""
    if kind != "z-series":
        return write(kind, tmp_path)
    slides = request.getfixturevalue("data_dir") / "slides"
    return shutil.copy(slides / "multi-channel-z-series.ome.tif", tmp_path / "z.ome.tif")


def segment(dock, kind):
    """Choose as a user of this kind of image, and run."""
    form, state = dock.form, dock.controller.state
    choose(form.model_box, kind.model)
    assert form.channels.channel_box.currentText() == kind.channel
    if kind.stain:
        choose(form.colours.stain_box, kind.stain)
    if kind.planes:
        choose(form.channels.plane_box, kind.planes)
    if state.needs_pixel_size:
        form.pixel_size.setValue(0.5)
    form.run_button.click()
    assert state.phase is Phase.RUNNING, state.error


@pytest.mark.parametrize("kind", KINDS)
def test_segment_annotate_export(make_napari_viewer_proxy, qtbot, tmp_path, image_file, kind):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1000, 700)
    viewer.open(image_file, plugin="napari-histo")
    dock, wanted = SegmentDock(viewer), KINDS[kind]
    viewer.window.add_dock_widget(dock, name="Segment nuclei")
    segment(dock, wanted)
    state = dock.controller.state
    qtbot.waitUntil(lambda: state.phase is Phase.IDLE)
    assert state.error == ""
    found = state.result.table
    assert len(found) >= wanted.least

    desk = AnnotateDock(viewer)
    viewer.window.add_dock_widget(desk, name="Annotate")
    assert desk.form.start.image_box.currentText().endswith(wanted.channel)
    desk.form.start.start_button.click()
    qtbot.waitUntil(lambda: desk.controller.state.is_open)
    first, second = found.uuid(0), found.uuid(1)
    desk.controller.select([first])
    desk.form.chips.chosen.emit(desk.controller.state.classes.names[-1])
    desk.controller.select([second])
    desk.form.review.buttons["delete"].click()
    desk.form.saving.save_button.click()
    qtbot.waitUntil(lambda: desk.controller.state.kept.n_unsaved == 0)
    desk.form.close_button.click()

    written = json.loads(next(tmp_path.glob("*.geojson")).read_text())["features"]
    by_id = {feature["id"]: feature["properties"] for feature in written}
    assert len(written) == len(found) - 1
    assert str(second) not in by_id
    assert by_id[str(first)]["classification"]["name"] == "Other"
    qtbot.waitUntil(lambda: len(state.devices) > 1)
