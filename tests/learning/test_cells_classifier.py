"""Learning classes, predicting them, and keeping the classifier."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import ClassDef, ClassScheme, Contours, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import Prediction, classified, review_order
from napari_histo.learning.cells.examples import Examples
from napari_histo.learning.cells.features import ObjectFeatures
from napari_histo.learning.cells.files import (
    CARD_FILE,
    load_classifier,
    load_examples,
    save_classifier,
)
from napari_histo.learning.cells.training import cross_validate, judge, train_cells

SCHEME = ClassScheme((ClassDef("Nucleus", (1, 2, 3)), *ClassScheme.of("Tumor", "Stroma", "Other")))


def clouds(n=60, *, seed=0, n_classes=3, apart=4.0, holes=0.0):
    """Features of `n` objects and their classes (1 and on): clouds that hardly overlap."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % n_classes + 1
    centres = np.random.default_rng(9).normal(0, apart, (4, 5))
    values = rng.normal(centres[truth]).astype(np.float32)
    values[rng.random(values.shape) < holes] = np.nan
    names = tuple(f"f{i}" for i in range(5))
    return ObjectFeatures(names, values, 0.5), truth


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("holes", [0.0, 0.15])
def test_clouds_are_told_apart(n_classes, holes):
    features, truth = clouds(n_classes=n_classes, holes=holes)
    model = train_cells(features, truth, classes=SCHEME)
    assert model.classes.names == SCHEME.names[1 : n_classes + 1]
    assert dict(model.counts) == dict.fromkeys(model.classes.names, 60 // n_classes)
    others, wanted = clouds(200, seed=1, n_classes=n_classes, holes=holes)
    found = model.predict(others)
    assert (found.class_id + 1 == wanted).mean() > 0.9
    prob = model.probabilities(others)
    np.testing.assert_allclose(prob.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.prob, prob.max(axis=1))
    best = np.sort(prob, axis=1)
    np.testing.assert_allclose(found.margin, best[:, -1] - best[:, -2], atol=1e-6)


def test_many_objects_are_predicted_as_few():
    features, truth = clouds()
    model = train_cells(features, truth, classes=SCHEME)
    many = clouds(40_000, seed=2)[0]
    found, part = model.predict(many), model.predict(many.take(np.arange(20_000, 20_100)))
    np.testing.assert_array_equal(found.class_id[20_000:20_100], part.class_id)
    np.testing.assert_allclose(found.prob[20_000:20_100], part.prob, rtol=1e-5)
    assert len(model.predict(many.take([])).prob) == 0


@given(st.integers(0, 20))
@settings(max_examples=10)
def test_order_units_and_unlabelled_objects_do_not_matter(seed):
    features, truth = clouds(30)
    rng = np.random.default_rng(seed)
    model = train_cells(features, truth, classes=SCHEME)
    order, factor = rng.permutation(30), rng.uniform(0.01, 100, 5).astype(np.float32)
    more = np.concatenate([features.values[order] * factor + 7, np.full((4, 5), 1e6, np.float32)])
    other = train_cells(
        ObjectFeatures(features.names, more), np.append(truth[order], [-1] * 4), classes=SCHEME
    )
    shown = ObjectFeatures(features.names, features.values * factor + 7)
    np.testing.assert_allclose(other.probabilities(shown), model.probabilities(features), atol=0.02)


def test_what_is_not_known_of_any_example_or_is_constant_does_no_harm():
    features, truth = clouds()
    odd = np.stack([np.full(60, np.nan), np.full(60, 3.0)], axis=1).astype(np.float32)
    wide = features.beside(ObjectFeatures(("never", "always"), odd))
    model = train_cells(wide, truth, classes=SCHEME)
    assert model.names == (*features.names, "always")
    assert (model.predict(wide).class_id + 1 == truth).all()
    nothing = ObjectFeatures(wide.names, np.full((2, 7), np.nan, np.float32))
    assert np.isfinite(model.predict(nothing).prob).all()


@pytest.mark.parametrize(
    ("class_id", "words"),
    [
        pytest.param([-1] * 6, "no examples", id="none"),
        pytest.param([1] * 6, "All 6 examples are 'Tumor'.*two classes", id="one-class"),
    ],
)
def test_too_few_classes_are_told(class_id, words):
    with pytest.raises(LearningError, match=words):
        train_cells(clouds(6)[0], np.array(class_id), classes=SCHEME)


def test_examples_without_measurements_are_told():
    features = ObjectFeatures(("a",), np.full((4, 1), np.nan, np.float32))
    with pytest.raises(LearningError, match="None of the 4 examples has a measurement"):
        train_cells(features, np.array([1, 1, 2, 2]), classes=SCHEME)


def test_a_missing_feature_is_told():
    features, truth = clouds()
    model = train_cells(features, truth, classes=SCHEME)
    with pytest.raises(LearningError, match="missing: 'f4'"):
        model.predict(features.only(features.names[:4]))


# -- cross-validation --------------------------------------------------------------------------


def examples(groups, *, apart=4.0):
    features, truth = clouds(len(groups), apart=apart)
    group = np.array(groups, np.int32)
    return Examples(features, truth.astype(np.int32), SCHEME, group, ("a", "b", "c"), (0.5,))


def test_whole_images_are_left_out():
    # The class is written into a feature, by another code in each image: only within one it helps.
    own = examples(np.arange(90) // 3 % 3)
    code = (own.class_id + own.group) % 3
    noise = np.random.default_rng(0).normal(size=(90, 4))
    values = np.concatenate([code[:, None], noise], axis=1).astype(np.float32)
    own = Examples(
        ObjectFeatures(own.features.names, values), own.class_id, SCHEME, own.group, own.groups
    )
    found = cross_validate(own)
    assert found["left_out"] == "images"
    assert found["accuracy"] < 0.45
    single = Examples(own.features, code.astype(np.int32) + 1, SCHEME, 0 * own.group, ("a",))
    found = cross_validate(single)
    assert found["left_out"] == "examples"
    assert found["accuracy"] > 0.8


def test_every_example_is_left_out_once():
    found = cross_validate(examples(np.arange(60) % 3))
    assert found["n"] == 60
    assert np.sum(found["confusion"]) == 60
    assert found["accuracy"] == pytest.approx(np.trace(found["confusion"]) / 60)
    assert set(found["f1"]) == {"Tumor", "Stroma", "Other"}


def test_too_few_examples_have_no_figures():
    own = examples([0, 1])
    assert cross_validate(own)["accuracy"] is None


def test_classes_that_were_never_learned_are_told():
    features, truth = clouds(n_classes=2)
    model = train_cells(features, truth, classes=SCHEME)
    with pytest.raises(LearningError, match=r"'Other'.*knows \['Tumor', 'Stroma'\]"):
        judge(model, examples(np.zeros(60)))
    two = Examples.of(features, truth, SCHEME, group="new")
    assert judge(model, two)["accuracy"] > 0.95


# -- tables ------------------------------------------------------------------------------------


def prediction(class_id, margin):
    margin = np.float32(margin)
    return Prediction(np.int32(class_id), (1 + margin) / 2, margin)


def test_the_least_sure_comes_first():
    found = prediction([0] * 4, [0.5, 0.1, 0.9, 0.1])
    assert review_order(found).tolist() == [1, 3, 0, 2]
    assert review_order(found, np.array([True, False, True, False])).tolist() == [0, 2]


def test_what_a_person_said_stays():
    features, truth = clouds()
    model = train_cells(features, truth, classes=SCHEME)
    square = np.float32([(0, 0), (1, 0), (1, 1)])
    states = [ObjectState.PREDICTED, ObjectState.ACCEPTED, ObjectState.REJECTED, 0]
    table = ObjectTable.build(
        Contours.from_star(np.stack([square] * 4)),
        classes=ClassScheme.of("Mine", "Stroma"),
        class_id=[0, 0, 0, 0],
        state=states,
        object_type=[0, 0, 0, ObjectType.ANNOTATION],
    )
    shown = classified(table, model, prediction([1, 1, 1, 1], [0.2] * 4))
    assert list(shown.class_names) == ["Stroma", "Mine", "Mine", "Mine"]
    assert np.isfinite(shown.class_prob).tolist() == [True, False, False, False]
    with pytest.raises(LearningError, match="2 objects cannot be given to 4"):
        classified(table, model, prediction([1, 1], [0.2] * 2))


# -- files -------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    features, truth = clouds()
    model = train_cells(features, truth, classes=SCHEME, recipe={"around_um": [50.0]})
    model = model.with_quality({"accuracy": 0.5})
    save_classifier(tmp_path / "cells", model)
    return model, tmp_path / "cells"


def test_a_folder_gives_back_the_same_classifier(kept):
    model, folder = kept
    again, features = load_classifier(folder), clouds(100, seed=3)[0]
    np.testing.assert_array_equal(again.probabilities(features), model.probabilities(features))
    assert again.classes == model.classes
    assert (again.counts, again.recipe, again.quality) == (
        model.counts,
        model.recipe,
        {"accuracy": 0.5},
    )
    assert again.pixel_sizes_um == (0.5,)
    assert sorted(p.name for p in folder.iterdir()) == ["classifier.json", "weights.safetensors"]
    save_classifier(folder, again)
    assert load_classifier(folder).names == model.names


def test_examples_are_kept_to_go_on_with(kept, tmp_path):
    model, folder = kept
    with pytest.raises(LearningError, match=r"examples\.safetensors holds no examples"):
        load_examples(folder)
    own = examples(np.arange(60) % 3)
    own.features.values[3, 2] = np.nan
    save_classifier(folder, model, own)
    again = load_examples(folder)
    np.testing.assert_array_equal(again.features.values, own.features.values)
    for name in ("class_id", "group"):
        np.testing.assert_array_equal(getattr(again, name), getattr(own, name))
    for name in ("classes", "groups", "pixel_sizes_um"):
        assert getattr(again, name) == getattr(own, name)
    assert again.features.names == own.features.names
    path = folder / "examples.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LearningError, match="can be applied, but not gone on with"):
        load_examples(folder)


def _change(card, **words):
    return json.dumps(json.loads(card) | words)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        pytest.param(CARD_FILE, lambda t: t[:50], id="cut-short"),
        pytest.param(CARD_FILE, lambda t: "[]", id="a-list"),
        pytest.param(CARD_FILE, lambda t: _change(t, version=99), id="of-tomorrow"),
        pytest.param(CARD_FILE, lambda t: _change(t, features=["a"]), id="other-features"),
        pytest.param(CARD_FILE, lambda t: _change(t, classes=[]), id="no-classes"),
        pytest.param("weights.safetensors", lambda t: "no weights", id="weights"),
    ],
)
def test_damaged_folders_are_told(kept, file, change):
    path = kept[1] / file
    path.write_text(change(path.read_bytes().decode("utf-8", "replace")), encoding="utf-8")
    with pytest.raises(LearningError, match="holds no classifier that can be read"):
        load_classifier(kept[1])


def test_missing_folders_are_told(tmp_path):
    with pytest.raises(
        LearningError, match=r"nothing holds no classifier.*classifier\.json\. Check"
    ):
        load_classifier(tmp_path / "nothing")
