"""An active-learning project at hand: where to look next, what is done, did it get better."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_histo.core import Box, CancelToken, Progress, result_of
from napari_histo.errors import Cancelled, HistoError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.learning.project.making import NewProject
from napari_histo.learning.rounds.options import RoundOptions
from napari_histo.learning.rounds.query import QueryWish, query
from napari_histo.learning.rounds.steps import abandon
from napari_histo.models.encoder.card import EncoderCard
from napari_histo.session.annotate.controller import AnnotationController
from napari_histo.session.jobs import Job, Lane, Post, Report
from napari_histo.session.learning.compare import Comparison, Place, comparing
from napari_histo.session.learning.overview import overview
from napari_histo.session.learning.qupath import create_linked, put_into_qupath
from napari_histo.session.learning.regions import RoundRegions
from napari_histo.session.learning.state import STOPPABLE, Curve, Overview, Task
from napari_histo.session.learning.work import LearningTools, training

__all__ = ["LearningController"]

#: Between two steps of a training that are shown.
_PACE_S = 0.1
_STOPPED = {
    Task.TRAINING: "Stopped. What was learned so far is kept: Train goes on from there.",
    Task.COMPARING: "Stopped. Nothing is compared.",
}


class LearningController(RoundRegions):
    """Turns wishes into work in threads, and tells of it in `state`.

    All methods belong to the thread that `post` serves, and return at once.

    Parameters
    ----------
    post : Post
        Brings answers of threads back.
    desk : callable
        Gives the session of the Annotate panel that is on the screen; None where there is none.
    tools : LearningTools, optional

    Attributes
    ----------
    state : LearningState
    region_ready : psygnal.Signal
        An `OpenedRegion`, to be shown with its objects.
    """

    def __init__(
        self,
        post: Post,
        desk: Callable[[], AnnotationController | None] = lambda: None,
        tools: LearningTools | None = None,
    ) -> None:
        super().__init__(post, desk, tools or LearningTools())
        self._works = Lane(post, "learn")
        self._cancel = CancelToken()

    def close(self) -> None:
        """Stop what is under way; the project stays at its last whole state."""
        self._cancel.cancel()
        for lane in (self._works, self._looks):
            lane.drop()

    # -- projects --------------------------------------------------------------------------------

    def open_project(self, path: Path) -> None:
        """Open a project's folder, or its ``project.json``."""
        folder = path.parent if path.name == "project.json" else path
        self._begin(Task.OPENING, lambda _: _opened(LearningProject(folder)))

    def create_project(self, path: Path, wanted: NewProject, qupath: Path | None = None) -> None:
        """Make a project in a new or empty folder, and open it; rounds go into `qupath` too."""
        self._begin(Task.CREATING, lambda _: _opened(create_linked(path, wanted, qupath)))

    def _show(self, found: tuple[LearningProject, Overview]) -> None:
        project, seen = found
        before, self.state.project = self.state.project, project
        if before is None or before.path != project.path:
            self.state.chosen, self._wanted, self._marks = None, None, {}
            self.state.comparison = None
            self._recall(project.path)
        self._take(seen)
        is_other = before is None or before.path != project.path
        if is_other or not self.state.curve.losses:  # what was seen live has more points
            self.state.curve = seen.curve
        if self.state.chosen_row is None:
            self.state.chosen = next((r.region_id for r in seen.regions if r.waits), None)

    # -- options ---------------------------------------------------------------------------------

    def set_options(self, **changes: Any) -> None:
        """Change some of the project's `RoundOptions`, and remember them with it."""
        state = self.state
        if state.project is None:
            return
        state.options = replace(state.options, **changes)
        try:
            state.options.keep(state.project.path)
        except HistoError as error:
            self.fail(error)

    def choose_encoder(self, folder: Path | None) -> None:
        """Let an encoder of the user's say what regions look like; None for the model in use."""
        self.state.error = ""
        try:
            card = None if folder is None else EncoderCard.read(folder)
        except HistoError as error:
            self.fail(error)
            return
        self.state.encoder = card
        self.set_options(encoder=folder)

    def _recall(self, project: Path) -> None:
        """The options of a project that is opened."""
        options = RoundOptions.of(project)
        self.state.encoder = None
        if options.encoder is not None:
            try:
                self.state.encoder = EncoderCard.read(options.encoder)
            except HistoError as error:
                options = replace(options, encoder=None)
                self.state.notice = f"The encoder of this project is left out: {error}"
        self.state.options = options

    # -- rounds ----------------------------------------------------------------------------------

    def new_round(self, wish: QueryWish | None = None) -> None:
        """Choose regions that are worth annotating, with the model in use.

        Without a wish, one that was interrupted goes on as it was asked for.
        """
        project, tools, cancel = self.state.project, self._tools, CancelToken()
        # What was interrupted goes on as it was asked for.
        encoder = None if wish is None else self.state.options.encoder
        if project is None:
            return

        def work(report: Report) -> tuple[LearningProject, Overview]:
            report(Progress(0, 0, "Loading the model"))
            made = tools.made(encoder)
            found = result_of(query(project, wish or QueryWish(), made, cancel), report)
            result_of(put_into_qupath(project, found, cancel), report)
            return _opened(project)

        self._begin(Task.CHOOSING, work, cancel)

    def train(self, *, partial: bool = False) -> None:
        """Collect what is done, learn from it, and hold the new model against the one in use.

        With `partial`, regions that wait are left out and not asked for again.
        """
        project, cancel = self.state.project, CancelToken()
        if project is None:
            return
        in_hand = self._take_in_hand()
        if in_hand is None:
            return
        whole: Generator[Progress, None, Any] = training(
            project,
            self._tools,
            cancel,
            partial=partial,
            in_hand=in_hand,
            options=self.state.options,
        )

        def work(report: Report) -> tuple[LearningProject, Overview]:
            result_of(whole, _paced(report))
            return _opened(project)

        self.state.curve = Curve(measure=project.facts.start.measure)
        self._begin(Task.TRAINING, work, cancel)

    def use_model(self, of: int, *, forget_labels: bool = False) -> None:
        """Use the model of a round from now on, also one that was not taken; nothing is deleted.

        With `forget_labels`, labels of the rounds after it teach no more.
        """
        project = self.state.project
        if project is None:
            return

        def work(_: Report) -> tuple[LearningProject, Overview]:
            with project.editing():
                # Forced, for the user has seen that it was not taken.
                project.roll_back(of, reason="in napari", forget_labels=forget_labels, force=True)
            return _opened(project)

        self._begin(Task.ROLLING_BACK, work)

    def give_up(self) -> None:
        """Give up the round in work: its files stay, but teach and judge no more."""
        project = self.state.project
        if project is None:
            return

        def work(_: Report) -> tuple[LearningProject, Overview]:
            abandon(project, "in napari")
            return _opened(project)

        self._begin(Task.GIVING_UP, work)

    def compare(self, image: str, box: Box, earlier: int, later: int) -> None:
        """Find what the models of two rounds make of a part of an image; `state` tells.

        Of a large part its middle is taken, see `Place.within`.
        """
        project, tools, cancel = self.state.project, self._tools, CancelToken()
        if project is None:
            return
        place = Place.within(image, box, earlier, later)

        def work(report: Report) -> Comparison:
            report(Progress(0, 0, "Loading the models"))
            return result_of(comparing(project, tools.make(), place, cancel), report)

        self._begin(Task.COMPARING, work, cancel, self._compared)

    def _compared(self, found: Comparison) -> None:
        self._rest()
        self.state.comparison = found

    def hide_comparison(self) -> None:
        """Show it no more."""
        self.state.comparison = None

    def cancel(self) -> None:
        """Stop what is under way at its next step; training goes on from there another time."""
        if self.state.task in STOPPABLE:
            self._cancel.cancel()
            self.state.is_cancelling = True

    # -- work in a thread ------------------------------------------------------------------------

    def _begin(
        self,
        task: Task,
        work: Callable[[Report], Any],
        cancel: CancelToken | None = None,
        done: Callable[[Any], None] | None = None,
    ) -> None:
        state = self.state
        if state.task:
            state.notice = f"Wait until “{state.task}” is over."
            return
        self._cancel = cancel or CancelToken()
        state.notice = state.error = ""
        state.progress, state.task = Progress(0, 0), task
        self._works.submit(Job(work, done or self._done, self._failed, self._on_progress))

    def _done(self, found: tuple[LearningProject, Overview]) -> None:
        self._rest()
        self._show(found)

    def _failed(self, error: BaseException) -> None:
        task, project = self.state.task, self.state.project
        self._rest()
        if isinstance(error, Cancelled):
            self.state.notice = _STOPPED.get(task, "Stopped. Nothing was changed.")
        else:
            self.fail(error)
        if project is not None:  # a stage may be sealed all the same
            work = partial(overview, project)
            self._looks.submit(Job(lambda _: work(), self._take_quietly))

    def _rest(self) -> None:
        self._refresh_desk()
        state = self.state
        state.task, state.is_cancelling = Task.NONE, False
        state.progress, state.seconds_left, state.ahead = None, math.nan, None

    def _on_progress(self, progress: Progress) -> None:
        state = self.state
        state.progress = progress
        loss, point = getattr(progress, "loss", math.nan), getattr(progress, "point", None)
        if math.isfinite(loss) and progress.done > 0:
            state.curve = state.curve.with_loss(progress.done, loss)
        if point is not None and math.isfinite(point.quality):
            state.curve = state.curve.with_quality(point.step, point.quality, point.ap)
        state.seconds_left = getattr(progress, "seconds_left", math.nan)
        state.ahead = getattr(progress, "ahead", None) or state.ahead


def _paced(report: Report) -> Report:
    """Tell at most so many steps a second: a window that must draw each of them would stand still.

    What is said for the first time, and what was judged, is always told.
    """
    last: tuple[float, str] = (-math.inf, "")

    def tell(step: Progress) -> None:
        nonlocal last
        now, is_judged = time.monotonic(), getattr(step, "point", None) is not None
        if is_judged or step.message != last[1] or now - last[0] >= _PACE_S:
            last = now, step.message
            report(step)

    return tell


def _opened(project: LearningProject) -> tuple[LearningProject, Overview]:
    return project, overview(project)
