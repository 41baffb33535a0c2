"""A person's edits of outlines: what is gained is gained, what is cut is cut, all stays valid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, Contours
from napari_histo.ops import edit


def of(*shapes):
    return Contours.from_shapely(list(shapes))


def disc(x=50.0, y=50.0, radius=20.0):
    return shapely.Point(x, y).buffer(radius)


@st.composite
def blobs(draw):
    """One star-shaped outline, perhaps with a hole, perhaps of two parts."""
    radii = np.array(draw(st.lists(st.integers(400, 2500), min_size=5, max_size=14))) / 100
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    x, y = draw(st.integers(40, 160)), draw(st.integers(40, 160))
    ring = np.stack([x + radii * np.cos(angle), y + radii * np.sin(angle)], axis=1)
    shape = shapely.Polygon(np.round(ring, 2))
    if draw(st.booleans()):
        shape = shape.difference(disc(x, y, 1.5))
    if draw(st.booleans()):
        shape = shape.union(disc(x + 60, y, 6))
    return of(shape)


points = st.tuples(st.floats(0, 240), st.floats(0, 240))
strokes = st.lists(points, min_size=1, max_size=5).map(np.array)


def is_clean(contours):
    shapes = [s for s in contours.to_shapely() if s is not None]
    xy = contours.xy.astype(np.float64)
    rounded = np.abs(xy - np.round(xy, 2)).max(initial=0) < 1e-4
    return rounded and all(s.is_valid or s.buffer(0).area > 0 for s in shapes)


@given(blobs(), strokes, st.floats(1, 15))
def test_painting_adds_the_stroke_and_erasing_takes_it(blob, xy, radius):
    stroke = edit.stroke_area(xy, radius).areas_px[0]
    painted, erased = edit.paint(blob, xy, radius), edit.erase(blob, xy, radius)
    before = blob.areas_px[0]
    assert is_clean(painted)
    assert is_clean(erased)
    assert max(before, stroke) - 0.5 <= painted.areas_px[0] <= before + stroke + 0.5
    assert before - stroke - 0.5 <= erased.areas_px[0] <= before + 0.5
    # |A or B| + |A and B| = |A| + |B|
    shared = before - erased.areas_px[0]
    assert painted.areas_px[0] + shared == pytest.approx(before + stroke, abs=1.0)


@given(blobs(), st.tuples(points, points))
def test_pieces_of_a_cut_make_the_whole_again(blob, line):
    pieces = edit.split(blob, np.array(line))
    assert is_clean(pieces)
    assert len(pieces) >= 1
    assert pieces.areas_px.sum() == pytest.approx(blob.areas_px[0], rel=0.01, abs=1.0)
    if len(pieces) > 1:
        whole = edit.merge(pieces)
        assert len(whole) == 1
        assert whole.areas_px[0] == pytest.approx(blob.areas_px[0], rel=0.02, abs=3.0)


@given(blobs(), st.floats(0.5, 2))
def test_smoothing_keeps_the_area(blob, tolerance):
    smooth = edit.smooth(blob, tolerance_px=tolerance)
    assert is_clean(smooth)
    assert smooth.areas_px[0] == pytest.approx(blob.areas_px[0], rel=0.06, abs=2.0)


@given(blobs(), blobs())
def test_what_others_cover_is_taken_away(blob, other):
    left = edit.subtract(blob, other)
    assert is_clean(left)
    rest = shapely.union_all([s for s in left.to_shapely() if s is not None])
    assert shapely.intersection(rest, other.to_shapely()[0]).area < 0.5


def test_a_line_that_stops_short_by_a_little_still_cuts():
    assert len(edit.split(of(disc()), np.array([(32.0, 50.0), (68.5, 50.0)]))) == 2
    assert len(edit.split(of(disc()), np.array([(40.0, 50.0), (60.0, 50.0)]))) == 1
    assert len(edit.split(of(disc()), np.array([(50.0, 50.0)]))) == 1


def test_a_bent_line_cuts_off_what_it_surrounds():
    line = np.array([(45, 20), (45, 60), (55, 60), (55, 20)], float)
    pieces = edit.split(of(disc()), line)
    assert len(pieces) == 2
    assert pieces.areas_px.min() == pytest.approx(10 * 29.7, rel=0.05)


def test_parts_that_nearly_touch_are_bridged_and_far_ones_are_not():
    near = edit.merge(of(disc(), disc(91.5, 50, 20)))
    assert shapely.get_num_geometries(near.to_shapely()[0]) == 1
    far = edit.merge(of(disc(), disc(120, 50, 20)))
    assert shapely.get_num_geometries(far.to_shapely()[0]) == 2


def test_holes_are_filled_all_or_up_to_a_size():
    shape = disc().difference(disc(45, 50, 2)).difference(disc(58, 50, 5))
    assert edit.fill_holes(of(shape)).areas_px[0] == pytest.approx(disc().area, rel=1e-3)
    some = edit.fill_holes(of(shape), max_area_px=20).areas_px[0]
    assert some == pytest.approx(disc().area - disc(0, 0, 5).area, rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (disc(0, 50, 20), disc().area / 2),
        (shapely.Polygon([(0, 0), (20, 20), (20, 0), (0, 20)]), 200),
        (shapely.MultiPolygon([disc(), disc(90, 90, 0.3)]), disc().area),
        (disc(-500, -500, 20), 0),
        (shapely.Polygon(), 0),
    ],
    ids=["over the edge", "a bow tie", "a crumb", "outside", "empty"],
)
def test_cleaning(shape, area):
    clean = edit.clean(of(shape), within=Box(0, 0, 200, 100))
    assert len(clean) == 1
    assert clean.areas_px[0] == pytest.approx(area, rel=0.01)
    assert np.isfinite(clean.bounds[0]).all() == (area > 0)


def test_erasing_all_leaves_an_empty_row():
    gone = edit.erase(of(disc()), np.array([(50.0, 50.0)]), 40)
    assert len(gone) == 1
    assert not np.isfinite(gone.bounds).any()
    again = edit.paint(gone, np.array([(50.0, 50.0), (60.0, 50.0)]), 5)
    assert again.areas_px[0] == pytest.approx(100 + np.pi * 25, rel=0.01)
