"""Lists of things that each have a small picture, a name and a few words."""

from __future__ import annotations

from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from qtpy.QtCore import (  # type: ignore[attr-defined] # qtpy's own name
    QAbstractListModel,
    QModelIndex,
    QRect,
    QSize,
    Qt,
    Signal,
)
from qtpy.QtGui import QFont, QImage, QKeyEvent, QPainter, QPixmap, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QWidget

from napari_histo.plugin.theme import theme_colour
from napari_histo.plugin.threads import Mailbox

__all__ = ["ROW", "PictureDelegate", "PictureList", "PictureModel", "small_font"]

#: Role under which a model gives its row.
ROW = Qt.ItemDataRole.UserRole
_PAD, _GAP = 6, 10
_RETURN = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
Row = TypeVar("Row")


class PictureModel(QAbstractListModel, Generic[Row]):
    """Rows; their pictures come later, from a thread.

    Parameters
    ----------
    parent : QWidget
    picture_px : QSize
        Largest side of a picture on the screen.
    """

    def __init__(self, parent: QWidget, picture_px: QSize) -> None:
        super().__init__(parent)
        self.picture_px = picture_px
        self._rows: tuple[Row, ...] = ()
        self._pictures: dict[Hashable, QPixmap | None] = {}
        self._readers = ThreadPoolExecutor(1, "pictures")
        self._mailbox = Mailbox(parent)

    # -- what others decide ----------------------------------------------------------------------

    def key(self, row: Row) -> Hashable:
        """What makes it the same row as before, and the one that is chosen."""
        raise NotImplementedError

    def picture_key(self, row: Row) -> Hashable:
        """What makes it the same picture; None where there is none."""
        return self.key(row)

    def read(self, row: Row) -> QImage | None:
        """Its picture, of any size; in a thread, for files may lie on a slow disk."""
        raise NotImplementedError

    def words(self, row: Row, role: int) -> str | None:
        """Text and tool tip."""
        raise NotImplementedError

    # -- rows ------------------------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """How many there are."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks of a row."""
        row = self._rows[index.row()]
        return row if role == ROW else self.words(row, role)

    def show_rows(self, rows: tuple[Row, ...]) -> bool:
        """Other rows; True where they are of other things, so that none is chosen any more."""
        before, self._rows = self._rows, rows
        if [self.key(row) for row in rows] == [self.key(row) for row in before]:
            for i, (old, new) in enumerate(zip(before, rows, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(i), self.index(i))
            return False
        self.beginResetModel()
        self._pictures = {}
        self.endResetModel()
        return True

    # -- pictures --------------------------------------------------------------------------------

    def picture(self, row: Row) -> QPixmap | None:
        """Of a row; None while it is read, or where there is none."""
        key = self.picture_key(row)
        if key is not None and key not in self._pictures:
            self._pictures[key] = None
            with suppress(RuntimeError):  # closed
                self._readers.submit(self._fetch, key, row)
        return self._pictures.get(key)

    def _fetch(self, key: Hashable, row: Row) -> None:
        image = self.read(row)
        if image is not None and not image.isNull():
            small = image.scaled(
                self.picture_px * 2,  # for fine screens
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            self._mailbox.post(partial(self._show, key, small))

    def _show(self, key: Hashable, image: QImage) -> None:
        self._pictures[key] = QPixmap.fromImage(image)
        for i, row in enumerate(self._rows):
            if self.picture_key(row) == key:
                self.dataChanged.emit(self.index(i), self.index(i))

    def close(self) -> None:
        """Read no more pictures."""
        self._readers.shutdown(wait=False, cancel_futures=True)


class PictureDelegate(QStyledItemDelegate):
    """Draws a row: the picture at the left, words beside it.

    Parameters
    ----------
    parent : QWidget
    model : PictureModel
    """

    def __init__(self, parent: QWidget, model: PictureModel[Any]) -> None:
        super().__init__(parent)
        self._model = model
        self.theme = "dark"

    def sizeHint(self, option: Any, index: QModelIndex) -> QSize:  # noqa: N802 - Qt's name
        """As high as the picture."""
        return QSize(120, self._model.picture_px.height() + 2 * _PAD)

    def paint(self, painter: QPainter | None, option: Any, index: QModelIndex) -> None:
        """One row."""
        assert painter is not None
        row, area, size = index.data(ROW), QRect(option.rect), self._model.picture_px
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, theme_colour(self.theme, "primary"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, theme_colour(self.theme, "foreground").lighter(120))
        self.paint_mark(painter, area, row)
        frame = QRect(area.left() + _PAD, area.top() + _PAD, size.width(), size.height())
        self._paint_picture(painter, frame, row)
        left = frame.right() + _GAP
        words = QRect(left, frame.top(), area.right() - left - _PAD, frame.height())
        self.paint_words(painter, words, row, option.font)
        painter.restore()

    def paint_mark(self, painter: QPainter, area: QRect, row: Any) -> None:
        """Under everything, where something sets this row apart."""

    def paint_words(self, painter: QPainter, area: QRect, row: Any, font: QFont) -> None:
        """What is told beside the picture."""
        raise NotImplementedError

    def _paint_picture(self, painter: QPainter, frame: QRect, row: Any) -> None:
        picture = self._model.picture(row)
        if picture is None:
            painter.fillRect(frame, theme_colour(self.theme, "background"))
            return
        size = picture.size().scaled(frame.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, size.width(), size.height())
        place.moveCenter(frame.center())
        painter.drawPixmap(place, picture)


class PictureList(QListView):
    """Rows with pictures; a double click or Return opens one.

    Parameters
    ----------
    parent : QWidget, optional

    Signals
    -------
    chosen(object), opened(object)
        A row's key; None where no row is chosen.
    """

    chosen = Signal(object)
    opened = Signal(object)

    def _set_up(self, rows: PictureModel[Any], painter: PictureDelegate, model: Any) -> None:
        self._rows = rows
        self.setModel(model)
        self.setItemDelegate(painter)
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.doubleClicked.connect(lambda index: self.opened.emit(self.key_at(index)))
        chosen = self.selectionModel()
        assert chosen is not None
        chosen.currentChanged.connect(lambda index, _: self.chosen.emit(self.key_at(index)))

    def key_at(self, index: QModelIndex) -> Any:
        """Of a row; None where there is none."""
        return self._rows.key(index.data(ROW)) if index.isValid() else None

    def choose(self, key: Any, *, anew: bool = False) -> None:
        """Mark a row, and bring it into view where it was another; nothing is emitted."""
        if not anew and self.key_at(self.currentIndex()) == key:
            return
        shown, chosen = self.model(), self.selectionModel()
        assert shown is not None
        assert chosen is not None
        places = (shown.index(i, 0) for i in range(shown.rowCount()))
        place = next((index for index in places if self.key_at(index) == key), QModelIndex())
        chosen.blockSignals(True)
        self.setCurrentIndex(place)
        chosen.blockSignals(False)
        if place.isValid():
            self.scrollTo(place)
        self.draw_anew()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 - Qt's name
        """What is chosen stays in view where the list becomes lower."""
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    def draw_anew(self) -> None:
        """Draw all rows again."""
        port = self.viewport()
        if port is not None:
            port.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Return opens, as a double click does."""
        key = self.key_at(self.currentIndex())
        if event is not None and event.key() in _RETURN and key is not None:
            self.opened.emit(key)
            return
        super().keyPressEvent(event)


def small_font(font: QFont) -> QFont:
    """For the second line."""
    small = QFont(font)
    small.setPointSizeF(max(font.pointSizeF() - 1, 7))
    return small
