"""Simulated gestures lie where a person would draw them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_histo.ops import gestures


@st.composite
def masks(draw):
    """A connected blob of at least 12 px, perhaps concave."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    noise = ndimage.gaussian_filter(rng.normal(size=(40, 50)), draw(st.floats(1.5, 4)))
    regions, n = ndimage.label(noise > 0.3 * noise.std())
    sizes = np.bincount(regions.ravel(), minlength=n + 1)[1:]
    mask = regions == sizes.argmax() + 1 if n else np.zeros((40, 50), bool)
    mask[18:22, 20:24] |= not mask.sum() >= 12
    return ndimage.label(mask)[0] == ndimage.label(mask)[0].max()


seeds = st.integers(0, 2**32 - 1)


def holds(mask, point):
    return mask[int(point.y), int(point.x)]


@given(masks(), seeds)
def test_clicks_hit_the_object(mask, seed):
    rng = np.random.default_rng(seed)
    assert holds(mask, gestures.centroid_click(mask))
    assert holds(mask, gestures.click(mask, rng))
    assert holds(mask, gestures.jittered(gestures.centroid_click(mask), mask, 5.0, rng))


@given(masks(), seeds)
def test_jitter_moves_no_farther_than_it_says(mask, seed):
    point = gestures.centroid_click(mask)
    moved = gestures.jittered(point, mask, 3.0, np.random.default_rng(seed))
    assert np.hypot(moved.x - point.x, moved.y - point.y) <= 3.0 + 1e-9


@given(masks(), seeds)
def test_a_box_holds_most_of_the_object(mask, seed):
    box = gestures.box(mask, np.random.default_rng(seed))
    ys, xs = np.nonzero(mask)
    inside = (xs >= box.left - 1) & (xs < box.right + 1) & (ys >= box.top - 1)
    assert (inside & (ys < box.bottom + 1)).mean() > 0.7


@given(masks(), seeds)
def test_a_squiggle_stays_near_the_object(mask, seed):
    xy = gestures.squiggle(mask, np.random.default_rng(seed)).xy
    rows, columns = (xy[:, ::-1]).astype(int).T
    away = ndimage.distance_transform_edt(~mask)
    there = away[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)]
    assert len(xy) >= 2
    assert np.median(there) <= 3


@pytest.mark.parametrize("missing", [True, False], ids=["missing part", "false part"])
def test_a_correction_hits_the_largest_error(missing):
    truth = np.zeros((40, 40), bool)
    truth[10:30, 10:30] = True
    found = truth.copy()
    found[10:30, 20:30] = not missing
    if not missing:
        found[10:30, 30:38] = True
    point = gestures.correction(truth, found, np.random.default_rng(0))
    assert point.positive is missing
    assert truth[int(point.y), int(point.x)] == missing
    assert found[int(point.y), int(point.x)] != missing


def test_there_is_nothing_to_correct_where_the_answer_is_right():
    truth = np.zeros((20, 20), bool)
    truth[5:15, 5:15] = True
    assert gestures.correction(truth, truth, np.random.default_rng(0)) is None
