"""Pictures on the buttons of the Annotate panel, drawn here in the colour of the text."""

from __future__ import annotations

from functools import lru_cache

from qtpy.QtCore import QByteArray, QRectF, Qt
from qtpy.QtGui import QIcon, QImage, QPainter, QPixmap
from qtpy.QtSvg import QSvgRenderer

__all__ = ["icon"]

#: On a field of 24 x 24, lines of 1.8; `fill` is the colour of the lines.
_SHAPES = {
    "click": '<circle cx="11" cy="11" r="7" stroke-dasharray="2.6 2.4"/>'
    '<path d="M11 11l3 11 2.4-4.2L21 15.4z" fill="{c}"/>',
    "box": '<rect x="3" y="5" width="18" height="14" stroke-dasharray="3 2.4"/>'
    '<circle cx="3" cy="5" r="1.8" fill="{c}"/><circle cx="21" cy="19" r="1.8" fill="{c}"/>',
    "squiggle": '<path d="M3 16c2-9 5-10 6.5-5s2.5 8 5 3 4-7 6.5-6"/>',
    "paint": '<path d="M20.5 3.5l-9 9 2 2 7-9z" fill="{c}"/>'
    '<path d="M10.5 13.5c-3 0-4 2-4 4 0 1.5-1.5 2.5-3 2.5 4 2.5 10 1.5 9-4.5z"/>',
    "erase": '<path d="M13.5 4.5l6 6-8.5 8.5h-4l-3.5-3.5z"/><path d="M9 9l6 6M11 19h9"/>',
    "merge": '<path d="M12 7.5a6.5 6.5 0 1 0 0 9 6.5 6.5 0 1 0 0-9z"/>',
    "split": '<circle cx="12" cy="12" r="7.5"/><path d="M4 20.5L20 3.5" stroke-width="2.6"/>',
    "delete": '<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10 10.5v6M14 10.5v6"/>',
    "smooth": '<path d="M3 17l3-7 2.5 4L11 6l3 5" stroke-width="1.2" opacity="0.6"/>'
    '<path d="M3 20c5-13 12-13 18 0"/>',
    "fill": '<circle cx="12" cy="12" r="8"/><circle cx="12" cy="12" r="3.5" fill="{c}"/>',
    "pick": '<path d="M6 3l12 9.5-5.5.800L16 20l-2.6 1.2-3.3-6.6L6 18.5z"/>',
    "undo": '<path d="M8.5 4.5L4 9l4.5 4.5M4.5 9H14a5.5 5.5 0 0 1 0 11H9"/>',
    "redo": '<path d="M15.5 4.5L20 9l-4.5 4.5M19.5 9H10a5.5 5.5 0 0 0 0 11h5"/>',
    "previous": '<path d="M15 5l-7 7 7 7"/>',
    "next": '<path d="M9 5l7 7-7 7"/>',
    "accept": '<path d="M4.5 12.5l5 5L19.5 7"/>',
}
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{c}" '
    'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">{shape}</svg>'
)
_SIZES_PX = (20, 40)  # for plain and for dense screens


@lru_cache(maxsize=256)
def icon(name: str, colour: str, quiet: str) -> QIcon:
    """Picture of a button, ``#rrggbb`` when it can be pressed and `quiet` when it cannot."""
    picture = QIcon()
    for size in _SIZES_PX:
        picture.addPixmap(_pixmap(name, colour, size), QIcon.Mode.Normal)
        picture.addPixmap(_pixmap(name, quiet, size), QIcon.Mode.Disabled)
    return picture


def _pixmap(name: str, colour: str, size: int) -> QPixmap:
    svg = _SVG.format(c=colour, shape=_SHAPES[name].format(c=colour))
    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, size, size))
    painter.end()
    return QPixmap.fromImage(image)
