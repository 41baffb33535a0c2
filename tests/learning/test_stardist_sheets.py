"""Labelled regions as pixels with labels: what is known, whole, cut, and read again."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histo.core import Box, Contours, ModelInfo, ObjectState, PixelSize
from napari_histo.errors import ImageError, ObjectsFileError, PixelSizeUnknownError
from napari_histo.learning.course.sheets import Sheets, Slides
from napari_histo.learning.course.warping import PatchShape
from napari_histo.learning.stardist.patches import cut_patch
from napari_histo.learning.stardist.start import small_config
from napari_histo.learning.training import Example
from napari_histo.models.stardist.net import StarDistNet
from napari_histo.models.stardist.segmenter import StarDistSegmenter
from napari_histo.slides import ArrayReader
from support.labelled import CLASSES, ellipses, example, picture, region, square

BOX = Box(32, 32, 64, 64)


@pytest.fixture(scope="module")
def model():
    info = ModelInfo("m", "stardist", 0.5, channels="rgb", classes=CLASSES)
    return StarDistSegmenter(StarDistNet(small_config()).eval(), info, device="cpu")


def sheet_of(model, one, around=16):
    return Sheets([one], Slides(model), around)[0]


@pytest.fixture
def sheet(model):
    def read(*rings, box=BOX, around=16, **columns):
        rings = rings or (square(5, 5),)
        return sheet_of(model, example(box=box, rings=list(rings), **columns), around)

    return read


def test_known_is_the_region_and_context_is_around(sheet):
    found = sheet()
    assert found.pixels.shape == (96, 96, 3)
    assert found.known.sum() == 64 * 64
    assert found.known[16:80, 16:80].all()


@pytest.mark.parametrize(
    ("ring", "area", "cut"),
    [
        pytest.param(square(40, 40), 100, False, id="inside"),
        pytest.param(square(26, 40), 100, False, id="crosses-whole"),
        pytest.param(square(32, 40), 100, True, id="ends-at-the-left"),
        pytest.param(square(86.4, 40), 100, True, id="ends-near-the-right"),
        pytest.param(square(60, 86), 100, True, id="ends-at-the-bottom"),
        pytest.param(square(10, 40), 0, False, id="outside"),
        pytest.param(square(22, 40), 0, False, id="touches-from-outside"),
    ],
)
def test_objects_are_whole_cut_or_absent(sheet, ring, area, cut):
    found = sheet(ring)
    assert (found.labels > 0).sum() == area
    assert found.cut.tolist() == ([1] if cut else [])
    assert len(found.centres) == (area > 0)


def test_refused_objects_are_background(sheet):
    found = sheet(square(40, 40), square(60, 60), state=[ObjectState.REJECTED, ObjectState.DRAWN])
    assert set(np.unique(found.labels)) == {0, 1}
    assert found.labels[60 - 16 + 5, 60 - 16 + 5] == 1


def test_ignored_areas_are_unknown_and_objects_within_are_nobodys_word(model):
    one = example(box=BOX, rings=[square(42, 42), square(70, 70)])
    ignored = Contours.from_rings([square(40, 40, 16)])
    one = one._replace(labels=region("i0", BOX, [square(42, 42), square(70, 70)], ignored))
    found = sheet_of(model, one)
    assert found.known.sum() == 64 * 64 - 16 * 16
    assert set(np.unique(found.labels)) == {0, 1}
    assert found.labels[70 - 16 + 5, 70 - 16 + 5] == 1


def test_at_the_models_pixel_size():
    one = example(rings=[square(40, 40, 20)])
    info = ModelInfo("m", "stardist", 1.0, channels="rgb", classes=CLASSES)
    model = StarDistSegmenter(StarDistNet(small_config()).eval(), info, device="cpu")
    found = sheet_of(model, one)
    assert found.labels.shape == (64, 64)
    assert (found.labels == 1).sum() == 100
    assert found.centres[0] == pytest.approx([25, 25])


def test_large_regions_are_many_sheets_that_agree(model):
    rings = ellipses(1, 700, 200)
    one = example(side=700, rings=rings, box=Box(0, 0, 700, 600))
    sheets = Sheets([one], Slides(model), 32)
    assert len(sheets) == 4
    assert sheets.areas_px.sum() == 700 * 600
    # The same pixels, seen by two sheets.
    left, right = sheets[0], sheets[1]
    np.testing.assert_array_equal(left.labels[:, -64:] > 0, right.labels[:, :64] > 0)
    np.testing.assert_array_equal(left.known[:, -64:], right.known[:, :64])


def test_a_region_beside_its_image_is_told(model):
    one = example(box=Box(500, 0, 10, 10), rings=[square(500, 0)])
    with pytest.raises(ObjectsFileError, match="beside its image"):
        Sheets([one], Slides(model), 16)


def test_pixel_size_and_kind_of_image_are_asked_for(model):
    reader = ArrayReader(picture(ellipses(0)), name="bare")
    bare = Example(reader, region("bare", BOX, [square(40, 40)]))
    with pytest.raises(PixelSizeUnknownError):
        Sheets([bare], Slides(model), 16)
    assert len(Sheets([bare._replace(pixel_size=PixelSize.square(0.5))], Slides(model), 16))
    gray = ArrayReader(np.zeros((64, 64), np.uint16), pixel_size=PixelSize.square(0.5))
    with pytest.raises(ImageError, match="RGB"):
        Sheets([Example(gray, bare.labels)], Slides(model), 16)


class TestPatches:
    """Patches keep what a sheet says."""

    SHAPE = PatchShape(48, 0.2, 0.6)

    def test_the_seed_decides(self, sheet):
        found = sheet(*ellipses(0))
        a, b, c = (
            cut_patch(found, self.SHAPE, (1, 99.8), np.random.default_rng(s)) for s in (1, 1, 2)
        )
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.labels, b.labels)
        assert not np.array_equal(a.image, c.image)

    @pytest.mark.parametrize("seed", range(8))
    def test_labels_lie_on_what_is_dark_and_something_is_known(self, model, seed):
        found = sheet_of(model, example(seed=seed))
        patch = cut_patch(found, self.SHAPE, (1, 99.8), np.random.default_rng(seed))
        assert patch.known.mean() > 0.3
        inside, outside = patch.known & (patch.labels > 0), patch.known & (patch.labels == 0)
        gray = patch.image.mean(0).numpy()
        if inside.sum() > 50 and outside.sum() > 50:
            assert gray[inside].mean() < gray[outside].mean() - 0.1

    def test_normalised_about_as_in_prediction(self, model):
        found = sheet_of(model, example())
        slide = found.slide
        plain = slide.normalizer.apply(found.pixels)
        rng = np.random.default_rng(0)
        means = [
            float(cut_patch(found, self.SHAPE, (1, 99.8), rng).image.mean()) for _ in range(30)
        ]
        assert np.mean(means) == pytest.approx(float(plain.mean()), abs=0.15)
