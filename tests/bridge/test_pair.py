"""Two places in step: what is written where, what a place that moved on means, and taking back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectTable, new_ids, result_of
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError, DocumentLockedError, TargetChangedError
from napari_histo.session.annotate.document import Document
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.parquet import read_parquet, write_parquet
from qupath_bridge.delta import Delta
from qupath_bridge.pair import Pair, carry_out, compare, undo
from qupath_bridge.safety import EntryFacts

SCHEME = ClassScheme.of("Tumor", "Stroma")
SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)


class PlainProject:
    """One image whose objects lie in a file named as QuPath's, as a `SyncBridge`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.store(ObjectTable.empty(SCHEME))
        self.n_writes = 0
        self.of_table = []

    @property
    def table(self):
        return read_parquet(self.folder / "data.qpdata")

    def store(self, table):
        write_parquet(self.folder / "data.qpdata", table)

    def facts(self, entry):
        return EntryFacts.of(self.folder)

    def reading(self, entry, cancel=None):
        yield from ()
        return self.table

    def marks(self, entry, cancel=None):
        yield from ()
        return self.of_table

    def pushing(self, entry, upserts, removed, *, expected=None, mark="", cancel=None):
        yield from ()
        if expected is not None:
            expected.check_same(self.folder, "image")
        self.store(Delta(upserts, removed, self.table.classes).apply(self.table))
        self.of_table = [mark, *self.of_table]
        self.n_writes += 1


def squares(n, seed=0, classes=SCHEME):
    at = np.stack([np.arange(n) * 30, np.full(n, 20 * seed)], axis=1)[:, None]
    contours = Contours.from_star((SQUARE + at).astype(np.float32))
    ids = np.array(sorted(new_ids(n).tolist()), np.uint8)  # a first merge puts them in this order
    return ObjectTable.build(contours, object_id=ids, class_id=np.arange(n) % 2, classes=classes)


def classed(table, row, name):
    class_id = table.class_id.copy()
    class_id[row] = table.classes.names.index(name)
    return table.with_columns(class_id=class_id)


def look(table):
    return {
        key: (name, tuple(contour.bounds))
        for key, name, contour in zip(
            table.uuids(), table.class_names, table.to_shapely(), strict=True
        )
    }


@pytest.fixture
def project(tmp_path):
    return PlainProject(tmp_path / "data")


@pytest.fixture
def pair(tmp_path):
    return Pair(ImageEntry("1", "image", ""), tmp_path / "image.geojson", tmp_path / "p.qpproj")


def ours(pair):
    return read_geojson(pair.file)


def bring(project, pair, direction="sync", policy="ask"):
    found = result_of(compare(project, pair, policy))
    result_of(carry_out(project, found, direction))
    return found


@pytest.fixture
def in_step(project, pair):
    """Both places hold the same five objects."""
    write_geojson(pair.file, squares(5))
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 5


@pytest.mark.usefixtures("in_step")
def test_both_places_get_what_the_other_did(project, pair):
    here, there = classed(ours(pair), 0, "Stroma"), project.table.select([0, 1, 2, 3])
    there = ObjectTable.concat([there, squares(2, seed=9)])
    write_geojson(pair.file, here)
    project.store(there)
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 6
    assert project.table.class_names[project.table.rows_of([here.uuid(0)])[0]] == "Stroma"
    assert here.uuid(4) not in project.table.uuids()


@pytest.mark.usefixtures("in_step")
def test_nothing_to_do_writes_nothing(project, pair):
    before = pair.file.stat().st_mtime_ns, project.n_writes
    found = bring(project, pair)
    assert found.merge.is_noop
    assert (pair.file.stat().st_mtime_ns, project.n_writes) == before


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.usefixtures("in_step")
def test_one_way_leaves_the_other_place_and_loses_nothing(project, pair, direction):
    here, there = classed(ours(pair), 0, "Stroma"), project.table.select([0, 1, 2])
    write_geojson(pair.file, here)
    project.store(there)
    bring(project, pair, direction)
    untouched = (project.table, there) if direction == "pull" else (ours(pair), here)
    assert look(untouched[0]) == look(untouched[1])
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 3
    assert project.table.class_names[0] == "Stroma"


@pytest.mark.usefixtures("in_step")
def test_what_both_changed_waits_for_an_answer(project, pair):
    scheme = SCHEME.union(ClassScheme.of("Necrosis"))
    here = ours(pair).with_columns(classes=scheme)
    write_geojson(pair.file, classed(here, 0, "Stroma"))
    project.store(classed(project.table.with_columns(classes=scheme), 0, "Necrosis"))
    for _ in range(2):
        found = bring(project, pair)
        (conflict,) = found.merge.conflicts
        assert conflict.choice == "ask"
        assert (ours(pair).class_names[0], project.table.class_names[0]) == ("Stroma", "Necrosis")
    bring(project, pair, policy="theirs")
    assert ours(pair).class_names[0] == project.table.class_names[0] == "Necrosis"


@pytest.mark.usefixtures("in_step")
def test_a_sync_is_taken_back_in_both_places(project, pair):
    write_geojson(pair.file, classed(ours(pair), 0, "Stroma"))
    project.store(project.table.select([0, 1, 2]))
    before = look(ours(pair)), look(project.table)
    bring(project, pair)
    assert (look(ours(pair)), look(project.table)) != before
    result_of(undo(project, pair))
    assert (look(ours(pair)), look(project.table)) == before
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 3


@pytest.mark.usefixtures("in_step")
def test_what_only_one_place_was_given_is_taken_back_there(project, pair):
    project.store(project.table.select([0, 1, 2]))
    bring(project, pair, "pull")
    project.store(classed(project.table, 0, "Stroma"))
    result_of(undo(project, pair))
    assert len(ours(pair)) == 5
    assert project.table.class_names[0] == "Stroma"


def test_nothing_to_take_back_is_said(project, pair):
    with pytest.raises(BridgeError, match="can be taken back"):
        result_of(undo(project, pair))


@pytest.mark.parametrize("place", ["ours", "theirs"])
@pytest.mark.usefixtures("in_step")
def test_a_place_that_moved_on_meanwhile_is_not_written(project, pair, place):
    write_geojson(pair.file, classed(ours(pair), 0, "Stroma"))
    project.store(project.table.select([0, 1, 2]))
    found = result_of(compare(project, pair))
    late = squares(1, seed=30)
    if place == "ours":
        write_geojson(pair.file, ObjectTable.concat([ours(pair), late]))
    else:
        project.store(ObjectTable.concat([project.table, late]))
    with pytest.raises(TargetChangedError, match="meanwhile"):
        result_of(carry_out(project, found))
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert late.uuid(0) in project.table.uuids()
    assert len(project.table) == 4
    assert project.table.class_names[0] == "Stroma"


@pytest.mark.usefixtures("in_step")
def test_a_file_that_is_being_annotated_is_left_alone(project, pair):
    project.store(project.table.select([0, 1, 2]))
    with (
        Document.open(pair.file, "image"),  # as the Annotate panel does
        pytest.raises(DocumentLockedError, match="already being edited"),
    ):
        bring(project, pair)
    assert len(ours(pair)) == 5
    bring(project, pair)
    assert len(ours(pair)) == 3


@pytest.mark.parametrize("step", ["before the project", "before our file", "before the base"])
@pytest.mark.usefixtures("in_step")
def test_whoever_stops_half_way_loses_nothing(project, pair, step, monkeypatch):
    write_geojson(pair.file, classed(ours(pair), 0, "Stroma"))
    project.store(ObjectTable.concat([project.table.select([0, 1, 2]), squares(1, seed=30)]))

    def stop(*_, **__):
        raise KeyboardInterrupt

    where = {
        "before the project": (project, "pushing"),
        "before our file": ("qupath_bridge.pair._write_ours",),
        "before the base": ("qupath_bridge.pair.save_base",),
    }[step]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(*where, stop)
        bring(project, pair)
    bring(project, pair)
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 4
    assert project.table.class_names[0] == "Stroma"


def test_colours_are_the_projects(project, pair):
    red = ClassScheme.of("Tumor", "Stroma")
    project.store(squares(2, classes=red))
    bring(project, pair)
    other = ours(pair)
    blue = type(red)(tuple(type(c)(c.name, (0, 0, 255)) for c in red))
    write_geojson(pair.file, classed(other.with_columns(classes=blue), 0, "Stroma"))
    bring(project, pair)
    assert [c.rgb for c in project.table.classes] == [c.rgb for c in red]
    assert project.table.class_names[0] == "Stroma"


def test_a_first_look_at_an_empty_image_leaves_nothing_behind(project, pair, tmp_path):
    bring(project, pair)
    assert not pair.file.exists()
    assert not pair.folder.exists()
    assert EntryFacts.of(project.folder).data is not None


@pytest.mark.usefixtures("in_step")
def test_what_qupath_saved_over_is_written_again(project, pair):
    """It had the image open before our write; its save is of that time, and of its own changes."""
    opened, marks = project.table, project.of_table
    write_geojson(pair.file, ObjectTable.concat([ours(pair).select([0, 1, 2]), squares(2, seed=7)]))
    bring(project, pair)
    project.store(ObjectTable.concat([classed(opened, 0, "Stroma"), squares(1, seed=30)]))
    project.of_table = marks
    found = bring(project, pair)
    assert found.is_overwritten
    assert len(found.merge.conflicts) == 0
    assert look(ours(pair)) == look(project.table)
    assert len(project.table) == 3 + 2 + 1
    assert project.table.class_names[0] == "Stroma"
    assert not bring(project, pair).is_overwritten


@pytest.mark.usefixtures("in_step")
def test_another_ones_later_write_is_no_such_save(project, pair):
    project.of_table = ["another", *project.of_table]
    project.store(project.table.select([0, 1]))
    assert not bring(project, pair).is_overwritten
    assert len(ours(pair)) == 2


@pytest.mark.usefixtures("in_step")
def test_qupath_may_have_had_it_open_over_several_syncs(project, pair):
    """What it saves then lacks the writes of all of them."""
    opened, marks = project.table, project.of_table
    for seed in (7, 8):
        write_geojson(pair.file, ObjectTable.concat([ours(pair), squares(2, seed=seed)]))
        bring(project, pair)
    project.store(opened)
    project.of_table = marks
    found = bring(project, pair)
    assert found.is_overwritten
    assert len(ours(pair)) == len(project.table) == 5 + 2 + 2


@pytest.mark.usefixtures("in_step")
def test_a_later_write_knows_better_than_one_that_was_lost(project, pair):
    """The first was not taken, the second was; what QuPath did since to both is its own."""
    write_geojson(pair.file, classed(ours(pair), 0, "Stroma"))
    bring(project, pair)
    write_geojson(pair.file, classed(ours(pair), 0, "Tumor"))
    bring(project, pair)
    latest, *_ = project.of_table
    project.of_table = [latest]
    project.store(classed(project.table, 0, "Stroma"))
    found = bring(project, pair)
    assert len(found.merge.conflicts) == 0
    assert ours(pair).class_names[0] == project.table.class_names[0] == "Stroma"
