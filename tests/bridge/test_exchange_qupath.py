"""The exchange scripts, run by a real QuPath's classes, and sync around them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from napari_histo.core import Details, ObjectTable, new_ids, result_of
from napari_histo.core.round_regions import REGION_CLASSES
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.testing.project_bridge import CASES, _assert_same
from qupath_bridge.exchange import ExchangeBridge
from qupath_bridge.exchange_scripts import SCRIPTS, install
from qupath_bridge.locate import find_qupath
from qupath_bridge.pair import Pair, carry_out, compare

pytestmark = [pytest.mark.qupath, pytest.mark.slow]

HERE = Path(__file__).parent
EXPORT, IMPORT, *MARKS = SCRIPTS


class Java:
    """One process for all scripts, for a start takes seconds."""

    def __init__(self):
        jars = find_qupath().path / "lib" / "app" / "*"
        words = [shutil.which("java"), "-Xmx1g", "-Djava.awt.headless=true", "-cp", str(jars)]
        words += ["groovy.ui.GroovyMain", str(HERE / "run_scripts.groovy")]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __call__(self, **words):
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        lines = []
        while not (line := self._process.stdout.readline()).startswith("== "):
            assert line, "Java ended"
            lines.append(line)
        assert line == "== 0\n", "".join(lines)
        return "".join(lines)

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=300)


class QuPath:
    """A project whose scripts are run as QuPath runs them."""

    def __init__(self, folder, java):
        self.folder, self._java = folder, java
        self.file = folder / "project.qpproj"

    def __call__(self, script, how="once", before=None):
        """Run a script, given by name or as text; what it printed."""
        path = self.folder / "scripts" / script
        if script not in SCRIPTS:
            path = self.folder / "scripts" / "test.groovy"
            path.write_text(script)
        return self._java(project=str(self.file), how=how, script=str(path), before=before)

    def change(self, code, entry=0, how="once"):
        """Groovy on the hierarchy of an image, which is then saved."""
        self(
            "import qupath.lib.objects.*\nimport qupath.lib.objects.classes.PathClass\n"
            f"def entry = qupath.lib.scripting.QP.getProject().getImageList()[{entry}]\n"
            "def image = entry.readImageData(), hierarchy = image.getHierarchy()\n"
            f"def all = hierarchy.getFlattenedObjectList(null).findAll {{ !it.isRootObject() }}\n"
            f"def byId = {{ id -> all.find {{ it.getID().toString() == id }} }}\n"
            f"{code}\nentry.saveImageData(image)\n",
            how,
        )

    @property
    def bridge(self):
        return ExchangeBridge(self.folder / "exchange")


@pytest.fixture(scope="module")
def java():
    if find_qupath() is None or shutil.which("java") is None:
        pytest.skip("needs QuPath and Java; PAQUO_QUPATH_DIR names QuPath's folder")
    process = Java()
    yield process
    process.close()


@pytest.fixture(scope="module")
def template(made_project, java):
    project = made_project()
    install(project / "scripts")
    QuPath(project, java)(EXPORT)
    return project


@pytest.fixture
def qupath(template, tmp_path, java):
    return QuPath(Path(shutil.copytree(template, tmp_path / "project")), java)


@pytest.fixture
def entry(qupath):
    return qupath.bridge.images()[0]


def everything():
    tables = {name: make() for name, make in CASES.items()}
    noted = detections(2).with_columns(source_id=np.array([0, -1], np.int32), sources=("model 1",))
    noted = noted.with_columns(object_id=new_ids(2))
    details = {noted.uuid(0): Details(metadata={"empty": "", "quote": 'a "b" \\ c'})}
    return {**tables, "sources and odd metadata": noted.with_columns(details=details)}


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sync(qupath, file, policy="ask"):
    bridge = qupath.bridge
    pair = Pair(bridge.images()[0], file, bridge.manifest.path)
    found = result_of(compare(bridge, pair, policy))
    result_of(carry_out(bridge, found))
    return found


def detections(n=5):
    return CASES["many detections"]().select(range(n))


def test_every_kind_of_object_goes_round_and_back(qupath, entry):
    tables = everything()
    qupath.bridge.write_objects(entry, ObjectTable.concat(list(tables.values())))
    assert "222 objects added" in qupath(IMPORT)
    assert qupath.bridge.n_waiting(entry) == 0
    found = qupath.bridge.read_objects(entry)
    for table in tables.values():
        _assert_same(found.select(found.rows_of(table.uuids())), table)
    noted = tables["sources and odd metadata"].uuids()
    sources = [(*found.sources, None)[found.source_id[row]] for row in found.rows_of(noted)]
    assert sources == ["model 1", None]
    written = contents(qupath.folder)
    assert "0 objects added, 0 changed, 0 removed" in qupath(IMPORT)
    qupath(EXPORT)
    assert contents(qupath.folder) == written


def test_what_was_read_and_written_back_is_no_change(qupath, entry):
    qupath.bridge.write_objects(entry, ObjectTable.concat(list(everything().values())))
    qupath(IMPORT)
    found = qupath.bridge.read_objects(entry)
    report = qupath.bridge.write_objects(entry, found)
    assert (report.added, report.changed, report.removed) == (0, 0, 0)


def test_full_circle_with_a_sync(qupath, tmp_path, entry):
    """Both sides work, and end alike, with all ids and with the hierarchy."""
    file = tmp_path / "slide.geojson"
    write_geojson(file, ObjectTable.concat([CASES["nested"](), detections()]))
    sync(qupath, file)
    qupath(IMPORT)
    before = read_geojson(file)
    outer = next(i for i in range(len(before)) if not before.details_of(i).parent_id)
    key = str(outermost(before))
    qupath.change(
        f"byId('{key}').setName('drawn in QuPath')\n"
        "hierarchy.addObject(PathObjects.createAnnotationObject("
        "qupath.lib.roi.ROIs.createEllipseROI(200, 200, 30, 20, "
        "qupath.lib.regions.ImagePlane.getDefaultPlane()), PathClass.fromString('New in QuPath')))"
    )
    class_id = before.class_id.copy()
    class_id[outer] = before.classes.names.index("Mine")
    write_geojson(file, before.with_columns(class_id=class_id))
    qupath(EXPORT)
    found = sync(qupath, file)
    assert len(found.merge.conflicts) == 0
    qupath(IMPORT)
    assert sync(qupath, file).merge.is_noop
    there, here = qupath.bridge.read_objects(entry), read_geojson(file)
    assert sorted(there.uuids()) == sorted(here.uuids())
    assert set(before.uuids()) < set(there.uuids())
    row = there.rows_of([before.uuid(outer)])[0]
    assert there.class_names[row] == "Mine"
    named = there.rows_of([outermost(before)])[0]
    assert there.details_of(named).name == "drawn in QuPath"
    assert "New in QuPath" in there.class_names
    for table in (there, here):
        parents = {k: d.parent_id for k, d in table.details.items() if d.parent_id}
        assert parents == {k: d.parent_id for k, d in before.details.items() if d.parent_id}


def outermost(table):
    """Id of the object that others lie in, and that lies in none."""
    parents = {d.parent_id for d in table.details.values()} - {None}
    return next(p for p in parents if table.details.get(p, Details()).parent_id is None)


@pytest.mark.parametrize("exports", [True, False], ids=["exported before", "imported at once"])
def test_what_qupath_changed_since_the_export_is_not_overwritten(qupath, tmp_path, entry, exports):
    file = tmp_path / "slide.geojson"
    write_geojson(file, detections())
    sync(qupath, file)
    qupath(IMPORT)
    table = read_geojson(file)
    both, ours, gone = table.uuids()[:3]
    write_geojson(file, table.with_columns(class_id=np.zeros(5, np.int32)).select([0, 1, 3, 4]))
    sync(qupath, file)
    qupath.change(f"byId('{both}').setPathClass(PathClass.fromString('Necrosis'))")
    if exports:
        qupath(EXPORT)
    said = qupath(IMPORT)
    assert "1 were changed here too" in said
    assert str(both) in said
    there = qupath.bridge.read_objects(entry)
    assert there.class_names[there.rows_of([both])[0]] == "Necrosis"
    assert there.class_names[there.rows_of([ours])[0]] == table.classes.names[0]
    assert gone not in there.uuids()
    found = sync(qupath, file)
    assert [c.object_id for c in found.merge.conflicts] == [both]
    sync(qupath, file, policy="theirs")
    assert "changed here too" not in qupath(IMPORT)
    here = read_geojson(file)
    assert here.class_names[here.rows_of([both])[0]] == "Necrosis"


def test_run_once_for_each_image_with_save(qupath, entry):
    """``QuPath script --project … --save``: QuPath saves what it read, after the script."""
    second = qupath.bridge.images()[1]
    for one in (entry, second):
        qupath.bridge.write_objects(one, ObjectTable.concat(list(everything().values())))
    said = qupath(IMPORT, "each")
    assert said.count("222 objects added") == 2
    for one in (entry, second):
        assert qupath.bridge.n_waiting(one) == 0
    qupath(EXPORT, "each")
    for one in (entry, second):
        assert len(qupath.bridge.read_objects(one)) == 222


def test_an_image_that_is_open_with_unsaved_work(qupath, entry):
    drawn = (
        "{ image -> image.getHierarchy().addObject(qupath.lib.objects.PathObjects."
        "createAnnotationObject(qupath.lib.roi.ROIs.createRectangleROI(5, 5, 9, 9, "
        "qupath.lib.regions.ImagePlane.getDefaultPlane()))) }"
    )
    qupath(EXPORT, "open", before=drawn)
    assert len(qupath.bridge.read_objects(entry)) == 1
    second = qupath.bridge.images()[1]
    for one in (entry, second):
        qupath.bridge.write_objects(one, detections())
    qupath(IMPORT, "open", before=drawn)
    qupath(EXPORT)
    assert len(qupath.bridge.read_objects(entry)) == 6
    assert len(qupath.bridge.read_objects(second)) == 5


def test_a_damaged_image_is_named_and_the_others_are_done(qupath, entry):
    qupath.bridge.write_objects(entry, detections(200))
    qupath(IMPORT)
    data = qupath.folder / "data" / entry.entry_id / "data.qpdata"
    data.write_bytes(data.read_bytes()[:-3000])
    second = qupath.bridge.images()[1]
    for one in (entry, second):
        qupath.bridge.write_objects(one, CASES["polygon"]())
    before = data.read_bytes()
    for script in (EXPORT, IMPORT):
        said = qupath(script)
        assert "1 images were not done" in said
        assert "slide 0.png: its data file is damaged" in said
    assert data.read_bytes() == before
    assert len(qupath.bridge.read_objects(second)) == 1
    assert qupath.bridge.manifest.images[0].problem


def test_an_image_whose_file_is_gone_is_exported_and_waits(qupath, template, entry):
    """Its objects can be read, but QuPath cannot save them."""
    qupath.bridge.write_objects(entry, detections())
    qupath(IMPORT)
    words = json.loads(qupath.file.read_text())
    words["images"][0]["serverBuilder"]["uri"] = "file:///nowhere/gone.png"
    qupath.file.write_text(json.dumps(words))
    qupath.bridge.write_objects(entry, CASES["polygon"]())
    before = contents(qupath.folder / "data")
    assert "1 images were not done" in qupath(IMPORT)
    assert contents(qupath.folder / "data") == before
    qupath(EXPORT)
    assert qupath.bridge.n_waiting(entry) == 1
    assert len(qupath.bridge.read_objects(entry)) == 6


def test_copies_with_the_same_id_are_told_apart(qupath, entry):
    qupath.bridge.write_objects(entry, CASES["polygon"]())
    qupath(IMPORT)
    qupath.change(
        "def copy = PathObjects.createAnnotationObject(all[0].getROI().translate(50, 50))\n"
        "copy.setID(all[0].getID())\nhierarchy.addObject(copy)"
    )
    qupath(EXPORT)
    first = qupath.bridge.read_objects(entry)
    assert len(set(first.uuids())) == len(first) == 2
    qupath(EXPORT)
    assert qupath.bridge.read_objects(entry).uuids() == first.uuids()
    qupath.bridge.write_objects(entry, detections())
    qupath(IMPORT)
    assert set(first.uuids()) < set(qupath.bridge.read_objects(entry).uuids())


@pytest.mark.parametrize(
    ("script", "item"), list(zip(MARKS, REGION_CLASSES, strict=True)), ids=REGION_CLASSES.names
)
def test_regions_are_marked_by_their_class(qupath, entry, script, item):
    select = (
        "{ image -> def h = image.getHierarchy(); def a = qupath.lib.objects.PathObjects."
        "createAnnotationObject(qupath.lib.roi.ROIs.createRectangleROI(5, 5, 9, 9, "
        "qupath.lib.regions.ImagePlane.getDefaultPlane())); h.addObject(a); "
        "h.getSelectionModel().setSelectedObject(a) }"
    )
    text = (qupath.folder / "scripts" / script).read_text()
    save = "qupath.lib.scripting.QP.with { project.getEntry(image).saveImageData(image) }"
    assert item.name in qupath(f"{text}\n{save}", "open", before=select)
    qupath(EXPORT)
    found = qupath.bridge.read_objects(entry)
    assert [found.classes[i] for i in found.class_id] == [item]


def test_another_projects_folder_is_refused(qupath, template, tmp_path):
    manifest = qupath.folder / "exchange" / "exchange.json"
    words = json.loads(manifest.read_text())
    words["project"]["created_ms"] -= 1
    manifest.write_text(json.dumps(words))
    with pytest.raises(AssertionError, match="belongs to the project"):
        qupath(EXPORT)


def test_the_contract_holds_through_both_scripts_at_once(qupath, entry):
    """Every case in one import, for an import takes seconds; each read back as it was written."""
    table = ObjectTable.concat(list(everything().values()))
    qupath.bridge.write_objects(entry, table)
    qupath(IMPORT)
    fewer = table.select(range(0, len(table), 2))
    kept = {i: d for i, d in fewer.details.items() if d.parent_id is None}
    fewer = fewer.with_columns(details=kept)
    qupath.bridge.write_objects(entry, fewer, "replace")
    waiting = qupath.bridge.read_objects(entry)
    assert " 0 were changed" not in qupath(IMPORT)
    assert sorted(qupath.bridge.read_objects(entry).uuids()) == sorted(fewer.uuids())
    assert sorted(waiting.uuids()) == sorted(fewer.uuids())


@pytest.mark.usefixtures("warm")
def test_export_and_import_of_a_project_itself(qupath, command, tmp_path):
    """By the command line, with QuPath on this computer."""

    def images(*arguments):
        return json.loads(command(*arguments, "--json").out)["images"]

    # QuPath draws the vertices of an ellipse anew, so that its first version differs from the file.
    table = ObjectTable.concat([t for name, t in everything().items() if name != "ellipse"])
    file = tmp_path / "slide 0.geojson"
    write_geojson(file, table)
    assert images("import", qupath.folder, file, "--dry-run")[0]["added"] == len(table)
    assert images("import", qupath.folder, file)[0]["state"] == "written"
    assert images("import", qupath.folder, file)[0]["state"] == "in step"
    made = images("export", qupath.folder, "-o", tmp_path / "made", "--image", "slide 0.png")
    assert [image["n_objects"] for image in made] == [len(table)]
    found = read_geojson(tmp_path / "made" / "slide 0.geojson")
    assert sorted(found.uuids()) == sorted(table.uuids())
