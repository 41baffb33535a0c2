"""Square pieces of tissue whose nuclei are drawn to be found: dark, apart, and off the rim.

They are for counting, not for training: a good model finds each of these nuclei and nothing else,
so that what is missing or double in a slide of them is the pipeline's fault.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.draw import polygon2mask

from napari_histo.core import Contours
from napari_histo.testing.synthetic.cells import Kind, outline
from napari_histo.testing.synthetic.he import Field, noise

__all__ = ["GLASS", "PATCH_PX", "Patch", "make_patch"]

#: Side of a patch at 0.25 µm/px.
PATCH_PX = 1024
GLASS = (243, 242, 244)
_CLEAR = Kind("Nucleus", ((12.0, 15.0), (9.5, 12.0)), (0.42, 0.52), 0.2, 0.25)
#: Between two centres, and between a centre and the rim, px.
_APART_PX, _RIM_PX = 46, 24
_TRIES = 4000
_HAEMATOXYLIN = np.array([0.62, 0.70, 0.36])
_EOSIN = np.array([0.24, 0.80, 0.50])


@dataclass(frozen=True, eq=False)
class Patch:
    """A picture with its nuclei.

    Attributes
    ----------
    image : (1024, 1024, 3) uint8
    contours : Contours
        One row a nucleus; x and y from 0 to 1024.
    """

    image: NDArray[np.uint8]
    contours: Contours


def make_patch(rng: np.random.Generator, density: float = 1.0) -> Patch:
    """Draw a patch.

    Parameters
    ----------
    rng : numpy.random.Generator
    density : float
        Share of the places for nuclei that are taken, 0 to 1.
    """
    centres = _places(rng)
    centres = centres[rng.random(len(centres)) < density]
    rings = [outline(_CLEAR, rng.uniform(0, np.pi), rng) + centre for centre in centres]
    blue = np.zeros((PATCH_PX, PATCH_PX))
    for ring in rings:
        _stain(blue, ring, rng.uniform(*_CLEAR.stain))
    blue = ndi.gaussian_filter(blue, 0.8) * (1 + 0.12 * noise(PATCH_PX, 2.0, rng))
    pink = 0.2 + 0.04 * noise(PATCH_PX, 14, rng) + 0.02 * noise(PATCH_PX, 3, rng)
    pink *= 1 - 0.6 * np.clip(blue / _CLEAR.stain[0], 0, 1)
    return Patch(_photograph(blue, pink, rng), Contours.from_rings(rings))


def _places(rng: np.random.Generator) -> NDArray[np.float64]:
    """Random places that keep apart (dart throwing)."""
    taken = np.zeros((0, 2))
    for place in rng.uniform(_RIM_PX, PATCH_PX - _RIM_PX, (_TRIES, 2)):
        if not len(taken) or np.square(taken - place).sum(axis=1).min() > _APART_PX**2:
            taken = np.vstack([taken, place])
    return taken


def _stain(blue: Field, ring: NDArray[np.float64], amount: float) -> None:
    low, high = np.floor(ring.min(axis=0)).astype(int), np.ceil(ring.max(axis=0)).astype(int)
    inside = polygon2mask(tuple((high - low)[::-1]), (ring - low - 0.5)[:, ::-1])  # type: ignore[no-untyped-call]
    here = blue[low[1] : high[1], low[0] : high[0]]
    np.maximum(here, amount * inside, out=here)


def _photograph(blue: Field, pink: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    od = blue[..., None] * _HAEMATOXYLIN + pink[..., None] * _EOSIN
    light = np.array(GLASS) * 10 ** -np.clip(od, 0, 3)
    light += rng.normal(0, 1.5, light.shape)
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)
