"""Work in plain threads, whose answers come back to the thread that asked.

Plain threads and not napari's ``thread_worker``: a session runs without a window, and one rule
(state changes in the asking thread alone) is easier to keep than to mend with locks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Any

__all__ = ["Job", "Lane", "Post", "Report"]

#: Runs a function later in the thread that owns the session: the window's, or a test's.
Post = Callable[[Callable[[], None]], None]
#: Tells how far the work is; may be called from the work's thread.
Report = Callable[[Any], None]


def _ignore(_: Any) -> None:
    """For answers that nobody waits for."""


@dataclass(frozen=True)
class Job:
    """Something to do, and who wants to know.

    Attributes
    ----------
    work : callable
        Runs in a thread; gets a function to report progress with, gives back the answer.
    done, failed, progress : callable
        Called through `Post` with the answer, the error, and each report.
    unwanted : callable
        Called through `Post` instead of `done` where the job was overtaken or dropped, before the
        next one starts: for answers that hold something.
    """

    work: Callable[[Report], Any]
    done: Callable[[Any], None] = field(default=_ignore)
    failed: Callable[[BaseException], None] = field(default=_ignore)
    progress: Callable[[Any], None] = field(default=_ignore)
    unwanted: Callable[[Any], None] = field(default=_ignore)


class Lane:
    """One job at a time, and only the latest one counts.

    A job that is submitted while another runs waits; a newer one takes its place. Answers of jobs
    that were overtaken are dropped: each job has a generation, and only the newest may speak.

    Parameters
    ----------
    post : Post
        How answers come back. All methods belong to the thread that `post` serves.
    name : str
        Of the threads, for debuggers.
    """

    def __init__(self, post: Post, name: str) -> None:
        self._post = post
        self._name = name
        self._generation = 0
        self._busy = False
        self._waiting: Job | None = None

    @property
    def is_busy(self) -> bool:
        """True while a thread works, be it for an answer that nobody wants any more."""
        return self._busy

    def submit(self, job: Job) -> None:
        """Do `job` now or after the one that runs; answers of older ones are dropped."""
        self._generation += 1
        self._waiting = job
        if not self._busy:
            self._start()

    def drop(self) -> None:
        """Forget what waits and what will be answered."""
        self._generation += 1
        self._waiting = None

    def _start(self) -> None:
        job, self._waiting = self._waiting, None
        if job is None:
            return
        self._busy = True
        target = partial(self._run, job, self._generation)
        Thread(target=target, name=self._name, daemon=True).start()

    def _run(self, job: Job, generation: int) -> None:
        """In the thread."""
        tell = partial(self._tell, generation)
        try:
            answer = job.work(lambda report: self._post(partial(tell, job.progress, report)))
        except BaseException as error:
            self._post(partial(self._finish, generation, job.failed, error))
        else:
            self._post(partial(self._finish, generation, job.done, answer, job.unwanted))

    def _finish(
        self,
        generation: int,
        listener: Callable[[Any], None],
        message: Any,
        unwanted: Callable[[Any], None] = _ignore,
    ) -> None:
        self._busy = False
        if generation != self._generation:
            unwanted(message)
        if self._waiting is not None:
            self._start()
        self._tell(generation, listener, message)

    def _tell(self, generation: int, listener: Callable[[Any], None], message: Any) -> None:
        if generation == self._generation:
            listener(message)
