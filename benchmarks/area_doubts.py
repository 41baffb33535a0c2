"""Whether doubted areas are those that were spoiled: `rank_areas` on a drawn slide.

    python benchmarks/area_doubts.py

24 windows of 0.5 mm of one drawn slide are painted by its truth, and four of them spoiled: the two
most frequent classes swapped, all outlines moved by 0.1 mm along both axes, or everything called
the most frequent class. A model learns from all 24, so from the spoiled ones too, and then says
which it contradicts. Told are the places of the spoiled ones in the list, 1 the first. Some two
minutes for each damage on one core.
"""

from __future__ import annotations

import tempfile

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable, PixelSize, result_of
from napari_histo.core.learning import LabelledRegion
from napari_histo.learning.tissue.doubting import rank_areas
from napari_histo.learning.tissue.examples import RegionExample
from napari_histo.learning.tissue.training import RegionTraining, train_regions
from napari_histo.learning.training import Example
from napari_histo.slides import ArrayReader
from napari_histo.store import labels_to_table
from napari_histo.testing.synthetic.regions import REGIONS, make_region_field

DAMAGES = ("swapped", "moved", "one class")
SIDE, WINDOW, N, N_SPOILED, STEPS, MOVED = 1024, 128, 24, 4, 200, 24
CLASSES = ClassScheme.of("Ignore*", *REGIONS)


def spoiled(truth: NDArray[np.integer], how: str) -> NDArray[np.integer]:
    """The truth of a window with one of `DAMAGES`."""
    most = np.argsort(-np.bincount(truth.ravel()))
    if how == "moved":
        return np.roll(truth, (MOVED, MOVED), (0, 1))
    if how == "one class":
        return np.full_like(truth, most[0])
    swap = np.arange(len(CLASSES))
    swap[most[:2]] = most[1::-1]
    return swap[truth]


def painted(truth: NDArray[np.integer], box: Box) -> ObjectTable:
    """Areas of what is said of a window."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[box.y : box.bottom, box.x : box.right] = truth + 1
    return labels_to_table(labels, classes=CLASSES, class_id=np.unique(truth))


def places(how: str) -> list[int]:
    """Places of the spoiled windows in the list."""
    drawn = make_region_field(np.random.default_rng(103), (SIDE, SIDE), 4.0)
    reader = ArrayReader(drawn.image, pixel_size=PixelSize.square(4.0))
    boxes = [
        Box(x, y, WINDOW, WINDOW) for x in range(0, SIDE, WINDOW) for y in range(0, SIDE, WINDOW)
    ]
    parts = [(box, drawn.regions[box.y : box.bottom, box.x : box.right]) for box in boxes]
    mixed = [(box, part) for box, part in parts if len(np.unique(part)) > 1]
    chosen = np.random.default_rng(0).choice(len(mixed), N, replace=False)
    tables = []
    for n, (box, part) in enumerate(mixed[i] for i in chosen):
        tables.append((box, painted(spoiled(part, how) if n < N_SPOILED else part, box)))
    examples = [RegionExample(reader, table, within=box) for box, table in tables]
    with tempfile.TemporaryDirectory() as folder:
        params = RegionTraining(steps=STEPS, device="cpu")
        model = result_of(train_regions(examples, f"{folder}/model", params)).model
    labelled = [
        Example(reader, LabelledRegion(str(n), box, table, Contours.empty()))
        for n, (box, table) in enumerate(tables)
    ]
    order = [int(one.labels.image) for one in result_of(rank_areas(labelled, model))]
    return sorted(order.index(n) + 1 for n in range(N_SPOILED))


if __name__ == "__main__":
    for damage in DAMAGES:
        print(f"{damage}: places {places(damage)} of {N}", flush=True)
