"""Whether a new model takes its parent's place: a paired bootstrap over validation regions.

The question is "is it worse?", not "is it better?". Both models are judged on the same regions, and
the regions are drawn again many times, with all that belongs together (a patient, a slide) drawn
together. The new model is promoted where the lower end of the one-sided 95 % interval of the
difference in panoptic quality lies above minus a margin: a test of non-inferiority.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.learning.rounds.promotion_figures import Interval, f1_of, interval, pq_of, whole
from napari_histo.learning.rounds.promotion_terms import (
    AREA_MEASURE,
    FEWEST_UNITS,
    Counts,
    Gate,
    Pair,
    Verdict,
    things_of,
)

__all__ = ["AREA_MEASURE", "Counts", "Decision", "Gate", "Pair", "Verdict", "decide", "things_of"]

#: A loss of PQ that no short training explains: then the labels are doubted.
_DOUBTED_PQ = 0.05
#: Numbers of a decision are kept to as many decimals, the same on every machine.
_DECIMALS = 6


@dataclass(frozen=True)
class Decision:
    """What came of it; figures are rounded to 6 decimals, None where there are none.

    Attributes
    ----------
    promoted : bool
    forced : bool
        A person promoted the model whatever the figures said.
    verdict : Verdict
    labels_doubted : bool
        The new model is so much worse (PQ surely 0.05 or more below its parent) that its labels
        are to teach no later model.
    pq_new, pq_parent : float or None
        Of all regions in one pot.
    pq_difference, pq_lower, pq_upper : float or None
        New minus parent, and both one-sided bounds.
    f1_difference, f1_lower, f1_upper : float or None
        The same for F1; shown, and not judged by.
    unit : {"group", "image", "region"}
        What was drawn.
    n_units, n_regions, n_objects : int
        Painted areas in the place of objects where these are judged.
    margin_pq : float
    draws, seed : int
    confidence : float
    sentence : str
        For the user.
    """

    promoted: bool
    forced: bool
    verdict: Verdict
    labels_doubted: bool
    pq_new: float | None
    pq_parent: float | None
    pq_difference: float | None
    pq_lower: float | None
    pq_upper: float | None
    f1_difference: float | None
    f1_lower: float | None
    f1_upper: float | None
    unit: str
    n_units: int
    n_regions: int
    n_objects: int
    margin_pq: float
    draws: int
    seed: int
    confidence: float
    sentence: str


def decide(pairs: Sequence[Pair], gate: Gate | None = None, *, force: bool = False) -> Decision:
    """Judge a new model against its parent.

    Groups are drawn where there are at least 6 of them with objects, else images, else regions: few
    patients say little of others, and the sentence then says of what the answer holds. Two models
    that do alike everywhere are "equal", and the newer one is promoted: it has seen more.

    Parameters
    ----------
    pairs : sequence of Pair
        All validation regions.
    gate : Gate, optional
    force : bool
        Promote whatever comes out; the decision says so.

    """
    gate = gate or Gate()
    told = [p for p in pairs if _says_something(p)]
    unit, names = _units(told)
    new, parent = _sums(told, names, "new"), _sums(told, names, "parent")
    n_objects = sum(p.n_truth for p in told)
    how: dict[str, Any] = {"draws": gate.draws, "seed": gate.seed, "confidence": gate.confidence}
    pq, f1 = (interval(new, parent, ratio, **how) for ratio in (pq_of, f1_of))
    verdict = _verdict(pq, gate.margin_pq, bool((new == parent).all()))
    if len(new) < FEWEST_UNITS or n_objects < gate.fewest:
        verdict = Verdict.TOO_FEW
    forced = force and verdict not in _PASSES
    doubted = gate.doubts_labels and verdict is Verdict.WORSE and pq.upper < -_DOUBTED_PQ
    doubted = doubted and not forced
    where = f"{len(told)} validation regions with {n_objects} {gate.things}"
    return Decision(
        promoted=forced or verdict in _PASSES,
        forced=forced,
        verdict=verdict,
        labels_doubted=doubted,
        pq_new=_rounded(whole(new, pq_of)),
        pq_parent=_rounded(whole(parent, pq_of)),
        pq_difference=_rounded(pq.difference),
        pq_lower=_rounded(pq.lower),
        pq_upper=_rounded(pq.upper),
        f1_difference=_rounded(f1.difference),
        f1_lower=_rounded(f1.lower),
        f1_upper=_rounded(f1.upper),
        unit=unit,
        n_units=len(new),
        n_regions=len(told),
        n_objects=n_objects,
        margin_pq=gate.margin_pq,
        draws=gate.draws,
        seed=gate.seed,
        confidence=gate.confidence,
        sentence=_sentence(verdict, pq, gate, where, forced=forced)
        + (_DOUBT if doubted else "")
        + _of_what(verdict, unit),
    )


_PASSES = (Verdict.BETTER, Verdict.NOT_WORSE, Verdict.EQUAL)


# -- figures -------------------------------------------------------------------------------------


def _says_something(pair: Pair) -> bool:
    seen = pair.new + pair.parent
    return seen.tp + seen.fp + seen.fn > 0


def _units(pairs: Sequence[Pair]) -> tuple[str, list[str]]:
    """What to draw, and the name of each region's unit."""
    by_group = [p.group for p in pairs]
    by_image = [p.image for p in pairs]
    for unit, names in (("group", by_group), ("image", by_image)):
        if len(set(names)) >= FEWEST_UNITS:
            return unit, names
    return "region", [str(i) for i in range(len(pairs))]


def _sums(pairs: Sequence[Pair], names: Sequence[str], which: str) -> NDArray[np.float64]:
    """(units, 4) tp, fp, fn, iou; units by name, so that the order of regions is no matter."""
    rows = {name: row for row, name in enumerate(sorted(set(names)))}
    out = np.zeros((len(rows), 4))
    for pair, name in zip(pairs, names, strict=True):
        counts: Counts = getattr(pair, which)
        out[rows[name]] += (counts.tp, counts.fp, counts.fn, counts.iou)
    return out


def _rounded(value: float) -> float | None:
    # "+ 0.0" because -0.0 is written otherwise than 0.0.
    return round(float(value), _DECIMALS) + 0.0 if isfinite(value) else None


# -- words ---------------------------------------------------------------------------------------


def _verdict(pq: Interval, margin: float, equal: bool) -> Verdict:
    if equal:
        return Verdict.EQUAL
    if pq.lower > 0:
        return Verdict.BETTER
    if pq.lower > -margin:
        return Verdict.NOT_WORSE
    return Verdict.WORSE if pq.upper < 0 else Verdict.UNCLEAR


def _sentence(verdict: Verdict, pq: Interval, gate: Gate, where: str, *, forced: bool) -> str:
    sure = f"with {gate.confidence:.0%} confidence"
    measure = gate.measure
    bound = f"{measure} {pq.difference:+.3f}, {sure} above {pq.lower:+.3f}; {where}"
    kept = "Took the new model on request, though" if forced else "Kept the old model:"
    return {
        Verdict.EQUAL: f"Took the new model: it does exactly as the old one in {where}.",
        Verdict.BETTER: f"Took the new model: it is better ({bound}).",
        Verdict.NOT_WORSE: f"Took the new model: it is not worse ({bound}).",
        Verdict.WORSE: (
            f"{kept} the new one is worse ({measure} {pq.difference:+.3f}, {sure} below "
            f"{pq.upper:+.3f}; {where})."
        ),
        Verdict.UNCLEAR: (
            f"{kept} it is not clear that the new one is no worse ({bound}; it may lose at most "
            f"{gate.margin_pq:g}). More validation regions, or another round, may tell."
        ),
        Verdict.TOO_FEW: (
            f"{kept} {where} are too few to tell; annotate at least {FEWEST_UNITS} regions with "
            f"{gate.fewest} {gate.things} in validation images."
        ),
    }[verdict]


_DOUBT = " Look at the labels of this round: later rounds do not learn from them."


def _of_what(verdict: Verdict, unit: str) -> str:
    """Of what the answer holds, where that is less than one would wish."""
    if unit == "group" or verdict in (Verdict.EQUAL, Verdict.TOO_FEW):
        return ""
    return (
        f" Judged by {unit}, for the validation set has fewer than {FEWEST_UNITS} patients or "
        "slides; of others this says less."
    )
