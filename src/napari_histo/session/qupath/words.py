"""What the QuPath panel says, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime

from napari_histo.core import ObjectTable
from napari_histo.session.qupath.exchange import is_exchange
from napari_histo.session.qupath.state import ImageRow, Preview, QuPathState, Sync
from qupath_bridge.pair import Direction
from qupath_bridge.sync import Conflict

__all__ = [
    "DIRECTIONS",
    "NOTHING_TO_DO",
    "changes_table",
    "class_of",
    "counts_text",
    "differences",
    "project_facts",
    "row_facts",
    "saved_text",
    "undone_text",
    "when",
    "written_text",
]

DIRECTIONS: Mapping[Direction, str] = {"pull": "Pull", "push": "Push", "sync": "Sync"}
NOTHING_TO_DO: Mapping[Direction, str] = {
    "sync": "Both sides are in step; there is nothing to write.",
    "pull": "There is nothing new in QuPath.",
    "push": "There is nothing new for QuPath.",
}
_WRITTEN: Mapping[Direction, str] = {
    "sync": "Both sides are in step now.",
    "pull": "QuPath's changes are here now.",
    "push": "Your changes are in the project now.",
}
#: QuPath keeps what it has read.
_RELOAD = " If the image is open in QuPath, choose File → Reload data there."
_IMPORT = "Your changes wait for QuPath: run the script “napari-histo 2 import” there."
_ONE = {
    "Annotations": "annotation",
    "Detections": "detection",
    "Cells": "cell",
    "Tiles": "tile",
    "Objects": "object",  # of an export, which does not tell their kind
}
_QUIET = {Sync.NOTHING}


def counts_text(by_type: Mapping[str, int]) -> str:
    """``3 annotations, 1,204 detections``."""
    parts = []
    for kind, n in by_type.items():
        one = _ONE.get(kind, kind.removesuffix("s") if kind != "TMA cores" else "TMA core")
        parts.append(f"{n:,} {one if n == 1 else kind if kind == 'TMA cores' else one + 's'}")
    return ", ".join(parts)


def row_facts(row: ImageRow) -> str:
    """The small line below an image's name."""
    parts = [row.sync.value] if row.sync not in _QUIET or not row.by_type else []
    return " · ".join([*parts, *filter(None, [counts_text(row.by_type), row.round])])


def project_facts(state: QuPathState) -> str:
    """The line below the project's name."""
    if state.project is None:
        return ""
    n = len(state.rows)
    missing = sum(row.sync is Sync.MISSING for row in state.rows)
    facts = ["exchange folder"] if is_exchange(state.project.file) else []
    if state.project.version:
        facts.append(f"QuPath {state.project.version.removeprefix('v')}")
    facts.append("1 image" if n == 1 else f"{n:,} images")
    if missing:
        facts.append("none of them found" if missing == n > 1 else f"{missing:,} not found")
    return " · ".join(filter(None, facts))


def written_text(preview: Preview) -> str:
    """What was done, and what is still to be done in QuPath."""
    if preview.writes[1] and is_exchange(preview.row.project):
        return _IMPORT
    return _WRITTEN[preview.direction] + (_RELOAD if preview.writes[1] else "")


def undone_text(row: ImageRow) -> str:
    """That a sync was taken back."""
    more = f" {_IMPORT}" if is_exchange(row.project) else _RELOAD
    return f"The last sync was taken back.{more}"


def when(moment: datetime) -> str:
    """``14:02`` today, ``on 3 May, 14:02`` before."""
    if moment.date() == date.today():
        return f"at {moment:%H:%M}"
    return f"on {moment.day} {moment:%B}, {moment:%H:%M}"


def saved_text(row: ImageRow) -> str:
    """That QuPath saved the opened image meanwhile."""
    at = f" {when(row.saved_at)}" if row.saved_at is not None else ""
    return f"QuPath saved this image{at}."


def changes_table(preview: Preview) -> list[tuple[str, str, str, str]]:
    """What would be written: place, added, changed, removed; a place that is not written lacks."""
    merged, lines = preview.found.merge, []
    for name, delta, wanted in (
        ("Into napari", merged.to_ours, preview.direction != "push"),
        ("Into QuPath", merged.to_theirs, preview.direction != "pull"),
    ):
        if wanted:
            report = delta.report
            numbers = (report.added, report.changed, report.removed)
            lines.append((name, *(f"{n:,}" if n else "–" for n in numbers)))
    return lines  # type: ignore[return-value]


# -- conflicts -------------------------------------------------------------------------------------


def class_of(conflict: Conflict) -> tuple[str, tuple[int, int, int] | None]:
    """Name and colour of a conflict's object."""
    table = next(t for t in (conflict.ours, conflict.theirs) if t is not None)
    class_id = int(table.class_id[0])
    if class_id < 0:
        return "Unclassified", None
    return table.classes[class_id].name, table.classes[class_id].rgb


def differences(conflict: Conflict) -> list[tuple[str, str, str]]:
    """Field by field: its name, its value in napari, its value in QuPath."""
    if conflict.ours is None or conflict.theirs is None:
        here = "deleted" if conflict.ours is None else "changed"
        there = "deleted" if conflict.theirs is None else "changed"
        return [("object", here, there)]
    return [
        (_field(name), *_pair(name, conflict.ours, conflict.theirs)) for name in conflict.fields
    ]


def _field(name: str) -> str:
    return "outline" if name == "geometry" else name.removeprefix("measurements: ")


def _pair(name: str, ours: ObjectTable, theirs: ObjectTable) -> tuple[str, str]:
    here, there = _value(name, ours), _value(name, theirs)
    if here == there:  # too near for these words, or of a kind that has none
        return "one", "another"
    return here, there


def _value(name: str, table: ObjectTable) -> str:
    """A value for people; empty for fields that only differ."""
    kind, _, key = name.partition(": ")
    details = table.details_of(0)
    if kind == "geometry":
        return f"{table.areas_px[0]:,.0f} px²"
    if kind == "measurements":
        return _number(float(table.measurements[key][0])) if key in table.measurements else "none"
    if kind == "class":
        return str(table.class_names[0] or "none")
    if kind == "metadata":
        return str(details.metadata.get(key, "none"))
    if name.endswith(" probability"):
        column = table.class_prob if name.startswith("class") else table.det_prob
        return _number(float(column[0]))
    words = {
        "name": details.name or "none",
        "description": details.description or "none",
        "locked": "locked" if details.locked else "unlocked",
        "colour": "none" if details.rgb is None else "#{:02x}{:02x}{:02x}".format(*details.rgb),
        "parent": "none" if details.parent_id is None else str(details.parent_id)[:8],
    }
    return words.get(name, "")


def _number(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.4g}"
