"""Resampling on a lattice fixed to the image, so that tiles agree to the last bit at seams."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_histo.core import Box

__all__ = ["resample", "source_box"]


def source_box(target: Box, scale: tuple[float, float], extent: Box) -> Box:
    """Source pixels that `resample` needs for `target`.

    Parameters
    ----------
    target : Box
        In target pixels.
    scale : (float, float)
        Source pixels per target pixel along x and y.
    extent : Box
        All source pixels; nothing beyond it is asked for.
    """
    if scale == (1.0, 1.0):
        return target.intersect(extent)
    reach_x, reach_y = (max(1.0, s) for s in scale)
    # The last target pixel may be centred beyond the last source pixel, and repeats that one.
    return Box.from_edges(
        math.floor(min((target.x + 0.5) * scale[0], extent.right - 0.5) - reach_x),
        math.floor(min((target.y + 0.5) * scale[1], extent.bottom - 0.5) - reach_y),
        math.ceil((target.right - 0.5) * scale[0] + reach_x) + 1,
        math.ceil((target.bottom - 0.5) * scale[1] + reach_y) + 1,
    ).intersect(extent)


def resample(
    pixels: NDArray[np.float32], source: Box, target: Box, scale: tuple[float, float]
) -> NDArray[np.float32]:
    """Pixels of `target` from those of `source`, linear, with antialiasing where it shrinks.

    Target pixel ``j`` is centred at source ``(j + 0.5) * scale - 0.5``; a triangle of half-width
    ``max(1, scale)`` weighs the source pixels around it. Weights depend on absolute positions
    alone. Pixels that `source` lacks (beyond the image) are left out of the mean.

    Parameters
    ----------
    pixels : (h, w, c) float32
        Those of `source`.
    source, target : Box
        In source and in target pixels.
    scale : (float, float)
        Source pixels per target pixel along x and y.

    Returns
    -------
    (target.height, target.width, c) float32
    """
    if scale == (1.0, 1.0) and source == target:
        return pixels
    channels = pixels.shape[2]
    by_row = _weights(target.y, target.height, source.y, source.height, scale[1])
    by_column = _weights(target.x, target.width, source.x, source.width, scale[0])
    rows = by_row @ pixels.reshape(source.height, -1)
    rows = rows.reshape(target.height, source.width, channels).transpose(1, 0, 2)
    columns = by_column @ rows.reshape(source.width, -1)
    out = columns.reshape(target.width, target.height, channels).transpose(1, 0, 2)
    return np.ascontiguousarray(out, dtype=np.float32)


@lru_cache(maxsize=32)
def _weights(
    first_target: int, n_target: int, first_source: int, n_source: int, scale: float
) -> sparse.csr_array:
    """(n_target, n_source) triangle weights whose rows sum to 1."""
    reach = max(1.0, scale)
    centre = (np.arange(n_target) + first_target + 0.5) * scale - 0.5
    # A target pixel beyond the last source pixel repeats that one.
    centre = np.clip(centre, first_source, first_source + n_source - 1)
    taps = np.arange(math.ceil(2 * reach) + 1)
    index = np.floor(centre - reach).astype(np.int64)[:, None] + taps
    weight = np.maximum(0.0, 1 - np.abs(index - centre[:, None]) / reach)
    weight[(index < first_source) | (index >= first_source + n_source)] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    row = np.repeat(np.arange(n_target), len(taps))
    used = weight.ravel() > 0
    entries = weight.ravel()[used].astype(np.float32)
    where = (row[used], index.ravel()[used] - first_source)
    return sparse.csr_array((entries, where), shape=(n_target, n_source))
