"""Regions in a real window beside what the user has there: shown alone, and gone when done."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.plugin.layers import add_objects
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.store.geojson import read_geojson
from support.learning import make_project
from support.mouse import settle

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(make_panel):
    return make_panel().open().begin()


@pytest.fixture
def own(viewer, table):
    """A slide of the user's with found nuclei, and one that the user has hidden."""
    slide = viewer.add_image(np.zeros((400, 500), np.uint8), name="own").__wrapped__
    viewer.add_image(np.zeros((400, 500), np.uint8), name="hidden", visible=False)
    add_objects(viewer, table, slide, name="found")
    return slide


def scene_of(row):
    return [row.image_name, *(f"{row.image_name} · {kind}" for kind in ("objects", "marks"))]


def show(panel, i):
    row, ready = panel.state.regions[i], []
    panel.session.region_ready.connect(ready.append)
    panel.double_click(i)
    panel.until(lambda: ready and panel.dock._coming is None)
    panel.session.region_ready.disconnect(ready.append)
    panel.shown(row)
    return row


def of_another_image(panel, row):
    regions = panel.state.regions
    return next(i for i, r in enumerate(regions) if r.image != row.image)


def of_the_same_image(panel, row):
    regions = panel.state.regions
    return next(i for i, r in enumerate(regions) if r.image == row.image and r is not row)


def test_a_region_is_seen_alone_whichever_lies_on_top(own, panel):
    first = show(panel, 0)
    assert panel.seen == scene_of(first)
    second = show(panel, of_another_image(panel, first))
    assert panel.seen == scene_of(second)
    own.visible = True  # by the user: it stays while the image does
    panel.viewer.layers.move(0, len(panel.viewer.layers))
    show(panel, of_the_same_image(panel, second))
    assert set(panel.seen) == {*scene_of(second), "own"}
    show(panel, 0)
    assert panel.seen == scene_of(first)


def test_when_the_panel_is_closed_the_window_is_as_before(own, panel, calm):
    row = show(panel, 0)
    row = show(panel, of_another_image(panel, row))
    gone = panel.desk.objects.ids_in(row.box)[0]
    panel.desk.select([gone])
    panel.desk.delete()
    panel.viewer.window.remove_dock_widget(panel.dock)
    assert panel.seen == ["own", "found"]
    assert not panel.desk.state.is_open
    calm.go_on()
    panel.until(lambda: len(panel.viewer.layers) == 3)
    assert [layer.name for layer in panel.viewer.layers] == ["own", "hidden", "found"]
    file = panel.state.project.work_path(row.number) / f"{row.image}.geojson"
    assert gone not in read_geojson(file).uuids()


def test_another_project_begins_with_the_window_as_before(own, panel, calm, tmp_path):
    show(panel, 0)
    panel.open(make_project(tmp_path / "other").path)
    assert panel.seen == ["own", "found"]
    calm.go_on()
    panel.until(lambda: len(panel.viewer.layers) == 3)
    panel.begin()
    row = show(panel, 0)
    assert panel.seen == scene_of(row)


def test_what_the_user_annotates_goes_on_though_the_panel_is_closed(own, panel):
    show(panel, 0)
    panel.desk.close()
    own.visible = True
    dock = annotate_dock(panel.dock.viewer)
    dock.form.start.image_box.setCurrentIndex(dock.form.start.image_box.findText("own"))
    dock.start()
    panel.until(lambda: panel.desk.state.is_open)
    panel.viewer.window.remove_dock_widget(panel.dock)
    assert panel.desk.state.is_open
    assert panel.desk.state.image.key == own.unique_id


@pytest.mark.parametrize("ends", ["project", "panel"])
def test_a_region_that_is_still_coming_does_not_come_late(
    own, panel, calm, tmp_path, monkeypatch, ends
):
    first, coming = show(panel, 0), []
    calm.hold()
    monkeypatch.setattr(panel.dock, "_later", lambda _, call: coming.append(call))
    panel.session.open_region(panel.state.regions[of_another_image(panel, first)].region_id)
    panel.until(lambda: coming)
    if ends == "panel":
        panel.viewer.window.remove_dock_widget(panel.dock)
    else:
        panel.dock._on_project(make_project(tmp_path / "other"), panel.state.project)
    (come,) = coming
    come()
    settle(20)
    assert panel.seen == ["own", "found"]
