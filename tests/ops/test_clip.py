"""Outlines end at the image's edge and stay proper polygons."""

from __future__ import annotations

import pytest
import shapely

from napari_histo.core import Box, Contours
from napari_histo.ops.clip import clip_contours

IMAGE = Box(0, 0, 20, 10)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        pytest.param(shapely.box(2, 2, 5, 5), 9, id="inside"),
        pytest.param(shapely.box(-3, 2, 5, 5), 15, id="across-the-left"),
        pytest.param(shapely.box(18, 8, 25, 15), 4, id="across-a-corner"),
        pytest.param(shapely.box(-5, -5, 30, 30), 200, id="larger-than-the-image"),
        pytest.param(
            shapely.Polygon([(2, 8), (4, 14), (6, 8), (8, 14), (10, 8), (10, 15), (2, 15)]),
            shapely.Polygon([(2, 8), (4, 14), (6, 8), (8, 14), (10, 8), (10, 15), (2, 15)])
            .intersection(shapely.box(0, 0, 20, 10))
            .area,
            id="falls-into-parts",
        ),
        pytest.param(shapely.Polygon([(5, 5), (8, 10), (2, 10)]), 7.5 * 2, id="touches"),
    ],
)
def test_area_that_is_left(shape, area):
    clipped = clip_contours(Contours.from_shapely([shapely.box(1, 1, 2, 2), shape]), IMAGE)
    assert clipped.areas_px == pytest.approx([1, area])
    assert all(s.is_valid for s in clipped.to_shapely())


def test_rows_stay_in_order():
    shapes = [shapely.box(i - 1, 0, i + 1.5, 2) for i in range(22)]
    clipped = clip_contours(Contours.from_shapely(shapes), IMAGE)
    expected = [shape.intersection(shapely.box(0, 0, 20, 10)).area for shape in shapes]
    assert clipped.areas_px == pytest.approx(expected)


def test_nothing_is_touched_inside():
    inside = Contours.from_shapely([shapely.box(1, 1, 3, 3)])
    assert clip_contours(inside, IMAGE) is inside
    assert clip_contours(Contours.empty(), IMAGE).xy.shape == (0, 2)
