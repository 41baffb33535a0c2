# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker process seen from Python: started on demand, kept warm, bounded in time and memory.

A call is a generator that yields :class:`Progress` and returns the answer. The process may be
killed at any moment without harm, for it writes to files of its own only: on a cancel, when a call
takes too long (QuPath reads a truncated file for ever), or when it takes too much memory. The next
call starts a new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_histo.core import CancelToken, Progress
from napari_histo.errors import BridgeError, Cancelled, MissingDependencyError
from qupath_bridge._process_facts import cannot_start, java_environment, memory_mb, pump
from qupath_bridge.locate import find_qupath, searched_places

__all__ = ["Answer", "JavaError", "Limits", "WorkerClient"]

Answer = dict[str, Any]
_POLL_S = 0.1
_LOG_LINES = 15


class JavaError(BridgeError):
    """QuPath refused a command.

    Attributes
    ----------
    kind : str
        The Java class of the exception, such as ``"java.io.EOFException"``.
    reason : str
        Its own message.
    """

    def __init__(self, kind: str, reason: str) -> None:
        self.kind, self.reason = kind, reason.removeprefix(f"{kind}: ")
        super().__init__(f"QuPath reported {kind.rpartition('.')[2]}: {self.reason}")


@dataclass(frozen=True)
class Limits:
    """What the worker process may take.

    Attributes
    ----------
    heap_mb : int or None
        Java's heap, MiB; None for half of the machine's memory.
    memory_mb : int or None
        The process's whole memory, MiB; more ends it (Linux only, where it is told).
    start_s : float
        Time until Java runs and our scripts are compiled.
    """

    heap_mb: int | None = None
    memory_mb: int | None = None
    start_s: float = 120.0


class WorkerClient:
    """One worker process at a time.

    Parameters
    ----------
    command : sequence of str, optional
        What to run instead of :mod:`qupath_bridge.worker`; for tests.
    limits : Limits, optional

    Notes
    -----
    One call at a time: a second thread waits until the first call ended.
    """

    def __init__(
        self, command: Sequence[str] | None = None, *, limits: Limits | None = None
    ) -> None:
        self._command = command
        self._limits = limits or Limits()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = threading.Lock()
        self._last_id = 0
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.qupath_version: str | None = None

    def __enter__(self) -> WorkerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process, None where none runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process else None

    def call(
        self,
        command: str,
        arguments: Mapping[str, Any],
        *,
        limit_s: float,
        cancel: CancelToken | None = None,
    ) -> Generator[Progress, None, Answer]:
        """Run a command of the worker.

        Raises
        ------
        JavaError
            QuPath raised; the process lives on.
        BridgeError
            The process ended, or was ended because it passed `limit_s` or its memory.
        Cancelled
            `cancel` was raised; the process is gone.
        MissingDependencyError
            There is no QuPath, or no paquo.
        """
        with self._busy:
            try:
                yield from self._ensure_running(cancel)
                self._last_id += 1
                self._send({"id": self._last_id, "command": command, "arguments": dict(arguments)})
                return (yield from self._events(self._last_id, limit_s, cancel))
            except JavaError:
                raise
            except BaseException:
                # Whatever went wrong, also a generator that nobody drives on: what the process is
                # at is unknown, and a fresh one is a few seconds away.
                self.kill()
                raise

    def kill(self) -> None:
        """End the process at once; again is no error."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()

    def close(self) -> None:
        """End the process and forget its log."""
        self.kill()
        self._log.close()

    # -- the process -----------------------------------------------------------------------------

    def _ensure_running(self, cancel: CancelToken | None) -> Generator[Progress, None, None]:
        if self.pid is not None:
            return
        self.kill()
        yield Progress(0, 0, "Starting QuPath's Java")
        environment = {
            **os.environ,
            **java_environment(self._limits.heap_mb),
            **self._qupath_folder(),
        }
        self._log.seek(0)
        self._log.truncate()  # the last words are to be this process's
        command = self._command or [sys.executable, "-m", "qupath_bridge.worker"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._lines = queue.SimpleQueue()
        reader = threading.Thread(
            target=pump, args=(self._process.stdout, self._lines), daemon=True
        )
        reader.start()
        ready = yield from self._events(None, self._limits.start_s, cancel)
        self.qupath_version = ready.get("qupath")

    def _qupath_folder(self) -> dict[str, str]:
        if self._command:
            return {}
        install = find_qupath()
        if install is None:
            raise MissingDependencyError(
                f"There is no QuPath in {', '.join(map(str, searched_places()))}. Install QuPath, "
                "or name its folder in the environment variable PAQUO_QUPATH_DIR; without it, "
                "objects can be exchanged as GeoJSON."
            )
        return install.environment()

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    # -- events ----------------------------------------------------------------------------------

    def _events(
        self, wanted: int | None, limit_s: float, cancel: CancelToken | None
    ) -> Generator[Progress, None, Answer]:
        """Progress of the command `wanted` (None: the start) until its last event."""
        deadline = time.monotonic() + limit_s
        while True:
            event = self._next_event(deadline, limit_s, cancel)
            if event is None:
                continue
            if event.get("event") == "failed":
                raise MissingDependencyError(cannot_start(str(event.get("message"))))
            if event.get("id") != wanted:
                continue  # left over from a command whose caller went away
            if event["event"] == "progress":
                yield Progress(0, 0, str(event.get("message", "")))
            elif event["event"] == "error":
                raise JavaError(str(event.get("kind")), str(event.get("message")))
            elif event["event"] == "ready":
                return event
            elif event["event"] == "done":
                result: Answer = event["result"]
                return result

    def _next_event(
        self, deadline: float, limit_s: float, cancel: CancelToken | None
    ) -> dict[str, Any] | None:
        """An event, or None where there was none for a moment, or a line that is no event."""
        if cancel is not None and cancel.is_cancelled:
            raise Cancelled("Cancelled; the project is as it was.")
        try:
            line = self._lines.get(timeout=_POLL_S)
        except queue.Empty:
            self._check_limits(deadline, limit_s)
            return None
        if line is None:
            raise self._ended()
        try:
            event = json.loads(line)
        except ValueError:
            return None
        return event if isinstance(event, dict) and "event" in event else None

    def _check_limits(self, deadline: float, limit_s: float) -> None:
        if time.monotonic() > deadline:
            raise BridgeError(
                f"QuPath's Java took longer than {limit_s:.0f} s and was stopped. The file may be "
                "damaged, or the machine busy: try again, or allow more time."
            )
        allowed, used = self._limits.memory_mb, memory_mb(self.pid)
        if allowed is not None and used is not None and used > allowed:
            raise BridgeError(
                f"QuPath's Java took {used:,.0f} MB of memory, more than the {allowed:,} MB "
                "allowed, and was stopped. Allow more, or send fewer objects."
            )

    def _ended(self) -> BridgeError:
        assert self._process is not None
        code = self._process.wait()
        return BridgeError(
            f"QuPath's Java ended unexpectedly (exit code {code}); the project is as it was. "
            f"Try again; if it happens again, its last words may help:\n{self._last_words()}"
        )

    def _last_words(self) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 8000))
        return "\n".join(self._log.read().splitlines()[-_LOG_LINES:])
