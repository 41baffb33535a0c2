"""``qupath-bridge init``: what is refused without Java, and what QuPath makes of image files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histo.core import result_of
from napari_histo.errors import BridgeError, MissingDependencyError
from qupath_bridge import project_images
from qupath_bridge._readers import UNREAD, why_unread
from qupath_bridge.locate import QuPathInstall, find_qupath
from qupath_bridge.project import open_project
from qupath_bridge.project_images import adding, check_new


@pytest.fixture
def command(command):
    """Run ``init``; its stdout and stderr."""
    return partial(command, "init")


# -- without Java --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda p: (p / "project.qpproj").touch(), "--add", id="a project"),
        pytest.param(lambda p: (p / "project.qpproj.backup").touch(), "--add", id="half saved"),
        pytest.param(lambda p: (p / "notes.txt").touch(), "not empty", id="other files"),
    ],
)
def test_folders_that_are_refused(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(BridgeError, match=said):
        check_new(tmp_path)


def test_folders_that_are_fine(tmp_path):
    check_new(tmp_path)
    check_new(tmp_path / "not there yet")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "f").touch()
    for name in ("f", "my.qpproj"):
        with pytest.raises(BridgeError, match="file"):
            check_new(tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["p"], "Name the images", id="no images"),
        pytest.param(["p", "a.tif", "--add", "--class", "X"], "leave it out", id="classes to add"),
        pytest.param(["p", "a.tif", "--add"], "no QuPath project", id="nothing to add to"),
    ],
)
def test_one_message(command, arguments, said):
    assert said in command(*arguments, rc=1)[1]


def test_without_qupath_it_is_said_what_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(project_images, "find_qupath", lambda: None)
    with pytest.raises(MissingDependencyError, match="needs QuPath itself"):
        result_of(adding(tmp_path / "p", [tmp_path / "a.tif"]))
    assert not (tmp_path / "p").exists()


def test_a_project_of_a_newer_qupath_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        project_images, "find_qupath", lambda: QuPathInstall(tmp_path / "q", "0.5.1")
    )
    file = tmp_path / "project.qpproj"
    file.write_text('{"version": "0.6.0-rc3", "lastID": 1, "images": []}')
    before = file.read_bytes()
    with pytest.raises(BridgeError, match=r"0\.6\.0-rc3"):
        result_of(adding(tmp_path, [tmp_path / "a.tif"]))
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "has", "said"),
    [
        pytest.param("a.SVS", [], "needs OpenSlide or Bio-Formats, which the QuPath in", id="svs"),
        pytest.param("a.svs", ["bioformats"], "it may be damaged", id="one of two is enough"),
        pytest.param("a.mrxs", ["bioformats"], "needs OpenSlide, which", id="one alone reads it"),
        pytest.param("a.ome.tif", ["openslide"], "needs Bio-Formats, which", id="ome-tiff"),
        pytest.param("a.ome.tif", ["bioformats"], "it may be damaged", id="it is there"),
        pytest.param("a.png", [], "it may be damaged", id="QuPath's own format"),
        pytest.param("a.txt", [], "it may be damaged", id="no image"),
    ],
)
def test_a_missing_reader_is_named(tmp_path, name, has, said):
    (tmp_path / "lib" / "app").mkdir(parents=True)
    for word in has:
        (tmp_path / "lib" / "app" / f"qupath-extension-{word}-0.5.1.jar").touch()
    told = why_unread(Path("/slides") / name, QuPathInstall(tmp_path, "0.5.1"))
    assert told.startswith(UNREAD)
    assert said in told
    assert ("install the whole QuPath from qupath.github.io" in told) == ("needs" in said)


# -- with QuPath ---------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path, warm):
    """Two of one name, a large one without levels, and four that are none."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (30, 40, 3), np.uint8)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(small).save(tmp_path / folder / "slide.png")
    Image.fromarray(np.zeros((100, 5000), np.uint8)).save(tmp_path / "large.tif")
    whole = (tmp_path / "a" / "slide.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.tif").touch()
    names = ["a/slide.png", "b/slide.png", "large.tif", "cut.png", "text.png", "empty.tif", "none"]
    return {name: tmp_path / name for name in names}


@pytest.mark.qupath
@pytest.mark.slow
def test_good_images_are_added_and_each_bad_one_is_named(command, tmp_path, images):
    folder = tmp_path / "project"
    said, wrong = command(folder, "--images", *images.values(), "--json", rc=1)
    files = json.loads(said)["files"]
    assert [f["state"] for f in files] == ["added"] * 3 + ["failed"] * 4
    for name in ("cut.png", "text.png", "empty.tif", "none"):
        assert f"{name} was not added" in wrong
    assert f"text.png was not added: {UNREAD}; it may be damaged." in wrong
    project = open_project(folder)
    names = ["slide.png", "slide.png (b)", "large.tif"]
    assert [e.name for e in project.images()] == names
    assert [f["images"][0]["n_levels"] for f in files[:3]][2] > 1
    assert all(project.find_image(e).path for e in project.entries)
    assert [e.thumbnail is not None for e in project.entries] == [True, True, False]
    assert project.classes.names[:2] == ("Tumor", "Stroma")
    assert list(project.problems()) == []


@pytest.mark.qupath
@pytest.mark.slow
def test_types_classes_and_adding_later(command, tmp_path, images):
    folder = tmp_path / "project"
    first, second, grey = list(images.values())[:3]
    said, wrong = command(folder, first, grey, "--type", "he", "--class", "Tumor: Positive", rc=1)
    assert "slide.png: 40 x 30 px, 1 level, pixel size unknown" in said
    assert "8-bit RGB" in wrong
    project = open_project(folder)
    assert project.classes.names == ("Tumor: Positive",)
    assert b"BRIGHTFIELD_H_E" in project.entries[0].data_file.read_bytes()
    # What a user of QuPath does who sets the pixel size.
    words = json.loads(project.file.read_text())
    pixel = words["images"][0]["serverBuilder"]["metadata"]["pixelCalibration"]
    pixel["pixelWidth"] = pixel["pixelHeight"] = {"value": 0.25, "unit": "µm"}
    project.file.write_text(json.dumps(words))
    said, _ = command(folder, "--add", first, second, "--json")
    assert [f["state"] for f in json.loads(said)["files"]] == ["there", "added"]
    assert [e.name for e in open_project(folder).images()] == ["slide.png", "slide.png (b)"]
    kept = list((folder / "napari-histo" / "before" / "project").iterdir())
    assert len(kept) == 1


@pytest.mark.qupath
@pytest.mark.slow
def test_a_slide_without_its_reader_is_not_called_damaged(command, tmp_path, images):
    if find_qupath().readers:
        pytest.skip("this QuPath has extensions that read slides")
    slide = tmp_path / "slide.svs"
    slide.write_bytes(b"II*\0" + bytes(96))
    wrong = command(tmp_path / "project", slide, rc=1)[1]
    assert f"slide.svs was not added: {UNREAD}. Most likely it needs OpenSlide or Bio" in wrong
    assert str(find_qupath().path) in wrong


@pytest.mark.qupath
@pytest.mark.slow
def test_of_a_project_without_images_nothing_is_left(command, tmp_path, images):
    command(tmp_path / "project", images["cut.png"], rc=1)
    assert not (tmp_path / "project").exists()
