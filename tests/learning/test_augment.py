"""What scanners and stains do to an image, drawn from a seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_histo.learning.course.augment import (
    fluo_colour,
    fluo_texture,
    he_colour,
    he_texture,
    jitter_range,
    stain_shift,
)


def image(channels=3, seed=0):
    values = np.random.default_rng(seed).uniform(0.2, 0.9, (channels, 32, 32))
    return torch.from_numpy(values.astype(np.float32))


COLOURS = [pytest.param(he_colour, 3, id="he"), pytest.param(fluo_colour, 1, id="fluo")]
TEXTURES = [pytest.param(he_texture, 3, id="he"), pytest.param(fluo_texture, 1, id="fluo")]


@pytest.mark.parametrize(("draw", "channels"), COLOURS)
@pytest.mark.parametrize("seed", range(12))
def test_one_draw_of_colour_does_the_same_to_a_patch_and_to_its_pixels(draw, channels, seed):
    x = image(channels)
    colour = draw(np.random.default_rng(seed))
    torch.testing.assert_close(colour(x).reshape(channels, -1), colour(x.reshape(channels, -1)))


@pytest.mark.parametrize(("draw", "channels"), COLOURS)
def test_colours_differ_from_draw_to_draw_and_stay_in_range(draw, channels):
    rng = np.random.default_rng(0)
    found = [draw(rng)(image(channels)) for _ in range(20)]
    assert all(float(f.min()) >= -0.01 and float(f.max()) <= 1.6 for f in found)
    assert np.std([float(f.mean()) for f in found]) > 0.02


@pytest.mark.parametrize(("texture", "channels"), TEXTURES)
def test_texture_keeps_the_shape_and_follows_the_seed(texture, channels):
    x = image(channels)
    for seed in range(20):
        first, second = (texture(x, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == x.shape
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        assert bool(first.isfinite().all())


def test_stains_as_they_are_change_nothing():
    x = image()
    torch.testing.assert_close(stain_shift(1.0, 1.0)(x), x)


def test_more_haematoxylin_is_darker():
    x = image()
    assert float(stain_shift(1.4, 1.0)(x).mean()) < float(x.mean())


def test_a_moved_range_keeps_the_order_of_pixels():
    x = image()
    moved = jitter_range(x, np.random.default_rng(3))
    assert not torch.equal(moved, x)
    torch.testing.assert_close(moved.flatten().argsort(), x.flatten().argsort())
