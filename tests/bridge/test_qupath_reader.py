"""QuPath's own reader understands what we write, and we what QuPath writes.

Needs paquo and a QuPath where paquo finds it (``PAQUO_QUPATH_DIR`` or one of its usual places);
skipped with the reason otherwise. The JVM runs in a child process, once for all files.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
)
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge.locate import find_qupath, searched_places

pytestmark = [pytest.mark.qupath, pytest.mark.slow]

CHILD = Path(__file__).with_name("read_with_qupath.py")
FINE_PX = 0.01
CLASSES = ClassScheme(
    (
        ClassDef.named("Tumor"),
        ClassDef("Lymphocyte", (12, 34, 56)),
        ClassDef("Tumor: Positive", (250, 62, 62)),
        ClassDef("Ignore*", (180, 180, 180)),
        ClassDef('Übergang "µ" 100 %', (1, 2, 3)),
    )
)


@dataclass(frozen=True)
class Seen:
    """What QuPath read from one file, and the file that QuPath wrote of it."""

    objects: list[dict[str, Any]]
    exported: Path
    version: tuple[int, int]
    log: str
    error: str | None

    def keeps_metadata(self, table: ObjectTable) -> np.ndarray:
        """Rows whose metadata QuPath keeps: all since 0.6, annotations alone before."""
        return (table.object_type == ObjectType.ANNOTATION) | (self.version >= (0, 6))

    @property
    def by_id(self) -> dict[str, dict[str, Any]]:
        return {item["id"]: item for item in self.objects}


def run_qupath(paths: list[Path], export: Path) -> dict[str, Seen]:
    install = find_qupath()
    assert install is not None
    export.mkdir()
    answer = subprocess.run(
        [sys.executable, str(CHILD), "--export", str(export), *map(str, paths)],
        env={**os.environ, **install.environment()},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    seen = {}
    for line in answer.stdout.splitlines():
        item = json.loads(line)
        name = Path(item["path"]).name
        seen[name] = Seen(
            item.get("objects", []),
            export / name,
            tuple(int(part) for part in item["qupath_version"].split(".")[:2]),
            log_of(item["path"], answer.stderr),
            item.get("error"),
        )
    return seen


def log_of(path: str, log: str) -> str:
    """What QuPath logged between the mark of this file and the next."""
    after = ("\n" + log).partition(f"\n== {path}\n")[2]
    return ("\n" + after).partition("\n== ")[0]


def outlines() -> list[Any]:
    """One geometry a row of the mixed table, each with a difficulty of its own."""
    ring = shapely.Point(100, 100).buffer(20, quad_segs=8)
    return [
        shapely.Polygon([(1.25, 2.5), (9.13, 3.37), (8.01, 11.99), (2.02, 10.4)]),
        ring - shapely.Point(100, 100).buffer(8),
        shapely.box(200, 10, 240, 50)
        - shapely.MultiPolygon([shapely.box(205, 15, 210, 20), shapely.box(220, 30, 230, 40)]),
        shapely.MultiPolygon([shapely.box(0, 200, 10, 210), ring]),
        shapely.Point(50, 300).buffer(12),
        shapely.box(300, 300, 340, 330),
        shapely.box(0, 400, 512, 912),
        shapely.Point(99_000.5, 88_000.25).buffer(9),
        shapely.LineString([(10, 500), (20, 510.5), (40, 505)]),
        shapely.MultiPoint([(5, 600), (7.5, 610), (9, 620)]),
        shapely.Point(33.5, 44.5),
        shapely.Point(-20, -10).buffer(6),
    ]


DETECTION, ANNOTATION, CELL = ObjectType.DETECTION, ObjectType.ANNOTATION, ObjectType.CELL
TYPES = [
    DETECTION, DETECTION, ANNOTATION, ANNOTATION, CELL, CELL,
    ObjectType.TILE, DETECTION, ANNOTATION, ANNOTATION, ANNOTATION, CELL,
]  # fmt: skip
CLASS_IDS = [0, 1, 2, 3, 4, -1, -1, 0, 1, -1, 0, 1]


def mixed_table() -> ObjectTable:
    """Every object type, class, kind of geometry and detail that the writer knows."""
    shapes = outlines()
    rows = np.arange(len(shapes))
    nuclei = [shapely.Polygon()] * len(shapes)
    nuclei[4] = shapely.Point(51, 301).buffer(4) - shapely.Point(51, 301).buffer(1)
    nuclei[11] = shapely.box(-22, -12, -18, -8)
    table = ObjectTable.build(
        Contours.from_shapely(shapes),
        class_id=CLASS_IDS,
        det_prob=np.where(rows % 2, np.nan, 0.75),
        state=[ObjectState.ACCEPTED if i % 3 else ObjectState.PREDICTED for i in rows],
        object_type=TYPES,
        source="model 1.0",
        classes=CLASSES,
        measurements={
            "Nucleus: Area µm^2": 10.5 * rows,
            "mostly missing": np.where(rows == 3, 1e-12, np.nan),
            "out of bounds": np.where(rows == 5, np.inf, -1.25),
        },
        nuclei=Contours.from_shapely(nuclei),
    )
    details = {
        table.uuid(2): Details(
            name='Core "A" — 50 %\n2nd line', description="seen by two", rgb=(9, 8, 7), locked=True
        ),
        table.uuid(3): Details(metadata={"Stain": "H&E", "Größe": "5 µm"}),
        table.uuid(5): Details(name="a cell", parent_id=table.uuid(2)),
        table.uuid(6): Details(geometry_extra={"plane": {"c": -1, "z": 3, "t": 1}}),
    }
    return table.with_columns(details=details)


def nuclei_table(n: int = 1000) -> ObjectTable:
    """Many plain star-convex nuclei, some beyond 100,000 px."""
    rng = np.random.default_rng(7)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    radius = rng.uniform(4, 12, (n, 32, 1))
    centre = rng.uniform(20, 120_000, (n, 1, 2))
    xy = centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return ObjectTable.build(
        Contours.from_shapely(shapely.polygons(np.round(xy, 2))),
        class_id=rng.integers(0, 2, n),
        classes=CLASSES,
        det_prob=rng.random(n),
        measurements={"Area µm^2": rng.random(n) * 100},
    )


#: As QuPath 0.2, 0.3 and 0.5 would have written them; none of it is ours.
FOREIGN = [
    {
        "type": "Feature",
        "id": "11111111-1111-4111-8111-111111111111",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 1], [8, 9], [0, 0]]]},
        "nucleusGeometry": {"type": "Polygon", "coordinates": [[[3, 2], [6, 2], [5, 5], [3, 2]]]},
        "properties": {
            "objectType": "cell",
            "classification": {"names": ["Stroma", "Negative"], "color": [10, 20, 30]},
            "measurements": {"a": 1.5, "b": "NaN"},
            "isLocked": True,
        },
    },
    {
        "type": "Feature",
        "id": "PathDetectionObject",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 1], [8, 9], [0, 0]]]},
        "properties": {"measurements": [{"name": "a", "value": 2.0}], "isLocked": False},
    },
]


@pytest.fixture(scope="module")
def tables() -> dict[str, ObjectTable]:
    mixed = mixed_table()
    one_bare = Contours.from_shapely([shapely.Polygon(), shapely.box(0, 0, 4, 3)])
    thin = Contours.from_rings([np.array([[5, 5], [9, 5]]), np.array([[1, 1], [7, 1], [7, 6]])])
    return {
        "mixed.geojson": mixed,
        "packed.geojson.gz": mixed,
        "nuclei.geojson": nuclei_table(),
        "empty.geojson": ObjectTable.empty(CLASSES),
        "no_outline.geojson": ObjectTable.build(one_bare),
        "thin.geojson": ObjectTable.build(thin),
    }


@pytest.fixture(scope="module")
def seen(tables, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    if importlib.util.find_spec("paquo") is None:
        pytest.skip("paquo is not installed: pip install 'napari-histo[qupath]'")
    if find_qupath() is None:
        places = ", ".join(map(str, searched_places()))
        pytest.skip(f"no QuPath in {places}; set PAQUO_QUPATH_DIR")
    folder = tmp_path_factory.mktemp("written")
    for name, table in tables.items():
        assert write_geojson(folder / name, table) == len(table)
    (folder / "foreign.json").write_text(json.dumps(FOREIGN))
    with gzip.open(folder / "foreign.json.gz", "wt") as stream:
        json.dump(FOREIGN, stream)
    return run_qupath(sorted(folder.iterdir()), tmp_path_factory.mktemp("qupath") / "export")


def assert_same_shape(ours: Any, hexadecimal: str | None) -> None:
    """Same kind, same holes, and no vertex of one farther than `FINE_PX` from the other."""
    if ours.is_empty:
        assert hexadecimal is None
        return
    theirs = shapely.from_wkb(hexadecimal)
    assert theirs.geom_type == ours.geom_type
    assert holes(theirs) == holes(ours)
    assert shapely.hausdorff_distance(theirs, ours) <= FINE_PX
    assert theirs.area == pytest.approx(ours.area, abs=FINE_PX * ours.length)


def holes(geometry: Any) -> list[int]:
    polygons = [p for p in shapely.get_parts(geometry) if p.geom_type == "Polygon"]
    return sorted(len(p.interiors) for p in polygons)


def test_the_childs_own_words(seen):
    """The child script tells what stands in a file that our writer never touched."""
    cell, detection = seen["foreign.json"].objects
    assert cell["id"] == FOREIGN[0]["id"]
    assert cell["object_type"] == "cell"
    assert cell["classification"] == "Stroma: Negative"
    assert cell["classification_color"] == [10, 20, 30]
    assert cell["locked"] is True
    assert cell["measurements"]["a"] == 1.5
    assert np.isnan(cell["measurements"]["b"])
    assert shapely.from_wkb(cell["geometry"]).area == pytest.approx(36.5)
    assert shapely.from_wkb(cell["nucleus_geometry"]).area == pytest.approx(4.5)
    assert detection["object_type"] == "detection"
    assert detection["measurements"] == {"a": 2.0}
    assert detection["nucleus_geometry"] is None
    assert len(seen["foreign.json.gz"].objects) == 2


def test_nothing_is_refused(seen):
    assert {name: item.error for name, item in seen.items() if item.error} == {}


@pytest.mark.parametrize("name", ["mixed.geojson", "packed.geojson.gz", "nuclei.geojson"])
def test_ids_and_their_order(tables, seen, name):
    assert [item["id"] for item in seen[name].objects] == [str(i) for i in tables[name].uuids()]


@pytest.mark.parametrize("name", ["mixed.geojson", "packed.geojson.gz", "nuclei.geojson"])
def test_geometry_with_holes_and_parts(tables, seen, name):
    for ours, item in zip(tables[name].to_shapely(), seen[name].objects, strict=True):
        assert_same_shape(ours, item["geometry"])


def test_nuclei_of_cells(tables, seen):
    nuclei = tables["mixed.geojson"].nuclei.to_shapely()
    for ours, item in zip(nuclei, seen["mixed.geojson"].objects, strict=True):
        assert_same_shape(ours, item["nucleus_geometry"])


def test_object_types(seen):
    words = [item["object_type"] for item in seen["mixed.geojson"].objects]
    assert words == [kind.name.lower() for kind in TYPES]


@pytest.mark.parametrize("name", ["mixed.geojson", "nuclei.geojson"])
def test_classes_and_their_colours(tables, seen, name):
    table = tables[name]
    for class_id, item in zip(table.class_id, seen[name].objects, strict=True):
        if class_id < 0:
            assert item["classification"] is None
        else:
            assert item["classification"] == table.classes[class_id].name
            assert item["classification_color"] == list(table.classes[class_id].rgb)


@pytest.mark.parametrize("name", ["mixed.geojson", "nuclei.geojson"])
def test_measurements(tables, seen, name):
    table = tables[name]
    columns = {"Detection probability": table.det_prob, **table.measurements}
    for row, item in enumerate(seen[name].objects):
        expected = {key: float(column[row]) for key, column in columns.items()}
        present = {key: value for key, value in expected.items() if not np.isnan(value)}
        assert item["measurements"] == pytest.approx(present, rel=1e-6)


def test_names_colours_locks_and_metadata(tables, seen):
    table, by_id = tables["mixed.geojson"], seen["mixed.geojson"].by_id
    for row in range(len(table)):
        details, item = table.details_of(row), by_id[str(table.uuid(row))]
        assert item["name"] == details.name
        assert item["color"] == (None if details.rgb is None else list(details.rgb))
        assert item["locked"] is details.locked
        assert details.metadata.items() <= item["metadata"].items()
    described = by_id[str(table.uuid(2))]
    assert described["metadata"]["ANNOTATION_DESCRIPTION"] == "seen by two"


def test_plane(tables, seen):
    planes = [item["plane"] for item in seen["mixed.geojson"].objects]
    assert planes[6] == [-1, 3, 1]
    assert planes[:6] == [[-1, 0, 0]] * 6


def test_empty_file(seen):
    assert seen["empty.geojson"].objects == []


def test_rings_without_area_do_not_cost_the_file(seen):
    assert len(seen["thin.geojson"].objects) == 2


def test_object_without_outline_does_not_cost_the_file(seen):
    assert shapely.from_wkb(seen["no_outline.geojson"].objects[-1]["geometry"]).area == 12


@pytest.mark.parametrize("name", ["mixed.geojson", "packed.geojson.gz", "nuclei.geojson"])
def test_we_read_back_what_qupath_writes(tables, seen, name):
    ours, back = tables[name], read_geojson(seen[name].exported)
    rows = back.rows_of(ours.uuids())
    assert len(rows) == len(back) == len(ours)
    back = back.select(rows)
    assert back.class_names.tolist() == ours.class_names.tolist()
    assert back.object_type.tolist() == ours.object_type.tolist()
    kept = seen[name].keeps_metadata(ours)
    assert back.state[kept].tolist() == ours.state[kept].tolist()
    np.testing.assert_allclose(back.det_prob, ours.det_prob, rtol=1e-6)
    for key, column in ours.measurements.items():
        np.testing.assert_allclose(back.measurements[key], column, rtol=1e-6, err_msg=key)
    shapes = zip(ours.to_shapely(), back.to_shapely(), strict=True)
    # twice rounded: by our writer and by QuPath's
    assert max(shapely.hausdorff_distance(a, b) for a, b in shapes) <= 2 * FINE_PX


def test_cells_go_through_qupath_and_napari(tables, seen, tmp_path):
    """Ours to QuPath, its export to napari's reader and writer: ids and both outlines stay."""
    from napari_histo.plugin.readers import objects_reader
    from napari_histo.plugin.writers import write_objects

    ours, exported = tables["mixed.geojson"], seen["mixed.geojson"].exported
    reader = objects_reader(str(exported))
    assert reader is not None
    (path,) = write_objects(str(tmp_path / "again.geojson"), reader(str(exported)))
    cells = ours.select(ours.object_type == ObjectType.CELL)
    back = read_geojson(path)
    back = back.select(back.rows_of(cells.uuids()))
    assert back.uuids() == cells.uuids()
    assert back.object_type.tolist() == cells.object_type.tolist()
    assert back.class_names.tolist() == cells.class_names.tolist()
    assert cells.nuclei is not None
    assert back.nuclei is not None
    for one, other in ((cells.contours, back.contours), (cells.nuclei, back.nuclei)):
        for a, b in zip(one.to_shapely(), other.to_shapely(), strict=True):
            assert a.is_empty == b.is_empty
            assert a.is_empty or shapely.hausdorff_distance(a, b) <= 2 * FINE_PX


def test_details_come_back_from_qupath(tables, seen):
    ours, back = tables["mixed.geojson"], read_geojson(seen["mixed.geojson"].exported)
    for row, kept in enumerate(seen["mixed.geojson"].keeps_metadata(ours)):
        expected, found = ours.details_of(row), back.details.get(ours.uuid(row), Details())
        assert (found.name, found.rgb) == (expected.name, expected.rgb)
        assert found.locked == expected.locked
        if kept:
            assert found.description == expected.description
            assert found.parent_id == expected.parent_id
            assert expected.metadata.items() <= found.metadata.items()


def test_qupath_has_nothing_to_complain_of(seen):
    # QuPath 0.5 warns, with a stack trace, of each detection that has metadata ("mixed").
    quiet = {name: item.log for name, item in seen.items()}
    for name in ("mixed.geojson", "packed.geojson.gz", "foreign.json", "foreign.json.gz"):
        del quiet[name]
    assert {n: log for n, log in quiet.items() if "[WARN" in log or "[ERROR" in log} == {}
