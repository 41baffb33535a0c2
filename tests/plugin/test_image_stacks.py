"""Layers that are channels of one image, and what a model is shown of them; without a window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_histo.core import ModelInfo
from napari_histo.plugin.image_stacks import Channels, image_stacks
from napari_histo.plugin.layers import PREVIEW_KEY
from napari_histo.plugin.readers import read_slide
from support.five_images import write

GREY = ModelInfo("grey", "test", channels="gray")
CELLS = ModelInfo("cells", "test", channels="cells")
PIXELS = np.random.default_rng(0).integers(0, 900, (3, 4, 20, 30)).astype(np.uint16)  # c, z, y, x


def opened(path):
    """The layers of a file, as napari adds them."""
    viewer = ViewerModel()
    ((data, options, _),) = read_slide(str(path))
    viewer.add_image(data, **options)
    return viewer


def panel(names, **options):
    viewer = ViewerModel()
    viewer.add_image(PIXELS, channel_axis=0, name=names, **options)
    return viewer


@pytest.mark.parametrize(
    ("names", "whole", "channels"),
    [
        pytest.param(["a DAPI", "a CD3", "a CD8"], "a", ("DAPI", "CD3", "CD8"), id="of one image"),
        pytest.param(
            ["a Channel 1", "a Channel 2", "a Channel 3"],
            "a",
            ("Channel 1", "Channel 2", "Channel 3"),
            id="no bare numbers",
        ),
        pytest.param(["DAPI", "CD3", "CD8"], "DAPI, CD3, CD8", ("DAPI", "CD3", "CD8"), id="bare"),
        pytest.param(
            ["DAPI", "DAPI 2", "CD8"],
            "DAPI, DAPI 2, CD8",
            ("DAPI", "DAPI 2", "CD8"),
            id="one in another",
        ),
    ],
)
def test_channels_are_named_by_what_differs(names, whole, channels):
    (stack,) = image_stacks(panel(names))
    assert (stack.name, stack.channels, len(stack.layers)) == (whole, channels, 3)
    assert stack.n_planes == 4


def test_only_what_lies_in_one_place_belongs_together():
    viewer = panel(["a DAPI", "a CD3", "a CD8"])
    viewer.add_image(PIXELS[0, 0], name="grey")
    viewer.add_image(np.zeros((20, 30, 3), np.uint8), name="colour")
    viewer.add_image(PIXELS, channel_axis=0, name=["b 1", "b 2", "b 3"], translate=(0, 5, 5))
    viewer.add_image(PIXELS[0, 0], name="preview", metadata={PREVIEW_KEY: True})
    assert [s.name for s in image_stacks(viewer)] == ["b 1, b 2, b 3", "colour", "grey", "a"]


@pytest.mark.parametrize(
    ("names", "model", "expected"),
    [
        (["a CD3", "a DAPI", "a CD8"], GREY, Channels(1)),
        (["a CD3", "a CD8", "a Hoechst 33342"], GREY, Channels(2)),
        (["a CD3", "a CD8", "a x"], GREY, Channels(0)),
        (["a CD3", "a DAPI", "a Phalloidin"], CELLS, Channels(2, 1)),
        (["a CD3", "a DAPI", "a CD8"], None, Channels(0)),
    ],
    ids=["DAPI", "Hoechst", "unknown", "cells and nuclei", "no model"],
)
def test_the_likely_channel_is_chosen_first(names, model, expected):
    (stack,) = image_stacks(panel(names))
    assert stack.channels_for(model) == expected


def test_who_annotates_begins_with_the_nuclei():
    (stack,) = image_stacks(panel(["a CD3", "a DAPI", "a CD8"]))
    assert [layer.name for layer in stack.nuclear_first] == ["a DAPI", "a CD3", "a CD8"]


@pytest.mark.parametrize("all_planes", [False, True], ids=["plane shown", "all planes"])
def test_a_reader_shows_the_chosen_channels_alone(all_planes):
    (stack,) = image_stacks(panel(["a CD3", "a DAPI", "a Phalloidin"]))
    reader = stack.reader(Channels(2, 1), (3, 0, 0), all_planes=all_planes)
    assert reader.info.channel_names == ("Phalloidin", "DAPI")
    wanted = PIXELS.max(axis=1) if all_planes else PIXELS[:, 3]
    np.testing.assert_array_equal(reader.read(reader.info.box), wanted[[2, 1]].transpose(1, 2, 0))
    one = stack.reader(Channels(0), (3, 0, 0), all_planes=all_planes)
    np.testing.assert_array_equal(one.read(one.info.box)[..., 0], wanted[0])


def test_a_file_brings_its_names_and_colours(tmp_path):
    (stack,) = image_stacks(opened(write("fluorescence", tmp_path)))
    assert stack.name == "fluorescence"
    assert stack.channels == ("DAPI", "Na/K-ATPase", "Ki67")
    assert stack.colours == ((0, 0, 255), (0, 255, 0), (255, 0, 0))
    assert all(isinstance(layer, Image) for layer in stack.layers)
