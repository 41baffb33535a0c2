"""Plain pictures and arrays come in as what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histo.core.box import Box
from napari_histo.core.pixel_size import PixelSize
from napari_histo.slides import SUFFIXES, ArrayReader, open_slide

RNG = np.random.default_rng(2)
GREY = RNG.integers(0, 256, (40, 60), np.uint8)
GREY16 = RNG.integers(0, 65536, (40, 60), np.uint16)
RGB = RNG.integers(0, 256, (40, 60, 3), np.uint8)
RGBA = np.dstack([RGB, np.full((40, 60), 255, np.uint8)])
RGBA[:, :20, 3] = 0
OVER_WHITE = np.where(RGBA[..., 3:] == 0, 255, RGB).astype(np.uint8)
FEW = RGB // 128 * 128
BITS = GREY > 128


def paletted() -> Image.Image:
    return Image.fromarray(FEW).quantize(8, dither=Image.Dither.NONE)


@pytest.mark.parametrize(
    ("suffix", "image", "expected"),
    [
        ("png", Image.fromarray(GREY), GREY[..., None]),
        ("png", Image.fromarray(GREY16), GREY16[..., None]),
        ("png", Image.fromarray(RGB), RGB),
        ("png", Image.fromarray(RGBA), OVER_WHITE),
        ("png", Image.fromarray(np.dstack([GREY, RGBA[..., 3]])), None),
        ("png", Image.fromarray(BITS), (BITS * np.uint8(255))[..., None]),
        ("png", paletted(), np.asarray(paletted().convert("RGB"))),
        ("bmp", Image.fromarray(RGB), RGB),
        ("bmp", Image.fromarray(GREY), GREY[..., None]),
        ("webp", Image.fromarray(np.full((40, 60, 3), 90, np.uint8)), None),
    ],
    ids=[
        "grey", "16-bit grey", "RGB", "RGBA", "grey and alpha", "1 bit", "palette", "BMP",
        "grey BMP", "WebP",
    ],
)  # fmt: skip
def test_pictures(
    tmp_path: Path, suffix: str, image: Image.Image, expected: np.ndarray | None
) -> None:
    path = tmp_path / f"picture.{suffix}"
    image.save(path)
    with open_slide(path) as reader:
        pixels = reader.read(reader.info.box)
        assert reader.info.metadata["reader"] == "pillow"
        assert reader.info.is_rgb == (pixels.shape[2] == 3)
    if expected is None:
        assert pixels.shape[2] in (1, 3)
        assert (pixels[:, :20] == (255 if pixels.shape[2] == 1 else 90)).all()
    else:
        assert pixels.dtype == expected.dtype
        np.testing.assert_array_equal(pixels, expected)


def test_jpeg_stays_close(tmp_path: Path) -> None:
    ramp = np.rint(np.mgrid[:64, :96].sum(0) * 1.2 + 20).astype(np.uint8)
    Image.fromarray(np.dstack([ramp] * 3)).save(tmp_path / "picture.jpg", quality=95)
    with open_slide(tmp_path / "picture.jpg") as reader:
        difference = reader.read(reader.info.box)[..., 0].astype(int) - ramp
    assert np.abs(difference).max() <= 4


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "picture.jpg")
    with open_slide(tmp_path / "picture.jpg") as reader:
        assert reader.info.is_rgb


def test_array_defaults() -> None:
    reader = ArrayReader(GREY16)
    assert reader.info.channel_names == ("Channel 1",)
    assert reader.info.pixel_size is None
    assert not reader.info.is_rgb


def test_array_facts_are_kept() -> None:
    reader = ArrayReader(
        np.zeros((4, 5, 2)),
        name="mine",
        pixel_size=PixelSize(0.5, 0.25),
        channel_names=["DAPI", "CD3"],
    )
    assert reader.info.name == "mine"
    assert reader.info.pixel_size == PixelSize(0.5, 0.25)
    assert reader.info.channel_names == ("DAPI", "CD3")
    assert "mine" in repr(reader)


@pytest.mark.parametrize(
    ("array", "is_rgb", "expected"),
    [
        (RGB, None, True),
        (RGB, False, False),
        (RGB.astype(np.uint16), None, False),
        (RGBA, None, False),
        (GREY, None, False),
    ],
    ids=["uint8 x 3", "said not to be", "uint16 x 3", "uint8 x 4", "grey"],
)
def test_what_is_rgb(array: np.ndarray, is_rgb: bool | None, expected: bool) -> None:
    assert ArrayReader(array, is_rgb=is_rgb).info.is_rgb is expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RGBA, OVER_WHITE),
        (RGB / 255, RGB),
        (RGB.astype(np.uint16) * 257, RGB),
        (RGB.astype(np.int64), RGB),
        (RGB.astype(np.uint32), RGB),
        (np.full((4, 4, 3), np.nan), np.zeros((4, 4, 3), np.uint8)),
    ],
    ids=["opacity", "floats", "16 bits", "64 bits", "32 bits", "NaN"],
)
def test_rgb_of_other_types_is_read_as_uint8(array: np.ndarray, expected: np.ndarray) -> None:
    reader = ArrayReader(array, is_rgb=True)
    np.testing.assert_array_equal(reader.read(reader.info.box), expected)


def test_booleans_become_black_and_white() -> None:
    reader = ArrayReader(BITS)
    np.testing.assert_array_equal(reader.read(reader.info.box)[..., 0], BITS * np.uint8(255))


def test_dask_computes_only_the_chunks_of_the_box() -> None:
    dask_array = pytest.importorskip("dask.array")
    touched: list[tuple[int, int]] = []

    def block(block_info: dict) -> np.ndarray:
        touched.append(tuple(block_info[None]["chunk-location"]))
        return np.ones((100, 100), np.uint8)

    lazy = dask_array.map_blocks(block, chunks=((100,) * 20, (100,) * 20), dtype=np.uint8)
    reader = ArrayReader(lazy)
    touched.clear()
    assert reader.read(Box(250, 450, 100, 40)).all()
    assert sorted(touched) == [(4, 2), (4, 3)]


def test_a_sequence_that_is_no_list_is_a_pyramid() -> None:
    from collections.abc import Sequence

    class Levels(Sequence):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> np.ndarray:
            if i > 1:
                raise IndexError
            return (GREY, GREY[::2, ::2])[i]

    assert ArrayReader(Levels()).info.level_shapes == ((40, 60), (20, 30))


@pytest.mark.parametrize("suffix", [".ndpi", ".dcm", ".svs", ".qptiff", ".gif", ".webp", ".tif"])
def test_endings_found_in_folders(suffix: str) -> None:
    assert suffix in SUFFIXES


def test_endings_that_no_reader_takes_are_not_found() -> None:
    assert ".czi" not in SUFFIXES
    assert all(s == s.lower() and s.startswith(".") for s in SUFFIXES)
