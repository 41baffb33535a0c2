"""Shapes in numbers: against shapely, geometry that can be worked out by hand, and hard cases."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Contours, PixelSize
from napari_histo.ops.hull import convex_hulls, enclosing_radius, least_width
from napari_histo.ops.measure_shape import measure_shape, nucleus_cell_ratio, shape_names
from support.objects import geometries

AREA, LENGTH, CIRCULARITY, SOLIDITY, MAX, MIN = range(6)
UNITS = PixelSize(0.25, 0.5)


def measured(shapes, size=None):
    return np.stack(list(measure_shape(Contours.from_shapely(shapes), size).values()))


def by_shapely(shape):
    """Area, length, circularity, solidity, largest and least diameter, by GEOS."""
    single = shape.geom_type == "Polygon"
    ring = shapely.Polygon(shape.exterior) if single else None
    hull = shape.convex_hull
    return [
        shape.area,
        shape.length,
        4 * np.pi * ring.area / ring.length**2 if single else np.nan,
        shape.area / hull.area,
        2 * shapely.minimum_bounding_radius(shape),
        width_by_turning(hull),
    ]


def width_by_turning(hull):
    """Least width over the directions of all edges, one edge at a time."""
    xy = np.array(hull.exterior.coords)
    widths = []
    for (x0, y0), (x1, y1) in pairwise(xy):
        n = np.array([y0 - y1, x1 - x0]) / np.hypot(x1 - x0, y1 - y0)
        widths.append(np.ptp(xy @ n))
    return min(widths)


CASES = {
    "square": (shapely.box(0, 0, 2, 2), [4, 8, np.pi / 4, 1, 2 * np.sqrt(2), 2]),
    "oblong": (shapely.box(10, 10, 14, 13), [12, 14, 48 * np.pi / 196, 1, 5, 3]),
    "right angle": (
        shapely.Polygon([(0, 0), (3, 0), (0, 4)]),
        [6, 12, 24 * np.pi / 144, 1, 5, 2.4],
    ),
    "with a hole": (
        shapely.box(0, 0, 4, 4) - shapely.box(1, 1, 3, 3),
        [12, 24, np.pi / 4, 0.75, 4 * np.sqrt(2), 4],
    ),
    "two parts": (
        shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(3, 0, 4, 1)]),
        [2, 8, np.nan, 0.5, np.sqrt(17), 1],
    ),
    "L": (
        shapely.Polygon([(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]),
        [3, 8, 12 * np.pi / 64, 3 / 3.5, 2 * np.sqrt(2), 2],
    ),
    "line": (shapely.LineString([(0, 0), (3, 4)]), [np.nan, 5, np.nan, np.nan, 5, np.nan]),
    "point": (shapely.Point(3, 4), [np.nan] * 6),
    "nothing": (shapely.Polygon(), [np.nan] * 6),
}


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name):
    shape, expected = CASES[name]
    np.testing.assert_allclose(measured([shape])[:, 0], expected, rtol=1e-6)


def test_many_at_once_are_as_each_alone():
    shapes = [shape for shape, _ in CASES.values()]
    together = measured(shapes)
    alone = np.concatenate([measured([s]) for s in shapes], axis=1)
    np.testing.assert_array_equal(together, alone)


def test_names_are_qupaths():
    assert shape_names("Nucleus: ", in_um=True) == (
        "Nucleus: Area µm^2",
        "Nucleus: Length µm",
        "Nucleus: Circularity",
        "Nucleus: Solidity",
        "Nucleus: Max diameter µm",
        "Nucleus: Min diameter µm",
    )
    assert shape_names("", in_um=False)[0] == "Area px^2"


@given(st.lists(geometries(), min_size=1, max_size=6))
def test_as_shapely_has_it(shapes):
    contours = Contours.from_shapely(shapes)
    values = np.stack(list(measure_shape(contours, UNITS).values()))
    for row, shape in enumerate(contours.to_shapely()):
        # What overlaps itself has no area that two programs must agree on.
        if shape.is_empty or "Polygon" not in shape.geom_type or not shape.is_valid:
            continue
        scaled = shapely.transform(shape, lambda xy: xy * [UNITS.x_um, UNITS.y_um])
        if scaled.convex_hull.area > 1e-3:
            np.testing.assert_allclose(values[:, row], by_shapely(scaled), rtol=1e-6, atol=1e-6)


coordinate = st.integers(-40, 40).map(lambda v: v / 4)
clouds = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=30)


@given(st.lists(clouds, min_size=1, max_size=5))
def test_hulls_of_any_points(groups):
    contours = Contours.from_shapely([shapely.MultiPoint(points) for points in groups])
    hulls = convex_hulls(contours)
    expected = [shapely.MultiPoint(points).convex_hull for points in groups]
    np.testing.assert_allclose(hulls.areas, [h.area for h in expected], atol=1e-9)
    for rows, corners in hulls.groups():
        radii, widths = enclosing_radius(corners), least_width(corners)
        for i, row in enumerate(rows):
            shape = expected[row]
            assert radii[i] == pytest.approx(shapely.minimum_bounding_radius(shape), abs=1e-6)
            flat = shape.geom_type != "Polygon"
            assert widths[i] == pytest.approx(0 if flat else width_by_turning(shape), abs=1e-9)


def test_far_from_the_origin_nothing_is_lost():
    star = shapely.Point(0, 0).buffer(8.5, quad_segs=8)
    near, far = measured(
        [star, shapely.transform(star, lambda xy: xy + np.array([99_968, 81_920]))]
    ).T
    np.testing.assert_allclose(far, near, rtol=2e-3)


def test_share_of_the_nucleus():
    contours = Contours.from_shapely([shapely.box(0, 0, 2, 2)])
    cells = Contours.from_shapely([shapely.box(0, 0, 4, 4)])
    both = measure_shape(contours, UNITS) | measure_shape(cells, UNITS, "Cell: ")
    assert nucleus_cell_ratio(both, in_um=True).tolist() == [0.25]
