"""A round that is annotated in another place as well: what goes there, and what comes back.

The place itself, a QuPath project or a folder that stands for one, is handed in by whoever calls:
this room knows no bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from napari_histo.core import ObjectState, ObjectTable
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_regions import regions_in
from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.errors import ImageError
from napari_histo.learning.project.facts import ProjectImage, image_id
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder
from napari_histo.learning.rounds.work import Gathered, work_file
from napari_histo.store.geojson import read_geojson

__all__ = ["FoundThere", "Places", "Requests", "entries_of", "gathered", "requests"]


class Places(Protocol):
    """The images of the other place."""

    def images(self) -> Sequence[ImageEntry]:
        """All of them."""
        ...

    def shows(self, entry: ImageEntry, file: Path, series: int) -> bool:
        """Whether an entry is image number `series` of a file on this machine."""
        ...


class FoundThere(Protocol):
    """What was read of one image there."""

    @property
    def image(self) -> ImageEntry:
        """By the place's own id."""
        ...

    @property
    def regions(self) -> Sequence[QueriedRegion]:
        """Done or not."""
        ...

    @property
    def examples(self) -> Sequence[CollectedRegion]:
        """Of the done ones."""
        ...


@dataclass(frozen=True, eq=False)
class Requests:
    """What a round asks for in the other place.

    Attributes
    ----------
    asked : mapping of str to (list of QueriedRegion, ObjectTable)
        Regions that nobody has settled here, and the predictions, by the other place's id of their
        image.
    lacking : tuple of str
        Names of images that have regions to annotate and are not there.
    """

    asked: Mapping[str, tuple[list[QueriedRegion], ObjectTable]]
    lacking: tuple[str, ...]


def entries_of(project: LearningProject, place: Places) -> dict[str, ImageEntry]:
    """Images of the other place by their id in the learning project; those that both have.

    The same file is the same image; where files lie elsewhere, or one file is there twice, the name
    tells, and in the end the name without its ending.
    """
    entries = place.images()
    found = {image.id: _entry_of(project, image, place, entries) for image in project.facts.images}
    return {key: entry for key, entry in found.items() if entry is not None}


def requests(project: LearningProject, found: RoundFolder, place: Places) -> Requests:
    """What to publish of a round whose files of work are made.

    Regions that are done or skipped here are left out, so that nobody does them again there.

    Raises
    ------
    ObjectsFileError
        A file of work is damaged.
    """
    entries = entries_of(project, place)
    asked: dict[str, tuple[list[QueriedRegion], ObjectTable]] = {}
    lacking = []
    wanted = {row["id"] for row in found.query["regions"]}
    for image in project.facts.images:
        path = work_file(project, found.number, image.id)
        if not path.exists():
            continue
        table, entry = read_geojson(path), entries.get(image.id)
        there = regions_in(entry or ImageEntry(image.id, image.name, image.path), table)
        waits = [
            region
            for region in there
            if region.status == QueryStatus.TO_ANNOTATE and str(region.region_id) in wanted
        ]
        if waits and entry is None:
            lacking.append(image.name)
        elif waits and entry is not None:
            predicted = table.select(table.state == ObjectState.PREDICTED)
            asked[entry.entry_id] = waits, predicted
    return Requests(asked, tuple(lacking))


def gathered(
    project: LearningProject,
    entries: Mapping[str, ImageEntry],
    found: Iterable[FoundThere],
    name: str,
) -> Gathered:
    """What was done in the other place, for `napari_histo.learning.rounds.steps.collect`.

    Regions of rounds that were given up are left out.

    Parameters
    ----------
    project : LearningProject
    entries : mapping of str to ImageEntry
        As `entries_of` gave them.
    found : iterable of FoundThere
    name : str
        What to call the place.
    """
    keys = {entry.entry_id: key for key, entry in entries.items()}
    given_up = {r.number for r in project.rounds if r.is_abandoned}
    regions: list[QueriedRegion] = []
    examples: dict[str, Sequence[CollectedRegion]] = {}
    for image in found:
        key = keys[image.image.entry_id]
        kept = [r for r in image.regions if r.round_number not in given_up]
        ids = {region.region_id for region in kept}
        regions += [replace(r, image=replace(r.image, entry_id=key)) for r in kept]
        examples[key] = [e for e in image.examples if e.query.region_id in ids]
    return Gathered(regions, examples, name)


def _entry_of(
    project: LearningProject, image: ProjectImage, place: Places, entries: Sequence[ImageEntry]
) -> ImageEntry | None:
    try:
        file = project.image_path(image)
    except ImageError:
        same: list[ImageEntry] = []
    else:
        same = [e for e in entries if place.shows(e, file, image.series)]
    named = [e for e in same or entries if e.name == image.name]
    alike = [e for e in entries if image_id(e.name, ()) == image_id(image.name, ())]
    for candidates in (same, named, () if same else alike):
        if len(candidates) == 1:
            return candidates[0]
    return None
