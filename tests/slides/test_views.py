"""Several readers seen as one: channels side by side, focal planes in one; colours of channels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box
from napari_histo.errors import ImageError
from napari_histo.slides import (
    ALL_PLANES,
    ArrayReader,
    JoinedChannels,
    MaximumOfPlanes,
    open_image,
    open_slide,
)
from support.five_images import write

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 1000, (3, 2, 40, 60)).astype(np.uint16)  # z, c, y, x


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, PIXELS, metadata={"axes": "ZCYX"})
    return path


@pytest.mark.parametrize(
    ("z", "expected"),
    [(0, PIXELS[0]), (2, PIXELS[2]), (ALL_PLANES, PIXELS.max(axis=0))],
    ids=["first", "last", "brightest of all"],
)
def test_planes(stack, z, expected):
    with open_image(stack, z=z) as reader:
        found = reader.read(Box(5, 10, 50, 40))
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found[:30], expected[:, 10:40, 5:55].transpose(1, 2, 0))
        assert not found[30:].any()  # beyond the image


def test_one_plane_is_all_planes(tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", PIXELS[0, 0])
    with open_image(tmp_path / "one.tif", z=ALL_PLANES) as reader:
        np.testing.assert_array_equal(reader.read(reader.info.box)[..., 0], PIXELS[0, 0])


def test_channels_side_by_side():
    readers = [ArrayReader(plane) for plane in PIXELS[0]]
    with JoinedChannels(readers, ["DAPI", "CD3"], "both") as joined:
        assert joined.info.channel_names == ("DAPI", "CD3")
        assert joined.info.name == "both"
        np.testing.assert_array_equal(joined.read(joined.info.box), PIXELS[0].transpose(1, 2, 0))


def test_what_does_not_go_together():
    small, large = ArrayReader(np.zeros((5, 5))), ArrayReader(np.zeros((6, 5)))
    with pytest.raises(ImageError, match="one size"):
        JoinedChannels([small, large], ["a", "b"], "both")
    colour = ArrayReader(np.zeros((5, 5, 3), np.uint8), is_rgb=True)
    with pytest.raises(ImageError, match="glass"):
        MaximumOfPlanes([colour, colour])


def test_names_and_colours_of_ome_channels(tmp_path):
    with open_slide(write("fluorescence", tmp_path)) as reader:
        assert reader.info.channel_names == ("DAPI", "Na/K-ATPase", "Ki67")
        assert reader.info.channel_colours == ((0, 0, 255), (0, 255, 0), (255, 0, 0))


@pytest.mark.parametrize(
    "colours", [{}, {"Color": [-1, -1]}], ids=["none given", "the default, white"]
)
def test_channels_without_colours(tmp_path, colours):
    path = tmp_path / "two.ome.tif"
    tifffile.imwrite(path, PIXELS[0], metadata={"axes": "CYX", "Channel": colours})
    with open_slide(path) as reader:
        assert reader.info.channel_colours == ()
