"""Axis-aligned boxes on the pixel lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box"]


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A half-open box ``[x, x + width) x [y, y + height)`` in whole pixels, y down.

    Whose pixels is the caller's to say: full resolution unless a name ends in ``_level`` or
    ``_model``. A box may reach beyond an image; an empty box has no width or no height.

    Parameters
    ----------
    x, y : int
        Left and upper edge, px.
    width, height : int
        Extent, px, at least 0.

    Examples
    --------
    >>> Box(2, 3, 10, 5).intersect(Box(8, 0, 10, 5))
    Box(x=8, y=3, width=4, height=2)
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 0 or self.height < 0:
            raise ValueError(
                f"Box has width {self.width} and height {self.height}; both must be 0 or more."
            )

    @classmethod
    def from_edges(cls, left: int, top: int, right: int, bottom: int) -> Box:
        """Box between two corners; empty where right < left or bottom < top."""
        return cls(left, top, max(0, right - left), max(0, bottom - top))

    @property
    def right(self) -> int:
        """First x beyond the box, px."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First y beyond the box, px."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)``, the shape of an array of this box."""
        return self.height, self.width

    @property
    def is_empty(self) -> bool:
        """True where the box holds no pixel."""
        return self.area == 0

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which points (n, 2), x before y, lie in the box; on the far edges they do not."""
        x, y = points.T
        inside = (x >= self.x) & (x < self.right) & (y >= self.y) & (y < self.bottom)
        return np.asarray(inside)

    def intersect(self, other: Box) -> Box:
        """The part in both boxes, perhaps empty."""
        return Box.from_edges(
            max(self.x, other.x),
            max(self.y, other.y),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def pad(self, margin_px: int) -> Box:
        """Grow (or, with a negative margin, shrink) by `margin_px` on every side."""
        return Box.from_edges(
            self.x - margin_px, self.y - margin_px, self.right + margin_px, self.bottom + margin_px
        )

    def shift(self, dx: int, dy: int) -> Box:
        """Move by (dx, dy) px."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)

    def scale(self, factor_x: float, factor_y: float | None = None) -> Box:
        """Smallest box of whole pixels that covers this one after scaling about the origin.

        `factor` is target pixels per source pixel: 0.5 for a level of downsample 2.
        """
        factor_y = factor_x if factor_y is None else factor_y
        # A hair of tolerance, so that 3 * (1 / 3) covers one pixel and not two.
        return Box.from_edges(
            math.floor(self.x * factor_x + 1e-9),
            math.floor(self.y * factor_y + 1e-9),
            math.ceil(self.right * factor_x - 1e-9),
            math.ceil(self.bottom * factor_y - 1e-9),
        )
