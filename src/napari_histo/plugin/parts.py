"""Pieces that the panels are put together from."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QSizePolicy,
    QWidget,
)

__all__ = ["LabelledRow", "combo", "form_grid", "row", "set_kind", "show_choices", "small_label"]

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


def row(first: QWidget, *rest: QWidget, spacing: int = 8) -> QHBoxLayout:
    """Side by side; the first takes what room there is."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    layout.addWidget(first, 1)
    for widget in rest:
        layout.addWidget(widget)
    return layout


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
