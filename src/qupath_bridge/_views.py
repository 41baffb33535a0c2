# SPDX-License-Identifier: GPL-3.0-or-later
"""Images seen turned, mirrored or cropped, as QuPath lays these steps over a file.

Each view is a `napari_histo.core.SlideReader` over another, and asks it for just the pixels wanted.
Directions after ``RotatedImageServer``, ``FlippedImageServer`` and ``CroppedImageServer``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, PixelSize, SlideInfo, SlideReader, SlideView
from qupath_bridge._builders import Builder

__all__ = ["CroppedReader", "TurnedReader", "view_for"]

# (swap x and y, then mirror x, then mirror y)
_Turn = tuple[bool, bool, bool]
_ROTATIONS: Mapping[str, _Turn] = {
    "ROTATE_NONE": (False, False, False),
    "ROTATE_90": (True, True, False),  # clockwise
    "ROTATE_180": (False, True, True),
    "ROTATE_270": (True, False, True),
}
_FLIPS: Mapping[str, _Turn] = {
    "NONE": (False, False, False),
    "HORIZONTAL": (False, True, False),
    "VERTICAL": (False, False, True),
    "BOTH": (False, True, True),
}


def view_for(step: Builder) -> Callable[[SlideReader], SlideReader] | None:
    """What lays a step over a reader; None for a step that is not known here."""
    words = {"rotated": ("rotation", _ROTATIONS), "flipped": ("flip", _FLIPS)}
    if step.kind in words:
        name, turns = words[step.kind]
        turn = turns.get(str(step.settings.get(name)))
        return None if turn is None else lambda reader: TurnedReader(reader, turn)
    if step.kind == "cropped":
        region = step.settings.get("region")
        box = _box(region) if isinstance(region, dict) else None
        return None if box is None else lambda reader: CroppedReader(reader, box)
    return None


def _box(region: Mapping[str, Any]) -> Box | None:
    sides = [region.get(name) for name in ("x", "y", "width", "height")]
    x, y, width, height = (s if isinstance(s, int) else -1 for s in sides)
    return Box(x, y, width, height) if width > 0 and height > 0 else None


class TurnedReader(SlideView):
    """An image in another of its eight orientations.

    Parameters
    ----------
    reader : SlideReader
        Closed with the view.
    turn : (bool, bool, bool)
        Whether x and y are swapped, then x mirrored, then y mirrored.
    """

    def __init__(self, reader: SlideReader, turn: _Turn) -> None:
        self._swap, self._mirror_x, self._mirror_y = turn
        info = reader.info
        shapes, size = info.level_shapes, info.pixel_size
        if self._swap:
            shapes = tuple((width, height) for height, width in shapes)
            size = None if size is None else PixelSize(size.y_um, size.x_um)
        # No offset leads from a turned image back to the scanner's coordinates.
        turned = replace(info, level_shapes=shapes, pixel_size=size, bounds_offset_px=(0, 0))
        super().__init__(reader, turned)

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box`, in the pixels of `level` of the turned image."""
        pixels = self.reader.read(self._below(box, level), level)
        if self._swap:
            pixels = pixels.transpose(1, 0, 2)
        if self._mirror_x:
            pixels = pixels[:, ::-1]
        if self._mirror_y:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)

    def _below(self, box: Box, level: int) -> Box:
        if not 0 <= level < self.info.n_levels:
            return box  # the reader below has the words for it
        height, width = self.info.level_shapes[level]
        x = width - box.right if self._mirror_x else box.x
        y = height - box.bottom if self._mirror_y else box.y
        if self._swap:
            return Box(y, x, box.height, box.width)
        return Box(x, y, box.width, box.height)


class CroppedReader(SlideView):
    """A part of an image, as an image of its own.

    Its coarser levels begin at whole pixels of theirs, so that they may lie up to half a pixel of
    that level beside the finest.

    Parameters
    ----------
    reader : SlideReader
        Closed with the view.
    crop : Box
        In full-resolution px of `reader`.
    """

    def __init__(self, reader: SlideReader, crop: Box) -> None:
        info = reader.info
        crops = [_crop_of_level(info, crop, level) for level in range(info.n_levels)]
        self._crops = [c for c in crops if c.width >= 1 and c.height >= 1]
        x, y = info.bounds_offset_px
        cropped = replace(
            info,
            level_shapes=tuple((c.height, c.width) for c in self._crops),
            level_downsamples=info.level_downsamples[: len(self._crops)],
            bounds_offset_px=(x + crop.x, y + crop.y),
        )
        super().__init__(reader, cropped)

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box`, in the pixels of `level` of the part; what lies beyond it is filled."""
        if not 0 <= level < self.info.n_levels:
            level = max(level, self.reader.info.n_levels) if level > 0 else level
            return self.reader.read(box, level)  # which has the words for it
        crop = self._crops[level]
        inside = box.intersect(Box(0, 0, crop.width, crop.height))
        below = Box(inside.x + crop.x, inside.y + crop.y, inside.width, inside.height)
        pixels = self.reader.read(below, level)
        if inside == box:
            return pixels
        fill = 255 if self.info.is_rgb else 0
        out = np.full((box.height, box.width, pixels.shape[2]), fill, pixels.dtype)
        x, y = inside.x - box.x, inside.y - box.y
        if pixels.size:
            out[y : y + inside.height, x : x + inside.width] = pixels
        return out


def _crop_of_level(info: SlideInfo, crop: Box, level: int) -> Box:
    scale_x, scale_y = info.level_scale(level)
    return Box(
        round(crop.x / scale_x),
        round(crop.y / scale_y),
        round(crop.width / scale_x),
        round(crop.height / scale_y),
    )
