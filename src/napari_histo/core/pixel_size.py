"""Physical size of a pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["PixelSize"]


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Width and height of one full-resolution pixel in µm.

    An image without one has ``None`` in place of a PixelSize; nobody guesses.

    Parameters
    ----------
    x_um, y_um : float
        Size along x and y, µm/px, finite and above 0.

    Examples
    --------
    >>> PixelSize.square(0.25).mean_um
    0.25
    """

    x_um: float
    y_um: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.x_um, self.y_um)):
            raise ValueError(
                f"Pixel size is {self.x_um} x {self.y_um} µm; it must be finite and above 0, "
                "for example 0.25 for a slide scanned at 40x."
            )

    @classmethod
    def square(cls, size_um: float) -> PixelSize:
        """Pixels of `size_um` x `size_um` µm."""
        return cls(size_um, size_um)

    @property
    def mean_um(self) -> float:
        """Mean of both sides, µm/px."""
        return (self.x_um + self.y_um) / 2

    @property
    def area_um2(self) -> float:
        """Area of one pixel, µm²."""
        return self.x_um * self.y_um

    def at_downsample(self, downsample: float) -> PixelSize:
        """Pixel size of a pyramid level that is `downsample` times smaller."""
        return PixelSize(self.x_um * downsample, self.y_um * downsample)
