"""Images open so that their pixels lie under the project's objects."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile

from napari_histo.core import Box, PixelSize
from napari_histo.errors import BridgeError, ImageError
from napari_histo.slides import ArrayReader, open_slide
from napari_histo.testing.slide_reader import SlideReaderConformance
from qupath_bridge._views import CroppedReader, TurnedReader
from qupath_bridge.project import QuPathProject, open_project
from support.qupath_projects import image, leaf, make_project

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
REGION = {"x": 7, "y": 3, "width": 20, "height": 12, "z": 0, "t": 0}


def rotated(inner, rotation="ROTATE_90"):
    return {"builderType": "rotated", "builder": inner, "rotation": rotation}


def cropped(inner, **region):
    return {"builderType": "cropped", "builder": inner, "region": {**REGION, **region}}


def flipped(inner, flip):
    return {"builderType": "flipped", "builder": inner, "flip": flip}


@pytest.fixture
def slide(tmp_path) -> str:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS)
    return (tmp_path / "a.tif").as_uri()


def project_of(folder: Path, builder) -> QuPathProject:
    make_project(folder / "p", [image(1, builder)])
    return open_project(folder / "p")


def pixels_of(folder: Path, builder) -> np.ndarray:
    project = project_of(folder, builder)
    with project.open_image(project.entry("1"), open_slide) as reader:
        return reader.read(reader.info.box)


CROP = PIXELS[3:15, 7:27]
STEPS = [
    pytest.param(lambda b: b, PIXELS, id="the file itself"),
    pytest.param(
        lambda b: {"builderType": "pyramidize", "builder": b}, PIXELS, id="pyramid made by QuPath"
    ),
    pytest.param(lambda b: rotated(b, "ROTATE_NONE"), PIXELS, id="0°"),
    pytest.param(rotated, np.rot90(PIXELS, -1), id="90° clockwise"),
    pytest.param(lambda b: rotated(b, "ROTATE_180"), np.rot90(PIXELS, 2), id="180°"),
    pytest.param(lambda b: rotated(b, "ROTATE_270"), np.rot90(PIXELS, 1), id="270°"),
    pytest.param(lambda b: flipped(b, "HORIZONTAL"), PIXELS[:, ::-1], id="left and right"),
    pytest.param(lambda b: flipped(b, "VERTICAL"), PIXELS[::-1], id="up and down"),
    pytest.param(lambda b: flipped(b, "BOTH"), PIXELS[::-1, ::-1], id="both"),
    pytest.param(cropped, CROP, id="crop"),
    pytest.param(lambda b: rotated(cropped(b)), np.rot90(CROP, -1), id="crop, then rotate"),
    pytest.param(
        lambda b: cropped(rotated(b)), np.rot90(PIXELS, -1)[3:15, 7:27], id="rotate, then crop"
    ),
]


@pytest.mark.parametrize(("steps", "expected"), STEPS)
def test_steps_that_keep_pixels_whole_are_done(tmp_path, slide, steps, expected):
    np.testing.assert_array_equal(pixels_of(tmp_path, steps(leaf(slide))), expected)


def test_rotation_among_the_arguments(tmp_path, slide):
    found = pixels_of(tmp_path, leaf(slide, "--rotate", "ROTATE_90"))
    np.testing.assert_array_equal(found, np.rot90(PIXELS, -1))


@pytest.mark.parametrize(
    "builder",
    [
        pytest.param({"builderType": "affine", "transform": {"m00": 2}}, id="affine"),
        pytest.param({"builderType": "rotated", "rotation": "ROTATE_45"}, id="unknown rotation"),
        pytest.param({"builderType": "cropped", "region": {"x": 1}}, id="broken region"),
        pytest.param({"builderType": "swapRedBlue", "order": "BGR"}, id="colours"),
        pytest.param({"builderType": "warpy"}, id="unknown kind"),
    ],
)
def test_other_steps_are_refused_before_anything_is_opened(tmp_path, builder):
    project = project_of(tmp_path, {**builder, "builder": leaf("file:/nothing.tif")})
    with pytest.raises(BridgeError, match=f"through: {builder['builderType']}"):
        project.open_image(project.entry("1"), open_slide)


def test_series_is_handed_on(tmp_path, slide):
    project = project_of(tmp_path, leaf(slide, "--series", "4"))
    with pytest.raises(ImageError):
        project.open_image(project.entry("1"), open_slide)


@pytest.mark.parametrize(
    "builder",
    [
        pytest.param(lambda u: leaf(u, shape=(30, 51)), id="the file"),
        pytest.param(lambda u: cropped(leaf(u, shape=(31, 50))), id="the file under a crop"),
    ],
)
def test_another_image_of_the_same_name_is_refused(tmp_path, slide, builder):
    project = project_of(tmp_path, builder(slide))
    with pytest.raises(BridgeError, match="has 50 x 30 px, but the project says"):
        project.open_image(project.entry("1"), open_slide)


def test_missing_image_says_what_was_tried(tmp_path):
    project = project_of(tmp_path, leaf("file:/D:/gone/a.tif"))
    with pytest.raises(BridgeError, match="another system"):
        project.open_image(project.entry("1"), open_slide)


def test_pixel_size_turns_along():
    reader = ArrayReader(PIXELS, pixel_size=PixelSize(0.5, 0.25))
    assert TurnedReader(reader, (True, True, False)).info.pixel_size == PixelSize(0.25, 0.5)


def test_only_what_is_asked_for_is_read():
    class Spy(ArrayReader):
        asked: ClassVar[list[Box]] = []

        def read(self, box, level=0):
            self.asked.append(box)
            return super().read(box, level)

    TurnedReader(Spy(PIXELS), (True, True, False)).read(Box(2, 5, 3, 4))
    assert Spy.asked == [Box(5, 25, 4, 3)]


BIG = np.random.default_rng(1).integers(0, 255, (96, 160, 3), np.uint8)
PYRAMID = [BIG, BIG[::4, ::4]]


class TestTurned(SlideReaderConformance):
    @pytest.fixture
    def reader(self):
        return TurnedReader(ArrayReader(PYRAMID), (True, True, False))

    @pytest.fixture
    def expected(self):
        return np.rot90(BIG, -1)


class TestCropped(SlideReaderConformance):
    @pytest.fixture
    def reader(self):
        return CroppedReader(ArrayReader(PYRAMID), Box(16, 8, 100, 60))

    @pytest.fixture
    def expected(self):
        return BIG[8:68, 16:116]
