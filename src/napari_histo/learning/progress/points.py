"""Quality over objects annotated, from the files of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from napari_histo.learning.progress.forecast import Forecast, forecast
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.decision import pairs_in
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.promotion import Counts, things_of

__all__ = ["Learned", "Point", "learned"]


@dataclass(frozen=True, slots=True)
class Point:
    """A model on the curve.

    Attributes
    ----------
    round : int
        0 for the start model.
    n_objects : int
        All that it has learned from in this project.
    pq : float
    """

    round: int
    n_objects: int
    pq: float


@dataclass(frozen=True)
class Learned:
    """How far a project has come.

    Attributes
    ----------
    points : tuple of Point
        The start model first, then each round whose labels teach, all judged on the same regions:
        those that every one of these rounds was judged on.
    per_region : float
        Objects in a region that teaches, mean; 0 before there is one.
    measure : str
        What the figures are.
    """

    points: tuple[Point, ...] = ()
    per_region: float = 0.0
    measure: str = "PQ"

    @property
    def things(self) -> str:
        """What is annotated, in a word."""
        return things_of(self.measure)

    def forecast(self, n_regions: int) -> Forecast:
        """What a round of so many regions would give; at once where it was asked before."""
        rounds = tuple((p.n_objects, p.pq) for p in self.points if p.round and p.n_objects)
        return _forecast(rounds, round(self.per_region * n_regions), self.measure)


_forecast = lru_cache(maxsize=16)(forecast)


def learned(project: LearningProject) -> Learned:
    """How far a project has come.

    Raises
    ------
    LearningError
        The project is damaged.
    """
    forgotten = project.forgotten
    teaching = [r for r in project.kept_rounds if r.number not in forgotten]
    n_before = sum(len(kept.labels.objects) for kept in project.start_labels("train"))
    rows = {r.number: _train_rows(r) for r in teaching}
    objects = [row["objects"] for r in teaching for row in rows[r.number]]
    judged = [r for r in teaching if r.stage is Stage.DECIDED]
    counts = _counts(judged)
    points: list[Point] = []
    n = n_before
    for found in teaching:
        n += sum(row["objects"] for row in rows[found.number])
        if found.number in counts:
            new, parent = counts[found.number]
            if not points and found.training["parent"]["round"] == 0:
                points.append(Point(0, n_before, parent.pq))
            points.append(Point(found.number, n, new.pq))
    known = tuple(p for p in points if p.pq == p.pq)
    per_region = sum(objects) / len(objects) if objects else 0.0
    return Learned(known, per_region, project.facts.start.measure)


def _train_rows(found: RoundFolder) -> list[dict[str, int]]:
    return [row for row in found.label_rows if row["split"] == "train"]


def _counts(rounds: Sequence[RoundFolder]) -> dict[int, tuple[Counts, Counts]]:
    """Of the new model and its parent by round, on the regions that judged in all rounds."""
    evaluations = {r.number: r.evaluation["regions"] for r in rounds}
    ids = [{row["id"] for row in rows} for rows in evaluations.values()]
    common = set.intersection(*ids) if ids else set()
    found = {}
    for number, rows in evaluations.items():
        pairs = pairs_in([row for row in rows if row["id"] in common])
        new, parent = Counts(), Counts()
        for pair in pairs:
            new, parent = new + pair.new, parent + pair.parent
        found[number] = new, parent
    return found
