"""The list of a round's regions: small pictures, why each was chosen, and how it stands."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter
from qtpy.QtWidgets import QWidget

from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import HistoError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.plugin.picture_list import (
    PictureDelegate,
    PictureList,
    PictureModel,
    small_font,
)
from napari_histo.plugin.theme import theme_colour
from napari_histo.session.learning.state import RegionRow
from napari_histo.session.learning.work import region_pixels

__all__ = ["RegionList"]

_SIDE = 56
#: As the classes of regions are coloured.
_COLOURS = {
    QueryStatus.TO_ANNOTATE: QColor(255, 128, 0),
    QueryStatus.DONE: QColor(0, 180, 90),
    QueryStatus.SKIPPED: QColor(128, 128, 128),
}


class RegionModel(PictureModel[RegionRow]):
    """Regions of a round."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, QSize(_SIDE, _SIDE))
        self.project: LearningProject | None = None

    def key(self, row: RegionRow) -> UUID:
        """A region's id."""
        return row.region_id

    def words(self, row: RegionRow, role: int) -> str | None:
        """How it stands, and more of it in the tool tip."""
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{row.title}: {row.status.value}"
        if role == Qt.ItemDataRole.ToolTipRole:
            does = "teaches" if row.split == "train" else "judges"
            return f"{row.title} on {row.image_name}\n{row.status.value}; {does}\n{row.reason}"
        return None

    def read(self, row: RegionRow) -> QImage | None:
        """From its slide; None where that is not found."""
        project = self.project
        if project is None:
            return None
        with suppress(HistoError), project.open_image(project.facts.image(row.image)) as reader:
            pixels = region_pixels(reader, row.box, 2 * _SIDE)
            height, width = pixels.shape[:2]
            kind = QImage.Format.Format_RGB888
            return QImage(pixels.tobytes(), width, height, 3 * width, kind).copy()
        return None


class RegionDelegate(PictureDelegate):
    """Draws the name with a dot for how a region stands, and the reason."""

    def paint_words(self, painter: QPainter, area: QRect, row: RegionRow, font: QFont) -> None:
        """Two lines or more."""
        text = theme_colour(self.theme, "text")
        line = painter.fontMetrics().height()
        dot = QRect(area.left(), area.top() + line // 2 - 4, 8, 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_COLOURS[row.status])
        painter.drawEllipse(dot)
        painter.setFont(font)
        painter.setPen(text)
        upper = QRect(dot.right() + 7, area.top(), area.right() - dot.right() - 7, line)
        title = row.title if row.split == "train" else f"{row.title} (judges)"
        elide = Qt.TextElideMode.ElideRight
        title = painter.fontMetrics().elidedText(title, elide, upper.width())
        painter.drawText(upper, Qt.AlignmentFlag.AlignVCenter, title)
        text.setAlpha(180)
        painter.setPen(text)
        painter.setFont(small_font(font))
        lower = QRect(area.left(), area.top() + line + 1, area.width(), area.height() - line)
        flags = Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.setClipRect(lower)
        painter.drawText(lower, int(flags), row.reason or row.image_name)


class RegionList(PictureList):
    """Regions by rank."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = RegionModel(self)
        self.painter = RegionDelegate(self, self.rows)
        self._set_up(self.rows, self.painter, self.rows)
        self._line_px = self.painter.sizeHint(None, self.currentIndex()).height()
        self.setMinimumHeight(2 * self._line_px)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """No more than must be; it is given what room is left."""
        return QSize(super().sizeHint().width(), 2 * self._line_px)

    def show_rows(
        self,
        project: LearningProject | None,
        rows: tuple[RegionRow, ...],
        chosen: UUID | None,
    ) -> None:
        """Other rows, one of them chosen; nothing is emitted."""
        self.rows.project = project
        self.choose(chosen, anew=self.rows.show_rows(rows))
        self.draw_anew()
