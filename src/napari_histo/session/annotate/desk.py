"""Objects on the desk: opened, edited step by step on one undo stack, kept and saved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from napari_histo.core import Edit, ObjectTable, PixelSize
from napari_histo.errors import HistoError
from napari_histo.session.annotate import class_edits
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.history import History, Moment, Step
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.annotate.shape_edits import touched
from napari_histo.session.annotate.state import AnnotationState, Kept
from napari_histo.session.jobs import Job, Lane, Post
from napari_histo.session.segment.state import ImageChoice

__all__ = ["Desk"]

_log = logging.getLogger(__name__)


class Desk:
    """What every kind of editing shares; see `AnnotationController`.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    open_document : callable
        `Document.open`, or a fake.

    Attributes
    ----------
    state : AnnotationState
    objects : EditableObjects
        Of the image that is open; another one after each `open`.
    """

    def __init__(self, post: Post, open_document: Callable[..., Document]) -> None:
        self.state = AnnotationState()
        self.objects = EditableObjects()
        self._post = post
        self._open_document = open_document
        self._opens = Lane(post, "open objects")
        self._saves = Lane(post, "save objects")
        self._compactions = Lane(post, "shorten journal")
        self._told_long_journal = False
        self._document: Document | None = None
        self._history = History()

    # -- opening and closing -----------------------------------------------------------------------

    def open(
        self,
        image: ImageChoice,
        *,
        table: ObjectTable | None = None,
        target: Path | None = None,
        image_path: Path | None = None,
    ) -> None:
        """Work on an image: on `table`, or on the objects of `target`, or on none yet.

        `state.is_open` turns true once they are there. What was open before is closed; its unsaved
        edits stay in its journal.
        """
        self.close()
        info = image.reader.info
        self.state.image = image
        self.state.typed_um = None
        self.state.notice = self.state.error = ""
        work = partial(self._open_document, target, info.name, image_path, table=table, info=info)
        job = Job(
            lambda _: _ready(work()), self._opened, self.fail, unwanted=lambda both: both[0].close()
        )
        self._opens.submit(job)

    def _opened(self, both: tuple[Document, EditableObjects]) -> None:
        state = self.state
        self._document, self.objects = both
        document = self._document
        self._history = History()
        self._told_long_journal = False
        self._renew()
        state.classes = self.objects.classes
        state.current_class = next(iter(state.classes.names), None)
        self._set_moment(Moment())
        self._refresh()
        state.notice = _welcome(document)
        state.is_open = True

    @property
    def is_opening(self) -> bool:
        """Whether objects are on their way to the desk: their file is locked already."""
        return self._opens.is_busy

    def close(self) -> None:
        """Let go of the file; no answer arrives after this. Unsaved edits stay in the journal."""
        for lane in (self._opens, self._saves, self._compactions):
            lane.drop()
        self._renew()
        self.state.is_open = False
        document, self._document = self._document, None
        if document is not None:
            document.close()

    def _renew(self) -> None:
        """Forget what was under way: other objects are on the desk, or none."""

    def _give_up_latest(self) -> bool:
        """Drop the gesture that was made last, if it is under way still."""
        return False

    # -- selection ---------------------------------------------------------------------------------

    def select(self, ids: Iterable[UUID], *, extend: bool = False) -> None:
        """Choose objects; with `extend`, add them, or take away those chosen already."""
        wanted = [i for i in ids if i in self.objects]
        if extend:
            chosen = [i for i in self.state.selection if i not in wanted]
            chosen += [i for i in wanted if i not in self.state.selection]
        else:
            chosen = wanted
        self._set_moment(Moment(tuple(chosen)))

    def select_at(self, x: float, y: float, *, extend: bool = False) -> None:
        """Choose the object at a point; elsewhere nothing, or with `extend` what was chosen."""
        hit = self.objects.at(x, y)
        if hit is not None or not extend:
            self.select([] if hit is None else [hit], extend=extend)

    def finish(self) -> None:
        """Done with the active object: the next click starts another."""
        self._set_moment(Moment())
        self.state.notice = ""

    # -- classes -----------------------------------------------------------------------------------

    def relabel(self, class_name: str | None) -> None:
        """Give the selected objects a class; it is also the class of what comes next."""
        if not self._is_ready():
            return
        if class_name is not None and class_name not in self.state.classes.names:
            self.add_class(class_name)
        self.state.current_class = class_name
        before = self.objects.get(self.state.selection)
        place = self.state.classes.index(class_name)
        before = before.select(before.class_id != place)
        if not len(before):
            return
        after = before.with_columns(
            class_id=np.full(len(before), place, np.int32),
            class_prob=np.full(len(before), np.nan, np.float32),
            state=touched(before),
            classes=self.state.classes,
        )
        self._do(Edit("Relabel", before, after), self._moment())

    def add_class(self, name: str, rgb: tuple[int, int, int] | None = None) -> None:
        """A new class, current at once."""
        if self._try(lambda: class_edits.add_class(self.state.classes, name, rgb)):
            self.state.current_class = self.state.classes.names[-1]

    def rename_class(self, name: str, new_name: str) -> None:
        """Another name; the class's objects keep it."""
        current = self.state.current_class
        edit = partial(class_edits.change_class, self.state.classes, name, new_name=new_name)
        if self._try(edit) and current == name:
            self.state.current_class = new_name.strip()

    def recolour_class(self, name: str, rgb: tuple[int, int, int]) -> None:
        """Another colour."""
        self._try(partial(class_edits.change_class, self.state.classes, name, rgb=rgb))

    def import_classes(self, path: Path) -> None:
        """Add the classes of a QuPath project's classes.json, with their colours."""

        def edit() -> Edit:
            found = class_edits.read_qupath_classes(path)
            return class_edits.add_classes(self.state.classes, found)

        if self._try(edit) and self.state.current_class is None:
            self.state.current_class = next(iter(self.state.classes.names), None)

    def _try(self, make: Callable[[], Edit]) -> bool:
        """Do an edit of the classes; what is wrong with it is told."""
        if not self._is_ready():
            return False
        version = self.objects.version
        try:
            edit = make()
        except (HistoError, KeyError, ValueError) as error:
            self.fail(error if isinstance(error, HistoError) else HistoError(str(error)))
            return False
        self._do(edit, self._moment())
        return self.objects.version > version

    # -- one stack ---------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take back the latest gesture; one whose answer is awaited is given up first."""
        if self._document is None or self._give_up_latest():
            return
        step = self._history.peek_undo()
        if step is not None and self._keep(replace(step.edit.inverse, name=step.edit.name)):
            self._history.undone()
            self._set_moment(step.before)
            self._refresh()

    def redo(self) -> None:
        """Do again what was taken back."""
        step = self._history.peek_redo()
        if self._document is None or step is None or not self._keep(step.edit):
            return
        self._history.redone()
        self._set_moment(step.after)
        self._refresh()

    def _do(
        self,
        edit: Edit,
        after: Moment,
        *,
        before: Moment | None = None,
        shown: bool = True,
        rows: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep, apply and remember an edit; where not `shown`, the person has gone on meanwhile.

        `rows` are what `encode_rows` made of it ahead.
        """
        before = before or self._moment()
        if not self._keep(edit, rows):
            return
        if shown:
            self._set_moment(after)
        self._history.push(Step(edit, before, after))
        self.state.error = ""
        if edit.name not in ("Click", "Box", "Squiggle"):
            self.state.notice = ""
        self._refresh()

    def _keep(self, edit: Edit, rows: Mapping[str, Any] | None = None) -> bool:
        """Into the journal first, then onto the screen; False where neither happened."""
        document = self._document
        if document is None:
            return False
        try:
            going = self.objects.check(edit)
            document.append(edit, rows)
            self.objects.apply(edit, going)
        except HistoError as error:
            self.fail(error)
            return False
        if document.notice:
            self.state.notice = document.notice
        return True

    def _shorten_journal(self, document: Document) -> None:
        """In the background, now and then: else a killed session takes long to come back."""
        if self._saves.is_busy or self._compactions.is_busy or not document.wants_compaction:
            return
        try:
            work = document.prepare_compaction(self.objects.later_table())
        except HistoError as error:
            self._journal_stays_long(error)
            return
        self._compactions.submit(Job(lambda _: work(), failed=self._journal_stays_long))

    def _journal_stays_long(self, error: BaseException) -> None:
        """Told once: nothing is lost, and the next long stretch of edits tries again."""
        _log.warning("The journal could not be shortened: %s", error)
        if not self._told_long_journal:
            self._told_long_journal = True
            self.state.notice = (
                f"Your edits are kept, but their journal could not be shortened ({error}). "
                "Free some space, then save."
            )

    # -- saving ------------------------------------------------------------------------------------

    def save(self, path: Path | None = None, *, overwrite: bool = False) -> None:
        """Write all objects to the target, or to `path`, where they live from then on."""
        document = self._document
        if document is None:
            self.fail(HistoError("There is nothing to save yet. Open an image first."))
            return
        self.state.error = ""
        try:
            work = document.prepare_save(self.objects.table(), path, overwrite=overwrite)
        except HistoError as error:
            self.fail(error)
            return
        self._saves.submit(Job(lambda _: work(), lambda _: self._saved(), self.fail))

    def prepare_save(self) -> Callable[[], None] | None:
        """Fix all objects as they stand; what comes back saves them, in any thread.

        None where the file holds them all. Errors are those of `Document.prepare_save`.
        """
        document = self._document
        if document is None or not document.n_unsaved:
            return None
        return document.prepare_save(self.objects.table())

    def hand_over(self) -> Callable[[], None]:
        """As `close`, so that others may write the file; all edits are saved first.

        Returns
        -------
        callable
            Saves and lets go of the file, in any thread. Where saving fails it raises, and the
            edits stay in the journal.

        Raises
        ------
        HistoError
            Nothing can be saved; the objects stay open.
        """
        document, save = self._document, self.prepare_save()
        self._document = None
        self.close()

        def finish() -> None:
            try:
                if save is not None:
                    save()
            finally:
                if document is not None:
                    document.close()

        return finish

    def refresh(self) -> None:
        """Tell what is safe, after a save from `prepare_save`."""
        if self._document is not None:
            self._refresh()

    def _saved(self) -> None:
        self.state.notice = ""
        self._refresh()

    def fail(self, error: BaseException) -> None:
        """Tell the user: as it is for errors made for people, in short for all others."""
        if isinstance(error, HistoError):
            self.state.error = str(error)
            return
        _log.error("Unexpected error in the Annotate panel", exc_info=error)
        self.state.error = (
            f"Something unexpected happened ({type(error).__name__}: {error}). Your objects are "
            "kept. The log has the details; please report it."
        )

    @property
    def pixel_size(self) -> PixelSize | None:
        """The image's."""
        return None if self.state.image is None else self.state.image.reader.info.pixel_size

    # -- small words -------------------------------------------------------------------------------

    def _is_ready(self) -> bool:
        if not self.state.is_open:
            self.state.notice = "Open an image and press Start first."
        return self.state.is_open

    def _moment(self) -> Moment:
        return Moment(self.state.selection, self.state.active, self.state.prompts)

    def _set_moment(self, moment: Moment) -> None:
        self.state.prompts = moment.prompts
        self.state.active = moment.active
        self.state.selection = tuple(i for i in moment.selection if i in self.objects)

    def _refresh(self) -> None:
        state, document = self.state, self._document
        state.classes = self.objects.classes
        if state.current_class not in (None, *state.classes.names):
            state.current_class = next(iter(state.classes.names), None)
        state.counts = self.objects.counts_by_class()
        state.undo_name, state.redo_name = self._history.undo_name, self._history.redo_name
        if document is not None:
            state.kept = Kept(document.target, document.n_unsaved, document.saved_at)
            self._shorten_journal(document)


def _ready(document: Document) -> tuple[Document, EditableObjects]:
    """With its objects by id and by place, which takes a second for a million: in the thread."""
    return document, EditableObjects(document.table)


def _welcome(document: Document) -> str:
    """What the user should know on opening."""
    parts: Sequence[str] = [document.notice]
    found = document.recovery
    if found is not None:
        changes = "change" if found.n_edits == 1 else "changes"
        verb = "was" if found.n_edits == 1 else "were"
        parts = [f"{found.n_edits} {changes} of an earlier session {verb} recovered.", *parts]
        if found.damaged:
            parts = [*parts, found.damaged]
    return " ".join(p for p in parts if p)
