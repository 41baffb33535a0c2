"""Positive and negative by thresholds, with QuPath's names, rules and colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import ClassScheme, Contours, ObjectState, ObjectTable, ObjectType, PixelSize
from napari_histo.errors import MeasurementError
from napari_histo.ops.positivity import (
    CutOffs,
    base_name,
    classify_by_threshold,
    grade,
)
from napari_histo.ops.positivity_scores import score_rows, scores
from napari_histo.ops.region_counts import Places
from napari_histo.ops.thresholds import suggest_thresholds

DAB = "DAB: Nucleus: Mean"
NAN = float("nan")


def table(values, names=None, **columns):
    """Squares of 8 px in a row, 20 px apart, with a measurement and classes."""
    corners = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)
    at = np.stack([20.0 * np.arange(len(values)), np.zeros(len(values))], axis=1)
    names = [None] * len(values) if names is None else names
    scheme = ClassScheme.of(*dict.fromkeys(n for n in names if n))
    return ObjectTable.build(
        Contours.from_star((at[:, None] + corners).astype(np.float32)),
        class_id=[scheme.index(n) for n in names],
        classes=scheme,
        measurements={DAB: np.array(values, float)},
        **columns,
    )


def classes_after(values, thresholds, names=None, **columns):
    return classify_by_threshold(
        table(values, names, **columns), CutOffs(DAB, thresholds)
    ).class_names.tolist()


@pytest.mark.parametrize(
    ("value", "before", "thresholds", "after"),
    [
        pytest.param(0.1, None, (0.2,), "Negative", id="below"),
        pytest.param(0.2, None, (0.2,), "Positive", id="at-the-threshold"),
        pytest.param(0.2, None, (0.1, 0.3, 0.5), "1+", id="weak"),
        pytest.param(0.3, None, (0.1, 0.3, 0.5), "2+", id="moderate"),
        pytest.param(9.0, None, (0.1, 0.3, 0.5), "3+", id="strong"),
        pytest.param(0.3, "Tumor", (0.2,), "Tumor: Positive", id="derived"),
        pytest.param(0.3, "Tumor: Negative", (0.2,), "Tumor: Positive", id="judged-anew"),
        pytest.param(0.3, "Tumor: CD8: 1+", (0.2,), "Tumor: CD8: Positive", id="two-bases"),
        pytest.param(0.3, "Positive", (0.1, 0.2, 0.25), "3+", id="grades-for-positive"),
        pytest.param(0.3, "Nucleus", (0.2,), "Positive", id="nucleus-is-no-kind"),
        pytest.param(0.3, "Ignore*", (0.2,), "Ignore*", id="ignored"),
        pytest.param(0.3, "Ignore*: Negative", (0.2,), "Ignore*: Negative", id="ignored-base"),
        pytest.param(NAN, "Tumor: Positive", (0.2,), "Tumor", id="unmeasured-back-to-base"),
        pytest.param(NAN, "Positive", (0.2,), None, id="unmeasured-without-base"),
        pytest.param(NAN, "Nucleus", (0.2,), "Nucleus", id="unmeasured-stays"),
    ],
)
def test_the_class_of_an_object(value, before, thresholds, after):
    assert classes_after([value, 0.5], thresholds, [before, None])[0] == after


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        pytest.param({"state": [ObjectState.REJECTED, 0]}, "Tumor", id="refused"),
        pytest.param({"object_type": [ObjectType.ANNOTATION, 0]}, "Tumor", id="annotation"),
        pytest.param({"object_type": [ObjectType.CELL, 0]}, "Tumor: Positive", id="cell"),
    ],
)
def test_what_is_left_alone(column, kept):
    assert classes_after([1, 1], (0.5,), ["Tumor", None], **column)[0] == kept


def test_colours_are_those_of_qupath():
    names = ["Tumor", "Tumor", "Stroma", "Stroma", None, None]
    done = classify_by_threshold(table([0, 1, 0, 1, 0, 1], names), CutOffs(DAB, (0.5,)))
    colours = {c.name: c.rgb for c in done.classes}
    assert colours["Tumor: Positive"] == (200, 50, 50)
    assert colours["Tumor: Negative"] == (90, 90, 180)
    assert colours["Stroma: Positive"] == (112, 150, 112)
    assert colours["Stroma: Negative"] == (187, 250, 187)
    assert colours["Positive"] == (250, 62, 62)
    assert colours["Negative"] == (112, 112, 225)


def test_only_new_classes_lose_their_probability():
    before = table([0.1, 0.9], ["Negative", "Negative"], class_prob=[0.7, 0.8])
    after = classify_by_threshold(before, CutOffs(DAB, (0.5,)))
    np.testing.assert_allclose(after.class_prob, [0.7, NAN])
    assert after.class_names.tolist() == ["Negative", "Positive"]


@given(
    st.lists(st.floats(-5, 5) | st.just(NAN), min_size=1, max_size=30),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(sorted),
)
def test_a_grade_counts_the_thresholds_that_are_reached(values, thresholds):
    levels = grade(values, thresholds)
    expected = [-1 if np.isnan(v) else sum(v >= t for t in thresholds) for v in values]
    assert levels.tolist() == expected


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 1))
def test_judging_twice_is_judging_once(values, threshold):
    names = ["Tumor", None] * len(values)
    once = classify_by_threshold(table(values, names[: len(values)]), CutOffs(DAB, (threshold,)))
    twice = classify_by_threshold(once, CutOffs(DAB, (threshold,)))
    assert twice.class_names.tolist() == once.class_names.tolist()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        pytest.param(lambda: CutOffs(DAB, ()), "0 thresholds", id="none"),
        pytest.param(lambda: CutOffs(DAB, (0.1, 0.2)), "2 thresholds", id="two"),
        pytest.param(lambda: CutOffs(DAB, (0.3, 0.2, 0.4)), "0.3, 0.2, 0.4", id="not-ascending"),
        pytest.param(lambda: CutOffs(DAB, (NAN,)), "nan", id="not-a-number"),
        pytest.param(
            lambda: CutOffs("DAB: Cell: Mean", (1.0,)).values_of(table([1, 2])), DAB, id="another"
        ),
        pytest.param(
            lambda: CutOffs(DAB, (1.0,)).values_of(table([NAN])), "No object has", id="empty"
        ),
        pytest.param(lambda: suggest_thresholds([1, 1, NAN]), "1 different", id="one-value"),
        pytest.param(lambda: suggest_thresholds([1, 2, 3], 2), "one or three", id="suggest-two"),
    ],
)
def test_what_makes_no_sense_is_told(make, word):
    with pytest.raises(MeasurementError, match=word):
        make()


@given(st.integers(1, 40), st.integers(1, 40), st.floats(1, 50))
def test_two_heaps_are_parted_between_them(n_low, n_high, gap):
    low, high = np.linspace(0, 0.05, n_low), gap + np.linspace(0, 0.02, n_high)
    (found,) = suggest_thresholds([*low, *high])
    assert low.max() < found <= high.min()


def test_three_heaps_of_positive_objects_are_parted():
    heaps = [np.linspace(m, m + 0.05, 400) for m in (0, 5, 6, 7)]
    _, second, third = suggest_thresholds(np.concatenate(heaps), 3)
    assert heaps[1].max() < second < heaps[2].min()
    assert heaps[2].max() < third < heaps[3].min()


def test_grades_do_not_change_who_is_positive():
    rng = np.random.default_rng(3)
    heaps = [rng.normal(m, 0.02, 60) for m in (0.05, 0.4, 0.7, 1.0)]
    one, three = (suggest_thresholds(np.concatenate(heaps), n) for n in (1, 3))
    assert three[0] == one[0]
    assert heaps[1].max() < one[0] < three[1] < three[2] < heaps[3].max()
    assert list(three) == sorted(three)


@pytest.mark.parametrize(
    ("name", "base"),
    [("Tumor: 2+", "Tumor"), ("Positive", ""), ("Nucleus", ""), ("Cell: Negative", ""), ("A", "A")],
)
def test_the_base_of_a_class(name, base):
    assert base_name(name) == base


# -- scores ----------------------------------------------------------------------------------------


def frame(left, right, name):
    """A region over the squares between two places of the row."""
    corners = [[[left, -5], [right, -5], [right, 15], [left, 15]]]
    return ObjectTable.build(
        Contours.from_rings(np.array(corners, float)),
        object_type=ObjectType.ANNOTATION,
        class_id=[0],
        classes=ClassScheme.of(name),
    )


def scored(names, regions=None):
    objects = table(np.zeros(len(names)), names)
    places = Places.of(objects, regions, 4e6)
    return scores(objects.class_id, objects.classes, places)


@pytest.mark.parametrize(
    ("names", "percent", "h_score"),
    [
        pytest.param(["Negative", "Positive", "Positive", None], 200 / 3, NAN, id="one-threshold"),
        pytest.param(["Negative", "1+", "2+", "3+"], 75, 150, id="each-once"),
        pytest.param(["3+", "Tumor: 3+"], 100, 300, id="all-strong"),
        pytest.param(["Negative", "Ignore*"], 0, 0, id="none-positive"),
        pytest.param([None, "Stroma"], NAN, NAN, id="none-graded"),
    ],
)
def test_percentage_and_h_score(names, percent, h_score):
    whole = scored(names)[0]
    np.testing.assert_allclose([whole.percent, whole.h_score], [percent, h_score])


def test_scores_by_region_and_class():
    names = ["Tumor: 3+", "Tumor: Negative", "Stroma: 1+", None, "Stroma: Negative"]
    regions = ObjectTable.concat([frame(-2, 30, "Region*"), frame(35, 200, "Other")])
    found = {(s.region, s.kind): (s.n_objects, s.h_score) for s in scored(names, regions)}
    assert found["Image", "All"] == (4, 100)
    assert found["Image", "Tumor"] == (2, 150)
    assert found["Region* 1", "All"] == (2, 150)
    assert found["Region* 1", "Stroma"][0] == 0
    assert found["Other 2", "Stroma"] == (2, 50)


def test_rows_for_people():
    row = score_rows(scored(["Positive", "Negative"]), PixelSize.square(0.5))[0]
    assert (row["Region"], row["Objects"], row["Positive %"]) == ("Image", 2, 50)
    assert row["Area mm^2"] == 1
    assert row["Positive per mm^2"] == 1
    assert np.isnan(score_rows(scored(["Positive"]), None)[0]["Area mm^2"])


def test_who_was_refused_counts_nowhere():
    objects = table([1, 1], ["Positive", "Positive"], state=[ObjectState.REJECTED, 0])
    found = scores(objects.class_id, objects.classes, Places.of(objects, None, 1))
    assert found[0].n_objects == 1
