"""Telling the disk, soon but not at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Thread

__all__ = ["Syncer"]

#: A click must not wait for the disk, and a power cut must not cost more than this.
_WITHIN_S = 0.5


class Syncer:
    """A thread that brings files to the disk within half a second after they were touched.

    Parameters
    ----------
    on_trouble : callable
        Told once when the disk reports a fault; in the thread.
    """

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self._on_trouble = on_trouble
        self._touched: set[int] = set()
        self._let_go: set[int] = set()
        self._changed = Condition()
        self._closed = False
        self._told = False
        self._thread: Thread | None = None

    def touch(self, handle: int) -> None:
        """A file was written to."""
        with self._changed:
            self._touched.add(handle)
            self._wake()

    def let_go(self, handle: int) -> None:
        """A file will not be written to any more: bring it to the disk and close it."""
        with self._changed:
            self._let_go.add(handle)
            self._wake()

    def close(self) -> None:
        """Do what is left, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._touched or self._let_go or self._closed)
                if not self._closed:
                    self._changed.wait_for(lambda: self._closed, _WITHIN_S)
                touched, let_go, closed = self._touched, self._let_go, self._closed
                self._touched, self._let_go = set(), set()
            for handle in touched | let_go:
                self._sync(handle)
            for handle in let_go:
                with suppress(OSError):
                    os.close(handle)
            if closed:
                return

    def _sync(self, handle: int) -> None:
        try:
            os.fsync(handle)
        except OSError as error:
            if not self._told:
                self._told = True
                self._on_trouble(
                    f"The disk reports a fault while keeping your edits ({error.strerror}). Save "
                    "to another disk now."
                )
