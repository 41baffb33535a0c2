"""Everything that the QuPath panel shows, as plain evented data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import ClassVar

from psygnal import SignalGroupDescriptor

from napari_histo.core import Progress, SlideReader
from napari_histo.core.bridge import ImageEntry
from qupath_bridge.images import FoundImage
from qupath_bridge.pair import Comparison, Direction, Pair
from qupath_bridge.project import QuPathProject
from qupath_bridge.sync import Answers

__all__ = ["UNREADABLE", "ImageRow", "OpenedSlide", "Preview", "QuPathState", "Step", "Sync"]


class Sync(Enum):
    """How our file and the project stand, as far as files tell without Java."""

    NOTHING = "no objects yet"
    NEW = "not pulled yet"
    APART = "never synced"
    IN_STEP = "in step"
    HERE = "changed in napari"
    QUPATH = "changed in QuPath"
    BOTH = "changed on both sides"
    WAITING = "waits for the import in QuPath"
    CONFLICTS = "conflicts"
    SAVING = "QuPath is saving"
    DAMAGED = "damaged"
    UNEXPORTED = "not exported from QuPath"
    MISSING = "image file not found"


#: What no sync can read now; the row's message says why.
UNREADABLE = frozenset({Sync.DAMAGED, Sync.SAVING, Sync.UNEXPORTED})


@dataclass(frozen=True)
class ImageRow:
    """An image of the project.

    Attributes
    ----------
    entry : ImageEntry
    image : FoundImage
        Its file, or why there is none.
    file : Path or None
        Our objects, there or not; None while the image is not found.
    project : Path
        The ``project.qpproj``, or the ``exchange.json`` of an exchange folder.
    thumbnail : Path or None
    sync : Sync
    by_type : mapping of str to int
        Objects at QuPath's last save.
    saved_at : datetime or None
        When QuPath, or a sync, last wrote them.
    round : str
        Of active learning, in words; empty where the project says nothing of one.
    message : str
        What is wrong; empty where nothing is.
    can_undo : bool
        Whether a sync can be taken back.
    """

    entry: ImageEntry
    image: FoundImage
    file: Path | None
    project: Path
    thumbnail: Path | None = None
    sync: Sync = Sync.NOTHING
    by_type: Mapping[str, int] = field(default_factory=dict)
    saved_at: datetime | None = None
    round: str = ""
    message: str = ""
    can_undo: bool = False

    @property
    def key(self) -> str:
        """QuPath's id of the image."""
        return self.entry.entry_id

    @property
    def pair(self) -> Pair | None:
        """Both places of its objects."""
        return None if self.file is None else Pair(self.entry, self.file, self.project)


@dataclass(frozen=True, eq=False)
class OpenedSlide:
    """Pixels of an image that wait to be shown.

    Attributes
    ----------
    row : ImageRow
    reader : SlideReader
        In the coordinates of the project's objects.
    is_view : bool
        Whether QuPath shows the file through steps, so that the file alone is another image.
    channels : tuple of (name, (red, green, blue))
        As QuPath shows them; empty where the project does not say.
    stains : str
        Stain vectors as QuPath's script sets them; empty where there are none.
    """

    row: ImageRow
    reader: SlideReader
    is_view: bool
    channels: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    stains: str = ""


class Step(Enum):
    """What is going on."""

    IDLE = "idle"
    READING = "reading"
    WRITING = "writing"
    CANCELLING = "cancelling"


@dataclass(frozen=True, eq=False)
class Preview:
    """What would be written, and what is still to be decided.

    Attributes
    ----------
    row : ImageRow
    direction : {"sync", "pull", "push"}
    found : Comparison
        With `answers` in it.
    answers : mapping of UUID to str
        By hand: "ours", "theirs" or "copy".
    """

    row: ImageRow
    direction: Direction
    found: Comparison
    answers: Answers = field(default_factory=dict)

    @property
    def n_open(self) -> int:
        """Conflicts without an answer; both sides stay as they are there."""
        return self.found.merge.conflicts.n_open

    @property
    def writes(self) -> tuple[bool, bool]:
        """Whether our file, and whether the project would be written."""
        return self.found.writes_ours(self.direction), self.found.writes_theirs(self.direction)


@dataclass(eq=False)
class QuPathState:
    """State of the QuPath panel; `events` has a signal for each field.

    Only `QuPathController` changes it, and only in the thread of the window.

    Attributes
    ----------
    project : QuPathProject or None
    rows : tuple of ImageRow
    is_listing : bool
        While the images are looked at.
    chosen, opened : str or None
        Ids of the image that the buttons mean, and of the one that was opened last.
    step : Step
    task : str
        What is under way, in words: "Sync of slide 3".
    progress : Progress or None
    preview : Preview or None
        What waits for the user's word.
    blocker : str
        Why nothing can be pulled or pushed on this machine; empty where it can.
    notice, error : str
        The one thing to tell the user; empty when there is none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    project: QuPathProject | None = None
    rows: tuple[ImageRow, ...] = ()
    is_listing: bool = False
    chosen: str | None = None
    opened: str | None = None
    step: Step = Step.IDLE
    task: str = ""
    progress: Progress | None = None
    preview: Preview | None = None
    blocker: str = ""
    notice: str = ""
    error: str = ""

    def row(self, key: str | None) -> ImageRow | None:
        """The image of an id."""
        return next((row for row in self.rows if row.key == key), None)

    @property
    def chosen_row(self) -> ImageRow | None:
        """The image that the buttons mean."""
        return self.row(self.chosen)

    @property
    def saved_meanwhile(self) -> ImageRow | None:
        """The opened image, where QuPath saved it since the last sync."""
        row = self.row(self.opened)
        return row if row is not None and row.sync in (Sync.QUPATH, Sync.BOTH) else None

    @property
    def why_not(self) -> str:
        """Why the chosen image cannot be synced now; empty where it can."""
        row = self.chosen_row
        if self.blocker:
            return self.blocker
        if self.step is not Step.IDLE:
            return f"{self.task} is under way."
        if row is None:
            return "Choose an image."
        if row.file is None:
            return "The image file is not found. Double-click the image to say where it is."
        return row.message if row.sync in UNREADABLE else ""
