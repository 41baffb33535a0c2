"""Patches of tissue that fit beside each other on every side; slides are put together of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import ClassScheme
from napari_histo.testing.synthetic import cells, he
from napari_histo.testing.synthetic.cells import Kind, Nucleus
from napari_histo.testing.synthetic.he import Field
from napari_histo.testing.synthetic.torus import HALO_PX, Cloth, TorusPlacer, paint_labels

__all__ = ["GLASS", "NUCLEUS_CLASSES", "TISSUES", "Library", "Look", "Patch", "draw_patch"]

#: What the nuclei are, and what the regions are, as QuPath names them; a region's number is its
#: place here + 1.
NUCLEUS_CLASSES = ClassScheme.of("Tumor", "Stroma", "Immune cells")
TISSUES = ("Tumor", "Stroma", "Adipose")
#: Number of what is no tissue.
GLASS = 0

Look = Literal["clear", "lifelike"]

_GLASS_GREY = 244.0
_PAD_PX = 48

# Moderate in size, evenly stained and apart from each other: each one is a nucleus to any model.
_CLEAR_TUMOUR = Kind("Tumor", ((11.5, 14.0), (9.5, 11.5)), (0.36, 0.44), 0.25, 0.15)
_CLEAR_STROMA = Kind("Stroma", ((13.0, 16.0), (6.5, 8.0)), (0.40, 0.48), 0.1, 0.15)
_CLEAR_IMMUNE = Kind("Immune cells", ((9.5, 10.5), (8.5, 9.5)), (0.44, 0.52), 0.1, 0.15)

#: For each tissue: kinds of nuclei with the tries per 1000 px², and the px between nuclei.
_NUCLEI: dict[Look, dict[str, list[tuple[Kind, float]]]] = {
    "clear": {
        "Tumor": [(_CLEAR_TUMOUR, 0.75), (_CLEAR_IMMUNE, 0.03)],
        "Stroma": [(_CLEAR_STROMA, 0.11), (_CLEAR_IMMUNE, 0.05)],
        "Adipose": [],
    },
    "lifelike": {
        "Tumor": [(cells.LARGE, 0.5), (cells.EPITHELIAL, 0.8), (cells.LYMPHOCYTE, 0.05)],
        "Stroma": [(cells.FIBROBLAST, 0.2), (cells.LYMPHOCYTE, 0.08)],
        "Adipose": [],
    },
}
_GAP_PX: dict[Look, int] = {"clear": 8, "lifelike": 1}


@dataclass(frozen=True, eq=False)
class Patch:
    """A square of one tissue at 0.25 µm/px, on a torus.

    Attributes
    ----------
    image, ground : (s, s, 3) uint8
        The picture, and the same without its nuclei.
    labels : (s, s) int32
        Where `image` shows a nucleus and its blurred rim: its row + 1, else 0.
    rings : (n, 24, 2) float32
        Outlines, open, x before y, px; they may reach beyond the patch on any side.
    centres : (n, 2) float64
        Middle of each, x before y, within ``[0, s)``.
    classes : (n,) int32
        In `NUCLEUS_CLASSES`.
    """

    image: NDArray[np.uint8]
    ground: NDArray[np.uint8]
    labels: NDArray[np.int32]
    rings: NDArray[np.float32]
    centres: NDArray[np.float64]
    classes: NDArray[np.int32]

    @property
    def size_px(self) -> int:
        """Side, px."""
        return len(self.image)

    def __len__(self) -> int:
        return len(self.rings)

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Patch:
        """A picture of which no nucleus is known."""
        if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3:
            raise ValueError(f"The picture has shape {image.shape}; wanted is a square, (s, s, 3).")
        none = np.zeros((0, 2))
        return cls(
            image,
            image,
            np.zeros(image.shape[:2], np.int32),
            np.zeros((0, 24, 2), np.float32),
            none,
            np.zeros(0, np.int32),
        )


@dataclass(frozen=True, eq=False)
class Library:
    """Patches of one size, by tissue.

    Attributes
    ----------
    patches : tuple of tuple of Patch
        For glass, and then for each of `TISSUES`, one or more that fit beside each other.
    """

    patches: tuple[tuple[Patch, ...], ...]

    @property
    def size_px(self) -> int:
        """Side of every patch, px."""
        return self.patches[0][0].size_px

    @classmethod
    def draw(
        cls, n_each: int = 4, *, size_px: int = 1024, look: Look = "clear", seed: int = 0
    ) -> Library:
        """Glass and `n_each` patches of each tissue, from a seed.

        Of `look` "clear", nuclei are drawn to be told apart by any model that is worth the name:
        moderate in size, evenly dark, and 8 px or more from each other. Counts are then a test of
        what cuts, merges and doubles them, not of the model. "lifelike" ones are pale, crowded and
        thin, as they are.
        """
        tissues = [
            tuple(draw_patch(t, i, size_px=size_px, look=look, seed=seed) for i in range(n_each))
            for t in TISSUES
        ]
        return cls(((_glass(size_px, seed),), *tissues))


def draw_patch(
    tissue: str, number: int = 0, *, size_px: int = 1024, look: Look = "clear", seed: int = 0
) -> Patch:
    """One patch: the same from the same seed, look and number; see `Library.draw`."""
    if tissue not in TISSUES:
        raise ValueError(f"There is no tissue {tissue!r}; choose one of {', '.join(TISSUES)}.")
    if size_px < 256 or size_px % 256:
        raise ValueError(f"size_px is {size_px}; give a multiple of 256.")
    kind = TISSUES.index(tissue)
    cloth = Cloth(size_px, [seed, kind, 0], [seed, kind, 1, number])
    if tissue == "Stroma":
        fibres, angle = cloth.fibres()
    else:
        fibres = angle = np.zeros((size_px, size_px))
    placer = _place(cloth, _NUCLEI[look][tissue], _GAP_PX[look], angle, anyhow=tissue == "Tumor")
    labels = paint_labels(placer.nuclei, size_px)
    haematoxylin, eosin = _ground(tissue, cloth, fibres, labels)
    ground = _photograph(haematoxylin, eosin, cloth, [seed, kind, 2, number])
    if placer.nuclei:
        inside = labels > 0
        chromatin = _chromatin(placer.nuclei, labels, cloth)
        haematoxylin = np.where(inside, chromatin + 0.5 * haematoxylin, haematoxylin)
        eosin = np.where(inside, 0.45 * eosin + 0.02, eosin)
    image = _photograph(haematoxylin, eosin, cloth, [seed, kind, 2, number])
    return Patch(
        image,
        ground,
        paint_labels(placer.nuclei, size_px, HALO_PX),
        np.array([n.ring for n in placer.nuclei], np.float32).reshape(-1, 24, 2),
        np.array(placer.centres, float).reshape(-1, 2),
        np.array([NUCLEUS_CLASSES.index(n.kind.name) for n in placer.nuclei], np.int32),
    )


def _glass(size: int, seed: int) -> Patch:
    rng = np.random.default_rng([seed, 99])
    grey = _GLASS_GREY + 1.1 * rng.standard_normal((size, size, 3))
    return Patch.of(np.asarray(np.clip(np.rint(grey), 0, 255), np.uint8))


def _place(
    cloth: Cloth, kinds: Sequence[tuple[Kind, float]], gap: int, angle: Field, *, anyhow: bool
) -> TorusPlacer:
    """Nuclei across the border first: they are the same in all patches of the tissue."""
    placer = TorusPlacer(cloth.size, gap)
    crowd = np.clip(1 + 0.35 * cloth.noise(cloth.size / 12), 0.2, 2)
    angles = 3 * cloth.noise(20) if anyhow else angle
    for near_border, parent in ((True, cloth.shared), (False, cloth.own)):
        # Of its own: how many numbers it takes must not change what is drawn next.
        rng = np.random.default_rng(parent.integers(2**32))
        for kind, density in kinds:
            placer.fill(kind, density / 1000, crowd, angles, near_border=near_border, rng=rng)
    return placer


def _ground(
    tissue: str, cloth: Cloth, fibres: Field, labels: NDArray[np.int32]
) -> tuple[Field, Field]:
    """Haematoxylin and eosin between the nuclei."""
    size = cloth.size
    fine, coarse, broad = cloth.noise(1.2), cloth.noise(4), cloth.noise(size / 20)
    if tissue == "Tumor":
        edge = 0.06 * _cell_borders(labels) * (1 - cloth.share)
        eosin = 0.13 + 0.015 * coarse + 0.02 * fine + 0.02 * broad - edge
        return 0.05 + 0.010 * coarse + 0.010 * broad, np.clip(eosin, 0.02, None)
    if tissue == "Stroma":
        eosin = 0.10 + 0.036 * fibres + 0.022 * fine + 0.02 * broad
        return 0.015 + 0.006 * np.abs(fibres), np.clip(eosin, 0.02, None)
    wall = 1 / (1 + np.exp((cloth.walls(220) - 9) / 2))
    return 0.015 * wall, np.clip(0.005 + wall * (0.12 + 0.02 * fine), 0, None)


def _cell_borders(labels: NDArray[np.int32]) -> Field:
    """1 midway between neighbouring nuclei, 0 elsewhere."""
    if not labels.any():
        return np.zeros(labels.shape)
    padded = np.pad(labels, _PAD_PX, mode="wrap")
    return _inner(he._cell_borders(padded))


def _chromatin(nuclei: list[Nucleus], labels: NDArray[np.int32], cloth: Cloth) -> Field:
    """Haematoxylin within the nuclei: membrane and coarse chromatin."""
    traits = np.array([(0, 0, 0), *((n.stain, n.kind.rim, n.kind.clumps) for n in nuclei)])
    stain, rim, clumps = (column[labels] for column in traits.T)
    depth = _inner(ndi.distance_transform_edt(np.pad(labels, _PAD_PX, mode="wrap") > 0))
    membrane = np.exp(-(((depth - 1.6) / 1.3) ** 2))
    clump = np.clip(0.6 * cloth.noise(1.6) + 0.6 * cloth.noise(3.0), -1.2, 1.8)
    amount = stain * (1 - 0.25 * rim + rim * membrane + 0.8 * clumps * clump)
    return np.asarray(np.clip(amount, 0.06, None))


def _inner(padded: Field) -> Field:
    return padded[_PAD_PX:-_PAD_PX, _PAD_PX:-_PAD_PX]


def _photograph(
    haematoxylin: Field, eosin: Field, cloth: Cloth, seed: list[int]
) -> NDArray[np.uint8]:
    """(s, s, 3) picture: Beer and Lambert's law, blur, sensor noise."""
    od = haematoxylin[..., None] * he._HAEMATOXYLIN + eosin[..., None] * he._EOSIN
    light = _GLASS_GREY * 10**-od
    for channel, blur in enumerate((0.85, 0.75, 0.95)):
        light[..., channel] = ndi.gaussian_filter(light[..., channel], blur, mode="wrap")
    light += 1.1 * np.random.default_rng(seed).standard_normal(light.shape)
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)
