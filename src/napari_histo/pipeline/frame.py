"""How an image's pixels meet a model's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ModelInfo, PixelSize, SlideReader
from napari_histo.errors import ImageError, PixelSizeUnknownError
from napari_histo.ops.resample import resample, source_box

__all__ = ["Frame"]

#: Scales this near to a pyramid level's own are taken as it is: networks bear 5 %, and resampling
#: would only blur.
_SNAP = 0.05


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
    ) -> Frame:
        """Choose level and scale for a model.

        Parameters
        ----------
        region : Box, optional
            In full-resolution px; the whole image by default.
        pixel_size : PixelSize, optional
            The user's word; it wins over the file's.

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
        wished = _scale(info.name, model, known)
        level = info.best_level(min(wished))
        downsample = info.level_downsamples[level]
        if all(abs(s / downsample - 1) <= _SNAP for s in wished):
            level_scale = (1.0, 1.0)
        else:
            level_scale = (wished[0] / downsample, wished[1] / downsample)
        scale = (level_scale[0] * downsample, level_scale[1] * downsample)
        level_box = info.level_box(level)
        extent = level_box.scale(1 / level_scale[0], 1 / level_scale[1])
        wanted = info.box if region is None else region.intersect(info.box)
        if wanted.is_empty:
            raise ImageError(
                f"The region {region} lies outside {info.name}, which has {info.width} x "
                f"{info.height} pixels. Give x,y,width,height in full-resolution pixels."
            )
        in_model = wanted.scale(1 / scale[0], 1 / scale[1]).intersect(extent)
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


def _scale(name: str, model: ModelInfo, known: PixelSize | None) -> tuple[float, float]:
    """Full-resolution px per model px."""
    if model.pixel_size_um is None:
        return 1.0, 1.0
    if known is not None:
        return model.pixel_size_um / known.x_um, model.pixel_size_um / known.y_um
    if model.pixel_size_nominal:
        return 1.0, 1.0
    raise PixelSizeUnknownError(
        f"{name} carries no pixel size, and the model {model.name!r} works at "
        f"{model.pixel_size_um:g} µm per pixel. Say how large a pixel is (on the command line "
        "--pixel-size UM): usually 0.25 for a slide scanned at 40x, 0.5 at 20x."
    )
