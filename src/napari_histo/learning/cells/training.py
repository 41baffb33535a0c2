"""Learning classes from examples, and saying how well that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme
from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import CellClassifier, one_thread, standardised
from napari_histo.learning.cells.examples import Examples
from napari_histo.learning.cells.features import ObjectFeatures

__all__ = ["cross_validate", "judge", "scores", "train_cells", "train_on"]

#: Inverse strength of the penalty, shared out among the standardised features: with the same number
#: of examples, a wide table needs more of it. On breast cells accuracy moved
#: by a point at most from 1 to 10.
_C_SHARED = 3.0
_FOLDS = 5


def train_cells(
    features: ObjectFeatures,
    class_id: NDArray[np.integer],
    *,
    classes: ClassScheme,
    recipe: Mapping[str, Any] | None = None,
    pixel_sizes_um: Sequence[float] = (),
    seed: int = 0,
) -> CellClassifier:
    """Learn from objects with classes; some hundred examples take some 50 ms.

    Parameters
    ----------
    features : ObjectFeatures
        (n) objects, examples and others.
    class_id : (n,) integers
        Position in `classes`; -1 for what is no example.
    classes : ClassScheme
        Those without examples are left out of the classifier.
    recipe : mapping, optional
        How the features were made, to be kept.
    pixel_sizes_um : sequence of float
        Of the images; that of `features` by default.
    seed : int

    Raises
    ------
    LearningError
        There are fewer than two classes with examples, or nothing was measured.
    """
    rows = np.flatnonzero(class_id >= 0)
    used, y = np.unique(class_id[rows], return_inverse=True)
    if len(used) < 2:
        raise LearningError(_too_few(classes, used, len(rows)))
    known = features.values[rows]
    some = np.asarray(np.isfinite(known).any(axis=0), bool)
    if not some.any():
        raise LearningError(
            f"None of the {len(rows)} examples has a measurement. Measure the objects first "
            "(napari-histo measure), or give the image."
        )
    names = tuple(name for name, fine in zip(features.names, some, strict=True) if fine)
    x = known[:, some]
    centre, scale = _spread(x)
    weights, bias = _fit(standardised(x, centre, scale), y, seed)
    kept = ClassScheme(tuple(classes[int(i)] for i in used))
    size = features.pixel_size_um
    return CellClassifier(
        names,
        kept,
        centre,
        scale,
        weights,
        bias,
        dict(zip(kept.names, np.bincount(y).tolist(), strict=True)),
        tuple(pixel_sizes_um) or (() if size is None else (size,)),
        recipe or {},
        seed=seed,
    )


def train_on(
    examples: Examples, *, recipe: Mapping[str, Any] | None = None, seed: int = 0
) -> CellClassifier:
    """`train_cells` of the examples of one image or several."""
    return train_cells(
        examples.features,
        examples.class_id,
        classes=examples.classes,
        recipe=recipe,
        pixel_sizes_um=examples.pixel_sizes_um,
        seed=seed,
    )


def cross_validate(examples: Examples, *, folds: int = _FOLDS, seed: int = 0) -> dict[str, Any]:
    """How good the classes are of examples that were left out of the training.

    Whole images are left out where there are several, else single examples; the latter flatters,
    for objects of one image are alike.

    Returns
    -------
    dict
        ``left_out`` ("images" or "examples"), ``accuracy``, ``macro_f1``, ``f1`` by class,
        ``confusion`` ((k, k) counts, truth in rows), ``classes``; ``accuracy`` is None where there
        are too few examples.
    """
    by_image = len(np.unique(examples.group)) > 1
    fold = _fold_of(examples, by_image, folds, np.random.default_rng(seed))
    truth, found = [], []
    for number in range(int(fold.max(initial=-1)) + 1):
        out = fold == number
        if len(np.unique(examples.class_id[~out])) < 2:
            continue
        learned = np.where(out, -1, examples.class_id)
        model = train_cells(examples.features, learned, classes=examples.classes, seed=seed)
        said = model.predict(examples.features.take(out)).class_id
        place = np.array([examples.classes.index(name) for name in model.classes.names])
        truth.append(examples.class_id[out])
        found.append(place[said])
    words = {"left_out": "images" if by_image else "examples"}
    if not truth:
        return words | {"accuracy": None, "macro_f1": None}
    return words | scores(np.concatenate(truth), np.concatenate(found), examples.classes)


def judge(classifier: CellClassifier, examples: Examples) -> dict[str, Any]:
    """`scores` of a classifier on examples that it did not learn from.

    Raises
    ------
    LearningError
        Some are of a class that it does not know.
    """
    unknown = sorted(examples.counts().keys() - set(classifier.classes.names))
    if unknown:
        raise LearningError(
            f"The classifier does not know the class {unknown[0]!r}; it knows "
            f"{list(classifier.classes.names)}. Rename the class, or train with examples of it."
        )
    place = np.array([_place(classifier.classes, name) for name in examples.classes.names])
    found = classifier.predict(examples.features).class_id
    return scores(place[examples.class_id], found, classifier.classes)


def _place(classes: ClassScheme, name: str) -> int:
    return classes.index(name) if name in classes.names else -1


def scores(
    truth: NDArray[np.integer], found: NDArray[np.integer], classes: ClassScheme
) -> dict[str, Any]:
    """Accuracy, macro F1, F1 and counts of classes that were given against true ones.

    Classes of which there is no object are left out of the mean.
    """
    k = len(classes)
    confusion = np.bincount(truth * k + found, minlength=k * k).reshape(k, k)
    right, true, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    there = true > 0
    f1 = 2 * right[there] / (true + said)[there]
    names = [name for name, some in zip(classes.names, there, strict=True) if some]
    return {
        "n": len(truth),
        "accuracy": float(right.sum() / max(len(truth), 1)),
        "macro_f1": float(f1.mean()) if len(f1) else None,
        "f1": dict(zip(names, f1.tolist(), strict=True)),
        "classes": list(classes.names),
        "confusion": confusion.tolist(),
    }


def _fold_of(
    examples: Examples, by_image: bool, folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(m,) fold in which each example is left out: images whole, or examples class by class."""
    if by_image:
        images = np.unique(examples.group)
        part = np.zeros(len(examples.groups), np.int64)
        part[rng.permutation(images)] = np.arange(len(images)) % folds
        of_image: NDArray[np.int64] = part[examples.group]
        return of_image
    fold = np.zeros(len(examples), np.int64)
    for class_id in np.unique(examples.class_id):
        rows = rng.permutation(np.flatnonzero(examples.class_id == class_id))
        fold[rows] = np.arange(len(rows)) % folds
    return fold


def _fit(
    z: NDArray[np.float32], y: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(f, k) weights and (k,) biases of a multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=_C_SHARED / z.shape[1], class_weight="balanced", max_iter=300, random_state=seed
    )
    with one_thread():
        model.fit(z, y)
    weights, bias = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # of two classes scikit-learn keeps the second alone
        weights, bias = (
            np.concatenate([-weights, weights], axis=1) / 2,
            np.array([-1, 1]) * bias / 2,
        )
    return weights.astype(np.float32), bias.astype(np.float32)


def _spread(x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and deviation of each feature; the deviation of a constant is 1."""
    centre = np.nanmedian(x, axis=0).astype(np.float32)
    scale = np.nanstd(x, axis=0).astype(np.float32)
    scale[~(scale > 1e-6 * np.maximum(np.abs(centre), 1e-6))] = 1
    return centre, scale


def _too_few(classes: ClassScheme, used: NDArray[np.integer], n: int) -> str:
    if not len(used):
        return (
            "There are no examples. Give some objects a class and accept them, or put points with "
            "classes on them."
        )
    return (
        f"All {n} examples are {classes[int(used[0])].name!r}. A classifier needs examples of two "
        "classes or more; for what is no cell, use the class 'Ignore*'."
    )
