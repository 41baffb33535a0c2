"""Everything that the Active learning panel shows, as plain evented data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from psygnal import SignalGroupDescriptor

from napari_histo.core import Box, ClassScheme, Progress, SlideReader
from napari_histo.core.rounds import QueryStatus, Split
from napari_histo.learning.progress.baseline import Baseline
from napari_histo.learning.progress.points import Learned
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.rounds.folder import Stage
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.learning.training import Preflight
from napari_histo.models.encoder.card import EncoderCard
from napari_histo.session.learning.compare import Comparison

__all__ = [
    "STOPPABLE",
    "Curve",
    "LearningState",
    "OpenedRegion",
    "Overview",
    "RegionRow",
    "RoundRow",
    "Task",
]


class Task(StrEnum):
    """What is under way, in the user's words."""

    NONE = ""
    OPENING = "Open the project"
    CREATING = "Make the project"
    CHOOSING = "New round"
    TRAINING = "Train"
    ROLLING_BACK = "Use another model"
    GIVING_UP = "Give up the round"
    COMPARING = "Compare"


#: Work that stops at its next step when asked to.
STOPPABLE = (Task.CHOOSING, Task.TRAINING, Task.COMPARING)


@dataclass(frozen=True)
class RegionRow:
    """A region of the round that is shown.

    Attributes
    ----------
    region_id : UUID
    image : str
        Id of the image in the project.
    image_name : str
    number : int
        Round.
    rank : int
        1 the most wanted.
    box : Box
        Full-resolution px.
    split : {"train", "validation"}
        Whether it teaches or judges.
    reason : str
    status : QueryStatus
    """

    region_id: UUID
    image: str
    image_name: str
    number: int
    rank: int
    box: Box
    split: Split
    reason: str
    status: QueryStatus = QueryStatus.TO_ANNOTATE

    @property
    def title(self) -> str:
        """ "Round 1, region 3"."""
        return f"Round {self.number}, region {self.rank}"

    @property
    def waits(self) -> bool:
        """True where nobody has done or skipped it."""
        return self.status is QueryStatus.TO_ANNOTATE


@dataclass(frozen=True)
class RoundRow:
    """A line of the table of rounds.

    Attributes
    ----------
    number : int
        0 for the start model.
    stage : str
        How far it has come; the name of the start model for round 0.
    n_done, n_asked, n_objects : int
        Regions that are labelled, regions asked for, objects in those that are labelled.
    pq_new, pq_parent : float or None
        None before the round is decided.
    verdict : str
        In words; empty before.
    is_promoted, is_current : bool
        Whether its model was taken, and whether it is in use.
    has_model : bool
    is_decided : bool
    """

    number: int
    stage: str
    n_done: int = 0
    n_asked: int = 0
    n_objects: int = 0
    pq_new: float | None = None
    pq_parent: float | None = None
    verdict: str = ""
    is_promoted: bool = False
    is_current: bool = False
    has_model: bool = False
    is_decided: bool = False

    @property
    def can_be_used(self) -> bool:
        """True where one may use its model: by rolling back, or though it was not taken."""
        return self.has_model and self.is_decided and not self.is_current

    @property
    def name(self) -> str:
        """ "start", "round 2"."""
        return f"round {self.number}" if self.number else "start"


@dataclass(frozen=True)
class Curve:
    """How a training goes.

    Attributes
    ----------
    losses : tuple of (step, loss)
    qualities : tuple of (step, pq, ap)
        On the regions that were held out of this training.
    measure : str
        What stands in the place of PQ: a model that answers clicks has the mean IoU of its answers.
    """

    losses: tuple[tuple[int, float], ...] = ()
    qualities: tuple[tuple[int, float, float], ...] = ()
    measure: str = "PQ"

    def with_loss(self, step: int, loss: float, most: int = 400) -> Curve:
        """One more; every second one goes where there are more than can be drawn."""
        losses = (*self.losses, (step, loss))
        if len(losses) > most:
            losses = losses[::2]
        return replace(self, losses=losses)

    def with_quality(self, step: int, pq: float, ap: float) -> Curve:
        """One more."""
        return replace(self, qualities=(*self.qualities, (step, pq, ap)))


@dataclass(frozen=True)
class Overview:
    """What a project's files say.

    Attributes
    ----------
    number : int
        The latest round that was not given up; 0 without any.
    stage : Stage
        Of it.
    regions : tuple of RegionRow
        Of it, the most wanted first.
    rounds : tuple of RoundRow
        The start model first.
    curve : Curve
        Of the latest training that came to its end.
    sentence : str
        Which round was decided last, and why its model was taken or not.
    lacks_files : bool
        True where laying out its regions was interrupted; New round goes on with it.
    learned : Learned
        Quality over the objects annotated.
    baseline : Baseline or None
        What random regions gave in a simulation, where there is one.
    composes : bool
        True where artificial patches can be added to a training.
    """

    number: int = 0
    stage: Stage = Stage.EMPTY
    regions: tuple[RegionRow, ...] = ()
    rounds: tuple[RoundRow, ...] = ()
    curve: Curve = field(default_factory=Curve)
    sentence: str = ""
    lacks_files: bool = False
    learned: Learned = field(default_factory=Learned)
    baseline: Baseline | None = None
    composes: bool = False


@dataclass(frozen=True, eq=False)
class OpenedRegion:
    """A region to be shown: pixels of its image, and the file of its objects."""

    row: RegionRow
    reader: SlideReader
    image_path: Path
    file: Path
    classes: ClassScheme


@dataclass(eq=False)
class LearningState:
    """State of the Active learning panel; `events` has a signal for each field.

    Only `LearningController` changes it, and only in the thread of the window.

    Attributes
    ----------
    project : LearningProject or None
    overview : Overview
    chosen : UUID or None
        Region that the buttons are about.
    task : Task
    is_cancelling : bool
    progress : Progress or None
    curve : Curve
        Of the training that is under way, or of the latest one.
    seconds_left : float
        Of training; NaN while unknown.
    options : RoundOptions
        Remembered with the project.
    encoder : EncoderCard or None
        That of the options; None where the model in use says what regions look like.
    ahead : Preflight or None
        What the training that is under way takes, as was measured before it.
    comparison : Comparison or None
        Of two models, that is shown.
    notice, error : str
        The one thing to tell the user; empty when there is none.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor()

    project: LearningProject | None = None
    overview: Overview = field(default_factory=Overview)
    chosen: UUID | None = None
    task: Task = Task.NONE
    is_cancelling: bool = False
    progress: Progress | None = None
    curve: Curve = field(default_factory=Curve)
    seconds_left: float = math.nan
    options: RoundOptions = field(default_factory=RoundOptions)
    encoder: EncoderCard | None = None
    ahead: Preflight | None = None
    comparison: Comparison | None = None
    notice: str = ""
    error: str = ""

    @property
    def regions(self) -> tuple[RegionRow, ...]:
        """Of the round that is shown."""
        return self.overview.regions

    @property
    def of_areas(self) -> bool:
        """True where areas of tissue are painted, and no objects outlined."""
        return self.project is not None and self.project.facts.start.of_areas

    @property
    def chosen_row(self) -> RegionRow | None:
        """The region that the buttons are about."""
        return self.row(self.chosen)

    def row(self, region_id: UUID | None) -> RegionRow | None:
        """By id."""
        return next((r for r in self.regions if r.region_id == region_id), None)

    @property
    def n_waiting(self) -> int:
        """Regions that nobody has done or skipped."""
        return sum(r.waits for r in self.regions)

    @property
    def is_annotating(self) -> bool:
        """True while the round's regions can be marked."""
        return self.overview.stage is Stage.QUERIED

    @property
    def can_give_up(self) -> bool:
        """True while a round is in work, and nothing else is."""
        is_open = self.overview.stage not in (Stage.EMPTY, Stage.DECIDED)
        return self.project is not None and self.task is Task.NONE and is_open

    @property
    def can_begin(self) -> bool:
        """True where a new round may begin."""
        is_over = self.overview.stage in (Stage.EMPTY, Stage.DECIDED)
        can = is_over or self.overview.lacks_files
        return self.project is not None and self.task is Task.NONE and can

    @property
    def can_train(self) -> bool:
        """True where there is something to learn from, or a training to go on with."""
        if self.project is None or self.task is not Task.NONE:
            return False
        if self.is_annotating:
            done = [r for r in self.regions if r.status is QueryStatus.DONE]
            return any(r.split == "train" for r in done)
        return self.overview.stage in (Stage.LABELLED, Stage.TRAINED, Stage.EVALUATED)
