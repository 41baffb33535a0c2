"""Gestures drawn as the network's maps: what to include, what to exclude, and the box."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_histo.core import BoxPrompt, Contours, PointPrompt, Prompt, ScribblePrompt

__all__ = ["BOX", "EXCLUDE", "INCLUDE", "draw_areas", "draw_maps", "encode"]

INCLUDE, EXCLUDE, BOX = range(3)
#: Radius of a click and half the width of a squiggle, patch px.
_RADIUS_PX = 2.5
#: Distance at which a gesture's influence has fallen to 1 / e, patch px.
_FADE_PX = 16.0


def draw_maps(prompts: Iterable[Prompt], side: int) -> NDArray[np.uint8]:
    """Maps (3, side, side) of 0 and 1: inclusion, exclusion, box.

    Parameters
    ----------
    prompts
        In patch px, a pixel covering [i, i + 1). A negative box excludes its whole inside.
    """
    images = [Image.new("1", (side, side)) for _ in range(3)]
    pens = [ImageDraw.Draw(image) for image in images]
    for prompt in prompts:
        pen = pens[INCLUDE if prompt.positive else EXCLUDE]
        if isinstance(prompt, PointPrompt):
            _dot(pen, prompt.x, prompt.y)
        elif isinstance(prompt, ScribblePrompt):
            _stroke(pen, prompt.xy)
        else:
            _box(pens[BOX] if prompt.positive else pen, prompt)
    return np.stack([np.asarray(image, np.uint8) for image in images])


def encode(maps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network sees of maps (3, side, side): nearness to what is in or out, and the box.

    Nearness is ``exp(-distance / 16 px)``. Every pixel then knows which gesture is the nearest, as
    in Xu et al. (CVPR 2016), where a lone dot would have to travel through many layers.
    """
    out = np.zeros(maps.shape, np.float32)
    for channel in (INCLUDE, EXCLUDE):
        if maps[channel].any():
            distance = ndimage.distance_transform_edt(maps[channel] == 0)
            out[channel] = np.exp(distance.astype(np.float32) / np.float32(-_FADE_PX))
    out[BOX] = maps[BOX]
    return out


def draw_areas(contours: Contours, side: int) -> NDArray[np.bool_]:
    """Pixels (side, side) that the outlines cover, patch px; holes are filled."""
    image = Image.new("1", (side, side))
    pen = ImageDraw.Draw(image)
    for row in range(len(contours)):
        for part in contours.parts(row):
            ring = [(float(x) - 0.5, float(y) - 0.5) for x, y in part[0]]
            if len(ring) > 2:
                pen.polygon(ring, fill=1)
    return np.asarray(image, bool)


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    # Pillow counts pixel centres.
    r = _RADIUS_PX
    pen.ellipse((x - 0.5 - r, y - 0.5 - r, x - 0.5 + r, y - 0.5 + r), fill=1)


def _stroke(pen: ImageDraw.ImageDraw, xy: NDArray[np.float32]) -> None:
    points = [(float(x) - 0.5, float(y) - 0.5) for x, y in xy]
    if len(points) > 1:
        pen.line(points, fill=1, width=round(2 * _RADIUS_PX), joint="curve")
    for x, y in (points[0], points[-1]):
        _dot(pen, x + 0.5, y + 0.5)


def _box(pen: ImageDraw.ImageDraw, box: BoxPrompt) -> None:
    left, top = round(box.left), round(box.top)
    right, bottom = round(box.right) - 1, round(box.bottom) - 1
    if right >= left and bottom >= top:
        pen.rectangle((left, top, right, bottom), fill=1)
