"""A QuPath project at hand: images opened, and brought in step with our files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from psygnal import Signal

from napari_histo.core import CancelToken, Progress, result_of
from napari_histo.errors import HistoError
from napari_histo.session.annotate.controller import AnnotationController
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.qupath.browse import ProjectBrowser
from napari_histo.session.qupath.desk import Borrowed, has_open, save_left_over
from napari_histo.session.qupath.memory import Memory
from napari_histo.session.qupath.state import (
    UNREADABLE,
    ImageRow,
    OpenedSlide,
    Preview,
    Step,
    Sync,
)
from napari_histo.session.qupath.words import (
    DIRECTIONS,
    NOTHING_TO_DO,
    undone_text,
    written_text,
)
from napari_histo.session.qupath.work import (
    QuPathTools,
    Work,
    reading,
    slide_of,
    undoing,
    writing,
)
from qupath_bridge.pair import Comparison, Direction
from qupath_bridge.sync import Merge, Policy

__all__ = ["QuPathController"]

#: What an image may be pulled in when it is opened: nothing was done here that could clash.
_PULLED = (Sync.NEW, Sync.QUPATH)
_Settle = Callable[[], None]


class QuPathController(ProjectBrowser):
    """Turns wishes into work in threads, and tells of it in `state`.

    All methods belong to the thread that `post` serves, and return at once.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    desk : callable
        Gives the session of the Annotate panel that is on the screen; None where there is none.
    tools : QuPathTools, optional
    memory : Memory, optional

    Attributes
    ----------
    state : QuPathState
    memory : Memory
    slide_ready : psygnal.Signal
        An `OpenedSlide`, to be shown.
    objects_ready : psygnal.Signal
        An `ImageRow` whose objects are to be opened for editing.
    image_missing : psygnal.Signal
        An `ImageRow` whose image file the user should show; then `move_folder`.
    """

    slide_ready = Signal(object)
    objects_ready = Signal(object)
    image_missing = Signal(object)

    def __init__(
        self,
        post: Post,
        desk: Callable[[], AnnotationController | None] = lambda: None,
        tools: QuPathTools | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(post, desk, tools or QuPathTools(), memory or Memory.load())
        self._opens, self._answers = Lane(post, "open slide"), Lane(post, "merge")
        self._works = Lane(post, "sync")
        self._bridge: Any = None
        self._borrowed: Borrowed | None = None
        self._cancel = CancelToken()

    def close(self) -> None:
        """Stop what is under way, and end Java; what was being annotated is taken up again."""
        self._cancel.cancel()
        for lane in (self._lists, self._opens, self._answers):
            lane.drop()
        self._end_java(self._finish)

    def _forget(self) -> None:
        super()._forget()
        self.discard()
        self._end_java()

    def _end_java(self, then: Callable[[], None] = lambda: None) -> None:
        """After the job that runs, which may be putting files in place."""
        bridge, self._bridge = self._bridge, None
        end = (lambda: None) if bridge is None else bridge.close
        self._works.submit(Job(lambda _: end(), lambda _: then()))

    # -- opening an image ------------------------------------------------------------------------

    def open_image(self, key: str) -> None:
        """Show an image with its objects: `slide_ready`, then `objects_ready` tell."""
        row, project = self.state.row(key), self.state.project
        if row is None or project is None or self._is_busy():
            return
        self.choose(key)
        self.state.error = self.state.notice = ""
        if row.image.how == "missing":
            self.image_missing.emit(row)
            return
        work = partial(slide_of, project, row, self._tools)
        self._opens.submit(Job(lambda _: work(), self._show_slide, self.fail))

    def _show_slide(self, slide: OpenedSlide) -> None:
        row = self.state.row(slide.row.key) or slide.row
        self.state.opened = row.key
        self.slide_ready.emit(slide)
        if row.sync in _PULLED and not self.state.blocker and self.state.step is Step.IDLE:
            self._pull_unasked(row)
            return
        if row.sync in UNREADABLE:
            self.fail(HistoError(row.message))
        self.objects_ready.emit(row)

    def _pull_unasked(self, row: ImageRow) -> None:
        """Before an image is shown; an error is told, and what is here is shown all the same."""
        settle = self._settle(row, closes=True)
        if settle is None:
            return

        def work(report: Report) -> Preview | None:
            found = result_of(self._reading(row, settle), report)
            return result_of(self._writing(Preview(row, "pull", found), lambda: None), report)

        def done(again: Preview | None) -> None:
            self._written(again, "")
            self.objects_ready.emit(row)

        def failed(error: BaseException) -> None:
            self._failed(error)
            self.objects_ready.emit(row)

        self._start(f"Pull of {row.entry.name}", Step.READING, work, done, failed)

    # -- pull, push, sync ------------------------------------------------------------------------

    def compare(self, direction: Direction) -> None:
        """Read both places of the chosen image; `state.preview` then waits for `write`."""
        row = self._ready_row()
        settle = None if row is None else self._settle(row, closes=False)
        if row is None or settle is None:
            return
        self.discard()

        def work(report: Report) -> Comparison:
            return result_of(self._reading(row, settle), report)

        def done(found: Comparison) -> None:
            self._finish()
            preview = Preview(row, direction, found)
            if any(preview.writes) or preview.n_open:
                self.state.preview = preview
            else:  # the base alone
                self._write(preview, NOTHING_TO_DO[direction])

        self._start(f"{DIRECTIONS[direction]} of {row.entry.name}", Step.READING, work, done)

    def answer(self, ids: Iterable[UUID], policy: Policy) -> None:
        """Say what becomes of conflicts; "ask" leaves them open."""
        preview = self.state.preview
        if preview is None:
            return
        answers: dict[UUID | str, Policy] = {**preview.answers, **dict.fromkeys(ids, policy)}
        self.state.preview = replace(preview, answers=answers)
        work = partial(preview.found.merge.resolve, answers)
        self._answers.submit(Job(lambda _: work(), self._resolved, self.fail))

    def _resolved(self, merged: Merge) -> None:
        preview = self.state.preview
        if preview is not None:
            self.state.preview = replace(preview, found=replace(preview.found, merge=merged))

    def discard(self) -> None:
        """Write nothing of what was shown."""
        self._answers.drop()
        self.state.preview = None

    def write(self) -> None:
        """Carry out what was shown."""
        preview = self.state.preview
        if preview is None or self._is_busy():
            return
        if self._answers.is_busy:
            self.state.notice = "Your last choice is being taken in. Try again in a moment."
            return
        self._write(preview, written_text(preview))

    def _write(self, preview: Preview, said: str) -> None:
        settle = self._settle(preview.row, closes=preview.writes[0])
        if settle is None:
            return

        def work(report: Report) -> Preview | None:
            return result_of(self._writing(preview, settle), report)

        name = f"{DIRECTIONS[preview.direction]} of {preview.row.entry.name}"
        self._start(name, Step.WRITING, work, lambda again: self._written(again, said))

    def _written(self, again: Preview | None, said: str) -> None:
        self._finish()
        self.state.preview = again
        self.state.notice = said
        if again is not None:
            self.state.notice = "Both sides went on meanwhile. Look once more; nothing was written."
        self.look()

    def undo(self) -> None:
        """Take the chosen image's last sync back, on both sides."""
        row = self._ready_row()
        settle = None if row is None else self._settle(row, closes=True)
        if row is None or settle is None:
            return

        def work(report: Report) -> None:
            bridge = self._bridge_of(row)
            result_of(undoing(bridge, row, settle=settle, cancel=self._cancel), report)

        said = undone_text(row)
        name = f"Undo for {row.entry.name}"
        self._start(name, Step.WRITING, work, lambda _: self._written(None, said))

    def cancel(self) -> None:
        """Stop what is under way, as long as nothing is in place yet."""
        if self.state.step in (Step.READING, Step.WRITING):
            self._cancel.cancel()
            self.state.step = Step.CANCELLING

    # -- steps -----------------------------------------------------------------------------------

    def _ready_row(self) -> ImageRow | None:
        self.state.error = self.state.notice = ""
        if self.state.why_not:
            self.state.notice = self.state.why_not
            return None
        return self.state.chosen_row

    def _settle(self, row: ImageRow, *, closes: bool) -> _Settle | None:
        """What brings all edits into our file, in a thread; None where that cannot be.

        With `closes` the document of the Annotate panel is let go of, until `_finish`.
        """
        assert row.file is not None
        desk = self._desk()
        if desk is None or not has_open(desk, row.file):
            return partial(save_left_over, row.file, row.entry.name, self._tools.data_folder)
        try:
            if not closes:
                return desk.prepare_save() or (lambda: None)
            self._borrowed = Borrowed.take(desk, row.file)
        except HistoError as error:
            self.fail(error)
            return None
        return self._borrowed.release

    def _start(
        self,
        task: str,
        step: Step,
        work: Callable[[Report], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._cancel = CancelToken()
        self.state.task, self.state.step = task, step
        self.state.notice = self.state.error = ""
        self._works.submit(Job(work, done, failed or self._failed, self._tell))

    def _tell(self, progress: Progress) -> None:
        self.state.progress = progress

    def _failed(self, error: BaseException) -> None:
        self._finish()
        self.fail(error)
        self.look()

    def _finish(self) -> None:
        """Nothing is under way any more; the Annotate panel gets its document back."""
        self.state.step, self.state.progress = Step.IDLE, None
        borrowed, self._borrowed = self._borrowed, None
        desk = self._desk()
        if borrowed is not None and desk is borrowed.desk:
            borrowed.give_back()
        elif desk is not None:
            desk.refresh()

    def _bridge_of(self, row: ImageRow) -> Any:
        """In the thread of the work."""
        if self._bridge is None:
            self._bridge = self._tools.make_bridge(row.project)
        return self._bridge

    def _reading(self, row: ImageRow, settle: _Settle) -> Work[Comparison]:
        return reading(self._bridge_of(row), row, settle=settle, cancel=self._cancel)

    def _writing(self, preview: Preview, settle: _Settle) -> Work[Preview | None]:
        bridge = self._bridge_of(preview.row)
        return writing(bridge, preview, settle=settle, cancel=self._cancel)
