"""Painted examples read into memory: sheets of pixels, labels, and what a guide says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from napari_histo.core import Box, CancelToken, ModelInfo, result_of
from napari_histo.core.regions import RegionSegmenter
from napari_histo.learning.tissue.examples import (
    AROUND_PX,
    RegionExample,
    Sheet,
    read_sheets,
)
from napari_histo.pipeline.region_answers import CoarseMap, look
from napari_histo.pipeline.region_pixels import RegionPixels

__all__ = ["sheets_of"]


def sheets_of(
    examples: Sequence[RegionExample],
    info: ModelInfo,
    guide: RegionSegmenter | None,
    cancel: CancelToken,
) -> list[Sheet]:
    """Sheets of all examples, numbered by their place; images are sampled once.

    Parameters
    ----------
    examples : sequence of RegionExample
    info : ModelInfo
        Pixel size and classes of the model that is to learn.
    guide : RegionSegmenter or None
        Its answer comes along.
    cancel : CancelToken
        Looked at before each example.

    Raises
    ------
    PixelSizeUnknownError, ImageError, Cancelled
    """
    opened = _Opened()
    sheets: list[Sheet] = []
    for number, example in enumerate(examples):
        cancel.raise_if_cancelled()
        pixels = opened.pixels(example, info)
        found = list(read_sheets(pixels, example, number, info.classes))
        if guide is not None and found:
            seen = opened.pixels(example, guide.info)
            region = _shown(example, pixels, seen)
            coarse = result_of(look(seen, guide, None, cancel, region=region))
            found = [_with_guide(s, coarse, pixels, len(info.classes) + 1) for s in found]
        sheets += found
    return sheets


class _Opened:
    """Images that were sampled already, by reader and pixel size."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, float | None], RegionPixels] = {}

    def pixels(self, example: RegionExample, info: ModelInfo) -> RegionPixels:
        key = id(example.reader), info.pixel_size_um
        if key not in self._known:
            self._known[key] = RegionPixels.of(example.reader, info, example.pixel_size)
        return self._known[key]


def _shown(example: RegionExample, pixels: RegionPixels, seen: RegionPixels) -> Box | None:
    """What the guide must look at for an example, full-resolution px; None for all."""
    if example.within is None:
        return None
    # Two pixels of the guide more, for its answer is linear between them.
    around_px = AROUND_PX * max(pixels.frame.scale) + 2 * max(seen.frame.scale)
    return example.within.pad(ceil(around_px))


def _with_guide(sheet: Sheet, coarse: CoarseMap, pixels: RegionPixels, n: int) -> Sheet:
    """With an answer of `n` channels; of classes that the guide does not know it says nothing."""
    found = np.rint(255 * coarse.at(sheet.box, pixels.frame.scale)).astype(np.uint8)
    more = n - found.shape[-1]
    return replace(sheet, guide=np.pad(found, ((0, 0), (0, 0), (0, more))) if more else found)
