"""An active-learning project at hand: where to look next, what is done, did it get better."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from psygnal import Signal

from napari_histo.core import CancelToken, Progress
from napari_histo.core.round_regions import status_class
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import Cancelled, HistoError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewProject, create_project
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.work import work_file
from napari_histo.session.annotation import AnnotationController
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.learning_qupath import put_into_qupath
from napari_histo.session.learning_state import (
    Curve,
    LearningState,
    OpenedRegion,
    Overview,
    RegionRow,
    Task,
)
from napari_histo.session.learning_work import (
    LearningTools,
    class_name,
    driven,
    files_of,
    mark_in_file,
    overview,
    training,
)
from napari_histo.session.qupath_desk import has_open

__all__ = ["LearningController"]

_log = logging.getLogger(__name__)
_STATUSES = {status_class(status): status for status in QueryStatus}


class LearningController:
    """Turns wishes into work in threads, and tells of it in `state`.

    All methods belong to the thread that `post` serves, and return at once.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    desk : callable
        Gives the session of the Annotate panel that is on the screen; None where there is none.
    tools : LearningTools, optional

    Attributes
    ----------
    state : LearningState
    region_ready : psygnal.Signal
        An `OpenedRegion`, to be shown with its objects.
    """

    region_ready = Signal(object)

    def __init__(
        self,
        post: Post,
        desk: Callable[[], AnnotationController | None] = lambda: None,
        tools: LearningTools | None = None,
    ) -> None:
        self.state = LearningState()
        self._desk = desk
        self._tools = tools or LearningTools()
        self._works, self._files = Lane(post, "learn"), Lane(post, "regions")
        self._looks = Lane(post, "look at round")
        self._cancel = CancelToken()
        #: Marks that are not in their file yet, and the region that is to be shown.
        self._marks: dict[UUID, QueryStatus] = {}
        self._wanted: RegionRow | None = None
        self._shown: UUID | None = None
        self._seen: Any = None

    def close(self) -> None:
        """Stop what is under way; the project stays at its last whole state."""
        self._cancel.cancel()
        for lane in (self._works, self._looks):
            lane.drop()

    # -- projects --------------------------------------------------------------------------------

    def open_project(self, path: Path) -> None:
        """Open a project's folder, or its ``project.json``."""
        folder = path.parent if path.name == "project.json" else path
        self._begin(Task.OPENING, lambda _: _opened(LearningProject(folder)))

    def create_project(self, path: Path, wanted: NewProject) -> None:
        """Make a project in a new or empty folder, and open it."""
        self._begin(Task.CREATING, lambda _: _opened(create_project(path, wanted)))

    def _show(self, found: tuple[LearningProject, Overview]) -> None:
        project, seen = found
        before, self.state.project = self.state.project, project
        if before is None or before.path != project.path:
            self.state.chosen, self._wanted, self._marks = None, None, {}
        self._take(seen)
        is_other = before is None or before.path != project.path
        if is_other or not self.state.curve.losses:  # what was seen live has more points
            self.state.curve = seen.curve
        if self.state.chosen_row is None:
            self.state.chosen = next((r.region_id for r in seen.regions if r.waits), None)

    def _take(self, seen: Overview) -> None:
        """What the files say, but for what this session knows better."""
        rows = [replace(row, status=self._status(row)) for row in seen.regions]
        self.state.overview = replace(seen, regions=tuple(rows))

    def _status(self, row: RegionRow) -> QueryStatus:
        if row.region_id in self._marks:
            return self._marks[row.region_id]
        desk = self._desk_of(row)
        name = None if desk is None else class_name(desk.objects.get([row.region_id]))
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

    # -- regions ---------------------------------------------------------------------------------

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
        desk = self._desk_of(row)
        if desk is None:
            self._marks[row.region_id] = status
        else:
            _relabel(desk, row.region_id, status)
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

    def _desk_of_round(self) -> AnnotationController | None:
        found = (self._desk_of(row) for row in self.state.regions)
        return next((desk for desk in found if desk is not None), None)

    def _see_to_files(self) -> None:
        """Save, mark and open, one after the other: two of them would want the same file."""
        project, row, marks = self.state.project, self._wanted, dict(self._marks)
        if project is None:
            return
        desk = self._desk_of_round()
        try:
            save = None if desk is None else desk.prepare_save()
        except HistoError as error:
            self.fail(error)
            return
        by_file: dict[Path, dict[UUID, QueryStatus]] = {}
        for key, status in marks.items():
            marked = self.state.row(key)
            if marked is not None:
                file = work_file(project, marked.number, marked.image)
                by_file.setdefault(file, {})[key] = status
        folder = self._tools.data_folder

        def work(_: Report) -> OpenedRegion | None:
            if save is not None:
                save()
            for file, statuses in by_file.items():
                mark_in_file(file, statuses, folder)
            return None if row is None else _open(project, row)

        done = partial(self._files_done, marks, desk)
        failed = partial(self._files_failed, marks)
        self._files.submit(Job(work, done, failed, unwanted=_let_go))

    def _files_done(
        self,
        marks: dict[UUID, QueryStatus],
        desk: AnnotationController | None,
        opened: OpenedRegion | None,
    ) -> None:
        for key, status in marks.items():
            if self._marks.get(key) is status:
                del self._marks[key]
        if desk is not None:
            desk.refresh()
        if opened is not None:
            self._wanted = None
            self.region_ready.emit(opened)

    def _files_failed(self, marks: dict[UUID, QueryStatus], error: BaseException) -> None:
        self._wanted, self._seen = None, None  # look again how it stands
        for key in marks:
            self._marks.pop(key, None)
        self.fail(error)

    # -- rounds ----------------------------------------------------------------------------------

    def new_round(self, strategy: str = "auto") -> None:
        """Choose regions that are worth annotating, with the model in use."""
        project, tools, cancel = self.state.project, self._tools, CancelToken()
        if project is None:
            return

        def work(report: Report) -> tuple[LearningProject, Overview]:
            report(Progress(0, 0, "Loading the model"))
            found = driven(query(project, QueryWish(strategy), tools.make(), cancel), report)
            driven(put_into_qupath(project, found, cancel), report)
            return _opened(project)

        self._begin(Task.CHOOSING, work, cancel)

    def train(self, *, partial: bool = False) -> None:
        """Collect what is done, learn from it, and hold the new model against the one in use.

        With `partial`, regions that wait are left out and not asked for again.
        """
        project, cancel = self.state.project, CancelToken()
        if project is None:
            return
        desk = self._desk_of_round()
        try:
            save = None if desk is None else desk.prepare_save()
        except HistoError as error:
            self.fail(error)
            return
        whole: Generator[Progress, None, Any] = training(
            project, self._tools, cancel, partial=partial, save=save
        )

        def work(report: Report) -> tuple[LearningProject, Overview]:
            driven(whole, report)
            return _opened(project)

        self.state.curve = Curve()
        self._begin(Task.TRAINING, work, cancel)

    def roll_back(self, to: int) -> None:
        """Use the model of an earlier round again; nothing is deleted."""
        project = self.state.project
        if project is None:
            return

        def work(_: Report) -> tuple[LearningProject, Overview]:
            with project.editing():
                project.roll_back(to, reason="in napari")
            return _opened(project)

        self._begin(Task.ROLLING_BACK, work)

    def cancel(self) -> None:
        """Stop what is under way at its next step; training goes on from there another time."""
        if self.state.task in (Task.CHOOSING, Task.TRAINING):
            self._cancel.cancel()
            self.state.is_cancelling = True

    # -- work in a thread ------------------------------------------------------------------------

    def _begin(
        self,
        task: Task,
        work: Callable[[Report], tuple[LearningProject, Overview]],
        cancel: CancelToken | None = None,
    ) -> None:
        state = self.state
        if state.task:
            state.notice = f"Wait until “{state.task}” is over."
            return
        self._cancel = cancel or CancelToken()
        state.notice = state.error = ""
        state.progress, state.task = Progress(0, 0), task
        self._works.submit(Job(work, self._done, self._failed, self._on_progress))

    def _done(self, found: tuple[LearningProject, Overview]) -> None:
        self._rest()
        self._show(found)

    def _failed(self, error: BaseException) -> None:
        task, project = self.state.task, self.state.project
        self._rest()
        if isinstance(error, Cancelled):
            self.state.notice = (
                "Stopped. What was learned so far is kept: Train goes on from there."
                if task is Task.TRAINING
                else "Stopped. Nothing was changed."
            )
        else:
            self.fail(error)
        if project is not None:  # a stage may be sealed all the same
            work = partial(overview, project)
            self._looks.submit(Job(lambda _: work(), self._take_quietly))

    def _rest(self) -> None:
        desk = self._desk_of_round()
        if desk is not None:
            desk.refresh()
        state = self.state
        state.task, state.is_cancelling = Task.NONE, False
        state.progress, state.seconds_left = None, math.nan

    def _on_progress(self, progress: Progress) -> None:
        state = self.state
        state.progress = progress
        loss, point = getattr(progress, "loss", math.nan), getattr(progress, "point", None)
        if math.isfinite(loss) and progress.done > 0:
            state.curve = state.curve.with_loss(progress.done, loss)
        if point is not None and math.isfinite(point.pq):
            state.curve = state.curve.with_quality(point.step, point.pq, point.ap)
        state.seconds_left = getattr(progress, "seconds_left", math.nan)

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


def _opened(project: LearningProject) -> tuple[LearningProject, Overview]:
    return project, overview(project)


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


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        stat = file.stat()
    except OSError:
        return file.name, 0, 0
    return file.name, stat.st_mtime_ns, stat.st_size
