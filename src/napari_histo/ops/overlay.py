"""Outlines drawn into a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, ObjectTable

__all__ = ["draw_outlines"]


def draw_outlines(
    pixels: NDArray[np.uint8], box: Box, table: ObjectTable, *, width_px: int = 2
) -> NDArray[np.uint8]:
    """A copy of an RGB picture with the outlines of the objects in their classes' colours.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        The picture of `box`.
    box : Box
        Full-resolution px.
    table : ObjectTable
        In full-resolution px.
    width_px : int
        Of the lines.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    colours = [c.rgb for c in table.classes] + [(255, 200, 0)]
    for row in table.query(box):
        ring = table.contours.ring(int(row)) - (box.x, box.y)
        pen.line(
            [tuple(p) for p in ring.tolist()], fill=colours[table.class_id[row]], width=width_px
        )
    return np.asarray(picture)
