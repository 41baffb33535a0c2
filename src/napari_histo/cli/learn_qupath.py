"""A learning project in step with a QuPath project: what a round puts there, and brings back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histo.cli._console import cancel_on_interrupt, drive, err, out
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage
from napari_histo.learning.project.places import link_qupath, linked_qupath
from napari_histo.learning.project.qupath import images_of_qupath, is_qupath

if TYPE_CHECKING:
    from napari_histo.learning.rounds.elsewhere import PublishedThere
    from napari_histo.learning.rounds.folder import RoundFolder
    from napari_histo.learning.rounds.work import Gathered

__all__ = [
    "gather_qupath",
    "link_images",
    "publish_round",
    "qupath_images",
    "tell_published",
]


# -- images --------------------------------------------------------------------------------------


def qupath_images(path: Path, project: LearningProject | None = None) -> list[NewImage]:
    """See `images_of_qupath`; what is left out is told."""
    from qupath_bridge.project import open_project

    found, notes = images_of_qupath(open_project(path), project)
    for note in notes:
        err.print(f"Note: {note}", markup=False)
    return found


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
