"""From the counts of an evaluation to the decision, and back: the same words each time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from napari_histo.learning.rounds.files import canonical
from napari_histo.learning.rounds.promotion import Counts, Gate, Pair, decide

__all__ = ["decision_words", "gate_words", "pairs_in", "region_row"]


def region_row(
    region_id: str,
    image: str,
    group: str,
    counts: Mapping[str, Counts],
    areas: int | None = None,
) -> dict[str, Any]:
    """A row of ``evaluation.json``; `counts` by ``new`` and ``parent``, `areas` as of `Pair`."""
    sides = {which: asdict(found) for which, found in counts.items()}
    painted = {} if areas is None else {"areas": areas}
    return {"id": region_id, "image": image, "group": group, **sides, **painted}


def gate_words(gate: Gate) -> dict[str, Any]:
    """How strictly it is judged, for ``evaluation.json``."""
    return asdict(gate)


def pairs_in(rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Validation regions of an evaluation."""
    return [
        Pair(
            row["group"],
            row["image"],
            Counts(**row["new"]),
            Counts(**row["parent"]),
            row.get("areas"),
        )
        for row in rows
    ]


def decision_words(evaluation: Mapping[str, Any], *, force: bool = False) -> dict[str, Any]:
    """What ``decision.json`` says, from what ``evaluation.json`` says and nothing else."""
    # Sorted, for units that have no name of their own are drawn by their place.
    rows = sorted(evaluation["regions"], key=lambda row: row["id"])
    decision = decide(pairs_in(rows), Gate(**evaluation["gate"]), force=force)
    words: dict[str, Any] = json.loads(canonical(asdict(decision)))
    return words
