"""What the samples of a TIFF page mean, and turning them into grey, channels or RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_histo.slides._base import Declined
from napari_histo.slides._pixels import compose_on_white, to_samples

__all__ = ["ColourRule"]

# Values of the tag PhotometricInterpretation (TIFF 6.0; 32803 and 34892 from DNG).
_WHITE_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 2, 3, 6
_UNSPECIFIED = 0  # of the tag ExtraSamples
_UNSUPPORTED = {5: "CMYK", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32844: "LogL"}
#: Codecs that give RGB for YCbCr: JPEG of all kinds, JPEG 2000, WebP, JPEG XL.
_CODECS_WITH_COLOUR = {6, 7, 33007, 34892, 33003, 33004, 33005, 34712, 50001, 50002, 52546}


@dataclass(frozen=True, eq=False)
class ColourRule:
    """How the samples of a page become the channels of an image.

    Attributes
    ----------
    is_colour : bool
        The page's first three samples, or its palette, are red, green and blue.
    inverted : bool
        Zero is white.
    alpha : {None, "straight", "associated"}
        Whether the last sample is an opacity, and whether colours are multiplied by it.
    palette : (n, 3) uint8 array or None
        Colour of each value.
    """

    is_colour: bool
    inverted: bool = False
    alpha: str | None = None
    palette: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, page: Any) -> Self:
        """Rule of a ``tifffile.TiffPage``; raises Declined for colour spaces that stay unread."""
        photometric = int(page.photometric)
        if photometric in _UNSUPPORTED:
            space = _UNSUPPORTED[photometric]
            raise Declined(f"its colours are {space}; convert it to RGB")
        if photometric == _YCBCR and int(page.compression) not in _CODECS_WITH_COLOUR:
            raise Declined("its colours are YCbCr without JPEG; convert it to RGB")
        palette = _palette(page) if photometric == _PALETTE else None
        return cls(
            is_colour=photometric in (_RGB, _YCBCR) or palette is not None,
            inverted=photometric == _WHITE_IS_ZERO,
            alpha=_alpha(page),
            palette=palette,
        )

    def count(self, samples: int) -> int:
        """Channels that `samples` samples of a page become."""
        return 3 if self.palette is not None else samples - (self.alpha is not None)

    def dtype(self, raw: np.dtype[Any]) -> np.dtype[Any]:
        """Type of the channels; a palette's are uint8."""
        return np.dtype(np.uint8) if self.palette is not None else raw

    def apply(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Channels (h, w, c) of the raw samples (h, w, s) of one page."""
        if self.palette is not None:
            colours: NDArray[Any] = self.palette[np.minimum(raw[..., 0], len(self.palette) - 1)]
            return colours
        if self.alpha is not None:
            raw = compose_on_white(raw, premultiplied=self.alpha == "associated")
        if self.inverted:
            raw = _invert(raw)
        return to_samples(raw)


def _palette(page: Any) -> NDArray[np.uint8] | None:
    """Colours of a page's values, or None where values are intensities shown in false colour.

    Microscopes save grey images with a look-up table that only brightens (green, fire): every
    channel rises with the value. A palette of a colour picture does not.
    """
    if page.colormap is None or page.samplesperpixel != 1 or page.parent.is_imagej:
        return None
    colours = np.asarray(page.colormap).T.astype(np.float64)
    if bool((np.diff(colours, axis=0) >= 0).all()):
        return None
    return np.rint(colours / 257).astype(np.uint8)


def _alpha(page: Any) -> str | None:
    kinds = tuple(int(k) for k in page.extrasamples or ())
    colours = 3 if int(page.photometric) in (_RGB, _YCBCR) else 1
    if int(page.samplesperpixel) != colours + 1 or len(kinds) != 1:
        return None
    if page.dtype.kind not in "uf":
        return None
    if kinds[0] == _UNSPECIFIED:
        # Many writers of RGBA leave out what the fourth sample is; beside one grey it is a channel.
        return "straight" if colours == 3 else None
    return {1: "associated", 2: "straight"}.get(kinds[0])


def _invert(pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype == bool:
        return ~pixels
    if pixels.dtype.kind == "u":
        inverted: NDArray[Any] = np.iinfo(pixels.dtype).max - pixels
        return inverted
    return pixels
