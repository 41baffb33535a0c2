"""What the Active learning panel does in threads, and what it reads from a project's files."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Box, CancelToken, Edit, ObjectTable, Progress, SlideReader
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_regions import REGION_CLASSES, regions_in, status_class
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.steps import TrainWish, collect, evaluate, train
from napari_histo.learning.rounds.tools import Tools, real_tools
from napari_histo.learning.rounds.work import queried_regions, work_file
from napari_histo.session.document import Document
from napari_histo.session.jobs import Report
from napari_histo.session.learning_qupath import done_in_qupath
from napari_histo.session.learning_state import Curve, Overview, RegionRow, RoundRow
from napari_histo.session.qupath_desk import save_left_over
from napari_histo.store.geojson import read_geojson

__all__ = [
    "LearningTools",
    "class_name",
    "driven",
    "files_of",
    "mark_in_file",
    "overview",
    "region_pixels",
    "training",
]

Result = TypeVar("Result")
#: Around a region in its small picture, as a share of its side.
_AROUND = 0.15


@dataclass(frozen=True)
class LearningTools:
    """What a session works with; tests put fakes here.

    Attributes
    ----------
    make : callable
        Scoring, models and training; called in a thread, for it loads torch.
    settings : mapping
        Of `StarDistTraining`, those that are not its defaults.
    data_folder : Path or None
        Of journals; the user's by default.
    """

    make: Callable[[], Tools] = real_tools
    settings: Mapping[str, Any] = field(default_factory=dict)
    data_folder: Path | None = None


def driven(work: Generator[Progress, None, Result], report: Report) -> Result:
    """Run to the end, telling each step; in a thread."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        report(step)


# -- looking -------------------------------------------------------------------------------------


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
    curve = _curve(trained[-1]) if trained else Curve()
    sentence = f"Round {decided[-1].number}: {decided[-1].decision['sentence']}" if decided else ""
    regions = _regions(project, found)
    images = {row.image for row in regions}
    lacks = found.stage is Stage.QUERIED and len(files_of(project, found.number, images)) < len(
        images
    )
    return Overview(found.number, found.stage, regions, table, curve, sentence, lacks)


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
    start = RoundRow(0, project.facts.start.name, is_promoted=True, is_current=current == 0)
    rows = [_round(r, current, r.number in forgotten) for r in project.rounds]
    return (start, *rows)


def _round(found: RoundFolder, current: int, forgotten: bool) -> RoundRow:
    labelled = found.label_rows
    words = found.decision if found.stage is Stage.DECIDED and not found.is_abandoned else {}
    verdict = ""
    if words:
        taken = "taken" if words["promoted"] else "not taken"
        verdict = f"{words['verdict']}: {taken}"
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
    )


def _curve(found: RoundFolder) -> Curve:
    curve = Curve()
    for point in found.training["curve"]:
        loss, pq = _number(point.get("loss")), _number(point.get("pq"))
        if math.isfinite(loss):
            curve = curve.with_loss(int(point["step"]), loss)
        if math.isfinite(pq):
            curve = curve.with_quality(int(point["step"]), pq, _number(point.get("ap")))
    return curve


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def region_pixels(reader: SlideReader, box: Box, side: int) -> NDArray[np.uint8]:
    """A region with a little around it, as a picture (h, w, 3) of at least `side` px if it can."""
    wide = box.pad(round(_AROUND * max(box.width, box.height)))
    level = reader.info.best_level(max(wide.width, wide.height) / side)
    factor = reader.info.level_downsamples[level]
    edges = (wide.x, wide.y, wide.right, wide.bottom)
    found = reader.read(Box.from_edges(*(round(e / factor) for e in edges)), level)
    if reader.info.is_rgb and found.dtype == np.uint8:
        return np.ascontiguousarray(found[..., :3])
    first = found[..., 0].astype(np.float32)
    low, high = np.percentile(first, (1, 99.8))
    grey = np.clip((first - low) / max(high - low, 1e-9) * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


# -- marking -------------------------------------------------------------------------------------


def mark_in_file(
    file: Path, statuses: Mapping[UUID, QueryStatus], data_folder: Path | None = None
) -> None:
    """Give regions other classes in a file of work that no panel has open.

    What an earlier session left unsaved comes into the file as well.

    Raises
    ------
    LearningError
        The file does not hold such a region.
    DocumentLockedError
        The file is open in another window.
    ObjectsFileError, WriteError
    """
    with Document.open(file, file.stem, data_folder=data_folder) as document:
        table = document.table
        known = set(table.uuids())
        lost = [i for i in statuses if i not in known]
        if lost:
            raise LearningError(
                f"{file} does not hold the region {lost[0]} any more. Undo its deletion, or delete "
                "the file and choose New round: it is made again."
            )
        classes = table.classes.union(REGION_CLASSES)
        rows = table.rows_of(list(statuses))
        before = table.select(rows)
        ids = [classes.index(status_class(status)) for status in statuses.values()]
        after = before.with_columns(classes=classes, class_id=np.array(ids, np.int32))
        schemes = None if classes == table.classes else (table.classes, classes)
        document.append(Edit("Relabel", before, after, schemes))
        class_id = table.class_id.copy()
        class_id[rows] = ids
        document.save(table.with_columns(classes=classes, class_id=class_id))


def files_of(project: LearningProject, number: int, images: Iterable[str]) -> list[Path]:
    """Files of work that are there."""
    paths = [work_file(project, number, key) for key in sorted(set(images))]
    return [path for path in paths if path.exists()]


# -- training ------------------------------------------------------------------------------------


def training(
    project: LearningProject,
    tools: LearningTools,
    cancel: CancelToken,
    *,
    partial: bool,
    save: Callable[[], None] | None,
) -> Generator[Progress, None, RoundFolder]:
    """Collect, train and judge, from where the round in work stands.

    Parameters
    ----------
    project, tools, cancel
    partial : bool
        Go on though regions wait; they are not asked for again.
    save : callable or None
        Brings what the Annotate panel holds into its file.

    Raises
    ------
    HistoError
        Of any step; what is sealed stays, and the same call goes on.
    """
    found = project.open_round
    if found is None:
        raise LearningError("No round is in work. Begin one with New round.")
    if found.stage is Stage.QUERIED:
        yield Progress(0, 0, "Collecting what was annotated")
        if save is not None:
            save()
        for file in files_of(project, found.number, [r["image"] for r in found.query["regions"]]):
            save_left_over(file, file.stem, tools.data_folder)
        elsewhere = yield from done_in_qupath(project, cancel)
        collect(project, elsewhere, partial=partial)
    yield Progress(0, 0, "Loading the model")
    made = tools.make()
    cancel.raise_if_cancelled()
    if found.stage is Stage.LABELLED:
        yield from train(project, TrainWish(tools.settings), made, cancel)
    return (yield from evaluate(project, made, cancel))


def class_name(table: ObjectTable) -> str | None:
    """Of the only row of a table; None where there is none."""
    return table.class_names[0] if len(table) else None
