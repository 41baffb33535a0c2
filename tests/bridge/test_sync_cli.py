"""``qupath-bridge sync``, ``pull``, ``push`` and ``undo``, also with a real QuPath."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_histo.core import ClassScheme, Contours, ObjectTable
from napari_histo.store.geojson import read_geojson, write_geojson
from support.qupath_projects import folder_hash


def by_itself(*arguments):
    """Run the command in a process of its own; its stdout."""
    words = [sys.executable, "-m", "qupath_bridge.cli", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def project_of(folder, *names):
    """A project file without any objects, its images at names in `folder`."""
    images = [
        {
            "entryID": i + 1,
            "imageName": name,
            "serverBuilder": {"builderType": "uri", "uri": (folder / name).as_uri()},
        }
        for i, name in enumerate(names)
    ]
    path = folder / "project.qpproj"
    path.write_text(json.dumps({"version": "0.5.1", "lastID": 9, "images": images}))
    return path


@pytest.mark.parametrize(
    ("names", "arguments", "said"),
    [
        pytest.param(["a.tif"], ["--image", "b.tif"], "no image named b.tif", id="unknown image"),
        pytest.param(["a.tif"], [], "--map OLD=NEW", id="image file not found"),
        pytest.param(["a.tif", "a.svs"], ["--objects", "o"], "would share the file", id="shared"),
    ],
)
def test_one_message_before_anything_starts(command, tmp_path, names, arguments, said):
    project = project_of(tmp_path, *names)
    assert said in command("sync", project, *arguments, rc=1).err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["project.qpproj"]


def test_nothing_to_take_back(command, tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    assert "no sync to take back" in command("undo", project_of(tmp_path, "a.tif"), rc=1).err


def discs(n):
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = 8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    at = np.stack([20 + 30 * np.arange(n), np.full(n, 100)], axis=1)[:, None]
    contours = Contours.from_star((ring + at).astype(np.float32))
    classes = ClassScheme.of("Tumor", "Stroma", "Necrosis")
    return ObjectTable.build(contours, class_id=np.arange(n) % 2, classes=classes)


def with_class(path, object_id, name):
    table = read_geojson(path)
    class_id = table.class_id.copy()
    classes = table.classes.union(ClassScheme.of(name))
    class_id[table.rows_of([object_id])[0]] = classes.names.index(name)
    write_geojson(path, table.with_columns(classes=classes, class_id=class_id))


def class_of(path, object_id):
    table = read_geojson(path)
    return table.class_names[table.rows_of([object_id])[0]]


@pytest.mark.qupath
@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_two_people_one_with_qupath_and_one_here(one_image, command, tmp_path):
    """Each has a folder of files; the project is between them."""
    project = one_image
    here, there = (tmp_path / name / "slide 0.geojson" for name in ("here", "there"))
    for file in (here, there):
        file.parent.mkdir()
    table = discs(6)
    write_geojson(here, table)

    untouched = folder_hash(project)
    planning = by_itself("sync", project, "--objects", here.parent, "--dry-run", "--json")
    (planned,) = json.loads(planning)["images"]
    assert planned["state"] == "would change"
    assert planned["to_project"]["added"] == 6
    assert folder_hash(project) == untouched

    by_itself("sync", project, "--objects", here.parent)
    command("sync", project, "--objects", there.parent)
    assert set(read_geojson(there).uuids()) == set(table.uuids())

    with_class(there, table.uuid(0), "Necrosis")
    with_class(here, table.uuid(1), "Necrosis")
    command("push", project, "--objects", there.parent)
    command("sync", project, "--objects", here.parent)
    assert class_of(here, table.uuid(0)) == class_of(here, table.uuid(1)) == "Necrosis"
    command("pull", project, "--objects", there.parent)
    assert class_of(there, table.uuid(1)) == "Necrosis"

    with_class(there, table.uuid(2), "Necrosis")
    with_class(here, table.uuid(2), "Stroma")
    command("push", project, "--objects", there.parent)
    asked = command("sync", project, "--objects", here.parent, "--json", rc=4)
    (conflict,) = json.loads(asked.out)["images"][0]["conflicts"]
    assert (conflict["id"], conflict["fields"]) == (str(table.uuid(2)), ["class"])
    command("sync", project, "--objects", here.parent, "--policy", "theirs")
    assert class_of(here, table.uuid(2)) == "Necrosis"
    command("undo", project, "--objects", here.parent)
    assert class_of(here, table.uuid(2)) == "Stroma"

    # QuPath had the image open all the time, and saves it after the sync.
    data = project / "data" / "1"
    opened = {path: path.read_bytes() for path in (data / "data.qpdata", data / "summary.json")}
    command("sync", project, "--objects", here.parent, "--policy", "ours")
    for path, content in opened.items():
        path.write_bytes(content)
    answered = ["--policy", "ours", "--json"]
    said = command("sync", project, "--objects", here.parent, *answered).out
    (again,) = json.loads(said)["images"]
    assert again["was_overwritten"]
    assert again["to_project"]["changed"] == 1
    command("pull", project, "--objects", there.parent, "--policy", "theirs")
    assert class_of(there, table.uuid(2)) == class_of(here, table.uuid(2)) == "Stroma"
