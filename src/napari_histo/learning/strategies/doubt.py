"""Regions that the model is unsure about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from napari_histo.core.learning import Pool, Selection
from napari_histo.errors import LearningError
from napari_histo.learning.strategies.picking import (
    best_first,
    check_needs,
    eligible,
    selection,
    take_apart,
)

__all__ = ["Doubt"]

_NAMES = {"margin": "uncertain", "disagreement": "disagreement", "dropout": "dropout"}
_REASONS = {
    "margin": "objects with probabilities near the threshold ({:.0%} unsure)",
    "disagreement": "outlines change when the image is turned or its stain changes ({:.0%})",
    "dropout": "outlines change when parts of the network are left out ({:.0%})",
}
#: The same of models that tell tissues apart, and find no objects.
_OF_AREAS = {
    "margin": "tissues that the model can hardly tell apart ({:.0%} unsure)",
    "disagreement": "areas change when the image is turned or its stain changes ({:.0%})",
}

_NO_DROPOUT = (
    "The strategy 'dropout' leaves parts of the network out, and the model in use learned without "
    "dropout (unet_dropout is 0 in its config.json; so it is in the models that come along). Use "
    "the strategy 'disagreement' instead, or begin a project with a StarDist model that was "
    "trained with dropout."
)


@dataclass(frozen=True)
class Doubt:
    """The regions with the highest value of a signal of doubt, unlike each other.

    Attributes
    ----------
    signal : {"margin", "disagreement", "dropout"}
        See `napari_histo.learning.scoring`.
    """

    signal: str = "margin"
    _known: ClassVar[dict[str, str]] = _NAMES

    def __post_init__(self) -> None:
        if self.signal not in self._known:
            raise ValueError(f"The signal {self.signal!r} is none of {', '.join(self._known)}.")

    @property
    def name(self) -> str:
        """See `QueryStrategy.name`."""
        return self._known[self.signal]

    @property
    def needs(self) -> frozenset[str]:
        """See `QueryStrategy.needs`."""
        return frozenset({self.signal})

    def select(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """See `QueryStrategy.select`."""
        if self.signal == "dropout" and "margin" in pool.signals and "dropout" not in pool.signals:
            raise LearningError(_NO_DROPOUT)
        check_needs(pool, self.name, self.needs)
        rows, scores = eligible(pool), pool.signals[self.signal]
        taken = take_apart(pool, best_first(scores[rows], rows, rng), n)
        said = _REASONS[self.signal]
        if "objects" not in pool.signals:
            said = _OF_AREAS.get(self.signal, said)
        return selection(pool, taken, scores, lambda i: said.format(float(scores[i])))
