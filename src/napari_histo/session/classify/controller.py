"""Classes of cells: by examples that a person clicks, or by a threshold on a measurement."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from napari_histo.errors import LearningError
from napari_histo.learning.cells.classifier import review_order
from napari_histo.session.annotate.reviewing import Walk
from napari_histo.session.classify.giving import Giving
from napari_histo.session.classify.state import Way
from napari_histo.session.classify.work import (
    ClassifyTools,
    Learned,
    Loaded,
    classifier_folder,
    judge_by,
)
from napari_histo.session.jobs import Job, Lane, Post, Report

__all__ = ["ClassifyController"]

_NO_DOUBT = "Give examples of two classes first: then there is doubt to look at."


class ClassifyController(Giving):
    """Turns clicks into examples, and examples into classes of all objects.

    Examples are edits, kept and undone one by one. What a classifier says is only shown, until
    `apply` makes it an edit. All methods belong to the thread that `post` serves, and return at
    once.

    Parameters
    ----------
    post : Post
    tools : ClassifyTools, optional

    Attributes
    ----------
    classify : ClassifyState
        Beside `state`, which tells of the objects.
    ledger : Ledger
        What is shown, for whoever draws it; another one after each `open`.
    recoloured : psygnal.Signal
        What is shown has changed.
    """

    def __init__(self, post: Post, tools: ClassifyTools | None = None) -> None:
        super().__init__(post, tools)
        self._walk = Walk()
        self._walked_by: Learned | None = None
        self._files = Lane(post, "classifier files")

    def _renew(self) -> None:
        super()._renew()
        self._files.drop()
        self._walk = Walk()
        self.state.review = None

    def set_way(self, way: Way) -> None:
        """By examples or by a threshold; what is shown changes at once."""
        self.review_stop()
        super().set_way(way)

    # -- review ------------------------------------------------------------------------------------
    def choose(self, class_name: str) -> None:
        """The class of what is clicked next; in a review, the class of the object under review."""
        self.state.current_class = class_name
        review = self.state.review
        if review is not None and self._give([review.object_id], class_name):
            self.review_next()

    def accept(self) -> None:
        """The object under review is what it is shown as."""
        review = self.state.review
        row = None if review is None else self.objects.row_of(review.object_id)
        if row is None or review is None:
            return
        shown = self.ledger.class_ids(np.array([row]))[0]
        name = self.ledger.classes.name_of(int(shown))
        if name is None:
            self.state.notice = "It has no class yet. Press the key of one."
        elif self._give([review.object_id], name):
            self.review_next()

    def review_start(self) -> None:
        """Look at the objects one by one, the least sure first."""
        learned = self._learned
        if learned is None:
            self.state.notice = _NO_DOUBT
            return
        self._walk = Walk(self._doubtful())
        self._walked_by = learned
        self._show_review(self._walk.step(self.objects, 0))

    def _doubtful(self) -> NDArray[np.uint8]:
        """(n, 16) ids of what nobody gave a class, the least sure first."""
        assert self._learned is not None
        todo = self.ledger.judged & (self.ledger.given < 0)
        order = review_order(self._learned.prediction, todo)
        return np.ascontiguousarray(self._first_table().object_id[order])

    def review_next(self) -> None:
        """The next one, by what was learned meanwhile; given ones are passed by."""
        if self._walk and self._learned is not None and self._learned is not self._walked_by:
            self._walk = self._walk.with_rest(self._doubtful())
            self._walked_by = self._learned
        found = self._walk.step(self.objects, 1)
        while found is not None and self._is_given(found):
            found = self._walk.step(self.objects, 1)
        self._show_review(found)

    def review_previous(self) -> None:
        """The one before."""
        self._show_review(self._walk.step(self.objects, -1))

    def review_stop(self) -> None:
        """Leave the review."""
        self._walk = Walk()
        self.state.review = None
        self.select([])

    def _is_given(self, object_id: UUID) -> bool:
        row = self.objects.row_of(object_id)
        return row is not None and bool(self.ledger.are_solid(np.array([row]))[0])

    def _show_review(self, object_id: UUID | None) -> None:
        if not self._walk:
            return
        if object_id is None:
            self.review_stop()
            self.state.notice = "The review is done."
            return
        self.select([object_id])
        self.state.review = self._walk.at(object_id, self.objects)

    # -- files -------------------------------------------------------------------------------------

    def save(self, path: Path | None = None, *, overwrite: bool = False) -> None:
        """Give the classes and write all objects; the classifier goes beside them."""
        self.apply(partial(self._save_given, path, overwrite))

    def _save_given(self, path: Path | None, overwrite: bool) -> None:
        super().save(path, overwrite=overwrite)
        target = path or self.state.kept.target
        learned_here = self.classify.loaded is None or self.classify.n_examples
        if target is not None and self._learned is not None and learned_here:
            self.save_classifier(classifier_folder(target))

    def save_classifier(self, folder: Path) -> None:
        """Write the classifier to a folder, for other images and for the command line."""
        from napari_histo.learning.cells.files import save_classifier

        if self._learned is None:
            self.fail(LearningError("There is no classifier yet. Give examples of two classes."))
            return
        known = self._learned.classifier.with_quality(self.classify.quality or {})
        lesson = self._lesson

        def write(_: Report) -> None:
            save_classifier(folder, known, None if lesson is None else lesson.examples())

        self._files.submit(Job(write, failed=self.fail))

    def load_classifier(self, folder: Path) -> None:
        """Use a classifier from a folder; examples that are given here are added to its own."""
        sheet, image = self._sheet, self.state.image
        if sheet is None or image is None:
            self.fail(LearningError("The objects are not measured yet. Try again in a moment."))
            return
        table, reader, cancel = self._first_table(), image.reader, self._cancel
        work = Job(
            lambda _: judge_by(folder, table, sheet, reader, cancel),
            lambda loaded: self._use(folder, loaded),
            self.fail,
        )
        self._files.submit(work)

    def _use(self, folder: Path, loaded: Loaded) -> None:
        self._lessons.drop()
        self._proofs.drop()
        known = self.classify
        self._loaded = loaded
        known.loaded, known.learning = folder, False
        known.quality = loaded.learned.classifier.quality or None
        self._took_in(loaded.learned)
        if known.n_examples and loaded.kept is not None:
            self._refresh_classes()

    def forget_loaded(self) -> None:
        """Learn from the examples here alone again."""
        self.classify.loaded = self._loaded = None
        self._refresh_classes()
