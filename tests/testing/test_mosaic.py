"""Generated slides: what is on disk is what the truth says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, PixelSize
from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.slides import open_slide
from napari_histo.store import load_objects
from napari_histo.testing.synthetic import make_patches, repeat_patch, write_slide
from napari_histo.testing.synthetic.mosaic_patches import GLASS, PATCH_PX
from support.lattice import finish


@pytest.fixture(scope="module")
def patches():
    return make_patches(2, seed=3)


@pytest.fixture(scope="module")
def slide(patches, tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "s.ome.tif"
    return write_slide(path, 5000, 4200, patches=patches, tissue=0.4, seed=1)


def test_levels_and_pixel_size(slide):
    with open_slide(slide.path) as reader:
        info = reader.info
        assert info.level_shapes == ((4200, 5000), (1050, 1250), (263, 313))
        assert info.pixel_size == PixelSize.square(0.25)
        assert info.is_rgb


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_shows_the_patches_where_the_layout_has_them(slide, level):
    with open_slide(slide.path) as reader:
        whole = reader.read(reader.info.level_box(level), level).astype(float)
    side = PATCH_PX // (1, 4, 16)[level]
    for (row, column), number in np.ndenumerate(slide.layout):
        shown = whole[row * side : (row + 1) * side, column * side : (column + 1) * side]
        expected = GLASS if number < 0 else slide.patches[number].image.mean(axis=(0, 1))
        assert np.abs(shown.mean(axis=(0, 1)) - expected).max() < 2
    assert np.abs(whole[4 * side :] - GLASS).mean() < 2


def test_the_truth_lies_on_dark_nuclei(slide):
    table = slide.truth()
    assert len(table) == slide.n_nuclei > 300
    with open_slide(slide.path) as reader:
        for x, y in table.centroids[::40]:
            red = reader.read(Box(int(x) - 3, int(y) - 3, 6, 6), 0)[..., 0].mean()
            assert red < 150


def test_the_same_seed_draws_the_same(patches, tmp_path):
    again = make_patches(2, seed=3)
    assert all((a.image == b.image).all() for a, b in zip(patches, again, strict=True))
    files = [tmp_path / f"{i}.ome.tif" for i in range(2)]
    slides = [write_slide(f, 2048, 2048, patches=patches, seed=5) for f in files]
    assert (slides[0].layout == slides[1].layout).all()


def test_tissue_is_found_where_it_is(slide):
    with open_slide(slide.path) as reader:
        mask = find_tissue(reader)
    assert mask.contains(slide.truth().centroids).all()
    glass = np.argwhere(slide.layout < 0)[:, ::-1] * PATCH_PX + PATCH_PX // 2
    assert mask.contains(glass).mean() < 0.2


def test_smaller_than_a_patch_is_glass(tmp_path):
    slide = write_slide(tmp_path / "s.ome.tif", 300, 200, patches=[])
    assert slide.n_nuclei == len(slide.truth()) == 0
    with open_slide(slide.path) as reader:
        assert np.abs(reader.read(reader.info.box, 0) - np.array(GLASS, float)).max() < 3


@pytest.mark.slow
@pytest.mark.parametrize("tile_px", [1024, 1400, 700], ids="tiles of {} px".format)
def test_every_nucleus_is_found_once_whatever_the_tiles(patches, tmp_path, tile_px):
    """No grid cuts, doubles or loses a nucleus; off the grid of the patches seams cross many."""
    slide = repeat_patch(tmp_path / "s.ome.tif", patches[0], 2, 2)
    model = load_model("he-nuclei-fast", device="cpu")
    with open_slide(slide.path) as reader:
        request = RunRequest(SegmentRequest(tile_px=tile_px // 2, seed=1))
        done, _ = finish(segment_slide(reader, model, tmp_path / "run", request))
    found = load_objects(done.objects)
    assert abs(len(found) - slide.n_nuclei) <= 0.005 * slide.n_nuclei
    truth = slide.truth()
    from scipy.spatial import cKDTree

    distance, which = cKDTree(found.centroids).query(truth.centroids)
    assert (distance < 4).mean() > 0.995
    assert len(np.unique(which[distance < 4])) == (distance < 4).sum()
    area = found.contours.areas_px[which[distance < 4]]
    ratio = area / truth.contours.areas_px[distance < 4]
    assert np.quantile(ratio, 0.01) > 0.7  # a nucleus that was cut would have half its area
