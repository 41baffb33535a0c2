"""From the objects of an image: what its done regions teach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.box import Box
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.contours import GeometryKind
from napari_histo.core.objects import ObjectState, ObjectTable, ObjectType
from napari_histo.core.round_regions import region_rows, regions_in
from napari_histo.core.rounds import CollectedRegion, Origin, QueriedRegion, QueryStatus

__all__ = ["MODEL", "PREDICTED_CLASS", "PREDICTED_OUTLINE", "collect_regions", "overlapping"]

#: Metadata of a published prediction; an area of tissue has the last one.
MODEL, PREDICTED_CLASS, PREDICTED_OUTLINE = "Model", "Predicted class", "Predicted outline"
#: An annotation that holds more objects than these is an area: tissue or a gland. So is one whose
#: predictions cover little of it: fragments that a drawing mends would cover most of it.
_MOST_DRAWN, _MOST_PREDICTED = 1, 4
_LEAST_COVERED = 0.25
_IGNORE = "Ignore"
#: Not along a diagonal, for edges may be such.
_NUDGE_PX = np.array([1e-6, 0.7e-6])
_OBJECT_TYPES = (ObjectType.DETECTION, ObjectType.ANNOTATION, ObjectType.CELL)
_BY_HAND = (ObjectState.DRAWN, ObjectState.EDITED)

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


def collect_regions(
    image: ImageEntry, table: ObjectTable, regions: Sequence[QueriedRegion] | None = None
) -> list[CollectedRegion]:
    """What the done regions of an image teach.

    A person who declares a region done vouches for all of it. So predictions that were left as they
    were count as accepted; those that are gone, refused, or of a class ``Ignore*``, as no objects;
    and a drawing replaces the predictions beneath it. Points with a class give it to the object
    that they lie in. An ``Ignore*`` area is a part where the person vouches for nothing.

    Parameters
    ----------
    image : ImageEntry
    table : ObjectTable
        All objects of the image, its regions among them.
    regions : sequence of QueriedRegion, optional
        Those that `regions_in` finds, by default; only done ones are looked at.
    """
    found = regions_in(image, table) if regions is None else regions
    rows = _Rows.of(table)
    return [_collect(table, rows, r) for r in found if r.status == QueryStatus.DONE]


def overlapping(one: ObjectTable, other: ObjectTable) -> NDArray[np.int64]:
    """(k, 2) pairs of rows that show the same thing: the centroid of one lies in the other."""
    import shapely

    forth = shapely.STRtree(other.to_shapely()).query(shapely.points(one.centroids), "within")
    back = shapely.STRtree(one.to_shapely()).query(shapely.points(other.centroids), "within")
    return np.unique(np.concatenate([forth.T, back[::-1].T]), axis=0)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of a table by what they are; each ascending.

    Areas of a class ``Ignore*`` are told by annotations; other such areas are `unheard`.
    """

    objects: Rows
    ignored: Rows
    unheard: Rows
    points: Rows

    @classmethod
    def of(cls, table: ObjectTable) -> _Rows:
        has_outline = np.diff(table.contours.object_offsets) > 0
        is_area = (table.contours.kind == GeometryKind.POLYGON) & has_outline
        annotated = table.object_type == ObjectType.ANNOTATION
        ignorable = np.array([c.name.startswith(_IGNORE) for c in table.classes] + [False])
        ignored = ignorable[table.class_id]
        is_region = np.zeros(len(table), bool)
        is_region[region_rows(table)] = True
        fit = is_area & np.isin(table.object_type, _OBJECT_TYPES) & ~is_region
        points = annotated & (table.contours.kind == GeometryKind.POINT) & (table.class_id >= 0)
        return cls(
            objects=np.flatnonzero(fit & ~ignored & (table.state != ObjectState.REJECTED)),
            ignored=np.flatnonzero(fit & ignored & annotated),
            unheard=np.flatnonzero(fit & ignored & ~annotated),
            points=np.flatnonzero(points & ~ignored),
        )


def _collect(table: ObjectTable, rows: _Rows, query: QueriedRegion) -> CollectedRegion:
    hidden = _meeting(table, rows.ignored, query.outline)
    ignored = table.contours.take(hidden)
    meeting = _meeting(table, rows.objects, query.outline)
    near = table.select(meeting)
    n_left = int((_published(near) & _inside(near.centroids, query.outline)).sum())
    is_hand = np.isin(near.state, _BY_HAND)
    is_area = _areas(near, is_hand, query.outline)
    areas, near, is_hand = near.select(is_area), near.select(~is_area), is_hand[~is_area]
    near, is_hand = _without_ignored(near, is_hand, ignored.to_shapely())
    replaced, corrects = _replaced(near, is_hand)
    near, origin = near.select(~replaced), _origins(near, is_hand, corrects)[~replaced]
    near, origin, n_loose = _pointed(near, origin, table, rows.points, query.outline)
    return CollectedRegion(
        query=query,
        objects=near,
        is_owned=_inside(near.centroids, query.outline),
        origin=origin,
        ignored=ignored,
        areas=areas,
        painted=_painted(
            table,
            np.concatenate([meeting, hidden, _meeting(table, rows.unheard, query.outline)]),
        ),
        n_removed=max(0, query.n_predictions - n_left),
        n_loose_points=n_loose,
    )


# -- which rows ----------------------------------------------------------------------------------


def _meeting(table: ObjectTable, rows: Rows, outline: Any) -> Rows:
    """Those of `rows` that share an area with `outline`."""
    import shapely

    left, top, right, bottom = outline.bounds
    box = Box.from_edges(*(int(v) for v in (left - 1, top - 1, right + 2, bottom + 2)))
    near = rows[np.isin(rows, table.query(box))]
    shapes = shapely.make_valid(table.to_shapely(near))
    return near[shapely.area(shapely.intersection(shapes, outline)) > 0]


def _inside(xy: NDArray[np.float64], outline: Any) -> Mask:
    """Of regions side by side one alone holds a point on their edge: that to the right or below."""
    import shapely

    x, y = (xy + _NUDGE_PX).T
    return np.asarray(shapely.contains_xy(outline, x, y), bool)


def _published(table: ObjectTable) -> Mask:
    return _with_word(table, MODEL)


def _with_word(table: ObjectTable, word: str) -> Mask:
    """Rows that have it in their metadata."""
    if not table.details:
        return np.zeros(len(table), bool)
    return np.array([word in table.details_of(i).metadata for i in range(len(table))], bool)


def _areas(near: ObjectTable, is_hand: Mask, outline: Any) -> Mask:
    """Annotations that are no objects: they cover the region, hold several objects, or say so."""
    import shapely

    annotated = np.flatnonzero(near.object_type == ObjectType.ANNOTATION)
    found = _with_word(near, PREDICTED_OUTLINE)
    xy = near.centroids
    for row, shape in zip(annotated, near.to_shapely(annotated), strict=True):
        inside = _inside(xy, shape)
        inside[row] = False
        n_hand, n_other = int((inside & is_hand).sum()), int((inside & ~is_hand).sum())
        covered = near.areas_px[inside & ~is_hand].sum() / max(shape.area, 1e-6)
        is_many = n_hand > _MOST_DRAWN or n_other > _MOST_PREDICTED
        is_thin = n_other > 1 and covered < _LEAST_COVERED
        found[row] |= is_many or is_thin or bool(shapely.covers(shape, outline))
    return found


def _without_ignored(
    near: ObjectTable, is_hand: Mask, ignored: NDArray[np.object_]
) -> tuple[ObjectTable, Mask]:
    """Without objects whose centroid lies in an ignored area."""
    import shapely

    kept = ~_inside(near.centroids, shapely.union_all(ignored))
    return near.select(kept), is_hand[kept]


def _painted(table: ObjectTable, rows: Rows) -> ObjectTable:
    """Those of `rows` that have a class, in their order in the table."""
    said = (table.class_id[rows] >= 0) & (table.state[rows] != ObjectState.REJECTED)
    return table.select(np.sort(rows[said]))


# -- where from ----------------------------------------------------------------------------------


def _replaced(near: ObjectTable, is_hand: Mask) -> tuple[Mask, Mask]:
    """Predictions with a drawing over them, and the drawings that have predictions beneath."""
    hands, others = np.flatnonzero(is_hand), np.flatnonzero(~is_hand)
    pairs = overlapping(near.select(others), near.select(hands))
    replaced, corrects = np.zeros(len(near), bool), np.zeros(len(near), bool)
    replaced[others[pairs[:, 0]]] = True
    corrects[hands[pairs[:, 1]]] = True
    return replaced, corrects


def _origins(near: ObjectTable, is_hand: Mask, corrects: Mask) -> NDArray[np.uint8]:
    origin = np.where(is_hand, Origin.DRAWN, Origin.ACCEPTED).astype(np.uint8)
    names = near.class_names
    for row in np.flatnonzero(_published(near)).tolist():
        changed = names[row] != near.details_of(row).metadata.get(PREDICTED_CLASS)
        if is_hand[row]:
            origin[row] = Origin.CORRECTED
        elif changed:
            origin[row] = Origin.CLASSIFIED
    origin[corrects | (near.state == ObjectState.EDITED)] = Origin.CORRECTED
    return origin


def _pointed(
    near: ObjectTable, origin: NDArray[np.uint8], table: ObjectTable, points: Rows, outline: Any
) -> tuple[ObjectTable, NDArray[np.uint8], int]:
    """Objects with the classes of the points in them, and how many points lie in none."""
    import shapely

    class_id, origin, n_loose = near.class_id.copy(), origin.copy(), 0
    tree = shapely.STRtree(near.to_shapely())
    for row in points.tolist():
        rings = [ring for part in table.contours.parts(row) for ring in part]
        xy = np.concatenate(rings).astype(np.float64)
        dots: Any = shapely.points(xy[_inside(xy, outline)])
        dot, hit = tree.query(dots, "within")
        class_id[hit] = table.class_id[row]
        origin[hit[origin[hit] == Origin.ACCEPTED]] = Origin.CLASSIFIED
        n_loose += len(dots) - len(np.unique(dot))
    return near.with_columns(class_id=class_id), origin, n_loose
