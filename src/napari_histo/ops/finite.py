"""Pixels that are no numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["finite"]


def finite(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same pixels, NaN and infinities as 0 (background); itself where there are none.

    In a network one such pixel would spoil all that it reaches.
    """
    if np.isfinite(pixels).all():
        return pixels
    return np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
