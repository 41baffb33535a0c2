"""Stainings drawn over nuclei that are there: nuclear DAB, and a fluorescence panel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

__all__ = ["PANEL_CHANNELS", "draw_h_dab", "draw_panel"]

#: Name and colour of each channel of `draw_panel`.
PANEL_CHANNELS = (
    ("DAPI", (0, 0, 255)),
    ("Na/K-ATPase", (0, 255, 0)),
    ("Ki67", (255, 0, 0)),
)
#: Optical density of red, green and blue for one unit of haematoxylin and of DAB (Ruifrok and
#: Johnston, Anal Quant Cytol Histol 2001).
_HAEMATOXYLIN, _DAB = np.array([0.65, 0.70, 0.29]), np.array([0.27, 0.57, 0.78])
_GLASS = np.array([243.0, 242.0, 238.0])
_POSITIVE = 0.35
_CELL_PX = 6


def draw_h_dab(labels: NDArray[np.integer], seed: int = 0) -> NDArray[np.uint8]:
    """A brightfield picture in which about a third of the nuclei are brown.

    Parameters
    ----------
    labels : (h, w) integer
        Nuclei; 0 for what is around them.
    seed : int

    Returns
    -------
    (h, w, 3) uint8
    """
    rng = np.random.default_rng(seed)
    texture = _smooth(rng.normal(size=labels.shape), 1.5)
    tissue = _smooth(rng.normal(size=labels.shape), 30.0)
    strength, positive = _each(labels, rng, 0.45, 0.8), _positive(labels, rng)
    haematoxylin = strength * (1 + 0.15 * texture) + 0.07 + 0.02 * tissue
    dab = positive * _each(labels, rng, 0.25, 0.6) * (1 + 0.1 * texture) + 0.03
    soft = [ndi.gaussian_filter(np.maximum(x, 0), 0.8)[..., None] for x in (haematoxylin, dab)]
    light = _GLASS * 10 ** -(soft[0] * _HAEMATOXYLIN + soft[1] * _DAB)
    noisy = light + rng.normal(0, 1.5, light.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def draw_panel(labels: NDArray[np.integer], seed: int = 0) -> NDArray[np.uint16]:
    """Nuclei, rims of cells, and a marker that about a third of the nuclei bear.

    Parameters
    ----------
    labels : (h, w) integer
    seed : int

    Returns
    -------
    (channel, h, w) uint16
        In the order of `PANEL_CHANNELS`.
    """
    rng = np.random.default_rng(seed)
    texture = 1 + 0.15 * _smooth(rng.normal(size=labels.shape), 1.5)
    nuclei = _each(labels, rng, 4000, 9000) * texture
    away, nearest = ndi.distance_transform_edt(labels == 0, return_indices=True)
    cells = np.where(away < _CELL_PX, labels[tuple(nearest)], 0)
    rims = ndi.morphological_gradient(cells, size=3) > 0
    marker = _positive(labels, rng) * _each(labels, rng, 2000, 6000) * texture
    clean = np.stack([nuclei, 5000.0 * rims, marker]) + 300
    blurred = ndi.gaussian_filter(clean, (0, 1, 1))
    return np.asarray(rng.poisson(blurred) + rng.normal(100, 8, clean.shape), np.uint16)


def _each(
    labels: NDArray[np.integer], rng: np.random.Generator, low: float, high: float
) -> NDArray[np.float64]:
    """A number of its own for each object, 0 around them."""
    values = rng.uniform(low, high, int(labels.max()) + 1)
    values[0] = 0
    each: NDArray[np.float64] = values[labels]
    return each


def _positive(labels: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.bool_]:
    chosen = rng.random(int(labels.max()) + 1) < _POSITIVE
    chosen[0] = False
    return np.asarray(chosen[labels])


def _smooth(noise: NDArray[np.float64], sigma_px: float) -> NDArray[np.float64]:
    """Of unit variance."""
    soft = ndi.gaussian_filter(noise, sigma_px)
    return np.asarray(soft / soft.std())
