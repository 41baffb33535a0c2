"""The list of a project's images: small pictures, names, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import (  # type: ignore[attr-defined] # qtpy's own name
    QAbstractListModel,
    QModelIndex,
    QRect,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QImage, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QWidget

from napari_histo.plugin.theme import theme_colour
from napari_histo.plugin.threads import Mailbox
from napari_histo.session.qupath_state import ImageRow, Sync
from napari_histo.session.qupath_words import row_facts

__all__ = ["ImageList"]

_ROW = Qt.ItemDataRole.UserRole
_PICTURE, _PAD = QSize(64, 48), 6
_RETURN = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_GREEN = QColor(104, 190, 120)


class ImageModel(QAbstractListModel):
    """Rows of the project; small pictures come later, from a thread."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._rows: tuple[ImageRow, ...] = ()
        self._pictures: dict[Path, QPixmap | None] = {}
        self._readers = ThreadPoolExecutor(1, "thumbnails")
        self._mailbox = Mailbox(parent)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Images."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks of a row."""
        row = self._rows[index.row()]
        if role == _ROW:
            return row
        if role == Qt.ItemDataRole.DisplayRole:  # what the filter looks at
            return f"{row.entry.name} {row_facts(row)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tip(row)
        return None

    def show_rows(self, rows: tuple[ImageRow, ...]) -> None:
        """Other rows; where the images are the same, selection and place stay."""
        if [row.key for row in rows] == [row.key for row in self._rows]:
            before, self._rows = self._rows, rows
            for i, (old, new) in enumerate(zip(before, rows, strict=True)):
                if old != new:
                    self.dataChanged.emit(self.index(i), self.index(i))
            return
        self.beginResetModel()
        self._rows, self._pictures = rows, {}
        self.endResetModel()

    def picture(self, row: ImageRow) -> QPixmap | None:
        """QuPath's small picture; None while it is read, or where there is none."""
        path = row.thumbnail
        if path is None:
            return None
        if path not in self._pictures:
            self._pictures[path] = None
            self._readers.submit(self._read, path)
        return self._pictures[path]

    def _read(self, path: Path) -> None:
        """In a thread: files may lie on a slow disk."""
        image = QImage(str(path))
        if not image.isNull():
            size = _PICTURE * 2  # for fine screens
            keep, smooth = (
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            self._mailbox.post(partial(self._show, path, image.scaled(size, keep, smooth)))

    def _show(self, path: Path, image: QImage) -> None:
        self._pictures[path] = QPixmap.fromImage(image)
        for i, row in enumerate(self._rows):
            if row.thumbnail == path:
                self.dataChanged.emit(self.index(i), self.index(i))

    def close(self) -> None:
        """Read no more pictures."""
        self._readers.shutdown(wait=False, cancel_futures=True)


class ImageDelegate(QStyledItemDelegate):
    """Draws a row: the picture, the name, and a line on how the image stands."""

    def __init__(self, parent: QWidget, model: ImageModel) -> None:
        super().__init__(parent)
        self._model = model
        self.theme = "dark"
        self.opened: str | None = None

    def sizeHint(self, option: Any, index: QModelIndex) -> QSize:  # noqa: N802 - Qt's name
        """As high as the picture."""
        return QSize(120, _PICTURE.height() + 2 * _PAD)

    def paint(self, painter: QPainter | None, option: Any, index: QModelIndex) -> None:
        """One row."""
        assert painter is not None
        row: ImageRow = index.data(_ROW)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        area: QRect = option.rect
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, theme_colour(self.theme, "primary"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, theme_colour(self.theme, "foreground").lighter(120))
        if row.key == self.opened:
            bar = QRect(area.left(), area.top(), 3, area.height())
            painter.fillRect(bar, theme_colour(self.theme, "current").lighter(140))
        frame = QRect(area.left() + _PAD + 3, area.top() + _PAD, *_wh(_PICTURE))
        self._paint_picture(painter, frame, row)
        left = frame.right() + 10
        words = QRect(left, area.top() + _PAD, area.right() - left - _PAD, _PICTURE.height())
        self._paint_words(painter, words, row, option.font)
        painter.restore()

    def _paint_picture(self, painter: QPainter, frame: QRect, row: ImageRow) -> None:
        picture = self._model.picture(row)
        if picture is None:
            painter.fillRect(frame, theme_colour(self.theme, "background"))
            return
        size = picture.size().scaled(_PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, *_wh(size))
        place.moveCenter(frame.center())
        painter.drawPixmap(place, picture)

    def _paint_words(self, painter: QPainter, area: QRect, row: ImageRow, font: QFont) -> None:
        text = theme_colour(self.theme, "text")
        half = area.height() // 2
        painter.setFont(font)
        painter.setPen(text)
        upper = QRect(area.left(), area.top(), area.width(), half)
        name = painter.fontMetrics().elidedText(
            row.entry.name, Qt.TextElideMode.ElideMiddle, upper.width()
        )
        painter.drawText(upper, Qt.AlignmentFlag.AlignVCenter, name)
        small = QFont(font)
        small.setPointSizeF(max(font.pointSizeF() - 1, 7))
        painter.setFont(small)
        lower = QRect(area.left(), area.top() + half, area.width(), half)
        dot = QRect(lower.left(), lower.center().y() - 3, 7, 7)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colour(row.sync))
        painter.drawEllipse(dot)
        text.setAlpha(180)
        painter.setPen(text)
        lower.setLeft(dot.right() + 6)
        facts = painter.fontMetrics().elidedText(
            row_facts(row), Qt.TextElideMode.ElideRight, lower.width()
        )
        painter.drawText(lower, Qt.AlignmentFlag.AlignVCenter, facts)

    def _colour(self, sync: Sync) -> QColor:
        if sync is Sync.IN_STEP:
            return _GREEN
        if sync in (Sync.CONFLICTS, Sync.DAMAGED, Sync.UNEXPORTED):
            return QColor(theme_colour(self.theme, "error").lighter(150))
        if sync in (Sync.HERE, Sync.QUPATH, Sync.BOTH, Sync.WAITING, Sync.SAVING):
            return theme_colour(self.theme, "warning")
        quiet = theme_colour(self.theme, "text")
        quiet.setAlpha(90)
        return quiet


class ImageList(QListView):
    """The images; tells which one is chosen, and which one is to be opened."""

    chosen = Signal(object)
    opened = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.rows = ImageModel(self)
        self._filtered = QSortFilterProxyModel(self)
        self._filtered.setSourceModel(self.rows)
        self._filtered.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setModel(self._filtered)
        self.painter = ImageDelegate(self, self.rows)
        self.setItemDelegate(self.painter)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        model = self.selectionModel()
        assert model is not None
        model.currentChanged.connect(lambda now, _: self.chosen.emit(self._key(now)))
        self.doubleClicked.connect(lambda index: self.opened.emit(self._key(index)))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 - Qt's name
        """Return opens, as a double click does."""
        key = self._key(self.currentIndex())
        if event is not None and event.key() in _RETURN and key is not None:
            self.opened.emit(key)
            return
        super().keyPressEvent(event)

    def show_rows(self, rows: tuple[ImageRow, ...], chosen: str | None) -> None:
        """Other rows, one of them chosen."""
        self.rows.show_rows(rows)
        self.choose(chosen)

    def choose(self, key: str | None) -> None:
        """Mark the row of an image; nothing is emitted."""
        if self._key(self.currentIndex()) == key:
            return
        for i in range(self._filtered.rowCount()):
            index = self._filtered.index(i, 0)
            if self._key(index) == key:
                model = self.selectionModel()
                assert model is not None
                model.blockSignals(True)
                self.setCurrentIndex(index)
                model.blockSignals(False)
                self.viewport_update()
                return

    def show_opened(self, key: str | None, theme: str) -> None:
        """Mark the image that was opened last; draw in the colours of a theme."""
        if (key, theme) != (self.painter.opened, self.painter.theme):
            self.painter.opened, self.painter.theme = key, theme
            self.viewport_update()

    def filter_by(self, text: str) -> None:
        """Show images whose name or state holds all words of a text."""
        words = "".join(f"(?=.*{_quoted(word)})" for word in text.split())
        self._filtered.setFilterRegularExpression(words)

    @property
    def keys(self) -> Sequence[str]:
        """Of the images that the filter lets through."""
        proxy = self._filtered
        return [self._key(proxy.index(i, 0)) or "" for i in range(proxy.rowCount())]

    def viewport_update(self) -> None:
        """Draw again."""
        port = self.viewport()
        if port is not None:
            port.update()

    @staticmethod
    def _key(index: QModelIndex) -> str | None:
        row = index.data(_ROW)
        return row.key if isinstance(row, ImageRow) else None


def _tip(row: ImageRow) -> str:
    lines = [row.entry.name, row_facts(row)]
    if row.saved_at is not None:
        lines.append(f"Saved {row.saved_at:%Y-%m-%d %H:%M}")
    lines.append(row.message or str(row.image.path or ""))
    return "\n".join(filter(None, lines))


def _wh(size: QSize) -> tuple[int, int]:
    return size.width(), size.height()


def _quoted(word: str) -> str:
    from qtpy.QtCore import QRegularExpression

    return str(QRegularExpression.escape(word))
