"""The Active learning panel in step with the QuPath project that a learning project is tied to."""

from __future__ import annotations

from collections.abc import Generator

from napari_histo.core import CancelToken, Progress
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.places import linked_qupath
from napari_histo.learning.rounds.elsewhere import gathering, publishing
from napari_histo.learning.rounds.folder import RoundFolder
from napari_histo.learning.rounds.work import Gathered

__all__ = ["done_in_qupath", "put_into_qupath"]


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
