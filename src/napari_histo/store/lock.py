"""A lock that the operating system lets go of when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import getpass
import math
import os
import platform
import sys
from datetime import datetime
from pathlib import Path
from threading import Condition

from napari_histo.errors import DocumentLockedError

__all__ = ["FileLock"]

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: Byte that is locked: behind the text, which others then may read where locks are mandatory.
_BYTE = 1 << 20
#: Steps are counted, not the time: while the whole program stands still nobody can let go.
_STEP_S = 0.05
# POSIX locks belong to a process: it would take the same one twice, and lose it when it closes the
# file anywhere. So each process keeps a list of its own.
_ours: set[str] = set()
_guard = Condition()


class FileLock:
    """Exclusive right to what a file stands for, until `release` or the end of the process.

    Parameters
    ----------
    path : Path
        Made if need be, removed by `release`. Its text tells others who holds the lock.
    what : str
        What is locked, for that message.
    patience_s : float
        How long to wait for another thread of this process, in seconds; other processes are not
        waited for.

    Raises
    ------
    DocumentLockedError
        Another window of this or another process holds it.
    OSError
        The file cannot be made here.
    """

    def __init__(self, path: Path, what: str, *, patience_s: float = 0.0) -> None:
        self._key = os.path.realpath(path)
        self._what = what
        with _guard:
            if not self._is_free_within(patience_s):
                raise _locked(what, "another window of this program")
            self._handle = self._take()
            _ours.add(self._key)

    def _is_free_within(self, patience_s: float) -> bool:
        """Of this process; `_guard` is held."""
        for _ in range(math.ceil(patience_s / _STEP_S)):
            if _guard.wait_for(lambda: self._key not in _ours, _STEP_S):
                return True
        return self._key not in _ours

    def release(self) -> None:
        """Let go; again is no error."""
        with _guard:
            if self._handle is None:
                return
            # First removed, then let go: nobody can lock a file that is about to vanish.
            with contextlib.suppress(OSError):
                Path(self._key).unlink()
            os.close(self._handle)
            self._handle = None
            _ours.discard(self._key)
            _guard.notify_all()

    def _take(self) -> int | None:
        """Handle of the locked file. One that was removed meanwhile is nobody's: then again."""
        for _ in range(100):
            handle = os.open(self._key, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
                if _is_at(handle, self._key):
                    os.truncate(handle, 0)
                    os.write(handle, _self_description().encode())
                    return handle
            except OSError as error:
                if error.errno in _NO_LOCKS_HERE:
                    return handle  # a network folder without locks: better unlocked than shut out
                holder = _read(handle)
                os.close(handle)
                if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                    raise _locked(self._what, holder) from None
                raise
            os.close(handle)
        raise OSError(errno.EBUSY, "the lock file keeps vanishing", self._key)


def _locked(what: str, holder: str) -> DocumentLockedError:
    return DocumentLockedError(
        f"{what} is already being edited in {holder or 'another window'}. Close it there first, "
        "or choose another file for this window."
    )


def _self_description() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "somebody"
    now = datetime.now().strftime("%Y-%m-%d %H:%M")
    return f"a window of {user} on {platform.node()} (process {os.getpid()}, since {now})"


def _read(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, 500).decode("utf-8", "replace").strip()


def _is_at(handle: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))  # noqa: PTH116 - as text
    except FileNotFoundError:
        return False


def _lock(handle: int) -> None:
    """Take the lock or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _BYTE)
