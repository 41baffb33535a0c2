"""One truth from several people who painted a region, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ClassDef, ClassScheme, ObjectState, ObjectTable, ObjectType
from napari_histo.core.regions import RegionMap, is_background
from napari_histo.learning.tissue.examples import speaking, stacked
from napari_histo.ops.clip import clip_contours
from napari_histo.ops.regions import region_areas
from napari_histo.ops.scanline import fill

__all__ = ["AreaConsensus", "merge_areas"]

#: Larger regions are merged in pixels of more than one px of the image, so that a side has no more.
_MOST_PX = 2048
_BACKGROUND = ClassScheme.of("Ignore*")[0]


@dataclass(frozen=True, eq=False)
class AreaConsensus:
    """What several people agree on; px are those of the full resolution.

    Attributes
    ----------
    areas : ObjectTable
        Merged areas, without overlap; where nobody painted, or no class has most of the voices,
        there is none.
    dice : mapping of (str, str) to mapping of str to float
        Dice coefficient of each class, the background as "Background", between each two people,
        in pixels that both painted; without classes that neither has there.
    painted_px, open_px : int
        Pixels that somebody painted, and those of them that teach nothing, for no class has most
        of the voices.
    """

    areas: ObjectTable
    dice: dict[tuple[str, str], dict[str, float]]
    painted_px: int
    open_px: int


def merge_areas(painted: Mapping[str, ObjectTable], region: Box) -> AreaConsensus:
    """Give each pixel the class that more than half of those who painted it say.

    Who left a pixel uncovered says nothing of it, and does not contradict. At a tie the pixel is
    unknown.

    Parameters
    ----------
    painted : mapping of str to ObjectTable
        Areas by annotator, two or more; of overlapping areas the smaller is on top.
    region : Box
        Full-resolution px; nothing is known beyond it.
    """
    tables = [speaking(table) for table in painted.values()]
    tissues = ClassScheme().union(c for t in tables for c in _used(t) if not is_background(c))
    step = ceil(max(region.width, region.height) / _MOST_PX)
    said = [_drawn(table, tissues, region, step) for table in tables]
    merged = _most(said, len(tissues) + 1)
    names = ("Background", *tissues.names)
    dice = {
        (one, other): _dice(said[i], said[j], names)
        for (i, one), (j, other) in combinations(enumerate(painted), 2)
    }
    known = np.any([one > 0 for one in said], axis=0)
    n_known, n_open = int(known.sum()), int((known & (merged == 0)).sum())
    background = next((c for t in tables for c in _used(t) if is_background(c)), _BACKGROUND)
    classes = ClassScheme((background, *tissues))
    return AreaConsensus(
        _outlined(merged, classes, region, step), dice, n_known * step**2, n_open * step**2
    )


def _used(table: ObjectTable) -> list[ClassDef]:
    """Classes of a table's areas, in the order of their first use."""
    return [table.classes[i] for i in dict.fromkeys(table.class_id.tolist())]


def _drawn(table: ObjectTable, tissues: ClassScheme, region: Box, step: int) -> NDArray[np.uint8]:
    """(h, w) 0 unknown, 1 background, else 2 + a position in the tissues."""
    labels = np.zeros((ceil(region.height / step), ceil(region.width / step)), np.uint8)
    areas, values = stacked(table, tissues)
    fill(areas, values, labels, origin=(region.x, region.y), downsample=step)
    return labels


def _most(said: Sequence[NDArray[np.uint8]], n: int) -> NDArray[np.uint8]:
    """What most of those who painted a pixel say, of 1 to `n`; 0 where there is no such."""
    voices = np.sum([one > 0 for one in said], axis=0, dtype=np.uint8)
    merged = np.zeros(voices.shape, np.uint8)
    for value in range(1, n + 1):
        own = np.sum([one == value for one in said], axis=0, dtype=np.uint8)
        merged[2 * own.astype(np.int16) > voices] = value
    return merged


def _dice(
    one: NDArray[np.uint8], other: NDArray[np.uint8], names: Sequence[str]
) -> dict[str, float]:
    both = (one > 0) & (other > 0)
    n = len(names)
    at = (one[both].astype(np.int64) - 1) * n + other[both] - 1
    seen = np.bincount(at, minlength=n * n).reshape(n, n)
    sizes = seen.sum(axis=0) + seen.sum(axis=1)
    return {name: float(2 * seen[i, i] / sizes[i]) for i, name in enumerate(names) if sizes[i]}


def _outlined(
    merged: NDArray[np.uint8], classes: ClassScheme, region: Box, step: int
) -> ObjectTable:
    nothing = np.zeros(merged.shape, np.uint8)
    found = RegionMap(merged, nothing, (step, step), (1.0, 1.0), classes)
    contours, class_id = region_areas(found)
    table = ObjectTable.build(
        clip_contours(contours.transform(1.0, (region.x, region.y)), region),
        classes=classes,
        class_id=class_id,
        object_type=ObjectType.ANNOTATION,
        state=ObjectState.DRAWN,
        source="consensus",
    )
    return table.select(table.areas_px > 0)
