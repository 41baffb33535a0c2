"""A person's edits of outlines: what is gained is gained, what is cut is cut, all stays valid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, Contours
from napari_histo.errors import EditError
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
    drawn = edit.stroke_area(xy, radius)
    painted, erased = edit.paint(blob, xy, radius), edit.erase(blob, xy, radius)
    before, stroke = blob.areas_px[0], drawn.areas_px[0]
    # Vertices are rounded to 1/100 px, so an area may change by half of that along its outline.
    length = shapely.length(np.concatenate([drawn.to_shapely(), blob.to_shapely()])).sum()
    slack = 1 + 0.005 * length
    assert is_clean(painted)
    assert is_clean(erased)
    assert max(before, stroke) - slack <= painted.areas_px[0] <= before + stroke + slack
    assert before - stroke - slack <= erased.areas_px[0] <= before + slack
    # |A or B| + |A and B| = |A| + |B|
    shared = before - erased.areas_px[0]
    assert painted.areas_px[0] + shared == pytest.approx(before + stroke, abs=2 * slack)


@given(blobs(), st.tuples(points, points))
def test_pieces_of_a_cut_make_the_whole_again(blob, line):
    try:
        pieces = edit.split(blob, np.array(line))
    except EditError:
        return  # it misses the blob
    assert is_clean(pieces)
    assert len(pieces) >= 2
    assert pieces.areas_px.min() >= 0.9
    assert pieces.areas_px.sum() == pytest.approx(blob.areas_px[0], rel=0.01, abs=1.0)
    whole = edit.merge(pieces)
    assert len(whole) == 1
    assert whole.areas_px[0] == pytest.approx(blob.areas_px[0], rel=0.02, abs=3.0)


@given(blobs(), st.floats(0.5, 2))
def test_smoothing_keeps_the_area(blob, tolerance):
    smooth = edit.smooth(blob, tolerance_px=tolerance)
    assert is_clean(smooth)
    assert smooth.areas_px[0] == pytest.approx(blob.areas_px[0], rel=0.06, abs=2.0)


def n_holes(shape):
    return sum(len(part.interiors) for part in shapely.get_parts(shape))


@pytest.mark.parametrize("radius", [0.65, 0.8, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("wall", [0.3, 1.0, 8.0])
def test_smoothing_keeps_holes(radius, tolerance, wall):
    shape = shapely.box(10.3, 10.7, 60.4, 60.2).difference(disc(11 + wall + radius, 30, radius))
    smooth = edit.smooth(of(shape), tolerance_px=tolerance).to_shapely()[0]
    assert n_holes(smooth) == n_holes(shape) == 1
    hole = shapely.Polygon(smooth.interiors[0])
    assert hole.area == pytest.approx(np.pi * radius**2, rel=0.25)


@given(blobs(), blobs())
def test_what_others_cover_is_taken_away(blob, other):
    left = edit.subtract(blob, other)
    assert is_clean(left)
    rest = shapely.union_all([s for s in left.to_shapely() if s is not None])
    assert shapely.intersection(rest, other.to_shapely()[0]).area < 0.5


def test_a_line_that_stops_short_by_a_little_still_cuts():
    assert len(edit.split(of(disc()), np.array([(32.0, 50.0), (68.5, 50.0)]))) == 2


two_parts = shapely.union(disc(30, 50, 20), disc(130, 50, 10))


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        (disc(), [(40, 50), (60, 50)]),
        (disc(), [(50, 50)]),
        (disc(), [(50, 50), (50, 50)]),
        (disc(), [(20, 69.999), (80, 69.999)]),
        (disc(), [(20, 69.7), (80, 69.7)]),
        (disc().difference(disc(50, 50, 8)), [(20, 50), (50, 50)]),
        (two_parts, [(80, 0), (80, 100)]),
        (two_parts, [(200, 0), (200, 100)]),
        (two_parts, [(30, 50), (130, 50)]),
        (two_parts, [(0, 70), (200, 70)]),
        (shapely.Polygon(), [(0, 0), (9, 9)]),
    ],
    ids=[
        "too short",
        "a point",
        "a point twice",
        "along the rim",
        "a crumb off the rim",
        "into the hole",
        "between two parts",
        "beside two parts",
        "into two parts",
        "touching one of two parts",
        "nothing to cut",
    ],
)
def test_a_line_that_cuts_nothing_is_told(shape, line):
    with pytest.raises(EditError, match="right across"):
        edit.split(of(shape), np.array(line, float))


def test_only_the_part_that_is_crossed_is_cut_and_others_stay_with_the_nearest_piece():
    pieces = edit.split(of(two_parts), np.array([(30.0, 0.0), (30.0, 100.0)]))
    assert len(pieces) == 2
    left, right = pieces.to_shapely()[np.argsort(pieces.bounds[:, 0])]
    assert left.area == pytest.approx(disc().area / 2, rel=0.01)
    assert right.area == pytest.approx(disc().area / 2 + disc(0, 0, 10).area, rel=0.01)
    assert right.bounds[2] == 140
    both = edit.split(of(two_parts), np.array([(0.0, 50.0), (200.0, 50.0)]))
    assert len(both) == 4


nan, inf = np.nan, np.inf
dot = np.array([(50.0, 50.0)])


@pytest.mark.parametrize("radius", [nan, inf, -inf, 0.0, -3.0, 1e300])
@pytest.mark.parametrize("brush", [edit.paint, edit.erase])
def test_a_brush_without_a_radius_is_told(brush, radius):
    with pytest.raises(EditError, match=r"brush's radius is .* px"):
        brush(of(disc()), dot, radius)
    with pytest.raises(EditError, match=r"brush's radius is .* px"):
        edit.stroke_area(dot, radius)


@pytest.mark.parametrize(
    "xy",
    [[], np.zeros((0, 2)), [(nan, 1)], [(1, 1), (inf, 2)], [(1, 1), (2, 1e300)], [(1, 2, 3)], [1]],
    ids=["no array", "no points", "NaN", "infinite", "huge", "three columns", "one number"],
)
@pytest.mark.parametrize(
    "act",
    [
        lambda xy: edit.paint(of(disc()), xy, 5),
        lambda xy: edit.erase(of(disc()), xy, 5),
        lambda xy: edit.stroke_area(xy, 5),
        lambda xy: edit.split(of(disc()), xy),
    ],
    ids=["paint", "erase", "stroke_area", "split"],
)
def test_a_stroke_that_is_none_is_told(act, xy):
    with pytest.raises(EditError, match="Draw it again"):
        act(np.array(xy, float))


@pytest.mark.parametrize(
    "act",
    [
        edit.clean,
        edit.merge,
        edit.smooth,
        edit.fill_holes,
        lambda c: edit.paint(c, dot, 5),
        lambda c: edit.split(c, np.array([(0.0, 50.0), (99.0, 50.0)])),
        lambda c: edit.subtract(of(disc()), c),
    ],
    ids=["clean", "merge", "smooth", "fill_holes", "paint", "split", "subtract"],
)
@pytest.mark.parametrize("value", [nan, inf])
def test_outlines_that_are_no_numbers_are_told(act, value):
    ring = np.array([(0, 0), (30, 0), (value, 30), (0, 30)], np.float32)
    with pytest.raises(EditError, match="no numbers"):
        act(Contours.from_rings([ring]))


@pytest.mark.parametrize("n", [0, 2])
def test_an_edit_of_one_object_takes_one(n):
    with pytest.raises(EditError, match=f"one object, not {n}"):
        edit.paint(of(*[disc()] * n), dot, 5)


def test_lengths_are_checked():
    for act in (
        lambda: edit.smooth(of(disc()), tolerance_px=nan),
        lambda: edit.merge(of(disc()), bridge_px=-1),
    ):
        with pytest.raises(EditError, match="from 0 px on"):
            act()


@pytest.mark.parametrize("angle", [0, 30, 45])
@pytest.mark.parametrize(("width", "stays"), [(0.01, False), (0.1, False), (1.0, True), (2, True)])
def test_slivers_go_and_thin_tissue_stays(angle, width, stays):
    strip = shapely.affinity.rotate(shapely.box(100, 50, 400, 50 + width), angle)
    clean = edit.clean(of(shapely.union(disc(), strip), strip))
    assert shapely.get_num_geometries(clean.to_shapely()[0]) == 1 + stays
    assert np.isfinite(clean.bounds[1]).all() == stays
    if stays:
        assert clean.areas_px[1] == pytest.approx(strip.area, rel=0.03)


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
