"""Gained, lost and changed objects between two segmentations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import ClassScheme, Contours, ObjectTable
from napari_histo.ops.changes import find_changes
from napari_histo.ops.metrics import compare_labels

CLASSES = ClassScheme.of("Tumor", "Stroma")


def table(*boxes, class_id=None):
    """Rectangles as left, top, right, bottom."""
    corners = [np.array([(a, b), (c, b), (c, d), (a, d)], np.float32) for a, b, c, d in boxes]
    contours = Contours.from_rings(corners) if corners else Contours.empty()
    return ObjectTable.build(contours, class_id=class_id or [-1] * len(boxes), classes=CLASSES)


A, B, C = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10)


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        pytest.param([], [], (0, 0, 0, 0), id="nothing"),
        pytest.param([], [A, B], (2, 0, 0, 0), id="all-gained"),
        pytest.param([A, B], [], (0, 2, 0, 0), id="all-lost"),
        pytest.param([A, B, C], [C, A, B], (0, 0, 0, 3), id="other-order"),
        pytest.param([A], [(0, 0, 10, 9)], (0, 0, 0, 1), id="a-little-smaller"),
        pytest.param([A], [(0, 0, 10, 7)], (0, 0, 1, 0), id="smaller"),
        pytest.param([A], [(0, 0, 10, 4)], (1, 1, 0, 0), id="another-object"),
        pytest.param([A], [(10, 0, 20, 10)], (1, 1, 0, 0), id="beside"),
        pytest.param([A], [(0, 0, 5, 10), (5, 0, 10, 10)], (1, 0, 1, 0), id="two-halves"),
        pytest.param([(0, 0, 10, 5), (0, 5, 10, 10)], [A], (0, 1, 1, 0), id="of-two-halves"),
        pytest.param([A, B], [(0, 0, 30, 10)], (1, 2, 0, 0), id="merged"),
    ],
)
def test_counts(before, after, counts):
    assert find_changes(table(*before), table(*after)).counts == counts


def test_rows_are_those_of_their_tables():
    found = find_changes(table(A, B, C), table((60, 0, 70, 10), C, (20, 0, 30, 7)))
    assert found.gained.tolist() == [0]
    assert found.lost.tolist() == [0]
    assert found.changed.tolist() == [[1, 2]]
    assert found.kept.tolist() == [[2, 1]]


def test_another_class_is_a_change():
    found = find_changes(table(A, B, class_id=[0, 0]), table(A, B, class_id=[0, 1]))
    assert found.changed.tolist() == [[1, 1]]
    assert found.kept.tolist() == [[0, 0]]


def test_an_outline_that_crosses_itself_is_no_obstacle():
    bow = np.array([(0, 0), (10, 10), (10, 0), (0, 10)], np.float32)
    crossed = ObjectTable.build(Contours.from_rings([bow]), class_id=[-1], classes=CLASSES)
    assert find_changes(crossed, crossed).counts == (0, 0, 0, 1)


@pytest.mark.parametrize("same_iou", [0.4, 1.1])
def test_limits(same_iou):
    with pytest.raises(ValueError, match="must lie between"):
        find_changes(table(A), table(A), same_iou=same_iou)


#: One rectangle in each cell of a row of cells, so that those of one table do not overlap.
CELLS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(7, 15), st.integers(0, 6), st.integers(7, 15)),
    max_size=6,
)


def laid_out(cells):
    return [(16 * k + a, c, 16 * k + b, d) for k, (a, b, c, d) in enumerate(cells)]


@given(CELLS, CELLS)
def test_it_agrees_with_the_metrics_and_is_symmetric(one, other):
    boxes = laid_out(one), laid_out(other)
    found = find_changes(table(*boxes[0]), table(*boxes[1]))
    gained, lost, changed, kept = found.counts
    assert gained + changed + kept == len(boxes[1])
    assert lost + changed + kept == len(boxes[0])
    labels = np.zeros((2, 16, 100), np.int32)
    for picture, own in zip(labels, boxes, strict=True):
        for k, (left, top, right, bottom) in enumerate(own):
            picture[top:bottom, left:right] = k + 1
    assert changed + kept == compare_labels(labels[0], labels[1]).n_matched[0]
    back = find_changes(table(*boxes[1]), table(*boxes[0]))
    assert back.counts == (lost, gained, changed, kept)
