"""Stains: amounts come back from colours, and only brown counts as DAB."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histo.ops.stain import (
    HED_FROM_OD,
    OD_FROM_HED,
    brightest,
    is_gray,
    nuclear_density,
    optical_density,
)

amounts = st.floats(0, 0.8, allow_nan=False)


@given(amounts, amounts, amounts)
def test_amounts_of_stain_come_back_from_the_light(h: float, e: float, d: float) -> None:
    light = 10 ** -(np.array([h, e, d]) @ OD_FROM_HED)
    assert optical_density(light, least=1e-9) @ HED_FROM_OD == pytest.approx([h, e, d], abs=1e-5)


def test_numbers_are_those_of_scikit_image() -> None:
    from skimage.color import rgb_from_hed

    assert np.array_equal(OD_FROM_HED, rgb_from_hed)


def test_density_of_black_is_bounded() -> None:
    assert optical_density(np.zeros(3)) == pytest.approx(np.log10(255))
    assert optical_density(np.array([1.0, 2.0])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("stain", "expected"),
    [
        pytest.param((0.5, 0.0, 0.0), 0.5, id="haematoxylin"),
        pytest.param((0.5, 0.3, 0.0), 0.5, id="H&E"),
        pytest.param((0.0, 0.6, 0.0), 0.0, id="eosin"),
        pytest.param((0.0, 0.0, 0.7), 0.7, id="DAB"),
        pytest.param((0.5, 0.3, 0.05), 0.5, id="H&E with a residue"),
    ],
)
def test_what_counts_as_nucleus(stain: tuple[float, float, float], expected: float) -> None:
    assert nuclear_density(np.array(stain) @ OD_FROM_HED) == pytest.approx(expected, abs=1e-6)


def test_gray_is_gray_but_for_the_odd_pixel() -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(rng.uniform(size=(50, 50, 1)), 3, axis=2)
    assert is_gray(image)
    image[0, :10, 0] += 0.5
    assert is_gray(image)
    image[:5, :, 0] += 0.5
    assert not is_gray(image)
    assert is_gray(np.zeros((0, 4, 3)))


def test_brightest_is_the_maximum_over_channels() -> None:
    image = np.random.default_rng(0).normal(size=(5, 7, 4))
    assert np.array_equal(brightest(image), image.max(axis=2))
