"""The pictures of the Classify panel: ``python docs/_classify_picture.py``.

Needs a display, and CMU-1-Small-Region.svs of OpenSlide's test data (CC0) in the folder of the real
data. Examples are chosen by their place; all else is done as users do it.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path

import napari
import numpy as np
from _window import IMAGES, SLIDE, settle, take, wait
from napari.layers import Image
from numpy.typing import NDArray

from napari_histo.core import (
    Box,
    ClassDef,
    ClassScheme,
    ObjectTable,
    PixelSize,
    SlideReader,
    result_of,
)
from napari_histo.models import load_model
from napari_histo.ops.stain_vectors import H_DAB
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.pipeline.colour_choice import Colours
from napari_histo.plugin.classify.dock import ClassifyDock
from napari_histo.plugin.geometry import to_napari
from napari_histo.plugin.layers import add_objects, reader_of
from napari_histo.plugin.samples import ihc_tissue
from napari_histo.session.annotate.document import Document
from napari_histo.session.classify.state import Stains, Way
from napari_histo.session.classify.work import ClassifyTools
from napari_histo.slides import open_slide

WINDOW_PX = (1400, 900)
#: Part of the slide whose nuclei are classified; middle of the view, px, and its zoom.
PART = Box(600, 1800, 1100, 900)
MIDDLE_PX, ZOOM = (1120, 2230), 1.5
#: The sample image tells no pixel size; its nuclei are as large as at this one, µm.
IHC_UM = 0.5
CLASSES = ClassScheme.of("Stroma", "Immune cells").union([ClassDef("Epithelium", (255, 220, 0))])
N_EXAMPLES = 6
#: Corners of where the examples of a class are taken, px.
PLACES = {
    "Epithelium": [(1120, 1890), (1380, 1890), (1340, 2150), (1280, 2350), (1190, 2460)],
    "Stroma": [(930, 1900), (1040, 1900), (1060, 2300), (1120, 2560), (930, 2560)],
}


def classify_view(work: Path, slide: Path, path: Path) -> None:
    """A few examples of two classes, and what was learned of them."""
    viewer, dock = _window(work)
    slide = Path(shutil.copy(slide, work))  # objects and their journal go beside it
    viewer.open(slide, plugin="napari-histo")
    image = viewer.layers[0]
    with open_slide(slide) as reader:
        table = _nuclei(reader, "he-nuclei", SegmentRequest(region=PART))
    _start(viewer, dock, image, table)
    session = dock.controller
    for name, rows in _by_place(table).items():
        session.choose(name)
        for row in rows:
            session.click(*table.centroids[row].tolist())
    wait(lambda: session.classify.quality is not None or bool(session.state.error))
    session.review_start()
    viewer.scene.camera.center = image.data_to_world(to_napari(MIDDLE_PX))
    viewer.scene.camera.zoom = ZOOM / image.scale[-1]
    take(viewer, path)
    session.close()
    viewer.close()


def threshold_view(work: Path, path: Path) -> None:
    """DAB in three grades."""
    viewer, dock = _window(work)
    ((pixels, words, _),) = ihc_tissue()
    image = viewer.add_image(pixels, **words)
    size, colours = PixelSize.square(IHC_UM), Colours(stains=H_DAB)
    request = SegmentRequest(pixel_size=size, colours=colours)
    table = _nuclei(reader_of(image), "fluo-nuclei", request)
    dock.controller.classify.stains = Stains.HDAB
    _start(viewer, dock, image, table)
    dock.controller.set_way(Way.THRESHOLD)
    dock.controller.suggest(3)
    take(viewer, path)
    dock.controller.close()
    viewer.close()


def _window(work: Path) -> tuple[napari.Viewer, ClassifyDock]:
    """A window with the panel, whose journals go to `work`."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW_PX)
    tools = ClassifyTools(open_document=partial(Document.open, data_folder=work))
    dock = ClassifyDock(viewer, tools)
    viewer.window.add_dock_widget(dock, name="Classify cells", area="right")
    return viewer, dock


def _nuclei(reader: SlideReader, model: str, request: SegmentRequest) -> ObjectTable:
    table = result_of(segment(reader, load_model(model), request), lambda _: None).table
    print(f"{len(table)} nuclei")
    return table.with_columns(classes=table.classes.union(CLASSES))


def _start(viewer: napari.Viewer, dock: ClassifyDock, image: Image, table: ObjectTable) -> None:
    """Show what was found, and press Start."""
    add_objects(viewer, table, image, name="nuclei")
    settle()
    dock.form.start.start_button.click()
    session = dock.controller
    wait(lambda: session.classify.is_measured or bool(session.state.error))
    if session.state.error:
        raise SystemExit(session.state.error)
    settle()


def _by_place(table: ObjectTable) -> dict[str, NDArray[np.int64]]:
    """What a person sees: nuclei of the epithelium, and of the dermis around it."""
    import shapely

    points = shapely.points(table.centroids)
    return {
        name: _spread(np.flatnonzero(shapely.contains(shapely.Polygon(corners), points)))
        for name, corners in PLACES.items()
    }


def _spread(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.linspace(0, len(rows) - 1, N_EXAMPLES).astype(int)]


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=SLIDE)
    parser.add_argument("--out", type=Path, default=IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        classify_view(Path(work), options.slide, options.out / "classify.png")
    with tempfile.TemporaryDirectory() as work:
        threshold_view(Path(work), options.out / "classify-threshold.png")


if __name__ == "__main__":
    main()
