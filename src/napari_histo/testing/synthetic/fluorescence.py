"""A DAPI-like field: bright nuclei of uneven brightness on a dim, sloping background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.testing.synthetic.cells import Kind, Nucleus, Placer, Rng
from napari_histo.testing.synthetic.he import noise

#: Cultured cells; lengths in px of 0.5 µm, `stain` is a share of the brightest.
DAPI = Kind("Nucleus", ((9.0, 14.0), (6.5, 10.0)), (0.25, 1.0), 0.1, 0.3)


def place_nuclei(size: int, rng: Rng) -> list[Nucleus]:
    """Nuclei at random, denser in some parts."""
    placer = Placer(size, 1, rng)
    anyhow = rng.uniform(0, np.pi, (size, size))
    placer.fill(DAPI, noise(size, size / 8, rng) > -0.3, 420, anyhow)
    return placer.nuclei


def photograph(nuclei: list[Nucleus], labels: NDArray[np.integer], rng: Rng) -> NDArray[np.uint16]:
    """(h, w) uint16 picture: texture, out-of-focus haze, photon and camera noise."""
    size = len(labels)
    brightness = np.array([0.0, *(n.stain for n in nuclei)])[labels]
    dome = np.clip(ndi.distance_transform_edt(labels > 0) / 4, 0.5, 1)
    texture = 1 + 0.14 * noise(size, 1.8, rng) + 0.06 * noise(size, 4, rng)
    sharp = ndi.gaussian_filter(brightness * dome * texture, 1.0)
    haze = 0.12 * ndi.gaussian_filter(brightness, 14) + 0.02 * (1.5 + noise(size, size / 4, rng))
    photons = rng.poisson(900 * np.clip(sharp + haze, 0, None))
    counts = 400 + 9.0 * photons + 25 * rng.standard_normal(labels.shape)
    return np.asarray(np.clip(np.rint(counts), 0, 65535), np.uint16)
