"""Where a drawn slide has glass, and where which tissue: islands with large regions in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import ClassScheme, ObjectTable, ObjectType, new_ids
from napari_histo.store.labels import labels_to_table
from napari_histo.testing.synthetic.fields import Field, Frame, Rng
from napari_histo.testing.synthetic.tissue_patches import GLASS, TISSUES

__all__ = ["CELL_PX", "TissueMap", "grow_map"]

#: Full-resolution px a side of one cell of the map.
CELL_PX = 16
#: Waves are drawn on a grid of this many nodes at most: they are smooth.
_NODES = 400
_GLASS_RIM_PX = 320


@dataclass(frozen=True, eq=False)
class TissueMap:
    """The tissue of every cell of 16 × 16 px.

    Attributes
    ----------
    kinds : (h, w) uint8
        0 glass, else the place in `TISSUES` + 1. The slide lies within; cells may reach beyond it.
    """

    kinds: NDArray[np.uint8]

    @property
    def is_tissue(self) -> NDArray[np.bool_]:
        """(h, w) True where there is no glass."""
        return np.asarray(self.kinds != GLASS)

    def share(self, tissue: str) -> float:
        """Share of all cells that are of one of `TISSUES`."""
        return float((self.kinds == TISSUES.index(tissue) + 1).mean())

    def regions(self) -> ObjectTable:
        """Annotations in full-resolution px, one a tissue: along the edges of the cells, exactly.

        In the picture tissues melt into each other over 16 px, with the middle on the edge.
        """
        present = [t for i, t in enumerate(TISSUES) if (self.kinds == i + 1).any()]
        return labels_to_table(
            self.kinds.astype(np.int32),
            scale=float(CELL_PX),
            object_id=new_ids(len(present), np.random.default_rng(0)),
            class_id=[TISSUES.index(t) for t in present],
            object_type=ObjectType.ANNOTATION,
            classes=ClassScheme.of(*TISSUES),
        )


def grow_map(
    width: int, height: int, rng: Rng, *, tissue: float, shares: tuple[float, ...], region_px: float
) -> TissueMap:
    """Islands on glass, and tissues in them.

    Parameters
    ----------
    width, height : int
        Slide, full-resolution px.
    rng : numpy.random.Generator
    tissue : float
        Share of the slide that is no glass; with 1 it reaches to the edges, else it stays off them
        by 320 px, or less on small slides.
    shares : tuple of float
        Of each of `TISSUES` in the tissue; their sum need not be 1.
    region_px : float
        How far regions reach, about, px.
    """
    shape = (-(-height // CELL_PX), -(-width // CELL_PX))
    is_tissue = np.ones(shape, bool)
    if tissue < 1:
        terrain = _waves(shape, max(width, height) / 8, rng)
        terrain += 0.15 * _waves(shape, 400, rng)
        inner = _off_edges(shape)
        share = min(1.0, tissue / float(inner.mean()))
        is_tissue = _without_crumbs(inner & (terrain >= _quantile(terrain[inner], 1 - share)))
        is_tissue &= inner
    kinds = np.zeros(shape, np.uint8)
    rest, left = is_tissue, float(sum(shares))
    for number, share in enumerate(shares, 1):
        if share <= 0 or not rest.any():
            continue
        waves = _waves(shape, region_px / 2, rng)
        waves += 0.1 * _waves(shape, 200, rng)
        part = rest if share >= left else rest & (waves > _quantile(waves[rest], 1 - share / left))
        kinds[part] = number
        rest, left = rest & ~part, left - share
    return TissueMap(kinds)


def _quantile(values: Field, share: float) -> float:
    """Of a million values or two at most, evenly taken."""
    return float(np.quantile(values[:: max(1, len(values) // 1_000_000)], share))


def _waves(shape: tuple[int, int], scale_px: float, rng: Rng) -> Field:
    """Smooth noise over the cells; what is finer than the grid of nodes is left out."""
    coarse = max(1, -(-max(shape) // _NODES))
    nodes = (-(-shape[0] // coarse) + 1, -(-shape[1] // coarse) + 1)
    waves = Frame(nodes, 1.0).noise(max(scale_px / CELL_PX / coarse, 1.0), rng)
    down, along = (_between_nodes(n, coarse) for n in shape)
    # Row by row: the nodes are few, the cells of a large slide are many.
    cells = np.empty(shape, np.float32)
    for row, (above, share) in enumerate(zip(*down, strict=True)):
        line = waves[above] * (1 - share) + waves[above + 1] * share
        cells[row] = line[along[0]] * (1 - along[1]) + line[along[0] + 1] * along[1]
    return cells


def _between_nodes(n: int, coarse: int) -> tuple[NDArray[np.intp], Field]:
    """For each of `n` cells the node before it, and its share of the way to the next."""
    at = np.arange(n) / coarse
    before = at.astype(np.intp)
    return before, (at - before).astype(np.float32)


def _off_edges(shape: tuple[int, int]) -> NDArray[np.bool_]:
    rim = min(_GLASS_RIM_PX // CELL_PX, min(shape) // 16)
    inner = np.zeros(shape, bool)
    inner[rim : shape[0] - rim, rim : shape[1] - rim] = True
    return inner


def _without_crumbs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """No specks and no pinholes: opened and closed by 5 cells."""
    disk = np.hypot(*np.mgrid[-3:4, -3:4]) <= 3
    opened = ndi.binary_opening(mask, disk)
    return np.asarray(ndi.binary_closing(np.pad(opened, 4), disk)[4:-4, 4:-4])
