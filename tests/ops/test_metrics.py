"""Metrics against brute force, against the stardist package, and by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_histo.ops import metrics
from napari_histo.ops.metrics import (
    THRESHOLDS,
    Agreement,
    compare_classes,
    compare_counts,
    compare_labels,
    count_pixels,
)

Labels = NDArray[np.int32]


def _row(*values: int) -> Labels:
    return np.array([values], np.int32)


@st.composite
def label_pairs(draw: st.DrawFn) -> tuple[Labels, Labels]:
    """Two label images that resemble each other now and then."""
    shape = draw(st.tuples(st.integers(0, 6), st.integers(0, 6)))
    elements = st.integers(0, 5)
    truth = draw(hnp.arrays(np.int32, shape, elements=elements))
    changed = draw(hnp.arrays(np.bool_, shape))
    other = draw(hnp.arrays(np.int32, shape, elements=elements))
    return truth, np.where(changed, other, truth)


def _brute(
    truth: Labels, pred: Labels
) -> tuple[NDArray[np.float64], list[set[int]], list[set[int]]]:
    """IoU table and the pixels of each object."""
    sets = [
        [set(np.flatnonzero(x.ravel() == v).tolist()) for v in np.unique(x) if v]
        for x in (truth, pred)
    ]
    iou = np.array([[len(a & b) / len(a | b) for b in sets[1]] for a in sets[0]])
    return iou.reshape(len(sets[0]), len(sets[1])), sets[0], sets[1]


@given(label_pairs())
def test_matches_and_iou_equal_those_of_an_optimal_assignment(pair: tuple[Labels, Labels]) -> None:
    from scipy.optimize import linear_sum_assignment

    found = compare_labels(*pair)
    iou, _, _ = _brute(*pair)
    for threshold, n in zip(THRESHOLDS, found.n_matched, strict=True):
        good = np.where(iou >= threshold, 1 + iou, 0)
        chosen = good[linear_sum_assignment(good, maximize=True)]
        assert n == np.count_nonzero(chosen)
        if threshold == 0.5:
            assert found.iou_sum == pytest.approx((chosen[chosen > 0] - 1).sum())


@given(label_pairs())
def test_aji_equals_the_algorithm_of_the_paper(pair: tuple[Labels, Labels]) -> None:
    iou, truth, pred = _brute(*pair)
    intersection, union, used = 0, 0, set()
    for a, row in zip(truth, iou, strict=True):
        best = int(row.argmax()) if len(row) and row.max() > 0 else None
        b = set() if best is None else pred[best]
        intersection, union = intersection + len(a & b), union + len(a | b)
        used.add(best)
    union += sum(len(b) for k, b in enumerate(pred) if k not in used)
    found = compare_labels(*pair)
    assert (found.aji_intersection, found.aji_union) == (intersection, union)


@given(label_pairs())
def test_agrees_with_the_stardist_package(pair: tuple[Labels, Labels]) -> None:
    from stardist.matching import matching

    truth, pred = pair
    found = compare_labels(truth, pred)
    if not truth.size or not (found.n_truth and found.n_pred):
        return  # stardist says 0 where there is nothing to divide by
    theirs = matching(truth, pred, thresh=list(THRESHOLDS))
    assert list(found.n_matched) == [m.tp for m in theirs]
    assert list(found.ap.values()) == pytest.approx([m.accuracy for m in theirs])
    half = theirs[0]
    ours = [found.precision, found.recall, found.f1, found.pq, found.iou_sum]
    assert ours[:4] == pytest.approx([half.precision, half.recall, half.f1, half.panoptic_quality])
    assert found.iou_sum == pytest.approx(half.mean_matched_score * half.tp)


@given(label_pairs())
def test_turning_the_sides_swaps_precision_and_recall(pair: tuple[Labels, Labels]) -> None:
    there, back = compare_labels(*pair), compare_labels(*pair[::-1])
    assert there.n_matched == back.n_matched
    assert there.dice == pytest.approx(back.dice, nan_ok=True)
    assert there.pq == pytest.approx(back.pq, nan_ok=True)
    assert there.precision == pytest.approx(back.recall, nan_ok=True)


@given(label_pairs(), st.permutations(range(1, 6)))
def test_numbers_of_labels_do_not_matter(pair: tuple[Labels, Labels], order: list[int]) -> None:
    truth, pred = pair
    renumbered = np.array([0, *(10_000 * k for k in order)])[pred]
    ours, other = compare_labels(truth, pred), compare_labels(truth, renumbered)
    assert ours.n_matched == other.n_matched
    assert ours.aji_intersection >= 0
    assert ours.dice == pytest.approx(other.dice, nan_ok=True)


@given(label_pairs(), label_pairs())
def test_pooling_two_images_equals_one_that_holds_both(
    one: tuple[Labels, Labels], other: tuple[Labels, Labels]
) -> None:
    apart = compare_labels(*one) + compare_labels(*other)
    joined = [
        np.concatenate([a.ravel(), np.where(b > 0, b + 100, 0).ravel()])[None]
        for a, b in zip(one, other, strict=True)
    ]
    whole = compare_labels(*joined)
    assert apart.n_matched == whole.n_matched
    assert astuple(apart)[3:] == pytest.approx(astuple(whole)[3:])


@pytest.mark.parametrize(
    ("truth", "pred", "expected"),
    [
        pytest.param(
            _row(1, 1, 0, 2, 2),
            _row(7, 7, 0, 3, 3),
            {"f1": 1, "pq": 1, "aji": 1, "dice": 1},
            id="same",
        ),
        pytest.param(
            _row(1, 1, 1, 1), _row(1, 1, 2, 2), {"f1": 2 / 3, "sq": 0.5, "aji": 1 / 3}, id="halved"
        ),
        pytest.param(
            _row(1, 1, 2, 2), _row(1, 1, 1, 1), {"f1": 2 / 3, "recall": 0.5, "dice": 1}, id="merged"
        ),
        pytest.param(
            _row(1, 1, 0, 0), _row(0, 0, 1, 1), {"f1": 0, "pq": 0, "aji": 0, "dice": 0}, id="beside"
        ),
        pytest.param(_row(0, 0), _row(1, 1), {"precision": 0, "f1": 0, "aji": 0}, id="invented"),
        pytest.param(
            _row(1, 1, 1, 1, 1), _row(1, 1, 1, 1, 0), {"sq": 0.8, "pq": 0.8, "aji": 0.8}, id="short"
        ),
    ],
)
def test_by_hand(truth: Labels, pred: Labels, expected: dict[str, float]) -> None:
    found = compare_labels(truth, pred)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint64])
def test_labels_of_any_integer_type(dtype: type) -> None:
    labels = np.array([[0, 1, 1, 255]], dtype)
    assert compare_labels(labels, labels).n_matched[0] == 2
    assert compare_labels(labels[:, 1:], labels[:, 1:]).n_matched[0] == 2


def test_huge_numbers_without_background() -> None:
    labels = np.array([[10**9, 10**9, 2 * 10**9]])
    assert compare_labels(labels, labels).n_matched[0] == 2


@given(label_pairs(), st.integers(0, 6))
def test_counts_of_pieces_add_up(pair: tuple[Labels, Labels], cut: int) -> None:
    truth, pred = pair
    pieces = [
        count_pixels(t, p, (6, 6))
        for t, p in ((truth[:cut], pred[:cut]), (truth[cut:], pred[cut:]))
    ]
    assert compare_counts(pieces[0] + pieces[1]) == compare_labels(truth, pred)


@given(label_pairs(), st.lists(st.integers(-1, 1), min_size=10, max_size=10))
def test_a_class_is_compared_as_if_it_were_alone(
    pair: tuple[Labels, Labels], classes: list[int]
) -> None:
    own = np.array(classes).reshape(2, 5)
    found = compare_classes(count_pixels(*pair, (6, 6)), own[0], own[1], 2)
    for number, agreement in enumerate(found):
        kept = [np.concatenate([[False], of_side == number]) for of_side in own]
        alone = [np.where(k[labels], labels, 0) for k, labels in zip(kept, pair, strict=True)]
        assert agreement == compare_labels(alone[0], alone[1])


def test_large_images_are_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (2, 50, 40))
    whole = compare_labels(*labels)
    monkeypatch.setattr(metrics, "_CHUNK_PX", 128)
    assert compare_labels(*labels) == whole


def test_halves_and_doubles_in_one_image() -> None:
    truth, pred = _row(1, 1, 0, 2, 3), _row(1, 2, 0, 3, 3)
    assert compare_labels(truth, pred).n_matched[0] == 2


def test_nothing_by_nothing_is_nan_and_null_in_json() -> None:
    nothing = compare_labels(_row(0, 0), _row(0, 0))
    assert math.isnan(nothing.f1)
    assert nothing.as_dict()["f1"] is None
    assert nothing + Agreement() == nothing


@pytest.mark.parametrize(
    ("pred", "words"),
    [
        pytest.param(_row(1, 1), r"\(1, 3\).*\(1, 2\)", id="shape"),
        pytest.param(_row(0, -1, 1), "label -1", id="negative"),
    ],
)
def test_refuses(pred: Labels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compare_labels(_row(1, 1, 1), pred)
