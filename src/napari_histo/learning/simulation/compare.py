"""Arms of a simulation held against each other: quality seed by seed, and time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_histo.learning.simulation.curves import interval
from napari_histo.learning.simulation.record import RoundScore

__all__ = ["Comparison", "compare_arms", "comparison_text"]


@dataclass(frozen=True)
class Comparison:
    """Two arms after a round, seed by seed; ± is half of the 95 % interval of the mean.

    Attributes
    ----------
    one, other : str
        Arms.
    round : int
        0 for all rounds after the first, in which what is compared has not begun.
    n_seeds : int
        That both arms played.
    pq, pq_pm : float
        What `other` is better by, on the test images.
    first_pq : float
        The same on the regions of the first round.
    time_ratio : float
        Seconds that `other` trains for one second of `one`, over all seeds; NaN where `one` took
        no time.
    """

    one: str
    other: str
    round: int
    n_seeds: int
    pq: float
    pq_pm: float
    first_pq: float
    time_ratio: float


def compare_arms(scores: Sequence[RoundScore]) -> list[Comparison]:
    """The first arm against each of the others: a row a round, and one of all later rounds."""
    arms = list(dict.fromkeys(score.arm for score in scores))
    numbers = sorted({score.round for score in scores})
    later = [[n] for n in numbers] + ([numbers[1:]] if len(numbers) > 2 else [])
    by = {(s.arm, s.seed, s.round): s for s in scores}
    rows = []
    for other in arms[1:]:
        for some in later:
            pairs = [
                (s, by[other, s.seed, s.round])
                for s in scores
                if s.arm == arms[0] and s.round in some and (other, s.seed, s.round) in by
            ]
            number = some[0] if len(some) == 1 else 0
            rows += [_compared(arms[0], other, number, pairs)] if pairs else []
    return rows


def _compared(
    one: str, other: str, number: int, pairs: Sequence[tuple[RoundScore, RoundScore]]
) -> Comparison:
    by_seed: dict[int, list[float]] = {}
    for mine, theirs in pairs:
        by_seed.setdefault(mine.seed, []).append(theirs.pq - mine.pq)
    seconds = [sum(pair[k].seconds for pair in pairs) for k in (0, 1)]
    return Comparison(
        one,
        other,
        number,
        len(by_seed),
        *interval([float(np.mean(gains)) for gains in by_seed.values()]),
        float(np.mean([theirs.first_pq - mine.first_pq for mine, theirs in pairs])),
        seconds[1] / seconds[0] if seconds[0] else math.nan,
    )


def comparison_text(rows: Sequence[Comparison]) -> str:
    """The rows as a table in Markdown; nothing without rows."""
    if not rows:
        return ""
    lines = [
        "| compared | round | difference in PQ | in PQ on round 1 | training time |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.other} to {r.one} | {r.round or 'all later'} | {r.pq:+.3f} ± {r.pq_pm:.3f} | "
        f"{r.first_pq:+.3f} | {r.time_ratio:.1f} times |"
        for r in rows
    ]
    return "\n".join(lines)
