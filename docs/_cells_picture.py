"""The picture of cells in the Annotate panel: ``python docs/_cells_picture.py``."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import napari
import numpy as np
from _window import IMAGES, SLIDE, settle, take, wait

from napari_histo.core import Box, ClassScheme, ObjectTable, result_of
from napari_histo.models import load_model
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.pipeline.grow import grow_cells
from napari_histo.plugin.annotate.dock import AnnotateDock
from napari_histo.plugin.geometry import centre_view, screen_px
from napari_histo.session import AnnotationTools, Outline, Tool
from napari_histo.session.annotate.document import Document
from napari_histo.slides import open_slide
from napari_histo.store import save_objects

REGION = Box(940, 2080, 360, 300)
ZOOM = 3.3


def main() -> None:
    """Nuclei and cells of a region, one of them with its nucleus being mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--out", type=Path, default=IMAGES / "annotate-cells.png")
    options = parser.parse_args()
    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    (image,) = viewer.open(options.slide, plugin="napari-histo")
    with tempfile.TemporaryDirectory() as work:
        target = Path(work) / "cells.geojson"
        save_objects(target, cells_of(options.slide))
        document = partial(Document.open, data_folder=Path(work))
        dock = AnnotateDock(viewer, AnnotationTools(open_document=document))
        viewer.window.add_dock_widget(dock, name="Annotate", area="right")
        session = dock.controller
        dock.work_on(image, target, classes=ClassScheme.of("Tumor", "Stroma"))
        wait(lambda: session.state.is_open)
        middle = (REGION.x + REGION.width / 2, REGION.y + REGION.height / 2)
        viewer.scene.camera.zoom *= ZOOM / screen_px(viewer, image)
        centre_view(viewer, image, middle)
        table = session.objects.table()
        near = np.argsort(np.linalg.norm(table.centroids - middle, axis=1))
        for row in near[3:40:3].tolist():
            session.select([table.uuid(row)])
            session.relabel("Stroma")
        session.select([table.uuid(int(near[0]))])
        session.set_outline(Outline.NUCLEUS)
        session.set_tool(Tool.PAINT)
        settle()
        take(viewer, options.out)
        session.close()
        settle()
    viewer.close()


def cells_of(slide: Path) -> ObjectTable:
    """Nuclei of the region, grown by 3 µm."""
    with open_slide(slide) as reader:
        found = result_of(segment(reader, load_model("he-nuclei"), SegmentRequest(REGION.pad(60))))
        size = reader.info.pixel_size
        assert size is not None
        cells: ObjectTable = result_of(
            grow_cells(found.table, 3.0, extent=reader.info.box, pixel_size=size)
        )
    classes = ClassScheme.of("Tumor", "Stroma")
    return cells.with_columns(classes=classes, class_id=np.zeros(len(cells), np.int32))


if __name__ == "__main__":
    main()
