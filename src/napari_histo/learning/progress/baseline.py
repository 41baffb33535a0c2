"""The random baseline of a simulation, where ``learn simulate`` left one in or beside a project."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean

__all__ = ["Baseline", "find_baseline"]

#: Ways of a simulation that choose at random; the first learns as a project does.
_ARMS = ("random-replay", "random", "random-scratch")


@dataclass(frozen=True)
class Baseline:
    """What random regions gave.

    Attributes
    ----------
    folder : Path
        Of the simulation.
    arm : str
    n_seeds : int
    points : tuple of (n_objects, pq)
        Means over the seeds, on the images of the simulation.
    """

    folder: Path
    arm: str
    n_seeds: int
    points: tuple[tuple[float, float], ...]


def find_baseline(project: Path) -> Baseline | None:
    """The latest simulation in a project's folder, or beside it; None where there is none.

    Folders that cannot be read, and rounds that are torn, are passed by: nothing hangs on them.
    """
    files: list[tuple[float, Path]] = []
    for place in (project, project.absolute().parent):
        with suppress(OSError):
            found = [place / "simulation.json", *place.glob("*/simulation.json")]
            files += [(f.stat().st_mtime, f) for f in found if f.is_file()]
    for _, file in sorted(files, reverse=True):
        for arm in _ARMS:
            baseline = _of(file.parent, arm)
            if baseline is not None:
                return baseline
    return None


def _of(folder: Path, arm: str) -> Baseline | None:
    """One arm; its files are read as they are, for `play` would bring torch along."""
    rounds: dict[int, list[tuple[float, float]]] = {}
    for path in sorted((folder / arm).glob("seed-*/round-*/round.json")):
        with suppress(OSError, ValueError, TypeError, KeyError):
            score = json.loads(path.read_text(encoding="utf-8"))["score"]
            point = float(score["n_objects"]), float(score["pq"])
            if isfinite(point[1]):
                rounds.setdefault(int(score["round"]), []).append(point)
    if not rounds:
        return None
    points = [tuple(map(fmean, zip(*own, strict=True))) for _, own in sorted(rounds.items())]
    n_seeds = max(map(len, rounds.values()))
    return Baseline(folder, arm, n_seeds, tuple((n, pq) for n, pq in points))
