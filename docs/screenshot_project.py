"""A QuPath project for the pictures: crops of a real slide, with nuclei that the model found.

QuPath is played by the stand-in of the tests, which keeps its objects in files.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import tifffile
from PIL import Image
from shapely.affinity import scale

from napari_histo.core import Box, ClassDef, ClassScheme, Contours, ObjectTable, result_of
from napari_histo.models import load_model
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import open_slide

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.fake_qupath import FakeQuPath
from support.qupath_projects import image, leaf, make_project

__all__ = ["CLASSES", "SampleProject"]

CLASSES = ClassScheme(
    (
        ClassDef("Epithelium", (255, 220, 30)),
        ClassDef("Immune cells", (30, 110, 255)),
        ClassDef("Stroma", (230, 60, 230)),
    )
)
#: Left and upper edge of each crop in px of the slide, by the name that it gets.
_CROPS = {
    "biopsy 03": (850, 1950),
    "biopsy 07": (520, 2310),
    "biopsy 12": (1000, 1250),
    "biopsy 15": (1420, 2300),
}
_WIDTH_PX, _HEIGHT_PX, _PIXEL_UM = 720, 640, 0.499
_ROUNDS = ({"Round": "2", "Round status": "done"},) * 2 + ({},) * 2


@dataclass(frozen=True)
class SampleProject:
    """The project, and what a person does to it in QuPath.

    Attributes
    ----------
    qupath : FakeQuPath
        Its objects are those that the model found.
    """

    qupath: FakeQuPath

    @classmethod
    def make(cls, folder: Path, slide: Path, model: str) -> SampleProject:
        """Cut the crops out of a slide, and find their nuclei."""
        folder.mkdir(parents=True)
        entries, network = [], load_model(model)
        tables: list[ObjectTable] = []
        for i, (name, corner) in enumerate(_CROPS.items()):
            pixels = _cut(slide, corner)
            file = folder / f"{name}.tif"
            mark = {"resolution": (1e4 / _PIXEL_UM,) * 2, "resolutionunit": "CENTIMETER"}
            tifffile.imwrite(file, pixels, photometric="rgb", **mark)
            tables.append(_nuclei(file, network))
            builder = leaf(file.as_uri(), shape=pixels.shape[:2])
            entries.append(image(i + 1, builder, imageName=file.name, metadata=_ROUNDS[i]))
        qupath = FakeQuPath(make_project(folder, entries))
        for i, (name, table) in enumerate(zip(_CROPS, tables, strict=True), start=1):
            qupath.save(table, str(i))
            with Image.open(folder / f"{name}.tif") as picture:
                small = picture.resize((180, 160))
            small.save(folder / "data" / str(i) / "thumbnail.jpg")
        return cls(qupath)

    def correct(self, key: str, *, n: int) -> None:
        """Give some nuclei of an image another class, and remove three."""
        table = self.qupath.table(key)
        wanted = np.arange(20, 20 + n)
        self.qupath.save(_classed(table, wanted, "Stroma").select(np.arange(3, len(table))), key)

    def disagree(self, key: str, object_id: UUID) -> None:
        """Draw a nucleus anew, and give it another class."""
        table = self.qupath.table(key)
        row = int(table.rows_of([object_id])[0])
        shapes = list(table.contours.to_shapely())
        shapes[row] = scale(shapes[row], 1.35, 1.35)
        drawn = table.with_columns(contours=Contours.from_shapely(shapes))
        self.qupath.save(_classed(drawn, np.array([row]), "Stroma"), key)


def _cut(slide: Path, corner: tuple[int, int]) -> np.ndarray:
    with open_slide(slide) as reader:
        return reader.read(Box(*corner, _WIDTH_PX, _HEIGHT_PX))


def _nuclei(file: Path, network: object) -> ObjectTable:
    """Small ones are called immune cells, as somebody would roughly."""
    with open_slide(file) as reader:
        table = result_of(segment(reader, network, SegmentRequest())).table
    area = table.contours.areas_px
    class_id = (area < np.percentile(area, 45)).astype(np.int32)
    order = np.lexsort(table.object_id.T[::-1])
    return table.with_columns(class_id=class_id, classes=CLASSES).select(order)


def _classed(table: ObjectTable, rows: np.ndarray, name: str) -> ObjectTable:
    class_id = table.class_id.copy()
    class_id[rows] = table.classes.names.index(name)
    return table.with_columns(class_id=class_id)
