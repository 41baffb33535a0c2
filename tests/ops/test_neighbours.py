"""Distances and counts, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, PixelSize
from napari_histo.ops.neighbours import class_distances, neighbours, region_distances
from napari_histo.ops.region_counts import count_objects, rows_in_regions

SIZE = PixelSize(0.5, 0.25)
POINTS = np.random.default_rng(0).uniform(0, 400, (60, 2))
CLASSES = ClassScheme.of("Tumor", "Stroma", "Ignore*")
IDS = np.arange(60) % 4 - 1


def gaps(size=SIZE):
    um = POINTS * (size.x_um, size.y_um)
    return np.hypot(*(um[:, None] - um[None]).T)


def test_nearest_and_near():
    found = neighbours(POINTS, SIZE, 20)
    far = gaps() + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(found["Nearest neighbour distance µm"], far.min(axis=0))
    np.testing.assert_array_equal(found["Neighbours within 20 µm"], (far <= 20).sum(axis=0))


def test_without_a_pixel_size_only_what_can_be_told():
    found = neighbours(POINTS, None, 20)
    assert list(found) == ["Nearest neighbour distance px"]


@pytest.mark.parametrize(
    "points", [np.zeros((0, 2)), [[1.0, 2.0]], [[1.0, 2.0], [np.nan, np.nan]]], ids=len
)
def test_who_is_alone_has_no_nearest(points):
    points = np.array(points).reshape(-1, 2)
    (nearest, count) = neighbours(points, SIZE, 20).values()
    assert np.isnan(nearest).all()
    assert count[:1].tolist() == [0] * len(points[:1])


def test_distance_to_each_class():
    found = class_distances(POINTS, IDS, CLASSES, SIZE)
    assert list(found) == ["Distance to detection Tumor µm", "Distance to detection Stroma µm"]
    for i, values in enumerate(found.values()):
        np.testing.assert_allclose(values, gaps()[i == IDS].min(axis=0), atol=1e-12)
    assert class_distances(POINTS, np.zeros(60, int), CLASSES, SIZE) == {}


REGIONS = [
    shapely.box(50, 50, 200, 200) - shapely.box(100, 100, 150, 150),
    shapely.box(150, 20, 380, 90),
    shapely.box(0, 300, 400, 400),
    shapely.LineString([(0, 0), (400, 400)]),
]


def test_signed_distance_to_regions():
    names = np.array(["Tumor", "Tumor", "Ignore*", "Stroma"], object)
    found = region_distances(POINTS, Contours.from_shapely(REGIONS), names, SIZE)
    assert list(found) == ["Signed distance to annotation Tumor µm"]
    area = shapely.transform(shapely.union_all(REGIONS[:2]), lambda xy: xy * [SIZE.x_um, SIZE.y_um])
    where = shapely.points(POINTS * (SIZE.x_um, SIZE.y_um))
    expected = shapely.distance(area.boundary, where)
    expected = np.where(shapely.contains(area, where), -expected, expected)
    np.testing.assert_allclose(found["Signed distance to annotation Tumor µm"], expected)
    assert (expected < 0).any()


def test_who_lies_where():
    found = rows_in_regions(POINTS, Contours.from_shapely([*REGIONS, shapely.Polygon()]))
    where = shapely.points(POINTS)
    for rows, shape in zip(found[:3], REGIONS, strict=False):
        np.testing.assert_array_equal(rows, np.flatnonzero(shapely.contains(shape, where)))
    assert [len(rows) for rows in found[3:]] == [0, 0]


def test_counts_and_density():
    rows = count_objects(
        np.array([0, 0, 1, -1]),
        CLASSES,
        members=[np.arange(4), np.array([0, 2])],
        names=[("Image", ""), ("Nest", "Tumor")],
        areas_px=[8e6, 4e6],
        pixel_size=PixelSize.square(0.5),
    )
    table = {(r["Region"], r["Class"]): (r["Count"], r["Density per mm^2"]) for r in rows}
    assert table == {
        ("Image", "All"): (4, 2),
        ("Image", "Unclassified"): (1, 0.5),
        ("Image", "Tumor"): (2, 1),
        ("Image", "Stroma"): (1, 0.5),
        ("Nest", "All"): (2, 2),
        ("Nest", "Unclassified"): (0, 0),
        ("Nest", "Tumor"): (1, 1),
        ("Nest", "Stroma"): (1, 1),
    }
