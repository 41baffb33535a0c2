"""Contours against shapely, geometry for geometry."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.core import Box, Contours, GeometryKind
from support.objects import assert_same_contours, geometries, polygons

shape_lists = st.lists(geometries(), max_size=8)
SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]


def local(geometry):
    """As float32 holds it, which is what areas and centroids are computed from."""
    return shapely.transform(geometry, lambda xy: xy.astype(np.float32).astype(np.float64))


@given(shape_lists)
def test_round_trip_through_shapely(shapes):
    contours = Contours.from_shapely(shapes)
    back = contours.to_shapely()
    for before, after in zip(shapes, back, strict=True):
        expected = shapely.Polygon() if before is None else local(before)
        assert shapely.equals_exact(after, expected)
        assert after.geom_type == expected.geom_type
    assert_same_contours(Contours.from_shapely(back), contours)


@given(st.lists(st.one_of(polygons(), geometries().filter(bool)), min_size=1, max_size=8))
def test_areas_and_centroids_are_shapelys(shapes):
    contours = Contours.from_shapely(shapes)
    is_area = contours.kind == GeometryKind.POLYGON
    for row, geometry in enumerate(map(local, shapes)):
        area = geometry.area if is_area[row] else 0
        assert contours.areas_px[row] == pytest.approx(area, rel=1e-6, abs=1e-6)
        if is_area[row] and geometry.geom_type == "Polygon":
            centre = geometry.centroid.coords[0]
            assert contours.centroids[row] == pytest.approx(centre, rel=1e-7, abs=1e-3)
        if not is_area[row]:
            mean = shapely.get_coordinates(geometry).mean(axis=0)
            assert contours.centroids[row] == pytest.approx(mean, rel=1e-6, abs=1e-3)


@given(shape_lists)
def test_bounds_are_shapelys(shapes):
    contours = Contours.from_shapely(shapes)
    expected = [(np.nan,) * 4 if g is None else local(g).bounds for g in shapes]
    np.testing.assert_array_equal(contours.bounds, np.array(expected).reshape(-1, 4))


@given(st.lists(st.integers(0, 4999)), st.booleans())
def test_most_of_many_rows_are_the_same_rows_as_one_by_one(odd, gone):
    """Long runs of rows are copied in one go."""
    corners = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], np.float32)
    many = Contours.from_star(np.arange(5000, dtype=np.float32)[:, None, None] + corners)
    rows = np.setdiff1d(np.arange(5000), odd) if gone else np.append(np.arange(5000), odd)
    taken = many.take(rows)
    assert np.array_equal(taken.bounds, many.bounds[rows.astype(int)])
    assert len(taken.xy) == 5 * len(rows)


@given(shape_lists, st.data())
def test_take_is_shapelys_choice(shapes, data):
    contours = Contours.from_shapely(shapes)
    rows = data.draw(st.lists(st.integers(0, max(0, len(shapes) - 1)), max_size=9))
    rows = rows if shapes else []
    assert_same_contours(contours.take(rows), Contours.from_shapely([shapes[r] for r in rows]))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes))))
    kept = [g for g, keep in zip(shapes, mask, strict=True) if keep]
    assert_same_contours(contours.take(mask.astype(bool)), Contours.from_shapely(kept))


@given(st.lists(shape_lists, max_size=4))
def test_concat_is_one_list(lists):
    joined = Contours.concat([Contours.from_shapely(shapes) for shapes in lists])
    flat = Contours.from_shapely([g for shapes in lists for g in shapes])
    assert_same_contours(joined, flat)


@given(shape_lists, st.integers(-100, 60_000), st.integers(-100, 60_000), st.integers(1, 3000))
def test_query_finds_the_bounds_that_meet(shapes, x, y, side):
    contours, box = Contours.from_shapely(shapes), Box(x, y, side, side)
    found = set(contours.query(box).tolist())
    for row, g in enumerate(shapes):
        if g is None:
            assert row not in found
            continue
        left, top, right, bottom = local(g).bounds
        meets = left < box.right and right > box.x and top < box.bottom and bottom > box.y
        is_point = left == right and top == bottom
        inside = box.x <= left < box.right and box.y <= top < box.bottom
        assert (row in found) == (inside if is_point else meets)


@given(st.lists(polygons(), min_size=1, max_size=4))
def test_transform_scales_then_moves(shapes):
    contours = Contours.from_shapely(shapes)
    moved = contours.transform((2, 0.5), (-3, 7))
    xy = contours.xy.astype(np.float64) * [2, 0.5] + [-3, 7]
    np.testing.assert_array_equal(moved.xy, xy.astype(np.float32))
    assert moved.areas_px == pytest.approx(contours.areas_px, rel=1e-2, abs=0.5)


def test_holes_and_parts_count():
    shape = shapely.MultiPolygon(
        [
            shapely.Polygon(SQUARE, [[(1, 1), (2, 1), (2, 2), (1, 2)]]),
            shapely.box(10, 10, 12, 12),
        ]
    )
    contours = Contours.from_shapely([None, shape])
    assert contours.areas_px.tolist() == [0, 19]
    assert contours.centroids[1] == pytest.approx(shape.centroid.coords[0])
    assert [len(part) for part in contours.parts(1)] == [2, 1]
    assert contours.ring(1).tolist()[0] == contours.ring(1).tolist()[-1]
    assert contours.ring(0).shape == (0, 2)
    assert np.isnan(contours.centroids[0]).all()


@pytest.mark.parametrize("reverse", [False, True], ids=["clockwise", "anticlockwise"])
def test_area_does_not_depend_on_direction(reverse):
    ring = SQUARE[::-1] if reverse else SQUARE
    contours = Contours.from_rings([ring])
    assert contours.areas_px.tolist() == [16]
    assert contours.centroids.tolist() == [[2, 2]]


def test_small_object_far_out_keeps_its_digits():
    contours = Contours.from_rings([np.array(SQUARE) + 100_000.5])
    assert contours.areas_px.tolist() == [16]
    assert contours.centroids.tolist() == [[100_002.5, 100_002.5]]


def test_more_rows_than_a_chunk():
    xy = np.array(SQUARE) * np.linspace(0.5, 2, 40_000)[:, None, None]
    contours = Contours.from_star(xy)
    expected = (xy[:, 2, 0].astype(np.float32).astype(np.float64)) ** 2
    np.testing.assert_allclose(contours.areas_px, expected, rtol=1e-6)


def test_from_star_and_from_rings_agree():
    stars = np.random.default_rng(0).random((5, 7, 2))
    assert_same_contours(Contours.from_star(stars), Contours.from_rings(list(stars)))


def test_flat_polygon_has_the_mean_of_its_vertices():
    contours = Contours.from_rings([[(0, 0), (4, 0), (8, 0)]])
    assert contours.areas_px.tolist() == [0]
    assert np.isfinite(contours.centroids).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"xy": np.zeros((4, 3), np.float32)}, "x before y"),
        ({"ring_offsets": np.array([0, 3], np.int32)}, "Offsets must run"),
        ({"kind": np.zeros(2, np.uint8)}, "1 objects but 2 kinds"),
    ],
    ids=["3D", "offsets", "kinds"],
)
def test_refuses_arrays_that_do_not_fit(changes, message):
    steps = np.array([0, 1], np.int32)
    arrays = {
        "xy": np.zeros((4, 2), np.float32),
        "ring_offsets": np.array([0, 4], np.int32),
        "part_offsets": steps,
        "object_offsets": steps,
        "kind": np.zeros(1, np.uint8),
    }
    with pytest.raises(ValueError, match=message):
        Contours(**{**arrays, **changes})


def test_mask_of_another_length_is_refused():
    with pytest.raises(IndexError, match="3 entries for 1 rows"):
        Contours.empty(1).take(np.ones(3, bool))
