"""What the QuPath panel looks like: its parts, from top to bottom."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QStackedWidget,
    QWidget,
)

from napari_histo.plugin.parts import (
    PanelForm,
    column,
    combo,
    elided_label,
    push_button,
    row,
    small_label,
)
from napari_histo.plugin.qupath.conflicts import ConflictList
from napari_histo.plugin.qupath.list import ImageList
from napari_histo.session.qupath.state import Preview, QuPathState, Step
from napari_histo.session.qupath.words import DIRECTIONS, changes_table, project_facts, saved_text

__all__ = ["PreviewPanel", "QuPathForm"]

_WELCOME = (
    "Open a QuPath project: its images are listed here, and what you annotate in napari and what "
    "others annotate in QuPath is kept in step."
)
_HINT = "Double-click an image to open it with its objects."
_TIPS = {
    "sync": "Bring both sides in step. You see first what would change.",
    "pull": "Bring here what was done in QuPath; the project stays as it is.",
    "push": "Bring into the project what was done here; our file stays as it is.",
}


class QuPathForm(PanelForm):
    """The parts, as attributes.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.project_box = combo("Projects that were opened lately.")
        self.open_button = push_button(
            "Open…",
            "Open a QuPath project: its project.qpproj, or the exchange.json of an exchange.",
        )
        self.facts = small_label()
        self.pages = QStackedWidget()
        self.browse, self.preview = BrowsePanel(), PreviewPanel()
        self.pages.addWidget(self.browse)
        self.pages.addWidget(self.preview)
        self.progress = ProgressPanel()
        top = row(self.project_box, self.open_button)
        self._lay_out(top, self.facts, self.pages, self.progress, tallest=self.pages)

    def render_state(self, state: QuPathState) -> None:
        """Show a state."""
        self.facts.setText(project_facts(state))
        self.facts.setVisible(state.project is not None)
        self.pages.setCurrentWidget(self.browse if state.preview is None else self.preview)
        self.browse.render_state(state)
        if state.preview is not None:
            self.preview.render_state(state.preview, is_idle=state.step is Step.IDLE)
        self.progress.render_state(state)
        self.open_button.setEnabled(state.step is Step.IDLE)
        self.project_box.setEnabled(state.step is Step.IDLE)
        self._render_message(state)

    def _render_message(self, state: QuPathState) -> None:
        text, kind = state.notice, ""
        if state.error:
            text, kind = state.error, "error"
        elif state.is_listing:
            text = "Looking at the project…"
        elif state.project is None:
            text = text or _WELCOME
        elif state.blocker and not text:
            text, kind = state.blocker, "warning"
        elif not text and not state.opened and not state.preview and state.step is Step.IDLE:
            text = _HINT
        self.show_message(text, kind)


class BrowsePanel(QWidget):
    """The images, a note on what QuPath saved, and the ways to bring both sides in step."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name, state or round")
        self.filter.setClearButtonEnabled(True)
        self.images = ImageList()
        self.note = NoteBar()
        self.buttons = {name: push_button(name.capitalize(), tip) for name, tip in _TIPS.items()}
        self.buttons["sync"].setObjectName("run")
        self.undo_button = push_button("Undo", "Take this image's last sync back, on both sides.")
        buttons = row(*self.buttons.values(), self.undo_button, spacing=6)
        layout = column(self.filter, self.images, self.note, buttons)
        layout.setStretchFactor(self.images, 1)
        self.setLayout(layout)

    def render_state(self, state: QuPathState) -> None:
        """Show a state."""
        self.images.show_rows(state.rows, state.chosen)
        has_project = state.project is not None
        self.filter.setEnabled(has_project)
        why_not = state.why_not
        for name, button in self.buttons.items():
            button.setEnabled(has_project and not why_not)
            button.setToolTip(why_not or _TIPS[name])
        chosen = state.chosen_row
        can_undo = chosen is not None and chosen.can_undo
        self.undo_button.setEnabled(has_project and not why_not and can_undo)
        saved = state.saved_meanwhile
        self.note.show_text("" if saved is None else saved_text(saved))
        self.note.button.setEnabled(not state.blocker and state.step is Step.IDLE)


class NoteBar(QFrame):
    """A quiet line with one thing to do about it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = small_label()
        self.button = push_button("Pull", "Bring here what was saved in QuPath.")
        self.setLayout(row(self.text, self.button))
        self.show_text("")

    def show_text(self, text: str) -> None:
        """Other words; none hide it."""
        self.text.setText(text)
        self.setVisible(bool(text))


class ProgressPanel(QWidget):
    """What is under way, and how to stop it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = small_label()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = push_button("Cancel", "Stop; nothing is written then.")
        self.setLayout(column(self.text, row(self.bar, self.cancel_button), spacing=4))

    def render_state(self, state: QuPathState) -> None:
        """Show a state."""
        self.setVisible(state.step is not Step.IDLE)
        step, progress = state.step, state.progress
        self.cancel_button.setEnabled(step is not Step.CANCELLING)
        doing = progress.message if progress is not None and progress.message else "…"
        said = "Stopping" if step is Step.CANCELLING else doing
        self.text.setText(f"{state.task}: {said[:1].lower()}{said[1:]}")
        total = 0 if progress is None else progress.total
        self.bar.setRange(0, total)
        self.bar.setValue(progress.done if progress is not None and total else 0)


class PreviewPanel(QWidget):
    """What would be written, and what both sides changed."""

    def __init__(self) -> None:
        super().__init__()
        self.title = elided_label()
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(14)
        self.table.setVerticalSpacing(4)
        self.note = small_label()
        self.conflicts_title = QLabel()
        self.conflicts = ConflictList()
        self.keep = {
            "ours": push_button("napari", "Keep the object as it is here."),
            "theirs": push_button("QuPath", "Keep the object as it is in QuPath."),
            "copy": push_button("Both", "Keep both: QuPath's version as a new object beside it."),
        }
        self.all_box = QCheckBox("for all")
        self.all_box.setToolTip("The next choice is for every conflict of the list.")
        self.write_button = push_button("Write", "Do this.")
        self.write_button.setObjectName("run")
        self.back_button = push_button("Back", "Write nothing.")
        self._cells: list[QLabel] = []
        self._lay_out()

    def _lay_out(self) -> None:
        self.keep_bar = QWidget()
        bar = row(QLabel("Keep"), *self.keep.values(), self.all_box, spacing=6)
        self.keep_bar.setLayout(bar)
        above = (self.title, self.table, self.note, 4, self.conflicts_title)
        layout = column(*above, self.conflicts, self.keep_bar)
        layout.setStretchFactor(self.conflicts, 1)
        layout.addStretch()
        layout.addLayout(row(self.write_button, self.back_button))
        self.setLayout(layout)

    def render_state(self, preview: Preview, *, is_idle: bool) -> None:
        """Show a preview."""
        self.title.setText(f"{DIRECTIONS[preview.direction]} · {preview.row.entry.name}")
        self._show_table([("", "added", "changed", "removed"), *changes_table(preview)])
        self.note.setText(_overwritten() if preview.found.is_overwritten else "")
        self.note.setVisible(bool(self.note.text()))
        conflicts = preview.found.merge.conflicts
        self.conflicts.conflicts.show_conflicts(conflicts)
        for part in (self.conflicts_title, self.conflicts, self.keep_bar):
            part.setVisible(len(conflicts) > 0)
        self.conflicts_title.setText(_conflicts_text(len(conflicts), preview.n_open))
        self.write_button.setText("Write" if any(preview.writes) else "Nothing to write")
        self.write_button.setEnabled(is_idle and any(preview.writes))
        self.back_button.setEnabled(is_idle)

    def _show_table(self, lines: list[tuple[str, str, str, str]]) -> None:
        for cell in self._cells:
            self.table.removeWidget(cell)
            cell.deleteLater()
        self._cells = []
        for i, line in enumerate(lines):
            for j, text in enumerate(line):
                cell = small_label() if i == 0 else QLabel()
                cell.setText(text)
                cell.setWordWrap(False)
                side = Qt.AlignmentFlag.AlignRight if j else Qt.AlignmentFlag.AlignLeft
                self.table.addWidget(cell, i, j, side)
                self._cells.append(cell)
        self.table.setColumnStretch(0, 1)


def _conflicts_text(n: int, n_open: int) -> str:
    objects = "1 object was" if n == 1 else f"{n:,} objects were"
    still = "" if not n_open else f", {n_open:,} undecided"
    return f"{objects} changed on both sides{still}"


def _overwritten() -> str:
    return (
        "QuPath had this image open during the last sync and saved over it. What it lacks since "
        "then is written again."
    )
