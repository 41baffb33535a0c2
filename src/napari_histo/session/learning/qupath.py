"""The Active learning panel in step with the QuPath project that a learning project is tied to."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from napari_histo.core import CancelToken, Progress
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewImage, NewProject, create_project
from napari_histo.learning.project.places import link_qupath, linked_qupath
from napari_histo.learning.project.qupath import images_of_qupath
from napari_histo.learning.rounds.elsewhere import gathering, publishing
from napari_histo.learning.rounds.folder import RoundFolder
from napari_histo.learning.rounds.work import Gathered

__all__ = ["create_linked", "done_in_qupath", "images_there", "put_into_qupath"]


def images_there(path: Path) -> tuple[list[NewImage], list[str]]:
    """Images of a QuPath project, and what was left out; see `images_of_qupath`."""
    from qupath_bridge.project import open_project

    return images_of_qupath(open_project(path))


def create_linked(path: Path, wanted: NewProject, qupath: Path | None) -> LearningProject:
    """Make a project; its rounds go into a QuPath project too, where there is one."""
    project = create_project(path, wanted)
    if qupath is not None:
        link_qupath(path, qupath)
    return project


def put_into_qupath(
    project: LearningProject, found: RoundFolder, cancel: CancelToken
) -> Generator[Progress, None, None]:
    """Publish a round; nothing is done without a QuPath project.

    Raises
    ------
    LearningError
        The round is chosen all the same, and can be published another time.
    """
    path = linked_qupath(project.path)
    if path is None:
        return
    from qupath_bridge.rounds_place import open_rounds

    yield Progress(0, 0, "Putting the regions into QuPath")
    yield from publishing(project, found, path, open_rounds, cancel)


def done_in_qupath(
    project: LearningProject, cancel: CancelToken
) -> Generator[Progress, None, list[Gathered]]:
    """What to collect of the QuPath project; nothing without one.

    Raises
    ------
    LearningError
        It cannot be read: to go on without it could lose somebody's work.
    """
    path = linked_qupath(project.path)
    if path is None:
        return []
    from qupath_bridge.rounds_place import open_rounds

    yield Progress(0, 0, "Collecting what was annotated in QuPath")
    there = yield from gathering(project, path, open_rounds, cancel)
    return [] if there is None else [there.gathered]
