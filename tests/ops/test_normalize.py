"""Percentile ranges: robust to NaN, to empty glass and to nothing at all."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.ops.normalize import Normalizer


def of(samples, percentiles=(1.0, 99.8), *, rgb=False):
    return Normalizer.from_samples(np.asarray(samples)[:, None], percentiles, is_8bit_rgb=rgb)


def test_percentiles_become_zero_and_one():
    samples = np.arange(1001, dtype=np.uint16)
    found = of(samples, (10, 90))
    np.testing.assert_allclose(found.apply(np.array([100, 500, 900])), [0, 0.5, 1], atol=1e-6)


def test_values_beyond_are_not_clipped():
    assert of(np.arange(101), (10, 90)).apply(np.array([100.0]))[0] > 1


def test_unsigned_values_below_the_range_become_negative_not_huge():
    found = of(np.arange(100, 200, dtype=np.uint8))
    assert -3 < found.apply(np.array([50], np.uint8))[0] < 0


def test_nan_is_left_out_and_becomes_background():
    samples = np.array([np.nan, 0, 1, np.inf, -np.inf], np.float32)
    assert of(samples, (0, 100)) == Normalizer(0.0, 1.0)
    assert of(samples, (0, 100)).apply(samples).tolist() == [0, 0, 1, 0, 0]


def test_a_few_bright_pixels_do_not_blind():
    """Fewer than 0.2 % are bright: the percentile alone would call all of them infinitely so."""
    samples = np.zeros(100_000, np.uint16)
    samples[:100] = 1000
    assert of(samples).apply(np.array([1000])) == pytest.approx(5.0, rel=0.01)


def test_empty_glass_is_not_stretched():
    glass = np.random.default_rng(0).integers(240, 246, 10_000).astype(np.uint8)
    assert of(glass, rgb=True).apply(glass).min() > 0.8
    assert of(glass).apply(glass).min() < 0.1


@pytest.mark.parametrize(
    "samples", [[], [np.nan], [5, 5, 5], [0], [65535] * 9], ids=["none", "nan", "flat", "0", "max"]
)
def test_degenerate_samples_give_a_usable_range(samples):
    found = of(np.asarray(samples, np.float32))
    assert np.isfinite(found.apply(np.array([1.0, 5.0], np.float32))).all()


def test_channels_share_a_range_or_have_their_own():
    samples = np.stack([np.arange(101), 10 * np.arange(101)], axis=1)
    alone, shared = (
        Normalizer.from_samples(samples, (0, 100), is_8bit_rgb=False, each_channel=each)
        for each in (True, False)
    )
    np.testing.assert_allclose(alone.apply(np.array([[100, 1000]])), [[1, 1]])
    np.testing.assert_allclose(shared.apply(np.array([[100, 1000]])), [[0.1, 1]])


def test_a_channel_that_shows_nothing_becomes_background():
    samples = np.stack([np.arange(50), np.full(50, 7)], axis=1)
    found = Normalizer.from_samples(samples, (1, 99), is_8bit_rgb=False, each_channel=True)
    assert not found.apply(samples)[:, 1].any()
