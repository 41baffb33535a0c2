"""Rounds in QuPath's list of images: metadata in the project file, without Java."""

from __future__ import annotations

import json
import threading

import pytest

from napari_histo.core import REGION_CLASSES, RoundFacts
from napari_histo.errors import BridgeError, DocumentLockedError, TargetChangedError, WriteError
from qupath_bridge import project_file
from qupath_bridge._class_file import DEFAULT_CLASSES
from qupath_bridge.project import open_project
from qupath_bridge.project_file import set_metadata
from qupath_bridge.rounds_list import round_of, show_rounds
from qupath_bridge.safety import project_lock
from qupath_bridge.status import project_status
from support.qupath_projects import folder_hash, image, leaf, make_project

FACTS = RoundFacts(round_number=3, n_to_annotate=1, n_done=2, n_skipped=0, n_objects=40)
SAID = {
    "Round": "3",
    "Round status": "in work",
    "Regions to annotate": "1",
    "Regions done": "2",
    "Objects annotated": "40",
}


@pytest.fixture
def project(tmp_path):
    """Two images, one with metadata and members of a QuPath that is newer than all we know."""
    images = [image(i, leaf(f"file:/slides/{i}.svs")) for i in (1, 2)]
    images[0] |= {"metadata": {"Patient": "7"}, "tags": ["a"], "madeUp": {"x": [1.5, None]}}
    return open_project(make_project(tmp_path / "p", images))


def again(project):
    return open_project(project.file)


def metadata(project, entry_id="1"):
    return dict(again(project).entry(entry_id).metadata)


def test_metadata_are_added_and_all_else_stays_to_the_byte(project):
    before = json.loads(project.file.read_text())
    assert show_rounds(project, {"1": FACTS}).changed == ("1",)
    after = json.loads(project.file.read_text())
    assert after["images"][0].pop("metadata") == {"Patient": "7", **SAID}
    assert before["images"][0].pop("metadata") == {"Patient": "7"}
    assert after == before


def test_qupaths_own_text_is_kept_line_by_line(data_dir, tmp_path):
    """Real project files of 0.2, 0.3 and 0.6: but the lines of one image are different."""
    files = sorted((data_dir / "qupath" / "projects").glob("**/project.qpproj"))
    if not files:
        pytest.skip(f"no projects in {data_dir}")
    for i, real in enumerate(files):
        copy = tmp_path / str(i) / "project.qpproj"
        copy.parent.mkdir()
        copy.write_bytes(real.read_bytes())
        project = open_project(copy)
        first = project.entries[0].entry_id
        set_metadata(project, {first: {"Round": "3"}})
        set_metadata(open_project(copy), {first: {"Round": None}})
        lines = real.read_text().splitlines()
        assert [line for line in copy.read_text().splitlines() if line not in lines] == []


def test_the_same_again_touches_no_file(project):
    show_rounds(project, {"1": FACTS, "2": FACTS})
    before = project.file.stat().st_mtime_ns, project.file.read_bytes()
    change = show_rounds(again(project), {"1": FACTS, "2": FACTS})
    assert (change.changed, change.overwritten, change.has_new_classes) == ((), (), False)
    assert (project.file.stat().st_mtime_ns, project.file.read_bytes()) == before


def test_what_qupath_saved_over_is_noticed_and_written_again(project):
    """QuPath with the project open writes what it read, and its list of classes, with each save."""
    opened = project.file.read_bytes()
    assert show_rounds(project, {"1": FACTS}).has_new_classes
    project.file.write_bytes(opened)
    (project.folder / "classifiers" / "classes.json").write_text(
        '{"pathClasses": [{"name": "Tumor", "color": -3670016}]}'
    )
    change = show_rounds(again(project), {"1": FACTS})
    assert (change.changed, change.overwritten, change.has_new_classes) == (("1",), ("1",), True)
    assert metadata(project) == {"Patient": "7", **SAID}
    assert again(project).classes.names == ("Tumor", *REGION_CLASSES.names)


def test_progress_is_no_overwriting(project):
    show_rounds(project, {"1": FACTS})
    done = RoundFacts(3, 0, 3, 0, 60)
    assert show_rounds(again(project), {"1": done}).overwritten == ()
    assert metadata(project)["Round status"] == "done"


def test_regions_that_vanished_are_told_once(project):
    """QuPath had the image open while they were published, and saved it since."""
    opened = project.file.read_bytes()
    show_rounds(project, {"1": FACTS})
    project.file.write_bytes(opened)
    nothing = {"1": RoundFacts(0, 0, 0, 0, 0)}
    vanished = [show_rounds(again(project), nothing).vanished for _ in range(2)]
    assert vanished == [("1",), ()]
    show_rounds(project, {"1": FACTS})
    fewer = RoundFacts(3, 0, 1, 1, 40)
    assert show_rounds(again(project), {"1": fewer}).vanished == ("1",)
    assert show_rounds(again(project), {"1": fewer}).vanished == ()
    none = RoundFacts(0, 0, 0, 0, 0)
    assert show_rounds(again(project), {"1": none, "2": none}).vanished == ("1",)
    assert show_rounds(again(project), {"1": none, "2": none}).vanished == ()


def test_an_image_without_regions_loses_our_words_only(project):
    none = RoundFacts(0, 0, 0, 0, 0)
    set_metadata(project, {"2": {"Round": "a person's own"}})
    show_rounds(again(project), {"1": FACTS, "2": none})
    show_rounds(again(project), {"1": none, "2": none})
    assert metadata(project) == {"Patient": "7"}
    assert metadata(project, "2") == {"Round": "a person's own"}


def test_classes_come_after_those_that_qupath_shows_without_a_list(project):
    show_rounds(project, {"1": FACTS})
    names = (*DEFAULT_CLASSES.names, *REGION_CLASSES.names)
    assert again(project).classes.names == names


def test_a_copy_of_the_project_file_is_kept(project):
    first = project.file.read_bytes()
    for i in range(8):
        set_metadata(again(project), {"1": {"k": str(i)}})
    kept = sorted((project.folder / "napari-histo" / "before" / "project").iterdir())
    assert len(kept) == 5
    assert first not in [k.read_bytes() for k in kept]
    assert json.loads(kept[-1].read_text())["images"][0]["metadata"]["k"] == "6"


def test_a_save_by_qupath_meanwhile_is_kept(project, monkeypatch):
    """At the last moment, when our new file stands beside the old one."""
    saved = project.file.read_text().replace("slides", "moved")

    def keep(*_):
        project.file.write_text(saved)

    monkeypatch.setattr(project_file, "keep_project_file", keep)
    with pytest.raises(TargetChangedError, match="meanwhile"):
        set_metadata(project, {"1": {"k": "v"}})
    assert project.file.read_text() == saved
    assert not list(project.folder.glob(".napari-histo-*"))


def test_a_read_only_project_is_not_touched(project):
    project.file.chmod(0o444)
    before = folder_hash(project.folder)
    with pytest.raises(WriteError, match="read-only"):
        show_rounds(project, {"1": FACTS})
    assert folder_hash(project.folder) == before


def test_an_image_that_is_gone_is_named(project):
    with pytest.raises(BridgeError, match="id 9"):
        set_metadata(project, {"9": {"k": "v"}})


def test_one_writer_at_a_time(project):
    said = []

    def other():
        try:
            set_metadata(project, {"1": {"k": "v"}})
        except DocumentLockedError as error:
            said.append(str(error))

    with project_lock(project.folder):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said


def test_status_shows_rounds(project):
    assert round_of(project.entry("1")) is None
    show_rounds(project, {"1": FACTS})
    assert [i["round"] for i in project_status(again(project))["images"]] == [SAID, None]
