"""How a model's answer agrees with what was painted, in pixels that are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.ops.metrics import Agreement

__all__ = ["PixelCounts"]


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Known pixels by what became of them; counts add up.

    A pixel of one tissue that is answered as another counts twice, as missed and as invented; so
    the Dice coefficient 2 tp / (2 tp + fp + fn) is that of all tissues in one pot.

    Attributes
    ----------
    tp : int
        Pixels of a tissue that are answered as it.
    fp : int
        Pixels answered as a tissue that they are not.
    fn : int
        Pixels of a tissue that are answered as something else.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @classmethod
    def of(cls, answer: NDArray[np.integer], labels: NDArray[np.uint8]) -> PixelCounts:
        """Count one place.

        Parameters
        ----------
        answer : (h, w) integers
            0 background, else 1 + a position in the classes.
        labels : (h, w) uint8
            0 unknown, 1 background, else 2 + a position in the classes.
        """
        known = labels > 0
        truth, found = labels[known].astype(np.int64) - 1, answer[known]
        right = found == truth
        return cls(
            int((right & (truth > 0)).sum()),
            int((~right & (found > 0)).sum()),
            int((~right & (truth > 0)).sum()),
        )

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def agreement(self) -> Agreement:
        """The same as pixels of a foreground; its `dice` is that of all tissues in one pot."""
        return Agreement(both_px=self.tp, truth_px=self.tp + self.fn, pred_px=self.tp + self.fp)
