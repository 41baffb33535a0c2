"""Regions of a round as rows of a table: annotations with a class of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core.bridge import ImageEntry
from napari_histo.core.classes import ClassDef, ClassScheme
from napari_histo.core.contours import Contours, GeometryKind
from napari_histo.core.objects import Details, ObjectState, ObjectTable, ObjectType
from napari_histo.core.rounds import QueriedRegion, QueryStatus, RoundFacts, Split

__all__ = [
    "RANK",
    "REGION_CLASSES",
    "ROUND",
    "region_facts",
    "region_rows",
    "regions_as_table",
    "regions_in",
    "status_class",
]

#: Measurements, so that QuPath's tables can be sorted by them.
ROUND, RANK, SCORE, N_PREDICTIONS = "Round", "Rank", "Score", "Predictions"
#: Metadata, for they are text.
ANNOTATOR, SPLIT = "Annotator", "Split"
#: Orange, green and grey: unlike any class that QuPath brings.
REGION_CLASSES = ClassScheme(
    (
        ClassDef("Region: to annotate", (255, 128, 0)),
        ClassDef("Region: done", (0, 160, 80)),
        ClassDef("Region: skipped", (128, 128, 128)),
    )
)
_STATUS = {f"region: {status.value}": status for status in QueryStatus}
#: What BIOP's training scripts for QuPath look for.
_SPLITS: dict[str, Split] = {"training": "train", "validation": "validation"}
_KNOWN_SPLITS: dict[str, Split] = {"train": "train", "validation": "validation"}


def status_class(status: QueryStatus) -> str:
    """Name of the class that says it."""
    return f"Region: {status.value}"


def region_rows(table: ObjectTable) -> NDArray[np.int64]:
    """Rows of a table that are regions: annotated areas with one of the classes, ascending."""
    ids = [i for i, name in enumerate(table.classes.names) if _meaning(name) is not None]
    areas = (table.object_type == ObjectType.ANNOTATION) & _is_area(table.contours)
    return np.flatnonzero(areas & np.isin(table.class_id, ids))


def regions_in(image: ImageEntry, table: ObjectTable) -> list[QueriedRegion]:
    """Regions among the objects of an image; ``Training`` and ``Validation`` are done ones."""
    rows = region_rows(table)
    outlines = table.to_shapely(rows)
    return [
        _region(image, table, row, outline)
        for row, outline in zip(rows.tolist(), outlines, strict=True)
    ]


def regions_as_table(regions: Sequence[QueriedRegion]) -> ObjectTable:
    """Regions of one image as locked annotations; their ids are the regions'."""
    columns: dict[str, Any] = {
        ROUND: [r.round_number or np.nan for r in regions],
        RANK: [r.rank or np.nan for r in regions],
        SCORE: [np.nan if r.score is None else r.score for r in regions],
        N_PREDICTIONS: [r.n_predictions or np.nan for r in regions],
    }
    raw = b"".join(r.region_id.bytes for r in regions)
    names = REGION_CLASSES.names
    return ObjectTable.build(
        Contours.from_shapely([r.outline for r in regions]),
        object_id=np.frombuffer(raw, np.uint8).reshape(-1, 16).copy(),
        class_id=np.array([names.index(status_class(r.status)) for r in regions], np.int32),
        classes=REGION_CLASSES,
        state=ObjectState.DRAWN,
        object_type=ObjectType.ANNOTATION,
        measurements={k: np.array(v, np.float64) for k, v in columns.items()},
        details={r.region_id: _details(r) for r in regions},
    )


def region_facts(regions: Sequence[QueriedRegion], n_objects: int = 0) -> RoundFacts:
    """Facts of an image from its regions."""
    counts = Counter(r.status for r in regions)
    return RoundFacts(
        round_number=max((r.round_number for r in regions), default=0),
        n_to_annotate=counts[QueryStatus.TO_ANNOTATE],
        n_done=counts[QueryStatus.DONE],
        n_skipped=counts[QueryStatus.SKIPPED],
        n_objects=n_objects,
    )


def _meaning(name: str) -> tuple[QueryStatus, Split | None] | None:
    word = name.strip().casefold()
    if word in _SPLITS:
        return QueryStatus.DONE, _SPLITS[word]
    return (_STATUS[word], None) if word in _STATUS else None


def _is_area(contours: Contours) -> NDArray[np.bool_]:
    is_area = (contours.kind == GeometryKind.POLYGON) & (np.diff(contours.object_offsets) > 0)
    return np.asarray(is_area, bool)


def _details(region: QueriedRegion) -> Details:
    words = {ANNOTATOR: region.annotator, SPLIT: region.split or ""}
    return Details(
        name=region.name or None,
        description=region.reason or None,
        locked=True,
        metadata={key: value for key, value in words.items() if value},
    )


def _region(image: ImageEntry, table: ObjectTable, row: int, outline: Any) -> QueriedRegion:
    meaning = _meaning(table.classes[int(table.class_id[row])].name)
    assert meaning is not None
    details = table.details_of(row)
    return QueriedRegion(
        region_id=table.uuid(row),
        image=image,
        outline=outline,
        status=meaning[0],
        round_number=_whole(table, ROUND, row),
        rank=_whole(table, RANK, row),
        score=_number(table, SCORE, row),
        reason=details.description or "",
        annotator=details.metadata.get(ANNOTATOR, ""),
        split=meaning[1] or _KNOWN_SPLITS.get(details.metadata.get(SPLIT, "")),
        n_predictions=_whole(table, N_PREDICTIONS, row),
    )


def _number(table: ObjectTable, name: str, row: int) -> float | None:
    values = table.measurements.get(name)
    return None if values is None or np.isnan(values[row]) else float(values[row])


def _whole(table: ObjectTable, name: str, row: int) -> int:
    return round(_number(table, name, row) or 0)
