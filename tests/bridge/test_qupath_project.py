"""A project that QuPath made is read as QuPath reads it, pixels and all.

Needs paquo and a QuPath where paquo finds it; skipped with the reason otherwise.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_histo.errors import BridgeError
from napari_histo.slides import open_slide
from qupath_bridge._qpdata import DataState
from qupath_bridge.changes import ProjectChanges, Snapshot, changes_since
from qupath_bridge.locate import find_qupath, searched_places
from qupath_bridge.project import QuPathProject, open_project
from qupath_bridge.status import project_status
from support.qupath_projects import folder_hash

pytestmark = [pytest.mark.qupath, pytest.mark.slow]

CHILD = Path(__file__).with_name("make_project_with_qupath.py")


@dataclass(frozen=True)
class Made:
    """The project, and what QuPath says of it."""

    project: QuPathProject
    version: str
    images: dict[str, dict[str, Any]]


def run_qupath(*arguments: Path | str) -> str:
    install = find_qupath()
    assert install is not None
    done = subprocess.run(
        [sys.executable, CHILD, *arguments],
        env={**os.environ, **install.environment()},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    if find_qupath() is None or importlib.util.find_spec("paquo") is None:
        pytest.skip(f"needs paquo, and QuPath in one of {list(map(str, searched_places()))}")
    folder = tmp_path_factory.mktemp("study")
    pixels = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "a slide+1 #ä.png")
    answer = run_qupath("make", folder / "a slide+1 #ä.png", folder / "project")
    words = json.loads(answer)
    return Made(open_project(folder / "project"), words["version"], words["images"])


def test_every_image_is_listed_with_qupaths_own_facts(made: Made) -> None:
    ours = {
        e.entry_id: {"name": e.name, "uris": list(e.builder.uris), "shape": list(e.builder.shape)}
        for e in made.project.entries
    }
    assert ours == made.images
    assert made.project.version == made.version


def test_saved_objects_are_whole_and_counted(made: Made) -> None:
    for entry in made.project.entries:
        assert entry.check_data().state == DataState.SAVED
        summary = entry.summary()
        assert summary is not None
        assert (summary.n_objects, dict(summary.by_type)) == (2, {"Annotations": 2})


def test_server_files_say_the_same(made: Made) -> None:
    for entry in made.project.entries:
        server = entry.server_file()
        assert server is not None
        assert server.uris == entry.builder.uris
        assert [s.kind for s in server.steps] == [s.kind for s in entry.builder.steps]


def test_pixels_are_those_that_qupath_shows(made: Made) -> None:
    opened, refused = [], []
    for entry in made.project.entries:
        try:
            with made.project.open_image(entry, open_slide) as reader:
                ours = reader.read(reader.info.box)
        except BridgeError:
            refused.append(entry.name)
            continue
        shown = made.project.folder / "seen" / f"{entry.entry_id}.png"
        np.testing.assert_array_equal(ours, np.asarray(Image.open(shown).convert("RGB")))
        opened.append(entry.name)
    assert refused == ["affine", "channels"]
    assert len(opened) == len(made.project.entries) - 2


def test_project_and_images_that_moved_together_are_found(made: Made, tmp_path: Path) -> None:
    """As QuPath does: by the way from the project's folder to the image."""
    study = made.project.folder.parent
    away = tmp_path / "away"
    study.rename(away)
    try:
        moved = open_project(away / "project")
        found = [moved.find_image(e) for e in moved.entries]
    finally:
        away.rename(study)
    assert {f.how for f in found} == {"moved with the project"}
    assert {f.path for f in found} == {away / "a slide+1 #ä.png"}


def test_reading_leaves_every_file_as_it_was(made: Made, tmp_path: Path) -> None:
    before = folder_hash(made.project.folder)
    project_status(made.project)
    snapshot = Snapshot.of(made.project)
    snapshot.save(tmp_path / "snapshot.json")
    assert changes_since(snapshot, open_project(made.project.folder)).changed == ()
    assert folder_hash(made.project.folder) == before


def test_what_a_user_of_qupath_did_is_noticed(made: Made, tmp_path: Path) -> None:
    # In its place: QuPath writes the project's path into what it saves.
    folder, kept = made.project.folder, tmp_path / "kept"
    shutil.copytree(folder, kept)
    snapshot = Snapshot.of(made.project)
    try:
        run_qupath("change", folder)
        found = changes_since(snapshot, open_project(folder))
    finally:
        shutil.rmtree(folder)
        shutil.move(kept, folder)
    assert found == ProjectChanges(
        removed=("6",),
        renamed=("3",),
        edited=("4", "5"),
        changed=("1",),
        untouched=("2", "7", "8", "9"),
    )
