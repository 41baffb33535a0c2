"""What is known of each object, as numbers that a classifier learns from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import GeometryKind, ObjectState, ObjectTable
from napari_histo.core.contours import as_rows
from napari_histo.errors import LearningError
from napari_histo.ops.region_counts import ANNOTATIONS

__all__ = ["ObjectFeatures", "is_feature", "is_object"]

#: Measurements that say where an object lies, repeat what somebody held it for, or are made here.
_NO_FEATURE = re.compile(
    r"^(Distance to|Signed distance|Centroid|Class probability|Detection probability|Smoothed: )"
)
_NAMED_AT_MOST = 4


def is_feature(name: str) -> bool:
    """False for measurements that tell of a place or of a class, and for neighbours' means."""
    return _NO_FEATURE.match(name) is None


def is_object(table: ObjectTable) -> NDArray[np.bool_]:
    """(n,) rows that have a class to be found: areas that are no annotation and not refused."""
    fine = (table.contours.kind == GeometryKind.POLYGON) & (table.state != ObjectState.REJECTED)
    return np.asarray(fine & ~np.isin(table.object_type, ANNOTATIONS), bool)


@dataclass(frozen=True, eq=False)
class ObjectFeatures:
    """Numbers of objects, a row each.

    Attributes
    ----------
    names : tuple of str
        (f) one a column, each with its unit.
    values : (n, f) float32
        NaN where an object has none.
    pixel_size_um : float or None
        Of the image that was measured, µm; None where it is not known.
    """

    names: tuple[str, ...]
    values: NDArray[np.float32]
    pixel_size_um: float | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise ValueError(
                f"{len(self.names)} names do not fit values of shape {self.values.shape}."
            )

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of_table(
        cls,
        table: ObjectTable,
        names: Iterable[str] | None = None,
        *,
        pixel_size_um: float | None = None,
    ) -> ObjectFeatures:
        """Measurements of a table, those of `is_feature` by default.

        Raises
        ------
        LearningError
            The table lacks some of `names`.
        """
        wanted = tuple(filter(is_feature, table.measurements) if names is None else names)
        _check_known(wanted, table.measurements)
        values = np.empty((len(table), len(wanted)), np.float32)
        for column, name in enumerate(wanted):
            values[:, column] = table.measurements[name]
        values[~np.isfinite(values)] = np.nan
        return cls(wanted, values, pixel_size_um)

    def take(self, rows: ArrayLike) -> ObjectFeatures:
        """The chosen rows, indices or mask."""
        index = as_rows(rows, len(self))
        return ObjectFeatures(self.names, self.values[index], self.pixel_size_um)

    def only(self, names: Sequence[str]) -> ObjectFeatures:
        """The named columns, in that order.

        Raises
        ------
        LearningError
            Some of them are not here.
        """
        if tuple(names) == self.names:
            return self
        _check_known(names, self.names)
        where = {name: i for i, name in enumerate(self.names)}
        columns = [where[name] for name in names]
        return ObjectFeatures(tuple(names), self.values[:, columns], self.pixel_size_um)

    def beside(self, other: ObjectFeatures) -> ObjectFeatures:
        """With the columns of another, of the same objects, to the right."""
        values = np.concatenate([self.values, other.values], axis=1)
        size = self.pixel_size_um or other.pixel_size_um
        return ObjectFeatures(self.names + other.names, values, size)

    @staticmethod
    def concat(parts: Sequence[ObjectFeatures]) -> ObjectFeatures:
        """All rows of several images, with the columns that they share.

        Raises
        ------
        LearningError
            They share none.
        """
        if not parts:
            return ObjectFeatures((), np.zeros((0, 0), np.float32))
        shared = set.intersection(*(set(part.names) for part in parts))
        names = [name for name in parts[0].names if name in shared]
        if not names:
            raise LearningError(
                f"The images share no measurement: one has {_some(parts[0].names)}, another "
                f"{_some(parts[-1].names)}. Measure all of them in the same way."
            )
        sizes = {part.pixel_size_um for part in parts}
        size = sizes.pop() if len(sizes) == 1 else None
        return ObjectFeatures(
            tuple(names), np.concatenate([part.only(names).values for part in parts]), size
        )


def _check_known(wanted: Iterable[str], known: Iterable[str]) -> None:
    there = set(known)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise LearningError(
            f"{len(missing)} of the measurements that are needed are missing: {_some(missing)}. "
            "Give the image, so that they can be made, or measure the objects as for the training."
        )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(repr(name) for name in listed[:_NAMED_AT_MOST])
    return f"{shown}, ..." if len(listed) > _NAMED_AT_MOST else shown or "none"
