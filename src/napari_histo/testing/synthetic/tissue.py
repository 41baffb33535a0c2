"""Amounts of stain in a field with glands: cytoplasm, stroma, lumina, nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_histo.testing.synthetic.anatomy import Anatomy
from napari_histo.testing.synthetic.fields import Field, Rng
from napari_histo.testing.synthetic.habits import Stroma
from napari_histo.testing.synthetic.placing import (
    angles,
    lining_nuclei,
    look,
    loose_cells,
    outer_nuclei,
    round_dots,
    step,
    stroma_nuclei,
)
from napari_histo.testing.synthetic.stamps import Dots, paint, scatter


@dataclass
class Amounts:
    """Haematoxylin, eosin and red blood cells, (h, w) float32 each; painted on in turn."""

    blue: Field
    pink: Field
    red: Field

    def lay(self, share: Field, blue: Field | float, pink: Field | float) -> None:
        """Replace a share, 0 to 1, of what is there."""
        self.blue += share * (blue - self.blue)
        self.pink += share * (pink - self.pink)


def stain_tissue(anatomy: Anatomy, stroma: Stroma, outer: bool, rng: Rng) -> Amounts:
    """Paint a field from the back to the front."""
    frame = anatomy.frame
    angle, uphill = _directions(anatomy, rng)
    streaks = frame.flow(angle, stroma.length_um, rng)
    grain = frame.noise(1.0, rng)
    clouds = frame.noise(9, rng)
    amounts = _stroma(anatomy, stroma, streaks, grain, rng)
    _hollow_things(anatomy, amounts, rng)
    _lining(anatomy, amounts, streaks, grain, clouds)
    _goblets(anatomy, amounts, uphill, rng)
    _contents(anatomy, amounts, clouds, rng)
    _nuclei(anatomy, stroma, outer, angle, uphill, amounts, rng)
    return amounts


def _directions(anatomy: Anatomy, rng: Rng) -> tuple[Field, tuple[Field, Field]]:
    """Angle of fibres and of cells, and the slope (y, x) from a gland's border inwards."""
    frame = anatomy.frame
    slope = np.gradient(frame.blur(anatomy.depth, 2.0))
    steep = np.hypot(*slope) + np.float32(1e-6)
    uphill = slope[0] / steep, slope[1] / steep
    # Fibres follow the level lines of this: round a gland near it, on their own farther off.
    waves = rng.uniform(15, 45) * frame.noise(rng.uniform(35, 90), rng) + 3 * frame.noise(9, rng)
    turn = rng.uniform(0, 2 * np.pi)
    y, x = frame.yx_um
    grade = np.float32(rng.uniform(0.3, 1.2))
    lean = np.cos(turn, dtype=np.float32) * y + np.sin(turn, dtype=np.float32) * x
    near = np.minimum(anatomy.outside, 40)
    fy, fx = np.gradient(waves + grade * lean + np.float32(rng.uniform(0.5, 2.5)) * near)
    fibres = np.arctan2(fx, -fy)
    cells = np.arctan2(uphill[0], uphill[1])
    return np.where(anatomy.glands > 0, cells, fibres).astype(np.float32), uphill


def _stroma(anatomy: Anatomy, stroma: Stroma, streaks: Field, grain: Field, rng: Rng) -> Amounts:
    frame = anatomy.frame
    pink, contrast, pale = (rng.uniform(*s) for s in (stroma.pink, stroma.fibres, stroma.pale))
    # Fibres thin out as pixels grow: what a pixel holds is already a mean.
    contrast *= min(1.0, 1.6 / frame.pixel_um)
    broad = frame.noise(rng.uniform(25, 80), rng)
    amount = pink * (1 + contrast * streaks + 0.12 * grain + 0.15 * broad)
    empty = np.clip(frame.noise(rng.uniform(4, 12), rng) + 0.7 * streaks - 1.2 + 1.6 * pale, 0, 1)
    amount = np.clip(amount * (1 - 0.75 * pale * empty), 0.01, None)
    blue = rng.uniform(0.01, 0.05) * (1 + 0.2 * streaks + 0.3 * broad)
    blue *= np.float32(1 + (rng.uniform() < 0.25) * pale)
    amounts = Amounts(
        blue.astype(np.float32), amount.astype(np.float32), np.zeros(frame.shape, np.float32)
    )
    amounts.lay(frame.blur(anatomy.glass, 0.6), 0.0, 0.0)
    return amounts


def _hollow_things(anatomy: Anatomy, amounts: Amounts, rng: Rng) -> None:
    """Fat cells with thin walls; vessels with thicker ones, empty or full of blood."""
    frame, shell = anatomy.frame, anatomy.shell
    if anatomy.fat.any():
        amounts.lay(frame.blur((anatomy.fat > 0) & (shell > 1.2), 0.5), 0.0, 0.003)
    if not anatomy.vessels.any():
        return
    wall = rng.uniform(1.5, 7) * (0.5 + rng.random(anatomy.vessels.max() + 1, dtype=np.float32))
    inside = (anatomy.vessels > 0) & (shell > wall[anatomy.vessels])
    amounts.lay(frame.blur((anatomy.vessels > 0) & ~inside, 0.6), 0.04, rng.uniform(0.1, 0.2))
    amounts.lay(frame.blur(inside, 0.6), 0.0, rng.uniform(0, 0.05))
    full = rng.uniform(0, 1, len(wall)) < rng.uniform(0, 1)
    xy, cell = scatter(frame, 5.5, rng)
    row, column = cell.T
    kept = inside[row, column] & full[anatomy.vessels[row, column]]
    amounts.red = paint(frame, round_dots(xy[kept], 3.0, 1.0, rng), rim=0.3) * inside


def _lining(
    anatomy: Anatomy, amounts: Amounts, streaks: Field, grain: Field, clouds: Field
) -> None:
    """Cytoplasm: paler towards the lumen, streaked across, darker at its free edge."""
    frame, traits, ids = anatomy.frame, anatomy.traits, anatomy.glands
    fine = min(1.0, 1.6 / frame.pixel_um)
    pale = traits.clear[ids] * np.clip((anatomy.depth - traits.first[ids]) / 6, 0, 1)
    texture = 1 + fine * (0.13 * streaks + 0.13 * grain) + 0.12 * clouds
    pink = traits.pink[ids] * (1 - pale) * texture
    blue = traits.blue[ids] * (1 - pale) * (1 + 0.2 * clouds)
    rim = frame.blur(anatomy.lumina > 0, 1.0)
    pink += 0.12 * rim * (1 - rim) * traits.pink[ids] / 0.15
    membrane = np.exp(-(((anatomy.depth - 0.5) / 1.2) ** 2))
    pink += 0.05 * membrane * (ids > 0)
    amounts.lay(frame.blur(ids > 0, 0.4), blue, pink)


def _goblets(anatomy: Anatomy, amounts: Amounts, uphill: tuple[Field, Field], rng: Rng) -> None:
    """Drops of mucin between the nuclei and the lumen: pale, with a tinge of blue."""
    traits = anatomy.traits
    if traits.goblets.max() < 0.02:
        return
    frame = anatomy.frame
    size = rng.uniform(2.8, 4.6)
    xy, cell = scatter(frame, 2.1 * size, rng)
    number, depth = look(anatomy, cell)
    # From above the nuclei to the lumen, or to the middle where that is a slit.
    low = traits.first[number] + traits.half_long[number] * 0.8
    kept = (number > 0) & (depth > low) & (depth < traits.height[number] + 6)
    kept &= rng.random(len(xy)) < traits.goblets[number] * 1.3
    xy, cell, number, depth = xy[kept], cell[kept], number[kept], depth[kept]
    target = np.maximum(traits.height[number] - 1.1 * size, low[kept])
    xy = xy + step(uphill, cell, 0.7 * (target - depth))
    angle = angles(uphill, cell)
    n = len(xy)
    long = (size * rng.uniform(0.8, 1.6, n)).astype(np.float32)
    wide = (size * rng.uniform(0.7, 1.1, n)).astype(np.float32)
    drops = paint(frame, Dots(xy, long, wide, angle, np.full(n, 0.9, np.float32)))
    tinge = rng.uniform(0.0, 0.07)
    drops *= anatomy.lumina == 0
    amounts.lay(drops * (anatomy.glands > 0), tinge * (1 + 0.3 * frame.noise(2, rng)), 0.015)


def _contents(anatomy: Anatomy, amounts: Amounts, clouds: Field, rng: Rng) -> None:
    """What fills the lumina: nothing, blue mucin, pink secretion, or debris."""
    frame, ids = anatomy.frame, anatomy.lumina
    content = anatomy.traits.content
    wisps = frame.noise(rng.uniform(2, 6), rng)
    patchy = np.clip(0.6 + frame.noise(rng.uniform(10, 40), rng), 0, 1)
    blue, pink = np.zeros_like(clouds), np.zeros_like(clouds)
    mucin, secretion, debris = ((content == c)[ids] for c in ("mucin", "secretion", "debris"))
    strength = rng.uniform(0.02, 0.10)
    blue += mucin * np.clip(strength * (0.6 + 0.6 * wisps), 0, None) * patchy
    pink += mucin * 0.02 * patchy
    even = rng.uniform(0, 0.35)
    filled = np.ones_like(patchy) if rng.uniform() < 0.5 else patchy
    pink += secretion * rng.uniform(0.05, 0.2) * np.clip(1 + even * wisps, 0, None) * filled
    lumpy = np.clip(1 + 0.5 * wisps + 0.3 * clouds, 0, None)
    pink += debris * rng.uniform(0.06, 0.16) * lumpy * patchy
    blue += debris * 0.04 * np.clip(1 + wisps, 0, None) * patchy
    amounts.lay(frame.blur(ids > 0, 0.5), blue, pink)


def _nuclei(
    anatomy: Anatomy,
    stroma: Stroma,
    outer: bool,
    angle: Field,
    uphill: tuple[Field, Field],
    amounts: Amounts,
    rng: Rng,
) -> None:
    frame = anatomy.frame
    groups = [
        lining_nuclei(anatomy, uphill, rng),
        *stroma_nuclei(anatomy, stroma, angle, rng),
        loose_cells(anatomy, rng),
    ]
    if outer:
        groups.append(outer_nuclei(anatomy, uphill, rng))
    rim = rng.uniform(0, 0.5)
    painted = np.max([paint(frame, dots, rim=rim) for dots in groups], axis=0)
    clumps = 1 + min(1.0, 1 / frame.pixel_um) * rng.uniform(0.1, 0.35) * frame.noise(0.8, rng)
    cover = np.clip(painted / 0.18, 0, 1)
    amounts.lay(0.75 * cover, 0.0, 0.02)
    amounts.blue += np.clip(painted * clumps, 0, None)
