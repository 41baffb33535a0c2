"""Whether a window can be shown."""

from __future__ import annotations

import os
import sys

__all__ = ["display_name", "has_display"]


def display_name() -> str:
    """Name of the display; empty where there is none."""
    if sys.platform in ("win32", "darwin"):
        return "of the system"
    return os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""


def has_display() -> bool:
    """True where there is a display to open a window on."""
    return bool(display_name())
