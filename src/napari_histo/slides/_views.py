"""Several readers seen as one: channels side by side, focal planes in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideReader
from napari_histo.errors import ImageError
from napari_histo.slides._base import BaseReader
from napari_histo.slides._open import open_slide

__all__ = ["ALL_PLANES", "JoinedChannels", "MaximumOfPlanes", "open_image"]

#: Stands for a focal plane's number: the brightest of all.
ALL_PLANES = -1


class _Joined(BaseReader):
    """Readers of one size, closed together."""

    def __init__(self, readers: Sequence[SlideReader], **facts: Any) -> None:
        first = readers[0].info
        for info in (reader.info for reader in readers):
            if info.level_shapes != first.level_shapes:
                raise ImageError(
                    f"{info.name} has {info.width} x {info.height} px, but {first.name} "
                    f"{first.width} x {first.height}; channels and planes of an image are of one "
                    "size, with pyramids alike."
                )
        super().__init__(replace(first, **facts))
        self._readers = tuple(readers)

    def _release(self) -> None:
        for reader in self._readers:
            reader.close()


class JoinedChannels(_Joined):
    """One image of several channels, of which each has a reader.

    Parameters
    ----------
    readers : sequence of SlideReader
        Of one channel each, and of one size.
    names : sequence of str
    name : str
        Of the whole.

    Raises
    ------
    ImageError
        They do not go together.
    """

    def __init__(self, readers: Sequence[SlideReader], names: Sequence[str], name: str) -> None:
        dtype = np.result_type(*(reader.info.dtype for reader in readers))
        super().__init__(
            readers, name=name, channel_names=tuple(names), dtype=dtype, channel_colours=()
        )

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        return np.concatenate([reader.read(box, level) for reader in self._readers], axis=2)


class MaximumOfPlanes(_Joined):
    """The brightest of all focal planes, pixel by pixel: fluorescence out of focus is darker.

    Parameters
    ----------
    readers : sequence of SlideReader
        One a plane.

    Raises
    ------
    ImageError
        They do not go together, or show stained tissue, where the brightest plane is the emptiest.
    """

    def __init__(self, readers: Sequence[SlideReader]) -> None:
        super().__init__(readers, n_z=1)
        if self.info.is_rgb:
            raise ImageError(
                f"{self.info.name} is a brightfield image: the maximum of its planes would show "
                "the glass. Choose one plane."
            )

    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        planes: NDArray[Any] = reduce(np.maximum, (r.read(box, level) for r in self._readers))
        return planes


def open_image(path: Path | str, *, z: int = 0, series: int = 0) -> BaseReader:
    """Open an image file as `open_slide` does, or with `ALL_PLANES` its focal planes in one.

    Raises
    ------
    NoReaderError, ImageError
        As `open_slide` and `MaximumOfPlanes`.
    """
    first = open_slide(path, z=max(z, 0), series=series)
    if z != ALL_PLANES or first.info.n_z == 1:
        return first
    planes = [first]
    planes += [open_slide(path, z=plane, series=series) for plane in range(1, first.info.n_z)]
    return MaximumOfPlanes(planes)
