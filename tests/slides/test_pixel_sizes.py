"""Pixel sizes: a microscope's are found, a printer's are not believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_histo.core.pixel_size import PixelSize
from napari_histo.slides import open_slide
from napari_histo.slides._physical import MICRONS, from_metadata, from_resolution, microns_per_unit

GREY = np.zeros((20, 30), np.uint8)


def ome(x: float | None, unit: str | None = None, y: float | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": "YX"}
    if x is not None:
        metadata["PhysicalSizeX"] = x
    if y is not None:
        metadata["PhysicalSizeY"] = y
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    return {"ome": True, "metadata": metadata}


def tags(per_unit: float, unit: str, **more: Any) -> dict[str, Any]:
    return {"resolution": (per_unit, per_unit), "resolutionunit": unit, **more}


def imagej(per_unit: float, unit: str) -> dict[str, Any]:
    return {"imagej": True, "resolution": (per_unit, per_unit), "metadata": {"unit": unit}}


TIFFS: dict[str, tuple[dict[str, Any], float | None]] = {
    "nothing": ({}, None),
    "OME, µm": (ome(0.25, "µm", 0.25), 0.25),
    "OME, no unit means µm": (ome(0.5, None, 0.5), 0.5),
    "OME, nm": (ome(250, "nm", 250), 0.25),
    "OME, mm": (ome(0.00025, "mm", 0.00025), 0.25),
    "OME, only x": (ome(0.25, "µm"), 0.25),
    "OME, only y": (ome(None, None, 0.25), 0.25),
    "OME, 10 µm of a preview": (ome(10.0, "µm", 10.0), 10.0),
    "OME, pixels": (ome(1, "pixel", 1), None),
    "OME, reference frame": (ome(1, "reference frame", 1), None),
    "OME, 72 dpi copied": (ome(352.78, "µm", 352.78), None),
    "OME, zero": (ome(0.0, "µm", 0.0), None),
    "OME, silent, tags ignored": ({**tags(40_000, "CENTIMETER"), **ome(None)}, None),
    "tags, 40,000 per cm": (tags(40_000, "CENTIMETER"), 0.25),
    "tags, 101,600 per inch": (tags(101_600, "INCH"), 0.25),
    "tags, 4 per µm": (tags(4, "MICROMETER"), 0.25),
    "tags, no unit": (tags(40_000, "NONE"), None),
    "tags, 72 dpi": (tags(72, "INCH"), None),
    "tags, 96 dpi": (tags(96, "INCH"), None),
    "tags, 300 dpi": (tags(300, "INCH"), None),
    "tags, 2400 dpi": (tags(2400, "INCH"), None),
    "tags, 28.34 per cm": (tags(28.34, "CENTIMETER"), None),
    "tags, 1 per cm": (tags(1, "CENTIMETER"), None),
    "ImageJ, micron": (imagej(4, "micron"), 0.25),
    "ImageJ, um": (imagej(4, "um"), 0.25),
    "ImageJ, escaped µm": (imagej(4, "\\u00B5m"), 0.25),
    "ImageJ, nm": (imagej(0.004, "nm"), 0.25),
    "ImageJ, mm": (imagej(4000, "mm"), 0.25),
    "ImageJ, 30 µm": (imagej(1 / 30, "micron"), 30.0),
    "ImageJ, inch at 72 dpi": (imagej(72, "inch"), None),
    "ImageJ, pixel": (imagej(1, "pixel"), None),
    "Aperio": (
        {
            "description": "Aperio Image Library v10\r\n30x20 (16x16)|AppMag = 40|MPP = 0.2527",
            "tile": (16, 16),
            "metadata": None,
        },
        0.2527,
    ),
    "Aperio without MPP": (
        {"description": "Aperio Image Library v10\r\n30x20", "tile": (16, 16), "metadata": None},
        None,
    ),
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff(tmp_path: Path, name: str) -> None:
    options, expected = TIFFS[name]
    tifffile.imwrite(tmp_path / "image.tif", GREY, **options)
    with open_slide(tmp_path / "image.tif") as reader:
        size = reader.info.pixel_size
    assert_is(size, expected)


def assert_is(size: PixelSize | None, expected: float | None) -> None:
    if expected is None:
        assert size is None
    else:
        assert size is not None
        assert (size.x_um, size.y_um) == pytest.approx((expected, expected), rel=1e-3)


def test_sides_may_differ(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", GREY, **ome(0.25, "µm", 0.5))
    with open_slide(tmp_path / "image.tif") as reader:
        assert (reader.info.pixel_size.x_um, reader.info.pixel_size.y_um) == (0.25, 0.5)


def test_aperio_magnification_and_thumbnail(data_dir: Path) -> None:
    path = data_dir / "slides" / "CMU-1-Small-Region.svs"
    with open_slide(path) as slide, open_slide(path, series=1) as thumbnail:
        assert slide.info.pixel_size.mean_um == 0.499
        assert slide.info.magnification == 20
        assert slide.info.metadata["aperio.AppMag"] == "20"
        assert thumbnail.info.pixel_size is None
        assert slide.info.series_note == ""


@pytest.mark.parametrize(
    ("suffix", "dpi", "expected"),
    [
        ("png", 101_600, 0.25),
        ("png", 72, None),
        ("png", 96, None),
        ("png", 300, None),
        ("jpg", 50_800, 0.5),
        ("jpg", 72, None),
        ("bmp", 101_600, 0.25),
        ("png", None, None),
    ],
)
def test_picture(tmp_path: Path, suffix: str, dpi: int | None, expected: float | None) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(GREY).save(path, **({"dpi": (dpi, dpi)} if dpi else {}))
    with open_slide(path) as reader:
        size = reader.info.pixel_size
    assert_is(size, expected)


@pytest.mark.parametrize("unit", ["µm", "\u03bcm", "um", "Micron", " micron ", "\\u00B5m"])
def test_ways_to_write_micrometres(unit: str) -> None:
    assert microns_per_unit(unit) == 1.0


@given(st.floats(0.01, 10), st.sampled_from(sorted(set(MICRONS.values()))))
def test_a_resolution_of_a_microscope_is_found_in_any_unit(size_um: float, unit_um: float) -> None:
    per_unit = unit_um / size_um
    found = from_resolution(per_unit, per_unit, unit_um)
    assert found is None or found.mean_um == pytest.approx(size_um)
    # At the very ends of the range rounding decides.
    assert found is not None or size_um in (pytest.approx(0.01), pytest.approx(10))


@given(st.floats(12, 10_000))
def test_a_resolution_of_a_printer_is_never_believed(size_um: float) -> None:
    assert from_resolution(25400 / size_um, 25400 / size_um, 25400) is None


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True))
def test_no_number_breaks_it(x: float, y: float) -> None:
    for size in (from_metadata(x, y), from_resolution(x, y, 1.0), from_resolution(x, y, None)):
        assert size is None or min(size.x_um, size.y_um) >= 0.001
