"""Intensity normalisation by percentiles of the whole region, never of a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Normalizer"]

#: The brightest 0.01 % become at most 5, or a few bright nuclei would blind a network.
_FAINTEST = 0.2


@dataclass(frozen=True)
class Normalizer:
    """Maps `low` to 0 and `high` to 1, linearly, without clipping.

    One range for a whole slide: ranges of single tiles would show as seams.

    Attributes
    ----------
    low, high : float
        In the image's own units.
    """

    low: float
    high: float

    @classmethod
    def from_samples(
        cls, samples: NDArray[Any], percentiles: tuple[float, float], *, is_8bit_rgb: bool
    ) -> Normalizer:
        """Range from pixels of the region.

        Parameters
        ----------
        samples : (n, channels) array
            Pixels; NaN and infinities are left out. All channels share one range.
        percentiles : (float, float)
            Which of them become 0 and 1.
        is_8bit_rgb : bool
            True for brightfield colour. A range below 50 grey levels is then widened to 50, or the
            noise of empty glass would be stretched into nuclei.
        """
        finite = np.asarray(samples, np.float32).ravel()
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            return cls(0.0, 1.0)
        low, high = (float(v) for v in np.percentile(finite, percentiles))
        if is_8bit_rgb:
            return cls(high - max(high - low, 50.0), high)
        # Where fewer than 0.2 % of the pixels are bright, the percentile misses them all.
        bright = float(np.percentile(finite, 99.99))
        high = max(high, low + _FAINTEST * (bright - low))
        return cls(low, high if high > low else low + 1.0)

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised float32 of the same shape; NaN and infinities become 0 (background)."""
        out: NDArray[np.float32] = np.subtract(pixels, np.float32(self.low), dtype=np.float32)
        out *= np.float32(1 / (self.high - self.low))
        if np.issubdtype(pixels.dtype, np.floating):
            np.nan_to_num(out, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return out
