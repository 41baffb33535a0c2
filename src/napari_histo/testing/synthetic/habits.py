"""How glands of some organs and diseases look, as ranges to draw from."""

from __future__ import annotations

from dataclasses import dataclass, field

Span = tuple[float, float]
Weights = dict[str, float]


@dataclass(frozen=True)
class Habit:
    """Ranges for one kind of tissue; lengths in µm.

    Attributes
    ----------
    diameter : (float, float)
        Width of a gland; a field draws its own middle from it.
    shapes, lumens, contents : dict of str to float
        How often a gland is round, long, branched, budding; has an open, slit, folded, cribriform
        lumen or none (solid); which is empty or holds mucin, secretion, debris.
    epithelium : (float, float)
        Height of the lining.
    layers : (int, int)
        Rows of nuclei in it.
    goblets : (float, float)
        Share of cells with a drop of mucin.
    clear : (float, float)
        How pale the cytoplasm is: 0 pink, 1 white.
    gap : (float, float)
        Least stroma between neighbours.
    rough : (float, float)
        How far the outline strays, as a share of the radius.
    spread : dict of str to float
        Glands lie everywhere, in lobules, or here and there.
    stroma : dict of str to float
        Dense, loose, cellular, inflamed or muscle.
    outer : float
        Chance that flat, dark cells lie along the border (myoepithelium).
    """

    diameter: Span
    shapes: Weights
    lumens: Weights
    contents: Weights
    epithelium: Span
    layers: tuple[int, int] = (1, 1)
    goblets: Span = (0.0, 0.0)
    clear: Span = (0.0, 0.4)
    gap: Span = (3.0, 40.0)
    rough: Span = (0.05, 0.2)
    spread: Weights = field(default_factory=lambda: {"all": 3.0, "lobules": 1.0, "sparse": 1.0})
    stroma: Weights = field(
        default_factory=lambda: {
            "dense": 2.0,
            "loose": 1.5,
            "cellular": 1.0,
            "inflamed": 1.0,
            "muscle": 0.5,
        }
    )
    outer: float = 0.1


HABITS: dict[str, Habit] = {
    "colon crypts across": Habit(
        diameter=(55, 110),
        shapes={"round": 9, "long": 1, "budding": 0.5},
        lumens={"open": 4, "slit": 5},
        contents={"empty": 3, "mucin": 4},
        epithelium=(16, 30),
        layers=(1, 2),
        goblets=(0.25, 0.95),
        gap=(6, 30),
        rough=(0.03, 0.12),
        spread={"all": 1},
        stroma={"inflamed": 4, "loose": 1, "cellular": 1},
    ),
    "colon crypts along": Habit(
        diameter=(55, 110),
        shapes={"long": 8, "round": 2},
        lumens={"open": 4, "slit": 5},
        contents={"empty": 3, "mucin": 3},
        epithelium=(15, 28),
        layers=(1, 2),
        goblets=(0.2, 0.9),
        gap=(4, 30),
        spread={"all": 1},
        stroma={"inflamed": 4, "loose": 1, "cellular": 1},
    ),
    "adenocarcinoma": Habit(
        diameter=(60, 330),
        shapes={"round": 3, "long": 2, "branched": 4, "budding": 4},
        lumens={"open": 5, "slit": 2, "folded": 2, "cribriform": 4, "solid": 0.7},
        contents={"empty": 4, "mucin": 1, "secretion": 1, "debris": 4},
        epithelium=(18, 55),
        layers=(2, 5),
        goblets=(0.0, 0.15),
        clear=(0.0, 0.3),
        gap=(1.5, 60),
        rough=(0.1, 0.35),
        stroma={"cellular": 4, "dense": 2, "loose": 1, "inflamed": 1},
    ),
    "prostate": Habit(
        diameter=(80, 320),
        shapes={"round": 3, "branched": 4, "budding": 4, "long": 1},
        lumens={"open": 3, "folded": 6, "slit": 1},
        contents={"empty": 6, "secretion": 2},
        epithelium=(12, 30),
        layers=(1, 2),
        clear=(0.2, 0.8),
        gap=(8, 60),
        rough=(0.1, 0.3),
        stroma={"muscle": 4, "dense": 1},
        outer=0.4,
    ),
    "small acini": Habit(
        diameter=(40, 85),
        shapes={"round": 8, "long": 1, "budding": 1},
        lumens={"open": 5, "slit": 2, "solid": 0.5},
        contents={"empty": 4, "secretion": 2, "mucin": 1},
        epithelium=(9, 20),
        clear=(0.1, 0.9),
        gap=(1.5, 25),
        stroma={"muscle": 2, "dense": 2, "loose": 1, "cellular": 1},
    ),
    "breast lobules": Habit(
        diameter=(40, 75),
        shapes={"round": 7, "long": 2, "budding": 2},
        lumens={"open": 3, "slit": 4, "solid": 1},
        contents={"empty": 3, "secretion": 3},
        epithelium=(9, 20),
        layers=(1, 2),
        gap=(3, 15),
        spread={"lobules": 1},
        stroma={"dense": 4, "loose": 2},
        outer=0.7,
    ),
    "ducts": Habit(
        diameter=(120, 400),
        shapes={"round": 6, "long": 3, "budding": 2},
        lumens={"open": 3, "cribriform": 4, "solid": 2.5, "folded": 2},
        contents={"empty": 3, "secretion": 2, "debris": 4},
        epithelium=(14, 60),
        layers=(1, 4),
        gap=(10, 80),
        spread={"sparse": 2, "all": 1},
        stroma={"dense": 4, "loose": 2, "cellular": 1},
        outer=0.7,
    ),
    "endometrium": Habit(
        diameter=(50, 160),
        shapes={"round": 4, "long": 4, "branched": 2},
        lumens={"open": 6, "folded": 2, "slit": 1},
        contents={"empty": 4, "secretion": 1, "debris": 0.5},
        epithelium=(14, 32),
        layers=(1, 4),
        clear=(0.0, 0.3),
        gap=(2, 60),
        stroma={"cellular": 5, "loose": 1},
    ),
    "follicles": Habit(
        diameter=(50, 260),
        shapes={"round": 8, "budding": 1},
        lumens={"open": 1},
        contents={"secretion": 8, "empty": 1},
        epithelium=(7, 13),
        gap=(1.5, 12),
        spread={"all": 1},
        stroma={"dense": 1, "loose": 1},
    ),
}


@dataclass(frozen=True)
class Stroma:
    """Ranges of eosin, contrast of its fibres, paleness between them, and cells a mm²."""

    pink: Span
    fibres: Span
    pale: Span
    nuclei: Span
    lymphocytes: Span
    length_um: float = 20


STROMA = {
    "dense": Stroma((0.12, 0.24), (0.10, 0.30), (0.0, 0.1), (300, 1200), (0, 300)),
    "loose": Stroma((0.05, 0.12), (0.3, 0.8), (0.3, 0.9), (400, 1500), (0, 600)),
    "cellular": Stroma((0.08, 0.17), (0.15, 0.4), (0.0, 0.3), (2000, 5500), (50, 1000)),
    "inflamed": Stroma((0.07, 0.15), (0.15, 0.5), (0.1, 0.5), (600, 2000), (2500, 9000)),
    "muscle": Stroma((0.13, 0.24), (0.15, 0.35), (0.0, 0.2), (600, 1800), (0, 150), 35),
}
