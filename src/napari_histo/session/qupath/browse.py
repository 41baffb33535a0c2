"""A QuPath project at hand: its images listed and watched, without Java."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_histo.errors import Cancelled, HistoError
from napari_histo.session.annotate.controller import AnnotationController
from napari_histo.session.jobs import Job, Lane, Post
from napari_histo.session.qupath.desk import has_open
from napari_histo.session.qupath.exchange import is_exchange, open_any
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.rows import Listing, old_folder
from napari_histo.session.qupath.state import ImageRow, QuPathState, Step, Sync
from napari_histo.session.qupath.work import QuPathTools
from qupath_bridge.images import PathRule

__all__ = ["ProjectBrowser"]

_log = logging.getLogger(__name__)
#: What edits that wait in the Annotate panel make of an image.
_WITH_EDITS = {
    Sync.IN_STEP: Sync.HERE,
    Sync.WAITING: Sync.HERE,
    Sync.QUPATH: Sync.BOTH,
    Sync.NOTHING: Sync.HERE,
}
_Listed = tuple[Listing, tuple[ImageRow, ...], str]


class ProjectBrowser:
    """Lists a project's images and notices what QuPath saves; see `QuPathController`.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    desk : callable
        Gives the session of the Annotate panel that is on the screen; None where there is none.
    tools : QuPathTools
    memory : Memory
    """

    def __init__(
        self,
        post: Post,
        desk: Callable[[], AnnotationController | None],
        tools: QuPathTools,
        memory: Memory,
    ) -> None:
        self.state = QuPathState()
        self.memory = memory
        self._desk, self._tools = desk, tools
        self._lists = Lane(post, "list project")
        self._listing: Listing | None = None

    # -- the project -----------------------------------------------------------------------------

    def open_project(self, path: Path) -> None:
        """List a project or an exchange folder; `state.is_listing` turns false at the end."""
        if self._is_busy():
            return
        self.state.error = self.state.notice = ""
        self.state.is_listing = True
        rules, tools = self.memory.rules, self._tools

        def work(_: object) -> _Listed:
            listing = Listing(open_any(path, rules), tools.data_folder)
            needs_none = is_exchange(listing.project.file)
            return listing, listing.rows(), "" if needs_none else tools.look_for_qupath()

        self._lists.submit(Job(work, self._opened_project, self._failed_listing))

    def _opened_project(self, found: _Listed) -> None:
        state = self.state
        before = None if state.project is None else state.project.file
        listing, rows, state.blocker = found
        if before != listing.project.file:
            self._forget()
            self.memory = self.memory.with_project(listing.project.file.absolute()).save()
        self._listing, state.project = listing, listing.project
        self._show_rows(rows)
        if state.row(state.chosen) is None:
            state.chosen = rows[0].key if rows else None
        state.is_listing = False

    def _failed_listing(self, error: BaseException) -> None:
        self.state.is_listing = False
        self.fail(error)

    def _forget(self) -> None:
        """Let go of the project that was open before."""
        self.state.opened = self.state.chosen = None

    def _is_busy(self) -> bool:
        """Whether something is under way that must end first; the user is told."""
        if self.state.step is Step.IDLE:
            return False
        self.state.notice = f"{self.state.task} is under way. Wait for it, or cancel it."
        return True

    def choose(self, key: str | None) -> None:
        """The image that the buttons mean."""
        if key != self.state.chosen:
            self.state.chosen = key
            if self.state.step is Step.IDLE:
                self.state.notice = self.state.error = ""

    def move_folder(self, row: ImageRow, chosen: Path) -> None:
        """The user's word on a missing image: its file, or the folder in which it is now."""
        old, project = old_folder(row), self.state.project
        if not old or project is None:
            self.fail(HistoError(row.image.message))
            return
        folder = chosen.parent if chosen.is_file() else chosen
        self.memory = self.memory.with_rule(PathRule(old, str(folder))).save()
        self.open_project(project.file)

    # -- watching --------------------------------------------------------------------------------

    def look(self) -> None:
        """Notice what QuPath saved; for every few seconds. Files are asked for, few are read.

        While something is under way nothing is looked at.
        """
        listing = self._listing
        if listing is None or self._lists.is_busy or self.state.step is not Step.IDLE:
            return

        def work(_: object) -> tuple[ImageRow, ...] | None:
            return None if listing.is_outdated() else listing.rows()

        self._lists.submit(Job(work, self._looked, _could_not_look))

    def _looked(self, rows: tuple[ImageRow, ...] | None) -> None:
        if rows is not None:
            self._show_rows(rows)
        elif self._listing is not None and self.state.preview is None:
            self.open_project(self._listing.project.file)

    def _show_rows(self, rows: tuple[ImageRow, ...]) -> None:
        shown = tuple(map(self._with_open_edits, rows))
        if shown != self.state.rows:
            self.state.rows = shown

    def _with_open_edits(self, row: ImageRow) -> ImageRow:
        desk = self._desk()
        if desk is None or row.file is None or not has_open(desk, row.file):
            return row
        is_new = row.sync is Sync.NOTHING and not desk.state.n_objects
        if is_new or not desk.state.kept.n_unsaved:
            return row
        return replace(row, sync=_WITH_EDITS.get(row.sync, row.sync))

    # -- trouble ---------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Tell the user: as it is for errors made for people, in short for all others."""
        if isinstance(error, Cancelled):
            self.state.notice = "Stopped. Nothing was written."
        elif isinstance(error, HistoError):
            self.state.error = str(error)
        else:
            _log.error("Unexpected error in the QuPath panel", exc_info=error)
            self.state.error = (
                f"Something unexpected happened ({type(error).__name__}: {error}). Your objects "
                "are kept. The log has the details; please report it."
            )


def _could_not_look(error: BaseException) -> None:
    _log.warning("The project could not be looked at: %s", error)
