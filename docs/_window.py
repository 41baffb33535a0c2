"""What the pictures of the documentation are taken with: a real window, and time for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

__all__ = ["DATA", "IMAGES", "SLIDE", "settle", "take", "wait"]

_ROOT = Path(__file__).parents[1]
IMAGES = _ROOT / "docs" / "images"
DATA = Path(os.environ.get("NAPARI_HISTO_DATA", _ROOT.parent / "shared" / "data"))
SLIDE = DATA / "slides" / "CMU-1-Small-Region.svs"


def take(viewer: napari.Viewer, path: Path) -> None:
    """The whole window."""
    settle(1.5)
    viewer.screenshot(path, canvas_only=False, flash=False)
    print(path)


def settle(seconds: float = 0.5) -> None:
    """Let Qt and napari draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def wait(done: Callable[[], bool], seconds: float = 600) -> None:
    """Run Qt's events until `done`."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"Nothing happened for {seconds:.0f} s.")
        QApplication.processEvents()
        time.sleep(0.01)
