"""Where many objects are: a coarse raster of counts by class, and smooth pictures of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import Box, ObjectTable
from napari_histo.ops.resample import resample, source_box

__all__ = ["Counts", "HeatGrid", "round_up"]

#: Most bins along the longer side: enough for any window, and smoothed in milliseconds.
_MOST_BINS = 1024
_SIGMA_BINS = 1.0
#: How far an object is felt, in bins: where the Gaussian is cut off, and two for resampling.
_REACH_BINS = 6
#: The top of a scale: all but the most crowded places, one in 100, lie below.
_TOP_QUANTILE = 0.99


@dataclass(frozen=True, eq=False)
class Counts:
    """Objects of one tile, bin by bin.

    Attributes
    ----------
    flat : (n,) int64
        Position in the raster ``(rows, columns, slots)``, ascending, none twice.
    number : (n,) float32
        Objects there.
    """

    flat: NDArray[np.int64]
    number: NDArray[np.float32]


class HeatGrid:
    """Counts over an image. One thread changes it; others may look.

    Parameters
    ----------
    shape : (height, width)
        Of the image, full-resolution px.
    n_classes : int
        One slot more is for unclassified objects.
    bin_px : float
        Side of a bin, full-resolution px; made larger where that would give too many bins.
    unit_px2 : float
        Area that densities are counted per, px² (1 mm², say).

    Attributes
    ----------
    bin_px : float
    n_slots : int
    version : int
        Counts changes.
    """

    def __init__(
        self, shape: tuple[int, int], n_classes: int, *, bin_px: float, unit_px2: float
    ) -> None:
        self.bin_px = max(bin_px, max(shape) / _MOST_BINS)
        rows, columns = (max(1, math.ceil(side / self.bin_px)) for side in shape)
        self.n_slots = n_classes + 1
        self.version = 0
        self._per_unit = unit_px2 / self.bin_px**2
        self._counts = np.zeros((rows, columns, self.n_slots), np.float32)
        self._smooth = lru_cache(1)(self._smoothed)

    def count(self, table: ObjectTable) -> Counts:
        """Objects of a table by bin and class. Any thread may call."""
        rows, columns, slots = self._counts.shape
        bounds = table.contours.bounds
        known = np.isfinite(bounds).all(axis=1)
        at = (bounds[known, :2] + bounds[known, 2:]) / (2 * self.bin_px)
        x = np.clip(at[:, 0].astype(np.int64), 0, columns - 1)
        y = np.clip(at[:, 1].astype(np.int64), 0, rows - 1)
        classes = table.class_id[known].astype(np.int64)
        slot = np.where((classes < 0) | (classes >= slots), slots - 1, classes)
        flat, number = np.unique((y * columns + x) * slots + slot, return_counts=True)
        return Counts(flat, number.astype(np.float32))

    def add(self, counts: Counts, sign: int = 1) -> None:
        """Put the objects of a tile in; with -1 take them out again."""
        self._counts.reshape(-1)[counts.flat] += sign * counts.number
        self.version += 1

    def reach(self, box: Box) -> Box:
        """Where the picture changes when objects in a box do, full-resolution px."""
        return box.pad(math.ceil(_REACH_BINS * self.bin_px))

    def top(self) -> float:
        """A round number that nearly all densities lie below; 0 without objects."""
        total = self._smooth(self.version).sum(axis=-1)
        present = total[total > 0.05 * total.max(initial=0.0)]
        return round_up(float(np.quantile(present, _TOP_QUANTILE))) if len(present) else 0.0

    def density(self, box: Box, downsample: float) -> NDArray[np.float32]:
        """(h, w, slots) objects per unit of area in the pixels of a box of a level."""
        scale = (downsample / self.bin_px,) * 2
        rows, columns, _ = self._counts.shape
        source = source_box(box, scale, Box(0, 0, columns, rows))
        smooth = self._smooth(self.version)
        part = smooth[source.y : source.bottom, source.x : source.right]
        return resample(np.ascontiguousarray(part), source, box, scale)

    def _smoothed(self, _: int) -> NDArray[np.float32]:
        sigma = (_SIGMA_BINS, _SIGMA_BINS, 0)
        counts = self._counts * np.float32(self._per_unit)
        smooth: NDArray[np.float32] = ndimage.gaussian_filter(counts, sigma, mode="nearest")
        return smooth


def round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten.

    >>> round_up(4321), round_up(0.07), round_up(100)
    (5000.0, 0.08, 100.0)
    """
    if value <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    step = next((s for s in (1, 1.5, 2, 3, 4, 5, 6, 8) if s * power >= value * (1 - 1e-9)), 10)
    return step * power
