"""Edits by hand: painting, cutting, merging, deleting, and deciding on what a model found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histo.core import Box, Contours, Edit, ObjectState, ObjectTable, ObjectType
from napari_histo.errors import EditError
from napari_histo.ops import edit as shapes
from napari_histo.session.annotate.cell_edits import cut, merged, moved, outline_of, with_outline
from napari_histo.session.annotate.desk import Desk
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.history import Moment
from napari_histo.session.annotate.reviewing import Walk
from napari_histo.session.annotate.state import Outline, Tool
from napari_histo.session.jobs import Post

__all__ = ["Shaping"]

#: Who made an object, in `ObjectTable.sources`.
_PERSON = "drawn by hand"
_NO_CELL = "A nucleus lies in a cell: paint within one, or edit the cell."


class Shaping(Desk):
    """What changes outlines without a model; see `AnnotationController`."""

    def __init__(self, post: Post, open_document: Callable[..., Document]) -> None:
        super().__init__(post, open_document)
        self._walk = Walk()

    def _renew(self) -> None:
        super()._renew()
        self.state.outline = Outline.CELL
        self.review_stop()

    def set_tool(self, tool: Tool) -> None:
        """What the mouse does from now on."""
        self.state.tool = tool

    def set_outline(self, outline: Outline) -> None:
        """Which outline of a cell is edited from now on."""
        self.state.outline = outline

    def switch_outline(self) -> None:
        """The other outline."""
        is_cell = self.state.outline is Outline.CELL
        self.set_outline(Outline.NUCLEUS if is_cell else Outline.CELL)

    def set_brush(self, radius_px: float) -> None:
        """Radius of the brush, px; brought to 0.5 to 500."""
        if np.isnan(radius_px):
            self.fail(EditError("The brush's radius is no number. Give one from 0.5 to 500 px."))
            return
        self.state.brush_px = float(np.clip(radius_px, 0.5, 500))

    # -- brush and knife ---------------------------------------------------------------------------

    def paint(self, xy: ArrayLike, radius_px: float | None = None) -> None:
        """Add a brush stroke (n, 2) to the selected object, or make a new one of it.

        A nucleus is painted in the selected cell, else in that which holds most of the stroke.
        """
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
        try:
            covered = shapes.stroke_area(line, radius)
        except EditError as error:
            self.fail(error)
            return
        ids, inner = list(self.state.selection), self.state.outline is Outline.NUCLEUS
        if not ids and (inner or name == "Erase"):
            ids = self._under(covered, most=name == "Paint")
        if ids:
            self._reshape(ids, lambda one: change(one, line, radius), name)
        elif inner:
            self.state.notice = _NO_CELL
        elif name == "Paint":
            shape = shapes.clean(covered, within=self._extent())
            if np.isfinite(shape.bounds).all():
                row = self._new_row(shape, _PERSON)
                self._do(Edit(name, self._none(), row), Moment((row.uuid(0),)))
        else:
            self.state.notice = "There is no object under the eraser."

    def split(self, xy: ArrayLike) -> None:
        """Cut the selected objects along a line (n, 2), or else those that it crosses.

        Nuclei are cut with their cells: each piece keeps what lies in it.
        """
        line = np.asarray(xy, np.float64).reshape(-1, 2)
        if not self._is_ready() or len(line) < 2:
            return
        try:
            ids = list(self.state.selection) or self._under(shapes.stroke_area(line, 0.5))
        except EditError as error:
            self.fail(error)
            return
        before = self.objects.get(ids)
        gone, parts = [], []
        told = "There is no object under the line."
        for row in range(len(before)):
            try:
                pieces = shapes.split(before.contours.take([row]), line)
            except EditError as error:
                told = str(error)
                continue
            gone.append(row)
            parts.append(cut(before.select([row]), pieces))
        if not gone:
            self.state.notice = told
            return
        after = ObjectTable.concat(parts)
        self._do(Edit("Split", before.select(gone), after), Moment(tuple(after.uuids())))

    # -- what is selected --------------------------------------------------------------------------

    def merge(self) -> None:
        """Make one object of those selected; it keeps the id and class of the largest.

        Nuclei become one as their cells do.
        """
        if not self._is_ready():
            return
        before = self.objects.get(self.state.selection)
        if len(before) < 2:
            self.state.notice = "Select two or more objects to merge (Ctrl-click adds one)."
            return
        try:
            after = merged(before)
        except EditError as error:
            self.fail(error)
            return
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
        """Another outline for each object, or its nucleus; what nothing is left of goes."""
        if not self._is_ready():
            return
        before = self.objects.get(ids)
        if not len(before):
            self.state.notice = f"Select an object first, then press {name}."
            return
        which = self.state.outline
        outlines = outline_of(before, which)
        try:
            changed = [change(outlines.take([row])) for row in range(len(before))]
            contours = shapes.clean(Contours.concat(changed), within=self._extent())
        except EditError as error:
            self.fail(error)
            return
        after = with_outline(before, contours, which)
        after = after.select(np.isfinite(after.contours.bounds).all(axis=1))
        self._do(Edit(name, before, after), Moment(tuple(after.uuids())))

    def move(self, dx: float, dy: float) -> None:
        """Move the selected objects, px, whole: outlines with their nuclei; locked ones stay."""
        if not self._is_ready():
            return
        before = self.objects.get(self.state.selection)
        free = [row for row in range(len(before)) if not before.details_of(row).locked]
        before = before.select(free)
        if not len(before):
            self.state.notice = "Select an object that is not locked first, then move it."
            return
        try:
            after = moved(before, (dx, dy), self._extent())
        except EditError as error:
            self.fail(error)
            return
        self._do(Edit("Move", before, after), Moment(tuple(after.uuids())))

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

    # -- review ------------------------------------------------------------------------------------

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
        self._walk = Walk()
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

    # -- small words -------------------------------------------------------------------------------

    def _none(self) -> ObjectTable:
        return ObjectTable.empty(self.state.classes)

    def _extent(self) -> Box | None:
        return None if self.state.image is None else self.state.image.reader.info.box

    def _under(self, area: Contours, *, most: bool = False) -> list[UUID]:
        """Objects that an area meets; or the one that holds `most` of it."""
        import shapely

        left, top, right, bottom = area.bounds[0]
        box = Box.from_edges(
            int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))
        )
        rows = self.objects.rows(self.objects.rows_at_hand(box))
        there, brushed = shapely.make_valid(rows.to_shapely()), area.to_shapely()[0]
        hit = rows.select(shapely.intersects(there, brushed)).uuids()
        if len(hit) < 2 or not most:
            return hit
        shared = shapely.area(shapely.intersection(there, brushed))
        return [rows.uuid(int(np.argmax(shared)))]

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
