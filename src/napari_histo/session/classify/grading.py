"""Thresholds on the measurements of one image's objects, quick enough to follow a slider."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme
from napari_histo.ops.positivity import Stained
from napari_histo.ops.positivity_scores import Score, scores
from napari_histo.ops.thresholds import suggest_thresholds
from napari_histo.session.classify.ledger import Ledger
from napari_histo.session.classify.state import Spread
from napari_histo.session.classify.work import Sheet, spread_of

__all__ = ["Grading"]

#: What most people put thresholds on, best first.
_LIKELY = ("DAB: Nucleus: Mean", "DAB: Mean", "DAB: Cell: Mean")


class Grading:
    """Classes by thresholds, and scores by region. For one thread.

    Parameters
    ----------
    sheet : Sheet
    ledger : Ledger
    """

    def __init__(self, sheet: Sheet, ledger: Ledger) -> None:
        self._sheet = sheet
        self._ledger = ledger
        self._stained: Stained | None = None

    @property
    def likely(self) -> str | None:
        """The measurement to begin with."""
        there = list(self._sheet.columns)
        means = [name for name in there if name.endswith("Mean")]
        return next((n for n in (*_LIKELY, *means, *there) if n in self._sheet.columns), None)

    def forget(self) -> None:
        """The objects' classes have changed."""
        self._stained = None

    def spread(self, name: str) -> Spread | None:
        """Histogram of what is judged."""
        return spread_of(self._values(name))

    def suggest(self, name: str, n: int) -> tuple[float, ...]:
        """Thresholds found in what is judged.

        Raises
        ------
        MeasurementError
        """
        return suggest_thresholds(self._values(name), n)

    def classify(
        self, name: str, thresholds: Sequence[float]
    ) -> tuple[NDArray[np.int32], ClassScheme]:
        """Classes of all objects, by the ledger's places."""
        ledger = self._ledger
        if self._stained is None:
            classes = ledger.objects_classes
            self._stained = Stained(ledger.class_id.copy(), classes, ledger.judged.copy())
        return self._stained.classify(self._sheet.columns[name], thresholds)

    def scores(self, class_id: NDArray[np.int32], classes: ClassScheme) -> tuple[Score, ...]:
        """By region and class; what is not judged counts nowhere."""
        counted = np.where(self._ledger.judged, class_id, -1)
        return tuple(scores(counted, classes, self._sheet.places))

    def _values(self, name: str) -> NDArray[np.float64]:
        return self._sheet.columns[name][self._ledger.judged]
