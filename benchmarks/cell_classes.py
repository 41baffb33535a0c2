"""How well classes of cells are told apart on images never seen, by 10, 50 and 200 clicks a class.

    python benchmarks/cell_classes.py DATA/points/brca_m2c --cache FOLDER [--seeds 20] [--learners]

90 H&E tiles of breast cancer at 0.5 µm/px with a point and a class for each cell. Nuclei are found
by he-nuclei; a point belongs to the nucleus that holds it, or else to the nearest within 4 µm. A
third of the patients is left out in each draw; the examples are drawn from all images of the
others, as if somebody had clicked here and there. Printed are means over the draws and, after ±,
half of the 95 % interval of that mean (Student's t); the spread is the standard deviation of
single draws, which is what one user meets.

The last lines ask what it brings to click the least sure objects first: from 10 a class on, 20 at
a time, to the same number of clicks as 50 a class at random; how often those objects are wrong, by
50 clicks a class; and what clicks on few patients' images are worth. With --learners other ways to
learn are held against ours, on the same features, standardised.

Finding and measuring takes some 10 s an image and is done once, into the cache.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from napari_histo.core import ClassScheme, ObjectTable, PixelSize, result_of
from napari_histo.learning.cells.classifier import review_order
from napari_histo.learning.cells.context import SMOOTHED
from napari_histo.learning.cells.examples import Examples, rows_at
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.learning.cells.network import load_network
from napari_histo.learning.cells.recipe import NETWORK, FeatureRecipe, make_features
from napari_histo.learning.cells.training import scores, train_cells
from napari_histo.pipeline.segment import SegmentRequest, segment
from napari_histo.slides import open_slide
from napari_histo.store import load_objects, save_objects

_MODEL = "he-nuclei"
_SIZE = PixelSize.square(0.5)
_NEAR_UM = 4.0
_CLASSES = ClassScheme.of("Lymphocyte", "Tumor", "Stroma")
_CLICKS = (10, 50, 200)
_ROUND = 20
_PATIENTS = (1, 3, 10)

Chosen = Callable[[str], bool]
Numbers = NDArray[np.intp]


def _is_ring(name: str) -> bool:
    return any(word in name for word in ("Cell", "Cytoplasm", "Membrane"))


#: Which features are used.
_SETS: dict[str, Chosen] = {
    "network alone": lambda n: n.startswith(NETWORK),
    "nuclei": lambda n: not (n.startswith((NETWORK, SMOOTHED)) or _is_ring(n)),
    "nuclei, neighbours (default)": lambda n: not (n.startswith(NETWORK) or _is_ring(n)),
    "nuclei, neighbours, network": lambda n: not _is_ring(n),
    "cells (5 µm), neighbours": lambda n: not n.startswith(NETWORK),
}
_DEFAULT = "nuclei, neighbours (default)"


@dataclass(frozen=True)
class Draw:
    """One choice of patients, as rows of all examples."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    rng: np.random.Generator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--learners", action="store_true")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    examples = _all_examples(arguments.data, arguments.cache)
    print(f"{len(examples)} nuclei of {len(examples.groups)} patients: {examples.counts()}")
    draws = range(arguments.seeds)
    print(f"\n{'accuracy / macro F1, %':36s}" + "".join(f"{f'{n} a class':24s}" for n in _CLICKS))
    sets = {_DEFAULT: _SETS[_DEFAULT]} if arguments.learners else _SETS
    for name, chosen in sets.items():
        own = [n for n in examples.features.names if chosen(n)]
        _show(f"{name}: {len(own)}", examples, own, draws, _logistic)
    own = [n for n in examples.features.names if _SETS[_DEFAULT](n)]
    if arguments.learners:
        for title, make in _LEARNERS.items():
            _show(title, examples, own, draws, partial(_other, make))
        return
    _show("random forest, the same", examples, own, draws, partial(_other, _forest))
    _show_review(examples, own, draws)
    _show_errors(examples, own, draws)
    for n in _PATIENTS:
        _show_few(examples, own, draws, n)
    _show_same(examples, own, draws, _CLICKS[0])


# -- objects, features, points -----------------------------------------------------------------


def _all_examples(data: Path, cache: Path) -> Examples:
    parts, n_points, n_held = [], 0, 0
    for image in sorted((data / "images").glob("*.png")):
        table, features = _made(image, cache)
        points, classes = _points(data / "labels" / f"{image.stem}.csv")
        rows = rows_at(table, points, within_px=_NEAR_UM / _SIZE.x_um)
        class_id = np.full(len(table), -1)
        class_id[rows[rows >= 0]] = classes[rows >= 0]
        n_points, n_held = n_points + len(points), n_held + int((rows >= 0).sum())
        patient = "-".join(image.stem.split("-")[:3])
        parts.append(Examples.of(features, class_id, _CLASSES, group=patient))
    print(f"{n_held} of {n_points} points lie on a nucleus that was found, or beside one")
    return Examples.join(parts)


def _made(image: Path, cache: Path) -> tuple[ObjectTable, ObjectFeatures]:
    """Nuclei of an image and all features, from the cache where they are."""
    kept, numbers = cache / f"{image.stem}.parquet", cache / f"{image.stem}.features.npz"
    if not (kept.exists() and numbers.exists()):
        recipe = FeatureRecipe(expand_um=5.0, network=_MODEL)
        model = load_network(_MODEL)
        with open_slide(image) as reader:
            if not kept.exists():
                request = SegmentRequest(pixel_size=_SIZE, seed=0)
                save_objects(kept, result_of(segment(reader, model, request)).table)
            table = load_objects(kept)
            work = make_features(table, recipe, reader=reader, model=model, pixel_size=_SIZE)
            features = result_of(work).features
        np.savez(numbers, names=np.array(features.names), values=features.values)
        print(f"{image.stem}: {len(table)} nuclei", flush=True)
    with np.load(numbers) as found:
        names = tuple(str(name) for name in found["names"])
        return load_objects(kept), ObjectFeatures(names, found["values"], _SIZE.mean_um)


def _points(path: Path) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(x, y) at the middle of their pixels, and classes from 0."""
    with path.open(encoding="utf-8") as file:
        rows = [(float(r["x"]), float(r["y"]), int(r["class_id"])) for r in csv.DictReader(file)]
    values = np.array(rows).reshape(-1, 3)
    return values[:, :2] + 0.5, values[:, 2].astype(np.intp) - 1


# -- draws -------------------------------------------------------------------------------------


def _draws(examples: Examples, seeds: range) -> Iterator[Draw]:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        patients = rng.permutation(len(examples.groups))
        out = np.isin(examples.group, patients[: len(patients) // 3])
        yield Draw(np.flatnonzero(~out), np.flatnonzero(out), rng)


def _clicked(examples: Examples, draw: Draw, n: int) -> NDArray[np.intp]:
    """Rows of n examples a class."""
    of_class = [draw.train[examples.class_id[draw.train] == c] for c in range(len(_CLASSES))]
    return np.concatenate([draw.rng.choice(rows, n, replace=False) for rows in of_class])


def _logistic(features: ObjectFeatures, y: NDArray[np.int32], test: ObjectFeatures) -> Numbers:
    return train_cells(features, y, classes=_CLASSES).predict(test).class_id.astype(np.intp)


def _forest() -> RandomForestClassifier:
    return RandomForestClassifier(class_weight="balanced", random_state=0)


#: Scikit-learn's, at its defaults but for balanced classes, and trees that fit few examples.
_LEARNERS: dict[str, Callable[[], Any]] = {
    "random forest": _forest,
    "gradient boosting": lambda: HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, min_samples_leaf=5, random_state=0
    ),
    "support vectors (RBF)": lambda: SVC(class_weight="balanced"),
    "discriminant, shrunk": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "perceptron, 64 hidden": lambda: MLPClassifier((64,), alpha=1.0, random_state=0),
}


def _other(
    make: Callable[[], Any], features: ObjectFeatures, y: NDArray[np.int32], test: ObjectFeatures
) -> Numbers:
    learner = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), make())
    return np.asarray(learner.fit(features.values, y).predict(test.values), np.intp)


def _show(
    title: str, examples: Examples, names: list[str], seeds: range, learn: Callable[..., Numbers]
) -> None:
    features = examples.features.only(names)
    cells, spread = [], []
    for n in _CLICKS:
        found = []
        for draw in _draws(examples, seeds):
            rows = _clicked(examples, draw, n)
            said = learn(features.take(rows), examples.class_id[rows], features.take(draw.test))
            found.append(_figures(examples.class_id[draw.test], said))
        cells.append(_cell(found))
        spread.append(" / ".join(f"{v:.1f}" for v in np.std(found, axis=0, ddof=1)))
    print(f"{title:36s}" + "".join(f"{cell:24s}" for cell in cells), flush=True)
    if _DEFAULT in title:
        print(f"{'  spread of single draws':36s}" + "".join(f"{s:24s}" for s in spread))


def _show_review(examples: Examples, names: list[str], seeds: range) -> None:
    """Random clicks against the least sure first, the same number."""
    features = examples.features.only(names)
    start, total = 10 * len(_CLASSES), 50 * len(_CLASSES)
    found: list[tuple[float, float]] = []
    for draw in _draws(examples, seeds):
        rows = _clicked(examples, draw, 10)
        while len(rows) < total:
            model = train_cells(features.take(rows), examples.class_id[rows], classes=_CLASSES)
            pool = np.setdiff1d(draw.train, rows)
            doubtful = review_order(model.predict(features.take(pool)))[:_ROUND]
            rows = np.concatenate([rows, pool[doubtful]])
        said = _logistic(features.take(rows), examples.class_id[rows], features.take(draw.test))
        found.append(_figures(examples.class_id[draw.test], said))
    print(f"\n{start} clicks at random, then {total - start} on the least sure: {_cell(found)}")


def _show_errors(examples: Examples, names: list[str], seeds: range) -> None:
    """How many mistakes a review finds that looks at the least sure objects."""
    features, found = examples.features.only(names), []
    mixed = np.zeros((len(_CLASSES), len(_CLASSES)))
    for draw in _draws(examples, seeds):
        rows = _clicked(examples, draw, 50)
        model = train_cells(features.take(rows), examples.class_id[rows], classes=_CLASSES)
        said = model.predict(features.take(draw.test))
        mixed += scores(examples.class_id[draw.test], said.class_id, _CLASSES)["confusion"]
        wrong = said.class_id != examples.class_id[draw.test]
        order = review_order(said)
        parts = [wrong[order[: len(order) // k]].mean() for k in (20, 10, 5, 1)]
        found.append([100 * part for part in (*parts, wrong[order[len(order) // 2 :]].mean())])
    means = ", ".join(f"{v:.0f}" for v in np.mean(found, axis=0))
    print(f"% wrong among the least sure 5, 10, 20 and 100 %, and the surer half: {means}")
    shares = 100 * mixed / mixed.sum(axis=1, keepdims=True)
    for name, row in zip(_CLASSES.names, shares, strict=True):
        said_as = zip(row, _CLASSES.names, strict=True)
        print(f"  of 100 {name}: " + ", ".join(f"{v:.0f} {other}" for v, other in said_as))


def _show_few(examples: Examples, names: list[str], seeds: range, n: int) -> None:
    """50 a class of a few patients alone, or as many as these have: 10 a class or more each."""
    features, found = examples.features.only(names), []
    for draw in _draws(examples, seeds):
        n_of = np.zeros((len(examples.groups), len(_CLASSES)))
        np.add.at(n_of, (examples.group[draw.train], examples.class_id[draw.train]), 1)
        own = draw.rng.permutation(np.flatnonzero(n_of.min(axis=1) >= 10))
        pool = draw.train[np.isin(examples.group[draw.train], own[:n])]
        parts = [pool[examples.class_id[pool] == c] for c in range(len(_CLASSES))]
        rows = np.concatenate([draw.rng.permutation(part)[:50] for part in parts])
        said = _logistic(features.take(rows), examples.class_id[rows], features.take(draw.test))
        found.append(_figures(examples.class_id[draw.test], said))
    print(f"50 a class at most, of {n} patients alone: {_cell(found)}")


def _show_same(examples: Examples, names: list[str], seeds: range, n: int) -> None:
    """Clicks on one patient's image, judged by the rest of that image: at least as many a class."""
    features, found, patients = examples.features.only(names), [], set()
    for draw in _draws(examples, seeds):
        for patient in np.unique(examples.group):
            pool = draw.rng.permutation(np.flatnonzero(examples.group == patient))
            parts = [pool[examples.class_id[pool] == c] for c in range(len(_CLASSES))]
            if min(map(len, parts)) < 2 * n:
                continue
            patients.add(int(patient))
            rows = np.concatenate([part[:n] for part in parts])
            rest = np.concatenate([part[n:] for part in parts])
            said = _logistic(features.take(rows), examples.class_id[rows], features.take(rest))
            found.append(_figures(examples.class_id[rest], said))
    mean = " / ".join(f"{v:.1f}" for v in np.mean(found, axis=0))
    print(f"{n} a class on one image, judged by the rest of it ({len(patients)} patients): {mean}")


def _figures(truth: NDArray[np.int32], said: NDArray[np.intp]) -> tuple[float, float]:
    words = scores(truth, said, _CLASSES)
    return 100 * words["accuracy"], 100 * words["macro_f1"]


def _cell(found: list[tuple[float, float]]) -> str:
    values = np.array(found)
    half = values.std(axis=0, ddof=1) / np.sqrt(len(values)) * stats.t.ppf(0.975, len(values) - 1)
    return " / ".join(f"{m:.1f} ± {h:.1f}" for m, h in zip(values.mean(axis=0), half, strict=True))


if __name__ == "__main__":
    main()
