"""Many small ellipses painted at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_histo.testing.synthetic.fields import Field, Frame, Rng

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Dots:
    """Ellipses: nuclei, drops of mucin, blood cells.

    Attributes
    ----------
    xy_um : (n, 2) float32
    long_um, wide_um : (n,) float32
        Half axes.
    angle : (n,) float32
        Of the longer axis, radians from x towards y.
    amount : (n,) float32
        What is painted.
    """

    xy_um: Values
    long_um: Values
    wide_um: Values
    angle: Values
    amount: Values

    def __len__(self) -> int:
        return len(self.xy_um)


def scatter(frame: Frame, spacing_um: float, rng: Rng) -> tuple[Values, NDArray[np.intp]]:
    """One random place in each cell of a grid.

    Returns
    -------
    (n, 2) float32 and (n, 2) intp
        x and y in µm; row and column of the pixel.
    """
    counts = [max(int(np.ceil(size / spacing_um)), 1) for size in frame.size_um]
    y, x = np.indices(counts, dtype=np.float32).reshape(2, -1)
    # Odd rows are shifted by half a cell: no columns to be seen.
    x += 0.5 * (y % 2) - 0.25
    xy = np.stack([x, y], 1) + rng.random((len(x), 2), dtype=np.float32)
    return at(frame, xy * np.float32(spacing_um))


def at(frame: Frame, xy_um: Values) -> tuple[Values, NDArray[np.intp]]:
    """The places that lie in the frame, and row and column of each."""
    cells = np.floor(xy_um[:, ::-1] / np.float32(frame.pixel_um)).astype(np.intp)
    seen = ((cells >= 0) & (cells < frame.shape)).all(1)
    return xy_um[seen], cells[seen]


def paint(frame: Frame, dots: Dots, *, rim: float = 0.0) -> Field:
    """(h, w) the largest amount of the dots at each pixel; edges are smooth.

    A dot thinner than a pixel is painted as wide as one, and paler by as much. `rim` is the share
    of the amount that a nucleus lacks in its middle.
    """
    canvas = np.zeros(frame.shape, np.float32)
    reach = np.ceil(dots.long_um / frame.pixel_um + 1).astype(int)
    for radius in np.unique(reach):
        chosen = np.flatnonzero(reach == radius)
        # A million values at a time stay in the cache and off the memory.
        for part in np.array_split(chosen, len(chosen) * (2 * radius + 1) ** 2 // 1_000_000 + 1):
            _paint_alike(canvas, frame.pixel_um, dots, part, int(radius), rim)
    return canvas


def _paint_alike(
    canvas: Field, pixel_um: float, dots: Dots, part: NDArray[np.intp], radius: int, rim: float
) -> None:
    px = np.float32(1 / pixel_um)
    centre = dots.xy_um[part] * px
    corner = np.floor(centre).astype(np.intp)
    step = np.arange(-radius, radius + 1)
    columns = corner[:, 0, None, None] + step[None, None, :]
    rows = corner[:, 1, None, None] + step[None, :, None]
    x = columns + np.float32(0.5) - centre[:, 0, None, None]
    y = rows + np.float32(0.5) - centre[:, 1, None, None]
    cos, sin = (f(dots.angle[part])[:, None, None] for f in (np.cos, np.sin))
    long, wide = (np.maximum(axis[part] * px, 0.5) for axis in (dots.long_um, dots.wide_um))
    spread = dots.long_um[part] * dots.wide_um[part] * px**2 / (long * wide)
    long, wide, amount = (v[:, None, None] for v in (long, wide, dots.amount[part] * spread))
    share = np.sqrt(((x * cos + y * sin) / long) ** 2 + ((y * cos - x * sin) / wide) ** 2)
    cover = np.clip(0.5 + (1 - share) * wide, 0, 1)
    value = cover * amount * (1 - rim * np.clip(1 - share, 0, 1))
    rows, columns = np.broadcast_arrays(rows, columns)
    inside = (value > 0) & (rows >= 0) & (rows < canvas.shape[0])
    inside &= (columns >= 0) & (columns < canvas.shape[1])
    np.maximum.at(canvas, (rows[inside], columns[inside]), value[inside])
