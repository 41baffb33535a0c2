"""How an image's pixels meet a model's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ModelInfo, PixelSize, SlideInfo, SlideReader
from napari_histo.errors import ImageError, PixelSizeUnknownError
from napari_histo.ops.resample import resample, source_box

__all__ = ["Frame"]

#: Scales this near to a pyramid level's own are taken as it is: networks bear 5 %, and resampling
#: would only blur.
_SNAP = 0.05
#: Full-resolution px per model px: below, a nucleus has a few px; above, it fills a screen.
_LEAST_SCALE, _LARGEST_SCALE = 1 / 10, 50
#: Models of tissue work at many µm; an image's pixels are hardly ever smaller than this, µm.
_FINEST_UM = 0.05


@dataclass(frozen=True)
class Frame:
    """Model pixels laid over an image.

    Attributes
    ----------
    reader : SlideReader
    level : int
        Pyramid level that is read.
    scale : (float, float)
        Full-resolution px per model px, along x and y.
    level_scale : (float, float)
        Pixels of `level` per model px.
    extent : Box
        The whole image in model px.
    region : Box
        What is to be done, in model px.
    pixel_size : PixelSize or None
        Of the image at full resolution; None where it does not matter.
    """

    reader: SlideReader
    level: int
    scale: tuple[float, float]
    level_scale: tuple[float, float]
    extent: Box
    region: Box
    pixel_size: PixelSize | None

    @classmethod
    def of(
        cls,
        reader: SlideReader,
        model: ModelInfo,
        *,
        region: Box | None = None,
        pixel_size: PixelSize | None = None,
        known_scale: float | None = None,
    ) -> Frame:
        """Choose level and scale for a model.

        Parameters
        ----------
        region : Box, optional
            In full-resolution px; the whole image by default.
        pixel_size : PixelSize, optional
            The user's word; it wins over the file's.
        known_scale : float, optional
            Full-resolution px per model px, where nobody knows the pixel size.

        Raises
        ------
        PixelSizeUnknownError
            The model needs a pixel size and nobody gave one.
        ImageError
            The image is empty, or the region lies outside it.
        """
        info = reader.info
        if info.box.is_empty:
            raise ImageError(
                f"{info.name} has {info.width} x {info.height} pixels; there is nothing to segment."
            )
        known = pixel_size or info.pixel_size
        if known_scale is None:
            wished = _scale(info.name, model, known)
        else:
            wished = known_scale, known_scale
        level = info.best_level(min(wished))
        down_x, down_y = info.level_scale(level)
        level_scale = (wished[0] / down_x, wished[1] / down_y)
        if all(abs(s - 1) <= _SNAP for s in level_scale):
            level_scale = (1.0, 1.0)
        scale = (level_scale[0] * down_x, level_scale[1] * down_y)
        level_box = info.level_box(level)
        extent = level_box.scale(1 / level_scale[0], 1 / level_scale[1])
        wanted = _inside(info, region)
        in_model = _clamped(wanted.scale(1 / scale[0], 1 / scale[1]), extent)
        return cls(reader, level, scale, level_scale, extent, in_model, known)

    def read(self, target: Box) -> NDArray[Any]:
        """Pixels of `target` (model px, within the extent), (h, w, c); the image's own values.

        The dtype is the image's where nothing had to be resampled, else float32.
        """
        whole = self.reader.info.level_box(self.level)
        source = source_box(target, self.level_scale, whole)
        pixels = self.reader.read(source, self.level)
        if self.level_scale == (1.0, 1.0):
            return pixels
        return resample(pixels.astype(np.float32), source, target, self.level_scale)


def _inside(info: SlideInfo, region: Box | None) -> Box:
    """The part of a region that the image has."""
    wanted = info.box if region is None else region.intersect(info.box)
    if wanted.is_empty and region is not None:
        why = "is empty" if region.is_empty else f"lies outside {info.name}"
        raise ImageError(
            f"The region {region.x},{region.y},{region.width},{region.height} {why}; the image has "
            f"{info.width} x {info.height} pixels. Give x,y,width,height in full-resolution pixels."
        )
    return wanted


def _clamped(box: Box, extent: Box) -> Box:
    """`box` within `extent`, at least one pixel of it: rounding may push a thin one outside."""
    left, top = min(box.x, extent.right - 1), min(box.y, extent.bottom - 1)
    right, bottom = min(box.right, extent.right), min(box.bottom, extent.bottom)
    return Box.from_edges(left, top, max(right, left + 1), max(bottom, top + 1))


def _scale(name: str, model: ModelInfo, known: PixelSize | None) -> tuple[float, float]:
    """Full-resolution px per model px."""
    if model.pixel_size_um is None:
        return 1.0, 1.0
    if known is not None:
        scale = model.pixel_size_um / known.x_um, model.pixel_size_um / known.y_um
        largest = max(_LARGEST_SCALE, model.pixel_size_um / _FINEST_UM)
        if not all(_LEAST_SCALE <= s <= largest for s in scale):
            raise ImageError(
                f"A pixel of {known.x_um:g} x {known.y_um:g} µm does not go with the model "
                f"{model.name!r}, which works at {model.pixel_size_um:g} µm per pixel: nuclei "
                f"would be {'too small to see' if scale[0] < 1 else 'larger than the image'}. "
                "Is the pixel size given in µm (not nm or mm)? Correct it, or choose another model."
            )
        return scale
    if model.pixel_size_nominal:
        return 1.0, 1.0
    raise PixelSizeUnknownError(
        f"{name} carries no pixel size, and the model {model.name!r} works at "
        f"{model.pixel_size_um:g} µm per pixel. Say how large a pixel is (on the command line "
        "--pixel-size UM): usually 0.25 for a slide scanned at 40x, 0.5 at 20x. "
        "With --pixel-size model it is taken as it is."
    )
