"""Every dialect of TIFF that users bring reads as what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_histo.core.box import Box
from napari_histo.slides import open_slide

H, W = 97, 131
RGB_NAMES = ("Red", "Green", "Blue")


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def smooth(*shape: int) -> np.ndarray:
    """Slow ramps, which JPEG keeps within a few grey values."""
    y, x, c = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return np.rint(60 + 120 * (0.5 * y + 0.3 * x + 0.2 * c)).astype(np.uint8)


@dataclass(frozen=True)
class Case:
    """What is written, and what comes back as (h, w, c)."""

    written: np.ndarray
    read: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    is_rgb: bool = False
    names: tuple[str, ...] | None = None
    z: int = 0
    n_z: int = 1
    tolerance: int = 0


grey = noise(H, W)
grey16 = noise(H, W, dtype=np.uint16)
rgb = noise(H, W, 3)
ramp = smooth(H, W, 3)
five = noise(5, H, W, dtype=np.uint16)
czyx = noise(2, 3, H, W, dtype=np.uint16)
tczyx = noise(2, 3, 4, H, W)
floats = noise(H, W, dtype=np.float32)
floats[10:20, 30:40] = np.nan
rgba = noise(H, W, 4)
weight = rgba[..., 3:] / 255
straight = np.rint(rgba[..., :3] * weight + 255 * (1 - weight)).astype(np.uint8)
opaque = np.dstack([rgb, np.full((H, W), 255, np.uint8)])
premultiplied = np.dstack([rgba[..., :3] // 4, np.full((H, W), 128, np.uint8)])
associated = np.clip(premultiplied[..., :3] + 127.0, 0, 255).astype(np.uint8)
colours = noise(3, 256, dtype=np.uint16, seed=5)
green_lut = np.zeros((3, 256), np.uint16)
green_lut[1] = np.arange(256) * 257


def last(array: np.ndarray) -> np.ndarray:
    return np.moveaxis(array, 0, -1)


def as_rgb(**options: Any) -> dict[str, Any]:
    return {"photometric": "rgb", **options}


def ome(axes: str, **more: Any) -> dict[str, Any]:
    return {"ome": True, "photometric": "minisblack", "metadata": {"axes": axes, **more}}


def imagej(axes: str, **more: Any) -> dict[str, Any]:
    return {"imagej": True, "metadata": {"axes": axes, **more}}


CASES: dict[str, Case] = {
    "grey, uncompressed": Case(grey, grey[..., None]),
    "16 bits, big-endian": Case(grey16, grey16[..., None], {"byteorder": ">"}),
    "16 bits, big-endian, deflate": Case(
        grey16, grey16[..., None], {"byteorder": ">", "compression": "zlib", "predictor": True}
    ),
    "BigTIFF": Case(grey, grey[..., None], {"bigtiff": True}),
    "int8": Case(noise(H, W, dtype=np.int8), noise(H, W, dtype=np.int8)[..., None]),
    "RGB, uncompressed": Case(rgb, rgb, as_rgb(), is_rgb=True),
    "RGB, LZW, strips of 7 rows": Case(
        rgb, rgb, as_rgb(compression="lzw", rowsperstrip=7), is_rgb=True
    ),
    "RGB, one compressed strip": Case(
        rgb, rgb, as_rgb(compression="zlib", rowsperstrip=H), is_rgb=True
    ),
    "RGB, tiles, ZSTD": Case(rgb, rgb, as_rgb(compression="zstd", tile=(32, 48)), is_rgb=True),
    "RGB, tiles, uncompressed": Case(rgb, rgb, as_rgb(tile=(32, 48)), is_rgb=True),
    "RGB, tiles, JPEG": Case(
        ramp, ramp, as_rgb(compression="jpeg", tile=(48, 48)), is_rgb=True, tolerance=14
    ),
    "RGB, strips, JPEG as YCbCr 4:2:0": Case(
        ramp,
        ramp,
        as_rgb(compression="jpeg", subsampling=(2, 2), rowsperstrip=16),
        is_rgb=True,
        tolerance=14,
    ),
    "RGB, tiles, JPEG 2000 lossless": Case(
        rgb, rgb, as_rgb(compression="jpeg2000", tile=(64, 64)), is_rgb=True
    ),
    "RGB, planes apart": Case(last(noise(3, H, W)), last(noise(3, H, W)), {}, is_rgb=True),
    "RGB, planes apart, tiles": Case(rgb, rgb, {}, is_rgb=True),
    "RGB, 16 bits": Case(
        noise(H, W, 3, dtype=np.uint16),
        noise(H, W, 3, dtype=np.uint16),
        as_rgb(),
        names=RGB_NAMES,
    ),
    "RGBA over white": Case(rgba, straight, as_rgb(extrasamples=["unassalpha"]), is_rgb=True),
    "RGBA, the fourth sample unspecified": Case(
        rgba, straight, as_rgb(extrasamples=["unspecified"]), is_rgb=True
    ),
    "RGBA, all opaque": Case(opaque, rgb, as_rgb(extrasamples=["unassalpha"]), is_rgb=True),
    "RGBA, premultiplied": Case(
        premultiplied, associated, as_rgb(extrasamples=["assocalpha"]), is_rgb=True
    ),
    "palette of colours": Case(
        grey,
        np.rint(colours.T[grey] / 257).astype(np.uint8),
        {"photometric": "palette", "colormap": colours},
        is_rgb=True,
    ),
    "look-up table over grey": Case(
        grey, grey[..., None], {"photometric": "palette", "colormap": green_lut}
    ),
    "zero is white": Case(grey, 255 - grey[..., None], {"photometric": "miniswhite"}),
    "bits": Case(
        grey > 99,
        np.where(grey > 99, 255, 0).astype(np.uint8)[..., None],
        {"photometric": "minisblack"},
    ),
    "float with NaN": Case(floats, floats[..., None]),
    "float with NaN, predictor": Case(
        floats, floats[..., None], {"compression": "zlib", "predictor": True, "tile": (32, 32)}
    ),
    "half float": Case(
        floats.astype(np.float16), floats.astype(np.float16).astype(np.float32)[..., None]
    ),
    "numpy (5, h, w) of 16 bits": Case(five, last(five), {"photometric": "minisblack"}),
    "numpy (5, h, w), compressed": Case(
        five, last(five), {"photometric": "minisblack", "compression": "zlib"}
    ),
    "numpy (h, w, 5)": Case(last(five), last(five), {"photometric": "minisblack"}),
    "numpy (h, w, 5), compressed": Case(
        last(five), last(five), {"photometric": "minisblack", "compression": "zlib"}
    ),
    "numpy (w, h, 5) with axes XYC": Case(
        last(five).swapaxes(0, 1),
        last(five),
        {"photometric": "minisblack", "metadata": {"axes": "XYC"}},
    ),
    "numpy (h, w, 4) with axes YXZ": Case(
        last(five[:4]),
        five[2][..., None],
        {"photometric": "minisblack", "metadata": {"axes": "YXZ"}, "compression": "zlib"},
        z=2,
        n_z=4,
    ),
    "numpy (h, w, 5), interleaved": Case(
        last(five), last(five), {"photometric": "minisblack", "planarconfig": "contig"}
    ),
    "numpy (12, h, w): focal planes": Case(
        noise(12, H, W), noise(12, H, W)[7][..., None], {"photometric": "minisblack"}, z=7, n_z=12
    ),
    "pages, no metadata: channels": Case(
        five, last(five), {"photometric": "minisblack", "metadata": None}
    ),
    "OME YX": Case(grey, grey[..., None], ome("YX")),
    "OME YXS": Case(
        rgb,
        rgb,
        {"ome": True, "photometric": "rgb", "metadata": {"axes": "YXS"}},
        is_rgb=True,
    ),
    "OME CYX, named": Case(
        five,
        last(five),
        ome("CYX", Channel={"Name": ["DAPI", "CD3", "CD8", "CK", "AF"]}),
        names=("DAPI", "CD3", "CD8", "CK", "AF"),
    ),
    "OME CZYX at z 2": Case(czyx, last(czyx[:, 2]), ome("CZYX"), z=2, n_z=3),
    "OME ZCYX, tiles": Case(
        czyx, last(czyx[1]), {**ome("ZCYX"), "tile": (32, 32), "compression": "zlib"}, z=1, n_z=2
    ),
    "OME TCZYX: first time": Case(tczyx, last(tczyx[0, :, 3]), ome("TCZYX"), z=3, n_z=4),
    "ImageJ CYX, labelled": Case(
        five[:2],
        last(five[:2]),
        imagej("CYX", Labels=["DAPI", "GFP"]),
        names=("DAPI", "GFP"),
    ),
    "ImageJ ZCYX": Case(czyx, last(czyx[1]), imagej("ZCYX"), z=1, n_z=2),
    "ImageJ TZCYX: first time": Case(
        tczyx.astype(np.uint16), last(tczyx[0, 2]).astype(np.uint16), imagej("TZCYX"), z=2, n_z=3
    ),
    "ImageJ RGB": Case(rgb, rgb, {"imagej": True}, is_rgb=True),
}


def write(path: Path, name: str, case: Case) -> None:
    options = dict(case.options)
    written = case.written
    if name.startswith("RGB, planes apart"):
        written = np.moveaxis(written, -1, 0)
        options |= {"photometric": "rgb", "planarconfig": "separate"}
        options |= {"tile": (32, 32), "compression": "zlib"} if "tiles" in name else {}
    tifffile.imwrite(path, written, **options)


@pytest.mark.parametrize("name", CASES)
def test_reads_what_was_written(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = tmp_path / "image.tif"
    write(path, name, case)
    with open_slide(path, z=case.z) as reader:
        info = reader.info
        pixels = reader.read(info.box)
        corner = reader.read(Box(W - 20, H - 30, 20, 30))
    assert (info.is_rgb, info.n_z, info.metadata["reader"]) == (case.is_rgb, case.n_z, "tifffile")
    names = case.names or (RGB_NAMES if case.is_rgb else None)
    if names:
        assert info.channel_names == names
    else:
        assert info.channel_names[0] == "Channel 1"
    assert (pixels.shape, pixels.dtype, info.dtype) == (
        case.read.shape,
        case.read.dtype,
        pixels.dtype,
    )
    assert_close(pixels, case.read, case.tolerance)
    assert_close(corner, case.read[H - 30 :, W - 20 :], case.tolerance)


def assert_close(pixels: np.ndarray, expected: np.ndarray, tolerance: int) -> None:
    if tolerance:
        assert np.abs(pixels.astype(float) - expected.astype(float)).max() <= tolerance
    else:
        np.testing.assert_array_equal(pixels, expected)


def test_second_series(tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(grey, metadata={"axes": "YX", "Name": "one"})
        writer.write(
            grey16[:50],
            metadata={"axes": "YX", "Name": "two", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
        )
    with open_slide(path, series=1) as reader:
        np.testing.assert_array_equal(reader.read(reader.info.box)[..., 0], grey16[:50])
        assert reader.info.pixel_size is not None
        assert reader.info.metadata["image"] == "two"
        assert reader.info.series == 1
    with open_slide(path) as reader:
        height, width = grey.shape
        assert reader.info.series_note == (
            f"two.ome.tif holds 2 images (0 one ({width} x {height} px); "
            f"1 two ({width} x 50 px)). This is number 0; on the command line --series takes "
            "another."
        )


@pytest.mark.parametrize(
    ("pages", "names"),
    [
        pytest.param([{}], 0, id="one"),
        pytest.param([{}, {"subfiletype": 1}], 0, id="reduced copy"),
        pytest.param([{}, {}], 2, id="of two sizes"),
        pytest.param([{}, {"subfiletype": 1}, {}], 2, id="two and a reduced copy"),
    ],
)
def test_what_counts_as_an_image_of_a_file(tmp_path: Path, pages: list, names: int) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        for i, options in enumerate(pages):
            side = 64 - 20 * i
            writer.write(np.zeros((side, side), np.uint8), metadata=None, **options)
    with open_slide(path) as reader:
        assert sum(map(bool, reader.info.series_names)) == names
        assert bool(reader.info.series_note) == bool(names)


@pytest.mark.parametrize("name", ["label image", "Macro", "thumbnail"])
def test_pictures_beside_a_slide_are_no_choice(tmp_path: Path, name: str) -> None:
    path = tmp_path / "scan.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(grey, metadata={"axes": "YX", "Name": "slide"})
        writer.write(grey[:50], metadata={"axes": "YX", "Name": name})
    with open_slide(path) as reader:
        assert reader.info.series_note == ""


def test_many_images_are_not_all_listed(tmp_path: Path) -> None:
    path = tmp_path / "plate.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for i in range(12):
            writer.write(grey[: 20 + i], metadata={"axes": "YX", "Name": f"well {i}"})
    with open_slide(path) as reader:
        assert "holds 12 images" in reader.info.series_note
        assert "7 well 7" in reader.info.series_note
        assert "well 8" not in reader.info.series_note


def test_qptiff_names_its_fluorophores(tmp_path: Path) -> None:
    path = tmp_path / "scan.qptiff"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for name, plane in zip(("DAPI", "Opal 520"), five, strict=False):
            text = f"<PerkinElmer-QPI-ImageDescription><Name>{name}</Name>"
            writer.write(
                plane,
                description=text + "</PerkinElmer-QPI-ImageDescription>",
                software="PerkinElmer-QPI",
                metadata=None,
                tile=(32, 32),
                compression="lzw",
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
            )
    with open_slide(path) as reader:
        assert reader.info.channel_names == ("DAPI", "Opal 520")
        assert reader.info.pixel_size is not None
        assert reader.info.pixel_size.mean_um == pytest.approx(0.5)
        np.testing.assert_array_equal(reader.read(reader.info.box), last(five[:2]))


def test_ome_over_several_files(tmp_path: Path) -> None:
    ids = ["urn:uuid:6b029ba0-0000-0000-0000-00000000000" + c for c in "12"]
    files = ["a.ome.tif", "b.ome.tif"]
    places = "".join(
        f'<TiffData FirstC="{i}" IFD="0" PlaneCount="1"><UUID FileName="{files[i]}">{ids[i]}</UUID>'
        "</TiffData>"
        for i in range(2)
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{id}">'
        f'<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="{W}" SizeY="{H}" SizeC="2" SizeZ="1" SizeT="1" BigEndian="false">'
        '<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1"/>'
        '<Channel ID="Channel:0:1" Name="CD3" SamplesPerPixel="1"/>'
        f"{places}</Pixels></Image></OME>"
    )
    planes = noise(2, H, W)
    for i, file in enumerate(files):
        tifffile.imwrite(
            tmp_path / file,
            planes[i],
            description=xml.replace("{id}", ids[i]),
            metadata=None,
            compression="zlib",
        )
    with open_slide(tmp_path / "a.ome.tif") as reader:
        assert reader.info.channel_names == ("DAPI", "CD3")
        np.testing.assert_array_equal(reader.read(reader.info.box), last(planes))


def sub_ifds(path: Path, levels: list[np.ndarray]) -> None:
    options = as_rgb(tile=(32, 32), compression="zlib")
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], subifds=len(levels) - 1, **options)
        for level in levels[1:]:
            writer.write(level, subfiletype=1, **options)


def plain_pages(path: Path, levels: list[np.ndarray]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for i, level in enumerate(levels):
            options = as_rgb(tile=(32, 32), metadata=None, subfiletype=1 if i else 0)
            writer.write(level, **options)


@pytest.mark.parametrize("layout", [sub_ifds, plain_pages], ids=["SubIFDs", "plain pages"])
@pytest.mark.parametrize("factors", [(1, 2, 4), (1, 4, 16), (1, 4, 16, 32)], ids=str)
def test_pyramid(
    tmp_path: Path, layout: Callable[[Path, list[np.ndarray]], None], factors: tuple[int, ...]
) -> None:
    base = noise(512, 768, 3)
    levels = [np.ascontiguousarray(base[::f, ::f]) for f in factors]
    layout(tmp_path / "pyramid.tif", levels)
    with open_slide(tmp_path / "pyramid.tif") as reader:
        assert reader.info.level_downsamples == pytest.approx(factors)
        for i, level in enumerate(levels):
            np.testing.assert_array_equal(reader.read(reader.info.level_box(i), i), level)


def test_ome_pyramid_with_channels_and_planes(tmp_path: Path) -> None:
    data = noise(3, 2, 128, 192, dtype=np.uint16)
    path = tmp_path / "pyramid.ome.tif"
    options = {"tile": (64, 64), "photometric": "minisblack", "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        meta = {"axes": "CZYX", "PhysicalSizeX": 325.0, "PhysicalSizeXUnit": "nm"}
        writer.write(data, subifds=1, metadata=meta, **options)
        writer.write(data[..., ::2, ::2], subfiletype=1, **options)
    with open_slide(path, z=1) as reader:
        info = reader.info
        assert info.level_shapes == ((128, 192), (64, 96))
        assert info.pixel_size is not None
        assert info.pixel_size.x_um == pytest.approx(0.325)
        np.testing.assert_array_equal(reader.read(info.box), last(data[:, 1]))
        half = reader.read(info.level_box(1), 1)
        np.testing.assert_array_equal(half, last(data[:, 1, ::2, ::2]))


@pytest.mark.parametrize(
    ("photometric", "ground"), [("rgb", 255), ("minisblack", 0)], ids=["white", "black"]
)
def test_tiles_left_out_are_background(tmp_path: Path, photometric: str, ground: int) -> None:
    shape = (64, 64, 3) if photometric == "rgb" else (64, 64)

    def tiles() -> Any:
        yield np.full((32, 32, *shape[2:]), 9, np.uint8)
        yield None
        yield None
        yield None

    path = tmp_path / "sparse.tif"
    tifffile.imwrite(
        path,
        tiles(),
        shape=shape,
        dtype=np.uint8,
        tile=(32, 32),
        photometric=photometric,
        compression="zlib",
    )
    with open_slide(path) as reader:
        pixels = reader.read(reader.info.box)
    assert (pixels[:32, :32] == 9).all()
    assert (pixels[32:, 32:] == ground).all()


@pytest.mark.parametrize("z", range(5))
def test_real_ome_tiff_with_channels_and_planes(data_dir: Path, z: int) -> None:
    path = data_dir / "slides" / "multi-channel-z-series.ome.tif"
    with open_slide(path, z=z) as reader:
        info = reader.info
        assert (info.n_channels, info.n_z, info.dtype) == (3, 5, np.int8)
        assert info.pixel_size is None
        np.testing.assert_array_equal(reader.read(info.box), last(tifffile.imread(path)[:, z]))


def test_real_pyramid(data_dir: Path) -> None:
    path = data_dir / "slides" / "large_image_yb10kx5k.zstd.tiff"
    with open_slide(path) as reader:
        assert reader.info.level_shapes[0] == (5000, 10_000)
        assert reader.info.n_levels == 5
        # 28.34 px/cm is a screen's 72 dpi.
        assert reader.info.pixel_size is None
        expected = tifffile.imread(path, series=0, level=3)
        np.testing.assert_array_equal(reader.read(reader.info.level_box(3), 3), expected)
