"""Examples of classes: objects that a person gave a class, and what was measured of all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_histo.core import CancelToken, ClassScheme, Edit, ObjectState, ObjectTable
from napari_histo.learning.cells.examples import PLACEHOLDERS, examples_of
from napari_histo.session.annotate.desk import Desk
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.classify.ledger import Ledger
from napari_histo.session.classify.state import ClassifyState, Stains
from napari_histo.session.classify.work import ClassifyTools, Sheet
from napari_histo.session.jobs import Job, Lane, Post

__all__ = ["Exampling"]

_NO_CLASS = "Choose a class first, or add one; then click objects of it."
_MISSED = "There is no object there. Click inside an outline."


class Exampling(Desk):
    """What is opened, measured and clicked; see `ClassifyController`."""

    recoloured = Signal()

    def __init__(self, post: Post, tools: ClassifyTools | None = None) -> None:
        self._tools = tools or ClassifyTools()
        super().__init__(post, self._tools.open_document or Document.open)
        self.classify = ClassifyState()
        self.ledger = Ledger(self.objects)
        self._followed = self.objects
        self.objects.changed.connect(self._on_edit)
        self._sheet: Sheet | None = None
        self._cancel = CancelToken()
        self._measures = Lane(post, "measure objects")

    def _refresh_classes(self) -> None:
        """What is shown, after examples, thresholds or the way have changed."""
        raise NotImplementedError

    # -- opening -----------------------------------------------------------------------------------

    def _renew(self) -> None:
        super()._renew()
        self._cancel.cancel()
        self._measures.drop()
        self._sheet = None
        self.classify.measuring, self.classify.is_measured = None, False
        if self._followed is not self.objects:
            self._followed.changed.disconnect(self._on_edit)
            self.objects.changed.connect(self._on_edit)
            self._followed = self.objects
            self.ledger = Ledger(self.objects)

    def _opened(self, both: tuple[Document, EditableObjects]) -> None:
        super()._opened(both)
        self.state.current_class = next(iter(self.teachable.names), None)
        self._count()
        self.measure()

    @property
    def teachable(self) -> ClassScheme:
        """Classes that examples can be given of: all but what models call all that they find."""
        return ClassScheme(tuple(c for c in self.state.classes if c.name not in PLACEHOLDERS))

    def measure(self, stains: Stains | None = None) -> None:
        """Measure the objects, as a classifier and thresholds need it."""
        if stains is not None:
            self.classify.stains = stains
        image = self.state.image
        if image is None or not self.state.is_open or not len(self.objects):
            return
        self._cancel.cancel()
        cancel = self._cancel = CancelToken()
        self._sheet, self.classify.is_measured = None, False
        table, reader, word = self._first_table(), image.reader, self.classify.stains

        def progress(step: Any) -> None:
            self.classify.measuring = step

        self._measures.submit(
            Job(
                lambda report: self._tools.measure(reader, table, word, cancel, report),
                self._measured,
                self._not_measured,
                progress,
            )
        )

    def _first_table(self) -> ObjectTable:
        """The objects as they were opened: the ledger's order."""
        return self.objects.rows(np.arange(len(self.ledger)))

    def _measured(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.classify.measuring, self.classify.is_measured = None, True
        self._refresh_classes()

    def _not_measured(self, error: BaseException) -> None:
        self.classify.measuring = None
        self.fail(error)

    # -- examples ----------------------------------------------------------------------------------

    def click(self, x: float, y: float) -> None:
        """The object at a point (full-resolution px) is an example of the current class."""
        self._give_at(x, y, self.state.current_class)

    def take_back(self, x: float, y: float) -> None:
        """The object at a point is no example any more."""
        hit = self._hit(x, y)
        if hit is None:
            return
        before = self.objects.get([hit])
        after = before.with_columns(
            class_id=np.full(1, -1, np.int32),
            class_prob=np.full(1, np.nan, np.float32),
            state=np.full(1, ObjectState.PREDICTED, np.uint8),
        )
        self._do(Edit("Take back", before, after), self._moment())

    def take_classified(self) -> None:
        """Objects that came with a class, as from QuPath, are examples of it."""
        before = self.objects.rows(self.ledger.unproven_rows())
        if not self._is_ready() or not len(before):
            return
        state = np.full(len(before), ObjectState.ACCEPTED, np.uint8)
        self._do(Edit("Take as examples", before, before.with_columns(state=state)), self._moment())

    def _hit(self, x: float, y: float) -> UUID | None:
        if not self._is_ready():
            return None
        hit = self.objects.at(x, y)
        if hit is None:
            self.state.notice = _MISSED
        return hit

    def _give_at(self, x: float, y: float, name: str | None) -> None:
        hit = self._hit(x, y)
        if hit is None:
            return
        if name is None:
            self.state.notice = _NO_CLASS
            return
        self._give([hit], name)

    def _give(self, ids: Collection[UUID], name: str) -> bool:
        """An edit that makes objects examples; what was drawn or mended stays so."""
        before = self.objects.get(ids)
        if not len(before):
            return False
        if len(before) == len(self._given_as(before, name)):
            return True
        kept = np.isin(before.state, (ObjectState.EDITED, ObjectState.DRAWN))
        after = before.with_columns(
            class_id=np.full(len(before), self.state.classes.index(name), np.int32),
            class_prob=np.full(len(before), np.nan, np.float32),
            state=np.where(kept, before.state, ObjectState.ACCEPTED).astype(np.uint8),
            classes=self.state.classes,
        )
        version = self.objects.version
        self._do(Edit("Example", before, after), self._moment())
        return self.objects.version > version

    def _given_as(self, table: ObjectTable, name: str) -> NDArray[np.int64]:
        """Rows that are examples of a class already."""
        known = examples_of(table) == table.classes.index(name)
        return np.flatnonzero(known & np.isnan(table.class_prob))

    def _on_edit(self, edit: Edit) -> None:
        self.ledger.follow(edit)
        self._refresh_classes()

    # -- counting ----------------------------------------------------------------------------------

    def _count(self) -> None:
        ledger, known = self.ledger, self.classify
        names = ledger.classes.names
        given = np.bincount(ledger.given[ledger.judged] + 1, minlength=len(names) + 1)
        shown = np.bincount(ledger.shown[ledger.judged] + 1, minlength=len(names) + 1)
        known.examples = {n: int(k) for n, k in zip(names, given[1:], strict=True) if k}
        known.found = dict(zip((None, *names), shown.tolist(), strict=True))
        known.n_classified = ledger.n_unproven
