"""Nuclei and cells in napari, on whole slides, in step with QuPath."""

from __future__ import annotations

__version__ = "0.1.0"
