# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the table that a plan decided on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ClassScheme, Details, ObjectTable
from qupath_bridge._align import BASE, OURS, THEIRS, is_in
from qupath_bridge._fields import details_from
from qupath_bridge._plan import Plan
from qupath_bridge._repair import content_id

__all__ = ["COPY_OF", "assemble", "copies"]

COPY_OF = "napari-histo.copy-of"  #: metadata key: id of the object that this is another version of

Lines = NDArray[np.int64]


def assemble(plan: Plan, classes: ClassScheme) -> ObjectTable:
    """All objects that stay, each field from the side that the plan names."""
    fields, lines = plan.fields, np.flatnonzero(plan.alive)

    def column(name: str) -> NDArray[np.generic]:
        return fields.columns[name].pick(plan.picks_of(name)[lines], lines)

    used = classes.union(_defined(plan, column("class")))
    places = {name: i for i, name in enumerate(used.names)}
    translate = np.array([*(places.get(n, -1) for n in fields.class_names), -1], np.int32)
    return ObjectTable(
        fields.geometry.pick(plan.picks_of("geometry")[lines], lines),
        plan.aligned.ids[lines],
        translate[column("class").astype(np.int64)],
        column("class probability").astype(np.float32),
        column("detection probability").astype(np.float32),
        column("state").astype(np.uint8),
        column("type").astype(np.uint8),
        column("source").astype(np.int32),
        classes=used,
        sources=fields.sources,
        measurements={
            name: field.pick(plan.picks_of(field.name)[lines], lines).astype(np.float64)
            for name, field in fields.measurements.items()
        },
        nuclei=fields.nucleus.pick(plan.picks_of("nucleus")[lines], lines)
        if fields.has_nuclei
        else None,
        details=dict(_details(plan, lines)),
    )


def copies(plan: Plan, merged: ObjectTable) -> tuple[ObjectTable, dict[UUID, UUID]]:
    """Their versions of conflicts as objects of their own, and the id of each by the original's.

    A copy's id follows from the original's and the content: where a sync was cut short, the next
    one finds the copy that is there already.
    """
    lines = np.flatnonzero(plan.copied)
    if not len(lines):
        return merged.select([]), {}
    table, rows = plan.aligned.tables[THEIRS], plan.aligned.rows[THEIRS]
    picked = table.select(rows[lines])
    originals = picked.uuids()
    made = {old: content_id(picked, i) for i, old in enumerate(originals)}
    details = {}
    for line, old in zip(lines.tolist(), originals, strict=True):
        parent = int(plan.parent[line])
        details[made[old]] = replace(
            picked.details.get(old, Details()),
            parent_id=plan.aligned.uuid(parent) if parent >= 0 else None,
        )
    for old, new in made.items():
        metadata = {**details[new].metadata, COPY_OF: str(old)}
        details[new] = replace(details[new], metadata=metadata)
    raw = b"".join(made[old].bytes for old in originals)
    ids = np.frombuffer(raw, np.uint8).reshape(-1, 16).copy()
    fresh = ~is_in(ids, merged.object_id)
    return replace(picked, object_id=ids, details=details).select(fresh), made


def _defined(plan: Plan, codes: NDArray[np.generic]) -> ClassScheme:
    """Classes in use, for the case that a side's own scheme dropped one."""
    names = {plan.fields.class_names[i] for i in np.unique(codes).tolist() if i >= 0}
    base, ours, theirs = (t.classes for t in plan.aligned.tables)
    everything = ours.union(theirs).union(base)
    return ClassScheme(tuple(c for c in everything if c.name in names))


def _details(plan: Plan, lines: Lines) -> Iterator[tuple[UUID, Details]]:
    """Details of the objects that have any; a side's own where one side gives all of them."""
    aligned, members = plan.aligned, plan.fields.details
    sides = {name: plan.picks_of(name)[lines] for name in members}
    numbers = {name: field.pick(sides[name], lines) for name, field in members.items()}
    parents = plan.parent[lines]
    some = parents >= 0
    for values in numbers.values():
        some |= values != 0
    first = plan.default[lines]
    mixed = np.zeros(len(lines), bool)
    for picks in sides.values():
        mixed |= picks != first
    for side in (BASE, OURS, THEIRS):
        mixed |= (first == side) & (parents != plan.parents.of[side][lines])
    for i in np.flatnonzero(some).tolist():
        key = aligned.uuid(lines[i])
        parent = aligned.uuid(int(parents[i])) if parents[i] >= 0 else None
        own = None if mixed[i] else aligned.tables[int(first[i])].details.get(key)
        if own is not None and own.parent_id == parent:
            yield key, own
            continue
        said = {
            name: plan.fields.word(name, int(values[i]))
            for name, values in numbers.items()
            if values[i]
        }
        yield key, details_from({**said, "parent": parent})
