"""Where nuclei lie in a field with glands, as ellipses to paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histo.testing.synthetic.anatomy import Anatomy
from napari_histo.testing.synthetic.fields import Field, Mask, Rng
from napari_histo.testing.synthetic.habits import Stroma
from napari_histo.testing.synthetic.stamps import Dots, Values, at, scatter


def look(anatomy: Anatomy, cell: NDArray[np.intp]) -> tuple[NDArray[np.int32], Values]:
    """Number of the gland at pixels (0 in a lumen too), and depth there."""
    row, column = cell.T
    number = np.where(anatomy.lumina[row, column] > 0, 0, anatomy.glands[row, column])
    return number, anatomy.depth[row, column]


def step(uphill: tuple[Field, Field], cell: NDArray[np.intp], by: Values) -> Values:
    row, column = cell.T
    moves = [slope[row, column] * by for slope in reversed(uphill)]
    return np.stack(moves, 1).astype(np.float32)


def angles(uphill: tuple[Field, Field], cell: NDArray[np.intp]) -> Values:
    row, column = cell.T
    return np.asarray(np.arctan2(uphill[0][row, column], uphill[1][row, column]), np.float32)


def round_dots(xy: Values, radius: float, amount: float, rng: Rng) -> Dots:
    n = len(xy)
    long, wide, dark = (
        (mean * np.clip(rng.normal(1, share, n), 0.5, 1.6)).astype(np.float32)
        for mean, share in ((1.08 * radius, 0.1), (0.95 * radius, 0.1), (amount, 0.12))
    )
    return Dots(xy, long, wide, rng.uniform(0, np.pi, n).astype(np.float32), dark)


def lining_nuclei(anatomy: Anatomy, uphill: tuple[Field, Field], rng: Rng) -> Dots:
    """In rows from the border up, pointing to the lumen; or all over where there is none."""
    frame, traits = anatomy.frame, anatomy.traits
    wide = float(np.median(traits.half_wide))
    spacing = 2 * wide * rng.uniform(0.85, 1.35)
    xy, cell = scatter(frame, spacing, rng)
    number, depth = look(anatomy, cell)
    row = np.round((depth - traits.first[number]) / spacing)
    massed = np.isin(traits.lumen, ("solid", "cribriform"))[number]
    kept = (number > 0) & (massed | ((row >= 0) & (row < traits.layers[number])))
    kept &= massed | (depth < traits.height[number] - 1)
    kept &= depth > min(1.5, frame.pixel_um)
    xy, cell, number, depth = xy[kept], cell[kept], number[kept], depth[kept]
    row, massed = row[kept], massed[kept]
    n = len(xy)
    stray = rng.normal(0, rng.uniform(0.05, 0.25) * spacing, n)
    by = np.where(massed, 0, 0.85 * (traits.first[number] + row * spacing - depth) + stray)
    xy = xy + step(uphill, cell, by.astype(np.float32))
    free = anatomy.lumina[_rows(anatomy, xy)] == 0
    xy, cell, number, massed = xy[free], cell[free], number[free], massed[free]
    n = len(xy)
    unlike = rng.uniform(0.06, 0.28)
    size = np.exp(rng.normal(0, unlike, n)).astype(np.float32)
    turn = np.where(massed, rng.uniform(0, np.pi, n), rng.normal(0, 0.25, n)).astype(np.float32)
    long = traits.half_long[number] * size
    flat = traits.half_wide[number]
    flat = size * np.where(massed, 0.5 * (traits.half_long[number] + flat), flat)
    dark = traits.stain[number] * np.clip(rng.normal(1, rng.uniform(0.08, 0.3), n), 0.4, 1.8)
    return Dots(xy, long, flat, angles(uphill, cell) + turn, dark.astype(np.float32))


def _rows(anatomy: Anatomy, xy: Values) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    h, w = anatomy.frame.shape
    column, row = np.floor(xy / np.float32(anatomy.frame.pixel_um)).astype(np.intp).T
    return np.clip(row, 0, h - 1), np.clip(column, 0, w - 1)


def outer_nuclei(anatomy: Anatomy, uphill: tuple[Field, Field], rng: Rng) -> Dots:
    """Flat, dark nuclei along the border."""
    xy, cell = scatter(anatomy.frame, rng.uniform(7, 14), rng)
    number, depth = look(anatomy, cell)
    kept = (number > 0) & (depth < 8)
    xy, cell, depth = xy[kept], cell[kept], depth[kept]
    xy = xy + step(uphill, cell, 1.8 - depth)
    dots = round_dots(xy, 2.2, rng.uniform(0.3, 0.5), rng)
    across = angles(uphill, cell) + np.float32(np.pi / 2)
    return Dots(xy, 1.8 * dots.long_um, 0.7 * dots.wide_um, across, dots.amount)


def stroma_nuclei(anatomy: Anatomy, stroma: Stroma, angle: Field, rng: Rng) -> tuple[Dots, Dots]:
    """Spindles along the fibres, and lymphocytes in swarms."""
    frame = anatomy.frame
    tissue = anatomy.stroma & (anatomy.outside > 1.5)
    tissue |= (anatomy.vessels > 0) & (anatomy.shell < 2.5)
    spindles = _thinned(frame.noise(30, rng), tissue, anatomy, 9, rng.uniform(*stroma.nuclei), rng)
    n = len(spindles[0])
    row, column = spindles[1].T
    half = rng.uniform(4, 9) * np.exp(rng.normal(0, 0.25, n))
    thin = rng.uniform(1.1, 2.4) * np.exp(rng.normal(0, 0.2, n))
    turn = angle[row, column] + rng.normal(0, 0.2, n)
    dark = rng.uniform(0.25, 0.45) * np.clip(rng.normal(1, 0.2, n), 0.4, 1.7)
    along = Dots(spindles[0], *(values.astype(np.float32) for values in (half, thin, turn, dark)))
    density = rng.uniform(*stroma.lymphocytes)
    swarm = frame.noise(rng.uniform(15, 60), rng) * rng.uniform(0.5, 2)
    xy, _ = _thinned(swarm, tissue, anatomy, 6.2, density, rng)
    return along, round_dots(xy, rng.uniform(2.6, 3.5), rng.uniform(0.38, 0.6), rng)


def _thinned(
    terrain: Field, tissue: Mask, anatomy: Anatomy, spacing: float, per_mm2: float, rng: Rng
) -> tuple[Values, NDArray[np.intp]]:
    """Places of a given mean density, more of them where the terrain is high."""
    xy, cell = scatter(anatomy.frame, spacing, rng)
    row, column = cell.T
    chance = per_mm2 * spacing**2 / 1e6 * np.exp(terrain[row, column]) * tissue[row, column]
    kept = rng.random(len(xy)) < chance
    return at(anatomy.frame, xy[kept])


def loose_cells(anatomy: Anatomy, rng: Rng) -> Dots:
    """Dark dust in debris, shed cells in lumina, lymphocytes that wander through the lining."""
    traits = anatomy.traits
    xy, cell = scatter(anatomy.frame, 7, rng)
    row, column = cell.T
    inside = anatomy.lumina[row, column]
    chance = np.where(traits.content == "debris", rng.uniform(0.05, 0.5), 0.004)
    chance[0] = 0
    lining = anatomy.epithelium[row, column] * rng.uniform(0, 0.03)
    kept = rng.random(len(xy)) < chance[inside] + lining
    return round_dots(xy[kept], rng.uniform(1.6, 3.2), rng.uniform(0.3, 0.6), rng)
