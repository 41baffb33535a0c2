"""The contract of `napari_histo.core.bridge.ProjectBridge`, as tests.

Examples
--------
>>> class TestMyBridge(ProjectBridgeConformance):  # doctest: +SKIP
...     @pytest.fixture
...     def bridge(self, tmp_path):
...         return MyBridge(make_project(tmp_path, images=["one", "two"]))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

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
from napari_histo.core.bridge import ImageEntry, ProjectBridge, WriteReport
from napari_histo.errors import HistoError

__all__ = ["CASES", "ProjectBridgeConformance"]

_SCHEME = ClassScheme(
    (
        ClassDef("Tumor", (200, 0, 0)),
        ClassDef("Tumor: Positive", (250, 62, 62)),
        ClassDef("Mine", (1, 2, 3)),
    )
)
_TOLERANCE_PX = 0.011
_ANNOTATION = {"object_type": ObjectType.ANNOTATION, "state": ObjectState.DRAWN}


def _box(x: float, y: float, width: float, height: float) -> shapely.Polygon:
    return shapely.box(x, y, x + width, y + height)


def _star(x: float, y: float, radius: float) -> shapely.Polygon:
    angles = np.linspace(0, 2 * np.pi, 13)[:-1]
    radii = radius * (1 + 0.3 * np.cos(3 * angles))
    xy = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    return shapely.Polygon(np.round(xy, 2))


def _table(*shapes: Any, **columns: Any) -> ObjectTable:
    return ObjectTable.build(Contours.from_shapely(shapes), classes=_SCHEME, **columns)


def _detailed(table: ObjectTable, **details: Any) -> ObjectTable:
    return table.with_columns(details=dict.fromkeys(table.uuids(), Details(**details)))


def _cell() -> ObjectTable:
    table = _table(_star(70, 70, 20), class_id=[1], object_type=ObjectType.CELL)
    return table.with_columns(nuclei=Contours.from_shapely([_star(70, 70, 8)]))


def _nested() -> ObjectTable:
    shapes = [_box(0, 0, 100, 100), _box(10, 10, 50, 50), _star(30, 30, 8)]
    types = [ObjectType.ANNOTATION, ObjectType.ANNOTATION, ObjectType.DETECTION]
    states = [ObjectState.DRAWN, ObjectState.DRAWN, ObjectState.PREDICTED]
    table = _table(*shapes, object_type=types, state=states, class_id=[0, -1, 2])
    outer, middle, inner = table.uuids()
    parents = {middle: Details(parent_id=outer), inner: Details(parent_id=middle)}
    return table.with_columns(details=parents)


def _measured() -> ObjectTable:
    values = {"Area µm^2": np.array([12.25, np.nan]), "Count": np.array([np.nan, 3.0])}
    prob = {"det_prob": [0.75, 0.5], "class_prob": [0.25, np.nan]}
    return _table(_star(30, 30, 9), _star(90, 30, 9), measurements=values, class_id=[0, 0], **prob)


def _ellipse() -> ObjectTable:
    angles = np.linspace(0, 2 * np.pi, 65)[:-1]
    xy = np.round(np.stack([80 + 30 * np.cos(angles), 60 + 20 * np.sin(angles)], 1), 2)
    table = _table(shapely.Polygon(xy), class_id=[0], **_ANNOTATION)
    return _detailed(table, geometry_extra={"isEllipse": True})


#: Objects of every kind, by name.
CASES: dict[str, Callable[[], ObjectTable]] = {
    "detection": lambda: _table(_star(40, 50, 9.5), class_id=[0]),
    "many detections": lambda: _table(
        *[_star(9 + i, 9, 5) for i in range(200)], class_id=[2] * 200
    ),
    "tile": lambda: _table(_box(0, 0, 64, 64), class_id=[-1], object_type=ObjectType.TILE),
    "cell with nucleus": _cell,
    "polygon": lambda: _table(_star(60, 60, 30), class_id=[0], **_ANNOTATION),
    "polygon with hole": lambda: _table(
        _box(10, 10, 80, 60).difference(_star(50, 40, 9)), class_id=[0], **_ANNOTATION
    ),
    "multipolygon": lambda: _table(
        shapely.union_all([_star(30, 30, 9), _box(60, 10, 30, 30).difference(_box(70, 20, 5, 5))]),
        class_id=[1],
        **_ANNOTATION,
    ),
    "rectangle": lambda: _table(_box(5, 6, 70.5, 30.25), class_id=[-1], **_ANNOTATION),
    "ellipse": _ellipse,
    "line": lambda: _table(shapely.LineString([(3, 4), (50.5, 60)]), class_id=[0], **_ANNOTATION),
    "polyline": lambda: _table(
        shapely.LineString([(3, 4), (50.5, 60), (70, 20)]), class_id=[0], **_ANNOTATION
    ),
    "point": lambda: _table(shapely.Point(12.5, 13.25), class_id=[2], **_ANNOTATION),
    "points": lambda: _table(
        shapely.MultiPoint([(1, 2), (3.5, 4.5), (9, 1)]), class_id=[2], **_ANNOTATION
    ),
    "nested": _nested,
    "derived class and own colour": lambda: _detailed(
        _table(_star(60, 60, 30), class_id=[1], **_ANNOTATION), rgb=(9, 8, 7)
    ),
    "name, description, lock, metadata": lambda: _detailed(
        _table(_star(60, 60, 30), class_id=[0], **_ANNOTATION),
        name="Région µ",
        description="two\nlines",
        locked=True,
        metadata={"round": "3"},
    ),
    "measurements with NaN": _measured,
    "another plane": lambda: _detailed(
        _table(_star(60, 60, 30), class_id=[0], **_ANNOTATION),
        geometry_extra={"plane": {"c": -1, "z": 2, "t": 1}},
    ),
}
every_case = pytest.mark.parametrize("case", CASES)


class ProjectBridgeConformance:
    """Subclass, give the fixture `bridge`, and pytest does the rest."""

    @pytest.fixture
    def bridge(self) -> ProjectBridge:
        """A project of two images or more, named differently, that hold no objects."""
        raise NotImplementedError

    @pytest.fixture
    def entry(self, bridge: ProjectBridge) -> ImageEntry:
        """The image that tests write to."""
        return bridge.images()[0]

    def again(self, bridge: ProjectBridge) -> ProjectBridge:
        """The same project opened anew, where a bridge could remember what it wrote."""
        return bridge

    def test_images_are_listed_once_each(self, bridge: ProjectBridge) -> None:
        entries = bridge.images()
        assert len(entries) >= 2
        assert len({e.entry_id for e in entries}) == len(entries)
        assert all(e.name and e.uri for e in entries)
        assert list(bridge.images()) == list(entries)

    def test_an_image_without_objects_is_an_empty_table(
        self, bridge: ProjectBridge, entry: ImageEntry
    ) -> None:
        assert len(bridge.read_objects(entry)) == 0

    @every_case
    def test_reads_back_what_was_written(
        self, bridge: ProjectBridge, entry: ImageEntry, case: str
    ) -> None:
        table = CASES[case]()
        report = bridge.write_objects(entry, table, "merge")
        assert report == WriteReport(len(table), 0, 0, 0)
        _assert_same(self.again(bridge).read_objects(entry), table)

    @every_case
    def test_writing_what_was_read_changes_nothing(
        self, bridge: ProjectBridge, entry: ImageEntry, case: str
    ) -> None:
        bridge.write_objects(entry, CASES[case](), "merge")
        table = bridge.read_objects(entry)
        for mode in ("merge", "replace"):
            report = bridge.write_objects(entry, table, mode)
            assert report == WriteReport(0, 0, 0, len(table)), mode
        _assert_same(bridge.read_objects(entry), table)

    def test_merge_takes_by_id_and_leaves_the_rest(
        self, bridge: ProjectBridge, entry: ImageEntry
    ) -> None:
        first = _table(*[_star(20 + 30 * i, 20, 9) for i in range(4)], class_id=[0, 0, 1, 2])
        bridge.write_objects(entry, first, "merge")
        changed = first.select([1]).with_columns(class_id=np.array([2], np.int32))
        second = ObjectTable.concat([changed, first.select([3]), CASES["polygon"]()])
        report = bridge.write_objects(entry, second, "merge")
        assert report == WriteReport(added=1, changed=1, removed=0, unchanged=3)
        expected = ObjectTable.concat([first.select([0, 2]), second])
        _assert_same(self.again(bridge).read_objects(entry), expected)

    def test_replace_removes_what_is_not_given(
        self, bridge: ProjectBridge, entry: ImageEntry
    ) -> None:
        first = _table(*[_star(20 + 30 * i, 20, 9) for i in range(4)], class_id=[0, 0, 1, 2])
        bridge.write_objects(entry, first, "merge")
        second = ObjectTable.concat([first.select([0]), CASES["polygon"]()])
        report = bridge.write_objects(entry, second, "replace")
        assert report == WriteReport(added=1, changed=0, removed=3, unchanged=1)
        _assert_same(self.again(bridge).read_objects(entry), second)

    def test_other_images_are_left_alone(self, bridge: ProjectBridge) -> None:
        first, second = bridge.images()[:2]
        bridge.write_objects(second, CASES["points"](), "merge")
        bridge.write_objects(first, CASES["detection"](), "replace")
        assert len(bridge.read_objects(second)) == 1
        assert len(bridge.read_objects(first)) == 1

    def test_an_image_that_is_not_there_is_named(self, bridge: ProjectBridge) -> None:
        stranger = ImageEntry("987654", "no such image", "file:///none.tif")
        with pytest.raises(HistoError, match="987654"):
            bridge.read_objects(stranger)
        with pytest.raises(HistoError, match="987654"):
            bridge.write_objects(stranger, CASES["polygon"](), "merge")

    def test_doubled_ids_are_refused_or_told_apart(
        self, bridge: ProjectBridge, entry: ImageEntry
    ) -> None:
        once = CASES["polygon"]()
        try:
            bridge.write_objects(entry, ObjectTable.concat([once, once]), "merge")
        except HistoError:
            assert len(bridge.read_objects(entry)) == 0
        else:
            ids = bridge.read_objects(entry).uuids()
            assert len(set(ids)) == len(ids)


# -- comparison ----------------------------------------------------------------------------------


def _assert_same(found: ObjectTable, expected: ObjectTable) -> None:
    """The same objects in any order; geometry within rounding."""
    assert sorted(found.uuids()) == sorted(expected.uuids())
    colours = {c.name: c.rgb for c in found.classes}
    for name in {n for n in expected.class_names if n is not None}:
        assert colours[name] == expected.classes[expected.classes.index(name)].rgb, name
    places = {key: row for row, key in enumerate(found.uuids())}
    for row, key in enumerate(expected.uuids()):
        _assert_same_object(found, places[key], expected, row, key)


def _assert_same_object(
    found: ObjectTable, i: int, expected: ObjectTable, j: int, key: UUID
) -> None:
    assert found.class_names[i] == expected.class_names[j], key
    assert found.object_type[i] == expected.object_type[j], key
    assert found.state[i] == expected.state[j], key
    for name in ("det_prob", "class_prob"):
        np.testing.assert_allclose(getattr(found, name)[i], getattr(expected, name)[j], rtol=1e-6)
    mine, theirs = _numbers(found, i), _numbers(expected, j)
    assert mine.keys() == theirs.keys()
    np.testing.assert_allclose(list(mine.values()), [theirs[k] for k in mine], rtol=1e-6)
    details, wanted = found.details_of(i), expected.details_of(j)
    for name in ("name", "description", "rgb", "locked", "parent_id", "metadata"):
        assert getattr(details, name) == getattr(wanted, name), name
    assert details.geometry_extra.get("plane") == wanted.geometry_extra.get("plane")
    is_ellipse = bool(wanted.geometry_extra.get("isEllipse"))
    assert bool(details.geometry_extra.get("isEllipse")) == is_ellipse
    _assert_near(found.to_shapely([i])[0], expected.to_shapely([j])[0], is_ellipse=is_ellipse)
    if expected.nuclei is not None:
        assert found.nuclei is not None
        _assert_near(found.nuclei.to_shapely([i])[0], expected.nuclei.to_shapely([j])[0])


def _numbers(table: ObjectTable, row: int) -> dict[str, float]:
    """Measurements that an object has, in the order of their names."""
    values = {name: float(column[row]) for name, column in sorted(table.measurements.items())}
    return {name: value for name, value in values.items() if value == value}


def _assert_near(found: Any, expected: Any, *, is_ellipse: bool = False) -> None:
    assert found.geom_type == expected.geom_type
    if is_ellipse:  # each program draws its own vertices into the same bounds
        np.testing.assert_allclose(found.bounds, expected.bounds, atol=_TOLERANCE_PX)
        assert found.area == pytest.approx(expected.area, rel=0.01)
        return
    assert shapely.get_num_coordinates(found) == shapely.get_num_coordinates(expected)
    assert shapely.hausdorff_distance(found, expected) <= 2**0.5 * _TOLERANCE_PX
