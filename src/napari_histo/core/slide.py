"""What an image is, and how pixels are read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.pixel_size import PixelSize

__all__ = ["SlideInfo", "SlideReader"]

_LISTED = 8


@dataclass(frozen=True)
class SlideInfo:
    """Facts about an image, in OpenSlide's words.

    Attributes
    ----------
    name : str
        File name, or a name given by the user.
    path : str
        Where it was read from; empty for an array in memory.
    level_shapes : tuple of (height, width)
        Size of each pyramid level in px, largest first; at least one. For formats with bounds
        (MRXS, some NDPI) the size of the bounds, as in QuPath.
    level_downsamples : tuple of float
        Full-resolution pixels per pixel of the level, starting with 1.0.
    dtype : numpy.dtype
        Type of the samples.
    channel_names : tuple of str
        One a channel; ``("Red", "Green", "Blue")`` for RGB.
    is_rgb : bool
        True for brightfield colour: 3 channels of uint8 that belong together.
    pixel_size : PixelSize or None
        Of level 0; None where the file carries none.
    bounds_offset_px : (int, int)
        x and y of the bounds within the scanner's own coordinates, level-0 px. Reading is relative
        to the bounds; this is what to add to reach the scanner's coordinates.
    n_z : int
        Number of focal planes; a reader shows the plane that it was opened with.
    series : int
        Number of this image in its file, from 0.
    series_names : tuple of str
        What the file calls its images, by number, where it holds several to choose from; an empty
        string for what is none of them, such as a thumbnail or a level of another.
    magnification : float or None
        Nominal objective power, where known.
    channel_colours : tuple of (red, green, blue)
        0 to 255, one a channel, in which viewers show them; empty where the file has none.
    metadata : mapping
        Whatever else the file says, as text; for people, not for code.
    """

    name: str
    path: str
    level_shapes: tuple[tuple[int, int], ...]
    level_downsamples: tuple[float, ...]
    dtype: np.dtype[Any]
    channel_names: tuple[str, ...]
    is_rgb: bool
    pixel_size: PixelSize | None = None
    bounds_offset_px: tuple[int, int] = (0, 0)
    n_z: int = 1
    series: int = 0
    series_names: tuple[str, ...] = ()
    magnification: float | None = None
    channel_colours: tuple[tuple[int, int, int], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def n_levels(self) -> int:
        """Number of pyramid levels."""
        return len(self.level_shapes)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channel_names)

    @property
    def height(self) -> int:
        """Height at full resolution, px."""
        return self.level_shapes[0][0]

    @property
    def width(self) -> int:
        """Width at full resolution, px."""
        return self.level_shapes[0][1]

    @property
    def box(self) -> Box:
        """The whole image at full resolution."""
        return Box(0, 0, self.width, self.height)

    def level_box(self, level: int) -> Box:
        """The whole image at `level`, in that level's pixels."""
        height, width = self.level_shapes[level]
        return Box(0, 0, width, height)

    def level_scale(self, level: int) -> tuple[float, float]:
        """Full-resolution px per px of `level`, along x and y.

        Sizes of levels are rounded, so their ratio is off by up to a pixel at the far edge. Where a
        whole factor explains both sizes, it is that factor.
        """
        (height, width), (small_height, small_width) = (
            self.level_shapes[0],
            self.level_shapes[level],
        )
        factor = round(self.level_downsamples[level])
        return _axis_scale(width, small_width, factor), _axis_scale(height, small_height, factor)

    @property
    def series_note(self) -> str:
        """How many images the file holds, which one this is, how to take another; "" for one."""
        choices = [f"{i} {name}" for i, name in enumerate(self.series_names) if name]
        if len(choices) < 2:
            return ""
        listed = "; ".join(choices[:_LISTED]) + ("; …" if len(choices) > _LISTED else "")
        return (
            f"{self.name} holds {len(choices)} images ({listed}). This is number {self.series}; "
            "on the command line --series takes another."
        )

    def best_level(self, downsample: float) -> int:
        """Coarsest level that is no coarser than `downsample`, as OpenSlide's call of that name."""
        # 2 % of slack: downsamples in files are ratios of rounded sizes.
        fine_enough = [i for i, d in enumerate(self.level_downsamples) if d <= downsample * 1.02]
        return max(fine_enough, default=0)


def _axis_scale(full: int, small: int, factor: int) -> float:
    explained = small in (full // factor, -(-full // factor)) if factor else False
    return float(factor) if explained else full / small


@runtime_checkable
class SlideReader(Protocol):
    """Reads boxes of an image; every reader of `napari_histo.slides` passes one conformance suite.

    May be called from several threads at once. Closing is idempotent.
    """

    @property
    def info(self) -> SlideInfo:
        """Facts about the image."""
        ...

    def read(self, box: Box, level: int = 0) -> NDArray[Any]:
        """Pixels of `box` in the pixels of `level`.

        Parameters
        ----------
        box : Box
            In pixels of `level`, relative to the bounds; may reach beyond the image.
        level : int
            Pyramid level, 0 the finest.

        Returns
        -------
        array, shape (height, width, channels), dtype ``info.dtype``
            A fresh C-contiguous array; what lies beyond the image is white (255) for RGB, else 0.

        Raises
        ------
        ImageError
            The file is damaged there, or the level does not exist.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...

    def __enter__(self) -> Self:
        """The reader itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        ...
