"""What lies where in a field with glands: glands, lumina, vessels, fat, and each gland's traits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_histo.testing.synthetic.fields import Field, Frame, Ids, Mask, Rng, between, pick
from napari_histo.testing.synthetic.habits import Habit, Span
from napari_histo.testing.synthetic.layout import Packer, inner_depth, make_shape, whole_pieces

Values = NDArray[np.float32]
Names = NDArray[np.str_]


@dataclass(frozen=True)
class Traits:
    """One entry a gland, the first for the background; lengths in µm.

    Attributes
    ----------
    lumen, content : (n + 1,) str
    height, first : (n + 1,) float32
        Of the lining; of the lowest row of nuclei above the border.
    layers : (n + 1,) float32
    goblets, clear, pink, blue : (n + 1,) float32
        Share of cells with mucin; paleness, eosin and haematoxylin of the cytoplasm.
    half_long, half_wide : (n + 1,) float32
        Half axes of the nuclei.
    stain : (n + 1,) float32
        Haematoxylin in the nuclei.
    """

    lumen: Names
    content: Names
    height: Values
    first: Values
    layers: Values
    goblets: Values
    clear: Values
    pink: Values
    blue: Values
    half_long: Values
    half_wide: Values
    stain: Values


@dataclass(frozen=True)
class Anatomy:
    """Where everything lies; all fields are (h, w).

    Attributes
    ----------
    glands, lumina : int32
        Number of the gland; of the gland whose lumen it is.
    depth, outside : float32
        Distance into a gland from its border, and to the nearest gland, µm.
    vessels, fat : int32
        Hollow round things that are no glands.
    shell : float32
        Distance from the border of a vessel or fat cell, µm.
    glass : bool
        No tissue: beside it, and in clefts and tears.
    """

    frame: Frame
    traits: Traits
    glands: Ids
    lumina: Ids
    depth: Field
    outside: Field
    vessels: Ids
    fat: Ids
    shell: Field
    glass: Mask

    @property
    def epithelium(self) -> Mask:
        return np.asarray((self.glands > 0) & (self.lumina == 0))

    @property
    def stroma(self) -> Mask:
        other = (self.glands > 0) | (self.vessels > 0) | (self.fat > 0) | self.glass
        return np.asarray(~other)


def grow(frame: Frame, habit: Habit, diameter_um: Span | None, rng: Rng) -> Anatomy:
    """Lay out a field of one kind of tissue."""
    middle = between(rng, diameter_um or habit.diameter)
    packer = _packer(frame, habit, middle, rng)
    home = _home(frame, habit, middle, rng)
    least, most = (0.0, np.inf) if diameter_um is None else diameter_um
    variety = rng.uniform(0.08, 0.35) if least < most else 0.0
    kinds = _mixture(habit.shapes, rng)
    # As many tries as glands fit, and half as many again; the whole field has one middle size.
    for place in _centres(frame, middle * 0.8, rng):
        width = float(np.clip(middle * np.exp(rng.normal(0, variety)), least, most))
        if _value_at(frame, home, place, outside=True):
            packer.put(make_shape(str(pick(rng, kinds, 1)[0]), place, width, rng))
    count = packer.count
    fat_from = _add_vessels(frame, packer, rng)
    _add_fat(frame, packer, rng)
    everything = packer.ids()
    glands, _ = whole_pieces(frame, np.where(everything <= count, everything, 0))
    others = np.where((everything > count) & (glands == 0), everything, 0)
    depth = inner_depth(frame, glands)
    traits = _draw_traits(habit, int(glands.max()), middle, rng)
    lumina = _hollow(frame, glands, depth, traits, rng)
    outside = frame.depth(glands == 0)
    return Anatomy(
        frame,
        traits,
        glands,
        lumina,
        depth,
        outside,
        vessels=np.where(others <= fat_from, others, 0),
        fat=np.where(others > fat_from, others, 0),
        shell=inner_depth(frame, others) if others.any() else np.zeros(frame.shape, np.float32),
        glass=_glass(frame, glands, others, outside, rng),
    )


def _packer(frame: Frame, habit: Habit, middle: float, rng: Rng) -> Packer:
    """The outline strays in long waves, and in short ones as wide as a few cells."""
    rough = between(rng, habit.rough) * middle / 2
    jagged = rng.uniform(0.3, 1.0) if rng.uniform() < 0.7 else rng.uniform(1.0, 3.0)
    warp = [
        rough * frame.noise(0.22 * middle, rng) + jagged * frame.noise(6.0, rng) for _ in range(2)
    ]
    return Packer(frame, (warp[0], warp[1]), between(rng, habit.gap))


def _mixture(weights: dict[str, float], rng: Rng) -> dict[str, float]:
    """This field's own taste: neighbours are more alike than the kind of tissue is."""
    return {name: weight * float(rng.gamma(0.7)) + 1e-6 for name, weight in weights.items()}


def _home(frame: Frame, habit: Habit, middle: float, rng: Rng) -> Mask:
    """Where glands may have their middle."""
    spread = str(pick(rng, habit.spread, 1)[0])
    if spread == "all":
        return np.ones(frame.shape, bool)
    scale, share = (2.2 * middle, 0.2) if spread == "lobules" else (0.8 * middle, 0.3)
    terrain = frame.noise(scale, rng)
    return terrain > np.quantile(terrain, 1 - rng.uniform(share, 0.65))


def _centres(frame: Frame, spacing: float, rng: Rng) -> NDArray[np.float64]:
    """Places in random order, also some beyond the frame: glands are cut by it."""
    h, w = frame.size_um
    counts = [int(np.ceil(size / spacing)) + 2 for size in (h, w)]
    y, x = np.indices(counts).reshape(2, -1) - 1
    places = (np.stack([x, y], 1) + rng.random((len(x), 2)) * 1.4 - 0.2) * spacing
    # A second helping fills the holes that the first left.
    places = np.concatenate([rng.permutation(places), rng.permutation(places) + 0.5 * spacing])
    return np.asarray(places)


def _value_at(
    frame: Frame, mask: Mask, place: NDArray[np.float64], *, outside: bool = False
) -> bool:
    column, row = np.floor(place / frame.pixel_um).astype(int)
    if not (0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]):
        return outside
    return bool(mask[row, column])


def _add_vessels(frame: Frame, packer: Packer, rng: Rng) -> int:
    """Vessels between the glands; returns the last number given."""
    h, w = frame.size_um
    for _ in range(rng.poisson(min(rng.gamma(1.0) * 25 * h * w / 1e6, 60))):
        kind = "round" if rng.uniform() < 0.6 else "long"
        place = rng.uniform((0, 0), (w, h))
        packer.put(make_shape(kind, place, between(rng, (10, 70)), rng), overlap=0.03)
    return packer.count


def _add_fat(frame: Frame, packer: Packer, rng: Rng) -> None:
    """A lobe of fat cells, now and then: white and round, and no lumen."""
    if rng.uniform() > 0.15:
        return
    size = rng.uniform(45, 85)
    where = frame.noise(150, rng) > rng.uniform(-0.3, 1.0)
    for place in _centres(frame, size * 0.75, rng):
        if _value_at(frame, where, place):
            packer.put(make_shape("round", place, size * rng.uniform(0.9, 1.3), rng), overlap=0.3)


def _draw_traits(habit: Habit, count: int, middle: float, rng: Rng) -> Traits:
    """The field's own look, and a little of each gland's."""
    n = count + 1

    def near(value: float, deviation: float) -> Values:
        return (value * np.exp(rng.normal(0, deviation, n))).astype(np.float32)

    wide = rng.uniform(2.0, 3.9)
    long = wide * rng.uniform(1.0, 2.0)
    height = min(between(rng, habit.epithelium), 0.42 * middle)
    # A high lining of many cells: one row of nuclei would leave a bare wall.
    least = round(0.3 * height / (2 * wide))
    layers = max(int(rng.integers(habit.layers[0], habit.layers[1] + 1)), least)
    most = max(habit.layers[1], least)
    return Traits(
        lumen=pick(rng, _mixture(habit.lumens, rng), n),
        content=pick(rng, _mixture(habit.contents, rng), n),
        height=near(height, 0.15),
        first=near(min(long * rng.uniform(0.9, 1.5), 0.5 * height), 0.12),
        layers=np.clip(layers + rng.integers(-1, 2, n), max(habit.layers[0], least), most).astype(
            np.float32
        ),
        goblets=np.clip(near(rng.uniform(*habit.goblets), 0.3), 0, 1),
        clear=np.clip(near(rng.uniform(*habit.clear), 0.25), 0, 0.9),
        pink=near(rng.uniform(0.09, 0.20), 0.12),
        blue=near(rng.uniform(0.03, 0.11), 0.12),
        half_long=near(long, 0.08),
        half_wide=near(wide, 0.08),
        stain=near(rng.uniform(0.20, 0.46), 0.10),
    )


def _hollow(frame: Frame, glands: Ids, depth: Field, traits: Traits, rng: Rng) -> Ids:
    """Number of the gland where its lumen lies: deep inside, or in holes all over."""
    numbers = np.arange(len(traits.lumen))
    deepest = np.asarray(ndi.maximum(depth, glands, numbers), np.float32)
    height = np.minimum(traits.height, 0.8 * deepest)
    # A slit is all that a thin gland has; in a wide one the lining would be a wall.
    slit = (traits.lumen == "slit") & (deepest < 2 * traits.height)
    height = np.where(slit, 0.8 * deepest, height)
    necrosis = (traits.lumen == "solid") & (traits.content == "debris") & (deepest > 70)
    height = np.where(necrosis, 0.55 * deepest, height)
    closed = np.isin(traits.lumen, ("solid", "cribriform")) & ~necrosis
    height = np.where(closed, np.inf, height).astype(np.float32)
    wavy = rng.uniform(0.5, 1.5) * frame.noise(3.5, rng) + rng.uniform(0, 2) * frame.noise(9, rng)
    folds = np.where(traits.lumen == "folded", rng.uniform(0.35, 0.7), 0.05) * traits.height
    surface = depth - wavy - folds.astype(np.float32)[glands] * frame.noise(rng.uniform(9, 20), rng)
    hollow = surface > height[glands]
    sieve = traits.lumen == "cribriform"
    if sieve[1:].any():
        holes = frame.noise(rng.uniform(6, 13), rng) > rng.uniform(0.5, 1.0)
        hollow |= sieve[glands] & holes & (surface > 8)
    # Where all that is seen lies within one gland, how deep is not known: that is lining.
    hollow &= depth < max(frame.size_um) * 1.5
    # A lumen is never bare: some lining is left, a pixel at least.
    hollow &= (glands > 0) & (depth > max(3.0, 1.5 * frame.pixel_um))
    return np.where(_no_crumbs(frame, hollow), glands, 0)


def _no_crumbs(frame: Frame, mask: Mask) -> Mask:
    parts, count = ndi.label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * frame.pixel_um**2
    keep = sizes >= 15
    keep[0] = False
    return np.asarray(keep[parts])


def _glass(frame: Frame, glands: Ids, others: Ids, outside: Field, rng: Rng) -> Mask:
    """Beside the tissue, in tears of the stroma, and in clefts around glands."""
    free = (glands == 0) & (others == 0)
    glass = np.zeros(frame.shape, bool)
    if rng.uniform() < 0.12:
        edge = frame.noise(0.35 * max(frame.size_um), rng) + 0.02 * frame.noise(5, rng)
        glass |= edge > np.quantile(edge, rng.uniform(0.6, 0.95))
        glass &= outside > rng.uniform(3, 15)
    rough = frame.noise(2.5, rng)
    if rng.uniform() < 0.5:
        tears = frame.noise(rng.uniform(8, 20), rng) + 0.15 * rough
        glass |= (tears > rng.uniform(1.7, 2.8)) & (outside > 2)
    if rng.uniform() < 0.35:
        width = rng.uniform(1, 5) * np.clip(frame.noise(25, rng) - rng.uniform(-0.5, 0.8), 0, 2)
        glass |= outside < width + 0.4 * rough * (width > 0.5)
    return np.asarray(glass & free)
