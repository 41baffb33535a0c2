"""Outlines drawn into a picture."""

from __future__ import annotations

from collections.abc import Iterable

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
    drawn = pixels.copy()
    rows = table.query(box)
    colours = [c.rgb for c in table.classes] + [(255, 200, 0)]
    for class_id in np.unique(table.class_id[rows]):
        rings = (table.contours.ring(int(r)) for r in rows[table.class_id[rows] == class_id])
        shifted = [ring - (box.x, box.y) for ring in rings]
        drawn[_lines(shifted, drawn.shape[:2], width_px)] = colours[class_id]
    return drawn


def _lines(
    rings: Iterable[NDArray[np.floating]], shape: tuple[int, ...], width_px: int
) -> NDArray[np.bool_]:
    """Pixels on the lines.

    Pillow takes whole pixels and sets lines of even width off to one side. So they are drawn three
    times as large and of odd width, and the middle of every 3 x 3 counts.
    """
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (3 * shape[1], 3 * shape[0]))
    pen = ImageDraw.Draw(canvas)
    for ring in rings:
        corners = np.floor(3 * ring).astype(int).tolist()
        pen.line([tuple(p) for p in corners], fill=255, width=3 * width_px - 1 | 1)
    return np.asarray(canvas)[1::3, 1::3] > 0
