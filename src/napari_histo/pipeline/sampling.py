"""Where to look at a slide to learn its range of intensities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, SlideInfo
from napari_histo.pipeline.frame import Frame

__all__ = ["sample_boxes"]

_BOX_PX = 256
_N_BOXES = 32


def sample_boxes(frame: Frame, *, whole_px: int) -> list[Box]:
    """Boxes (model px) whose pixels stand for the region.

    A region of up to `whole_px` stands for itself. Of a larger one, boxes on a regular lattice are
    ranked by how much there is to see in a small view of it, and the best are taken: a nearly
    empty slide would otherwise be normalised by its glass.
    """
    region = frame.region
    if region.area <= whole_px:
        return [region]
    boxes = _lattice(region)
    interest = [_interest(_glance(frame, box), frame.reader.info) for box in boxes]
    best = np.argsort(interest, kind="stable")[::-1][:_N_BOXES]
    return [boxes[i] for i in sorted(best)]


def _lattice(region: Box) -> list[Box]:
    """At most 16 x 16 boxes, evenly spread."""
    columns, rows = (min(16, max(1, n // _BOX_PX)) for n in (region.width, region.height))
    xs = np.linspace(region.x, max(region.x, region.right - _BOX_PX), columns).astype(int)
    ys = np.linspace(region.y, max(region.y, region.bottom - _BOX_PX), rows).astype(int)
    return [Box(int(x), int(y), _BOX_PX, _BOX_PX).intersect(region) for y in ys for x in xs]


def _glance(frame: Frame, box: Box) -> NDArray[Any]:
    """Pixels of a box at the coarsest level that still shows it with 8 px a side."""
    info = frame.reader.info
    full = box.scale(*frame.scale)
    level = info.best_level(min(full.width, full.height) / 8)
    down_x, down_y = info.level_scale(level)
    small = full.scale(1 / down_x, 1 / down_y).intersect(info.level_box(level))
    return frame.reader.read(small, level)


def _interest(pixels: NDArray[Any], info: SlideInfo) -> float:
    """Mean saturation for brightfield colour; spread of intensity for everything else."""
    values = pixels.astype(np.float32)
    if info.is_rgb:
        return float((values.max(axis=-1) - values.min(axis=-1)).mean()) if values.size else 0.0
    return float(np.nanstd(values)) if np.isfinite(values).any() else 0.0
