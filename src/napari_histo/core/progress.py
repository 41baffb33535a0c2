"""Progress and cancelling of long work.

Long work is a generator that yields `Progress`; napari's ``thread_worker`` and the command line
drive the same generator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from napari_histo.errors import Cancelled

__all__ = ["CancelToken", "Progress", "result_of", "retold"]

Result = TypeVar("Result")
Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of long work.

    Attributes
    ----------
    done, total : int
        Finished and expected units (tiles, batches); total is 0 while unknown.
    message : str
        What is going on, for the user.
    n_objects : int
        Objects found so far.
    """

    done: int
    total: int
    message: str = ""
    n_objects: int = 0

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1; 0 while the total is unknown."""
        return self.done / self.total if self.total else 0.0


class CancelToken:
    """A flag that any thread may raise and that long work looks at between tiles."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next tile. Any thread may call."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """True once `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once `cancel` was called."""
        if self.is_cancelled:
            raise Cancelled("Cancelled.")


def result_of(
    work: Generator[Step, None, Result], tell: Callable[[Step], Any] | None = None
) -> Result:
    """Drive long work to its end, and tell each step where somebody wants to know."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        if tell is not None:
            tell(step)


def retold(
    work: Generator[Step, None, Result], words: Callable[[Step], Step]
) -> Generator[Step, None, Result]:
    """The same work, its steps told in other words: for work that is part of another."""
    while True:
        try:
            step = next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
        yield words(step)
