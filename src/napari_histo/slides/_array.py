"""Arrays in memory, or lazy ones of dask and zarr, as slides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.pixel_size import PixelSize
from napari_histo.core.slide import SlideInfo
from napari_histo.errors import ImageError
from napari_histo.slides._base import BaseReader, default_channel_names, downsamples
from napari_histo.slides._pixels import rgb8, sample_dtype, to_samples

__all__ = ["ArrayReader"]


class ArrayReader(BaseReader):
    """Reads boxes of an array, or of a pyramid of arrays; only the box is computed.

    Parameters
    ----------
    array : (h, w) or (h, w, c) array, or a sequence of them
        numpy, dask, zarr or anything with ``shape``, ``dtype`` and slicing; a sequence is a
        pyramid, largest first.
    name : str
        What to call the image.
    pixel_size : PixelSize, optional
        Of the largest level.
    channel_names : sequence of str, optional
        One a channel.
    is_rgb : bool, optional
        True for brightfield colour; by default, three channels of uint8 are. Colour of another type
        is read as uint8 (floats as 0 to 1), a fourth channel as opacity over white.

    Raises
    ------
    ImageError
        The array has no pixels, another number of axes, or numbers that are not real.

    Examples
    --------
    >>> reader = ArrayReader(np.zeros((4, 6), np.uint16), name="dapi")
    >>> reader.read(Box(0, 0, 3, 2)).shape
    (2, 3, 1)
    """

    def __init__(
        self,
        array: Any,
        *,
        name: str = "array",
        pixel_size: PixelSize | None = None,
        channel_names: Sequence[str] | None = None,
        is_rgb: bool | None = None,
    ) -> None:
        levels = _levels_of(array, name)
        channels = _count_channels(levels[0])
        if is_rgb is None:
            is_rgb = channels == 3 and np.dtype(levels[0].dtype) == np.uint8
        if is_rgb and channels not in (3, 4):
            raise ImageError(f"{name} has {channels} channels; RGB has 3, or 4 with opacity.")
        shapes = tuple((int(a.shape[0]), int(a.shape[1])) for a in levels)
        names = _names(channel_names, name, n_channels=3 if is_rgb else channels, is_rgb=is_rgb)
        super().__init__(
            SlideInfo(
                name=name,
                path="",
                level_shapes=shapes,
                level_downsamples=downsamples(shapes),
                dtype=np.dtype(np.uint8) if is_rgb else _dtype(levels[0], name),
                channel_names=names,
                is_rgb=is_rgb,
                pixel_size=pixel_size,
                metadata={"reader": "array"},
            )
        )
        self._levels = levels

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        lazy = self._levels[level][box.y : box.bottom, box.x : box.right]
        pixels = to_samples(np.asarray(lazy)).reshape(*box.shape, -1)
        return rgb8(pixels) if self._info.is_rgb else pixels

    def _release(self) -> None:
        self._levels = []


def _levels_of(array: Any, name: str) -> list[Any]:
    levels = list(array) if isinstance(array, Sequence) else [array]
    if not levels:
        raise ImageError(f"{name} is an empty list; give one array a pyramid level, largest first.")
    levels = [a if hasattr(a, "shape") else np.asarray(a) for a in levels]
    for level in levels:
        if len(level.shape) not in (2, 3):
            raise ImageError(
                f"{name} has shape {tuple(level.shape)}; an image is (height, width) or "
                "(height, width, channels). Pick one time point and one plane, channels last."
            )
    if len({(len(a.shape), _count_channels(a)) for a in levels}) > 1:
        shapes = [tuple(a.shape) for a in levels]
        raise ImageError(f"{name}'s levels {shapes} differ in channels; they must be one image.")
    heights = [int(a.shape[0]) for a in levels]
    if heights != sorted(heights, reverse=True):
        raise ImageError(f"{name}'s levels have heights {heights}; put the largest first.")
    return levels


def _count_channels(array: Any) -> int:
    return int(array.shape[2]) if len(array.shape) == 3 else 1


def _dtype(array: Any, name: str) -> np.dtype[Any]:
    dtype = sample_dtype(np.dtype(array.dtype))
    if dtype is None:
        raise ImageError(f"{name} holds {array.dtype}; integers, floats or booleans can be read.")
    return dtype


def _names(
    given: Sequence[str] | None, name: str, *, n_channels: int, is_rgb: bool
) -> tuple[str, ...]:
    if given is None:
        return ("Red", "Green", "Blue") if is_rgb else default_channel_names(n_channels)
    if len(given) != n_channels:
        raise ImageError(
            f"{name} has {n_channels} channels but {len(given)} names {list(given)}; give one each."
        )
    return tuple(given)
