"""Colours that can be told from the tissue."""

from __future__ import annotations

import pytest

from napari_histo.plugin.theme import line_colour


@pytest.mark.parametrize(
    ("rgb", "drawn"),
    [
        pytest.param((200, 0, 0), (200, 0, 0), id="as it is"),
        pytest.param((150, 200, 150), (150, 200, 150), id="pale"),
        pytest.param((160, 90, 160), (255, 65, 255), id="haematoxylin's own"),
        pytest.param((50, 50, 50), (215, 215, 215), id="dark"),
    ],
)
def test_lines_stand_out_from_the_stains(rgb, drawn):
    assert line_colour(rgb) == drawn
