"""Drawn regions become boxes without overlap, and outlines that hold centres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, Contours
from napari_histo.errors import ImageError
from napari_histo.session import Region

EXTENT = Box(0, 0, 100, 60)


def outline(x, y, width, height):
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


@pytest.mark.parametrize(
    ("drawn", "boxes"),
    [
        pytest.param([(10, 10, 20, 20)], [Box(10, 10, 20, 20)], id="whole-px"),
        pytest.param([(10.4, 10.4, 20.4, 20)], [Box(10, 10, 21, 21)], id="covers-fractions"),
        pytest.param([(-10, -5, 20, 20)], [Box(0, 0, 10, 15)], id="clipped"),
        pytest.param(
            [(0, 0, 5, 5), (20, 20, 5, 5)], [Box(0, 0, 5, 5), Box(20, 20, 5, 5)], id="two"
        ),
        pytest.param([(0, 0, 9, 9), (5, 5, 9, 9)], [Box(0, 0, 14, 14)], id="overlapping"),
        pytest.param(
            [(0, 0, 5, 5), (30, 0, 5, 5), (3, 0, 29, 5)], [Box(0, 0, 35, 5)], id="bridged"
        ),
        pytest.param([(200, 0, 5, 5), (1, 1, 5, 5)], [Box(1, 1, 5, 5)], id="one-outside"),
    ],
)
def test_boxes_of_outlines(drawn, boxes):
    region = Region.of_outlines(Contours.from_rings([outline(*d) for d in drawn]), EXTENT)
    assert sorted(region.boxes) == boxes


@given(
    st.lists(
        st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 20)] * 2), min_size=1, max_size=8
    )
)
def test_boxes_never_overlap_and_cover_what_is_drawn(drawn):
    region = Region.of_outlines(Contours.from_rings([outline(*d) for d in drawn]), EXTENT)
    seen = np.zeros(EXTENT.shape, int)
    for box in region.boxes:
        seen[box.y : box.bottom, box.x : box.right] += 1
    assert seen.max() == 1
    for x, y, width, height in drawn:
        assert (seen[y : y + height, x : x + width] == 1).all()


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        pytest.param([], "No region is drawn", id="none"),
        pytest.param([(500, 500, 5, 5)], "outside the image", id="beside"),
    ],
)
def test_nothing_to_do_says_what_to_do(drawn, words):
    with pytest.raises(ImageError, match=words):
        Region.of_outlines(Contours.from_rings([outline(*d) for d in drawn]), EXTENT)


def test_outlines_hold_centres_and_boxes_hold_all():
    points = np.array([[2.0, 2.0], [8.0, 8.0]])
    triangle = Region.of_outlines(Contours.from_rings([[(0, 0), (10, 0), (0, 10)]]), EXTENT)
    assert triangle.holds(points).tolist() == [True, False]
    assert Region.of_box(EXTENT).holds(points).all()


def test_self_crossing_outline_is_mended():
    bow_tie = Contours.from_rings([[(0, 0), (10, 10), (10, 0), (0, 10)]])
    inside = Region.of_outlines(bow_tie, EXTENT).holds(np.array([[1.0, 5.0], [5.0, 1.0]]))
    assert inside.tolist() == [True, False]


@pytest.mark.parametrize(
    ("other", "covered"),
    [
        pytest.param(Region.of_box(Box(10, 10, 5, 5)), True, id="inside"),
        pytest.param(Region.of_box(EXTENT), True, id="same"),
        pytest.param(Region.of_box(Box(90, 0, 20, 20)), False, id="reaches-out"),
        pytest.param(Region((Box(0, 0, 5, 5), Box(90, 0, 20, 5))), False, id="one-of-two"),
    ],
)
def test_covers(other, covered):
    assert Region.of_box(EXTENT).covers(other) is covered
