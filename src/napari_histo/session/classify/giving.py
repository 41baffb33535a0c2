"""The classes that are shown are given to the objects: at once, or for many in a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_histo.core import CancelToken, Edit, ObjectTable, Progress, result_of
from napari_histo.session.annotate.class_edits import add_classes
from napari_histo.session.classify.judging import Judging
from napari_histo.session.classify.state import Way
from napari_histo.session.classify.work import ClassifyTools
from napari_histo.session.jobs import Job, Lane, Post
from napari_histo.store.journal import encode_rows

__all__ = ["Giving"]

#: More objects would keep the window waiting.
_AT_ONCE = 5000


def _nothing() -> None:
    """Where nothing follows."""


@dataclass(frozen=True, eq=False)
class _Gift:
    """Classes that are being given.

    Attributes
    ----------
    version : int
        Of the objects when it was asked for.
    then : callable
        What follows.
    cancel : CancelToken
    """

    version: int
    then: Callable[[], None]
    cancel: CancelToken


@dataclass(frozen=True, eq=False)
class _Prepared:
    """An edit, and what the journal keeps of its rows."""

    edit: Edit
    rows: Mapping[str, Any]


class Giving(Judging):
    """What is applied; see `ClassifyController`.

    The thread makes an edit and its line of the journal ready. Nothing is kept before it is back,
    so that it can be given up at any time.
    """

    def __init__(self, post: Post, tools: ClassifyTools | None = None) -> None:
        super().__init__(post, tools)
        self._gifts = Lane(post, "give classes")
        self._gift: _Gift | None = None

    def _renew(self) -> None:
        super()._renew()
        self._drop_gift()

    def apply(self, then: Callable[[], None] = _nothing) -> bool:
        """Give all objects the class that they are shown in: one step that undo takes back.

        Many objects are given theirs in a while: `classify.giving` tells how far it is.

        Parameters
        ----------
        then : callable
            Called once they are given; at once where there is nothing to give.

        Returns
        -------
        bool
            False where nothing is to be given.
        """
        self._drop_gift()
        places = self._pending()
        if not self._is_ready() or not len(places):
            then()
            return False
        make = self._edit_of(places)
        if len(places) <= _AT_ONCE:
            version = self.objects.version
            self._do(make(), self._moment())
            then()
            return self.objects.version > version
        self._gift = gift = _Gift(self.objects.version, then, CancelToken())
        work = _prepare(make, gift.cancel)
        self._gifts.submit(
            Job(
                lambda report: result_of(work, report),
                partial(self._prepared, gift),
                self._not_prepared,
                self._tell_giving,
            )
        )
        self.classify.giving = Progress(0, 0)
        return True

    def stop_applying(self) -> None:
        """Give no classes after all; nothing has changed yet."""
        if self._gift is not None:
            self._drop_gift()
            self.state.notice = "Stopped. No class was given."

    def close(self) -> None:
        """As of `Desk`; what was being applied is finished first."""
        self._finish_gift()
        super().close()

    def prepare_save(self) -> Callable[[], None] | None:
        """As of `Desk`; what was being applied is finished first."""
        self._finish_gift()
        return super().prepare_save()

    def _give_up_latest(self) -> bool:
        if self._gift is None:
            return super()._give_up_latest()
        self.stop_applying()
        return True

    # -- in the thread, and back -------------------------------------------------------------------

    def _edit_of(self, places: NDArray[np.int64]) -> Callable[[], Edit]:
        """What makes the edit, in any thread: of the objects as they stand now."""
        ledger, known = self.ledger, self.classify
        rows = ledger.rows_of(places)
        places = ledger.places_of(rows)
        ids, classes, read = ledger.shown[places], ledger.classes, self.objects.later_rows(rows)
        schemes = None
        if classes != self.objects.classes:
            schemes = add_classes(self.objects.classes, classes).schemes
        name = "Classify" if known.way is Way.EXAMPLES else "Threshold"
        beside = self._beside(places)

        def make() -> Edit:
            before = read()
            after = before.with_columns(class_id=ids, classes=classes, **beside(before))
            return Edit(name, before, after, schemes)

        return make

    def _beside(self, places: NDArray[np.int64]) -> Callable[[ObjectTable], dict[str, Any]]:
        """What goes with the classes: their probability, or the measurement that made them."""
        known = self.classify
        if known.way is Way.EXAMPLES and self._learned is not None:
            prob = self._learned.prediction.prob[places]
            return lambda _: {"class_prob": prob}
        assert self._sheet is not None
        assert known.measurement is not None
        name, values = known.measurement, self._sheet.columns[known.measurement][places]
        none = np.full(len(places), np.nan, np.float32)
        return lambda before: {
            "class_prob": none,
            "measurements": {**before.measurements, name: values},
        }

    def _tell_giving(self, step: Progress) -> None:
        self.classify.giving = step

    def _prepared(self, gift: _Gift, ready: _Prepared) -> None:
        if self.objects.version != gift.version:
            self.apply(gift.then)  # objects have changed meanwhile: once more
            return
        self._drop_gift()
        self._do(ready.edit, self._moment(), rows=ready.rows)
        gift.then()

    def _not_prepared(self, error: BaseException) -> None:
        self._drop_gift()
        self.fail(error)

    def _drop_gift(self) -> None:
        gift, self._gift = self._gift, None
        self.classify.giving = None
        if gift is not None:
            gift.cancel.cancel()
            self._gifts.drop()

    def _finish_gift(self) -> None:
        """Now, in this thread: what was asked for must not be lost."""
        gift = self._gift
        if gift is None:
            return
        self._drop_gift()
        places = self._pending()
        if len(places):
            self._do(self._edit_of(places)(), self._moment())
        gift.then()


def _prepare(make: Callable[[], Edit], cancel: CancelToken) -> Generator[Progress, None, _Prepared]:
    """Make an edit of many objects ready for `Document.append`; in a thread.

    Raises
    ------
    Cancelled
    """
    words = "Giving the classes"
    yield Progress(0, 3, words)
    cancel.raise_if_cancelled()
    edit = make()
    yield Progress(1, 3, words)
    cancel.raise_if_cancelled()
    rows = encode_rows(edit)
    yield Progress(2, 3, words)
    return _Prepared(edit, rows)
