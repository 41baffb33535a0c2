"""Curves of a training, drawn small: the loss falls, the quality rises."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.session.learning_state import Curve

__all__ = ["CurveView"]

_LOSS, _PQ, _AP = QColor(240, 150, 70), QColor(90, 200, 120), QColor(90, 170, 240)
_HEIGHT, _LEGEND, _PAD = 96, 18, 6
Points = Sequence[tuple[float, float]]


class CurveView(QWidget):
    """Loss from 0 to its largest value; PQ and AP from 0 to 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curve = Curve()
        self.text, self.ground = QColor("white"), QColor("black")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Loss of the training, from 0 to its largest value; PQ and AP from 0 to 1, on regions "
            "that this training holds out."
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide and low."""
        return QSize(260, _HEIGHT)

    def show_curve(self, curve: Curve) -> None:
        """Another one; an empty one hides it."""
        self.setVisible(bool(curve.losses or curve.qualities))
        if curve != self.curve:
            self.curve = curve
            self.update()

    def lines(self) -> list[tuple[str, QColor, Points, float]]:
        """Name, colour, points, and the value at the top."""
        losses = self.curve.losses
        pq = [(step, value) for step, value, _ in self.curve.qualities]
        ap = [(step, value) for step, _, value in self.curve.qualities if value == value]
        top = max((loss for _, loss in losses), default=1.0) or 1.0
        return [("loss", _LOSS, losses, top), ("PQ", _PQ, pq, 1.0), ("AP", _AP, ap, 1.0)]

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Lines, and a legend with the latest values."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(0, _LEGEND, self.width(), self.height() - _LEGEND)
        painter.fillRect(area, self.ground)
        lines = [line for line in self.lines() if line[2]]
        last = max((points[-1][0] for _, _, points, _ in lines), default=1) or 1
        inner = area.adjusted(_PAD, _PAD, -_PAD, -_PAD)
        left = 0
        for name, colour, points, top in lines:
            pen = QPen(colour, 1.6)
            painter.setPen(pen)
            placed = [
                QPointF(
                    inner.left() + inner.width() * step / last,
                    inner.bottom() - inner.height() * min(value / top, 1),
                )
                for step, value in points
            ]
            painter.drawPolyline(QPolygonF(placed))
            painter.setPen(QPen(colour, 5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawPoint(placed[-1])
            text = f"{name} {points[-1][1]:.3f}"
            painter.drawText(QPointF(left, _LEGEND - 5), text)
            left += painter.fontMetrics().horizontalAdvance(text) + 14
