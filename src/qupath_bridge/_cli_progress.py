# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows on a terminal what a generator of `Progress` is at."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from rich.console import Console

from napari_histo.core import Progress

__all__ = ["shown"]

Result = TypeVar("Result")


def shown(
    work: Generator[Progress, None, Result], console: Console, title: str = ""
) -> Generator[Progress, None, Result]:
    """The same generator; in a pipe or a file nothing is shown."""
    if not console.is_terminal:
        return (yield from work)
    with console.status(title) as line:
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                result: Result = end.value
                return result
            line.update(f"{title}: {step.message}" if title else step.message)
            yield step
