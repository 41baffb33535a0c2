"""Colours of napari's theme, for what its own style sheet does not know."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QColor

__all__ = ["style_sheet", "theme_colour"]


def theme_colour(theme: str, role: str) -> QColor:
    """Colour of a role (``text``, ``highlight``, ``warning``, …) in a theme of napari."""
    return QColor(*getattr(_theme(theme), role).as_rgb_tuple()[:3])


def style_sheet(theme: str) -> str:
    """For the panels: small grey words, and colours for what needs the user's eye."""
    text = theme_colour(theme, "text")
    quiet = f"rgba({text.red()}, {text.green()}, {text.blue()}, 170)"
    warning = theme_colour(theme, "warning").name()
    error = theme_colour(theme, "error")
    if theme_colour(theme, "background").lightness() < 128:
        error = error.lighter(190)  # napari's red is made for filled boxes, not for letters
    accent = theme_colour(theme, "current").name()
    highlight = theme_colour(theme, "highlight").name()
    size = _theme(theme).font_size
    return f"""
        QLabel {{ qproperty-indent: 0; }}
        QLabel[kind] {{ color: {quiet}; font-size: {size}; }}
        QLabel[kind="warning"] {{ color: {warning}; }}
        QLabel[kind="error"] {{ color: {error.name()}; }}
        QPushButton {{ padding: 4px 12px; }}
        QPushButton#run {{ font-weight: bold; }}
        QPushButton#run:enabled {{ background-color: {accent}; }}
        QPushButton#run:enabled:hover {{ background-color: {highlight}; }}
        QProgressBar {{ max-height: 14px; }}
    """


def _theme(theme: str) -> Any:
    from napari.utils.theme import get_theme

    return get_theme(theme)
