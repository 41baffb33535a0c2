"""What the Active learning panel looks like: its parts, from top to bottom."""

from __future__ import annotations

import math

from qtpy.QtWidgets import QLabel, QLayout, QProgressBar, QWidget
from superqt import QElidingLabel

from napari_histo.core.rounds import QueryStatus
from napari_histo.learning.rounds.folder import Stage
from napari_histo.plugin.learning.choice import ChoicePanel
from napari_histo.plugin.learning.list import RegionList
from napari_histo.plugin.learning.options import OptionsPanel
from napari_histo.plugin.learning.rounds import ComparePanel, CurvesPanel, RoundTable
from napari_histo.plugin.parts import PanelForm, push_button, row, small_label
from napari_histo.session.learning.state import STOPPABLE, LearningState, RoundRow, Task

__all__ = ["LearningForm"]

_WELCOME = (
    "Mend what a model finds in a few small regions, let it learn from them, and see whether it "
    "got better. Make a project of your slides, or open one."
)


class LearningForm(PanelForm):
    """The parts, as attributes.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QElidingLabel("No project yet")
        self.new_button = push_button("New…", "Make a project of slides and a model to begin with.")
        self.open_button = push_button("Open…", "Open a project's folder.")
        self.facts = small_label()
        self.regions = RegionList()
        self.next_button = push_button(
            "Next region", "Show the next region that waits.  Ctrl+Return"
        )
        self.done_button = push_button(
            "Done", "What is in this region is right; go on with the next."
        )
        self.skip_button = push_button("Skip", "This region is not worth it; go on with the next.")
        self.choice = ChoicePanel()
        self.options = OptionsPanel()
        self.round_button = push_button("New round", "Choose regions that are worth annotating.")
        self.train_button = push_button(
            "Train", "Collect what is done, learn from it, and check whether it got better."
        )
        self.give_up_button = push_button(
            "Give up…", "Give this round up: its regions teach and judge no more."
        )
        self.round_button.setObjectName("run")
        self.train_button.setObjectName("run")
        self.progress_text = small_label()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = push_button(
            "Cancel", "Stop; training goes on from there another time."
        )
        self.curves = CurvesPanel()
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.rounds = RoundTable()
        self.use_button = push_button(
            "Use this model…", "Use the chosen round's model from now on; nothing is deleted."
        )
        self.compare = ComparePanel()
        self._lay_out(*self._parts(), tallest=self.regions)

    def _parts(self) -> list[QWidget | QLayout]:
        return [
            row(self.title, self.new_button, self.open_button, spacing=6),
            self.facts,
            self.regions,
            row(self.next_button, self.done_button, self.skip_button, spacing=6),
            self.choice,
            self.options,
            row(self.round_button),
            row(self.train_button, self.give_up_button, spacing=6),
            self.progress_text,
            row(self.bar, self.cancel_button),
            self.sentence,
            self.curves,
            self.rounds,
            row(QWidget(), self.use_button),
            self.compare,
        ]

    def render_state(self, state: LearningState) -> None:
        """Show a state."""
        project, chosen = state.project, state.chosen_row
        self.title.setText("No project yet" if project is None else project.facts.name)
        self.title.setToolTip("" if project is None else str(project.path))
        self.facts.setText(facts_text(state))
        self.facts.setVisible(project is not None)
        self.regions.show_rows(project, state.regions, state.chosen)
        self.regions.setVisible(bool(state.regions))
        is_free = state.task is Task.NONE
        for button in (self.new_button, self.open_button):
            button.setEnabled(is_free)
        can_mark = is_free and state.is_annotating and chosen is not None
        for button in (self.next_button, self.done_button, self.skip_button):
            button.setVisible(bool(state.regions))
            button.setEnabled(can_mark)
        is_done = chosen is not None and chosen.status is QueryStatus.DONE
        self.done_button.setText("Not done" if is_done else "Done")
        self._render_rounds(state)
        self._render_progress(state)
        self._render_message(state)

    def _render_rounds(self, state: LearningState) -> None:
        stage, is_open = state.overview.stage, state.project is not None
        begins = stage in (Stage.EMPTY, Stage.DECIDED) or state.overview.lacks_files
        self.choice.show_project(state.project)
        self.choice.setVisible(is_open and begins and not state.overview.lacks_files)
        self.choice.setEnabled(state.can_begin)
        self.options.render_state(state)
        self.round_button.setVisible(is_open and begins)
        self.round_button.setEnabled(state.can_begin)
        self.round_button.setText("First round" if stage is Stage.EMPTY else "Next round")
        self.train_button.setVisible(is_open and not begins)
        self.train_button.setEnabled(state.can_train)
        self.give_up_button.setVisible(is_open and stage not in (Stage.EMPTY, Stage.DECIDED))
        self.give_up_button.setEnabled(state.can_give_up)
        self.train_button.setText("Train" if state.is_annotating else "Go on training")
        self.sentence.setText(state.overview.sentence)
        self.sentence.setVisible(bool(state.overview.sentence) and state.task is Task.NONE)
        self.rounds.show_rounds(state)
        self.rounds.setVisible(is_open)
        self.use_button.setVisible(is_open)
        self.compare.render_state(state)
        self.render_curves(state)
        self.render_use(state)

    def render_curves(self, state: LearningState) -> None:
        """Curves, and what a round of as many regions as are asked for would give."""
        self.curves.render_state(
            state, state.overview.learned.forecast(self.choice.regions.value())
        )

    def chosen_round(self, state: LearningState) -> RoundRow | None:
        """Of the table's line that is chosen."""
        return next((r for r in state.overview.rounds if r.number == self.rounds.chosen), None)

    def render_use(self, state: LearningState) -> None:
        """Whether the model of the chosen line may be used, and what that is called."""
        found = self.chosen_round(state)
        can = found is not None and found.can_be_used
        self.use_button.setEnabled(can and state.task is Task.NONE)
        is_refused = found is not None and can and not found.is_promoted
        self.use_button.setText("Use it all the same…" if is_refused else "Use this model…")

    def _render_progress(self, state: LearningState) -> None:
        is_busy, progress = state.task is not Task.NONE, state.progress
        for widget in (self.progress_text, self.bar, self.cancel_button):
            widget.setVisible(is_busy)
        self.cancel_button.setEnabled(state.task in STOPPABLE and not state.is_cancelling)
        said = "stopping" if state.is_cancelling else ""
        if progress is not None and not said:
            said = progress.message or "…"
            if progress.total and state.task is Task.TRAINING:
                said += f", {progress.done} of {progress.total}"
            said += time_left(state.seconds_left)
        self.progress_text.setText(f"{state.task}: {said[:1].lower()}{said[1:]}")
        total = 0 if progress is None else progress.total
        self.bar.setRange(0, total)
        self.bar.setValue(progress.done if progress is not None and total else 0)

    def _render_message(self, state: LearningState) -> None:
        text, kind = state.notice, ""
        if state.error:
            text, kind = state.error, "error"
        elif state.project is None and not text and state.task is Task.NONE:
            text = _WELCOME
        elif not text and state.ahead is not None:
            text, kind = str(state.ahead), "warning" if state.ahead.is_tight else ""
        elif not text and state.is_annotating and state.task is Task.NONE:
            text = _advice(state)
        self.show_message(text, kind)


def facts_text(state: LearningState) -> str:
    """ "4 images · round 1: 3 of 11 regions done"."""
    if state.project is None:
        return ""
    n, seen = len(state.project.facts.images), state.overview
    words = f"{n} image{'s' if n > 1 else ''}"
    if seen.number:
        settled = len(seen.regions) - state.n_waiting
        words += f" · round {seen.number}: {settled} of {len(seen.regions)} regions seen to"
    return words


def time_left(seconds: float) -> str:
    """ ", 3 min left"; empty while unknown."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 60:
        return f", {max(round(seconds), 1)} s left"
    minutes = round(seconds / 60)
    return f", {minutes} min left" if minutes < 90 else f", {seconds / 3600:.1f} h left"


def _advice(state: LearningState) -> str:
    if not state.can_train:
        if state.of_areas:
            return (
                "Double-click a region, or press Next region. Mend its areas in the Annotate "
                "panel, paint Ignore* where there is no tissue of interest, then press Done."
            )
        return (
            "Double-click a region, or press Next region. Mend its outlines in the Annotate "
            "panel until every nucleus is right, then press Done."
        )
    if state.n_waiting:
        return f"{state.n_waiting} regions wait. Train when you like: what waits is left out."
    return "Every region is done or skipped. Now press Train."
