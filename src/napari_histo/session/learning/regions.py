"""The regions of a round at hand: shown, marked, and their files kept in step."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from psygnal import Signal

from napari_histo.core import Box, ObjectTable
from napari_histo.core.round_regions import status_class
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import DocumentLockedError, HistoError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.alike import Spot
from napari_histo.learning.rounds.work import work_file
from napari_histo.session.annotate.controller import AnnotationController
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.learning.in_hand import InHand, Turns
from napari_histo.session.learning.overview import files_of, overview
from napari_histo.session.learning.state import LearningState, OpenedRegion, Overview, RegionRow
from napari_histo.session.learning.work import LearningTools
from napari_histo.session.qupath.desk import has_open

__all__ = ["RoundRegions"]

_log = logging.getLogger(__name__)
_STATUSES = {status_class(status): status for status in QueryStatus}


class RoundRegions:
    """What `LearningController` does with regions; see there.

    Parameters
    ----------
    post : Post
    desk : callable
    tools : LearningTools
    """

    region_ready = Signal(object)

    def __init__(
        self, post: Post, desk: Callable[[], AnnotationController | None], tools: LearningTools
    ) -> None:
        self.state = LearningState()
        self._desk, self._tools, self._turns = desk, tools, Turns()
        self._files, self._looks = Lane(post, "regions"), Lane(post, "look at round")
        #: Marks that are not in their file yet, and the region that is to be shown.
        self._marks: dict[UUID, QueryStatus] = {}
        self._wanted: RegionRow | None = None
        self._shown: UUID | None = None
        self._seen: Any = None

    # -- looking ---------------------------------------------------------------------------------

    def _take(self, seen: Overview) -> None:
        """What the files say, but for what this session knows better."""
        rows = [replace(row, status=self._status(row)) for row in seen.regions]
        self.state.overview = replace(seen, regions=tuple(rows))

    def _status(self, row: RegionRow) -> QueryStatus:
        if row.region_id in self._marks:
            return self._marks[row.region_id]
        desk = self._desk_of(row)
        name = None if desk is None else _class_name(desk.objects.get([row.region_id]))
        return _STATUSES.get(name or "", row.status)

    def look(self) -> None:
        """See whether files or the Annotate panel changed; to be called now and then."""
        project, number = self.state.project, self.state.overview.number
        if project is None or self.state.task or self._marks:
            return
        files = files_of(project, number, [r.image for r in self.state.regions])
        desk = self._desk()
        version = None if desk is None else (desk.state.kept.target, desk.objects.version)
        seen = ([_stamp(file) for file in files], version)
        if seen != self._seen:
            self._seen = seen
            work = partial(overview, project)
            self._looks.submit(Job(lambda _: work(), self._take_quietly, self.fail))

    def _take_quietly(self, seen: Overview) -> None:
        if not self.state.task:
            self._take(seen)

    # -- showing and marking ---------------------------------------------------------------------

    def choose(self, region_id: UUID | None) -> None:
        """Let the buttons be about another region."""
        self.state.chosen = region_id

    def open_region(self, region_id: UUID | None) -> None:
        """Show a region with its objects: `region_ready` tells."""
        row = self.state.row(region_id)
        if row is not None:
            self.state.notice = self.state.error = ""
            self.state.chosen, self._wanted, self._shown = row.region_id, row, row.region_id
            self._see_to_files()

    def next_region(self) -> None:
        """Show the next region that waits, by rank; the chosen one where it was not shown yet."""
        rows, chosen = self.state.regions, self.state.chosen_row
        at = rows.index(chosen) if chosen is not None else 0
        at += chosen is not None and chosen.region_id == self._shown
        row = next((r for r in (*rows[at:], *rows[:at]) if r.waits), None)
        if row is not None:
            self.open_region(row.region_id)
        elif rows:
            self.state.notice = "Every region of this round is done or skipped. Now press Train."

    def mark(self, status: QueryStatus) -> None:
        """Say that the chosen region is done, skipped, or to annotate; kept in the round's file."""
        row = self.state.chosen_row
        if row is None or not self._can_mark():
            return
        self._marks[row.region_id] = status
        rows = [replace(r, status=status) if r is row else r for r in self.state.regions]
        self.state.overview = replace(self.state.overview, regions=tuple(rows))
        self._see_to_files()

    def _can_mark(self) -> bool:
        state = self.state
        if state.task:
            state.notice = f"Wait until “{state.task}” is over."
        elif not state.is_annotating:
            state.notice = (
                f"Round {state.overview.number} is collected already; what you change now belongs "
                "to no round."
            )
        else:
            return True
        return False

    def _desk_of(self, row: RegionRow) -> AnnotationController | None:
        """The Annotate panel's session where it has the file of a region open."""
        project, desk = self.state.project, self._desk()
        if project is None or desk is None:
            return None
        return desk if has_open(desk, work_file(project, row.number, row.image)) else None

    def _is_on_desk(self, row: RegionRow) -> bool:
        """Whether the Annotate panel's session has the file of a region open, or will soon."""
        desk = self._desk()
        return desk is not None and (desk.is_opening or self._desk_of(row) is not None)

    def spot(self, image: str, view: Box) -> Spot:
        """What is pointed at: the selected objects of an image, else the middle of a view of it."""
        desk = next((self._desk_of(r) for r in self.state.regions if r.image == image), None)
        if desk is not None and desk.state.selection:
            x, y = desk.objects.get(desk.state.selection).centroids.mean(axis=0).tolist()
        else:
            x, y = view.x + view.width / 2, view.y + view.height / 2
        return Spot(image, x, y)

    def _desk_of_round(self) -> tuple[AnnotationController | None, Path | None]:
        """The Annotate panel's session, and the file of the round that it has open."""
        project = self.state.project
        for row in self.state.regions:
            desk = self._desk_of(row)
            if desk is not None and project is not None:
                return desk, work_file(project, row.number, row.image)
        return None, None

    def _take_in_hand(self) -> InHand | None:
        """What is not in the files of the round yet; None where it cannot be saved, which is told.

        Marks in the file that is open are made there, as the user would by a chip.
        """
        by_file: dict[Path, dict[UUID, QueryStatus]] = {}
        for key, status in list(self._marks.items()):
            row, project = self.state.row(key), self.state.project
            desk = None if row is None else self._desk_of(row)
            if desk is not None:
                _relabel(desk, key, status)
                del self._marks[key]
            elif row is not None and project is not None:
                by_file.setdefault(work_file(project, row.number, row.image), {})[key] = status
        desk, file = self._desk_of_round()
        try:
            save = None if desk is None else desk.prepare_save()
        except HistoError as error:
            self.fail(error)
            return None
        return InHand(self._turns, self._turns.next(), file, save, by_file, self._tools.data_folder)

    def _see_to_files(self) -> None:
        """Save, mark and open, one after the other: two of them would want the same file."""
        project, row = self.state.project, self._wanted
        in_hand = None if project is None else self._take_in_hand()
        if project is None or in_hand is None:
            return
        marks = dict(self._marks)

        def work(_: Report) -> OpenedRegion | None:
            in_hand.settle()
            return None if row is None else _open(project, row)

        done = partial(self._files_done, marks)
        failed = partial(self._files_failed, marks)
        self._files.submit(Job(work, done, failed, unwanted=_let_go))

    def _files_done(self, marks: dict[UUID, QueryStatus], opened: OpenedRegion | None) -> None:
        for key, status in marks.items():
            if self._marks.get(key) is status:
                del self._marks[key]
        self._refresh_desk()
        if opened is not None:
            self._wanted = None
            self.region_ready.emit(opened)

    def _refresh_desk(self) -> None:
        desk, _ = self._desk_of_round()
        if desk is not None:
            desk.refresh()

    def _files_failed(self, marks: dict[UUID, QueryStatus], error: BaseException) -> None:
        marked = [row for row in map(self.state.row, marks) if row is not None]
        if isinstance(error, DocumentLockedError) and any(map(self._is_on_desk, marked)):
            self._see_to_files()  # the Annotate panel was faster: the marks are made there
            return
        self._wanted, self._seen = None, None  # look again how it stands
        for key in marks:
            self._marks.pop(key, None)
        self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Tell the user: as it is for errors made for people, in short for all others."""
        if isinstance(error, HistoError):
            self.state.error = str(error)
            return
        _log.error("Unexpected error in the Active learning panel", exc_info=error)
        self.state.error = (
            f"Something unexpected happened ({type(error).__name__}: {error}). The project is at "
            "its last whole state. The log has the details; please report it."
        )


def _open(project: LearningProject, row: RegionRow) -> OpenedRegion:
    image = project.facts.image(row.image)
    file = work_file(project, row.number, row.image)
    path = project.image_path(image)
    return OpenedRegion(row, project.open_image(image), path, file, project.facts.classes)


def _let_go(opened: Any) -> None:
    if isinstance(opened, OpenedRegion):
        opened.reader.close()


def _relabel(desk: AnnotationController, region_id: UUID, status: QueryStatus) -> None:
    """As the user would by a chip; class of new objects and selection are as before."""
    chosen, current = desk.state.selection, desk.state.current_class
    desk.select([region_id])
    desk.relabel(status_class(status))
    desk.select(chosen)
    if current is None or current in desk.state.classes.names:
        desk.state.current_class = current


def _class_name(table: ObjectTable) -> str | None:
    """Of the only row of a table; None where there is none."""
    return table.class_names[0] if len(table) else None


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_mtime_ns, stat.st_size
