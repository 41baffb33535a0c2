# SPDX-License-Identifier: GPL-3.0-or-later
"""What a merge found, for people: changes of each side, conflicts, and a table for a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, overload
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable
from qupath_bridge._align import BASE, OURS, THEIRS
from qupath_bridge._fields import GROUPS

if TYPE_CHECKING:
    from qupath_bridge._plan import Plan
    from qupath_bridge.sync import Merge

__all__ = ["Change", "ChangeKind", "Changes", "Conflict", "Conflicts", "dry_run_table"]


class ChangeKind(IntEnum):
    """What became of an object since the last sync."""

    ADDED = 0
    CHANGED = 1
    DELETED = 2


@dataclass(frozen=True)
class Change:
    """What one side did to one object; `fields` are of `GROUPS`, and only for changed ones."""

    object_id: UUID
    kind: ChangeKind
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Changes(Sequence[Change]):
    """All that one side did since the last sync, in columns.

    Attributes
    ----------
    object_id : (k, 16) uint8
    kind : (k,) uint8
        A `ChangeKind`.
    bits : (k,) uint32
        Bit i stands for ``GROUPS[i]``.
    """

    object_id: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    bits: NDArray[np.uint32]

    @classmethod
    def of(cls, plan: Plan, side: int) -> Changes:
        """From a plan."""
        base, here = plan.aligned.has(BASE), plan.aligned.has(side)
        kind = np.where(~base, ChangeKind.ADDED, ChangeKind.CHANGED)
        kind = np.where(base & ~here, ChangeKind.DELETED, kind).astype(np.uint8)
        bits = np.where(base & here, plan.changed[side], 0).astype(np.uint32)
        lines = np.flatnonzero((base ^ here) | (bits != 0))
        return cls(plan.aligned.ids[lines], kind[lines], bits[lines])

    def __len__(self) -> int:
        return len(self.kind)

    @overload
    def __getitem__(self, i: int) -> Change: ...
    @overload
    def __getitem__(self, i: slice) -> Changes: ...
    def __getitem__(self, i: int | slice) -> Change | Changes:
        if isinstance(i, slice):
            return Changes(self.object_id[i], self.kind[i], self.bits[i])
        names = tuple(g for k, g in enumerate(GROUPS) if int(self.bits[i]) >> k & 1)
        return Change(UUID(bytes=self.object_id[i].tobytes()), ChangeKind(self.kind[i]), names)

    def count(self, kind: object) -> int:
        """How many objects were added, changed or deleted."""
        return int((self.kind == kind).sum())

    def by_field(self) -> dict[str, int]:
        """How many objects changed in each kind of field; those without are left out."""
        counts = {g: int((self.bits >> np.uint32(k) & 1).sum()) for k, g in enumerate(GROUPS)}
        return {name: n for name, n in counts.items() if n}


@dataclass(frozen=True, eq=False)
class Conflict:
    """An object that both sides changed differently, or that one changed and the other deleted.

    Attributes
    ----------
    object_id : UUID
    fields : tuple of str
        Where both differ, as "class" or "measurements: Area µm^2"; ``("deleted",)`` for a deletion.
    base, ours, theirs : ObjectTable or None
        The versions, tables of one row; None where the object is not there.
    centroid : (float, float)
        (x, y) in full-resolution px, to show the place; NaN for an object without outline.
    choice : str
        What was done: "ours", "theirs" (also for the side that kept a changed object), "copy", or
        "ask" while it is open.
    """

    object_id: UUID
    fields: tuple[str, ...]
    base: ObjectTable | None
    ours: ObjectTable | None
    theirs: ObjectTable | None
    centroid: tuple[float, float]
    choice: str


@dataclass(frozen=True, eq=False)
class Conflicts(Sequence[Conflict]):
    """All conflicts of a merge; each is made when it is asked for."""

    _plan: Plan
    _lines: NDArray[np.int64]
    _fields: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan) -> Conflicts:
        """From a plan."""
        named: dict[int, tuple[str, ...]] = {}
        for name, lines in [*plan.conflicts, ("deleted", plan.removals)]:
            for line in lines.tolist():
                known = named.get(line, ())
                named[line] = known if name in known else (*known, name)
        return cls(plan, np.flatnonzero(plan.in_conflict), named)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, i: int) -> Conflict: ...
    @overload
    def __getitem__(self, i: slice) -> Conflicts: ...
    def __getitem__(self, i: int | slice) -> Conflict | Conflicts:
        if isinstance(i, slice):
            return Conflicts(self._plan, self._lines[i], self._fields)
        line = int(self._lines[i])
        base, ours, theirs = (self._version(side, line) for side in (BASE, OURS, THEIRS))
        shown = ours if ours is not None else theirs
        centroid = (np.nan, np.nan) if shown is None else shown.centroids[0].tolist()
        fields = self._fields[line]
        choice = self._choice(line, ours, theirs)
        return Conflict(
            self._plan.aligned.uuid(line), fields, base, ours, theirs, tuple(centroid), choice
        )

    def __iter__(self) -> Iterator[Conflict]:
        return (self[i] for i in range(len(self)))

    @property
    def n_open(self) -> int:
        """Those that wait for an answer."""
        return int(self._plan.held[self._lines].sum())

    def by_field(self) -> dict[str, int]:
        """How many conflicts there are in each field, "deleted" among them."""
        counts = Counter(name for line in self._lines.tolist() for name in self._fields[line])
        return dict(counts.most_common())

    def _version(self, side: int, line: int) -> ObjectTable | None:
        row = int(self._plan.aligned.rows[side][line])
        return None if row < 0 else self._plan.aligned.tables[side].select([row])

    def _choice(self, line: int, ours: ObjectTable | None, theirs: ObjectTable | None) -> str:
        if self._plan.held[line]:
            return "ask"
        if ours is None or theirs is None:
            return "ours" if (ours is not None) == bool(self._plan.alive[line]) else "theirs"
        if self._plan.copied[line]:
            return "copy"
        return "theirs" if self._plan.choice[line] == THEIRS else "ours"


def dry_run_table(merge: Merge) -> str:
    """What a merge would do, as lines of text."""
    rows: list[tuple[str, ...]] = [("", "added", "changed", "removed", "unchanged", "classes")]
    for name, delta in (("to ours", merge.to_ours), ("to theirs", merge.to_theirs)):
        counts = delta.report
        numbers = (counts.added, counts.changed, counts.removed, counts.unchanged)
        rows.append((name, *(f"{n:,}" for n in (*numbers, len(delta.class_changes)))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    for side, changes in (("ours", merge.changes_ours), ("theirs", merge.changes_theirs)):
        lines.append(f"changed in {side}: {_listed(changes.by_field())}")
    conflicts = merge.conflicts
    lines.append(f"conflicts: {len(conflicts):,} ({conflicts.n_open:,} open)")
    lines += [f"  {name}: {n:,}" for name, n in conflicts.by_field().items()]
    lines += [f"  colour of class {c.name}: {c.choice}" for c in merge.class_conflicts]
    if merge.copies:
        lines.append(f"kept as copies: {len(merge.copies):,}")
    for side, done in (("ours", merge.repair_ours), ("theirs", merge.repair_theirs)):
        if done.ids:
            lines.append(
                f"ids that occur twice in {side}: {len(done.ids):,} "
                f"({done.n_dropped:,} dropped, {len(done.renamed):,} given new ids)"
            )
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "nothing"
