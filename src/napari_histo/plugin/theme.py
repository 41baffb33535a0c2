"""Colours of napari's theme, for what its own style sheet does not know."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QColor

__all__ = ["line_colour", "style_sheet", "theme_colour"]

#: Hues of haematoxylin and eosin, degrees, and what is as dark as nuclei, 0 to 255.
_STAINS, _DARK = range(255, 345), 90


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
    small = f"{max(int(size.removesuffix('pt')) - 1, 7)}pt"
    foreground = theme_colour(theme, "foreground").name()
    primary = theme_colour(theme, "primary").name()
    faint = f"rgba({text.red()}, {text.green()}, {text.blue()}, 80)"
    return f"""
        QLabel {{ qproperty-indent: 0; }}
        QLabel[kind] {{ color: {quiet}; font-size: {size}; }}
        QLabel[kind="warning"] {{ color: {warning}; }}
        QLabel[kind="error"] {{ color: {error.name()}; }}
        QPushButton {{ padding: 4px 12px; }}
        QPushButton#run {{ font-weight: bold; }}
        QPushButton#run:enabled {{ background-color: {accent}; }}
        QPushButton#run:enabled:hover {{ background-color: {highlight}; }}
        QPushButton#more {{
            border: 2px solid transparent; border-radius: 11px; padding: 1px 8px; min-height: 18px;
        }}
        QPushButton#more::menu-indicator {{ width: 0px; }}
        QToolButton#tool {{
            border: 1px solid transparent; border-radius: 4px; padding: 3px 0px 1px 0px;
            min-height: 38px; max-height: 38px;
            background-color: {foreground}; font-size: {small}; color: {quiet};
        }}
        QToolButton#tool[long="true"] {{ font-size: 7pt; }}
        QToolButton#tool:hover {{ background-color: {primary}; }}
        QToolButton#tool:checked {{ background-color: {accent}; color: {text.name()}; }}
        QToolButton#tool:disabled {{ background-color: transparent; color: {faint}; }}
        QProgressBar {{ max-height: 14px; }}
    """


def _theme(theme: str) -> Any:
    from napari.utils.theme import get_theme

    return get_theme(theme)


def line_colour(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """A class's colour for thin lines on stained tissue: brighter where it is that of a stain."""
    colour = QColor(*rgb)
    hue, saturation, value = colour.hue(), colour.saturation(), colour.value()
    if value < _DARK:
        colour.setHsv(max(hue, 0), saturation, 215)
    elif hue in _STAINS:
        colour.setHsv(hue, max(saturation, 190), 255)
    return colour.red(), colour.green(), colour.blue()
