"""Sync through exchanged files: `compare`, `carry_out` and `undo` as with a project."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_histo.core import (
    ClassScheme,
    Contours,
    Details,
    ObjectTable,
    ObjectType,
    new_ids,
    result_of,
)
from napari_histo.errors import TargetChangedError
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge.exchange import ExchangeBridge
from qupath_bridge.pair import Pair, carry_out, compare, undo
from support.exchange import StandIn, without

CLASSES = ("Tumor", "Stroma", "Necrosis")


def squares(n, at=0):
    ring = np.array([[0, 0], [10, 0], [10, 10], [0, 10]]) + [[[30 * i, at]] for i in range(n)]
    contours = Contours.from_star(ring.astype(np.float32).reshape(n, 4, 2))
    classes = ClassScheme.of(*CLASSES)
    ids = np.array(sorted(new_ids(n).tolist()), np.uint8).reshape(n, 16)  # as a merge orders them
    return ObjectTable.build(contours, object_id=ids, class_id=0, classes=classes)


def classed(table, rows, name):
    class_id = table.class_id.copy()
    class_id[rows] = table.classes.names.index(name)
    return table.with_columns(class_id=class_id)


def look(table):
    contours = table.to_shapely()
    return {
        key: (name, tuple(contour.bounds))
        for key, name, contour in zip(table.uuids(), table.class_names, contours, strict=True)
    }


class Sides:
    """Our file, a QuPath project, and the folder between them."""

    def __init__(self, folder):
        self.qupath = StandIn(folder / "exchange", "slide.tif", classes=CLASSES)
        self.bridge = ExchangeBridge(self.qupath.folder)
        entry = self.bridge.images()[0]
        self.pair = Pair(entry, folder / "slide.geojson", self.bridge.manifest.path)

    @property
    def here(self):
        return read_geojson(self.pair.file) if self.pair.file.exists() else squares(0)

    @here.setter
    def here(self, table):
        write_geojson(self.pair.file, table)

    @property
    def there(self):
        return self.qupath.tables["1"]

    @there.setter
    def there(self, table):
        self.qupath.tables["1"] = table

    def sync(self, direction="sync", policy="ask"):
        found = result_of(compare(self.bridge, self.pair, policy))
        result_of(carry_out(self.bridge, found, direction))
        return found


@pytest.fixture
def sides(tmp_path):
    """Both hold the same five objects."""
    made = Sides(tmp_path)
    made.here = squares(5)
    made.sync()
    assert made.qupath.take() == []
    assert look(made.here) == look(made.there)
    return made


def test_both_get_what_the_other_did(sides):
    sides.here = classed(sides.here, 0, "Stroma")
    sides.there = ObjectTable.concat([without(sides.there, 4), squares(2, at=50)])
    sides.qupath.export()
    sides.sync()
    assert sides.qupath.take() == []
    assert look(sides.here) == look(sides.there)
    assert len(sides.there) == 6
    assert sides.sync().merge.is_noop


def test_pull_leaves_the_folder_and_push_our_file(sides):
    sides.here = classed(sides.here, 0, "Stroma")
    sides.there = classed(sides.there, 1, "Necrosis")
    sides.qupath.export()
    here = look(sides.here)
    sides.sync("push")
    assert look(sides.here) == here
    waiting = sides.bridge.facts(sides.pair.entry)
    sides.sync("pull")
    assert sides.bridge.facts(sides.pair.entry) == waiting
    sides.qupath.take()
    assert look(sides.here) == look(sides.there)


@pytest.mark.parametrize("policy", ["ours", "theirs"])
@pytest.mark.parametrize("exports", [True, False], ids=["export before sync", "import at once"])
def test_what_qupath_changed_meanwhile_is_a_conflict(sides, exports, policy):
    sides.here = classed(sides.here, [0, 1], "Stroma")
    sides.sync()
    sides.there = classed(sides.there, 0, "Necrosis")
    if exports:
        sides.qupath.export()
    else:
        assert sides.qupath.take() == [sides.there.uuid(0)]
    found = sides.sync()
    assert found.is_overwritten
    assert [c.object_id for c in found.merge.conflicts] == [sides.there.uuid(0)]
    assert sides.sync().merge.n_open == 1  # asks again
    sides.sync(policy=policy)
    assert sides.qupath.take() == []
    assert look(sides.here) == look(sides.there)
    names = [sides.there.class_names[i] for i in range(2)]
    assert names == [{"ours": "Stroma", "theirs": "Necrosis"}[policy], "Stroma"]
    found = sides.sync()
    assert found.merge.is_noop
    assert not found.is_overwritten


@pytest.mark.parametrize("taken", [True, False], ids=["after the import", "before the import"])
def test_a_sync_is_taken_back(sides, taken):
    before = look(sides.here)
    sides.here = ObjectTable.concat([classed(without(sides.here, 4), 0, "Stroma"), squares(1, 80)])
    sides.sync()
    if taken:
        sides.qupath.take()
    result_of(undo(sides.bridge, sides.pair))
    assert sides.qupath.take() == []
    assert look(sides.there) == before
    assert len(sides.here) == 5  # ours was written by hand, so it stays


def test_two_people_of_ours_and_one_with_qupath(sides, tmp_path):
    other = Pair(sides.pair.entry, tmp_path / "other" / "slide.geojson", sides.pair.project)
    result_of(carry_out(sides.bridge, result_of(compare(sides.bridge, other))))
    write_geojson(other.file, classed(read_geojson(other.file), 1, "Stroma"))
    sides.here = classed(sides.here, 0, "Stroma")
    sides.sync()
    found = result_of(compare(sides.bridge, other))
    result_of(carry_out(sides.bridge, found))
    sides.sync()
    assert look(read_geojson(other.file)) == look(sides.here)
    assert sides.qupath.take() == []
    assert look(sides.there) == look(sides.here)


def test_the_older_state_that_a_second_qupath_saves_loses_nothing(sides):
    opened, marks = sides.there, sides.qupath.marks["1"]
    sides.here = ObjectTable.concat([sides.here, squares(2, at=60)])
    sides.sync()
    sides.qupath.take()
    sides.there, sides.qupath.marks["1"] = opened, marks
    sides.qupath.export()
    assert sides.sync().merge.to_ours.report.removed == 0
    assert sides.qupath.take() == []
    assert len(sides.there) == len(sides.here) == 7


def test_an_export_during_a_sync_stops_it(sides):
    sides.here = classed(sides.here, 0, "Stroma")
    found = result_of(compare(sides.bridge, sides.pair))
    sides.there = classed(sides.there, 0, "Necrosis")
    sides.qupath.export()
    with pytest.raises(TargetChangedError):
        result_of(carry_out(sides.bridge, found))
    assert not sides.bridge.n_waiting(sides.pair.entry)


def test_children_of_what_goes_stay(sides):
    outer = ObjectTable.concat([squares(1, at=200)]).with_columns(
        object_type=np.array([ObjectType.ANNOTATION], np.uint8)
    )
    inner = squares(2, at=205)
    details = {key: Details(parent_id=outer.uuid(0)) for key in inner.uuids()}
    nested = ObjectTable.concat([sides.here, outer, inner.with_columns(details=details)])
    sides.here = nested
    sides.sync()
    assert sides.qupath.take() == []
    sides.here = nested.select(nested.object_type != ObjectType.ANNOTATION)
    sides.sync()
    assert sides.qupath.take() == []
    assert set(sides.there.uuids()) == set(sides.here.uuids())
    assert {sides.there.details_of(i).parent_id for i in range(len(sides.there))} == {None}


@settings(max_examples=25, stateful_step_count=12, deadline=None)
class InAnyOrder(RuleBasedStateMachine):
    """Edits on both sides, exports, imports and syncs in any order; then both are brought in step.

    `alive` are objects that nobody deleted, `classes` what only one side said last.
    """

    @initialize()
    def start(self):
        self.folder = TemporaryDirectory()
        self.sides = Sides(Path(self.folder.name))
        self.sides.here = squares(3)
        self.sides.sync()
        self.sides.qupath.take()
        self.alive, self.deleted = set(self.sides.here.uuids()), set()

    def teardown(self):
        self.settle()
        self.folder.cleanup()

    @rule(side=st.sampled_from(["here", "there"]), n=st.integers(1, 2))
    def add(self, side, n):
        new = squares(n, at=100)
        setattr(self.sides, side, ObjectTable.concat([getattr(self.sides, side), new]))
        self.alive |= set(new.uuids())

    @rule(
        side=st.sampled_from(["here", "there"]), at=st.integers(0, 9), name=st.sampled_from(CLASSES)
    )
    def change(self, side, at, name):
        table = getattr(self.sides, side)
        if len(table):
            setattr(self.sides, side, classed(table, at % len(table), name))

    @rule(side=st.sampled_from(["here", "there"]), at=st.integers(0, 9))
    def delete(self, side, at):
        table = getattr(self.sides, side)
        if len(table):
            self.deleted.add(table.uuid(at % len(table)))
            setattr(self.sides, side, without(table, at % len(table)))

    @rule(direction=st.sampled_from(["sync", "push", "pull"]))
    def sync(self, direction):
        self.sides.sync(direction)

    @rule()
    def export(self):
        self.sides.qupath.export()

    @rule()
    def take(self):
        self.sides.qupath.take()

    @precondition(lambda self: hasattr(self, "alive"))
    @invariant()
    def nothing_is_lost(self):
        known = set(self.sides.here.uuids()) | set(self.sides.there.uuids())
        assert self.alive - self.deleted <= known

    def settle(self):
        self.sides.qupath.export()
        self.sides.sync(policy="ours")
        assert self.sides.qupath.take() == []
        assert self.sides.sync(policy="ours").merge.is_noop
        assert look(self.sides.here) == look(self.sides.there)
        assert self.alive - self.deleted <= set(self.sides.here.uuids())


TestInAnyOrder = InAnyOrder.TestCase
