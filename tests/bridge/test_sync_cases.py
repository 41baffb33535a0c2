"""The merge by hand: each kind of change and conflict, said as (base, ours, theirs) -> merged."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from napari_histo.core import ClassDef, ClassScheme, Contours, Details, ObjectTable, ObjectType
from napari_histo.core.bridge import WriteReport
from napari_histo.errors import BridgeError
from qupath_bridge.sync import COPY_OF, ChangeKind, dry_run_table, merge

ID = [UUID(int=i + 1) for i in range(6)]
CLASSES = ClassScheme.of("A", "B", "A: Positive")
EMPTY = ObjectTable.empty(CLASSES)
SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)


def one(
    name=None, *, at=0.0, size=1.0, key=0, measured=None, nucleus=None, kind=None, **details
) -> ObjectTable:
    """A table of one square object."""
    table = ObjectTable.build(
        Contours.from_star(SQUARE[None] * size + at),
        object_id=np.frombuffer(ID[key].bytes, np.uint8).reshape(1, 16),
        class_id=[CLASSES.index(name)],
        classes=CLASSES,
        object_type=ObjectType.CELL if kind is None else kind,
        measurements={k: np.array([v]) for k, v in (measured or {}).items()},
    )
    if nucleus is not None:
        table = table.with_columns(nuclei=Contours.from_star(SQUARE[None] * 0.5 + nucleus))
    return table.with_columns(details={ID[key]: Details(**details)}) if details else table


def several(*tables: ObjectTable) -> ObjectTable:
    return ObjectTable.concat([EMPTY, *tables])


def said(table: ObjectTable) -> list[object]:
    """Class, place, details and measurements of each object."""
    return [
        (
            table.class_names[i],
            np.round(table.contours.bounds[i], 1).tolist(),
            None if table.nuclei is None else np.round(table.nuclei.bounds[i], 1).tolist(),
            table.details_of(i),
            {k: v[i] for k, v in table.measurements.items() if v[i] == v[i]},
            int(table.object_type[i]),
        )
        for i in range(len(table))
    ]


PEACE = {
    "nobody did anything": (one("A"), one("A"), one("A"), one("A")),
    "class here, outline there": (one("A"), one("B"), one("A", at=3), one("B", at=3)),
    "class with a derived one": (one("A"), one("A: Positive"), one("A"), one("A: Positive")),
    "class taken away": (one("A"), one("A"), one(None), one(None)),
    "the same on both sides": (one("A"), one("B"), one("B"), one("B")),
    "description here, lock there": (
        one("A"),
        one("A", description="d"),
        one("A", locked=True),
        one("A", description="d", locked=True),
    ),
    "metadata key by key": (
        one(metadata={"a": "1", "b": "1"}),
        one(metadata={"a": "2", "b": "1"}),
        one(metadata={"a": "1", "c": "3"}),
        one(metadata={"a": "2", "c": "3"}),
    ),
    "measurement by measurement": (
        one(measured={"a": 1.0, "b": 1.0}),
        one(measured={"a": 2.0, "b": 1.0}),
        one(measured={"a": 1.0, "b": np.nan, "c": 3.0}),
        one(measured={"a": 2.0, "c": 3.0}),
    ),
    "nucleus and outline": (
        one("A", nucleus=1),
        one("A", nucleus=2),
        one("A", nucleus=1, size=2),
        one("A", nucleus=2, size=2),
    ),
    "a nucleus is new": (one("A"), one("A"), one("A", nucleus=2), one("A", nucleus=2)),
    "own colour": (one("A"), one("A", rgb=(1, 2, 3)), one("B"), one("B", rgb=(1, 2, 3))),
    "new here": (EMPTY, one("A"), EMPTY, one("A")),
    "new there": (EMPTY, EMPTY, one("A"), one("A")),
    "new on both, filled in by each": (
        EMPTY,
        one("A"),
        one(None, locked=True, measured={"a": 2.0}),
        one("A", locked=True, measured={"a": 2.0}),
    ),
    "deleted here": (one("A"), EMPTY, one("A"), EMPTY),
    "deleted there": (one("A"), one("A"), EMPTY, EMPTY),
    "deleted on both": (one("A"), EMPTY, EMPTY, EMPTY),
    "another type": (
        one("A"),
        one("A", kind=ObjectType.ANNOTATION),
        one("B"),
        one("B", kind=ObjectType.ANNOTATION),
    ),
}


@pytest.mark.parametrize("case", PEACE)
def test_without_a_conflict(case):
    base, ours, theirs, expected = PEACE[case]
    done = merge(base, ours, theirs)
    assert said(done.merged) == said(expected) or _nuclei_aside(done.merged, expected)
    assert len(done.conflicts) == 0


def _nuclei_aside(a, b):
    return said(a.with_columns(nuclei=None)) == said(b.with_columns(nuclei=None))


QUARRELS = {
    "class": (one("A"), one("B"), one(None), ("class",)),
    "outline": (one("A"), one("A", at=5), one("A", at=-5), ("geometry",)),
    "nucleus": (one(nucleus=1), one(nucleus=2), one(nucleus=3), ("nucleus",)),
    "description": (one(), one(description="a"), one(description="b"), ("description",)),
    "own colour": (one(), one(rgb=(1, 1, 1)), one(rgb=(2, 2, 2)), ("colour",)),
    "one key of the metadata": (
        one(metadata={"a": "1", "b": "1"}),
        one(metadata={"a": "2", "b": "1"}),
        one(metadata={"a": "3", "b": "9"}),
        ("metadata: a",),
    ),
    "one measurement": (
        one(measured={"a": 1.0, "b": 1.0}),
        one(measured={"a": 2.0, "b": 1.0}),
        one(measured={"a": np.nan, "b": 5.0}),
        ("measurements: a",),
    ),
    "two fields": (one("A"), one("B", at=5), one(None, at=9), ("geometry", "class")),
    "new on both": (EMPTY, one("A"), one("B"), ("class",)),
    "deleted here, changed there": (one("A"), EMPTY, one("B"), ("deleted",)),
    "changed here, deleted there": (one("A"), one("B"), EMPTY, ("deleted",)),
}
every_quarrel = pytest.mark.parametrize("case", QUARRELS)


@every_quarrel
def test_conflicts_are_listed_with_all_versions(case):
    base, ours, theirs, fields = QUARRELS[case]
    done = merge(base, ours, theirs)
    (found,) = done.conflicts
    assert found.object_id == ID[0]
    assert found.fields == fields
    assert found.choice == "ask"
    for version, table in ((found.base, base), (found.ours, ours), (found.theirs, theirs)):
        assert (version is None) == (len(table) == 0)
        assert version is None or said(version) == said(table)
    shown = ours if len(ours) else theirs
    assert found.centroid == pytest.approx(tuple(shown.centroids[0]))


@every_quarrel
def test_an_open_conflict_touches_nobody_and_is_asked_again(case):
    base, ours, theirs, _ = QUARRELS[case]
    done = merge(base, ours, theirs)
    assert done.is_noop
    assert said(done.base) == said(base)
    assert done.n_open == merge(done.base, ours, theirs).n_open == 1


@every_quarrel
@pytest.mark.parametrize("choice", ["ours", "theirs"])
def test_an_answer_by_hand_is_taken_literally(case, choice):
    base, ours, theirs, fields = QUARRELS[case]
    done = merge(base, ours, theirs).resolve({ID[0]: choice})
    winner = ours if choice == "ours" else theirs
    assert done.n_open == 0
    assert len(done.merged) == len(winner)
    (found,) = done.conflicts
    assert found.choice == choice
    if len(winner) and fields != ("metadata: a",) and fields != ("measurements: a",):
        assert said(done.merged) == said(winner)


@every_quarrel
def test_copy_keeps_both(case):
    base, ours, theirs, fields = QUARRELS[case]
    done = merge(base, ours, theirs, "copy")
    if fields == ("deleted",):
        assert said(done.merged) == said(ours if len(ours) else theirs)
        return
    assert len(done.merged) == 2
    first, second = done.merged.select([0]), done.merged.select([1])
    assert done.copies == {ID[0]: second.uuid(0)}
    assert second.details_of(0).metadata[COPY_OF] == str(ID[0])
    assert second.class_names.tolist() == theirs.class_names.tolist()
    assert second.contours.bounds.tolist() == theirs.contours.bounds.tolist()
    assert first.class_names.tolist() == ours.class_names.tolist()
    again = merge(base, ours, theirs, "copy")
    assert again.merged.uuids() == done.merged.uuids(), "ids do not depend on chance"


@pytest.mark.parametrize(
    ("policy", "deletions", "n"),
    [
        ("ours", "change", 1),
        ("theirs", "change", 1),
        ("copy", "policy", 1),
        ("ours", "policy", 0),
        ("theirs", "policy", 1),
    ],
)
def test_a_change_beats_a_deletion_unless_told_otherwise(policy, deletions, n):
    done = merge(one("A"), EMPTY, one("B"), policy, deletions=deletions)
    assert len(done.merged) == n
    assert [c.fields for c in done.conflicts] == [("deleted",)]


# -- hierarchy -------------------------------------------------------------------------------------


def child(key, parent, **more):
    return one(key=key, parent_id=None if parent is None else ID[parent], **more)


def parents(table):
    return {ID.index(i): table.details_of(r).parent_id for r, i in enumerate(table.uuids())}


CHAIN = several(child(0, None), child(1, 0), child(2, 1))


def test_children_of_a_deleted_parent_go_to_the_grandparent():
    ours = several(child(0, None), child(2, 0))
    theirs = several(CHAIN, child(3, 1))
    done = merge(CHAIN, ours, theirs)
    assert len(done.conflicts) == 0
    assert parents(done.merged) == {0: None, 2: ID[0], 3: ID[0]}
    assert parents(done.to_theirs.apply(theirs)) == parents(done.merged)


def test_an_object_that_only_moved_up_was_not_edited():
    """Their side deletes a branch; ours deleted its middle, which moved the leaf up."""
    done = merge(CHAIN, several(child(0, None), child(2, 0)), several(child(0, None)))
    assert len(done.conflicts) == 0
    assert parents(done.merged) == {0: None}


def test_moves_that_close_a_circle_are_a_conflict():
    flat = several(child(0, None), child(1, None))
    ours, theirs = several(child(0, 1), child(1, None)), several(child(0, None), child(1, 0))
    done = merge(flat, ours, theirs, "theirs")
    assert {c.fields for c in done.conflicts} == {("parent",)}
    assert parents(done.merged) == {0: None, 1: ID[0]}
    assert merge(flat, ours, theirs).is_noop


def test_a_circle_on_one_side_is_refused():
    with pytest.raises(BridgeError, match=f"On our side, 2 objects .*{ID[0]}"):
        merge(EMPTY, several(child(0, 1), child(1, 0)), EMPTY)


# -- classes ---------------------------------------------------------------------------------------


def coloured(**rgb):
    return ObjectTable.empty(ClassScheme(tuple(ClassDef(k, v) for k, v in rgb.items())))


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "policy", "merged"),
    [
        pytest.param({}, {"A": RED}, {"B": BLUE}, "ask", {"A": RED, "B": BLUE}, id="union"),
        pytest.param({"A": RED}, {"A": RED}, {"A": BLUE}, "ours", {"A": BLUE}, id="changed there"),
        pytest.param({"A": RED}, {"A": BLUE}, {"A": RED}, "theirs", {"A": BLUE}, id="changed here"),
        pytest.param({"A": RED}, {"A": RED}, {}, "theirs", {"A": RED}, id="removed there stays"),
        pytest.param(
            {"A": RED}, {"A": GREEN}, {"A": BLUE}, "ours", {"A": GREEN}, id="conflict, ours"
        ),
        pytest.param(
            {"A": RED}, {"A": GREEN}, {"A": BLUE}, "theirs", {"A": BLUE}, id="conflict, theirs"
        ),
    ],
)
def test_classes(base, ours, theirs, policy, merged):
    done = merge(coloured(**base), coloured(**ours), coloured(**theirs), policy)
    assert {c.name: c.rgb for c in done.merged.classes} == merged
    for delta in (done.to_ours, done.to_theirs):
        assert {c.name: c.rgb for c in delta.classes} == merged


def test_an_open_colour_stays_on_both_sides_until_answered():
    sides = coloured(A=RED), coloured(A=GREEN), coloured(A=BLUE)
    done = merge(*sides)
    assert done.is_noop
    assert done.n_open == 1
    assert done.base.classes[0].rgb == RED
    assert done.resolve({"A": "theirs"}).to_ours.class_changes == (ClassDef("A", BLUE),)


# -- the rest --------------------------------------------------------------------------------------


def test_ids_that_occur_twice_are_told_apart_and_reported():
    ours = several(one("A"), one("A"), one("B", at=30), one("A", key=1))
    done = merge(EMPTY, ours, EMPTY)
    assert done.repair_ours.ids == (ID[0],)
    assert done.repair_ours.n_dropped == 1
    ((old, new),) = done.repair_ours.renamed
    assert old == ID[0]
    assert set(done.merged.uuids()) == {ID[0], ID[1], new}
    fixed = done.to_ours.apply(ours)
    assert sorted(fixed.uuids()) == sorted(done.merged.uuids())
    assert merge(done.base, fixed, done.to_theirs.apply(EMPTY)).is_noop
    restored = done.undo_ours.apply(fixed)
    assert sorted(map(str, said(restored))) == sorted(map(str, said(ours)))
    assert "twice in ours: 1 (1 dropped, 1 given new ids)" in dry_run_table(done)


def test_a_base_with_doubled_ids_is_refused():
    with pytest.raises(BridgeError, match="1 objects twice"):
        merge(several(one("A"), one("A")), EMPTY, EMPTY)


@pytest.mark.parametrize("bad", [{"policy": "mine"}, {"answers": {ID[0]: "no"}}])
def test_an_unknown_policy_is_named(bad):
    with pytest.raises(ValueError, match="no way to settle a conflict"):
        merge(EMPTY, EMPTY, EMPTY, **bad)


def test_counts_changes_and_the_table_of_a_dry_run():
    base = several(*[one("A", key=k, at=20 * k) for k in range(4)])
    ours = several(one("B"), *[one("A", key=k, at=20 * k) for k in (1, 3)], one("A", key=4))
    theirs = several(*[one("A", key=k, at=20 * k + (k == 1)) for k in range(4)])
    done = merge(base, ours, theirs)
    assert done.to_ours.report == WriteReport(added=0, changed=1, removed=0, unchanged=3)
    assert done.to_theirs.report == WriteReport(added=1, changed=1, removed=1, unchanged=2)
    counts = [done.changes_ours.count(kind) for kind in ChangeKind]
    assert counts == [1, 1, 1]
    assert done.changes_ours.by_field() == {"class": 1}
    assert {c.object_id: c.fields for c in done.changes_theirs} == {ID[1]: ("geometry",)}
    assert dry_run_table(done).splitlines()[:3] == [
        "           added  changed  removed  unchanged  classes",
        "to ours        0        1        0          3        0",
        "to theirs      1        1        1          2        0",
    ]


def test_a_position_of_a_class_means_nothing():
    """The same objects under schemes in another order are the same."""
    table = several(one("A"), one("B", key=1))
    turned = replace(table.classes, classes=table.classes.classes[::-1])
    other = table.with_columns(classes=turned, class_id=2 - table.class_id)
    assert other.class_names.tolist() == table.class_names.tolist()
    assert merge(table, table, other).is_noop
