"""The list of conflicts: what an object is here, what it is in QuPath, and which one stays."""

from __future__ import annotations

from collections.abc import Sequence
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
from qtpy.QtGui import QColor, QFont, QPainter
from qtpy.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QWidget

from napari_histo.plugin.theme import theme_colour
from napari_histo.session.qupath.words import class_of, differences
from qupath_bridge.sync import Conflict

__all__ = ["CHOICES", "ConflictList"]

_CONFLICT = Qt.ItemDataRole.UserRole
_PAD = 6
#: Words for what is kept, by policy.
CHOICES = {"ask": "undecided", "ours": "napari", "theirs": "QuPath", "copy": "both"}


class ConflictModel(QAbstractListModel):
    """Conflicts of a merge; each is made when it is looked at."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._conflicts: Sequence[Conflict] = ()

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Conflicts."""
        return 0 if parent is not None and parent.isValid() else len(self._conflicts)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What Qt asks of a row."""
        if role == _CONFLICT:
            return self._conflicts[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            conflict = self._conflicts[index.row()]
            return "\n".join([str(conflict.object_id), *_lines(conflict)])
        return None

    def show_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Others; where they are as many, the selection stays."""
        same = len(conflicts) == len(self._conflicts)
        if same and len(conflicts):
            self._conflicts = conflicts
            self.dataChanged.emit(self.index(0), self.index(len(conflicts) - 1))
            return
        self.beginResetModel()
        self._conflicts = conflicts
        self.endResetModel()

    def ids(self) -> list[UUID]:
        """Of all objects in conflict."""
        return [conflict.object_id for conflict in self._conflicts]


class ConflictDelegate(QStyledItemDelegate):
    """Draws a conflict: class and id, then one line a field, and what is kept at the right."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = "dark"

    def sizeHint(self, option: Any, index: QModelIndex) -> QSize:  # noqa: N802 - Qt's name
        """A line for the object, one for each field that differs."""
        n = 1 + len(_lines(index.data(_CONFLICT)))
        return QSize(120, n * (option.fontMetrics.height() + 2) + 2 * _PAD)

    def paint(self, painter: QPainter | None, option: Any, index: QModelIndex) -> None:
        """One row."""
        assert painter is not None
        conflict: Conflict = index.data(_CONFLICT)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area: QRect = option.rect
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(area, theme_colour(self.theme, "primary"))
        elif option.state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(area, theme_colour(self.theme, "foreground").lighter(120))
        inner = area.adjusted(_PAD + 2, _PAD, -_PAD - 2, -_PAD)
        height = option.fontMetrics.height() + 2
        line = QRect(inner.left(), inner.top(), inner.width(), height)
        self._paint_title(painter, line, conflict, option.font)
        small = QFont(option.font)
        small.setPointSizeF(max(option.font.pointSizeF() - 1, 7))
        painter.setFont(small)
        quiet = theme_colour(self.theme, "text")
        quiet.setAlpha(190)
        painter.setPen(quiet)
        for text in _lines(conflict):
            line.translate(0, height)
            shown = painter.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideRight, line.width()
            )
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, shown)
        painter.restore()

    def _paint_title(self, painter: QPainter, line: QRect, conflict: Conflict, font: QFont) -> None:
        name, rgb = class_of(conflict)
        swatch = QRect(line.left(), line.center().y() - 5, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(*(rgb or (255, 200, 0))))
        painter.drawRoundedRect(swatch, 2, 2)
        painter.setFont(font)
        choice = CHOICES[conflict.choice]
        is_open = conflict.choice == "ask"
        painter.setPen(theme_colour(self.theme, "warning" if is_open else "text"))
        painter.drawText(
            line,
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            choice if is_open else f"keep {choice}",
        )
        painter.setPen(theme_colour(self.theme, "text"))
        place = line.adjusted(17, 0, -100, 0)
        title = f"{name}  {str(conflict.object_id)[:8]}"
        shown = painter.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, place.width())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, shown)


class ConflictList(QListView):
    """The conflicts; tells which one the user looks at."""

    looked_at = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.conflicts = ConflictModel(self)
        self.setModel(self.conflicts)
        self.painter = ConflictDelegate(self)
        self.setItemDelegate(self.painter)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        model = self.selectionModel()
        assert model is not None
        model.currentChanged.connect(lambda now, _: self._look(now))
        self.clicked.connect(self._look)  # again: the user may have moved away

    def selected_ids(self) -> list[UUID]:
        """Of the marked rows."""
        return [index.data(_CONFLICT).object_id for index in self.selectedIndexes()]

    def _look(self, index: QModelIndex) -> None:
        conflict = index.data(_CONFLICT)
        if conflict is not None:
            self.looked_at.emit(conflict)


def _lines(conflict: Conflict) -> list[str]:
    return [
        f"{name}: {here} in napari, {there} in QuPath"
        for name, here, there in differences(conflict)
    ]
