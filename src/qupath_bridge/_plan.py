# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides, for each object and each field, which side the merged table takes it from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from qupath_bridge._align import BASE, OURS, THEIRS, Aligned, ids_array
from qupath_bridge._fields import GROUPS, Field, Fields
from qupath_bridge._parents import lift, members_of_cycles, parents_of, refuse_cycles

__all__ = ["CHOICES", "Parents", "Plan"]

#: What may be done about a conflict, by name.
CHOICES: Final[Mapping[str, int]] = {"ours": OURS, "theirs": THEIRS, "copy": 3, "ask": 4}
_ROUNDS = 8
COPY, ASK = CHOICES["copy"], CHOICES["ask"]

Mask = NDArray[np.bool_]
Lines = NDArray[np.int64]
Picks = NDArray[np.int8]


class Parents:
    """The parent as a field.

    An object whose parent a side deleted, and which moved up to the grandparent there, was not
    edited: it is compared with where the base would be after the same deletion.
    """

    name = group = "parent"

    def __init__(self, aligned: Aligned) -> None:
        raw = [parents_of(aligned, side) for side in (BASE, OURS, THEIRS)]
        has = [aligned.has(side) for side in (BASE, OURS, THEIRS)]
        self.ancestry = np.where(has[BASE], raw[BASE], np.where(has[OURS], raw[OURS], raw[THEIRS]))
        self.of = [lift(raw[side], has[side], self.ancestry) for side in (BASE, OURS, THEIRS)]
        for side in (BASE, OURS, THEIRS):
            refuse_cycles(aligned, self.of[side], side)
        self._expected = [lift(self.of[BASE], here, self.ancestry) for here in has]

    def same(self, a: int, b: int, lines: Lines) -> Mask:
        """Whether two sides agree on the parents of `lines`."""
        first = self._expected[b] if a == BASE else self.of[a]
        same: Mask = first[lines] == self.of[b][lines]
        return same


class Plan:
    """The decision, line by line of three aligned tables.

    Attributes
    ----------
    alive : (n,) bool
        Objects of the merged table.
    held : (n,) bool
        Conflicts that nobody answered; neither side is touched there.
    copied : (n,) bool
        Conflicts of which both versions stay.
    write : list of (n,) bool
        By side: objects to write there.
    changed : list of (n,) uint32
        By side: bits of `GROUPS` that differ from the base.
    conflicts : list of (str, lines)
        Fields on which both sides differ from the base and from each other.
    removals : lines
        Objects that one side deleted and the other changed.
    """

    def __init__(
        self, aligned: Aligned, policy: str, answers: Mapping[Any, str], deletions: str
    ) -> None:
        self.aligned, self.fields, self.parents = aligned, Fields(aligned), Parents(aligned)
        n = len(aligned)
        self._has = [aligned.has(side) for side in (BASE, OURS, THEIRS)]
        self.both = np.flatnonzero(self._has[OURS] & self._has[THEIRS])
        self.choice = np.full(n, CHOICES[policy], np.int8)
        self._answered = self._take_answers(answers)
        self.default = np.where(self._has[BASE], BASE, np.where(self._has[OURS], OURS, THEIRS))
        self.default = self.default.astype(np.int8)
        self.picks: dict[str, Picks] = {}
        self.write = [np.zeros(n, bool) for _ in range(3)]
        self.changed = [np.zeros(n, np.uint32) for _ in range(3)]
        self.conflicts: list[tuple[str, Lines]] = []
        self.in_conflict = np.zeros(n, bool)
        for field in self._all_fields():
            self._compare(field)
        self._decide_existence(policy if deletions == "policy" else "change")
        self._keep_parents_of_open()
        self._decide_parents()
        self._hold()
        self._decide_writes()

    def _all_fields(self) -> list[Field]:
        return [*self.fields, self.parents]

    def _take_answers(self, answers: Mapping[Any, str]) -> Mask:
        ids = [key for key in answers if isinstance(key, UUID)]
        lines = self.aligned.find(ids_array(ids)) if ids else np.zeros(0, np.int64)
        codes = np.array([CHOICES[answers[key]] for key in ids], np.int8)
        answered = np.zeros(len(self.aligned), bool)
        answered[lines[lines >= 0]] = True
        self.choice[lines[lines >= 0]] = codes[lines >= 0]
        return answered

    def picks_of(self, name: str) -> Picks:
        """(n,) side from which each object takes a field."""
        return self.picks.get(name, self.default)

    # -- objects on both sides -------------------------------------------------------------------

    def _compare(self, field: Field) -> None:
        """The three-way rule: take the side that changed; where both did, agree or conflict."""
        both = self.both
        ours, theirs = ~field.same(BASE, OURS, both), ~field.same(BASE, THEIRS, both)
        some = np.flatnonzero(ours | theirs)
        if not len(some):
            return
        lines, ours, theirs = both[some], ours[some], theirs[some]
        differ = ~field.same(OURS, THEIRS, lines)
        conflict = ours & theirs & differ
        take_theirs = theirs & (~ours | (conflict & (self.choice[lines] == THEIRS)))
        picks = self.default.copy()
        picks[lines[ours]] = OURS
        picks[lines[take_theirs]] = THEIRS
        self.picks[field.name] = picks
        self._mark(OURS, field, lines[ours])
        self._mark(THEIRS, field, lines[theirs])
        if field is not self.parents:
            self.write[OURS][lines[take_theirs & differ]] = True
            self.write[THEIRS][lines[ours & ~take_theirs & differ]] = True
        self._note_conflict(field.name, lines[conflict])

    def _mark(self, side: int, field: Field, lines: Lines) -> None:
        self.changed[side][lines] |= np.uint32(1 << GROUPS.index(field.group))

    def _note_conflict(self, name: str, lines: Lines) -> None:
        if len(lines):
            self.conflicts.append((name, lines))
            self.in_conflict[lines] = True

    # -- objects that a side deleted -------------------------------------------------------------

    def _decide_existence(self, rule: str) -> None:
        base, ours, theirs = self._has
        self.alive = (ours & theirs) | (~base & (ours | theirs))
        removals = []
        for side, other in ((OURS, THEIRS), (THEIRS, OURS)):
            left = np.flatnonzero(base & self._has[side] & ~self._has[other])
            for field in self._all_fields() if len(left) else ():
                self._mark(side, field, left[~field.same(BASE, side, left)])
            changed = left[self.changed[side][left] != 0]
            decided = self._answered[changed] | (rule != "change")
            self.alive[changed[~(decided & (self.choice[changed] == other))]] = True
            removals.append(changed)
        self.removals = np.sort(np.concatenate(removals))
        self.in_conflict[self.removals] = True
        alone = self.alive & (ours ^ theirs)
        for picks in (self.default, *self.picks.values()):
            picks[alone & ours], picks[alone & theirs] = OURS, THEIRS

    def _keep_parents_of_open(self) -> None:
        """A deletion waits while a version of an open conflict lies in what would be deleted."""
        children = np.flatnonzero(self.in_conflict & (self.choice == ASK))
        while len(children):
            parents = np.unique([self.parents.of[side][children] for side in (OURS, THEIRS)])
            parents = parents[parents >= 0]
            children = parents[~self.alive[parents] & (self.choice[parents] == ASK)]
            self.alive[children] = self.in_conflict[children] = True
            self.removals = np.union1d(self.removals, children)

    # -- the hierarchy ---------------------------------------------------------------------------

    def _decide_parents(self) -> None:
        """Lift children of the deleted; where both sides' moves close a circle, take one side's."""
        preferred = np.where(self.choice == THEIRS, self.parents.of[THEIRS], self.parents.of[OURS])
        only = self._has[OURS] ^ self._has[THEIRS]
        alone = np.where(self._has[OURS], self.parents.of[OURS], self.parents.of[THEIRS])
        preferred = np.where(only, alone, preferred)
        chosen = np.choose(self.picks_of("parent"), self.parents.of)
        # One side's moves alone close no circle, so a few rounds do; the last one ends for certain.
        for fallback in (*[preferred] * _ROUNDS, np.full(len(preferred), -1, np.int64)):
            self.parent = self._lifted(chosen)
            afterwards = (self.parent, *(self._afterwards(side) for side in (OURS, THEIRS)))
            cycle = np.unique(np.concatenate([members_of_cycles(p) for p in afterwards]))
            if not len(cycle):
                return
            self._note_conflict("parent", cycle)
            chosen[cycle] = fallback[cycle]
        self.parent = self._lifted(chosen)

    def _lifted(self, parents: Lines) -> Lines:
        shown = np.where(self._has[OURS], self.parents.of[OURS], self.parents.of[THEIRS])
        parents = np.where(self.in_conflict & (self.choice == ASK), shown, parents)
        return np.where(self.alive, lift(parents, self.alive, self.parents.ancestry), -1)

    def _afterwards(self, side: int) -> Lines:
        """Parents on a side once it is written, where open conflicts stay as they are."""
        is_open = self.in_conflict & (self.choice == ASK)
        stays = np.where(self._has[side], self.parents.of[side], -1)
        return np.where(is_open, stays, self.parent)

    # -- what follows ----------------------------------------------------------------------------

    def _hold(self) -> None:
        """Open conflicts show our version (theirs where we have none) and touch nobody."""
        self.held = self.in_conflict & (self.choice == ASK)
        on_both = self._has[OURS] & self._has[THEIRS]
        self.copied = self.in_conflict & (self.choice == COPY) & on_both
        shown = np.where(self._has[OURS], OURS, THEIRS)[self.held]
        for picks in (self.default, *self.picks.values()):
            picks[self.held] = shown

    def _decide_writes(self) -> None:
        for side in (OURS, THEIRS):
            write, here = self.write[side], self._has[side]
            # A parent that stays away, since its own conflict is open, cannot be had there yet.
            there = self.alive & (here | ~self.held)
            parents = lift(self.parent, there, self.parents.ancestry)
            write |= here & (parents != self.parents.of[side])
            write |= ~here
            write &= self.alive & ~self.held
