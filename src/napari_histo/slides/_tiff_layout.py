"""From the axes of a TIFF series to the planes that are shown."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

from numpy.typing import NDArray

from napari_histo.errors import ImageError
from napari_histo.slides._tiff_planes import Plane

__all__ = ["Layout", "pick_series", "pyramid", "series_names"]

#: An axis without a meaning is channels up to this many planes, focal planes beyond.
_MAX_UNLABELLED = 8
_UNLABELLED = "QI"
#: Pictures that scanners put beside the slide, as tifffile or Bio-Formats name them.
_ASIDE = {"thumbnail", "label", "macro", "overview"}


@dataclass(frozen=True)
class Layout:
    """Which planes of a series are the channels at one focal plane.

    Attributes
    ----------
    series : tifffile.TiffPageSeries
    axes : str
        One letter an axis of the series, as tifffile names them.
    shape : tuple of int
    z : int
        Focal plane that is shown.
    n_z : int
        Number of focal planes.
    frames : tuple of int
        Numbers of the shown pages within the series, in the order of the channels.
    is_folded : bool
        True where a page is not a plane of y and x, but a slice in another direction: numpy arrays
        of (h, w, c) are often written so. `frames` then counts channels.
    """

    series: Any
    axes: str
    shape: tuple[int, ...]
    z: int
    n_z: int
    frames: tuple[int, ...]
    is_folded: bool = False

    @classmethod
    def of(cls, series: Any, z: int, name: str) -> Self:
        """Layout of one level at focal plane `z`; ImageError where there is no such plane."""
        axes, shape = _axes(series)
        roles = [_role(axis, n, axes, series) for axis, n in zip(axes, shape, strict=True)]
        n_z = math.prod(n for role, n in zip(roles, shape, strict=True) if role == "Z")
        if not 0 <= z < n_z:
            raise ImageError(
                f"{name} has no focal plane z {z}; it has {n_z}, numbered from 0 to {n_z - 1}."
            )
        split = _split(shape, int(series.keyframe.size))
        if split is None or set(axes[split:]) - set("SCYX") or set("YX") - set(axes[split:]):
            n = math.prod(n for role, n in zip(roles, shape, strict=True) if role in "CS")
            return cls(series, axes, shape, z, n_z, tuple(range(n)), is_folded=True)
        frames = _frames(roles[:split], shape[:split], z)
        return cls(series, axes, shape, z, n_z, tuple(frames))

    def planes(self) -> list[Plane]:
        """The pages, or the parts of one page, of the frames."""
        key, series = self.series.keyframe, self.series
        if series.dataoffset is not None and not series.is_multifile:
            # One page may describe planes that lie behind one another in the file.
            return [Plane(series[0], frame * int(key.nbytes)) for frame in self.frames]
        return [Plane(series[frame]) for frame in self.frames]

    def unfold(self) -> NDArray[Any]:
        """(h, w, c) view of a folded series, mapped from the file or from a temporary one."""
        array = self.series.asarray(out="memmap").reshape(self.shape)
        picks = []
        for axis, size in zip(self.axes, self.shape, strict=True):
            role = _role(axis, size, self.axes, self.series)
            index = min(self.z, size - 1) if role == "Z" else 0
            picks.append(slice(None) if role in "CSYX" else index)
        kept = [a for a, pick in zip(self.axes, picks, strict=True) if isinstance(pick, slice)]
        order = [kept.index("Y"), kept.index("X")]
        order += [i for i in range(len(kept)) if i not in order]
        planes: NDArray[Any] = array[tuple(picks)].transpose(order)
        return planes.reshape(*planes.shape[:2], -1)


def pick_series(tiff: Any, index: int, name: str) -> Any:
    """Series of a ``tifffile.TiffFile`` by its number; ImageError where there is none such."""
    count = len(tiff.series)
    if not count or 0 in tiff.series[min(max(index, 0), count - 1)].get_shape(False):
        raise ImageError(f"{name} has no pixels: its images are 0 x 0 px. Export it again.")
    if 0 <= index < count:
        return tiff.series[index]
    listed = "; ".join(f"{i}: {s.name or s.kind} {s.shape}" for i, s in enumerate(tiff.series[:20]))
    raise ImageError(f"{name} has no image number {index}; it has {count} ({listed}).")


def pyramid(tiff: Any, series: Any) -> list[Any]:
    """Levels of a series, largest first, and pages of a plain TIFF that are reduced copies of it.

    tifffile joins pages whose sides shrink by one and the same factor; scanners also write 1, 4,
    16, 32. A page that is marked as reduced and keeps the aspect within 1 % is a level too.
    """
    levels = list(series.levels)
    if series.kind in ("generic", "shaped") and series is tiff.series[0]:
        levels += [s for s in tiff.series[1:] if _is_reduced_copy(series, s)]
    levels.sort(key=lambda s: -int(s.keyframe.imagelength))
    return [s for s in levels if s.keyframe.samplesperpixel == series.keyframe.samplesperpixel]


def series_names(tiff: Any, index: int) -> tuple[str, ...]:
    """Name and size of the images of a ``tifffile.TiffFile`` to choose from; see `SlideInfo`.

    Reduced copies, thumbnails, labels and overviews get "", unless it is the one at `index`.
    """
    names = []
    for i, series in enumerate(tiff.series):
        size = dict(zip(series.get_axes(False), series.get_shape(False), strict=True))
        called = str(series.name or "").strip()
        aside = called.lower().removesuffix(" image") in _ASIDE
        if i != index and (aside or (series.kind != "ome" and series.keyframe.is_reduced)):
            names.append("")
        else:
            sides = f"{size.get('X', '?')} x {size.get('Y', '?')} px"
            names.append(f"{called} ({sides})" if called else sides)
    return tuple(names) if sum(map(bool, names)) > 1 else ()


def _is_reduced_copy(base: Any, other: Any) -> bool:
    a, b = base.keyframe, other.keyframe
    if not b.is_reduced or b.dtype != a.dtype or len(base) != len(other):
        return False
    across, down = a.imagewidth / max(b.imagewidth, 1), a.imagelength / max(b.imagelength, 1)
    return bool(min(across, down) > 1 and abs(across / down - 1) < 0.01)


def _axes(series: Any) -> tuple[str, tuple[int, ...]]:
    axes, shape = str(series.get_axes(False)), tuple(int(n) for n in series.get_shape(False))
    if series.kind == "shaped" and axes == "QYX" and shape[2] <= _MAX_UNLABELLED < min(shape[:2]):
        # (h, w, c) that was written without saying so: nobody has an image 5 px wide and 2000 deep.
        return "YXC", shape
    return axes, shape


def _split(shape: tuple[int, ...], page_size: int) -> int | None:
    """How many axes come before those of a single page."""
    for split in range(len(shape), -1, -1):
        if math.prod(shape[split:]) == page_size:
            return split
    return None


def _role(axis: str, size: int, axes: str, series: Any) -> str:
    """``C`` and ``S`` all are channels, ``Z`` one is picked, ``T`` the first is shown."""
    if axis in "CSZYX":
        return axis
    if axis in _UNLABELLED and not set(axes) & set("CZ"):
        is_grey = int(series.keyframe.samplesperpixel) == 1
        return "C" if is_grey and size <= _MAX_UNLABELLED else "Z"
    return "T"


def _frames(roles: list[str], sizes: tuple[int, ...], z: int) -> Iterator[int]:
    strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    first = {"Z": z}
    choices = [
        range(n) if role in "CS" else (min(first.get(role, 0), n - 1),)
        for role, n in zip(roles, sizes, strict=True)
    ]
    for indices in product(*choices):
        yield sum(i * stride for i, stride in zip(indices, strides, strict=True))
