"""From any thread to the window's, and the end of what is in the window."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Event, RLock
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined] # qtpy's own name

__all__ = ["AtEnd", "Mailbox", "connect_while"]

_is_collecting = False


def _note_phase(phase: str, _facts: Any) -> None:
    global _is_collecting
    _is_collecting = phase == "start"


gc.callbacks.append(_note_phase)


class AtEnd:
    """What to do when a Qt object ends; to be connected to its signal ``destroyed``.

    A plain function must not be: Python's collector may end a Qt object after it has emptied the
    function that is connected, and to call that one ends the process (CPython 3.11 with PyQt6).
    Nothing is done where the collector ends the object, for what it collects nobody waits for.

    Parameters
    ----------
    *calls : callable
        In this order.
    """

    def __init__(self, *calls: Callable[[], object]) -> None:
        self._calls = calls

    def __call__(self, *_: object) -> None:
        """The object ended."""
        if not _is_collecting:
            for call in self._calls:
                call()


def connect_while(
    thing: QObject, wires: Sequence[tuple[Any, Callable[..., object]]], *ends: Callable[[], object]
) -> None:
    """Connect events that outlive a Qt object to slots until it ends; then call `ends`, too."""
    for event, slot in wires:
        event.connect(slot)
    thing.destroyed.connect(AtEnd(*ends, *(partial(e.disconnect, slot) for e, slot in wires)))


class _Closing:
    """Tells a mailbox's `post` of its end, also where the collector ends it; see `AtEnd`."""

    def __init__(self, gate: Any, closed: Event) -> None:
        self._gate, self._closed = gate, closed

    def __call__(self, *_: object) -> None:
        # Once it is emptied, nobody else has the mailbox either.
        with suppress(AttributeError), self._gate:
            self._closed.set()


class Mailbox(QObject):
    """Runs what other threads post in the thread of the window, in order.

    Parameters
    ----------
    parent : QObject
        What is posted after it is gone is dropped.
    """

    _posted = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._calls: deque[Callable[[], None]] = deque()
        self._running = False
        self._gate, self._closed = RLock(), Event()
        self._posted.connect(self._run, Qt.ConnectionType.QueuedConnection)
        self.destroyed.connect(_Closing(self._gate, self._closed))

    def post(self, call: Callable[[], None]) -> None:
        """Run `call` soon. Any thread may call."""
        # The window may close while a thread still works: then nobody waits for its answer. Qt
        # crashes where a signal is emitted while its object is taken down, hence the gate.
        with self._gate, suppress(RuntimeError):
            if not self._closed.is_set():
                self._posted.emit(call)

    def _run(self, call: Callable[[], None]) -> None:
        # napari's progress bars let Qt's events run: without this, the end of a run could overtake
        # the progress that is being shown.
        self._calls.append(call)
        if self._running:
            return
        self._running = True
        try:
            while self._calls:
                self._calls.popleft()()
        finally:
            self._running = False
            if self._calls:  # one failed: the others are not to blame
                self._posted.emit(self._calls.popleft())
