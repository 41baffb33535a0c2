"""From a map of regions to areas, and without its specks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histo.core import Contours
from napari_histo.core.regions import RegionMap
from napari_histo.ops.trace import trace

__all__ = ["region_areas", "without_specks"]

#: How far an outline may stray from the edges of the pixels, map px.
_TOLERANCE_PX = 0.75
_NONE = 255


def without_specks(regions: RegionMap, least_um2: float) -> RegionMap:
    """Connected pieces below `least_um2` become what lies nearest to them, holes as well."""
    from skimage.measure import label as connected

    least_px = least_um2 / (regions.pixel_um[0] * regions.pixel_um[1])
    pieces = connected(regions.labels, connectivity=1, background=_NONE)  # type: ignore[no-untyped-call]
    small = (np.bincount(pieces.ravel()) < least_px)[pieces]
    if not small.any() or small.all():
        return regions
    del pieces
    y, x = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    labels = regions.labels.copy()
    labels[small] = regions.labels[y[small], x[small]]
    return replace(regions, labels=labels)


def region_areas(regions: RegionMap, *, smooth: bool = True) -> tuple[Contours, NDArray[np.int32]]:
    """Outlines of the connected pieces, holes kept, and their classes.

    Parameters
    ----------
    regions : RegionMap
    smooth : bool
        True for fewer vertices, within 3/4 of a pixel of the map: neighbours may then overlap or
        part by as much. False for outlines along the pixels' edges.

    Returns
    -------
    Contours
        (n) in full-resolution px.
    class_id : (n,) int32
        Positions in the map's classes.
    """
    from skimage.measure import label as connected

    pieces = connected(regions.labels, connectivity=1, background=0)  # type: ignore[no-untyped-call]
    class_of = np.zeros(int(pieces.max()) + 1, np.int32)
    class_of[pieces.ravel()] = regions.labels.ravel()
    outlines, values = trace(pieces)
    if smooth and len(outlines):
        import shapely

        outlines = Contours.from_shapely(shapely.simplify(outlines.to_shapely(), _TOLERANCE_PX))
    return outlines.transform(regions.scale, (0, 0)), class_of[values] - 1
