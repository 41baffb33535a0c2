"""What every reader does alike: checks, clipping, fill beyond the edge, errors with a remedy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.slide import SlideInfo
from napari_histo.errors import HistoError, ImageError

__all__ = ["BaseReader", "Declined", "check_single", "default_channel_names", "downsamples"]


class Declined(Exception):  # noqa: N818 - an answer to "is this yours?", never shown as an error
    """A reader cannot take a file; its text is the reason, and the next reader is asked."""


class BaseReader(ABC):
    """A `napari_histo.core.slide.SlideReader` but for `_read_inside`.

    Any thread may call `read`. Works as a context manager.

    Parameters
    ----------
    info : SlideInfo
        Facts about the image, which subclasses find out before.
    """

    def __init__(self, info: SlideInfo) -> None:
        if min(info.height, info.width) < 1 or not info.channel_names:
            raise ImageError(
                f"{info.name} has no pixels: its size is {info.width} x {info.height} px. "
                "Export the image again; a width and a height of at least 1 px are needed."
            )
        self._info = info
        self._closed = False

    @property
    def info(self) -> SlideInfo:
        """Facts about the image."""
        return self._info

    @property
    def fill_value(self) -> int:
        """Value of what lies beyond the image: white for RGB, else 0."""
        return 255 if self._info.is_rgb else 0

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box` in the pixels of `level`; see `SlideReader.read`."""
        self._check(level)
        inside = box.intersect(self._info.level_box(level))
        if inside == box and not box.is_empty:
            return self._read_checked(box, level)
        out = np.full((*box.shape, self._info.n_channels), self.fill_value, self._info.dtype)
        if not inside.is_empty:
            x, y = inside.x - box.x, inside.y - box.y
            pixels = self._read_checked(inside, level)
            out[y : y + inside.height, x : x + inside.width] = pixels
        return out

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        info = self._info
        size = f"{info.pixel_size.mean_um:.4g} µm/px" if info.pixel_size else "pixel size unknown"
        colour = "RGB" if info.is_rgb else f"{info.n_channels} channel(s)"
        return (
            f"<{type(self).__name__} {info.name!r} {info.width} x {info.height} px, "
            f"{info.n_levels} level(s), {colour} {info.dtype}, {size}>"
        )

    @abstractmethod
    def _read_inside(self, box: Box, level: int) -> NDArray[Any]:
        """Pixels of a box that lies inside the level and is not empty: (h, w, channels)."""

    @abstractmethod
    def _release(self) -> None:
        """Close what the subclass holds; called once."""

    def _check(self, level: int) -> None:
        if self._closed:
            raise ImageError(f"{self._info.name} is closed; open it again to read from it.")
        if not 0 <= level < self._info.n_levels:
            raise ImageError(
                f"{self._info.name} has no level {level}; it has levels "
                f"0 to {self._info.n_levels - 1}, 0 the finest."
            )

    def _read_checked(self, box: Box, level: int) -> NDArray[Any]:
        try:
            pixels = self._read_inside(box, level)
        except (HistoError, MemoryError):
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ImageError(
                f"{self._info.name} cannot be read at x {box.x}, y {box.y}, "
                f"{box.width} x {box.height} px of level {level}: {reason}. "
                "The file is damaged there; copy or export it again."
            ) from error
        fresh = np.require(pixels, self._info.dtype, ["C", "W"])
        return fresh if fresh.base is None else fresh.copy()


def check_single(name: str, z: int, series: int) -> None:
    """Raise ImageError unless the only plane of the only image is asked for."""
    if z or series:
        raise ImageError(
            f"{name} holds one image with one focal plane, not z {z} of image number {series}; "
            "both must be 0."
        )


def default_channel_names(n: int) -> tuple[str, ...]:
    """``("Channel 1", ...)``, QuPath's names where a file has none."""
    return tuple(f"Channel {i + 1}" for i in range(n))


def downsamples(shapes: tuple[tuple[int, int], ...]) -> tuple[float, ...]:
    """Mean ratio of level 0's sides to each level's, as OpenSlide computes it."""
    height, width = shapes[0]
    return tuple((height / max(h, 1) + width / max(w, 1)) / 2 for h, w in shapes)
