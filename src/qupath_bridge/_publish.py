# SPDX-License-Identifier: GPL-3.0-or-later
"""What publishing the regions of a round changes in an image: pure, and decided before any write.

Nothing that is in the project is changed but one thing: the status of a region that still waits
there and is done or skipped here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import (
    REGION_CLASSES,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    QueriedRegion,
    QueryStatus,
    regions_as_table,
    regions_in,
)
from napari_histo.core.contours import GeometryKind
from napari_histo.core.predicted_areas import outline_words
from napari_histo.core.round_examples import (
    MODEL,
    PREDICTED_CLASS,
    PREDICTED_OUTLINE,
    overlapping,
)
from napari_histo.core.round_regions import ROUND, region_rows, status_class
from napari_histo.errors import BridgeError
from qupath_bridge._align import is_in

__all__ = ["PublishPlan", "plan_publish"]

_UNNAMED = "unnamed model"
#: What is larger than a prediction by this is no object that the prediction would double.
_AREA_RATIO = 5.0
_PREDICTED_TYPES = (ObjectType.DETECTION, ObjectType.CELL)


@dataclass(frozen=True, eq=False)
class PublishPlan:
    """What to write, and why not the rest.

    Attributes
    ----------
    upserts : ObjectTable
        Whole rows to write: new regions, their predictions, regions with a new status.
    new : tuple of QueriedRegion
        Regions that the project lacks.
    known : tuple of QueriedRegion
        Regions that it has; whatever was done to them there stays.
    restated : tuple of QueriedRegion
        Those of the known that are done or skipped here and still wait there.
    blocked : tuple of QueriedRegion
        Regions whose id belongs to something else there; left alone.
    n_predictions, n_left_out : int
        Predictions to write, and those left out because the project has an object there.
    """

    upserts: ObjectTable
    new: tuple[QueriedRegion, ...]
    known: tuple[QueriedRegion, ...]
    restated: tuple[QueriedRegion, ...]
    blocked: tuple[QueriedRegion, ...]
    n_predictions: int
    n_left_out: int


def plan_publish(
    current: ObjectTable,
    regions: Sequence[QueriedRegion],
    predictions: ObjectTable | None = None,
    *,
    model: str = "",
) -> PublishPlan:
    """Decide what to write to one image.

    Predictions come with a new region only: of one that is there already, a person may have deleted
    some. They become detections, or cells where they have a nucleus; areas of tissue stay
    annotations, as what is painted is, and say what they were.

    Parameters
    ----------
    current : ObjectTable
        What the project holds.
    regions : sequence of QueriedRegion
        Of this image.
    predictions : ObjectTable, optional
        Of the whole image or of parts; those whose centroid lies in a new region are used.
    model : str
        Who predicted; by default the source of each object.

    Raises
    ------
    BridgeError
        Two regions have one id.
    """
    _check_ids(regions)
    if not regions:
        return PublishPlan(current.select([]), (), (), (), (), 0, 0)
    there = {r.region_id: r for r in regions_in(regions[0].image, current)}
    is_taken = is_in(regions_as_table(regions).object_id, current.object_id)
    new = [r for r, taken in zip(regions, is_taken, strict=True) if not taken]
    known = [r for r in regions if r.region_id in there]
    restated = [r for r in known if _is_news(r, there[r.region_id])]
    new, tables, n_left_out = _with_predictions(new, predictions, current, model)
    changed = _restated(current, restated)
    return PublishPlan(
        upserts=ObjectTable.concat([changed, regions_as_table(new), *tables]),
        new=tuple(new),
        known=tuple(known),
        restated=tuple(restated),
        blocked=tuple(
            r for r, taken in zip(regions, is_taken, strict=True) if taken and r not in known
        ),
        n_predictions=sum(map(len, tables)),
        n_left_out=n_left_out,
    )


def _check_ids(regions: Sequence[QueriedRegion]) -> None:
    doubled = [key for key, n in Counter(r.region_id for r in regions).items() if n > 1]
    if doubled:
        raise BridgeError(
            f"{len(doubled)} regions have the id of another ({doubled[0]}, …). Give each its own."
        )


def _is_news(ours: QueriedRegion, theirs: QueriedRegion) -> bool:
    waiting = QueryStatus.TO_ANNOTATE
    return theirs.status == waiting and ours.status != waiting


def _restated(current: ObjectTable, regions: Sequence[QueriedRegion]) -> ObjectTable:
    """The project's own rows with the class of the new status."""
    rows = region_rows(current)
    places = {key: int(rows[i]) for i, key in enumerate(current.select(rows).uuids())}
    picked = current.select([places[r.region_id] for r in regions])
    classes = picked.classes.union(REGION_CLASSES)
    ids = [classes.names.index(status_class(r.status)) for r in regions]
    return picked.with_columns(classes=classes, class_id=np.array(ids, np.int32))


# -- predictions ---------------------------------------------------------------------------------


def _with_predictions(
    regions: Sequence[QueriedRegion],
    predictions: ObjectTable | None,
    current: ObjectTable,
    model: str,
) -> tuple[list[QueriedRegion], list[ObjectTable], int]:
    """Regions with their counts, the predictions of each, and how many were left out."""
    if predictions is None or not len(predictions):
        return list(regions), [], 0
    free = np.isin(predictions.object_type, _PREDICTED_TYPES) | _are_areas(predictions)
    free &= ~is_in(predictions.object_id, current.object_id)
    counted, tables, n_left_out = [], [], 0
    for region in regions:
        rows = np.flatnonzero(free & _inside(predictions, region))
        kept = rows[~_doubles(predictions.select(rows), current, region)]
        free[rows] = False  # a prediction in two regions belongs to the first
        n_left_out += len(rows) - len(kept)
        counted.append(replace(region, n_predictions=len(kept)))
        tables.append(_as_published(predictions.select(kept), region, model))
    return counted, tables, n_left_out


def _are_areas(table: ObjectTable) -> NDArray[np.bool_]:
    """Annotations that a model predicted: areas of tissue."""
    found = np.zeros(len(table), bool)
    found[table.object_type == ObjectType.ANNOTATION] = True
    found &= table.state == ObjectState.PREDICTED
    found[region_rows(table)] = False
    return found


def _inside(table: ObjectTable, region: QueriedRegion) -> NDArray[np.bool_]:
    import shapely

    xy = table.centroids
    return np.asarray(shapely.contains_xy(region.outline, xy[:, 0], xy[:, 1]), bool)


def _doubles(
    predictions: ObjectTable, current: ObjectTable, region: QueriedRegion
) -> NDArray[np.bool_]:
    """Which predictions show what the project has an object for."""
    near = current.select(current.query(region.box))
    is_region = np.zeros(len(near), bool)
    is_region[region_rows(near)] = True
    near = near.select((near.contours.kind == GeometryKind.POLYGON) & ~is_region)
    pairs = overlapping(predictions, near)
    sizes = near.areas_px[pairs[:, 1]] / np.maximum(predictions.areas_px[pairs[:, 0]], 1e-6)
    shows = sizes < _AREA_RATIO
    # An area is doubled by an area alone: by no nucleus in it, and by no outline that says nothing.
    speaks = (near.object_type == ObjectType.ANNOTATION) & (near.class_id >= 0)
    alike = speaks[pairs[:, 1]] & (sizes > 1 / _AREA_RATIO)
    shows &= ~_are_areas(predictions)[pairs[:, 0]] | alike
    found = np.zeros(len(predictions), bool)
    found[pairs[shows, 0]] = True
    return found


def _as_published(table: ObjectTable, region: QueriedRegion, model: str) -> ObjectTable:
    """Children of the region that say which model and round they come from."""
    names, n = table.class_names, len(table)
    are_areas, outlines = _are_areas(table), outline_words(table)
    details = {}
    for row, key in enumerate(table.uuids()):
        source = table.sources[table.source_id[row]] if table.source_id[row] >= 0 else ""
        words: dict[str, Any] = {MODEL: model or source or _UNNAMED}
        if names[row] is not None:
            words[PREDICTED_CLASS] = names[row]
        if are_areas[row]:
            words[PREDICTED_OUTLINE] = outlines[row]
        known = table.details.get(key, Details())
        metadata = {**known.metadata, **words}
        details[key] = replace(known, metadata=metadata, parent_id=region.region_id)
    measured = dict(table.measurements)
    if region.round_number:
        measured[ROUND] = np.full(n, float(region.round_number))
    has_nucleus = np.zeros(n, bool)
    if table.nuclei is not None:
        has_nucleus = np.diff(table.nuclei.object_offsets) > 0
    kind = np.where(has_nucleus, ObjectType.CELL, ObjectType.DETECTION).astype(np.uint8)
    kind[are_areas] = ObjectType.ANNOTATION
    return table.with_columns(
        object_type=kind,
        state=np.full(n, ObjectState.PREDICTED, np.uint8),
        measurements=measured,
        details=details,
    )
