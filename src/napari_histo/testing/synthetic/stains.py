"""From amounts of haematoxylin and eosin to a scanned picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.testing.synthetic.fields import Field, Frame, Rng

# Optical density of red, green and blue for one unit of stain: corners of what scanners show.
_HAEMATOXYLIN = np.array(
    [[0.62, 0.70, 0.36], [0.65, 0.70, 0.29], [0.56, 0.72, 0.41], [0.70, 0.66, 0.27]]
)
_EOSIN = np.array([[0.24, 0.80, 0.50], [0.12, 0.95, 0.28], [0.22, 0.80, 0.56], [0.30, 0.86, 0.30]])


@dataclass(frozen=True)
class Stain:
    """One laboratory's and scanner's look.

    Attributes
    ----------
    haematoxylin, eosin : (3,) float32
        Optical density of red, green and blue for one unit, with the strength in it.
    glass : (3,) float32
        Grey values of empty glass.
    blur_um : float
    noise : float
        Deviation of the sensor's noise, grey values.
    """

    haematoxylin: NDArray[np.float32]
    eosin: NDArray[np.float32]
    glass: NDArray[np.float32]
    blur_um: float
    noise: float


def draw_stain(rng: Rng) -> Stain:
    """Any look that a slide may have, from faded to overstained."""
    colours = []
    for corners, strength in ((_HAEMATOXYLIN, (0.65, 1.5)), (_EOSIN, (0.55, 1.8))):
        colour = rng.dirichlet(np.full(len(corners), 0.7)) @ corners
        colour = np.clip(colour * rng.normal(1, 0.05, 3), 0.03, None)
        amount = np.exp(rng.uniform(*np.log(strength)))
        colours.append((colour / np.linalg.norm(colour) * amount).astype(np.float32))
    glass = rng.uniform(226, 250) + rng.normal(0, 3, 3)
    return Stain(
        haematoxylin=colours[0],
        eosin=colours[1],
        glass=np.clip(glass, 210, 255).astype(np.float32),
        blur_um=rng.uniform(0.2, 0.7) if rng.uniform() < 0.85 else rng.uniform(0.7, 1.8),
        noise=rng.uniform(0.5, 3.0),
    )


def photograph(
    frame: Frame, haematoxylin: Field, eosin: Field, red: Field, stain: Stain, rng: Rng
) -> NDArray[np.uint8]:
    """(h, w, 3) picture: Beer and Lambert's law, blur of the optics, noise of the sensor.

    Parameters
    ----------
    haematoxylin, eosin : (h, w) float32
        Amounts of stain.
    red : (h, w) float32
        Red blood cells, 1 where one lies: they have a colour of their own.
    """
    thickness = 1 + 0.06 * frame.noise(60, rng)
    blood = np.array([0.12, 0.62, 0.62], np.float32) * stain.eosin[1]
    light = np.empty((*frame.shape, 3), np.uint8)
    # Half a pixel's blur stands for the area that a pixel gathers light from.
    sigma_um = float(np.hypot(stain.blur_um, 0.35 * frame.pixel_um))
    for channel in range(3):
        od = haematoxylin * stain.haematoxylin[channel] + eosin * stain.eosin[channel]
        od = (od + red * blood[channel]) * thickness
        plane = stain.glass[channel] * np.exp(np.float32(-np.log(10)) * np.clip(od, 0, 3))
        plane = frame.blur(plane, sigma_um)
        plane += np.float32(stain.noise) * rng.standard_normal(frame.shape, dtype=np.float32)
        light[..., channel] = np.clip(np.rint(plane), 0, 255)
    return light
