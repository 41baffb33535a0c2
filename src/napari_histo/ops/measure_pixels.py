"""Statistics of the pixels of each object, under QuPath's names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours
from napari_histo.core._ragged import range_union
from napari_histo.ops.scanline import spans

__all__ = [
    "COMPARTMENTS",
    "STATISTICS",
    "PixelSets",
    "compartments_of",
    "pixel_names",
    "statistics",
]

#: Names as of QuPath's ``ObjectMeasurements``.
STATISTICS = ("Mean", "Median", "Min", "Max", "Std.Dev.")
#: What a cell with a nucleus is made of.
COMPARTMENTS = ("Nucleus", "Cytoplasm", "Membrane", "Cell")

_ROWS_SORTED = 64


def pixel_names(channel: str, compartment: str) -> tuple[str, ...]:
    """``Hematoxylin: Nucleus: Mean`` and so on; without a compartment ``Hematoxylin: Mean``."""
    head = f"{channel.strip()}: {compartment}: " if compartment else f"{channel.strip()}: "
    return tuple(head + name for name in STATISTICS)


@dataclass(frozen=True, eq=False)
class PixelSets:
    """Pixels of each of several objects; objects that overlap share some.

    Attributes
    ----------
    owner : (m,) int64
        Row of the object, ascending.
    pixel : (m,) int64
        Position in a box, row by row, ascending within an object.
    box : Box
    """

    owner: NDArray[np.int64]
    pixel: NDArray[np.int64]
    box: Box

    @classmethod
    def of(cls, contours: Contours, box: Box) -> PixelSets:
        """Pixels of `box` whose centres the areas hold."""
        part, start, stop, row = spans(contours, box.shape, (box.x, box.y))
        lengths = stop - start
        object_of_part = np.repeat(np.arange(len(contours)), np.diff(contours.object_offsets))
        owner = np.repeat(object_of_part[part], lengths)
        sets = cls(owner, range_union(row * box.width + start, lengths), box)
        # Parts follow one another, so the pixels of several need sorting, and may even repeat.
        keys = sets._keys
        if (np.diff(keys) > 0).all():
            return sets
        return cls(*np.divmod(np.unique(keys), box.area), box)

    @property
    def _keys(self) -> NDArray[np.int64]:
        return self.owner * self.box.area + self.pixel

    @cached_property
    def _owners(self) -> NDArray[np.int32] | None:
        """Owner of each pixel of the box, -1 for none; None where objects overlap."""
        owners = np.full(self.box.area, -1, np.int32)
        owners[self.pixel] = self.owner
        return owners if (owners[self.pixel] == self.owner).all() else None

    def holds(self, owner: NDArray[np.int64], pixel: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(k,) which of the objects `owner` have the pixels `pixel`, both ascending as here."""
        if self._owners is not None:
            return np.asarray(self._owners.take(pixel, mode="clip") == owner, bool)
        known, keys = self._keys, owner * self.box.area + pixel
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.asarray(known[at] == keys, bool)

    def without(self, other: PixelSets) -> PixelSets:
        """Less what the same objects have in `other`."""
        return self._only(~other.holds(self.owner, self.pixel))

    def rim(self) -> PixelSets:
        """Pixels with one of their four neighbours outside; beyond the box nothing is outside."""
        height, width = self.box.shape
        row, column = np.divmod(self.pixel, max(width, 1))
        inside = (column == 0) | self.holds(self.owner, self.pixel - 1)
        inside &= (column == width - 1) | self.holds(self.owner, self.pixel + 1)
        inside &= (row == 0) | self.holds(self.owner, self.pixel - width)
        inside &= (row == height - 1) | self.holds(self.owner, self.pixel + width)
        return self._only(~inside)

    def _only(self, kept: NDArray[np.bool_]) -> PixelSets:
        return PixelSets(self.owner[kept], self.pixel[kept], self.box)


def compartments_of(nuclei: PixelSets, cells: PixelSets) -> dict[str, PixelSets]:
    """Nucleus, cytoplasm (the cell less its nucleus), membrane (the cell's rim) and cell."""
    sets = (nuclei, cells.without(nuclei), cells.rim(), cells)
    return dict(zip(COMPARTMENTS, sets, strict=True))


def statistics(values: NDArray[Any], sets: PixelSets, n: int) -> NDArray[np.float64]:
    """Statistics of the pixels of each object.

    Parameters
    ----------
    values : (h, w, c) array
        Of the box of `sets`.
    sets : PixelSets
    n : int
        Number of objects.

    Returns
    -------
    (c, 5, n) float64
        In the order of `STATISTICS`; the deviation is that of a sample, 0 for one pixel. NaN where
        an object has no pixel.
    """
    n_channels = values.shape[-1]
    out = np.full((n_channels, len(STATISTICS), n), np.nan)
    if not len(sets.owner):
        return out
    starts = np.flatnonzero(np.diff(sets.owner, prepend=-1))
    rows, counts = sets.owner[starts], np.diff(starts, append=len(sets.owner))
    flat = values.reshape(-1, n_channels)
    for channel in range(n_channels):
        picked = flat[sets.pixel, channel]
        out[channel][:, rows] = _grouped(picked, starts, counts)
    return out


def _grouped(
    values: NDArray[Any], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(5, groups) statistics of values that stand group by group; NaN where a value is NaN."""
    exact = values.astype(np.float64)
    mean = np.add.reduceat(exact, starts) / counts
    square = np.add.reduceat((exact - np.repeat(mean, counts)) ** 2, starts)
    least, low, high, most = _order_statistics(values, starts, counts)
    deviation = np.sqrt(square / np.maximum(counts - 1, 1))
    found = np.stack([mean, (low + high) / 2, least, most, deviation])
    return np.where(np.isnan(mean), np.nan, found)


def _order_statistics(
    values: NDArray[Any], starts: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(4, groups) least, both middle and largest values.

    Groups of like size are sorted together as rows of one array, ten times as fast as one sort of
    all values under their groups.
    """
    exact = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
    out = np.empty((4, len(counts)))
    by_size = np.argsort(counts, kind="stable")
    for start in range(0, len(counts), _ROWS_SORTED):
        some = by_size[start : start + _ROWS_SORTED]
        n = counts[some]
        block = np.full((len(some), int(n[-1])), np.inf, exact)
        block[np.arange(n[-1]) < n[:, None]] = values[range_union(starts[some], n)]
        block.sort(axis=1)
        at = np.stack([0 * n, (n - 1) // 2, n // 2, n - 1])
        out[:, some] = block[np.arange(len(some)), at]
    return out
