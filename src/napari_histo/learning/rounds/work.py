"""What a round lays out to be annotated, and how it is collected again.

``work/0001/<image>.geojson`` holds the regions of an image as locked annotations of the class
``Region: to annotate``, and the predictions inside as objects to edit. napari's Annotate panel and
QuPath open it. A region is done when its class is ``Region: done``.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from napari_histo.core import (
    Box,
    CancelToken,
    Details,
    ObjectState,
    ObjectTable,
    ObjectType,
    Progress,
    SlideReader,
)
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_examples import MODEL, PREDICTED_CLASS, collect_regions
from napari_histo.core.round_regions import ROUND, regions_as_table, regions_in
from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.errors import LearningError
from napari_histo.learning.project.facts import ProjectImage
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder
from napari_histo.learning.rounds.tools import Pointed, Tools
from napari_histo.store._journal_lines import last_unsaved
from napari_histo.store.geojson import read_geojson, write_geojson
from napari_histo.store.write import make_folder

__all__ = ["Gathered", "gather_work", "queried_regions", "work_file", "write_work"]


@dataclass(frozen=True, eq=False)
class Gathered:
    """What one place of work holds of a round: this folder, or a QuPath project.

    Attributes
    ----------
    regions : sequence of QueriedRegion
        All of them, done or not.
    examples : mapping of str to sequence of CollectedRegion
        Done ones by the image's id in the learning project.
    name : str
        What to call the place, and so whoever worked there without saying who it was.
    """

    regions: Sequence[QueriedRegion]
    examples: Mapping[str, Sequence[CollectedRegion]]
    name: str = ""


def work_file(project: LearningProject, number: int, image: str) -> Path:
    """Where a round's regions of an image are annotated."""
    return project.work_path(number) / f"{image}.geojson"


def queried_regions(project: LearningProject, found: RoundFolder) -> list[QueriedRegion]:
    """Regions of a round's query, as they are published; the image's id is the project's."""
    return [
        QueriedRegion.of_box(
            _entry(project.facts.image(row["image"])),
            Box(*row["box"]),
            region_id=UUID(row["id"]),
            round_number=found.number,
            rank=row["rank"],
            score=row["score"],
            reason=row["reason"],
            split=row["split"],
        )
        for row in found.query["regions"]
    ]


def write_work(
    project: LearningProject, found: RoundFolder, tools: Tools, cancel: CancelToken
) -> Generator[Progress, None, None]:
    """Write the files of a round that are not there yet; those that are belong to the annotator."""
    regions: dict[str, list[QueriedRegion]] = {}
    for region in queried_regions(project, found):
        regions.setdefault(region.image.entry_id, []).append(region)
    lacking = [k for k in regions if not work_file(project, found.number, k).exists()]
    if not lacking:
        return
    make_folder(project.work_path(found.number))
    words = found.query
    number, seed = int(words["model"]["round"]), int(words["asked"]["seed"])
    model, name = _looker(project, number, tools), _name_of(project, number)
    for place, key in enumerate(sorted(lacking)):
        yield Progress(place, len(lacking), f"Outlining what is in the regions of {key}")
        with project.open_image(project.facts.image(key)) as reader:
            tables, asked = [], []
            for region in regions[key]:
                cancel.raise_if_cancelled()
                predicted = _predicted(reader, model, region, (tools, seed, name))
                asked.append(replace(region, n_predictions=len(predicted)))
                tables.append(predicted)
        table = ObjectTable.concat([regions_as_table(asked), *tables])
        table = table.with_columns(classes=table.classes.union(project.facts.classes))
        write_geojson(work_file(project, found.number, key), table)


def gather_work(
    project: LearningProject, folder: Path, name: str = "", open_here: Collection[Path] = ()
) -> Gathered:
    """What lies in a folder of work now: a round's own, or somebody's copy of it.

    Parameters
    ----------
    project : LearningProject
    folder : Path
        With a GeoJSON file for each image that has regions, named by the image's id.
    name : str
        What to call it.
    open_here : collection of Path
        Files whose edits since the last save are known, and not meant.

    Raises
    ------
    ObjectsFileError
        A file is damaged.
    LearningError
        Edits of a file are in the Annotate panel and not saved yet.
    """
    regions: list[QueriedRegion] = []
    examples: dict[str, list[CollectedRegion]] = {}
    for image in project.facts.images:
        path = folder / f"{image.id}.geojson"
        if not path.exists():
            continue
        if path not in open_here:
            _check_saved(path)
        table = read_geojson(path)
        entry = _entry(image)
        there = regions_in(entry, table)
        regions += there
        examples[image.id] = collect_regions(entry, table, there)
    return Gathered(regions, examples, name)


def waiting(asked: Sequence[Mapping[str, Any]], gathered: Iterable[Gathered]) -> list[str]:
    """Ids of queried regions that nobody has done or skipped."""
    settled = {
        str(region.region_id)
        for place in gathered
        for region in place.regions
        if region.status != QueryStatus.TO_ANNOTATE
    }
    return [row["id"] for row in asked if row["id"] not in settled]


def _check_saved(path: Path) -> None:
    """What was drawn and is only in the Annotate panel's journal would be left out unnoticed."""
    unsaved = last_unsaved([path.with_name(f".{path.name}.journal")])
    if unsaved is not None:
        raise LearningError(
            f"{path} has edits of {unsaved['at']} that are not saved. Open it in the Annotate "
            "panel, save, and collect again."
        )


def _looker(project: LearningProject, number: int, tools: Tools) -> Any:
    """The model that outlines what is in a region, as a round had it.

    One that answers clicks outlines what another finds.
    """
    if project.facts.finder is None:
        return tools.load_model(project.model(number))
    return Pointed(tools.load_model(project.looks_with), tools.load_model(project.model(number)))


def _entry(image: ProjectImage) -> ImageEntry:
    return ImageEntry(image.id, image.name, image.path)


def _name_of(project: LearningProject, number: int) -> str:
    return f"{project.facts.name}, round {number}" if number else project.facts.start.name


def _predicted(
    reader: SlideReader, model: Any, region: QueriedRegion, how: tuple[Tools, int, str]
) -> ObjectTable:
    """Predictions in a region, marked as QuPath's side marks them; areas stay annotations."""
    tools, seed, name = how
    table = tools.predict(reader, model, region.box, seed)
    names, n = table.class_names, len(table)
    details = {}
    for row, key in enumerate(table.uuids()):
        words: dict[str, str] = {MODEL: name}
        if names[row] is not None:
            words[PREDICTED_CLASS] = names[row]
        details[key] = Details(metadata=words, parent_id=region.region_id)
    return table.with_columns(
        object_type=np.where(
            table.object_type == ObjectType.ANNOTATION, ObjectType.ANNOTATION, ObjectType.DETECTION
        ).astype(np.uint8),
        state=np.full(n, ObjectState.PREDICTED, np.uint8),
        measurements={**table.measurements, ROUND: np.full(n, float(region.round_number))},
        details=details,
    )
