"""The list of a project's images: small pictures, names, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QRect, QRegularExpression, QSize, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QFont, QImage, QPainter
from qtpy.QtWidgets import QWidget

from napari_histo.plugin.picture_list import (
    PictureDelegate,
    PictureList,
    PictureModel,
    small_font,
)
from napari_histo.plugin.theme import theme_colour
from napari_histo.session.qupath.state import ImageRow, Sync
from napari_histo.session.qupath.words import row_facts

__all__ = ["ImageList"]

_PICTURE = QSize(64, 48)
_GREEN = QColor(104, 190, 120)


class ImageModel(PictureModel[ImageRow]):
    """Images of the project, with QuPath's own small pictures."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, _PICTURE)

    def key(self, row: ImageRow) -> str:
        """An image's id."""
        return row.key

    def picture_key(self, row: ImageRow) -> Path | None:
        """Its file; QuPath writes one when it opens an image."""
        return row.thumbnail

    def read(self, row: ImageRow) -> QImage | None:
        """From the project's folder."""
        return QImage(str(row.thumbnail))

    def words(self, row: ImageRow, role: int) -> str | None:
        """What the filter looks at, and the tool tip."""
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{row.entry.name} {row_facts(row)}"
        return _tip(row) if role == Qt.ItemDataRole.ToolTipRole else None


class ImageDelegate(PictureDelegate):
    """Draws the name, and a line on how the image stands; a bar marks the one that is open."""

    opened: str | None = None

    def paint_mark(self, painter: QPainter, area: QRect, row: ImageRow) -> None:
        """The bar."""
        if row.key == self.opened:
            bar = QRect(area.left(), area.top(), 3, area.height())
            painter.fillRect(bar, theme_colour(self.theme, "current").lighter(140))

    def paint_words(self, painter: QPainter, area: QRect, row: ImageRow, font: QFont) -> None:
        """Two lines."""
        text = theme_colour(self.theme, "text")
        half = area.height() // 2
        painter.setFont(font)
        painter.setPen(text)
        upper = QRect(area.left(), area.top(), area.width(), half)
        name = painter.fontMetrics().elidedText(
            row.entry.name, Qt.TextElideMode.ElideMiddle, upper.width()
        )
        painter.drawText(upper, Qt.AlignmentFlag.AlignVCenter, name)
        painter.setFont(small_font(font))
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


class ImageList(PictureList):
    """The images; tells which one is chosen, and which one is to be opened."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = ImageModel(self)
        self._filtered = QSortFilterProxyModel(self)
        self._filtered.setSourceModel(self.rows)
        self._filtered.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.painter = ImageDelegate(self, self.rows)
        self._set_up(self.rows, self.painter, self._filtered)

    def show_rows(self, rows: tuple[ImageRow, ...], chosen: str | None) -> None:
        """Other rows, one of them chosen."""
        self.rows.show_rows(rows)
        self.choose(chosen)

    def show_opened(self, key: str | None, theme: str) -> None:
        """Mark the image that was opened last; draw in the colours of a theme."""
        if (key, theme) != (self.painter.opened, self.painter.theme):
            self.painter.opened, self.painter.theme = key, theme
            self.draw_anew()

    def filter_by(self, text: str) -> None:
        """Show images whose name or state holds all words of a text."""
        words = "".join(f"(?=.*{_quoted(word)})" for word in text.split())
        self._filtered.setFilterRegularExpression(words)

    @property
    def keys(self) -> Sequence[str]:
        """Of the images that the filter lets through."""
        proxy = self._filtered
        return [self.key_at(proxy.index(i, 0)) or "" for i in range(proxy.rowCount())]


def _tip(row: ImageRow) -> str:
    lines = [row.entry.name, row_facts(row)]
    if row.saved_at is not None:
        lines.append(f"Saved {row.saved_at:%Y-%m-%d %H:%M}")
    lines.append(row.message or str(row.image.path or ""))
    return "\n".join(filter(None, lines))


def _quoted(word: str) -> str:
    return str(QRegularExpression.escape(word))
