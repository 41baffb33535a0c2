"""What napari shows of a layer of many levels, changed in part: it has no public way for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["put_on_screen", "renew_overview"]


def renew_overview(layer: Labels) -> None:
    """Make napari read the coarsest level again when it is next shown.

    It keeps that level as it was first read, and nothing public tells it of changes but
    new data, for which it asks for everything anew.
    """
    reset = getattr(layer, "_reset_thumbnail_level_data", None)
    if reset is not None:
        reset()


def put_on_screen(layer: Labels, seen: Box, parts: list[tuple[Box, NDArray[np.uint32]]]) -> bool:
    """Whether new pixels could be put into what a layer shows, the box `seen` of its level.

    napari does so for what is painted, and no public way leads there for a layer of many levels:
    a `refresh` asks for all that is seen, ten times the work.
    """
    try:
        raw = layer._slice.image.raw
        if not (layer.visible and layer.loaded) or raw.shape != seen.shape or layer.contour:
            return False
        for part, pixels in parts:
            where = _within(part, seen)
            raw[where] = pixels
            layer._slice.image.view[where] = layer._raw_to_displayed(raw, where)
            layer._updated_slice = where
            layer._partial_labels_refresh()
    except (AttributeError, TypeError, ValueError):  # another version of napari
        return False
    return True


def _within(part: Box, whole: Box) -> tuple[slice, slice]:
    top, left = part.y - whole.y, part.x - whole.x
    return slice(top, top + part.height), slice(left, left + part.width)
