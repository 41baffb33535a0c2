"""Pixels into the form that `SlideReader` promises: no alpha, no palette, no bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["compose_on_white", "rgb8", "sample_dtype", "to_samples"]


def sample_dtype(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The type that samples of `dtype` are read as, native byte order; None where there is none.

    Bits become 0 and 255; half floats, which few libraries compute with, become float32.
    """
    dtype = dtype.newbyteorder("=")
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    return dtype if dtype.kind in "uif" else None


def to_samples(pixels: NDArray[Any]) -> NDArray[Any]:
    """`pixels` in the type that `sample_dtype` names."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.float16:
        return pixels.astype(np.float32)
    return pixels


def compose_on_white(pixels: NDArray[Any], *, premultiplied: bool = False) -> NDArray[Any]:
    """Drop the last channel, the opacity, over a white ground.

    Parameters
    ----------
    pixels : (h, w, c + 1) array of unsigned integers or floats
        Floats are taken as 0 to 1.
    premultiplied : bool
        True where the colours are multiplied by the opacity already (TIFF's "associated" alpha).

    Returns
    -------
    (h, w, c) array of the same type
    """
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    white = float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
    if bool((alpha == white).all()):
        return np.ascontiguousarray(colour)
    weight = alpha.astype(np.float64) / white
    shown = colour.astype(np.float64) * (1.0 if premultiplied else weight)
    mixed = shown + white * (1 - weight)
    if pixels.dtype.kind == "u":
        mixed = np.clip(np.rint(mixed), 0, white)
    return mixed.astype(pixels.dtype)


def rgb8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Colours as uint8: floats 0 to 1 and 16-bit values are scaled, alpha falls onto white.

    Wider integers are what NumPy makes of plain numbers, 0 to 255; beyond they are cut off.
    """
    if pixels.dtype == np.uint8:
        scaled: NDArray[Any] = pixels
    elif pixels.dtype.kind == "f":
        scaled = np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255).astype(np.uint8)
    elif pixels.dtype.itemsize > 2:
        scaled = np.clip(pixels, 0, 255).astype(np.uint8)
    else:
        top = np.iinfo(pixels.dtype).max
        scaled = np.rint(pixels.astype(np.float64) * (255 / top)).astype(np.uint8)
    return compose_on_white(scaled) if scaled.shape[-1] == 4 else scaled
