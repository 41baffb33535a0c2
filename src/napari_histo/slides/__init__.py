"""Readers of images: one library a file, one contract (`napari_histo.core.slide.SlideReader`)."""

from __future__ import annotations

from napari_histo.slides._array import ArrayReader
from napari_histo.slides._base import BaseReader
from napari_histo.slides._open import SUFFIXES, open_slide
from napari_histo.slides._views import ALL_PLANES, JoinedChannels, MaximumOfPlanes, open_image

__all__ = [
    "ALL_PLANES",
    "SUFFIXES",
    "ArrayReader",
    "BaseReader",
    "JoinedChannels",
    "MaximumOfPlanes",
    "open_image",
    "open_slide",
]
