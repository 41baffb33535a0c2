"""Histograms, drawn with Qt: a plotting library would take a second to load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.session import Statistics

__all__ = ["Bars", "Chart", "Histogram", "Mark", "format_area"]

_GAP = 1.0


@dataclass(frozen=True)
class Mark:
    """A line across a chart, with a word above it.

    Attributes
    ----------
    value : float
    text : str
    """

    value: float
    text: str = ""


@dataclass(frozen=True, eq=False)
class Bars:
    """What a chart shows.

    Attributes
    ----------
    edges : (n + 1,) float64
    counts : (n,) int64
    axis : (str, str, str)
        Words under the left end, the middle and the right end.
    marks : sequence of Mark
    colours : sequence of str, optional
        (n) one a bar; all alike by default.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    axis: tuple[str, str, str]
    marks: Sequence[Mark] = ()
    colours: Sequence[str] | None = None


class Chart(QWidget):
    """Bars, lines with words above them, and the range underneath.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bars: Bars | None = None
        self.bar = QColor("#6a9fd8")
        self.line = QColor("#ffcc00")
        self.text = QColor("#d0d0d0")
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Qt asks for it."""
        return QSize(240, 130)

    def show_bars(self, bars: Bars | None) -> None:
        """Draw other numbers; nothing for None."""
        self.bars = bars
        self.update()

    def area(self) -> QRectF:
        """Where the bars are."""
        line_height = self.fontMetrics().height()
        # Room for the words above and for the axis beneath.
        return QRectF(self.rect()).adjusted(1, line_height + 2, -1, -line_height - 3)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Qt calls it."""
        bars = self.bars
        if bars is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self.area()
        self._draw_bars(painter, area, bars)
        self._draw_axis(painter, area, bars)
        for mark in bars.marks:
            self._draw_mark(painter, area, bars, mark)
        painter.end()

    def _draw_bars(self, painter: QPainter, area: QRectF, bars: Bars) -> None:
        step, top = area.width() / len(bars.counts), max(int(bars.counts.max()), 1)
        for i, count in enumerate(bars.counts.tolist()):
            height = area.height() * count / top
            left = area.left() + i * step
            bar = QRectF(left, area.bottom() - height, max(step - _GAP, 1.0), height)
            painter.fillRect(bar, self.bar if bars.colours is None else QColor(bars.colours[i]))

    def _draw_axis(self, painter: QPainter, area: QRectF, bars: Bars) -> None:
        painter.setPen(QPen(self.text, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        below = QRectF(area.left(), area.bottom() + 2, area.width(), self.height())
        top = Qt.AlignmentFlag.AlignTop
        sides = Qt.AlignmentFlag
        for side, words in zip(
            (sides.AlignLeft, sides.AlignHCenter, sides.AlignRight), bars.axis, strict=True
        ):
            painter.drawText(below, top | side, words)

    def _draw_mark(self, painter: QPainter, area: QRectF, bars: Bars, mark: Mark) -> None:
        low, high = float(bars.edges[0]), float(bars.edges[-1])
        share = min(max((mark.value - low) / (high - low), 0.0), 1.0)
        x = area.left() + share * area.width()
        painter.setPen(QPen(self.line, 1.5))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        width = painter.fontMetrics().horizontalAdvance(mark.text)
        left = min(max(x - width / 2, area.left()), area.right() - width)
        above = QRectF(left, 0, width + 2, area.top())
        painter.drawText(
            above, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, mark.text
        )


class Histogram(Chart):
    """Bars of `Statistics`, a line at the median."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.statistics: Statistics | None = None

    def show_statistics(self, statistics: Statistics | None) -> None:
        """Draw other numbers; nothing for None."""
        self.statistics = statistics
        if statistics is None or not statistics.count:
            self.show_bars(None)
            return
        median = format_area(statistics.median_area)
        self.setToolTip(
            f"Areas of {statistics.count:,} objects; the line is the median, "
            f"{median} {statistics.unit}."
        )
        end = f"≥ {format_area(float(statistics.edges[-1]))}"
        axis = ("0", f"area, {statistics.unit}", end)
        mark = Mark(statistics.median_area, f"median {median}")
        self.show_bars(Bars(statistics.edges, statistics.counts, axis, [mark]))


def format_area(area: float) -> str:
    """Three digits at most after which nobody asks, and thousands apart."""
    return f"{area:,.0f}" if area >= 100 else f"{area:.3g}"
