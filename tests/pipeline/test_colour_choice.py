"""A slide's colours before a model looks: wanted in words, fitted to the whole slide."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box, PixelSize, result_of
from napari_histo.errors import ImageError, StainError
from napari_histo.models._classical import ClassicalSegmenter
from napari_histo.ops.stain_vectors import H_DAB, HE
from napari_histo.pipeline import SegmentRequest, segment
from napari_histo.pipeline.colour_choice import ColourChoice, stain_vectors
from napari_histo.pipeline.colours import StainReader
from napari_histo.slides import ArrayReader
from napari_histo.testing.synthetic.panels import draw_h_dab
from support.five_images import SAMPLES

PART = np.s_[200:500, 200:500]


@pytest.fixture(scope="module")
def labels():
    return tifffile.imread(SAMPLES / "he_tile_labels.tif")[PART]


@pytest.fixture(scope="module")
def he():
    pixels = tifffile.imread(SAMPLES / "he_tile.ome.tif")[PART]
    return ArrayReader(pixels, pixel_size=PixelSize.square(0.25))


@pytest.fixture(scope="module")
def h_dab(labels):
    return ArrayReader(draw_h_dab(labels), pixel_size=PixelSize.square(0.25))


@pytest.mark.parametrize("words", ["hdab", "auto-hdab", "text", "file"])
def test_haematoxylin_is_bright_in_nuclei_alone(h_dab, labels, words, tmp_path):
    text = H_DAB.describe()
    if words == "file":
        (tmp_path / "stains.json").write_text(text)
    given = {"text": text, "file": str(tmp_path / "stains.json")}.get(words, words)
    view = ColourChoice(stains=given).fit(h_dab).view(h_dab)
    assert view.info.channel_names == ("Hematoxylin", "DAB")
    pixels = view.read(view.info.box)
    assert pixels.dtype == np.float32 == view.info.dtype
    assert pixels.min() >= 0
    inside, outside = pixels[labels > 0, 0], pixels[labels == 0, 0]
    assert np.percentile(inside, 20) > np.percentile(outside, 90)


def test_words_for_stains(he):
    assert stain_vectors("he", he) == HE
    assert stain_vectors(" HDAB ", he) == H_DAB
    assert stain_vectors("auto", he).names == HE.names
    with pytest.raises(StainError, match="setColorDeconvolutionStains"):
        stain_vectors("purple", he)


def apart(one, other):
    """Largest difference of mean colours, grey levels."""
    means = [reader.read(reader.info.box).mean((0, 1)) for reader in (one, other)]
    return np.abs(np.subtract(*means)).max()


@pytest.fixture(scope="module")
def darker(he):
    pixels = 255 * (he.read(he.info.box) / 255) ** 1.6
    return ArrayReader(np.rint(pixels).astype(np.uint8), is_rgb=True)


@pytest.mark.parametrize("kind", ["reinhard", "macenko"])
def test_a_darker_staining_looks_as_the_paler_one(he, darker, kind):
    views = [ColourChoice(kind).fit(reader).view(reader) for reader in (he, darker)]
    assert apart(he, darker) > 20
    assert apart(*views) < apart(he, darker) / 4


@pytest.mark.parametrize("kind", ["reinhard", "macenko"])
def test_one_slide_lends_its_colours_to_another(he, darker, tmp_path, kind):
    path = tmp_path / "reference.tif"
    tifffile.imwrite(path, darker.read(darker.info.box), photometric="rgb")
    view = ColourChoice(kind, reference=path).fit(he).view(he)
    assert apart(view, darker) < apart(he, darker) / 4


def test_a_part_looks_as_it_does_in_the_whole(he):
    """Fitted once: otherwise tiles would show as seams."""
    view = ColourChoice("macenko", "he").fit(he).view(he)
    box = Box(50, 70, 40, 30)
    np.testing.assert_array_equal(view.read(box), view.read(view.info.box)[70:100, 50:90])


@pytest.mark.parametrize(
    "choice", [ColourChoice("reinhard"), ColourChoice(stains="he")], ids=["colours", "stain"]
)
def test_tiles_find_what_the_whole_finds(he, choice):
    request = SegmentRequest(colours=choice.fit(he), seed=1)
    whole = result_of(segment(he, ClassicalSegmenter(), request)).table
    small = SegmentRequest(colours=request.colours, seed=1, tile_px=64)
    cut = result_of(segment(he, ClassicalSegmenter(), small)).table
    assert len(whole) > 20
    assert set(whole.uuids()) == set(cut.uuids())


def test_facts_of_a_run(he):
    colours = ColourChoice("macenko", "auto").fit(he)
    said = colours.describe()
    assert json.loads(json.dumps(said)) == said
    assert said == ColourChoice("macenko", "auto").fit(he).describe()
    assert hash(colours) == hash(ColourChoice("macenko", "auto").fit(he))
    assert said != ColourChoice("reinhard", "auto").fit(he).describe()


def rgb(colour):
    """Noise around nuclei of a colour, as a picture."""
    rng = np.random.default_rng(0)
    ground = 30 if max(colour) == 255 else 235
    pixels = np.full((80, 80, 3), ground) + rng.normal(0, 3, (80, 80, 3))
    pixels[20:40, 20:40] = colour
    return ArrayReader(np.clip(pixels, 0, 255).astype(np.uint8), is_rgb=True)


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        pytest.param(rgb((110, 70, 150)), True, id="stained"),
        pytest.param(rgb((40, 60, 255)), False, id="fluorescence in colours"),
        pytest.param(rgb((90, 90, 90)), False, id="grey saved as colours"),
        pytest.param(ArrayReader(np.zeros((20, 20), np.uint16)), False, id="one channel"),
    ],
)
def test_haematoxylin_by_default_where_there_is_any(reader, expected):
    colours = ColourChoice(stains="default").fit(reader)
    assert (colours is not None and colours.stains == HE) == expected


def test_as_they_are(he):
    assert ColourChoice().is_none
    assert ColourChoice().fit(he) is None
    assert SegmentRequest().view(he) is he


GREY = ArrayReader(np.zeros((20, 20), np.uint16))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32], ids=lambda d: d.__name__)
def test_dark_nuclei_on_a_light_ground_are_found_where_bright_ones_are(dtype):
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    y, x = np.mgrid[:128, :128]
    bright = sum(np.exp(-(((y - a) ** 2 + (x - b) ** 2) / 60)) for a in (30, 90) for b in (30, 90))
    pixels = (top * np.clip(0.1 + 0.7 * bright + rng.normal(0, 0.01, y.shape), 0, 1)).astype(dtype)
    size = PixelSize.square(0.5)
    light, dark = (ArrayReader(p, pixel_size=size) for p in (pixels, top - pixels))
    colours = ColourChoice(stains="default", invert=True).fit(dark)
    found = result_of(segment(dark, ClassicalSegmenter(), SegmentRequest(colours=colours, seed=0)))
    wanted = result_of(segment(light, ClassicalSegmenter(), SegmentRequest(seed=0)))
    assert len(wanted.table) > 0
    np.testing.assert_allclose(found.table.centroids, wanted.table.centroids, atol=0.1)
    assert colours.describe()["inverted"]


def test_stains_in_colours_are_not_inverted(he):
    assert "inverted" not in ColourChoice(stains="he").fit(he).describe()
    with pytest.raises(ImageError, match="--stain"):
        ColourChoice(invert=True).fit(he)


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        pytest.param(lambda: ColourChoice("vahadane"), StainError, "reinhard", id="unknown"),
        pytest.param(lambda: ColourChoice("macenko").fit(GREY), ImageError, "RGB", id="grey"),
        pytest.param(lambda: StainReader(GREY, HE), ImageError, "RGB", id="grey stain"),
        pytest.param(
            lambda: ColourChoice("macenko", invert=True), StainError, "grey images", id="both"
        ),
        pytest.param(
            lambda: ColourChoice("macenko").fit(
                ArrayReader(np.full((64, 64, 3), 245, np.uint8), is_rgb=True)
            ),
            StainError,
            "stained",
            id="glass",
        ),
    ],
)
def test_what_cannot_be_done_is_said(work, error, words):
    with pytest.raises(error, match=words):
        work()


def test_traces_of_a_stain_are_no_nuclei():
    """Glass that a range of its own would stretch into objects."""
    rng = np.random.default_rng(0)
    glass = np.clip(rng.normal(243, 2, (256, 256, 3)), 0, 255).astype(np.uint8)
    reader = ArrayReader(glass, pixel_size=PixelSize.square(0.5))
    request = SegmentRequest(colours=ColourChoice(stains="he").fit(reader), seed=0)
    assert len(result_of(segment(reader, ClassicalSegmenter(), request)).table) == 0
