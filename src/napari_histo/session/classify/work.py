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
from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import CellClassifier, Prediction
from napari_histo.learning.cells.examples import Examples
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.ops.region_counts import Places
from napari_histo.session.classify.state import Spread, Stains
from napari_histo.session.jobs import Report

__all__ = [
    "FEWEST_TO_PROVE",
    "ClassifyTools",
    "Learned",
    "Lesson",
    "Loaded",
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
    image : str
        Name of the image.
    kept : Examples, optional
        Of other images, learned from as well.
    """

    features: ObjectFeatures
    given: NDArray[np.int32]
    classes: ClassScheme
    recipe: Mapping[str, Any] = field(default_factory=dict)
    image: str = ""
    kept: Examples | None = None

    def examples(self) -> Examples:
        """All that is learned from.

        Raises
        ------
        LearningError
            There are none.
        """
        here = Examples.of(self.features, self.given, self.classes, group=self.image)
        return Examples.join([here] if self.kept is None else [self.kept, here])

    @property
    def has_two_classes(self) -> bool:
        """Whether there is something to tell apart."""
        names = {self.classes.name_of(i) for i in np.unique(self.given[self.given >= 0]).tolist()}
        return len(names | set(self.kept.counts() if self.kept is not None else ())) >= 2

    def learn(self) -> Learned:
        """Train, and judge all objects.

        Raises
        ------
        LearningError
        """
        from napari_histo.learning.cells.training import train_on

        return Learned.of(train_on(self.examples(), recipe=self.recipe), self.features)

    def prove(self) -> dict[str, Any]:
        """Cross-validate; empty where a class has too few examples for that to mean something."""
        from napari_histo.learning.cells.training import cross_validate

        examples = self.examples()
        if min(examples.counts().values()) < FEWEST_TO_PROVE:
            return {}
        return cross_validate(examples)


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


@dataclass(frozen=True, eq=False)
class Loaded:
    """A classifier of a folder, at work on other objects.

    Attributes
    ----------
    learned : Learned
    features : ObjectFeatures
        Of the objects here, as its recipe makes them.
    kept : Examples or None
        What it learned from; None where the folder does not tell.
    """

    learned: Learned
    features: ObjectFeatures
    kept: Examples | None


def judge_by(
    folder: Path, table: ObjectTable, sheet: Sheet, reader: SlideReader, cancel: CancelToken
) -> Loaded:
    """What a classifier of a folder says of objects; in a thread.

    Features that the sheet lacks are made as the classifier's recipe tells.

    Raises
    ------
    LearningError, HistoError, Cancelled
    """
    from napari_histo.learning.cells.files import load_classifier, load_examples
    from napari_histo.learning.cells.recipe import check_pixel_size

    known, features = load_classifier(folder), sheet.features
    check_pixel_size(known.pixel_sizes_um, features.pixel_size_um)
    if known.recipe != sheet.recipe or not set(known.names) <= set(features.names):
        features = _features_by(known, table, reader, cancel)
    try:
        kept = load_examples(folder)
    except LearningError:  # it can be used all the same
        kept = None
    return Loaded(Learned.of(known, features), features, kept)


def _features_by(
    known: CellClassifier, table: ObjectTable, reader: SlideReader, cancel: CancelToken
) -> ObjectFeatures:
    from napari_histo.learning.cells.network import load_network
    from napari_histo.learning.cells.recipe import FeatureRecipe, make_features

    recipe = FeatureRecipe.from_dict(known.recipe)
    model = None
    if recipe.network is not None:
        model = load_network(recipe.network, recipe.network_sha256)
    bare = table.with_columns(measurements={})
    steps = make_features(
        bare, recipe, reader=reader, model=model, names=known.names, cancel=cancel
    )
    return result_of(steps, lambda _: None).features


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
