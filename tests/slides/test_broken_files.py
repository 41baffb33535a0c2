"""Broken inputs: each gives one error whose text a person can act on."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_histo.core.box import Box
from napari_histo.errors import ImageError, NoReaderError
from napari_histo.slides import ArrayReader, open_slide

RGB = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*slide\.svs.*spelling"):
        open_slide(tmp_path / "slide.svs")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        open_slide(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "slide.tif").touch()
    with pytest.raises(ImageError, match="empty"):
        open_slide(tmp_path / "slide.tif")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_file_of_someone_else(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    path.write_bytes(b"II*\0")
    path.chmod(0)
    with pytest.raises(ImageError, match="yours to read"):
        open_slide(path)


@pytest.mark.parametrize("suffix", [".tif", ".svs", ".png", ".mrxs", ".txt", ""])
def test_text_under_any_name_names_every_reader(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"notes{suffix}"
    path.write_text("These are my notes about the slide.")
    with pytest.raises(NoReaderError) as caught:
        open_slide(path)
    assert {name for name, _ in caught.value.declined} == {"tifffile", "openslide", "pillow"}
    assert all(reason for _, reason in caught.value.declined)
    assert str(path) in str(caught.value)
    assert "not a TIFF file" in str(caught.value)


def test_wrong_suffix_opens_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "really a png.tif"
    Image.fromarray(RGB).save(path, "PNG")
    with open_slide(path) as reader:
        np.testing.assert_array_equal(reader.read(reader.info.box), RGB)


def tiff_bytes(**options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, RGB, photometric="rgb", **options)
    return buffer.getvalue()


def pyramid_bytes() -> bytes:
    buffer = io.BytesIO()
    options = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}
    with tifffile.TiffWriter(buffer, ome=True, bigtiff=True) as writer:
        writer.write(RGB, subifds=2, **options)
        writer.write(RGB[::2, ::2], subfiletype=1, **options)
        writer.write(RGB[::4, ::4], subfiletype=1, **options)
    return buffer.getvalue()


def picture_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, kind)
    return buffer.getvalue()


COMPLETE: dict[str, Callable[[], bytes]] = {
    "plain.tif": tiff_bytes,
    "big-endian.tif": lambda: tiff_bytes(byteorder=">", compression="lzw"),
    "tiles.tif": lambda: tiff_bytes(tile=(32, 32), compression="zlib"),
    "imagej.tif": lambda: tiff_bytes(imagej=True),
    "image.ome.tif": lambda: tiff_bytes(ome=True),
    "pyramid.ome.tif": pyramid_bytes,
    "picture.png": lambda: picture_bytes("PNG"),
    "picture.jpg": lambda: picture_bytes("JPEG"),
    "picture.bmp": lambda: picture_bytes("BMP"),
}


@pytest.mark.parametrize("name", COMPLETE)
@given(share=st.floats(0, 0.995))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_truncated_anywhere(tmp_path: Path, name: str, share: float) -> None:
    whole = COMPLETE[name]()
    path = tmp_path / name
    path.write_bytes(whole[: max(1, int(len(whole) * share))])
    with pytest.raises(ImageError, match=r"(?i)truncated|No reader could open") as caught:
        open_slide(path)
    assert name in str(caught.value)


@pytest.mark.parametrize("share", [0.00002, 0.05, 0.5, 0.9, 0.9999])
def test_truncated_svs(data_dir: Path, tmp_path: Path, share: float) -> None:
    whole = (data_dir / "slides" / "CMU-1-Small-Region.svs").read_bytes()
    path = tmp_path / "half.svs"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=r"half\.svs is truncated.*Copy or export it again"):
        open_slide(path)


def test_ome_tiff_that_lost_its_last_channels(data_dir: Path, tmp_path: Path) -> None:
    """The pixels that are left would read, as an image with fewer channels."""
    whole = (data_dir / "slides" / "multi-channel-z-series.ome.tif").read_bytes()
    path = tmp_path / "lost.ome.tif"
    path.write_bytes(whole[: int(len(whole) * 0.9)])
    with pytest.raises(ImageError, match="truncated"):
        open_slide(path)


def test_damage_within_is_found_where_it_is(data_dir: Path, tmp_path: Path) -> None:
    content = bytearray((data_dir / "slides" / "CMU-1-Small-Region.svs").read_bytes())
    content[900_000:960_000] = bytes(60_000)
    path = tmp_path / "scratched.svs"
    path.write_bytes(content)
    with open_slide(path) as reader:
        assert reader.read(Box(0, 0, 200, 200)).any()
        with pytest.raises(ImageError, match=r"scratched\.svs cannot be read at x 0, y 0"):
            reader.read(reader.info.box)


@pytest.mark.filterwarnings("ignore:.*writing zero-size")
@pytest.mark.parametrize("shape", [(0, 0), (0, 5)], ids=str)
def test_tiff_without_pixels(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "nothing.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8))
    with pytest.raises(ImageError, match="has no pixels"):
        open_slide(path)


def test_tiff_without_pages(tmp_path: Path) -> None:
    path = tmp_path / "nothing.tif"
    path.write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(ImageError, match="has no pixels"):
        open_slide(path)


def test_tiff_with_a_senseless_directory(tmp_path: Path) -> None:
    path = tmp_path / "senseless.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\xff" * 100)
    with pytest.raises(ImageError, match="truncated or damaged"):
        open_slide(path)


@pytest.mark.parametrize(
    ("array", "options", "reason"),
    [
        (np.zeros((9, 9), np.complex64), {}, "complex64"),
        (np.zeros((9, 9, 4), np.uint8), {"photometric": "separated"}, "CMYK"),
        (np.zeros((9, 9, 3), np.uint8), {"photometric": "ycbcr"}, "YCbCr"),
        (np.zeros((9, 9, 3), np.uint8), {"photometric": "cielab"}, r"L\*a\*b"),
    ],
    ids=["complex", "CMYK", "YCbCr", "CIELAB"],
)
def test_tiff_that_no_reader_takes(
    tmp_path: Path, array: np.ndarray, options: dict[str, str], reason: str
) -> None:
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, array, **options)
    with pytest.raises(NoReaderError, match=reason):
        open_slide(path)


@pytest.mark.parametrize(("z", "series"), [(5, 0), (-1, 0), (0, 1), (0, -1)])
def test_planes_and_images_that_are_not_there(data_dir: Path, z: int, series: int) -> None:
    path = data_dir / "slides" / "multi-channel-z-series.ome.tif"
    expected = "it has 5, numbered from 0 to 4" if z else "no image number"
    with pytest.raises(ImageError, match=expected):
        open_slide(path, z=z, series=series)


def test_picture_has_no_second_plane(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "picture.png")
    with pytest.raises(ImageError, match=r"picture\.png holds one image"):
        open_slide(tmp_path / "picture.png", z=1)


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    with pytest.raises(ImageError, match=r"too large.*pyramidal TIFF"):
        open_slide(tmp_path / "picture.png")


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.zeros((0, 0)), {}, "no pixels"),
        (np.zeros((4, 5, 0)), {}, "no pixels"),
        (np.zeros(4), {}, r"shape \(4,\)"),
        (np.zeros((2, 3, 4, 5)), {}, "one time point"),
        ([], {}, "empty list"),
        (np.zeros((4, 5), complex), {}, "complex128"),
        (np.array([["a", "b"]]), {}, "integers, floats or booleans"),
        (np.zeros((4, 5, 2)), {"channel_names": ["one"]}, "2 channels but 1 names"),
        (np.zeros((4, 5, 2)), {"is_rgb": True}, "RGB has 3"),
        ([np.zeros((4, 4)), np.zeros((2, 2, 3))], {}, "differ in channels"),
        ([np.zeros((2, 2)), np.zeros((4, 4))], {}, "largest first"),
    ],
    ids=str,
)
def test_arrays_that_are_no_images(array: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        ArrayReader(array, name="mine", **options)
