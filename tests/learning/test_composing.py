"""Artificial images: single nuclei on emptied grounds, whose truth is known to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import Box, ModelInfo, PixelSize
from napari_histo.learning.course.composed import Composer
from napari_histo.learning.course.composing import compose, cut_nuclei, empty_ground
from napari_histo.learning.course.sheets import Sheets, Slides
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.patches import StarPatchSource
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.training import Example
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.slides import ArrayReader
from support.labelled import CLASSES, example, region, square

SIDE = 96
BRIGHT, GROUND = 0.8, 0.1
#: One by itself, two that touch, one at the edge.
PLACES = [(20, 20), (60, 60), (60, 70), (0, 60)]


def drawn():
    """Pixels (h, w, 1) and labels of bright squares of 10 px on noisy ground."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number, (y, x) in enumerate(PLACES, start=1):
        labels[y : y + 10, x : x + 10] = number
    noise = np.random.default_rng(0).normal(0, 0.01, labels.shape)
    pixels = np.where(labels > 0, BRIGHT, GROUND) + noise
    return pixels[..., None].astype(np.float32), labels


def nuclei():
    pixels, labels = drawn()
    return cut_nuclei(pixels, labels, np.ones(len(PLACES) + 1, bool))


def test_only_nuclei_that_stand_alone_are_cut_without_their_ground():
    (one,) = nuclei()
    assert one.label == 1
    assert one.mask.sum() == 100
    assert one.light[one.mask].mean() == pytest.approx(BRIGHT - GROUND, abs=0.02)
    assert one.light.min() >= 0
    assert one.light[0].max() < 0.02


def test_what_may_not_be_used_is_not_cut():
    pixels, labels = drawn()
    assert cut_nuclei(pixels, labels, np.zeros(len(PLACES) + 1, bool)) == []


def test_a_ground_holds_no_nucleus_and_the_same_noise():
    pixels, labels = drawn()
    ground = empty_ground(pixels, labels, np.random.default_rng(0))
    assert ground.max() < GROUND + 0.06
    filled = ground[labels > 0]
    assert filled.mean() == pytest.approx(GROUND, abs=0.01)
    assert filled.std() == pytest.approx(0.01, rel=0.4)


@pytest.mark.parametrize("value", [0, 1], ids=["no-nucleus", "nothing-but-a-nucleus"])
def test_grounds_of_images_without_an_edge_are_finite(value):
    pixels, _ = drawn()
    labels = np.full((SIDE, SIDE), value, np.int32)
    ground = empty_ground(pixels, labels, np.random.default_rng(0))
    assert np.isfinite(ground).all()
    assert value or np.array_equal(ground, pixels)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), coverage=st.floats(0.05, 0.6))
def test_truth_is_where_the_light_is(seed, coverage):
    ground = np.zeros((SIDE, SIDE, 1), np.float32)
    pixels, labels, source = compose(
        ground, nuclei(), np.random.default_rng(seed), coverage=coverage
    )
    assert set(np.unique(labels)) - {0} == set(range(1, len(source) + 1))
    assert (pixels[labels > 0] > 0.05).all()
    assert pixels[labels == 0].mean() < 0.1 * pixels[labels > 0].mean()
    area = np.bincount(labels.ravel())[1:]
    inner = np.unique(labels[10:-10, 10:-10])
    assert area[inner[inner > 0] - 1].min() >= 20
    assert area.max() <= 100
    assert pixels.shape == ground.shape
    assert labels.dtype == np.int32


def test_density_follows_what_is_asked_and_nuclei_touch():
    ground = np.zeros((SIDE, SIDE, 1), np.float32)
    for coverage in (0.1, 0.4):
        labels = compose(ground, nuclei(), np.random.default_rng(3), coverage=coverage)[1]
        assert coverage <= (labels > 0).mean() < coverage + 0.03
    left, right = labels[:, :-1], labels[:, 1:]
    assert ((left > 0) & (right > 0) & (left != right)).any()


def test_nothing_to_put_is_the_ground():
    ground = drawn()[0]
    pixels, labels, source = compose(ground, [], np.random.default_rng(0), coverage=0.5)
    assert np.array_equal(pixels, ground)
    assert not labels.any()
    assert not len(source)


# -- sheets ---------------------------------------------------------------------------------------


def fluorescence(rings, dtype=np.uint16, high=4000):
    """A grey image of bright squares."""
    pixels = np.full((SIDE, SIDE), high // 20, dtype)
    for ring in rings:
        (x, y), (right, bottom) = ring.min(0).astype(int), ring.max(0).astype(int)
        pixels[y:bottom, x:right] = high
    reader = ArrayReader(pixels, name="grey", pixel_size=PixelSize.square(0.5))
    return Example(reader, region("grey", Box(0, 0, SIDE, SIDE), rings), group="grey")


def sheets_of(*examples, channels="gray"):
    info = ModelInfo("m", "stardist", 0.5, channels=channels, classes=CLASSES)
    config = small_config(1 if channels == "gray" else 3)
    net = StarDistNet(config).eval()
    return Sheets(examples, Slides(StarDistSegmenter(net, info, device="cpu")), 16)


@pytest.fixture(scope="module")
def sheets():
    return sheets_of(fluorescence([square(20, 20), square(60, 30), square(30, 65)]))


def composed(sheets, seed=0):
    rng = np.random.default_rng(seed)
    return Composer(sheets, 64, (1.0, 99.8)).compose(sheets[0], rng)


def test_a_composed_sheet_is_as_its_slide_and_what_its_edge_cuts_is_told(sheets):
    found = composed(sheets)
    n = int(found.labels.max())
    assert n > 0
    assert found.pixels.shape == (64, 64, 1)
    assert len(found.centres) == n
    assert len(found.classes) == n + 1
    assert np.median(found.pixels[found.labels > 0]) > 1500
    assert np.median(found.pixels[found.labels == 0]) < 600
    frame = np.ones((64, 64), bool)
    frame[1:-1, 1:-1] = False
    assert set(found.cut) == set(np.unique(found.labels[frame])) - {0}
    y, x = found.centres[0]
    assert 0 <= y < 64
    assert 0 <= x < 64


def test_the_same_seed_composes_the_same_whoever_asked_before(sheets):
    first, other = composed(sheets, 1), composed(sheets, 2)
    again = Composer(sheets, 64, (1.0, 99.8))
    again.compose(sheets[0], np.random.default_rng(9))
    second = again.compose(sheets[0], np.random.default_rng(1))
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize(("room", "n_kept"), [(0, 1), (1 << 20, 2)])
def test_nuclei_that_are_kept_are_bounded_counted_and_change_no_draw(monkeypatch, room, n_kept):
    slides = [fluorescence([square(20, 20), square(60, 30)]), fluorescence([square(40, 40)])]
    sheets = sheets_of(*slides)
    monkeypatch.setattr("napari_histo.learning.course.composed._CACHE_BYTES", room)
    source = StarPatchSource(sheets, PatchShape(32), (1.0, 99.8), compose=1.0)
    fresh = [
        StarPatchSource(sheets, PatchShape(32), (1.0, 99.8), compose=1.0).draw(
            np.random.default_rng(seed)
        )
        for seed in range(12)
    ]
    for seed in (*range(12), *reversed(range(12))):
        patch = source.draw(np.random.default_rng(seed))
        assert np.array_equal(patch.labels, fresh[seed].labels)
        assert np.array_equal(patch.image, fresh[seed].image)
    composer = source._composer
    assert len(composer._latest._items) == n_kept
    arrays = [
        a for c in composer._latest._items.values() for n in c.nuclei for a in (n.light, n.mask)
    ]
    assert composer.nbytes == sum(a.nbytes for a in arrays) > 0
    assert source.nbytes == sheets.nbytes + composer.nbytes


@pytest.mark.parametrize(
    ("one", "channels"),
    [
        pytest.param(fluorescence([]), "gray", id="no-nucleus"),
        pytest.param(example(), "rgb", id="brightfield"),
    ],
)
def test_what_cannot_be_composed_stays_as_it_is(one, channels):
    sheets = sheets_of(one, channels=channels)
    assert composed(sheets) is sheets[0]


def test_patches_are_composed_by_their_share_and_as_ever_without_one(sheets):
    shape = PatchShape(32)

    def labels(share):
        source = StarPatchSource(sheets, shape, (1.0, 99.8), compose=share)
        return [source.draw(np.random.default_rng(seed)).labels.max() for seed in range(12)]

    plain = StarPatchSource(sheets, shape, (1.0, 99.8))
    ever = [plain.draw(np.random.default_rng(seed)).labels.max() for seed in range(12)]
    assert labels(0.0) == ever
    assert max(ever) <= 3 < max(labels(1.0))
