"""``qupath-bridge publish`` and ``collect``, also with a real QuPath."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import shapely

from napari_histo.core import (
    Box,
    ClassScheme,
    Contours,
    ObjectState,
    ObjectTable,
    ObjectType,
    QueriedRegion,
    regions_as_table,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge.project import open_project
from support.exchange import StandIn
from support.qupath_projects import folder_hash, image, leaf, make_project

HERE = Path(__file__).parent


def discs(*at, kind=ObjectType.DETECTION):
    shapes = [shapely.Point(*xy).buffer(8, 8) for xy in at]
    state = ObjectState.DRAWN if kind == ObjectType.ANNOTATION else ObjectState.PREDICTED
    return ObjectTable.build(
        Contours.from_shapely(shapes),
        classes=ClassScheme.of("Tumor"),
        object_type=kind,
        state=state,
        det_prob=0.75,
    )


def request(file):
    """A file with one region, three predictions in it and one outside."""
    nobody = ImageEntry("", "", "")
    region = QueriedRegion.of_box(nobody, Box(0, 0, 128, 128), score=0.5, reason="unsure here")
    predictions = discs((20, 20), (60, 20), (100, 20), (300, 300))
    write_geojson(file, ObjectTable.concat([regions_as_table([region]), predictions]))
    return region, predictions


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["publish", "P", "b.geojson"], "no images called as b.geojson", id="no image"),
        pytest.param(["publish", "P", "a.geojson", "a.geojson"], "second file", id="twice"),
        pytest.param(
            ["publish", "P", "a.geojson", "b.geojson", "--image", "a.tif"], "2 files", id="two"
        ),
        pytest.param(["collect", "P"], "-o FOLDER", id="nowhere to write"),
        pytest.param(["collect", "P", "-o", "o", "--image", "x"], "no image named x", id="unknown"),
    ],
)
def test_one_message_before_anything_starts(command, tmp_path, arguments, said):
    make_project(tmp_path / "P", [image(1, leaf("file:/a.tif"), imageName="a.tif")])
    request(tmp_path / "a.geojson")
    before = folder_hash(tmp_path)
    paths = [str(tmp_path / a) if a == "P" or a.endswith(".geojson") else a for a in arguments]
    assert said in command(*paths, rc=1)[1]
    assert folder_hash(tmp_path) == before


def test_a_project_without_objects_has_no_regions(command, tmp_path):
    make_project(tmp_path / "P", [image(1, leaf("file:/a.tif"))])
    assert "no regions" in command("collect", tmp_path / "P", "-o", tmp_path / "o")[0]


def test_a_round_by_exchanged_files(command, tmp_path):
    """Without Java here: what was published waits for QuPath's import script, and comes back."""
    qupath = StandIn(tmp_path / "exchange", "slide 0.tif")
    file, out = tmp_path / "slide 0.geojson", tmp_path / "o"
    region, predictions = request(file)
    said, _ = command("publish", qupath.folder, file, "--round", 3)
    assert "1 new regions with 3 predictions" in said
    assert qupath.take() == []
    assert set(qupath.tables["1"].uuids()) == {region.region_id, *predictions.uuids()[:3]}
    assert "1 there already" in command("publish", qupath.folder, file, "--round", 3)[0]
    table = qupath.tables["1"]
    classes = table.classes.union(ClassScheme.of("Region: done"))
    class_id = table.class_id.copy()
    class_id[table.rows_of([region.region_id])] = classes.names.index("Region: done")
    qupath.tables["1"] = table.with_columns(classes=classes, class_id=class_id)
    qupath.export()
    (found,) = json.loads(command("collect", qupath.folder, "-o", out, "--json")[0])["images"]
    assert (found["status"], found["n_objects"], found["round"]) == ("done", 3, 3)
    assert json.loads((out / "regions.json").read_text())["regions"] == found["regions"]


def files_of(project):
    return {name: facts for name, facts in folder_hash(project).items() if facts[1] != "folder"}


@pytest.fixture
def somebody(one_image, qupath_environment):
    """A QuPath that has the project open."""
    process = subprocess.Popen(
        [sys.executable, HERE / "annotate_with_qupath.py", one_image / "project.qpproj"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=qupath_environment,
    )
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.qupath
@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_a_round_goes_to_qupath_and_comes_back(one_image, somebody, command, tmp_path):
    project, file = one_image, tmp_path / "slide 0.geojson"
    region, predictions = request(file)
    asked = ["publish", project, file, "--round", 3, "--model", "he-nuclei 1.0"]
    untouched = folder_hash(project)
    (planned,) = json.loads(command(*asked, "--dry-run", "--json")[0])["images"]
    assert (planned["new"], planned["n_predictions"]) == ([str(region.region_id)], 3)
    assert folder_hash(project) == untouched

    command(*asked)
    once = files_of(project)
    said, _ = command(*asked)
    assert "0 new regions with 0 predictions; 1 there already" in said
    assert files_of(project) == once

    seen = json.loads(somebody.communicate("go\n", timeout=300)[0])
    check_what_qupath_shows(seen, region, predictions)

    out = tmp_path / "collected"
    said, wrong = command("collect", project, "-o", out, "--json")
    (found,) = json.loads(said)["images"]
    assert (found["status"], found["n_done"], found["n_objects"]) == ("done", 1, 3)
    (words,) = json.loads((out / "regions.json").read_text())["regions"]
    assert words["objects"] == {"drawn": 1, "corrected": 0, "classified": 1, "accepted": 1}
    assert (words["n_removed"], words["round"], words["reason"]) == (1, 3, "unsure here")
    assert len(read_geojson(out / words["file"])) == 4

    # QuPath had the project open, and saved its own memory of the list.
    assert "saved over the list" in wrong
    entry = open_project(project).entry("1")
    assert entry.metadata["Round status"] == "done"
    assert "3: done (1 done, 0 to do)" in command("status", project)[0]


def check_what_qupath_shows(seen, region, predictions):
    assert seen["classes"][-3:] == ["Region: to annotate", "Region: done", "Region: skipped"]
    assert seen["metadata"] == {
        "Round": "3",
        "Round status": "to annotate",
        "Regions to annotate": "1",
        "Regions done": "0",
        "Objects annotated": "0",
    }
    objects = {o["id"]: o for o in seen["objects"]}
    shown = objects.pop(str(region.region_id))
    assert (shown["class"], shown["name"]) == ("Region: to annotate", "Round 3, region 1")
    assert (shown["locked"], shown["rectangle"]) == (True, True)
    assert shown["measurements"] == {"Round": 3, "Rank": 1, "Score": 0.5, "Predictions": 3}
    assert set(objects) == {str(key) for key in predictions.uuids()[:3]}
    for shown in objects.values():
        assert shown["measurements"] == {"Round": 3, "Detection probability": 0.75}
        assert shown["metadata"]["Model"] == "he-nuclei 1.0"
        assert shown["parent"] == str(region.region_id)


@pytest.mark.qupath
@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_a_read_only_project_is_collected_all_the_same(one_image, command, tmp_path):
    project = one_image
    request(tmp_path / "slide 0.geojson")
    command("publish", project, tmp_path / "slide 0.geojson", "--round", 1)
    (project / "project.qpproj").chmod(0o444)
    before = folder_hash(project)
    said, wrong = command("collect", project, "-o", tmp_path / "o")
    assert "regions done 0, to annotate 1, skipped 0" in said
    assert folder_hash(project) == before
    assert "saved over" not in wrong


@pytest.mark.qupath
@pytest.mark.slow
@pytest.mark.usefixtures("warm")
def test_regions_that_qupath_saved_over_are_told_and_published_again(one_image, command, tmp_path):
    """It had the image open when they came, and saves it as it knows it."""
    project, file = one_image, tmp_path / "slide 0.geojson"
    asked = ["publish", project]
    request(file)
    places = [project / "data" / "1" / name for name in ("data.qpdata", "summary.json")]
    opened = [place.read_bytes() for place in places]
    command(*asked, file, "--round", 1)
    for place, content in zip(places, opened, strict=True):
        place.write_bytes(content)
    assert "fewer regions" in command("collect", project, "-o", tmp_path / "o")[1]
    assert "1 new regions with 3 predictions" in command(*asked, file, "--round", 1)[0]
