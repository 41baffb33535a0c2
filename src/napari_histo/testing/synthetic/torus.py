"""What a patch is drawn with: fields and nuclei that go on beyond its border, on every side.

A patch is a torus: what leaves it on the right comes in on the left. All patches of one kind also
share a strip along their border, so any of them fits beside any other, and nuclei lie across.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.draw import polygon2mask

from napari_histo.testing.synthetic.cells import Kind, Nucleus, Rng, outline
from napari_histo.testing.synthetic.he import Field, noise

#: So near to the border, in px, all patches of a kind are alike; from the second on they differ.
_ALIKE_PX, _OWN_PX = 72, 128
#: Nuclei with their centre so near to the border belong to all patches of a kind; those farther
#: than the second to one, and do not reach the border. Whether a shared one is placed, and how it
#: lies, must not hang on what is a patch's own: fields are alike, smoothed by 6 px too, up to here.
_SHARED_PX, _FREE_PX = 40, 48
#: How far a nucleus shows beyond its outline, in the blur of the optics.
HALO_PX = 3


class Cloth:
    """Random fields (size, size) that are alike at the border for the same `shared_seed`.

    Parameters
    ----------
    size : int
        Side, px.
    shared_seed, own_seed : sequence of int
        Of what all patches of the kind share, and of what is this patch's alone. Fields must be
        asked for in the same order in every patch of a kind.
    """

    def __init__(self, size: int, shared_seed: list[int], own_seed: list[int]) -> None:
        self.size = size
        self.shared = np.random.default_rng(shared_seed)
        self.own = np.random.default_rng(own_seed)

    @cached_property
    def border_px(self) -> Field:
        """Distance to the border, px."""
        along = np.arange(self.size) + 0.5
        near = np.minimum(along, self.size - along)
        return np.asarray(np.minimum(near[:, None], near[None, :]))

    @cached_property
    def share(self) -> Field:
        """1 where all patches are alike, 0 where each is its own."""
        return np.clip((_OWN_PX - self.border_px) / (_OWN_PX - _ALIKE_PX), 0, 1)

    def mix(self, draw: Callable[[Rng], Field]) -> Field:
        """A shared and an own field, melted into each other; spread about 0 stays what it is."""
        shared, own = draw(self.shared), draw(self.own)
        norm = np.hypot(self.share, 1 - self.share)
        return np.asarray((self.share * shared + (1 - self.share) * own) / norm)

    def noise(self, scale_px: float) -> Field:
        """Smooth noise of mean 0 and deviation 1."""
        return self.mix(lambda rng: noise(self.size, scale_px, rng))

    def fibres(self) -> tuple[Field, Field]:
        """Wavy strands, about -1 to 1, and their direction, radians."""
        y, x = np.mgrid[: self.size, : self.size].astype(float)
        # A slope of 1 comes in again where it went out.
        across = y + x + 40 * self.noise(self.size / 9) + 5 * self.noise(self.size / 40)
        along = x + 20 * self.noise(self.size / 9)
        strands = np.zeros_like(across)
        for width, weight in ((1.1, 0.35), (2.2, 0.5), (5.0, 0.5)):
            grain = self.shared.standard_normal(across.shape)
            grain = ndi.gaussian_filter(grain, (width, 26), mode="wrap")
            at = np.stack([across, along])
            strands += weight * ndi.map_coordinates(
                grain / grain.std(), at, order=1, mode="grid-wrap"
            )
        slope_y, slope_x = np.gradient(ndi.gaussian_filter(across, 6))
        return strands, np.arctan2(-slope_x, slope_y)

    def walls(self, spacing_px: float) -> Field:
        """How much nearer one of scattered places is than the next: 0 on the walls between, px."""
        from scipy.spatial import cKDTree

        n = max(2, round(self.size / spacing_px))
        grid = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2)
        # Walls near the border depend on the outer places alone.
        outer = ((grid == 0) | (grid == n - 1)).any(axis=1, keepdims=True)
        shared, own = (rng.uniform(0.15, 0.85, grid.shape) for rng in (self.shared, self.own))
        places = (grid + np.where(outer, shared, own)) * (self.size / n)
        y, x = np.mgrid[: self.size, : self.size] + 0.5
        near, _ = cKDTree(places, boxsize=self.size).query(np.stack([x, y], axis=-1), k=2)
        return np.asarray(near[..., 1] - near[..., 0])


class TorusPlacer:
    """Puts nuclei on a torus and keeps `gap_px` between them.

    Attributes
    ----------
    nuclei : list of Nucleus
    centres : list of (float, float)
        x and y, px, within the patch.
    """

    def __init__(self, size: int, gap_px: int) -> None:
        self.nuclei: list[Nucleus] = []
        self.centres: list[tuple[float, float]] = []
        self._taken = np.zeros((size, size), bool)
        self._gap = gap_px

    def fill(
        self,
        kind: Kind,
        density: float,
        crowd: Field,
        angles: Field,
        *,
        near_border: bool,
        rng: Rng,
    ) -> None:
        """Try random places near the border, or away from it.

        `density` is in tries per px², where `crowd` (0 to 2) is 1; `angles` in radians.
        """
        size = len(crowd)
        for _ in range(rng.poisson(2 * density * size**2)):
            x, y = rng.uniform(0, size, 2)
            turn, chance, seed = rng.normal(0, 0.2), rng.uniform(0, 2), rng.integers(2**32)
            border = min(x, y, size - x, size - y)
            right_place = border < _SHARED_PX if near_border else border > _FREE_PX
            row, column = int(y), int(x)
            if right_place and chance < crowd[row, column]:
                angle = angles[row, column] + turn
                self._put(kind, (x, y), angle, np.random.default_rng(seed))

    def _put(self, kind: Kind, centre: tuple[float, float], angle: float, rng: Rng) -> None:
        # Every other vertex: 24 are enough to tell the shape, and it is drawn as it is told.
        ring = np.round(outline(kind, angle, rng)[::2] + np.array(centre), 2)
        inside, rows, columns = footprint(ring, len(self._taken), self._gap)
        here = np.ix_(rows, columns)
        if (self._taken[here] & inside).any():
            return
        self._taken[here] |= inside
        self.nuclei.append(Nucleus(kind, ring, rng.uniform(*kind.stain)))
        self.centres.append(centre)


def footprint(
    ring: NDArray[np.float64], size: int, grow_px: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """Mask of an outline, grown by some px, with the rows and columns of the torus it lies on."""
    low = np.floor(ring.min(axis=0)).astype(int) - grow_px - 1
    high = np.ceil(ring.max(axis=0)).astype(int) + grow_px + 1
    shape = tuple(high[::-1] - low[::-1])
    inside = polygon2mask(shape, (ring - low - 0.5)[:, ::-1])  # type: ignore[no-untyped-call]
    if grow_px:
        inside = ndi.binary_dilation(inside, iterations=grow_px)
    rows, columns = (np.arange(low[i], high[i]) % size for i in (1, 0))
    return inside, rows, columns


def paint_labels(nuclei: list[Nucleus], size: int, grow_px: int = 0) -> NDArray[np.int32]:
    """(size, size) number of the nucleus, from 1, grown by some px; 0 between them."""
    labels = np.zeros((size, size), np.int32)
    for number, nucleus in enumerate(nuclei, 1):
        inside, rows, columns = footprint(nucleus.ring, size, grow_px)
        row, column = np.nonzero(inside)
        labels[rows[row], columns[column]] = number
    return labels
