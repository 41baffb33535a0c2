"""Shapes of glands and vessels, and how they share a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.testing.synthetic.fields import Field, Frame, Ids, Mask, Rng

_LEAST_UM2 = 300.0
_LEAST_DEEP_UM = 6.0
_FAR_UM = 1e4
_CORNER_UM = np.float32(5)


@dataclass(frozen=True)
class Shape:
    """A union of rods with round ends, melted into each other.

    Attributes
    ----------
    rods : (k, 2, 2) float32
        Both ends of each, x before y, µm.
    radii_um : (k,) float32
    """

    rods: NDArray[np.float32]
    radii_um: NDArray[np.float32]

    def height(self, y: Field, x: Field) -> Field:
        """Distance to the surface at places in µm: negative within."""
        # 10 % of the radius: enough to round the corners between rods.
        melt = np.float32(0.1 * self.radii_um.max())
        total = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
        for (start, end), radius in zip(self.rods, self.radii_um, strict=True):
            along = end - start
            length = max(float(along @ along), 1e-6)
            px, py = x - start[0], y - start[1]
            share = np.clip((px * along[0] + py * along[1]) / np.float32(length), 0, 1)
            gap = np.sqrt((px - share * along[0]) ** 2 + (py - share * along[1]) ** 2) - radius
            total += np.exp(np.clip(-gap / melt, -80, 60))
        return np.asarray(-melt * np.log(total + np.float32(1e-34)), np.float32)


def make_shape(kind: str, centre: NDArray[np.float64], diameter_um: float, rng: Rng) -> Shape:
    """One gland of a kind: round, long, branched or budding; `diameter_um` across its width."""
    radius, turn = diameter_um / 2, rng.uniform(0, 2 * np.pi)
    if kind == "long":
        rods = _worm(centre, turn, radius * rng.uniform(2, 6), rng)
        radii = np.full(len(rods), 0.75 * radius) * rng.uniform(0.85, 1.15, len(rods))
    elif kind == "branched":
        arms = [
            _worm(centre, turn + side, radius * rng.uniform(1.2, 3.2), rng, from_end=True)
            for side in np.cumsum(rng.uniform(1.2, 2.4, rng.integers(2, 5)))
        ]
        rods = np.concatenate(arms)
        radii = radius * rng.uniform(0.45, 0.75, len(rods))
    elif kind == "budding":
        angles = rng.uniform(0, 2 * np.pi, rng.integers(3, 9))
        reach = 0.65 * radius * rng.uniform(0.8, 1.15, len(angles))
        buds = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None]
        rods = np.concatenate([[[centre, centre]], np.stack([buds, buds], 1)])
        radii = radius * np.concatenate([[0.72], rng.uniform(0.22, 0.45, len(angles))])
    else:
        squeeze = rng.uniform(0, 0.5)
        half = squeeze * radius * np.array([np.cos(turn), np.sin(turn)])
        rods = np.array([[centre - half, centre + half]])
        radii = np.array([radius * (1 - 0.4 * squeeze)])
    return Shape(rods.astype(np.float32), radii.astype(np.float32))


def _worm(
    centre: NDArray[np.float64], turn: float, length: float, rng: Rng, *, from_end: bool = False
) -> NDArray[np.float64]:
    """(4, 2, 2) rods in a row, bending; through the centre, or away from it."""
    turns = turn + np.cumsum(rng.normal(0, 0.35, 4))
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * length / 4
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
    points += centre - (0 if from_end else points.mean(0))
    return np.stack([points[:-1], points[1:]], 1)


class Packer:
    """Gives each pixel to the shape that it lies deepest in, and keeps a gap between shapes.

    Parameters
    ----------
    frame : Frame
    warp : (Field, Field)
        What is added to a pixel's y and x before a shape is asked, µm: makes outlines uneven.
    gap_um : float
        Left free where two shapes would overlap.
    """

    def __init__(self, frame: Frame, warp: tuple[Field, Field], gap_um: float) -> None:
        self._frame = frame
        self._y, self._x = (place + shift for place, shift in zip(frame.yx_um, warp, strict=True))
        self._reach = max(float(np.abs(shift).max()) for shift in warp)
        self._gap = np.float32(gap_um)
        self._best = np.full(frame.shape, _FAR_UM, np.float32)
        self._second = np.full(frame.shape, _FAR_UM, np.float32)
        self._owner = np.zeros(frame.shape, np.int32)
        self.count = 0

    def put(self, shape: Shape, overlap: float = 0.15) -> bool:
        """Place it, unless more than a share `overlap` of it lies on others or it is not seen."""
        window = self._window(shape)
        if window is None or self._is_full(shape):
            return False
        height = shape.height(self._y[window], self._x[window])
        best, second = self._best[window], self._second[window]
        inside = height < 0
        if not inside.any() or (best[inside] < 0).mean() > overlap:
            return False
        self.count += 1
        nearer = height < best
        second[:] = np.where(nearer, best, np.minimum(second, height))
        best[nearer] = height[nearer]
        self._owner[window][nearer] = self.count
        return True

    def ids(self) -> Ids:
        """(h, w) number of the shape at each pixel, counted from 1 in the order of placing."""
        apart = self._second - self._best - self._gap
        # Neighbours press each other flat, and their corners are round.
        pressed = self._best + _CORNER_UM * np.exp(-np.maximum(apart, 0) / _CORNER_UM)
        return np.where((pressed < 0) & (apart > 0), self._owner, 0)

    def _window(self, shape: Shape) -> tuple[slice, slice] | None:
        around = float(shape.radii_um.max()) * 1.35 + self._reach + self._gap
        points = shape.rods.reshape(-1, 2)
        low = np.floor((points.min(0) - around) / self._frame.pixel_um).astype(int)
        high = np.ceil((points.max(0) + around) / self._frame.pixel_um).astype(int)
        h, w = self._frame.shape
        (x0, y0), (x1, y1) = np.maximum(low, 0), np.minimum(high, (w, h))
        return None if x0 >= x1 or y0 >= y1 else np.s_[y0:y1, x0:x1]

    def _is_full(self, shape: Shape) -> bool:
        """A cheap look: are most of its own points inside others already?"""
        points = (shape.rods.mean(1) / self._frame.pixel_um).astype(int)
        h, w = self._frame.shape
        seen = points[((points >= 0) & (points < (w, h))).all(1)]
        taken = self._best[seen[:, 1], seen[:, 0]] < 0
        return bool(len(seen)) and float(taken.mean()) > 0.6


def whole_pieces(frame: Frame, ids: Ids) -> tuple[Ids, NDArray[np.intp]]:
    """Number the connected pieces anew, and leave crumbs out.

    Returns
    -------
    (h, w) int32, and (n + 1,) intp
        The pieces; for each the number that it had, with 0 for the background.
    """
    least_px = max(_LEAST_UM2 / frame.pixel_um**2, 12)
    result = np.zeros(ids.shape, np.int32)
    before = [0]
    for number, window in enumerate(ndi.find_objects(ids), 1):
        if window is None:
            continue
        parts, count = ndi.label(ids[window] == number)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        for part in range(1, count + 1):
            piece = parts == part
            if sizes[part] >= least_px and _is_thick(frame, piece):
                before.append(number)
                result[window][_filled(piece, ids[window])] = len(before) - 1
    return result, np.array(before, np.intp)


def _is_thick(frame: Frame, piece: Mask) -> bool:
    """No shard that is left where neighbours press."""
    deepest = ndi.distance_transform_edt(piece).max() if not piece.all() else np.inf
    return bool(deepest * frame.pixel_um > _LEAST_DEEP_UM)


def _filled(piece: Mask, ids: Ids) -> Mask:
    """The piece with its holes, where nothing else lies in them."""
    holes = ndi.binary_fill_holes(piece) & ~piece
    return np.asarray(piece | (holes & (ids == 0)))


def inner_depth(frame: Frame, ids: Ids) -> Field:
    """Distance from each pixel of a shape to its border, µm; touching shapes have one between."""
    inside = ids > 0
    for before, after in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        inside[before] &= (ids[before] == ids[after]) | (ids[after] == 0)
    return frame.depth(inside)
