"""The list of a round's regions: small pictures, why each was chosen, and how it stands."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from qtpy.QtCore import (  # type: ignore[attr-defined] # qtpy's own name
    QAbstractListModel,
    QModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QImage, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QWidget

from napari_histo.core.rounds import QueryStatus
from napari_histo.errors import HistoError
from napari_histo.learning.project.folder import LearningProject
from napari_histo.plugin.theme import theme_colour
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.learning_state import RegionRow
from napari_histo.session.learning_work import region_pixels

__all__ = ["RegionList"]

_ROW = Qt.ItemDataRole.UserRole
_SIDE, _PAD = 56, 6
_RETURN = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
#: As the classes of regions are coloured.
_COLOURS = {
    QueryStatus.TO_ANNOTATE: QColor(255, 128, 0),
    QueryStatus.DONE: QColor(0, 180, 90),
    QueryStatus.SKIPPED: QColor(128, 128, 128),
}


class RegionModel(QAbstractListModel):
    """Regions of a round; small pictures come later, from a thread."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: tuple[RegionRow, ...] = ()
        self._project: LearningProject | None = None
        self._pictures: dict[UUID, QPixmap | None] = {}
        self._readers = ThreadPoolExecutor(1, "regions")
        self._mailbox = Mailbox(parent)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Regions."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks of a row."""
        row = self._rows[index.row()]
        if role == _ROW:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{row.title}: {row.status.value}"
        if role == Qt.ItemDataRole.ToolTipRole:
            does = "teaches" if row.split == "train" else "judges"
            return f"{row.title} on {row.image_name}\n{row.status.value}; {does}\n{row.reason}"
        return None

    def show_rows(self, project: LearningProject | None, rows: tuple[RegionRow, ...]) -> bool:
        """Other rows; True where they are of other regions, so that no row is chosen any more."""
        before, self._rows, self._project = self._rows, rows, project
        if [row.region_id for row in rows] == [row.region_id for row in before]:
            for i, (old, new) in enumerate(zip(before, rows, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(i), self.index(i))
            return False
        self.beginResetModel()
        self._pictures = {}
        self.endResetModel()
        return True

    def place(self, region_id: UUID | None) -> int | None:
        """Number of the row of a region."""
        ids = [row.region_id for row in self._rows]
        return ids.index(region_id) if region_id in ids else None

    def picture(self, row: RegionRow) -> QPixmap | None:
        """Of a region; None while it is read, or where its image is not found."""
        if row.region_id not in self._pictures and self._project is not None:
            self._pictures[row.region_id] = None
            with suppress(RuntimeError):  # closed
                self._readers.submit(self._read, self._project, row)
        return self._pictures.get(row.region_id)

    def _read(self, project: LearningProject, row: RegionRow) -> None:
        """In a thread: slides may lie on a slow disk."""
        with suppress(HistoError), project.open_image(project.facts.image(row.image)) as reader:
            pixels = region_pixels(reader, row.box, 2 * _SIDE)
            height, width = pixels.shape[:2]
            image = QImage(
                pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
            ).scaled(
                2 * _SIDE,
                2 * _SIDE,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            self._mailbox.post(partial(self._show, row.region_id, image))

    def _show(self, region_id: UUID, image: QImage) -> None:
        place = self.place(region_id)
        if place is not None:
            self._pictures[region_id] = QPixmap.fromImage(image)
            self.dataChanged.emit(self.index(place), self.index(place))

    def close(self) -> None:
        """Read no more pictures."""
        self._readers.shutdown(wait=False, cancel_futures=True)


class RegionDelegate(QStyledItemDelegate):
    """Draws a row: the picture, the name with a dot for how it stands, and the reason."""

    def __init__(self, parent: QWidget, model: RegionModel) -> None:
        super().__init__(parent)
        self._model = model
        self.theme = "dark"

    def sizeHint(self, option: Any, index: QModelIndex) -> QSize:  # noqa: N802 - Qt's name
        """As high as the picture."""
        return QSize(120, _SIDE + 2 * _PAD)

    def paint(self, painter: QPainter | None, option: Any, index: QModelIndex) -> None:
        """One row."""
        assert painter is not None
        row: RegionRow = index.data(_ROW)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        area: QRect = option.rect
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, theme_colour(self.theme, "primary"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, theme_colour(self.theme, "foreground").lighter(120))
        frame = QRect(area.left() + _PAD, area.top() + _PAD, _SIDE, _SIDE)
        picture = self._model.picture(row)
        if picture is None:
            painter.fillRect(frame, theme_colour(self.theme, "background"))
        else:
            painter.drawPixmap(frame, picture)
        left = frame.right() + 10
        words = QRect(left, frame.top(), area.right() - left - _PAD, _SIDE)
        self._paint_words(painter, words, row, option.font)
        painter.restore()

    def _paint_words(self, painter: QPainter, area: QRect, row: RegionRow, font: QFont) -> None:
        text = theme_colour(self.theme, "text")
        small = QFont(font)
        small.setPointSizeF(max(font.pointSizeF() - 1, 7))
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
        painter.setFont(small)
        lower = QRect(area.left(), area.top() + line + 1, area.width(), _SIDE - line)
        flags = Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap
        painter.setClipRect(lower)
        painter.drawText(lower, int(flags), row.reason or row.image_name)


class RegionList(QListView):
    """Regions by rank; a double click or Return opens one.

    Signals
    -------
    chosen(object)
        A region's id.
    opened(object)
        The same, for one that is to be shown.
    """

    chosen = Signal(object)
    opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = RegionModel(self)
        self.painter = RegionDelegate(self, self.rows)
        self.setModel(self.rows)
        self.setItemDelegate(self.painter)
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setMinimumHeight(2 * (_SIDE + 2 * _PAD))
        self.doubleClicked.connect(lambda index: self.opened.emit(_id(index)))
        model = self.selectionModel()
        assert model is not None
        model.currentChanged.connect(lambda index, _: self.chosen.emit(_id(index)))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Return opens."""
        key = _id(self.currentIndex())
        if event is not None and event.key() in _RETURN and key is not None:
            self.opened.emit(key)
            return
        super().keyPressEvent(event)

    def show_rows(
        self,
        project: LearningProject | None,
        rows: tuple[RegionRow, ...],
        chosen: UUID | None,
    ) -> None:
        """Other rows, one of them chosen; nothing is emitted."""
        model = self.selectionModel()
        assert model is not None
        model.blockSignals(True)
        is_new = self.rows.show_rows(project, rows)
        place = self.rows.place(chosen)
        if is_new or _id(self.currentIndex()) != chosen:
            index = QModelIndex() if place is None else self.rows.index(place)
            self.setCurrentIndex(index)
            if place is not None:
                self.scrollTo(index)
        model.blockSignals(False)
        port = self.viewport()
        if port is not None:
            port.update()


def _id(index: QModelIndex) -> UUID | None:
    row = index.data(_ROW) if index.isValid() else None
    return row.region_id if isinstance(row, RegionRow) else None
