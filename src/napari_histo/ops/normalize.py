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
    others : tuple of Normalizer
        Ranges of the second channel and those after it; empty where all channels share one.
    """

    low: float
    high: float
    others: tuple[Normalizer, ...] = ()

    @classmethod
    def from_samples(
        cls,
        samples: NDArray[Any],
        percentiles: tuple[float, float],
        *,
        is_8bit_rgb: bool,
        each_channel: bool = False,
        least: float = 0.0,
    ) -> Normalizer:
        """Range from pixels of the region.

        Parameters
        ----------
        samples : (n, channels) array
            Pixels; NaN and infinities are left out.
        percentiles : (float, float)
            Which of them become 0 and 1.
        is_8bit_rgb : bool
            True for brightfield colour. A range below 50 grey levels is then widened to 50, or the
            noise of empty glass would be stretched into nuclei.
        each_channel : bool
            True for a range of each channel's own; else all channels share one.
        least : float
            Smaller ranges of other images are widened to this, upwards.
        """
        sets = samples.T if each_channel else [samples]
        first, *others = (
            _range(one, percentiles, is_8bit_rgb=is_8bit_rgb, least=least) for one in sets
        )
        return cls(*first, tuple(cls(*other) for other in others))

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Normalised float32 of the same shape; NaN and infinities become 0 (background)."""
        ranges = (self, *self.others)
        low = np.array([r.low for r in ranges], np.float32)
        span = np.array([r.high - r.low for r in ranges], np.float32)
        out: NDArray[np.float32] = np.subtract(pixels, low, dtype=np.float32)
        out /= span
        if np.issubdtype(pixels.dtype, np.floating):
            np.nan_to_num(out, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return out


def _range(
    samples: NDArray[Any], percentiles: tuple[float, float], *, is_8bit_rgb: bool, least: float
) -> tuple[float, float]:
    """What becomes 0 and 1."""
    finite = np.asarray(samples, np.float32).ravel()
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, percentiles))
    if is_8bit_rgb:
        return high - max(high - low, 50.0), high
    # Where fewer than 0.2 % of the pixels are bright, the percentile misses them all.
    bright = float(np.percentile(finite, 99.99))
    high = max(high, low + _FAINTEST * (bright - low), low + least)
    return low, high if high > low else low + 1.0
