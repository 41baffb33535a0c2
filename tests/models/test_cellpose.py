"""Cellpose's networks behind the segmenter's protocol: whole objects, live thresholds, manners."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, CancelToken, ModelInfo, PixelSize, Segmenter, Thresholds
from napari_histo.core.segmenters import FieldSegmenter
from napari_histo.errors import Cancelled, ModelError
from napari_histo.models.cellpose.segmenter import CellposeSegmenter
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader
from support.cellpose_nets import SpotNet, random_net
from support.lattice import finish
from support.same import same_objects

INFO = ModelInfo("spots", "cellpose", 0.5, channels="gray", thresholds=Thresholds(0.5, 0.4))


def model(net=None, **words):
    return CellposeSegmenter(net or SpotNet(**words), INFO, device="cpu")


def spots(height, width, places, *, sigma=(5.0, 5.0)):
    """Bright ellipses at places (x, y), 16-bit grey."""
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width))
    for x, y in places:
        far = ((columns - x) / sigma[0]) ** 2 + ((rows - y) / sigma[1]) ** 2
        image = np.maximum(image, np.exp(-far / 2))
    return (100 + 4000 * image).astype(np.uint16)[..., None]


def scattered(height, width, n, seed=0):
    rng = np.random.default_rng(seed)
    return spots(height, width, rng.uniform(0, (width, height), (n, 2)), sigma=(3.5, 3.5))


def run(pixels, net=None, *, um=0.5, **request):
    request.setdefault("seed", 7)
    reader = ArrayReader(pixels, name="spots", pixel_size=PixelSize.square(um), is_rgb=False)
    return finish(segment(reader, model(net), SegmentRequest(**request)))[0]


def test_it_keeps_the_protocol():
    assert isinstance(model(), Segmenter)
    assert isinstance(model(), FieldSegmenter)


class TestWholeObjects:
    """Cut, then merged, equals whole."""

    @settings(max_examples=8)
    @given(
        seed=st.integers(0, 10_000),
        height=st.integers(30, 330),
        width=st.integers(30, 330),
        tile_px=st.integers(40, 200),
    )
    def test_tiles_change_nothing(self, seed, height, width, tile_px):
        pixels = scattered(height, width, 3 + height * width // 900, seed)
        whole = run(pixels, tile_px=100_000, thresholds=Thresholds(0.5, 0.9))
        tiled = run(pixels, tile_px=tile_px, thresholds=Thresholds(0.5, 0.9))
        assert same_objects(whole.table, tiled.table)

    @pytest.mark.parametrize("tile_px", [70, 155])
    def test_tilings_agree_on_doubtful_objects(self, tile_px):
        """Of all sizes, at all thresholds: their flow errors are the same."""
        rng = np.random.default_rng(4)
        parts = [spots(300, 300, rng.uniform(0, 300, (9, 2)), sigma=(s, 3)) for s in (3, 5, 9)]
        one, other = (run(np.max(parts, axis=0), tile_px=px) for px in (110, tile_px))
        counts = set()
        for doubt in np.arange(0.04, 0.4, 0.002):
            a, b = (found.reselect(Thresholds(0.5, float(doubt))).table for found in (one, other))
            assert same_objects(a, b)
            counts.add(len(a))
        assert len(counts) > 8

    def test_the_law_is_tested_on_something(self):
        assert len(run(scattered(300, 300, 100)).table) > 40

    def test_an_object_on_the_corner_of_four_tiles_is_whole(self):
        """It spans all four, and reaches over a quarter of each."""
        pixels = spots(400, 400, [(200, 200)], sigma=(24, 15))
        whole = run(pixels).table
        tiled = run(pixels, tile_px=100).table
        assert len(whole) == 1
        left, top, right, bottom = whole.contours.bounds[0]
        assert left < 175
        assert right > 225
        assert top < 185
        assert bottom > 215
        assert same_objects(whole, tiled)

    def test_a_region_shows_what_the_image_shows_there(self):
        """To the few px by which the region's own range of intensities moves an outline."""
        pixels = spots(300, 500, [(100, 100), (250, 150), (400, 200)])
        part = run(pixels, region=Box(200, 100, 100, 100)).table
        assert len(part) == 1
        off = np.abs(run(pixels).table.contours.bounds - part.contours.bounds).max(axis=1)
        assert off.min() <= 4

    def test_windows_that_tiles_share_are_asked_for_once(self):
        pixels, whole, tiled = scattered(330, 330, 80), SpotNet(), SpotNet()
        run(pixels, whole)
        run(pixels, tiled, tile_px=70)
        assert tiled.calls == whole.calls == 4

    def test_what_was_seen_of_an_image_is_not_told_of_another(self):
        shared = model()
        found = []
        for x in (60, 140):
            reader = ArrayReader(
                spots(200, 200, [(x, 100)]),
                name="x",
                pixel_size=PixelSize.square(0.5),
                is_rgb=False,
            )
            found.append(finish(segment(reader, shared, SegmentRequest(tile_px=90)))[0].table)
        assert [round(float(t.centroids[0, 0])) for t in found] == [60, 140]

    def test_little_room_for_windows_changes_nothing(self, monkeypatch):
        pixels = scattered(330, 330, 80)
        roomy = run(pixels, tile_px=110)
        monkeypatch.setattr("napari_histo.models.cellpose.segmenter._KEEP_BYTES", 700_000)
        assert same_objects(run(pixels, tile_px=110).table, roomy.table)


class TestTwoChannels:
    def test_the_network_sees_cells_before_nuclei_each_in_its_own_range(self):
        class Watched(SpotNet):
            def forward(self, images):
                self.seen = images.clone()
                return super().forward(images)

        nuclei, cells = scattered(60, 70, 9), 9 * scattered(60, 70, 5, seed=1)
        net, card = Watched(), ModelInfo("x", "cellpose", channels="cells")
        reader = ArrayReader(
            np.concatenate([nuclei, cells], axis=2),
            name="two",
            pixel_size=None,
            is_rgb=False,
            channel_names=("DAPI", "Actin"),
        )
        net_model = CellposeSegmenter(net, card, device="cpu")
        finish(segment(reader, net_model, SegmentRequest()))
        inside = net.seen[0, :, 10:70, 13:83].numpy()  # within the frame of zeros
        for seen, channel in zip(inside, (cells, nuclei), strict=True):
            low, high = np.percentile(channel, (1, 99))
            assert seen == pytest.approx((channel[..., 0] - low) / (high - low), abs=1e-5)


class TestThresholds:
    """They move without the network."""

    def test_another_probability_finds_other_shapes_as_a_new_run_would(self):
        pixels, net = scattered(260, 260, 60), SpotNet()
        first = run(pixels, net, tile_px=130, min_prob=0.2)
        calls = net.calls
        for prob in (0.9, 0.2, 0.5):
            moved = first.reselect(Thresholds(prob, 0.4))
            fresh = run(pixels, thresholds=Thresholds(prob, 0.4))
            assert same_objects(moved.table, fresh.table)
        assert net.calls == calls
        assert first.min_prob == 0
        assert (
            moved.table.contours.areas_px.sum()
            < first.reselect(Thresholds(0.1, 0.4)).table.contours.areas_px.sum()
        )

    def test_flow_errors_leave_out_and_let_in_again(self):
        pixels = scattered(260, 260, 60)
        counts = [len(run(pixels).reselect(Thresholds(0.5, nms)).table) for nms in (0.05, 0.4, 1.0)]
        assert counts[0] < counts[1] <= counts[2]

    def test_fields_too_large_to_keep_leave_the_probability_fixed(self, monkeypatch):
        monkeypatch.setattr(sys.modules[segment.__module__], "_KEEP_PX", 10)
        found = run(scattered(100, 100, 10), min_prob=0.1)
        assert found.min_prob == found.thresholds.prob == 0.5
        assert same_objects(found.reselect(Thresholds(0.5, 0.4)).table, found.table)

    @pytest.mark.parametrize("prob", [0.0, 1.0])
    def test_the_ends_of_the_slider_do_no_harm(self, prob):
        found = run(scattered(100, 100, 10)).reselect(Thresholds(prob, 0.4))
        assert len(found.table) == 0 or prob < 1


class TestManners:
    """Empty, tiny, poisoned, and stopped."""

    @pytest.mark.parametrize(
        "shape", [(1, 1), (1, 300), (300, 1), (5, 5), (224, 224), (225, 209)], ids=str
    )
    def test_any_size(self, shape):
        (found,) = model().segment(np.zeros((1, *shape, 1), np.float32))
        assert len(found) == 0

    def test_no_pixels(self):
        (found,) = model().segment(np.zeros((1, 0, 5, 1), np.float32))
        assert len(found) == 0

    def test_nan_and_infinity_count_as_background(self):
        pixels = spots(100, 100, [(50, 50)]).astype(np.float32)
        clean = run(pixels).table
        pixels[:3, :3], pixels[-2:] = np.nan, np.inf
        assert len(run(pixels).table) == len(clean) == 1

    def test_a_nuclear_channel_may_be_missing(self):
        image = np.random.default_rng(0).normal(size=(1, 64, 64, 2)).astype(np.float32)
        image[..., 1] = 0
        net = random_net()
        one, two = (model(net).propose(image[..., :n], 0.4) for n in (1, 2))
        assert np.array_equal(one[0].points, two[0].points)

    def test_too_many_channels_are_refused(self):
        with pytest.raises(ModelError, match=r"wants 2 channel\(s\), the image has 3"):
            model().segment(np.zeros((1, 8, 8, 3), np.float32))

    def test_a_batch_is_its_images_one_by_one(self):
        images = [scattered(90, 90, 12, seed) / np.float32(4000) for seed in (1, 2)]
        both = model().segment(np.stack(images).astype(np.float32))
        for image, found in zip(images, both, strict=True):
            (alone,) = model().segment(image[None].astype(np.float32))
            assert len(alone) == len(found) > 3
            assert np.array_equal(alone.contours.xy, found.contours.xy)

    def test_cancel(self):
        cancel = CancelToken()
        cancel.cancel()
        reader = ArrayReader(scattered(90, 90, 9), name="x", pixel_size=None, is_rgb=False)
        model_ = CellposeSegmenter(
            SpotNet(), ModelInfo("s", "cellpose", channels="gray"), device="cpu"
        )
        with pytest.raises(Cancelled):
            finish(segment(reader, model_, SegmentRequest(), cancel))
