"""Steps of the classical model by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.models._watershed import contrasts, local_otsu, means, noise, part


def _two_hills(shape: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(0)
    high = rng.uniform(size=shape) < 0.3
    return np.where(high, 0.7, 0.2).astype(np.float32) + rng.normal(0, 0.03, shape).astype("f4")


def test_one_block_gives_the_threshold_of_scikit_image() -> None:
    from skimage.filters import threshold_otsu

    signal = _two_hills((40, 50))
    found = local_otsu(signal, block_px=64, reach=1, top=1.0)
    assert np.ptp(found) == 0
    assert ((signal > found) == (signal > threshold_otsu(signal))).all()


def test_threshold_follows_the_neighbourhood() -> None:
    slope = np.linspace(1, 0.3, 256, dtype=np.float32)
    signal = _two_hills((256, 256)) * slope
    found = local_otsu(signal, block_px=32, reach=1, top=1.0)
    assert found[128, 16] > 1.5 * found[128, 240]


@given(st.integers(0, 3), st.integers(0, 3))
def test_blocks_of_a_piece_agree_with_those_of_the_whole(rows: int, columns: int) -> None:
    signal = _two_hills((256, 256))
    y, x = 16 * rows, 16 * columns
    whole = local_otsu(signal, block_px=16, reach=1, top=1.0)
    piece = local_otsu(signal[y : y + 160, x : x + 160], block_px=16, reach=1, top=1.0)
    inner = np.s_[48:112, 48:112]
    assert np.array_equal(piece[inner], whole[y : y + 160, x : x + 160][inner])


@pytest.mark.parametrize(
    ("hole", "filled"), [pytest.param(2, True, id="small"), pytest.param(8, False, id="large")]
)
def test_small_holes_are_filled(hole: int, filled: bool) -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    mask[30 - hole : 30 + hole, 30 - hole : 30 + hole] = False
    labels = part(mask, mask.astype(np.float32), seed_px=3, hole_px=30, neck=0.88)
    assert bool(labels[30, 30]) == filled
    assert (labels[mask] > 0).mean() > 0.98


def test_numbers_cover_the_mask_and_nothing_else() -> None:
    mask = _two_hills((80, 80)) > 0.5
    labels = part(mask, mask.astype(np.float32), seed_px=3, hole_px=0, neck=0.88)
    assert (labels > 0).sum() <= mask.sum()
    assert not labels[~mask].any()


def test_contrast_is_the_height_over_the_ring() -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[10:20, 10:20] = 2
    signal = np.where(labels > 0, 0.9, 0.2).astype(np.float32)
    found = contrasts(labels, signal, np.full_like(signal, 0.5), ring_px=2)
    assert found[2] == pytest.approx(0.7)
    filled = np.ones((8, 8), np.int32)
    alone = contrasts(filled, np.full((8, 8), 0.9, "f4"), np.full((8, 8), 0.5, "f4"), ring_px=2)
    assert alone[1] == pytest.approx(0.8)


def test_noise_is_measured_whatever_the_slope() -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 5, 300, dtype=np.float32)
    values = (slope + slope[:, None] + rng.normal(0, 0.2, (300, 300))).astype(np.float32)
    assert noise(values)[1:-1, 1:-1].mean() == pytest.approx(0.2, rel=0.03)


def test_mean_of_no_pixels_is_nan() -> None:
    found = means(np.array([[0, 2]], np.int32), np.array([[1.0, 3.0]], np.float32), 3)
    assert found[[0, 2]].tolist() == [1, 3]
    assert np.isnan(found[1])
