"""What the objects are shown as: by what was learned from examples, or by a threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import Edit
from napari_histo.errors import HistoError
from napari_histo.session.annotate.document import Document
from napari_histo.session.annotate.objects import EditableObjects
from napari_histo.session.classify.examples import Exampling
from napari_histo.session.classify.grading import Grading
from napari_histo.session.classify.state import Way
from napari_histo.session.classify.work import (
    ClassifyTools,
    Learned,
    Lesson,
    Loaded,
    Sheet,
    warm_up,
)
from napari_histo.session.jobs import Job, Lane, Post

__all__ = ["Judging"]


class Judging(Exampling):
    """What is learned and graded, shown and given; see `ClassifyController`."""

    def __init__(self, post: Post, tools: ClassifyTools | None = None) -> None:
        super().__init__(post, tools)
        self._learned: Learned | None = None
        self._loaded: Loaded | None = None
        self._grading: Grading | None = None
        self._lessons = Lane(post, "learn classes")
        self._proofs = Lane(post, "cross-validate")
        self._warming = Lane(post, "load libraries")

    def _renew(self) -> None:
        super()._renew()
        self._lessons.drop()
        self._proofs.drop()
        self._learned = self._loaded = self._grading = None
        known = self.classify
        known.quality = known.loaded = known.measurement = known.spread = None
        known.learning = known.has_classifier = False
        known.measurements, known.thresholds, known.scores = (), (), ()
        known.n_pending = 0

    def _opened(self, both: tuple[Document, EditableObjects]) -> None:
        super()._opened(both)
        self._warming.submit(Job(lambda _: warm_up()))

    def _measured(self, sheet: Sheet) -> None:
        self._grading = Grading(sheet, self.ledger)
        self.classify.measurements = tuple(sheet.columns)
        self.set_measurement(self._grading.likely)
        super()._measured(sheet)

    def _on_edit(self, edit: Edit) -> None:
        if self._grading is not None:
            self._grading.forget()
        super()._on_edit(edit)

    def _count(self) -> None:
        super()._count()
        self.classify.n_pending = len(self._pending())

    # -- learning ----------------------------------------------------------------------------------
    def set_way(self, way: Way) -> None:
        """By examples or by a threshold; what is shown changes at once."""
        self.classify.way = way
        self._refresh_classes()

    def _refresh_classes(self) -> None:
        """What is shown, after examples, thresholds or the way have changed."""
        if self.classify.way is Way.THRESHOLD:
            self._show_grades()
        elif self._loaded is None or self._loaded.kept is not None:
            self._learn()
        else:
            self._show_learned()
        self._count()

    @property
    def _lesson(self) -> Lesson | None:
        """All examples as they stand; None where there is nothing to tell apart."""
        sheet, loaded, image = self._sheet, self._loaded, self.state.image
        if sheet is None or image is None:
            return None
        given = np.where(self.ledger.judged, self.ledger.given, -1)
        features, recipe, kept = sheet.features, sheet.recipe, None
        if loaded is not None:
            features, recipe = loaded.features, loaded.learned.classifier.recipe
            kept = loaded.kept
        name = image.reader.info.name
        lesson = Lesson(features, given, self.objects.classes, recipe, name, kept)
        return lesson if lesson.has_two_classes else None

    def _learn(self) -> None:
        lesson = self._lesson
        self._proofs.drop()
        if lesson is None:
            self._lessons.drop()
            self._learned = None
            self.classify.learning = self.classify.has_classifier = False
            self.classify.quality = None
            self._show_learned()
            return
        self.classify.learning = True

        def taught(learned: Learned) -> None:
            self._took_in(learned)  # colours first
            self._proofs.submit(Job(lambda _: lesson.prove(), self._proved, self._not_learned))

        self._lessons.submit(Job(lambda _: lesson.learn(), taught, self._not_learned))

    def _took_in(self, learned: Learned) -> None:
        self._learned = learned
        self.classify.learning, self.classify.has_classifier = False, True
        if self.classify.way is Way.EXAMPLES:
            self._show_learned()
            self._count()

    def _proved(self, quality: Mapping[str, Any]) -> None:
        self.classify.quality = quality or None

    def _not_learned(self, error: BaseException) -> None:
        self.classify.learning = False
        self.fail(error)

    def _show_learned(self) -> None:
        """The person's word where there is one, else the classifier's, else the object's."""
        learned, ledger = self._learned, self.ledger
        if learned is None:
            ledger.show(None, self.objects.classes)
        else:
            classes = self.objects.classes.union(learned.classifier.classes)
            names = learned.classifier.classes.names
            place = np.array([classes.index(name) for name in names], np.int32)
            said = place[learned.prediction.class_id]
            said = np.where(ledger.given >= 0, ledger.given, said)
            ledger.show(np.where(ledger.judged, said, ledger.class_id), classes)
        self.recoloured.emit()

    # -- thresholds --------------------------------------------------------------------------------

    def set_measurement(self, name: str | None) -> None:
        """Put thresholds on another measurement; as many as before are found in it."""
        grading, known = self._grading, self.classify
        if grading is None or name is None:
            return
        known.measurement = name
        known.spread = grading.spread(name)
        self.suggest(len(known.thresholds) or 1)

    def suggest(self, n: int) -> None:
        """Find one or three thresholds in the measurement."""
        grading, known = self._grading, self.classify
        if grading is None or known.measurement is None:
            return
        try:
            known.thresholds = grading.suggest(known.measurement, n)
        except HistoError as error:
            middle = known.spread.low if known.spread is not None else 0.0
            known.thresholds = (middle,) * n
            self.state.notice = str(error)
        if known.way is Way.THRESHOLD:
            self._refresh_classes()

    def set_threshold(self, place: int, value: float) -> None:
        """Move one threshold; the others make way."""
        moved = list(self.classify.thresholds)
        moved[place] = value
        for i in range(len(moved)):
            if i < place:
                moved[i] = min(moved[i], value)
            elif i > place:
                moved[i] = max(moved[i], value)
        self.classify.thresholds = tuple(moved)
        self._refresh_classes()

    def _show_grades(self) -> None:
        grading, known = self._grading, self.classify
        if grading is None or known.measurement is None:
            self.ledger.show(None, self.objects.classes)
            known.scores = ()
        else:
            ids, classes = grading.classify(known.measurement, known.thresholds)
            self.ledger.show(ids, classes)
            known.scores = grading.scores(ids, classes)
        self.recoloured.emit()

    def _pending(self) -> NDArray[np.int64]:
        """Places of objects that are shown in another class than theirs."""
        ledger = self.ledger
        shown: NDArray[np.bool_] = ledger.judged & (ledger.shown != ledger.class_id)
        if self.classify.way is Way.EXAMPLES:
            shown &= ledger.given < 0
        return np.flatnonzero(shown)
