# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows on a terminal what a generator of `Progress` is at."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from rich.console import Console

from napari_histo.core import Progress, result_of

__all__ = ["drive"]

Result = TypeVar("Result")


def drive(work: Generator[Progress, None, Result], console: Console, title: str = "") -> Result:
    """Run long work to its end, and give back its result; in a pipe or a file nothing is shown."""
    if not console.is_terminal:
        return result_of(work)
    before = f"{title}: " if title else ""
    with console.status(title) as line:
        return result_of(work, lambda step: line.update(before + step.message))
