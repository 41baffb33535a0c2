# SPDX-License-Identifier: GPL-3.0-or-later
"""Three-way merge of objects by id: pure, without Java, files or a window.

`merge` looks at three tables: what both sides held after the last sync (the base), ours, and
theirs. What only one side changed is taken; fields are merged one by one, so that a new class
here and a new outline there are both kept. Where both sides changed the same field differently, or
one deleted what the other changed, there is a conflict, and a policy says what becomes of it:

========== ======================================================================================
"ours"     our value; theirs is in the report
"theirs"   their value; ours is in the report
"copy"     ours, and their version as a new object whose metadata names the original
"ask"      the object stays as it is on both sides, and in the base, so that every later merge asks
           again until somebody answers; the merged table shows ours
========== ======================================================================================

A changed object that the other side deleted stays (with "ask": is left alone), unless an answer
by hand or ``deletions="policy"`` gives the word to the side that deleted. An object that is new
on a side, or unchanged on both, never goes. Without a base nothing is ever deleted.

Rounding is no edit: outlines are equal within 0.01 px, wherever a ring begins and whichever way
it turns, and numbers within float32. Merging the result again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import ObjectTable
from qupath_bridge._align import BASE, OURS, THEIRS, align
from qupath_bridge._assemble import COPY_OF, assemble, copies
from qupath_bridge._class_merge import ClassConflict, MergedClasses, merge_classes
from qupath_bridge._fields import GROUPS
from qupath_bridge._plan import CHOICES, Plan
from qupath_bridge._repair import Repair, refuse_doubles, renamed_ids, repair
from qupath_bridge.delta import Delta, delta_between, recoded
from qupath_bridge.report import Change, ChangeKind, Changes, Conflict, Conflicts, dry_run_table

__all__ = [
    "COPY_OF",
    "GROUPS",
    "Change",
    "ChangeKind",
    "Changes",
    "ClassConflict",
    "Conflict",
    "Conflicts",
    "Delta",
    "Merge",
    "Policy",
    "Repair",
    "dry_run_table",
    "merge",
]

Policy = Literal["ours", "theirs", "copy", "ask"]
#: By object id, or by class name for a class's colour.
Answers = Mapping[UUID | str, Policy]
_Ids = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Merge:
    """The outcome of a merge, and all that is needed to carry it out and to take it back.

    Attributes
    ----------
    merged : ObjectTable
        Objects of the base in its order, then new ones by id, then copies.
    base : ObjectTable
        Base of the next merge, once both sides are written: `merged` but for open conflicts.
    to_ours, to_theirs : Delta
        What makes each side equal to `merged`, open conflicts aside.
    undo_ours, undo_theirs : Delta
        What takes each side back to what it was.
    changes_ours, changes_theirs : Changes
        What each side did since the last sync.
    conflicts : Conflicts
    class_conflicts : tuple of ClassConflict
    copies : mapping of UUID to UUID
        Id of the copy by id of the original.
    repair_ours, repair_theirs : Repair
        Ids that occurred twice on a side.
    before : (ObjectTable, ObjectTable, ObjectTable)
        Base, ours and theirs as they were given.
    """

    merged: ObjectTable
    base: ObjectTable
    to_ours: Delta
    to_theirs: Delta
    undo_ours: Delta
    undo_theirs: Delta
    changes_ours: Changes
    changes_theirs: Changes
    conflicts: Conflicts
    class_conflicts: tuple[ClassConflict, ...]
    copies: Mapping[UUID, UUID]
    repair_ours: Repair
    repair_theirs: Repair
    before: tuple[ObjectTable, ObjectTable, ObjectTable]
    policy: Policy
    answers: Answers
    deletions: Literal["change", "policy"]

    @property
    def is_noop(self) -> bool:
        """Whether neither side needs writing."""
        return self.to_ours.is_empty and self.to_theirs.is_empty

    @property
    def n_open(self) -> int:
        """Conflicts that wait for an answer, of objects and of classes."""
        return self.conflicts.n_open + sum(c.choice == "ask" for c in self.class_conflicts)

    def resolve(self, answers: Answers) -> Merge:
        """The merge anew, with answers by hand beside those that were given before."""
        return merge(
            *self.before,
            self.policy,
            answers={**self.answers, **answers},
            deletions=self.deletions,
        )


def merge(
    base: ObjectTable,
    ours: ObjectTable,
    theirs: ObjectTable,
    policy: Policy = "ask",
    *,
    answers: Answers | None = None,
    deletions: Literal["change", "policy"] = "change",
) -> Merge:
    """Merge what two sides did since the last sync.

    Parameters
    ----------
    base : ObjectTable
        `Merge.base` of the last sync; empty at the first one.
    ours, theirs : ObjectTable
        Full-resolution px, as they are now.
    policy : {"ours", "theirs", "copy", "ask"}
        What becomes of conflicts; see the module.
    answers : mapping, optional
        Choices by hand, by object id or class name; each goes before the policy. "ours" and
        "theirs" mean that side's word literally, a deletion too. Answers to what is no conflict
        (any more) are passed over.
    deletions : {"change", "policy"}
        Whether a changed object stays although the other side deleted it, or the policy decides.

    Raises
    ------
    BridgeError
        A hierarchy is circular, or the base is damaged.
    ValueError
        A policy or an answer is none of the four.
    """
    answers = dict(answers or {})
    _check_choices([policy, *answers.values()])
    refuse_doubles(base)
    (own, repair_ours), (other, repair_theirs) = repair(ours), repair(theirs)
    plan = Plan(align(base, own, other), policy, answers, deletions)
    classes = merge_classes(base.classes, own.classes, other.classes, policy, answers)
    kept = assemble(plan, classes.merged)
    copied, copy_ids = copies(plan, kept)
    merged = ObjectTable.concat([kept, copied]) if len(copied) else kept
    fresh = copied.object_id

    def touched(side: int, done: Repair) -> _Ids:
        gone = plan.aligned.has(side) & ~plan.alive
        return np.concatenate(
            [plan.aligned.ids[plan.write[side] | gone | _anew(plan, done)], fresh]
        )

    ids_ours, ids_theirs = touched(OURS, repair_ours), touched(THEIRS, repair_theirs)
    return Merge(
        merged=merged,
        base=_next_base(plan, merged, classes),
        to_ours=delta_between(ours, merged, ids_ours, classes.ours),
        to_theirs=delta_between(theirs, merged, ids_theirs, classes.theirs),
        undo_ours=delta_between(merged, ours, ids_ours, ours.classes),
        undo_theirs=delta_between(merged, theirs, ids_theirs, theirs.classes),
        changes_ours=Changes.of(plan, OURS),
        changes_theirs=Changes.of(plan, THEIRS),
        conflicts=Conflicts.of(plan),
        class_conflicts=classes.conflicts,
        copies=copy_ids,
        repair_ours=repair_ours,
        repair_theirs=repair_theirs,
        before=(base, ours, theirs),
        policy=policy,
        answers=answers,
        deletions=deletions,
    )


def _check_choices(choices: list[Policy]) -> None:
    for choice in choices:
        if choice not in CHOICES:
            raise ValueError(
                f"{choice!r} is no way to settle a conflict. Use one of {', '.join(CHOICES)}."
            )


def _anew(plan: Plan, done: Repair) -> NDArray[np.bool_]:
    """Objects that a side must be given again, because their ids stood there twice."""
    mask = np.zeros(len(plan.aligned), bool)
    if done.ids:
        mask[plan.aligned.find(renamed_ids(done))] = True
    again: NDArray[np.bool_] = mask & plan.alive & ~plan.held
    return again


def _next_base(plan: Plan, merged: ObjectTable, classes: MergedClasses) -> ObjectTable:
    """The merged table, but what is open stays as it was at the last sync."""
    if not plan.held.any():
        return recoded(merged, classes.base)
    held = np.flatnonzero(plan.held)
    ids = {plan.aligned.uuid(line) for line in held.tolist()}
    settled = np.array([key not in ids for key in merged.uuids()], bool)
    rows = plan.aligned.rows[BASE][held]
    before = plan.aligned.tables[BASE].select(rows[rows >= 0])
    scheme = ObjectTable.empty(classes.base)
    return recoded(ObjectTable.concat([scheme, merged.select(settled), before]), classes.base)
