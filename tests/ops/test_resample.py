"""Resampling agrees with Pillow and, at seams, with itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_histo.core import Box
from napari_histo.ops.resample import resample, source_box

EXTENT = Box(0, 0, 83, 61)
PIXELS = np.random.default_rng(0).random((61, 83, 2)).astype(np.float32)


def targets_of(scale):
    return EXTENT.scale(1 / scale[0], 1 / scale[1])


@pytest.mark.parametrize("scale", [(2.0, 2.0), (0.5, 0.5), (1.3, 1.7), (0.4, 3.1)], ids=str)
def test_equals_pillow(scale):
    """Pillow's BILINEAR with a fractional box is the same filter, away from the right edge."""
    whole = targets_of(scale)
    inside = Box(0, 0, int(EXTENT.width / scale[0]), int(EXTENT.height / scale[1]))
    mine = resample(PIXELS, EXTENT, whole, scale)[: inside.height, : inside.width]
    for channel in range(2):
        theirs = Image.fromarray(PIXELS[..., channel]).resize(
            (inside.width, inside.height),
            Image.Resampling.BILINEAR,
            box=(0, 0, inside.width * scale[0], inside.height * scale[1]),
        )
        np.testing.assert_allclose(mine[..., channel], np.asarray(theirs), atol=2e-5)


@settings(max_examples=60, deadline=None)
@given(
    scale_x=st.floats(0.3, 4.0),
    scale_y=st.floats(0.3, 4.0),
    left=st.integers(0, 200),
    top=st.integers(0, 150),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
)
@example(1.0, 2.25, 0, 27, 1, 1)  # a last row that is centred beyond the image
def test_a_part_is_the_part_of_the_whole(scale_x, scale_y, left, top, width, height):
    scale = (scale_x, scale_y)
    whole = targets_of(scale)
    part = Box(left, top, width, height).intersect(whole)
    if part.is_empty:
        return
    source = source_box(part, scale, EXTENT)
    cut = PIXELS[source.y : source.bottom, source.x : source.right]
    of_whole = resample(PIXELS, EXTENT, whole, scale)
    expected = of_whole[part.y : part.bottom, part.x : part.right]
    assert (resample(cut, source, part, scale) == expected).all()


def test_scale_one_copies_nothing():
    assert resample(PIXELS, EXTENT, EXTENT, (1.0, 1.0)) is PIXELS


@pytest.mark.parametrize("scale", [(2.0, 2.0), (0.25, 0.25), (1.5, 0.7)], ids=str)
def test_a_constant_stays_constant(scale):
    flat = np.full((61, 83, 1), 7.25, np.float32)
    np.testing.assert_allclose(resample(flat, EXTENT, targets_of(scale), scale), 7.25, rtol=1e-6)
