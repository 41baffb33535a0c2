"""Numbers that sum a table up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable, PixelSize

__all__ = ["Statistics"]

_BINS = 24
_SHOWN = 0.98


@dataclass(frozen=True, eq=False)
class Statistics:
    """Count and areas of objects.

    Attributes
    ----------
    count : int
    median_area : float
        In `unit`; NaN without objects.
    unit : str
        ``µm²``, or ``px²`` where the pixel size is unknown.
    edges : (n_bins + 1,) float64
        Of the histogram, in `unit`. The largest objects, one in 50, count into the last bin.
    counts : (n_bins,) int64
    by_class : tuple of (str, int)
        Objects of each class, in the scheme's order; ``Unclassified`` last, where there are any.
    """

    count: int
    median_area: float
    unit: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    by_class: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, table: ObjectTable, pixel_size: PixelSize | None) -> Statistics:
        """Numbers of `table`, whose outlines are in full-resolution px."""
        factor, unit = (1.0, "px²") if pixel_size is None else (pixel_size.area_um2, "µm²")
        areas = table.areas_px * factor
        top = float(np.quantile(areas, _SHOWN)) if len(areas) else 1.0
        edges = np.linspace(0, top or 1.0, _BINS + 1)
        counts, _ = np.histogram(np.minimum(areas, edges[-1]), edges)
        median = float(np.median(areas)) if len(areas) else float("nan")
        return cls(len(table), median, unit, edges, counts, _count_classes(table))


def _count_classes(table: ObjectTable) -> tuple[tuple[str, int], ...]:
    counts = np.bincount(table.class_id + 1, minlength=len(table.classes) + 1).tolist()
    named = list(zip(table.classes.names, counts[1:], strict=True))
    return (*named, ("Unclassified", counts[0])) if counts[0] else tuple(named)
