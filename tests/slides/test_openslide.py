"""OpenSlide's bounds, opacity and absence, by a fake; parity with tifffile, on real slides."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideReader
from napari_histo.errors import ImageError, NoReaderError
from napari_histo.slides import open_slide
from napari_histo.slides._openslide import OpenSlideReader
from napari_histo.slides._tifffile import TiffReader
from napari_histo.testing.slide_reader import SlideReaderConformance

BOUNDS = Box(100, 60, 160, 120)
PIXELS = np.random.default_rng(3).integers(0, 256, (256, 320, 4), np.uint8)
# As in MRXS, where the camera saw only parts: the rest is transparent.
PIXELS[..., 3] = 255
PIXELS[100:120, 130:170] = 0


class FakeSlide:
    """Two levels of a scanner's canvas with bounds, in OpenSlide's terms."""

    level_dimensions = ((320, 256), (160, 128))
    level_downsamples = (1.0, 2.0)

    def __init__(self, path: str) -> None:
        self.is_closed = False
        sides = zip(("x", "y", "width", "height"), BOUNDS_VALUES, strict=True)
        self.properties = {f"openslide.bounds-{name}": str(value) for name, value in sides}
        self.properties |= {
            "openslide.vendor": "mirax",
            "openslide.mpp-x": "0.25",
            "openslide.mpp-y": "0.26",
            "openslide.objective-power": "40",
        }

    def read_region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> Any:
        step = 2**level
        canvas = PIXELS[::step, ::step]
        x, y = corner[0] // step, corner[1] // step
        out = np.zeros((size[1], size[0], 4), np.uint8)
        part = canvas[y : y + size[1], x : x + size[0]]
        out[: part.shape[0], : part.shape[1]] = part
        return Image.fromarray(out)

    def close(self) -> None:
        self.is_closed = True


BOUNDS_VALUES = (BOUNDS.x, BOUNDS.y, BOUNDS.width, BOUNDS.height)


class OpenSlideError(Exception):
    pass


class OpenSlideUnsupportedFormatError(OpenSlideError):
    pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = SimpleNamespace(
        OpenSlide=FakeSlide,
        OpenSlideError=OpenSlideError,
        OpenSlideUnsupportedFormatError=OpenSlideUnsupportedFormatError,
    )
    monkeypatch.setitem(sys.modules, "openslide", module)
    return module


@pytest.fixture
def mrxs(tmp_path: Path) -> Path:
    path = tmp_path / "slide.mrxs"
    path.write_bytes(b"not read by the fake")
    return path


class TestBounds(SlideReaderConformance):
    @pytest.fixture
    def reader(self, fake: SimpleNamespace, mrxs: Path) -> Iterator[SlideReader]:
        reader = open_slide(mrxs)
        yield reader
        reader.close()

    @pytest.fixture
    def expected(self) -> np.ndarray:
        canvas = PIXELS[BOUNDS.y : BOUNDS.bottom, BOUNDS.x : BOUNDS.right]
        return np.where(canvas[..., 3:] == 0, 255, canvas[..., :3]).astype(np.uint8)

    def test_the_image_is_the_bounds(self, reader: SlideReader) -> None:
        info = reader.info
        assert info.bounds_offset_px == (100, 60)
        assert info.level_shapes == ((120, 160), (60, 80))
        assert (info.pixel_size.x_um, info.pixel_size.y_um) == (0.25, 0.26)
        assert info.magnification == 40
        assert info.metadata["openslide.vendor"] == "mirax"


def test_level_shapes_stay_inside_odd_bounds(
    fake: SimpleNamespace, mrxs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "BOUNDS_VALUES", (3, 5, 101, 77))
    with OpenSlideReader(mrxs) as reader:
        assert reader.info.level_shapes == ((77, 101), (38, 50))
        assert reader.info.bounds_offset_px == (3, 5)


@pytest.mark.parametrize(
    "values",
    [("", "", "", ""), (0, 0, 0, 0), (9999, 0, 10, 10), ("nan", 0, 10, 10)],
    ids=["empty", "zero", "outside", "nan"],
)
def test_bounds_without_sense_are_ignored(
    fake: SimpleNamespace, mrxs: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[Any, ...]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "BOUNDS_VALUES", values)
    with OpenSlideReader(mrxs) as reader:
        assert reader.info.level_shapes == ((256, 320), (128, 160))
        assert reader.info.bounds_offset_px == (0, 0)


def test_closes_the_slide(fake: SimpleNamespace, mrxs: Path) -> None:
    reader = OpenSlideReader(mrxs)
    slide = reader._slide
    reader.close()
    assert slide.is_closed


def test_says_how_to_install_it(mrxs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(NoReaderError, match=r"pip install napari-histo\[openslide\]") as caught:
        open_slide(mrxs)
    assert [name for name, _ in caught.value.declined] == ["openslide", "tifffile", "pillow"]


def test_a_slide_with_missing_parts(
    fake: SimpleNamespace, mrxs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise OpenSlideError("Can't open Slidedat.ini")

    monkeypatch.setattr(fake, "OpenSlide", refuse)
    with pytest.raises(ImageError, match=r"slide\.mrxs.*Slidedat\.ini.*damaged or missing"):
        open_slide(mrxs)


def test_no_other_plane_or_series(fake: SimpleNamespace, mrxs: Path) -> None:
    with pytest.raises(ImageError, match=r"slide\.mrxs holds one image.*z 3"):
        open_slide(mrxs, z=3)


@pytest.mark.parametrize(
    ("name", "largest", "mean"),
    [
        ("CMU-1-Small-Region.svs", 1, 0.1),
        # JPEG 2000 with halved colour: both libraries round on their own.
        ("luna_1065626.svs", 24, 0.6),
        # Its last level is 16.0128 times smaller: OpenSlide interpolates.
        ("large_image_yb10kx5k.zstd.tiff", 6, 0.1),
    ],
)
def test_tifffile_and_openslide_agree(data_dir: Path, name: str, largest: int, mean: float) -> None:
    pytest.importorskip("openslide")
    path = data_dir / "slides" / name
    with TiffReader(path) as ours, OpenSlideReader(path) as theirs:
        assert ours.info.level_shapes == theirs.info.level_shapes
        assert ours.info.level_downsamples == pytest.approx(theirs.info.level_downsamples)
        assert ours.info.pixel_size == theirs.info.pixel_size
        assert ours.info.magnification == theirs.info.magnification
        for level in range(ours.info.n_levels):
            for box in _windows(ours.info.level_box(level)):
                a, b = (r.read(box, level).astype(np.int16) for r in (ours, theirs))
                difference = np.abs(a - b)
                assert difference.max() <= largest
                assert difference.mean() <= mean


def _windows(whole: Box) -> list[Box]:
    """The upper left corner, the centre, and what reaches beyond the lower right corner."""
    return [
        Box(-20, -10, 300, 200),
        Box(whole.width // 2 - 200, whole.height // 2 - 150, 400, 300),
        Box(whole.right - 100, whole.bottom - 80, 150, 120),
    ]
