"""What threads post, and a test that runs it as the window's event loop would."""

from __future__ import annotations

import queue
import time

__all__ = ["PATIENCE_S", "Inbox"]

#: Only what will never come takes so long: a busy machine may stand still for many seconds.
PATIENCE_S = 300.0
_LOOK_S = 0.1


class Inbox:
    """A `Post` whose messages run in the thread that waits."""

    def __init__(self):
        self._posted: queue.SimpleQueue = queue.SimpleQueue()

    def __call__(self, message):
        self._posted.put(message)

    def take(self):
        """The next message, once it is there."""
        return self._posted.get(timeout=PATIENCE_S)

    def wait(self, until):
        """Run what comes until something is so, be it by a message or in a thread."""
        end = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end, "nothing came"
            try:
                message = self._posted.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            message()
