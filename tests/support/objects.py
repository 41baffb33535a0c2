"""Tables of every kind of object for property tests, and their comparison."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import shapely
from hypothesis import strategies as st

from napari_histo.core import (
    ClassDef,
    ClassScheme,
    Contours,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    new_ids,
)

_COLUMNS = ("object_id", "class_prob", "det_prob", "state", "object_type")
_ARRAYS = ("xy", "ring_offsets", "part_offsets", "object_offsets", "kind")
# Hundredths are what GeoJSON keeps.
hundredths = st.integers(-100_000, 5_000_000).map(lambda v: v / 100)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
rgbs = st.tuples(*[st.integers(0, 255)] * 3)


@st.composite
def polygons(draw):
    """A star around a centre, perhaps with a square hole in its kernel."""
    x, y = draw(hundredths), draw(hundredths)
    radii = np.array(draw(st.lists(st.integers(300, 2000), min_size=3, max_size=12))) / 100
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    ring = np.round([x, y] + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1), 2)
    hole = [(x, y), (x + 0.5, y), (x + 0.5, y + 0.5), (x, y + 0.5)]
    return shapely.Polygon(ring, [np.round(hole, 2)] if draw(st.booleans()) else [])


@st.composite
def geometries(draw):
    """Any geometry that a table holds; None for an empty row."""
    point = st.tuples(hundredths, hundredths)
    line = st.lists(point, min_size=2, max_size=5)
    some = {"min_size": 2, "max_size": 3}
    choices = (
        polygons(),
        st.lists(polygons(), **some).map(shapely.MultiPolygon),
        line.map(shapely.LineString),
        st.lists(line, **some).map(shapely.MultiLineString),
        point.map(shapely.Point),
        st.lists(point, **some).map(shapely.MultiPoint),
        st.none(),
    )
    return draw(st.one_of(*choices))


@st.composite
def details(draw):
    return Details(
        name=draw(st.none() | texts),
        description=draw(st.none() | texts),
        rgb=draw(st.none() | rgbs),
        locked=draw(st.booleans()),
        metadata=draw(st.dictionaries(texts, texts, max_size=2)),
        geometry_extra=draw(st.sampled_from([{}, {"plane": {"c": -1, "z": 2, "t": 0}}])),
        parent_id=draw(st.none() | st.uuids(version=4)),
    )


@st.composite
def tables(draw, min_size=0, max_size=6):
    """A table with something in every column."""
    shapes = draw(st.lists(geometries(), min_size=min_size, max_size=max_size))
    n = len(shapes)
    names = draw(st.lists(texts.filter(lambda t: ": " not in t), max_size=3, unique=True))
    classes = ClassScheme(tuple(ClassDef(name, draw(rgbs)) for name in names))
    sources = tuple(draw(st.lists(texts, max_size=2, unique=True)))

    # Columns by a seed: drawing each value would take most of a test's time.
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    prob = np.array([0, 0.1, 1, np.nan, *rng.random(9)], np.float32)
    numbers = np.array([np.nan, np.inf, -np.inf, 0, -1.5, 1e-300, 2**53 + 1, *rng.random(9)])
    second = draw(st.none() | st.lists(polygons() | st.none(), min_size=n, max_size=n))
    table = ObjectTable.build(
        Contours.from_shapely(shapes),
        object_id=new_ids(n, rng),
        class_id=rng.integers(-1, len(classes), n),
        class_prob=rng.choice(prob, n),
        det_prob=rng.choice(prob, n),
        state=rng.integers(0, len(ObjectState), n),
        object_type=rng.integers(0, ObjectType.ROOT, n),
        source_id=rng.integers(-1, len(sources), n).astype(np.int32),
        classes=classes,
        sources=sources,
        measurements={
            name: rng.choice(numbers, n) for name in draw(st.lists(texts, max_size=2, unique=True))
        },
        nuclei=None if second is None else Contours.from_shapely(second),
    )
    described = draw(st.lists(details(), max_size=min(n, 2)))
    return replace(table, details=dict(zip(table.uuids(), described, strict=False)))


def assert_same_contours(a: Contours, b: Contours) -> None:
    for name in _ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


def assert_same_tables(a: ObjectTable, b: ObjectTable) -> None:
    """Equal in every column; classes and sources by name, columns that are all NaN or empty aside.

    Formats need not keep a measurement that no object has, nor nuclei where there are none.
    """
    assert_same_contours(a.contours, b.contours)
    for name in _COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    assert a.class_names.tolist() == b.class_names.tolist()
    colours = [{c.name: c.rgb for c in t.classes} for t in (a, b)]
    assert colours[0] == colours[1]
    assert _source_names(a) == _source_names(b)
    assert set(_filled(a)) == set(_filled(b))
    for name, values in _filled(a).items():
        np.testing.assert_array_equal(values, b.measurements[name], name)
    assert _meant(a) == _meant(b)
    nuclei = [t.nuclei if t.nuclei is not None else Contours.empty(len(t)) for t in (a, b)]
    assert_same_contours(*nuclei)


def _source_names(table):
    return np.array([*table.sources, None], object)[table.source_id].tolist()


def _filled(table):
    return {k: v for k, v in table.measurements.items() if not np.isnan(v).all()}


def _meant(table: ObjectTable) -> dict[UUID, Details]:
    return {key: d for key, d in table.details.items() if d != Details()}
