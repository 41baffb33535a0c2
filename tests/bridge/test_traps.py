"""Each trap of paquo and QuPath: what plain paquo loses there, and what the bridge does instead.

All of plain paquo's part runs once, in `plain_paquo.py`, a process of its own. Each test first says
what was lost there: one that fails at that line says that a trap is closed upstream.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectTable,
    ObjectType,
    result_of,
)
from napari_histo.errors import BridgeError, TargetChangedError
from napari_histo.store.geojson import read_geojson
from napari_histo.testing.project_bridge import CASES
from qupath_bridge._differences import differences
from qupath_bridge.bridge import QuPathBridge

PLAIN = Path(__file__).with_name("plain_paquo.py")
needs_qupath = [pytest.mark.qupath, pytest.mark.slow]


@pytest.fixture(scope="module")
def made(qupath_environment, tmp_path_factory):
    """What was seen, by trap, and the project with the files that plain paquo left."""
    folder = tmp_path_factory.mktemp("traps") / "made"
    with (folder.parent / "log").open("w") as log:
        done = subprocess.run(
            [sys.executable, str(PLAIN), str(folder)],
            env={**qupath_environment, "PATIENCE_S": "3"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, (folder.parent / "log").read_text()[:2000]
    return json.loads(done.stdout), folder / "project"


@pytest.fixture
def plain(made):
    return made[0]


@pytest.fixture
def bridge(made, tmp_path, processes):
    project = shutil.copytree(made[1], tmp_path / "project")
    return QuPathBridge(project, client=processes[0], checker=processes[1])


def image(bridge, name):
    return next(e for e in bridge.images() if e.name == name)


def data_of(bridge, entry):
    return bridge.project.entry(entry.entry_id).data_file


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table_of(*shapes, kind=ObjectType.ANNOTATION, **columns):
    return ObjectTable.build(Contours.from_shapely(shapes), object_type=kind, **columns)


BOX = shapely.box(100, 1, 109, 11)


class TestWithQuPath:
    """Plain paquo beside the bridge, on the same project."""

    pytestmark = needs_qupath

    def test_damaged_data_look_empty_and_are_saved_over(self, plain, bridge):
        assert (plain["damaged_data"]["seen"], plain["damaged_data"]["left_of_4"]) == (0, 1)
        entry = image(bridge, "damaged_data")
        before = digest(data_of(bridge, entry))
        with pytest.raises(BridgeError, match=r"cut short.*backup copy"):
            bridge.write_objects(entry, table_of(BOX))
        assert digest(data_of(bridge, entry)) == before

    def test_truncated_data_are_read_for_ever(self, plain, bridge):
        assert plain["truncated_for_reading"]["still_reading"]
        with pytest.raises(BridgeError, match="cut short"):
            bridge.read_objects(image(bridge, "truncated_for_reading"))

    def test_data_with_a_hole_are_read_within_bounds(self, bridge, monkeypatch):
        """Which the look at the file's two ends cannot see: there QuPath reads for ever, too."""
        monkeypatch.setattr("qupath_bridge._bridge_checks._BASE_S", 4.0)
        entry = image(bridge, "order")
        data = data_of(bridge, entry)
        raw = data.read_bytes()
        data.write_bytes(raw[: len(raw) // 2] + raw[-6:])
        before = digest(data)
        with pytest.raises(BridgeError, match=r"longer than|cannot read"):
            bridge.write_objects(entry, table_of(BOX))
        assert digest(data) == before

    def test_the_last_save_wins(self, plain, bridge, processes):
        assert plain["last_save_wins"]["left_of_2"] == 1
        entry = image(bridge, "last_save_wins")
        other = QuPathBridge(bridge.project.file, client=processes[2], checker=processes[1])
        work = bridge.writing(entry, table_of(BOX))
        next(work)
        other.write_objects(entry, table_of(shapely.box(150, 1, 159, 11)))
        with pytest.raises(TargetChangedError, match="Pull its objects again"):
            result_of(work)
        bridge.write_objects(entry, table_of(BOX))
        assert len(other.read_objects(entry)) == plain["last_save_wins"]["left_of_2"] + 2

    def test_loading_twice_doubles_ids(self, plain, bridge):
        assert (plain["loaded_twice"]["n"], plain["loaded_twice"]["n_ids"]) == (2, 1)
        entry, table = image(bridge, "loaded_twice"), table_of(BOX)
        assert bridge.write_objects(entry, table).added == 1
        assert bridge.write_objects(entry, table).unchanged == 1
        assert len(bridge.read_objects(entry)) == 1

    def test_cells_raise(self, plain, bridge):
        assert plain["cell"]["raised"] == "ClassCastException"
        entry, cell = image(bridge, "cell"), CASES["cell with nucleus"]()
        bridge.write_objects(entry, cell)
        found = bridge.read_objects(entry)
        assert found.object_type.tolist() == [ObjectType.CELL]
        assert differences(found, cell).n_unchanged == 1

    def test_only_annotations_are_handed_out(self, plain, bridge):
        assert plain["to_geojson"]["of_2"] == 1
        found = bridge.read_objects(image(bridge, "to_geojson"))
        assert sorted(found.object_type) == [ObjectType.DETECTION, ObjectType.ANNOTATION]

    def test_a_description_alone_is_not_saved(self, plain, bridge):
        assert plain["description_alone"]["description"] is None
        entry = image(bridge, "description_alone")
        table = bridge.read_objects(entry)
        seen = {table.uuid(0): Details(description="seen")}
        assert bridge.write_objects(entry, table.with_columns(details=seen)).changed == 1
        assert bridge.read_objects(entry).details == seen

    def test_without_the_image_nothing_is_saved_and_no_error_raised(self, plain, bridge):
        assert (plain["missing_image"]["raised"], plain["missing_image"]["left_of_2"]) == (None, 1)
        entry = image(bridge, "missing_image")
        assert bridge.write_objects(entry, table_of(BOX)).added == 1
        assert len(bridge.read_objects(entry)) == 2

    def test_the_colour_of_a_known_class_is_ignored(self, plain, bridge, processes):
        assert plain["known_class"]["rgb"] == [1, 2, 3]  # asked for (200, 100, 50)
        entry = image(bridge, "known_class")
        for name, rgb in (("Once", (1, 2, 3)), ("Known", (1, 2, 3)), ("Known", (200, 100, 50))):
            classes = ClassScheme((ClassDef(name, rgb),))
            bridge.write_objects(entry, table_of(BOX, class_id=[0], classes=classes))
            (bridge.project.folder / "classifiers" / "classes.json").unlink()
        other = QuPathBridge(bridge.project.file, client=processes[2])
        assert ClassDef("Known", (200, 100, 50)) in tuple(other.read_objects(entry).classes)

    def test_coordinates_are_rounded_and_rings_turned(self, plain, bridge):
        given = shapely.Polygon(
            [(1.23456, 2.34567), (30.98765, 3.1), (22.2, 33.33333), (4, 20.00001)]
        )
        theirs = shapely.from_wkb(plain["coordinates"]["wkb"])
        assert shapely.hausdorff_distance(theirs, given) > 0.004
        assert [c[:2] for c in theirs.exterior.coords][1] != pytest.approx((30.98765, 3.1), abs=1)
        entry, table = image(bridge, "coordinates"), table_of(given)
        bridge.write_objects(entry, table)
        found = bridge.read_objects(entry)
        back = found.to_shapely(found.rows_of([table.uuid(0)]))[0]
        assert shapely.hausdorff_distance(back, given) < 1e-5
        turned = shapely.Polygon(np.roll(np.array(given.exterior.coords)[:-1], 2, axis=0)[::-1])
        same = table_of(turned).with_columns(object_id=table.object_id)
        assert bridge.write_objects(entry, same).unchanged == 2

    def test_detections_come_in_another_order(self, plain, bridge):
        assert (plain["order"]["same_set"], plain["order"]["same_order"]) == (True, False)
        entry = image(bridge, "order")
        found = bridge.read_objects(entry)
        assert len(found) == 100
        moved = found.select(np.arange(99, -1, -1))
        assert bridge.write_objects(entry, moved, "replace").unchanged == 100

    def test_python_collects_whenever_java_does(self, plain):
        assert plain["collections"]["plain"] >= 3
        assert plain["collections"]["ours"] == 0


# -- GeoJSON of all versions; no QuPath needed ---------------------------------------------------

ID = "8b1e2a4c-5d6f-4a7b-9c8d-0e1f2a3b4c5d"
RING = [[[0, 0], [9, 0], [9, 9], [0, 0]]]


def item(properties, **more):
    geometry = {"type": "Polygon", "coordinates": RING}
    return {"type": "Feature", "geometry": geometry, "properties": properties, **more}


def written(tmp_path, value, name="objects.geojson"):
    path, text = tmp_path / name, value if isinstance(value, str) else json.dumps(value)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("feature", "kind"),
    [
        pytest.param(item({}, id="PathDetectionObject"), ObjectType.DETECTION, id="0.2: id"),
        pytest.param(item({"object_type": "detection"}), ObjectType.DETECTION, id="0.3"),
        pytest.param(item({"objectType": "detection"}, id=ID), ObjectType.DETECTION, id="0.4"),
        pytest.param(
            item({"objectType": "cell"}, id=ID, nucleusGeometry=item({})["geometry"]),
            ObjectType.CELL,
            id="cell",
        ),
    ],
)
def test_the_type_of_an_object_by_version(tmp_path, feature, kind):
    table = read_geojson(written(tmp_path, [feature]))
    assert table.object_type.tolist() == [kind]
    assert (str(table.uuid(0)) == ID) == (feature.get("id") == ID)


@pytest.mark.parametrize(
    "measurements",
    [
        pytest.param([{"name": "Area", "value": 2.5}, {"name": "n", "value": 1}], id="list"),
        pytest.param({"Area": 2.5, "n": 1}, id="map"),
        pytest.param({"Area": 2.5, "n": "NaN"}, id="NaN as text"),
    ],
)
def test_measurements_by_version(tmp_path, measurements):
    table = read_geojson(written(tmp_path, [item({"measurements": measurements})]))
    assert table.measurements["Area"].tolist() == [2.5]


def test_a_class_without_a_colour(tmp_path):
    """On which QuPath's own reader throws."""
    table = read_geojson(written(tmp_path, [item({"classification": {"name": "Tumor"}})]))
    assert table.class_names == ["Tumor"]


def test_metadata_twice_in_one_feature(tmp_path):
    one = json.dumps(item({"metadata": {"a": "1"}}))
    text = one.replace('"metadata": {"a": "1"}', '"metadata": {"a": "1"}, "metadata": {"b": "2"}')
    table = read_geojson(written(tmp_path, f"[{text}]"))
    assert dict(table.details_of(0).metadata) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda f: {"type": "FeatureCollection", "features": [f]}, id="collection"),
        pytest.param(lambda f: [f], id="list"),
        pytest.param(lambda f: f, id="one feature"),
    ],
)
def test_the_forms_of_a_file(tmp_path, wrap, name):
    assert len(read_geojson(written(tmp_path, wrap(item({}, id=ID)), name))) == 1
