"""The tissue of every pixel does not depend on tiles, memory or interruptions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, CancelToken, PixelSize
from napari_histo.errors import Cancelled, ImageError, ModelError, PixelSizeUnknownError
from napari_histo.ops.tissue import TissueMask
from napari_histo.pipeline.region_pixels import RegionPixels
from napari_histo.pipeline.regions import RegionRequest, find_regions
from napari_histo.slides import ArrayReader
from support.regions import ByColour, drive, patches

READER, TRUTH = patches()


def found(model=None, reader=READER, **request):
    return drive(find_regions(reader, model or ByColour(), RegionRequest(**request)))[1]


@pytest.mark.parametrize("tile_px", [32, 50, 512], ids=["small", "odd", "one"])
def test_the_map_is_the_truth_whatever_the_tiles(tile_px):
    answer = found(tile_px=tile_px).map
    np.testing.assert_array_equal(answer.labels, TRUTH)
    assert set(np.unique(answer.confidence)) == {round(0.98 * 255)}
    assert answer.scale == (1, 1)
    assert answer.pixel_um == (4, 4)


def test_a_slide_of_finer_pixels_is_looked_at_in_the_models():
    fine = np.repeat(np.repeat(READER.read(Box(0, 0, 192, 192)), 4, 0), 4, 1)
    answer = found(reader=ArrayReader(fine, pixel_size=PixelSize.square(1.0))).map
    assert answer.labels.shape == TRUTH.shape
    assert answer.scale == (4, 4)
    assert (answer.labels == TRUTH).mean() > 0.93


def test_a_slide_without_a_pyramid_is_read_block_by_block(monkeypatch):
    fine = np.repeat(np.repeat(READER.read(Box(0, 0, 192, 192)), 4, 0), 4, 1)
    reader = ArrayReader(fine, pixel_size=PixelSize.square(1.0))
    whole = RegionPixels.of(reader, ByColour().info).read(Box(5, 7, 150, 100))
    monkeypatch.setattr("napari_histo.pipeline.region_pixels._BLOCK_PX", 128)
    parts = RegionPixels.of(reader, ByColour().info).read(Box(5, 7, 150, 100))
    np.testing.assert_array_equal(parts, whole)


def test_a_guide_of_large_pixels_works_on_a_slide_of_small_ones():
    image = np.full((256, 256, 3), 200, np.uint8)
    reader = ArrayReader(image, pixel_size=PixelSize.square(0.25))
    answer = found(ByColour(guide=ByColour(pixel_um=16.0)), reader).map
    assert answer.labels.shape == (16, 16)


def test_there_is_nothing_beyond_the_tissue():
    cells = np.zeros((6, 6), bool)
    cells[1:3, 2:5] = True
    model = ByColour(margin_px=0)
    answer = found(model, tissue=TissueMask(cells, (32.0, 32.0)), tile_px=32)
    inside = np.kron(cells, np.ones((32, 32))) > 0
    np.testing.assert_array_equal(answer.map.labels, np.where(inside, TRUTH, 0))
    assert not answer.map.confidence[~inside].any()
    assert answer.n_tiles == len(model.calls) == 6


def test_where_memory_runs_out_pieces_give_the_same():
    answer = found(ByColour(most_px=140 * 140), tile_px=192)
    np.testing.assert_array_equal(answer.map.labels, TRUTH)
    assert answer.notes == ("Memory ran out: going on in pieces of 96 px.",)


def test_without_any_memory_it_says_so():
    with pytest.raises(ModelError, match="Memory ran out"):
        found(ByColour(most_px=10))


def test_it_stops_when_cancelled():
    cancel = CancelToken()
    work = find_regions(READER, ByColour(), RegionRequest(tile_px=32), cancel)
    next(work)
    next(work)
    cancel.cancel()
    with pytest.raises(Cancelled):
        drive(work)


class TestGuided:
    """A coarse look first, a fine one where that is unsure or mixed."""

    def image(self):
        truth = np.zeros((512, 512), int)
        truth[:, 256:] = 1
        truth[250:, 256:] = 2
        image = np.array([(243, 243, 243), (225, 150, 190), (110, 90, 170)], np.uint8)[truth]
        return ArrayReader(image, pixel_size=PixelSize.square(4.0)), truth

    def test_clear_tiles_are_skipped_and_the_map_is_as_good(self):
        reader, truth = self.image()
        fine = ByColour(guide=ByColour(pixel_um=16.0))
        answer = found(fine, reader, tile_px=64)
        assert answer.n_tiles == 64
        assert 0 < answer.n_refined == len(fine.calls) < 32
        assert (answer.map.labels == truth).mean() > 0.999
        assert all(guide is not None for _, guide in fine.calls)

    def test_an_unsure_guide_skips_nothing(self):
        reader, truth = self.image()
        answer = found(ByColour(guide=ByColour(pixel_um=16.0, sure=0.6)), reader, tile_px=64)
        assert answer.n_refined == 64
        np.testing.assert_array_equal(answer.map.labels, truth)

    def test_nothing_is_skipped_where_nothing_is_sure_enough(self):
        reader, _ = self.image()
        fine = ByColour(guide=ByColour(pixel_um=16.0))
        assert found(fine, reader, tile_px=64, sure=1.1).n_refined == 64

    def test_the_fine_network_sees_the_coarse_answer_in_its_own_pixels(self):
        reader, truth = self.image()
        fine = ByColour(guide=ByColour(pixel_um=16.0), margin_px=0)
        found(fine, reader, tile_px=512, sure=1.1)
        ((shape, guide),) = fine.calls
        assert guide.shape == (1, *shape, 3)
        assert (guide[0].argmax(-1) == truth).mean() > 0.98


@pytest.mark.parametrize(
    ("reader", "error", "words"),
    [
        pytest.param(
            ArrayReader(np.zeros((64, 64, 3), np.uint8)),
            PixelSizeUnknownError,
            "--pixel-size",
            id="no-pixel-size",
        ),
        pytest.param(
            ArrayReader(np.zeros((64, 64), np.uint16), pixel_size=PixelSize.square(4.0)),
            ImageError,
            "RGB",
            id="no-colour",
        ),
    ],
)
def test_what_does_not_fit_is_told(reader, error, words):
    with pytest.raises(error, match=words):
        found(reader=reader)
