"""Annotating by gestures: prompts in, objects out, every step kept, undone and redone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import (
    Box,
    BoxPrompt,
    Contours,
    Edit,
    ObjectState,
    ObjectTable,
    ObjectType,
    PixelSize,
    PointPrompt,
    Prompt,
    PromptAnswer,
    ScribblePrompt,
    SlideReader,
    new_ids,
)
from napari_histo.errors import HistoError
from napari_histo.ops import edit as shapes
from napari_histo.pipeline.prompt import PromptEngine
from napari_histo.session import class_edits
from napari_histo.session.annotation_state import AnnotationState, Kept, Tool
from napari_histo.session.asking import Ask, AskingLane
from napari_histo.session.document import Document
from napari_histo.session.history import History, Moment, Step
from napari_histo.session.jobs import Job, Lane, Post
from napari_histo.session.objects import EditableObjects
from napari_histo.session.reviewing import Walk
from napari_histo.session.state import ImageChoice

__all__ = ["AnnotationController", "AnnotationTools"]

_log = logging.getLogger(__name__)
#: Who made an object, in `ObjectTable.sources`.
PERSON = "drawn by hand"
_NOTHING_FOUND = (
    "Nothing was found there. Click nearer to the middle, drag a box around it, or paint it."
)


def _load_engine(reader: SlideReader, pixel_size: PixelSize | None) -> PromptEngine:
    from napari_histo.models import load_prompt_model

    return PromptEngine(reader, load_prompt_model(), pixel_size=pixel_size)


@dataclass(frozen=True)
class AnnotationTools:
    """What a session works with; tests put fakes here. Both run in threads."""

    make_engine: Callable[[SlideReader, PixelSize | None], PromptEngine] = _load_engine
    open_document: Callable[..., Document] = Document.open


class AnnotationController:
    """Turns gestures into edits of `objects`, and tells of them in `state`.

    All methods belong to the thread that `post` serves, and return at once. Coordinates are
    full-resolution px, x before y.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    tools : AnnotationTools, optional

    Attributes
    ----------
    state : AnnotationState
    objects : EditableObjects
        Of the image that is open; another one after each `open`.
    """

    def __init__(self, post: Post, tools: AnnotationTools | None = None) -> None:
        self.state = AnnotationState()
        self.objects = EditableObjects()
        self._tools = tools or AnnotationTools()
        self._post = post
        self._opens = Lane(post, "open objects")
        self._saves = Lane(post, "save objects")
        self._document: Document | None = None
        self._history = History()
        self._walk = Walk(())
        self._asks = self._new_lane()

    # -- opening and closing ---------------------------------------------------------------------

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
        work = partial(
            self._tools.open_document, target, info.name, image_path, table=table, info=info
        )
        self._opens.submit(Job(lambda _: work(), self._opened, self.fail))

    def _opened(self, document: Document) -> None:
        state = self.state
        self._document = document
        self.objects = EditableObjects(document.table)
        self._history, self._walk = History(), Walk(())
        self._asks = self._new_lane()
        state.classes = self.objects.classes
        state.current_class = next(iter(state.classes.names), None)
        self._set_moment(Moment())
        self._refresh()
        state.notice = _welcome(document)
        state.is_open = True

    def close(self) -> None:
        """Let go of the file; no answer arrives after this. Unsaved edits stay in the journal."""
        for lane in (self._opens, self._saves):
            lane.drop()
        self._asks.close()
        self.state.is_open = False
        document, self._document = self._document, None
        if document is not None:
            document.close()

    def type_pixel_size(self, um: float | None) -> None:
        """The user's word on the pixel size, µm; the next gesture goes by it."""
        self.state.typed_um = um
        self._asks.close()
        self._asks = self._new_lane()

    @property
    def pixel_size(self) -> PixelSize | None:
        """The user's word, else the image's."""
        if self.state.typed_um is not None:
            return PixelSize.square(self.state.typed_um)
        return None if self.state.image is None else self.state.image.reader.info.pixel_size

    # -- gestures that ask the model -------------------------------------------------------------

    def click(self, x: float, y: float, *, positive: bool = True, add: bool = False) -> None:
        """Point at something.

        A plain click on an object selects it, elsewhere it starts a new object. With `add`, or
        without `positive`, it refines the active object, or the selected one.
        """
        if not self._is_ready():
            return
        if add or not positive:
            self._refine(PointPrompt(x, y, positive))
            return
        hit = self.objects.at(x, y)
        if hit is not None:
            self.select([hit])
        else:
            self._begin(PointPrompt(x, y), "Click")

    def box(self, left: float, top: float, right: float, bottom: float) -> None:
        """A new object in a rectangle, whichever corner it was dragged from."""
        if self._is_ready() and left != right and top != bottom:
            edges = (min(left, right), min(top, bottom), max(left, right), max(top, bottom))
            self._begin(BoxPrompt(*edges), "Box")

    def squiggle(self, xy: ArrayLike, *, positive: bool = True, add: bool = False) -> None:
        """A new object along a line (n, 2); with `add` or not `positive`, refine the active one."""
        line = np.asarray(xy, np.float32).reshape(-1, 2)
        if not self._is_ready() or not len(line):
            return
        prompt = ScribblePrompt(line, positive)
        if add or not positive:
            self._refine(prompt)
        else:
            self._begin(prompt, "Squiggle")

    def _begin(self, prompt: Prompt, name: str) -> None:
        object_id, before = UUID(bytes=new_ids(1).tobytes()), self._moment()
        self._set_moment(Moment((), object_id, (prompt,)))
        self._ask(Ask(object_id, (prompt,), name, before))

    def _refine(self, prompt: Prompt) -> None:
        object_id = self._refinable()
        if object_id is None:
            self.state.notice = "Click or select one object first; then exclude from it or add."
            return
        prompts = self.state.prompts if object_id == self.state.active else ()
        if not prompts:
            prompts = (self._inner_point(object_id),)
        prompts, before = (*prompts, prompt), self._moment()
        self._set_moment(Moment(self.state.selection, object_id, prompts))
        self._ask(Ask(object_id, prompts, "Add" if prompt.positive else "Exclude", before))

    def _refinable(self) -> UUID | None:
        if self.state.active is not None:
            return self.state.active
        return self.state.selection[0] if len(self.state.selection) == 1 else None

    def _inner_point(self, object_id: UUID) -> PointPrompt:
        shape = self.objects.get([object_id]).to_shapely()[0]
        point = shape.representative_point()
        return PointPrompt(point.x, point.y)

    def _ask(self, ask: Ask) -> None:
        self.state.notice = self.state.error = ""
        self._asks.submit(ask)
        self.state.in_flight = len(self._asks)

    def _answered(self, ask: Ask, answer: PromptAnswer) -> None:
        self.state.in_flight = len(self._asks)
        is_active = ask.object_id == self.state.active
        before = self.objects.get([ask.object_id])
        shape = shapes.clean(answer.contours, within=self._extent())
        if not np.isfinite(shape.bounds).all():
            self.state.notice = _NOTHING_FOUND
            if is_active:
                kept = self.state.selection if len(before) else ()
                self._set_moment(Moment(kept, None, ()))
            return
        after = self._answer_row(ask, answer, before, shape)
        moment = Moment((ask.object_id,), ask.object_id, ask.prompts)
        self._do(Edit(ask.name, before, after), moment, before=ask.before, shown=is_active)

    def _answer_row(
        self, ask: Ask, answer: PromptAnswer, before: ObjectTable, shape: Contours
    ) -> ObjectTable:
        if len(before):
            score = np.array([answer.score], np.float32)
            return self._edited(before, shape).with_columns(det_prob=score)
        row = self._new_row(shape, "click", score=answer.score)
        return row.with_columns(object_id=_as_row(ask.object_id))

    def _new_lane(self) -> AskingLane:
        image = self.state.image
        reader = None if image is None else image.reader

        def make() -> PromptEngine:
            if reader is None:
                raise HistoError("Open an image first.")
            return self._tools.make_engine(reader, size)

        size = self.pixel_size
        return AskingLane(self._post, make, self._known, self._answered, self._ask_failed)

    def _known(self, box: Box, but: UUID) -> Contours:
        rows = self.objects.rows_in(box)
        own = self.objects.row_of(but)
        return self.objects.rows(rows[rows != own] if own is not None else rows).contours

    def _ask_failed(self, error: BaseException) -> None:
        self.state.in_flight = 0
        if self.state.active is not None and self.state.active not in self.objects:
            self._set_moment(Moment())
        self.fail(error)

    # -- gestures that draw ----------------------------------------------------------------------

    def paint(self, xy: ArrayLike, radius_px: float | None = None) -> None:
        """Add a brush stroke (n, 2) to the selected object, or make a new one of it."""
        self._brush(xy, radius_px, shapes.paint, "Paint")

    def erase(self, xy: ArrayLike, radius_px: float | None = None) -> None:
        """Take a brush stroke (n, 2) away from the selected object, else from all that it meets."""
        self._brush(xy, radius_px, shapes.erase, "Erase")

    def _brush(
        self,
        xy: ArrayLike,
        radius_px: float | None,
        change: Callable[[Contours, NDArray[np.float64], float], Contours],
        name: str,
    ) -> None:
        line = np.asarray(xy, np.float64).reshape(-1, 2)
        radius = self.state.brush_px if radius_px is None else radius_px
        if not self._is_ready() or not len(line):
            return
        ids = list(self.state.selection)
        if not ids and name == "Erase":
            ids = self._under(shapes.stroke_area(line, radius))
        if ids:
            self._reshape(ids, lambda one: change(one, line, radius), name)
        elif name == "Paint":
            shape = shapes.clean(shapes.stroke_area(line, radius), within=self._extent())
            if np.isfinite(shape.bounds).all():
                row = self._new_row(shape, PERSON)
                self._do(Edit(name, self._none(), row), Moment((row.uuid(0),)))
        else:
            self.state.notice = "There is no object under the eraser."

    def split(self, xy: ArrayLike) -> None:
        """Cut the selected objects along a line (n, 2), or else those that it crosses."""
        line = np.asarray(xy, np.float64).reshape(-1, 2)
        if not self._is_ready() or len(line) < 2:
            return
        ids = list(self.state.selection) or self._under(shapes.stroke_area(line, 0.5))
        before = self.objects.get(ids)
        cut, parts = [], []
        for row in range(len(before)):
            pieces = shapes.split(before.contours.take([row]), line)
            if len(pieces) > 1:
                cut.append(row)
                parts.append(self._pieces(before.select([row]), pieces))
        if not cut:
            self.state.notice = "The line cuts no object in two. Draw it right across."
            return
        after = ObjectTable.concat(parts)
        self._do(Edit("Split", before.select(cut), after), Moment(tuple(after.uuids())))

    def _pieces(self, row: ObjectTable, pieces: Contours) -> ObjectTable:
        """The largest piece keeps the id."""
        order = np.argsort(-pieces.areas_px, kind="stable")
        copies = self._edited(row.select(np.zeros(len(order), np.int64)), pieces.take(order))
        ids = new_ids(len(order))
        ids[0] = row.object_id[0]
        kept = {row.uuid(0): row.details_of(0)} if row.details else {}
        return copies.with_columns(object_id=ids, details=kept)

    def merge(self) -> None:
        """Make one object of those selected; it keeps the id and class of the largest."""
        if not self._is_ready():
            return
        before = self.objects.get(self.state.selection)
        if len(before) < 2:
            self.state.notice = "Select two or more objects to merge (Ctrl-click adds one)."
            return
        largest = int(np.argmax(before.areas_px))
        merged = shapes.merge(before.contours)
        after = self._edited(before.select([largest]), merged)
        self._do(Edit("Merge", before, after), Moment((after.uuid(0),)))

    def smooth(self) -> None:
        """Round the outlines of the selected objects."""
        self._reshape(self.state.selection, shapes.smooth, "Smooth")

    def fill_holes(self) -> None:
        """Fill the holes of the selected objects."""
        self._reshape(self.state.selection, shapes.fill_holes, "Fill holes")

    def _reshape(
        self, ids: Iterable[UUID], change: Callable[[Contours], Contours], name: str
    ) -> None:
        """Another outline for each object; one that nothing is left of goes."""
        if not self._is_ready():
            return
        before = self.objects.get(ids)
        if not len(before):
            self.state.notice = f"Select an object first, then press {name}."
            return
        changed = [change(before.contours.take([row])) for row in range(len(before))]
        contours = shapes.clean(Contours.concat(changed), within=self._extent())
        left = np.isfinite(contours.bounds).all(axis=1)
        after = self._edited(before, contours).select(left)
        self._do(Edit(name, before, after), Moment(tuple(after.uuids())))

    # -- selection, classes, review --------------------------------------------------------------

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

    def set_tool(self, tool: Tool) -> None:
        """What the mouse does from now on."""
        self.state.tool = tool

    def set_brush(self, radius_px: float) -> None:
        """Radius of the brush."""
        self.state.brush_px = float(np.clip(radius_px, 0.5, 500))

    def delete(self) -> None:
        """Remove the selected objects; an answer that is awaited is not wanted any more."""
        if not self._is_ready() or self._give_up_latest():
            return
        before = self.objects.get(self.state.selection)
        if not len(before):
            self.state.notice = "Select an object first, then delete it."
            return
        following = self._walk.after(self.state.selection, self.objects)
        self._do(Edit("Delete", before, before.select([])), Moment())
        self._show_review(following)

    reject = delete

    def accept(self) -> None:
        """Confirm the selected objects, and go on with the review."""
        if not self._is_ready():
            return
        before = self.objects.get(self.state.selection)
        if not len(before):
            self.state.notice = "Select an object first, then accept it."
            return
        following = self._walk.after(self.state.selection, self.objects)
        state = np.full(len(before), ObjectState.ACCEPTED, np.uint8)
        self._do(Edit("Accept", before, before.with_columns(state=state)), Moment())
        self._show_review(following)

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
            state=_touched(before),
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

    def review_start(self) -> None:
        """Walk through the objects that nobody confirmed, the least certain first."""
        if not self._is_ready():
            return
        self._walk = Walk.least_certain_first(self.objects.table())
        first = self._walk.step(self.objects, 0)
        if first is None:
            self.state.notice = "There is nothing to review: every object was confirmed or drawn."
        self._show_review(first)

    def review_next(self) -> None:
        """The next object of the review."""
        self._show_review(self._walk.step(self.objects, 1))

    def review_previous(self) -> None:
        """The one before."""
        self._show_review(self._walk.step(self.objects, -1))

    def review_stop(self) -> None:
        """Leave the review."""
        self._walk = Walk(())
        self.state.review = None

    def _show_review(self, object_id: UUID | None) -> None:
        if not self._walk:
            return
        if object_id is None:
            self.review_stop()
            self.state.notice = self.state.notice or "The review is done."
            return
        self.select([object_id])
        self.state.review = self._walk.at(object_id, self.objects)

    # -- one stack -------------------------------------------------------------------------------

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

    def _give_up_latest(self) -> bool:
        """Drop the gesture that was made last, if its answer is awaited."""
        latest = self._asks.latest()
        if latest is None:
            return False
        self._asks.drop(latest)
        self.state.in_flight = len(self._asks)
        kept = (latest,) if latest in self.objects else ()
        if self.state.active == latest:
            prompts = self.state.prompts[:-1] if kept else ()
            self._set_moment(Moment(kept, latest if prompts else None, prompts))
        return True

    def _do(
        self, edit: Edit, after: Moment, *, before: Moment | None = None, shown: bool = True
    ) -> None:
        """Keep, apply and remember an edit; where not `shown`, the person has gone on meanwhile."""
        before = before or self._moment()
        if not self._keep(edit):
            return
        if shown:
            self._set_moment(after)
        self._history.push(Step(edit, before, after))
        self.state.error = ""
        if edit.name not in ("Click", "Box", "Squiggle"):
            self.state.notice = ""
        self._refresh()

    def _keep(self, edit: Edit) -> bool:
        """Into the journal first, then onto the screen; False where neither happened."""
        document = self._document
        if document is None:
            return False
        try:
            self.objects.check(edit)
            document.append(edit)
            self.objects.apply(edit)
        except HistoError as error:
            self.fail(error)
            return False
        if document.notice:
            self.state.notice = document.notice
        return True

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

    # -- saving ----------------------------------------------------------------------------------

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

    # -- small words -----------------------------------------------------------------------------

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

    def _none(self) -> ObjectTable:
        return ObjectTable.empty(self.state.classes)

    def _extent(self) -> Box | None:
        return None if self.state.image is None else self.state.image.reader.info.box

    def _under(self, area: Contours) -> list[UUID]:
        """Objects that an area meets."""
        import shapely

        left, top, right, bottom = area.bounds[0]
        box = Box.from_edges(
            int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))
        )
        rows = self.objects.rows(self.objects.rows_in(box))
        hit = shapely.intersects(shapely.make_valid(rows.to_shapely()), area.to_shapely()[0])
        return rows.select(hit).uuids()

    def _new_row(self, shape: Contours, source: str, *, score: float = np.nan) -> ObjectTable:
        return ObjectTable.build(
            shape,
            class_id=self.state.classes.index(self.state.current_class),
            det_prob=score,
            state=ObjectState.DRAWN,
            object_type=ObjectType.ANNOTATION,
            classes=self.state.classes,
            source=source,
        )

    def _edited(self, rows: ObjectTable, contours: Contours) -> ObjectTable:
        """Rows with other outlines; measurements of the old ones are void."""
        void = {name: np.full(len(rows), np.nan) for name in rows.measurements}
        return rows.with_columns(contours=contours, state=_touched(rows), measurements=void)


def _touched(rows: ObjectTable) -> NDArray[np.uint8]:
    """State of rows after a person's hand: what was drawn stays drawn."""
    drawn = rows.state == ObjectState.DRAWN
    return np.where(drawn, ObjectState.DRAWN, ObjectState.EDITED).astype(np.uint8)


def _as_row(object_id: UUID) -> NDArray[np.uint8]:
    return np.frombuffer(object_id.bytes, np.uint8).reshape(1, 16).copy()


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
