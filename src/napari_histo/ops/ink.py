"""Pen marks on glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.ops.stain import brightest

__all__ = ["find_ink"]

Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]

#: Ink lies on glass: with more of its rim than this against tissue, it is tissue or lies over it.
_EMBEDDED = 0.5
#: A colour that more of the slide has than this share of the tissue is a stain, not a pen.
_STAIN = 0.4
#: Side of the square that tells where a mark crosses tissue, cells.
_AROUND = 31
_SQUARE = np.ones((3, 3), bool)


def find_ink(od: NDArray[np.floating], tissue: Mask) -> Mask:
    """Cells of green, blue and black pens that lie beside the tissue.

    Red ink has the colour of eosin and stays. So does ink that tissue surrounds, for cells may lie
    under it, and a colour that most of the tissue has: then it is a stain, such as Light Green.

    Parameters
    ----------
    od : (h, w, 3) array
        Optical density relative to the glass.
    tissue : (h, w) bool
        What differs from glass.
    """
    red, green, blue = np.moveaxis(od, -1, 0)
    grey = np.minimum(np.minimum(red, green), blue)
    chroma = brightest(od) - grey
    # Each: a core that no stain shows, and the paler edge that must hang together with it. Eosin,
    # haematoxylin and DAB all take away more green than pens of these colours do.
    colours = (
        ((green < 0.7 * red) & (green < 0.7 * blue) & (red > 0.3), green < 0.85 * red),
        ((green < 0.65 * red) & (blue < 0.65 * red) & (red > 0.35), green < 0.8 * red),
        ((blue < 0.32 * red) & (green > 0.6 * red) & (red > 0.6), blue < 0.45 * red),
    )
    ink = np.zeros(tissue.shape, bool)
    for core, like in colours:
        marks = _marks(core & tissue, like & tissue, tissue)
        if marks.sum() < _STAIN * tissue.sum():
            ink |= marks
    black = (grey > 0.4) & (chroma < 0.25 * grey)
    return ink | _marks(black & tissue, (chroma < 0.35 * grey) & tissue, tissue)


def _marks(core: Mask, like: Mask, tissue: Mask) -> Mask:
    """Pieces of `like` around a core, but for what tissue surrounds."""
    if not core.any():
        return core
    pieces, n = ndimage.label(like | core, _SQUARE)
    inked = np.zeros(n + 1, bool)
    inked[np.unique(pieces[core])] = True
    inked[0] = False
    marks = inked[pieces]
    beside = tissue & ~marks
    over_tissue = _embedded(np.where(marks, pieces, 0), n, beside) | _amid(marks, beside)
    return np.asarray(marks & ~over_tissue, bool)


def _embedded(pieces: NDArray[np.integer], n: int, tissue: Mask) -> Mask:
    """Pieces with tissue along most of their rim."""
    # Two cells off: the cells next to a mark are a mixture of its colour and that of the glass.
    grown = ndimage.grey_dilation(pieces, (7, 7))
    rim = np.where(ndimage.grey_dilation(pieces, (5, 5)) == 0, grown, 0)
    around = np.bincount(rim.reshape(-1), minlength=n + 1)
    with_tissue = np.bincount(rim.reshape(-1), tissue.reshape(-1), minlength=n + 1)
    embedded = with_tissue > _EMBEDDED * np.maximum(around, 1)
    embedded[0] = False
    return np.asarray(embedded[pieces], bool)


def _amid(marks: Mask, tissue: Mask) -> Mask:
    """Where a long mark crosses tissue."""
    share = ndimage.uniform_filter(tissue.astype(np.float32), _AROUND)
    bare = ndimage.uniform_filter((~marks).astype(np.float32), _AROUND)
    return np.asarray((share > _EMBEDDED * bare) & (share > 1e-3), bool)
