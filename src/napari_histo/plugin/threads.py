"""From any thread to the window's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event, RLock

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined] # qtpy's own name

__all__ = ["Mailbox"]


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
        self._gate = gate = RLock()
        self._closed = closed = Event()
        self._posted.connect(self._run, Qt.ConnectionType.QueuedConnection)

        def on_destroyed() -> None:
            with gate:
                closed.set()

        self.destroyed.connect(on_destroyed)

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
