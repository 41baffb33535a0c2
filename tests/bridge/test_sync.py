"""Laws of the three-way merge; nothing that a side holds may get lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_histo.core import ObjectTable
from qupath_bridge.sync import merge
from support.objects import assert_same_tables, tables
from support.sync import (
    assert_equal_within_rounding,
    by_id,
    edited,
    rows_of,
    three_sides,
    through_qupath,
)

POLICIES = ("ours", "theirs", "copy", "ask")
few = settings(max_examples=20)
every_policy = pytest.mark.parametrize("policy", POLICIES)


def open_ids(done):
    return {c.object_id for c in done.conflicts if c.choice == "ask"}


@every_policy
@few
@given(sides=three_sides())
def test_both_sides_end_at_the_merged_table(policy, sides):
    base, ours, theirs = sides
    done = merge(base, ours, theirs, policy)
    held = open_ids(done)
    if policy == "ask":
        colours = {c.name: "ours" for c in done.class_conflicts}
        done = merge(base, ours, theirs, policy, answers=colours)
    for side, delta in ((ours, done.to_ours), (theirs, done.to_theirs)):
        assert_equal_within_rounding(delta.apply(side), done.merged, but=held)
    if not held:
        assert_equal_within_rounding(done.base, done.merged)


@every_policy
@few
@given(sides=three_sides())
def test_merging_again_changes_nothing(policy, sides):
    done = merge(*sides, policy)
    ours, theirs = done.to_ours.apply(sides[1]), done.to_theirs.apply(sides[2])
    again = merge(done.base, ours, through_qupath(theirs), policy)
    assert again.is_noop
    assert open_ids(again) == open_ids(done)
    assert len(again.conflicts) == len(open_ids(done)), "what was settled is settled"
    assert_equal_within_rounding(again.base, done.base)


@every_policy
@few
@given(sides=three_sides())
def test_a_sync_cut_short_is_taken_up(policy, sides):
    """Only one side was written, and the base was not: the next sync ends at the same table."""
    base, ours, theirs = sides
    done = merge(base, ours, theirs, policy)
    half = merge(base, done.to_ours.apply(ours), theirs, policy)
    assert set(half.merged.uuids()) == set(done.merged.uuids())
    if policy != "ask":
        assert_equal_within_rounding(half.merged, done.merged)


@pytest.mark.parametrize(("policy", "mirrored"), [("ours", "theirs"), ("ask", "ask")])
@few
@given(sides=three_sides())
def test_swapping_sides_swaps_the_outcome(policy, mirrored, sides):
    base, ours, theirs = sides
    done, swapped = merge(base, ours, theirs, policy), merge(base, theirs, ours, mirrored)
    assert len(done.conflicts) == len(swapped.conflicts)
    if policy == "ours":
        assert_equal_within_rounding(done.merged, swapped.merged)
    for side, one, other in (
        (ours, done.to_ours, swapped.to_theirs),
        (theirs, done.to_theirs, swapped.to_ours),
    ):
        assert one.report == other.report
        assert_equal_within_rounding(one.apply(side), other.apply(side))


@every_policy
@few
@given(sides=three_sides())
def test_what_no_side_deleted_is_there(policy, sides):
    base, ours, theirs = (set(t.uuids()) for t in sides)
    done = merge(*sides, policy)
    deleted = base - (ours & theirs)
    assert (ours | theirs) - deleted <= set(done.merged.uuids())
    for delta in (done.to_ours, done.to_theirs):
        gone = {bytes(i) for i in delta.deletions}
        assert gone <= {i.bytes for i in deleted}


@given(sides=three_sides())
def test_without_a_base_nothing_is_deleted(sides):
    _, ours, theirs = sides
    done = merge(ObjectTable.empty(), ours, theirs, "ours")
    assert set(done.merged.uuids()) == set(ours.uuids()) | set(theirs.uuids())


@given(base=tables(), seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_rounding_is_no_edit(base, seeds):
    done = merge(base, through_qupath(base, seeds[0]), through_qupath(base, seeds[1]))
    assert done.is_noop
    assert len(done.changes_ours) == len(done.changes_theirs) == len(done.conflicts) == 0


@given(base=tables(), seeds=st.tuples(st.integers(0, 999), st.integers(0, 999)))
def test_edits_of_different_objects_commute(base, seeds):
    even, odd = np.arange(0, len(base), 2), np.arange(1, len(base), 2)
    ours = edited(base, seeds[0], rows=even, parents=False)
    theirs = edited(base, seeds[1], rows=odd, parents=False)
    done = merge(base, ours, theirs, "ours")
    assert len(done.conflicts) == 0
    assert_equal_within_rounding(done.merged, merge(base, theirs, ours, "theirs").merged)
    both = rows_of(done.merged)
    for table, rows in ((ours, even), (theirs, odd)):
        mine, own = {base.uuid(r) for r in rows}, rows_of(table)
        assert mine & both.keys() == mine & own.keys()
        for key in mine & both.keys():
            same = [{k: v for k, v in r[key].items() if k != "parent"} for r in (both, own)]
            np.testing.assert_equal(*same)


@every_policy
@few
@given(sides=three_sides())
def test_undo_restores_every_bit(policy, sides):
    done = merge(*sides, policy)
    for before, there, back in (
        (sides[1], done.to_ours, done.undo_ours),
        (sides[2], done.to_theirs, done.undo_theirs),
    ):
        restored = back.apply(there.apply(before))
        assert_same_tables(by_id(restored), by_id(before))
        assert restored.classes == before.classes


@given(sides=three_sides())
def test_fields_follow_the_plain_rule(sides):
    """Against the rule said in three lines, one object and one field after the other."""
    base, ours, theirs = (rows_of(t) for t in sides)
    merged = rows_of(merge(*sides, "ours").merged)
    plain = ("class", "state", "name", "description", "colour", "locked", "plane", "type")
    for key in base.keys() & ours.keys() & theirs.keys():
        for name in plain:
            b, o, t = base[key][name], ours[key][name], theirs[key][name]
            assert merged[key][name] == (o if o != b else t), name
