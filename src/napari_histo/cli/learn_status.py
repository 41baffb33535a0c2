"""What a learning project is told as: tables for people, words for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from napari_histo.learning.project.folder import LearningProject
    from napari_histo.learning.rounds.folder import RoundFolder

__all__ = ["query_table", "status_table", "status_words"]


def query_table(found: RoundFolder) -> Table:
    """Regions to annotate, best first."""
    table = Table(box=None)
    for name in ("", "image", "x", "y", "size", "score", "why"):
        table.add_column(name, justify="left" if name in ("image", "why") else "right")
    for row in found.query["regions"]:
        x, y, width, height = row["box"]
        place = (str(x), str(y), f"{width} x {height}")
        table.add_row(str(row["rank"]), row["image"], *place, f"{row['score']:.3f}", row["reason"])
    return table


def status_words(project: LearningProject) -> dict[str, Any]:
    """All about a project, for JSON."""
    from napari_histo.errors import ImageError
    from napari_histo.learning.progress.points import learned

    missing = []
    for image in project.facts.images:
        try:
            project.image_path(image)
        except ImageError:
            missing.append(image.name)
    rounds, work = project.rounds, project.open_round
    forgotten = project.forgotten
    more = learned(project).forecast(project.facts.settings.regions)
    return {
        "name": project.facts.name,
        "images": len(project.facts.images),
        "missing_images": missing,
        "start_model": project.facts.start.name,
        "things": project.facts.start.things,
        "current": project.current,
        "next": "query" if work is None else f"{work.next_step} (round {work.number})",
        "rounds": [_round(found, found.number in forgotten) for found in rounds],
        "another_round": {**_without_nan(asdict(more)), "sentence": more.sentence},
    }


def _without_nan(words: dict[str, Any]) -> dict[str, Any]:
    """NaN becomes None, as JSON knows no NaN."""
    return {key: None if value != value else value for key, value in words.items()}


def _round(found: RoundFolder, forgotten: bool) -> dict[str, Any]:
    from napari_histo.learning.rounds.folder import Stage

    words: dict[str, Any] = {
        "round": found.number,
        "stage": found.state,
        "strategy": found.query["asked"]["strategy"],
        "asked": len(found.query["regions"]),
    }
    if found.stage >= Stage.LABELLED:
        rows = found.label_rows
        words["labelled"] = len(rows)
        words["objects"] = sum(row["objects"] for row in rows)
        words["forgotten"] = forgotten
    if found.stage == Stage.DECIDED:
        keys = ("promoted", "forced", "verdict", "pq_new", "pq_parent", "pq_lower", "sentence")
        words |= {key: found.decision[key] for key in keys}
    return words


def status_table(words: Mapping[str, Any]) -> Table:
    """One row a round; the model in use is marked."""
    table = Table(box=None)
    quality = words["another_round"]["measure"]
    for name in ("", "round", "stage", "regions", words["things"], quality, "before", "verdict"):
        table.add_column(name, justify="left" if name in ("stage", "verdict") else "right")
    for row in words["rounds"]:
        regions = f"{row.get('labelled', 0)} of {row['asked']}"
        table.add_row(
            "*" if row["round"] == words["current"] else "",
            str(row["round"]),
            row["stage"],
            regions,
            str(row.get("objects", "")),
            _figure(row.get("pq_new")),
            _figure(row.get("pq_parent")),
            _verdict(row),
        )
    return table


def _verdict(row: Mapping[str, Any]) -> str:
    if "verdict" not in row:
        return ""
    taken = "taken" if row["promoted"] else "not taken"
    forced = " on request" if row["forced"] else ""
    without = "; its labels teach no more" if row["forgotten"] else ""
    return f"{row['verdict']}: {taken}{forced}{without}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
