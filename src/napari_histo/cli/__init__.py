"""The command line: one file a command, all driving what the napari docks drive."""

from __future__ import annotations

from napari_histo.cli._app import main

__all__ = ["main"]
