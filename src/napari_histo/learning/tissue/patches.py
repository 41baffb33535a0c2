"""Patches to learn regions from: drawn evenly from the classes, turned, scaled and restained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from napari_histo.learning.tissue.examples import Sheet
from napari_histo.ops.stain import HED_FROM_OD, OD_FROM_HED

__all__ = ["UNKNOWN", "Batch", "PatchSource"]

#: Label of pixels that teach nothing.
UNKNOWN = -1
#: Largest change of size, up and down.
_ZOOM = 1.2
#: Share of patches drawn as often as their class was painted; the others evenly from the classes,
#: or rare ones would never be learned.
_AS_PAINTED = 0.5
#: How often a guided network has to do without its guide.
_UNGUIDED = 0.3


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes
    ----------
    images : (b, c, h, w) float32
        Normalised; with the guide's channels behind them where there is one.
    labels : (b, h, w) int64
        0 background, else 1 + a position in the classes; `UNKNOWN` elsewhere.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: str) -> Batch:
        """On another device."""
        images = self.images.to(device, memory_format=torch.channels_last)
        return Batch(images, self.labels.to(device))


class PatchSource:
    """Patches at random places of sheets.

    Parameters
    ----------
    sheets : sequence of Sheet
    side_px : int
    is_rgb : bool
        True to vary stains, else brightness alone.
    """

    def __init__(self, sheets: Sequence[Sheet], side_px: int, *, is_rgb: bool) -> None:
        self._sheets, self._side, self._is_rgb = sheets, side_px, is_rgb
        self._classes = _places(sheets)
        self._all = np.concatenate(self._classes)

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """`n` patches; the same generator gives the same ones."""
        wide = math.ceil(self._side * _ZOOM * 1.42)
        cuts = [self._cut(wide, rng) for _ in range(n)]
        images = torch.from_numpy(np.stack([c[0] for c in cuts])).permute(0, 3, 1, 2)
        labels = torch.from_numpy(np.stack([c[1] for c in cuts]))
        images, labels = _turned(images, labels, self._side, rng)
        colours = images[:, : self._n_channels]
        colours = _restained(colours, rng) if self._is_rgb else _rebrightened(colours, rng)
        colours = colours + _noise(colours.shape, rng)
        guide = images[:, self._n_channels :] * _kept(n, rng)
        return Batch(torch.cat([colours, guide], dim=1), labels)

    @property
    def _n_channels(self) -> int:
        return int(self._sheets[0].pixels.shape[-1])

    def _cut(
        self, wide: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """A larger square around a labelled pixel of a class chosen first."""
        places = self._classes[rng.integers(len(self._classes))]
        if rng.uniform() < _AS_PAINTED:
            places = self._all
        number, y, x = places[rng.integers(len(places))]
        sheet = self._sheets[number]
        stray = rng.integers(-self._side // 3, self._side // 3 + 1, 2)
        top, left = int(y + stray[0] - wide // 2), int(x + stray[1] - wide // 2)
        rows, columns = (
            np.clip(np.arange(start, start + wide), 0, size - 1)
            for start, size in zip((top, left), sheet.labels.shape, strict=True)
        )
        at = np.ix_(rows, columns)
        image = sheet.values.apply(sheet.pixels[at])
        if sheet.guide is not None:
            guide = sheet.guide[at].astype(np.float32) / np.float32(255)
            image = np.concatenate([image, guide], axis=-1)
        return image, sheet.labels[at].astype(np.int64) - 1


def _places(sheets: Sequence[Sheet]) -> list[NDArray[np.int32]]:
    """For each class (sheet, y, x) of every fourth row and column of its pixels."""
    found: dict[int, list[NDArray[np.int32]]] = {}
    for number, sheet in enumerate(sheets):
        thin = sheet.labels[::4, ::4]
        for label in np.unique(thin[thin > 0]).tolist():
            y, x = np.nonzero(thin == label)
            rows = np.stack([np.full(len(y), number), 4 * y, 4 * x], axis=1)
            found.setdefault(label, []).append(rows.astype(np.int32))
    return [np.concatenate(found[label]) for label in sorted(found)]


def _turned(
    images: Tensor, labels: Tensor, side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Any angle, mirrored or not, somewhat larger or smaller; the middle of what was cut."""
    n, wide = len(images), images.shape[-1]
    angle = rng.uniform(0, 2 * np.pi, n)
    zoom = np.exp(rng.uniform(-np.log(_ZOOM), np.log(_ZOOM), n)) * side / wide
    mirror = rng.choice([-1.0, 1.0], n)
    cos, sin, zero = np.cos(angle) * zoom, np.sin(angle) * zoom, np.zeros(n)
    theta = np.stack([cos * mirror, -sin, zero, sin * mirror, cos, zero], 1).reshape(n, 2, 3)
    grid = F.affine_grid(torch.from_numpy(theta).float(), [n, 1, side, side], align_corners=False)
    turned = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    # Shifted by one, so that what lies beyond is unknown.
    wanted = (labels + 1).float()[:, None]
    known = F.grid_sample(wanted, grid, mode="nearest", align_corners=False)
    return turned, known[:, 0].round().long() - 1


def _restained(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Other amounts and colours of stain.

    Amounts of haematoxylin and eosin vary by themselves (Tellez et al., IEEE TMI 2018), and a
    near-identity mixing of the optical densities stands for other dyes and scanners.
    """
    n = len(images)
    amounts = np.exp(rng.normal(0, 0.25, (n, 3)))
    mixing = np.einsum("ij,nj,jk->nki", HED_FROM_OD, amounts, OD_FROM_HED)
    mixing += rng.normal(0, 0.06, (n, 3, 3))
    mixing *= np.exp(rng.normal(0, 0.1, (n, 1, 1)))
    density = torch.einsum("nij,njhw->nihw", torch.from_numpy(mixing).float(), images)
    return density + torch.from_numpy(rng.normal(0, 0.03, (n, 3, 1, 1))).float()


def _rebrightened(images: Tensor, rng: np.random.Generator) -> Tensor:
    n, c = images.shape[:2]
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.2, (n, c, 1, 1)))).float()
    shift = torch.from_numpy(rng.normal(0, 0.05, (n, c, 1, 1))).float()
    return images * gain + shift


def _noise(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    strength = rng.uniform(0, 0.03, (shape[0], 1, 1, 1)).astype(np.float32)
    return torch.from_numpy(strength * rng.standard_normal(shape, dtype=np.float32))


def _kept(n: int, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy((rng.uniform(size=(n, 1, 1, 1)) > _UNGUIDED).astype(np.float32))
