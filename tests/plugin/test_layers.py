"""Image layers as slides, tables as layers."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers import Image

from napari_histo.core import Box, ObjectTable, PixelSize
from napari_histo.plugin.geometry import to_napari
from napari_histo.plugin.layers import (
    add_objects,
    features_of,
    reader_of,
    row_of,
    show_objects,
    table_of,
)

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 4000, (60, 100), np.uint16)
COLOUR = RNG.integers(0, 255, (60, 100, 3), np.uint8)
PART = Box(10, 5, 30, 20)


def part(pixels):
    return pixels[5:25, 10:40].reshape(20, 30, -1)


@pytest.mark.parametrize(
    ("data", "options", "expected", "is_rgb"),
    [
        pytest.param(GRAY, {}, GRAY, False, id="numpy"),
        pytest.param(COLOUR, {"rgb": True}, COLOUR, True, id="rgb"),
        pytest.param(
            np.dstack([COLOUR, np.full((60, 100), 255, np.uint8)]),
            {"rgb": True},
            COLOUR,
            True,
            id="rgba",
        ),
        pytest.param(da.from_array(GRAY, 32), {}, GRAY, False, id="dask"),
        pytest.param(zarr.array(GRAY), {}, GRAY, False, id="zarr"),
        pytest.param([GRAY, GRAY[::2, ::2]], {"multiscale": True}, GRAY, False, id="levels"),
        pytest.param(GRAY.astype(float), {}, GRAY, False, id="float"),
    ],
)
def test_reader_reads_the_pixels_of_the_layer(data, options, expected, is_rgb):
    layer = Image(data, name="here", **options)
    reader = reader_of(layer)
    assert (reader.info.name, reader.info.is_rgb) == ("here", is_rgb)
    assert reader.info.n_levels == (2 if options.get("multiscale") else 1)
    assert (reader.read(PART) == part(expected)).all()


@pytest.mark.parametrize("kind", [np.asarray, lambda a: da.from_array(a, 32), zarr.array])
def test_reader_takes_the_plane_that_is_shown(kind):
    planes = np.stack([GRAY, GRAY + 1, GRAY + 2])
    viewer = ViewerModel()
    layer = viewer.add_image(kind(planes), scale=(5, 0.5, 0.5))
    viewer.dims.set_point(0, 10)
    assert (reader_of(layer, viewer.dims.point).read(PART) == part(GRAY + 2)).all()
    assert (reader_of(layer).read(PART) == part(GRAY)).all()


def test_reader_takes_the_plane_of_each_level():
    planes = np.stack([GRAY, GRAY + 1, GRAY + 2])
    layer = Image([planes, planes[:, ::2, ::2]], multiscale=True)
    reader = reader_of(layer, (2, 0, 0))
    assert (reader.read(Box(0, 0, 50, 30), 1)[..., 0] == (GRAY + 2)[::2, ::2]).all()


def test_reader_knows_the_pixel_size():
    layer = Image(GRAY, scale=(0.5, 0.25), units=("um", "um"))
    assert reader_of(layer).info.pixel_size == PixelSize(0.25, 0.5)


# -- objects -----------------------------------------------------------------------------------


def test_object_is_found_under_the_cursor(placement, table):
    """Exact to half a pixel, wherever the image lies."""
    viewer = ViewerModel()
    image = viewer.add_image(GRAY, **placement)
    layer = add_objects(viewer, table, image, name="nuclei")
    layer.locked_data_level = 0

    def row_at(x, y):
        world = image.data_to_world(to_napari((x, y)))
        found = layer.get_value(world, world=True)
        return row_of(table, int(found[1]))

    assert [row_at(*c) for c in table.centroids] == [0, 1, 2]
    left, top, right, bottom = table.contours.bounds[1]
    assert row_at(left + 0.1, top + 0.1) == row_at(right - 0.1, bottom - 0.1) == 1
    assert row_at(left - 0.1, top + 0.1) is row_at(right - 0.1, bottom + 0.1) is None


def test_colours_are_those_of_the_classes(table):
    layer = add_objects(ViewerModel(), table, Image(GRAY), name="nuclei")
    pixels = np.asarray(layer.data[0])
    colours = layer.colormap.map(pixels)
    for row, (x, y) in enumerate(table.centroids.astype(int)):
        class_id = int(table.class_id[row])
        rgb = table.classes[class_id].rgb if class_id >= 0 else (255, 200, 0)
        assert np.allclose(colours[y, x, :3] * 255, rgb, atol=1)
    assert (colours[pixels == 0] == 0).all()


def test_objects_cannot_be_painted_over(table):
    layer = add_objects(ViewerModel(), table, Image(GRAY), name="nuclei")
    assert not layer.editable


def test_other_objects_take_the_place_of_the_old(table):
    viewer = ViewerModel()
    layer = add_objects(viewer, table, viewer.add_image(GRAY), name="nuclei")
    fewer = table.select([1])
    show_objects(layer, fewer)
    assert table_of(layer) is fewer
    assert (np.unique(np.asarray(layer.data[0])) == [0, 1]).all()
    x, y = fewer.centroids[0].astype(int)
    assert np.allclose(layer.colormap.map(np.asarray(layer.data[0]))[y, x, :3] * 255, (200, 0, 0))
    assert len(viewer.layers) == 2


def test_features_name_each_object(table):
    features = features_of(table, PixelSize.square(0.5))
    assert features["object_id"].tolist() == [str(i) for i in table.uuids()]
    assert features["class"].tolist() == ["Stroma", "Tumor", ""]
    assert features["area µm²"].tolist() == [16, 16, 16]
    assert "area px²" in features_of(table, None)


def test_layer_without_objects_has_no_table():
    assert table_of(Image(GRAY)) is None
    layer = add_objects(ViewerModel(), ObjectTable.empty(), Image(GRAY), name="none")
    assert len(table_of(layer)) == 0
