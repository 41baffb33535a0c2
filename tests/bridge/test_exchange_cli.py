"""The command on an exchange folder, and ``export``, ``import`` and ``scripts``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectTable
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge.exchange_scripts import SCRIPTS
from support.exchange import StandIn, without
from support.qupath_projects import folder_hash


@pytest.fixture
def command(command):
    """Run the command; its stdout, or stderr where it fails."""

    def run(*arguments, rc=0):
        said = command(*arguments, rc=rc)
        return said.err if rc == 1 else said.out

    return run


def squares(n, at=0):
    ring = np.array([[0, 0], [10, 0], [10, 10], [0, 10]]) + [[[30 * i, at]] for i in range(n)]
    contours = Contours.from_star(ring.astype(np.float32).reshape(n, 4, 2))
    return ObjectTable.build(contours, class_id=0, classes=ClassScheme.of("Tumor", "Stroma"))


@pytest.fixture
def qupath(tmp_path):
    made = StandIn(tmp_path / "exchange", "one.tif", "two.ome.tif", classes=("Tumor", "Stroma"))
    made.tables["1"] = squares(3)
    made.export()
    return made


def test_a_sync_through_the_folder(command, qupath, tmp_path):
    """From the first pull to a conflict, as with a project."""
    folder, objects = qupath.folder, ["--objects", tmp_path / "ours"]
    file = tmp_path / "ours" / "one.geojson"
    untouched = folder_hash(folder)
    planned = json.loads(command("sync", folder, *objects, "--dry-run", "--json"))["images"]
    assert [p["state"] for p in planned] == ["would change", "in step"]
    assert folder_hash(folder) == untouched
    assert not file.exists()
    assert "one.tif: written" in command("pull", folder, *objects)
    here = read_geojson(file)
    assert len(here) == 3
    class_id = here.class_id.copy()
    class_id[:2] = 1
    write_geojson(file, here.with_columns(class_id=class_id))
    assert "2 objects wait for the import script" in command("sync", folder, *objects)
    (image, _) = json.loads(command("status", folder, "--json"))["images"]
    assert (image["state"], image["n_waiting"]) == ("waits for QuPath", 2)
    changed = qupath.tables["1"].rows_of([here.uuid(0)])  # rows come in any order
    qupath.tables["1"] = without(qupath.tables["1"], *changed)
    assert len(qupath.take()) == 1
    asked = json.loads(command("sync", folder, *objects, "--json", rc=4))["images"][0]
    assert [c["fields"] for c in asked["conflicts"]] == [["deleted"]]
    assert asked["was_overwritten"]
    command("sync", folder, *objects, "--policy", "ours")
    qupath.take()
    assert len(qupath.tables["1"]) == 3
    command("sync", folder, *objects)
    assert "exchanged" in command("status", folder)


def test_undo(command, qupath, tmp_path):
    objects = ["--objects", tmp_path / "ours"]
    command("sync", qupath.folder, *objects)
    file = tmp_path / "ours" / "one.geojson"
    write_geojson(file, without(read_geojson(file), 0))
    command("sync", qupath.folder, *objects)
    assert "as before the last sync" in command("undo", qupath.folder, *objects)
    qupath.take()
    assert len(qupath.tables["1"]) == 3


def test_our_file_lies_beside_the_image_where_that_is_found(command, qupath, tmp_path):
    assert "--map OLD=NEW" in command("sync", qupath.folder, rc=1)
    (tmp_path / "here").mkdir()
    for name in qupath.names.values():
        (tmp_path / "here" / name).write_bytes(b"")
    command("sync", qupath.folder, "--map", f"/slides={tmp_path / 'here'}")
    assert len(read_geojson(tmp_path / "here" / "one.geojson")) == 3


def test_status_names_what_is_damaged(command, qupath):
    path = qupath.folder / "from-qupath" / "2.geojson"
    path.write_bytes(path.read_bytes()[:-3])
    found = json.loads(command("status", qupath.folder, "--json", rc=3))["images"]
    assert [image["state"] for image in found] == ["exchanged", "damaged"]
    assert "2.geojson" in found[1]["problem"]


def test_export_and_import(command, qupath, tmp_path):
    made = tmp_path / "made"
    found = json.loads(command("export", qupath.folder, "-o", made, "--json"))["images"]
    assert [image["n_objects"] for image in found] == [3, 0]
    assert sorted(p.name for p in made.iterdir()) == ["one.geojson", "two.geojson"]
    table = read_geojson(made / "one.geojson")
    other = tmp_path / "another name.geojson"  # the file names its image
    write_geojson(other, ObjectTable.concat([table, squares(2, 50)]), about={"image": "one.tif"})
    planned = json.loads(command("import", qupath.folder, other, "--dry-run", "--json"))["images"]
    assert [(p["added"], p["changed"], p["state"]) for p in planned] == [(2, 0, "would change")]
    assert not (qupath.folder / "to-qupath").exists()
    for said in ("written: 2 added, 0 changed", "in step: 0 added, 0 changed"):
        assert said in command("import", qupath.folder, other)
    qupath.take()
    assert len(qupath.tables["1"]) == 5


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        pytest.param("stranger.geojson", [], "fits no images", id="of no image"),
        pytest.param("stranger.geojson", ["--image", "three.tif"], "three.tif", id="no such image"),
        pytest.param("not there.geojson", [], "There is no file", id="no file"),
    ],
)
def test_import_of_what_does_not_fit(command, qupath, tmp_path, name, options, said):
    write_geojson(tmp_path / "stranger.geojson", squares(1))
    assert said in command("import", qupath.folder, tmp_path / name, *options, rc=1)


def test_import_under_the_images_name(command, qupath, tmp_path):
    write_geojson(tmp_path / "two.ome.geojson", squares(1))
    write_geojson(tmp_path / "any.geojson", squares(2))
    command("import", qupath.folder, tmp_path / "two.ome.geojson")
    command("import", qupath.folder, tmp_path / "any.geojson", "--image", "one.tif")
    qupath.take()
    assert [len(table) for table in qupath.tables.values()] == [5, 1]


def test_scripts_for_a_project_are_in_its_menu(command, tmp_path):
    (tmp_path / "project.qpproj").write_text('{"version": "0.5.1", "lastID": 1, "images": []}')
    command("scripts", tmp_path)
    made = sorted(p.name for p in (tmp_path / "scripts").iterdir())
    assert made == sorted(SCRIPTS)
    text = (tmp_path / "scripts" / made[0]).read_text()
    assert "def FOLDER = ''\n" in text


def test_scripts_for_any_folder_name_it(command, tmp_path):
    folder = tmp_path / "it's a share"
    found = json.loads(command("scripts", folder, "--json"))["scripts"]
    assert len(found) == len(SCRIPTS)
    text = (folder / next(iter(SCRIPTS))).read_text()
    assert f"def FOLDER = '{tmp_path}/it\\'s a share'\n" in text


def test_without_qupath_export_points_to_the_scripts(tmp_path, monkeypatch):
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path))
    monkeypatch.setattr("qupath_bridge._places.find_qupath", lambda: None)
    from typer.testing import CliRunner

    from qupath_bridge.cli import app

    (tmp_path / "project.qpproj").write_text('{"version": "0.5.1", "lastID": 1, "images": []}')
    done = CliRunner().invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "o")])
    assert "qupath-bridge scripts" in str(done.exception)
    assert not (tmp_path / "o").exists()
