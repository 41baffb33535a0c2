"""Thresholds on a measurement: its histogram, a slider for each, and what they make of regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined] # qtpy's own name
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_histo.core import ClassDef
from napari_histo.ops.positivity import grade, level_names
from napari_histo.ops.positivity_scores import ALL_CLASSES, Score
from napari_histo.plugin.classify.words import score_cells, threshold_names
from napari_histo.plugin.histogram import Bars, Chart, Mark
from napari_histo.plugin.parts import combo, form_grid, row, show_choices
from napari_histo.session.classify.state import ClassifyState, Spread

__all__ = ["ThresholdPanel"]

_HEADS = ("Region", "Objects", "Positive %", "H-score")
_CHART_PX, _TABLE_PX = 120, 150
_STEPS = 500
_MOST = 3


class ThresholdPanel(QWidget):
    """The widgets, as attributes.

    Signals
    -------
    measurement_chosen : str
    levels_chosen : int
        Find so many thresholds, one or three.
    moved : int, float
        A threshold's place and its new value.
    """

    measurement_chosen = Signal(str)
    levels_chosen = Signal(int)
    moved = Signal(int, float)

    def __init__(self) -> None:
        super().__init__()
        self.measurement_box = combo("What the thresholds are put on.")
        self.levels_box = combo("How many classes the thresholds make.")
        for text, n in (("Negative, Positive", 1), ("Negative, 1+, 2+, 3+", 3)):
            self.levels_box.addItem(text, n)
        self.suggest_button = QPushButton("Find")
        self.suggest_button.setToolTip(
            "Find thresholds where the values fall apart best (Otsu's method)."
        )
        self.chart = Chart()
        self.chart.setFixedHeight(_CHART_PX)
        self.sliders = [self._slider(i) for i in range(_MOST)]
        self.table = _table()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(
            form_grid(
                ("Measure", self.measurement_box),
                ("Classes", row(self.levels_box, self.suggest_button)),
            )
        )
        layout.addWidget(self.chart)
        for slider in self.sliders:
            layout.addWidget(slider)
        layout.addWidget(self.table)
        self.measurement_box.currentIndexChanged.connect(self._choose_measurement)
        self.levels_box.currentIndexChanged.connect(self._find)
        self.suggest_button.clicked.connect(self._find)

    def render_state(self, known: ClassifyState) -> None:
        """Show the state, and no widget reports this as a change by the user."""
        names = [(name, name) for name in known.measurements]
        if names != [
            (self.measurement_box.itemText(i), self.measurement_box.itemData(i))
            for i in range(self.measurement_box.count())
        ]:
            show_choices(self.measurement_box, names)
        n = len(known.thresholds) or 1
        for box, data in ((self.measurement_box, known.measurement), (self.levels_box, n)):
            with QSignalBlocker(box):
                box.setCurrentIndex(box.findData(data))
        self._render_sliders(known)
        self.chart.show_bars(_bars(known))
        _fill(self.table, known.scores)

    def _render_sliders(self, known: ClassifyState) -> None:
        spread, values = known.spread, known.thresholds
        for i, slider in enumerate(self.sliders):
            slider.setVisible(i < len(values) and spread is not None)
            if i >= len(values) or spread is None:
                continue
            slider.setToolTip(f"From here on an object is {threshold_names(len(values))[i]}.")
            with QSignalBlocker(slider):
                _set_range(slider, spread)
                if abs(slider.value() - values[i]) > (spread.high - spread.low) / _STEPS / 2:
                    slider.setValue(values[i])

    def _slider(self, place: int) -> QLabeledDoubleSlider:
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.valueChanged.connect(lambda value: self.moved.emit(place, float(value)))
        return slider

    def _choose_measurement(self) -> None:
        name = self.measurement_box.currentData()
        if name is not None:
            self.measurement_chosen.emit(name)

    def _find(self) -> None:
        self.levels_chosen.emit(int(self.levels_box.currentData()))


def _set_range(slider: QLabeledDoubleSlider, spread: Spread) -> None:
    size = spread.high - spread.low
    slider.setDecimals(max(0, min(4, 2 - int(np.floor(np.log10(size))))))
    slider.setRange(spread.low, spread.high)
    slider.setSingleStep(size / _STEPS)  # type: ignore[arg-type] # typed for whole numbers alone


def _bars(known: ClassifyState) -> Bars | None:
    """Bars in the colours of the classes that the thresholds make."""
    spread, values = known.spread, known.thresholds
    if spread is None or not values:
        return None
    middles = (spread.edges[:-1] + spread.edges[1:]) / 2
    words = level_names(len(values))
    colours = [QColor(*ClassDef.named(words[k]).rgb).name() for k in grade(middles, values)]
    marks = [Mark(v, name) for v, name in zip(values, threshold_names(len(values)), strict=True)]
    axis = (f"{spread.low:.3g}", known.measurement or "", f"≥ {spread.high:.3g}")
    return Bars(spread.edges, spread.counts, axis, marks, colours)


def _table() -> QTableWidget:
    table = QTableWidget(0, len(_HEADS))
    table.setHorizontalHeaderLabels(_HEADS)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    lines, head = table.verticalHeader(), table.horizontalHeader()
    assert lines is not None
    assert head is not None
    lines.hide()
    head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    head.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table


def _fill(table: QTableWidget, scores: Sequence[Score]) -> None:
    kinds = any(score.kind != ALL_CLASSES for score in scores)
    table.setRowCount(len(scores))
    for i, score in enumerate(scores):
        for k, text in enumerate(score_cells(score, kinds)):
            item = QTableWidgetItem(text)
            if k:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            table.setItem(i, k, item)
    head = table.horizontalHeader()
    assert head is not None
    lines = sum(table.rowHeight(i) for i in range(len(scores)))
    table.setFixedHeight(min(head.sizeHint().height() + lines + 2, _TABLE_PX))
