"""An image as a region model sees it: at the model's pixel size, in one range of intensities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ModelInfo, PixelSize, SlideReader, TileGrid
from napari_histo.errors import ImageError
from napari_histo.ops.region_input import RegionInput
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.sampling import sample_boxes

__all__ = ["RegionPixels"]

#: Images of up to this many model px show their range by all of them.
_WHOLE_PX = 1 << 22
#: Side of what is read at once, px of its level: 50 MB as float colours.
_BLOCK_PX, _LEAST_BLOCK_PX = 2048, 16


@dataclass(frozen=True)
class RegionPixels:
    """Pixels for a region model.

    Attributes
    ----------
    frame : Frame
        The whole image in model px.
    values : RegionInput
        Ranges of the whole image.
    """

    frame: Frame
    values: RegionInput

    @classmethod
    def of(
        cls,
        reader: SlideReader,
        model: ModelInfo,
        pixel_size: PixelSize | None = None,
    ) -> RegionPixels:
        """Lay a model over an image and look at samples of it.

        Raises
        ------
        PixelSizeUnknownError, ImageError
            The pixel size is unknown, the image is empty, or the model wants colour and it is none.
        """
        info = reader.info
        if model.channels == "rgb" and not info.is_rgb:
            raise ImageError(
                f"The region model {model.name!r} works on RGB brightfield images, but {info.name} "
                f"has {info.n_channels} channel(s) of {info.dtype}. Train one on such images."
            )
        frame = Frame.of(reader, model, pixel_size=pixel_size)
        samples = np.concatenate(
            [
                _read(frame, box).reshape(-1, info.n_channels)
                for box in sample_boxes(frame, whole_px=_WHOLE_PX)
            ]
        )
        return cls(frame, RegionInput.from_samples(samples, is_rgb=info.is_rgb))

    def read(self, box: Box) -> NDArray[np.float32]:
        """What the model sees (h, w, c) of a box in model px, within the extent."""
        return self.values.apply(self.read_raw(box))

    def read_raw(self, box: Box) -> NDArray[Any]:
        """The image's own values, of its own type for colours, else float32."""
        return _read(self.frame, box)


def _read(frame: Frame, box: Box) -> NDArray[Any]:
    """Pixels of a box, block by block: without a pyramid, a tile may be a gigabyte of the image."""
    step = max(_LEAST_BLOCK_PX, int(_BLOCK_PX / max(1.0, *frame.level_scale)))
    if max(box.shape) <= step:
        return _block(frame, box)
    first = _block(frame, Box(box.x, box.y, 1, 1))
    out = np.empty((*box.shape, first.shape[-1]), first.dtype)
    for tile in TileGrid(frame.extent, box, step):
        y, x = tile.owned.y - box.y, tile.owned.x - box.x
        out[y : y + tile.owned.height, x : x + tile.owned.width] = _block(frame, tile.owned)
    return out


def _block(frame: Frame, box: Box) -> NDArray[Any]:
    pixels = frame.read(box)
    if frame.reader.info.is_rgb and pixels.dtype != np.uint8:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return pixels
