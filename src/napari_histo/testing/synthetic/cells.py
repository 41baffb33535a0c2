"""Nuclei of the sample images: their kinds, outlines and places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.draw import polygon2mask

Rng = np.random.Generator


@dataclass(frozen=True)
class Kind:
    """Look of one kind of nucleus; lengths in px of 0.25 µm, stain in optical density.

    Attributes
    ----------
    name : str
        Class, as QuPath names it.
    semi_axes : ((float, float), (float, float))
        Range of the longer and of the shorter half axis.
    stain : (float, float)
        Range of the haematoxylin within.
    rim, clumps : float
        Share of the stain that lies in the membrane, and in coarse chromatin.
    nucleolus : float
        Chance of a dark spot.
    """

    name: str
    semi_axes: tuple[tuple[float, float], tuple[float, float]]
    stain: tuple[float, float]
    rim: float
    clumps: float
    nucleolus: float = 0.0


EPITHELIAL = Kind("Tumor", ((11.5, 16.0), (8.5, 11.5)), (0.20, 0.33), 0.55, 0.45, 0.6)
LARGE = Kind("Tumor", ((13.0, 20.0), (10.5, 14.5)), (0.17, 0.32), 0.6, 0.5, 0.8)
LYMPHOCYTE = Kind("Immune cells", ((7.5, 9.5), (6.8, 8.8)), (0.38, 0.56), 0.1, 0.35)
FIBROBLAST = Kind("Stroma", ((12.0, 20.0), (3.6, 5.6)), (0.28, 0.48), 0.15, 0.25)


@dataclass(frozen=True)
class Nucleus:
    """One nucleus: what it is, its outline (k, 2) x before y in px, and its amount of stain."""

    kind: Kind
    ring: NDArray[np.float64]
    stain: float


def outline(kind: Kind, angle: float, rng: Rng) -> NDArray[np.float64]:
    """(48, 2) outline about the origin: an ellipse with a few soft dents."""
    long, short = (rng.uniform(*span) for span in kind.semi_axes)
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    dents = np.zeros(len(turn))
    for order in (2, 3, 4, 5):
        dents += rng.normal(0, 0.06 / order) * np.cos(order * turn + rng.uniform(0, 2 * np.pi))
    flat = np.stack([long * np.cos(turn), short * np.sin(turn)], axis=1) * (1 + dents)[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(flat @ np.array([[cos, sin], [-sin, cos]]))


class Placer:
    """Puts nuclei on a field and keeps `gap_px` between them."""

    def __init__(self, size: int, gap_px: int, rng: Rng) -> None:
        self.nuclei: list[Nucleus] = []
        self._taken = np.zeros((size, size), bool)
        self._gap = gap_px
        self._rng = rng

    def put(self, kind: Kind, x: float, y: float, angle: float) -> bool:
        """Place one nucleus there, unless it would come too near to another or lie outside."""
        ring = outline(kind, angle, self._rng) + np.array([x, y])
        size = len(self._taken)
        low = np.floor(ring.min(axis=0)).astype(int) - self._gap - 1
        high = np.ceil(ring.max(axis=0)).astype(int) + self._gap + 1
        if (high <= 0).any() or (low >= size).any():
            return False
        box = tuple(high[::-1] - low[::-1])
        inside = polygon2mask(box, (ring - low - 0.5)[:, ::-1])  # type: ignore[no-untyped-call]
        inside = ndi.binary_dilation(inside, iterations=self._gap)
        cut = np.maximum(low, 0), np.minimum(high, size)
        here = np.s_[cut[0][1] : cut[1][1], cut[0][0] : cut[1][0]]
        part = np.s_[
            cut[0][1] - low[1] : cut[1][1] - low[1], cut[0][0] - low[0] : cut[1][0] - low[0]
        ]
        if (self._taken[here] & inside[part]).any():
            return False
        self._taken[here] |= inside[part]
        self.nuclei.append(Nucleus(kind, ring, self._rng.uniform(*kind.stain)))
        return True

    def fill(
        self, kind: Kind, where: NDArray[np.bool_], tries: int, angles: NDArray[np.floating]
    ) -> None:
        """Try random places of a mask; `angles` (h, w) is the direction there."""
        rows, columns = np.nonzero(where)
        for at in self._rng.integers(0, len(rows), tries):
            y, x = rows[at] + self._rng.uniform(), columns[at] + self._rng.uniform()
            angle = angles[rows[at], columns[at]] + self._rng.normal(0, 0.2)
            self.put(kind, x, y, angle)
