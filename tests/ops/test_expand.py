"""Cells from nuclei: as far as allowed, to the middle between two, and never over each other."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, Contours, PixelSize
from napari_histo.ops.expand import expand
from napari_histo.ops.measure_pixels import PixelSets

EXTENT = Box(0, 0, 300, 200)
SMALL = Box(0, 0, 60, 40)


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, quad_segs=12)


def grown(shapes, distance=10.0, size=None, wanted=None, extent=EXTENT):
    nuclei = Contours.from_shapely(shapes)
    wanted = np.ones(len(shapes), bool) if wanted is None else np.asarray(wanted)
    return expand(nuclei, wanted, distance, extent=extent, pixel_size=size).to_shapely()


def test_alone_it_grows_by_the_distance():
    (cell,) = grown([disc(100, 100)])
    assert cell.area == pytest.approx(np.pi * 18**2, rel=0.03)
    assert shapely.hausdorff_distance(cell.exterior, disc(100, 100, 18).exterior) < 1


def test_pixels_that_are_not_square():
    (cell,) = grown([disc(100, 100, 2)], 4.0, PixelSize(0.5, 0.25))
    left, top, right, bottom = cell.bounds
    assert (right - left, bottom - top) == pytest.approx((4 + 16, 4 + 32), abs=1.5)


def test_two_meet_in_the_middle():
    left, right = grown([disc(100, 100), disc(124, 100)])
    assert left.bounds[2] == right.bounds[0] == 112
    assert left.intersection(right).area == 0
    assert left.area == pytest.approx(right.area, rel=0.02)


def test_nothing_grows_beyond_the_image():
    (cell,) = grown([disc(3, 3)])
    assert cell.bounds[:2] == (0, 0)


def test_only_the_wanted_grow_but_others_hold_their_place():
    both = grown([disc(100, 100), disc(124, 100)])
    (alone,) = grown([disc(100, 100), disc(124, 100)], wanted=[True, False])
    assert alone.equals(both[0])


def test_no_distance_is_the_nucleus_in_pixels():
    (cell,) = grown([disc(100, 100)], 0.0)
    assert cell.area == pytest.approx(disc(100, 100).area, rel=0.05)


HARD = {
    "smaller than a pixel": shapely.box(50.6, 50.6, 50.9, 50.9),
    "beyond the image": disc(900, 900),
}


@pytest.mark.parametrize("shape", HARD.values(), ids=HARD)
def test_what_has_no_pixel_stays_as_it_is(shape):
    other, cell = grown([disc(100, 100), shape])
    assert cell.equals(Contours.from_shapely([shape]).to_shapely()[0])
    assert other.area > 900


def test_a_nucleus_within_another():
    outer, inner = grown([disc(100, 100, 20), disc(100, 100, 5)], 4.0)
    assert inner.within(shapely.Polygon(outer.exterior))
    assert outer.intersection(inner).area == 0


place = st.tuples(st.integers(-3, 63), st.integers(-3, 43), st.integers(2, 9))


@settings(max_examples=30)
@given(st.lists(place, min_size=1, max_size=9), st.integers(1, 12))
def test_cells_are_valid_and_do_not_overlap(places, distance):
    nuclei = Contours.from_shapely([disc(*p) for p in places]).to_shapely()
    cells = grown(nuclei, float(distance), extent=SMALL)
    # A nucleus hidden under another keeps its outline, which may lie over its neighbour.
    free = [c for c, nucleus in zip(cells, nuclei, strict=True) if not c.equals(nucleus)]
    assert all(c.is_valid and c.geom_type == "Polygon" for c in free)
    together = shapely.union_all(free).area
    assert together == pytest.approx(sum(c.area for c in free), abs=1e-6)


@settings(max_examples=20)
@given(st.lists(place, min_size=2, max_size=9), st.integers(1, 12))
def test_each_pixel_goes_to_the_nearest_nucleus(places, distance):
    """By brute force over all pixels, ties left out."""
    nuclei = Contours.from_shapely([disc(*p) for p in places])
    seeds = PixelSets.of(nuclei, SMALL)
    labels = np.full(SMALL.area, -1)
    labels[seeds.pixel] = seeds.owner  # the later row wins, as in `expand`
    y, x = np.divmod(np.arange(SMALL.area), SMALL.width)
    far = np.full((len(places), SMALL.area), np.inf)
    for i in np.unique(labels[labels >= 0]):
        own = labels == i
        far[i] = np.hypot(x[:, None] - x[own], y[:, None] - y[own]).min(axis=1)
    nearest, second = np.sort(far, axis=0)[:2]
    sure = (second > nearest) & (nearest <= distance)
    cells = expand(nuclei, np.ones(len(places), bool), float(distance), extent=SMALL).to_shapely()
    centres = shapely.points(x[sure] + 0.5, y[sure] + 0.5)
    held = shapely.intersects(cells[far.argmin(axis=0)[sure]], centres)
    # Of cells in several pieces the largest stays.
    assert held.mean() > 0.97
