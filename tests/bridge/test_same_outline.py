"""What QuPath does to an outline is no edit; what a person does is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_histo.core import Contours
from napari_histo.store.geojson import read_geojson, write_geojson
from qupath_bridge._same_outline import same_outlines
from qupath_bridge.sync import merge

RING = [(0, 0), (10, 0), (12, 5), (10, 10), (0, 10)]
HOLES = [[(1, 1), (2, 1), (2, 2)], [(4, 4), (6, 4), (6, 6)]]
PARTS = [shapely.Polygon(RING, HOLES), shapely.box(20, 20, 30, 30), shapely.box(40, 0, 50, 9)]
POINTS = [(1, 1), (5, 5), (9, 2)]
FAR = 100_000.0


def turned(ring, shift=2, step=-1):
    return np.roll(np.array(ring, float), shift, axis=0)[::step]


def moved(ring, by, vertex=1):
    xy = np.array(ring, float)
    xy[vertex] += by
    return shapely.Polygon(xy)


SAME = {
    "another first vertex": (shapely.Polygon(RING), shapely.Polygon(turned(RING, 3, 1))),
    "another direction": (shapely.Polygon(RING), shapely.Polygon(turned(RING))),
    "two decimals": (shapely.Polygon(RING), moved(RING, 0.005)),
    "float32 far out": (moved(np.add(RING, FAR), 0), moved(np.add(RING, FAR), 0.015)),
    "holes in another order": (
        shapely.Polygon(RING, HOLES),
        shapely.Polygon(turned(RING), [turned(h) for h in HOLES[::-1]]),
    ),
    "parts in another order": (shapely.MultiPolygon(PARTS), shapely.MultiPolygon(PARTS[::-1])),
    "points in another order": (shapely.MultiPoint(POINTS), shapely.MultiPoint(POINTS[::-1])),
    "a line from its other end": (shapely.LineString(RING), shapely.LineString(RING[::-1])),
    "a vertex written twice": (shapely.Polygon(RING), shapely.Polygon([RING[0], *RING])),
    "a ring that meets itself": (
        shapely.Polygon([(5, 5), (0, 0), (0, 5), (5, 5), (10, 10), (10, 5)]),
        shapely.Polygon([(5, 5), (10, 10), (10, 5), (5, 5), (0, 0), (0, 5)]),
    ),
}
OTHER = {
    "one vertex by 0.03 px": (shapely.Polygon(RING), moved(RING, 0.03)),
    "a vertex more": (shapely.Polygon(RING), shapely.Polygon([(0, 0), (5, 0), *RING[1:]])),
    "a hole less": (shapely.Polygon(RING, HOLES), shapely.Polygon(RING, HOLES[:1])),
    "a hole in another part": (
        shapely.MultiPolygon([PARTS[1], PARTS[2].difference(shapely.box(44, 4, 45, 5))]),
        shapely.MultiPolygon([PARTS[1].difference(shapely.box(24, 24, 25, 25)), PARTS[2]]),
    ),
    "the same vertices in another sequence": (
        shapely.Polygon(RING),
        shapely.Polygon([RING[i] for i in (0, 2, 1, 3, 4)]),
    ),
    "a line that begins elsewhere": (
        shapely.LineString(RING),
        shapely.LineString([*RING[1:], RING[0]]),
    ),
    "a ring and a line": (shapely.Polygon(RING), shapely.LineString([*RING, RING[0]])),
    "a point twice": (
        shapely.MultiPoint([(1, 1), (1, 1), (5, 5)]),
        shapely.MultiPoint([(1, 1), (5, 5), (5, 5)]),
    ),
    "nothing": (shapely.Polygon(RING), shapely.Polygon()),
}


def same(a, b):
    rows = np.zeros(1, np.int64)
    return same_outlines(Contours.from_shapely([a]), rows, Contours.from_shapely([b]), rows).item()


@pytest.mark.parametrize("case", SAME)
def test_no_edit(case):
    a, b = SAME[case]
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize("case", OTHER)
def test_edit(case):
    a, b = OTHER[case]
    assert not same(a, b)
    assert not same(b, a)


def test_pairs_do_not_disturb_each_other():
    """All cases in one call, in an order of their own."""
    pairs = [*SAME.values(), *OTHER.values()]
    a, b = (Contours.from_shapely([pair[i] for pair in pairs]) for i in (0, 1))
    order = np.random.default_rng(0).permutation(len(pairs))
    assert same_outlines(a, order, b, order).tolist() == [i < len(SAME) for i in order]


def test_real_annotations_are_unchanged_by_a_file(data_dir: Path, tmp_path):
    """QuPath's own exports, written and read again, give a merge without work."""
    files = sorted(data_dir.glob("qupath/geojson/**/*.geojson"))
    if not files:
        pytest.skip(f"no GeoJSON files under {data_dir}")
    for i, file in enumerate(f for f in files if f.stat().st_size < 3_000_000):
        table = read_geojson(file)
        write_geojson(tmp_path / f"{i}.geojson", table)
        back = read_geojson(tmp_path / f"{i}.geojson")
        done = merge(table, table, back)
        assert done.is_noop, file.name
        assert not len(done.changes_theirs), file.name
