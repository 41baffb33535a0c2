"""Where napari's coordinates meet ours: scale ≠ 1, offset ≠ 0, turned, not square."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from napari_histo.core import Box
from napari_histo.errors import ImageError
from napari_histo.plugin.geometry import (
    from_napari,
    hint_um,
    pixel_size_of,
    placement_of,
    plane_shape,
    shape_geometries,
    shapes_outlines,
    to_napari,
    view_box,
)

PIXELS = np.zeros((60, 100), np.uint8)


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)), min_size=1))
def test_there_and_back(points):
    there = to_napari(points)
    assert np.allclose(from_napari(there), points)


def test_first_pixel_covers_0_to_1_here_and_is_centred_on_0_there():
    assert to_napari([(0.5, 0.5)]).tolist() == [[0, 0]]
    assert from_napari([(2, 7)]).tolist() == [[7.5, 2.5]]


@pytest.mark.parametrize("ndim", [2, 3])
def test_layer_put_over_another_has_the_same_world(placement, ndim):
    image = Image(PIXELS, **placement) if ndim == 2 else stack(**placement)
    over = Labels(np.zeros((60, 100), np.uint8), **placement_of(image))
    assert over.units == image.units[-2:]
    for point in ((0, 0), (10, 30), (59.5, -7)):
        there = image.data_to_world((0,) * (ndim - 2) + point)[-2:]
        assert np.allclose(over.data_to_world(point), there)


def stack(**placement):
    """Three planes, at the same place in the last two axes."""
    two = Image(PIXELS, **placement)
    matrix = np.eye(4)
    matrix[1:, 1:] = affine_of(two)
    units = ("pixel", *two.units)
    return Image(np.zeros((3, 60, 100), np.uint8), affine=matrix, units=units)


def affine_of(layer):
    origin = np.array(layer.data_to_world((0, 0)))
    columns = [np.array(layer.data_to_world(e)) - origin for e in ((1, 0), (0, 1))]
    matrix = np.eye(3)
    matrix[:2] = np.stack([*columns, origin], axis=1)
    return matrix


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, None, id="pixels"),
        pytest.param({"scale": (0.5, 0.5)}, None, id="scale-without-unit"),
        pytest.param({"scale": (0.5, 0.25), "units": ("um", "um")}, (0.25, 0.5), id="um"),
        pytest.param({"scale": (250, 250), "units": ("nm", "nm")}, (0.25, 0.25), id="nm"),
        pytest.param({"scale": (1e-3, 1e-3), "units": ("mm", "mm")}, (1, 1), id="mm"),
        pytest.param({"scale": (0.5, 0.5), "units": ("um", "pixel")}, None, id="half-known"),
        pytest.param(
            {"scale": (0.5, 0.5), "rotate": 20, "units": ("um", "um")}, (0.5, 0.5), id="turned"
        ),
        pytest.param(
            {"affine": np.diag([0.2, 0.3, 1]), "units": ("um", "um")}, (0.3, 0.2), id="affine"
        ),
        pytest.param({"scale": (-0.5, 0.5), "units": ("um", "um")}, (0.5, 0.5), id="flipped"),
    ],
)
def test_pixel_size_is_known_where_units_are_lengths(options, expected):
    found = pixel_size_of(Image(PIXELS, **options))
    assert (found is None) == (expected is None)
    if found is not None:
        assert (found.x_um, found.y_um) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"scale": (0.5, 0.5)}, 0.5, id="bare-scale"),
        pytest.param({"scale": (500, 500)}, None, id="not-plausible"),
        pytest.param({"scale": (0.5, 0.5), "units": ("um", "um")}, None, id="known-anyway"),
    ],
)
def test_hint_for_bare_scales(options, expected):
    assert hint_um(Image(PIXELS, **options)) == expected


@pytest.mark.parametrize(
    ("data", "options"),
    [
        pytest.param(np.zeros((60, 100)), {}, id="gray"),
        pytest.param(np.zeros((60, 100, 3), np.uint8), {"rgb": True}, id="rgb"),
        pytest.param(np.zeros((5, 60, 100)), {}, id="stack"),
        pytest.param([np.zeros((60, 100)), np.zeros((30, 50))], {"multiscale": True}, id="levels"),
    ],
)
def test_plane_shape(data, options):
    assert plane_shape(Image(data, **options)) == (60, 100)


# -- what the window shows ---------------------------------------------------------------------


def look(image, middle_px, canvas, px_per_canvas_px):
    """A window of `canvas` (height, width) whose middle shows `middle_px` (x, y) of an image."""
    viewer = ViewerModel()
    viewer.add_layer(image)
    viewer.canvas.size = canvas
    viewer.scene.camera.center = image.data_to_world(to_napari(middle_px))
    world_per_px = np.abs(np.linalg.det(affine_of(image)[:2, :2])) ** 0.5
    viewer.scene.camera.zoom = 1 / (px_per_canvas_px * world_per_px)
    return viewer


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"scale": (0.5, 0.5), "translate": (300, -40)}, id="scale-and-offset"),
        pytest.param({"scale": (0.25, 0.25), "units": ("um", "um")}, id="microns"),
    ],
)
def test_view_box_is_what_the_window_shows(options):
    image = Image(PIXELS, **options)
    viewer = look(image, (50, 30), canvas=(20, 40), px_per_canvas_px=1)
    assert view_box(viewer, image) == Box(30, 20, 40, 20)
    viewer = look(image, (5, 50), canvas=(20, 40), px_per_canvas_px=1)
    assert view_box(viewer, image) == Box(0, 40, 25, 20)
    viewer = look(image, (50, 30), canvas=(200, 400), px_per_canvas_px=1)
    assert view_box(viewer, image) == Box(0, 0, 100, 60)


def test_view_of_a_turned_image_covers_the_window():
    image = Image(PIXELS, rotate=90)
    viewer = look(image, (50, 30), canvas=(20, 40), px_per_canvas_px=1)
    assert view_box(viewer, image) == Box(40, 10, 20, 40)


def test_view_counts_in_the_units_of_the_window():
    """With a layer in mm the world may count in other units than the image."""
    image = Image(PIXELS, scale=(0.5, 0.5), units=("um", "um"))
    viewer = ViewerModel()
    viewer.add_layer(Image(PIXELS, scale=(1e-3, 1e-3), units=("mm", "mm")))
    viewer.add_layer(image)
    viewer.canvas.size = (20, 40)
    um_per_world = float((1 * viewer.dims.units[-1]).to("um").magnitude)
    viewer.scene.camera.center = np.array([15.0, 25.0]) / um_per_world - 0.25 / um_per_world
    viewer.scene.camera.zoom = 2 * um_per_world
    assert view_box(viewer, image) == Box(30, 20, 40, 20)


def test_view_beside_the_image_says_so():
    image = Image(PIXELS, name="slide 7")
    viewer = look(image, (500, 500), canvas=(20, 40), px_per_canvas_px=1)
    with pytest.raises(ImageError, match="shows nothing of 'slide 7'"):
        view_box(viewer, image)


# -- what is drawn -----------------------------------------------------------------------------

RECTANGLE = np.array([[10, 20], [10, 50], [30, 50], [30, 20]])


def test_drawn_shapes_lie_where_they_are_drawn(placement):
    image = Image(PIXELS, **placement)
    drawn = Shapes([RECTANGLE], shape_type="rectangle", **placement_of(image))
    bounds = shapes_outlines([drawn], image).bounds
    assert np.allclose(bounds, [[20.5, 10.5, 50.5, 30.5]], atol=1e-3)


def test_shapes_drawn_in_the_world_reach_the_image(placement):
    image = Image(PIXELS, **placement)
    world = np.array([image.data_to_world(p) for p in RECTANGLE])
    drawn = Shapes([world], shape_type="polygon")
    bounds = shapes_outlines([drawn], image).bounds
    assert np.allclose(bounds, [[20.5, 10.5, 50.5, 30.5]], atol=1e-3)


def test_only_shapes_that_enclose_something_count():
    line, path = RECTANGLE[:2], RECTANGLE
    drawn = Shapes(
        [line, path, RECTANGLE, RECTANGLE], shape_type=["line", "path", "polygon", "ellipse"]
    )
    assert len(shapes_outlines([drawn], Image(PIXELS))) == 2


def test_ellipse_fills_its_box():
    (ellipse,) = shape_geometries([RECTANGLE], ["ellipse"])
    assert ellipse.bounds == pytest.approx((20.5, 10.5, 50.5, 30.5), abs=0.05)
    assert ellipse.area == pytest.approx(np.pi * 15 * 10, rel=0.01)
