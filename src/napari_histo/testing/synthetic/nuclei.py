"""H&E-like fields of nuclei at 0.25 µm/px, with each nucleus's outline and kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable, new_ids
from napari_histo.store import rasterise
from napari_histo.testing.synthetic import he
from napari_histo.testing.synthetic.cells import Nucleus, Rng

PIXEL_SIZE_UM = 0.25
CLASSES = ClassScheme.of("Tumor", "Stroma", "Immune cells")


@dataclass(frozen=True)
class HEField:
    """A picture with its truth.

    Attributes
    ----------
    image : (h, w, 3) uint8
    labels : (h, w) int32
        0 background, else the row in `table` + 1.
    table : ObjectTable
        Outline and class of each nucleus.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    table: ObjectTable


def make_he_field(rng: Rng, size_px: int = 1024) -> HEField:
    """Draw a square of three glands, a solid nest, stroma and lymphocytes at 0.25 µm/px.

    Raises
    ------
    ValueError
        If `size_px` is below 256: no cell fits into the glands of a smaller field.
    """
    if size_px < 256:
        raise ValueError(f"size_px is {size_px}; give 256 or more.")
    tissue = he.make_tissue(size_px, rng)
    nuclei = he.place_nuclei(tissue, rng)
    table, labels = tabulate(nuclei, size_px, CLASSES, rng)
    image = he.stain_and_photograph(tissue, nuclei, labels.astype(np.int64), rng)
    return HEField(image, labels, table)


def tabulate(
    nuclei: list[Nucleus], size_px: int, classes: ClassScheme, rng: Rng
) -> tuple[ObjectTable, NDArray[np.int32]]:
    """Outlines, cut at the edge to the 1/100 px that GeoJSON keeps, and their labels.

    A nucleus of which the edge leaves no pixel is taken out of `nuclei` too.
    """
    import shapely

    rings = Contours.from_rings([np.round(n.ring, 2) for n in nuclei])
    cut = shapely.set_precision(
        shapely.intersection(rings.to_shapely(), shapely.box(0, 0, size_px, size_px)), 0.01
    )
    table = ObjectTable.build(
        Contours.from_shapely(cut),
        object_id=new_ids(len(nuclei), rng),
        class_id=[classes.index(n.kind.name) for n in nuclei],
        classes=classes,
    )
    labels = rasterise(table, Box(0, 0, size_px, size_px)).astype(np.int32)
    seen = np.isin(np.arange(1, len(table) + 1), labels)
    if not seen.all():
        nuclei[:] = [n for n, s in zip(nuclei, seen, strict=True) if s]
        return tabulate(nuclei, size_px, classes, rng)
    return table, labels
