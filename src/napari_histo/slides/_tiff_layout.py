"""From the axes of a TIFF series to the planes that are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

from napari_histo.errors import ImageError
from napari_histo.slides._base import Declined
from napari_histo.slides._tiff_planes import Plane

__all__ = ["Layout", "pick_series", "pyramid"]

#: An axis without a meaning is channels up to this many planes, focal planes beyond.
_MAX_UNLABELLED_CHANNELS = 8
_UNLABELLED = "QI"


@dataclass(frozen=True)
class Layout:
    """Which pages of a series are the channels at one focal plane.

    Attributes
    ----------
    series : tifffile.TiffPageSeries
    frames : tuple of int
        Numbers of the pages within the series, in the order of the channels.
    n_z : int
        Number of focal planes.
    """

    series: Any
    frames: tuple[int, ...]
    n_z: int

    @classmethod
    def of(cls, series: Any, z: int, name: str) -> Self:
        """Layout of one level at focal plane `z`; ImageError where there is no such plane."""
        axes, sizes = _frame_axes(series)
        roles = [_role(axis, size, axes, series) for axis, size in zip(axes, sizes, strict=True)]
        n_z = math.prod(size for role, size in zip(roles, sizes, strict=True) if role == "Z")
        if not 0 <= z < n_z:
            raise ImageError(
                f"{name} has no focal plane z {z}; it has {n_z}, numbered from 0 to {n_z - 1}."
            )
        return cls(series, tuple(_frames(roles, sizes, z)), n_z)

    def planes(self) -> list[Plane]:
        """The pages, or the parts of one page, of the frames."""
        key, series = self.series.keyframe, self.series
        if series.dataoffset is not None and not series.is_multifile:
            # One page may describe planes that lie behind one another in the file.
            return [Plane(series[0], frame * int(key.nbytes)) for frame in self.frames]
        return [Plane(series[frame]) for frame in self.frames]


def pick_series(tiff: Any, index: int, name: str) -> Any:
    """Series of a ``tifffile.TiffFile`` by its number; ImageError where there is none such."""
    count = len(tiff.series)
    if 0 <= index < count:
        return tiff.series[index]
    if not count:
        raise ImageError(f"{name} holds no image. Export it again.")
    listed = "; ".join(f"{i}: {s.name or s.kind} {s.shape}" for i, s in enumerate(tiff.series[:20]))
    raise ImageError(f"{name} has no image number {index}; it has {count} ({listed}).")


def pyramid(tiff: Any, series: Any) -> list[Any]:
    """Levels of a series, largest first, and pages of a plain TIFF that are reduced copies of it.

    tifffile joins pages whose sides shrink by one and the same factor; scanners also write 1, 4,
    16, 32. A page that is marked as reduced and keeps the aspect within 1 % is a level too.
    """
    levels = list(series.levels)
    if series.kind == "generic" and series is tiff.series[0]:
        levels += [s for s in tiff.series[1:] if _is_reduced_copy(series, s)]
    levels.sort(key=lambda s: -int(s.keyframe.imagelength))
    return [s for s in levels if s.keyframe.samplesperpixel == series.keyframe.samplesperpixel]


def _is_reduced_copy(base: Any, other: Any) -> bool:
    a, b = base.keyframe, other.keyframe
    if not b.is_reduced or b.dtype != a.dtype or len(base) != len(other):
        return False
    across, down = a.imagewidth / max(b.imagewidth, 1), a.imagelength / max(b.imagelength, 1)
    return bool(min(across, down) > 1 and abs(across / down - 1) < 0.01)


def _frame_axes(series: Any) -> tuple[str, tuple[int, ...]]:
    """Axes before those of a single page, and their sizes."""
    axes, shape = series.get_axes(False), series.get_shape(False)
    page_size = int(series.keyframe.size)
    for split in range(len(shape), -1, -1):
        if math.prod(shape[split:]) == page_size:
            break
    else:
        raise Declined(f"its axes {axes} {shape} do not fit its pages")
    inner = [a for a, n in zip(axes[split:], shape[split:], strict=True) if n > 1]
    if not set(inner) <= set("SCYX"):
        raise Declined(f"its pages hold the axes {axes[split:]}; Y, X and samples can be read")
    return axes[:split], tuple(int(n) for n in shape[:split])


def _role(axis: str, size: int, axes: str, series: Any) -> str:
    """``C`` all are channels, ``Z`` one is picked, ``T`` the first is shown."""
    if axis in "CS":
        return "C"
    if axis == "Z":
        return "Z"
    if axis in _UNLABELLED and not set(axes) & set("CZ"):
        is_grey = int(series.keyframe.samplesperpixel) == 1
        return "C" if is_grey and size <= _MAX_UNLABELLED_CHANNELS else "Z"
    return "T"


def _frames(roles: list[str], sizes: tuple[int, ...], z: int) -> Iterator[int]:
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    picked = {"C": lambda n: range(n), "Z": lambda n: range(min(z, n - 1), min(z, n - 1) + 1)}
    choices = [
        picked[role](n) if role in picked else range(1)
        for role, n in zip(roles, sizes, strict=True)
    ]
    for indices in product(*choices):
        yield sum(i * stride for i, stride in zip(indices, strides, strict=True))
