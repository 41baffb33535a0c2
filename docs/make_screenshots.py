"""Make the pictures of the README from today's code: ``python docs/make_screenshots.py``.

Needs a display (``xvfb-run -a`` where there is none) and a real H&E slide with a pixel size: by
default CMU-1-Small-Region.svs of OpenSlide's test data (CC0) in the folder of the real data.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_histo.core import ObjectTable
from napari_histo.plugin.annotate import AnnotateDock
from napari_histo.plugin.geometry import to_napari
from napari_histo.plugin.layers import reader_of
from napari_histo.plugin.qupath import QuPathDock
from napari_histo.plugin.qupath_opening import annotate_dock
from napari_histo.plugin.segment import SegmentDock
from napari_histo.session import AnnotationTools, ImageChoice, Phase, Scope
from napari_histo.session.document import Document

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("NAPARI_HISTO_DATA", ROOT.parent / "shared" / "data"))
SLIDE = DATA / "slides" / "CMU-1-Small-Region.svs"
WINDOW_PX = (1400, 900)
#: Middle of the view, x and y in full-resolution px, and canvas pixels per image pixel.
MIDDLE_PX, ZOOM = (1120, 2230), 1.6


def main() -> None:
    """Open a slide, segment what is in view, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--model", default="he-nuclei")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    viewer.open(options.slide, plugin="napari-histo")
    window, dock = viewer.window.add_plugin_dock_widget("napari-histo", "Segment nuclei")
    segment_view(viewer, dock, options.model)
    take(viewer, options.out / "segment-dock.png")

    viewer.window.remove_dock_widget(window)
    with tempfile.TemporaryDirectory() as work:
        document = partial(Document.open, data_folder=Path(work))
        annotate = AnnotateDock(viewer, AnnotationTools(open_document=document))
        viewer.window.add_dock_widget(annotate, name="Annotate", area="right")
        annotate_view(viewer, annotate, Path(work))
        take(viewer, options.out / "annotate.png")
        annotate.controller.close()
        settle()
    viewer.close()
    with tempfile.TemporaryDirectory() as work:
        project_view(Path(work), options.slide, options.out / "qupath-dock.png")


def project_view(work: Path, slide: Path, path: Path) -> None:
    """A project of one real slide and some that are elsewhere, as on another computer."""
    import json
    import shutil

    from PIL import Image

    from napari_histo.core import Box
    from napari_histo.session.qupath_memory import Memory
    from napari_histo.session.qupath_work import QuPathTools
    from napari_histo.slides import open_slide

    folder = work / "lung cohort"
    folder.mkdir()
    shutil.copy(slide, folder / slide.name)
    words = [("Round", "2"), ("Round status", "to annotate")]
    names = [slide.name, "biopsy 07.svs", "biopsy 12.svs", "biopsy 15.svs"]
    images = [
        {
            "entryID": i,
            "imageName": name,
            "metadata": dict(words) if i < 3 else {},
            "serverBuilder": {"builderType": "uri", "uri": (folder / name).as_uri()},
        }
        for i, name in enumerate(names, start=1)
    ]
    facts = {"version": "0.5.1", "lastID": len(images), "images": images}
    (folder / "project.qpproj").write_text(json.dumps(facts))
    with open_slide(slide) as reader:
        for i in range(1, len(names) + 1):
            place = folder / "data" / str(i)
            place.mkdir(parents=True)
            pixels = reader.read(Box(150 * i, 500 * i, 800, 600))
            Image.fromarray(pixels).resize((200, 150)).save(place / "thumbnail.jpg")
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    tools = QuPathTools(look_for_qupath=lambda: "", data_folder=work)
    dock = QuPathDock(viewer, tools, Memory(work / "memory.json"))
    viewer.window.add_dock_widget(dock, name="QuPath project", area="right")
    session = dock.controller
    session.open_project(folder)
    wait(lambda: not session.state.is_listing)
    session.open_image("1")
    wait(lambda: dock.view.image("1") is not None)
    settle(3)
    take(viewer, path)
    annotate = annotate_dock(viewer)
    if annotate is not None:
        annotate.controller.close()
    session.close()
    settle()
    viewer.close()


def annotate_view(viewer: napari.Viewer, dock: AnnotateDock, work: Path) -> None:
    """Take up what the model found, tell the classes of some, outline one by a click."""
    session, form = dock.controller, dock.form
    session.open(
        ImageChoice(viewer.layers[0].unique_id, reader_of(viewer.layers[0])),
        table=form.start.objects_box.currentData().table,
        target=work / f"{viewer.layers[0].name}.geojson",
    )
    wait(lambda: session.state.is_open or bool(session.state.error))
    for layer in viewer.layers[1:-2]:
        layer.visible = False
    table = session.objects.table()
    for name, ids in by_size(table).items():
        session.select(ids)
        session.relabel(name)
    viewer.scene.camera.zoom *= 1.6
    x, y = MIDDLE_PX
    session.select([])
    session.click(x, y)
    wait(lambda: session.state.in_flight == 0)


def by_size(table: ObjectTable) -> dict[str, list[UUID]]:
    """What a pathologist would say, roughly: small round nuclei are immune cells."""
    area = table.contours.areas_px
    small, long = area < np.percentile(area, 35), area > np.percentile(area, 80)
    ids = np.array(table.uuids(), object)
    return {"Immune cells": list(ids[small]), "Stroma": list(ids[long])}


def segment_view(viewer: napari.Viewer, dock: SegmentDock, model: str) -> None:
    """What a user does: go somewhere, choose the model and the view, press Run."""
    form, state = dock.form, dock.controller.state
    image = viewer.layers[0]
    viewer.scene.camera.center = image.data_to_world(to_napari(MIDDLE_PX))
    viewer.scene.camera.zoom = ZOOM / image.scale[-1]
    viewer.canvas.overlays.scale_bar.visible = True
    form.model_box.setCurrentIndex(form.model_box.findText(model))
    form.region_box.setCurrentIndex(form.region_box.findData(Scope.VIEW))
    settle()
    form.run_button.click()
    wait(lambda: state.phase is Phase.IDLE)
    if state.error or state.result is None:
        raise SystemExit(state.error)
    print(f"{state.result.statistics.count} nuclei")


def take(viewer: napari.Viewer, path: Path) -> None:
    """The whole window."""
    settle(1.5)
    viewer.screenshot(path, canvas_only=False, flash=False)
    print(path)


def settle(seconds: float = 0.5) -> None:
    """Let Qt and napari draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(done: Callable[[], bool], seconds: float = 600) -> None:
    """Run Qt's events until `done`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {seconds:.0f} s.")
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()
