"""Drawn fields: the same from the same seed, and the truth is what it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from napari_histo.testing.synthetic import (
    HABITS,
    GlandField,
    make_gland_field,
    make_he_field,
)


def field(seed: int, pixel_um: float = 2.0, **options: object) -> GlandField:
    shape = options.pop("shape_px", (160, 200))
    return make_gland_field(np.random.default_rng(seed), shape, pixel_um, **options)  # type: ignore[arg-type]


def test_same_seed_same_field_other_seed_another() -> None:
    one, again, other = field(3), field(3), field(4)
    for name in ("image", "glands", "lumina"):
        assert np.array_equal(getattr(one, name), getattr(again, name))
    assert not np.array_equal(one.image, other.image)


@pytest.mark.parametrize("tissue", HABITS)
def test_each_tissue_has_glands_and_every_colour_of_them(tissue: str) -> None:
    fields = [field(seed, tissue=tissue) for seed in range(4)]
    assert all(f.tissue == tissue for f in fields)
    assert sum(f.glands.max() for f in fields) >= 8
    assert any(f.lumina.any() for f in fields)
    for f in fields:
        assert (f.image.shape, f.image.dtype) == ((160, 200, 3), np.uint8)
        assert (f.glands.dtype, f.lumina.dtype) == (np.int32, np.int32)
        assert f.image.std() > 8


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pixel_um=st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_glands_are_whole_and_hold_their_lumina(seed: int, pixel_um: float) -> None:
    f = field(seed, pixel_um, shape_px=(128, 144))
    count = int(f.glands.max())
    assert set(np.unique(f.glands[f.glands > 0])) == set(range(1, count + 1))
    assert np.array_equal(f.glands[f.lumina > 0], f.lumina[f.lumina > 0])
    for number in range(1, count + 1):
        gland = f.glands == number
        assert ndi.label(gland)[1] == 1
        assert (gland & (f.lumina != number)).any()
        holes = ndi.binary_fill_holes(gland) & ~gland
        assert (f.glands[holes] > 0).all()


@pytest.mark.parametrize("pixel_um", [0.5, 1.0, 2.0, 4.0])
def test_a_gland_is_as_wide_in_um_at_any_pixel_size(pixel_um: float) -> None:
    side = int(800 / pixel_um)
    f = make_gland_field(
        np.random.default_rng(5),
        (side, side),
        pixel_um,
        tissue="colon crypts across",
        diameter_um=(80, 80),
    )
    inner = np.setdiff1d(np.unique(f.glands), [f.glands[[0, -1]], f.glands[:, [0, -1]].T])
    areas = np.bincount(f.glands.ravel())[inner[inner > 0]] * pixel_um**2
    across = 2 * np.sqrt(np.median(areas) / np.pi)
    assert len(areas) > 5
    assert 55 < across < 100


def test_empty_lumina_are_whiter_than_the_lining() -> None:
    f = field(1, 1.0, shape_px=(256, 256), tissue="endometrium")
    grey = f.image.mean(axis=2)
    lining = (f.glands > 0) & (f.lumina == 0)
    assert grey[f.lumina > 0].mean() > grey[lining].mean() + 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"shape_px": (8, 300)}, "16 or more", id="small"),
        pytest.param({"pixel_um": 20.0}, "0.25 to 8", id="coarse"),
        pytest.param({"tissue": "brain"}, "choose one of", id="unknown"),
    ],
)
def test_what_cannot_be_drawn_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field(0, **options)  # type: ignore[arg-type]


def test_he_field_labels_are_the_rows_of_its_table() -> None:
    f = make_he_field(np.random.default_rng(2), 320)
    assert f.image.shape == (320, 320, 3)
    assert np.array_equal(np.unique(f.labels), np.arange(len(f.table) + 1))
    again = make_he_field(np.random.default_rng(2), 320)
    assert np.array_equal(f.image, again.image)
    assert f.table.uuids() == again.table.uuids()


def test_he_field_too_small_is_said() -> None:
    with pytest.raises(ValueError, match="256 or more"):
        make_he_field(np.random.default_rng(2), 100)
