"""What a StarDist network is to answer for known labels, by the stardist package's own code."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["star_targets"]


def star_targets(
    labels: NDArray[np.int32], n_rays: int, grid: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Object probability (h/g, w/g) and distances (n_rays, h/g, w/g), px of `labels`.

    The probability is the distance to the object's edge as a share of its largest; distances end
    at the edge of the object or of the array.
    """
    edt_prob, star_dist = _stardist()
    prob = edt_prob(labels[:: grid[0], :: grid[1]])
    dist = star_dist(labels, n_rays, mode="cpp", grid=grid)
    return prob, np.ascontiguousarray(dist.transpose(2, 0, 1))


@lru_cache(maxsize=1)
def _stardist() -> tuple[Any, Any]:
    # stardist replaces warnings.formatwarning when it is imported; put it back.
    shown_as = warnings.formatwarning
    from stardist.geometry import star_dist
    from stardist.utils import edt_prob

    warnings.formatwarning = shown_as
    return edt_prob, star_dist
