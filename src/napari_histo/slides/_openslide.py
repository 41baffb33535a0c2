"""Scanners' formats (MRXS, NDPI, SCN, VMS, SVS, …) through OpenSlide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideInfo
from napari_histo.errors import ImageError
from napari_histo.slides._base import BaseReader, Declined, check_single
from napari_histo.slides._physical import MICRONS, from_metadata, from_resolution
from napari_histo.slides._pixels import compose_on_white

__all__ = ["OpenSlideReader"]


class OpenSlideReader(BaseReader):
    """A slide that OpenSlide knows; what the scanner did not see is white.

    Where the file names bounds (MRXS, some NDPI and SCN), the image is the bounds, as in QuPath,
    and ``info.bounds_offset_px`` leads back to the scanner's coordinates.

    Parameters
    ----------
    path : Path
        The slide's main file.
    z, series : int
        Only 0 exists: OpenSlide shows one plane of one image.

    Raises
    ------
    Declined
        OpenSlide is not installed, or does not know the file.
    ImageError
        It knows the file, but the file is damaged.

    Notes
    -----
    OpenSlide takes a box's corner in whole level-0 pixels. Where a level's downsample is not whole
    (4.0002), it shifts the level's pixels by interpolation, by half a level-0 pixel at most.
    """

    def __init__(self, path: Path, *, z: int = 0, series: int = 0) -> None:
        self._slide = _open(path)
        check_single(path.name, z, series)
        properties = dict(self._slide.properties)
        self._bounds = _bounds(properties, self._slide.level_dimensions[0])
        scales = tuple(float(d) for d in self._slide.level_downsamples)
        super().__init__(
            SlideInfo(
                name=path.name,
                path=str(path),
                level_shapes=self._level_shapes(scales),
                level_downsamples=scales,
                dtype=np.dtype(np.uint8),
                channel_names=("Red", "Green", "Blue"),
                is_rgb=True,
                pixel_size=_pixel_size(properties),
                bounds_offset_px=(self._bounds.x, self._bounds.y),
                magnification=_number(properties.get("openslide.objective-power")),
                metadata={"reader": "openslide", **{k: str(v) for k, v in properties.items()}},
            )
        )

    def _level_shapes(self, scales: tuple[float, ...]) -> tuple[tuple[int, int], ...]:
        width, height = self._slide.level_dimensions[0]
        if self._bounds == Box(0, 0, width, height):
            return tuple((int(h), int(w)) for w, h in self._slide.level_dimensions)
        # Rounded down, so that every pixel of a level lies inside the bounds.
        sides = self._bounds.shape
        return tuple((max(1, int(sides[0] / d)), max(1, int(sides[1] / d))) for d in scales)

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        scale = self._info.level_downsamples[level]
        # OpenSlide wants the corner in level-0 pixels of the scanner, whatever the level.
        corner = (self._bounds.x + round(box.x * scale), self._bounds.y + round(box.y * scale))
        region = self._slide.read_region(corner, level, (box.width, box.height))
        return compose_on_white(np.asarray(region))

    def _release(self) -> None:
        self._slide.close()


def _open(path: Path) -> Any:
    try:
        import openslide
    except (ImportError, OSError) as error:
        # OSError: the Python package is there but the C library is not.
        raise Declined(
            f"OpenSlide is not installed ({error}); "
            "it reads MRXS, NDPI, SCN and others after: pip install napari-histo[openslide]"
        ) from error
    try:
        return openslide.OpenSlide(str(path))
    except openslide.OpenSlideUnsupportedFormatError:
        raise Declined("not a format that OpenSlide knows") from None
    except openslide.OpenSlideError as error:
        raise ImageError(
            f"OpenSlide knows the format of {path.name} but cannot open it: {error}. "
            "The file, or one of the files that belong beside it, is damaged or missing."
        ) from error


def _bounds(properties: Mapping[str, str], size: tuple[int, int]) -> Box:
    names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
    values = [_number(properties.get(f"openslide.{n}")) for n in names]
    whole = Box(0, 0, int(size[0]), int(size[1]))
    if any(v is None for v in values):
        return whole
    x, y, width, height = (int(v) for v in values if v is not None)
    inside = Box(x, y, max(0, width), max(0, height)).intersect(whole)
    return whole if inside.is_empty else inside


def _pixel_size(properties: Mapping[str, str]) -> Any:
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    if properties.get("openslide.vendor") == "generic-tiff" and x and y:
        # There OpenSlide passes on the resolution tags, which may be a printer's.
        return from_resolution(MICRONS["inch"] / x, MICRONS["inch"] / y, MICRONS["inch"])
    return from_metadata(x, y)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None
