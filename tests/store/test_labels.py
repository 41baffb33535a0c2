"""Objects to pixels and back: a pixel belongs to the object that holds its centre."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_histo.core import Box, ClassScheme, Contours, ObjectTable
from napari_histo.store.labels import labels_to_table, rasterise
from support.objects import polygons

label_images = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)
)


def table_of(*shapes) -> ObjectTable:
    return ObjectTable.build(Contours.from_shapely(shapes))


def box_of(labels) -> Box:
    return Box(0, 0, labels.shape[1], labels.shape[0])


def centres_inside(shape, box: Box, downsample: float = 1):
    """Pixels whose centre shapely finds strictly inside, and those on the very edge."""
    height, width = -(-box.height // downsample), -(-box.width // downsample)
    x = box.x + (np.arange(width) + 0.5) * downsample
    y = box.y + (np.arange(height) + 0.5) * downsample
    xx, yy = np.meshgrid(x, y)
    inside = shapely.contains_xy(shape, xx, yy)
    return inside, shapely.intersects_xy(shape, xx, yy) & ~inside


@given(label_images)
def test_labels_to_table_and_back_is_nothing(labels):
    values = np.unique(labels[labels > 0])
    table = labels_to_table(labels)
    assert len(table) == len(values)
    drawn = rasterise(table, box_of(labels), values=values)
    np.testing.assert_array_equal(drawn, labels)


@given(label_images)
def test_traced_outlines_are_valid_and_hold_their_pixels(labels):
    table = labels_to_table(labels)
    shapes = table.to_shapely()
    assert shapely.is_valid(shapes).all()
    for shape, value in zip(shapes, np.unique(labels[labels > 0]), strict=True):
        assert shape.area == (labels == value).sum()
    np.testing.assert_allclose(table.areas_px, shapely.area(shapes))


@pytest.mark.parametrize(
    ("picture", "n_parts", "n_rings"),
    [
        (["###", "#.#", "###"], 1, 2),
        (["#.", ".#"], 2, 2),
        (["###", "#.#", "##."], 1, 2),
        (["####", "##.#", "#.##", "####"], 1, 3),
        (["#####", "#...#", "#.#.#", "#...#", "#####"], 2, 3),
        (["#"], 1, 1),
    ],
    ids=["hole", "diagonal", "pinch", "diagonal holes", "island in hole", "pixel"],
)
def test_holes_and_parts(picture, n_parts, n_rings):
    labels = np.array([[c == "#" for c in row] for row in picture]).astype(int)
    (parts,) = [labels_to_table(labels).contours.parts(0)]
    assert (len(parts), sum(map(len, parts))) == (n_parts, n_rings)


def test_only_corners_are_kept():
    labels = np.ones((3, 40), int)
    assert labels_to_table(labels).contours.ring(0).tolist() == [
        [0, 0],
        [40, 0],
        [40, 3],
        [0, 3],
        [0, 0],
    ]


def test_offset_and_scale_are_x_before_y():
    labels = np.zeros((4, 9), np.uint16)
    labels[1, 2:5] = 7
    table = labels_to_table(labels, offset=(100, 10), scale=(2, 3), classes=ClassScheme.of("A"))
    assert table.contours.bounds.tolist() == [[104, 13, 110, 16]]
    assert table.class_names.tolist() == ["A"]
    drawn = rasterise(table, Box(100, 10, 18, 12))
    np.testing.assert_array_equal(drawn, np.kron(labels > 0, np.ones((3, 2))))


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2)), np.zeros((2, 2, 3), int), np.zeros(4, int)],
    ids=["float", "RGB", "line"],
)
def test_refuses_what_is_no_label_image(labels):
    with pytest.raises(ValueError, match="one plane"):
        labels_to_table(labels)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (3, 4)], ids=str)
def test_no_labels_no_objects(shape):
    assert len(labels_to_table(np.zeros(shape, int))) == 0


@given(polygons(), st.integers(1, 3), st.integers(-9, 9), st.integers(-9, 9))
def test_pixels_are_those_whose_centre_shapely_finds_inside(shape, downsample, dx, dy):
    table = table_of(shape)
    left, top, right, bottom = table.contours.bounds[0]
    box = Box(int(left) + dx, int(top) + dy, int(right - left) + 3, int(bottom - top) + 5)
    stored = shapely.transform(shape, lambda xy: xy.astype(np.float32).astype(np.float64))
    if not stored.is_valid:
        return
    drawn = rasterise(table, box, downsample=downsample) > 0
    inside, edge = centres_inside(stored, box, downsample)
    # Within a hair of an edge either answer is right.
    assert (drawn[inside & ~edge]).all()
    assert not drawn[~inside & ~edge].any()


@given(st.lists(polygons(), min_size=1, max_size=4), st.integers(1, 7), st.integers(1, 3))
def test_tiles_are_parts_of_the_whole(shapes, edge, downsample):
    near = [shapely.affinity.translate(s, -s.centroid.x + 9, -s.centroid.y + 7) for s in shapes]
    table = table_of(*near)
    whole = rasterise(table, Box(0, 0, 24 * downsample, 20 * downsample), downsample=downsample)
    for y in range(0, 20, edge):
        for x in range(0, 24, edge):
            box = Box(x * downsample, y * downsample, edge * downsample, edge * downsample)
            tile = rasterise(table, box, downsample=downsample)
            part = whole[y : y + edge, x : x + edge]
            np.testing.assert_array_equal(tile[: part.shape[0], : part.shape[1]], part)


@given(st.lists(st.tuples(*[st.integers(0, 4000)] * 2), min_size=3, max_size=12, unique=True))
def test_triangles_that_tile_the_plane_give_labels_that_do(points):
    net = shapely.delaunay_triangles(shapely.MultiPoint(np.array(points) / 100))
    triangles = shapely.get_parts(net)
    table = table_of(*triangles)
    box = Box(0, 0, 41, 41)
    counts = sum((rasterise(table.select([i]), box) > 0).astype(int) for i in range(len(table)))
    assert np.max(counts, initial=0) <= 1, "no pixel has two owners"


def test_edges_are_half_open():
    drawn = rasterise(table_of(shapely.box(0.5, 0.5, 2.5, 3.5)), Box(0, 0, 5, 5))
    assert np.argwhere(drawn).min(axis=0).tolist() == [0, 0]
    assert np.argwhere(drawn).max(axis=0).tolist() == [2, 1]


def test_later_rows_win_and_holes_stay_open():
    ring = shapely.Polygon([(0, 0), (6, 0), (6, 6), (0, 6)], [[(2, 2), (4, 2), (4, 4), (2, 4)]])
    drawn = rasterise(table_of(shapely.box(0, 0, 6, 6), ring), Box(0, 0, 6, 6))
    assert (drawn == 1).sum() == 4
    assert (drawn[2:4, 2:4] == 1).all()


def test_lines_points_and_empty_rows_draw_nothing():
    table = table_of(
        shapely.LineString([(0, 0), (5, 5), (0, 5), (0, 0)]), shapely.Point(2, 2), None
    )
    assert not rasterise(table, Box(0, 0, 6, 6)).any()


def test_values_and_size_of_a_box_that_does_not_divide():
    drawn = rasterise(
        table_of(shapely.box(0, 0, 9, 9)), Box(0, 0, 7, 5), downsample=2, values=np.array([42])
    )
    assert drawn.shape == (3, 4)
    assert set(drawn.reshape(-1)) == {42}


def test_far_from_the_origin():
    shape = shapely.box(100_000.25, 80_000.25, 100_003.75, 80_002.75)
    drawn = rasterise(table_of(shape), Box(100_000, 80_000, 6, 4))
    assert drawn.tolist() == [[1, 1, 1, 1, 0, 0]] * 3 + [[0] * 6]


def test_large_outlines_are_drawn_in_bounded_batches(monkeypatch):
    monkeypatch.setattr("napari_histo.store.labels._MAX_PIXELS", 50)
    shapes = [shapely.box(i, i, i + 9, i + 9) for i in range(9)]
    drawn = rasterise(table_of(*shapes), Box(0, 0, 20, 20))
    assert set(np.unique(drawn)) == set(range(10))
    assert drawn[8, 8] == 9
