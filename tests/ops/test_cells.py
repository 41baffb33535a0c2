"""One nucleus a cell: the most overlap, never two in one, and nothing beyond its cell."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import Contours
from napari_histo.ops.cells import Overlaps, assign, clip, overlaps, without

FINE_PX = 0.03


def disc(x, y, radius=8.0):
    return shapely.Point(x, y).buffer(radius, quad_segs=8)


def matched(nuclei, cells, least_share=0.5):
    pairs = overlaps(Contours.from_shapely(nuclei), Contours.from_shapely(cells))
    return assign(pairs, len(nuclei), least_share=least_share).tolist()


MATCHES = {
    "within": ([disc(50, 50)], [disc(50, 50, 20)], [0]),
    "apart": ([disc(50, 50)], [disc(150, 50, 20)], [-1]),
    "two in one cell: the larger": (
        [disc(40, 50, 4), disc(56, 50, 6)],
        [disc(50, 50, 20)],
        [-1, 0],
    ),
    "one over two cells: the larger share": (
        [disc(50, 50)],
        [shapely.box(0, 0, 49, 99), shapely.box(49, 0, 99, 99)],
        [1],
    ),
    "less than half inside": ([disc(50, 50)], [shapely.box(53, 0, 99, 99)], [-1]),
    "a hole is no cell": ([disc(50, 50)], [disc(50, 50, 20) - disc(50, 50, 10)], [-1]),
    "touching is no overlap": ([shapely.box(0, 0, 9, 9)], [shapely.box(9, 0, 19, 9)], [-1]),
    "none": ([], [disc(50, 50)], []),
    "no cells": ([disc(50, 50)], [], [-1]),
    "empty rows": ([None, disc(50, 50)], [None, disc(50, 50)], [-1, 1]),
    "a bow tie": ([shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])], [disc(4, 4)], [0]),
}


@pytest.mark.parametrize(("nuclei", "cells", "expected"), MATCHES.values(), ids=MATCHES)
def test_matches(nuclei, cells, expected):
    assert matched(nuclei, cells) == expected


def test_the_best_for_all_is_not_the_best_for_one():
    """A greedy choice gives the first cell to the larger nucleus, and leaves the other alone."""
    nuclei = [shapely.box(0, 0, 10, 10), shapely.box(6, 0, 15, 9)]
    cells = [shapely.box(0, 0, 16, 12), shapely.box(0, 0, 9, 12)]
    assert matched(nuclei, cells) == [1, 0]


boxes = st.tuples(st.integers(0, 14), st.integers(0, 14), st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: shapely.box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)
some = st.lists(boxes, min_size=1, max_size=5)


def best_by_trying(nuclei, cells, least_share):
    """Largest overlap of all ways to give each nucleus a cell or none."""
    gain = np.array([[n.intersection(c).area for c in cells] for n in nuclei])
    gain[gain < least_share * np.array([n.area for n in nuclei])[:, None]] = 0
    gain = np.hstack([gain, np.zeros((len(nuclei), len(nuclei)))])
    rows = np.arange(len(nuclei))
    return max(gain[rows, list(p)].sum() for p in permutations(range(gain.shape[1]), len(nuclei)))


@settings(max_examples=60, deadline=None)
@given(
    nuclei=some, cells=st.lists(boxes, min_size=1, max_size=4), share=st.sampled_from([0.1, 0.5])
)
def test_it_is_the_best_of_all_ways(nuclei, cells, share):
    found = matched(nuclei, cells, share)
    taken = [c for c in found if c >= 0]
    assert len(taken) == len(set(taken))  # no cell twice
    pairs = [(n, cells[c]) for n, c in zip(nuclei, found, strict=True) if c >= 0]
    shared = [n.intersection(c).area for n, c in pairs]
    assert all(s >= share * n.area - 1e-9 for s, (n, _) in zip(shared, pairs, strict=True))
    assert sum(shared) == pytest.approx(best_by_trying(nuclei, cells, share))


def test_large_groups_are_solved_as_well():
    """A chain of 400 nuclei and cells that all hang together: each takes its own."""
    x = 10.0 * np.arange(400)
    nuclei = [shapely.box(a, 0, a + 12, 9) for a in x]
    cells = [shapely.box(a - 8, 0, a + 13, 9) for a in x]
    assert matched(nuclei, cells, 0.1) == list(range(400))


def test_pairs_do_not_depend_on_the_order_of_their_parts():
    nuclei = Contours.from_shapely([disc(x, 50) for x in (40, 60, 200)])
    cells = Contours.from_shapely([disc(x, 50, 15) for x in (45, 62, 200)])
    whole = overlaps(nuclei, cells)
    parts = [
        overlaps(nuclei, cells.take([i])).moved(np.arange(3), np.array([i])) for i in (2, 0, 1)
    ]
    joined, sorted_whole = Overlaps.concat(parts), Overlaps.concat([whole])
    for name in ("nucleus", "cell", "area_px"):
        assert np.array_equal(getattr(joined, name), getattr(sorted_whole, name))


@settings(max_examples=60, deadline=None)
@given(data=st.lists(st.tuples(boxes, boxes), min_size=1, max_size=6))
def test_clipped_nuclei_lie_within_their_cells(data):
    nuclei, cells = (list(shapes) for shapes in zip(*data, strict=True))
    found = clip(Contours.from_shapely(nuclei), Contours.from_shapely(cells)).to_shapely()
    for before, cell, after in zip(nuclei, cells, found, strict=True):
        assert after.within(cell.buffer(FINE_PX)) or after.is_empty
        assert after.area == pytest.approx(before.intersection(cell).area, abs=FINE_PX)


def test_what_lies_within_is_not_touched():
    nuclei, cells = (Contours.from_shapely([disc(50.123456, 50, r)]) for r in (8, 20))
    assert clip(nuclei, cells) is nuclei


def test_of_a_nucleus_cut_in_two_the_larger_piece_stays():
    cell = shapely.box(0, 0, 40, 40) - shapely.box(20, 0, 25, 35)
    (left,) = clip(
        Contours.from_shapely([shapely.box(5, 5, 30, 15)]), Contours.from_shapely([cell])
    ).to_shapely()
    assert left.equals(shapely.box(5, 5, 20, 15))


def test_growing_stops_at_others_but_keeps_its_nucleus():
    cells, nuclei = Contours.from_shapely([disc(50, 50, 20)]), Contours.from_shapely([disc(50, 50)])
    wall = shapely.box(55, 0, 70, 99)
    (left,) = without(cells, Contours.from_shapely([wall]), nuclei).to_shapely()
    assert left.covers(disc(50, 50).buffer(-FINE_PX))
    assert left.intersection(wall).area == pytest.approx(
        disc(50, 50).intersection(wall).area, rel=0.02
    )
    assert left.geom_type == "Polygon"
