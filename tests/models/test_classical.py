"""The classical model: what it finds, what it must not invent, and that tiles do not show."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.core import Box, Contours, PixelSize, Segmenter, Thresholds, TileGrid
from napari_histo.models._classical import CLASSICAL_INFO, ClassicalSegmenter
from napari_histo.ops.stain import OD_FROM_HED
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from support.lattice import finish

_HAEMATOXYLIN, _EOSIN, _DAB = OD_FROM_HED


def _discs(size: int, radius: float, step: int) -> tuple[NDArray[np.float32], int]:
    """Soft discs of height 1 on a lattice, and how many there are."""
    grid = np.arange(size) % step - (step - 1) / 2
    distance = np.hypot(grid[:, None], grid[None, :])
    discs = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    return discs, (size // step) ** 2


def _stained(
    nuclei: NDArray[np.float32], stain: NDArray[np.float64], ground: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Nuclei of one stain on a faint ground of another, as a share of light; (h, w, 3)."""
    od = 0.7 * nuclei[..., None] * stain + 0.1 * ground
    light = (10**-od).astype(np.float32)
    return (light - light.min()) / (1 - light.min())


def _find(image: NDArray[np.float32], **options: str) -> Contours:
    model = ClassicalSegmenter(**options)  # type: ignore[arg-type]
    return model.segment(image[None])[0].contours


def _noise(shape: tuple[int, ...], sd: float, mean: float) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(mean, sd, shape)
    return noise.astype(np.float32)


NUCLEI, N_NUCLEI = _discs(192, 6, 24)


def test_it_is_a_segmenter() -> None:
    assert isinstance(ClassicalSegmenter(), Segmenter)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(NUCLEI[..., None], id="gray fluorescence"),
        pytest.param(1 - 0.7 * NUCLEI[..., None], id="gray brightfield"),
        pytest.param(np.repeat(NUCLEI[..., None], 3, 2), id="gray stored as RGB"),
        pytest.param(NUCLEI[..., None] * np.array([0, 0.1, 1], np.float32), id="blue on black"),
        pytest.param(_stained(NUCLEI, _HAEMATOXYLIN, _EOSIN), id="H&E"),
        pytest.param(_stained(NUCLEI, _DAB, _HAEMATOXYLIN), id="nuclear DAB"),
    ],
)
def test_finds_discs_where_they_are(image: NDArray[np.float32]) -> None:
    contours = _find(image.astype(np.float32))
    assert len(contours) == N_NUCLEI
    offset = contours.centroids % 24 - 12
    assert np.abs(offset).max() < 0.6
    assert contours.areas_px == pytest.approx(np.pi * 36, rel=0.25)


def test_touching_discs_are_parted() -> None:
    y, x = np.mgrid[:64, :96]
    two = np.minimum(np.hypot(y - 32, x - 36), np.hypot(y - 32, x - 56)) < 11
    assert len(_find(two.astype(np.float32)[..., None])) == 2


@pytest.mark.parametrize("squeeze", [1.0, 0.6], ids=["round", "oval"])
def test_one_nucleus_stays_whole(squeeze: float) -> None:
    y, x = np.mgrid[:64, :96]
    one = np.hypot((y - 32) / squeeze, x - 48) < 20
    assert len(_find(one.astype(np.float32)[..., None])) == 1


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(np.zeros((64, 64, 1), np.float32), id="black"),
        pytest.param(np.ones((64, 64, 3), np.float32), id="white"),
        pytest.param(np.full((64, 64, 3), np.nan, np.float32), id="NaN"),
        pytest.param(np.ones((1, 1, 3), np.float32), id="one pixel"),
        pytest.param(np.ones((1, 300, 1), np.float32), id="one row"),
        pytest.param(np.zeros((0, 0, 3), np.float32), id="no pixel"),
        pytest.param(_noise((256, 256, 3), 0.03, 0.95), id="glass"),
        pytest.param(_noise((256, 256, 1), 0.19, 0.45), id="camera noise, stretched"),
    ],
)
def test_invents_nothing(image: NDArray[np.float32]) -> None:
    assert len(_find(image)) == 0


def test_survives_a_few_bad_pixels() -> None:
    image = NUCLEI[..., None].copy()
    image[::50, ::50] = np.nan
    image[5, 5] = np.inf
    assert abs(len(_find(image)) - N_NUCLEI) <= 2


def test_the_user_may_say_which_way_nuclei_differ() -> None:
    holes = 1 - NUCLEI[..., None]
    assert len(_find(holes, polarity="dark")) == N_NUCLEI
    assert len(_find(NUCLEI[..., None], polarity="bright")) == N_NUCLEI
    assert len(_find(NUCLEI[..., None], polarity="dark")) != N_NUCLEI


def test_score_follows_contrast_and_the_threshold_filters_by_it() -> None:
    fading = NUCLEI * np.linspace(0.2, 1.0, NUCLEI.shape[1], dtype=np.float32)
    model = ClassicalSegmenter()
    found = model.propose(fading[None, ..., None], 0.0)[0]
    assert np.corrcoef(found.points[:, 0], found.prob)[0, 1] > 0.9
    assert ((found.prob >= 0) & (found.prob < 1)).all()
    kept = model.select(found, Thresholds(prob=float(np.median(found.prob))))
    assert 0 < len(kept) < len(found)
    assert found.prob[kept].min() > np.median(found.prob)


def test_rows_agree() -> None:
    found = ClassicalSegmenter().propose(NUCLEI[None, ..., None], 0.5)[0]
    assert found.contours is not None
    assert np.allclose(found.points, found.contours.centroids, atol=0.3)
    table = ClassicalSegmenter().draw(found)
    assert table.det_prob.tolist() == found.prob.tolist()
    assert set(table.class_names) == {"Nucleus"}
    assert table.sources == (CLASSICAL_INFO.name,)


@pytest.mark.parametrize("tile_px", [128, 160])
def test_cut_then_merged_equals_whole(tile_px: int) -> None:
    rng = np.random.default_rng(3)
    size = 640
    away = np.ones((size, size), bool)
    away[tuple(rng.integers(0, size, (2, 400)))] = False
    image = np.exp(-((ndi.distance_transform_edt(away) / 7) ** 4)) + 0.2 * np.arange(size) / size
    image = (image + _noise((size, size), 0.02, 0.0))[..., None].astype(np.float32)
    model = ClassicalSegmenter(polarity="bright")
    whole = model.propose(image[None], 0.5)[0].points
    extent = Box(0, 0, size, size)
    grid = TileGrid(extent, extent, tile_px, margin_px=model.margin_px, align_px=model.align_px)
    points = []
    for tile in grid:
        read = tile.read
        found = model.propose(image[None, read.y : read.bottom, read.x : read.right], 0.5)[0]
        moved = found.shift(read.x, read.y).points
        points.append(moved[grid.owner_of(moved) == tile.index])
    merged = np.concatenate(points)
    assert len(whole) > 100
    assert sorted(map(tuple, merged.tolist())) == sorted(map(tuple, whole.tolist()))


@pytest.mark.parametrize("tile_px", [128, 200])
def test_tiles_of_different_looks_are_judged_alike(tile_px: int) -> None:
    """Left nearly empty, right crowded: what is dark and what is bright is the image's affair."""
    rng = np.random.default_rng(5)
    away = np.ones((384, 640), bool)
    away[tuple(rng.integers(0, 384, (2, 8)))] = False
    away[rng.integers(0, 384, 700), rng.integers(384, 640, 700)] = False
    light = 3000 * np.exp(-((ndi.distance_transform_edt(away) / 6) ** 4))
    image = (200 + light + rng.normal(0, 30, light.shape)).astype(np.uint16)
    reader = ArrayReader(image, name="half", pixel_size=PixelSize.square(0.5), is_rgb=False)
    whole, tiled = (
        finish(segment(reader, ClassicalSegmenter(), SegmentRequest(tile_px=px, seed=1)))[0].table
        for px in (10_000, tile_px)
    )
    assert len(whole) > 50
    assert sorted(whole.uuids()) == sorted(tiled.uuids())
