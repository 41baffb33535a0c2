"""Where to look for objects."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, Contours
from napari_histo.errors import ImageError

__all__ = ["Region"]


@dataclass(frozen=True, eq=False)
class Region:
    """Boxes to segment, and outlines that the objects' centres must lie in.

    Attributes
    ----------
    boxes : tuple of Box
        Full-resolution px; none overlaps another.
    outlines : Contours or None
        Drawn areas, full-resolution px; None where the boxes say it all.
    """

    boxes: tuple[Box, ...]
    outlines: Contours | None = None

    @classmethod
    def of_box(cls, box: Box) -> Region:
        """One rectangle."""
        return cls((box,))

    @classmethod
    def of_outlines(cls, outlines: Contours, extent: Box) -> Region:
        """Drawn areas, as far as they lie within `extent` (the image).

        Raises
        ------
        ImageError
            Nothing is drawn, or nothing of it lies on the image.
        """
        outlines = outlines.take(np.isfinite(outlines.bounds).all(axis=1))
        if not len(outlines):
            raise ImageError(
                "No region is drawn. Press 'Draw' and outline one with the rectangle or polygon "
                "tool, or choose another region."
            )
        clipped = (_cover(edges).intersect(extent) for edges in outlines.bounds)
        boxes = [box for box in clipped if not box.is_empty]
        if not boxes:
            raise ImageError(
                "The drawn regions lie outside the image. Draw on the image, or choose "
                "another region."
            )
        return cls(tuple(_join_overlapping(boxes)), outlines)

    def holds(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which points (n, 2), x before y, lie in the outlines; all where there are none."""
        if self.outlines is None:
            return np.ones(len(points), bool)
        import shapely

        area = shapely.union_all(shapely.make_valid(self.outlines.to_shapely()))
        shapely.prepare(area)
        inside: NDArray[np.bool_] = shapely.contains_xy(area, points[:, 0], points[:, 1])
        return inside

    def covers(self, other: Region) -> bool:
        """True where everything that `other` looked at is looked at here too."""
        return self.outlines is None and all(
            any(mine.intersect(theirs) == theirs for mine in self.boxes) for theirs in other.boxes
        )


def _cover(edges: NDArray[np.floating]) -> Box:
    left, top, right, bottom = edges.tolist()
    return Box.from_edges(floor(left), floor(top), ceil(right), ceil(bottom))


def _join_overlapping(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap become one that covers both, until none overlaps another."""
    done: list[Box] = []
    for box in boxes:
        hit = next((i for i, other in enumerate(done) if not box.intersect(other).is_empty), None)
        if hit is None:
            done.append(box)
            continue
        other = done.pop(hit)
        both = Box.from_edges(
            min(box.x, other.x),
            min(box.y, other.y),
            max(box.right, other.right),
            max(box.bottom, other.bottom),
        )
        # The cover may reach boxes that neither of the two did.
        done = _join_overlapping([*done, both])
    return done
