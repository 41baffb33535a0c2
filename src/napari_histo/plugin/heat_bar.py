"""What a whole slide's picture shows from afar: the choice, and the colours' meaning."""

from __future__ import annotations

from html import escape
from typing import cast

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_histo.core import ClassScheme
from napari_histo.plugin.heat_colours import HeatBy, density_colours
from napari_histo.plugin.parts import combo, form_grid, small_label

__all__ = ["HeatBar"]

_CHOICES: tuple[tuple[str, HeatBy], ...] = (
    ("Density", "density"),
    ("Most frequent class", "class"),
    ("Single objects", "nothing"),
)
_BAR_PX = 10
_SHADES = 64


class HeatBar(QWidget):
    """A choice and its legend.

    Parameters
    ----------
    parent : QWidget, optional

    Attributes
    ----------
    box : QComboBox
        Its data are `HeatBy`.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = combo("What the picture shows at low zoom; outlines appear when you zoom in.")
        for text, value in _CHOICES:
            self.box.addItem(text, value)
        self._scale = _Scale()
        self._classes: QLabel = small_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form_grid(("Low zoom", self.box), ("", self._scale), ("", self._classes)))

    @property
    def heat_by(self) -> HeatBy:
        """What was chosen."""
        return cast("HeatBy", self.box.currentData())

    def show_legend(self, top: float, unit: str, classes: ClassScheme, text: QColor) -> None:
        """What the colours mean."""
        self._scale.setVisible(self.heat_by == "density" and top > 0)
        self._scale.show_top(f"{top:,.0f} /{unit}" if top >= 10 else f"{top:g} /{unit}", text)
        swatches = (
            f"<span style='color: rgb{c.rgb}'>\N{BLACK SQUARE}</span>&nbsp;{_unbroken(c.name)}"
            for c in classes
        )
        self._classes.setText(" &nbsp; ".join(swatches))
        self._classes.setVisible(self.heat_by != "density")


def _unbroken(name: str) -> str:
    return escape(name).replace(" ", "&nbsp;")


class _Scale(QWidget):
    """A bar of colours from 0 to a number."""

    def __init__(self) -> None:
        super().__init__()
        self._top, self._text = "", QColor("#d0d0d0")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Objects per area, smoothed; places without objects are clear.")

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Qt asks for it."""
        return QSize(160, _BAR_PX + self.fontMetrics().height() + 3)

    def show_top(self, top: str, text: QColor) -> None:
        """Another number at the right end."""
        self._top, self._text = top, text
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 - Qt's name
        """Qt calls it."""
        painter = QPainter(self)
        width = self.width() / _SHADES
        for i, rgba in enumerate(density_colours(_SHADES)):
            left = round(i * width)
            part = QRectF(left, 0, round((i + 1) * width) - left, _BAR_PX)
            painter.fillRect(part, QColor.fromRgbF(*rgba[:3].tolist()))
        painter.setPen(self._text)
        below = QRectF(0, _BAR_PX + 2, self.width(), self.height() - _BAR_PX - 2)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, self._top)
        painter.end()
