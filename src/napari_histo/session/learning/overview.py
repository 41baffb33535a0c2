"""What a learning project's files say, for the Active learning panel."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_regions import regions_in
from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.progress.baseline import find_baseline
from napari_histo.learning.progress.points import learned
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.families import composes
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.work import queried_regions, work_file
from napari_histo.learning.training import CurvePoint
from napari_histo.session.learning.state import Curve, Overview, RegionRow, RoundRow
from napari_histo.store.geojson import read_geojson

__all__ = ["files_of", "overview"]


def overview(project: LearningProject) -> Overview:
    """What the files say now.

    Raises
    ------
    LearningError, ObjectsFileError
        The project is damaged.
    """
    rounds = project.kept_rounds
    table = _rounds(project)
    if not rounds:
        return Overview(rounds=table)
    found = rounds[-1]
    trained = [r for r in rounds if r.stage >= Stage.TRAINED]
    decided = [r for r in rounds if r.stage is Stage.DECIDED]
    curve = Curve(measure=project.facts.start.measure)
    if trained:
        curve = _with_points(curve, trained[-1].training["curve"])
    sentence = f"Round {decided[-1].number}: {decided[-1].decision['sentence']}" if decided else ""
    regions = _regions(project, found)
    images = {row.image for row in regions}
    lacks = found.stage is Stage.QUERIED and len(files_of(project, found.number, images)) < len(
        images
    )
    return Overview(
        found.number,
        found.stage,
        regions,
        table,
        curve,
        sentence,
        lacks,
        learned(project),
        find_baseline(project.path),
        composes(project.model(0)),
    )


def _regions(project: LearningProject, found: RoundFolder) -> tuple[RegionRow, ...]:
    rows = {row["id"]: row for row in found.query["regions"]}
    statuses: dict[UUID, QueryStatus] = {}
    for key in {row["image"] for row in rows.values()}:
        path = work_file(project, found.number, key)
        if path.exists():
            there = regions_in(ImageEntry(key, key, ""), read_geojson(path))
            statuses |= {region.region_id: region.status for region in there}
    listed = [
        RegionRow(
            region.region_id,
            region.image.entry_id,
            region.image.name,
            found.number,
            region.rank,
            region.box,
            rows[str(region.region_id)]["split"],
            region.reason,
            statuses.get(region.region_id, QueryStatus.TO_ANNOTATE),
        )
        for region in queried_regions(project, found)
    ]
    return tuple(sorted(listed, key=lambda row: row.rank))


def _rounds(project: LearningProject) -> tuple[RoundRow, ...]:
    current, forgotten = project.current, project.forgotten
    start = RoundRow(
        0,
        project.facts.start.name,
        is_promoted=True,
        is_current=current == 0,
        has_model=True,
        is_decided=True,
    )
    rows = [_round(r, current, r.number in forgotten) for r in project.rounds]
    return (start, *rows)


def _round(found: RoundFolder, current: int, forgotten: bool) -> RoundRow:
    labelled = found.label_rows
    words = found.decision if found.stage is Stage.DECIDED and not found.is_abandoned else {}
    verdict = ""
    if words:
        taken = "taken" if words["promoted"] else "not taken"
        on_request = " on request" if words["forced"] else ""
        verdict = f"{words['verdict']}: {taken}{on_request}"
        if forgotten:
            verdict += "; its labels teach no more"
    return RoundRow(
        found.number,
        found.state,
        len(labelled),
        len(found.query["regions"]),
        sum(row["objects"] for row in labelled),
        words.get("pq_new"),
        words.get("pq_parent"),
        verdict,
        bool(words.get("promoted")),
        found.number == current,
        found.stage >= Stage.TRAINED and not found.is_abandoned,
        bool(words),
    )


def _with_points(curve: Curve, points: Iterable[Mapping[str, Any]]) -> Curve:
    for words in points:
        numbers: dict[str, Any] = {
            key: math.nan if value is None else value for key, value in words.items()
        }
        point = CurvePoint(**numbers)
        if math.isfinite(point.loss):
            curve = curve.with_loss(point.step, point.loss)
        if math.isfinite(point.quality):
            curve = curve.with_quality(point.step, point.quality, point.ap)
    return curve


def files_of(project: LearningProject, number: int, images: Iterable[str]) -> list[Path]:
    """Files of work that are there."""
    paths = [work_file(project, number, key) for key in sorted(set(images))]
    return [path for path in paths if path.exists()]
