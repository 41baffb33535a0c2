"""Positive or negative by a threshold on a measurement, and the scores that pathologists read.

Names, rules and colours are QuPath's (its ``PathObjectTools.setIntensityClassification`` and
``PathClass``): a value at the cut-off is positive, a class that was positive before is judged anew
by its base, ignored classes are left alone, and no measurement means no intensity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import ClassDef, ClassScheme, ObjectState, ObjectTable
from napari_histo.errors import MeasurementError
from napari_histo.ops.region_counts import ANNOTATIONS

__all__ = [
    "INTENSITIES",
    "CutOffs",
    "Stained",
    "base_name",
    "classify_by_threshold",
    "grade",
    "is_graded",
    "level_names",
]

#: Last part of a class that tells an intensity, in the order of the columns of scores.
INTENSITIES = ("Negative", "Positive", "1+", "2+", "3+")
#: What segmenters call everything that they find: no kind of cell, so no base of a class.
_ANYTHING = ("Nucleus", "Cell")
_LEVELS = {1: ("Negative", "Positive"), 3: ("Negative", "1+", "2+", "3+")}
_OF_TUMOR: dict[str, tuple[int, int, int]] = {
    "Negative": (90, 90, 180),
    "Positive": (200, 50, 50),
    "1+": (255, 215, 0),
    "2+": (225, 150, 50),
    "3+": (200, 50, 50),
}
#: Other bases are made lighter or darker.
_SHADES = {"Negative": 1.25, "Positive": 0.75, "1+": 0.9, "2+": 0.6, "3+": 0.4}


@dataclass(frozen=True)
class CutOffs:
    """From which value on an object is positive.

    Attributes
    ----------
    measurement : str
        Name of a column: "DAB: Nucleus: Mean".
    thresholds : tuple of float
        One for Negative and Positive, three for Negative, 1+, 2+ and 3+; ascending, in the
        measurement's unit. A value at a threshold is above it.
    """

    measurement: str
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        n = len(self.thresholds)
        if n not in _LEVELS:
            raise MeasurementError(
                f"{n} thresholds were given; allowed are one (Negative, Positive) or three "
                "(Negative, 1+, 2+, 3+)."
            )
        if not all(map(isfinite, self.thresholds)) or list(self.thresholds) != sorted(
            self.thresholds
        ):
            said = ", ".join(f"{t:g}" for t in self.thresholds)
            raise MeasurementError(
                f"The thresholds {said} do not ascend. Give numbers from the lowest to the highest."
            )

    def values_of(self, table: ObjectTable) -> NDArray[np.float64]:
        """(n,) the measurement.

        Raises
        ------
        MeasurementError
            The table has none of that name, or no object has a value.
        """
        values = table.measurements.get(self.measurement)
        if values is None or not np.isfinite(values).any():
            raise MeasurementError(_no_values(self.measurement, table, there=values is not None))
        return values


@dataclass(frozen=True, eq=False)
class Stained:
    """Objects of an image that wait for thresholds; what does not change with them is kept.

    Attributes
    ----------
    class_id : (n,) int32
        Before.
    classes : ClassScheme
        Before.
    judged : (n,) bool
        Rows that are objects, neither refused nor of an ignored class.
    """

    class_id: NDArray[np.int32]
    classes: ClassScheme
    judged: NDArray[np.bool_]

    @classmethod
    def of(cls, table: ObjectTable) -> Stained:
        """All rows of a table."""
        ignored = [c.is_background or base_name(c.name).endswith("*") for c in table.classes]
        judged = ~np.array([*ignored, False], bool)[table.class_id]
        judged &= table.state != ObjectState.REJECTED
        judged &= ~np.isin(table.object_type, ANNOTATIONS)
        return cls(table.class_id, table.classes, judged)

    @cached_property
    def _bases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(["", *(base_name(c.name) for c in self.classes)]))

    @cached_property
    def _base_id(self) -> NDArray[np.int32]:
        """(n,) position of each row's base."""
        place = [self._bases.index(base_name(c.name)) for c in self.classes]
        return np.array([*place, 0], np.int32)[self.class_id]

    @cached_property
    def _graded(self) -> NDArray[np.bool_]:
        """(n,) rows whose class tells an intensity."""
        return np.array([*(is_graded(c.name) for c in self.classes), False], bool)[self.class_id]

    def classify(
        self, values: NDArray[np.float64], thresholds: Sequence[float]
    ) -> tuple[NDArray[np.int32], ClassScheme]:
        """Classes by the measurement.

        Parameters
        ----------
        values : (n,) float64
        thresholds : sequence of float
            One or three, ascending.

        Returns
        -------
        (n,) int32, ClassScheme
            Positions in a scheme that begins with the one before.
        """
        words = level_names(len(thresholds))
        level = grade(values, thresholds)
        group = np.where(level >= 0, 1 + level, 0) + (1 + len(words)) * self._base_id
        present = np.unique(group[self.judged])
        found = {int(g): _class_of(self._bases, words, int(g), self.classes) for g in present}
        scheme = self.classes.union(c for c in found.values() if c is not None)
        place = np.full(int(present.max(initial=0)) + 1, -1, np.int32)
        for number, item in found.items():
            place[number] = -1 if item is None else scheme.index(item.name)
        ids = self.class_id.copy()
        # What was not graded keeps its class where there is no measurement, be it "Nucleus".
        moved = self.judged & ((level >= 0) | self._graded)
        ids[moved] = place[group[moved]]
        return ids, scheme


def grade(values: ArrayLike, thresholds: Sequence[float]) -> NDArray[np.int8]:
    """How many thresholds each value reaches; -1 for NaN.

    Examples
    --------
    >>> grade([0.1, 0.2, 0.9, float("nan")], [0.2, 0.4, 0.6]).tolist()
    [0, 1, 3, -1]
    """
    numbers = np.asarray(values, np.float64)
    level = np.searchsorted(np.asarray(thresholds, np.float64), numbers, side="right")
    return np.where(np.isnan(numbers), -1, level).astype(np.int8)


def classify_by_threshold(table: ObjectTable, cut_offs: CutOffs) -> ObjectTable:
    """The table with classes such as "Tumor: Positive", "Negative" or "2+".

    Annotations, refused objects and ignored classes keep theirs; an object without the
    measurement goes back to its base. A class that is new has no probability.

    Raises
    ------
    MeasurementError
    """
    values = cut_offs.values_of(table)
    ids, scheme = Stained.of(table).classify(values, cut_offs.thresholds)
    changed = ids != table.class_id
    prob = np.where(changed, np.float32(np.nan), table.class_prob)
    return table.with_columns(class_id=ids, classes=scheme, class_prob=prob)


def level_names(n_thresholds: int) -> tuple[str, ...]:
    """Intensities that so many thresholds tell apart, the lowest first."""
    try:
        return _LEVELS[n_thresholds]
    except KeyError:
        raise MeasurementError(
            f"{n_thresholds} thresholds were asked for; allowed are one or three."
        ) from None


def base_name(name: str) -> str:
    """A class without its intensity: "Tumor" of "Tumor: 2+", "" of "Positive" and of "Nucleus"."""
    parts = name.split(": ")
    while parts and parts[-1] in INTENSITIES:
        parts.pop()
    base = ": ".join(parts)
    return "" if base in _ANYTHING else base


def is_graded(name: str) -> bool:
    """Whether a class tells an intensity."""
    return name.split(": ")[-1] in INTENSITIES


def _class_of(
    bases: Sequence[str], words: Sequence[str], group: int, known: ClassScheme
) -> ClassDef | None:
    """Class of a group: a base's number times the words and none, plus that of the word."""
    base, word = bases[group // (1 + len(words))], group % (1 + len(words))
    if not word:
        return ClassDef.named(base) if base else None
    name = words[word - 1]
    if not base:
        return ClassDef.named(name)
    if base == "Tumor":
        return ClassDef(f"{base}: {name}", _OF_TUMOR[name])
    rgb = known[known.index(base)].rgb if base in known.names else ClassDef.named(base).rgb
    red, green, blue = (min(int(v * _SHADES[name]), 255) for v in rgb)
    return ClassDef(f"{base}: {name}", (red, green, blue))


def _no_values(name: str, table: ObjectTable, *, there: bool) -> str:
    """What is wrong with a measurement, and what there is instead."""
    if there:
        return f"No object has a value of {name!r}. Measure them on the image first."
    word = name.split(":")[0].lower()
    near = [m for m in table.measurements if word in m.lower()] or list(table.measurements)
    if not near:
        return (
            f"The objects have no measurement {name!r}, nor any other. Measure them on the image "
            "first: 'napari-histo measure', or --image with this command."
        )
    also = "" if len(near) <= 8 else f" and {len(near) - 8} more"
    return f"The objects have no measurement {name!r}. There are: {', '.join(near[:8])}{also}."
