"""What a window holds of a round, brought into the round's files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import UUID

import numpy as np

from napari_histo.core import Edit
from napari_histo.core.round_regions import REGION_CLASSES, status_class
from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import LearningError
from napari_histo.session.annotate.document import Document

__all__ = ["InHand", "Turns", "mark_in_file"]


def mark_in_file(
    file: Path, statuses: Mapping[UUID, QueryStatus], data_folder: Path | None = None
) -> None:
    """Give regions other classes in a file of work that no panel has open.

    What an earlier session left unsaved comes into the file as well.

    Raises
    ------
    LearningError
        The file does not hold such a region.
    DocumentLockedError
        The file is open in another window.
    ObjectsFileError, WriteError
    """
    with Document.open(file, file.stem, data_folder=data_folder) as document:
        table = document.table
        known = set(table.uuids())
        lost = [i for i in statuses if i not in known]
        if lost:
            raise LearningError(
                f"{file} does not hold the region {lost[0]} any more. Undo its deletion, or delete "
                "the file and choose New round: it is made again."
            )
        classes = table.classes.union(REGION_CLASSES)
        rows = table.rows_of(list(statuses))
        before = table.select(rows)
        ids = [classes.index(status_class(status)) for status in statuses.values()]
        if before.class_id.tolist() == ids and not document.n_unsaved:
            return
        after = before.with_columns(classes=classes, class_id=np.array(ids, np.int32))
        schemes = None if classes == table.classes else (table.classes, classes)
        document.append(Edit("Relabel", before, after, schemes))
        class_id = table.class_id.copy()
        class_id[rows] = ids
        document.save(table.with_columns(classes=classes, class_id=class_id))


class Turns:
    """Lets one thread at a time bring what a window holds into files, and never what is older."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.given = self.done = 0

    def next(self) -> int:
        """A number for what is in hand now; in the window's thread."""
        self.given += 1
        return self.given


@dataclass(frozen=True)
class InHand:
    """What a window holds of a round and its files do not hold yet.

    Attributes
    ----------
    turns : Turns
    number : int
        Of `Turns.next`: one with a higher number holds all that this one does.
    file : Path or None
        That the Annotate panel has open.
    save : callable or None
        Brings the panel's edits into it.
    marks : mapping
        Statuses of regions in other files, by file and id.
    data_folder : Path or None
        Of journals.
    """

    turns: Turns
    number: int
    file: Path | None
    save: Callable[[], None] | None
    marks: Mapping[Path, Mapping[UUID, QueryStatus]]
    data_folder: Path | None = None

    def settle(self) -> None:
        """Bring it all into the files, in any thread; errors are those of `mark_in_file`."""
        with self.turns.lock:
            if self.number < self.turns.done:
                return
            if self.save is not None:
                self.save()
            for file, statuses in self.marks.items():
                mark_in_file(file, statuses, self.data_folder)
            self.turns.done = self.number
