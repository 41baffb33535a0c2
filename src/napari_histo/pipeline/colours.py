"""Pixels that stand for a slide, its stains, and the slide in other colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, SlideReader, SlideView
from napari_histo.errors import ImageError
from napari_histo.ops.stain import brightest, is_gray
from napari_histo.ops.stain_estimate import estimate_stains
from napari_histo.ops.stain_transfer import (
    Appearance,
    ColourNormalizer,
    MacenkoNormalizer,
    ReinhardNormalizer,
    stained,
)
from napari_histo.ops.stain_vectors import HE, StainVectors
from napari_histo.pipeline.frame import Frame
from napari_histo.pipeline.sampling import sample_boxes

__all__ = [
    "InvertedReader",
    "NormalizedReader",
    "StainReader",
    "default_stains",
    "is_brightfield",
    "normalizer_of",
    "sample_colours",
    "stains_of",
]

_WHOLE_PX = 1 << 21
_SAMPLES = 1 << 20
#: Half of the pixels of stained tissue let more light through than this in their brightest colour.
_BRIGHT = 0.4


def sample_colours(reader: SlideReader) -> NDArray[np.uint8]:
    """(n, 3) pixels of the places of a slide with the most to see; always the same ones.

    Raises
    ------
    ImageError
        The image is no brightfield image in colours.
    """
    _check_colours(reader)
    info = reader.info
    one = (1.0, 1.0)
    frame = Frame(reader, 0, one, one, info.box, info.box, info.pixel_size)
    boxes = sample_boxes(frame, whole_px=_WHOLE_PX)
    pixels = np.concatenate([reader.read(box).reshape(-1, 3) for box in boxes])
    return pixels[:: max(1, len(pixels) // _SAMPLES)]


def _check_colours(reader: SlideReader) -> None:
    info = reader.info
    if not info.is_rgb:
        raise ImageError(
            f"{info.name} has {info.n_channels} channel(s) of {info.dtype}; stains are separated "
            "in brightfield images in colours (RGB). Leave stains and normalisation out."
        )


def default_stains(reader: SlideReader) -> StainVectors | None:
    """Haematoxylin and eosin for images in colours; None for fluorescence and for grey ones."""
    if not reader.info.is_rgb or is_gray(sample_colours(reader) / np.float32(255)):
        return None
    return HE


def is_brightfield(reader: SlideReader) -> bool:
    """True for stains on bright glass; False for fluorescence, also as a coloured picture."""
    if not reader.info.is_rgb:
        return False
    pixels = sample_colours(reader) / np.float32(255)
    return not is_gray(pixels) and bool(np.median(brightest(pixels)) > _BRIGHT)


def stains_of(reader: SlideReader, kind: StainVectors = HE) -> StainVectors:
    """Stain vectors of a kind, estimated from a slide."""
    return estimate_stains(sample_colours(reader), kind)


def normalizer_of(
    reader: SlideReader, kind: str, reference: SlideReader | Appearance | None = None
) -> MacenkoNormalizer | ReinhardNormalizer:
    """What gives a slide the colours of a reference.

    Parameters
    ----------
    reader : SlideReader
    kind : str
        "macenko" or "reinhard".
    reference : SlideReader or Appearance, optional
        Macenko has a reference of its own. Reinhard's moments are those of what is stained.

    Raises
    ------
    ImageError, StainError
    """
    pixels = sample_colours(reader)
    wanted: NDArray[np.uint8] | Appearance | None
    if reference is None or isinstance(reference, Appearance):
        wanted = reference
    else:
        wanted = sample_colours(reference)
    if kind == "macenko":
        return MacenkoNormalizer.fit(pixels, wanted)
    if wanted is None:
        raise ImageError("The reinhard normalisation needs an image to follow (--reference).")
    if isinstance(wanted, Appearance):
        return ReinhardNormalizer.fit(stained(pixels), wanted)
    return ReinhardNormalizer.fit(stained(pixels), stained(wanted))


class StainReader(SlideView):
    """The amounts of a slide's stains as channels: optical density, high where a stain is dense.

    Parameters
    ----------
    reader : SlideReader
        In colours.
    stains : StainVectors

    Raises
    ------
    ImageError
        The slide has no colours.
    """

    def __init__(self, reader: SlideReader, stains: StainVectors) -> None:
        _check_colours(reader)
        facts = {"channel_names": stains.names, "dtype": np.dtype(np.float32), "is_rgb": False}
        super().__init__(reader, replace(reader.info, **facts))  # type: ignore[arg-type]
        self.stains = stains

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Amounts in `box`, never negative; see `SlideReader`."""
        return np.maximum(self.stains.amounts(super().read(box, level)), 0)


class NormalizedReader(SlideView):
    """A slide in other colours."""

    def __init__(self, reader: SlideReader, normalizer: ColourNormalizer) -> None:
        super().__init__(reader)
        self.normalizer = normalizer

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box` in the pixels of `level`; see `SlideReader`."""
        return self.normalizer.apply(super().read(box, level))


class InvertedReader(SlideView):
    """A slide in which dark is bright; pixels of fractions are taken to reach from 0 to 1."""

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box` in the pixels of `level`; see `SlideReader`."""
        pixels = super().read(box, level)
        is_whole = np.issubdtype(pixels.dtype, np.integer)
        return np.asarray(np.invert(pixels) if is_whole else 1 - pixels)
