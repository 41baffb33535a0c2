"""H&E-like fields with glands at the scale of tissue, with the truth of each gland.

Glands are drawn straight at the pixel size asked for, 0.5 to 4 µm; nuclei are textured blobs there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.testing.synthetic.anatomy import grow
from napari_histo.testing.synthetic.fields import Frame, Ids, Rng, pick
from napari_histo.testing.synthetic.habits import HABITS, STROMA, Span
from napari_histo.testing.synthetic.stains import draw_stain, photograph
from napari_histo.testing.synthetic.tissue import stain_tissue


@dataclass(frozen=True)
class GlandField:
    """A picture and its truth.

    Attributes
    ----------
    image : (h, w, 3) uint8
        RGB.
    glands : (h, w) int32
        0 background, else the number of the gland, lumen and lining; each is one connected piece
        without holes, unless another gland lies in it.
    lumina : (h, w) int32
        The number of the gland where its lumen lies, perhaps in several pieces.
    pixel_size_um : float
    tissue : str
        Kind of tissue, a key of `HABITS`.
    """

    image: NDArray[np.uint8]
    glands: Ids
    lumina: Ids
    pixel_size_um: float
    tissue: str


def make_gland_field(
    rng: Rng,
    shape_px: tuple[int, int] = (512, 512),
    pixel_size_um: float = 1.0,
    *,
    tissue: str | None = None,
    diameter_um: Span | None = None,
) -> GlandField:
    """Draw a field with glands of one kind of tissue, random in everything else.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same state gives the same field.
    shape_px : (int, int)
        Height and width.
    pixel_size_um : float
        Edge of a pixel, 0.25 to 8 µm.
    tissue : str, optional
        A key of `HABITS`; any at random by default.
    diameter_um : (float, float), optional
        Range of the glands' width instead of the tissue's own, 40 to 400 µm over all.

    Raises
    ------
    ValueError
        If the tissue is unknown, or the sizes make no picture.

    Examples
    --------
    >>> field = make_gland_field(np.random.default_rng(1), (64, 96), 2.0)
    >>> field.image.shape, field.glands.shape
    ((64, 96, 3), (64, 96))
    """
    _check(shape_px, pixel_size_um, tissue)
    name = tissue or str(pick(rng, dict.fromkeys(HABITS, 1.0), 1)[0])
    habit = HABITS[name]
    frame = Frame((int(shape_px[0]), int(shape_px[1])), float(pixel_size_um))
    anatomy = grow(frame, habit, diameter_um, rng)
    stroma = STROMA[str(pick(rng, habit.stroma, 1)[0])]
    amounts = stain_tissue(anatomy, stroma, bool(rng.uniform() < habit.outer), rng)
    look = draw_stain(rng)
    image = photograph(frame, amounts.blue, amounts.pink, amounts.red, look, rng)
    return GlandField(image, anatomy.glands, anatomy.lumina, frame.pixel_um, name)


def _check(shape_px: tuple[int, int], pixel_size_um: float, tissue: str | None) -> None:
    if min(shape_px) < 16:
        raise ValueError(f"shape_px is {shape_px}; height and width must be 16 or more.")
    if not 0.25 <= pixel_size_um <= 8:
        raise ValueError(f"pixel_size_um is {pixel_size_um}; give 0.25 to 8 µm.")
    if tissue is not None and tissue not in HABITS:
        raise ValueError(f"tissue is {tissue!r}; choose one of {', '.join(HABITS)}.")
