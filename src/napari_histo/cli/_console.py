"""What goes to the terminal: results to stdout, everything else to stderr."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from napari_histo.core import CancelToken, Progress, SlideInfo, result_of

__all__ = ["cancel_on_interrupt", "drive", "err", "out", "say_choices", "say_error"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Result = TypeVar("Result")


def say_error(message: str) -> None:
    """One red message on stderr."""
    err.print("Error:", style="bold red", end=" ")
    err.print(message, markup=False)


def say_choices(info: SlideInfo, *, z: int | None, series: int | None) -> None:
    """What was taken of an image with several planes, or of a file with several images, unasked."""
    if info.n_z > 1 and z is None:
        err.print(f"{info.name} has {info.n_z} focal planes; taking the first (--z 0).")
    if info.series_note and series is None:
        err.print(info.series_note, markup=False)


@contextmanager
def cancel_on_interrupt() -> Iterator[CancelToken]:
    """A token that Ctrl-C raises; a second Ctrl-C ends the program at once."""
    token = CancelToken()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        token.cancel()
        err.print("Stopping after this tile; press Ctrl-C again to stop at once.")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)


def drive(work: Generator[Progress, None, Result], title: str) -> Result:
    """Run long work to its end with a bar on stderr, and give back its result."""
    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with ProgressBar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None, title=title)

        def tell(step: Progress) -> None:
            bar.update(
                task, completed=step.done, total=step.total or None, description=step.message
            )

        return result_of(work, tell)
