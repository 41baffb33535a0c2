"""What is left of objects of every kind after a round trip; measured, not told.

Each case of the bridge's conformance suite goes into an image of its own and comes back; each
field that the objects had is then kept, changed or lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_histo.core import ObjectTable
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.testing.project_bridge import CASES
from qupath_bridge._align import BASE, OURS, THEIRS, align
from qupath_bridge._fields import Fields
from qupath_bridge._parents import parents_of
from qupath_bridge.bridge import QuPathBridge

KEPT, CHANGED, LOST = "kept", "changed", "lost"
#: A case's answer: the state of each field, or why nothing came back.
Answer = Mapping[str, str] | str


def compared(given: ObjectTable, found: ObjectTable) -> Answer:
    """State of each field that `given` fills, and of its ids, order apart."""
    aligned = align(given, found, ObjectTable.empty())
    here = np.flatnonzero(aligned.has(BASE))
    there = aligned.has(OURS)[here]
    if not there.any():
        return f"{len(given)} objects with other ids" if len(found) else "no object comes back"
    states = {"objects": KEPT if there.all() and len(found) == len(given) else CHANGED}
    both = here[there]
    for field in Fields(aligned):
        filled = both[~field.same(BASE, THEIRS, both)]  # their side is empty
        if not len(filled):
            continue
        same = field.same(BASE, OURS, filled)
        blank = field.same(OURS, THEIRS, filled)
        name = field.name if field.group == "measurements" else field.group
        states[name] = KEPT if same.all() else LOST if blank[~same].all() else CHANGED
    parents = [parents_of(aligned, side)[both] for side in (BASE, OURS)]
    if (parents[0] >= 0).any():
        gone = (parents[1] < 0).all()
        states["parent"] = KEPT if (parents[0] == parents[1]).all() else LOST if gone else CHANGED
    colours = {c.name: c.rgb for c in found.classes}
    used = {given.classes[i] for i in given.class_id[given.class_id >= 0].tolist()}
    if used:
        right = all(colours.get(c.name) == c.rgb for c in used)
        states["class colour"] = KEPT if right else CHANGED
    return states


def through_bridge(make: Callable[[int], Path]) -> dict[str, Answer]:
    """All cases through the bridge; `make` gives a project of so many images."""
    found: dict[str, Answer] = {}
    tables = {name: case() for name, case in CASES.items()}
    project = make(len(CASES))
    with QuPathBridge(project) as bridge:
        for entry, table in zip(bridge.images(), tables.values(), strict=True):
            bridge.write_objects(entry, table)
    with QuPathBridge(project) as bridge:
        for entry, (name, table) in zip(bridge.images(), tables.items(), strict=True):
            found[name] = compared(table, bridge.read_objects(entry))
    return found


def through_paquo(
    make: Callable[[int], Path], child: Callable[[Path, Path], Any], folder: Path
) -> dict[str, Answer]:
    """All cases through ``load_geojson``, a save, a new process and ``to_geojson``."""
    tables = {name: case() for name, case in CASES.items()}
    for i, table in enumerate(tables.values()):
        write_geojson(folder / f"{i}.geojson", table)
    said: list[str | None] = child(make(len(CASES)), folder)
    found: dict[str, Answer] = {}
    for i, (name, table) in enumerate(tables.items()):
        error = said[i]
        found[name] = error or compared(table, read_geojson(folder / f"back-{i}.geojson"))
    return found


def as_table(found: Mapping[str, Mapping[str, Answer]]) -> str:
    """A line a case: for each way what is not kept."""
    rows = [["objects", *found], ["---"] * (len(found) + 1)]
    rows += [[name, *(_cell(way[name]) for way in found.values())] for name in CASES]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(answer: Answer) -> str:
    if isinstance(answer, str):
        return f"**{answer}**"
    wrong = [f"{field} {state}" for field, state in answer.items() if state != KEPT]
    return "**" + ", ".join(wrong) + "**" if wrong else f"all {len(answer)} fields kept"
