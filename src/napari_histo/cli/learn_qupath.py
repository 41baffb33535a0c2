"""A learning project in step with a QuPath project: what a round puts there, and brings back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.cli._console import cancel_on_interrupt, drive, err, out
from napari_histo.errors import ImageError, LearningError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage
from napari_histo.learning.project.places import link_qupath, linked_qupath

if TYPE_CHECKING:
    from napari_histo.learning.rounds.elsewhere import PublishedThere
    from napari_histo.learning.rounds.folder import RoundFolder
    from napari_histo.learning.rounds.work import Gathered
    from qupath_bridge.project import ProjectEntry

__all__ = [
    "gather_qupath",
    "images_of_qupath",
    "is_qupath",
    "link_images",
    "publish_round",
    "tell_published",
]


# -- images --------------------------------------------------------------------------------------


def is_qupath(path: Path) -> bool:
    """Whether a path names a QuPath project: its file, or the folder that holds one."""
    return path.suffix == ".qpproj" or (path.is_dir() and any(path.glob("*.qpproj")))


def images_of_qupath(path: Path, project: LearningProject | None = None) -> list[NewImage]:
    """Images of a QuPath project, under the names and with the pixel sizes that they have there.

    Parameters
    ----------
    path : Path
    project : LearningProject, optional
        Whose own images are left out.

    Raises
    ------
    BridgeError, ImageError
        The project or an image cannot be read.
    LearningError
        QuPath shows an image turned or cropped: its objects would lie elsewhere here.
    """
    from napari_histo.slides import open_slide
    from qupath_bridge.project import open_project

    there = open_project(path)
    known = set() if project is None else _known(project)
    found: dict[tuple[Path, int], NewImage] = {}
    for entry in there.entries:
        file, series = there.find_image(entry).require(), entry.builder.series
        if (os.path.realpath(file), series) in known:
            continue
        _check_plain(entry)
        there.open_image(entry, open_slide).close()
        size = entry.builder.pixel_size
        image = NewImage(file, name=entry.name, series=series, pixel_size=size)
        first = found.setdefault((file, series), image)
        if first is not image:  # QuPath's "Duplicate image"
            err.print(f"Note: {entry.name} is left out, for it is {first.name}.", markup=False)
    return list(found.values())


def _known(project: LearningProject) -> set[tuple[str, int]]:
    """File and number in it of the images that a project has and that are found."""
    found = set()
    for image in project.facts.images:
        with suppress(ImageError):
            found.add((os.path.realpath(project.image_path(image)), image.series))
    return found


def _check_plain(entry: ProjectEntry) -> None:
    if entry.builder.steps or entry.builder.argument("--rotate"):
        raise LearningError(
            f"QuPath shows the image {entry.name!r} turned or cropped, and learning reads its file "
            "as it is. Export the image from QuPath as OME-TIFF and add that file, or remove the "
            "image from the QuPath project."
        )


def link_images(project: Path, given: Sequence[Path]) -> None:
    """Remember the QuPath project that images were taken from, and say what it is for."""
    found = [path for path in given if is_qupath(path)]
    if not found:
        return
    there = linked_qupath(project)
    if there is None and len(found) == 1:
        link_qupath(project, found[0])
        out.print(
            f"Rounds will be put into {found[0]} too, and collected from there.", markup=False
        )
        return
    goes = f"are put into {there}" if there is not None else "can be put into one of them"
    err.print(
        f"Note: rounds {goes}; choose the QuPath project with napari-histo learn query {project} "
        "--qupath PROJECT.",
        markup=False,
    )


# -- a round -------------------------------------------------------------------------------------


def publish_round(
    project: LearningProject, found: RoundFolder, given: Path | None
) -> dict[str, Any] | None:
    """Put a round into the QuPath project; what was done, or None without such a project.

    Raises
    ------
    LearningError
        As of `napari_histo.learning.rounds.elsewhere.publishing`.
    """
    from napari_histo.learning.rounds.elsewhere import publishing
    from qupath_bridge.rounds_place import open_rounds

    path = given or linked_qupath(project.path)
    if path is None:
        return None
    with cancel_on_interrupt() as cancel:
        there = drive(publishing(project, found, path, open_rounds, cancel), "QuPath")
    _remember(project, given, there.notes)
    return _published_words(there)


def gather_qupath(project: LearningProject, given: Path | None) -> Gathered | None:
    """What was done in the QuPath project; None without one, or where no round waits for it.

    Raises
    ------
    LearningError
        As of `napari_histo.learning.rounds.elsewhere.gathering`.
    """
    from napari_histo.learning.rounds.elsewhere import gathering
    from qupath_bridge.rounds_place import open_rounds

    path = given or linked_qupath(project.path)
    if path is None:
        return None
    with cancel_on_interrupt() as cancel:
        there = drive(gathering(project, path, open_rounds, cancel), "QuPath")
    if there is None:
        return None
    _remember(project, given, there.notes)
    return there.gathered


def _remember(project: LearningProject, given: Path | None, notes: Sequence[str]) -> None:
    if given is not None:
        link_qupath(project.path, given)
    for note in notes:
        err.print(f"Note: {note}", markup=False)


def tell_published(
    words: dict[str, Any], project: LearningProject, found: RoundFolder, to_collect: str
) -> None:
    """What was published, and what to do next."""
    there = f" {words['known']} were there already." if words["known"] else ""
    out.print(
        f"Round {found.number} is in {words['project']}: {words['new']} new regions with "
        f"{words['predictions']} outlines to mend.{there}",
        markup=False,
    )
    if words["left_out"]:
        out.print(
            f"{words['left_out']} outlines were left out: QuPath has an object there.", markup=False
        )
    if words["blocked"]:
        err.print(
            f"Note: {words['blocked']} regions were not published: something else there has "
            "their id.",
            markup=False,
        )
    if words["lacking"]:
        err.print(
            f"Note: not in the QuPath project, and so to be annotated in napari: "
            f"{', '.join(words['lacking'])}.",
            markup=False,
        )
    before, after = "", "save"
    if words["exchange"]:
        before, after = "run the script 'napari-histo 2 import', ", "run '1 export'"
    out.print(
        f"Next, in QuPath: {before}mend what is in the orange rectangles, give each the class "
        f"'Region: done', {after}. Or annotate in napari: {project.work_path(found.number)}. "
        f"Then: {to_collect}",
        markup=False,
    )


def _published_words(there: PublishedThere) -> dict[str, Any]:
    plans = [image.plan for image in there.images]
    return {
        "project": str(there.place.path),
        "exchange": there.place.is_exchange,
        "images": len(plans),
        "new": sum(len(plan.new) for plan in plans),
        "known": sum(len(plan.known) for plan in plans),
        "blocked": sum(len(plan.blocked) for plan in plans),
        "predictions": sum(plan.n_predictions for plan in plans),
        "left_out": sum(plan.n_left_out for plan in plans),
        "lacking": list(there.lacking),
    }
