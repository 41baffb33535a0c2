"""The pipeline's law (cut, then merged, equals whole) and its manners."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, CancelToken, PixelSize, Proposals, Segmenter, Thresholds
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
    # Larger ones that hardly shadow each other are so many that one example takes minutes.
    height=st.integers(9, 80),
    width=st.integers(9, 80),
    tile_px=st.integers(12, 90),
    radius_px=st.floats(1.0, 6.0),
    um=st.sampled_from([0.5, 0.25, 0.3, 1.0, 0.77]),
    nms=st.sampled_from([0.0, 0.2, 0.5, 0.8]),
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


def spot(height, width, x, y, *, sigma):
    """A round spot whose brightest point is at (x, y), in pixel corners."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    bright = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return (100 + 4000 * bright).astype(np.uint16)[..., None]


def blocks(pixels, factor):
    """The level of a pyramid that a scanner would write: means of blocks, the rest cut off."""
    height, width = (n // factor for n in pixels.shape[:2])
    cut = pixels[: height * factor, : width * factor].astype(float)
    return cut.reshape(height, factor, width, factor, 1).mean(axis=(1, 3)).astype(pixels.dtype)


class BrightestPixel(LatticeSegmenter):
    """Proposes the centre of the brightest pixel alone."""

    def _propose(self, image, min_prob):
        y, x = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
        prob = np.float32([0.9 if image.max() > 0.9 else 0.1])
        star = {"dist": np.full((1, 8), 3, np.float32)}
        return Proposals(np.float32([[x, y]]), prob, star).take(prob > min_prob)


@pytest.mark.parametrize(
    ("um", "levels", "tolerance_px"),
    [
        pytest.param((0.5, 0.5), 1, 0.51, id="same"),
        pytest.param((0.25, 0.25), 1, 1.01, id="finer"),
        pytest.param((1.0, 1.0), 1, 0.51, id="coarser"),
        pytest.param((0.25, 0.5), 1, 1.01, id="oblong-pixels"),
        pytest.param((0.125, 0.125), 2, 2.01, id="pyramid"),
        pytest.param((0.1, 0.1), 2, 2.6, id="between-levels"),
    ],
)
@pytest.mark.parametrize("region", [None, Box(5000, 300, 1003, 103)], ids=["whole", "region"])
def test_objects_lie_where_the_image_shows_them(um, levels, tolerance_px, region):
    """To half a model pixel, at the far corner of a long image whose sides no factor divides."""
    pixels = spot(403, 6003, 5900.5, 371.5, sigma=6)
    pyramid = [pixels, blocks(pixels, 4)][:levels]
    reader = ArrayReader(pyramid, name="spot", pixel_size=PixelSize(*um), is_rgb=False)
    found = run(reader, BrightestPixel(), region=region).table
    assert len(found) == 1
    assert np.abs(found.centroids[0] - (5900.5, 371.5)).max() <= tolerance_px


def test_objects_stay_inside_the_image():
    found = run(reader_of(noise(60, 90)), LatticeSegmenter(radius_px=12.0)).table
    assert found.contours.xy.min() >= 0
    assert (found.contours.xy <= (90, 60)).all()
    assert all(shape.is_valid for shape in found.to_shapely())
    assert (found.areas_px > 0).all()


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
        model = result._plan.model
        before = model.calls
        result.reselect(Thresholds(0.8, 0.5))
        assert model.calls == before

    def test_says_how_low_it_can_go(self, result):
        assert result.min_prob == 0.4
        assert len(result.reselect(Thresholds(0.41, 0.3)).table) > len(result.table)


class TestManners:
    def test_progress_counts_tiles(self):
        model = LatticeSegmenter()
        model.batch_size = 1
        work = segment(reader_of(noise(64, 96)), model, SegmentRequest(tile_px=32))
        _, steps = finish(work)
        assert [s.total for s in steps] == [6] * len(steps)
        assert [s.done for s in steps] == [0, 1, 2, 3, 4, 5, 6, 6]

    def test_tiles_of_one_shape_go_together(self):
        model = LatticeSegmenter()
        run(reader_of(noise(8, 240)), model, tile_px=24)
        # 10 tiles: the first and the last read less; eight alike make batches of up to 3.
        assert model.calls == 5

    def test_cancel_stops_before_the_next_tile(self):
        cancel, model = CancelToken(), LatticeSegmenter()
        model.batch_size = 1
        work = segment(reader_of(noise(64, 96)), model, SegmentRequest(tile_px=32), cancel)
        for step in work:
            if step.done == 2:
                break
        cancel.cancel()
        with pytest.raises(Cancelled):
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

    @pytest.mark.parametrize("um", [250.0, 0.0004, 25.0])
    def test_a_pixel_size_in_another_unit(self, um):
        with pytest.raises(ImageError, match=r"in µm \(not nm or mm\)"):
            run(reader_of(noise(50, 50), um=um), LatticeSegmenter())

    def test_a_thin_region_at_the_edge(self):
        pixels = noise(1003, 800)
        pyramid = ArrayReader(
            [pixels, blocks(pixels, 4)], name="x", pixel_size=PixelSize.square(0.125), is_rgb=False
        )
        run(pyramid, LatticeSegmenter(), region=Box(799, 10, 1, 50))
        run(pyramid, LatticeSegmenter(), region=Box(10, 1002, 50, 1))

    def test_empty_region(self):
        with pytest.raises(ImageError, match="is empty"):
            run(reader_of(noise(50, 50)), LatticeSegmenter(), region=Box(10, 10, 0, 10))

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
