"""Patches of labelled regions at random: turned, scaled, warped, restained, normalised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_histo.learning.course.augment import (
    fluo_colour,
    fluo_texture,
    he_colour,
    he_texture,
    jitter_range,
)
from napari_histo.learning.course.sheets import Sheet, Sheets
from napari_histo.learning.course.warping import PatchShape, sampling_grid, warp, warp_nearest
from napari_histo.ops.normalize import Normalizer

__all__ = ["Cut", "PatchSource", "cut"]

#: Share of patches whose range of intensities is moved, as if the slide were another.
_JITTERED = 0.7
#: How far a patch's centre keeps from the edge of the labels, in sides of a patch.
_INSET = 0.3

Patch = TypeVar("Patch")


@dataclass(frozen=True, eq=False)
class Cut:
    """A square of a sheet.

    Attributes
    ----------
    image : (c, s, s) float32
        Normalised.
    labels : (s, s) int32
        The sheet's objects, 0 between them.
    known : (s, s) bool
        False where nobody labelled.
    grid : (1, s, s, 2) float32
        Where in the sheet each pixel comes from; see `sampling_grid`.
    """

    image: Tensor
    labels: NDArray[np.int32]
    known: NDArray[np.bool_]
    grid: Tensor


class PatchSource(ABC, Generic[Patch]):
    """Draws patches from sheets; larger sheets more often, by the root of their size.

    Parameters
    ----------
    sheets : Sheets
    shape : PatchShape
    percentiles : (float, float)
        Of the model.
    is_replayed : bool
    """

    def __init__(
        self,
        sheets: Sheets,
        shape: PatchShape,
        percentiles: tuple[float, float],
        *,
        is_replayed: bool = False,
    ) -> None:
        self._sheets, self._shape, self._percentiles = sheets, shape, percentiles
        self._is_replayed = is_replayed
        roots = np.sqrt(sheets.areas_px.astype(np.float64))
        self._chance = roots / roots.sum()

    @property
    def nbytes(self) -> int:
        """Of the pixels that are kept at hand."""
        return self._sheets.nbytes

    def draw(self, rng: np.random.Generator) -> Patch:
        """One patch; the same generator gives the same one."""
        sheet = self._sheets[int(rng.choice(len(self._chance), p=self._chance))]
        return self._patch(sheet, rng)

    @abstractmethod
    def _patch(self, sheet: Sheet, rng: np.random.Generator) -> Patch:
        """A patch of a sheet."""


def cut(
    sheet: Sheet, shape: PatchShape, percentiles: tuple[float, float], rng: np.random.Generator
) -> Cut:
    """A square of a sheet; the draw of colours also moves the slide's percentiles."""
    log2 = np.clip(
        rng.normal(0, shape.log2_scale_sigma), -shape.log2_scale_max, shape.log2_scale_max
    )
    centre = _centre(sheet, shape, rng)
    grid = sampling_grid(sheet.labels.shape, shape, rng, centre=centre, zoom=2.0**log2)
    code = warp_nearest(2 * sheet.labels + sheet.known, grid)
    labels, known = np.maximum(code, 0) >> 1, (code > 0) & (code & 1 == 1)
    image = _coloured(sheet, grid, percentiles, rng)
    if rng.random() < _JITTERED:
        image = jitter_range(image, rng)
    return Cut(image, labels, known, grid)


def _coloured(
    sheet: Sheet,
    grid: Tensor,
    percentiles: tuple[float, float],
    rng: np.random.Generator,
) -> Tensor:
    """The patch's pixels under other stains and optics, normalised as prediction would."""
    slide = sheet.slide
    if slide.is_brightfield:
        unit, colour, texture = _by_255, he_colour(rng), he_texture
    else:
        unit, colour, texture = slide.normalizer.apply, fluo_colour(rng), fluo_texture
    pixels = torch.from_numpy(unit(sheet.pixels)).permute(2, 0, 1)
    image = texture(colour(warp(pixels, grid)), rng)
    samples = colour(torch.from_numpy(unit(slide.samples)).T)
    normalizer = Normalizer.from_samples(
        255 * samples.T.numpy(),
        percentiles,
        is_8bit_rgb=slide.is_brightfield,
        each_channel=slide.model.info.takes_two_channels,
    )
    ranges = (normalizer, *normalizer.others)
    low = torch.tensor([r.low for r in ranges])[:, None, None]
    span = torch.tensor([r.high - r.low for r in ranges])[:, None, None]
    return (255 * image - low) / span


def _by_255(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(pixels, np.float32) / np.float32(255)


def _centre(sheet: Sheet, shape: PatchShape, rng: np.random.Generator) -> NDArray[np.float64]:
    """(x, y) of the patch's centre: mostly near an object, else anywhere that is known."""
    if len(sheet.centres) and rng.random() < shape.on_object:
        centre = sheet.centres[rng.integers(len(sheet.centres))]
        centre = centre + rng.uniform(-0.4, 0.4, 2) * shape.side
    else:
        y, x = np.nonzero(sheet.known[::4, ::4])
        at = rng.integers(max(len(y), 1))
        centre = np.array([4.0 * y[at], 4.0 * x[at]]) if len(y) else _middle(sheet)
    return np.asarray(_within_known(sheet, centre, shape.side)[::-1])


def _middle(sheet: Sheet) -> NDArray[np.float64]:
    return np.array(sheet.known.shape) / 2


def _within_known(sheet: Sheet, centre: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Moved to where the labels are, so that not too much of a patch lies beyond them."""
    rows, columns = (np.flatnonzero(sheet.known.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return _middle(sheet)
    low, high = np.array([rows[0], columns[0]]), np.array([rows[-1], columns[-1]])
    inset = np.minimum(_INSET * side, 0.35 * (high - low))
    return np.asarray(np.clip(centre, low + inset, high - inset))
