"""A histogram of areas, drawn with Qt: a plotting library would take a second to load."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.session import Statistics

__all__ = ["Histogram"]

_GAP = 1.0


class Histogram(QWidget):
    """Bars of `Statistics`, a line at the median, the range underneath.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.statistics: Statistics | None = None
        self.bar = QColor("#6a9fd8")
        self.line = QColor("#ffcc00")
        self.text = QColor("#d0d0d0")
        self.setMinimumHeight(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Qt asks for it."""
        return QSize(240, 130)

    def show_statistics(self, statistics: Statistics | None) -> None:
        """Draw other numbers; nothing for None."""
        self.statistics = statistics
        if statistics is not None and statistics.count:
            self.setToolTip(
                f"Areas of {statistics.count:,} objects; the line is the median, "
                f"{format_area(statistics.median_area)} {statistics.unit}."
            )
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Qt calls it."""
        statistics = self.statistics
        if statistics is None or not statistics.count:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        line_height = painter.fontMetrics().height()
        # Room for the median's label above and for the axis beneath.
        area = QRectF(self.rect()).adjusted(1, line_height + 2, -1, -line_height - 3)
        self._draw_bars(painter, area, statistics)
        self._draw_axis(painter, area, statistics)
        self._draw_median(painter, area, statistics)
        painter.end()

    def _draw_bars(self, painter: QPainter, area: QRectF, statistics: Statistics) -> None:
        counts = statistics.counts
        step, top = area.width() / len(counts), max(int(counts.max()), 1)
        for i, count in enumerate(counts.tolist()):
            height = area.height() * count / top
            left = area.left() + i * step
            bar = QRectF(left, area.bottom() - height, max(step - _GAP, 1.0), height)
            painter.fillRect(bar, self.bar)

    def _draw_axis(self, painter: QPainter, area: QRectF, statistics: Statistics) -> None:
        painter.setPen(QPen(self.text, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        below = QRectF(area.left(), area.bottom() + 2, area.width(), self.height())
        top = Qt.AlignmentFlag.AlignTop
        painter.drawText(below, top | Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, top | Qt.AlignmentFlag.AlignHCenter, f"area, {statistics.unit}")
        end = f"≥ {format_area(float(statistics.edges[-1]))}"
        painter.drawText(below, top | Qt.AlignmentFlag.AlignRight, end)

    def _draw_median(self, painter: QPainter, area: QRectF, statistics: Statistics) -> None:
        share = min(statistics.median_area / float(statistics.edges[-1]), 1.0)
        x = area.left() + share * area.width()
        painter.setPen(QPen(self.line, 1.5))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        text = f"median {format_area(statistics.median_area)}"
        width = painter.fontMetrics().horizontalAdvance(text)
        left = min(max(x - width / 2, area.left()), area.right() - width)
        above = QRectF(left, 0, width + 2, area.top())
        painter.drawText(above, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)


def format_area(area: float) -> str:
    """Three digits at most after which nobody asks, and thousands apart."""
    return f"{area:,.0f}" if area >= 100 else f"{area:.3g}"
