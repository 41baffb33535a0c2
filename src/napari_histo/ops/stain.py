"""Stains of brightfield images by Beer and Lambert's law, and how much nucleus a pixel shows."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "HED_FROM_OD",
    "OD_FROM_HED",
    "brightest",
    "brown",
    "is_gray",
    "nuclear_density",
    "optical_density",
]

#: Optical density of red, green and blue for one unit of haematoxylin, eosin and DAB, in rows
#: (Ruifrok and Johnston, Anal Quant Cytol Histol 2001; the numbers of scikit-image's ``rgb2hed``).
OD_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
#: Its inverse: ``od @ HED_FROM_OD`` gives amounts of the three stains.
HED_FROM_OD = np.linalg.inv(OD_FROM_HED)

#: Colour channels that differ by less than this are one grey; JPEG blurs colours by about half.
_GRAY_SPREAD = 0.06


def is_gray(rgb: NDArray[np.floating]) -> bool:
    """True where all but the odd pixel of (h, w, 3), 0 to 1, are grey."""
    if not rgb.size:
        return True
    spread = brightest(rgb) + brightest(-rgb)
    return bool((spread >= _GRAY_SPREAD).mean() < 0.01)


def brightest(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """(h, w) largest channel of (h, w, c); numpy's own maximum over a short axis takes 20 times."""
    return reduce(np.maximum, np.moveaxis(image, -1, 0))


def optical_density(
    transmitted: NDArray[np.floating], least: float = 1 / 255
) -> NDArray[np.float32]:
    """Decadic optical density of the share of light that passes.

    Parameters
    ----------
    transmitted : array
        1 for glass, 0 for black.
    least : float
        Shares below this are taken as this.
    """
    return np.asarray(-np.log10(np.clip(transmitted, least, 1.0)), dtype=np.float32)


def nuclear_density(od: NDArray[np.floating]) -> NDArray[np.float32]:
    """Haematoxylin, and DAB where a pixel is clearly brown, in optical density.

    DAB is left out elsewhere: in H&E its part of the unmixing is a residue that blurs nuclei
    (F1@0.5 falls by 0.1). Membranes stained with DAB look like nuclei to this function.

    Parameters
    ----------
    od : (..., 3) array
        Of red, green and blue.

    Returns
    -------
    (...) float32
    """
    haematoxylin = od @ HED_FROM_OD[:, 0]
    dab = np.maximum(od @ HED_FROM_OD[:, 2], 0)
    return np.asarray(haematoxylin + brown(od) * dab, dtype=np.float32)


def brown(od: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(...) which pixels of (..., 3) optical densities are clearly stained with DAB."""
    red, green, blue = np.moveaxis(od, -1, 0)
    return np.asarray((blue > 1.2 * red) & (green < 0.9 * blue) & (red > 0.15))
