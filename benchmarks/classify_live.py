"""What a click costs while cells are classified: learn, predict and colour 100,000 objects.

    python benchmarks/classify_live.py [--objects N] [--examples N] [--rounds N]

Features are numbers with three overlapping classes, as many as the default recipe makes (36). Our
steps and scikit-learn's random forest at its defaults (100 trees) work on the same arrays in turns,
in one process; the yardsticks are that forest and reading the objects' own file. Printed are
medians and ratios to all of our live update.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from napari_histo.core import ClassScheme
from napari_histo.learning.cells.classifier import CellClassifier, classified, review_order
from napari_histo.learning.cells.context import smoothed
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.learning.cells.training import train_cells
from napari_histo.store import load_objects, save_objects
from objects import nuclei

_CLASSES = ClassScheme.of("Tumor", "Stroma", "Immune cells")
_MEASURED = 18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    table, n = nuclei(arguments.objects), arguments.objects
    truth = rng.integers(0, len(_CLASSES), n)
    values = rng.normal(rng.normal(0, 0.6, (len(_CLASSES), _MEASURED))[truth]).astype(np.float32)
    measured = ObjectFeatures(tuple(f"Feature {i}" for i in range(_MEASURED)), values, 0.5)
    around = timed(lambda: smoothed(measured, table.centroids * 0.25, (50.0,)))
    features = measured.beside(around[1])
    clicked = np.full(n, -1)
    rows = rng.choice(n, arguments.examples, replace=False)
    clicked[rows] = truth[rows]
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "objects.parquet"
        save_objects(path, table)
        for _ in range(arguments.rounds):
            _round(times, table, features, clicked, path)
    live = ("learn", "predict", "classes into the table", "colours", "order of review")
    whole = sum(median(times[name]) for name in live)
    print(f"{n:,} objects, {len(features.names)} features, {len(rows)} examples\n")
    for name in live:
        _tell(name, median(times[name]), whole)
    _tell("live update, all of it", whole, whole)
    for name in times.keys() - set(live):
        _tell(name, median(times[name]), whole)
    _tell("neighbours' means (once, before the first click)", around[0], whole)


def _round(
    times: dict[str, list[float]], table: Any, features: ObjectFeatures, clicked: Any, path: Path
) -> None:
    """One update by us, one by the forest, one reading of the file."""

    def keep(name: str, work: Callable[[], Any]) -> Any:
        seconds, result = timed(work)
        times.setdefault(name, []).append(seconds)
        return result

    model: CellClassifier = keep("learn", lambda: train_cells(features, clicked, classes=_CLASSES))
    found = keep("predict", lambda: model.predict(features))
    shown = keep("classes into the table", lambda: classified(table, model, found))
    palette = np.array([c.rgb for c in shown.classes], np.uint8)
    keep("colours", lambda: palette[shown.class_id])
    keep("order of review", lambda: review_order(found))
    rows = np.flatnonzero(clicked >= 0)
    forest = RandomForestClassifier(random_state=0)
    keep("random forest: learn", lambda: forest.fit(features.values[rows], clicked[rows]))
    keep("random forest: predict", lambda: forest.predict_proba(features.values))
    keep("reading the objects' GeoParquet", lambda: load_objects(path))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _tell(name: str, seconds: float, whole: float) -> None:
    print(f"{name:50s} {1000 * seconds:9.1f} ms {seconds / whole:8.2f}")


if __name__ == "__main__":
    main()
