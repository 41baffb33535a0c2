"""Make the pictures of the documentation from today's code: ``python docs/make_screenshots.py``.

Needs a display (``xvfb-run -a`` where there is none) and a real H&E slide with a pixel size: by
default CMU-1-Small-Region.svs of OpenSlide's test data (CC0) in the folder of the real data.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from uuid import UUID

import napari
import numpy as np
from _classify_picture import classify_view, threshold_view
from _five_pictures import five_views
from _learning_picture import learning_view
from _window import IMAGES, SLIDE, settle, take, wait

from napari_histo.core import ObjectTable
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.geometry import to_napari
from napari_histo.plugin.layers import reader_of
from napari_histo.plugin.qupath.dock import QuPathDock
from napari_histo.plugin.qupath.opening import annotate_dock
from napari_histo.plugin.segment.dock import SegmentDock
from napari_histo.session import (
    AnnotationController,
    AnnotationTools,
    ImageChoice,
    Phase,
    Scope,
)
from napari_histo.session.annotate.document import Document
from napari_histo.session.qupath.controller import QuPathController
from napari_histo.session.qupath.state import Step

WINDOW_PX = (1400, 900)
#: Middle of the view, x and y in full-resolution px, and canvas pixels per image pixel.
MIDDLE_PX, ZOOM = (1120, 2230), 1.6
#: In the first crop: near by is the nucleus that both sides changed.
BOTH_PX = (410, 330)


def main() -> None:
    """Open a slide, segment what is in view, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--model", default="he-nuclei")
    parser.add_argument("--out", type=Path, default=IMAGES)
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
        project_view(Path(work), options.slide, options.model, options.out)
    with tempfile.TemporaryDirectory() as work:
        learning_view(Path(work), options.slide, options.out / "learning-dock.png")
    with tempfile.TemporaryDirectory() as work:
        classify_view(Path(work), options.slide, options.out / "classify.png")
    with tempfile.TemporaryDirectory() as work:
        threshold_view(Path(work), options.out / "classify-threshold.png")
    five_views(options.out)


def project_view(work: Path, slide: Path, model: str, out: Path) -> None:
    """A project that is worked on at both sides: how its images stand, and what a sync would do."""
    from screenshot_project import CLASSES, SampleProject

    from napari_histo.session.qupath.memory import Memory
    from napari_histo.session.qupath.work import QuPathTools

    project = SampleProject.make(work / "skin cohort", slide, model)
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    tools = QuPathTools(lambda _: project.qupath, lambda: "", data_folder=work)
    dock = QuPathDock(viewer, tools, Memory(work / "memory.json"))
    viewer.window.add_dock_widget(dock, name="QuPath project", area="right")
    session, state = dock.controller, dock.controller.state
    session.open_project(project.qupath.project.file)
    wait(lambda: not state.is_listing)
    for key in ("2", "3"):
        bring(session, key)
    project.correct("3", n=12)
    session.open_image("1")
    desk = open_desk(viewer)
    viewer.scene.camera.zoom *= 2
    relook(session)
    take(viewer, out / "qupath-dock.png")
    table = desk.objects.table()
    middle = int(np.argmin(np.linalg.norm(table.contours.centroids - BOTH_PX, axis=1)))
    in_dispute = table.uuid(middle)
    for row in (middle, 1, 150, 151, 152, 153):
        desk.select([table.uuid(row)])
        desk.relabel(CLASSES.names[1 - table.class_id[row]])
    project.correct("1", n=9)
    project.disagree("1", in_dispute)
    session.compare("sync")
    wait(lambda: state.preview is not None or bool(state.error))
    settle()
    conflicts = dock.form.preview.conflicts
    conflicts.setCurrentIndex(
        conflicts.conflicts.index(conflicts.conflicts.ids().index(in_dispute))
    )
    viewer.scene.camera.zoom *= 1.9
    settle(2)
    take(viewer, out / "qupath-sync.png")
    desk.close()
    session.close()
    settle()
    viewer.close()


def bring(session: QuPathController, key: str) -> None:
    """What QuPath has of an image, into a file beside it."""
    session.choose(key)
    session.compare("pull")
    wait(lambda: session.state.preview is not None)
    session.write()
    wait(lambda: session.state.step is Step.IDLE)
    relook(session)


def relook(session: QuPathController) -> None:
    """As the panel does every few seconds."""
    settle()
    session.look()
    settle(1)


def open_desk(viewer: napari.Viewer) -> AnnotationController:
    """The session of the Annotate panel, once it has its objects."""
    wait(lambda: annotate_dock(viewer) is not None)
    dock = annotate_dock(viewer)
    assert dock is not None
    wait(lambda: dock.controller.state.is_open)
    settle(2)
    return dock.controller


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


if __name__ == "__main__":
    main()
