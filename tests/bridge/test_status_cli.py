"""The command ``qupath-bridge``, as a person or a program runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from qupath_bridge.cli import app
from support.qupath_projects import folder_hash, image, leaf, make_project, save_data

RUN = CliRunner()


def status(*args: object) -> dict:
    done = RUN.invoke(app, ["status", *map(str, args), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "p"
    rotated = {"builderType": "rotated", "builder": leaf("file:/D:/s/b.tif"), "rotation": "x"}
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.tif").touch()
    make_project(folder, [image(1, leaf("file:/D:/s/a.tif"), tags=["t"]), image(2, rotated)])
    save_data(folder, 1, n=4)
    return folder


def test_json_lists_every_image(project, tmp_path):
    first, second = status(project, "--map", f"D:/s={tmp_path / 'slides'}")["images"]
    expected = {
        "id": "1",
        "name": "image 1",
        "uri": "file:/D:/s/a.tif",
        "path": str(tmp_path / "slides" / "a.tif"),
        "found": "by rule",
        "n_objects": 4,
        "objects": {"Annotations": 4},
        "state": "saved",
        "sync": None,
        "tags": ["t"],
    }
    assert {key: first[key] for key in expected} == expected
    assert (second["path"], second["found"], second["n_objects"]) == (None, "missing", None)
    assert second["steps"] == [{"kind": "rotated", "rotation": "x"}]
    assert second["state"] == "absent"


def test_json_of_real_projects(data_dir):
    for file in (data_dir / "qupath" / "projects").rglob("project.qpproj"):
        found = status(file)
        assert len(found["images"]) == len(json.loads(file.read_text("utf-8"))["images"])
        assert all(i["id"] and i["name"] and i["uri"] for i in found["images"])


def test_table_for_people(project):
    done = RUN.invoke(app, ["status", str(project)])
    assert done.exit_code == 0
    assert "image 1" in done.stdout
    assert "4 annotations" in done.stdout
    assert "2 images, 0 with their file, 4 objects" in done.stdout
    assert "2 image files are not found" in done.stderr
    assert "--map" in done.stderr


def test_names_with_brackets_are_shown(tmp_path):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"), imageName="slide [red] /x")])
    assert "slide [red] /x" in RUN.invoke(app, ["status", str(tmp_path)]).stdout


def test_snapshot_and_what_changed_since(project, tmp_path):
    before = folder_hash(project)
    first = status(project, "--save-snapshot", tmp_path / "s.json")
    assert folder_hash(project) == before
    assert [i["sync"] for i in first["images"]] == [None, None]
    make_project(project, [image(1, leaf("file:/D:/s/a.tif"), tags=["t"], imageName="new")])
    save_data(
        project, 1, n=5, data=(project / "data/1/data.qpdata").read_bytes()[:-6] + b"\0t\0\3EOF"
    )
    now = status(project, "--since", tmp_path / "s.json")
    assert (now["images"][0]["sync"], now["removed"]) == (["renamed", "changed"], ["2"])


def test_damage_has_an_exit_code_of_its_own(project):
    save_data(project, 2, data=b"")
    done = RUN.invoke(app, ["status", str(project)])
    assert done.exit_code == 3
    assert "Damaged: " in done.stderr
    assert "is empty (0 bytes)" in done.stderr


def test_doctor():
    found = json.loads(RUN.invoke(app, ["doctor", "--json"]).stdout)
    assert {"qupath", "qupath_version", "searched", "paquo", "jpype1"} == set(found)
    assert RUN.invoke(app, ["doctor"]).exit_code == 0


def test_doctor_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PAQUO_QUPATH_DIR", str(tmp_path))
    text = RUN.invoke(app, ["doctor"]).stdout
    assert "not found" in text
    assert "napari-histo[qupath]" in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        pytest.param([__file__], "is no QuPath project. Name the project's folder", id="a file"),
        pytest.param(["{}/nothing"], "There is no QuPath project at", id="no project"),
        pytest.param(["{}/p", "--map", "x"], "OLD=NEW", id="no rule"),
        pytest.param(["{}/p", "--since", "{}/nothing"], "Take a new snapshot", id="no snapshot"),
    ],
)
def test_errors_are_one_message_and_code_1(project, tmp_path, args, words):
    command = [sys.executable, "-m", "qupath_bridge.cli", "status"]
    command += [a.format(tmp_path) for a in args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
