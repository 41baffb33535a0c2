"""Every reader passes the one conformance suite that the package ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_histo.core.slide import SlideReader
from napari_histo.slides import ArrayReader, open_slide
from napari_histo.testing.slide_reader import SlideReaderConformance

H, W = 83, 127
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (H, W, 3), np.uint8)
FIVE = RNG.integers(0, 65536, (5, H, W), np.uint16)


class _FromFixture(SlideReaderConformance):
    """Closes what the fixture `opened` gave."""

    @pytest.fixture
    def reader(self, opened: SlideReader) -> Iterator[SlideReader]:
        yield opened
        opened.close()


class TestRgbArray(_FromFixture):
    @pytest.fixture
    def opened(self) -> SlideReader:
        return ArrayReader(RGB)

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return RGB


class TestArrayPyramidWithoutChannelAxis(_FromFixture):
    @pytest.fixture
    def opened(self) -> SlideReader:
        return ArrayReader([FIVE[0], FIVE[0][::2, ::2], FIVE[0][::4, ::4]], name="pyramid")

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return FIVE[0][..., None]


class TestDaskArray(_FromFixture):
    @pytest.fixture
    def opened(self) -> SlideReader:
        dask_array = pytest.importorskip("dask.array")
        return ArrayReader(dask_array.from_array(np.moveaxis(FIVE, 0, -1), chunks=(32, 40, 2)))

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return np.moveaxis(FIVE, 0, -1)


class TestZarrArray(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> SlideReader:
        zarr = pytest.importorskip("zarr")
        array = zarr.create_array(
            tmp_path / "a.zarr", shape=RGB.shape, chunks=(32, 32, 3), dtype="u1"
        )
        array[...] = RGB
        return ArrayReader(array)

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return RGB


class TestPng(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> SlideReader:
        Image.fromarray(RGB).save(tmp_path / "image.png")
        return open_slide(tmp_path / "image.png")

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return RGB


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (32, 48), "compression": "zstd"},
        {"rowsperstrip": 5, "compression": "lzw"},
        {"rowsperstrip": H, "compression": "zlib"},
        {},
        {"tile": (64, 64), "compression": "jpeg2000"},
    ],
    ids=["tiles", "strips", "one strip", "mapped", "JPEG 2000"],
)
class TestRgbTiff(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path, options: dict[str, Any]) -> SlideReader:
        tifffile.imwrite(tmp_path / "image.tif", RGB, photometric="rgb", **options)
        return open_slide(tmp_path / "image.tif")

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return RGB


class TestPyramidalOmeTiff(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> SlideReader:
        path = tmp_path / "image.ome.tif"
        options = {"tile": (32, 32), "photometric": "minisblack", "compression": "zlib"}
        with tifffile.TiffWriter(path, ome=True) as writer:
            writer.write(FIVE, subifds=1, metadata={"axes": "CYX"}, **options)
            writer.write(FIVE[:, ::2, ::2], subfiletype=1, **options)
        return open_slide(path)

    @pytest.fixture
    def expected(self) -> np.ndarray:
        return np.moveaxis(FIVE, 0, -1)


class TestFloatTiffWithNan(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path, expected: np.ndarray) -> SlideReader:
        tifffile.imwrite(tmp_path / "image.tif", expected[..., 0], tile=(32, 32))
        return open_slide(tmp_path / "image.tif")

    @pytest.fixture
    def expected(self) -> np.ndarray:
        values = RNG.normal(size=(H, W, 1)).astype(np.float32)
        values[20:30, 40:60] = np.nan
        return values


class TestOpenSlideOnTiles(_FromFixture):
    @pytest.fixture
    def opened(self, tmp_path: Path, expected: np.ndarray) -> SlideReader:
        pytest.importorskip("openslide")
        from napari_histo.slides._openslide import OpenSlideReader

        options = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib", "metadata": None}
        path = tmp_path / "image.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(expected, **options)
            writer.write(expected[::2, ::2], subfiletype=1, **options)
        return OpenSlideReader(path)

    @pytest.fixture
    def expected(self) -> np.ndarray:
        # Even sides: a downsample that is not whole makes OpenSlide interpolate.
        return RGB[:82, :126]
