"""Exchange through files: the bridge's contract, what waits, what QuPath refused, and damage."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_histo.core import CancelToken, ClassScheme, Contours, ObjectTable, new_ids, result_of
from napari_histo.errors import BridgeError, Cancelled, TargetChangedError, WriteError
from napari_histo.testing.project_bridge import ProjectBridgeConformance
from qupath_bridge.exchange import ExchangeBridge, is_exchange
from support.disks import mounted, needs_root_on_linux
from support.exchange import StandIn, without


class TestConformance(ProjectBridgeConformance):
    @pytest.fixture
    def bridge(self, tmp_path):
        return ExchangeBridge(StandIn(tmp_path / "exchange", "one.tif", "two.tif").folder)

    def again(self, bridge):
        return ExchangeBridge(bridge.manifest.folder)


class TestConformanceOnceQuPathTookIt(ProjectBridgeConformance):
    @pytest.fixture
    def bridge(self, tmp_path):
        self.qupath = StandIn(tmp_path / "exchange", "one.tif", "two.tif")
        return ExchangeBridge(self.qupath.folder)

    def again(self, bridge):
        assert self.qupath.take() == []
        for entry in bridge.images():
            assert ExchangeBridge(bridge.manifest.folder).n_waiting(entry) == 0
        return ExchangeBridge(bridge.manifest.folder)


def squares(n, at=0):
    ring = np.array([[0, 0], [10, 0], [10, 10], [0, 10]]) + [[[30 * i, at]] for i in range(n)]
    contours = Contours.from_star(ring.astype(np.float32).reshape(n, 4, 2))
    classes = ClassScheme.of("Tumor", "Stroma", "Necrosis")
    return ObjectTable.build(contours, object_id=new_ids(n), class_id=0, classes=classes)


def contents(folder):
    """Bytes of all files."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def classed(table, row, name):
    class_id = table.class_id.copy()
    class_id[row] = table.classes.names.index(name)
    return table.with_columns(class_id=class_id)


def class_of(table, key):
    return table.class_names[table.rows_of([key])[0]]


@pytest.fixture
def qupath(tmp_path):
    made = StandIn(tmp_path / "exchange", "one.tif", "two.tif", classes=("Tumor", "Stroma"))
    made.tables["1"] = squares(4)
    made.export()
    return made


@pytest.fixture
def bridge(qupath):
    return ExchangeBridge(qupath.folder)


@pytest.fixture
def entry(bridge):
    return bridge.images()[0]


def push(bridge, entry, table, mark="m", removed=(), **more):
    gone = table.select([]).object_id if not len(removed) else removed
    return result_of(bridge.pushing(entry, table, gone, mark=mark, **more))


def marks(bridge, entry):
    return result_of(bridge.marks(entry))


# -- what waits ----------------------------------------------------------------------------------


def test_what_qupath_wrote_is_never_written_here(bridge, qupath, entry):
    before = contents(qupath.folder / "from-qupath"), (bridge.manifest.path).read_bytes()
    push(bridge, entry, classed(qupath.tables["1"], 0, "Stroma").select([0]))
    after = contents(qupath.folder / "from-qupath"), (bridge.manifest.path).read_bytes()
    assert after == before


def test_a_write_waits_until_qupath_has_taken_it(bridge, qupath, entry):
    there = qupath.tables["1"]
    push(bridge, entry, classed(there, 0, "Stroma").select([0]), removed=there.object_id[3:])
    assert bridge.n_waiting(entry) == 2
    assert marks(bridge, entry) == ["m"]
    assert class_of(bridge.read_objects(entry), there.uuid(0)) == "Stroma"
    assert len(bridge.read_objects(entry)) == 3
    qupath.export()  # without having taken it
    assert bridge.n_waiting(entry) == 2
    assert qupath.take() == []
    assert bridge.n_waiting(entry) == 0
    assert len(qupath.tables["1"]) == 3
    assert class_of(qupath.tables["1"], there.uuid(0)) == "Stroma"
    assert marks(bridge, entry) == ["m"]


def test_what_was_taken_may_be_changed_in_qupath_later(bridge, qupath, entry):
    there = qupath.tables["1"]
    push(bridge, entry, classed(there, 0, "Stroma").select([0]))
    qupath.take()
    qupath.tables["1"] = classed(qupath.tables["1"], 0, "Necrosis")
    qupath.export()
    assert class_of(bridge.read_objects(entry), there.uuid(0)) == "Necrosis"
    assert marks(bridge, entry) == ["m"]


def test_taking_twice_changes_nothing(bridge, qupath, entry):
    push(bridge, entry, squares(2, at=50))
    qupath.take()
    before = contents(qupath.folder)
    assert qupath.take() == []
    assert contents(qupath.folder) == before
    assert len(qupath.tables["1"]) == 6


@pytest.mark.parametrize("exports_first", [True, False], ids=["export, import", "import"])
@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_what_qupath_changed_since_the_export_stays(bridge, qupath, entry, exports_first, change):
    there = qupath.tables["1"]
    push(bridge, entry, classed(there, slice(0, 2), "Stroma").select([0, 1]))
    changed = classed(there, 0, "Necrosis") if change == "changed" else without(there, 0)
    qupath.tables["1"] = changed
    if exports_first:
        qupath.export()
        assert bridge.n_waiting(entry) == 1
        assert marks(bridge, entry) == []
    assert qupath.take() == [there.uuid(0)]
    now = bridge.read_objects(entry)
    assert class_of(now, there.uuid(1)) == "Stroma"
    if change == "changed":
        assert class_of(now, there.uuid(0)) == "Necrosis"
    else:
        assert there.uuid(0) not in now.uuids()
    assert marks(bridge, entry) == []
    assert qupath.take() == [there.uuid(0)]  # until it is decided


def test_a_refused_write_stays_known_as_one(bridge, qupath, entry):
    """Another person's later write must not make it look as if all had come in."""
    there = qupath.tables["1"]
    push(bridge, entry, classed(there, slice(0, 2), "Stroma").select([0, 1]), mark="first")
    qupath.tables["1"] = classed(there, 0, "Necrosis")
    qupath.export()
    push(bridge, entry, classed(there, 2, "Stroma").select([2]), mark="second")
    assert marks(bridge, entry) == ["second"]
    assert qupath.take() == []
    assert marks(bridge, entry) == ["second"]
    assert [class_of(qupath.tables["1"], there.uuid(i)) for i in range(3)] == [
        "Necrosis",
        "Stroma",
        "Stroma",
    ]


def test_a_later_write_takes_the_place_of_one_that_waits(bridge, qupath, entry):
    there = qupath.tables["1"]
    push(bridge, entry, classed(there, 0, "Stroma").select([0]), mark="first")
    push(bridge, entry, there.select([0]), mark="second")  # as it was
    assert bridge.n_waiting(entry) == 0
    assert marks(bridge, entry) == ["second", "first"]
    push(bridge, entry, there.select([]), mark="third", removed=there.object_id[:1])
    assert qupath.take() == []
    assert len(qupath.tables["1"]) == 3


def test_many_writes_leave_a_bounded_file(bridge, qupath, entry):
    there = qupath.tables["1"]
    for i in range(40):
        push(bridge, entry, classed(there, 0, ["Tumor", "Stroma"][i % 2]).select([0]), mark=str(i))
    assert len(marks(bridge, entry)) <= 20
    assert marks(bridge, entry)[0] == "39"
    assert bridge.n_waiting(entry) == 1


def test_colours_are_the_projects(bridge, qupath, entry):
    blue = squares(1)
    blue = blue.with_columns(classes=ClassScheme((type(blue.classes[0])("Tumor", (0, 0, 255)),)))
    push(bridge, entry, blue)
    assert bridge.read_objects(entry).classes[0].rgb == qupath.classes[0].rgb


# -- who else writes -----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["QuPath", "another of us"])
def test_whoever_wrote_meanwhile_is_seen(bridge, qupath, entry, who):
    expected = bridge.facts(entry)
    if who == "QuPath":
        qupath.tables["1"] = without(qupath.tables["1"], 0)
        qupath.export()
    else:
        push(bridge, entry, squares(1, at=90))
    before = contents(qupath.folder)
    with pytest.raises(TargetChangedError, match="Sync again"):
        push(bridge, entry, squares(1), expected=expected)
    assert contents(qupath.folder) == before


def test_an_image_that_is_gone_in_qupath(bridge, qupath, entry):
    del qupath.names["1"]
    qupath.export()
    assert [e.name for e in bridge.images()] == ["two.tif"]
    with pytest.raises(BridgeError, match="removed in QuPath"):
        bridge.read_objects(entry)


def test_an_image_that_could_not_be_exported_is_named(bridge, qupath, entry):
    words = json.loads(bridge.manifest.path.read_text())
    words["images"][0] |= {"file": None, "problem": "its data file is damaged"}
    bridge.manifest.path.write_text(json.dumps(words))
    with pytest.raises(BridgeError, match=r"one\.tif.*data file is damaged"):
        bridge.read_objects(entry)
    assert len(bridge.read_objects(bridge.images()[1])) == 0


def test_cancelled_before_anything_is_written(bridge, qupath, entry):
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        push(bridge, entry, squares(1), cancel=cancel)
    assert not (qupath.folder / "to-qupath").exists()
    assert len(bridge.read_objects(entry)) == 4


# -- damage --------------------------------------------------------------------------------------


def test_a_folder_is_told_from_a_project(tmp_path, qupath):
    assert is_exchange(qupath.folder)
    assert is_exchange(qupath.folder / "exchange.json")
    assert not is_exchange(tmp_path)


MANIFESTS = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "is empty"),
    "cut short": (lambda raw: raw[:-30], "cut short"),
    "another program's": (b'{"format": "other 3"}', "other 3"),
    "a list": (b"[]", "list"),
    "no images": (lambda raw: raw.replace(b'"images"', b'"pictures"'), "images"),
    "a file elsewhere": (lambda raw: raw.replace(b"from-qupath/1", b"../../1"), "no file of image"),
    "a strange id": (lambda raw: raw.replace(b'"id": "1"', b'"id": "../1"'), "no id"),
    "an id twice": (lambda raw: raw.replace(b'"id": "2"', b'"id": "1"'), "export"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_damaged_list_of_images(qupath, case):
    content, said = MANIFESTS[case]
    path = qupath.folder / "exchange.json"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
    with pytest.raises(BridgeError, match=said):
        ExchangeBridge(qupath.folder)


FILES = {
    "missing": None,
    "empty": b"",
    "cut short in a feature": lambda raw: raw[: len(raw) // 2],
    "cut short after a feature": lambda raw: raw.rstrip()[:-2],
    "another program's": b'{"type": "FeatureCollection", "features": []}',
    "of another image": lambda raw: raw.replace(b'"image": "1"', b'"image": "2"'),
    "of another project": lambda raw: raw.replace(b"1700000000000", b"1600000000000"),
    "zeros": lambda raw: raw[:900] + bytes(200) + raw[1100:],
}


DAMAGED = [
    pytest.param(side, case, id=f"{case}, {side}")
    for case in FILES
    for side in ("from-qupath", "to-qupath")
    if (side, case) != ("to-qupath", "missing")  # nothing waits then
]


@pytest.mark.parametrize(("side", "case"), DAMAGED)
def test_a_damaged_file_is_neither_read_nor_written_to(bridge, qupath, entry, side, case):
    push(bridge, entry, squares(3, at=50))
    path = qupath.folder / side / "1.geojson"
    content = FILES[case]
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()) if callable(content) else content)
    before = contents(qupath.folder)
    with pytest.raises(BridgeError, match=r"1\.geojson"):
        bridge.read_objects(entry)
    with pytest.raises(BridgeError, match=r"1\.geojson"):
        push(bridge, entry, squares(1))
    assert contents(qupath.folder) == before


def test_an_export_of_fewer_fingerprints_than_objects(bridge, qupath, entry):
    path = qupath.folder / "from-qupath" / "1.geojson"
    head, _, rest = path.read_text().partition("\n")
    lines = rest.split("\n")
    path.write_text("\n".join([head, *lines[1:]]))
    with pytest.raises(BridgeError, match="4 fingerprints for 3 objects"):
        bridge.read_objects(entry)


def test_a_read_only_folder_is_left_alone(bridge, qupath, entry):
    before = contents(qupath.folder)
    with pytest.raises(WriteError, match="opened for reading"):
        push(ExchangeBridge(qupath.folder, read_only=True), entry, squares(1))
    qupath.folder.chmod(0o555)
    try:
        with pytest.raises(WriteError, match="read-only"):
            push(bridge, entry, squares(1))
        assert len(bridge.read_objects(entry)) == 4
    finally:
        qupath.folder.chmod(0o755)
    assert contents(qupath.folder) == before


@needs_root_on_linux
def test_a_full_disk_leaves_what_there_was(tmp_path):
    with mounted(tmp_path / "small", "size=256k") as disk:
        qupath = StandIn(disk / "exchange", "one.tif", classes=("Tumor",))
        bridge = ExchangeBridge(qupath.folder)
        entry = bridge.images()[0]
        push(bridge, entry, squares(3))
        before = contents(qupath.folder)
        with pytest.raises(WriteError, match="disk is full"):
            push(bridge, entry, squares(2000))
        assert contents(qupath.folder) == before
        assert len(bridge.read_objects(entry)) == 3
