"""What lies around each object: the same measurements of its neighbours, weighted by distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.learning.cells.features import ObjectFeatures

__all__ = ["SMOOTHED", "smoothed"]

#: Before the names of such columns, as of QuPath's *Add smoothed features*.
SMOOTHED = "Smoothed: "
#: Neighbours that count, the nearest first; the weight of the others is small.
_MOST = 32
_CHUNK = 1 << 14
_FWHM = 2.3548


def smoothed(
    features: ObjectFeatures, centroids_um: NDArray[np.float64], around_um: Sequence[float]
) -> ObjectFeatures:
    """Means over each object and its neighbours, with Gaussian weights, for each radius.

    As QuPath's smoothed features: the radius is the Gaussian's full width at half its height, and
    nothing beyond the radius counts.

    Parameters
    ----------
    features : ObjectFeatures
        (n) objects; columns that are smoothed already are left out.
    centroids_um : (n, 2) array
        µm; objects without a centroid get NaN.
    around_um : sequence of float
        Radii, µm.
    """
    names = [name for name in features.names if not name.startswith(SMOOTHED)]
    base = features.only(names).values
    found = np.full((len(features), len(names) * len(around_um)), np.nan, np.float32)
    known = np.flatnonzero(np.isfinite(centroids_um).all(axis=1))
    if len(known) and around_um:
        _fill(found, base, centroids_um, known, around_um)
    titles = [f"{SMOOTHED}{radius:g} µm: {name}" for radius in around_um for name in names]
    return ObjectFeatures(tuple(titles), found, features.pixel_size_um)


def _fill(
    found: NDArray[np.float32],
    base: NDArray[np.float32],
    centroids_um: NDArray[np.float64],
    known: NDArray[np.int64],
    around_um: Sequence[float],
) -> None:
    from scipy.spatial import cKDTree

    points, values = centroids_um[known], base[known]
    is_there = np.isfinite(values)
    values = np.where(is_there, values, np.float32(0))
    tree, n = cKDTree(points), len(points)
    for start in range(0, n, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, n))
        far, near = tree.query(
            points[rows], k=min(_MOST + 1, n), distance_upper_bound=max(around_um) * (1 + 1e-9)
        )
        far, near = far.reshape(len(rows), -1), near.reshape(len(rows), -1)
        found[known[rows]] = np.concatenate(
            [_means(values, is_there, far, near, radius) for radius in around_um], axis=1
        )


def _means(
    values: NDArray[np.float32],
    is_there: NDArray[np.bool_],
    far: NDArray[np.float64],
    near: NDArray[np.int64],
    radius: float,
) -> NDArray[np.float32]:
    """(rows, f) weighted means over what there is."""
    from scipy.sparse import csr_array

    counts = far <= radius
    weight = np.exp(-0.5 * (far[counts] * (_FWHM / radius)) ** 2).astype(np.float32)
    ends = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    weights = csr_array((weight, near[counts], ends), shape=(len(far), len(values)))
    total = weights @ values
    share = weights @ is_there.astype(np.float32) if not is_there.all() else weights.sum(axis=1)
    share = np.asarray(share, np.float32).reshape(len(far), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float32] = np.where(share > 0, total / share, np.float32(np.nan))
    return mean
