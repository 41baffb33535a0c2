"""What a region model sees of an image: stain as a share of what its slide has, or brightness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.ops.stain import optical_density

__all__ = ["RegionInput"]

_PERCENTILES = (1.0, 99.8)
#: Of the optical densities of tissue; becomes 1.
_DENSE = 90.0
#: Less optical density than this, as the mean of the channels, is glass.
_GLASS = 0.06
#: A slide is never taken to be paler than this, or the noise of glass would be stretched.
_LEAST_DENSE = 0.12
#: Fewer samples of tissue than this say nothing about stains.
_LEAST_SAMPLES = 50


@dataclass(frozen=True)
class RegionInput:
    """Maps an image's values to a network's, channel by channel; one range for a whole slide.

    Colours become optical densities, so that 0 is glass and 1 the dense part of the tissue: one
    slide is stained more than another, and more blue or more red.

    Attributes
    ----------
    low, high : (c,) float32
        Of colours `low` is unused and `high` the values of empty glass; of other channels the
        values that become 0 and 1.
    dense : (c,) float32
        Optical densities that become 1; ones for other channels.
    is_rgb : bool
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    dense: NDArray[np.float32]
    is_rgb: bool

    @classmethod
    def from_samples(cls, samples: NDArray[Any], *, is_rgb: bool) -> RegionInput:
        """Ranges from pixels (n, c) of the whole image; NaN and infinities are left out."""
        values = np.asarray(samples, np.float32)
        values = values[np.isfinite(values).all(axis=1)]
        if not len(values):
            values = np.zeros((1, samples.shape[1]), np.float32)
        low, high = (np.percentile(values, p, axis=0).astype(np.float32) for p in _PERCENTILES)
        high = np.where(high > low, high, low + 1).astype(np.float32)
        ones = np.ones_like(high)
        if not is_rgb:
            return cls(low, high, ones, is_rgb=False)
        # A crop without glass: colours are never scaled as if its palest tissue were that.
        high = np.maximum(high, 200)
        density = optical_density(values / high)
        tissue = density[density.mean(axis=1) > _GLASS]
        if len(tissue) < _LEAST_SAMPLES:
            return cls(low, high, ones, is_rgb=True)
        dense = np.maximum(np.percentile(tissue, _DENSE, axis=0), _LEAST_DENSE)
        return cls(low, high, dense.astype(np.float32), is_rgb=True)

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Float32 of the same shape (…, c); NaN and infinities become 0."""
        values = np.asarray(pixels, np.float32)
        if self.is_rgb:
            return np.asarray(optical_density(values / self.high) / self.dense, np.float32)
        scaled = (values - self.low) / (self.high - self.low)
        return np.asarray(np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0), np.float32)
