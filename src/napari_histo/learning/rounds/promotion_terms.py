"""What a promotion goes by: counts of regions, how strictly to judge, and what may come out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from napari_histo.learning.rounds.promotion_figures import f1_of, pq_of

__all__ = [
    "AREA_MEASURE",
    "FEWEST_AREAS",
    "FEWEST_UNITS",
    "Counts",
    "Gate",
    "Pair",
    "Verdict",
    "things_of",
]

#: Fewer patients, slides or regions than this say nothing of others.
FEWEST_UNITS = 6
#: Fewer true objects than this are too few to tell models apart.
FEWEST_OBJECTS = 30
#: What figures stand for where each pixel of a painted area counts, and the fewest such areas:
#: neighbouring pixels tell much the same, so that thousands of them are no evidence.
AREA_MEASURE = "Dice of areas"
FEWEST_AREAS = 12


def things_of(measure: str) -> str:
    """What is annotated and counted where figures are of a measure, in a word."""
    return "areas" if measure == AREA_MEASURE else "objects"


class Verdict(StrEnum):
    """What the interval shows."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    EQUAL = "equal"
    WORSE = "worse"
    UNCLEAR = "unclear"
    TOO_FEW = "too few regions"


@dataclass(frozen=True, slots=True)
class Counts:
    """How a model did in one region; counts add up.

    Attributes
    ----------
    tp, fp, fn : int
        Objects found, invented and missed, matched at an intersection over union of 0.5.
    iou : float
        Sum of the intersections over union of those found.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou: float = 0.0

    def __post_init__(self) -> None:
        whole = min(self.tp, self.fp, self.fn) >= 0
        if not (whole and isfinite(self.iou) and 0 <= self.iou <= self.tp + 1e-6):
            raise ValueError(
                f"{self}: tp, fp and fn must be 0 or more, and iou must lie between 0 and tp."
            )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou + other.iou
        )

    @property
    def _sums(self) -> NDArray[np.float64]:
        return np.array([[self.tp, self.fp, self.fn, self.iou]], np.float64)

    @property
    def n_truth(self) -> int:
        """True objects."""
        return self.tp + self.fn

    @property
    def pq(self) -> float:
        """Panoptic quality (Kirillov et al., CVPR 2019); NaN where there is no object at all."""
        return float(pq_of(self._sums)[0])

    @property
    def f1(self) -> float:
        """F1 at 0.5; NaN where there is no object at all."""
        return float(f1_of(self._sums)[0])


@dataclass(frozen=True, slots=True)
class Pair:
    """A validation region as both models saw it.

    Attributes
    ----------
    group : str
        Patient or slide that must not be torn apart.
    image : str
        Id of the image in its project.
    new, parent : Counts
    areas : int or None
        Painted areas in it, where `Counts` are of pixels.
    """

    group: str
    image: str
    new: Counts
    parent: Counts
    areas: int | None = None

    @property
    def n_truth(self) -> int:
        """True objects, or painted areas."""
        return self.parent.n_truth if self.areas is None else self.areas


@dataclass(frozen=True, slots=True)
class Gate:
    """How strictly to judge.

    Attributes
    ----------
    margin_pq : float
        Loss of panoptic quality that is put up with. 0.01 by default: two trainings on the same
        data that differ in their seed alone lie that far apart, so that less would refuse by
        chance; and 0.01 is a tenth of what one round usually gains.
    draws : int
        Of the bootstrap, at least 2000.
    seed : int
    confidence : float
        One-sided.
    measure : str
        What the counts stand for: "PQ", or "IoU of clicks", where each object that was clicked
        counts as found with what its answer overlaps, or "Dice of areas", where each pixel of a
        tissue that is answered right counts as found.
    doubts_labels : bool
        Whether a great loss speaks against the labels. It does not where the new model began
        without weights: then it has learned too little yet.
    """

    margin_pq: float = 0.01
    draws: int = 10_000
    seed: int = 0
    confidence: float = 0.95
    doubts_labels: bool = True
    measure: str = "PQ"

    def __post_init__(self) -> None:
        if not 0 <= self.margin_pq < 1:
            raise ValueError(f"The margin is {self.margin_pq} PQ; it must lie between 0 and 1.")
        if self.draws < 2000:
            raise ValueError(f"{self.draws} draws are too few for an interval; take 2000 or more.")
        if not 0.5 < self.confidence < 1:
            raise ValueError(f"The confidence is {self.confidence}; it must lie between 0.5 and 1.")

    @property
    def of_areas(self) -> bool:
        """Whether areas are counted, and no objects."""
        return self.measure == AREA_MEASURE

    @property
    def things(self) -> str:
        """What is counted, in a word."""
        return things_of(self.measure)

    @property
    def fewest(self) -> int:
        """So many of them tell models apart."""
        return FEWEST_AREAS if self.of_areas else FEWEST_OBJECTS
