"""How positive a region is: percentage and H-score, as QuPath counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, PixelSize
from napari_histo.ops.positivity import INTENSITIES, base_name, is_graded
from napari_histo.ops.region_counts import Places

__all__ = ["ALL_CLASSES", "Score", "score_rows", "scores"]

ALL_CLASSES = "All"


@dataclass(frozen=True)
class Score:
    """Graded objects of a region.

    Attributes
    ----------
    region, region_class : str
    kind : str
        Base class ("Tumor"), or `ALL_CLASSES`.
    counts : tuple of int
        By `INTENSITIES`. Objects without an intensity count nowhere.
    area_px : float
        Of the region, px²; NaN where unknown.
    """

    region: str
    region_class: str
    kind: str
    counts: tuple[int, ...]
    area_px: float

    @property
    def n_objects(self) -> int:
        """Graded ones."""
        return sum(self.counts)

    @property
    def n_positive(self) -> int:
        """All but the negative."""
        return sum(self.counts[1:])

    @property
    def percent(self) -> float:
        """Positive ones, 0 to 100; NaN without objects."""
        return 100 * self.n_positive / self.n_objects if self.n_objects else float("nan")

    @property
    def h_score(self) -> float:
        """Percentage of 1+, twice that of 2+ and three times that of 3+: 0 to 300.

        NaN without objects, and where objects are only "Positive": how much, nobody said
        (McCarty et al., Arch Pathol Lab Med 1986).
        """
        _, positive, *graded = self.counts
        if not self.n_objects or positive:
            return float("nan")
        weighted = sum((i + 1) * n for i, n in enumerate(graded))
        return 100 * weighted / self.n_objects


def scores(class_id: NDArray[np.integer], classes: ClassScheme, places: Places) -> list[Score]:
    """A score for each region, the image first: of all classes, then of each base class.

    Parameters
    ----------
    class_id : (n,) integers
    classes : ClassScheme
        Those that end with an intensity count ("Tumor: 2+", "Negative"), whoever gave them.
    places : Places
    """
    graded = [(i, c.name) for i, c in enumerate(classes) if is_graded(c.name)]
    bases = tuple(dict.fromkeys(base_name(name) for _, name in graded))
    where = np.full(len(classes) + 1, len(bases) * len(INTENSITIES), np.int64)
    for i, name in graded:
        level = INTENSITIES.index(name.split(": ")[-1])
        where[i] = bases.index(base_name(name)) * len(INTENSITIES) + level
    slot = where[class_id]
    n_slots = len(bases) * len(INTENSITIES)
    present = np.bincount(slot, minlength=n_slots + 1)[:n_slots].reshape(-1, len(INTENSITIES))
    shown = [i for i, base in enumerate(bases) if base and present[i].any()]
    found = []
    for (name, kind), inside, area in zip(
        places.names, places.members, places.areas_px, strict=True
    ):
        counts = np.bincount(slot[inside], minlength=n_slots + 1)[:n_slots]
        table = counts.reshape(-1, len(INTENSITIES))
        rows = [(ALL_CLASSES, table.sum(axis=0)), *((bases[i], table[i]) for i in shown)]
        found += [Score(name, kind, base, tuple(n.tolist()), area) for base, n in rows]
    return found


def score_rows(found: list[Score], pixel_size: PixelSize | None) -> list[dict[str, Any]]:
    """Rows of a table for people; None for the pixel size leaves area and density empty."""
    mm2 = np.nan if pixel_size is None else pixel_size.area_um2 / 1e6
    rows = []
    for score in found:
        area = score.area_px * mm2
        rows.append(
            {
                "Region": score.region,
                "Region class": score.region_class,
                "Class": score.kind,
                "Objects": score.n_objects,
                **dict(zip(INTENSITIES, score.counts, strict=True)),
                "Positive %": score.percent,
                "H-score": score.h_score,
                "Area mm^2": area,
                "Positive per mm^2": score.n_positive / area if area > 0 else np.nan,
            }
        )
    return rows
