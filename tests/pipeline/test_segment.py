"""The pipeline's law (cut, then merged, equals whole) and its manners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, CancelToken, PixelSize, Segmenter, Thresholds
from napari_histo.errors import Cancelled, ImageError, PixelSizeUnknownError
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from support.lattice import LatticeSegmenter, finish


def noise(height, width, *, seed=0, channels=1, dtype=np.uint16):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4000, (height, width, channels)).astype(dtype)


def reader_of(pixels, *, um=0.5):
    size = None if um is None else PixelSize.square(um)
    return ArrayReader(pixels, name="noise", pixel_size=size, is_rgb=False)


def run(reader, model, **request):
    request.setdefault("seed", 7)
    return finish(segment(reader, model, SegmentRequest(**request)))[0]


def same_objects(a, b):
    rows_a, rows_b = (np.lexsort(t.object_id.T) for t in (a, b))
    return (
        len(a) == len(b)
        and (a.object_id[rows_a] == b.object_id[rows_b]).all()
        and (a.contours.take(rows_a).xy == b.contours.take(rows_b).xy).all()
    )


def test_the_fake_keeps_the_protocol():
    assert isinstance(LatticeSegmenter(), Segmenter)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    height=st.integers(9, 150),
    width=st.integers(9, 150),
    tile_px=st.integers(8, 160),
    radius_px=st.floats(1.0, 12.0),
    um=st.sampled_from([0.5, 0.25, 0.3, 1.0, 0.77]),
    nms=st.sampled_from([0.0, 0.2, 0.5, 0.9]),
)
def test_tiled_equals_untiled(seed, height, width, tile_px, radius_px, um, nms):
    reader = reader_of(noise(height, width, seed=seed), um=um)
    model = LatticeSegmenter(radius_px=radius_px)
    thresholds = Thresholds(0.5, nms)
    whole = run(reader, model, thresholds=thresholds, tile_px=100_000)
    tiled = run(reader, model, thresholds=thresholds, tile_px=tile_px)
    assert same_objects(whole.table, tiled.table)


def test_the_law_is_tested_on_something():
    whole = run(reader_of(noise(150, 150)), LatticeSegmenter(), tile_px=100_000)
    assert len(whole.table) > 50


def test_region_keeps_what_the_whole_image_shows_inside_it():
    reader, model = reader_of(noise(120, 160)), LatticeSegmenter()
    region = Box(40, 30, 64, 48)
    part = run(reader, model, region=region).table
    assert len(part)
    anchors = part.centroids
    assert (anchors > np.array([region.x, region.y]) - 5).all()
    assert (anchors < np.array([region.right, region.bottom]) + 5).all()


@pytest.mark.parametrize(
    ("um", "factor"), [(0.5, 1.0), (0.25, 2.0), (1.0, 0.5)], ids=["same", "finer", "coarser"]
)
def test_coordinates_are_full_resolution_pixels(um, factor):
    """One bright blob, seen at the model's scale, comes back where it lies in the image."""
    pixels = np.full((200, 320, 1), 100, np.uint16)
    pixels[95:105, 195:205] = 4000
    found = run(reader_of(pixels, um=um), LatticeSegmenter(radius_px=6.0)).table
    assert len(found)
    spread = np.abs(found.centroids - (200, 100)).max()
    assert spread < 12 * max(1.0, factor)


def test_objects_stay_inside_the_image():
    found = run(reader_of(noise(60, 90)), LatticeSegmenter(radius_px=12.0)).table
    assert found.contours.xy.min() >= 0
    assert (found.contours.xy <= (90, 60)).all()


class TestReselect:
    @pytest.fixture
    def result(self):
        return run(
            reader_of(noise(90, 90)),
            LatticeSegmenter(),
            thresholds=Thresholds(0.6, 0.3),
            min_prob=0.4,
        )

    @pytest.mark.parametrize("prob", [0.45, 0.6, 0.8, 0.99])
    @pytest.mark.parametrize("nms", [0.1, 0.3, 0.7])
    def test_is_what_a_fresh_run_finds(self, result, prob, nms):
        fresh = run(reader_of(noise(90, 90)), LatticeSegmenter(), thresholds=Thresholds(prob, nms))
        assert same_objects(result.reselect(Thresholds(prob, nms)).table, fresh.table)

    def test_there_and_back_again(self, result):
        back = result.reselect(Thresholds(0.9, 0.1)).reselect(result.thresholds)
        assert same_objects(back.table, result.table)

    def test_runs_no_network(self, result):
        model = result._model
        before = model.calls
        result.reselect(Thresholds(0.8, 0.5))
        assert model.calls == before

    def test_says_how_low_it_can_go(self, result):
        assert 0.4 < result.min_prob < 0.6


class TestManners:
    def test_progress_counts_tiles(self):
        work = segment(reader_of(noise(64, 96)), LatticeSegmenter(), SegmentRequest(tile_px=32))
        _, steps = finish(work)
        assert [s.total for s in steps] == [6] * len(steps)
        assert [s.done for s in steps] == [0, 1, 2, 3, 4, 5, 6, 6]

    def test_cancel_stops_before_the_next_tile(self):
        cancel, model = CancelToken(), LatticeSegmenter()
        work = segment(reader_of(noise(64, 96)), model, SegmentRequest(tile_px=32), cancel)
        for step in work:
            if step.done == 2:
                break
        cancel.cancel()
        with pytest.raises(Cancelled, match="kept"):
            next(work)
        assert model.calls == 2

    def test_memory_holds_two_tiles_not_the_slide(self):
        """No read is larger than a tile with its margins, however large the image."""
        reads = []

        class Watched(ArrayReader):
            def read(self, box, level=0):
                reads.append(box.area)
                return super().read(box, level)

        reader = Watched(
            noise(4100, 1100), name="x", pixel_size=PixelSize.square(0.5), is_rgb=False
        )
        run(reader, LatticeSegmenter(radius_px=1.0), tile_px=256, thresholds=Thresholds(0.99, 0.3))
        assert max(reads) <= (256 + 2 * 4 + 4) ** 2


class TestBadInput:
    def test_unknown_pixel_size_asks(self):
        with pytest.raises(PixelSizeUnknownError, match=r"--pixel-size"):
            run(reader_of(noise(50, 50), um=None), LatticeSegmenter())

    def test_the_users_pixel_size_wins(self):
        a = run(
            reader_of(noise(50, 50), um=None), LatticeSegmenter(), pixel_size=PixelSize.square(0.5)
        )
        b = run(
            reader_of(noise(50, 50), um=9.9), LatticeSegmenter(), pixel_size=PixelSize.square(0.5)
        )
        assert same_objects(a.table, b.table)

    def test_region_outside(self):
        with pytest.raises(ImageError, match="outside"):
            run(reader_of(noise(50, 50)), LatticeSegmenter(), region=Box(60, 0, 10, 10))

    def test_many_channels_ask_which(self):
        five = ArrayReader(
            noise(40, 40, channels=5), name="panel.tif", pixel_size=PixelSize.square(0.5)
        )
        with pytest.raises(ImageError, match=r"panel\.tif has 5 channels of uint16"):
            run(five, LatticeSegmenter(channels="gray"))
        assert len(run(five, LatticeSegmenter(channels="gray"), channel=3).table)

    def test_rgb_model_refuses_fluorescence(self):
        with pytest.raises(ImageError, match="fluo-nuclei"):
            run(reader_of(noise(40, 40)), LatticeSegmenter(channels="rgb"))

    def test_nan_is_background(self):
        pixels = noise(60, 60, dtype=np.float32)
        hole = pixels.copy()
        hole[20:40, 20:40] = np.nan
        found = run(reader_of(hole), LatticeSegmenter(radius_px=2.0)).table
        inside = (np.abs(found.centroids - 30) < 6).all(axis=1)
        assert len(found)
        assert not inside.any()

    @pytest.mark.parametrize("value", [0, 7, 65535])
    def test_constant_image_has_no_objects(self, value):
        assert (
            len(run(reader_of(np.full((50, 50, 1), value, np.uint16)), LatticeSegmenter()).table)
            == 0
        )

    @pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
    def test_tiny_images_are_no_error(self, shape):
        run(reader_of(noise(*shape)), LatticeSegmenter())
