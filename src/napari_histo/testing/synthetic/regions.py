"""H&E-like slides of several tissues at low magnification, with the tissue of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from napari_histo.testing.synthetic.anatomy import Anatomy, Traits, grow
from napari_histo.testing.synthetic.fields import Field, Frame, Ids, Mask, Rng
from napari_histo.testing.synthetic.habits import STROMA, Habit
from napari_histo.testing.synthetic.layout import inner_depth
from napari_histo.testing.synthetic.stains import Stain, photograph
from napari_histo.testing.synthetic.tissue import stain_tissue

#: Kinds of tissue by their number in `RegionField.regions`; 0 is glass.
REGIONS = ("Stroma", "Epithelium", "Tumor")
_STROMA, _EPITHELIUM, _TUMOR = 1, 2, 3

_CRYPTS = Habit(
    diameter=(180, 240),
    shapes={"round": 6, "long": 2},
    lumens={"open": 1},
    contents={"empty": 2, "mucin": 1},
    epithelium=(55, 70),
    layers=(2, 3),
    goblets=(0.0, 0.2),
    clear=(0.0, 0.2),
    gap=(20, 40),
    spread={"all": 1},
)
_NESTS = Habit(
    diameter=(180, 300),
    shapes={"round": 3, "branched": 3, "budding": 3},
    lumens={"solid": 1},
    contents={"empty": 1},
    epithelium=(30, 45),
    layers=(3, 5),
    clear=(0.0, 0.15),
    gap=(20, 45),
    rough=(0.1, 0.25),
    spread={"all": 1},
)
_HAEMATOXYLIN = np.array([0.62, 0.70, 0.36])
_EOSIN = np.array([0.22, 0.85, 0.45])


@dataclass(frozen=True)
class RegionField:
    """A picture and its truth.

    Attributes
    ----------
    image : (h, w, 3) uint8
        RGB.
    regions : (h, w) uint8
        0 glass, else 1 + a position in `REGIONS`. Glands and nests count with their lumina; all
        other tissue is stroma.
    pixel_size_um : float
    """

    image: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    pixel_size_um: float


def make_region_field(
    rng: Rng, shape_px: tuple[int, int] = (768, 768), pixel_size_um: float = 4.0
) -> RegionField:
    """Draw a piece of tissue on glass: stroma, a part with crypts, a part with solid nests.

    Slides differ as those of one laboratory do: another piece, somewhat other stains.

    Parameters
    ----------
    rng : numpy.random.Generator
        The same state gives the same slide.
    shape_px : (int, int)
        Height and width.
    pixel_size_um : float
        Edge of a pixel, 1 to 8 µm.

    Examples
    --------
    >>> slide = make_region_field(np.random.default_rng(1), (128, 160))
    >>> slide.image.shape, int(slide.regions.max())
    ((128, 160, 3), 3)
    """
    frame = Frame((int(shape_px[0]), int(shape_px[1])), float(pixel_size_um))
    glass, wild = _glass(frame, rng), _terrain(frame, rng)
    rim = ~glass & (frame.depth(~glass) > 40)
    nests = _toned(_only(grow(frame, _NESTS, None, rng), rim & (wild > 0.25)), rng)
    crypts = _toned(_only(grow(frame, _CRYPTS, None, rng), rim & (wild < -0.25)), rng)
    anatomy = replace(_both(crypts, nests), glass=glass)
    amounts = stain_tissue(anatomy, STROMA["dense"], False, rng)
    image = photograph(frame, amounts.blue, amounts.pink, amounts.red, _look(rng), rng)
    regions = np.where(glass, 0, _STROMA).astype(np.uint8)
    regions[anatomy.glands > 0] = _EPITHELIUM
    regions[anatomy.glands > crypts.glands.max()] = _TUMOR
    return RegionField(image, regions, frame.pixel_um)


def _glass(frame: Frame, rng: Rng) -> Mask:
    """Outside an uneven piece that takes most of the picture."""
    y, x = frame.yx_um
    h, w = frame.size_um
    out = np.hypot((y - h / 2) / (0.52 * h), (x - w / 2) / (0.52 * w))
    rough = 0.09 * frame.noise(0.12 * max(h, w), rng) + 0.01 * frame.noise(20, rng)
    return np.asarray(out + rough > 0.93)


def _terrain(frame: Frame, rng: Rng) -> Field:
    """Above 0.25 on one side and below -0.25 on the other, in wide bays."""
    y, x = frame.yx_um
    h, w = frame.size_um
    turn = rng.uniform(0, 2 * np.pi)
    slope = np.cos(turn) * (y / h - 0.5) + np.sin(turn) * (x / w - 0.5)
    return np.asarray(2.5 * slope + 0.5 * frame.noise(0.12 * max(h, w), rng), np.float32)


def _only(anatomy: Anatomy, where: Mask) -> Anatomy:
    """Glands that lie wholly, or all but a little, where they may; the others are stroma."""
    n = len(anatomy.traits.lumen)
    size = np.bincount(anatomy.glands.ravel(), minlength=n)
    inside = np.bincount(anatomy.glands[where], minlength=n)
    kept = inside > 0.9 * size
    kept[0] = False
    return _renumbered(anatomy, kept)


def _toned(anatomy: Anatomy, rng: Rng) -> Anatomy:
    """Cytoplasm and nuclei as blue as lets people tell them from stroma at low magnification."""
    traits = anatomy.traits
    n = len(traits.blue)
    blue, stain = (
        (middle * np.exp(rng.normal(0, 0.08, n))).astype(np.float32)
        for middle in (rng.uniform(0.10, 0.13), rng.uniform(0.28, 0.40))
    )
    return replace(anatomy, traits=replace(traits, blue=blue, stain=stain))


def _renumbered(anatomy: Anatomy, kept: NDArray[np.bool_]) -> Anatomy:
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    rows = np.concatenate([[0], np.flatnonzero(kept)])
    traits = Traits(**{f.name: getattr(anatomy.traits, f.name)[rows] for f in fields(Traits)})
    return replace(
        anatomy,
        traits=traits,
        glands=number[anatomy.glands],
        lumina=number[anatomy.lumina],
    )


def _both(first: Anatomy, second: Anatomy) -> Anatomy:
    """Glands of both, the second's numbered after the first's, which give way where they meet."""
    meets = np.bincount(first.glands[second.glands > 0], minlength=len(first.traits.lumen)) > 0
    meets[0] = True
    first = _renumbered(first, ~meets)
    n = np.int32(len(first.traits.lumen) - 1)
    glands = _united(first.glands, second.glands, n)
    joined = {
        f.name: np.concatenate(
            [getattr(a.traits, f.name)[start:] for a, start in ((first, 0), (second, 1))]
        )
        for f in fields(Traits)
    }
    clear = np.zeros_like(glands)
    return replace(
        first,
        traits=Traits(**joined),
        glands=glands,
        lumina=_united(first.lumina, second.lumina, n),
        depth=inner_depth(first.frame, glands),
        outside=first.frame.depth(glands == 0),
        vessels=clear,
        fat=clear,
        shell=np.zeros(glands.shape, np.float32),
    )


def _united(first: Ids, second: Ids, n: np.int32) -> Ids:
    return np.where(second > 0, second + n, first).astype(np.int32)


def _look(rng: Rng) -> Stain:
    """Stains of one laboratory on different days."""

    def drawn(colour: NDArray[np.float64]) -> NDArray[np.float32]:
        shifted = colour * rng.normal(1, 0.04, 3)
        return (shifted / np.linalg.norm(shifted) * rng.uniform(0.8, 1.25)).astype(np.float32)

    glass = (rng.uniform(236, 248) + rng.normal(0, 1.5, 3)).astype(np.float32)
    return Stain(drawn(_HAEMATOXYLIN), drawn(_EOSIN), glass, rng.uniform(0.2, 0.7), 1.5)
