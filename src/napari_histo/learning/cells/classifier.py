"""A classifier of objects: plain arrays, so that predicting needs numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, ObjectState, ObjectTable
from napari_histo.errors import LearningError
from napari_histo.learning.cells.features import ObjectFeatures, is_object

__all__ = ["CellClassifier", "Prediction", "classified", "review_order"]

#: Standardised values beyond are taken as this: one crushed nucleus must not decide.
_MOST = 5.0
_CHUNK = 1 << 14
_CONFIRMED = (ObjectState.ACCEPTED, ObjectState.EDITED, ObjectState.DRAWN)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a classifier says of objects.

    Attributes
    ----------
    class_id : (n,) int32
        Position in the classifier's classes.
    prob : (n,) float32
        Of that class.
    margin : (n,) float32
        By how much it is likelier than the next; 0 undecided, 1 sure.
    """

    class_id: NDArray[np.int32]
    prob: NDArray[np.float32]
    margin: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CellClassifier:
    """Tells classes of objects apart; frozen, any thread may call.

    Attributes
    ----------
    names : tuple of str
        (f) features, in order.
    classes : ClassScheme
        (k) with colours.
    centre, scale : (f,) float32
        What is taken from a feature, and what it is divided by.
    weights : (f, k) float32
    bias : (k,) float32
    counts : mapping of str to int
        Examples of each class.
    pixel_sizes_um : tuple of float
        Of the images of the examples.
    recipe : mapping
        How the features were made; see `FeatureRecipe`.
    quality : mapping
        What cross-validation found; empty where nobody asked.
    seed : int
    """

    names: tuple[str, ...]
    classes: ClassScheme
    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    counts: Mapping[str, int] = field(default_factory=dict)
    pixel_sizes_um: tuple[float, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def predict(self, features: ObjectFeatures) -> Prediction:
        """Likeliest class of each object.

        Raises
        ------
        LearningError
            A feature is missing.
        """
        x = features.only(self.names).values
        n = len(x)
        found = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.float32)
        with one_thread():
            for start in range(0, n, _CHUNK):
                part = slice(start, start + _CHUNK)
                prob = self._probabilities(x[part])
                best = prob.argmax(axis=1)
                rows = np.arange(len(best))
                likeliest = prob[rows, best]
                prob[rows, best] = 0
                found[0][part], found[1][part] = best, likeliest
                found[2][part] = likeliest - prob.max(axis=1)
        return Prediction(*found)

    def probabilities(self, features: ObjectFeatures) -> NDArray[np.float32]:
        """(n, k) probability of each class; see `predict`."""
        x = features.only(self.names).values
        with one_thread():
            parts = [self._probabilities(x[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)

    def with_quality(self, quality: Mapping[str, Any]) -> CellClassifier:
        """The same with what cross-validation found."""
        return replace(self, quality=quality)

    def _probabilities(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = standardised(x, self.centre, self.scale) @ self.weights + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


def one_thread() -> AbstractContextManager[Any]:
    """One thread for products of small matrices.

    Where all cores are busy, as beside a slide that is drawn, BLAS waits for its other threads far
    longer than the product takes: an update of 100,000 objects took five times as long.
    """
    limited: AbstractContextManager[Any] = _thread_pools().limit(limits=1, user_api="blas")
    return limited


@lru_cache(maxsize=1)
def _thread_pools() -> Any:
    """Made once, for to find the libraries takes 20 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def standardised(
    x: NDArray[np.float32], centre: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Features about their middle, in units of their spread; what is not known is in the middle."""
    z: NDArray[np.float32] = x - centre
    z *= 1 / scale
    np.clip(z, -_MOST, _MOST, out=z)
    if np.isnan(z.sum()):  # much faster than to look at each where there is none
        z[np.isnan(z)] = 0
    return z


def review_order(
    prediction: Prediction, todo: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Rows, the least sure first; of `todo` (mask) alone where it is given."""
    rows = np.arange(len(prediction.margin)) if todo is None else np.flatnonzero(todo)
    return rows[np.argsort(prediction.margin[rows], kind="stable")]


def classified(
    table: ObjectTable, classifier: CellClassifier, prediction: Prediction
) -> ObjectTable:
    """A table with the classes that were found; what a person said of an object stays.

    Raises
    ------
    LearningError
        The prediction is of another number of objects.
    """
    if len(prediction.class_id) != len(table):
        raise LearningError(
            f"The classes of {len(prediction.class_id)} objects cannot be given to {len(table)}. "
            "Predict again for these objects."
        )
    classes = table.classes.union(classifier.classes)
    place = np.array([classes.index(name) for name in classifier.classes.names], np.int32)
    free = is_object(table) & ~np.isin(table.state, _CONFIRMED)
    return table.with_columns(
        classes=classes,
        class_id=np.where(free, place[prediction.class_id], table.class_id).astype(np.int32),
        class_prob=np.where(free, prediction.prob, table.class_prob).astype(np.float32),
    )
