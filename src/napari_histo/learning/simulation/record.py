"""What is kept of a simulation in its folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_histo.core import Box
from napari_histo.core.learning import Candidate
from napari_histo.errors import LearningError
from napari_histo.store import atomic_path

__all__ = ["RoundScore", "check_same", "keep_round", "kept_round"]


@dataclass(frozen=True)
class RoundScore:
    """How one round of one arm ended.

    Attributes
    ----------
    arm : str
    seed, round : int
    n_objects, n_regions, n_images : int
        Annotated so far.
    pq, f1 : float
        On the test images, all objects in one pot.
    first_pq : float
        On the regions of the first round: what was learned and may be forgotten.
    seconds : float
        Of training, in this round.
    """

    arm: str
    seed: int
    round: int
    n_objects: int
    n_regions: int
    n_images: int
    pq: float
    f1: float
    first_pq: float
    seconds: float


def keep_round(path: Path, score: RoundScore, regions: Iterable[Candidate]) -> None:
    """Keep a finished round: its score and the regions that were new in it."""
    boxes = [[c.image, c.region.x, c.region.y, c.region.width, c.region.height] for c in regions]
    _write(path, {"score": asdict(score), "regions": boxes})


def kept_round(path: Path) -> tuple[RoundScore, list[tuple[int, Candidate]]]:
    """What was kept of a round: its score, and its new regions with its number."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    score = RoundScore(**kept["score"])
    regions = [(score.round, Candidate(name, Box(*box))) for name, *box in kept["regions"]]
    return score, regions


def check_same(folder: Path, asked: Any) -> None:
    """Keep what is played in the folder; refuse where it holds something else."""
    path, asked = folder / "simulation.json", json.loads(json.dumps(asked))
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != asked:
        raise LearningError(
            f"{folder} holds a simulation with other settings or images. Choose another folder, or "
            "ask for the same to go on."
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, asked)


def _write(path: Path, content: Any) -> None:
    with atomic_path(path) as work:
        work.write_text(json.dumps(content, indent=1), encoding="utf-8")
