"""A round that is annotated in another place as well: what goes there, and what comes back.

The place itself, a QuPath project or a folder that stands for one, is handed in by whoever calls:
this room knows no bridge.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from napari_histo.core import CancelToken, ObjectState, ObjectTable, Progress
from napari_histo.core.bridge import ImageEntry
from napari_histo.core.round_regions import regions_in
from napari_histo.core.rounds import CollectedRegion, QueriedRegion, QueryStatus
from napari_histo.errors import Cancelled, HistoError, ImageError, LearningError
from napari_histo.learning.project.facts import ProjectImage, image_id
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import RoundFolder, Stage
from napari_histo.learning.rounds.work import Gathered, work_file
from napari_histo.store.geojson import read_geojson

__all__ = ["GatheredThere", "Place", "PublishedThere", "gathering", "publishing"]

_NAME = "QuPath"
Request = tuple[Sequence[QueriedRegion], ObjectTable]


class Outcome(Protocol):
    """What was done to the images of a place: `done`, and `failed` with an image and a message."""

    @property
    def done(self) -> Sequence[Any]: ...

    @property
    def failed(self) -> Sequence[Any]: ...

    @property
    def notes(self) -> Sequence[str]: ...


class Place(Protocol):
    """A QuPath project or what stands for it: `qupath_bridge.rounds_place.RoundsPlace`."""

    def images(self, *, with_objects: bool = False) -> Sequence[ImageEntry]:
        """All images, or those that hold something."""
        ...

    def shows(self, entry: ImageEntry, file: Path, series: int) -> bool:
        """Whether an entry is image number `series` of a file on this machine."""
        ...

    def publishing(
        self, asked: Mapping[str, Request], *, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, Outcome]:
        """Put regions and predictions, by the image's id, into the place."""
        ...

    def collecting(
        self, entries: Sequence[ImageEntry], *, cancel: CancelToken | None = None
    ) -> Generator[Progress, None, Outcome]:
        """Read regions and what was done in them."""
        ...

    def n_waiting(self) -> int:
        """Objects that wait until QuPath takes them."""
        ...


OpenPlace = Callable[[Path], Place]


@dataclass(frozen=True, eq=False)
class _Requests:
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


@dataclass(frozen=True, eq=False)
class PublishedThere:
    """What of a round is in the other place now.

    Attributes
    ----------
    place : Place
    images : sequence
        `qupath_bridge.rounds.Published`, one an image.
    lacking : tuple of str
        Names of images that have regions to annotate and are not there.
    notes : tuple of str
        What somebody should know.
    """

    place: Any
    images: Sequence[Any]
    lacking: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GatheredThere:
    """What was done in the other place, and what somebody should know, a sentence or two each."""

    gathered: Gathered
    notes: tuple[str, ...]


def publishing(
    project: LearningProject,
    found: RoundFolder,
    path: Path,
    open_place: OpenPlace,
    cancel: CancelToken | None = None,
) -> Generator[Progress, None, PublishedThere]:
    """Put a round's regions and predictions into the other place.

    Repeated, it changes nothing; what was drawn there is never touched. Regions that are done or
    skipped here are not asked for there.

    Parameters
    ----------
    project : LearningProject
    found : RoundFolder
        Its files of work are made.
    path : Path
        Of the other place.
    open_place : callable
        `qupath_bridge.rounds_place.open_rounds`.
    cancel : CancelToken, optional

    Raises
    ------
    LearningError
        It could not be done for all images. The round stays chosen, and the same call goes on.
    Cancelled
    """
    try:
        place = open_place(path)
        wanted = _requests(project, found, place)
        outcome = yield from place.publishing(wanted.asked, cancel=cancel)
        _check(outcome)
    except Cancelled:
        raise
    except HistoError as error:
        raise LearningError(
            f"Round {found.number} is chosen and lies in {project.work_path(found.number)}, but "
            f"not all of it is in QuPath ({path}). {error} Put this right and choose again: the "
            f"same regions are published then. {_other_ways('query', project)}"
        ) from error
    project.log(f"round {found.number}: published to {path.name}")
    return PublishedThere(place, outcome.done, wanted.lacking, tuple(outcome.notes))


def _other_ways(step: str, project: LearningProject) -> str:
    """The link of a project changes on the command line alone; a panel's user is told so too."""
    return (
        f"Or say where the QuPath project is now: napari-histo learn {step} {project.path} "
        "--qupath PROJECT; --no-qupath leaves it out."
    )


def gathering(
    project: LearningProject, path: Path, open_place: OpenPlace, cancel: CancelToken | None = None
) -> Generator[Progress, None, GatheredThere | None]:
    """What was done in the other place; None where no round waits for it.

    Parameters
    ----------
    project, path, open_place, cancel
        As of `publishing`.

    Raises
    ------
    LearningError
        Something there cannot be read: to go on without it could lose somebody's work.
    Cancelled
    """
    work = project.open_round
    if work is None or work.stage is not Stage.QUERIED:
        return None
    try:
        place = open_place(path)
        entries = _entries(project, place)
        ids = {entry.entry_id for entry in entries.values()}
        wanted = [e for e in place.images(with_objects=True) if e.entry_id in ids]
        outcome = yield from place.collecting(wanted, cancel=cancel)
        _check(outcome)
        n_waiting = place.n_waiting()
    except Cancelled:
        raise
    except HistoError as error:
        raise LearningError(
            f"Nothing was collected, for what was done in QuPath ({path}) cannot be read. {error} "
            f"Put this right and collect again. {_other_ways('collect', project)}"
        ) from error
    notes = list(outcome.notes)
    if n_waiting:
        notes.append(
            f"{n_waiting} objects wait until QuPath takes them. Run its script 'napari-histo 2 "
            "import', and '1 export' when the regions are done."
        )
    return GatheredThere(_gathered(project, entries, outcome.done), tuple(notes))


def _check(outcome: Outcome) -> None:
    if outcome.failed:
        raise LearningError(" ".join(f"{f.image.name}: {f.message}" for f in outcome.failed))


# -- which image is which ------------------------------------------------------------------------


def _entries(project: LearningProject, place: Place) -> dict[str, ImageEntry]:
    """Images of the other place by their id in the learning project; those that both have.

    The same file is the same image; where files lie elsewhere, or one file is there twice, the name
    tells, and in the end the name without its ending.
    """
    entries = place.images()
    found = {image.id: _entry_of(project, image, place, entries) for image in project.facts.images}
    return {key: entry for key, entry in found.items() if entry is not None}


def _requests(project: LearningProject, found: RoundFolder, place: Place) -> _Requests:
    """What to publish of a round: regions that wait here, with predictions that nobody touched."""
    entries = _entries(project, place)
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
    return _Requests(asked, tuple(lacking))


def _gathered(
    project: LearningProject, entries: Mapping[str, ImageEntry], found: Iterable[Any]
) -> Gathered:
    """What was read there, by the image's id here; regions of rounds given up are left out."""
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
    return Gathered(regions, examples, _NAME)


def _entry_of(
    project: LearningProject, image: ProjectImage, place: Place, entries: Sequence[ImageEntry]
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
