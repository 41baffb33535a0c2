"""Which channels a model is shown: by the user's word, else by their names, never by guessing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import ModelInfo
from napari_histo.errors import ImageError
from napari_histo.ops.channels import ChannelPick
from napari_histo.slides import ArrayReader


def image(*names, is_rgb=False):
    dtype = np.uint8 if is_rgb else np.uint16
    pixels = np.arange(2 * 2 * len(names), dtype=dtype).reshape(2, 2, -1)
    return ArrayReader(pixels, name="x.tif", pixel_size=None, is_rgb=is_rgb, channel_names=names)


def choose(names, channels, *chosen, is_rgb=False):
    model = ModelInfo("cyto3", "cellpose", channels=channels)
    pick = ChannelPick.choose(image(*names, is_rgb=is_rgb).info, model, *chosen)
    return pick.index, pick.nuclear


RGB = ("Red", "Green", "Blue")


@pytest.mark.parametrize(
    ("names", "chosen", "expected"),
    [
        pytest.param(["any"], (), (0, None), id="one-channel"),
        pytest.param(["DAPI", "FITC"], (), (1, 0), id="the-other-one-shows-cells"),
        pytest.param(["FITC", "Hoechst 33342"], (), (0, 1), id="nuclei-last"),
        pytest.param(["DAPI", "CD3", "Phalloidin"], (), (2, 0), id="a-stain-of-cells"),
        pytest.param(["CD3", "PanCK", "E-cadherin"], (), (2, None), id="no-nuclei"),
        pytest.param(["DAPI", "CD3", "CD8"], (2,), (2, None), id="one-channel-by-the-user"),
        pytest.param(["DAPI", "CD3", "CD8"], (2, 0), (2, 0), id="both-by-the-user"),
        pytest.param(["a", "b"], (None, 1), (0, 1), id="nuclei-by-the-user"),
        pytest.param(["DAPI", "NucRed DNA", "Actin"], (None, 1), (2, 1), id="which-of-two-nuclei"),
    ],
)
@pytest.mark.parametrize("channels", ["cells", "rgb-or-cells"])
def test_cells_and_nuclei(names, chosen, expected, channels):
    assert choose(names, channels, *chosen) == expected


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["DAPI", "CD3", "CD8"], (), id="two-might-be-cells"),
        pytest.param(["DAPI", "Actin", "Tubulin"], (), id="two-stains-of-cells"),
        pytest.param(["DAPI", "Hoechst", "Actin"], (), id="two-of-nuclei"),
        pytest.param(["a", "b"], (), id="names-say-nothing"),
    ],
)
def test_where_names_do_not_tell_the_user_is_asked(names, chosen):
    with pytest.raises(ImageError, match=r"which one shows cells.*0 = .*--nuclear-channel"):
        choose(names, "cells", *chosen)


@pytest.mark.parametrize(
    ("channels", "chosen", "words"),
    [
        pytest.param("cells", (5,), "no channel 5", id="no-such-channel"),
        pytest.param("cells", (0, 9), "no channel 9", id="no-such-nuclear-channel"),
        pytest.param("cells", (1, 1), "cannot show both", id="one-for-both"),
        pytest.param("gray", (0, 1), "no nuclear channel beside", id="a-model-of-one-channel"),
        pytest.param("rgb", (None, 1), "no nuclear channel beside", id="a-model-of-colour"),
    ],
)
def test_what_cannot_be_chosen(channels, chosen, words):
    with pytest.raises(ImageError, match=words):
        choose(["DAPI", "FITC"], channels, *chosen)


@pytest.mark.parametrize(
    ("channels", "chosen", "n_seen"),
    [
        pytest.param("cells", (), 1, id="cells-see-grey"),
        pytest.param("rgb-or-cells", (), 3, id="colour"),
        pytest.param("cells", (1, 2), 2, id="green-cells-blue-nuclei"),
        pytest.param("rgb-or-cells", (1,), 1, id="green-alone"),
    ],
)
def test_colour_images(channels, chosen, n_seen):
    reader = image(*RGB, is_rgb=True)
    pick = ChannelPick.choose(reader.info, ModelInfo("x", "y", channels=channels), *chosen)
    assert pick.apply(reader.read(reader.info.box)).shape == (2, 2, n_seen)


def test_cells_come_before_nuclei():
    reader = image("DAPI", "FITC")
    pixels = reader.read(reader.info.box)
    pick = ChannelPick(1, nuclear=0)
    assert np.array_equal(pick.apply(pixels), pixels[..., ::-1])
    assert pick.words(reader.info) == "cells in 1 = FITC, nuclei in 0 = DAPI"
    assert ChannelPick(0).words(reader.info) == "0 = DAPI"
    assert ChannelPick(0).words(image("grey").info) == ""
