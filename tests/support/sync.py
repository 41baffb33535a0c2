"""Sides of a sync: tables that were edited, or that went through QuPath, and their comparison."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import shapely
from hypothesis import strategies as st

from napari_histo.core import ClassDef, Contours, Details, GeometryKind, ObjectTable, new_ids
from support.objects import tables


def through_qupath(table: ObjectTable, seed: int = 0) -> ObjectTable:
    """What is no edit: rounding, rings that begin elsewhere and turn round, another order."""
    rng = np.random.default_rng(seed)
    table = table.with_columns(
        contours=_shaken(table.contours, rng),
        nuclei=None if table.nuclei is None else _shaken(table.nuclei, rng),
        measurements={k: _float32(v) for k, v in table.measurements.items()},
    )
    return table.select(rng.permutation(len(table)))


def _float32(values):
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def _shaken(contours: Contours, rng: np.random.Generator) -> Contours:
    """Vertices moved by up to 0.004 px; rings shifted and turned."""
    xy = contours.xy + rng.uniform(-0.004, 0.004, contours.xy.shape)
    owner = contours.vertex_object
    for start, stop in zip(contours.ring_offsets[:-1], contours.ring_offsets[1:], strict=True):
        if contours.kind[owner[start]] == GeometryKind.POLYGON:
            ring = np.roll(xy[start : stop - 1], rng.integers(0, 9), axis=0)
            ring = ring[:: rng.choice([1, -1])]
            xy[start:stop] = np.concatenate([ring, ring[:1]])
    return replace(contours, xy=xy.astype(np.float32))


def edited(table: ObjectTable, seed: int, *, rows=None, parents: bool = True) -> ObjectTable:
    """A table after a person's work on some rows: changed, deleted, added."""
    rng = np.random.default_rng(seed)
    n = len(table)
    rows = np.arange(n) if rows is None else np.asarray(rows, np.int64)
    touch = {
        name: rows[rng.random(len(rows)) < share]
        for name, share in {"class_id": 0.3, "xy": 0.3, "state": 0.2, "details": 0.4}.items()
    }
    columns = {name: getattr(table, name).copy() for name in ("class_id", "state", "det_prob")}
    columns["class_id"][touch["class_id"]] = rng.integers(
        -1, len(table.classes), len(touch["class_id"])
    )
    columns["state"][touch["state"]] = rng.integers(0, 5, len(touch["state"]))
    columns["det_prob"][touch["state"]] = 0.25
    xy = table.contours.xy.copy()
    xy[np.isin(table.contours.vertex_object, touch["xy"])] += rng.choice([1, 2])
    measured = {k: v.copy() for k, v in table.measurements.items()}
    measured["Area"] = measured.get("Area", np.full(n, np.nan))
    measured["Area"][touch["state"]] = rng.choice([1.5, np.nan])
    details = dict(table.details)
    ids = table.uuids()
    for row in touch["details"].tolist():
        details[ids[row]] = _another(details.get(ids[row], Details()), ids, rng, parents)
    table = table.with_columns(
        contours=replace(table.contours, xy=xy), measurements=measured, details=details, **columns
    )
    kept = np.ones(n, bool)
    kept[rows] = rng.random(len(rows)) > 0.2
    table = _lifted(_without_cycles(table), kept).select(kept)
    return ObjectTable.concat([table, _fresh(rng)])


def _another(details: Details, ids: list[UUID], rng, parents: bool) -> Details:
    word = str(rng.integers(0, 3))
    choices = [
        {"name": word},
        {"description": word},
        {"locked": not details.locked},
        {"rgb": (1, 2, int(word))},
        {"metadata": {**details.metadata, "key": word}},
        {"metadata": {}},
        {"geometry_extra": {"plane": {"c": -1, "z": int(word), "t": 0}}},
    ]
    if parents:
        choices += [{"parent_id": ids[rng.integers(0, len(ids))]}] * 3
    return replace(details, **choices[rng.integers(0, len(choices))])


def _without_cycles(table: ObjectTable) -> ObjectTable:
    """Objects that are their own ancestors go to the top, as no program makes such."""
    details = dict(table.details)
    for key in list(details):
        seen, at = set(), key
        while at in details and at not in seen:
            seen.add(at)
            at = details[at].parent_id
        if at in seen:
            details[key] = replace(details[key], parent_id=None)
    return table.with_columns(details=details)


def _lifted(table: ObjectTable, kept) -> ObjectTable:
    """Children of what goes get its parent, as in QuPath."""
    gone = {key for key, stays in zip(table.uuids(), kept, strict=True) if not stays}
    details = dict(table.details)
    for key, found in table.details.items():
        parent = found.parent_id
        while parent in gone:
            parent = table.details.get(parent, Details()).parent_id
        details[key] = replace(found, parent_id=parent)
    return table.with_columns(details=details)


def _fresh(rng) -> ObjectTable:
    n = int(rng.integers(0, 3))
    squares = rng.integers(0, 99, (n, 1, 1)) + np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    new = ClassDef("New", tuple(rng.integers(0, 3, 3).tolist()))
    table = ObjectTable.build(Contours.from_star(squares), object_id=new_ids(n, rng))
    return table.with_columns(classes=replace(table.classes, classes=(new,)))


@st.composite
def three_sides(draw):
    """The last sync, and what both sides made of it."""
    base = _without_cycles(draw(tables()))
    seeds = st.integers(0, 10_000)
    ours, theirs = edited(base, draw(seeds)), edited(base, draw(seeds))
    return base, ours, through_qupath(theirs, draw(seeds))


# -- comparison, without any of the code that it tests ---------------------------------------------


def by_id(table: ObjectTable) -> ObjectTable:
    """Rows in the order of their ids."""
    raw = [key.bytes for key in table.uuids()]
    return table.select(sorted(range(len(raw)), key=raw.__getitem__))


def rows_of(table: ObjectTable) -> dict[UUID, dict[str, object]]:
    """What each object says, apart from its outlines; parents that are not there are none."""
    ids = table.uuids()
    sources = np.array([*table.sources, None], object)[table.source_id]
    out = {}
    for row, key in enumerate(ids):
        details = table.details_of(row)
        measured = {k: float(v[row]) for k, v in table.measurements.items() if v[row] == v[row]}
        out[key] = {
            "class": table.class_names[row],
            "state": int(table.state[row]),
            "type": int(table.object_type[row]),
            "source": sources[row],
            "name": details.name,
            "description": details.description,
            "colour": details.rgb,
            "locked": details.locked,
            "metadata": dict(details.metadata),
            "plane": dict(details.geometry_extra),
            "parent": details.parent_id if details.parent_id in ids else None,
            "measurements": measured,
            "probabilities": [float(table.det_prob[row]), float(table.class_prob[row])],
        }
    return out


def assert_equal_within_rounding(a: ObjectTable, b: ObjectTable, *, but=frozenset()) -> None:
    """The same objects and classes, whatever the order."""
    assert {c.name: c.rgb for c in a.classes} == {c.name: c.rgb for c in b.classes}
    a, b = (by_id(t.select([key not in but for key in t.uuids()])) for t in (a, b))
    assert a.uuids() == b.uuids()
    for one, other in zip(rows_of(a).values(), rows_of(b).values(), strict=True):
        for name in one:
            if name == "measurements":
                assert one[name].keys() == other[name].keys()
                values = [_float32(np.array(list(d[name].values()))) for d in (one, other)]
                np.testing.assert_allclose(*values, rtol=1e-6)
            elif name == "probabilities":
                np.testing.assert_allclose(one[name], other[name], rtol=1e-6)
            else:
                assert one[name] == other[name], name
    _assert_near(a.contours, b.contours)
    _assert_near(*(t.nuclei or Contours.empty(len(t)) for t in (a, b)))


def _assert_near(a: Contours, b: Contours) -> None:
    for one, other in zip(a.to_shapely(), b.to_shapely(), strict=True):
        assert one.geom_type == other.geom_type
        assert one.is_empty == other.is_empty
        if not one.is_empty:
            assert shapely.hausdorff_distance(one, other) < 0.03
