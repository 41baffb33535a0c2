"""A drawn slide through everything: tissue, tiles, a shipped network, seams, one file."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_histo.models import load_model
from napari_histo.pipeline import RunRequest, SegmentRequest, segment_slide
from napari_histo.pipeline.tissue import find_tissue
from napari_histo.slides import open_slide
from napari_histo.store import load_objects
from napari_histo.testing.synthetic import Library, write_slide
from support.lattice import finish

pytestmark = pytest.mark.slow
#: Of what is found and what is true, full-resolution px.
_NEAR_PX = 6


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "s.ome.tif"
    return write_slide(path, 3600, 3000, seed=5, library=Library.draw(1), region_px=1500)


@pytest.mark.parametrize("tile_px", [512, 700, 333], ids="tiles of {} px".format)
def test_every_nucleus_is_found_once_whatever_the_tiles(slide, tmp_path, tile_px):
    """No grid cuts, doubles or loses one; tiles of a network that works at 0.5 µm/px."""
    model = load_model("he-nuclei-fast", device="cpu")
    with open_slide(slide.path) as reader:
        request = RunRequest(SegmentRequest(tile_px=tile_px, seed=1), find_tissue(reader))
        done, _ = finish(segment_slide(reader, model, tmp_path / "run", request))
    found, truth = load_objects(done.objects), slide.nuclei
    assert len(truth) > 800
    assert abs(len(found) - len(truth)) <= 0.005 * len(truth)
    distance, which = cKDTree(found.centroids).query(truth.centroids)
    hit = distance < _NEAR_PX
    assert hit.mean() > 0.995
    assert len(np.unique(which[hit])) == hit.sum()
    ratio = found.contours.areas_px[which[hit]] / truth.contours.areas_px[hit]
    assert np.quantile(ratio, 0.01) > 0.7  # a nucleus that was cut would have half its area
