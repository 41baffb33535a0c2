"""Everything that the Classify panel shows beside the objects, as plain evented data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalGroupDescriptor

from napari_histo.core import Progress
from napari_histo.ops.positivity_scores import Score

__all__ = ["ClassifyState", "Spread", "Stains", "Way"]


class Way(Enum):
    """What tells the classes."""

    EXAMPLES = "examples"
    THRESHOLD = "threshold"


class Stains(Enum):
    """What the pixels of an image in colours are measured as."""

    AUTO = "auto"
    HE = "he"
    HDAB = "hdab"


@dataclass(frozen=True, eq=False)
class Spread:
    """A measurement of all objects that count.

    Attributes
    ----------
    edges : (n_bins + 1,) float64
        The largest values, one in 500, count into the last bin.
    counts : (n_bins,) int64
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def low(self) -> float:
        """Left end."""
        return float(self.edges[0])

    @property
    def high(self) -> float:
        """Right end."""
        return float(self.edges[-1])


@dataclass(eq=False)
class ClassifyState:
    """State of the Classify panel; `events` has a signal for each field.

    Only `ClassifyController` changes it, and only in the thread of the window.

    Attributes
    ----------
    way : Way
    stains : Stains
        The user's word; `AUTO` looks whether there is brown.
    measuring : Progress or None
        How far the objects are measured, while they are.
    is_measured : bool
        True once there are features to learn from.
    learning : bool
        A classifier is being trained.
    examples : mapping of str to int
        Objects of each class that a person gave.
    n_classified : int
        Objects that have a class which nobody here gave, QuPath's for example.
    found : mapping of str or None to int
        Objects by the class that is shown; None counts unclassified ones.
    quality : mapping or None
        What cross-validation found; see `learning.cells.training.cross_validate`.
    loaded : Path or None
        Folder of the classifier that is in use, or gone on with.
    has_classifier : bool
    n_pending : int
        Objects whose class is shown but not given yet: `apply` does.
    giving : Progress or None
        How far that is, while it is done.
    measurements : tuple of str
        That thresholds may be put on.
    measurement : str or None
    thresholds : tuple of float
        One, or three.
    spread : Spread or None
        Of the measurement.
    scores : tuple of Score
        By region and class.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    way: Way = Way.EXAMPLES
    stains: Stains = Stains.AUTO
    measuring: Progress | None = None
    is_measured: bool = False
    learning: bool = False
    examples: Mapping[str, int] = field(default_factory=dict)
    n_classified: int = 0
    found: Mapping[str | None, int] = field(default_factory=dict)
    quality: Mapping[str, Any] | None = None
    loaded: Path | None = None
    has_classifier: bool = False
    n_pending: int = 0
    giving: Progress | None = None
    measurements: tuple[str, ...] = ()
    measurement: str | None = None
    thresholds: tuple[float, ...] = ()
    spread: Spread | None = None
    scores: tuple[Score, ...] = ()

    @property
    def n_examples(self) -> int:
        """Of all classes."""
        return sum(self.examples.values())
