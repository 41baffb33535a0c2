"""Readers of images: one library a file, one contract (`napari_histo.core.slide.SlideReader`)."""

from __future__ import annotations

from napari_histo.slides._array import ArrayReader
from napari_histo.slides._base import BaseReader
from napari_histo.slides._open import SUFFIXES, open_slide

__all__ = ["SUFFIXES", "ArrayReader", "BaseReader", "open_slide"]
