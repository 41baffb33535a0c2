"""Possible objects, before the best of them are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core.contours import Contours, as_rows

__all__ = ["Proposals"]


@dataclass(frozen=True, eq=False)
class Proposals:
    """Possible objects in a model's pixels, before the best are chosen.

    Attributes
    ----------
    points : (n, 2) float32
        Where each object is anchored, x before y; the tile that owns it owns the object.
    prob : (n,) float32
        Probability of there being an object.
    columns : mapping of str to (n, …) arrays
        Whatever else the model needs to draw and choose (star distances, class probabilities).
    contours : Contours or None
        Finished outlines, for models that have them at once.
    """

    points: NDArray[np.float32]
    prob: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    contours: Contours | None = None

    def __len__(self) -> int:
        return len(self.prob)

    def take(self, rows: ArrayLike) -> Proposals:
        """The chosen rows (indices or mask), in the given order."""
        index = as_rows(rows, len(self))
        return Proposals(
            self.points[index],
            self.prob[index],
            {k: v[index] for k, v in self.columns.items()},
            None if self.contours is None else self.contours.take(index),
        )

    def shift(self, dx: float, dy: float) -> Proposals:
        """Moved by (dx, dy) px."""
        moved = (self.points + np.array([dx, dy], np.float32)).astype(np.float32)
        contours = None if self.contours is None else self.contours.transform(1.0, (dx, dy))
        return Proposals(moved, self.prob, self.columns, contours)

    @staticmethod
    def concat(items: Sequence[Proposals]) -> Proposals:
        """All rows of `items` (at least one), which must come from one model."""
        first = items[0]
        return Proposals(
            np.concatenate([p.points for p in items]),
            np.concatenate([p.prob for p in items]),
            {k: np.concatenate([p.columns[k] for p in items]) for k in first.columns},
            None
            if first.contours is None
            else Contours.concat([p.contours for p in items if p.contours is not None]),
        )
