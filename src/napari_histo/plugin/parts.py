"""Pieces that the panels are put together from."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

__all__ = [
    "Fold",
    "LabelledRow",
    "PanelForm",
    "column",
    "combo",
    "elided_label",
    "form_grid",
    "push_button",
    "row",
    "set_kind",
    "show_choices",
    "small_label",
]

#: Width of the column of labels, so that the fields of all groups are aligned.
_LABELS_PX = 78


def form_grid(*rows: tuple[str, QWidget | QLayout]) -> QGridLayout:
    """Labels at the left, fields at the right; Qt's own form leaves gaps at wrapped texts."""
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(10)
    grid.setVerticalSpacing(6)
    grid.setColumnMinimumWidth(0, _LABELS_PX)
    grid.setColumnStretch(1, 1)
    for i, (text, field) in enumerate(rows):
        if text:
            grid.addWidget(QLabel(text), i, 0)
        if isinstance(field, QLayout):
            grid.addLayout(field, i, 1)
        else:
            grid.addWidget(field, i, 1)
    return grid


class LabelledRow(QWidget):
    """One row of a `form_grid` that can be hidden with its label."""

    def __init__(self, text: str, field: QWidget | QLayout) -> None:
        super().__init__()
        grid = form_grid((text, field))
        self.setLayout(grid)
        item = grid.itemAtPosition(0, 0)
        label = None if item is None else item.widget()
        assert isinstance(label, QLabel)
        self.label = label


class Fold(QWidget):
    """A line that shows and hides what lies below it; folded at first.

    Parameters
    ----------
    text : str
    tip : str
        What is in it.
    *inside : QWidget
        From top to bottom.
    """

    def __init__(self, text: str, tip: str, *inside: QWidget) -> None:
        super().__init__()
        self._text = text
        self.button = push_button("", tip)
        self.button.setObjectName("more")
        self.inside = QWidget()
        self.inside.setLayout(column(*inside, spacing=6))
        line = QHBoxLayout()
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.button)
        line.addStretch()
        self.setLayout(column(line, self.inside, spacing=4))
        self.button.clicked.connect(lambda: self.open(not self.is_open))
        self.open(False)

    @property
    def is_open(self) -> bool:
        """Whether what it holds can be seen."""
        return not self.inside.isHidden()

    def open(self, is_open: bool) -> None:
        """Show or hide what it holds."""
        self.inside.setVisible(is_open)
        self.button.setText(f"{'▾' if is_open else '▸'} {self._text}")


def row(first: QWidget, *rest: QWidget, spacing: int = 8) -> QHBoxLayout:
    """Side by side; the first takes what room there is."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    layout.addWidget(first, 1)
    for widget in rest:
        layout.addWidget(widget)
    return layout


def column(*parts: QWidget | QLayout | int, spacing: int = 8) -> QVBoxLayout:
    """One below the other; a number is a gap of so many pixels more."""
    layout = QVBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for part in parts:
        if isinstance(part, int):
            layout.addSpacing(part)
        elif isinstance(part, QLayout):
            layout.addLayout(part)
        else:
            layout.addWidget(part)
    return layout


def push_button(text: str, tip: str) -> QPushButton:
    """A button that says more under the mouse."""
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def combo(tip: str) -> QComboBox:
    """A box of choices that does not make the dock wide."""
    box = QComboBox()
    box.setToolTip(tip)
    # Long names of layers must not make the whole dock wide.
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(12)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def small_label() -> QLabel:
    """Quiet words that wrap."""
    label = QLabel()
    label.setWordWrap(True)
    label.setProperty("kind", "")
    return label


def elided_label() -> QLabel:
    """A name in one line; what is too long is cut in the middle."""
    label = QElidingLabel()
    label.setElideMode(Qt.TextElideMode.ElideMiddle)
    # What is wider than the dock upsets its heights.
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def set_kind(label: QLabel, kind: str) -> None:
    """Colour of a label, by the style sheet."""
    if label.property("kind") != kind:
        label.setProperty("kind", kind)
        # Qt looks at properties only when a style sheet is set.
        label.setStyleSheet(label.styleSheet())


def show_choices(box: QComboBox, items: Sequence[tuple[str, object]]) -> None:
    """Other items for a combo box; what was chosen stays chosen where it is still there."""
    chosen = box.currentData()
    with QSignalBlocker(box):
        box.clear()
        for text, data in items:
            box.addItem(text, data)
        still = [i for i, (_, data) in enumerate(items) if data == chosen]
        box.setCurrentIndex(still[0] if still else min(0, len(items) - 1))


class PanelForm(QWidget):
    """Parts of a panel from top to bottom, and under them one message.

    Subclasses make the parts, then call `_lay_out`.

    Parameters
    ----------
    parent : QWidget, optional
    width_px : int
        The least.
    """

    def __init__(self, parent: QWidget | None = None, *, width_px: int = 324) -> None:
        super().__init__(parent)
        self.setMinimumWidth(width_px)
        self.message = small_label()
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _lay_out(self, *parts: QWidget | QLayout, tallest: QWidget | None = None) -> None:
        """Put the parts together; `tallest` takes the height that is left."""
        layout = column(*parts, self.message)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.addStretch()  # where the tallest is hidden, nothing is drawn apart
        if tallest is not None:
            layout.setStretchFactor(tallest, 1)
        self.setLayout(layout)

    def show_message(self, text: str, kind: str = "") -> None:
        """The one thing to tell the user; `kind` is "", "warning" or "error"."""
        self.message.setText(text)
        self.message.setVisible(bool(text))
        set_kind(self.message, kind)
