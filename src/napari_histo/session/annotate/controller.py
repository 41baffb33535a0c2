"""Annotating by gestures: prompts in, objects out, every step kept, undone and redone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import (
    Box,
    BoxPrompt,
    Contours,
    Edit,
    ObjectTable,
    PixelSize,
    PointPrompt,
    Prompt,
    PromptAnswer,
    ScribblePrompt,
    SlideReader,
    new_ids,
)
from napari_histo.errors import EditError, HistoError
from napari_histo.ops import edit as shapes
from napari_histo.pipeline.prompt import PromptEngine, prompt_bounds
from napari_histo.session.annotate.asking import Ask, AskingLane
from napari_histo.session.annotate.cell_edits import outline_of, with_outline
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.history import Moment
from napari_histo.session.annotate.shaping import Shaping
from napari_histo.session.jobs import Post

__all__ = ["AnnotationController", "AnnotationTools"]

_NOTHING_FOUND = (
    "Nothing was found there. Click nearer to the middle, drag a box around it, or paint it."
)
_OUTSIDE = "That is outside the image. Point at something on it."


def _load_engine(reader: SlideReader, pixel_size: PixelSize | None) -> PromptEngine:
    from napari_histo.models import load_prompt_model

    return PromptEngine(reader, load_prompt_model(), pixel_size=pixel_size)


@dataclass(frozen=True)
class AnnotationTools:
    """What a session works with; tests put fakes here. Both run in threads."""

    make_engine: Callable[[SlideReader, PixelSize | None], PromptEngine] = _load_engine
    open_document: Callable[..., Document] = Document.open


class AnnotationController(Shaping):
    """Turns gestures into edits of `objects`, and tells of them in `state`.

    All methods belong to the thread that `post` serves, and return at once. Coordinates are
    full-resolution px, x before y.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    tools : AnnotationTools, optional
    """

    def __init__(self, post: Post, tools: AnnotationTools | None = None) -> None:
        self._tools = tools or AnnotationTools()
        super().__init__(post, self._tools.open_document)
        self._asks = self._new_lane()

    def _renew(self) -> None:
        super()._renew()
        self._asks.close()
        self._asks = self._new_lane()
        self.state.in_flight = 0

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
        return super().pixel_size

    # -- gestures ----------------------------------------------------------------------------------

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
        if self._is_outside(prompt):
            self.state.notice = _OUTSIDE
            return
        object_id, before = UUID(bytes=new_ids(1).tobytes()), self._moment()
        self._set_moment(Moment((), object_id, (prompt,)))
        self._ask(Ask(object_id, (prompt,), name, before))

    def _is_outside(self, prompt: Prompt) -> bool:
        """True where no part of a gesture lies on the image."""
        assert self.state.image is not None
        info = self.state.image.reader.info
        low, high = prompt_bounds([prompt])
        return bool((high < 0).any() or (low > (info.width, info.height)).any())

    def _refine(self, prompt: Prompt) -> None:
        object_id = self._refinable()
        if object_id is None:
            self.state.notice = "Click or select one object first; then exclude from it or add."
            return
        prompts = self.state.prompts if object_id == self.state.active else ()
        if not prompts:
            prompts = self._inner_points(object_id)
        prompts, before = (*prompts, prompt), self._moment()
        self._set_moment(Moment(self.state.selection, object_id, prompts))
        self._ask(Ask(object_id, prompts, "Add" if prompt.positive else "Exclude", before))

    def _refinable(self) -> UUID | None:
        if self.state.active is not None:
            return self.state.active
        return self.state.selection[0] if len(self.state.selection) == 1 else None

    def _inner_points(self, object_id: UUID) -> tuple[Prompt, ...]:
        """A point in the outline that is edited; none where there is no such outline yet."""
        shape = outline_of(self.objects.get([object_id]), self.state.outline).to_shapely()[0]
        if shape.is_empty:
            return ()
        point = shape.representative_point()
        return (PointPrompt(point.x, point.y),)

    # -- asking the model --------------------------------------------------------------------------

    def _ask(self, ask: Ask) -> None:
        self.state.notice = self.state.error = ""
        self._asks.submit(ask)
        self.state.in_flight = len(self._asks)

    def _answered(self, ask: Ask, answer: PromptAnswer) -> None:
        self.state.in_flight = len(self._asks)
        is_active = ask.object_id == self.state.active
        before = self.objects.get([ask.object_id])
        try:
            shape = shapes.clean(answer.contours, within=self._extent())
        except EditError as error:
            self._ask_failed(error)
            return
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
            after = with_outline(before, shape, self.state.outline)
            return after.with_columns(det_prob=score)
        row = self._new_row(shape, "click", score=answer.score)
        return row.with_columns(object_id=_as_row(ask.object_id))

    def _ask_failed(self, error: BaseException) -> None:
        self.state.in_flight = len(self._asks)
        if self.state.active is not None and self.state.active not in self.objects:
            self._set_moment(Moment())
        self.fail(error)

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
        rows = self.objects.rows_at_hand(box)
        own = self.objects.row_of(but)
        return self.objects.rows(rows[rows != own] if own is not None else rows).contours


def _as_row(object_id: UUID) -> NDArray[np.uint8]:
    return np.frombuffer(object_id.bytes, np.uint8).reshape(1, 16).copy()
