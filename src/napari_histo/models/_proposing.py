"""What segmenters share that propose first and choose afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Contours, ModelInfo, ObjectTable, Proposals, Thresholds

__all__ = ["OutlinedSegmenter", "ProposingSegmenter", "no_proposals"]


class ProposingSegmenter(ABC):
    """A segmenter whose `segment` is to propose, to select and to draw.

    Parameters
    ----------
    info : ModelInfo
    """

    def __init__(self, info: ModelInfo) -> None:
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """The model's card."""
        return self._info

    @abstractmethod
    def propose(self, images: NDArray[np.float32], min_prob: float) -> list[Proposals]:
        """See `Segmenter.propose`."""

    @abstractmethod
    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`."""

    @abstractmethod
    def draw(self, proposals: Proposals) -> ObjectTable:
        """See `Segmenter.draw`."""

    def segment(self, images: NDArray[np.float32]) -> list[ObjectTable]:
        """See `Segmenter.segment`."""
        thresholds = self.info.thresholds
        found = self.propose(images, thresholds.prob)
        return [self.draw(p.take(self.select(p, thresholds))) for p in found]


class OutlinedSegmenter(ProposingSegmenter):
    """One whose proposals have their outlines already, and never overlap."""

    def select(self, proposals: Proposals, thresholds: Thresholds) -> NDArray[np.int64]:
        """See `Segmenter.select`; only the probability counts."""
        return np.flatnonzero(proposals.prob > thresholds.prob)

    def reach_px(self, proposals: Proposals) -> float:
        """See `Segmenter.reach_px`; nothing is compared across tiles."""
        return 0.0

    def draw(self, proposals: Proposals) -> ObjectTable:
        """See `Segmenter.draw`."""
        return ObjectTable.build(
            proposals.contours or Contours.empty(),
            det_prob=proposals.prob,
            classes=self.info.classes,
            source=self.info.name,
        )


def no_proposals() -> Proposals:
    """Of an image without objects, for an `OutlinedSegmenter`."""
    nothing = np.zeros(0, np.float32)
    return Proposals(nothing.reshape(0, 2), nothing, contours=Contours.empty())
