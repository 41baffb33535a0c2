"""Projects are listed from their files alone, and nothing in them is touched."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_histo.core import ClassScheme
from napari_histo.core.bridge import ImageEntry
from napari_histo.errors import BridgeError
from napari_histo.slides import open_slide
from qupath_bridge.changes import Snapshot, changes_since
from qupath_bridge.project import open_project
from qupath_bridge.status import project_status
from support.qupath_projects import folder_hash, image, leaf, make_project, save_data


@pytest.fixture
def projects(data_dir: Path) -> Path:
    return data_dir / "qupath" / "projects"


REAL = [
    pytest.param("0.2.0-m12", "stardist*/qupath_example_project", 2, 3, 2, 32, id="0.2"),
    pytest.param("0.3.2", "nedaghohabi*", 434, 459, 0, 0, id="0.3"),
    pytest.param("0.6.0-rc3", "sbalci*", 107, 107, 0, 13, id="0.6"),
]


@pytest.mark.parametrize(("version", "folder", "n", "last_id", "n_found", "n_classes"), REAL)
def test_real_projects_list_fully_and_quickly(
    projects, version, folder, n, last_id, n_found, n_classes
):
    [place] = projects.glob(folder)
    begin = time.process_time()  # a machine that stands still is not our slowness
    project = open_project(place)
    status = project_status(project)
    seconds = time.process_time() - begin
    assert (project.version, len(project.entries), project.last_id) == (version, n, last_id)
    assert (len(status["images"]), len(status["classes"]), status["problems"]) == (n, n_classes, [])
    assert sum(i["path"] is not None for i in status["images"]) == n_found
    assert all(e.builder.shape and e.builder.pixel_size for e in project.entries)
    assert len({e.entry_id for e in project.entries}) == n
    assert seconds < 2  # about 0.06 s for the largest


def test_real_project_tells_all_of_an_image(projects):
    [place] = projects.glob("stardist*/qupath_example_project")
    project = open_project(place / "project.qpproj")
    first, second = project.entries
    assert project.uri == "file:/Users/mweigert/python/stardist/extras/Hela_qp2/project.qpproj"
    assert (first.entry_id, first.name) == ("1", "Edu+_RFP+_(3).tif")
    assert first.randomized_name == "9eee80f4-0f71-4275-a3f2-cadf4f00301f"
    assert first.builder.provider == "qupath.imagej.images.servers.ImageJServerBuilder"
    assert first.thumbnail is not None
    counts = [entry.summary().by_type for entry in (first, second)]
    assert counts == [{"Annotations": 19}, {"Annotations": 32}]
    assert [c.name for c in project.classes][:3] == ["Tumor", "Stroma", "Immune cells"]
    assert project.classes[0].rgb == (200, 0, 0)
    with project.open_image(first, open_slide) as reader:
        assert (reader.info.height, reader.info.width, reader.info.n_channels) == (512, 512, 3)


def test_reading_changes_no_byte_and_no_time(projects, tmp_path):
    before = folder_hash(projects)
    for file in projects.rglob("project.qpproj"):
        project = open_project(file)
        project_status(project)
        snapshot = Snapshot.of(project)
        snapshot.save(tmp_path / "snapshot.json")
        assert changes_since(snapshot, project).changed == ()
    assert folder_hash(projects) == before


def test_fields_of_an_entry(tmp_path):
    make_project(
        tmp_path,
        [
            image(
                7,
                leaf("file:/a.tif", "--series", "2"),
                imageName="Ä [1]",
                description="note",
                metadata={"Stain": "H&E", "round": "3"},
                tags=["done", "todo"],
            ),
            {"serverBuilder": leaf("file:/b.tif"), "entryID": 9},
        ],
        version="0.7.0",
    )
    full, bare = open_project(tmp_path).entries
    assert (full.entry_id, full.name, full.description) == ("7", "Ä [1]", "note")
    assert (dict(full.metadata), full.tags) == (
        {"Stain": "H&E", "round": "3"},
        ("done", "todo"),
    )
    assert (bare.name, bare.description, bare.tags, dict(bare.metadata)) == ("Image 9", "", (), {})
    assert full.folder == tmp_path / "data" / "7"
    assert full.server_file() is None
    assert open_project(tmp_path).images() == [
        ImageEntry("7", "Ä [1]", "file:/a.tif"),
        ImageEntry("9", "Image 9", "file:/b.tif"),
    ]


def test_server_file_is_read(tmp_path):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"))])
    save_data(tmp_path, 1)
    words = {"builder": leaf("file:/b.tif"), "metadata": {}}
    (tmp_path / "data" / "1" / "server.json").write_text(json.dumps(words))
    assert open_project(tmp_path).entry("1").server_file().uris == ("file:/b.tif",)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param({"pathClasses": []}, [], id="none"),
        pytest.param({}, [], id="no list"),
        pytest.param(
            {"pathClasses": [{"name": "Tumor: Positive", "color": -377282}, {"name": "x"}]},
            [("Tumor: Positive", (250, 62, 62)), ("x", None)],
            id="derived, and one without a colour",
        ),
        pytest.param(
            {"pathClasses": [{"name": "Unclassified", "color": 1}, {"color": 1}]},
            [],
            id="QuPath's words for no class",
        ),
    ],
)
def test_classes(tmp_path, words, expected):
    make_project(tmp_path)
    assert open_project(tmp_path).classes == ClassScheme()
    (tmp_path / "classifiers").mkdir()
    (tmp_path / "classifiers" / "classes.json").write_text(json.dumps(words))
    found = [(c.name, c.rgb) for c in open_project(tmp_path).classes]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert all(rgb in (None, mine) for (_, rgb), (_, mine) in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        pytest.param(["study.qpproj"], "study.qpproj", id="another name"),
        pytest.param(["a.qpproj", "project.qpproj"], "project.qpproj", id="the usual name"),
        pytest.param(["a.qpproj", "b.qpproj"], None, id="two"),
        pytest.param([], None, id="none"),
    ],
)
def test_a_folder_names_its_project(tmp_path, names, chosen):
    file = make_project(tmp_path / "made")
    (tmp_path / "p").mkdir()
    for name in names:
        (tmp_path / "p" / name).write_bytes(file.read_bytes())
    if chosen is None:
        with pytest.raises(BridgeError, match=r"Name one|holds no QuPath project"):
            open_project(tmp_path / "p")
    else:
        assert open_project(tmp_path / "p").file.name == chosen


@pytest.mark.parametrize("version", ["0.2.0", "0.3.2", "0.4.4", "0.5.1", "0.6.0", "0.7.0"])
def test_versions(tmp_path, version):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"))], version=version)
    assert open_project(tmp_path).version == version


def test_entry_by_id(tmp_path):
    make_project(tmp_path, [image(i, leaf("file:/a.tif")) for i in (1, 2, 2)])
    project = open_project(tmp_path)
    assert project.entry("1").name == "image 1"
    with pytest.raises(BridgeError, match="no image with the id 5; it has 3 images"):
        project.entry("5")
    with pytest.raises(BridgeError, match="the id 2 to 2 images"):
        project.entry("2")


def test_a_project_starts_no_java_and_imports_no_gui(tmp_path):
    make_project(tmp_path, [image(1, leaf("file:/a.tif"))])
    code = (
        "import sys; from qupath_bridge.project import open_project;"
        "from qupath_bridge.status import project_status;"
        "project_status(open_project(sys.argv[1]));"
        "heavy = {'jpype', 'paquo', 'napari', 'qtpy', 'torch', 'tifffile'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=300)
