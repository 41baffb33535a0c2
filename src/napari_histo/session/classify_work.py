"""What the Classify panel's threads do: measure, learn, prove, and count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    CancelToken,
    ClassScheme,
    ObjectTable,
    ObjectType,
    SlideReader,
    result_of,
)
from napari_histo.learning.cells.classifier import CellClassifier, Prediction
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.ops.region_counts import Places
from napari_histo.session.classify_state import Spread, Stains
from napari_histo.session.jobs import Report

__all__ = [
    "FEWEST_TO_PROVE",
    "ClassifyTools",
    "Learned",
    "Lesson",
    "Sheet",
    "classifier_folder",
    "judge_by",
    "measure_objects",
    "spread_of",
    "warm_up",
]

_BINS = 64
_TOP = 0.998
#: Such a share of what is stained is brown where there is DAB; H&E slides have 0 to 0.002.
_BROWN_SHARE = 0.01
_STAINED_OD = 0.1
#: With fewer examples of a class the accuracy says more of chance than of the classifier.
FEWEST_TO_PROVE = 5
#: Neighbours so near tell of an object, too.
_AROUND_UM = 50.0


@dataclass(frozen=True, eq=False)
class Sheet:
    """What was measured of the objects of an image, a row each, in the order of opening.

    Attributes
    ----------
    features : ObjectFeatures
    columns : mapping of str to (n,) float64
        Measurements that thresholds may be put on.
    places : Places
        The image and its annotations.
    recipe : mapping
        How the features were made; see `FeatureRecipe`.
    """

    features: ObjectFeatures
    columns: Mapping[str, NDArray[np.float64]]
    places: Places
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Examples as they stood when a training was asked for.

    Attributes
    ----------
    features : ObjectFeatures
        (n) of all objects.
    given : (n,) int32
        Position in `classes`; -1 for what is no example.
    classes : ClassScheme
    recipe : mapping
        How the features were made.
    """

    features: ObjectFeatures
    given: NDArray[np.int32]
    classes: ClassScheme
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def learn(self) -> Learned:
        """Train, and judge all objects.

        Raises
        ------
        LearningError
        """
        from napari_histo.learning.cells.training import train_cells

        known = train_cells(self.features, self.given, classes=self.classes, recipe=self.recipe)
        return Learned.of(known, self.features)

    def prove(self) -> dict[str, Any]:
        """Cross-validate; empty where a class has too few examples for that to mean something."""
        from napari_histo.learning.cells.examples import Examples
        from napari_histo.learning.cells.training import cross_validate

        n = np.bincount(self.given[self.given >= 0])
        if n[n > 0].min() < FEWEST_TO_PROVE:
            return {}
        return cross_validate(Examples.of(self.features, self.given, self.classes))


@dataclass(frozen=True, eq=False)
class Learned:
    """A classifier and what it says of all objects."""

    classifier: CellClassifier
    prediction: Prediction

    @classmethod
    def of(cls, classifier: CellClassifier, features: ObjectFeatures) -> Learned:
        """Judge objects.

        Raises
        ------
        LearningError
            They lack a feature.
        """
        return cls(classifier, classifier.predict(features))


def measure_objects(
    reader: SlideReader, table: ObjectTable, stains: Stains, cancel: CancelToken, report: Report
) -> Sheet:
    """Measure all objects; in a thread.

    Raises
    ------
    HistoError, Cancelled
    """
    from napari_histo.learning.cells.recipe import FeatureRecipe, make_features

    vectors, size = _vectors(reader, stains), reader.info.pixel_size
    recipe = FeatureRecipe(
        around_um=() if size is None else (_AROUND_UM,),
        stains=None if vectors is None else vectors.describe(),
    )
    if stains is not Stains.AUTO or not any(map(_is_intensity, table.measurements)):
        table = table.with_columns(measurements={})  # so that they are made anew
    made = result_of(make_features(table, recipe, reader=reader, cancel=cancel), report)
    columns = {
        name: values
        for name, values in made.table.measurements.items()
        if _is_intensity(name) and np.isfinite(values).any()
    }
    drawn = np.flatnonzero(table.object_type == ObjectType.ANNOTATION)
    regions = table.select(drawn) if len(drawn) else None
    places = Places.of(table, regions, reader.info.box.area)
    return Sheet(made.features, columns, places, recipe.as_dict())


def warm_up() -> None:
    """Learn something at once, so that the first click need not wait seconds for libraries."""
    features = ObjectFeatures(("x",), np.array([[0.0], [1.0]], np.float32))
    Lesson(features, np.array([0, 1], np.int32), ClassScheme.of("A", "B")).learn()


def judge_by(
    folder: Path, table: ObjectTable, sheet: Sheet, reader: SlideReader, cancel: CancelToken
) -> Learned:
    """What a classifier of a folder says of objects; in a thread.

    Features that the sheet lacks are made as the classifier's recipe tells.

    Raises
    ------
    LearningError, HistoError, Cancelled
    """
    from napari_histo.learning.cells.files import load_classifier
    from napari_histo.learning.cells.recipe import FeatureRecipe, check_pixel_size, make_features

    known = load_classifier(folder)
    check_pixel_size(known.pixel_sizes_um, sheet.features.pixel_size_um)
    if known.recipe == sheet.recipe and set(known.names) <= set(sheet.features.names):
        return Learned.of(known, sheet.features)
    recipe = FeatureRecipe.from_dict(known.recipe)
    steps = make_features(
        table.with_columns(measurements={}), recipe, reader=reader, names=known.names, cancel=cancel
    )
    return Learned.of(known, result_of(steps, lambda _: None).features)


def _is_intensity(name: str) -> bool:
    from napari_histo.ops.measure_pixels import STATISTICS

    return name.split(": ")[-1] in STATISTICS


def _vectors(reader: SlideReader, stains: Stains) -> Any:
    """Stain vectors of an image in colours; None where `measure` decides."""
    from napari_histo.ops.stain import brown, optical_density
    from napari_histo.ops.stain_vectors import H_DAB, HE
    from napari_histo.pipeline.colours import sample_colours

    if not reader.info.is_rgb:
        return None
    if stains is not Stains.AUTO:
        return H_DAB if stains is Stains.HDAB else HE
    density = optical_density(sample_colours(reader) / np.float32(255))
    stained = density[density.mean(axis=1) > _STAINED_OD]
    return H_DAB if len(stained) and brown(stained).mean() > _BROWN_SHARE else None


def spread_of(values: NDArray[np.float64]) -> Spread | None:
    """Histogram; None where there are no values."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, top = float(known.min()), float(np.quantile(known, _TOP))
    if not top > low:
        low, top = low - 0.5, low + 0.5
    counts, edges = np.histogram(np.clip(known, low, top), _BINS, (low, top))
    return Spread(edges, counts)


def classifier_folder(target: Path) -> Path:
    """Where the classifier of a file of objects lives: beside it, under its name."""
    name = target.name
    for ending in (".geojson.gz", ".geojson", ".json", ".parquet", ".geoparquet"):
        name = name.removesuffix(ending)
    return target.with_name(f"{name}.classifier")


@dataclass(frozen=True)
class ClassifyTools:
    """What a session works with; tests put fakes here. Both run in threads."""

    measure: Callable[..., Sheet] = measure_objects
    open_document: Callable[..., Any] | None = None
