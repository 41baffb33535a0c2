"""Maps become areas and lose their specks; inputs are told in shares of a slide's own stain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_histo.core import Box, ClassScheme, ObjectTable
from napari_histo.core.regions import RegionMap
from napari_histo.ops.region_input import RegionInput
from napari_histo.ops.regions import region_areas, without_specks
from napari_histo.store import rasterise


def region_map(labels, pixel_um=2.0, scale=(4.0, 4.0)):
    labels = np.asarray(labels, np.uint8)
    confidence = np.full_like(labels, 200)
    return RegionMap(labels, confidence, scale, (pixel_um, pixel_um), ClassScheme.of("A", "B"))


@given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 2)))
def test_areas_drawn_again_are_the_map(labels):
    contours, class_id = region_areas(region_map(labels), smooth=False)
    drawn = rasterise(
        ObjectTable.build(contours), Box(0, 0, 28, 24), downsample=4, values=class_id + 1
    )
    np.testing.assert_array_equal(drawn, labels)


def test_holes_stay_holes_when_outlines_are_smoothed():
    labels = np.ones((40, 40), np.uint8)
    labels[10:30, 10:30] = 0
    labels[15:25, 15:25] = 2
    contours, class_id = region_areas(region_map(labels))
    assert class_id.tolist() == [0, 1]
    np.testing.assert_allclose(contours.areas_px / 16, [1200, 100])


def test_specks_and_holes_become_what_is_around_them():
    labels = np.zeros((30, 40), np.uint8)
    labels[:, 10:] = 1
    labels[5:8, 2:5] = 2  # on glass, 9 px of 4 µm²
    labels[20:22, 20:22] = 0  # a hole, 4 px
    labels[10:20, 25:35] = 2  # 100 px
    answer = without_specks(region_map(labels), 40).labels
    expected = np.zeros((30, 40), np.uint8)
    expected[:, 10:] = 1
    expected[10:20, 25:35] = 2
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("least", [0, 1e9], ids=["none-small", "all-small"])
def test_a_map_stays_where_nothing_or_all_is_small(least):
    regions = region_map([[0, 1], [2, 1]])
    assert without_specks(regions, least) is regions


class TestInput:
    """Slides of weaker and stronger stain look alike to a network."""

    def density(self, seed=0):
        rng = np.random.default_rng(seed)
        tissue = rng.uniform(0.1, 0.6, (4000, 1)) * [[0.7, 1.0, 0.5]]
        return np.concatenate([tissue, np.zeros((2000, 3))])

    @pytest.mark.parametrize("strength", [0.6, 1.5])
    def test_of_stain_strength(self, strength):
        usual = 240 * 10 ** -self.density()
        other = 230 * 10 ** (-self.density() * strength)
        one, two = (RegionInput.from_samples(v, is_rgb=True).apply(v) for v in (usual, other))
        np.testing.assert_allclose(one, two, atol=0.02)
        assert np.quantile(one[:4000], 0.9) == pytest.approx(1, abs=0.01)
        assert abs(one[4000:]).max() < 0.01

    def test_empty_glass_is_not_stretched(self):
        glass = np.random.default_rng(0).normal(240, 3, (500, 3))
        seen = RegionInput.from_samples(glass, is_rgb=True).apply(glass)
        assert seen.max() < 0.06

    def test_channels_have_ranges_of_their_own(self):
        values = np.random.default_rng(0).uniform([0, 100], [10, 60000], (5000, 2))
        values[0] = np.nan
        seen = RegionInput.from_samples(values, is_rgb=False).apply(values)
        np.testing.assert_allclose(
            np.quantile(seen[1:], [0.01, 0.99], axis=0), [[0] * 2, [1] * 2], atol=0.02
        )
        assert not seen[0].any()
