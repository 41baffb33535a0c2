"""The contract of `napari_histo.core.Segmenter`, as tests.

Examples
--------
>>> class TestMyModel(SegmenterConformance):  # doctest: +SKIP
...     def make(self, device="cpu"):
...         return MySegmenter(device=device)

For a family with files, `napari_histo.testing.model_files.ModelFilesConformance` beside it.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_histo.core import (
    CancelToken,
    PixelSize,
    Proposals,
    Segmenter,
    Thresholds,
)
from napari_histo.core.progress import result_of
from napari_histo.errors import Cancelled, ModelError
from napari_histo.models import devices
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.slides import ArrayReader

__all__ = ["SIZES", "SegmenterConformance", "every_size", "speckled"]

#: Heights and widths (px) from nothing to what no grid divides.
SIZES = [(0, 0), (0, 40), (40, 0), (1, 1), (1, 53), (53, 1), (2, 3), (7, 9), (48, 48), (61, 83)]
every_size = pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
_NO_FLOOR = 0.02


def speckled(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.float32]:
    """A normalised image (h, w, c) of discs of about 10 px on noise; from NumPy alone."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0.3, 0.05, (height, width, channels))
    rows, columns = np.mgrid[:height, :width]
    for _ in range(height * width // 500):
        y, x, radius = rng.uniform((0, 0, 4), (height, width, 7))
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        image[disc] += rng.uniform(0.3, 0.6, channels)
    return np.clip(image, 0, 1).astype(np.float32)


class SegmenterConformance:
    """Subclass, give `make`, and pytest does the rest; small networks keep it within seconds."""

    #: Side of the largest tile that is tried, px.
    huge_px: int = 384
    #: Largest difference of probabilities between devices.
    device_tolerance: float = 1e-3

    def make(self, device: str = "cpu") -> Segmenter:
        """A fresh segmenter, always the same, that finds something in `speckled` images."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> Segmenter:
        """On the processor."""
        return self.make("cpu")

    def n_channels(self, model: Segmenter) -> int:
        """Channels that the model takes."""
        return 1 if model.info.channels == "gray" else 3

    def pictures(
        self, model: Segmenter, *sizes: tuple[int, int], seed: int = 0
    ) -> NDArray[np.float32]:
        """One image a size, all sizes alike: (b, h, w, c)."""
        channels = self.n_channels(model)
        return np.stack([speckled(*s, channels, seed + i) for i, s in enumerate(sizes)])

    # -- what it says of itself ------------------------------------------------------------------

    def test_satisfies_the_protocol(self, model: Segmenter) -> None:
        assert isinstance(model, Segmenter)

    def test_the_card_is_complete(self, model: Segmenter) -> None:
        info = model.info
        assert all((info.name, info.family, info.licence, info.source))
        assert info.pixel_size_um is None or info.pixel_size_um > 0
        assert len(info.classes) >= 1

    def test_its_figures_make_tiles_possible(self, model: Segmenter) -> None:
        assert model.margin_px >= 0
        assert model.edge_px >= 0
        assert min(model.align_px, model.batch_size) >= 1
        low, high = model.percentiles or (0, 100)
        assert 0 <= low < high <= 100

    def test_room_is_found_for_small_tiles_and_not_for_endless_ones(self, model: Segmenter) -> None:
        assert model.room(64) >= 1
        assert model.room(10_000_000) == 0

    def test_repr_is_stable_and_holds_no_address(self, model: Segmenter) -> None:
        assert repr(model) == repr(self.make("cpu"))
        assert "0x" not in repr(model)

    # -- images of every size --------------------------------------------------------------------

    def test_it_finds_something(self, model: Segmenter) -> None:
        """Or the tests below would prove nothing."""
        assert len(model.segment(self.pictures(model, (96, 96)))[0]) > 0

    def test_no_image_gives_no_answer(self, model: Segmenter) -> None:
        nothing = np.zeros((0, 48, 48, self.n_channels(model)), np.float32)
        assert model.propose(nothing, 0.5) == []
        assert model.segment(nothing) == []

    @every_size
    def test_any_size_is_answered(self, model: Segmenter, size: tuple[int, int]) -> None:
        images = self.pictures(model, size, size)
        found, tables = model.propose(images, _NO_FLOOR), model.segment(images)
        assert len(found) == len(tables) == 2
        for proposals, table in zip(found, tables, strict=True):
            _check(model, proposals, size)
            if 0 in size:
                assert len(proposals) == len(table) == 0

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0, -3.0, 40.0], ids=str)
    def test_a_blank_image_is_answered(self, model: Segmenter, value: float) -> None:
        image = np.full((1, 48, 48, self.n_channels(model)), value, np.float32)
        _check(model, model.propose(image, _NO_FLOOR)[0], (48, 48))
        assert np.isfinite(model.segment(image)[0].contours.xy).all()

    def test_a_huge_tile(self, model: Segmenter) -> None:
        size = (self.huge_px, self.huge_px)
        found = model.propose(self.pictures(model, size), 0.5)[0]
        _check(model, found, size)
        assert len(found) > 10

    # -- images that are not what they should be -------------------------------------------------

    def test_too_many_channels_are_told(self, model: Segmenter) -> None:
        if model.info.channels == "any":
            pytest.skip("the model takes any number of channels")
        image = np.zeros((1, 48, 48, 5), np.float32)
        with pytest.raises(ModelError, match="channel"):
            model.propose(image, 0.5)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
    @pytest.mark.parametrize("where", ["patch", "everywhere"])
    def test_what_is_no_number_counts_as_background(
        self, model: Segmenter, value: float, where: str
    ) -> None:
        spoiled = self.pictures(model, (96, 96))
        hole = np.s_[:] if where == "everywhere" else np.s_[:, 20:30, 20:30]
        clean = spoiled.copy()
        spoiled[hole], clean[hole] = value, 0
        _assert_same(model.propose(spoiled, 0.3)[0], model.propose(clean, 0.3)[0])

    def test_what_is_no_number_is_borne_in_a_run(self, model: Segmenter) -> None:
        if model.info.channels == "rgb":
            pytest.skip("the model takes 8-bit colours, which are all numbers")
        pixels = self.pictures(model, (96, 96))[0, ..., :1]
        pixels[:40, :40] = np.nan
        table = result_of(segment(_reader(model, pixels), model)).table
        assert np.isfinite(table.contours.xy).all()

    # -- the same answer each time ---------------------------------------------------------------

    def test_the_same_again(self, model: Segmenter) -> None:
        images = self.pictures(model, (61, 83), (61, 83))
        first, again = model.propose(images, 0.3), model.propose(images, 0.3)
        fresh = self.make("cpu").propose(images, 0.3)
        for a, b, c in zip(first, again, fresh, strict=True):
            _assert_same(a, b)
            _assert_same(a, c)

    def test_images_of_a_batch_do_not_see_each_other(self, model: Segmenter) -> None:
        images = self.pictures(model, *[(64, 64)] * 3)
        together = model.propose(images, 0.3)
        for image, found in zip(images, together, strict=True):
            _assert_same(model.propose(image[None], 0.3)[0], found, tolerance=1e-4)

    def test_sizes_may_follow_in_any_order(self, model: Segmenter) -> None:
        sizes = [(64, 64), (1, 1), (120, 40), (0, 7), (64, 64), (33, 91)]
        for size in sizes:
            image = self.pictures(model, size)
            _assert_same(model.propose(image, 0.3)[0], self.make("cpu").propose(image, 0.3)[0])

    def test_images_are_left_as_they_are(self, model: Segmenter) -> None:
        images = self.pictures(model, (61, 83))
        before = images.copy()
        model.segment(images)
        np.testing.assert_array_equal(images, before)
        images.flags.writeable = False
        model.segment(images)

    def test_adapting_changes_nothing_in_the_original(self, model: Segmenter) -> None:
        images = self.pictures(model, (64, 64))
        before = model.propose(images, 0.3)[0]
        model.adapt(images.reshape(-1, images.shape[-1])).propose(images, 0.3)
        _assert_same(model.propose(images, 0.3)[0], before)

    # -- choosing --------------------------------------------------------------------------------

    def test_what_is_chosen_stays_chosen(self, model: Segmenter) -> None:
        found = model.propose(self.pictures(model, (96, 96)), _NO_FLOOR)[0]
        rows = model.select(found, model.info.thresholds)
        assert rows.tolist() == sorted(set(rows.tolist()))
        best = found.take(rows)
        assert len(model.select(best, model.info.thresholds)) == len(best)

    def test_a_higher_threshold_keeps_likelier_ones(self, model: Segmenter) -> None:
        found = model.propose(self.pictures(model, (96, 96)), _NO_FLOOR)[0]
        nms = model.info.thresholds.nms
        for prob in (0.1, 0.5, 0.9, 1.0):
            rows = model.select(found, Thresholds(prob, nms))
            assert (found.prob[rows] > prob).all()

    # -- cancelling and devices ------------------------------------------------------------------

    def test_a_run_is_cancelled_between_steps(self, model: Segmenter) -> None:
        cancel, steps = CancelToken(), 0
        pixels = self.pictures(model, (150, 150))[0]
        work = segment(_reader(model, pixels), model, SegmentRequest(tile_px=64), cancel)

        def stop_at_the_second() -> None:
            nonlocal steps
            for _ in work:
                steps += 1
                if steps == 2:
                    cancel.cancel()

        with pytest.raises(Cancelled):
            stop_at_the_second()
        assert steps < 4

    def test_on_cpu_is_the_same_model(self, model: Segmenter) -> None:
        images = self.pictures(model, (64, 64))
        there = model.on_cpu()
        assert there.info == model.info
        _assert_same(there.propose(images, 0.3)[0], model.propose(images, 0.3)[0])

    @pytest.mark.gpu
    def test_processor_and_gpu_agree(self, model: Segmenter) -> None:
        others = [name for name in devices() if name not in ("auto", "cpu")]
        if not others:
            pytest.skip("no CUDA or MPS device here")
        images = self.pictures(model, (96, 96))
        expected = model.propose(images, 0.3)[0]
        for device in others:
            there = self.make(device)
            for one in (there, there.on_cpu()):
                _assert_agree(one.propose(images, 0.3)[0], expected, self.device_tolerance)


def _reader(model: Segmenter, pixels: NDArray[np.float32]) -> ArrayReader:
    """An image in memory, of the kind that the model wants."""
    is_rgb = model.info.channels == "rgb"
    size = PixelSize.square(model.info.pixel_size_um or 0.5)
    data = (pixels * 255).astype(np.uint8) if is_rgb else pixels[..., :1]
    return ArrayReader(data, name="speckled", pixel_size=size, is_rgb=is_rgb)


# -- comparison ----------------------------------------------------------------------------------


def _check(model: Segmenter, found: Proposals, size: tuple[int, int]) -> None:
    """Anchors in the image, probabilities 0 to 1, finite outlines, one row a proposal."""
    height, width = size
    assert found.points.shape == (len(found), 2)
    assert np.isfinite(found.points).all()
    assert (found.points >= 0).all()
    assert (found.points <= (width, height)).all()
    assert ((found.prob >= 0) & (found.prob <= 1)).all()
    assert 0 <= model.reach_px(found) < np.inf
    table = model.draw(found)
    assert len(table) == len(found)
    assert np.isfinite(table.contours.xy).all()


def _assert_same(a: Proposals, b: Proposals, *, tolerance: float = 0.0) -> None:
    assert len(a) == len(b)
    pairs = [(a.points, b.points), (a.prob, b.prob)]
    assert a.columns.keys() == b.columns.keys()
    pairs += [(a.columns[name], b.columns[name]) for name in a.columns]
    assert (a.contours is None) == (b.contours is None)
    if a.contours is not None and b.contours is not None:
        pairs.append((a.contours.xy, b.contours.xy))
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def _assert_agree(a: Proposals, b: Proposals, tolerance: float) -> None:
    """Nearly all anchors shared, and at those the same probabilities."""
    places = [{tuple(p): i for i, p in enumerate(x.points.tolist())} for x in (a, b)]
    shared = [(places[0][p], places[1][p]) for p in places[0] if p in places[1]]
    assert len(shared) >= 0.98 * max(len(a), len(b))
    one, other = np.array(shared, np.int64).reshape(-1, 2).T
    np.testing.assert_allclose(a.prob[one], b.prob[other], atol=tolerance)
