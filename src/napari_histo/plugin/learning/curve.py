"""Curves, drawn small: how a training goes, and how quality rises from round to round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.learning.progress.baseline import Baseline
from napari_histo.learning.progress.forecast import Enough, Forecast, LearningCurve
from napari_histo.learning.progress.points import Learned
from napari_histo.session.learning.state import Curve

__all__ = ["CurveView", "RoundsCurve"]

_LOSS, _PQ, _AP = QColor(240, 150, 70), QColor(90, 200, 120), QColor(90, 170, 240)
_RANDOM = QColor(180, 160, 205)
_HEIGHT, _LEGEND, _PAD = 112, 18, 6
#: For the numbers of the axes, px; and places at which a band is drawn.
_LEFT, _BELOW, _BAND = 32, 15, 24
Points = Sequence[tuple[float, float]]


class _Drawing(QWidget):
    """A dark field with a legend above it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.ground = QColor("white"), QColor("black")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Wide and low."""
        return QSize(260, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """The field, then what is on it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(0, _LEGEND, self.width(), self.height() - _LEGEND)
        painter.fillRect(area, self.ground)
        self.draw(painter, area)

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """What is on the field."""
        raise NotImplementedError


def _legend(painter: QPainter, words: Sequence[tuple[str, QColor]]) -> None:
    left = 0
    for text, colour in words:
        painter.setPen(colour)
        painter.drawText(QPointF(left, _LEGEND - 5), text)
        left += painter.fontMetrics().horizontalAdvance(text) + 14


def _dot(painter: QPainter, at: QPointF, colour: QColor, width: float = 5) -> None:
    painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawPoint(at)


class CurveView(_Drawing):
    """How a training goes: loss from 0 to its largest value; PQ and AP from 0 to 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curve = Curve()
        self.setToolTip(
            "Loss of the training, from 0 to its largest value; PQ and AP from 0 to 1, on regions "
            "that this training holds out."
        )

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to draw."""
        return not (self.curve.losses or self.curve.qualities)

    def show_curve(self, curve: Curve) -> None:
        """Another one."""
        if curve != self.curve:
            self.curve = curve
            self.update()

    def lines(self) -> list[tuple[str, QColor, Points, float]]:
        """Name, colour, points, and the value at the top."""
        losses = self.curve.losses
        pq = [(step, value) for step, value, _ in self.curve.qualities]
        ap = [(step, value) for step, _, value in self.curve.qualities if value == value]
        top = max((loss for _, loss in losses), default=1.0) or 1.0
        name = self.curve.measure
        return [("loss", _LOSS, losses, top), (name, _PQ, pq, 1.0), ("AP", _AP, ap, 1.0)]

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Lines, and a legend with the latest values."""
        lines = [line for line in self.lines() if line[2]]
        last = max((points[-1][0] for _, _, points, _ in lines), default=1) or 1
        inner = area.adjusted(_PAD, _PAD, -_PAD, -_PAD)
        for _, colour, points, top in lines:
            painter.setPen(QPen(colour, 1.6))
            placed = [
                QPointF(
                    inner.left() + inner.width() * step / last,
                    inner.bottom() - inner.height() * min(value / top, 1),
                )
                for step, value in points
            ]
            painter.drawPolyline(QPolygonF(placed))
            _dot(painter, placed[-1], colour)
        _legend(painter, [(f"{name} {points[-1][1]:.3f}", c) for name, c, points, _ in lines])


class RoundsCurve(_Drawing):
    """Quality over objects annotated: the rounds, what another one would give, random regions."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.learned, self.baseline = Learned(), None
        self.forecast = Forecast(Enough.TOO_EARLY, 0, 0)
        #: Objects, and lower and upper bound of the curve there; empty where it is too early.
        self.band: list[tuple[float, float, float]] = []

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to draw."""
        return not any(point.round for point in self.learned.points)

    def show_rounds(
        self, learned: Learned, forecast: Forecast, baseline: Baseline | None = None
    ) -> None:
        """Others."""
        if (learned, forecast.n_more, baseline) != (
            self.learned,
            self.forecast.n_more,
            self.baseline,
        ):
            self.learned, self.forecast, self.baseline = learned, forecast, baseline
            self.band = self._find_band()
            self.setToolTip(_tip(baseline))
            self.update()

    baseline: Baseline | None

    def _find_band(self) -> list[tuple[float, float, float]]:
        if self.forecast.enough is Enough.TOO_EARLY:
            return []
        points = [(p.n_objects, p.pq) for p in self.learned.points if p.round and p.n_objects]
        n = np.linspace(min(points)[0], self._next[0], _BAND)
        low, high = LearningCurve(points).interval(n)
        return list(zip(n.tolist(), low.tolist(), high.tolist(), strict=True))

    @property
    def points(self) -> list[tuple[float, float]]:
        """Objects and PQ of the start model and each round."""
        return [(p.n_objects, p.pq) for p in self.learned.points]

    @property
    def _next(self) -> tuple[float, float, float]:
        """Objects after another round, and the interval of its model."""
        told = self.forecast
        return self.points[-1][0] + told.n_more, told.low, told.high

    def draw(self, painter: QPainter, area: QRectF) -> None:
        """Axes, random regions, the band, the rounds, and the next one."""
        frame = _Frame(area.adjusted(_LEFT, _PAD, -2 * _PAD, -_BELOW), self._seen())
        self._draw_axes(painter, area, frame)
        words = [(f"{self.learned.measure} over {self.learned.things} annotated", _PQ)]
        painter.setClipRect(area)
        random = self.baseline.points if self.baseline is not None else ()
        if any(n <= frame.last for n, _ in random):
            painter.setPen(QPen(_RANDOM, 1.4, Qt.PenStyle.DashLine))
            painter.drawPolyline(QPolygonF([frame.at(*point) for point in random]))
            words.append(("random (simulated)", _RANDOM))
        self._draw_forecast(painter, frame)
        placed = [frame.at(*p) for p in self.points]
        painter.setPen(QPen(_PQ, 1.6))
        painter.drawPolyline(QPolygonF(placed))
        for at in placed:
            _dot(painter, at, _PQ, 6)
        painter.setClipping(False)
        _legend(painter, words)

    def _seen(self) -> tuple[float, float, float]:
        """Largest number of objects, and the least and largest quality."""
        values = [pq for _, pq in self.points]
        last = self.points[-1][0] if self.points else 1.0
        if self.band:
            last, *ends = self._next
            values += ends
        values += [pq for n, pq in (self.baseline.points if self.baseline else ()) if n <= last]
        low, high = min(values, default=0.0), max(values, default=1.0)
        margin = max(0.02, 0.1 * (high - low))
        return last, max(low - margin, 0.0), min(high + margin, 1.0)

    def _draw_axes(self, painter: QPainter, area: QRectF, frame: _Frame) -> None:
        faint = QColor(self.text)
        faint.setAlpha(150)
        painter.setPen(faint)
        right, middle = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignVCenter
        for value in (frame.low, frame.high):
            y = frame.at(0, value).y()
            place = QRectF(area.left(), y - 8, _LEFT - 4, 16)
            painter.drawText(place, int(right | middle), f"{value:.2f}")
        n = f"{frame.last:.0f} {self.learned.things}"
        below = QRectF(area.left(), area.bottom() - _BELOW, area.width() - _PAD, _BELOW)
        painter.drawText(below, int(right | middle), n)
        painter.drawText(below.adjusted(_LEFT, 0, 0, 0), int(middle), "0")
        faint.setAlpha(60)
        painter.setPen(faint)
        painter.drawLine(frame.at(0, frame.low), frame.at(0, frame.high))
        painter.drawLine(frame.at(0, frame.low), frame.at(frame.last, frame.low))

    def _draw_forecast(self, painter: QPainter, frame: _Frame) -> None:
        if not self.band:
            return
        upper = [frame.at(n, high) for n, _, high in self.band]
        lower = [frame.at(n, low) for n, low, _ in self.band]
        pale = QColor(_PQ)
        pale.setAlpha(45)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(pale)
        painter.drawPolygon(QPolygonF([*upper, *reversed(lower)]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        n, low, high = self._next
        painter.setPen(QPen(_PQ, 1.6))
        painter.drawLine(frame.at(n, low), frame.at(n, high))
        painter.setBrush(self.ground)
        painter.drawEllipse(frame.at(n, self.forecast.pq), 3.5, 3.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)


class _Frame:
    """Where objects and quality lie on the field."""

    def __init__(self, area: QRectF, seen: tuple[float, float, float]) -> None:
        self._area = area
        self.last, self.low, self.high = seen

    def at(self, n: float, pq: float) -> QPointF:
        """Of a point."""
        area = self._area
        x = area.left() + area.width() * n / (self.last or 1)
        share = (pq - self.low) / ((self.high - self.low) or 1)
        return QPointF(x, area.bottom() - area.height() * share)


def _tip(baseline: Baseline | None) -> str:
    words = (
        "Quality of each round's model over the objects it learned from, all judged on the same "
        "regions. The circle and its line: what another round would give in 4 of 5 cases."
    )
    if baseline is not None:
        words += (
            f" Dashed: random regions in the simulation {baseline.folder.name} "
            f"({baseline.n_seeds} seeds), on the images of the simulation, not on these."
        )
    return words
