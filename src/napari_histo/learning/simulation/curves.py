"""What a simulation showed: quality over objects annotated, as a table and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_histo.learning.simulation.record import RoundScore
from napari_histo.store import atomic_path

__all__ = [
    "CurveRow",
    "curve_rows",
    "draw_curves",
    "interval",
    "objects_needed",
    "table_text",
]


@dataclass(frozen=True)
class CurveRow:
    """One round of one arm, over all seeds; each ± is half of the 95 % interval of the mean.

    Attributes
    ----------
    arm : str
    round, n_seeds : int
    n_objects : float
        Annotated so far, mean.
    pq, pq_pm, f1, f1_pm : float
        On the test images.
    first_pq : float
        On the regions of the first round.
    seconds : float
        Of training in this round, mean.
    """

    arm: str
    round: int
    n_seeds: int
    n_objects: float
    pq: float
    pq_pm: float
    f1: float
    f1_pm: float
    first_pq: float
    seconds: float


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Mean, and half the width of its confidence interval by Student's t; NaN of one value."""
    from scipy.stats import t

    known = np.array([v for v in values if not math.isnan(v)])
    if len(known) < 2:
        return (float(known.mean()) if len(known) else math.nan), math.nan
    half = t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
    return float(known.mean()), float(half)


def curve_rows(scores: Sequence[RoundScore]) -> list[CurveRow]:
    """Scores of all seeds as one row an arm and round, in their order."""
    rows = []
    for arm, number in dict.fromkeys((s.arm, s.round) for s in scores):
        own = [s for s in scores if (s.arm, s.round) == (arm, number)]
        rows.append(
            CurveRow(
                arm,
                number,
                len(own),
                float(np.mean([s.n_objects for s in own])),
                *interval([s.pq for s in own]),
                *interval([s.f1 for s in own]),
                interval([s.first_pq for s in own])[0],
                float(np.mean([s.seconds for s in own])),
            )
        )
    return rows


def objects_needed(rows: Sequence[CurveRow], arm: str, pq: float) -> float:
    """Objects after which an arm reaches a quality, along its curve; NaN where it never does."""
    own = [row for row in rows if row.arm == arm]
    if own and own[0].pq >= pq:
        return own[0].n_objects
    for one, other in pairwise(own):
        if one.pq < pq <= other.pq:
            share = (pq - one.pq) / (other.pq - one.pq)
            return one.n_objects + share * (other.n_objects - one.n_objects)
    return math.nan


def table_text(rows: Sequence[CurveRow]) -> str:
    """The rows as a table in Markdown."""
    lines = [
        "| arm | round | objects | PQ | F1 | PQ on round 1 | training, s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.arm} | {r.round} | {r.n_objects:.0f} | {r.pq:.3f} ± {r.pq_pm:.3f} | "
        f"{r.f1:.3f} ± {r.f1_pm:.3f} | {r.first_pq:.3f} | {r.seconds:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def draw_curves(rows: Sequence[CurveRow], path: Path | str) -> None:
    """Draw quality over annotated objects, with the intervals as bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for arm in dict.fromkeys(row.arm for row in rows):
        own = [row for row in rows if row.arm == arm]
        x = [row.n_objects for row in own]
        y, pm = np.array([row.pq for row in own]), np.nan_to_num([row.pq_pm for row in own])
        (line,) = axes.plot(x, y, marker="o", label=arm)
        axes.fill_between(x, y - pm, y + pm, color=line.get_color(), alpha=0.18, linewidth=0)
    axes.set_xscale("log")
    counts = [row.n_objects for row in rows]
    low, high = 0.9 * min(counts), 1.1 * max(counts)
    decades = (10.0**k for k in range(8))
    ticks = [n * d for d in decades for n in (1, 2, 5) if low <= n * d <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
    axes.set_xlabel("annotated objects")
    axes.set_ylabel("panoptic quality on images that taught nothing")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with atomic_path(path) as work:
        figure.savefig(work, dpi=110)
