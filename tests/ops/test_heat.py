"""Counts over a slide, and smooth pictures of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable
from napari_histo.ops.heat import HeatGrid, round_up

SCHEME = ClassScheme.of("Tumor", "Stroma")
CORNERS = np.array([[-3, -3], [3, -3], [3, 3], [-3, 3]], np.float32)


def dots(at, class_id):
    at = np.asarray(at, np.float32).reshape(-1, 1, 2)
    return ObjectTable.build(Contours.from_star(at + CORNERS), classes=SCHEME, class_id=class_id)


@pytest.fixture
def grid():
    return HeatGrid((600, 800), 2, bin_px=20, unit_px2=1e4)


def test_all_objects_are_in_the_picture_at_every_level(grid):
    rng = np.random.default_rng(0)
    table = dots(rng.uniform((150, 150), (650, 450), (300, 2)), rng.integers(-1, 2, 300))
    grid.add(grid.count(table))
    for downsample in (1, 4, 16):
        box = Box(0, 0, -(-800 // downsample), -(-600 // downsample))
        number = grid.density(box, downsample).sum(axis=(0, 1)) * downsample**2 / 1e4
        wanted = [(table.class_id == c).sum() for c in (0, 1, -1)]
        assert number == pytest.approx(wanted, rel=0.04)


def test_parts_of_a_picture_are_those_of_the_whole(grid):
    grid.add(grid.count(dots([(100, 100), (333, 222), (790, 590)], 0)))
    whole = grid.density(Box(0, 0, 200, 150), 4)
    part = Box(60, 33, 50, 40)
    cut = whole[part.y : part.bottom, part.x : part.right]
    assert grid.density(part, 4) == pytest.approx(cut, abs=1e-5)


def test_what_is_taken_out_leaves_no_trace_and_nothing_changes_out_of_reach(grid):
    grid.add(grid.count(dots([(100, 100)], 0)))
    before = grid.density(Box(0, 0, 800, 600), 1)
    new = dots([(500, 300), (501, 300)], [1, -1])
    grid.add(grid.count(new))
    changed = (grid.density(Box(0, 0, 800, 600), 1) != before).any(axis=-1)
    y, x = np.nonzero(changed)
    reach = grid.reach(Box(498, 298, 6, 4))
    assert reach.x <= x.min()
    assert x.max() < reach.right
    assert reach.y <= y.min()
    assert y.max() < reach.bottom
    assert x.max() - x.min() > 40
    grid.add(grid.count(new), -1)
    assert np.array_equal(grid.density(Box(0, 0, 800, 600), 1), before)


def test_top_is_round_and_above_most(grid):
    assert grid.top() == 0
    grid.add(grid.count(dots(np.random.default_rng(1).uniform(0, 600, (2000, 2)), 0)))
    total = grid.density(Box(0, 0, 800, 600), 1).sum(axis=-1)
    assert (total <= grid.top()).mean() > 0.95
    assert grid.top() < 2 * total.max()


def test_a_slide_of_any_size_has_few_bins():
    grid = HeatGrid((90_000, 200_000), 3, bin_px=20, unit_px2=1)
    assert grid.density(Box(0, 0, 1024, 512), grid.bin_px).shape == (512, 1024, 4)
    assert grid.bin_px > 190


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), (1, 1), (1.2, 1.5), (4321, 5000), (0.07, 0.08), (8.5, 10)]
)
def test_round_up(value, expected):
    assert round_up(value) == pytest.approx(expected)
