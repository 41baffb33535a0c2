"""An H&E-like field of 256 µm: glands, a solid nest, stroma, lymphocytes, white gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.testing.synthetic.cells import (
    EPITHELIAL,
    FIBROBLAST,
    LARGE,
    LYMPHOCYTE,
    Nucleus,
    Placer,
    Rng,
)

Field = NDArray[np.float64]

#: Optical density of red, green and blue for one unit of stain, as seen on scanned H&E slides.
_HAEMATOXYLIN = np.array([0.62, 0.70, 0.36])
_EOSIN = np.array([0.24, 0.80, 0.50])
_GLASS = 244.0


@dataclass(frozen=True)
class Tissue:
    """Masks (h, w) of what lies where, and the direction of the fibres, radians."""

    glands: NDArray[np.bool_]
    lumens: NDArray[np.bool_]
    nest: NDArray[np.bool_]
    immune: NDArray[np.bool_]
    gaps: NDArray[np.bool_]
    fibres: Field
    fibre_angle: Field

    @property
    def epithelium(self) -> NDArray[np.bool_]:
        """Where cells lie side by side."""
        return (self.glands & ~self.lumens) | self.nest

    @property
    def stroma(self) -> NDArray[np.bool_]:
        """Everything else that is tissue."""
        return ~(self.epithelium | self.lumens | self.gaps)


def noise(size: int, scale_px: float, rng: Rng) -> Field:
    """(size, size) smooth noise of mean 0 and standard deviation 1."""
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    blur = np.exp(-2 * (np.pi * scale_px) ** 2 * (y**2 + x**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * blur, (size, size))
    return np.asarray((field - field.mean()) / field.std())


def blob(size: int, centre: tuple[float, float], radius: float, rng: Rng) -> Field:
    """Distance from a centre (x, y) as a share of an uneven radius: below 1 is inside."""
    y, x = np.mgrid[:size, :size] + 0.5
    turn = np.arctan2(y - centre[1], x - centre[0])
    uneven = sum(
        rng.normal(0, 0.13 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)
    )
    return np.asarray(np.hypot(x - centre[0], y - centre[1]) / (radius * (1 + uneven)))


def make_tissue(size: int, rng: Rng) -> Tissue:
    """Lay out the field."""
    glands = np.stack(
        [
            blob(size, (0.24 * size, 0.27 * size), 0.19 * size, rng),
            blob(size, (0.68 * size, 0.17 * size), 0.15 * size, rng),
            blob(size, (0.17 * size, 0.78 * size), 0.15 * size, rng),
        ]
    ).min(axis=0)
    nest = blob(size, (0.76 * size, 0.74 * size), 0.22 * size, rng)
    immune = blob(size, (0.47 * size, 0.56 * size), 0.13 * size, rng)
    rough = 0.10 * noise(size, 5, rng)
    torn = (
        noise(size, size / 40, rng) + rough - 0.9 * np.clip(1.3 - np.minimum(glands, nest), 0, None)
    )
    fringe = noise(size, size / 12, rng)
    cleft = np.minimum(np.abs(glands - 1.06), np.abs(nest - 1.05)) < 0.03 * np.tanh(fringe)
    fibres, angle = _fibres(size, rng)
    return Tissue(
        glands < 1,
        glands < 0.36 + 0.02 * noise(size, size / 100, rng),
        nest < 1,
        (immune < 1) & (glands > 1.1) & (nest > 1.08),
        ((torn > 1.75) & (immune > 1.1)) | (cleft & (0.15 * fringe + rough > 0)),
        fibres,
        angle,
    )


def _fibres(size: int, rng: Rng) -> tuple[Field, Field]:
    """Wavy strands, about -1 to 1, and their direction."""
    y, x = np.mgrid[:size, :size].astype(float)
    across = y + 0.35 * x + 45 * noise(size, size / 9, rng) + 5 * noise(size, size / 40, rng)
    along = x + 20 * noise(size, size / 9, rng)
    strands = np.zeros((size, size))
    for width, weight in ((1.1, 0.35), (2.2, 0.5), (5.0, 0.5)):
        grain = ndi.gaussian_filter(rng.standard_normal((size, size)), (width, 26), mode="wrap")
        at = np.stack([across, along])
        strands += weight * ndi.map_coordinates(grain / grain.std(), at, order=1, mode="grid-wrap")
    slope_y, slope_x = np.gradient(ndi.gaussian_filter(across, 6))
    return strands, np.arctan2(-slope_x, slope_y)


def place_nuclei(tissue: Tissue, rng: Rng) -> list[Nucleus]:
    """Nuclei in order: glands, nest, lymphocytes, stroma."""
    size = len(tissue.glands)
    placer = Placer(size, 1, rng)
    # In a gland nuclei stand on the basement membrane and point to the lumen.
    height = ndi.distance_transform_edt(~tissue.lumens)
    slope_y, slope_x = np.gradient(ndi.gaussian_filter(height, 8))
    to_lumen = np.arctan2(slope_y, slope_x)
    depth = ndi.distance_transform_edt(tissue.glands & ~tissue.lumens)
    basal = (depth > 12) & (depth < 30) & tissue.glands & (height > 18)
    inner = (depth > 12) & tissue.glands & (height > 26)
    placer.fill(EPITHELIAL, basal, 900, to_lumen)
    placer.fill(EPITHELIAL, inner, 160, to_lumen)
    anyhow = rng.uniform(0, np.pi, (size, size))
    within_nest = ndi.binary_erosion(tissue.nest, iterations=14)
    placer.fill(LARGE, within_nest, 420, anyhow)
    placer.fill(LYMPHOCYTE, tissue.nest & ~tissue.gaps, 14, anyhow)
    solid = tissue.stroma & (ndi.distance_transform_edt(tissue.stroma) > 7)
    placer.fill(LYMPHOCYTE, tissue.immune & solid, 500, anyhow)
    placer.fill(FIBROBLAST, solid & ~tissue.immune, 190, tissue.fibre_angle)
    placer.fill(LYMPHOCYTE, solid, 45, anyhow)
    return placer.nuclei


def stain_and_photograph(
    tissue: Tissue, nuclei: list[Nucleus], labels: NDArray[np.integer], rng: Rng
) -> NDArray[np.uint8]:
    """(h, w, 3) picture: amounts of stain, Beer and Lambert's law, blur, sensor noise."""
    size = len(labels)
    haematoxylin, eosin = _ground(tissue, labels, rng)
    inside = labels > 0
    chromatin = _chromatin(nuclei, labels, rng)
    haematoxylin = np.where(inside, chromatin + 0.5 * haematoxylin, haematoxylin)
    eosin = np.where(inside, 0.45 * eosin + 0.02, eosin)
    thickness = 1 + 0.07 * noise(size, size / 8, rng)
    od = (haematoxylin * thickness)[..., None] * _HAEMATOXYLIN
    od += (np.clip(eosin, 0, None) * thickness)[..., None] * _EOSIN
    light = _GLASS * 10**-od
    for channel, blur in enumerate((0.85, 0.75, 0.95)):
        light[..., channel] = ndi.gaussian_filter(light[..., channel], blur)
    light += 1.1 * rng.standard_normal(light.shape)
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)


def _ground(tissue: Tissue, labels: NDArray[np.integer], rng: Rng) -> tuple[Field, Field]:
    """Haematoxylin and eosin between the nuclei."""
    size = len(labels)
    fine, coarse = noise(size, 1.2, rng), noise(size, 4, rng)
    stroma_e = 0.095 + 0.036 * tissue.fibres + 0.022 * fine + 0.02 * noise(size, size / 20, rng)
    stroma_h = 0.02 + 0.008 * np.abs(tissue.fibres)
    cells_e = 0.12 + 0.02 * coarse + 0.028 * fine + 0.03 * noise(size, size / 30, rng)
    cells_h = 0.055 + 0.02 * coarse + 0.02 * noise(size, size / 25, rng)
    edge = 0.08 * _cell_borders(labels)
    soft = ndi.gaussian_filter(tissue.epithelium.astype(float), 1.5)
    immune = ndi.gaussian_filter((tissue.immune & tissue.stroma).astype(float), 10)
    eosin = soft * (cells_e - edge * (1 + 0.5 * coarse)) + (1 - soft) * (stroma_e - 0.04 * immune)
    haematoxylin = soft * cells_h + (1 - soft) * (stroma_h + 0.03 * immune)
    # White keeps off the nuclei, or one would hang in the void.
    empty = (tissue.gaps | tissue.lumens) & ~ndi.binary_dilation(labels > 0, iterations=3)
    white = ndi.gaussian_filter(empty.astype(float), 1.3)
    secretion = 0.02 * np.clip(coarse + 0.6, 0, None) * tissue.lumens
    return haematoxylin * (1 - white), np.clip(eosin, 0.02, None) * (1 - white) + secretion * white


def _cell_borders(labels: NDArray[np.integer]) -> Field:
    """1 midway between neighbouring nuclei, 0 elsewhere."""
    _, (rows, columns) = ndi.distance_transform_edt(labels == 0, return_indices=True)
    nearest = labels[rows, columns]
    border = (np.roll(nearest, 1, 0) != nearest) | (np.roll(nearest, 1, 1) != nearest)
    border &= labels == 0
    return np.asarray(np.clip(2.2 * ndi.gaussian_filter(border.astype(float), 1.2), 0, 1))


def _chromatin(nuclei: list[Nucleus], labels: NDArray[np.integer], rng: Rng) -> Field:
    """Haematoxylin within the nuclei: membrane, coarse chromatin, nucleoli."""
    size = len(labels)
    stain, rim, clumps = (
        np.array([0.0, *values])[labels]
        for values in (
            [n.stain for n in nuclei],
            [n.kind.rim for n in nuclei],
            [n.kind.clumps for n in nuclei],
        )
    )
    depth = ndi.distance_transform_edt(labels > 0)
    membrane = np.exp(-(((depth - 1.6) / 1.3) ** 2))
    grain = 0.6 * noise(size, 1.6, rng) + 0.6 * noise(size, 3.0, rng)
    clump = np.clip(grain, -1.2, 1.8)
    amount = stain * (1 - 0.25 * rim + rim * membrane + 0.8 * clumps * clump)
    return np.asarray(np.clip(amount, 0.06, None) + _nucleoli(nuclei, size, rng))


def _nucleoli(nuclei: list[Nucleus], size: int, rng: Rng) -> Field:
    spots = np.zeros((size, size))
    for nucleus in nuclei:
        if rng.uniform() < nucleus.kind.nucleolus:
            centre = nucleus.ring.mean(axis=0)
            toward = nucleus.ring[rng.integers(len(nucleus.ring))]
            x, y = (centre + rng.uniform(0, 0.4) * (toward - centre)).astype(int)
            if 0 <= x < size and 0 <= y < size:
                spots[y, x] = rng.uniform(0.6, 1.2)
    return np.asarray(4.5 * ndi.gaussian_filter(spots, 1.6))
