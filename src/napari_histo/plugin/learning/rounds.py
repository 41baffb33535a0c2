"""The rounds of a project: their quality, whether it is enough, and what may be done with one."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_histo.learning.progress.forecast import Forecast
from napari_histo.learning.rounds.promotion import things_of
from napari_histo.plugin.learning.changes import COLOURS
from napari_histo.plugin.learning.curve import CurveView, RoundsCurve
from napari_histo.plugin.parts import combo, row, show_choices, small_label
from napari_histo.session.learning.compare import Comparison
from napari_histo.session.learning.state import LearningState, RoundRow, Task

__all__ = ["ComparePanel", "CurvesPanel", "RoundTable"]

_COLUMNS = ("Round", "Regions", "Objects", "PQ", "Outcome")
_THINGS, _QUALITY = 2, 3
#: What a round that is not decided waits for, in place of the names of its stages.
_STAGES = {
    "queried": "to annotate",
    "labelled": "to train",
    "trained": "to judge",
    "evaluated": "to decide",
    "abandoned": "given up",
}
#: Height of a line, and of how many the table shows at most.
_LINE_PX, _LINES = 22, 4


class CurvesPanel(QWidget):
    """Quality from round to round, and how the latest training went; one of them at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds, self.training = RoundsCurve(), CurveView()
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.addTab("Rounds")
        self.tabs.addTab("Training")
        self.pages = QStackedWidget()
        self.pages.addWidget(self.rounds)
        self.pages.addWidget(self.training)
        self.tabs.currentChanged.connect(self.pages.setCurrentIndex)
        self.enough = small_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.tabs, self.pages, self.enough):
            layout.addWidget(widget)
        self._task = Task.NONE

    def render_state(self, state: LearningState, told: Forecast) -> None:
        """Show a state, and what another round would give."""
        self.training.show_curve(state.curve)
        self.rounds.show_rounds(state.overview.learned, told, state.overview.baseline)
        if state.task is not self._task:  # what happens now is looked at first
            if Task.TRAINING in (state.task, self._task):
                self.tabs.setCurrentIndex(1 if state.task is Task.TRAINING else 0)
            self._task = state.task
        empty = (self.rounds.is_empty, self.training.is_empty)
        self.tabs.setVisible(not any(empty))
        if empty[self.pages.currentIndex()]:
            self.tabs.setCurrentIndex(0 if empty[1] else 1)
        self.pages.setVisible(not all(empty))
        self.enough.setText(told.sentence)
        self.enough.setVisible(not empty[0] and state.task is Task.NONE)


class ComparePanel(QWidget):
    """Which two models are compared, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.earlier = combo("The earlier model.")
        self.later = combo("The later model.")
        for box in (self.earlier, self.later):
            box.setMinimumContentsLength(7)
        self.button = QPushButton("Compare")
        self.button.setToolTip(
            "What both find in the part of the image that is in view: gained, lost and changed "
            "nuclei are outlined in a colour each."
        )
        self.counts = small_label()
        self.counts.setWordWrap(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        line = row(self.earlier, QLabel("→"), self.later, self.button, spacing=6)
        line.setStretch(2, 1)
        layout.addLayout(line)
        layout.addWidget(self.counts)
        self._shown: tuple[str, ...] = ()
        for box in (self.earlier, self.later):
            box.currentIndexChanged.connect(self._tell)
        self._is_free, self._is_showing = True, False

    @property
    def wanted(self) -> tuple[int, int]:
        """Rounds whose models are to be compared."""
        return self.earlier.currentData(), self.later.currentData()

    def render_state(self, state: LearningState) -> None:
        """Show a state."""
        models = [r for r in state.overview.rounds if r.has_model]
        names = tuple(r.name for r in models)
        if names != self._shown:
            self._shown = names
            for box in (self.earlier, self.later):
                show_choices(box, [(r.name, r.number) for r in models])
            self.earlier.setCurrentIndex(max(len(models) - 2, 0))
            self.later.setCurrentIndex(len(models) - 1)
        self.setVisible(len(models) > 1)
        self._is_free, found = state.task is Task.NONE, state.comparison
        self._is_showing = found is not None
        self.counts.setText("" if found is None else _counts_text(found))
        self.counts.setVisible(found is not None)
        self._tell()

    def _tell(self) -> None:
        self.button.setText("Hide" if self._is_showing else "Compare")
        differs = self.earlier.currentData() != self.later.currentData()
        self.button.setEnabled(self._is_showing or (self._is_free and differs))
        for box in (self.earlier, self.later):
            box.setEnabled(self._is_free and not self._is_showing)


def _counts_text(found: Comparison) -> str:
    gained, lost, changed, kept = found.changes.counts
    counts = zip(COLOURS.items(), (gained, lost, changed), strict=True)
    words = [f"<span style='color: {c}'>●</span>&nbsp;{n}&nbsp;{kind}" for (kind, c), n in counts]
    return f"{'&nbsp; '.join(words)}&nbsp; · {kept}&nbsp;as&nbsp;before"


class RoundTable(QTableWidget):
    """A line a round; a star marks the model in use."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        upright, head = self.verticalHeader(), self.horizontalHeader()
        assert upright is not None
        assert head is not None
        upright.hide()
        upright.setDefaultSectionSize(_LINE_PX)
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setStretchLastSection(True)
        head.setMinimumSectionSize(24)
        head.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        head.setFixedHeight(_LINE_PX)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self._shown: object = None

    @property
    def chosen(self) -> int | None:
        """Number of the round of the line that is chosen."""
        item = self.item(self.currentRow(), 0)
        return None if item is None else int(item.data(Qt.ItemDataRole.UserRole))

    def show_rounds(self, state: LearningState) -> None:
        """Other lines; the chosen one stays chosen."""
        rounds, measure = state.overview.rounds, state.overview.learned.measure
        self._name_quality(measure)
        if rounds == self._shown:
            return
        chosen, self._shown = self.chosen, rounds
        self.blockSignals(True)
        self.setRowCount(len(rounds))
        lines = 1 + min(max(len(rounds), 1), _LINES)
        self.setFixedHeight(lines * _LINE_PX + 2 * self.frameWidth())
        for i, found in enumerate(rounds):
            for j, text in enumerate(_cells(found)):
                item = QTableWidgetItem(text)
                item.setData(Qt.ItemDataRole.UserRole, found.number)
                item.setToolTip(_round_tip(found))
                self.setItem(i, j, item)
            if found.number == chosen:
                self.setCurrentCell(i, 0)
        self.blockSignals(False)
        self.scrollToBottom()

    def _name_quality(self, measure: str) -> None:
        head = self.horizontalHeaderItem(_QUALITY)
        assert head is not None
        head.setText(measure.split()[0])  # the column is narrow
        head.setToolTip(f"{measure} of the round's model, on the regions that judge.")
        things = self.horizontalHeaderItem(_THINGS)
        assert things is not None
        things.setText(things_of(measure).capitalize())


def _cells(found: RoundRow) -> tuple[str, ...]:
    return (
        f"{found.number or 'start'}{' ★' if found.is_current else ''}",
        f"{found.n_done}/{found.n_asked}" if found.n_asked else "",
        str(found.n_objects) if found.n_objects else "",
        "" if found.pq_new is None else f"{found.pq_new:.3f}",
        _outcome(found),
    )


def _outcome(found: RoundRow) -> str:
    if not found.verdict:
        return _STAGES.get(found.stage, found.stage)
    return "taken" if found.is_promoted else "not taken"


def _round_tip(found: RoundRow) -> str:
    before = "" if found.pq_parent is None else f"\nPQ of the model before: {found.pq_parent:.3f}"
    return f"{found.verdict or found.stage}{before}"
