"""QuPath and the bridge write the same image; QuPath is a second process that knows nothing of us.

It has the image open and saves with its own ``entry.saveImageData``.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import shapely

from napari_histo.core import ClassScheme, Contours, ObjectTable, ObjectType, result_of
from napari_histo.errors import TargetChangedError
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge.bridge import QuPathBridge
from qupath_bridge.pair import Pair, carry_out, compare
from support.learning_qupath import QuPathWindow

pytestmark = [pytest.mark.qupath, pytest.mark.slow]


@pytest.fixture(scope="module")
def qupath(qupath_environment):
    """The other program."""
    window = QuPathWindow(qupath_environment)
    yield window
    window.close()


@pytest.fixture
def bridge(template, tmp_path, processes):
    project = shutil.copytree(template, tmp_path / "project")
    return QuPathBridge(project, client=processes[0], checker=processes[1])


@pytest.fixture
def pair(bridge, tmp_path):
    """Our file and the project, in step, with six objects."""
    table = ObjectTable.build(
        Contours.from_shapely([shapely.box(20 * i, 50, 20 * i + 9, 59) for i in range(6)]),
        object_type=ObjectType.ANNOTATION,
        class_id=0,
        classes=ClassScheme.of("Tumor", "Stroma", "Necrosis"),
    )
    found = Pair(bridge.images()[0], tmp_path / "image.geojson", bridge.project.file)
    write_geojson(found.file, table)
    sync(bridge, found)
    return found


def sync(bridge, pair, policy="ask"):
    found = result_of(compare(bridge, pair, policy))
    result_of(carry_out(bridge, found))
    return found


def start(qupath, pair):
    return qupath("open", pair.project, pair.entry.entry_id)


def classed(table, key, name):
    class_id = table.class_id.copy()
    class_id[table.rows_of([key])[0]] = table.classes.index(name)
    return table.with_columns(class_id=class_id)


def look(table):
    return dict(zip(table.uuids(), table.class_names, strict=True))


def files(bridge, pair):
    folder = bridge.project.entry(pair.entry.entry_id).folder
    return {name: (folder / name).read_bytes() for name in ("data.qpdata", "summary.json")}


def test_qupath_saves_between_our_read_and_our_write(bridge, pair, qupath):
    """Each changes, adds and deletes, and both give one object another class."""
    ids = read_geojson(pair.file).uuids()
    ours = read_geojson(pair.file)
    for key, name in ((ids[0], "Stroma"), (ids[1], "Stroma")):
        ours = classed(ours, key, name)
    new = ours.select([5]).with_columns(object_id=np.full((1, 16), 7, np.uint8))
    write_geojson(pair.file, ObjectTable.concat([ours.select([0, 1, 2, 3, 5]), new]))  # without 4

    start(qupath, pair)
    read = result_of(compare(bridge, pair))
    theirs = qupath("add", 200)
    qupath("classify", ids[1], "Necrosis")
    qupath("classify", ids[2], "Necrosis")
    qupath("delete", ids[3])
    qupath("save")
    saved = files(bridge, pair)
    with pytest.raises(TargetChangedError, match="meanwhile"):
        result_of(carry_out(bridge, read))
    assert files(bridge, pair) == saved

    done = sync(bridge, pair, "ask")
    (conflict,) = done.merge.conflicts
    assert (conflict.object_id, conflict.fields) == (ids[1], ("class",))
    project, file = look(bridge.read_objects(pair.entry)), look(read_geojson(pair.file))
    everyone = {*map(str, ids), theirs, str(new.uuid(0))} - {str(ids[3]), str(ids[4])}
    assert set(map(str, project)) == set(map(str, file)) == everyone
    assert (project[ids[0]], project[ids[2]]) == (file[ids[0]], file[ids[2]])
    assert (project[ids[0]], project[ids[2]]) == ("Stroma", "Necrosis")
    assert (project[ids[1]], file[ids[1]]) == ("Necrosis", "Stroma")  # each keeps its own

    assert bridge.undo(pair.entry)
    assert files(bridge, pair) == saved
    assert str(ids[1]) in start(qupath, pair)


def test_qupath_saves_during_each_step_of_a_write(bridge, pair, qupath):
    """Up to the last moment before the new file is put in place."""
    table = classed(read_geojson(pair.file), read_geojson(pair.file).uuid(0), "Stroma")
    start(qupath, pair)
    n_steps, message = 0, ""
    while message != "Putting the new file in place":
        n_steps += 1
        work = bridge.writing(pair.entry, table)
        for _ in range(n_steps):
            message = next(work).message
        qupath("add", 10 * n_steps)
        qupath("save")
        saved = files(bridge, pair)
        with pytest.raises(TargetChangedError):
            result_of(work)
        assert files(bridge, pair) == saved
    assert n_steps >= 4
    bridge.write_objects(pair.entry, table)
    assert len(bridge.read_objects(pair.entry)) == 6 + n_steps


def test_qupath_saves_what_it_had_open_during_our_write(bridge, pair, qupath):
    """Its save is without what we wrote; that is noticed and written again, and its own stays."""
    ids = read_geojson(pair.file).uuids()
    start(qupath, pair)
    write_geojson(pair.file, classed(read_geojson(pair.file), ids[0], "Stroma"))
    sync(bridge, pair)
    assert look(bridge.read_objects(pair.entry))[ids[0]] == "Stroma"
    added = qupath("add", 200)
    qupath("classify", ids[2], "Necrosis")
    qupath("save")
    assert look(bridge.read_objects(pair.entry))[ids[0]] == "Tumor"  # gone

    done = sync(bridge, pair)
    assert done.is_overwritten
    for table in (bridge.read_objects(pair.entry), read_geojson(pair.file)):
        seen = look(table)
        assert (seen[ids[0]], seen[ids[2]]) == ("Stroma", "Necrosis")
        assert added in map(str, seen)
    assert not sync(bridge, pair).is_overwritten
